//! mmpipe signal.
