//! Shapes of the MindMix networks from the settings, the same for every stage and model, so that the
//! weights of one stage fit the next.

use mmpipe_models::align::{AlignConfig, FusionConfig};
use mmpipe_models::audio::{AudioConfig, MelConfig};
use mmpipe_models::encoder::{self, EncoderConfig};

use crate::config::{Audio, Size, TrainConfig};

/// The named size.
pub(crate) fn size(size: Size) -> encoder::Size {
    match size {
        Size::Tiny => encoder::Size::Tiny,
        Size::Base => encoder::Size::Base,
    }
}

/// The EEG encoder.
pub(crate) fn encoder(cfg: &TrainConfig) -> EncoderConfig {
    let c = EncoderConfig::new(size(cfg.size));
    EncoderConfig {
        spatial_embedding: cfg.spatial,
        drop_path: cfg.drop_path.map_or(c.drop_path, |d| d as f32),
        ..c
    }
}

/// The log-mel encoder: its own shape beside `base`, a small one beside `tiny`.
pub(crate) fn mel(size: Size) -> MelConfig {
    match size {
        Size::Base => MelConfig::default(),
        Size::Tiny => MelConfig {
            bands: 24,
            width: 64,
            layers: 1,
            ..MelConfig::default()
        },
    }
}

/// Both encoders and the fusion module. What kind of sound a sound is, no data set says by a code of
/// ours, so there are no maps by kind.
pub(crate) fn aligner(cfg: &TrainConfig) -> AlignConfig {
    let base = AlignConfig::new(size(cfg.size));
    let fusion = FusionConfig::new(cfg.fusion);
    let fusion = match cfg.size {
        Size::Base => fusion,
        Size::Tiny => FusionConfig {
            width: 64,
            hidden: 128,
            rank: 32,
            ..fusion
        },
    };
    let dropout = cfg.dropout.map(|d| d as f32);
    let mut mel = mel(cfg.size);
    mel.dropout = dropout.unwrap_or(mel.dropout);
    AlignConfig {
        eeg: encoder(cfg),
        audio: match cfg.audio {
            Audio::Mel => AudioConfig::Mel(mel),
        },
        fusion: FusionConfig {
            type_aligner: false,
            dropout: dropout.unwrap_or(fusion.dropout),
            ..fusion
        },
        ..base
    }
}
