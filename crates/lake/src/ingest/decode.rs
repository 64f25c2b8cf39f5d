//! One recording: raw file to epochs and its row of `recordings`.
//!
//! Memory: the epochs of the whole recording as f32 (they are the shard), and besides them a
//! few channels at a time in f64; of a long recording one piece of all channels. The raw samples
//! are never held whole.

use std::path::Path;

use arrow::array::RecordBatch;
use mmpipe_formats::{Recording, Severity};
use mmpipe_signal::recipe::Recipe;

use super::conditioned::{Failed, Kept, Summary, epochs, plan};
use super::cut::Cut;
use super::hashes::sha256;
use super::rows::{ChannelRow, Dropped, RecordingRow};
use super::work::Work;
use super::{eeg, labels, streamed};
use crate::{Error, Result};

/// Root mean squares after filtering that EEG can have, µV. Outside, the unit is in doubt.
const PLAUSIBLE: std::ops::RangeInclusive<f64> = 0.1..=2000.0;

/// Takes rows of `eeg`.
pub(crate) type Emit<'a> = &'a mut dyn FnMut(RecordBatch) -> Result<()>;

/// Ingests one recording: its rows of `eeg` go to `emit`, in order; its row of `recordings` comes
/// back. An error of the recording becomes a row with status `rejected`, and what was emitted
/// of it before counts for nothing.
pub(crate) fn recording(work: &Work, raw: &Path, recipe: &Recipe, emit: Emit) -> RecordingRow {
    let mut row = RecordingRow::planned(work, recipe);
    if let Err(e) = fill(work, raw, recipe, &mut row, emit) {
        row.reject(e.to_string());
    }
    row
}

fn fill(
    work: &Work,
    raw: &Path,
    recipe: &Recipe,
    row: &mut RecordingRow,
    emit: Emit,
) -> Result<()> {
    let file = open(work, raw)?;
    let header = file.header();
    row.container = Some(header.container.to_string());
    row.bytes = i64::try_from(header.bytes).unwrap_or(i64::MAX);
    row.seconds = header.seconds;
    row.sha256 = Some(match &work.sha256 {
        Some(known) => known.clone(),
        None => sha256(header.files.iter().map(|f| f.as_path()))?,
    });
    if let Some(damage) = header
        .diagnostics
        .iter()
        .find(|d| d.severity == Severity::Damaged)
    {
        return Err(Error::Empty(format!("{}: {}", damage.code, damage.message)));
    }
    let notes: Vec<String> = header
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Warning)
        .map(|d| format!("{}: {}", d.code, d.message))
        .collect();

    let mut channels = check_channels(work, file.as_ref())?;
    let done = without_unusable(row, &mut channels, |channels| {
        signal(work, recipe, file.as_ref(), channels, emit)
    })?;
    row.n_channels = i32::try_from(channels.len()).ok();
    row.sfreq = channels.first().map(|c| c.sfreq);
    row.seconds = done.seconds;
    row.epochs = done.cut.epochs.len() as i64;
    row.dropped = dropped(&done.cut);
    row.note(notes);
    if done.flat > 0 {
        row.note([format!(
            "{} flat channel epochs are stored as zeros",
            done.flat
        )]);
    }
    row.note(done.bridged.clone());
    row.note(implausible(&channels, &done));
    Ok(())
}

/// What a recording will come to: its gaps, rates and lengths as the file has them, its samples
/// unseen. Those that are not finite cost epochs later.
///
/// # Errors
/// The file cannot be opened, or not as planned; then only the scan's lengths are known.
pub(crate) fn outline(work: &Work, raw: &Path, recipe: &Recipe) -> Result<RecordingRow> {
    let mut row = RecordingRow::planned(work, recipe);
    let file = open(work, raw)?;
    let mut channels = check_channels(work, file.as_ref())?;
    let plan = without_unusable(&mut row, &mut channels, |channels| {
        plan(work, recipe, file.as_ref(), channels)
    })?;
    row.seconds = plan.seconds();
    row.epochs = plan.cut.epochs.len() as i64;
    row.dropped = dropped(&plan.cut);
    Ok(row)
}

fn open(work: &Work, raw: &Path) -> Result<Box<dyn Recording>> {
    let path = raw.join(work.raw_file());
    match &work.tree {
        None => Ok(mmpipe_formats::open(&path)?),
        Some(tree) => mmpipe_corpora::open_part(&path, tree).map_err(Error::Empty),
    }
}

/// Makes something of a recording's channels. One that cannot be used is left out with its reason
/// in the row: it must not take the others with it.
fn without_unusable<T>(
    row: &mut RecordingRow,
    channels: &mut Vec<Kept>,
    mut make: impl FnMut(&[Kept]) -> std::result::Result<T, Failed>,
) -> Result<T> {
    loop {
        match make(channels) {
            Ok(made) => return Ok(made),
            Err(Failed::Channel(bad, why)) => {
                let at = channels.iter().position(|c| c.index == bad);
                let Some(at) = at.filter(|_| channels.len() > 1) else {
                    return Err(Error::Empty(format!("every EEG channel {why}")));
                };
                channels.remove(at);
                if let Some(described) = row.channels.get_mut(bad) {
                    described.reason = Some(why);
                }
            }
            Err(Failed::Other(e)) => return Err(e),
        }
    }
}

/// Makes the epochs, in memory or piece by piece.
fn signal(
    work: &Work,
    recipe: &Recipe,
    file: &dyn Recording,
    channels: &[Kept],
    emit: Emit,
) -> std::result::Result<Summary, Failed> {
    let plan = plan(work, recipe, file, channels)?;
    if !plan.fits(channels.len(), recipe.epoch_samples()) {
        return streamed::stream(
            streamed::PIECE_BYTES,
            plan,
            work,
            recipe,
            file,
            channels,
            emit,
        );
    }
    let done = epochs(plan, recipe, file, channels)?;
    let labels = labels::of_epochs(work, &done.summary.cut, recipe.epoch_seconds);
    let table = eeg::Table::new(work, recipe, channels)?;
    Ok(eeg::batches(&table, done, &labels, emit)?)
}

/// Compares the plan with the header: both come from the same file, but at different times.
fn check_channels(work: &Work, file: &dyn Recording) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for channel in work.kept() {
        let index = channel.index as usize;
        let found = file.header().channels.get(index);
        match (found, &channel.name, channel.to_microvolts) {
            (Some(found), Some(name), Some(factor)) if found.name == channel.raw_name => {
                kept.push(Kept {
                    index,
                    name: name.clone(),
                    factor,
                    sfreq: found.sfreq,
                });
            }
            _ => {
                return Err(Error::Empty(format!(
                    "channel {index} was planned as {:?}, the file has {:?}: it changed while it was ingested",
                    channel.raw_name,
                    found.map(|f| f.name.as_str())
                )));
            }
        }
    }
    match kept.first() {
        None => Err(Error::Empty(match work.channels.first() {
            Some(c) => format!(
                "no EEG channel is kept (first of {}: {:?}, {})",
                work.channels.len(),
                c.raw_name,
                c.reason.as_deref().unwrap_or("no reason")
            ),
            None => "the file has no channels".into(),
        })),
        Some(_) => Ok(kept),
    }
}

/// Says which channels are too small or too large for EEG; they are kept as they are.
fn implausible(channels: &[Kept], done: &Summary) -> Option<String> {
    let (mut names, mut least, mut most) = (Vec::new(), f64::INFINITY, 0.0_f64);
    for (channel, &rms) in channels.iter().zip(&done.rms) {
        // A flat channel is counted elsewhere.
        if rms > 0.0 && !PLAUSIBLE.contains(&rms) {
            names.push(channel.name.as_str());
            (least, most) = (least.min(rms), most.max(rms));
        }
    }
    let count = names.len();
    names.truncate(4);
    (count > 0).then(|| {
        format!(
            "implausible-amplitude: the root mean square of {count} of {} channels ({}{}) is {least:.3e} to \
             {most:.3e} µV after filtering, expected {} to {}: is the unit right?",
            channels.len(),
            names.join(", "),
            if count > names.len() { ", ..." } else { "" },
            PLAUSIBLE.start(),
            PLAUSIBLE.end()
        )
    })
}

/// The account of what is in no epoch.
pub(crate) fn dropped(cut: &Cut) -> Vec<Dropped> {
    cut.dropped
        .iter()
        .map(|(reason, (epochs, seconds))| Dropped {
            reason: reason.clone(),
            epochs: *epochs,
            seconds: *seconds,
        })
        .collect()
}

/// What the file's channels become, for `recordings`.
pub(crate) fn channel_rows(work: &Work) -> Vec<ChannelRow> {
    work.channels
        .iter()
        .map(|c| ChannelRow {
            raw_name: c.raw_name.clone(),
            kind: c.kind.clone(),
            name: c.name.clone(),
            unit: c.unit.clone(),
            reason: c.reason.clone(),
            distance: c.distance,
        })
        .collect()
}
