//! How much of the learning rate a part of a MindMix network gets.

use mmpipe_models::Params;
use serde::{Deserialize, Serialize};

use crate::stage::in_range;
use crate::{Error, Result};

/// Shares of the learning rate by part; a part is what its variables' names begin with. 0 leaves a part
/// as it started. On top of `layer_decay`. The paper has one rate for all; the released trainer of
/// prototypes has 0.1 for what was pre-trained and 2 for the prototypes.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct LrScale {
    /// The EEG encoder.
    pub eeg_model: f64,
    /// The map behind it.
    pub eeg_proj: f64,
    /// The sound encoder.
    pub audio_model: f64,
    /// The map behind it.
    pub audio_proj: f64,
    /// The fusion module.
    pub fusion_module: f64,
    /// All the rest: classifier, prototypes, temperature.
    pub head: f64,
}

impl Default for LrScale {
    fn default() -> Self {
        Self {
            eeg_model: 1.0,
            eeg_proj: 1.0,
            audio_model: 1.0,
            audio_proj: 1.0,
            fusion_module: 1.0,
            head: 1.0,
        }
    }
}

impl LrScale {
    fn named(&self) -> [(&'static str, f64); 5] {
        [
            ("eeg_model", self.eeg_model),
            ("eeg_proj", self.eeg_proj),
            ("audio_model", self.audio_model),
            ("audio_proj", self.audio_proj),
            ("fusion_module", self.fusion_module),
        ]
    }

    /// Refuse values that cannot work.
    ///
    /// # Errors
    /// [`Error::Config`] for a share that is none, and where no part would learn.
    pub(crate) fn check(&self) -> Result<()> {
        let head = ("head", self.head);
        let all: Vec<(&'static str, f64)> = self.named().into_iter().chain([head]).collect();
        for (field, share) in &all {
            in_range(&[(field, *share, 0.0, 1e3)])?;
        }
        match all.iter().any(|(_, share)| *share > 0.0) {
            true => Ok(()),
            false => Err(Error::Config {
                field: "lr_scale",
                message: "expected a part above 0, found 0 for all: nothing would learn".into(),
            }),
        }
    }

    /// Of the variable `name`.
    fn of(&self, name: &str) -> f64 {
        let part = name.split('.').next();
        let own = self.named().into_iter().find(|(p, _)| Some(*p) == part);
        own.map_or(self.head, |(_, share)| share)
    }

    /// Of each trainable variable, in the order of the parameters.
    pub(super) fn shares(&self, params: &Params) -> Vec<f64> {
        params.trainable().map(|p| self.of(&p.name)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_tell_the_part() {
        let scale = LrScale {
            eeg_model: 0.5,
            eeg_proj: 0.6,
            audio_model: 0.1,
            audio_proj: 0.2,
            fusion_module: 3.0,
            head: 2.0,
        };
        for (name, share) in [
            ("eeg_model.model.blocks.0.attn.qkv.weight", 0.5),
            ("eeg_proj.0.weight", 0.6),
            ("audio_model.layers.0.attention.q_proj.bias", 0.1),
            ("audio_proj.2.bias", 0.2),
            ("fusion_module.W_U_eeg.weight", 3.0),
            ("classifier.3.bias", 2.0),
            ("prototypes", 2.0),
            ("logit_scale", 2.0),
        ] {
            assert_eq!(scale.of(name), share, "{name}");
        }
        scale.check().unwrap();
        let none = LrScale {
            eeg_model: 0.0,
            eeg_proj: 0.0,
            audio_model: 0.0,
            audio_proj: 0.0,
            fusion_module: 0.0,
            head: 0.0,
        };
        assert!(none.check().is_err());
        let odd = LrScale {
            head: f64::NAN,
            ..LrScale::default()
        };
        assert!(matches!(
            odd.check(),
            Err(Error::Config { field: "head", .. })
        ));
    }
}
