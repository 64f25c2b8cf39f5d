//! Settings of stage 2.

use mmpipe_models::align::{FusionKind, Pairs};
use serde::{Deserialize, Serialize};

use crate::config::{Audio, AudioTrain, Size, check_audio};
use crate::mindmix::{CalraConfig, Shape};
use crate::sound::{Asked, Hears};
use crate::stage::{StepConfig, in_range};
use crate::{Error, Result};

/// Settings of stage 2. Every field has a default; unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct AlignConfig {
    /// Size of the EEG encoder, and with it of the sound encoder and the fusion module.
    pub size: Size,
    /// Add the spatial embedding by electrode name.
    pub spatial: bool,
    /// Rate at which the last block of the EEG encoder is left out; absent = the network's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drop_path: Option<f64>,
    /// Dropout of sound encoder and fusion module; absent = their own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropout: Option<f64>,
    /// What stands between EEG's and sound's vectors and the score.
    pub fusion: FusionKind,
    /// Which parts of CALRA are there.
    pub calra: CalraConfig,
    /// The sound encoder.
    pub audio: Audio,
    /// Weights that a `wav2vec2` or `hubert` encoder starts from; see [`crate::TrainConfig::audio_init`].
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_init: Option<String>,
    /// Whether that encoder learns; see [`crate::TrainConfig::audio_train`].
    pub audio_train: AudioTrain,
    /// Hide spans of frames from it while it learns; see [`crate::TrainConfig::spec_augment`].
    pub spec_augment: bool,
    /// Weights that the EEG encoder starts from: a run of stage 1, LaBraM's or MindMix's file; absent =
    /// random weights.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Which pairs of a batch are fused for the contrast: `crossed`, every EEG with every sound, or
    /// `diagonal`, as published: the EEG has then seen the sound that it is to find, see the pages of
    /// `mmpipe_models::align`.
    pub pairs: Pairs,
    /// Tell each EEG from the sounds that played beside the attended one too, in trials that had such
    /// (the paper's hard negatives; the released code has none). A sound of the attended one's content
    /// is never one.
    pub hard_negatives: bool,
    /// Contrast in both directions; the released code has EEG to sound alone.
    pub symmetric: bool,
    /// Temperature at the start; it is learnt, and stays at 0.01 or more.
    pub temperature: f64,
    /// Share of each data set's subjects that is held out to choose the checkpoint, where no split
    /// gives roles; see [`crate::hold_out`].
    pub val_share: f64,
    /// Batches, rates, checkpoints.
    pub steps: StepConfig,
}

impl Default for AlignConfig {
    fn default() -> Self {
        Self {
            size: Size::Base,
            spatial: true,
            drop_path: None,
            dropout: None,
            fusion: FusionKind::CalraPaper,
            calra: CalraConfig::default(),
            audio: Audio::Mel,
            audio_init: None,
            audio_train: AudioTrain::Trainable,
            spec_augment: true,
            init: None,
            pairs: Pairs::Crossed,
            // The paper has them, and they are what stage 3 asks: without them all that a network is told
            // from are sounds of other times.
            hard_negatives: true,
            symmetric: false,
            temperature: 0.07,
            val_share: 0.1,
            // The paper's batch is 256 (Table A1), on several GPUs.
            steps: StepConfig {
                batch: 64,
                ..StepConfig::self_supervised()
            },
        }
    }
}

impl AlignConfig {
    /// Refuse values that cannot work.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        self.steps.check()?;
        self.shape().check()?;
        in_range(&[
            ("drop_path", self.drop_path.unwrap_or(0.0), 0.0, 0.95),
            ("dropout", self.dropout.unwrap_or(0.0), 0.0, 0.95),
            ("temperature", self.temperature, 0.01, 100.0),
            ("val_share", self.val_share, 0.0, 0.9),
        ])?;
        let weights = self.audio_init.as_deref();
        check_audio(
            self.audio,
            self.audio_train,
            weights,
            true,
            self.init.is_some(),
        )?;
        let wrong = |field: &'static str, message: String| Err(Error::Config { field, message });
        if self.steps.batch < 2 {
            return wrong(
                "batch",
                "expected at least 2, one sound has nothing to be told from; found 1".into(),
            );
        }
        if self.steps.micro_batch != 0 {
            return wrong(
                "micro_batch",
                format!(
                    "expected 0, the contrast compares all sounds of a batch; found {}",
                    self.steps.micro_batch
                ),
            );
        }
        Ok(())
    }

    /// The settings without those that do not change the result.
    pub(super) fn what_matters(&self) -> Self {
        Self {
            steps: self.steps.what_matters(),
            ..self.clone()
        }
    }

    pub(super) fn shape(&self) -> Shape {
        Shape {
            size: self.size,
            spatial: self.spatial,
            drop_path: self.drop_path,
            dropout: self.dropout,
            fusion: self.fusion,
            calra: self.calra,
            hears: true,
            audio: self.audio,
        }
    }

    /// What is asked of the sound encoder.
    pub(super) fn asked(&self, fold: i32) -> Asked {
        Asked {
            audio: self.audio,
            audio_train: self.audio_train,
            audio_init: self.audio_init.clone(),
            spec_augment: self.spec_augment,
            dropout: self.dropout,
            size: self.size,
            init: self.init.clone(),
            seed: self.steps.seed,
            fold,
            unknowing: false,
        }
    }

    pub(super) fn network(&self, hears: Option<&Hears>) -> mmpipe_models::align::AlignConfig {
        mmpipe_models::align::AlignConfig {
            pairs: self.pairs,
            symmetric: self.symmetric,
            temperature: self.temperature,
            ..self.shape().aligner(hears)
        }
    }
}
