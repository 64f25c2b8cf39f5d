//! Amplitude and phase of each patch, as targets of reconstruction.
//!
//! Targets are constants: nothing here has a gradient. The transform runs in f64 on the CPU, as
//! products with a table whose zeros are exact, so that bins which are real by symmetry are real and
//! their phases do not depend on rounding.

use std::sync::LazyLock;

use candle_core::{DType, Device, Tensor};
use rayon::prelude::*;

use crate::encoder::PATCH;
use crate::error::{Error, Result};

/// Spectra of the patches of a batch, [B, N, 200] each: all bins of the full transform, of which the
/// upper half mirrors the lower, as published.
#[derive(Debug, Clone)]
pub struct Spectra {
    /// |X|.
    pub amplitude: Tensor,
    /// Angle of X in (−π, π].
    pub phase: Tensor,
}

/// Bins that are not mirrors of others.
const BINS: usize = PATCH / 2 + 1;

/// cos and −sin of 2πm/200, exact at the quarters.
static CIRCLE: LazyLock<Vec<(f64, f64)>> = LazyLock::new(|| {
    (0..PATCH)
        .map(|m| match m * 4 / PATCH {
            quarter if m * 4 == quarter * PATCH => match quarter {
                0 => (1.0, 0.0),
                1 => (0.0, -1.0),
                2 => (-1.0, 0.0),
                _ => (0.0, 1.0),
            },
            _ => {
                let (sin, cos) = (std::f64::consts::TAU * m as f64 / PATCH as f64).sin_cos();
                (cos, -sin)
            }
        })
        .collect()
});

/// Sum of x·exp(−2πi·kt/200) over t.
fn bin(x: &[f64], k: usize) -> (f64, f64) {
    let (mut re, mut im, mut m) = (0.0, 0.0, 0);
    for x in x {
        let (cos, sin) = CIRCLE[m];
        re += x * cos;
        im += x * sin;
        m += k;
        if m >= PATCH {
            m -= PATCH;
        }
    }
    (re, im)
}

/// Amplitudes and phases of `patches` [B, N, 200], in the input's type and on its device.
///
/// # Errors
/// [`Error::Shape`] unless the last dimension is a patch.
pub fn spectra(patches: &Tensor) -> Result<Spectra> {
    let (b, n, t) = patches.dims3()?;
    if t != PATCH || b * n == 0 {
        return Err(Error::Shape {
            what: "patches",
            found: patches.dims().to_vec(),
            expected: format!("[batch, patches, {PATCH}], none zero"),
        });
    }
    let values: Vec<f64> = patches
        .detach()
        .to_device(&Device::Cpu)?
        .to_dtype(DType::F64)?
        .flatten_all()?
        .to_vec1()?;
    let mut amplitude = vec![0.0; values.len()];
    let mut phase = vec![0.0; values.len()];
    amplitude
        .par_chunks_mut(PATCH)
        .zip(phase.par_chunks_mut(PATCH))
        .zip(values.par_chunks(PATCH))
        .for_each(|((amplitude, phase), x)| {
            let half: Vec<(f64, f64)> = (0..BINS).map(|k| bin(x, k)).collect();
            for (k, (a, p)) in amplitude.iter_mut().zip(phase).enumerate() {
                let (re, im) = match half.get(k) {
                    Some(bin) => *bin,
                    // The upper half mirrors the lower.
                    None => half
                        .get(PATCH - k)
                        .map_or((0.0, 0.0), |(re, im)| (*re, -im)),
                };
                // + 0.0 takes the sign off a negative zero, whose angle would be −π where PyTorch's
                // is π.
                (*a, *p) = (re.hypot(im), (im + 0.0).atan2(re));
            }
        });
    let tensor = |v: Vec<f64>| -> Result<Tensor> {
        Ok(Tensor::from_vec(v, (b, n, t), &Device::Cpu)?
            .to_dtype(patches.dtype())?
            .to_device(patches.device())?)
    };
    Ok(Spectra {
        amplitude: tensor(amplitude)?,
        phase: tensor(phase)?,
    })
}

/// Each sample [N, F] of a batch less its mean and divided by its unbiased standard deviation, over
/// all its values, as published.
///
/// # Errors
/// Those of the tensor library.
pub fn standardise(x: &Tensor) -> Result<Tensor> {
    let (_, n, f) = x.dims3()?;
    let centred = x.broadcast_sub(&x.mean_keepdim((1, 2))?)?;
    let divisor = (n * f).saturating_sub(1).max(1) as f64;
    let var = (centred.sqr()?.sum_keepdim((1, 2))? / divisor)?;
    // A silent sample has no scale: it stays zero.
    Ok(centred.broadcast_div(&var.sqrt()?.maximum(1e-12)?)?)
}
