//! Sounds of trials from a manifest to the report: channels of files, sides, missing ones, the crop
//! to the shorter of EEG and sound, and what the sound alone tells.

use std::path::Path;

use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf, wav};
use serde_json::{Value, json};

use crate::support::Scratch;

const MANIFEST: &str = r#"
name = "Tracks"
title = "Two tracks, four listeners"
licence = "CC0-1.0"
access = "open"
labels = ["left", "right"]

[[files]]
pattern = 'S(?P<subject>\d)\.edf'
kind = "signal"

[[files]]
pattern = 'clips/T\d\.wav'
kind = "stimulus"

[[files]]
pattern = 'trials\.csv'
kind = "side-car"

[[side_cars]]
table = "plan"
pattern = 'trials\.csv'
format = "csv"
columns = ["subject", "trial", "clip", "attend"]

[trials]
sql = """
SELECT f.path, CAST(p.trial AS INT) AS trial,
       10.0 * CAST(p.trial AS DOUBLE) AS start, 10.0 * CAST(p.trial AS DOUBLE) + 10.0 AS stop,
       CAST(p.attend AS INT) - 1 AS label, 'clip ' || p.clip AS content_id
FROM files f JOIN plan p ON p.subject = f.subject
WHERE f.status = 'ok'
"""

[streams]
sql = """
SELECT f.path, CAST(p.trial AS INT) AS trial,
       'clips/T' || p.clip || '.wav#ch' || c.n AS stimulus,
       CASE WHEN c.n = p.attend THEN 'attended' ELSE 'unattended' END AS role,
       0.0 AS "offset",
       CASE c.n WHEN '1' THEN 'left' ELSE 'right' END AS side
FROM files f JOIN plan p ON p.subject = f.subject CROSS JOIN (VALUES ('1'), ('2')) AS c (n)
WHERE f.status = 'ok'
"""

[stimuli]
sql = """
SELECT DISTINCT 'clips/T' || p.clip || '.wav#ch' || c.n AS stimulus, 'clip ' || p.clip AS content_id,
       'talker ' || c.n AS speaker, CASE c.n WHEN '1' THEN 'female' ELSE 'male' END AS gender
FROM plan p CROSS JOIN (VALUES ('1'), ('2')) AS c (n)
"""
"#;

/// Noise that differs with the seed, as many values as asked for.
fn noise(seed: u32, n: usize) -> Vec<f64> {
    let mut x = seed.wrapping_mul(2_654_435_761).max(1);
    let step = |_| {
        x ^= x << 13;
        x ^= x >> 17;
        x ^= x << 5;
        f64::from(x) / f64::from(u32::MAX) - 0.5
    };
    (0..n).map(step).collect()
}

/// Clips are numbered from 1; the fourth is not there. Whom subjects 3 and 4 attended is the other
/// way round from subjects 1 and 2.
fn raw(dir: &Path) {
    std::fs::create_dir_all(dir.join("clips")).unwrap();
    let mut plan = String::from("subject,trial,clip,attend\n");
    for subject in 1..=4_u32 {
        let samples: Vec<Vec<f64>> = (0..3)
            .map(|c| {
                noise(subject * 10 + c, 128 * 40)
                    .iter()
                    .map(|v| 60.0 * v)
                    .collect()
            })
            .collect();
        let signals = ["Cz", "C3", "C4"].iter().zip(&samples);
        let recording = NewRecording {
            start: Start::default(),
            patient: "X",
            recording: "X",
            signals: signals
                .map(|(name, samples)| NewSignal {
                    name,
                    unit: "uV",
                    sfreq: 128.0,
                    prefilter: "",
                    transducer: "",
                    physical_range: Some((-100.0, 100.0)),
                    samples,
                })
                .collect(),
            annotations: &[],
        };
        edf::write(&dir.join(format!("S{subject}.edf")), &recording).unwrap();
        for clip in 1..=4_u32 {
            let attend = 1 + (u32::from(clip % 2 == 0) + u32::from(subject > 2)) % 2;
            plan.push_str(&format!("{subject},{},{clip},{attend}\n", clip - 1));
        }
    }
    std::fs::write(dir.join("trials.csv"), plan).unwrap();
    for clip in 1..=3_u32 {
        let channel = |c: u32| -> Vec<f32> {
            noise(100 + 2 * clip + c, 16_000 * 9)
                .iter()
                .map(|v| *v as f32)
                .collect()
        };
        let (a, b) = (channel(0), channel(1));
        let path = dir.join(format!("clips/T{clip}.wav"));
        wav::write(&path, 16_000, &[&a, &b], wav::Sample::Float32).unwrap();
    }
}

fn scratch() -> Scratch {
    let scratch = Scratch::new();
    raw(&scratch.path("raw"));
    std::fs::create_dir(scratch.path("manifests")).unwrap();
    std::fs::write(scratch.path("manifests/Tracks.toml"), MANIFEST).unwrap();
    scratch
}

const INGEST: [&str; 7] = [
    "ingest",
    "--dataset",
    "Tracks",
    "--raw",
    "raw",
    "--manifests",
    "manifests",
];

fn score<'a>(audio_only: &'a Value, cue: &str) -> &'a Value {
    let all = audio_only["label"].as_array().unwrap();
    let found = all.iter().find(|s| s["cue"] == cue);
    found.unwrap_or_else(|| panic!("no {cue} in {audio_only:#}"))
}

#[test]
fn sounds_are_cropped_missing_ones_told_and_the_design_judged() {
    let scratch = scratch();
    let dry = scratch.json(&[&INGEST[..], &["--dry-run"]].concat());
    assert_eq!(dry["audio_only"], Value::Null);
    let text = scratch.ok(&INGEST);
    for line in [
        "sounds      8, of which 2 could not be used",
        "left out    24.0 s (12 epochs): beyond the sound",
        "no sound    clips/T4.wav#ch1, clips/T4.wav#ch2: it is not in the raw folder",
        "note        missing-sounds: 2 of 8 sounds are not in the raw folder, the first: clips/T4.wav#ch1; 4 trials are \
         kept without them, 4 of these as EEG alone",
        "label by content, by listeners asked alike: balanced accuracy 1.00, chance 0.50",
        "label by attended side: balanced accuracy 1.00, chance 0.50; it is the label itself",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }

    // Twelve trials have 9 s of sound (4 epochs), four have none (5 epochs).
    let rows = scratch.sql(
        "SELECT cardinality(stimuli) AS sounds, count(*) AS epochs FROM eeg GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        rows,
        [
            json!({ "sounds": 0, "epochs": 20 }),
            json!({ "sounds": 2, "epochs": 48 })
        ]
    );
    let planned: i64 = dry["recordings"]
        .as_array()
        .unwrap()
        .iter()
        .map(|r| r["epochs"].as_i64().unwrap())
        .sum();
    assert_eq!(planned, 68, "a dry run knows the lengths of the sounds");
    let rows = scratch.sql(
        "SELECT label, s['side'] AS side, s['role'] AS role, count(*) AS n \
         FROM (SELECT label, unnest(stimuli) AS s FROM eeg) GROUP BY 1, 2, 3 ORDER BY 1, 2",
    );
    assert_eq!(
        rows,
        [
            json!({ "label": 0, "side": "left", "role": "attended", "n": 24 }),
            json!({ "label": 0, "side": "right", "role": "unattended", "n": 24 }),
            json!({ "label": 1, "side": "left", "role": "unattended", "n": 24 }),
            json!({ "label": 1, "side": "right", "role": "attended", "n": 24 }),
        ]
    );
    let rows = scratch.sql(
        "SELECT path, status, gender, content_id FROM stimuli WHERE path LIKE '%T4%' OR path LIKE '%T1%' ORDER BY path",
    );
    assert_eq!(
        rows,
        [
            json!({ "path": "clips/T1.wav#ch1", "status": "ok", "gender": "female", "content_id": "clip 1" }),
            json!({ "path": "clips/T1.wav#ch2", "status": "ok", "gender": "male", "content_id": "clip 1" }),
            json!({ "path": "clips/T4.wav#ch1", "status": "missing", "gender": "female", "content_id": "clip 4" }),
            json!({ "path": "clips/T4.wav#ch2", "status": "missing", "gender": "male", "content_id": "clip 4" }),
        ]
    );

    let shown = scratch.json(&["datasets", "show", "Tracks", "--manifests", "manifests"]);
    let judged = &shown["audio_only"];
    assert_eq!(
        (&judged["held_out"], &judged["trials"]),
        (&json!("subject"), &json!(16))
    );
    assert_eq!(score(judged, "like-listeners")["balanced_accuracy"], 1.0);
    assert_eq!(score(judged, "side")["is_label"], true);
    // 48 epochs of 68 have a sound.
    let known = score(judged, "side")["known_share"].as_f64().unwrap();
    assert!((known - 48.0 / 68.0).abs() < 1e-12, "{known}");
    assert_eq!(shown["electrodes"], json!([]));
    let shown = scratch.ok(&["datasets", "show", "Tracks", "--manifests", "manifests"]);
    assert!(
        shown.contains(
            "sound alone what is known without EEG, each subject left out in turn (16 trials)"
        ),
        "{shown}"
    );

    scratch.ok(&[
        "split",
        "--protocol",
        "cross-subject",
        "--dataset",
        "Tracks",
        "--name",
        "cs",
        "--folds",
        "4",
    ]);
    let audit = scratch.ok(&["audit", "cs"]);
    for line in [
        "\n    attended ",
        "\n    sounds ",
        "sound alone what is known without EEG",
    ] {
        assert!(audit.contains(line), "{line}\n{audit}");
    }
    assert_eq!(&scratch.json(&["audit", "cs"])["audio_only"], judged);
}

#[test]
fn a_data_set_of_unknown_layout_takes_a_mapping_file() {
    let scratch = scratch();
    let (head, rest) = MANIFEST.split_once("\n[[files]]").unwrap();
    let head = head.replace("Tracks", "Ears");
    let needs = "needs = \"the pattern of the EEG files, and which talker was attended\"";
    std::fs::write(
        scratch.path("manifests/Ears.toml"),
        format!("{head}\n[mapping]\n{needs}\n"),
    )
    .unwrap();
    std::fs::write(scratch.path("my.toml"), format!("[[files]]{rest}")).unwrap();
    let ingest = [
        "ingest",
        "--dataset",
        "Ears",
        "--raw",
        "raw",
        "--manifests",
        "manifests",
    ];
    let ran = scratch.run(&ingest);
    assert_eq!(ran.code, 1, "{ran}");
    for words in [
        "Ears: how its files are laid out is not published",
        "(--mapping FILE) that says the pattern of the EEG files, and which talker was attended",
        "8 files (1 .csv, 4 .edf, 3 .wav)",
        "S1.edf",
    ] {
        assert!(ran.stderr.contains(words), "{words}\n{ran}");
    }
    let ran = scratch.run(&[&ingest[..], &["--mapping", "absent.toml"]].concat());
    assert_eq!(ran.code, 1, "{ran}");
    assert!(
        ran.stderr.contains("cannot read mapping file absent.toml"),
        "{ran}"
    );
    std::fs::write(scratch.path("wrong.toml"), "[[file]]\n").unwrap();
    let ran = scratch.run(&[&ingest[..], &["--mapping", "wrong.toml"]].concat());
    assert_eq!(ran.code, 1, "{ran}");
    assert!(
        ran.stderr.contains("wrong.toml") && ran.stderr.contains("unknown field `file`"),
        "{ran}"
    );
    let text = scratch.ok(&[&ingest[..], &["--mapping", "my.toml"]].concat());
    assert!(
        text.contains("Ears: 4 recordings of 4 subjects, 2 min 40 s, 68 epochs"),
        "{text}"
    );
    let shown = scratch.ok(&["datasets", "show", "Ears", "--manifests", "manifests"]);
    assert!(
        shown.contains("mapping     needed (--mapping FILE): the pattern of the EEG files, and which talker was attended"),
        "{shown}"
    );
}

const CAP: &str = r#"
name = "Numbers"
title = "A cap with numbers and a copy of the sound"
licence = "CC0-1.0"
access = "open"

[[files]]
pattern = '(?P<subject>S\d)\.edf'
kind = "signal"

[[files]]
pattern = 'story\.wav'
kind = "stimulus"

[channels]
layout = "easycap-m10"
audio_copy = ["AUD"]

[trials]
sql = "SELECT path, 0 AS trial, 1.0 AS start, CAST(NULL AS DOUBLE) AS stop FROM files WHERE status = 'ok'"

[streams]
sql = """
SELECT path, 0 AS trial, 'story.wav' AS stimulus, 'heard' AS role, 0.0 AS "offset"
FROM files WHERE status = 'ok'
"""
"#;

/// A numbered cap, and a channel that holds the sound 120 ms later than the manifest says.
#[test]
fn a_copy_of_the_sound_and_the_places_of_a_cap_are_told() {
    let scratch = Scratch::new();
    let raw = scratch.path("raw");
    std::fs::create_dir_all(&raw).unwrap();
    std::fs::create_dir(scratch.path("manifests")).unwrap();
    std::fs::write(scratch.path("manifests/Numbers.toml"), CAP).unwrap();
    let sfreq = 500.0;
    let loud = |t: f64| ((9.0 * t).sin() + (14.3 * t + 1.0).sin() + (23.9 * t).sin()).max(0.0);
    let sound: Vec<f32> = noise(7, 16_000 * 18)
        .iter()
        .enumerate()
        .map(|(i, v)| (0.5 * v * loud(i as f64 / 16_000.0)) as f32)
        .collect();
    wav::write(
        &raw.join("story.wav"),
        16_000,
        &[&sound],
        wav::Sample::Float32,
    )
    .unwrap();
    let copy = (0..500 * 20).map(|i| {
        let first = (f64::from(i) / sfreq - 1.12) * 16_000.0;
        let part = sound.get(first.max(0.0) as usize..first.max(0.0) as usize + 32);
        let part = part.filter(|_| first >= 0.0).unwrap_or_default();
        part.iter().map(|v| f64::from(v.abs())).sum::<f64>()
    });
    let mut samples: Vec<Vec<f64>> = (0..3)
        .map(|c| noise(c + 1, 500 * 20).iter().map(|v| 60.0 * v).collect())
        .collect();
    samples.push(copy.collect());
    let signals = ["1", "2", "3", "AUD"].iter().zip(&samples);
    let recording = NewRecording {
        start: Start::default(),
        patient: "X",
        recording: "X",
        signals: signals
            .map(|(name, samples)| NewSignal {
                name,
                unit: "uV",
                sfreq,
                prefilter: "",
                transducer: "",
                physical_range: Some((-100.0, 100.0)),
                samples,
            })
            .collect(),
        annotations: &[],
    };
    edf::write(&raw.join("S1.edf"), &recording).unwrap();

    let text = scratch.ok(&[
        "ingest",
        "--dataset",
        "Numbers",
        "--raw",
        "raw",
        "--manifests",
        "manifests",
    ]);
    for line in [
        "alignment   copies of the sound in 1 trials: middle lag 1",
        " ms, 1 more than 20 ms away, 0 not found",
    ] {
        assert!(text.contains(line), "{line}\n{text}");
    }
    let rows = scratch.sql(
        "SELECT a['channel'] AS channel, round(a['lag_ms'] / 10) AS lag, a['correlation'] > 0.8 AS follows \
         FROM (SELECT unnest(alignment) AS a FROM recordings)",
    );
    assert_eq!(
        rows,
        [json!({ "channel": "AUD", "lag": 12.0, "follows": true })]
    );
    let rows = scratch.sql(
        "SELECT c['raw_name'] AS raw, c['name'] AS name, round(c['distance'] * 10) AS mm, c['reason'] AS reason \
         FROM (SELECT unnest(channels) AS c FROM recordings)",
    );
    assert_eq!(
        rows,
        [
            json!({ "raw": "1", "name": "Cz", "mm": 10.0 }),
            json!({ "raw": "2", "name": "FCz", "mm": 25.0 }),
            json!({ "raw": "3", "name": "FCC2", "mm": 47.0 }),
            json!({ "raw": "AUD", "reason": "holds a copy of the sound" }),
        ]
    );
    let shown = scratch.ok(&["datasets", "show", "Numbers", "--manifests", "manifests"]);
    assert!(
        shown.contains("electrodes  3 of 3 are called by the nearest place of the 10-05 system, at most 4.7 mm away\n            3 FCC2 4.7 mm"),
        "{shown}"
    );
    let seen = scratch.json(&["inspect", "raw/S1.edf", "--layout", "easycap-m10"]);
    assert_eq!(seen["channels"][1]["name"], "FCz");
    assert_eq!(seen["channels"][1]["distance"], 2.5);
    assert_eq!(seen["channels"][3]["distance"], Value::Null);
    let seen = scratch.ok(&["inspect", "raw/S1.edf", "--layout", "easycap-m10"]);
    assert!(seen.contains("2.5 mm from there"), "{seen}");
    let ran = scratch.run(&["inspect", "raw/S1.edf", "--layout", "m10"]);
    assert_eq!(ran.code, 1, "{ran}");
    assert!(
        ran.stderr.contains("--layout") && ran.stderr.contains("`easycap-m10`"),
        "{ran}"
    );
}
