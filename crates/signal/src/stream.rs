//! A run conditioned piece by piece, for recordings that are too long to lie in memory.
//!
//! Owns how a backward pass is made without the end of the run at hand. The memory of a
//! recursive filter fades: a backward pass that starts some way behind a sample, in any state,
//! gives that sample as a pass from the end of the run would, once that way is as long as the
//! filter needs to forget ([`Stream::settle`], at which less than 1e-16 of a state is left).
//! So a piece is filtered forwards with its state carried on, and backwards from that far behind
//! its end. Does not own the filters ([`crate::pipeline`]) or the size of a piece.

use crate::lanes::{self, Cascade, NARROW, State, WIDE};
use crate::pipeline::Sample;
use crate::resample::Polyphase;
use crate::{Error, Result};

/// Share of a state that counts as forgotten.
const FORGOTTEN: f64 = 1e-16;

/// Longest settling time that is waited for, in samples: 20 s at 50 kHz with a tenth of a hertz.
const LONGEST: usize = 1 << 24;

/// A run of equal-rate channels on its way through a [`crate::pipeline::Conditioner`].
#[derive(Debug)]
pub struct Stream(Width);

/// By how many channels go through the filters at a time.
#[derive(Debug)]
enum Width {
    Narrow(Lanes<NARROW>),
    Wide(Lanes<WIDE>),
}

/// A stream, up to `L` channels side by side.
#[derive(Debug)]
struct Lanes<const L: usize> {
    filter: Option<Cascade>,
    polyphase: Polyphase,
    /// Samples and channels of the run.
    n: usize,
    n_channels: usize,
    /// Samples that one call finishes.
    piece: usize,
    settle: usize,
    pad: usize,
    groups: Vec<Group<L>>,
    /// Samples that were read.
    read: usize,
    /// Padded rows that are final.
    done: usize,
    /// Outputs that were given.
    given: usize,
    scratch: Vec<[f64; L]>,
}

/// Up to `L` channels.
#[derive(Debug, Default)]
struct Group<const L: usize> {
    /// Padded rows from `done` on: filtered forwards up to `forward`, raw behind.
    rows: Vec<[f64; L]>,
    /// Rows of `rows` that the forward pass has left behind it.
    forward: usize,
    state: Vec<State<L>>,
    /// Final rows that outputs to come still need.
    last: Vec<[f64; L]>,
}

impl Stream {
    pub(crate) fn new(
        filter: Option<Cascade>,
        polyphase: Polyphase,
        n: usize,
        n_channels: usize,
        piece: usize,
    ) -> Result<Self> {
        let pad = filter.as_ref().map_or(0, Cascade::padlen);
        if n <= pad && n_channels > 0 {
            return Err(Error::TooShort {
                found: n,
                padlen: pad,
            });
        }
        Ok(Self(if lanes::width(n_channels) == WIDE {
            Width::Wide(Lanes::new(filter, polyphase, (n, n_channels), piece))
        } else {
            Width::Narrow(Lanes::new(filter, polyphase, (n, n_channels), piece))
        }))
    }

    /// Samples behind a piece that must be read before its backward pass can start.
    pub fn settle(&self) -> usize {
        match &self.0 {
            Width::Narrow(lanes) => lanes.settle,
            Width::Wide(lanes) => lanes.settle,
        }
    }

    /// Conditions the next piece. `read(first, start, block)` is as that of
    /// [`crate::pipeline::Conditioner::run`]; every sample is asked for once. The outputs are
    /// added to `out`, one vector a channel; returns how many each got, `None` after the end.
    ///
    /// # Errors
    /// What `read` gives, [`Error::NotFinite`] for a NaN or infinity in the input,
    /// [`Error::Parameter`] when `out` has another number of channels. After an error the stream
    /// cannot go on.
    pub fn advance<T: Sample, E: From<Error>>(
        &mut self,
        read: impl FnMut(usize, usize, &mut [&mut [T]]) -> std::result::Result<(), E>,
        out: &mut [Vec<f64>],
    ) -> std::result::Result<Option<usize>, E> {
        match &mut self.0 {
            Width::Narrow(lanes) => lanes.advance(read, out),
            Width::Wide(lanes) => lanes.advance(read, out),
        }
    }
}

impl<const L: usize> Lanes<L> {
    fn new(
        filter: Option<Cascade>,
        polyphase: Polyphase,
        (n, n_channels): (usize, usize),
        piece: usize,
    ) -> Self {
        Self {
            settle: filter.as_ref().map_or(0, settle),
            pad: filter.as_ref().map_or(0, Cascade::padlen),
            filter,
            polyphase,
            n,
            n_channels,
            piece: piece.max(1),
            groups: (0..n_channels.div_ceil(L))
                .map(|_| Group::default())
                .collect(),
            read: 0,
            done: 0,
            given: 0,
            scratch: Vec::new(),
        }
    }

    fn advance<T: Sample, E: From<Error>>(
        &mut self,
        mut read: impl FnMut(usize, usize, &mut [&mut [T]]) -> std::result::Result<(), E>,
        out: &mut [Vec<f64>],
    ) -> std::result::Result<Option<usize>, E> {
        if out.len() != self.n_channels {
            return Err(Error::Parameter {
                what: "output channels",
                expected: "as many as input channels",
                found: format!("{} for {}", out.len(), self.n_channels),
            }
            .into());
        }
        let padded = self.n + 2 * self.pad;
        if self.done == padded {
            return Ok(None);
        }
        let end = padded.min(self.done + self.piece);
        // The forward pass goes `settle` beyond the piece; the samples of which the extension at
        // the end may be made are kept back, so one more is read than is filtered.
        let until = self.n.min(end + self.settle + 1);
        let outputs = self.outputs(end);
        for first in (0..self.n_channels).step_by(L) {
            let width = L.min(self.n_channels - first);
            self.take(first, width, until, &mut read)?;
            let out = &mut out[first..first + width];
            self.finish(first / L, end, outputs, out);
        }
        self.read = until;
        self.done = end;
        let given = outputs - self.given;
        self.given = outputs;
        Ok(Some(given))
    }

    /// Reads samples up to `until` of a group and filters forwards as far as it may.
    fn take<T: Sample, E: From<Error>>(
        &mut self,
        first: usize,
        width: usize,
        until: usize,
        read: &mut impl FnMut(usize, usize, &mut [&mut [T]]) -> std::result::Result<(), E>,
    ) -> std::result::Result<(), E> {
        let pad = self.pad;
        let group = &mut self.groups[first / L];
        let mut planar = vec![T::default(); lanes::BLOCK * width];
        let begins = self.read == 0;
        if begins {
            group.rows.resize(pad, [0.0; L]);
        }
        for start in (self.read..until).step_by(lanes::BLOCK) {
            let len = lanes::BLOCK.min(until - start);
            let mut views: Vec<&mut [T]> = planar
                .chunks_mut(lanes::BLOCK)
                .map(|c| &mut c[..len])
                .collect();
            read(first, start, &mut views)?;
            let views: Vec<&[T]> = views.iter().map(|c| &**c).collect();
            let at = group.rows.len();
            group.rows.resize(at + len, [0.0; L]);
            if !lanes::interleave(&views, &mut group.rows[at..]) {
                return Err(crate::pipeline::not_finite(&views, first, start).into());
            }
        }
        let Some(filter) = &self.filter else {
            group.forward = group.rows.len();
            return Ok(());
        };
        if begins {
            lanes::extend_left(&mut group.rows, pad);
            group.state = filter.settled(group.rows[0]);
        }
        // Where the run ends, and was not yet extended.
        if until == self.n && self.read < self.n {
            let len = group.rows.len();
            group.rows.resize(len + pad, [0.0; L]);
            lanes::extend_right(&mut group.rows, pad);
        }
        let last = if until == self.n {
            group.rows.len()
        } else {
            group.rows.len() - (pad + 1)
        };
        if last > group.forward {
            filter.forward(&mut group.state, &mut group.rows[group.forward..last]);
            group.forward = last;
        }
        Ok(())
    }

    /// Filters a group backwards down to the start of the piece that ends with padded row `end`,
    /// and resamples up to output `outputs`.
    fn finish(&mut self, group: usize, end: usize, outputs: usize, out: &mut [Vec<f64>]) {
        let group = &mut self.groups[group];
        let len = end - self.done;
        let piece = match &self.filter {
            None => &group.rows[..len],
            Some(filter) => {
                self.scratch.clear();
                self.scratch.extend_from_slice(&group.rows[..group.forward]);
                let from = self.scratch[self.scratch.len() - 1];
                filter.backward(&mut filter.settled(from), &mut self.scratch);
                &self.scratch[..len]
            }
        };
        // What of the piece is signal and not padding.
        let skip = self.pad.saturating_sub(self.done).min(len);
        let over = end.saturating_sub(self.pad + self.n).min(len - skip);
        group.last.extend_from_slice(&piece[skip..len - over]);
        let known = end.saturating_sub(self.pad).min(self.n);
        let base = known - group.last.len();
        self.polyphase
            .part(&group.last, base, self.n, self.given..outputs, |rows| {
                for (lane, to) in out.iter_mut().enumerate() {
                    to.extend(rows.iter().map(|r| r[lane]));
                }
            });
        let needed = self.polyphase.first_input(outputs).min(known);
        group.last.drain(..needed - base);
        group.rows.drain(..len);
        group.forward -= len;
    }

    /// Outputs that can be made once padded rows up to `end` are final.
    fn outputs(&self, end: usize) -> usize {
        let known = end.saturating_sub(self.pad).min(self.n);
        if known == self.n {
            self.polyphase.output_len(self.n)
        } else {
            self.polyphase.outputs_within(known)
        }
    }
}

/// Samples after which less than [`FORGOTTEN`] of any state is left.
fn settle(filter: &Cascade) -> usize {
    let mut longest = 1;
    let sections = filter.sections();
    // Each of the numbers that make up the state on its own, four at a time.
    for first in (0..2 * sections).step_by(NARROW) {
        let mut state = vec![[[0.0; NARROW]; 2]; sections];
        for lane in 0..NARROW.min(2 * sections - first) {
            state[(first + lane) / 2][(first + lane) % 2][lane] = 1.0;
        }
        let mut most = 1.0_f64;
        let mut block = vec![[0.0; NARROW]; lanes::BLOCK];
        let mut samples = 0;
        while samples < LONGEST {
            block.fill([0.0; NARROW]);
            filter.forward(&mut state, &mut block);
            samples += block.len();
            let size = |x: &[f64]| x.iter().fold(0.0, |m: f64, v| m.max(v.abs()));
            let now = size(block.as_flattened()).max(size(state.as_flattened().as_flattened()));
            most = most.max(now);
            if now < FORGOTTEN * most {
                break;
            }
        }
        longest = longest.max(samples);
    }
    longest
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::iir;
    use crate::lanes::tests::read;

    /// As the test of the same name in [`crate::pipeline`].
    #[test]
    fn either_width_gives_the_same_bits() {
        let filter = Cascade::new(&iir::butter(4, Some(1.0), Some(40.0), 500.0).unwrap());
        let polyphase = Polyphase::new(2, 5).unwrap();
        let (n, channels) = (9_000, 11);
        fn all<const L: usize>(mut lanes: Lanes<L>) -> Vec<u64> {
            let mut out = vec![Vec::new(); lanes.n_channels];
            while lanes.advance(read, &mut out).unwrap().is_some() {}
            out.iter().flatten().map(|v| v.to_bits()).collect()
        }
        let filter = Some(filter);
        let narrow: Lanes<NARROW> =
            Lanes::new(filter.clone(), polyphase.clone(), (n, channels), 2_000);
        let wide: Lanes<WIDE> = Lanes::new(filter, polyphase, (n, channels), 2_000);
        let found = all(wide);
        assert_eq!(found.len(), channels * n * 2 / 5);
        assert!(found == all(narrow));
    }
}
