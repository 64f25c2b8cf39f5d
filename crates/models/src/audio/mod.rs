//! Sound encoders: waveforms at 16 kHz to one vector a clip.
//!
//! Owns: wav2vec 2.0 and HuBERT of base size, a log-mel encoder, and the door to all of them, cached
//! embeddings included. Does not own: cutting and normalising sound, or where embeddings are kept.
//!
//! Clips of a batch have one length: group norm runs over time, so padding would change all frames.

mod config;
mod features;
mod layer;
mod mel;
mod wav2vec2;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

pub use self::config::Wav2Vec2Config;
pub use self::mel::{MelConfig, MelEncoder, log_mel, mel_frames};
pub use self::wav2vec2::Wav2Vec2;
use crate::error::{Error, Result};
use crate::model::Mode;
use crate::params::Params;

/// Which sound encoder, and its shape.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum AudioConfig {
    /// wav2vec 2.0 or HuBERT.
    #[serde(rename = "wav2vec2")]
    Wav2Vec2(Wav2Vec2Config),
    /// The log-mel encoder.
    Mel(MelConfig),
    /// No encoder: vectors of this width that a frozen one gave before.
    Embeddings {
        /// Values of a vector.
        width: usize,
    },
}

impl AudioConfig {
    /// Width of a clip's vector.
    pub fn width(&self) -> usize {
        match self {
            AudioConfig::Wav2Vec2(c) => c.hidden_size,
            AudioConfig::Mel(c) => c.width,
            AudioConfig::Embeddings { width } => *width,
        }
    }
}

/// Clips that go through a network at once where nothing learns: memory is that of so many.
const CLIPS: usize = 8;

#[derive(Debug, Clone)]
enum Form {
    Wav2Vec2(Box<Wav2Vec2>),
    Mel(Box<MelEncoder>),
    Embeddings(usize),
}

/// A sound encoder.
#[derive(Debug, Clone)]
pub struct AudioEncoder {
    form: Form,
    frozen: bool,
}

impl AudioEncoder {
    /// Adds the encoder's variables behind `prefix` (MindMix: `audio_model.`). A `frozen` one runs as
    /// in evaluation and passes no gradient to its variables.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(
        config: &AudioConfig,
        frozen: bool,
        params: &mut Params,
        prefix: &str,
    ) -> Result<Self> {
        let form = match config {
            AudioConfig::Wav2Vec2(c) => Form::Wav2Vec2(Box::new(Wav2Vec2::new(c, params, prefix)?)),
            AudioConfig::Mel(c) => Form::Mel(Box::new(MelEncoder::new(c, params, prefix)?)),
            AudioConfig::Embeddings { width: 0 } => {
                return Err(Error::config("width", 0, "at least 1"));
            }
            AudioConfig::Embeddings { width } => Form::Embeddings(*width),
        };
        Ok(Self { form, frozen })
    }

    /// Width of a clip's vector.
    pub fn width(&self) -> usize {
        match &self.form {
            Form::Wav2Vec2(m) => m.config().hidden_size,
            Form::Mel(m) => m.config().width,
            Form::Embeddings(width) => *width,
        }
    }

    /// Waveforms [B, T], for the log-mel encoder also [`log_mel`]'s result [B, bands, frames], for
    /// none embeddings [B, width] → [B, width]: the mean over frames of the last hidden state. In
    /// evaluation waveforms go through wav2vec 2.0 a few at a time, and no gradient comes back.
    ///
    /// # Errors
    /// [`Error::Shape`] for waveforms too short, or embeddings of another width.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mode = if self.frozen { Mode::Eval } else { mode };
        let y = match &self.form {
            Form::Wav2Vec2(m) if mode == Mode::Eval => in_turn(m, x)?,
            Form::Wav2Vec2(m) => m.forward(x, mode)?.mean(1)?,
            Form::Mel(m) => m.forward(x, mode)?.mean(1)?,
            Form::Embeddings(width) => match *x.dims() {
                [_, d] if d == *width => x.clone(),
                _ => {
                    return Err(Error::Shape {
                        what: "embeddings of sounds",
                        found: x.dims().to_vec(),
                        expected: format!("[batch, {width}]"),
                    });
                }
            },
        };
        Ok(if self.frozen { y.detach() } else { y })
    }
}

/// Waveforms [B, T] → [B, width], a few at a time.
fn in_turn(net: &Wav2Vec2, x: &Tensor) -> Result<Tensor> {
    let rows = x.dim(0)?;
    let mut parts = Vec::with_capacity(rows.div_ceil(CLIPS));
    for start in (0..rows).step_by(CLIPS) {
        let clips = x.narrow(0, start, CLIPS.min(rows - start))?.contiguous()?;
        parts.push(net.forward(&clips, Mode::Eval)?.mean(1)?.detach());
    }
    match parts.as_slice() {
        [one] => Ok(one.clone()),
        [] => net.forward(x, Mode::Eval),
        many => Ok(Tensor::cat(many, 0)?),
    }
}

/// Each waveform [B, T] less its mean and divided by sqrt(variance + 1e-7), as Hugging Face's
/// processor does by default. MindMix does not.
///
/// # Errors
/// Those of the tensor library.
pub fn normalise(x: &Tensor) -> Result<Tensor> {
    let centred = x.broadcast_sub(&x.mean_keepdim(1)?)?;
    let var = centred.sqr()?.mean_keepdim(1)?;
    Ok(centred.broadcast_div(&(var + 1e-7)?.sqrt()?)?)
}
