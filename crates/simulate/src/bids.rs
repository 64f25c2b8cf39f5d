//! Side-cars of the raw BIDS folder (BIDS 1.10, EEG: doi:10.1038/s41597-019-0104-8).

use crate::Result;
use crate::config::TwoTalker;
use crate::files::Staging;
use crate::montage::Point;
use crate::random::{stream, uniform};
use crate::truth::{TrialTruth, Truth};
use rand::Rng;
use serde_json::json;

/// Radius of the simulated head in metres.
const RADIUS: f64 = 0.095;

/// Columns of `events.tsv`.
pub(crate) const EVENT_COLUMNS: [&str; 9] = [
    "onset",
    "duration",
    "trial_type",
    "trial",
    "attended",
    "unattended",
    "attended_onset",
    "unattended_onset",
    "content_id",
];

/// Path of a subject's files up to the suffix.
pub(crate) fn stem(subject: &str) -> String {
    format!("sub-{subject}/eeg/sub-{subject}_task-listening_run-1")
}

/// Side-cars of one subject.
pub(crate) fn write_subject(
    staging: &Staging,
    cfg: &TwoTalker,
    subject: &str,
    ch_names: &[String],
    positions: &[Point],
    seconds: usize,
    trials: &[TrialTruth],
) -> Result<()> {
    let stem = stem(subject);
    staging.json(
        &format!("{stem}_eeg.json"),
        &json!({
            "TaskName": "listening",
            "TaskDescription": "Listen to one of two talkers, left or right, and ignore the other. Simulated.",
            "SamplingFrequency": cfg.sfreq,
            "EEGReference": "simulated, ideal reference at infinity",
            "PowerLineFrequency": "n/a",
            "SoftwareFilters": "n/a",
            "EEGChannelCount": cfg.channels,
            "EOGChannelCount": 1,
            "TriggerChannelCount": 1,
            "RecordingDuration": seconds,
            "RecordingType": "continuous",
            "Manufacturer": "mmpipe-simulate",
        }),
    )?;
    let mut rows: Vec<Vec<String>> = ch_names
        .iter()
        .map(|name| channel(name, "EEG", "uV", cfg.sfreq, "simulated scalp electrode"))
        .collect();
    rows.push(channel(
        "VEOG",
        "VEOG",
        "uV",
        cfg.sfreq,
        "simulated electro-oculogram",
    ));
    rows.push(channel(
        "TRIG",
        "TRIG",
        "n/a",
        cfg.sfreq,
        "1 attend left, 2 attend right",
    ));
    let columns = [
        "name",
        "type",
        "units",
        "sampling_frequency",
        "status",
        "description",
    ];
    staging.tsv(&format!("{stem}_channels.tsv"), &columns, &rows)?;

    let rows: Vec<Vec<String>> = trials
        .iter()
        .map(|t| {
            vec![
                t.onset.to_string(),
                t.duration.to_string(),
                t.side.trial_type().to_string(),
                t.trial.to_string(),
                t.attended.clone(),
                t.unattended.clone(),
                t.attended_onset.to_string(),
                t.unattended_onset.to_string(),
                t.content_id.clone(),
            ]
        })
        .collect();
    staging.tsv(&format!("{stem}_events.tsv"), &EVENT_COLUMNS, &rows)?;

    let rows: Vec<Vec<String>> = ch_names
        .iter()
        .zip(positions)
        .map(|(name, p)| {
            let mut row = vec![name.clone()];
            row.extend(p.iter().map(|v| format!("{:.5}", v * RADIUS + 0.0)));
            row
        })
        .collect();
    let folder = format!("sub-{subject}/eeg/sub-{subject}");
    staging.tsv(
        &format!("{folder}_electrodes.tsv"),
        &["name", "x", "y", "z"],
        &rows,
    )?;
    staging.json(
        &format!("{folder}_coordsystem.json"),
        &json!({
            "EEGCoordinateSystem": "Other",
            "EEGCoordinateUnits": "m",
            "EEGCoordinateSystemDescription":
                "Sphere of 95 mm around the origin; x to the right ear, y to the nose, z up.",
        }),
    )
}

fn channel(name: &str, kind: &str, unit: &str, sfreq: f64, description: &str) -> Vec<String> {
    [name, kind, unit, &sfreq.to_string(), "good", description]
        .map(str::to_string)
        .to_vec()
}

/// Files at the root of the corpus.
pub(crate) fn write_root(staging: &Staging, truth: &Truth) -> Result<()> {
    staging.json(
        "dataset_description.json",
        &json!({
            "Name": "mmpipe two-talker demo (simulated)",
            "BIDSVersion": "1.10.0",
            "DatasetType": "raw",
            "License": "CC0",
            "Authors": ["mmpipe-simulate"],
            "GeneratedBy": [{"Name": "mmpipe-simulate", "Version": env!("CARGO_PKG_VERSION")}],
        }),
    )?;
    staging.write("README", README)?;
    let rows: Vec<Vec<String>> = truth
        .subjects
        .iter()
        .enumerate()
        .map(|(k, s)| {
            let mut rng = stream(truth.config.seed, "participant", &[k]);
            let age = uniform(&mut rng, 19.0, 36.0) as u32;
            let sex = if rng.random::<bool>() { "F" } else { "M" };
            vec![
                format!("sub-{}", s.subject),
                age.to_string(),
                sex.to_string(),
                "R".to_string(),
            ]
        })
        .collect();
    staging.tsv(
        "participants.tsv",
        &["participant_id", "age", "sex", "hand"],
        &rows,
    )?;
    staging.json(
        "participants.json",
        &json!({
            "age": {"Description": "age of the simulated participant", "Units": "year"},
            "sex": {"Description": "sex", "Levels": {"F": "female", "M": "male"}},
            "hand": {"Description": "handedness", "Levels": {"R": "right"}},
        }),
    )?;
    staging.json(
        "task-listening_events.json",
        &json!({
            "onset": {"Description": "start of the trial from the start of the recording", "Units": "s"},
            "duration": {"Description": "length of the trial", "Units": "s"},
            "trial_type": {
                "Description": "side that was attended",
                "Levels": {"attend_left": "the left talker", "attend_right": "the right talker"},
            },
            "trial": {"Description": "number of the trial in the recording, from 1"},
            "attended": {"Description": "sound that was attended, relative to the root"},
            "unattended": {"Description": "sound that was ignored, relative to the root"},
            "attended_onset": {"Description": "position in the attended sound at the trial's start", "Units": "s"},
            "unattended_onset": {"Description": "position in the ignored sound at the trial's start", "Units": "s"},
            "content_id": {"Description": "key of the pair of stories; each pair is heard in one trial a subject"},
        }),
    )
}

const README: &str = "\
Two-talker selective attention, simulated. Nobody was recorded.

Two speech-like sounds play at the same time, one left, one right; the listener attends to one.
The EEG holds the response to the attended envelope, a weaker one to the other, 1/f background,
rhythms and spatial patterns that wander slowly from trial to trial, blinks and electrode drift.
The attended side is balanced and independent of everything in the EEG but the two responses.

sourcedata/truth.json holds what was put in.
";
