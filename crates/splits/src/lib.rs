//! mmpipe splits.
