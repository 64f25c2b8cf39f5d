//! Heads and losses that hold predicted spectra against those of the patches.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use super::fourier::{spectra, standardise};
use crate::encoder::{INIT_STD, PATCH};
use crate::error::Result;
use crate::layers::Linear;
use crate::params::{Init, Params};

/// What is predicted of the phase.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PhaseTarget {
    /// The angle itself, standardised, as published; it jumps at ±π.
    #[default]
    Angle,
    /// Its sine and cosine, which do not jump.
    SinCos,
}

/// How far a prediction is from its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ReconstructionLoss {
    /// Mean squared error of both, as LaBraM's code.
    #[default]
    Mse,
    /// As the MindMix paper's Eq. 3: squared length of the amplitude's error plus length of the
    /// phase's error, means over patches.
    Paper,
}

/// Both choices.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Reconstruction {
    /// What is predicted of the phase.
    pub phase: PhaseTarget,
    /// How errors are measured.
    pub loss: ReconstructionLoss,
}

/// Losses of the two heads.
#[derive(Debug, Clone)]
pub struct SpectralLoss {
    /// Of the amplitudes, a scalar.
    pub amplitude: Tensor,
    /// Of the phases, a scalar.
    pub phase: Tensor,
}

/// Linear, tanh, linear: `{name}.0` and `{name}.2`.
#[derive(Debug, Clone)]
pub(super) struct TanhHead {
    first: Linear,
    second: Linear,
}

impl TanhHead {
    pub(super) fn new(params: &mut Params, name: &str, width: usize, out: usize) -> Result<Self> {
        let init = Init::TruncNormal(INIT_STD);
        Ok(Self {
            first: Linear::new(params, &format!("{name}.0"), width, width, true, init)?,
            second: Linear::new(params, &format!("{name}.2"), width, out, true, init)?,
        })
    }

    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        self.second.forward(&self.first.forward(x)?.tanh()?)
    }
}

/// The two heads.
#[derive(Debug, Clone)]
pub(super) struct Heads {
    amplitude: TanhHead,
    phase: TanhHead,
    config: Reconstruction,
}

impl Heads {
    /// Adds `decode_task_layer` and `decode_task_layer_angle`.
    pub(super) fn new(params: &mut Params, width: usize, config: Reconstruction) -> Result<Self> {
        let phases = match config.phase {
            PhaseTarget::Angle => PATCH,
            PhaseTarget::SinCos => 2 * PATCH,
        };
        Ok(Self {
            amplitude: TanhHead::new(params, "decode_task_layer", width, PATCH)?,
            phase: TanhHead::new(params, "decode_task_layer_angle", width, phases)?,
            config,
        })
    }

    /// Decoded tokens [B, N, width] against the patches [B, N, 200] they stand for.
    pub(super) fn loss(&self, tokens: &Tensor, patches: &Tensor) -> Result<SpectralLoss> {
        let target = spectra(patches)?;
        let amplitude = (self.amplitude.forward(tokens)? - standardise(&target.amplitude)?)?;
        let phases = match self.config.phase {
            PhaseTarget::Angle => standardise(&target.phase)?,
            PhaseTarget::SinCos => Tensor::cat(&[target.phase.sin()?, target.phase.cos()?], 2)?,
        };
        let phase = (self.phase.forward(tokens)? - phases)?;
        Ok(match self.config.loss {
            ReconstructionLoss::Mse => SpectralLoss {
                amplitude: amplitude.sqr()?.mean_all()?,
                phase: phase.sqr()?.mean_all()?,
            },
            ReconstructionLoss::Paper => SpectralLoss {
                amplitude: amplitude.sqr()?.sum(2)?.mean_all()?,
                // The root's slope at zero is infinite; a hair keeps it finite.
                phase: (phase.sqr()?.sum(2)? + 1e-12)?.sqrt()?.mean_all()?,
            },
        })
    }
}
