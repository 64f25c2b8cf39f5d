//! Recordings and labels inside MATLAB files, from the manifest's text into the lake.

use std::path::Path;

use mmpipe_corpora::{Filter, Manifest};
use mmpipe_lake::Lake;
use mmpipe_trees::write::{Value, write_mat5};

use crate::common::{expected, query, request, run, signal, stored};

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
