//! Hearing with wav2vec 2.0 or HuBERT: where the encoder's first weights come from, and what a frozen
//! one gives of a sound.
//!
//! Owns: the choice of the weights ([`resolve`]), their identity, their way into a network that learns
//! ([`Sound::start`]), and [`SoundEncoder`], the encoder that does not learn. Does not own the network
//! (`mmpipe_models::audio`), or where vectors are kept ([`crate::Source::embedding`]).
//!
//! The first weights are those of `init` where stage 2 or MindMix trained or kept an encoder of this
//! kind, else those of `audio_init`. Random ones are taken only where `audio_init = "random"` says so:
//! a frozen encoder that was never trained would be a wrong result that nobody sees.
//!
//! A frozen encoder is no part of the network that learns: the network reads its vectors, so there is
//! no gradient, no decay, no average and no dropout of it. Each sound goes through it by itself, so its
//! vector depends on the sound and the encoder alone.

mod encoder;
mod origin;

use std::path::Path;

use mmpipe_models::Params;
use mmpipe_models::audio::Wav2Vec2Config;
use serde::{Deserialize, Serialize};

pub use self::encoder::SoundEncoder;
pub(crate) use self::encoder::at_peak;
use self::origin::fill;
pub(crate) use self::origin::{Asked, resolve};
use crate::Result;
use crate::config::{Audio, AudioTrain, ModelKind, TrainConfig};
use crate::store::{Checkpoints, FitAbout};

/// What stands in front of the encoder's names in a network.
pub(crate) const PREFIX: &str = "audio_model.";

/// The sound encoder of a training, for its report.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct SoundReport {
    /// Which.
    pub encoder: Audio,
    /// Whether it learns. A frozen one gets no gradient, no weight decay and no dropout, and is not
    /// among the parameters that are trained.
    pub train: AudioTrain,
    /// File of its first weights, or `random`.
    pub from: String,
    /// Identity of its shape and first weights; `embed` and table `audio_embeddings` name it so.
    pub hash: String,
    /// Numbers in it.
    pub parameters: u64,
}

/// What a network hears with, as settings and files decide it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Hears {
    pub(crate) about: SoundReport,
    /// Shape, and the rates of the settings.
    pub(crate) config: Wav2Vec2Config,
}

impl Hears {
    pub(crate) fn frozen(&self) -> bool {
        self.about.train == AudioTrain::Frozen
    }
}

/// A sound encoder with the way to its first weights.
#[derive(Debug, Clone)]
pub(crate) struct Sound {
    pub(crate) hears: Hears,
    asked: Asked,
    /// What a reader must know of the choice.
    notes: Vec<String>,
}

impl Sound {
    /// What a fit in `dir` hears with: as its checkpoint says where there is one that was asked the same,
    /// else as the settings decide now. `None` where no weights are asked for.
    ///
    /// # Errors
    /// Those of [`resolve`], and a checkpoint that cannot be read.
    pub(crate) fn of_fit(
        cfg: &TrainConfig,
        fold: i32,
        control: bool,
        dir: &Path,
    ) -> Result<Option<Self>> {
        let needed = match cfg.model {
            model if model.listens() => true,
            // Of which it wants the width of its projection alone.
            ModelKind::MindmixPrototype => cfg.init.is_some(),
            _ => false,
        };
        if !needed || cfg.audio == Audio::Mel {
            return Ok(None);
        }
        let asked = Asked::of(cfg, fold, control);
        if let Some(state) = Checkpoints::of(dir).latest::<FitAbout>()?
            && Asked::of(&state.about.config, fold, control) == asked
            && let Some(hears) = state.about.spec.hears
        {
            return Ok(Some(Self::kept(hears, asked)));
        }
        resolve(&asked)
    }

    /// As a checkpoint keeps it.
    pub(crate) fn kept(hears: Hears, asked: Asked) -> Self {
        Self {
            hears,
            asked,
            notes: Vec::new(),
        }
    }

    /// Loads the first weights into the network that learns; of a frozen encoder nothing is there to be
    /// loaded. Gives notes.
    ///
    /// # Errors
    /// [`crate::Error::Checkpoint`] for a file that lacks a tensor.
    pub(crate) fn start(&self, params: &Params) -> Result<Vec<String>> {
        let SoundReport {
            encoder,
            from,
            hash,
            parameters,
            train,
        } = &self.hears.about;
        let name = encoder.name();
        let mut notes = self.notes.clone();
        notes.push(match train {
            AudioTrain::Frozen => format!(
                "the sound encoder {name} from {from} ({hash}) is frozen: none of its {parameters} numbers is trained, decayed or dropped out"
            ),
            AudioTrain::Trainable => {
                fill(&self.asked, &self.hears, params)?;
                format!("the sound encoder {name} learns, from {from} ({hash})")
            }
        });
        Ok(notes)
    }

    /// The encoder that does not learn.
    pub(crate) fn encoder(&self) -> SoundEncoder {
        SoundEncoder::new(self.hears.clone(), self.asked.clone())
    }
}
