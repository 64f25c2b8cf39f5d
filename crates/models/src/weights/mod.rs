//! Weights of others: PyTorch and safetensors files in, this crate's names and a configuration out.
//!
//! Owns: the reader of `.pth`, `.pt` and `.bin` files (tensors alone, nothing of a pickle is ever
//! run), the maps from published names to ours, and the conversion. Does not own: downloads, or what
//! a network does with its weights.

mod convert;
mod encoder;
mod infer;
mod names;
mod pickle;
mod sound;
mod torch;
mod values;

pub use self::convert::{Converted, convert, read_tensors};
pub use self::encoder::{EncoderPart, encoder_part};
pub use self::names::{Kind, Renamed, rename};
pub use self::sound::{SoundPart, holds_sound_encoder, sound_file, sound_part};
pub use self::torch::{Checkpoint, read_torch};
