//! The High-Gamma Dataset, from EDF files to epochs.

use mmpipe_simulate::{Hgd, PlantedSessions, hgd, hgd_mat};
use serde_json::{Value, json};

use crate::bci_iv_2a::tsv;
use crate::planted::{every_second_is_accounted_for, samples_agree, trials_agree};
use crate::support::{Scratch, real};

/// Positions of the 128 electrodes among the 133 signals.
fn kept() -> Vec<usize> {
    (0..32).chain(37..133).collect()
}

fn ingested(cfg: &Hgd) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = hgd(cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "HGD", "--raw", "raw"]);
    (scratch, planted, report)
}

fn one() -> Hgd {
    Hgd {
        subjects: vec![1],
        ..Hgd::default()
    }
}

#[test]
fn hgd_in_miniature() {
    let (scratch, planted, report) = ingested(&Hgd::default());
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 4, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    // Four trials, each 7.5 s from the last, after 5 s: 34 s in whole seconds.
    let row = |subject: &str, run: &str| {
        json!({ "subject": subject, "run": run, "container": "EDF+C", "sfreq": 500.0,
                "n_channels": 128, "seconds": 34.0 })
    };
    let found = scratch.sql(
        "SELECT subject, run, container, sfreq, n_channels, seconds FROM recordings ORDER BY 1, 2",
    );
    assert_eq!(
        found,
        [
            row("1", "test"),
            row("1", "train"),
            row("14", "test"),
            row("14", "train")
        ]
    );
    let labels = scratch.sql(
        "SELECT label, label_name, task, count(*) AS epochs, count(DISTINCT subject) AS subjects \
         FROM eeg GROUP BY 1, 2, 3 ORDER BY 1",
    );
    let mut want: Vec<Value> = ["right_hand", "left_hand", "rest", "feet"]
        .iter()
        .enumerate()
        .map(|(k, name)| {
            json!({ "label": k, "label_name": name, "task": "executed movement", "epochs": 8, "subjects": 2 })
        })
        .collect();
    // 5 s before the first trial, three times 3.5 s between trials, 2.498 s after the last.
    want.push(json!({ "task": "between trials", "epochs": 24, "subjects": 2 }));
    let found: Vec<Value> = labels.iter().map(without_nulls).collect();
    assert_eq!(found, want);
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1",
    );
    assert_eq!(
        dropped,
        [json!({ "reason": "tail shorter than an epoch", "epochs": 0 })]
    );
    every_second_is_accounted_for(&scratch);
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
        let flat = recording.path == "test/14.edf";
        if !flat {
            samples_agree(&scratch, recording, &kept(), 1);
        }
    }
}

fn without_nulls(row: &Value) -> Value {
    let cells = row.as_object().unwrap().iter();
    let cells = cells.filter(|(_, v)| !v.is_null());
    Value::Object(cells.map(|(n, v)| (n.clone(), v.clone())).collect())
}

#[test]
fn eyes_and_muscles_between_the_electrodes_are_dropped_with_reasons() {
    let (scratch, planted, _) = ingested(&one());
    assert_eq!(planted.recordings[0].labels.len(), 133);
    let dropped = scratch.sql(
        "SELECT c['raw_name'] AS raw, c['kind'] AS kind, c['reason'] AS reason \
         FROM (SELECT unnest(channels) AS c FROM recordings WHERE run = 'train') WHERE c['name'] IS NULL",
    );
    let found: Vec<(&str, &str)> = dropped
        .iter()
        .map(|c| (c["raw"].as_str().unwrap(), c["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(
        found,
        [
            ("EOG EOGh", "eog"),
            ("EOG EOGv", "eog"),
            ("EMG EMG_RH", "emg"),
            ("EMG EMG_LH", "emg"),
            ("EMG EMG_RF", "emg"),
        ]
    );
    assert!(
        dropped.iter().all(|c| c["reason"].is_string()),
        "{dropped:?}"
    );
}

#[test]
fn subject_14_lost_sensors_in_the_test() {
    let (scratch, _, report) = ingested(&Hgd {
        subjects: vec![14],
        ..Hgd::default()
    });
    assert!(
        report.to_string().contains("half of the sensors"),
        "{report:#}"
    );
    let flat = scratch.sql(
        "SELECT run, count(*) > 0 AS some FROM (SELECT run, unnest(ch_std) AS std FROM eeg) WHERE std = 0.0 GROUP BY 1",
    );
    assert_eq!(flat, [json!({ "run": "test", "some": true })]);
}

#[test]
fn the_same_recordings_in_matlab_files_are_not_counted_twice() {
    let scratch = Scratch::new();
    hgd(&one(), &scratch.path("raw")).unwrap();
    std::fs::write(scratch.path("raw/train/1.mat"), b"not opened").unwrap();
    let report = scratch.json(&["ingest", "--dataset", "HGD", "--raw", "raw"]);
    assert_eq!(
        report["recordings"].as_array().unwrap().len(),
        2,
        "{report:#}"
    );
    assert!(report.to_string().contains("HGD-MAT"), "{report:#}");
}

/// Electrodes in the order of the real files, and the classes and lengths of their trials.
#[test]
fn a_real_recording_s_side_cars_agree() {
    let Some(folder) = real("bids-sidecars/nm000172/sub-1/ses-0/eeg") else {
        return;
    };
    let table = |part: &str, kind: &str| {
        tsv(&folder.join(format!("sub-1_ses-0_task-imagery_acq-{part}_{kind}.tsv")))
    };
    let names: Vec<String> = table("train_run-0", "channels")
        .iter()
        .map(|r| r[0].clone())
        .collect();
    let (scratch, _, _) = ingested(&one());
    let found = scratch.sql("SELECT DISTINCT ch_names FROM eeg");
    assert_eq!(found, [json!({ "ch_names": names })]);

    let classes = scratch.sql("SELECT DISTINCT label_name FROM eeg WHERE label IS NOT NULL");
    let classes: Vec<&str> = classes
        .iter()
        .map(|r| r["label_name"].as_str().unwrap())
        .collect();
    for (part, trials) in [("train_run-0", 320), ("test_run-1", 160)] {
        let events = table(part, "events");
        assert_eq!(events.len(), trials);
        for row in events {
            assert!(classes.contains(&row[2].as_str()), "{row:?}");
            assert_eq!(row[1], "4.0", "{row:?}");
        }
    }
}

#[test]
fn hgd_in_matlab_files_in_miniature() {
    let scratch = Scratch::new();
    let planted = hgd_mat(&one(), &scratch.path("raw")).unwrap();
    std::fs::write(scratch.path("raw/train/1.edf"), b"not opened").unwrap();
    let report = scratch.json(&["ingest", "--dataset", "HGD-MAT", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 2, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let found = scratch.sql(
        "SELECT subject, run, container, sfreq, n_channels, seconds FROM recordings ORDER BY 2",
    );
    let row = |run: &str| {
        json!({ "subject": "1", "run": run, "container": "MATLAB v7.3", "sfreq": 500.0,
                "n_channels": 128, "seconds": 34.0 })
    };
    assert_eq!(found, [row("test"), row("train")]);
    let labels = scratch.sql(
        "SELECT label, label_name, count(*) AS epochs FROM eeg WHERE label IS NOT NULL GROUP BY 1, 2 ORDER BY 1",
    );
    let want: Vec<Value> = ["right_hand", "left_hand", "rest", "feet"]
        .iter()
        .enumerate()
        .map(|(k, name)| json!({ "label": k, "label_name": name, "epochs": 4 }))
        .collect();
    assert_eq!(labels, want);
    every_second_is_accounted_for(&scratch);
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
        samples_agree(&scratch, recording, &kept(), 1);
    }
}
