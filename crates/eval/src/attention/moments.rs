//! Sums over one trial from which every fit and its correlation can be had, in one pass.

use crate::{Error, Result};

/// Second moments of lagged EEG and candidate envelopes, summed over samples.
///
/// The lagged EEG has `width = channels * lags` columns, lag fastest. Memory is
/// `width * (width + 1) / 2` numbers and `width` a stream, whatever the length of the trial.
#[derive(Debug, Clone, PartialEq)]
pub struct Moments {
    channels: usize,
    lags: usize,
    /// Samples.
    pub(super) n: f64,
    /// Lower triangle of X'X by rows.
    pub(super) xx: Vec<f64>,
    /// Column sums of X.
    pub(super) x: Vec<f64>,
    pub(super) streams: Vec<Stream>,
}

/// Sums with one candidate's envelope y.
#[derive(Debug, Clone, PartialEq, Default)]
pub(super) struct Stream {
    /// X'y.
    pub(super) xy: Vec<f64>,
    /// Sum of y.
    pub(super) y: f64,
    /// Sum of y².
    pub(super) yy: f64,
}

impl Moments {
    /// Nothing yet, of `channels` channels, `lags` lags and `streams` candidates.
    pub fn empty(channels: usize, lags: usize, streams: usize) -> Self {
        let width = channels * lags;
        let stream = Stream {
            xy: vec![0.0; width],
            ..Stream::default()
        };
        Self {
            channels,
            lags,
            n: 0.0,
            xx: vec![0.0; triangle(width)],
            x: vec![0.0; width],
            streams: vec![stream; streams],
        }
    }

    /// The sums of one piece: `eeg` channel by channel and one envelope a candidate, all of one
    /// length. Lags run past the end of the piece over zeros.
    ///
    /// # Errors
    /// [`Error::Empty`] for no lags, no channel or no sample; [`Error::Shape`] when lengths
    /// differ; [`Error::Domain`] for a value that is not finite.
    pub fn of<E: AsRef<[f64]>, S: AsRef<[f64]>>(
        eeg: &[E],
        streams: &[S],
        lags: usize,
    ) -> Result<Self> {
        let n = check(eeg, streams)?;
        if lags == 0 {
            return Err(Error::Empty { what: "lags" });
        }
        let mut out = Self::empty(eeg.len(), lags, streams.len());
        out.n = n as f64;
        // Zeros after the end stand for what a lag reaches beyond it, and fill the last lanes.
        let room = n + lags.next_multiple_of(LANES);
        let padded: Vec<Vec<f64>> = eeg.iter().map(|x| pad(x.as_ref(), room)).collect();
        let mut lead = vec![0.0; lags];
        for (c, later) in padded.iter().enumerate() {
            for (l, sum) in out.x[c * lags..][..lags].iter_mut().enumerate() {
                *sum = later[l..n.max(l)].iter().sum();
            }
            for (stream, y) in out.streams.iter_mut().zip(streams) {
                lagged(y.as_ref(), later, &mut stream.xy[c * lags..][..lags]);
            }
        }
        for (stream, y) in out.streams.iter_mut().zip(streams) {
            stream.y = y.as_ref().iter().sum();
            stream.yy = y.as_ref().iter().map(|v| v * v).sum();
        }
        // Entry ((c, a), (d, b)) sums x_c[t + a] x_d[t + b] over t >= 0. For a >= b that is the
        // product at lag a - b less its first b terms, so one product a lag gives them all.
        for c in 0..eeg.len() {
            for d in 0..eeg.len() {
                lagged(&padded[d][..n], &padded[c], &mut lead);
                for (apart, product) in lead.iter().enumerate() {
                    let mut sum = *product;
                    for b in 0..lags - apart {
                        let a = b + apart;
                        if c >= d {
                            out.xx[at(c * lags + a, d * lags + b)] = sum;
                        } else {
                            out.xx[at(d * lags + b, c * lags + a)] = sum;
                        }
                        sum -= padded[d][b] * padded[c][a];
                    }
                }
            }
        }
        Ok(out)
    }

    /// Adds the sums of another piece.
    ///
    /// # Errors
    /// [`Error::Shape`] when channels, lags or streams differ.
    pub fn add(&mut self, other: &Self) -> Result<()> {
        self.same(other)?;
        if self.streams.len() != other.streams.len() {
            return Err(Error::Shape {
                what: "candidate sounds",
                expected: self.streams.len(),
                found: other.streams.len(),
            });
        }
        self.add_eeg(other);
        for (a, b) in self.streams.iter_mut().zip(&other.streams) {
            a.add(b);
        }
        Ok(())
    }

    /// The sums of several trials with one of each trial's streams: `(trial, stream)`.
    ///
    /// # Errors
    /// [`Error::Empty`] for no trial; [`Error::Shape`] when channels or lags differ or a trial
    /// lacks the stream.
    pub fn pool(trials: &[(&Self, usize)]) -> Result<Self> {
        let Some((first, _)) = trials.first() else {
            return Err(Error::Empty { what: "trials" });
        };
        let mut out = Self::empty(first.channels, first.lags, 1);
        for (trial, stream) in trials {
            out.same(trial)?;
            let stream = trial.streams.get(*stream).ok_or(Error::Shape {
                what: "candidate sounds",
                expected: stream + 1,
                found: trial.streams.len(),
            })?;
            out.add_eeg(trial);
            out.streams[0].add(stream);
        }
        Ok(out)
    }

    /// Channels.
    pub fn channels(&self) -> usize {
        self.channels
    }

    /// Lags.
    pub fn lags(&self) -> usize {
        self.lags
    }

    /// Columns of the lagged EEG: channels times lags.
    pub fn width(&self) -> usize {
        self.x.len()
    }

    /// Samples summed over.
    pub fn samples(&self) -> u64 {
        self.n as u64
    }

    /// Pearson correlation over these samples between stream `stream` and what `weights`
    /// reconstruct; 0 where either is constant.
    ///
    /// # Errors
    /// [`Error::Shape`] for weights of another width, or a stream that does not exist.
    pub fn correlation(&self, weights: &[f64], stream: usize) -> Result<f64> {
        if weights.len() != self.width() {
            return Err(Error::Shape {
                what: "columns of lagged EEG",
                expected: self.width(),
                found: weights.len(),
            });
        }
        let stream = self.streams.get(stream).ok_or(Error::Shape {
            what: "candidate sounds",
            expected: stream + 1,
            found: self.streams.len(),
        })?;
        let mean = dot(weights, &self.x) / self.n;
        let xy = dot(weights, &stream.xy) - mean * stream.y;
        let xx = self.quadratic(weights) - mean * mean * self.n;
        let yy = stream.yy - stream.y * stream.y / self.n;
        Ok(ratio(xy, xx, yy))
    }

    /// w' X'X w.
    fn quadratic(&self, w: &[f64]) -> f64 {
        let mut sum = 0.0;
        for (i, wi) in w.iter().enumerate() {
            let row = &self.xx[at(i, 0)..=at(i, i)];
            sum += wi * (2.0 * dot(&w[..i], &row[..i]) + wi * row[i]);
        }
        sum
    }

    fn same(&self, other: &Self) -> Result<()> {
        let pairs = [
            ("channels", self.channels, other.channels),
            ("lags", self.lags, other.lags),
        ];
        match pairs.into_iter().find(|(_, a, b)| a != b) {
            Some((what, expected, found)) => Err(Error::Shape {
                what,
                expected,
                found,
            }),
            None => Ok(()),
        }
    }

    fn add_eeg(&mut self, other: &Self) {
        self.n += other.n;
        add(&mut self.xx, &other.xx);
        add(&mut self.x, &other.x);
    }
}

impl Stream {
    fn add(&mut self, other: &Self) {
        add(&mut self.xy, &other.xy);
        self.y += other.y;
        self.yy += other.yy;
    }
}

/// Lags whose sums are taken side by side.
const LANES: usize = 8;

/// `out[l] = sum over t of now[t] * later[t + l]`; `later` has zeros enough behind it.
fn lagged(now: &[f64], later: &[f64], out: &mut [f64]) {
    for (block, out) in out.chunks_mut(LANES).enumerate() {
        let mut sums = [0.0; LANES];
        let later = &later[block * LANES..];
        for (x, window) in now.iter().zip(later.windows(LANES)) {
            for (sum, y) in sums.iter_mut().zip(window) {
                *sum += x * y;
            }
        }
        out.copy_from_slice(&sums[..out.len()]);
    }
}

fn pad(x: &[f64], room: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(room);
    out.extend_from_slice(x);
    out.resize(room, 0.0);
    out
}

/// The common length of all signals.
pub(super) fn check<E: AsRef<[f64]>, S: AsRef<[f64]>>(eeg: &[E], streams: &[S]) -> Result<usize> {
    let Some(n) = eeg.first().map(|x| x.as_ref().len()).filter(|n| *n > 0) else {
        return Err(Error::Empty { what: "eeg" });
    };
    let channels = eeg.iter().map(|x| ("samples of a channel", x.as_ref()));
    let sounds = streams
        .iter()
        .map(|x| ("samples of an envelope", x.as_ref()));
    for (what, x) in channels.chain(sounds) {
        if x.len() != n {
            return Err(Error::Shape {
                what,
                expected: n,
                found: x.len(),
            });
        }
        if let Some(&found) = x.iter().find(|v| !v.is_finite()) {
            return Err(Error::Domain {
                what,
                expected: "finite numbers",
                found,
            });
        }
    }
    Ok(n)
}

/// xy / sqrt(xx yy), and 0 where a factor vanishes.
pub(super) fn ratio(xy: f64, xx: f64, yy: f64) -> f64 {
    let scale = xx.max(0.0).sqrt() * yy.max(0.0).sqrt();
    if scale > 0.0 {
        (xy / scale).clamp(-1.0, 1.0)
    } else {
        0.0
    }
}

/// Entries of a lower triangle of `width` rows.
fn triangle(width: usize) -> usize {
    width * (width + 1) / 2
}

/// Place of row `i`, column `j <= i` in a lower triangle.
pub(super) fn at(i: usize, j: usize) -> usize {
    i * (i + 1) / 2 + j
}

/// Sum of products in a fixed order, eight lanes side by side.
pub(super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    let mut lanes = [0.0; LANES];
    let (a8, b8) = (a.chunks_exact(LANES), b.chunks_exact(LANES));
    let rest: f64 = a8
        .remainder()
        .iter()
        .zip(b8.remainder())
        .map(|(x, y)| x * y)
        .sum();
    for (x, y) in a8.zip(b8) {
        for (lane, (x, y)) in lanes.iter_mut().zip(x.iter().zip(y)) {
            *lane += x * y;
        }
    }
    lanes.iter().sum::<f64>() + rest
}

fn add(a: &mut [f64], b: &[f64]) {
    for (a, b) in a.iter_mut().zip(b) {
        *a += b;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn noise(n: usize, seed: u64) -> Vec<f64> {
        let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
        let mut next = || {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 11) as f64 / (1u64 << 52) as f64 - 1.0
        };
        (0..n).map(|_| next()).collect()
    }

    /// The shortcut over lags against the plain definition, also where lags outrun the piece.
    #[test]
    fn sums_are_those_of_the_lagged_matrix() {
        for (n, lags) in [(50, 5), (50, 9), (7, 12), (1, 3), (20, 1)] {
            let eeg: Vec<Vec<f64>> = (0..3).map(|c| noise(n, c + 1)).collect();
            let streams = vec![noise(n, 9), noise(n, 10)];
            let m = Moments::of(&eeg, &streams, lags).unwrap();
            let x = |c: usize, l: usize, t: usize| eeg[c].get(t + l).copied().unwrap_or(0.0);
            let close = |a: f64, b: f64| assert!((a - b).abs() < 1e-12, "{n} {lags}: {a} {b}");
            for i in 0..3 * lags {
                let (c, a) = (i / lags, i % lags);
                close(m.x[i], (0..n).map(|t| x(c, a, t)).sum());
                for (k, y) in streams.iter().enumerate() {
                    close(m.streams[k].xy[i], (0..n).map(|t| x(c, a, t) * y[t]).sum());
                }
                for j in 0..=i {
                    let (d, b) = (j / lags, j % lags);
                    close(
                        m.xx[at(i, j)],
                        (0..n).map(|t| x(c, a, t) * x(d, b, t)).sum(),
                    );
                }
            }
        }
    }

    #[test]
    fn correlation_of_the_sums_is_that_of_the_signals() {
        let eeg: Vec<Vec<f64>> = (0..2).map(|c| noise(80, c + 3)).collect();
        let y = noise(80, 5);
        let m = Moments::of(&eeg, std::slice::from_ref(&y), 4).unwrap();
        let w = noise(8, 6);
        let made: Vec<f64> = (0..80)
            .map(|t| {
                let term = |k: usize| w[k] * eeg[k / 4].get(t + k % 4).copied().unwrap_or(0.0);
                (0..8).map(term).sum()
            })
            .collect();
        let expected = super::super::correlation(&made, &y);
        assert!((m.correlation(&w, 0).unwrap() - expected).abs() < 1e-12);
        assert_eq!(m.correlation(&[0.0; 8], 0).unwrap(), 0.0);
        assert!(m.correlation(&w, 1).is_err());
        assert!(m.correlation(&w[1..], 0).is_err());
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let none: [Vec<f64>; 0] = [];
        assert!(Moments::of(&none, &none, 3).is_err());
        assert!(Moments::of(&[vec![0.0; 4]], &[vec![0.0; 5]], 3).is_err());
        assert!(Moments::of(&[vec![f64::NAN; 4]], &none, 3).is_err());
        assert!(Moments::of(&[vec![0.0; 4]], &none, 0).is_err());
        let a = Moments::of(&[vec![1.0; 4]], &[vec![1.0; 4]], 2).unwrap();
        let mut b = Moments::of(&[vec![1.0; 4]], &[vec![1.0; 4]], 3).unwrap();
        assert!(b.add(&a).is_err());
        assert!(Moments::pool(&[(&a, 0), (&b, 0)]).is_err());
        assert!(Moments::pool(&[(&a, 1)]).is_err());
        assert!(Moments::pool(&[]).is_err());
    }
}
