//! Zero-phase IIR filters in second-order sections, as SciPy defines them.
//!
//! Owns the design of Butterworth and notch filters ([`butter`], [`notch`]), their steady state
//! and padding, and forward-backward filtering ([`sosfiltfilt`]). The lane arithmetic is in the
//! private module `lanes`.

mod design;

pub use design::{butter, notch};

use crate::lanes::{self, NARROW, WIDE};
use crate::{Error, Result};

/// A digital filter as second-order sections, rows of `[b0, b1, b2, a0, a1, a2]` with `a0 = 1`,
/// in SciPy's order (gain in the first section, poles nearest to the unit circle last).
#[derive(Debug, Clone, PartialEq)]
pub struct Sos {
    sections: Vec<[f64; 6]>,
}

impl Sos {
    /// A filter from its sections.
    ///
    /// # Errors
    /// [`Error::Parameter`] without sections, when a coefficient is not finite, or when an `a0`
    /// is not 1.
    pub fn new(sections: Vec<[f64; 6]>) -> Result<Self> {
        let good = |s: &[f64; 6]| s[3] == 1.0 && s.iter().all(|c| c.is_finite());
        if sections.is_empty() || !sections.iter().all(good) {
            return Err(Error::Parameter {
                what: "sections",
                expected: "one or more rows of finite numbers with a0 = 1",
                found: format!("{sections:?}"),
            });
        }
        Ok(Self { sections })
    }

    /// The sections.
    pub fn sections(&self) -> &[[f64; 6]] {
        &self.sections
    }

    /// This filter followed by `next`, as one cascade: one padding, one forward and one backward
    /// pass serve both (`np.vstack([self, next])` in SciPy's terms).
    pub fn then(mut self, next: Self) -> Self {
        self.sections.extend(next.sections);
        self
    }

    /// SciPy's default `padlen` of `sosfiltfilt`: `3 * (2 n + 1 - min(#(b2 = 0), #(a2 = 0)))`.
    pub fn padlen(&self) -> usize {
        let zeros = |column: usize| self.sections.iter().filter(|s| s[column] == 0.0).count();
        3 * (2 * self.sections.len() + 1 - zeros(2).min(zeros(5)))
    }

    /// State of each section that a constant input of 1 leaves behind (`sosfilt_zi`).
    pub fn zi(&self) -> Vec<[f64; 2]> {
        let mut scale = 1.0;
        self.sections
            .iter()
            .map(|&[b0, b1, b2, _, a1, a2]| {
                // lfilter_zi for a section of order 2: (I - A^T) z = b[1:] - a[1:] b0, solved
                // as SciPy does: z0 = sum(B) / sum(a), then z1 by cumulation.
                let (p, q) = (b1 - a1 * b0, b2 - a2 * b0);
                let z0 = (p + q) / (1.0 + a1 + a2);
                let z1 = (1.0 + a1) * z0 - p;
                let state = [scale * z0, scale * z1];
                scale *= (b0 + b1 + b2) / (1.0 + a1 + a2);
                state
            })
            .collect()
    }
}

/// Filters one channel forwards and backwards: no phase shift, squared gain. Odd extension of
/// [`Sos::padlen`] samples at both ends, initial state scaled to the first sample, as
/// `scipy.signal.sosfiltfilt` with its defaults.
///
/// # Errors
/// [`Error::TooShort`] unless `x` is longer than the padding.
pub fn sosfiltfilt(sos: &Sos, x: &[f64]) -> Result<Vec<f64>> {
    let mut data = [x.to_vec()];
    sosfiltfilt_channels(sos, &mut data)?;
    let [y] = data;
    Ok(y)
}

/// [`sosfiltfilt`] on every channel of `data`, in place, several channels at a time in vector
/// lanes. Channels may differ in length. The result of a channel is the same bits whatever the
/// other channels are.
///
/// # Errors
/// [`Error::TooShort`] when a channel is not longer than the padding; nothing is changed then.
pub fn sosfiltfilt_channels(sos: &Sos, data: &mut [Vec<f64>]) -> Result<()> {
    let padlen = sos.padlen();
    if let Some(short) = data.iter().find(|x| x.len() <= padlen) {
        return Err(Error::TooShort {
            found: short.len(),
            padlen,
        });
    }
    let filter = lanes::Cascade::new(sos);
    let mut buffer = Vec::new();
    let mut rest = data;
    while let Some(first) = rest.first() {
        let n = first.len();
        let same = rest.iter().take_while(|x| x.len() == n).count();
        let width = lanes::width(same);
        let (group, after) = rest.split_at_mut(same.min(width));
        if width == WIDE {
            filter_group::<WIDE>(&filter, &mut buffer, group, n);
        } else {
            filter_group::<NARROW>(&filter, &mut buffer, group, n);
        }
        rest = after;
    }
    Ok(())
}

/// Up to `L` channels of `n` samples.
fn filter_group<const L: usize>(
    filter: &lanes::Cascade,
    buffer: &mut Vec<f64>,
    group: &mut [Vec<f64>],
    n: usize,
) {
    let padlen = filter.padlen();
    let rows = lanes::rows::<L>(buffer, n + 2 * padlen);
    let views: Vec<&[f64]> = group.iter().map(Vec::as_slice).collect();
    lanes::interleave(&views, &mut rows[padlen..padlen + n]);
    filter.filtfilt(rows);
    let mut views: Vec<&mut [f64]> = group.iter_mut().map(Vec::as_mut_slice).collect();
    lanes::separate(&rows[padlen..padlen + n], &mut views);
}
