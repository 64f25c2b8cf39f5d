//! Samples that are no numbers: a lost packet, an overflow that the container marks.
//!
//! A filter would spread one of them over its whole run, so each is bridged by the line between
//! its neighbours (held at the ends of a run) before filtering, and every epoch that touches one
//! is left out afterwards. A channel that is more hole than signal is dropped.

use std::ops::Range;

use mmpipe_formats::{Recording, Run};

use super::conditioned::Kept;
use super::cut::Epoch;

/// Why an epoch is left out.
pub(super) const REASON: &str = "non-finite samples";

/// Samples that are read at once when a run is looked through.
const BLOCK: usize = 1 << 16;

/// Samples of all channels together that are read at once.
const TOGETHER: usize = 1 << 18;

/// Samples after which the pages of the file are given back.
const RELEASE: usize = 1 << 24;

/// Slack in s when epochs are held against samples; far below a sample of any rate.
const NEAR: f64 = 1e-9;

/// Neighbouring samples of one channel that are not finite.
#[derive(Debug, Clone, PartialEq)]
struct Hole {
    /// Samples of the run.
    samples: Range<usize>,
    /// The last value before, the first behind; at an end of the run both are the one there is.
    before: f64,
    behind: f64,
}

/// All holes of one channel in one run.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Bridge {
    holes: Vec<Hole>,
    /// The last finite value so far.
    last: Option<f64>,
    /// Whether the last hole still waits for a value behind it.
    open: bool,
}

impl Bridge {
    /// Looks at samples `start..` of the run; called in order.
    fn look(&mut self, start: usize, x: &[f64]) {
        for (i, &v) in x.iter().enumerate() {
            let at = start + i;
            if v.is_finite() {
                if self.open {
                    self.open = false;
                    if let Some(hole) = self.holes.last_mut() {
                        hole.behind = v;
                        if hole.samples.start == 0 {
                            hole.before = v;
                        }
                    }
                }
                self.last = Some(v);
                continue;
            }
            match self.holes.last_mut().filter(|_| self.open) {
                Some(hole) => hole.samples.end = at + 1,
                None => {
                    self.open = true;
                    let value = self.last.unwrap_or(0.0);
                    self.holes.push(Hole {
                        samples: at..at + 1,
                        before: value,
                        behind: value,
                    });
                }
            }
        }
    }

    /// Samples that are not finite.
    fn missing(&self) -> u64 {
        self.holes.iter().map(|h| h.samples.len() as u64).sum()
    }

    /// Puts the lines into samples `start..` of the run.
    pub(super) fn fill(&self, start: usize, x: &mut [f64]) {
        let end = start + x.len();
        let first = self.holes.partition_point(|h| h.samples.end <= start);
        for hole in self.holes.iter().skip(first) {
            if hole.samples.start >= end {
                break;
            }
            let steps = (hole.samples.len() + 1) as f64;
            let inside = hole.samples.start.max(start)..hole.samples.end.min(end);
            for at in inside {
                let part = (at - hole.samples.start + 1) as f64 / steps;
                if let Some(v) = x.get_mut(at - start) {
                    *v = hole.before + (hole.behind - hole.before) * part;
                }
            }
        }
    }

    /// Whether seconds `from..to` of the run hold a sample that is not finite.
    fn touches(&self, sfreq: f64, from: f64, to: f64) -> bool {
        let first = self
            .holes
            .partition_point(|h| h.samples.end as f64 / sfreq <= from + NEAR);
        self.holes
            .get(first)
            .is_some_and(|h| (h.samples.start as f64 / sfreq) < to - NEAR)
    }
}

/// The holes of the channels that were looked through, by position among the kept channels.
#[derive(Debug, Default)]
pub(super) struct Bridges {
    /// Position, rate, and a bridge for every run.
    channels: Vec<(usize, f64, Vec<Bridge>)>,
}

impl Bridges {
    /// The bridge of a channel in a run, where one was needed.
    pub(super) fn of(&self, position: usize, run: usize) -> Option<&Bridge> {
        let (_, _, runs) = self.channels.iter().find(|(p, ..)| *p == position)?;
        runs.get(run).filter(|b| !b.holes.is_empty())
    }

    /// Whether a channel was looked through.
    pub(super) fn knows(&self, position: usize) -> bool {
        self.channels.iter().any(|(p, ..)| *p == position)
    }

    /// Looks through all runs of a channel. Gives the reason when the channel is of no use.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn look(
        &mut self,
        position: usize,
        channel: &Kept,
        file: &dyn Recording,
        runs: &[Run],
    ) -> mmpipe_formats::Result<Option<String>> {
        let mut bridges = Vec::with_capacity(runs.len());
        let mut block = vec![0.0; BLOCK];
        let (mut missing, mut all) = (0_u64, 0_u64);
        for run in runs {
            let mut bridge = Bridge::default();
            let n = run.samples.end.saturating_sub(run.samples.start);
            for start in (0..n).step_by(BLOCK) {
                let len = (n - start).min(BLOCK as u64) as usize;
                let x = block.get_mut(..len).unwrap_or_default();
                file.read_f64(&[channel.index], run.samples.start + start, &mut [&mut *x])?;
                x.iter_mut().for_each(|v| *v *= channel.factor);
                bridge.look(start as usize, x);
            }
            missing += bridge.missing();
            all += n;
            bridges.push(bridge);
        }
        self.channels.push((position, channel.sfreq, bridges));
        Ok(useless(missing, all))
    }

    /// As [`Bridges::look`], of channels of one rate together, so that a file in which they
    /// alternate is read once. Gives the first channel that is of no use, and why.
    ///
    /// # Errors
    /// The file cannot be read.
    pub(super) fn look_together(
        &mut self,
        group: &[(usize, &Kept)],
        file: &dyn Recording,
        runs: &[Run],
    ) -> mmpipe_formats::Result<Option<(usize, String)>> {
        let Some(sfreq) = group.first().map(|(_, c)| c.sfreq) else {
            return Ok(None);
        };
        let indices: Vec<usize> = group.iter().map(|(_, c)| c.index).collect();
        let len = (TOGETHER / group.len()).max(1) as u64;
        let mut block = vec![vec![0.0; len as usize]; group.len()];
        let mut bridges = vec![Vec::with_capacity(runs.len()); group.len()];
        let mut since = 0;
        for run in runs {
            let mut open = vec![Bridge::default(); group.len()];
            let n = run.samples.end.saturating_sub(run.samples.start);
            for start in (0..n).step_by(len as usize) {
                let len = (n - start).min(len) as usize;
                let mut views: Vec<&mut [f64]> = block.iter_mut().map(|b| &mut b[..len]).collect();
                file.read_f64(&indices, run.samples.start + start, &mut views)?;
                for ((bridge, x), (_, channel)) in open.iter_mut().zip(views).zip(group) {
                    x.iter_mut().for_each(|v| *v *= channel.factor);
                    bridge.look(start as usize, x);
                }
                since += len * group.len();
                if since > RELEASE {
                    file.release();
                    since = 0;
                }
            }
            for (bridges, bridge) in bridges.iter_mut().zip(open) {
                bridges.push(bridge);
            }
        }
        let all: u64 = runs
            .iter()
            .map(|r| r.samples.end.saturating_sub(r.samples.start))
            .sum();
        for ((position, channel), bridges) in group.iter().zip(bridges) {
            let missing = bridges.iter().map(Bridge::missing).sum();
            if let Some(why) = useless(missing, all) {
                return Ok(Some((channel.index, why)));
            }
            self.channels.push((*position, sfreq, bridges));
        }
        Ok(None)
    }

    /// Whether an epoch touches a bridged sample of any channel.
    pub(super) fn touch(&self, epoch: &Epoch, sfreq: f64, seconds: f64) -> bool {
        let from = epoch.first as f64 / sfreq;
        let run = |runs: &[Bridge], rate: f64| {
            runs.get(epoch.span)
                .is_some_and(|b| b.touches(rate, from, from + seconds))
        };
        self.channels.iter().any(|(_, rate, runs)| run(runs, *rate))
    }

    /// How many samples of which channels were bridged, for the recording's row.
    pub(super) fn note(&self, channels: &[Kept]) -> Option<String> {
        const MOST: usize = 8;
        let mut counts: Vec<(&str, u64)> = Vec::new();
        let mut sorted: Vec<_> = self.channels.iter().collect();
        sorted.sort_by_key(|(position, ..)| *position);
        for (position, _, runs) in sorted {
            let missing: u64 = runs.iter().map(Bridge::missing).sum();
            if let Some(channel) = channels.get(*position).filter(|_| missing > 0) {
                counts.push((&channel.name, missing));
            }
        }
        let more = counts.len().saturating_sub(MOST);
        let list: Vec<String> = counts
            .iter()
            .take(MOST)
            .map(|(name, n)| format!("{n} of {name}"))
            .collect();
        (!list.is_empty()).then(|| {
            format!(
                "non-finite samples: {}{}; epochs that touch them are not written",
                list.join(", "),
                match more {
                    0 => String::new(),
                    more => format!(" and of {more} more channels"),
                }
            )
        })
    }
}

/// Why a channel with so many samples missing is of no use.
fn useless(missing: u64, all: u64) -> Option<String> {
    (missing * 2 > all)
        .then(|| format!("{missing} of {all} samples are not finite, more than half"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const N: f64 = f64::NAN;

    fn bridged(x: &[f64], block: usize) -> (Bridge, Vec<f64>) {
        let mut bridge = Bridge::default();
        let mut out = x.to_vec();
        for (k, part) in x.chunks(block).enumerate() {
            bridge.look(k * block, part);
        }
        for (k, part) in out.chunks_mut(block).enumerate() {
            bridge.fill(k * block, part);
        }
        (bridge, out)
    }

    #[test]
    fn holes_become_lines_and_are_held_at_the_ends() {
        let x = [N, N, 2.0, N, N, N, 6.0, f64::INFINITY];
        for block in 1..=8 {
            let (bridge, out) = bridged(&x, block);
            assert_eq!(out, [2.0, 2.0, 2.0, 3.0, 4.0, 5.0, 6.0, 6.0], "{block}");
            assert_eq!(bridge.missing(), 6);
        }
        let (bridge, out) = bridged(&[N, N], 1);
        assert_eq!((bridge.missing(), out), (2, vec![0.0, 0.0]));
        assert_eq!(
            bridged(&[1.0, 2.0], 1),
            (
                Bridge {
                    last: Some(2.0),
                    ..Bridge::default()
                },
                vec![1.0, 2.0]
            )
        );
    }

    #[test]
    fn a_sample_lasts_until_the_next() {
        let mut x = vec![0.0; 1000];
        x[256] = N;
        let (bridge, _) = bridged(&x, 100);
        // At 128 Hz it is there from 2 s to 2 s and 1/128.
        assert!(bridge.touches(128.0, 2.0, 4.0));
        assert!(!bridge.touches(128.0, 0.0, 2.0));
        assert!(!bridge.touches(128.0, 2.0 + 1.0 / 128.0, 4.0));
        assert!(bridge.touches(128.0, 2.005, 4.0));
    }

    proptest! {
        #[test]
        fn the_bridge_does_not_depend_on_blocks(
            x in prop::collection::vec(prop_oneof![Just(N), -9.0..9.0f64], 1..60),
            block in 1usize..20,
        ) {
            let (_, whole) = bridged(&x, x.len());
            let (_, parts) = bridged(&x, block);
            prop_assert_eq!(&whole, &parts);
            for (a, b) in x.iter().zip(&whole) {
                prop_assert!(b.is_finite());
                prop_assert!(a.is_nan() || a == b);
            }
        }
    }
}
