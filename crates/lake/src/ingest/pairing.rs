//! Trials and their sounds: which sounds are wanted in which grids, which of them are there, and
//! what of each trial they fill.
//!
//! A sound that is not on disk or cannot be read costs the trial that sound, not the trial; a
//! trial without any sound left is one of EEG alone. A choice among fewer sounds than were played
//! is another choice: where one of three or more is lost, the rivals that are left go too. Where a
//! trial has sounds, its epochs are those that every one of them fills.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use arrow::array::{Array, AsArray};
use futures::{StreamExt, stream};
use mmpipe_corpora::{Scan, StimulusRef};

use super::grid;
use super::plan::Plan;
use super::report::{BeyondEeg, IngestReport};
use super::resume::Earlier;
use super::rows;
use super::sounds::{self, Place, Request};
use super::stimuli::{MISSING, SOUND, StimulusRow};
use super::streams::Stream;
use super::work::{Work, WorkStream};
use super::{Error, Job, Result};

/// Sounds that may be on their way to the disk while the next are made; each holds one row group.
const COMMITS: usize = 4;

/// Decodes the sounds that trials refer to, writes their segments, and puts their keys into the
/// work list.
pub(super) async fn store(
    job: &Job<'_>,
    scan: &Scan,
    plan: &mut Plan,
    earlier: &mut Earlier,
    report: &mut IngestReport,
) -> Result<()> {
    let requests = requests(job, scan, plan, Some(earlier));
    let mut done = stream::iter(requests)
        .map(|request| tokio::task::spawn_blocking(move || request.store()))
        .buffered(job.threads)
        .map(|made| async {
            let made = made.map_err(stopped)??;
            let row = tokio::task::spawn_blocking(move || made.commit()).await;
            row.map_err(stopped)?
        })
        .buffered(COMMITS);
    while let Some(result) = done.next().await {
        let row = result?;
        job.progress.stimulus(&row);
        earlier.stimuli.insert(row.path.clone(), row.clone());
        report.stimuli.push(row);
    }
    drop(done);
    if !report.stimuli.is_empty() {
        earlier.save_stimuli(job.lake)?;
    }
    fill(job, plan, report);
    Ok(())
}

fn stopped(e: tokio::task::JoinError) -> Error {
    Error::Empty(format!("a worker stopped: {e}"))
}

/// As [`store`], from the headers of the sounds alone, and nothing is written.
pub(super) fn look(job: &Job<'_>, scan: &Scan, plan: &mut Plan, report: &mut IngestReport) {
    let requests = requests(job, scan, plan, None);
    report.stimuli = requests.iter().map(Request::look).collect();
    fill(job, plan, report);
}

/// The sample of a sound, at the recipe's rate, that is heard when a trial starts.
fn offset(job: &Job<'_>, stream: &Stream) -> i64 {
    (stream.offset * f64::from(job.recipe.audio.sfreq)).round() as i64
}

/// Every sound that a trial of this ingest refers to, and where in it they start.
fn requests(job: &Job<'_>, scan: &Scan, plan: &Plan, earlier: Option<&Earlier>) -> Vec<Request> {
    let wanted: BTreeSet<&str> = plan.works.iter().map(|w| w.path.as_str()).collect();
    // Rates are positive, so their bits sort as they do.
    let mut plays: BTreeMap<&str, BTreeSet<(i64, u64)>> = BTreeMap::new();
    for ((path, _), streams) in &plan.streams {
        if wanted.contains(path.as_str()) {
            for s in streams {
                let play = (offset(job, s), s.rate.to_bits());
                plays.entry(&s.stimulus).or_default().insert(play);
            }
        }
    }
    plays
        .into_iter()
        .map(|(path, plays)| Request {
            lake: job.lake.root().to_path_buf(),
            place: place(job, scan, path),
            recipe: job.recipe.clone(),
            dataset: scan.dataset.clone(),
            path: path.to_string(),
            sound: plan.sounds.get(path).cloned().unwrap_or_default(),
            plays: plays
                .into_iter()
                .map(|(offset, rate)| (offset, f64::from_bits(rate)))
                .collect(),
            earlier: earlier.and_then(|e| e.stimuli.get(path)).cloned(),
            ahead: job.ahead.clone(),
        })
        .collect()
}

/// Where a stimulus lies: in the raw folder, unpacked from an archive, or inside one of the files.
pub(super) fn place(job: &Job<'_>, scan: &Scan, stimulus: &str) -> Place {
    let at = |path: &str| {
        let below = || job.raw.join(path);
        scan.places.get(path).cloned().unwrap_or_else(below)
    };
    let file = |path: &str| Some(at(path)).filter(|file| file.is_file());
    let id = StimulusRef::parse(stimulus);
    let sound = id.sound();
    if let Some(part) = scan.sounds.get(&sound) {
        return Place::Array {
            file: at(&part.file),
            tree: part.tree.clone(),
            channel: id.channel,
            envelope: part.envelope,
        };
    }
    match (file(stimulus), file(&sound)) {
        (Some(whole), _) => Place::File(whole, None),
        (None, Some(file)) => Place::File(file, id.channel),
        (None, None) => Place::Missing(
            said(scan, &sound).unwrap_or_else(|| "it is not in the raw folder".into()),
        ),
    }
}

/// What the scan says of a path that it lists and does not use.
fn said(scan: &Scan, path: &str) -> Option<String> {
    let files = scan.table("files")?;
    let text = |name: &str| files.column_by_name(name)?.as_string_opt::<i32>();
    let (paths, reasons) = (text("path")?, text("reason")?);
    let row = (0..files.num_rows()).find(|&i| paths.is_valid(i) && paths.value(i) == path)?;
    reasons
        .is_valid(row)
        .then(|| reasons.value(row).to_string())
}

/// Puts the sounds that are there into the work list, and says which are not.
fn fill(job: &Job<'_>, plan: &mut Plan, report: &mut IngestReport) {
    let audio = &job.recipe.audio;
    let sfreq = f64::from(audio.sfreq);
    let mut lengths: HashMap<&str, i64> = HashMap::new();
    for row in &report.stimuli {
        if let (rows::OK, SOUND, Some(seconds)) =
            (row.status.as_str(), row.kind.as_str(), row.seconds)
        {
            lengths.insert(&row.path, (seconds * sfreq).round() as i64);
        }
    }
    let missing: BTreeSet<&str> = report
        .stimuli
        .iter()
        .filter(|s| s.status == MISSING)
        .map(|s| s.path.as_str())
        .collect();
    let lost: BTreeSet<&str> = report
        .stimuli
        .iter()
        .filter(|s| s.status != rows::OK)
        .map(|s| s.path.as_str())
        .collect();
    let (mut poorer, mut silent, mut unasked) = (0, 0, 0);
    for work in &mut plan.works {
        for trial in &mut work.trials {
            let Some(streams) = plan.streams.get(&(work.path.clone(), trial.trial)) else {
                continue;
            };
            trial.streams = streams
                .iter()
                .filter_map(|s| {
                    Some(WorkStream {
                        stimulus_id: sounds::stimulus_id(&work.dataset, &s.stimulus),
                        role: s.role.clone(),
                        offset: offset(job, s),
                        length: *lengths.get(s.stimulus.as_str())?,
                        rate: s.rate,
                        side: s.side.clone(),
                    })
                })
                .collect();
            // A sound that was only heard is no choice.
            let mut choices = streams.iter().filter(|s| s.role != "heard");
            if choices.any(|s| lost.contains(s.stimulus.as_str())) {
                unasked += usize::from(take_back(&mut trial.streams));
            }
            trial.heard = grid::heard(&trial.streams, audio);
            if streams
                .iter()
                .any(|s| missing.contains(s.stimulus.as_str()))
            {
                poorer += 1;
                silent += usize::from(trial.streams.is_empty());
            }
        }
    }
    report.notes.extend(notes(&report.stimuli, poorer, silent));
    if unasked > 0 {
        report.notes.push(format!(
            "incomplete-choice: {unasked} trials lack one of three or more sounds; the other rivals of the one attended \
             are left out of them too, so that no choice is among fewer sounds than were played"
        ));
    }
    report.notes.extend(without_trial(plan));
    report.beyond_eeg = beyond_eeg(&plan.works, &plan.seconds, sfreq);
}

/// Takes the rivals out of a trial that lacks a sound and could still be asked which of the others
/// was attended; whether there were any.
fn take_back(streams: &mut Vec<WorkStream>) -> bool {
    let is = |s: &WorkStream, roles: [&str; 2]| roles.contains(&s.role.as_str());
    let rival = |s: &WorkStream| is(s, ["unattended", "candidate"]);
    let asked = streams.iter().any(|s| is(s, ["attended", "target"])) && streams.iter().any(rival);
    if asked {
        streams.retain(|s| !rival(s));
    }
    asked
}

/// Says which sounds belong to no trial of their recording.
fn without_trial(plan: &Plan) -> Option<String> {
    let trials: HashMap<&str, BTreeSet<i32>> = plan
        .works
        .iter()
        .map(|w| (w.path.as_str(), w.trials.iter().map(|t| t.trial).collect()))
        .collect();
    let lost: BTreeSet<(&str, i32)> = plan
        .streams
        .keys()
        .map(|(path, trial)| (path.as_str(), *trial))
        .filter(|(path, trial)| trials.get(path).is_some_and(|t| !t.contains(trial)))
        .collect();
    let (path, trial) = lost.first()?;
    Some(format!(
        "streams-without-trial: the streams query names {} trials that the trials query does not have, the first: \
         {path}, trial {trial}; their sounds are not used",
        lost.len()
    ))
}

/// Remarks on the sounds that cannot be used, and on those that can be but are not whole.
fn notes(stimuli: &[StimulusRow], poorer: usize, silent: usize) -> Vec<String> {
    let of = |status: &'static str| stimuli.iter().filter(move |s| s.status == status);
    let mut notes = Vec::new();
    let missing: Vec<&str> = of(MISSING).map(|s| s.path.as_str()).collect();
    if let Some(first) = missing.first() {
        notes.push(format!(
            "missing-sounds: {} of {} sounds are not in the raw folder, the first: {first}; {poorer} trials are kept \
             without them, {silent} of these as EEG alone",
            missing.len(),
            stimuli.len(),
        ));
    }
    let why = |s: &StimulusRow| s.reason.clone().unwrap_or_else(|| "cannot be read".into());
    notes.extend(
        of(rows::REJECTED).map(|s| format!("{}: {}; trials are kept without it", s.path, why(s))),
    );
    let remarked = of(rows::OK).filter(|s| s.reason.is_some());
    notes.extend(remarked.map(|s| format!("{}: {}", s.path, why(s))));
    notes
}

/// The sound that goes on where the EEG of a trial has ended, by what the headers say.
fn beyond_eeg(works: &[Work], lengths: &BTreeMap<String, f64>, sfreq: f64) -> BeyondEeg {
    let mut sum = BeyondEeg::default();
    for work in works {
        let end = lengths.get(&work.path).copied().unwrap_or(0.0);
        for trial in work.trials.iter().filter(|t| t.drop_reason.is_none()) {
            let start = trial.start.unwrap_or(0.0);
            let eeg = trial.stop.map_or(end, |stop| stop.min(end)) - start;
            let until = trial
                .streams
                .iter()
                .map(|s| (s.length - s.offset) as f64 / sfreq * s.rate)
                .fold(f64::INFINITY, f64::min);
            let rest = until - eeg.max(0.0);
            // Less than a sample of 16 kHz is rounding.
            if until.is_finite() && rest > 1.0 / sfreq {
                sum.trials += 1;
                sum.seconds += rest;
            }
        }
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_trial_that_lacks_a_sound_asks_nothing_and_keeps_what_tells_something() {
        let left = |roles: &[&str]| {
            let stream = |role: &&str| WorkStream {
                role: (*role).to_owned(),
                ..WorkStream::default()
            };
            let mut streams: Vec<WorkStream> = roles.iter().map(stream).collect();
            let asked = take_back(&mut streams);
            (
                asked,
                streams.into_iter().map(|s| s.role).collect::<Vec<_>>(),
            )
        };
        assert_eq!(
            left(&["candidate", "target"]),
            (true, vec!["target".into()])
        );
        assert_eq!(left(&["attended"]), (false, vec!["attended".into()]));
        assert_eq!(left(&["unattended"]), (false, vec!["unattended".into()]));
        assert_eq!(left(&["heard", "heard"]).1.len(), 2);
        assert_eq!(left(&[]), (false, vec![]));
    }
}
