//! Settings of stage 1.

use mmpipe_models::encoder::EncoderConfig;
use mmpipe_models::pretrain::{
    CodebookConfig, JointConfig, MaskedConfig, PhaseTarget, Reconstruction, ReconstructionLoss,
    TokeniserConfig,
};
use serde::{Deserialize, Serialize};

use crate::config::Size;
use crate::optim::LrScale;
use crate::stage::{StepConfig, at_least_one, in_range};
use crate::{Error, Result};

/// How the encoder learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PretrainObjective {
    /// The MindMix paper's: codes, masked codes and spectra in one step.
    Joint,
    /// LaBraM's: a tokeniser first, then masked prediction of its codes.
    Labram,
}

impl PretrainObjective {
    /// What the names of the encoder's variables begin with in `model.safetensors`.
    pub fn encoder_prefix(self) -> &'static str {
        match self {
            Self::Joint => "encoder.",
            Self::Labram => "student.",
        }
    }
}

/// Settings of stage 1. Every field has a default; unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct PretrainConfig {
    /// The objective.
    pub objective: PretrainObjective,
    /// Size of the encoder.
    pub size: Size,
    /// Add the spatial embedding by electrode name.
    pub spatial: bool,
    /// Rate at which the last block is left out; absent = the objective's own.
    pub drop_path: Option<f64>,
    /// Activation checkpointing: less memory for a third less speed, the same result.
    pub recompute: bool,
    /// Codes in the codebook.
    pub codes: usize,
    /// Width of a code.
    pub code_dim: usize,
    /// Share of the old code in the codebook's moving average.
    pub code_decay: f64,
    /// Weight of the commitment to the codes.
    pub commitment: f64,
    /// Rounds of k-means that place the codes before the first step.
    pub kmeans_rounds: usize,
    /// Patches that k-means sees at least, where there are so many.
    pub kmeans_vectors: usize,
    /// Training steps without an assignment after which a code is put on a patch of the batch; 0 =
    /// never, as published.
    pub revive_after: u32,
    /// Blocks of the transformer that gives the spectra.
    pub decoder_depth: usize,
    /// Share of the patches of an example that are hidden.
    pub mask_ratio: f64,
    /// Predict the complement of the mask in a second pass too.
    pub symmetric: bool,
    /// What is predicted of the phase: `angle` (published) or `sin-cos`, which does not jump.
    pub phase: PhaseTarget,
    /// How errors of the spectra are measured, `paper` or `mse`; absent = the objective's own.
    pub spectral_loss: Option<ReconstructionLoss>,
    /// joint: weights of codes, masked codes and spectra.
    pub weights: [f64; 3],
    /// labram: passes of the tokeniser; 0 = as many as `steps.epochs`.
    pub tokeniser_epochs: usize,
    /// labram: peak learning rate of the tokeniser; 0 = that of `steps.lr`.
    pub tokeniser_lr: f64,
    /// Share of each data set's subjects that is held out to choose the checkpoint, where no split
    /// gives roles; see [`super::hold_out`].
    pub val_share: f64,
    /// Batches, rates, checkpoints.
    pub steps: StepConfig,
}

impl Default for PretrainConfig {
    fn default() -> Self {
        let (code, joint) = (CodebookConfig::default(), JointConfig::new(Size::Base));
        Self {
            objective: PretrainObjective::Joint,
            size: Size::Base,
            spatial: true,
            drop_path: None,
            recompute: false,
            codes: code.codes,
            code_dim: code.dim,
            code_decay: code.decay,
            commitment: code.beta,
            kmeans_rounds: code.kmeans_rounds,
            kmeans_vectors: 2 * code.codes,
            revive_after: code.revive_after.unwrap_or(0),
            decoder_depth: joint.decoder_depth,
            mask_ratio: joint.mask_ratio,
            symmetric: joint.symmetric,
            phase: joint.reconstruction.phase,
            spectral_loss: None,
            weights: joint.weights,
            tokeniser_epochs: 0,
            tokeniser_lr: 0.0,
            val_share: 0.1,
            // The paper's batch is 512 (Table A1), on several GPUs.
            steps: StepConfig {
                batch: 64,
                ..StepConfig::self_supervised()
            },
        }
    }
}

impl PretrainConfig {
    /// Refuse values that cannot work.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        self.steps.check()?;
        at_least_one(&[
            ("codes", self.codes),
            ("code_dim", self.code_dim),
            ("decoder_depth", self.decoder_depth),
            ("kmeans_vectors", self.kmeans_vectors),
        ])?;
        let [q, m, s] = self.weights;
        in_range(&[
            ("drop_path", self.drop_path.unwrap_or(0.0), 0.0, 0.95),
            ("code_decay", self.code_decay, 0.0, 0.999_999),
            ("commitment", self.commitment, 0.0, 1e6),
            ("mask_ratio", self.mask_ratio, 0.01, 0.99),
            ("weights", q, 0.0, 1e6),
            ("weights", m, 0.0, 1e6),
            ("weights", s, 0.0, 1e6),
            ("tokeniser_lr", self.tokeniser_lr, 0.0, 1e3),
            ("val_share", self.val_share, 0.0, 0.9),
        ])?;
        if self.steps.lr_scale != LrScale::default() {
            return Err(Error::Config {
                field: "lr_scale",
                message: "expected 1 for all in pre-training, which has none of these parts".into(),
            });
        }
        if self.steps.layer_decay != 1.0 {
            return Err(Error::Config {
                field: "layer_decay",
                message: format!(
                    "expected 1 in pre-training, where no layer was learnt before, found {}",
                    self.steps.layer_decay
                ),
            });
        }
        Ok(())
    }

    /// The settings without those that do not change the result.
    pub(crate) fn what_matters(&self) -> Self {
        Self {
            recompute: false,
            steps: self.steps.what_matters(),
            ..self.clone()
        }
    }

    fn encoder(&self, base: EncoderConfig) -> EncoderConfig {
        EncoderConfig {
            spatial_embedding: self.spatial,
            drop_path: self.drop_path.map_or(base.drop_path, |d| d as f32),
            recompute: self.recompute,
            ..base
        }
    }

    fn codebook(&self) -> CodebookConfig {
        CodebookConfig {
            codes: self.codes,
            dim: self.code_dim,
            decay: self.code_decay,
            beta: self.commitment,
            kmeans_rounds: self.kmeans_rounds,
            revive_after: (self.revive_after > 0).then_some(self.revive_after),
        }
    }

    fn reconstruction(&self, own: Reconstruction) -> Reconstruction {
        Reconstruction {
            phase: self.phase,
            loss: self.spectral_loss.unwrap_or(own.loss),
        }
    }

    pub(super) fn joint(&self) -> JointConfig {
        let base = JointConfig::new(self.size);
        JointConfig {
            encoder: self.encoder(base.encoder),
            decoder_depth: self.decoder_depth,
            codebook: self.codebook(),
            mask_ratio: self.mask_ratio,
            symmetric: self.symmetric,
            reconstruction: self.reconstruction(base.reconstruction),
            weights: self.weights,
        }
    }

    pub(super) fn tokeniser(&self) -> TokeniserConfig {
        let base = TokeniserConfig::new(self.size);
        TokeniserConfig {
            encoder: self.encoder(base.encoder),
            decoder_depth: self.decoder_depth,
            codebook: self.codebook(),
            reconstruction: self.reconstruction(base.reconstruction),
        }
    }

    pub(super) fn masked(&self) -> MaskedConfig {
        let base = MaskedConfig::new(self.size);
        MaskedConfig {
            encoder: self.encoder(base.encoder),
            codes: self.codes,
            mask_ratio: self.mask_ratio,
            symmetric: self.symmetric,
        }
    }

    pub(super) fn tokeniser_steps(&self) -> StepConfig {
        let or = |own: f64, other: f64| if own > 0.0 { own } else { other };
        StepConfig {
            epochs: match self.tokeniser_epochs {
                0 => self.steps.epochs,
                own => own,
            },
            lr: or(self.tokeniser_lr, self.steps.lr),
            ..self.steps.clone()
        }
    }
}
