//! mmpipe eval.
