//! Recordings and labels inside MATLAB files, from the manifest's text into the lake.

use std::path::Path;

use mmpipe_corpora::{Filter, Manifest};
use mmpipe_lake::{AudioStore, IngestRequest, Lake};
use mmpipe_trees::write::{Value, write_mat5};

use crate::common::{contents, expected, query, request, run, runtime, signal, stored, talker};

const SFREQ: f64 = 128.0;
const SECONDS: f64 = 10.0;

/// Two channels of run `k`, in µV.
fn planted(k: u64) -> Vec<Vec<f64>> {
    vec![
        signal(10 * k + 1, SFREQ, SECONDS),
        signal(10 * k + 2, SFREQ, SECONDS),
    ]
}

/// A run as the file has it: half of a µV a unit, trials at 1 s and 5 s.
fn record(k: u64) -> Value {
    let eeg = planted(k);
    let n = eeg[0].len() as u64;
    let x: Vec<f64> = eeg.iter().flatten().map(|v| 2.0 * v).collect();
    Value::record([
        ("X", Value::array(&[n, 2], x)),
        ("fs", Value::scalar(SFREQ)),
        ("trial", Value::row(vec![129.0, 641.0])),
        ("y", Value::row(vec![1_u8, 1 + k as u8])),
    ])
}

fn write(raw: &Path) {
    std::fs::create_dir_all(raw).unwrap();
    let data = Value::cells([record(0), record(1)]);
    write_mat5(&raw.join("s1.mat"), &[("data", data)], true).unwrap();
}

const MANIFEST: &str = r#"
name = "Toy"
title = "A toy"
licence = "CC0-1.0"
access = "open"
labels = ["left", "right"]

[[files]]
pattern = '(?P<subject>s\d+)\.mat'
kind = "signal"

[[parts]]
pattern = '.*\.mat'
each = "data{*}"
set = { run = "$" }
tree = { eeg = ["$.X"], sfreq = "$.fs", scale = 0.5, unit = "µV", ch_names = ["C3", "C4"] }

[[tables]]
table = "marks"
pattern = '.*\.mat'
each = "data{*}"
columns = { sample = "$.trial", class = "$.y", fs = "$.fs" }

[trials]
sql = """
SELECT f.path,
       CAST(row_number() OVER (PARTITION BY f.path ORDER BY CAST(m.sample AS INT)) AS INT) - 1 AS trial,
       (CAST(m.sample AS DOUBLE) - 1) / CAST(m.fs AS DOUBLE) AS start,
       (CAST(m.sample AS DOUBLE) - 1) / CAST(m.fs AS DOUBLE) + 4 AS stop,
       CAST(m.class AS INT) - 1 AS label
FROM files f JOIN marks m ON f.path = m.path || '#' || m.part
WHERE f.status = 'ok'
"""
"#;

#[test]
fn samples_rates_and_labels_come_out_of_a_matlab_file() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    write(&raw);
    let manifest = Manifest::parse(MANIFEST, "Toy.toml").unwrap();
    let scan = mmpipe_corpora::scan(&manifest, &raw, &Filter::default()).unwrap();
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let report = run(&lake, request(scan.clone(), &raw)).unwrap();
    assert_eq!(report.epochs(), 8, "{report:?}");
    let rows = query(
        &lake,
        "SELECT subject, run, trial, label_name, count(*) AS epochs, min(onset) AS first FROM eeg \
         GROUP BY 1, 2, 3, 4 ORDER BY 2, 3",
    );
    let want = "\
+---------+-----+-------+------------+--------+-------+
| subject | run | trial | label_name | epochs | first |
+---------+-----+-------+------------+--------+-------+
| s1      | 1   | 0     | left       | 2      | 1.0   |
| s1      | 1   | 1     | left       | 2      | 5.0   |
| s1      | 2   | 0     | left       | 2      | 1.0   |
| s1      | 2   | 1     | right      | 2      | 5.0   |
+---------+-----+-------+------------+--------+-------+";
    assert_eq!(rows, want, "{rows}");
    for k in 0..2 {
        let sql = format!("SELECT onset, eeg FROM eeg WHERE run = '{}'", k + 1);
        let epochs = stored(&lake, &sql);
        assert_eq!(epochs.len(), 4);
        for (onset, eeg) in epochs {
            assert_eq!(eeg, expected(SFREQ, &planted(k), onset), "{k} {onset}");
        }
    }
    let files = query(
        &lake,
        "SELECT path, container, sfreq, n_channels, seconds FROM recordings ORDER BY path",
    );
    for run in ["s1.mat#1", "s1.mat#2"] {
        assert!(files.contains(run), "{files}");
    }
    assert!(files.contains("128.0 | 2          | 10.0"), "{files}");
    // Nothing changed: nothing is read again.
    assert_eq!(run(&lake, request(scan, &raw)).unwrap().skipped(), 2);
}

const WITH_SOUNDS: &str = r#"
name = "Duo"
title = "A duo in a file of arrays"
licence = "CC0-1.0"
access = "open"

[[files]]
pattern = '(?P<subject>s\d+)\.mat'
kind = "signal"

[[parts]]
pattern = '.*\.mat'
tree = { eeg = ["X"], sfreq = "fs", unit = "µV", ch_names = ["C3", "C4"] }

[[sounds]]
pattern = '.*\.mat'
part = "solo1"
tree = { audio = "soli", row = 1, orientation = "channel-time", sfreq = 16000 }

[[sounds]]
pattern = '.*\.mat'
part = "solo3"
tree = { audio = "soli", row = 3, orientation = "channel-time", sfreq = 16000 }

[[sounds]]
pattern = '.*\.mat'
part = "mix"
tree = { audio = "soli", orientation = "channel-time", sfreq = 16000 }

[[sounds]]
pattern = '.*\.mat'
part = "env"
kind = "envelope"
tree = { audio = "env", sfreq = 64 }

[trials]
sql = "SELECT path, 0 AS trial, 0.0 AS start, 10.0 AS stop FROM files WHERE status = 'ok'"

[streams]
sql = """
SELECT f.path, 0 AS trial, f.path || '#' || s.part AS stimulus, s.role, 0.5 AS "offset"
FROM files f CROSS JOIN (VALUES ('solo1', 'target'), ('mix#ch2', 'candidate'), ('mix', 'candidate'),
                                ('solo3', 'candidate'), ('env', 'heard')) AS s (part, role)
WHERE f.status = 'ok'
"""
"#;

#[test]
fn sounds_lie_in_a_matlab_file_beside_the_eeg() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    std::fs::create_dir_all(&raw).unwrap();
    let (a, b) = (talker(5, 9.0), talker(6, 9.0));
    let soli: Vec<f64> = a
        .iter()
        .zip(&b)
        .flat_map(|(a, b)| [f64::from(*a), f64::from(*b)])
        .collect();
    let eeg = planted(0);
    let n = eeg[0].len() as u64;
    let variables = [
        ("X", Value::array(&[n, 2], eeg.concat())),
        ("fs", Value::scalar(SFREQ)),
        ("soli", Value::array(&[2, a.len() as u64], soli)),
        ("env", Value::array(&[640, 1], vec![0.5; 640])),
    ];
    write_mat5(&raw.join("s1.mat"), &variables, true).unwrap();
    let manifest = Manifest::parse(WITH_SOUNDS, "Duo.toml").unwrap();
    let scan = mmpipe_corpora::scan(&manifest, &raw, &Filter::default()).unwrap();
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let asked = request(scan, &raw);
    let dry = IngestRequest {
        dry_run: true,
        ..asked.clone()
    };
    // 8.5 s of sound are heard.
    assert_eq!(run(&lake, dry).unwrap().epochs(), 4);
    let report = run(&lake, asked.clone()).unwrap();
    assert_eq!(
        (report.epochs(), report.count("rejected")),
        (4, 0),
        "{report:?}"
    );
    let rows = query(
        &lake,
        "SELECT path, kind, status, seconds, sfreq, cardinality(grids) AS grids, reason FROM stimuli ORDER BY path",
    );
    for row in [
        "| s1.mat#env     | envelope | ok      | 10.0    | 64.0    | 0     |",
        "| s1.mat#mix     | sound    | ok      | 9.0     | 16000.0 | 1     |",
        "| s1.mat#mix#ch2 | sound    | ok      | 9.0     | 16000.0 | 1     |",
        "| s1.mat#solo1   | sound    | ok      | 9.0     | 16000.0 | 1     |",
        "| s1.mat#solo3   | sound    | missing |         |         | 0     | channel 3 of an array of 2: there is no such sound |",
    ] {
        assert!(rows.contains(row), "{row}\n{rows}");
    }
    let sounds = runtime()
        .block_on(AudioStore::open(&lake, "mindmix"))
        .unwrap();
    let mix: Vec<f32> = a.iter().zip(&b).map(|(a, b)| (a + b) / 2.0).collect();
    let mut out = vec![0.0; 32_000];
    for (part, want) in [("solo1", &a), ("mix#ch2", &b), ("mix", &mix)] {
        let key = format!("Duo/s1.mat#{part}@500");
        assert_eq!(sounds.segments(&key), 4);
        let peak = sounds.read(&key, 2, &mut out).unwrap();
        for (a, b) in out.iter().zip(&want[72_000..]) {
            assert!((a * peak - b).abs() < 1e-6, "{part}");
        }
    }
    let before = contents(lake.root());
    assert_eq!(run(&lake, asked.clone()).unwrap().skipped(), 1);
    assert_eq!(contents(lake.root()), before);
    // Another row of the same array under the same name is another sound.
    let text = WITH_SOUNDS.replacen("row = 1", "row = 2", 1);
    let manifest = Manifest::parse(&text, "Duo.toml").unwrap();
    let scan = mmpipe_corpora::scan(&manifest, &raw, &Filter::default()).unwrap();
    run(&lake, request(scan, &raw)).unwrap();
    let sounds = runtime()
        .block_on(AudioStore::open(&lake, "mindmix"))
        .unwrap();
    let peak = sounds.read("Duo/s1.mat#solo1@500", 0, &mut out).unwrap();
    assert!((out[0] * peak - b[8000]).abs() < 1e-6);
}
