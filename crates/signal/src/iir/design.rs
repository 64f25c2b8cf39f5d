//! Filter design: Butterworth and notch, after SciPy's `iirfilter` and `iirnotch`.
//!
//! The steps and the order of operations are those of `scipy.signal` 1.17 (`buttap`, `lp2*_zpk`,
//! `bilinear_zpk`, `zpk2sos` with pairing `nearest`), so sections come out in the same order
//! with the same values to rounding.

use num_complex::Complex64 as C;

use super::Sos;
use crate::{Error, Result};

/// Zeros, poles and gain.
struct Zpk {
    z: Vec<C>,
    p: Vec<C>,
    k: f64,
}

/// Butterworth filter of `order` at `sfreq` Hz, as
/// `scipy.signal.butter(order, .., fs=sfreq, output="sos")`: band-pass with both cut-offs,
/// high-pass with `l_freq` alone, low-pass with `h_freq` alone. As in SciPy a band-pass of order
/// N has N sections (2 N poles). Cut-offs in Hz, at -3 dB for one pass.
///
/// # Errors
/// [`Error::Frequency`] for a cut-off outside (0, `sfreq` / 2), [`Error::Parameter`] for an order
/// outside 1..=16, for cut-offs in the wrong order or for none at all, [`Error::Rate`].
pub fn butter(order: usize, l_freq: Option<f64>, h_freq: Option<f64>, sfreq: f64) -> Result<Sos> {
    check_rate(sfreq)?;
    if !(1..=16).contains(&order) {
        return Err(Error::Parameter {
            what: "order",
            expected: "a whole number from 1 to 16",
            found: order.to_string(),
        });
    }
    let warp = |what, f: f64| -> Result<f64> {
        check_frequency(what, f, sfreq)?;
        Ok(4.0 * (std::f64::consts::PI * (f / (sfreq / 2.0)) / 2.0).tan())
    };
    let prototype = buttap(order);
    let analog = match (l_freq, h_freq) {
        (Some(lo), Some(hi)) => {
            let (w0, w1) = (warp("l_freq", lo)?, warp("h_freq", hi)?);
            if lo >= hi {
                return Err(Error::Parameter {
                    what: "l_freq",
                    expected: "below h_freq",
                    found: format!("{lo} and {hi}"),
                });
            }
            band_pass(prototype, (w0 * w1).sqrt(), w1 - w0)
        }
        (Some(lo), None) => high_pass(prototype, warp("l_freq", lo)?),
        (None, Some(hi)) => low_pass(prototype, warp("h_freq", hi)?),
        (None, None) => {
            return Err(Error::Parameter {
                what: "l_freq and h_freq",
                expected: "given, one of them at least",
                found: "neither".into(),
            });
        }
    };
    Sos::new(to_sections(bilinear(analog)))
}

/// Second-order notch at `freq` Hz with quality `q` (bandwidth at -3 dB = `freq / q`), as
/// `scipy.signal.iirnotch`; one section.
///
/// # Errors
/// [`Error::Frequency`] for a frequency outside (0, `sfreq` / 2), [`Error::Parameter`] for a `q`
/// that is not positive, [`Error::Rate`].
pub fn notch(freq: f64, q: f64, sfreq: f64) -> Result<Sos> {
    check_rate(sfreq)?;
    check_frequency("notch", freq, sfreq)?;
    if !(q.is_finite() && q > 0.0) {
        return Err(Error::Parameter {
            what: "notch quality",
            expected: "a positive number",
            found: q.to_string(),
        });
    }
    let w0 = 2.0 * freq / sfreq;
    let bw = w0 / q * std::f64::consts::PI;
    let w0 = w0 * std::f64::consts::PI;
    let gain = 1.0 / (1.0 + (bw / 2.0).tan());
    let middle = -2.0 * w0.cos();
    Sos::new(vec![[
        gain,
        gain * middle,
        gain,
        1.0,
        -2.0 * gain * w0.cos(),
        2.0 * gain - 1.0,
    ]])
}

fn check_rate(sfreq: f64) -> Result<()> {
    if sfreq.is_finite() && sfreq > 0.0 {
        return Ok(());
    }
    Err(Error::Rate {
        what: "sfreq",
        found: sfreq,
    })
}

fn check_frequency(what: &'static str, f: f64, sfreq: f64) -> Result<()> {
    if f.is_finite() && f > 0.0 && f < sfreq / 2.0 {
        return Ok(());
    }
    Err(Error::Frequency {
        what,
        found: f,
        nyquist: sfreq / 2.0,
    })
}

fn buttap(order: usize) -> Zpk {
    let n = order as i64;
    let p = (-n + 1..n)
        .step_by(2)
        .map(|m| -(C::i() * std::f64::consts::PI * m as f64 / (2.0 * n as f64)).exp())
        .collect();
    Zpk {
        z: Vec::new(),
        p,
        k: 1.0,
    }
}

fn low_pass(f: Zpk, wo: f64) -> Zpk {
    let degree = (f.p.len() - f.z.len()) as i32;
    Zpk {
        z: f.z.iter().map(|z| z * wo).collect(),
        p: f.p.iter().map(|p| p * wo).collect(),
        k: f.k * wo.powi(degree),
    }
}

fn high_pass(f: Zpk, wo: f64) -> Zpk {
    let degree = f.p.len() - f.z.len();
    let k = f.k * (product(f.z.iter().map(|z| -z)) / product(f.p.iter().map(|p| -p))).re;
    let mut z: Vec<C> = f.z.iter().map(|z| wo / z).collect();
    z.extend(vec![C::new(0.0, 0.0); degree]);
    Zpk {
        z,
        p: f.p.iter().map(|p| wo / p).collect(),
        k,
    }
}

fn band_pass(f: Zpk, wo: f64, bw: f64) -> Zpk {
    let degree = f.p.len() - f.z.len();
    let split = |roots: &[C]| -> Vec<C> {
        let scaled: Vec<C> = roots.iter().map(|r| r * bw / 2.0).collect();
        let root = |r: &C| (r * r - wo * wo).sqrt();
        let plus = scaled.iter().map(|r| r + root(r));
        let minus = scaled.iter().map(|r| r - root(r));
        plus.chain(minus).collect()
    };
    let mut z = split(&f.z);
    z.extend(vec![C::new(0.0, 0.0); degree]);
    Zpk {
        z,
        p: split(&f.p),
        k: f.k * bw.powi(degree as i32),
    }
}

/// Bilinear transform at SciPy's internal rate of 2 (so `2 fs = 4`).
fn bilinear(f: Zpk) -> Zpk {
    const FS2: f64 = 4.0;
    let degree = f.p.len() - f.z.len();
    let map = |roots: &[C]| -> Vec<C> { roots.iter().map(|r| (FS2 + r) / (FS2 - r)).collect() };
    let gain = product(f.z.iter().map(|z| FS2 - z)) / product(f.p.iter().map(|p| FS2 - p));
    let mut z = map(&f.z);
    z.extend(vec![C::new(-1.0, 0.0); degree]);
    Zpk {
        z,
        p: map(&f.p),
        k: f.k * gain.re,
    }
}

fn product(values: impl Iterator<Item = C>) -> C {
    values.fold(C::new(1.0, 0.0), |a, b| a * b)
}

/// `zpk2sos` with pairing `nearest`.
fn to_sections(f: Zpk) -> Vec<[f64; 6]> {
    let (mut z, mut p) = (f.z, f.p);
    let n = z.len().max(p.len()).next_multiple_of(2);
    z.resize(n, C::new(0.0, 0.0));
    p.resize(n, C::new(0.0, 0.0));
    let (mut z, mut p) = (one_of_each_pair(z), one_of_each_pair(p));
    let mut sections = vec![[0.0; 6]; n / 2];
    for section in sections.iter_mut().rev() {
        let p1 = p.remove(worst(&p, |_| true));
        let real_poles = p.iter().filter(|p| p.im == 0.0).count();
        let real_zeros = z.iter().filter(|z| z.im == 0.0).count();
        if p1.im == 0.0 && real_poles == 0 {
            let z1 = z.remove(nearest(&z, p1, |z| z.im == 0.0));
            *section = row([z1, C::ZERO], [p1, C::ZERO]);
        } else if p.len() + 1 == z.len() && p1.im != 0.0 && real_poles == 1 && real_zeros == 1 {
            let z1 = z.remove(nearest(&z, p1, |z| z.im != 0.0));
            *section = row([z1, z1.conj()], [p1, p1.conj()]);
        } else {
            let p2 = if p1.im == 0.0 {
                p.remove(worst(&p, |p| p.im == 0.0))
            } else {
                p1.conj()
            };
            let z1 = z.remove(nearest(&z, p1, |_| true));
            let z2 = if z1.im == 0.0 {
                z.remove(nearest(&z, p1, |z| z.im == 0.0))
            } else {
                z1.conj()
            };
            *section = row([z1, z2], [p1, p2]);
        }
    }
    for b in &mut sections[0][..3] {
        *b *= f.k;
    }
    sections
}

/// `_cplxreal`: one member (positive imaginary part) of each conjugate pair, then the reals.
fn one_of_each_pair(mut roots: Vec<C>) -> Vec<C> {
    let tol = 100.0 * f64::EPSILON;
    roots.sort_by(|a, b| {
        a.re.total_cmp(&b.re)
            .then(a.im.abs().total_cmp(&b.im.abs()))
    });
    let real = |r: &&C| r.im.abs() <= tol * r.norm();
    let reals = roots.iter().filter(real).map(|r| C::new(r.re, 0.0));
    let plus = roots.iter().filter(|r| !real(r) && r.im > 0.0);
    let minus = roots.iter().filter(|r| !real(r) && r.im < 0.0);
    // Roots come in pairs by construction; averaging removes what rounding did to a pair.
    let pairs = plus.zip(minus).map(|(a, b)| (a + b.conj()) / 2.0);
    pairs.chain(reals).collect()
}

/// Index of the root nearest to the unit circle among those that `of` picks.
fn worst(roots: &[C], of: impl Fn(&C) -> bool) -> usize {
    pick(roots, of, |r| (1.0 - r.norm()).abs())
}

fn nearest(roots: &[C], to: C, of: impl Fn(&C) -> bool) -> usize {
    pick(roots, of, |r| (r - to).norm())
}

fn pick(roots: &[C], of: impl Fn(&C) -> bool, key: impl Fn(&C) -> f64) -> usize {
    let mut best = (0, f64::INFINITY);
    for (i, r) in roots.iter().enumerate().filter(|(_, r)| of(r)) {
        if key(r) < best.1 {
            best = (i, key(r));
        }
    }
    best.0
}

fn row(z: [C; 2], p: [C; 2]) -> [f64; 6] {
    let poly = |r: [C; 2]| [1.0, -(r[0] + r[1]).re, (r[0] * r[1]).re];
    let (b, a) = (poly(z), poly(p));
    [b[0], b[1], b[2], a[0], a[1], a[2]]
}
