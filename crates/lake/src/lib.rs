//! mmpipe lake.
