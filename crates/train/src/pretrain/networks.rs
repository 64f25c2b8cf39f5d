//! The networks of stage 1, seen alike.

use candle_core::Tensor;
use mmpipe_models::encoder::PATCH;
use mmpipe_models::pretrain::{
    Codebook, CodebookConfig, Joint, Masked, PhaseTarget, Reconstruction, ReconstructionLoss,
    Tokeniser,
};
use mmpipe_models::{Batch, Mode, Params};

use crate::Result;

/// Losses of examples of one montage, means over their patches.
pub(super) struct Losses {
    pub(super) total: Tensor,
    /// Parts and rates, for the logs.
    pub(super) named: Vec<(&'static str, f64)>,
    /// Codes of all patches, u32.
    pub(super) codes: Tensor,
    /// Codes that were revived.
    pub(super) revived: usize,
}

/// A network of stage 1.
pub(super) trait Network: Sync {
    fn params(&self) -> &Params;

    /// Number of codes.
    fn codes(&self) -> usize;

    /// The codebook that is learnt, if one is.
    fn codebook(&self) -> Option<&Codebook>;

    /// What that codebook quantises, [patches, width of a code].
    fn code_vectors(&self, x: &Batch) -> Result<Tensor>;

    /// Losses of `x`; masks are drawn from `seed` and `draw`.
    fn losses(&self, x: &Batch, seed: u64, draw: u64, mode: Mode) -> Result<Losses>;

    /// Loss of a guess that knows nothing.
    fn ignorance(&self) -> f64;
}

/// Samples and patches of a sample.
fn sizes(x: &Batch) -> Result<(usize, usize)> {
    let (b, c, t) = x.dims()?;
    Ok((b, c * t / PATCH))
}

fn number(x: &Tensor) -> Result<f64> {
    Ok(f64::from(x.to_scalar::<f32>()?))
}

/// Commitment of codes at random: unit vectors at right angles are √2 apart.
fn of_codes(c: &CodebookConfig) -> f64 {
    2.0 * c.beta / c.dim as f64
}

/// Spectra that are standardised, guessed as zero.
fn of_spectra(r: &Reconstruction) -> f64 {
    let bins = PATCH as f64;
    match (r.loss, r.phase) {
        (ReconstructionLoss::Mse, PhaseTarget::Angle) => 2.0,
        (ReconstructionLoss::Mse, PhaseTarget::SinCos) => 1.5,
        (ReconstructionLoss::Paper, _) => bins + bins.sqrt(),
    }
}

/// Cross-entropy of a uniform guess among `codes`, in one pass or both.
fn of_masked(codes: usize, symmetric: bool) -> f64 {
    (if symmetric { 2.0 } else { 1.0 }) * (codes.max(2) as f64).ln()
}

/// The joint objective.
pub(super) struct JointNet(pub(super) Joint);

impl Network for JointNet {
    fn params(&self) -> &Params {
        self.0.params()
    }

    fn codes(&self) -> usize {
        self.0.config().codebook.codes
    }

    fn codebook(&self) -> Option<&Codebook> {
        Some(self.0.codebook())
    }

    fn code_vectors(&self, x: &Batch) -> Result<Tensor> {
        Ok(self.0.code_vectors(&x.eeg)?)
    }

    fn losses(&self, x: &Batch, seed: u64, draw: u64, mode: Mode) -> Result<Losses> {
        let (b, n) = sizes(x)?;
        let mask = self.0.mask(seed, draw, b, n);
        let l = self.0.loss(&x.eeg, &x.ch_names, &mask, mode)?;
        Ok(Losses {
            named: vec![
                ("commitment", number(&l.commitment)?),
                ("masked", number(&l.masked)?),
                ("amplitude", number(&l.amplitude)?),
                ("phase", number(&l.phase)?),
                ("masked_accuracy", l.accuracy),
            ],
            total: l.total,
            codes: l.codes,
            revived: l.usage.revived,
        })
    }

    fn ignorance(&self) -> f64 {
        let c = self.0.config();
        let [q, m, s] = c.weights;
        q * of_codes(&c.codebook)
            + m * of_masked(c.codebook.codes, c.symmetric)
            + s * of_spectra(&c.reconstruction)
    }
}

/// LaBraM's first step.
pub(super) struct TokeniserNet(pub(super) Tokeniser);

impl Network for TokeniserNet {
    fn params(&self) -> &Params {
        self.0.params()
    }

    fn codes(&self) -> usize {
        self.0.config().codebook.codes
    }

    fn codebook(&self) -> Option<&Codebook> {
        Some(self.0.codebook())
    }

    fn code_vectors(&self, x: &Batch) -> Result<Tensor> {
        Ok(self.0.code_vectors(&x.eeg, &x.ch_names, Mode::Eval)?)
    }

    fn losses(&self, x: &Batch, _: u64, _: u64, mode: Mode) -> Result<Losses> {
        let l = self.0.loss(&x.eeg, &x.ch_names, mode)?;
        Ok(Losses {
            named: vec![
                ("commitment", number(&l.commitment)?),
                ("amplitude", number(&l.amplitude)?),
                ("phase", number(&l.phase)?),
            ],
            total: l.total,
            codes: l.codes,
            revived: l.usage.revived,
        })
    }

    fn ignorance(&self) -> f64 {
        let c = self.0.config();
        of_codes(&c.codebook) + of_spectra(&c.reconstruction)
    }
}

/// LaBraM's second step: a frozen tokeniser gives the codes.
pub(super) struct MaskedNet {
    pub(super) model: Masked,
    pub(super) tokeniser: Tokeniser,
}

impl Network for MaskedNet {
    fn params(&self) -> &Params {
        self.model.params()
    }

    fn codes(&self) -> usize {
        self.model.config().codes
    }

    fn codebook(&self) -> Option<&Codebook> {
        None
    }

    fn code_vectors(&self, x: &Batch) -> Result<Tensor> {
        Ok(self
            .tokeniser
            .code_vectors(&x.eeg, &x.ch_names, Mode::Eval)?)
    }

    fn losses(&self, x: &Batch, seed: u64, draw: u64, mode: Mode) -> Result<Losses> {
        let (b, n) = sizes(x)?;
        let codes = self.tokeniser.codes(&x.eeg, &x.ch_names)?;
        let mask = self.model.mask(seed, draw, b, n);
        let l = self.model.loss(&x.eeg, &x.ch_names, &codes, &mask, mode)?;
        let mut named = vec![
            ("masked", number(&l.masked)?),
            ("masked_accuracy", l.accuracy),
        ];
        if let Some(complement) = &l.complement {
            named.push(("complement", number(complement)?));
        }
        Ok(Losses {
            named,
            total: l.total,
            codes,
            revived: 0,
        })
    }

    fn ignorance(&self) -> f64 {
        let c = self.model.config();
        of_masked(c.codes, c.symmetric)
    }
}
