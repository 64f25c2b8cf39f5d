//! CPU kernels over plain `f32` slices: matrix products, attention of a head, norms, vector functions and
//! sliding products.
//!
//! The instruction set is chosen at run time (AVX-512, AVX2 with FMA, else the baseline), so no
//! compiler flag is asked of anyone. Nothing here knows of tensors or gradients.

pub(crate) mod columns;
pub(crate) mod gemm;
pub(crate) mod heads;
pub(crate) mod rows;
pub(crate) mod scratch;
pub(crate) mod slide;
pub(crate) mod tokens;
pub(crate) mod vector;
pub(crate) mod windows;
