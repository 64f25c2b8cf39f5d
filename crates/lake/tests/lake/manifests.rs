//! What a manifest can say, from its text through the scan into the lake.

use std::path::Path;

use mmpipe_corpora::{Filter, Manifest, Scan};
use mmpipe_formats::Annotation;
use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf};
use mmpipe_lake::Lake;

use crate::common::{query, request, run, signal};

/// A signal of a file: label, unit, rate, and how large it is.
type Signal = (&'static str, &'static str, f64, f64);

fn write(raw: &Path, path: &str, signals: &[Signal], seconds: f64, marks: &[Annotation]) {
    let target = raw.join(path);
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    let samples: Vec<Vec<f64>> = signals
        .iter()
        .enumerate()
        .map(|(k, (_, _, sfreq, size))| {
            let mut x = signal(k as u64 + 1, *sfreq, seconds);
            x.iter_mut().for_each(|v| *v *= size);
            x
        })
        .collect();
    let signals = signals.iter().zip(&samples);
    let recording = NewRecording {
        start: Start::default(),
        patient: "X",
        recording: "X",
        signals: signals
            .map(|((name, unit, sfreq, _), samples)| NewSignal {
                name,
                unit,
                sfreq: *sfreq,
                prefilter: "",
                transducer: "",
                physical_range: None,
                samples,
            })
            .collect(),
        annotations: marks,
    };
    edf::write(&target, &recording).unwrap();
}

fn mark(onset: f64, duration: f64, text: &str) -> Annotation {
    Annotation {
        onset,
        duration: Some(duration),
        text: text.into(),
        channel: None,
    }
}

/// The head that every manifest of these tests has, and `rest`.
fn scanned(raw: &Path, rest: &str) -> Scan {
    let text = format!(
        r#"name = "Toy"
title = "A toy"
licence = "CC0-1.0"
access = "open"
labels = ["wake", "light", "deep"]

[[files]]
pattern = '(?P<subject>s\d+)\.edf'
kind = "signal"

{rest}"#
    );
    let manifest = Manifest::parse(&text, "Toy.toml").unwrap();
    mmpipe_corpora::scan(&manifest, raw, &Filter::default()).unwrap()
}

const WHOLE: &str = r#"
[trials]
sql = "SELECT path, 0 AS trial, CAST(NULL AS DOUBLE) AS start, CAST(NULL AS DOUBLE) AS stop FROM files WHERE status = 'ok'"
"#;

fn lake(dir: &Path) -> Lake {
    Lake::create_or_open(&dir.join("lake")).unwrap()
}

#[test]
fn intervals_label_the_epochs_that_they_cover() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let eeg: &[Signal] = &[("Cz", "uV", 128.0, 1.0), ("Pz", "uV", 128.0, 1.0)];
    // Epochs: 0-2 wake, 2-4 half wake and half light, 4-6 a quarter deep and else nothing,
    // 6-8 nothing, 8-10 unscored.
    let marks = [
        mark(0.0, 3.0, "W"),
        mark(3.0, 1.0, "N1"),
        mark(5.5, 0.5, "N3"),
        mark(8.0, 2.0, "?"),
    ];
    write(&raw, "s1.edf", eeg, 10.0, &marks);
    let rest = format!(
        r#"
[intervals]
sql = """
SELECT path, onset AS start, onset + duration AS stop, value AS channel,
       CASE value WHEN 'W' THEN 0 WHEN 'N1' THEN 1 WHEN 'N3' THEN 2 END AS label
FROM events
"""
{WHOLE}"#
    );
    let lake = lake(dir.path());
    let report = run(&lake, request(scanned(&raw, &rest), &raw)).unwrap();
    assert_eq!(report.epochs(), 5, "{report:?}");
    let rows = query(
        &lake,
        "SELECT epoch, label, label_name, label_share FROM eeg ORDER BY epoch",
    );
    let want = "\
+-------+-------+------------+-------------+
| epoch | label | label_name | label_share |
+-------+-------+------------+-------------+
| 0     | 0     | wake       | 1.0         |
| 1     | 0     | wake       | 0.5         |
| 2     | 2     | deep       | 0.25        |
| 3     |       |            |             |
| 4     |       |            |             |
+-------+-------+------------+-------------+";
    assert_eq!(rows, want, "{rows}");
    // The labels are part of the plan: other intervals, other shard; the same, none.
    let again = run(&lake, request(scanned(&raw, &rest), &raw)).unwrap();
    assert_eq!(again.skipped(), 1);
    let other = rest.replace("WHEN 'N3' THEN 2", "WHEN 'N3' THEN 1");
    let changed = run(&lake, request(scanned(&raw, &other), &raw)).unwrap();
    assert_eq!(changed.skipped(), 0);
    let rows = query(&lake, "SELECT label_name FROM eeg WHERE epoch = 2");
    assert!(rows.contains("light"), "{rows}");
}

#[test]
fn a_trials_own_label_comes_before_intervals_and_rejected_trials_are_flagged() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    write(&raw, "s1.edf", &[("Cz", "uV", 128.0, 1.0)], 12.0, &[]);
    let rest = r#"
[trials]
sql = """
SELECT path, trial, trial * 4.0 AS start, trial * 4.0 + 4.0 AS stop, label, rejected
FROM files, (VALUES (0, 2, false), (1, NULL, true), (2, NULL, NULL)) AS t (trial, label, rejected)
WHERE status = 'ok'
"""
[intervals]
sql = "SELECT path, 0.0 AS start, 8.0 AS stop, 1 AS label, 'light' AS label_name, 2.0 AS weight FROM files WHERE status = 'ok'"
"#;
    let lake = lake(dir.path());
    run(&lake, request(scanned(&raw, rest), &raw)).unwrap();
    let rows = query(
        &lake,
        "SELECT trial, min(label) AS label, min(label_name) AS name, min(label_share) AS share, \
         bool_or(rejected) AS rejected, count(*) AS epochs FROM eeg GROUP BY 1 ORDER BY 1",
    );
    let want = "\
+-------+-------+-------+-------+----------+--------+
| trial | label | name  | share | rejected | epochs |
+-------+-------+-------+-------+----------+--------+
| 0     | 2     | deep  | 1.0   | false    | 2      |
| 1     | 1     | light | 1.0   | true     | 2      |
| 2     |       |       |       |          | 2      |
+-------+-------+-------+-------+----------+--------+";
    assert_eq!(rows, want, "{rows}");
}

#[test]
fn wrong_intervals_are_refused_with_the_query_named() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    write(&raw, "s1.edf", &[("Cz", "uV", 128.0, 1.0)], 6.0, &[]);
    let lake = lake(dir.path());
    for (select, why) in [
        (
            "SELECT 'x' AS path, 0.0 AS start, 1.0 AS stop, 1 AS label",
            "is not a file",
        ),
        (
            "SELECT 's1.edf' AS path, 0.0 AS start, 1.0 AS stop",
            "expected a column label",
        ),
        (
            "SELECT 's1.edf' AS path, 0.0 AS start, 1.0 AS stop, 1 AS label, -1.0 AS weight",
            "weight",
        ),
        (
            "SELECT 's1.edf' AS path, 0.0 AS start, 1.0 AS stop, 1 AS label, 'a' AS label_name \
             UNION ALL SELECT 's1.edf', 1.0, 2.0, 1, 'b'",
            "is called both",
        ),
    ] {
        let rest = format!("[intervals]\nsql = \"{select}\"\n{WHOLE}");
        let e = run(&lake, request(scanned(&raw, &rest), &raw)).unwrap_err();
        let text = e.to_string();
        assert!(text.contains("intervals") && text.contains(why), "{text}");
    }
}

#[test]
fn pairs_are_kept_under_both_names_and_repeats_and_dummies_are_dropped() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let eeg: &[Signal] = &[
        ("FP1-F7", "uV", 128.0, 1.0),
        ("T3-T5", "uV", 128.0, 1.0),
        ("T8-P8", "uV", 128.0, 1.0),
        ("-", "uV", 128.0, 1.0),
        ("T8-P8", "uV", 128.0, 1.0),
        ("C4A1", "uV", 128.0, 1.0),
        ("O2-A1", "uV", 128.0, 1.0),
    ];
    write(&raw, "s1.edf", eeg, 6.0, &[]);
    let lake = lake(dir.path());
    let rest = format!("[channels]\nbipolar = \"keep\"\n{WHOLE}");
    run(&lake, request(scanned(&raw, &rest), &raw)).unwrap();
    let names = query(&lake, "SELECT ch_names FROM eeg LIMIT 1");
    assert!(names.contains("[Fp1-F7, T7-P7, T8-P8, C4, O2]"), "{names}");
    let why = query(
        &lake,
        "SELECT c.raw_name, c.reason FROM (SELECT unnest(channels) AS c FROM recordings) \
         WHERE c.reason IS NOT NULL",
    );
    assert!(why.contains("second channel called T8-P8"), "{why}");
    assert!(why.contains("placeholder without a signal"), "{why}");

    let rest = format!("[channels]\nreference_derivations = \"pair\"\n{WHOLE}");
    run(&lake, request(scanned(&raw, &rest), &raw)).unwrap();
    let names = query(&lake, "SELECT ch_names FROM eeg LIMIT 1");
    assert!(names.contains("[C4-A1, O2-A1]"), "{names}");
}

#[test]
fn channels_of_several_rates_are_joined_at_the_recipes_rate() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let eeg: &[Signal] = &[
        ("C3", "uV", 128.0, 1.0),
        ("C4", "uV", 512.0, 1.0),
        ("O1", "uV", 128.0, 1.0),
        ("O2", "uV", 100.0, 1.0),
    ];
    write(&raw, "s1.edf", eeg, 20.0, &[]);
    let lake = lake(dir.path());
    run(&lake, request(scanned(&raw, WHOLE), &raw)).unwrap();
    let names = query(&lake, "SELECT ch_names FROM eeg LIMIT 1");
    assert!(names.contains("[C3, O1]"), "{names}");

    let rest = format!("[channels]\nrates = \"resample\"\n{WHOLE}");
    let report = run(&lake, request(scanned(&raw, &rest), &raw)).unwrap();
    assert_eq!(report.epochs(), 10, "{report:?}");
    let names = query(&lake, "SELECT ch_names FROM eeg LIMIT 1");
    assert!(names.contains("[C3, C4, O1, O2]"), "{names}");
    let row = query(&lake, "SELECT sfreq, n_channels, seconds FROM recordings");
    assert!(row.contains("| 128.0 | 4          | 20.0    |"), "{row}");

    // Each channel is what it is alone in a file.
    let alone = tempfile::tempdir().unwrap();
    let raw = alone.path().join("raw");
    std::fs::create_dir_all(&raw).unwrap();
    let joined = samples(&lake, 3);
    let single = self::lake(alone.path());
    write(
        &raw,
        "s1.edf",
        &[
            ("A1", "uV", 100.0, 1.0),
            ("A2", "uV", 100.0, 1.0),
            ("M1", "uV", 100.0, 1.0),
            ("O2", "uV", 100.0, 1.0),
        ],
        20.0,
        &[],
    );
    run(&single, request(scanned(&raw, WHOLE), &raw)).unwrap();
    assert_eq!(samples(&single, 0), joined);
}

/// The samples of one channel of the third epoch, as text.
fn samples(lake: &Lake, channel: usize) -> String {
    query(
        lake,
        &format!(
            "SELECT array_element(eeg, {}) AS x FROM eeg WHERE epoch = 2",
            channel + 1
        ),
    )
}

#[test]
fn amplitudes_that_no_eeg_has_are_noted_and_kept() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    // Millivolts that are called microvolts, as in CAP's n8, and a channel in order.
    write(
        &raw,
        "s1.edf",
        &[("C3", "uV", 128.0, 1e-3), ("C4", "uV", 128.0, 1.0)],
        6.0,
        &[],
    );
    write(&raw, "s2.edf", &[("C3", "uV", 128.0, 1.0)], 6.0, &[]);
    let lake = lake(dir.path());
    let report = run(&lake, request(scanned(&raw, WHOLE), &raw)).unwrap();
    let reason = report.recordings[0].reason.as_deref().unwrap();
    assert!(
        reason.contains("implausible-amplitude") && reason.contains("1 of 2 channels (C3)"),
        "{reason}"
    );
    assert_eq!(report.recordings[1].reason, None);
    let scale = query(
        &lake,
        "SELECT max(array_element(ch_std, 1)) < 0.1 AS small FROM eeg WHERE subject = 's1'",
    );
    assert!(scale.contains("true"), "never rescaled: {scale}");
}

#[test]
fn identical_files_are_noted() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    write(&raw, "s10.edf", &[("C3", "uV", 128.0, 1.0)], 6.0, &[]);
    std::fs::copy(raw.join("s10.edf"), raw.join("s11.edf")).unwrap();
    let lake = lake(dir.path());
    let report = run(&lake, request(scanned(&raw, WHOLE), &raw)).unwrap();
    let note = report.notes.iter().find(|n| n.contains("identical-files"));
    assert!(
        note.is_some_and(|n| n.contains("s10.edf, s11.edf")),
        "{report:?}"
    );
    // A known fault takes one of them out.
    let rest = format!(
        "{WHOLE}\n[[faults]]\npattern = 's11\\.edf'\nfault = \"a copy of s10\"\nsource = \"SHA-256\"\naction = \"reject\"\n"
    );
    let report = run(&lake, request(scanned(&raw, &rest), &raw)).unwrap();
    assert_eq!(report.count("rejected"), 1);
    let again = report.notes.iter().any(|n| n.contains("identical-files"));
    assert!(!again, "{report:?}");
}

#[test]
fn position_lists_apply_to_the_files_that_need_them() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let useless: &[Signal] = &[
        ("EEG", "uV", 128.0, 1.0),
        ("EEG", "uV", 128.0, 1.0),
        ("EOG-left", "uV", 128.0, 1.0),
        ("EEG", "uV", 128.0, 1.0),
    ];
    write(&raw, "s1.edf", useless, 6.0, &[]);
    write(
        &raw,
        "s2.edf",
        &[("C3", "uV", 128.0, 1.0), ("Cz", "uV", 128.0, 1.0)],
        6.0,
        &[],
    );
    let rest = format!(
        "[[channels.lists]]\npattern = 's\\d\\.edf'\nnames = [\"Fz\", \"FC3\", \"EOG1\", \"POz\"]\nwhen = \"useless\"\n{WHOLE}"
    );
    let lake = lake(dir.path());
    run(&lake, request(scanned(&raw, &rest), &raw)).unwrap();
    let names = query(
        &lake,
        "SELECT DISTINCT subject, ch_names FROM eeg ORDER BY 1",
    );
    assert!(names.contains("[Fz, FC3, POz]"), "{names}");
    assert!(names.contains("[C3, Cz]"), "{names}");
}
