//! Recordings and tables inside files of named arrays, from files that SciPy wrote.

use std::path::Path;

use crate::common::{column, look_up};
use crate::plain::{cap, scanned};
use mmpipe_corpora::{Manifest, open_part};

/// `a.mat` of the formats crate: sample t of channel c is 1000 c + t.
fn mat(root: &Path, name: &str) {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("../formats/tests/fixtures/tree/a.mat");
    std::fs::copy(from, root.join(name)).unwrap();
}

fn text(rest: &str) -> String {
    format!(
        r#"
name = "Toy"
title = "A toy"
licence = "CC0-1.0"
access = "open"
[[files]]
pattern = '(?P<subject>s\d)\.(?:mat|edf)'
kind = "signal"
[trials]
sql = "SELECT path, 0 AS trial FROM files WHERE status = 'ok'"
{rest}"#
    )
}

fn manifest(rest: &str) -> Manifest {
    Manifest::parse(&text(rest), "toy.toml").unwrap_or_else(|e| panic!("{e}"))
}

fn read(root: &Path, found: &mmpipe_corpora::Scan, path: &str) -> Vec<Vec<f64>> {
    let part = &found.parts[path];
    let recording = open_part(&root.join(&part.file), &part.tree).unwrap();
    let n = recording.header().channels[0].n_samples as usize;
    let mut out = vec![vec![0.0; n]; recording.header().channels.len()];
    for (c, x) in out.iter_mut().enumerate() {
        recording.read_f64(&[c], 0, &mut [x]).unwrap();
    }
    out
}

#[test]
fn a_whole_file_as_one_recording_keeps_its_path() {
    let dir = tempfile::tempdir().unwrap();
    mat(dir.path(), "s1.mat");
    cap(dir.path(), "s2.edf");
    let found = scanned(
        &manifest(
            r#"
[[parts]]
pattern = 's\d\.mat'
set = { run = "train" }
tree = { eeg = ["train.x"], sfreq = "train.fs", ch_names = "train.chan" }

[[tables]]
table = "marks"
pattern = '(?P<subject>s\d)\.mat'
columns = { sample = "train.t", class = "train.y_class", fs = "train.fs" }
"#,
        ),
        dir.path(),
    );
    assert_eq!(column(&found, "files", "path"), ["s1.mat", "s2.edf"]);
    assert_eq!(column(&found, "files", "status"), ["ok", "ok"]);
    assert_eq!(column(&found, "files", "run"), ["train", "-"]);
    assert_eq!(column(&found, "files", "sfreq"), ["100", "100"]);
    assert_eq!(column(&found, "files", "seconds"), ["0.5", "4"]);
    assert_eq!(
        column(&found, "channels", "name")[..4],
        ["Fz", "Cz", "Pz", "Oz"]
    );
    assert_eq!(column(&found, "marks", "sample"), ["3", "17", "40"]);
    assert_eq!(column(&found, "marks", "class"), ["left", "right", "left"]);
    assert_eq!(column(&found, "marks", "fs"), ["100"; 3]);
    assert_eq!(column(&found, "marks", "row"), ["1", "2", "3"]);
    assert_eq!(column(&found, "marks", "path"), ["s1.mat"; 3]);
    assert_eq!(column(&found, "marks", "subject"), ["s1"; 3]);
    assert_eq!(read(dir.path(), &found, "s1.mat")[2][49], 2049.0);
    assert_eq!(found.parts.len(), 1);
}

#[test]
fn every_element_of_a_cell_array_is_a_recording() {
    let dir = tempfile::tempdir().unwrap();
    mat(dir.path(), "s1.mat");
    let found = scanned(
        &manifest(
            r#"
[[parts]]
pattern = 's\d\.mat'
each = "data{*}"
part = "run$"
set = { run = "$" }
tree = { eeg = ["$.X"], sfreq = "$.fs", ch_names = ["Fz", "Cz", "Pz", "Oz"] }

[[tables]]
table = "rates"
pattern = 's\d\.mat'
each = "data{*}"
columns = { fs = "$.fs" }
"#,
        ),
        dir.path(),
    );
    assert_eq!(
        column(&found, "files", "path"),
        ["s1.mat", "s1.mat#run1", "s1.mat#run2"]
    );
    assert_eq!(column(&found, "files", "status"), ["side-car", "ok", "ok"]);
    assert_eq!(column(&found, "files", "run"), ["-", "1", "2"]);
    assert_eq!(column(&found, "files", "seconds"), ["-", "0.2", "0.3"]);
    assert_eq!(column(&found, "rates", "part"), ["1", "2"]);
    assert_eq!(column(&found, "rates", "fs"), ["100", "100"]);
    assert_eq!(column(&found, "rates", "path"), ["s1.mat"; 2]);
    let second = read(dir.path(), &found, "s1.mat#run2");
    assert_eq!((second[3].len(), second[3][0]), (30, 3020.0));
}

#[test]
fn elements_of_a_struct_array_that_cannot_be_read_are_told() {
    let dir = tempfile::tempdir().unwrap();
    mat(dir.path(), "s1.mat");
    let found = scanned(
        &manifest(
            r#"
[[parts]]
pattern = 's\d\.mat'
tree = { eeg = ["train.x"], sfreq = 100, ch_names = "train.chan" }
[[tables]]
table = "events"
pattern = 's\d\.mat'
each = "event(*)"
columns = { position = "$.pos", length = "$.dur" }
"#
            .replace("\"events\"", "\"event_list\"")
            .as_str(),
        ),
        dir.path(),
    );
    // The first event has no duration, so its row would have no length.
    assert_eq!(column(&found, "event_list", "part"), ["2", "3"]);
    assert_eq!(column(&found, "event_list", "position"), ["5", "9"]);
    assert_eq!(column(&found, "event_list", "length"), ["2", "0.25"]);
    let message = &column(&found, "diagnostics", "message")[0];
    assert!(
        message.contains("table event_list: element 1: "),
        "{message}"
    );
    assert_eq!(column(&found, "files", "status"), ["ok"]);
}

#[test]
fn what_is_not_there_rejects_the_recording_and_empties_the_table() {
    let dir = tempfile::tempdir().unwrap();
    mat(dir.path(), "s1.mat");
    std::fs::write(dir.path().join("s2.mat"), "no MATLAB file").unwrap();
    let found = scanned(
        &manifest(
            r#"
[[parts]]
pattern = 's\d\.mat'
tree = { eeg = ["test.x"], sfreq = 100 }
[[parts]]
pattern = 's\d\.mat'
part = "runs"
each = "nothing{*}"
tree = { eeg = ["$.x"], sfreq = 100 }
[[parts]]
pattern = 's\d\.mat'
part = "good"
tree = { eeg = ["train.x"], sfreq = 100, ch_names = "train.chan" }
[[tables]]
table = "marks"
pattern = 's\d\.mat'
columns = { sample = "test.t" }
"#,
        ),
        dir.path(),
    );
    for (path, status, says) in [
        ("s1.mat", "rejected", "no such variable"),
        ("s1.mat#runs", "rejected", "no such variable"),
        ("s1.mat#good", "ok", "-"),
        ("s2.mat", "rejected", "expected MATLAB"),
        ("s2.mat#runs", "rejected", "expected MATLAB"),
        ("s2.mat#good", "rejected", "expected MATLAB"),
    ] {
        assert_eq!(
            look_up(&found, "files", ("path", path), "status"),
            status,
            "{path}"
        );
        let why = look_up(&found, "files", ("path", path), "reason");
        assert!(why.contains(says), "{path}: {why}");
        assert!(!why.contains(&dir.path().display().to_string()), "{why}");
    }
    assert_eq!(column(&found, "marks", "sample"), [""; 0]);
}

#[test]
fn descriptions_are_checked_when_the_manifest_is_read() {
    for (rest, says) in [
        (
            "[[parts]]\npattern = 'x'\ntree = { eeg = ['x'], sfreq = 1, orientaton = 'y' }",
            "orientaton",
        ),
        (
            "[[parts]]\npattern = 'x'\ntree = { eeg = ['$.x'], sfreq = 1 }",
            "parts[0].tree.eeg",
        ),
        (
            "[[parts]]\npattern = 'x'\neach = 'd{*}'\ntree = { eeg = ['x'], sfreq = 1 }",
            "parts[0].tree.eeg",
        ),
        (
            "[[tables]]\ntable = 't'\npattern = '(?P<a>x)'\ncolumns = { a = 'x' }",
            "tables[0].columns",
        ),
    ] {
        let e = Manifest::parse(&text(rest), "toy.toml")
            .unwrap_err()
            .to_string();
        assert!(e.contains(says), "{rest}: {e}");
    }
}

#[test]
fn a_table_of_changes_keeps_the_first_row_of_each_stretch() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(
        dir.path().join("s1.csv"),
        "t,epoch,x,word\n0,0,1,a\n1,0,2,a\n2,1,3,a\n3,1,4,a\n4,1,5,a\n9,2,6,b\n",
    )
    .unwrap();
    let table = |changes: &str| {
        text(&format!(
            r#"
[[parts]]
pattern = 's\d\.csv'
tree = {{ eeg = ["x"], orientation = "channel-each", ch_names = ["Cz"], sfreq = 1.0, times = "t" }}

[[tables]]
table = "marks"
pattern = 's\d\.csv'
columns = {{ start = "t", epoch = "epoch", word = "word" }}
changes = {changes}
"#
        ))
        .replace("(?:mat|edf)", "csv")
    };
    let toy = Manifest::parse(&table(r#"["epoch", "word"]"#), "toy.toml").unwrap();
    let found = scanned(&toy, dir.path());
    assert_eq!(column(&found, "files", "status"), ["ok"]);
    assert_eq!(column(&found, "marks", "row"), ["1", "3", "6"]);
    assert_eq!(column(&found, "marks", "start"), ["0", "2", "9"]);
    assert_eq!(column(&found, "marks", "word"), ["a", "a", "b"]);
    let e = Manifest::parse(&table(r#"["episode"]"#), "toy.toml").unwrap_err();
    assert!(
        e.to_string().contains("`episode` is none of the columns"),
        "{e}"
    );
}
