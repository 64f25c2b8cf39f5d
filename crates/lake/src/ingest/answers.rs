//! The table `channels` and the answer of the trials query, checked.

use std::collections::{BTreeMap, BTreeSet};

use super::raw::Rows;
use super::work::{WorkChannel, WorkTrial};
use crate::Result;

/// Table `channels`, by path.
pub(crate) fn read_channels(
    rows: &Rows,
    mixed_rates: bool,
) -> Result<BTreeMap<String, Vec<WorkChannel>>> {
    let mut out: BTreeMap<String, Vec<WorkChannel>> = BTreeMap::new();
    let (path, index) = (rows.text("path")?, rows.long("channel")?);
    let (raw_name, kind, name) = (
        rows.text("raw_name")?,
        rows.text("kind")?,
        rows.text("name")?,
    );
    let (unit, factor, sfreq) = (
        rows.text("unit")?,
        rows.double("to_microvolts")?,
        rows.double("sfreq")?,
    );
    let (keep, reason) = (rows.flag("keep")?, rows.text("reason")?);
    let distance = rows.double_or_absent("distance")?;
    for i in 0..rows.len() {
        let (Some(path), Some(index)) = (path.get(i), index.get(i)) else {
            return Err(rows.wrong("channels need path and channel"));
        };
        let keep = keep.get(i).unwrap_or(false);
        let mut channel = WorkChannel {
            index: u32::try_from(index)
                .map_err(|_| rows.wrong(format!("channel {index} is not an index")))?,
            raw_name: raw_name.get(i).unwrap_or_default(),
            kind: kind.get(i).unwrap_or_default(),
            name: name.get(i),
            unit: unit.get(i),
            to_microvolts: factor.get(i),
            sfreq: sfreq.get(i).unwrap_or(f64::NAN),
            reason: reason.get(i),
            distance: distance.get(i),
        };
        channel.reason = match (keep, channel.reason.take()) {
            (true, _) => not_usable(&channel),
            (false, None) => Some("not kept, and the manifest gives no reason".into()),
            (false, reason) => reason,
        };
        out.entry(path).or_default().push(channel);
    }
    out.values_mut()
        .for_each(|channels| one_rate_one_name(channels, mixed_rates));
    Ok(out)
}

/// Why a channel that the manifest keeps cannot be ingested.
fn not_usable(channel: &WorkChannel) -> Option<String> {
    if channel.name.is_none() {
        Some("it has no canonical name".into())
    } else if channel
        .to_microvolts
        .is_none_or(|f| !f.is_finite() || f == 0.0)
    {
        Some(format!(
            "unit {:?} is not a voltage",
            channel.unit.as_deref().unwrap_or("")
        ))
    } else if !(channel.sfreq > 0.0 && channel.sfreq.is_finite()) {
        Some(format!("its sampling rate is {} Hz", channel.sfreq))
    } else {
        None
    }
}

/// An epoch holds each name once, and unless the manifest wants `mixed_rates` channels of one
/// rate: the commonest (the higher of two equally common) and the first of a name stay.
fn one_rate_one_name(channels: &mut [WorkChannel], mixed_rates: bool) {
    let mut rates: Vec<(f64, usize)> = Vec::new();
    for c in channels.iter().filter(|c| c.reason.is_none()) {
        match rates.iter_mut().find(|(rate, _)| *rate == c.sfreq) {
            Some((_, n)) => *n += 1,
            None => rates.push((c.sfreq, 1)),
        }
    }
    let Some(&(rate, _)) = rates
        .iter()
        .max_by(|a, b| a.1.cmp(&b.1).then(a.0.total_cmp(&b.0)))
    else {
        return;
    };
    let mut names = BTreeSet::new();
    for c in channels.iter_mut().filter(|c| c.reason.is_none()) {
        if c.sfreq != rate && !mixed_rates {
            c.reason = Some(format!(
                "sampled at {} Hz, most channels at {rate} Hz",
                c.sfreq
            ));
        } else if !names.insert(c.name.clone()) {
            c.reason = Some(format!(
                "a second channel called {}",
                c.name.as_deref().unwrap_or_default()
            ));
        }
    }
}

/// Answer of the trials query, by path, in order of trial.
pub(crate) fn read_trials(
    rows: &Rows,
    labels: &[String],
) -> Result<BTreeMap<String, Vec<WorkTrial>>> {
    let mut out: BTreeMap<String, Vec<WorkTrial>> = BTreeMap::new();
    let (path, trial) = (rows.text("path")?, rows.long("trial")?);
    let (start, stop) = (rows.double("start")?, rows.double("stop")?);
    let (label, label_name) = (
        rows.long_or_absent("label")?,
        rows.text_or_absent("label_name")?,
    );
    let (task, auditory) = (
        rows.text_or_absent("task")?,
        rows.text_or_absent("auditory_type")?,
    );
    let (content, dropped) = (
        rows.text_or_absent("content_id")?,
        rows.text_or_absent("drop_reason")?,
    );
    let rejected = rows.flag_or_absent("rejected")?;
    for i in 0..rows.len() {
        let (Some(path), Some(trial)) = (path.get(i), trial.get(i)) else {
            return Err(rows.wrong(format!("row {i} has no path or no trial number")));
        };
        let small = |v: i64, what: &str| {
            i32::try_from(v).map_err(|_| rows.wrong(format!("{what} {v} does not fit 32 bits")))
        };
        let label = label.get(i).map(|v| small(v, "label")).transpose()?;
        let named = label.and_then(|l| labels.get(usize::try_from(l).ok()?).cloned());
        out.entry(path).or_default().push(WorkTrial {
            trial: small(trial, "trial")?,
            start: start.get(i),
            stop: stop.get(i),
            label,
            label_name: label_name.get(i).or(named),
            task: task.get(i),
            auditory_type: auditory.get(i),
            content_id: content.get(i),
            drop_reason: dropped.get(i),
            streams: Vec::new(),
            heard: None,
            rejected: rejected.get(i),
        });
    }
    for (path, trials) in &mut out {
        trials.sort_by_key(|t| t.trial);
        if let Some(pair) = trials
            .windows(2)
            .find(|p| matches!(p, [a, b] if a.trial == b.trial))
        {
            return Err(rows.wrong(format!("two rows for trial {} of {path:?}", pair[0].trial)));
        }
    }
    Ok(out)
}
