//! mmpipe train.
