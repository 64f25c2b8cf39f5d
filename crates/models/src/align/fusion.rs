//! One door to all fusion modules.

use candle_core::Tensor;

use super::calra_paper::CalraPaper;
use super::calra_released::CalraReleased;
use super::config::{FusionConfig, FusionKind};
use super::simple::{CoAttention, ConcatMlp};
use crate::error::{Error, Result};
use crate::model::Mode;
use crate::params::Params;

#[derive(Debug, Clone)]
enum Form {
    Paper(Box<CalraPaper>),
    Released(Box<CalraReleased>),
    CoAttention(Box<CoAttention>),
    Concat(Box<ConcatMlp>),
    Clip,
}

/// The module between projections and score. A function of one pair of vectors: nothing of another
/// pair in the batch reaches its result.
#[derive(Debug, Clone)]
pub struct Fusion {
    config: FusionConfig,
    form: Form,
}

impl Fusion {
    /// Adds the module's variables, each name behind `prefix` (published: `fusion_module.`).
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no module.
    pub fn new(config: &FusionConfig, params: &mut Params, prefix: &str) -> Result<Self> {
        config.check()?;
        let form = match config.kind {
            FusionKind::CalraPaper => {
                Form::Paper(Box::new(CalraPaper::new(params, prefix, config)?))
            }
            FusionKind::CalraReleased => {
                Form::Released(Box::new(CalraReleased::new(params, prefix, config)?))
            }
            FusionKind::CoAttention => {
                Form::CoAttention(Box::new(CoAttention::new(params, prefix, config)?))
            }
            FusionKind::ConcatMlp => {
                Form::Concat(Box::new(ConcatMlp::new(params, prefix, config)?))
            }
            FusionKind::Clip => Form::Clip,
        };
        Ok(Self {
            config: config.clone(),
            form,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &FusionConfig {
        &self.config
    }

    /// Projected EEG and projected sound, [P, width] each, pair by pair, and the kind of each sound
    /// ([`super::UNKNOWN_TYPE`] where it is not known) → both refined by the other.
    ///
    /// # Errors
    /// [`Error::Shape`] when the three do not have one row a pair.
    pub fn forward(
        &self,
        eeg: &Tensor,
        audio: &Tensor,
        types: &[u32],
        mode: Mode,
    ) -> Result<(Tensor, Tensor)> {
        let wanted = || format!("[pairs, {}], alike, one type a pair", self.config.width);
        match (eeg.dims(), audio.dims()) {
            ([p, d], [q, f]) if *p > 0 && p == q && d == f && *d == self.config.width => {
                if types.len() != *p {
                    return Err(Error::Shape {
                        what: "types of the sounds",
                        found: vec![types.len()],
                        expected: wanted(),
                    });
                }
            }
            (found, other) => {
                return Err(Error::Shape {
                    what: "pairs of eeg and sound",
                    found: [found, other].concat(),
                    expected: wanted(),
                });
            }
        }
        match &self.form {
            Form::Paper(f) => f.forward(eeg, audio, types, mode),
            Form::Released(f) => f.forward(eeg, audio, types, mode),
            Form::CoAttention(f) => f.forward(eeg, audio, mode),
            Form::Concat(f) => f.forward(eeg, audio, mode),
            Form::Clip => Ok((eeg.clone(), audio.clone())),
        }
    }
}
