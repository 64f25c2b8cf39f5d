//! PME4, from one array and one sound a trial to epochs.

use mmpipe_simulate::{PlantedSessions, Pme4, pme4};
use serde_json::{Value, json};

use crate::heard::{heard, sound_agrees};
use crate::planted::{every_second_is_accounted_for, samples_agree, trials_agree};
use crate::support::Scratch;

fn ingested(cfg: &Pme4) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = pme4(cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "PME4", "--raw", "raw"]);
    (scratch, planted, report)
}

#[test]
fn pme4_in_miniature() {
    let (scratch, planted, report) = ingested(&Pme4::default());
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 14, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let found = scratch.sql(
        "SELECT subject, container, sfreq, n_channels, count(*) AS trials, sum(seconds) AS seconds \
         FROM recordings GROUP BY 1, 2, 3, 4 ORDER BY 1",
    );
    let subject = |s: &str| {
        json!({ "subject": s, "container": "NumPy .npy", "sfreq": 5000.0, "n_channels": 8,
                "trials": 7, "seconds": 35.0 })
    };
    assert_eq!(found, [subject("01"), subject("02")]);
    // Of 5 s, 3 are the trial: one epoch each.
    let labels = scratch.sql(
        "SELECT label, label_name, count(*) AS epochs, count(DISTINCT subject) AS subjects, \
                sum(array_length(stimuli)) AS sounds, count(DISTINCT content_id) AS contents \
         FROM eeg GROUP BY 1, 2 ORDER BY 1",
    );
    let names = [
        "anger", "disgust", "fear", "happy", "neutral", "sad", "surprise",
    ];
    let want: Vec<Value> = names
        .iter()
        .enumerate()
        .map(|(k, name)| {
            json!({ "label": k, "label_name": name, "epochs": 2, "subjects": 2, "sounds": 2, "contents": 1 })
        })
        .collect();
    assert_eq!(labels, want);
    let channels = scratch.sql("SELECT DISTINCT ch_names FROM eeg");
    assert_eq!(
        channels,
        [json!({ "ch_names": ["F3", "Fz", "F4", "Cz", "P3", "Pz", "P4", "O2"] })]
    );
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs, sum(d['seconds']) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        dropped,
        [
            json!({ "reason": "outside any trial", "epochs": 14, "seconds": 28.0 }),
            json!({ "reason": "tail shorter than an epoch", "epochs": 0, "seconds": 14.0 }),
        ]
    );
    every_second_is_accounted_for(&scratch);
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
    }
    for recording in planted.recordings.iter().step_by(5) {
        samples_agree(&scratch, recording, &(0..8).collect::<Vec<_>>(), 1);
    }
    let ignored = report.to_string();
    assert!(
        ignored.contains("not what the publisher derived"),
        "{report:#}"
    );
}

#[test]
fn the_trial_is_three_seconds_around_the_speech_moved_into_the_recording() {
    let cfg = Pme4 {
        subjects: 1,
        trials: 3,
        seed: 1,
    };
    let (scratch, planted, _) = ingested(&cfg);
    let found = scratch.sql("SELECT run, onset FROM eeg ORDER BY 1");
    let onset = |run: &str, onset: f64| json!({ "run": run, "onset": onset });
    assert_eq!(
        found,
        [onset("001", 0.5), onset("002", 0.0), onset("003", 2.0)]
    );
    // The sound stands where the trial starts: 0.5 s in, it has segments of its own there.
    for (made, phase) in planted.recordings.iter().zip([8000, 0, 0]) {
        let file = made.path.replace("_raw_eeg_5kHz.npy", ".wav");
        let id = match phase {
            8000 => format!("PME4/{file}@500"),
            _ => format!("PME4/{file}"),
        };
        let sounds = heard(&scratch, &made.path);
        assert_eq!(sounds.len(), 1);
        assert_eq!(
            (sounds[0].role.as_str(), &sounds[0].stimulus_id),
            ("heard", &id)
        );
        sound_agrees(&scratch, &id, &scratch.path("raw").join(file), None, phase);
    }
    let last = heard(&scratch, &planted.recordings[2].path);
    assert_eq!(last[0].segment, 1);
}

#[test]
fn classes_go_by_words_because_the_order_of_the_codes_is_unknown() {
    let cfg = Pme4 {
        subjects: 1,
        trials: 2,
        seed: 1,
    };
    let scratch = Scratch::new();
    pme4(&cfg, &scratch.path("raw")).unwrap();
    let csv = scratch.path("raw/PME4_dataset_configs.csv");
    let text = std::fs::read_to_string(&csv).unwrap();
    // Other codes, and a word in capitals.
    let mut lines: Vec<Vec<String>> = text
        .lines()
        .map(|l| l.split(',').map(str::to_owned).collect())
        .collect();
    for (k, line) in lines.iter_mut().enumerate().skip(1) {
        line[2] = (40 - k).to_string();
    }
    lines[1][3] = "Surprise".to_owned();
    lines[2][3] = "boredom".to_owned();
    let text: Vec<String> = lines.iter().map(|l| l.join(",")).collect();
    std::fs::write(&csv, text.join("\n") + "\n").unwrap();
    scratch.json(&["ingest", "--dataset", "PME4", "--raw", "raw"]);
    let found = scratch.sql("SELECT run, coalesce(label, -1) AS label FROM eeg ORDER BY 1");
    let label = |run: &str, label: i32| json!({ "run": run, "label": label });
    assert_eq!(found, [label("001", 6), label("002", -1)]);
}
