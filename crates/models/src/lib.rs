//! mmpipe models.
