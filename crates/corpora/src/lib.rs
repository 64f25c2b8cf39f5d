//! mmpipe corpora.
