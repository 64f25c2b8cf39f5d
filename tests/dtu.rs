//! DTU, from a continuous recording and a table of trials to epochs and segments.

use mmpipe_simulate::{Dtu, PlantedListening, dtu};
use serde_json::{Value, json};

use crate::paired::{attention_is_in_the_eeg, dropped, hearing_agrees, sounds_agree};
use crate::planted::{every_second_is_accounted_for, samples_agree};
use crate::support::Scratch;

fn simulated(subjects: usize) -> (Scratch, PlantedListening) {
    let scratch = Scratch::new();
    let cfg = Dtu {
        subjects,
        ..Dtu::default()
    };
    let planted = dtu(&cfg, &scratch.path("raw")).unwrap();
    (scratch, planted)
}

fn ingest(scratch: &Scratch) -> Value {
    scratch.json(&["ingest", "--dataset", "DTU", "--raw", "raw"])
}

#[test]
fn dtu_in_miniature() {
    let (scratch, planted) = simulated(2);
    let report = ingest(&scratch);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 2, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    // Ten trials of 4 s, each 4.5 s after the last, and 1.7 s around them.
    let row = |subject: &str| {
        json!({ "subject": subject, "container": "MATLAB v5", "sfreq": 512.0, "n_channels": 64,
                "seconds": 46.697265625, "epochs": 15 })
    };
    let found = scratch.sql(
        "SELECT subject, container, sfreq, n_channels, seconds, epochs FROM recordings ORDER BY 1",
    );
    assert_eq!(found, [row("1"), row("2")]);
    let found = scratch.sql(
        "SELECT label, label_name, count(*) AS epochs, count(DISTINCT subject) AS subjects, \
                count(DISTINCT content_id) AS contents FROM eeg GROUP BY 1, 2 ORDER BY 1",
    );
    let total: i64 = found.iter().map(|r| r["epochs"].as_i64().unwrap()).sum();
    assert_eq!(total, 30, "{found:?}");
    let names: Vec<&str> = found
        .iter()
        .map(|r| r["label_name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["left", "right"], "{found:?}");
    // 8 stories of the man, 8 of the woman; half of each attended, by both subjects.
    let found = scratch.sql(
        "SELECT s['role'] AS role, count(*) AS epochs, count(DISTINCT s['stimulus_id']) AS sounds \
         FROM (SELECT unnest(stimuli) AS s FROM eeg) GROUP BY 1 ORDER BY 1",
    );
    let roles: Vec<(&str, i64)> = found
        .iter()
        .map(|r| (r["role"].as_str().unwrap(), r["epochs"].as_i64().unwrap()))
        .collect();
    assert_eq!(roles, [("attended", 30), ("unattended", 30)]);
    let found = scratch.sql(
        "SELECT speaker, gender, count(*) AS sounds, count(DISTINCT content_id) AS contents FROM stimuli GROUP BY 1, 2 ORDER BY 1",
    );
    let talker = |name: &str, gender: &str| json!({ "speaker": name, "gender": gender, "sounds": 8, "contents": 8 });
    assert_eq!(
        found,
        [talker("aske", "male"), talker("marianne", "female")]
    );
    assert_eq!(
        dropped(&scratch),
        [
            ("beyond the sound".to_owned(), 2),
            ("one talker only".to_owned(), 8),
            ("outside any trial".to_owned(), 6),
        ]
    );
    every_second_is_accounted_for(&scratch);
    let kept: Vec<usize> = (0..64).collect();
    hearing_agrees(&scratch, "DTU", &planted.recordings);
    for hearing in &planted.recordings {
        samples_agree(&scratch, &hearing.session, &kept, 1);
    }
    sounds_agree(&scratch, "DTU", &planted.sounds, 3);
    attention_is_in_the_eeg(&scratch, "DTU", &planted, "Cz");
}

#[test]
fn trials_of_one_talker_are_counted_and_not_cut() {
    let (scratch, _) = simulated(1);
    let report = ingest(&scratch);
    let found = scratch.sql("SELECT DISTINCT trial FROM eeg WHERE trial IN (4, 8)");
    assert!(found.is_empty(), "{found:?}");
    let dropped = dropped(&scratch);
    assert!(
        dropped.contains(&("one talker only".to_owned(), 4)),
        "{dropped:?}"
    );
    assert!(
        report["ignored"].to_string().contains("dss.wav"),
        "{report:#}"
    );
}

#[test]
fn the_attended_gender_is_no_side() {
    // `attend_mf` is the value of the event; side and talker are balanced against each other.
    let (scratch, planted) = simulated(1);
    ingest(&scratch);
    let found = scratch.sql(
        "SELECT DISTINCT trial, label, s['stimulus_id'] LIKE '%aske%' AS man, s['side'] AS side \
         FROM (SELECT trial, label, unnest(stimuli) AS s FROM eeg) WHERE s['role'] = 'attended' ORDER BY trial",
    );
    assert_eq!(found.len(), planted.recordings[0].numbers.len());
    for row in &found {
        let side = ["left", "right"][row["label"].as_u64().unwrap() as usize];
        assert_eq!(row["side"], side, "{row}");
    }
    for man in [true, false] {
        let of = found.iter().filter(|r| r["man"] == man);
        let left = of.clone().filter(|r| r["label"] == 0).count();
        assert_eq!((left, of.count()), (2, 4), "{found:?}");
    }
}

#[test]
fn an_offset_before_the_last_sample_costs_no_epoch() {
    // The offsets come three samples early; the trials have two whole epochs.
    let (scratch, _) = simulated(1);
    ingest(&scratch);
    let found = scratch.sql("SELECT trial, count(*) AS epochs FROM eeg GROUP BY 1 ORDER BY 1");
    // Story 6 of the woman, in trial 7, lasts 3.1 s.
    let epochs: Vec<i64> = found
        .iter()
        .map(|r| r["epochs"].as_i64().unwrap())
        .collect();
    assert_eq!(epochs, [2, 2, 2, 2, 2, 1, 2, 2], "{found:?}");
}

#[test]
fn without_its_table_no_trial_is_cut_and_the_reason_says_so() {
    let (scratch, _) = simulated(1);
    std::fs::remove_file(scratch.path("raw/EEG/expinfo_S1.mat")).unwrap();
    let report = ingest(&scratch);
    assert_eq!(report["recordings"][0]["epochs"], 0, "{report:#}");
    let reasons: Vec<String> = dropped(&scratch).into_iter().map(|d| d.0).collect();
    assert!(
        reasons
            .iter()
            .any(|r| r.contains("put expinfo_S*.mat beside it")),
        "{reasons:?}"
    );
}

#[test]
fn a_story_that_is_missing_leaves_its_trial_with_the_other() {
    let (scratch, _) = simulated(1);
    std::fs::remove_file(scratch.path("raw/AUDIO/aske_story1_trial_1.wav")).unwrap();
    ingest(&scratch);
    let found = scratch.sql("SELECT path, status FROM stimuli WHERE status <> 'ok'");
    let path = "AUDIO/aske_story1_trial_1.wav";
    assert_eq!(found, [json!({ "path": path, "status": "missing" })]);
    let found = scratch.sql(
        "SELECT DISTINCT s['role'] AS role FROM (SELECT unnest(stimuli) AS s FROM eeg WHERE trial = 1)",
    );
    assert_eq!(found, [json!({ "role": "unattended" })]);
}

/// `fixtures/dtu_S1.mat` has the MATLAB table itself, by another writer.
#[test]
fn the_matlab_table_of_the_raw_file_is_read() {
    let (scratch, _) = simulated(1);
    let eeg = scratch.path("raw/EEG");
    std::fs::remove_file(eeg.join("expinfo_S1.mat")).unwrap();
    let fixture =
        std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/fixtures/dtu_S1.mat");
    std::fs::copy(fixture, eeg.join("S1.mat")).unwrap();
    let report = ingest(&scratch);
    assert_eq!(report["recordings"][0]["status"], "ok", "{report:#}");
    assert_eq!(dropped(&scratch)[0], ("one talker only".to_owned(), 2));
    let found = scratch.sql(
        "SELECT trial, epoch, label, s['stimulus_id'] AS id, s['side'] AS side \
         FROM (SELECT trial, epoch, label, unnest(stimuli) AS s FROM eeg) \
         WHERE s['role'] = 'attended' ORDER BY trial, epoch",
    );
    let row = |trial: i32, epoch: i32, label: i32, name: &str, side: &str| json!({ "trial": trial, "epoch": epoch, "label": label, "id": format!("DTU/AUDIO/{name}.wav"), "side": side });
    let (woman, man) = ("marianne_story1_trial_1", "aske_story1_trial_2");
    let want = [
        row(1, 0, 0, woman, "left"),
        row(1, 1, 0, woman, "left"),
        row(3, 0, 1, man, "right"),
        row(3, 1, 1, man, "right"),
    ];
    assert_eq!(found, want);
}
