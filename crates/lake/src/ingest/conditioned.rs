//! The signal of one recording: filtered, resampled, cut and normalised, a few channels at a time.

use std::collections::BTreeMap;

use mmpipe_formats::{Recording, Run};
use mmpipe_signal::epochs::{power, stats, zscore_f32};
use mmpipe_signal::pipeline::{Conditioner, GROUP};
use mmpipe_signal::recipe::{Normalise, Recipe};

use super::cut::{self, Bounds, Cut, Span};
use super::work::Work;
use crate::Error;

/// Bytes of samples that are written together.
const PART_BYTES: usize = 1 << 20;

/// A channel that will be read.
pub(super) struct Kept {
    pub(super) index: usize,
    pub(super) name: String,
    pub(super) factor: f64,
    pub(super) sfreq: f64,
}

/// Everything that is written of a recording's signal.
pub(super) struct Epochs {
    pub(super) cut: Cut,
    pub(super) seconds: f64,
    /// Epochs in one part of `samples`.
    pub(super) rows: usize,
    /// epoch × channel × time, in parts of `rows` epochs: one allocation of everything would go
    /// back to the system with each recording and be cleared again for the next.
    pub(super) samples: Vec<Vec<f32>>,
    /// epoch × channel.
    pub(super) mean: Vec<f32>,
    pub(super) std: Vec<f32>,
    pub(super) flat: usize,
    /// Root mean square of each channel after conditioning, µV; NaN where nothing was cut.
    pub(super) rms: Vec<f64>,
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
struct Lane {
    sfreq: f64,
    /// Positions among the kept channels.
    members: Vec<usize>,
    runs: Vec<Run>,
    conditioner: Conditioner,
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

fn length(run: &Run) -> usize {
    run.samples.end.saturating_sub(run.samples.start) as usize
}

/// Cuts and fills the epochs of a recording.
pub(super) fn epochs(
    work: &Work,
    recipe: &Recipe,
    file: &dyn Recording,
    channels: &[Kept],
) -> Result<Epochs, Failed> {
    let mut lanes = lanes(recipe, file, channels)?;
    let spans = spans(&lanes, channels)?;
    let bounds: Vec<Bounds> = work.trials.iter().map(|t| t.bounds()).collect();
    let cut = cut::cut(&spans, &bounds, recipe.sfreq, recipe.epoch_seconds);

    let times = recipe.epoch_samples();
    let (n, c) = (cut.epochs.len(), channels.len());
    let rows = (PART_BYTES / (c * times * 4).max(1)).max(1);
    let mut out = Epochs {
        seconds: spans.iter().map(|s| s.seconds).sum(),
        rows,
        samples: (0..n)
            .step_by(rows)
            .map(|first| vec![0.0; rows.min(n - first) * c * times])
            .collect(),
        mean: vec![0.0; n * c],
        std: vec![0.0; n * c],
        flat: 0,
        rms: Vec::new(),
        cut,
    };
    let mut powers = vec![(0.0, 0_usize); c];
    for s in 0..spans.len() {
        let wanted: Vec<(usize, usize)> = out
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
                let group: Vec<&Kept> = members.iter().filter_map(|&m| channels.get(m)).collect();
                condition(&mut lane.conditioner, file, run, &group, &mut conditioned)?;
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
                            return Err(Failed::Other(Error::Empty(format!(
                                "epoch {epoch} lies outside its run"
                            ))));
                        };
                        let (mean, std, flat) = normalise(recipe.normalise, x, to);
                        out.mean[at] = mean;
                        out.std[at] = std;
                        out.flat += usize::from(flat);
                    }
                }
            }
        }
    }
    out.rms = powers
        .into_iter()
        .map(|(sum, count)| (sum / count as f64).sqrt())
        .collect();
    Ok(out)
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

/// Why a channel that no filter can work on is left out.
const NOT_FINITE: &str = "holds values that are not finite";

/// Filters and resamples up to [`GROUP`] channels of a run, in µV.
fn condition(
    conditioner: &mut Conditioner,
    file: &dyn Recording,
    run: &Run,
    group: &[&Kept],
    out: &mut [Vec<f64>],
) -> Result<(), Failed> {
    enum E {
        Signal(mmpipe_signal::Error),
        File(mmpipe_formats::Error),
    }
    impl From<mmpipe_signal::Error> for E {
        fn from(e: mmpipe_signal::Error) -> Self {
            E::Signal(e)
        }
    }
    let indices: Vec<usize> = group.iter().map(|c| c.index).collect();
    let n = (run.samples.end - run.samples.start) as usize;
    let read = |first: usize, start: usize, block: &mut [&mut [f64]]| -> Result<(), E> {
        let wanted = indices.get(first..first + block.len()).unwrap_or_default();
        file.read_f64(wanted, run.samples.start + start as u64, block)
            .map_err(E::File)?;
        for (x, channel) in block.iter_mut().zip(&group[first..]) {
            if channel.factor != 1.0 {
                x.iter_mut().for_each(|v| *v *= channel.factor);
            }
        }
        Ok(())
    };
    let mut views: Vec<&mut [f64]> = out
        .iter_mut()
        .take(group.len())
        .map(Vec::as_mut_slice)
        .collect();
    match conditioner.run(n, group.len(), read, &mut views) {
        Ok(()) => Ok(()),
        Err(E::Signal(mmpipe_signal::Error::NotFinite { channel, sample })) => {
            match group.get(channel) {
                Some(bad) => Err(Failed::Channel(bad.index, NOT_FINITE.to_owned())),
                None => Err(mmpipe_signal::Error::NotFinite { channel, sample }.into()),
            }
        }
        Err(E::Signal(e)) => Err(e.into()),
        Err(E::File(e)) => Err(e.into()),
    }
}

/// Scales one channel of one epoch; returns what undoes it and whether the channel is flat.
fn normalise(how: Normalise, x: &[f64], out: &mut [f32]) -> (f32, f32, bool) {
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
