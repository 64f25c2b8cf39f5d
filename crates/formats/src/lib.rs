//! mmpipe formats.
