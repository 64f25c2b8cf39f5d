//! TUEV in miniature, from its raw files to labelled epochs.

use crate::agrees::{every_sample, tuh_names};
use crate::support::Scratch;
use mmpipe_simulate::{PlantedTuev, Tuev, tuev};
use serde_json::{Value, json};

const FIRST: &str = "edf/train/aaaaaaar/aaaaaaar_00000001.edf";
const EVAL: &str = "edf/eval/000/bckg_000_a_.edf";

/// The miniature, less the files whose path holds one of `without`.
fn raw(without: &[&str]) -> (Scratch, PlantedTuev) {
    let scratch = Scratch::new();
    let root = scratch.path("raw");
    let mut planted = tuev(&Tuev::default(), &root).unwrap();
    let dropped = |path: &str| without.iter().any(|w| path.contains(w));
    for made in planted.recordings.iter().filter(|r| dropped(&r.path)) {
        std::fs::remove_file(root.join(&made.path)).unwrap();
    }
    planted.recordings.retain(|r| !dropped(&r.path));
    (scratch, planted)
}

fn ingested(without: &[&str]) -> (Scratch, PlantedTuev) {
    let (scratch, planted) = raw(without);
    scratch.ok(&["ingest", "--dataset", "TUEV", "--raw", "raw"]);
    (scratch, planted)
}

/// Labels of a recording, epoch by epoch, with their share.
fn labels(scratch: &Scratch, path: &str) -> Vec<(Value, Value)> {
    scratch
        .sql(&format!(
            "SELECT e.label_name, e.label_share FROM eeg e \
             JOIN recordings r ON r.recording_id = e.recording_id \
             WHERE r.path = '{path}' ORDER BY e.epoch"
        ))
        .into_iter()
        .map(|row| (row["label_name"].clone(), row["label_share"].clone()))
        .collect()
}

#[test]
fn tuev_in_miniature_is_what_was_planted() {
    let (scratch, planted) = ingested(&[]);
    let recordings = scratch.sql(
        "SELECT path, subject, session, run, sfreq, n_channels, seconds, epochs, status \
         FROM recordings ORDER BY path",
    );
    // Training files have a session, those of the evaluation a run.
    let row = |path: &str, key: &str, value: &str, sfreq: f64, seconds: f64| {
        json!({
            "path": path, "subject": path.split('/').nth(2).unwrap(), key: value, "sfreq": sfreq,
            "n_channels": 23, "seconds": seconds, "epochs": (seconds / 2.0).floor() as i64,
            "status": "ok",
        })
    };
    let eval = |name: &str| {
        let path = format!("edf/eval/{}/{name}.edf", &name[5..8]);
        row(&path, "run", name, 250.0, 8.0)
    };
    let train = |subject: &str, number: &str, sfreq: f64, seconds: f64| {
        let path = format!("edf/train/{subject}/{subject}_{number}.edf");
        row(&path, "session", number, sfreq, seconds)
    };
    assert_eq!(
        recordings,
        [
            eval("bckg_000_a_"),
            eval("pled_001_a_"),
            eval("pled_001_a_2"),
            train("aaaaaaar", "00000001", 250.0, 13.0),
            train("aaaaaaar", "00000002", 256.0, 8.0),
            train("aaaaaacd", "00000001", 250.0, 6.0),
        ]
    );
    let counts = scratch.sql(
        "SELECT label, label_name, count(*) AS epochs, round(avg(label_share), 3) AS share, \
         count(DISTINCT subject) AS subjects FROM eeg GROUP BY 1, 2 ORDER BY 1",
    );
    assert_eq!(
        counts,
        [
            json!({ "label": 0, "label_name": "spsw", "epochs": 2, "share": 0.65, "subjects": 2 }),
            json!({ "label": 1, "label_name": "gped", "epochs": 3, "share": 0.667, "subjects": 1 }),
            json!({ "label": 2, "label_name": "pled", "epochs": 7, "share": 0.9, "subjects": 2 }),
            json!({ "label": 3, "label_name": "eyem", "epochs": 2, "share": 0.5, "subjects": 2 }),
            json!({ "label": 4, "label_name": "artf", "epochs": 3, "share": 0.833, "subjects": 2 }),
            json!({ "label": 5, "label_name": "bckg", "epochs": 3, "share": 0.833, "subjects": 2 }),
            json!({ "epochs": 5, "subjects": 3 }),
        ]
    );
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['seconds']) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1",
    );
    assert_eq!(
        dropped,
        [json!({ "reason": "tail shorter than an epoch", "seconds": 1.0 })]
    );
    let tasks = scratch.sql(
        "SELECT task, count(DISTINCT subject) AS subjects, count(*) AS epochs FROM eeg GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        tasks,
        [
            json!({ "task": "clinical EEG, eval", "subjects": 2, "epochs": 12 }),
            json!({ "task": "clinical EEG, train", "subjects": 2, "epochs": 13 }),
        ]
    );
    let names = tuh_names("REF", &["OZ"]);
    for made in &planted.recordings {
        assert_eq!(
            every_sample(&scratch, made, &names),
            made.seconds / 2,
            "{}",
            made.path
        );
    }
    let show = scratch.json(&["datasets", "show", "tuh_eeg_events"]);
    assert_eq!(show["found"]["channels_max"], 23, "{show:#}");
}

#[test]
fn channels_without_a_place_are_dropped_with_their_reason() {
    let (scratch, _) = ingested(&["eval", "00000002", "aaaaaacd"]);
    let dropped = scratch.sql(
        "SELECT c['raw_name'] AS raw, c['kind'] AS kind, c['reason'] AS reason \
         FROM (SELECT unnest(channels) AS c FROM recordings) WHERE c['name'] IS NULL ORDER BY 1",
    );
    let row =
        |raw: &str, kind: &str, reason: &str| json!({ "raw": raw, "kind": kind, "reason": reason });
    let custom =
        "input of a custom placement or without a signal, as the publisher says: no place is known";
    assert_eq!(
        dropped,
        [
            row("BURSTS", "misc", "computed trend: burst suppression"),
            row("EEG 128-REF", "eeg", custom),
            row("EEG 26-REF", "eeg", custom),
            row(
                "EEG C3P-REF",
                "eeg",
                "the publisher does not know its place"
            ),
            row(
                "EEG C4P-REF",
                "eeg",
                "the publisher does not know its place"
            ),
            row("EEG EKG1-REF", "ecg", "heart, not brain"),
            row("EEG LOC-REF", "eog", "electrode beside an eye"),
            row("EEG ROC-REF", "eog", "electrode beside an eye"),
            row("EEG SP1-REF", "eeg", "sphenoidal electrode: no 10-05 place"),
            row("EMG-REF", "emg", "muscle, not brain"),
            row("IBI", "misc", "computed trend: intervals between bursts"),
            row("PHOTIC-REF", "trigger", "photic stimulator"),
            row("SUPPR", "misc", "computed trend: burst suppression"),
        ]
    );
}

#[test]
fn an_epoch_has_the_class_that_covers_most_of_it_on_any_pair() {
    let (scratch, _) = ingested(&["eval", "00000002", "aaaaaacd"]);
    assert_eq!(
        labels(&scratch, FIRST),
        [
            (json!("bckg"), json!(1.0)),
            (json!("spsw"), json!(0.5)),
            // One instant as eye movement on two pairs and as artefact on one.
            (json!("eyem"), json!(0.5)),
            // 0.4 s against 1.6 s: marks that do not last a second keep their own stop.
            (json!("pled"), json!(0.8)),
            (Value::Null, Value::Null),
            (json!("artf"), json!(0.5)),
        ]
    );
}

#[test]
fn the_class_in_an_evaluation_files_name_labels_nothing() {
    let (scratch, _) = ingested(&["train", "001"]);
    let names: Vec<Value> = labels(&scratch, EVAL)
        .into_iter()
        .map(|(name, _)| name)
        .collect();
    assert_eq!(names, ["artf", "artf", "bckg", "bckg"]);
}

#[test]
fn lab_files_in_ticks_of_10_us_stand_in_for_a_missing_rec_file() {
    let (scratch, _) = raw(&["eval", "aaaaaaar"]);
    let path = "edf/train/aaaaaacd/aaaaaacd_00000001.edf";
    let want = [
        (json!("eyem"), json!(0.5)),
        // 2.3 s to 3.9 s.
        (json!("spsw"), json!(0.8)),
        (Value::Null, Value::Null),
    ];
    scratch.ok(&["ingest", "--dataset", "TUEV", "--raw", "raw"]);
    assert_eq!(labels(&scratch, path), want);
    // Where there is a .rec file it counts alone.
    let rec = scratch.path("raw").join(path.replace(".edf", ".rec"));
    std::fs::write(rec, "0,4.0,6.0,6\n").unwrap();
    scratch.ok(&["ingest", "--dataset", "TUEV", "--raw", "raw"]);
    assert_eq!(
        labels(&scratch, path),
        [
            (Value::Null, Value::Null),
            (Value::Null, Value::Null),
            (json!("bckg"), json!(1.0)),
        ]
    );
}

#[test]
fn times_of_marks_are_tenths_of_a_second() {
    let (scratch, _) = raw(&["eval", "00000002", "aaaaaacd"]);
    let rec = scratch.path("raw").join(FIRST.replace(".edf", ".rec"));
    std::fs::write(rec, "3,2.5000000000000004,3.4999,1\n").unwrap();
    scratch.ok(&["ingest", "--dataset", "TUEV", "--raw", "raw"]);
    assert_eq!(labels(&scratch, FIRST)[1], (json!("spsw"), json!(0.5)));
}
