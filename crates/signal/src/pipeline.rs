//! One contiguous run of channels from raw samples to filtered samples at the recipe's rate.
//!
//! Owns the order of the steps: band-pass and notch as one cascade, forward and backward with
//! SciPy's padding, then polyphase resampling. Does not own gaps (a run has none), the choice of
//! channels, or epochs. Work is done up to [`GROUP`] channels at a time, so besides input and output a
//! pass holds one f64 copy of as many: [`Conditioner::scratch_bytes`].

use crate::iir::{self, Sos};
use crate::lanes::{self, Cascade, NARROW, WIDE};
use crate::recipe::Recipe;
use crate::resample::{self, Polyphase};
use crate::stream::Stream;
use crate::{Error, Result};

pub use crate::lanes::Sample;

/// Most channels that [`Conditioner::run`] takes in one pass: reading in multiples of this wastes no
/// lane.
pub const GROUP: usize = WIDE;

/// Filters and resamples a run of channels with equal `sfreq` as `recipe` says: f64 in, f64 at
/// `recipe.sfreq` out. Equals SciPy's
/// `resample_poly(sosfiltfilt(vstack([band_pass, notch]), x), up, down)`.
///
/// # Errors
/// As [`Conditioner::new`] and [`Conditioner::run`]; [`Error::Length`] when channels differ in
/// length.
pub fn condition(recipe: &Recipe, sfreq: f64, channels: Vec<Vec<f64>>) -> Result<Vec<Vec<f64>>> {
    let mut conditioner = Conditioner::new(recipe, sfreq)?;
    let views: Vec<&[f64]> = channels.iter().map(Vec::as_slice).collect();
    let n = views.first().map_or(0, |c| c.len());
    let mut out = vec![vec![0.0; conditioner.output_len(n)]; views.len()];
    let mut out_views: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    conditioner.run_slices(&views, &mut out_views)?;
    Ok(out)
}

/// A recipe made ready for one input rate, with its scratch memory. Make one a thread and keep
/// it: the scratch is reused from run to run.
#[derive(Debug, Clone)]
pub struct Conditioner {
    filter: Option<Cascade>,
    polyphase: Polyphase,
    buffer: Vec<f64>,
}

impl Conditioner {
    /// Designs the filters of `recipe` for signals at `sfreq` Hz.
    ///
    /// # Errors
    /// [`Error::Rate`], [`Error::Frequency`] when a cut-off does not fit below `sfreq` / 2,
    /// [`Error::Ratio`].
    pub fn new(recipe: &Recipe, sfreq: f64) -> Result<Self> {
        let (up, down) = resample::ratio(sfreq, recipe.sfreq)?;
        Ok(Self {
            filter: filter(recipe, sfreq)?.map(|sos| Cascade::new(&sos)),
            polyphase: Polyphase::new(up, down)?,
            buffer: Vec::new(),
        })
    }

    /// Samples that come out for `n` samples in: `ceil(n * up / down)`.
    pub fn output_len(&self, n: usize) -> usize {
        self.polyphase.output_len(n)
    }

    /// Shortest run that can be filtered: one sample more than the padding.
    pub fn min_len(&self) -> usize {
        self.filter.as_ref().map_or(1, |f| f.padlen() + 1)
    }

    /// Bytes of scratch that a run of `n` samples needs at most, whatever the number of channels.
    pub fn scratch_bytes(&self, n: usize) -> usize {
        let pad = self.filter.as_ref().map_or(0, Cascade::padlen);
        (n + 2 * pad) * GROUP * size_of::<f64>()
    }

    /// Conditions a run of `n` samples of `n_channels` channels `piece` samples at a time, in
    /// memory that does not grow with `n`. Differs from [`Conditioner::run`] by rounding (1e-12
    /// of the signal), and not at all where one piece holds the run.
    ///
    /// # Errors
    /// [`Error::TooShort`] when `n` is below [`Conditioner::min_len`].
    pub fn stream(&self, n: usize, n_channels: usize, piece: usize) -> Result<Stream> {
        Stream::new(
            self.filter.clone(),
            self.polyphase.clone(),
            n,
            n_channels,
            piece,
        )
    }

    /// Conditions channels that lie in memory; `out` needs [`Conditioner::output_len`] samples
    /// a channel. Arithmetic is f64; f32 outputs are rounded once, at the end.
    ///
    /// # Errors
    /// [`Error::Length`] when lengths or counts do not agree, else as [`Conditioner::run`].
    pub fn run_slices<T: Sample, O: Sample>(
        &mut self,
        channels: &[&[T]],
        out: &mut [&mut [O]],
    ) -> Result<()> {
        let n = channels.first().map_or(0, |c| c.len());
        check_lengths(channels.iter().map(|c| c.len()), n)?;
        let read = |first: usize, start: usize, block: &mut [&mut [T]]| -> Result<()> {
            for (from, to) in channels[first..].iter().zip(block) {
                to.copy_from_slice(&from[start..start + to.len()]);
            }
            Ok(())
        };
        self.run(n, channels.len(), read, out)
    }

    /// Conditions a run of `n` samples of `n_channels` channels that `read` fetches block by
    /// block, so the input need not be in memory: `read(first, start, block)` fills `block[k]`
    /// with samples `start..` of channel `first + k`, in their order, at most [`GROUP`] channels
    /// at a time. `out` has one slice of [`Conditioner::output_len`] samples a channel.
    ///
    /// # Errors
    /// What `read` gives, [`Error::TooShort`] when `n` is below [`Conditioner::min_len`],
    /// [`Error::NotFinite`] for a NaN or infinity in the input, [`Error::Length`] when `out` does
    /// not fit. After an error the contents of `out` are unspecified.
    pub fn run<T: Sample, O: Sample, E: From<Error>>(
        &mut self,
        n: usize,
        n_channels: usize,
        mut read: impl FnMut(usize, usize, &mut [&mut [T]]) -> std::result::Result<(), E>,
        out: &mut [&mut [O]],
    ) -> std::result::Result<(), E> {
        if out.len() != n_channels {
            return Err(Error::Parameter {
                what: "output channels",
                expected: "as many as input channels",
                found: format!("{} for {n_channels}", out.len()),
            }
            .into());
        }
        check_lengths(out.iter().map(|c| c.len()), self.output_len(n))?;
        if n < self.min_len() && n_channels > 0 {
            return Err(Error::TooShort {
                found: n,
                padlen: self.min_len() - 1,
            }
            .into());
        }
        let mut first = 0;
        while first < n_channels {
            let width = lanes::width(n_channels - first);
            let end = n_channels.min(first + width);
            let group = (first, &mut out[first..end]);
            if width == WIDE {
                self.run_group::<_, _, _, WIDE>(n, &mut read, group)?;
            } else {
                self.run_group::<_, _, _, NARROW>(n, &mut read, group)?;
            }
            first = end;
        }
        Ok(())
    }

    /// Conditions up to `L` channels, of which the number of the first is given.
    fn run_group<T: Sample, O: Sample, E: From<Error>, const L: usize>(
        &mut self,
        n: usize,
        read: &mut impl FnMut(usize, usize, &mut [&mut [T]]) -> std::result::Result<(), E>,
        (first, out): (usize, &mut [&mut [O]]),
    ) -> std::result::Result<(), E> {
        let pad = self.min_len() - 1;
        let rows = lanes::rows::<L>(&mut self.buffer, n + 2 * pad);
        let block = lanes::BLOCK.max(pad + 1);
        let mut planar = vec![T::default(); block * out.len()];
        let mut state = Vec::new();
        let mut filtered = 0;
        for start in (0..n).step_by(block) {
            let len = block.min(n - start);
            let views = planar.chunks_mut(block).map(|c| &mut c[..len]);
            let mut views: Vec<&mut [T]> = views.collect();
            read(first, start, &mut views)?;
            let views: Vec<&[T]> = views.iter().map(|c| &**c).collect();
            let at = pad + start;
            if !lanes::interleave(&views, &mut rows[at..at + len]) {
                return Err(not_finite(&views, first, start).into());
            }
            // Filter each block while it is in the nearest cache, but keep back the samples
            // that the extension at the end is made of.
            if let Some(filter) = &self.filter {
                if start == 0 {
                    lanes::extend_left(rows, pad);
                    state = filter.settled(rows[0]);
                }
                let until = at + len - (pad + 1);
                filter.forward(&mut state, &mut rows[filtered..until]);
                filtered = until;
            }
        }
        if let Some(filter) = &self.filter {
            lanes::extend_right(rows, pad);
            filter.forward(&mut state, &mut rows[filtered..]);
            filter.backward(&mut filter.settled(rows[rows.len() - 1]), rows);
        }
        self.polyphase.run(rows, pad..pad + n, |at, rows| {
            let views = out.iter_mut().map(|c| &mut c[at..at + rows.len()]);
            lanes::separate(rows, &mut views.collect::<Vec<_>>());
        });
        Ok(())
    }
}

/// Band-pass and notch of a recipe as one cascade; `None` when the recipe filters nothing.
fn filter(recipe: &Recipe, sfreq: f64) -> Result<Option<Sos>> {
    let band = match (recipe.l_freq, recipe.h_freq) {
        (None, None) => None,
        (lo, hi) => Some(iir::butter(recipe.order, lo, hi, sfreq)?),
    };
    let notch = match recipe.notch {
        Some(freq) => Some(iir::notch(freq, recipe.notch_q, sfreq)?),
        None => None,
    };
    Ok(match (band, notch) {
        (Some(band), Some(notch)) => Some(band.then(notch)),
        (band, notch) => band.or(notch),
    })
}

fn check_lengths(lengths: impl Iterator<Item = usize>, expected: usize) -> Result<()> {
    for (channel, found) in lengths.enumerate() {
        if found != expected {
            return Err(Error::Length {
                channel,
                expected,
                found,
            });
        }
    }
    Ok(())
}

pub(crate) fn not_finite<T: Sample>(block: &[&[T]], first: usize, start: usize) -> Error {
    let bad = |c: &[T]| c.iter().position(|x| !x.to_f64().is_finite());
    let found = block
        .iter()
        .enumerate()
        .find_map(|(k, c)| Some((k, bad(c)?)));
    let (channel, sample) = found.unwrap_or((0, 0));
    Error::NotFinite {
        channel: first + channel,
        sample: start + sample,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lanes::tests::read;

    /// Which width a machine takes must not show, so both are tried on every machine.
    #[test]
    fn either_width_gives_the_same_bits() {
        let recipe = Recipe::builtin("mindmix").unwrap();
        let mut conditioner = Conditioner::new(&recipe, 128.0).unwrap();
        let n = 3_000;
        for channels in [1, 3, 4, 5, 8] {
            let mut narrow = vec![vec![0.0_f64; conditioner.output_len(n)]; channels];
            let mut wide = narrow.clone();
            for first in (0..channels).step_by(NARROW) {
                let group = narrow.iter_mut().skip(first).take(NARROW);
                let mut group: Vec<&mut [f64]> = group.map(Vec::as_mut_slice).collect();
                let group = (first, &mut group[..]);
                let done = conditioner.run_group::<_, _, _, NARROW>(n, &mut read, group);
                done.unwrap();
            }
            let mut group: Vec<&mut [f64]> = wide.iter_mut().map(Vec::as_mut_slice).collect();
            let group = (0, &mut group[..]);
            let done = conditioner.run_group::<_, _, _, WIDE>(n, &mut read, group);
            done.unwrap();
            let bits =
                |x: &[Vec<f64>]| -> Vec<u64> { x.iter().flatten().map(|v| v.to_bits()).collect() };
            assert!(bits(&narrow) == bits(&wide), "{channels} channels");
            assert!(wide.iter().flatten().any(|v| *v != 0.0));
        }
    }
}
