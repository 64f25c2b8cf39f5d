//! The encoder, the three stages' networks and their weights: parity with PyTorch on stored vectors,
//! gradients of every variable, and the properties that scoring rests on.

mod align;
mod audio;
mod codebook;
mod encoder;
mod matcher;
mod pretrain;
mod real;
mod scoring;
mod trap;
mod twin;
mod weights;
