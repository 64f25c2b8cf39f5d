//! Shapes of the MindMix networks from the settings, the same for every stage and model, so that the
//! weights of one stage fit the next.

use mmpipe_models::align::{AlignConfig, FusionConfig, FusionKind};
use mmpipe_models::audio::{AudioConfig, MelConfig, Wav2Vec2Config};
use mmpipe_models::encoder::{EncoderConfig, Size};
use serde::{Deserialize, Serialize};

use crate::config::{Audio, ModelKind, TrainConfig};
use crate::data::FeatureKind;
use crate::sound::Hears;
use crate::{Error, Result};

/// A part that one form of a module has and another has not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Switch {
    /// As the form has it.
    #[default]
    Own,
    /// There.
    On,
    /// Not there.
    Off,
}

/// Which parts of CALRA are there: the paper's dissection of the module (its Table 3). They belong to the
/// fusions `calra-paper` and `calra-released`; the others have no such parts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct CalraConfig {
    /// Maps by kind of sound (speech, music, other): `on`, `off`, or `own`, as the form has it: on in
    /// `calra-paper`, off in `calra-released`. A sound whose kind the source does not tell passes
    /// `calra-paper`'s unchanged. `mindmix-prototype` has no sounds, and so none of it.
    pub type_aligner: Switch,
    /// Cross-attention (`calra-paper`) or attention of heads (`calra-released`).
    pub attention: bool,
    /// Feed-forward networks.
    pub feed_forward: bool,
    /// Shared low-rank product.
    pub low_rank: bool,
}

impl Default for CalraConfig {
    fn default() -> Self {
        Self {
            type_aligner: Switch::Own,
            attention: true,
            feed_forward: true,
            low_rank: true,
        }
    }
}

/// What decides the shape; see the fields of the same names in [`TrainConfig`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Shape {
    pub(crate) size: Size,
    pub(crate) spatial: bool,
    pub(crate) drop_path: Option<f64>,
    pub(crate) dropout: Option<f64>,
    pub(crate) fusion: FusionKind,
    pub(crate) calra: CalraConfig,
    pub(crate) audio: Audio,
    /// The network hears, so sounds have kinds.
    pub(crate) hears: bool,
}

impl From<&TrainConfig> for Shape {
    fn from(c: &TrainConfig) -> Self {
        Self {
            size: c.size,
            spatial: c.spatial,
            drop_path: c.drop_path,
            dropout: c.dropout,
            fusion: c.fusion,
            calra: c.calra,
            audio: c.audio,
            hears: c.model != ModelKind::MindmixPrototype,
        }
    }
}

impl Shape {
    /// Refuse switches that would change nothing.
    ///
    /// # Errors
    /// [`Error::Config`] for a part of CALRA where there is no CALRA, or no sound.
    pub(crate) fn check(&self) -> Result<()> {
        let wrong = |message: String| {
            let field = "calra";
            Err(Error::Config { field, message })
        };
        let calra = matches!(
            self.fusion,
            FusionKind::CalraPaper | FusionKind::CalraReleased
        );
        if !calra && self.calra != CalraConfig::default() {
            return wrong(format!(
                "expected its defaults, for its switches are those of calra-paper and calra-released; found {:?} with the fusion {:?}",
                self.calra, self.fusion
            ));
        }
        if !self.hears && self.calra.type_aligner == Switch::On {
            return wrong("expected type_aligner = own or off, for a prototype is no sound and of no kind; found on".into());
        }
        Ok(())
    }

    /// The EEG encoder.
    pub(crate) fn encoder(&self) -> EncoderConfig {
        let c = EncoderConfig::new(self.size);
        EncoderConfig {
            spatial_embedding: self.spatial,
            drop_path: self.drop_path.map_or(c.drop_path, |d| d as f32),
            ..c
        }
    }

    /// The log-mel encoder: a small one beside `tiny`, else its own shape.
    fn mel(&self) -> MelConfig {
        let c = match self.size {
            Size::Tiny => MelConfig {
                bands: 24,
                width: 64,
                layers: 1,
                ..MelConfig::default()
            },
            _ => MelConfig::default(),
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
            (_, None, _) => outside(&Wav2Vec2Config::wav2vec2_base()),
        }
    }

    /// The fusion module: a small one beside `tiny`, else as published.
    pub(crate) fn fusion(&self) -> FusionConfig {
        let own = FusionConfig::new(self.fusion);
        let own = match self.size {
            Size::Tiny => FusionConfig {
                width: 64,
                hidden: 128,
                rank: 32,
                ..own
            },
            _ => own,
        };
        FusionConfig {
            type_aligner: self.hears
                && match self.calra.type_aligner {
                    Switch::Own => own.type_aligner,
                    Switch::On => true,
                    Switch::Off => false,
                },
            attention: self.calra.attention,
            feed_forward: self.calra.feed_forward,
            low_rank: self.calra.low_rank,
            dropout: self.dropout.map_or(own.dropout, |d| d as f32),
            ..own
        }
    }

    /// Both encoders and the fusion module, with honest pairs.
    pub(crate) fn aligner(&self, hears: Option<&Hears>) -> AlignConfig {
        AlignConfig {
            eeg: self.encoder(),
            audio: self.hearing(hears),
            fusion: self.fusion(),
            ..AlignConfig::new(self.size)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shape(size: Size, fusion: FusionKind) -> Shape {
        let c = TrainConfig {
            size,
            fusion,
            ..TrainConfig::for_model(ModelKind::MindmixAv)
        };
        Shape::from(&c)
    }

    #[test]
    fn every_size_is_the_published_one() {
        for (size, blocks, width) in [
            (Size::Tiny, 4, 100),
            (Size::Base, 12, 200),
            (Size::Large, 24, 400),
            (Size::Huge, 48, 800),
        ] {
            let c = shape(size, FusionKind::CalraPaper).aligner(None);
            assert_eq!((c.eeg.depth, c.eeg.width()), (blocks, width));
            let common = if size == Size::Tiny { 64 } else { 256 };
            assert_eq!(c.fusion.width, common);
            let text = serde_json::to_value(size).unwrap();
            assert_eq!(serde_json::from_value::<Size>(text).unwrap(), size);
        }
    }

    #[test]
    fn each_switch_takes_its_part_away() {
        let base = shape(Size::Base, FusionKind::CalraPaper);
        assert_eq!(base.fusion(), FusionConfig::new(FusionKind::CalraPaper));
        let with = |change: &dyn Fn(&mut CalraConfig)| {
            let mut s = base;
            change(&mut s.calra);
            s.check().unwrap();
            s.fusion()
        };
        let off = FusionConfig::new(FusionKind::CalraPaper);
        for (found, want) in [
            (
                with(&|c| c.type_aligner = Switch::Off),
                FusionConfig {
                    type_aligner: false,
                    ..off.clone()
                },
            ),
            (
                with(&|c| c.attention = false),
                FusionConfig {
                    attention: false,
                    ..off.clone()
                },
            ),
            (
                with(&|c| c.feed_forward = false),
                FusionConfig {
                    feed_forward: false,
                    ..off.clone()
                },
            ),
            (
                with(&|c| c.low_rank = false),
                FusionConfig {
                    low_rank: false,
                    ..off.clone()
                },
            ),
        ] {
            assert_eq!(found, want);
        }
        // As released there are no maps by kind unless they are asked for.
        let mut released = shape(Size::Base, FusionKind::CalraReleased);
        assert!(!released.fusion().type_aligner);
        released.calra.type_aligner = Switch::On;
        assert!(released.fusion().type_aligner);
    }

    #[test]
    fn switches_that_would_change_nothing_are_refused() {
        let mut concat = shape(Size::Tiny, FusionKind::ConcatMlp);
        concat.check().unwrap();
        concat.calra.low_rank = false;
        assert!(concat.check().is_err());
        let mut prototype = shape(Size::Tiny, FusionKind::CalraPaper);
        prototype.hears = false;
        assert!(!prototype.fusion().type_aligner);
        prototype.calra.type_aligner = Switch::On;
        assert!(prototype.check().is_err());
    }
}
