//! TUAB in miniature, from its raw files to epochs of normal and abnormal recordings.

use crate::agrees::{every_sample, tuh_names};
use crate::support::Scratch;
use mmpipe_simulate::{PlantedCorpus, Tuab, Tuep, tuab, tuep};
use serde_json::json;

fn ingested(version: u8) -> (Scratch, PlantedCorpus) {
    let scratch = Scratch::new();
    let cfg = Tuab {
        version,
        ..Tuab::default()
    };
    let planted = tuab(&cfg, &scratch.path("raw")).unwrap();
    scratch.ok(&["ingest", "--dataset", "TUAB", "--raw", "raw"]);
    (scratch, planted)
}

#[test]
fn tuab_in_miniature_is_what_was_planted() {
    let (scratch, planted) = ingested(3);
    let recordings = scratch.sql(
        "SELECT DISTINCT e.task, r.subject, r.session, r.run, r.sfreq, r.n_channels, r.epochs, e.label, e.label_name \
         FROM recordings r JOIN eeg e ON e.recording_id = r.recording_id ORDER BY 1, 2, 3",
    );
    let row = |partition: &str, place: [&str; 3], sfreq: f64, label: i32| {
        json!({
            "task": format!("clinical EEG, {partition}"), "subject": place[0], "session": place[1],
            "run": place[2], "sfreq": sfreq, "n_channels": 23, "epochs": 3, "label": label,
            "label_name": if label == 1 { "abnormal" } else { "normal" },
        })
    };
    assert_eq!(
        recordings,
        [
            row("eval", ["aaaaaomx", "s001", "t000"], 250.0, 0),
            row("eval", ["aaaaaqax", "s002", "t001"], 512.0, 1),
            row("train", ["aaaaaaav", "s004", "t000"], 256.0, 0),
            row("train", ["aaaaaanr", "s004", "t000"], 256.0, 1),
            row("train", ["aaaaamye", "s001", "t000"], 250.0, 0),
            row("train", ["aaaaamye", "s003", "t001"], 250.0, 1),
        ]
    );
    let found = scratch.sql(
        "SELECT count(DISTINCT subject) AS subjects, count(*) AS recordings, sum(seconds) AS seconds FROM recordings",
    );
    assert_eq!(
        found,
        [json!({ "subjects": 5, "recordings": 6, "seconds": 42.0 })]
    );
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['seconds']) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1",
    );
    assert_eq!(
        dropped,
        [json!({ "reason": "tail shorter than an epoch", "seconds": 6.0 })]
    );
    let names = tuh_names("REF", &["OZ"]);
    for made in &planted.recordings {
        assert_eq!(every_sample(&scratch, made, &names), 3, "{}", made.path);
    }
    let shown = scratch.ok(&["datasets", "show", "TUAB"]);
    for want in [
        "2329",
        "2993",
        "1141.00",
        "which 27 training files",
        "TUEP, TUSZ",
    ] {
        assert!(shown.contains(want), "{want} is not in\n{shown}");
    }
}

/// Numbers for subjects, a folder for each subject and session, and reports.
#[test]
fn version_2_gives_the_same_partitions_classes_and_samples() {
    let summary = |scratch: &Scratch| {
        scratch.sql(
            "SELECT task, session, run, label, epoch, ch_names, ch_mean, ch_std FROM eeg ORDER BY 1, 2, 3, 4, 5, 8",
        )
    };
    let (two, planted) = ingested(2);
    let (three, _) = ingested(3);
    let parts: Vec<_> = planted.recordings[0].path.split('/').collect();
    assert_eq!(parts.len(), 8, "{parts:?}");
    assert_eq!(summary(&two), summary(&three));
    let subjects = two.sql("SELECT DISTINCT subject FROM recordings ORDER BY 1");
    assert_eq!(subjects.len(), 5);
    assert!(
        subjects
            .iter()
            .all(|s| s["subject"].as_str().unwrap().len() == 8)
    );
}

/// A split by subject keeps both sessions of such a subject together.
#[test]
fn a_subject_with_a_normal_and_an_abnormal_session_is_one_subject() {
    let (scratch, _) = ingested(3);
    let both =
        scratch.sql("SELECT subject FROM eeg GROUP BY subject HAVING count(DISTINCT label) = 2");
    assert_eq!(both, [json!({ "subject": "aaaaamye" })]);
}

#[test]
fn subjects_shared_between_the_sets_of_one_archive_are_found_by_their_id() {
    let (scratch, _) = ingested(3);
    tuep(&Tuep::default(), &scratch.path("tuep")).unwrap();
    scratch.ok(&["ingest", "--dataset", "TUEP", "--raw", "tuep"]);
    let shared =
        scratch.sql("SELECT subject FROM eeg GROUP BY subject HAVING count(DISTINCT dataset) > 1");
    assert_eq!(shared, [json!({ "subject": "aaaaaanr" })]);
}
