//! Triggers in a channel of a recording: every step away from the value at rest.

use mmpipe_formats::Recording;

use super::note::{Note, without_path};
use crate::manifest::{Baseline, TriggerRule};

/// Samples read at once.
const BLOCK: usize = 1 << 16;

/// Most changes of a channel: beyond, it holds a signal and no triggers.
const MOST: usize = 1 << 20;

/// Blocks after which the pages of the file are given back: of a multiplexed file one channel
/// lies in all of them.
const RELEASE: u64 = 16;

/// How long a value must hold from the start to be the value at rest, s.
const REST: f64 = 5.0;

/// A step away from the value at rest.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pulse {
    /// First sample, counted in the channel's own samples.
    pub(super) sample: u64,
    /// Its time, s.
    pub(super) onset: f64,
    /// Until the next change, s; `None` where the run ends before.
    pub(super) duration: Option<f64>,
    /// Value above (or below) that at rest.
    pub(super) value: f64,
}

/// A stretch of equal values.
#[derive(Debug, Clone, Copy)]
struct Stretch {
    start: u64,
    length: u64,
    value: f64,
}

/// Triggers of all rules that match, by channel; what is amiss becomes a diagnostic.
pub(super) fn read(
    path: &str,
    recording: &dyn Recording,
    rules: &[TriggerRule],
    notes: &mut Vec<Note>,
) -> Vec<(String, Pulse)> {
    let mut out = Vec::new();
    for rule in rules.iter().filter(|r| r.pattern.is_match(path)) {
        let header = recording.header();
        let found = header.channels.iter().position(|c| c.name == rule.channel);
        let Some(channel) = found else {
            let last = header.channels.iter().rev().take(4).rev();
            let last: Vec<&str> = last.map(|c| c.name.as_str()).collect();
            let message = format!(
                "expected a channel called `{}`, found {}, the last of them {}",
                rule.channel,
                header.channels.len(),
                last.join(", ")
            );
            notes.push(Note::warning(path, "trigger-channel-missing", message));
            continue;
        };
        match pulses(recording, channel, rule.baseline) {
            Ok(pulses) if pulses.is_empty() => {
                let message = format!("channel {} never leaves its value at rest", rule.channel);
                notes.push(Note::warning(path, "no-triggers", message));
            }
            Ok(pulses) => out.extend(pulses.into_iter().map(|p| (rule.channel.clone(), p))),
            Err(why) => {
                let message = format!("channel {}: {why}", rule.channel);
                notes.push(Note::warning(path, "triggers-unreadable", message));
            }
        }
    }
    out
}

/// The steps of one channel away from its value at rest. A run starts anew: what it starts with
/// is no step.
fn pulses(
    recording: &dyn Recording,
    channel: usize,
    baseline: Baseline,
) -> Result<Vec<Pulse>, String> {
    let header = recording.header();
    let Some(info) = header.channels.get(channel) else {
        return Err("no such channel".into());
    };
    let runs = recording.runs(channel);
    let mut stretches: Vec<Vec<Stretch>> = Vec::with_capacity(runs.len());
    let mut total = 0;
    let mut block = vec![0.0; BLOCK];
    for run in &runs {
        let mut found: Vec<Stretch> = Vec::new();
        let mut at = run.samples.start;
        let mut blocks = 0;
        while at < run.samples.end {
            let n = (run.samples.end - at).min(BLOCK as u64) as usize;
            let part = block.get_mut(..n).unwrap_or_default();
            recording
                .read_f64(&[channel], at, &mut [part])
                .map_err(|e| without_path(&header.path, &e))?;
            for (x, sample) in part.iter().zip(at..) {
                match found.last_mut() {
                    // What is not a number says of no change.
                    Some(last) if last.value == *x || x.is_nan() => last.length += 1,
                    None if x.is_nan() => {}
                    _ => {
                        found.push(Stretch {
                            start: sample,
                            length: 1,
                            value: *x,
                        });
                        total += 1;
                        if total > MOST {
                            return Err(format!(
                                "more than {MOST} changes: it holds a signal, not triggers"
                            ));
                        }
                    }
                }
            }
            at += n as u64;
            blocks += 1;
            if blocks % RELEASE == 0 {
                recording.release();
            }
        }
        recording.release();
        stretches.push(found);
    }
    let Some(rest) = at_rest(&stretches, baseline, info.sfreq) else {
        return Ok(Vec::new());
    };
    let away = |s: &Stretch| (s.value - rest).abs();
    let mut out = Vec::new();
    for (run, found) in runs.iter().zip(&stretches) {
        for (k, pair) in found.windows(2).enumerate() {
            let [before, s] = pair else { continue };
            if away(s) > away(before) {
                let seconds = |samples: u64| samples as f64 / info.sfreq;
                out.push(Pulse {
                    sample: s.start,
                    onset: run.onset + seconds(s.start - run.samples.start),
                    duration: (k + 2 < found.len()).then(|| seconds(s.length)),
                    value: s.value - rest,
                });
            }
        }
    }
    Ok(out)
}

/// The value at rest; `None` without samples.
fn at_rest(stretches: &[Vec<Stretch>], baseline: Baseline, sfreq: f64) -> Option<f64> {
    let first = stretches.iter().flatten().next()?;
    if baseline == Baseline::Start && first.length as f64 >= REST * sfreq {
        return Some(first.value);
    }
    let mut all: Vec<&Stretch> = stretches.iter().flatten().collect();
    all.sort_by(|a, b| a.value.total_cmp(&b.value));
    let half = all.iter().map(|s| s.length).sum::<u64>().div_ceil(2);
    let mut below = 0;
    for s in all {
        below += s.length;
        if below >= half {
            return Some(s.value);
        }
    }
    None
}
