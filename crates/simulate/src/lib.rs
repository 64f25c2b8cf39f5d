//! mmpipe simulate.
