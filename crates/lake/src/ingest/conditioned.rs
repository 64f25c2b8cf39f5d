//! The signal of one recording: filtered, resampled, cut and normalised, a few channels at a time.
//!
//! Owns the plan of a recording (which rates, which stretches, which epochs) and how one is made
//! that fits in memory; [`super::streamed`] makes those that do not.

use std::collections::BTreeMap;

use mmpipe_formats::{Recording, Run};
use mmpipe_signal::epochs::{power, stats, zscore_f32};
use mmpipe_signal::pipeline::{Conditioner, GROUP};
use mmpipe_signal::recipe::{Normalise, Recipe};

use super::bridge::{self, Bridges};
use super::cut::{self, Bounds, Cut, Span};
use super::work::Work;
use crate::Error;

/// Bytes of samples that are written together.
const PART_BYTES: usize = 1 << 20;

/// Bytes of epochs and scratch up to which a recording is made in memory.
const WHOLE_BYTES: usize = 256 << 20;

/// A channel that will be read.
pub(super) struct Kept {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) factor: f64,
    pub(super) sfreq: f64,
}

/// What a recording's signal came to.
pub(super) struct Summary {
    pub(super) cut: Cut,
    pub(super) seconds: f64,
    pub(super) flat: usize,
    /// What was bridged, if anything.
    pub(super) bridged: Option<String>,
    /// Root mean square of each channel after conditioning, µV; NaN where nothing was cut.
    pub(super) rms: Vec<f64>,
}

/// Everything that is written of a recording's signal.
pub(super) struct Epochs {
    pub(super) summary: Summary,
    /// Epochs in one part of `samples`.
    pub(super) rows: usize,
    /// epoch × channel × time, in parts of `rows` epochs: one allocation of everything would go
    /// back to the system with each recording and be cleared again for the next.
    pub(super) samples: Vec<Vec<f32>>,
    /// epoch × channel.
    pub(super) mean: Vec<f32>,
    pub(super) std: Vec<f32>,
}

pub(super) enum Failed {
    /// This channel of the file cannot be used, and why.
    Channel(usize, String),
    Other(Error),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(e: E) -> Self {
        Failed::Other(e.into())
    }
}

/// Channels of one rate.
pub(super) struct Lane {
    pub(super) sfreq: f64,
    /// Positions among the kept channels.
    pub(super) members: Vec<usize>,
    pub(super) runs: Vec<Run>,
    pub(super) conditioner: Conditioner,
}

/// What will be made of a recording.
pub(super) struct Plan {
    pub(super) lanes: Vec<Lane>,
    pub(super) spans: Vec<Span>,
    pub(super) cut: Cut,
}

impl Lane {
    fn span(&self, run: &Run) -> Span {
        let n = length(run);
        Span {
            onset: run.onset,
            seconds: n as f64 / self.sfreq,
            samples: self.conditioner.output_len(n),
            unusable: (n < self.conditioner.min_len()).then_some(cut::SHORT),
        }
    }
}

pub(super) fn length(run: &Run) -> usize {
    run.samples.end.saturating_sub(run.samples.start) as usize
}

/// Epochs in one part: whole rows of the table, about a megabyte.
pub(super) fn rows_of_part(channels: usize, times: usize) -> usize {
    (PART_BYTES / (channels * times * size_of::<f32>()).max(1)).max(1)
}

/// Rates, stretches and epochs of a recording.
pub(super) fn plan(
    work: &Work,
    recipe: &Recipe,
    file: &dyn Recording,
    channels: &[Kept],
) -> Result<Plan, Failed> {
    let lanes = lanes(recipe, file, channels)?;
    let spans = spans(&lanes, channels)?;
    let bounds: Vec<Bounds> = work.trials.iter().map(|t| t.bounds()).collect();
    let cut = cut::cut(&spans, &bounds, recipe.sfreq, recipe.epoch_seconds);
    Ok(Plan { lanes, spans, cut })
}

impl Plan {
    /// Whether [`epochs`] may hold all of it.
    pub(super) fn fits(&self, channels: usize, times: usize) -> bool {
        let epochs = self.cut.epochs.len() * channels * times * size_of::<f32>();
        let scratch = self.lanes.iter().flat_map(|lane| {
            lane.runs.iter().map(|run| {
                let n = length(run);
                let out = lane.conditioner.output_len(n) * GROUP * size_of::<f64>();
                lane.conditioner.scratch_bytes(n) + out
            })
        });
        epochs + scratch.max().unwrap_or(0) <= WHOLE_BYTES
    }

    /// Length of all stretches, s.
    pub(super) fn seconds(&self) -> f64 {
        self.spans.iter().map(|s| s.seconds).sum()
    }
}

/// Fills the epochs of a recording.
pub(super) fn epochs(
    plan: Plan,
    recipe: &Recipe,
    file: &dyn Recording,
    channels: &[Kept],
) -> Result<Epochs, Failed> {
    let seconds = plan.seconds();
    let Plan {
        mut lanes,
        spans,
        cut,
    } = plan;
    let times = recipe.epoch_samples();
    let (n, c) = (cut.epochs.len(), channels.len());
    let rows = rows_of_part(c, times);
    let mut out = Epochs {
        rows,
        samples: (0..n)
            .step_by(rows)
            .map(|first| vec![0.0; rows.min(n - first) * c * times])
            .collect(),
        mean: vec![0.0; n * c],
        std: vec![0.0; n * c],
        summary: Summary {
            seconds,
            flat: 0,
            bridged: None,
            rms: Vec::new(),
            cut,
        },
    };
    let mut flat = vec![false; n * c];
    let mut bridges = Bridges::default();
    let mut powers = vec![(0.0, 0_usize); c];
    for s in 0..spans.len() {
        let wanted: Vec<(usize, usize)> = out
            .summary
            .cut
            .epochs
            .iter()
            .enumerate()
            .filter(|(_, e)| e.span == s)
            .map(|(i, e)| (i, e.first))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        for lane in &mut lanes {
            let Some(run) = lane.runs.get(s) else {
                continue;
            };
            let group = GROUP.min(lane.members.len());
            let mut conditioned =
                vec![vec![0.0_f64; lane.conditioner.output_len(length(run))]; group];
            for members in lane.members.chunks(GROUP) {
                let group: Vec<(usize, &Kept)> = members
                    .iter()
                    .filter_map(|&m| Some((m, channels.get(m)?)))
                    .collect();
                let place = (s, run);
                let mut again = condition(
                    &mut lane.conditioner,
                    file,
                    place,
                    &group,
                    &bridges,
                    &mut conditioned,
                )?;
                if again {
                    look(&mut bridges, file, &lane.runs, &group)?;
                    again = condition(
                        &mut lane.conditioner,
                        file,
                        place,
                        &group,
                        &bridges,
                        &mut conditioned,
                    )?;
                }
                if again {
                    return Err(changed());
                }
                for (&member, x) in members.iter().zip(&conditioned) {
                    if let Some((sum, count)) = powers.get_mut(member) {
                        *sum += power(x);
                        *count += x.len();
                    }
                    for &(epoch, first) in &wanted {
                        let at = epoch * c + member;
                        let within = (epoch % rows * c + member) * times;
                        let part = out.samples.get_mut(epoch / rows);
                        let (Some(x), Some(to)) = (
                            x.get(first..first + times),
                            part.and_then(|p| p.get_mut(within..within + times)),
                        ) else {
                            return Err(outside(epoch));
                        };
                        (out.mean[at], out.std[at], flat[at]) = normalise(recipe.normalise, x, to);
                    }
                }
            }
        }
    }
    out.summary.bridged = bridges.note(channels);
    if out.summary.bridged.is_some() {
        let touched = |e: &cut::Epoch| bridges.touch(e, recipe.sfreq, recipe.epoch_seconds);
        let epochs = &out.summary.cut.epochs;
        let keep: Vec<bool> = epochs.iter().map(|e| !touched(e)).collect();
        out.keep(&keep, c, times, recipe.epoch_seconds);
        retain(&mut flat, &keep, c);
    }
    out.summary.flat = flat.iter().filter(|f| **f).count();
    out.summary.rms = root_mean_squares(powers);
    Ok(out)
}

/// Of sums of squares and the numbers of samples.
pub(super) fn root_mean_squares(powers: Vec<(f64, usize)>) -> Vec<f64> {
    powers
        .into_iter()
        .map(|(sum, count)| (sum / count as f64).sqrt())
        .collect()
}

/// A sample is not finite that was when the file was looked through.
pub(super) fn changed() -> Failed {
    Failed::Other(Error::Empty(
        "the file changed while it was ingested: other samples are not finite".into(),
    ))
}

/// An epoch was planned where the run has no samples.
pub(super) fn outside(epoch: usize) -> Failed {
    Failed::Other(Error::Empty(format!("epoch {epoch} lies outside its run")))
}

impl Epochs {
    /// Leaves epochs out that touch a sample that is not finite, and counts them.
    fn keep(&mut self, keep: &[bool], channels: usize, times: usize, seconds: f64) {
        close_up(&mut self.samples, self.rows, channels * times, keep);
        retain(&mut self.mean, keep, channels);
        retain(&mut self.std, keep, channels);
        leave_out(&mut self.summary.cut, keep, seconds);
    }
}

/// Takes the epochs out that `keep` does not say, and counts them.
pub(super) fn leave_out(cut: &mut Cut, keep: &[bool], seconds: f64) {
    retain(&mut cut.epochs, keep, 1);
    for _ in keep.iter().filter(|k| !**k) {
        cut.drop(bridge::REASON, 1, seconds);
    }
}

/// Keeps the rows of `width` values that `keep` says, in order.
fn retain<T>(values: &mut Vec<T>, keep: &[bool], width: usize) {
    let mut at = 0;
    values.retain(|_| {
        at += 1;
        keep.get((at - 1) / width.max(1)).copied().unwrap_or(true)
    });
}

/// As [`retain`], of rows that lie in parts of `rows` each: all but the last stay full.
fn close_up(parts: &mut Vec<Vec<f32>>, rows: usize, width: usize, keep: &[bool]) {
    let mut kept = 0;
    for (from, _) in keep.iter().enumerate().filter(|(_, k)| **k) {
        let (source, target) = (from / rows, kept / rows);
        let (a, b) = (from % rows * width, kept % rows * width);
        if source == target {
            if let Some(part) = parts.get_mut(source) {
                part.copy_within(a..a + width, b);
            }
        } else if let Some((before, after)) = parts.split_at_mut_checked(source)
            && let (Some(to), Some(from)) = (before.get_mut(target), after.first())
            && let (Some(to), Some(from)) = (to.get_mut(b..b + width), from.get(a..a + width))
        {
            to.copy_from_slice(from);
        }
        kept += 1;
    }
    parts.truncate(kept.div_ceil(rows));
    if let Some(last) = parts.last_mut() {
        last.truncate((kept - (kept - 1) / rows * rows) * width);
    }
}

/// Looks through the channels of a group for samples that are not finite.
fn look(
    bridges: &mut Bridges,
    file: &dyn Recording,
    runs: &[Run],
    group: &[(usize, &Kept)],
) -> Result<(), Failed> {
    for &(position, channel) in group {
        if bridges.knows(position) {
            continue;
        }
        if let Some(why) = bridges.look(position, channel, file, runs)? {
            return Err(Failed::Channel(channel.index, why));
        }
    }
    Ok(())
}

/// Channels by rate; the largest group, of equals the fastest, comes first and its clock counts.
fn lanes(recipe: &Recipe, file: &dyn Recording, channels: &[Kept]) -> Result<Vec<Lane>, Failed> {
    let mut rates: BTreeMap<u64, Vec<usize>> = BTreeMap::new();
    for (position, channel) in channels.iter().enumerate() {
        // Rates are positive, so their bits sort as they do.
        rates
            .entry(channel.sfreq.to_bits())
            .or_default()
            .push(position);
    }
    let mut rates: Vec<(f64, Vec<usize>)> = rates
        .into_iter()
        .map(|(bits, members)| (f64::from_bits(bits), members))
        .collect();
    rates.sort_by(|a, b| b.1.len().cmp(&a.1.len()).then(b.0.total_cmp(&a.0)));
    let several = rates.len() > 1;
    let mut lanes = Vec::with_capacity(rates.len());
    for (sfreq, members) in rates {
        let index = members
            .first()
            .and_then(|&m| channels.get(m))
            .map_or(0, |c| c.index);
        let conditioner = match Conditioner::new(recipe, sfreq) {
            Ok(conditioner) => conditioner,
            Err(e) if several => {
                return Err(Failed::Channel(
                    index,
                    format!("sampled at {sfreq} Hz: {e}"),
                ));
            }
            Err(e) => return Err(e.into()),
        };
        lanes.push(Lane {
            sfreq,
            members,
            runs: file.runs(index),
            conditioner,
        });
    }
    Ok(lanes)
}

/// The stretches that all rates share: as many samples as each of them has after resampling.
/// Stretches that differ by more than a sample of the slower rate are not the same time.
fn spans(lanes: &[Lane], channels: &[Kept]) -> Result<Vec<Span>, Failed> {
    let Some((first, others)) = lanes.split_first() else {
        return Ok(Vec::new());
    };
    let mut spans: Vec<Span> = first.runs.iter().map(|run| first.span(run)).collect();
    for lane in others {
        let near = 1.0 / lane.sfreq.min(first.sfreq) + 1e-9;
        let mine: Vec<Span> = lane.runs.iter().map(|run| lane.span(run)).collect();
        let same = mine.len() == spans.len()
            && mine.iter().zip(&spans).all(|(a, b)| {
                (a.onset - b.onset).abs() <= near && (a.seconds - b.seconds).abs() <= near
            });
        if !same {
            let index = lane
                .members
                .first()
                .and_then(|&m| channels.get(m))
                .map_or(0, |c| c.index);
            let seconds = |s: &[Span]| s.iter().map(|s| s.seconds).sum::<f64>();
            return Err(Failed::Channel(
                index,
                format!(
                    "sampled at {} Hz over {} s, the other channels at {} Hz over {} s",
                    lane.sfreq,
                    seconds(&mine),
                    first.sfreq,
                    seconds(&spans)
                ),
            ));
        }
        for (span, mine) in spans.iter_mut().zip(mine) {
            span.samples = span.samples.min(mine.samples);
            span.unusable = span.unusable.or(mine.unusable);
        }
    }
    Ok(spans)
}

/// What can go wrong between a file and a filter.
pub(super) enum Reading {
    Signal(mmpipe_signal::Error),
    File(mmpipe_formats::Error),
}

impl From<mmpipe_signal::Error> for Reading {
    fn from(e: mmpipe_signal::Error) -> Self {
        Reading::Signal(e)
    }
}

impl From<Reading> for Failed {
    fn from(e: Reading) -> Self {
        match e {
            Reading::Signal(e) => e.into(),
            Reading::File(e) => e.into(),
        }
    }
}

impl Reading {
    /// Whether a sample was not finite.
    pub(super) fn not_finite(&self) -> bool {
        matches!(
            self,
            Reading::Signal(mmpipe_signal::Error::NotFinite { .. })
        )
    }
}

/// A reader of a run (its number and its samples) for a conditioner: µV, with holes bridged.
pub(super) fn microvolts<'a>(
    file: &'a dyn Recording,
    (number, run): (usize, &'a Run),
    group: &'a [(usize, &'a Kept)],
    bridges: &'a Bridges,
) -> impl FnMut(usize, usize, &mut [&mut [f64]]) -> Result<(), Reading> + 'a {
    let indices: Vec<usize> = group.iter().map(|(_, c)| c.index).collect();
    move |first, start, block| {
        let wanted = indices.get(first..first + block.len()).unwrap_or_default();
        file.read_f64(wanted, run.samples.start + start as u64, block)
            .map_err(Reading::File)?;
        for (x, (position, channel)) in block.iter_mut().zip(&group[first..]) {
            if channel.factor != 1.0 {
                x.iter_mut().for_each(|v| *v *= channel.factor);
            }
            if let Some(bridge) = bridges.of(*position, number) {
                bridge.fill(start, x);
            }
        }
        Ok(())
    }
}

/// Filters and resamples up to [`GROUP`] channels of a run (its number and its samples), in µV.
/// True when samples are not finite that `bridges` does not know: it must look first.
fn condition(
    conditioner: &mut Conditioner,
    file: &dyn Recording,
    (number, run): (usize, &Run),
    group: &[(usize, &Kept)],
    bridges: &Bridges,
    out: &mut [Vec<f64>],
) -> Result<bool, Failed> {
    let n = length(run);
    let read = microvolts(file, (number, run), group, bridges);
    let mut views: Vec<&mut [f64]> = out
        .iter_mut()
        .take(group.len())
        .map(Vec::as_mut_slice)
        .collect();
    match conditioner.run(n, group.len(), read, &mut views) {
        Ok(()) => Ok(false),
        Err(e) if e.not_finite() => Ok(true),
        Err(e) => Err(e.into()),
    }
}

/// Scales one channel of one epoch; returns what undoes it and whether the channel is flat.
pub(super) fn normalise(how: Normalise, x: &[f64], out: &mut [f32]) -> (f32, f32, bool) {
    match how {
        Normalise::Divide(by) => {
            out.iter_mut()
                .zip(x)
                .for_each(|(to, v)| *to = (v / by) as f32);
            (0.0, by as f32, stats(x).flat)
        }
        // The only other way there is; a new one must say how it is undone.
        _ => {
            let stats = zscore_f32(x, out);
            (
                stats.mean as f32,
                if stats.flat { 0.0 } else { stats.std as f32 },
                stats.flat,
            )
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn what_is_kept_moves_up_and_parts_stay_full(
            keep in prop::collection::vec(any::<bool>(), 1..40),
            rows in 1usize..7,
            width in 1usize..4,
        ) {
            let whole: Vec<f32> = (0..keep.len() * width).map(|i| i as f32).collect();
            let mut parts: Vec<Vec<f32>> = whole.chunks(rows * width).map(<[f32]>::to_vec).collect();
            let mut want = whole;
            retain(&mut want, &keep, width);
            close_up(&mut parts, rows, width, &keep);
            let want: Vec<Vec<f32>> = want.chunks(rows * width).map(<[f32]>::to_vec).collect();
            prop_assert_eq!(parts, want);
        }
    }
}
