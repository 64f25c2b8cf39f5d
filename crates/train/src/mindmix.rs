//! Shapes of the MindMix networks from the settings, the same for every stage and model, so that the
//! weights of one stage fit the next.

use mmpipe_models::align::{AlignConfig, FusionConfig, FusionKind};
use mmpipe_models::audio::{AudioConfig, MelConfig, Wav2Vec2Config};
use mmpipe_models::encoder::{self, EncoderConfig};

use crate::config::{Audio, Size, TrainConfig};
use crate::data::FeatureKind;
use crate::sound::Hears;

/// What decides the shape; see the fields of the same names in [`TrainConfig`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) size: Size,
    pub(crate) spatial: bool,
    pub(crate) drop_path: Option<f64>,
    pub(crate) dropout: Option<f64>,
    pub(crate) fusion: FusionKind,
    pub(crate) audio: Audio,
}

impl From<&TrainConfig> for Shape {
    fn from(c: &TrainConfig) -> Self {
        Self {
            size: c.size,
            spatial: c.spatial,
            drop_path: c.drop_path,
            dropout: c.dropout,
            fusion: c.fusion,
            audio: c.audio,
        }
    }
}

impl Shape {
    /// The named size.
    pub(crate) fn named(&self) -> encoder::Size {
        match self.size {
            Size::Tiny => encoder::Size::Tiny,
            Size::Base => encoder::Size::Base,
        }
    }

    /// The EEG encoder.
    pub(crate) fn encoder(&self) -> EncoderConfig {
        let c = EncoderConfig::new(self.named());
        EncoderConfig {
            spatial_embedding: self.spatial,
            drop_path: self.drop_path.map_or(c.drop_path, |d| d as f32),
            ..c
        }
    }

    /// The log-mel encoder: its own shape beside `base`, a small one beside `tiny`.
    fn mel(&self) -> MelConfig {
        let c = match self.size {
            Size::Base => MelConfig::default(),
            Size::Tiny => MelConfig {
                bands: 24,
                width: 64,
                layers: 1,
                ..MelConfig::default()
            },
        };
        MelConfig {
            dropout: self.dropout.map_or(c.dropout, |d| d as f32),
            ..c
        }
    }

    /// What the sound encoder reads; of a frozen one see [`crate::data::Features::hearing`].
    pub(crate) fn features(&self) -> FeatureKind {
        match self.audio {
            Audio::Mel => FeatureKind::EegAndMel(self.mel().bands),
            Audio::Wav2vec2 | Audio::Hubert => FeatureKind::EegAndWave,
        }
    }

    /// The sound encoder in the network. A frozen one is outside it, and so is one that is asked for
    /// by nothing (`hears` is none).
    fn hearing(&self, hears: Option<&Hears>) -> AudioConfig {
        let outside = |c: &Wav2Vec2Config| AudioConfig::Embeddings {
            width: c.hidden_size,
        };
        match (self.audio, hears, self.size) {
            (Audio::Mel, ..) => AudioConfig::Mel(self.mel()),
            (_, Some(h), _) if h.frozen() => outside(&h.config),
            (_, Some(h), _) => AudioConfig::Wav2Vec2(h.config.clone()),
            (_, None, Size::Tiny) => outside(&Wav2Vec2Config::tiny()),
            (_, None, Size::Base) => outside(&Wav2Vec2Config::wav2vec2_base()),
        }
    }

    /// Both encoders and the fusion module, with honest pairs. What kind of sound a sound is, no data
    /// set says by a code of ours, so there are no maps by kind.
    pub(crate) fn aligner(&self, hears: Option<&Hears>) -> AlignConfig {
        let fusion = FusionConfig::new(self.fusion);
        let fusion = match self.size {
            Size::Base => fusion,
            Size::Tiny => FusionConfig {
                width: 64,
                hidden: 128,
                rank: 32,
                ..fusion
            },
        };
        AlignConfig {
            eeg: self.encoder(),
            audio: self.hearing(hears),
            fusion: FusionConfig {
                type_aligner: false,
                dropout: self.dropout.map_or(fusion.dropout, |d| d as f32),
                ..fusion
            },
            ..AlignConfig::new(self.named())
        }
    }
}
