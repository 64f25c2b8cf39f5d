//! A head start while a folder is scanned changes nothing of what comes out.

use std::path::Path;
use std::sync::Arc;

use mmpipe_corpora::{Coming, Filter, Manifest, Raw, scan_raw_told};
use mmpipe_lake::Lake;
use mmpipe_lake::ingest::Ahead;
use mmpipe_signal::recipe::Recipe;
use mmpipe_trees::write::{Value, write_mat5};

use crate::common::{contents, query, request, run, signal, write_talkers};

const MANIFEST: &str = r#"
name = "Duo"
title = "Two talkers"
licence = "CC0-1.0"
access = "open"

[[files]]
pattern = '(?P<subject>s\d+)\.mat'
kind = "signal"

[[files]]
pattern = 'stimuli/.*\.wav'
kind = "stimulus"

[[parts]]
pattern = '.*\.mat'
each = "data{*}"
set = { run = "$" }
tree = { eeg = ["$.X"], sfreq = 128, unit = "µV", ch_names = ["C3", "C4"] }

[trials]
sql = "SELECT path, 0 AS trial, 0.0 AS start, 10.0 AS stop FROM files WHERE status = 'ok'"

[streams]
sql = """
SELECT f.path, 0 AS trial, 'stimuli/' || s.file AS stimulus, s.role, 0.5 AS "offset"
FROM files f CROSS JOIN (VALUES ('a.wav', 'attended'), ('b.wav#ch2', 'unattended'),
                                ('damaged.wav', 'heard'), ('gone.wav', 'heard')) AS s (file, role)
WHERE f.status = 'ok'
"""
"#;

/// Two recordings in one compressed file, a sound, one of two channels, and one that is none.
fn write(raw: &Path) {
    std::fs::create_dir_all(raw).unwrap();
    let record = |k: u64| {
        let x = [signal(2 * k, 128.0, 10.0), signal(2 * k + 1, 128.0, 10.0)].concat();
        Value::record([("X", Value::array(&[1280, 2], x))])
    };
    let data = Value::cells([record(1), record(2)]);
    write_mat5(&raw.join("s1.mat"), &[("data", data)], true).unwrap();
    write_talkers(raw, "stimuli/a.wav", &[5], 9.0);
    write_talkers(raw, "stimuli/b.wav", &[6, 7], 9.0);
    std::fs::write(raw.join("stimuli/damaged.wav"), "no sound").unwrap();
}

/// Ingests with what `begin` makes of what is coming.
fn ingested(
    raw: &Path,
    lake: &Path,
    threads: usize,
    begin: impl FnOnce(&Ahead, Coming),
) -> (Lake, usize) {
    let manifest = Manifest::parse(MANIFEST, "Duo.toml").unwrap();
    let ahead = Arc::new(Ahead::default());
    let scan = scan_raw_told(
        &manifest,
        &Raw::unpack(&manifest, raw, || None).unwrap(),
        &Filter::default(),
        |coming| begin(&ahead, coming),
    );
    let mut asked = request(scan.unwrap(), raw);
    (asked.threads, asked.ahead) = (threads, ahead);
    let lake = Lake::create_or_open(lake).unwrap();
    let report = run(&lake, asked).unwrap();
    assert_eq!((report.epochs(), report.count("rejected")), (8, 0));
    (lake, report.skipped())
}

#[test]
fn a_head_start_changes_no_byte() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    write(&raw);
    let (without, _) = ingested(&raw, &dir.path().join("without"), 1, |_, _| {});
    let stimuli = "SELECT path, status, length(sha256) AS sha, seconds FROM stimuli ORDER BY path";
    let rows = query(&without, stimuli);
    for row in [
        "| stimuli/a.wav       | ok       | 64  | 9.0     |",
        "| stimuli/b.wav#ch2   | ok       | 64  | 9.0     |",
        "| stimuli/damaged.wav | rejected | 64  |         |",
        "| stimuli/gone.wav    | missing  |     |         |",
    ] {
        assert!(rows.contains(row), "{row}\n{rows}");
    }
    let want = contents(without.root());

    let recipe = Recipe::builtin("mindmix").unwrap();
    let place = dir.path().join("with");
    let begin = |ahead: &Ahead, coming: Coming| {
        assert_eq!(coming.arrays, [raw.join("s1.mat")]);
        let sounds = ["a", "b", "damaged"].map(|name| {
            let path = format!("stimuli/{name}.wav");
            (path.clone(), raw.join(path))
        });
        assert_eq!(coming.sounds, sounds);
        ahead.begin(coming, &place, &recipe, "Duo");
    };
    // However far it comes: the second finds all of it in the lake.
    for skipped in [0, 2] {
        let (with, found) = ingested(&raw, &place, 2, begin);
        assert_eq!(found, skipped);
        assert_eq!(contents(with.root()), want);
    }
    // A sound that changed since is stored anew, though the lake held it.
    write_talkers(&raw, "stimuli/a.wav", &[8], 9.0);
    let (changed, _) = ingested(&raw, &place, 2, begin);
    assert_ne!(contents(changed.root()), want);
}

#[test]
fn nothing_is_coming_where_no_file_holds_recordings() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    write(&raw);
    let text = MANIFEST.replace("each = \"data{*}\"\nset = { run = \"$\" }\n", "");
    let text = text.replace("\"$.X\"", "\"data{1}.X\"");
    let manifest = Manifest::parse(&text, "Duo.toml").unwrap();
    let packed = Raw::unpack(&manifest, &raw, || None).unwrap();
    let mut arrays = None;
    let told = |coming: Coming| arrays = Some(coming.arrays.len());
    let scan = scan_raw_told(&manifest, &packed, &Filter::default(), told).unwrap();
    assert_eq!((arrays, scan.parts.len()), (Some(0), 1));
}
