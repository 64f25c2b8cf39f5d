//! FEIS, from one table a stage of the trial to epochs with their prompts; and the real files of
//! two subjects.

use std::io::Write;

use mmpipe_simulate::{Feis, PlantedSessions, feis};
use serde_json::{Value, json};

use crate::heard::{heard, sound_agrees};
use crate::planted::{every_second_is_accounted_for, samples_agree, trials_agree};
use crate::support::{Scratch, real};

fn ingested(cfg: &Feis) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = feis(cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "FEIS", "--raw", "raw"]);
    (scratch, planted, report)
}

#[test]
fn feis_in_miniature() {
    let (scratch, planted, report) = ingested(&Feis::default());
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 10, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    // Four trials a subject; of 5 s two epochs are cut and 1 s is left, of 1 s none is.
    let stage = |run: &str, seconds: f64, epochs: usize| {
        json!({ "run": run, "container": "CSV", "sfreq": 256.0, "n_channels": 14,
                "seconds": seconds, "epochs": epochs, "subjects": 2 })
    };
    let found = scratch.sql(
        "SELECT run, container, sfreq, n_channels, seconds, epochs, count(DISTINCT subject) AS subjects \
         FROM recordings GROUP BY 1, 2, 3, 4, 5, 6 ORDER BY 1",
    );
    assert_eq!(
        found,
        [
            stage("articulators", 4.0, 0),
            stage("resting", 20.0, 8),
            stage("speaking", 20.0, 8),
            stage("stimuli", 20.0, 8),
            stage("thinking", 20.0, 8),
        ]
    );
    let found = scratch.sql(
        "SELECT task, auditory_type, label IS NULL AS unlabelled, count(*) AS epochs, \
                count(DISTINCT label) AS labels, sum(array_length(stimuli)) AS sounds \
         FROM eeg GROUP BY 1, 2, 3 ORDER BY 1",
    );
    let found: Vec<String> = found
        .iter()
        .map(|r| {
            format!(
                "{} {} {} {} {} {}",
                r["task"],
                r["auditory_type"],
                r["unlabelled"],
                r["epochs"],
                r["labels"],
                r["sounds"]
            )
        })
        .collect();
    assert_eq!(
        found,
        [
            r#""heard speech" "speech" false 16 4 16"#,
            r#""imagined speech" null false 16 4 0"#,
            r#""rest" null true 16 0 0"#,
            r#""spoken speech" null false 16 4 0"#,
        ]
    );
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs, sum(d['seconds']) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        dropped,
        [json!({ "reason": "tail shorter than an epoch", "epochs": 0, "seconds": 40.0 })]
    );
    every_second_is_accounted_for(&scratch);
    for recording in &planted.recordings {
        match recording.run.as_deref() {
            Some("stimuli" | "thinking") => {
                trials_agree(&scratch, recording);
                samples_agree(&scratch, recording, &(0..14).collect::<Vec<_>>(), 2);
            }
            Some("speaking") => trials_agree(&scratch, recording),
            _ => {}
        }
    }
}

#[test]
fn a_prompt_starts_with_its_trial_and_subject_05_hears_the_voice_of_04() {
    let (scratch, planted, report) = ingested(&Feis::default());
    let names = [
        "fleece", "goose", "trap", "thought", "m", "n", "ng", "f", "s", "sh", "v", "z", "zh", "p",
        "t", "k",
    ];
    for (subject, voice) in [("01", "01"), ("05", "04")] {
        let path = format!("data_eeg/{subject}/stimuli.csv");
        let made = planted.recordings.iter().find(|r| r.path == path).unwrap();
        let found = heard(&scratch, &path);
        assert_eq!(found.len(), 8);
        for (k, sound) in found.iter().enumerate() {
            let prompt = names[made.trials[k / 2].label as usize];
            assert_eq!((sound.trial, sound.epoch), ((k / 2) as i64, (k % 2) as i64));
            assert_eq!(
                (sound.role.as_str(), sound.segment),
                ("heard", (k % 2) as i64)
            );
            let file = format!("data_wav/{voice}/combined_wavs/{prompt}.wav");
            assert_eq!(sound.stimulus_id, format!("FEIS/{file}"));
            if k % 2 == 0 {
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
    assert!(
        report.to_string().contains("the microphone broke"),
        "{report:#}"
    );
    // A sound is stored once for the ten trials that hear it; each voice has contents of its own.
    let found = scratch.sql(
        "SELECT speaker, count(*) AS sounds, count(DISTINCT content_id) AS contents, \
                min(seconds) AS seconds, min(sfreq) AS sfreq FROM stimuli GROUP BY 1 ORDER BY 1",
    );
    let voice = |v: &str| json!({ "speaker": v, "sounds": 4, "contents": 4, "seconds": 5.0, "sfreq": 44100.0 });
    assert_eq!(found, [voice("01"), voice("04")]);
    let content = scratch
        .sql("SELECT DISTINCT content_id IS NULL AS without FROM eeg WHERE task = 'heard speech'");
    assert_eq!(content, [json!({ "without": false })]);
}

#[test]
fn stages_in_zip_archives_as_the_publisher_ships_them() {
    let cfg = Feis {
        subjects: vec![1],
        trials: 2,
        seed: 3,
    };
    let counts = "SELECT run, trial, label, count(*) AS epochs, sum(epoch_id % 1000) AS ids \
                  FROM eeg GROUP BY 1, 2, 3 ORDER BY 1, 2";
    let (scratch, planted, _) = ingested(&cfg);
    let want = scratch.sql(counts);
    assert_eq!(want.len(), 8);
    for recording in &planted.recordings {
        let csv = scratch.path("raw").join(&recording.path);
        let file = std::fs::File::create(csv.with_extension("zip")).unwrap();
        let mut zip = zip::ZipWriter::new(file);
        let options = zip::write::SimpleFileOptions::default();
        let name = csv.file_name().unwrap().to_str().unwrap();
        zip.start_file(name, options).unwrap();
        zip.write_all(&std::fs::read(&csv).unwrap()).unwrap();
        zip.finish().unwrap();
        std::fs::remove_file(csv).unwrap();
    }
    // Ignored, not unpacked.
    std::fs::write(scratch.path("raw/data_eeg/01/full_eeg.zip"), b"not opened").unwrap();
    std::fs::remove_dir_all(scratch.lake()).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "FEIS", "--raw", "raw"]);
    assert_eq!(scratch.sql(counts), want, "{report:#}");
    assert!(
        report.to_string().contains("the whole session"),
        "{report:#}"
    );
}

/// Two subjects of the real data set: the second of fixation of each trial, too short for an
/// epoch, and the voices.
#[test]
fn the_real_tables_of_two_subjects() {
    let Some(raw) = real("feis") else {
        return;
    };
    let scratch = Scratch::new();
    let report = scratch.json(&[
        "ingest",
        "--dataset",
        "FEIS",
        "--raw",
        raw.to_str().unwrap(),
    ]);
    let found = scratch.sql(
        "SELECT subject, run, status, container, sfreq, n_channels, seconds, epochs FROM recordings ORDER BY 1",
    );
    let row = |subject: &str| {
        json!({ "subject": subject, "run": "articulators", "status": "ok", "container": "CSV",
                "sfreq": 256.0, "n_channels": 14, "seconds": 160.0, "epochs": 0 })
    };
    assert_eq!(found, [row("01"), row("02")], "{report:#}");
    let dropped = scratch.sql(
        "SELECT path, d['reason'] AS reason, d['seconds'] AS seconds \
         FROM (SELECT path, unnest(dropped) AS d FROM recordings) ORDER BY 1",
    );
    let reason = |subject: &str| {
        json!({ "path": format!("data_eeg/{subject}/articulators.csv"),
                "reason": "tail shorter than an epoch", "seconds": 160.0 })
    };
    assert_eq!(dropped, [reason("01"), reason("02")]);
    every_second_is_accounted_for(&scratch);
}
