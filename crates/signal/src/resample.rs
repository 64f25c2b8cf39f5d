//! Polyphase resampling by a ratio of whole numbers, as `scipy.signal.resample_poly`.
//!
//! Owns the anti-aliasing filter (SciPy's default: Kaiser window, beta 5, `20 max(up, down) + 1`
//! taps, cut-off at the lower Nyquist frequency), its phases, and the choice of the ratio. The
//! filter is symmetric, so the result is in time with the input: output sample `j` lies at
//! `j * down / up` input samples. Input outside the signal counts as zero.

use crate::lanes::{self, NARROW, Pair, WIDE};
use crate::{Error, Result};

/// Largest whole number that [`ratio`] accepts on either side (the filter has 20 times as many
/// taps).
pub const RATIO_LIMIT: u64 = 50_000;

/// The smallest whole numbers `(up, down)` with `from * up / down = to` within 1e-8 (36 µs of
/// drift in an hour). Ratios of whole numbers up to 10 000 (512, 512.5, 1000 / 3 Hz to 200 Hz)
/// come out exact.
///
/// # Errors
/// [`Error::Rate`] for a rate that is not positive, [`Error::Ratio`] when there is no such ratio
/// of numbers up to [`RATIO_LIMIT`].
pub fn ratio(from: f64, to: f64) -> Result<(usize, usize)> {
    for (what, found) in [("input rate", from), ("output rate", to)] {
        if !(found.is_finite() && found > 0.0) {
            return Err(Error::Rate { what, found });
        }
    }
    let target = to / from;
    let none = || Error::Ratio {
        from,
        to,
        limit: RATIO_LIMIT,
    };
    // Continued fraction of the target; its convergents are the best ratios of their size.
    let (mut p0, mut q0, mut p1, mut q1) = (0u64, 1u64, 1u64, 0u64);
    let mut x = target;
    loop {
        let whole = x.floor();
        if whole > RATIO_LIMIT as f64 {
            return Err(none());
        }
        let a = whole as u64;
        (p0, p1) = (p1, a * p1 + p0);
        (q0, q1) = (q1, a * q1 + q0);
        if p1 > RATIO_LIMIT || q1 > RATIO_LIMIT {
            return Err(none());
        }
        if p1 > 0 && (p1 as f64 / q1 as f64 - target).abs() <= 1e-8 * target {
            return Ok((p1 as usize, q1 as usize));
        }
        x = 1.0 / (x - whole);
    }
}

/// Resamples one channel by `up / down`; `ceil(x.len() * up / down)` samples result.
///
/// # Errors
/// [`Error::Parameter`] when a factor is zero or, reduced, over [`RATIO_LIMIT`].
pub fn resample_poly(x: &[f64], up: usize, down: usize) -> Result<Vec<f64>> {
    let mut out = resample_poly_channels(&[x.to_vec()], up, down)?;
    Ok(out.pop().unwrap_or_default())
}

/// [`resample_poly`] of several channels at a time, in vector lanes. Channels may differ in
/// length; the result of a channel is the same bits whatever the other channels are.
///
/// # Errors
/// As [`resample_poly`].
pub fn resample_poly_channels(
    channels: &[Vec<f64>],
    up: usize,
    down: usize,
) -> Result<Vec<Vec<f64>>> {
    let polyphase = Polyphase::new(up, down)?;
    let mut buffer = Vec::new();
    let mut done: Vec<Vec<f64>> = Vec::with_capacity(channels.len());
    while let Some(first) = channels.get(done.len()) {
        let n = first.len();
        let rest = &channels[done.len()..];
        let same = rest.iter().take(WIDE).take_while(|x| x.len() == n).count();
        let width = lanes::width(same);
        let group = &rest[..same.min(width)];
        let mut out = vec![vec![0.0; polyphase.output_len(n)]; group.len()];
        if width == WIDE {
            resample_group::<WIDE>(&polyphase, &mut buffer, group, &mut out);
        } else {
            resample_group::<NARROW>(&polyphase, &mut buffer, group, &mut out);
        }
        done.append(&mut out);
    }
    Ok(done)
}

/// Up to `L` channels of one length.
fn resample_group<const L: usize>(
    polyphase: &Polyphase,
    buffer: &mut Vec<f64>,
    group: &[Vec<f64>],
    out: &mut [Vec<f64>],
) {
    let n = group.first().map_or(0, Vec::len);
    let views: Vec<&[f64]> = group.iter().map(Vec::as_slice).collect();
    let rows = lanes::rows::<L>(buffer, n);
    lanes::interleave(&views, rows);
    polyphase.run(rows, 0..n, |at, rows| {
        let views = out.iter_mut().map(|c| &mut c[at..at + rows.len()]);
        lanes::separate(rows, &mut views.collect::<Vec<_>>());
    });
}

/// An anti-aliasing filter cut into its phases.
#[derive(Debug, Clone)]
pub(crate) struct Polyphase {
    up: usize,
    down: usize,
    /// Half the length of the filter, in samples at the high rate.
    half: usize,
    /// Input samples that an output and the one after it meet together; a multiple of four.
    window: usize,
    /// `up` phases of `window` taps, in the order of the input: those of the output that has
    /// this phase, and those of the output after it, so that a row is loaded once for both.
    taps: Vec<[f64; 2]>,
    /// For each phase, how far the window of the next output begins behind its own.
    shift: Vec<usize>,
    /// Input samples of each phase before the newest.
    before: Vec<i64>,
}

impl Polyphase {
    pub(crate) fn new(up: usize, down: usize) -> Result<Self> {
        let divisor = gcd(up, down);
        let limit = RATIO_LIMIT as usize;
        if up == 0 || down == 0 || up / divisor > limit || down / divisor > limit {
            return Err(Error::Parameter {
                what: "up and down",
                expected: "whole numbers from 1 to 50000 after reduction",
                found: format!("{up} and {down}"),
            });
        }
        let (up, down) = (up / divisor, down / divisor);
        if up == down {
            return Ok(Self {
                up,
                down,
                half: 0,
                window: 0,
                taps: Vec::new(),
                shift: vec![0],
                before: vec![0],
            });
        }
        let half = 10 * up.max(down);
        let filter = low_pass(half, 1.0 / up.max(down) as f64, up as f64);
        let before: Vec<i64> = (0..up)
            .map(|phase| ((2 * half - phase) / up) as i64)
            .collect();
        let shift: Vec<usize> = (0..up)
            .map(|phase| {
                let next = phase + down;
                ((next / up) as i64 - before[next % up] + before[phase]) as usize
            })
            .collect();
        let most = shift.iter().copied().max().unwrap_or(0);
        let window = (2 * half / up + 1 + most).next_multiple_of(4);
        let mut taps = vec![[0.0; 2]; up * window];
        // Output j reads input n with weight h[j down + half - n up]. With j down + half =
        // q up + phase, n runs down from q as the index runs up from phase.
        for (phase, row) in taps.chunks_mut(window).enumerate() {
            let next = (phase + down) % up;
            for (which, phase, late) in [(0, phase, 0), (1, next, shift[phase])] {
                let of_phase: Vec<f64> = filter.iter().copied().skip(phase).step_by(up).collect();
                for (tap, h) in row[late..].iter_mut().zip(of_phase.iter().rev()) {
                    tap[which] = *h;
                }
            }
        }
        Ok(Self {
            up,
            down,
            half,
            window,
            taps,
            shift,
            before,
        })
    }

    pub(crate) fn is_identity(&self) -> bool {
        self.up == self.down
    }

    /// `ceil(n * up / down)`, SciPy's length.
    pub(crate) fn output_len(&self, n: usize) -> usize {
        let wide = (n as u128 * self.up as u128).div_ceil(self.down as u128);
        wide as usize
    }

    /// Phase of output `j`, and the first input row that its taps meet (negative before the
    /// start of the signal).
    fn place(&self, j: usize) -> (usize, i64) {
        // Rows are in memory, so j * down stays far below 2^64.
        let at = j * self.down + self.half;
        let (q, phase) = (at / self.up, at % self.up);
        (phase, q as i64 - self.before[phase])
    }

    /// First input row that output `j` or a later one meets.
    pub(crate) fn first_input(&self, j: usize) -> usize {
        if self.is_identity() {
            return j;
        }
        usize::try_from(self.place(j).1).unwrap_or(0)
    }

    /// Outputs whose taps lie wholly before input row `known`.
    pub(crate) fn outputs_within(&self, known: usize) -> usize {
        if self.is_identity() {
            return known;
        }
        // The end of an output's window only grows with the output, and lies at most a window
        // behind the output itself.
        let (mut low, mut high) = (0, self.output_len(known));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.place(middle).1 + self.window as i64 <= known as i64 {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        low
    }

    /// Resamples `rows[signal]`; gives blocks of rows with the index of their first output to
    /// `put`, in order.
    pub(crate) fn run<const L: usize>(
        &self,
        rows: &[[f64; L]],
        signal: std::ops::Range<usize>,
        mut put: impl FnMut(usize, &[[f64; L]]),
    ) {
        let x = &rows[signal];
        let mut at = 0;
        self.part(x, 0, x.len(), 0..self.output_len(x.len()), |rows| {
            put(at, rows);
            at += rows.len();
        });
    }

    /// Some outputs of a signal of `n` rows, of which `x` holds those from `base` on that the
    /// outputs meet; gives blocks of rows to `put`, in order.
    pub(crate) fn part<const L: usize>(
        &self,
        x: &[[f64; L]],
        base: usize,
        n: usize,
        outputs: std::ops::Range<usize>,
        mut put: impl FnMut(&[[f64; L]]),
    ) {
        if self.is_identity() {
            return put(&x[outputs.start - base..outputs.end - base]);
        }
        debug_assert!(outputs.end <= self.output_len(n));
        let total = outputs.end;
        let mut index = Vec::with_capacity(lanes::BLOCK / 2);
        let mut out = [[[0.0; L]; 2]; lanes::BLOCK / 2];
        let mut edge = vec![[0.0; L]; self.window];
        let pair = |phase, first| Pair {
            phase,
            first,
            shift: self.shift[phase],
        };
        let base = base as i64;
        // Outputs are made two by two; what an odd number of outputs leaves over is not handed
        // on.
        let mut j = outputs.start;
        while j < total {
            index.clear();
            while index.len() < out.len() && j + 2 * index.len() < total {
                let (phase, first) = self.place(j + 2 * index.len());
                match usize::try_from(first - base) {
                    Ok(first) if first + self.window <= x.len() => index.push(pair(phase, first)),
                    _ => break,
                }
            }
            let pairs = index.len().max(1);
            let block = &mut out[..pairs];
            if index.is_empty() {
                // A window that sticks out of the signal: zeros stand for what is not there.
                let (phase, first) = self.place(j);
                for (k, row) in edge.iter_mut().enumerate() {
                    let at = usize::try_from(first - base + k as i64).ok();
                    *row = at.and_then(|at| x.get(at)).copied().unwrap_or([0.0; L]);
                }
                lanes::weighted_sums(&self.taps, self.window, &edge, &[pair(phase, 0)], block);
            } else {
                lanes::weighted_sums(&self.taps, self.window, x, &index, block);
            }
            let done = block.as_flattened();
            put(&done[..done.len().min(total - j)]);
            j += 2 * pairs;
        }
    }
}

/// `firwin(2 half + 1, cutoff, window=("kaiser", 5.0))` times `gain`.
fn low_pass(half: usize, cutoff: f64, gain: f64) -> Vec<f64> {
    const BETA: f64 = 5.0;
    let centre = half as f64;
    let mut taps: Vec<f64> = (0..=2 * half)
        .map(|i| {
            let m = i as f64 - centre;
            let edge = 1.0 - (m / centre).powi(2);
            let window = bessel_i0(BETA * edge.max(0.0).sqrt()) / bessel_i0(BETA);
            cutoff * sinc(cutoff * m) * window
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    taps.iter_mut().for_each(|h| *h = *h / sum * gain);
    taps
}

fn sinc(x: f64) -> f64 {
    let y = std::f64::consts::PI * x;
    if x == 0.0 { 1.0 } else { y.sin() / y }
}

/// Modified Bessel function of order zero by its power series (exact to rounding for x <= 5).
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..60 {
        term *= quarter / (k * k) as f64;
        sum += term;
    }
    sum
}

fn gcd(a: usize, b: usize) -> usize {
    if b == 0 { a.max(1) } else { gcd(b, a % b) }
}
