//! BCI Competition IV data set 2a, from GDF files and true labels to epochs.

use std::path::Path;

use mmpipe_formats::write::Start;
use mmpipe_formats::write::gdf::{Event, NewChannel, NewGdf, Number, Table, Version, write};
use mmpipe_simulate::{BciIv2a, PlantedSessions, bci_iv_2a};
use serde_json::{Value, json};

use crate::planted::{every_second_is_accounted_for, samples_agree, trials_agree};
use crate::support::{Scratch, real};

const NAMES: [&str; 22] = [
    "Fz", "FC3", "FC1", "FCz", "FC2", "FC4", "C5", "C3", "C1", "Cz", "C2", "C4", "C6", "CP3",
    "CP1", "CPz", "CP2", "CP4", "P1", "Pz", "P2", "POz",
];

fn ingested(cfg: &BciIv2a) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = bci_iv_2a(cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "BCI-IV-2A", "--raw", "raw"]);
    (scratch, planted, report)
}

/// Epochs of each recording of a report, and what it leaves out.
fn counted(report: &Value) -> Vec<(Value, Value, Value)> {
    let of = |r: &Value| (r["path"].clone(), r["epochs"].clone(), r["dropped"].clone());
    report["recordings"]
        .as_array()
        .unwrap()
        .iter()
        .map(of)
        .collect()
}

fn one(subject: usize) -> BciIv2a {
    BciIv2a {
        subjects: vec![subject],
        runs: 1,
        ..BciIv2a::default()
    }
}

#[test]
fn bci_iv_2a_in_miniature() {
    let (scratch, planted, report) = ingested(&BciIv2a::default());
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 4, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    // A dry run knows the gaps between the runs.
    let dry = scratch.json(&[
        "ingest",
        "--dataset",
        "BCI-IV-2A",
        "--raw",
        "raw",
        "--dry-run",
    ]);
    assert_eq!(counted(&dry), counted(&report));

    // Two runs of 33 s after 21 s of eyes; 5 s alone in A04T.
    let row = |subject: &str, session: &str, seconds: f64, epochs: usize| {
        json!({ "subject": subject, "session": session, "container": "GDF 2", "sfreq": 250.0,
                "n_channels": 22, "seconds": seconds, "epochs": epochs })
    };
    let found = scratch.sql(
        "SELECT subject, session, container, sfreq, n_channels, seconds, epochs FROM recordings ORDER BY 1, 2",
    );
    assert_eq!(
        found,
        [
            row("A01", "E", 87.0, 41),
            row("A01", "T", 87.0, 41),
            row("A04", "E", 87.0, 41),
            row("A04", "T", 71.0, 34),
        ]
    );
    let names = scratch.sql("SELECT DISTINCT ch_names FROM eeg");
    assert_eq!(names, [json!({ "ch_names": NAMES })]);
    let labels = scratch.sql(
        "SELECT label, label_name, task, count(*) AS epochs, count(DISTINCT subject) AS subjects, \
         sum(CASE WHEN rejected THEN 1 ELSE 0 END) > 0 AS some_rejected, min(label_share) AS share \
         FROM eeg GROUP BY 1, 2, 3 ORDER BY 1, 3",
    );
    let mut want: Vec<Value> = ["left_hand", "right_hand", "feet", "tongue"]
        .iter()
        .enumerate()
        .map(|(k, name)| {
            json!({ "label": k, "label_name": name, "task": "motor imagery", "epochs": 16,
                    "subjects": 2, "share": 1.0 })
        })
        .collect();
    for (task, epochs, subjects) in [
        ("between trials", 64, 2),
        ("eye movements", 8, 2),
        ("eyes closed", 9, 2),
        ("eyes open", 12, 2),
    ] {
        want.push(json!({ "task": task, "epochs": epochs, "subjects": subjects }));
    }
    let plain: Vec<Value> = labels.iter().map(without("some_rejected")).collect();
    assert_eq!(plain, want);
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs, round(sum(d['seconds']), 6) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        dropped,
        [
            json!({ "reason": "at a gap of the recording", "epochs": 0, "seconds": 10.0 }),
            json!({ "reason": "tail shorter than an epoch", "epochs": 0, "seconds": 8.0 }),
        ]
    );
    every_second_is_accounted_for(&scratch);
    let kept: Vec<usize> = (0..22).collect();
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
        samples_agree(&scratch, recording, &kept, 3);
    }
}

/// A row without one of its columns and without nulls.
fn without(column: &'static str) -> impl Fn(&Value) -> Value {
    move |row| {
        let cells = row.as_object().unwrap().iter();
        let cells = cells.filter(|(name, v)| *name != column && !v.is_null());
        Value::Object(cells.map(|(n, v)| (n.clone(), v.clone())).collect())
    }
}

#[test]
fn electrodes_are_named_by_position_because_most_are_called_eeg() {
    let (scratch, planted, _) = ingested(&one(1));
    let raw: Vec<&str> = planted.recordings[0]
        .labels
        .iter()
        .map(String::as_str)
        .collect();
    assert_eq!(raw.iter().filter(|l| **l == "EEG").count(), 17);
    let channels = scratch.sql(
        "SELECT c['raw_name'] AS raw, c['kind'] AS kind, c['name'] AS name, c['unit'] AS unit, c['reason'] AS reason \
         FROM (SELECT unnest(channels) AS c FROM recordings WHERE session = 'T')",
    );
    let found: Vec<(&str, Option<&str>)> = channels
        .iter()
        .map(|c| (c["raw"].as_str().unwrap(), c["name"].as_str()))
        .collect();
    let names = NAMES.into_iter().map(Some).chain([None; 3]);
    let want: Vec<(&str, Option<&str>)> = raw.into_iter().zip(names).collect();
    assert_eq!(found, want);
    for c in &channels {
        assert_eq!(c["unit"], "\u{b5}V", "GDF 2 keeps units as codes");
        let eye = c["raw"].as_str().unwrap().starts_with("EOG");
        assert_eq!(c["kind"], if eye { "eog" } else { "eeg" });
        assert_eq!(c["reason"].is_string(), eye, "{c}");
    }
}

#[test]
fn runs_end_at_the_100_missing_samples() {
    let (scratch, planted, _) = ingested(&one(1));
    for recording in &planted.recordings {
        assert_eq!(recording.runs.len(), 4);
        let gap = recording.runs[0].1..recording.runs[1].0;
        assert_eq!(gap.len(), 100);
        assert!(
            recording
                .samples
                .iter()
                .all(|x| x[gap.clone()].iter().all(|v| v.is_nan()))
        );
        let onsets = scratch.sql(&format!(
            "SELECT onset FROM eeg e JOIN recordings r ON r.recording_id = e.recording_id WHERE path = '{}'",
            recording.path
        ));
        for row in onsets {
            let onset = row["onset"].as_f64().unwrap() * 250.0;
            let whole =
                |r: &(usize, usize)| r.0 as f64 - 0.5 <= onset && onset + 500.0 <= r.1 as f64 + 0.5;
            assert!(recording.runs.iter().any(whole), "{row} is over a gap");
        }
    }
}

#[test]
fn trials_that_the_expert_rejected_stay_with_a_flag() {
    let (scratch, planted, _) = ingested(&one(1));
    let rejected = planted.recordings[0].trials.iter().filter(|t| t.rejected);
    assert_eq!(rejected.count(), 1);
    let found = scratch.sql(
        "SELECT session, rejected, count(DISTINCT trial) AS trials FROM eeg WHERE label IS NOT NULL GROUP BY 1, 2 ORDER BY 1, 2",
    );
    assert_eq!(
        found,
        [
            json!({ "session": "E", "rejected": false, "trials": 3 }),
            json!({ "session": "E", "rejected": true, "trials": 1 }),
            json!({ "session": "T", "rejected": false, "trials": 3 }),
            json!({ "session": "T", "rejected": true, "trials": 1 }),
        ]
    );
}

#[test]
fn a04t_has_the_eye_movements_alone_and_loses_no_run() {
    let (scratch, _, report) = ingested(&one(4));
    let tasks = scratch.sql(
        "SELECT task, count(*) > 0 AS there, count(DISTINCT CASE WHEN label IS NOT NULL THEN trial END) AS trials \
         FROM eeg WHERE session = 'T' GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        tasks,
        [
            json!({ "task": "between trials", "there": true, "trials": 0 }),
            json!({ "task": "eye movements", "there": true, "trials": 0 }),
            json!({ "task": "motor imagery", "there": true, "trials": 4 }),
        ]
    );
    let text = report.to_string();
    assert!(text.contains("eye movements alone"), "{report:#}");
    assert_eq!(
        report["notes"].as_array().unwrap().len(),
        2,
        "the other is the labels: {report:#}"
    );
}

#[test]
fn unknown_cues_take_their_class_from_the_true_labels() {
    let (scratch, planted, _) = ingested(&one(1));
    trials_agree(&scratch, &planted.recordings[1]);
    assert_eq!(planted.recordings[1].session.as_deref(), Some("E"));

    // Without them the same trials are there, without a class.
    let (scratch, _, _) = ingested(&BciIv2a {
        true_labels: false,
        ..one(1)
    });
    let found = scratch.sql(
        "SELECT session, count(label) AS labelled, count(DISTINCT trial) AS trials \
         FROM eeg WHERE task = 'motor imagery' GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        found,
        [
            json!({ "session": "E", "labelled": 0, "trials": 4 }),
            json!({ "session": "T", "labelled": 8, "trials": 4 }),
        ]
    );
}

/// A run with the cues of the real first run, as a public mirror's events.tsv lists them: onsets
/// of cues, 4 s each.
#[test]
fn a_real_run_s_events_give_its_trials() {
    let Some(folder) = real("bids-sidecars/nm000139/sub-1/ses-0train/eeg") else {
        return;
    };
    let names: Vec<String> = tsv(&folder.join("sub-1_ses-0train_task-imagery_run-0_channels.tsv"))
        .iter()
        .map(|row| row[0].clone())
        .collect();
    assert_eq!(names, NAMES);
    let events = tsv(&folder.join("sub-1_ses-0train_task-imagery_run-0_events.tsv"));
    assert_eq!(events.len(), 48);

    let scratch = Scratch::new();
    std::fs::create_dir(scratch.path("raw")).unwrap();
    let n = 96_735;
    let x: Vec<f64> = (0..n).map(|i| 20.0 * (i as f64 / 4.0).sin()).collect();
    let code = |name: &str| {
        let classes = ["left_hand", "right_hand", "feet", "tongue"];
        769 + classes.iter().position(|c| *c == name).unwrap() as u16
    };
    let mark = |sample: u32, code: u16| Event {
        sample,
        code,
        channel: 0,
        duration: 0,
    };
    let marks: Vec<Event> = events
        .iter()
        .flat_map(|row| {
            let cue: u32 = row[4].parse().unwrap();
            [mark(cue - 500, 768), mark(cue, code(&row[2]))]
        })
        .collect();
    let channel = |name: &'static str| NewChannel {
        name,
        unit: "\u{b5}V",
        sfreq: 250.0,
        number: Number::I16(i16::MIN, i16::MAX),
        physical: (-100.0, 100.0),
        samples: &x,
    };
    let file = NewGdf {
        version: Version::V2,
        start: Start::default(),
        patient: "X",
        recording: "X",
        record: (1, 250),
        channels: vec![channel("EEG"); 25],
        table: Table::Plain,
        event_sfreq: 250.0,
        events: &marks,
    };
    write(&scratch.path("raw/A01T.gdf"), &file).unwrap();
    scratch.ok(&["ingest", "--dataset", "BCI-IV-2A", "--raw", "raw"]);
    let found = scratch.sql(
        "SELECT trial, min(onset) AS onset, count(*) * 2.0 AS duration, min(label_name) AS name \
         FROM eeg WHERE label IS NOT NULL GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(found.len(), 48);
    for (row, event) in found.iter().zip(&events) {
        let onset: f64 = event[0].parse().unwrap();
        assert!(
            (row["onset"].as_f64().unwrap() - onset).abs() <= 0.0025 + 1e-9,
            "{row}"
        );
        assert_eq!(row["duration"], event[1].parse::<f64>().unwrap());
        assert_eq!(row["name"], event[2].as_str());
    }
}

/// The rows of a table without its header.
pub(crate) fn tsv(path: &Path) -> Vec<Vec<String>> {
    let text = std::fs::read_to_string(path).unwrap();
    let rows = text.lines().skip(1);
    rows.map(|l| l.split('\t').map(str::to_owned).collect())
        .collect()
}
