//! ESAA, from a variable a channel and text markers to epochs and segments.

use mmpipe_simulate::{Esaa, PlantedListening, PlantedSession, esaa};
use serde_json::{Value, json};

use crate::paired::{attention_is_in_the_eeg, dropped, hearing_agrees, sounds_agree};
use crate::planted::{every_second_is_accounted_for, samples_agree};
use crate::support::Scratch;

fn ingested() -> (Scratch, PlantedListening, Value) {
    let scratch = Scratch::new();
    let planted = esaa(&Esaa::default(), &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "ESAA", "--raw", "raw"]);
    (scratch, planted, report)
}

#[test]
fn esaa_in_miniature() {
    let (scratch, planted, report) = ingested();
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 5, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let row = |subject: &str, run: Option<&str>, seconds: f64, epochs: i64| {
        json!([subject, run, 1000.0, 64, seconds, epochs])
    };
    let found = scratch.sql(
        "SELECT subject, run, sfreq, n_channels, seconds, epochs FROM recordings ORDER BY path",
    );
    let columns = ["subject", "run", "sfreq", "n_channels", "seconds", "epochs"];
    let found: Vec<Value> = found
        .iter()
        .map(|r| json!(columns.map(|c| r[c].clone())))
        .collect();
    assert_eq!(
        found,
        [
            row("1", None, 38.14, 12),
            row("10", None, 28.94, 12),
            row("4", Some("1"), 19.74, 8),
            row("4", Some("2"), 19.74, 6),
            row("8", None, 19.74, 4),
        ]
    );
    assert_eq!(
        dropped(&scratch),
        [
            ("beyond the sound".to_owned(), 2),
            ("outside any trial".to_owned(), 6),
            ("poor answer (the publisher's list)".to_owned(), 8),
        ]
    );
    every_second_is_accounted_for(&scratch);
    // Trials 4 (S1) and 20 (S10) play sound 4, trials 24 (S8) and 1 (S10) sound 24.
    let found = scratch.sql(
        "SELECT content_id, count(*) AS epochs, count(DISTINCT subject) AS subjects FROM eeg GROUP BY 1 ORDER BY 1",
    );
    let content = |k: usize, epochs: usize, subjects: usize| json!({ "content_id": format!("trail{k}"), "epochs": epochs, "subjects": subjects });
    assert_eq!(
        found,
        [
            content(20, 4, 1),
            content(21, 4, 1),
            content(22, 2, 1),
            content(23, 4, 1),
            content(24, 8, 2),
            content(4, 8, 2),
            content(5, 4, 1),
            content(6, 4, 1),
            content(8, 4, 1),
        ]
    );
    let kept: Vec<usize> = (0..64).collect();
    hearing_agrees(&scratch, "ESAA", &planted.recordings);
    for k in [0, 4] {
        samples_agree(&scratch, &planted.recordings[k].session, &kept, 1);
    }
    sounds_agree(&scratch, "ESAA", &planted.sounds, 3);
    attention_is_in_the_eeg(&scratch, "ESAA", &planted, "Cz");
}

#[test]
fn quirks_of_subjects_files_and_labels() {
    let (scratch, planted, report) = ingested();

    // A subject split in two files: trial numbers go on.
    let found = scratch.sql(
        "SELECT run, min(trial) AS first, max(trial) AS last FROM eeg WHERE subject = '4' GROUP BY 1 ORDER BY 1",
    );
    let half =
        |run: &str, first: i32, last: i32| json!({ "run": run, "first": first, "last": last });
    assert_eq!(found, [half("1", 20, 21), half("2", 22, 23)]);

    // A file one folder higher, and what the packer left beside the files.
    let ignored = report["ignored"].to_string();
    assert!(ignored.contains("__MACOSX/S1/._S1.mat"), "{ignored}");
    let higher = |path: &str| planted.recordings.iter().any(|r| r.session.path == path);
    assert!(higher("S8/S8.mat") && !higher("S8/S8/S8.mat"));

    // From subject 9 on, sounds come in another order and attention is the other way round: the
    // talker of sound 24 that S8 attends is the one that S10 does not.
    let found = scratch.sql(
        "SELECT DISTINCT subject, trial, label, s['stimulus_id'] AS id, s['role'] AS role, s['side'] AS side \
         FROM (SELECT subject, trial, label, unnest(stimuli) AS s FROM eeg WHERE content_id = 'trail24') \
         WHERE s['role'] = 'attended' ORDER BY subject",
    );
    let row = |subject: &str, trial: i32, label: usize| {
        let side = ["left", "right"][label];
        let id = format!("ESAA/clean/Trail24.wav#ch{}", label + 1);
        json!({ "subject": subject, "trial": trial, "label": label, "id": id, "role": "attended", "side": side })
    };
    assert_eq!(found, [row("10", 1, 0), row("8", 24, 1)]);

    // The two channels of a file are two talkers, by the publisher's bit.
    let found = scratch.sql(
        "SELECT path, speaker, side FROM stimuli WHERE path LIKE 'clean/Trail24.wav%' ORDER BY path",
    );
    let talker = |channel: usize, speaker: &str, side: &str| json!({ "path": format!("clean/Trail24.wav#ch{channel}"), "speaker": speaker, "side": side });
    assert_eq!(
        found,
        [
            talker(1, "speaker 0", "left"),
            talker(2, "speaker 1", "right")
        ]
    );

    // The last trial of S1 breaks off with its file, without a mark of its end.
    let found = scratch.sql("SELECT count(*) AS n FROM eeg WHERE subject = '1' AND trial = 6");
    assert_eq!(found, [json!({ "n": 4 })]);
}

/// `fixtures/esaa_S1.mat` is a raw file by another writer, whose values are known.
#[test]
fn a_file_by_another_writer_is_read() {
    let scratch = Scratch::new();
    esaa(&Esaa::default(), &scratch.path("raw")).unwrap();
    let fixture =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/esaa_S1.mat");
    std::fs::copy(fixture, scratch.path("raw/S1/S1/S1.mat")).unwrap();
    let report = scratch.json(&[
        "ingest",
        "--dataset",
        "ESAA",
        "--raw",
        "raw",
        "--subjects",
        "1",
    ]);
    let found = &report["recordings"];
    assert_eq!(found.as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(found[0]["status"], "ok", "{report:#}");
    assert_eq!(
        dropped(&scratch),
        [
            ("outside any trial".to_owned(), 1),
            ("poor answer (the publisher's list)".to_owned(), 2),
        ]
    );
    let found = scratch.sql(
        "SELECT trial, epoch, round(onset * 1000) AS ms, label, s['stimulus_id'] AS attended \
         FROM (SELECT trial, epoch, onset, label, unnest(stimuli) AS s FROM eeg) \
         WHERE s['role'] = 'attended' ORDER BY trial, epoch",
    );
    let row = |trial: usize, epoch: i32, ms: f64| {
        let (label, channel) = [(1, 2), (0, 1)][trial - 4];
        let attended = format!("ESAA/clean/Trail{trial}.wav#ch{channel}");
        json!({ "trial": trial, "epoch": epoch, "ms": ms, "label": label, "attended": attended })
    };
    assert_eq!(
        found,
        [
            row(4, 0, 6300.0),
            row(4, 1, 8300.0),
            row(4, 2, 10_300.0),
            row(5, 0, 14_000.0),
            row(5, 1, 16_000.0),
        ]
    );
    let n = 19_400;
    let saw = |c: usize| {
        let value = move |i: usize| (i % (101 + 7 * c)) as f64 - 50.0 + 10.0 * c as f64;
        (0..n).map(value).collect()
    };
    let session = PlantedSession {
        path: "S1/S1/S1.mat".into(),
        subject: "1".into(),
        session: None,
        run: None,
        sfreq: 1000.0,
        labels: Vec::new(),
        runs: vec![(0, n)],
        trials: Vec::new(),
        samples: (0..64).map(saw).collect(),
    };
    let kept: Vec<usize> = (0..64).collect();
    samples_agree(&scratch, &session, &kept, 5);
}
