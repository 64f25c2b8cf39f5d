//! Data sets whose layout is not published: without a mapping file an error that says so and what
//! is in the folder, with one an ingest.

use std::fs;

use mmpipe_formats::write::wav;
use mmpipe_trees::write::{Value, write_mat5};
use serde_json::json;

use crate::support::Scratch;

/// A made-up layout of the ear-EEG: one MATLAB file a subject with two trials of 6 s.
const EARS: &str = r#"
[[files]]
pattern = 'eeg/P(?P<subject>\d\d)\.mat'
kind = "signal"

[[files]]
pattern = 'audio/(?P<narrator>[AB])_(?P<piece>\d)\.wav'
kind = "stimulus"

[[parts]]
pattern = 'eeg/P\d\d\.mat'
each = "trial{*}"
part = "$"
set = { run = "$" }
tree = { eeg = ["$.ears"], sfreq = "$.fs", ch_names = ["earL", "earR"], unit = "µV" }

[[tables]]
table = "attended"
pattern = 'eeg/P\d\d\.mat'
each = "trial{*}"
columns = { narrator = "$.attended" }

[trials]
sql = """
SELECT f.path, 0 AS trial, CAST(NULL AS DOUBLE) AS start, CAST(NULL AS DOUBLE) AS stop,
       CAST(CASE a.narrator WHEN 'A' THEN 0 ELSE 1 END AS INT) AS label, a.narrator AS label_name,
       'auditory attention' AS task, 'piece-' || f.run AS content_id
FROM files f JOIN attended a ON f.path = a.path || '#' || a.part
"""

[streams]
sql = """
SELECT f.path, 0 AS trial, w.path AS stimulus,
       CASE WHEN w.narrator = a.narrator THEN 'attended' ELSE 'unattended' END AS role, 0.0 AS "offset"
FROM files f JOIN attended a ON f.path = a.path || '#' || a.part
JOIN files w ON w.status = 'stimulus' AND w.piece = f.run
"""

[stimuli]
sql = "SELECT path AS stimulus, 'piece-' || piece AS content_id, narrator AS speaker FROM files WHERE status = 'stimulus'"
"#;

/// 6 s at 128 Hz, two channels.
fn ears(seed: usize) -> Value {
    let wave = |c: usize| (0..768).map(move |t| ((t * (3 + c + seed)) % 97) as f64 / 5.0);
    Value::array(&[768, 2], wave(0).chain(wave(1)).collect::<Vec<f64>>())
}

fn write_ears(scratch: &Scratch) {
    for folder in ["raw/eeg", "raw/audio"] {
        fs::create_dir_all(scratch.path(folder)).unwrap();
    }
    for subject in 1..=2 {
        let trial = |k: usize, narrator: &str| {
            Value::record([
                ("ears", ears(10 * subject + k)),
                ("fs", Value::scalar(128.0)),
                ("attended", Value::text(narrator)),
            ])
        };
        let cells = Value::cells([trial(1, "A"), trial(2, "B")]);
        let path = scratch.path(&format!("raw/eeg/P{subject:02}.mat"));
        write_mat5(&path, &[("trial", cells)], true).unwrap();
    }
    for (k, name) in ["A_1", "B_1", "A_2", "B_2"].iter().enumerate() {
        let sound: Vec<f32> = (0..96_000)
            .map(|t| ((t * (k + 2)) % 51) as f32 / 60.0)
            .collect();
        let path = scratch.path(&format!("raw/audio/{name}.wav"));
        wav::write(&path, 16_000, &[&sound], wav::Sample::Pcm16).unwrap();
    }
}

#[test]
fn without_a_mapping_the_error_says_what_is_needed_and_lists_the_folder() {
    let scratch = Scratch::new();
    write_ears(&scratch);
    for name in ["zenodo_10260082", "HR-EEG4EMO"] {
        let ran = scratch.run(&["ingest", "--dataset", name, "--raw", "raw"]);
        assert_ne!(ran.code, 0, "{ran}");
        for part in [
            "--mapping",
            "is not published",
            "eeg/P01.mat",
            "audio/A_1.wav",
        ] {
            assert!(ran.stderr.contains(part), "{part}: {ran}");
        }
    }
}

#[test]
fn with_a_mapping_the_ear_eeg_is_ingested() {
    let scratch = Scratch::new();
    write_ears(&scratch);
    fs::write(scratch.path("my.toml"), EARS).unwrap();
    let report = scratch.json(&[
        "ingest",
        "--dataset",
        "zenodo_10260082",
        "--raw",
        "raw",
        "--mapping",
        "my.toml",
    ]);
    let found = scratch.sql(
        "SELECT subject, run, label_name, content_id, count(*) AS epochs, sum(array_length(stimuli)) AS sounds \
         FROM eeg GROUP BY 1, 2, 3, 4 ORDER BY 1, 2",
    );
    let row = |subject: &str, run: &str, narrator: &str| {
        json!({ "subject": subject, "run": run, "label_name": narrator,
                "content_id": format!("piece-{run}"), "epochs": 3, "sounds": 6 })
    };
    assert_eq!(
        found,
        [
            row("01", "1", "A"),
            row("01", "2", "B"),
            row("02", "1", "A"),
            row("02", "2", "B")
        ],
        "{report:#}"
    );
    let names = scratch.sql("SELECT DISTINCT ch_names FROM eeg");
    assert_eq!(names, [json!({ "ch_names": ["raw:earL", "raw:earR"] })]);
}

/// A made-up layout of the film clips: one array a subject and clip, labels in a table, no sound.
const CLIPS: &str = r#"
[[files]]
pattern = 'S(?P<subject>\d+)_video(?P<run>\d+)\.mat'
kind = "signal"

[[files]]
pattern = 'labels\.csv'
kind = "side-car"

[[side_cars]]
table = "labels"
pattern = 'labels\.csv'
format = "csv"
columns = ["Emotion_Label"]

[[parts]]
pattern = 'S\d+_video\d+\.mat'
tree = { eeg = ["eeg"], sfreq = "fs", ch_names = "labels", unit = "µV" }

[trials]
# 0 is neither; row i is clip i + 1.
sql = """
WITH numbered AS (
    SELECT row_number() OVER () AS clip, TRY_CAST("Emotion_Label" AS INT) AS code FROM labels
)
SELECT f.path, 0 AS trial, CAST(NULL AS DOUBLE) AS start, CAST(NULL AS DOUBLE) AS stop,
       CAST(CASE n.code WHEN -1 THEN 0 WHEN 1 THEN 1 END AS INT) AS label,
       CASE n.code WHEN -1 THEN 'negative' WHEN 1 THEN 'positive' END AS label_name,
       'emotion' AS task, 'video-' || f.run AS content_id,
       CASE WHEN n.code = 0 THEN 'neither positive nor negative' END AS drop_reason
FROM files f LEFT JOIN numbered n ON n.clip = CAST(f.run AS INT)
WHERE f.status = 'ok'
"""
"#;

#[test]
fn with_a_mapping_film_clips_are_ingested_without_sound() {
    let scratch = Scratch::new();
    fs::create_dir_all(scratch.path("raw")).unwrap();
    for clip in 1..=3 {
        let path = scratch.path(&format!("raw/S1_video{clip}.mat"));
        let variables = [
            ("eeg", ears(clip)),
            ("fs", Value::scalar(128.0)),
            ("labels", Value::texts(["E31", "E257"])),
        ];
        write_mat5(&path, &variables, true).unwrap();
    }
    fs::write(scratch.path("raw/labels.csv"), "Emotion_Label\n1\n0\n-1\n").unwrap();
    fs::write(scratch.path("my.toml"), CLIPS).unwrap();
    let report = scratch.json(&[
        "ingest",
        "--dataset",
        "HR-EEG4EMO",
        "--raw",
        "raw",
        "--mapping",
        "my.toml",
    ]);
    let found = scratch.sql(
        "SELECT run, label, content_id, count(*) AS epochs FROM eeg GROUP BY 1, 2, 3 ORDER BY 1",
    );
    let row = |run: &str, label: i32| json!({ "run": run, "label": label, "content_id": format!("video-{run}"), "epochs": 3 });
    assert_eq!(found, [row("1", 1), row("3", 0)], "{report:#}");
    let dropped = scratch.sql(
        "SELECT run, d['epochs'] AS epochs FROM (SELECT run, unnest(dropped) AS d FROM recordings) \
         WHERE d['reason'] = 'neither positive nor negative'",
    );
    assert_eq!(dropped, [json!({ "run": "2", "epochs": 3 })]);
}
