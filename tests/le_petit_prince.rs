//! Le Petit Prince, from EEGLAB sets and triggers to sentences.

use mmpipe_simulate::{LePetitPrince, PlantedSessions, le_petit_prince};
use serde_json::{Value, json};

use crate::heard::{heard, sound_agrees};
use crate::planted::{every_second_is_accounted_for, samples_agree};
use crate::support::Scratch;

fn ingested(cfg: &LePetitPrince) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = le_petit_prince(cfg, &scratch.path("raw")).unwrap();
    // A broken file of a subject is rejected, which the exit code says.
    let ran = scratch.run(&[
        "ingest",
        "--dataset",
        "Le_Petit_Prince",
        "--raw",
        "raw",
        "--json",
    ]);
    let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran}"));
    (scratch, planted, report)
}

/// The second subject's file is cut short.
fn two() -> LePetitPrince {
    LePetitPrince {
        subjects: vec![1, 19],
        ..LePetitPrince::default()
    }
}

fn one(first_number: usize) -> LePetitPrince {
    LePetitPrince {
        subjects: vec![1],
        first_number,
        ..LePetitPrince::default()
    }
}

/// Trial, epochs and section of the miniature's sentences; trial 3 is a question.
const SENTENCES: [(usize, usize, &str, &str); 4] = [
    (0, 1, "section-1", "1.001"),
    (1, 2, "section-1", "1.002"),
    (2, 1, "section-1", "1.010"),
    (4, 1, "section-2", "2.001"),
];

#[test]
fn le_petit_prince_in_miniature() {
    let (scratch, planted, report) = ingested(&two());
    let found =
        scratch.sql("SELECT subject, status, container, sfreq, epochs FROM recordings ORDER BY 1");
    assert_eq!(found.len(), 2, "{report:#}");
    assert_eq!(
        found[0],
        json!({ "subject": "HK001", "status": "ok", "container": "EEGLAB", "sfreq": 1000.0, "epochs": 5 })
    );
    let trials = scratch.sql(
        "SELECT trial, count(*) AS epochs, content_id, auditory_type, task, sum(array_length(stimuli)) AS sounds \
         FROM eeg GROUP BY 1, 3, 4, 5 ORDER BY 1",
    );
    let want: Vec<Value> = SENTENCES
        .iter()
        .map(|(trial, epochs, section, _)| {
            json!({ "trial": trial, "epochs": epochs, "content_id": section, "auditory_type": "speech",
                    "task": "listening to a story", "sounds": epochs })
        })
        .collect();
    assert_eq!(trials, want);
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, d['epochs'] AS epochs, d['seconds'] AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings WHERE status = 'ok') ORDER BY 1",
    );
    assert_eq!(
        dropped,
        [
            // Until the next trigger: a question has no words in the workbook.
            json!({ "reason": "a question of the quiz", "epochs": 2, "seconds": 4.0 }),
            json!({ "reason": "outside any trial", "epochs": 2, "seconds": 5.875 }),
            json!({ "reason": "tail shorter than an epoch", "epochs": 0, "seconds": 3.5 }),
        ]
    );
    every_second_is_accounted_for(&scratch);
    let made = &planted.recordings[0];
    let rows = scratch.sql("SELECT trial, epoch, onset FROM eeg ORDER BY 1, 2");
    for row in rows {
        let trial = row["trial"].as_u64().unwrap() as usize;
        let at = made.trials[trial].start as f64 / 1000.0 + 2.0 * row["epoch"].as_f64().unwrap();
        assert!(
            (row["onset"].as_f64().unwrap() - at).abs() <= 0.0025 + 1e-9,
            "{row}"
        );
    }
    // M1, M2, CB1, CB2 and what is no EEG are not kept.
    let kept: Vec<usize> = (0..64).filter(|c| ![32, 42, 59, 63].contains(c)).collect();
    samples_agree(&scratch, made, &kept, 2);
}

#[test]
fn each_sentence_starts_with_its_trigger_and_its_sound() {
    let (scratch, planted, _) = ingested(&one(1));
    let found = heard(&scratch, &planted.recordings[0].path);
    assert_eq!(found.len(), 5);
    for sound in &found {
        let (.., id) = SENTENCES
            .iter()
            .find(|s| s.0 as i64 == sound.trial)
            .unwrap();
        let part = &id[..1];
        let file =
            format!("sourcedata/stimuli/audio_files_segmented_by_sentence/Part {part}/{id}.wav");
        assert_eq!(sound.stimulus_id, format!("Le_Petit_Prince/{file}"));
        assert_eq!((sound.role.as_str(), sound.segment), ("heard", sound.epoch));
        if sound.epoch == 0 {
            sound_agrees(
                &scratch,
                &sound.stimulus_id,
                &scratch.path("raw").join(file),
                None,
                0,
            );
        }
    }
}

#[test]
fn trigger_numbers_that_wrap_at_256_still_name_their_sentence() {
    let (plain, ..) = ingested(&one(1));
    let (wrapped, ..) = ingested(&one(254));
    let sounds = |s: &Scratch| heard(s, "sub-HK001/eeg/sub-HK001_task-lppHK_eeg.set");
    assert_eq!(sounds(&wrapped).len(), 5);
    assert_eq!(sounds(&wrapped), sounds(&plain));
}

#[test]
fn a_fdt_that_is_shorter_than_its_set_says_is_rejected_with_the_reason() {
    let (scratch, _, report) = ingested(&two());
    let found = scratch.sql("SELECT subject, status, reason FROM recordings ORDER BY 1");
    assert_eq!(found[1]["subject"], "HK019");
    assert_eq!(found[1]["status"], "rejected", "{report:#}");
    assert!(
        found[1]["reason"]
            .as_str()
            .unwrap()
            .contains("shorter than the .set says"),
        "{found:?}"
    );
}

#[test]
fn without_the_workbook_of_triggers_a_recording_is_one_trial_without_sound() {
    let scratch = Scratch::new();
    le_petit_prince(&one(1), &scratch.path("raw")).unwrap();
    std::fs::remove_file(
        scratch.path("raw/sourcedata/annotation/EEG_trigger_and_sentence_number.xlsx"),
    )
    .unwrap();
    scratch.json(&["ingest", "--dataset", "Le_Petit_Prince", "--raw", "raw"]);
    let found = scratch.sql(
        "SELECT trial, count(*) AS epochs, sum(coalesce(array_length(stimuli), 0)) AS sounds FROM eeg GROUP BY 1",
    );
    // 23.375 s.
    assert_eq!(found, [json!({ "trial": 0, "epochs": 11, "sounds": 0 })]);
}
