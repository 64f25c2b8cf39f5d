//! The two Graz sets in the MATLAB files of BNCI Horizon 2020.

use mmpipe_simulate::{BciIv2a, BciIv2b, bnci2014_001, bnci2014_004};
use serde_json::json;

use crate::planted::{every_second_is_accounted_for, samples_agree, trials_agree};
use crate::support::Scratch;

#[test]
fn bnci2014_001_in_miniature() {
    let scratch = Scratch::new();
    let planted = bnci2014_001(&BciIv2a::default(), &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "BNCI2014-001", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let found = scratch.sql(
        "SELECT subject, session, count(*) AS runs, sum(seconds) AS seconds, min(n_channels) AS channels \
         FROM recordings GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let row = |subject: &str, session: &str, runs: usize, seconds: f64| json!({ "subject": subject, "session": session, "runs": runs, "seconds": seconds, "channels": 22 });
    assert_eq!(
        found,
        [
            row("A01", "E", 5, 87.0),
            row("A01", "T", 5, 87.0),
            row("A04", "E", 5, 87.0),
            row("A04", "T", 3, 71.0)
        ]
    );
    let labels = scratch.sql(
        "SELECT label, label_name, count(*) AS epochs, count(DISTINCT subject) AS subjects \
         FROM eeg WHERE label IS NOT NULL GROUP BY 1, 2 ORDER BY 1",
    );
    let want: Vec<_> = ["left_hand", "right_hand", "feet", "tongue"]
        .iter()
        .enumerate()
        .map(|(k, name)| json!({ "label": k, "label_name": name, "epochs": 16, "subjects": 2 }))
        .collect();
    assert_eq!(labels, want);
    every_second_is_accounted_for(&scratch);
    let kept: Vec<usize> = (0..22).collect();
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
        samples_agree(&scratch, recording, &kept, 1);
    }
}

#[test]
fn runs_of_imagery_are_told_by_their_trials_and_not_by_their_number() {
    let scratch = Scratch::new();
    let cfg = BciIv2a {
        subjects: vec![4],
        ..BciIv2a::default()
    };
    bnci2014_001(&cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "BNCI2014-001", "--raw", "raw"]);
    let runs = scratch.sql(
        "SELECT session, run FROM eeg WHERE task = 'motor imagery' GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let row = |session: &str, run: &str| json!({ "session": session, "run": run });
    assert_eq!(
        runs,
        [row("E", "4"), row("E", "5"), row("T", "2"), row("T", "3")]
    );
    assert!(
        report.to_string().contains("imagery starts with run 2"),
        "{report:#}"
    );
}

#[test]
fn bnci2014_004_in_miniature() {
    let scratch = Scratch::new();
    let cfg = BciIv2b {
        subjects: vec![1],
        ..BciIv2b::default()
    };
    let planted = bnci2014_004(&cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "BNCI2014-004", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let found = scratch.sql(
        "SELECT e.session, max(seconds) AS seconds, count(label) AS labelled, \
         count(DISTINCT CASE WHEN label IS NOT NULL THEN task END) AS tasks, max(task LIKE '%feedback') AS feedback \
         FROM eeg e JOIN recordings r ON r.recording_id = e.recording_id GROUP BY 1 ORDER BY 1",
    );
    let row = |session: &str, seconds: f64, feedback: bool| json!({ "session": session, "seconds": seconds, "labelled": 16, "tasks": 1, "feedback": feedback });
    assert_eq!(
        found,
        [
            row("E1", 102.0, true),
            row("E2", 102.0, true),
            row("T1", 102.0, false),
            row("T2", 74.0, false),
            row("T3", 102.0, true)
        ]
    );
    every_second_is_accounted_for(&scratch);
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
        samples_agree(&scratch, recording, &[0, 1, 2], 2);
    }
}
