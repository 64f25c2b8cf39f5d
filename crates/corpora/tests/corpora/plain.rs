//! Plain folders: rules, side-cars, channel rules, faults, and folders that are not what they
//! should be.

use std::path::Path;

use crate::common::{column, edf, look_up, put};
use mmpipe_corpora::{Error, Filter, Manifest, Scan, scan};

pub(crate) fn toy(more: &str) -> Manifest {
    let text = format!(
        r#"
name = "Toy"
title = "A toy"
licence = "CC0-1.0"
access = "open"
{more}
[[files]]
pattern = '(?:.*/)?(?P<subject>s\d)(?:_(?P<block>\w))?\.edf'
kind = "signal"
example = "s1.edf"
[trials]
sql = "SELECT path, 0 AS trial FROM files WHERE status = 'ok'"
"#
    );
    Manifest::parse(&text, "toy.toml").unwrap()
}

pub(crate) fn scanned(manifest: &Manifest, root: &Path) -> Scan {
    scan(manifest, root, &Filter::default()).unwrap()
}

pub(crate) fn cap(root: &Path, below: &str) {
    edf::write(
        &root.join(below),
        &[("EEG Fz-REF", "uV"), ("EEG Cz-REF", "uV")],
        100,
        4,
        &[],
    );
}

#[test]
fn files_of_another_release_are_told() {
    let dir = tempfile::tempdir().unwrap();
    put(dir.path(), "train/1.mat", "x");
    let all = mmpipe_corpora::registry::builtin().unwrap();
    let fault = |name: &str| {
        let manifest = mmpipe_corpora::registry::find(&all, name).unwrap();
        let refused = scan(manifest, dir.path(), &Filter::default());
        refused.unwrap_err().to_string()
    };
    let hgd = fault("HGD");
    assert!(
        hgd.ends_with("; --dataset HGD-MAT reads files of such names"),
        "{hgd}"
    );
    // Names of files, and no expressions that match them.
    let chb = fault("CHB-MIT");
    assert!(
        chb.contains("files like chb17/chb17a_03.edf; found one file, train/1.mat"),
        "{chb}"
    );
    assert!(!chb.contains("--dataset"), "{chb}");
}

#[test]
fn folders_that_are_not_raw_folders_are_told() {
    let dir = tempfile::tempdir().unwrap();
    let m = toy("");
    let fail = |path: &Path| scan(&m, path, &Filter::default()).unwrap_err();
    let e = fail(&dir.path().join("none"));
    assert!(
        matches!(e, Error::RawMissing { .. }) && e.to_string().contains("Toy"),
        "{e}"
    );
    put(dir.path(), "file", "x");
    assert!(matches!(
        fail(&dir.path().join("file")),
        Error::RawNotAFolder { .. }
    ));
    let e = fail(dir.path()).to_string();
    assert!(e.contains("s1.edf") && e.contains("one file, file"), "{e}");
    let empty = tempfile::tempdir().unwrap();
    assert!(fail(empty.path()).to_string().contains("found no file"));
}

#[test]
fn unknown_subjects_are_told_with_the_known_ones() {
    let dir = tempfile::tempdir().unwrap();
    cap(dir.path(), "s1.edf");
    cap(dir.path(), "s2_a.edf");
    let filter = |s: &str| Filter {
        subjects: Some(vec![s.into()]),
    };
    let e = scan(&toy(""), dir.path(), &filter("s9"))
        .unwrap_err()
        .to_string();
    assert!(e.contains("s9") && e.contains("s1, s2"), "{e}");
    let found = scan(&toy(""), dir.path(), &filter("s2")).unwrap();
    assert_eq!(column(&found, "files", "status"), ["ignored", "ok"]);
    assert_eq!(column(&found, "files", "block"), ["-", "a"]);
}

#[test]
fn one_bad_file_does_not_stop_the_rest() {
    let dir = tempfile::tempdir().unwrap();
    cap(dir.path(), "s1.edf");
    put(dir.path(), "s2.edf", "");
    put(dir.path(), "s3.edf", "not an EDF file at all");
    std::fs::create_dir(dir.path().join("s4.edf")).unwrap();
    let found = scanned(&toy(""), dir.path());
    assert_eq!(
        column(&found, "files", "path"),
        ["s1.edf", "s2.edf", "s3.edf"]
    );
    assert_eq!(
        column(&found, "files", "status"),
        ["ok", "rejected", "rejected"]
    );
    for path in ["s2.edf", "s3.edf"] {
        let why = look_up(&found, "files", ("path", path), "reason");
        assert!(
            why.len() > 10 && !why.contains(&dir.path().display().to_string()),
            "{why}"
        );
    }
}

#[cfg(unix)]
#[test]
fn links_are_followed_only_inside() {
    use std::os::unix::fs::symlink;
    let outside = tempfile::tempdir().unwrap();
    cap(outside.path(), "s8.edf");
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    cap(root, "store/data");
    cap(root, "s1.edf");
    symlink("store/data", root.join("s2.edf")).unwrap();
    symlink(outside.path().join("s8.edf"), root.join("s3.edf")).unwrap();
    symlink("nowhere", root.join("s4.edf")).unwrap();
    symlink(".", root.join("loop")).unwrap();
    let found = scanned(&toy(""), root);
    let status = |p: &str| look_up(&found, "files", ("path", p), "status");
    let why = |p: &str| look_up(&found, "files", ("path", p), "reason");
    assert_eq!(status("s2.edf"), "ok");
    assert_eq!(status("s3.edf"), "rejected");
    assert!(why("s3.edf").contains("leaves the raw folder"));
    assert!(why("s4.edf").contains("not there"));
    assert!(why("loop").contains("link to a folder"));
    assert_eq!(column(&found, "files", "path").len(), 6);
}

#[test]
fn side_cars_become_tables() {
    let m = toy(r#"
side_cars = [
    { table = "info", pattern = 'info\.csv', format = "csv", columns = ["Subject", "Age", "Hand"] },
    { table = "log", pattern = '(?P<subject>s\d)\.txt', format = "lines" },
    { table = "meta", pattern = 'meta\.json', format = "json-tree" },
    { table = "absent", pattern = 'absent\.csv', format = "csv", columns = ["a"] },
]
[[files]]
pattern = 'info\.csv|s\d\.txt|meta\.json'
kind = "side-car"
"#);
    let dir = tempfile::tempdir().unwrap();
    cap(dir.path(), "s1.edf");
    put(dir.path(), "info.csv", "Subject,Age\ns1,\"3,0\"\n");
    put(dir.path(), "s1.txt", "first\n\nthird\n");
    put(dir.path(), "meta.json", "{broken");
    let found = scanned(&m, dir.path());
    assert_eq!(column(&found, "info", "Age"), ["3,0"]);
    assert_eq!(column(&found, "info", "Hand"), ["-"]);
    assert_eq!(column(&found, "log", "text"), ["first", "", "third"]);
    assert_eq!(column(&found, "log", "line"), ["1", "2", "3"]);
    assert_eq!(column(&found, "log", "subject"), ["s1"; 3]);
    assert_eq!(found.table("absent").unwrap().num_rows(), 0);
    assert!(found.table("absent").unwrap().column_by_name("a").is_some());
    assert_eq!(
        look_up(&found, "files", ("path", "meta.json"), "status"),
        "rejected"
    );
    assert_eq!(
        column(&found, "diagnostics", "code"),
        ["columns-missing", "side-car-unreadable"]
    );
}

#[test]
fn channel_rules_apply_in_order() {
    let dir = tempfile::tempdir().unwrap();
    let labels = [
        ("POL Fz-X", "uV"),
        ("weird", "uV"),
        ("junk", "uV"),
        ("Cz", "uV"),
        ("cz.", "uV"),
        ("E17", "uV"),
        ("A1", "uV"),
        ("Oz", "degC"),
    ];
    edf::write(&dir.path().join("s1.edf"), &labels, 100, 4, &[]);
    let found = scanned(
        &toy(r#"
[channels]
strip_prefix = ["pol "]
strip_suffix = ["-x"]
rename = { weird = "Pz" }
drop = [{ pattern = 'junk', reason = "a broken wire" }]
kinds = [{ pattern = 'E17', kind = "eog" }]
"#),
        dir.path(),
    );
    assert_eq!(
        column(&found, "channels", "name"),
        ["Fz", "Pz", "-", "Cz", "-", "-", "-", "-"]
    );
    assert_eq!(column(&found, "channels", "kind")[5..7], ["eog", "ref"]);
    let reasons = column(&found, "channels", "reason");
    for (i, want) in [
        (2, "a broken wire"),
        (4, "second channel called Cz"),
        (5, "manifest says eog"),
        (6, "earlobe"),
        (7, "no voltage"),
    ] {
        assert!(reasons[i].contains(want), "{}", reasons[i]);
    }
}

#[test]
fn position_lists_name_channels_or_reject_the_file() {
    let dir = tempfile::tempdir().unwrap();
    edf::write(
        &dir.path().join("s1.edf"),
        &[("EEG", "uV"), ("EEG", "uV"), ("EOG-left", "uV")],
        100,
        4,
        &[],
    );
    edf::write(&dir.path().join("s2.edf"), &[("EEG", "uV")], 100, 4, &[]);
    let found = scanned(
        &toy("[channels]\npositions = ['Fz', 'Cz', 'EOG1']"),
        dir.path(),
    );
    assert_eq!(column(&found, "channels", "name"), ["Fz", "Cz", "-"]);
    assert_eq!(column(&found, "files", "status"), ["ok", "rejected"]);
    assert!(column(&found, "files", "reason")[1].contains("expected 3 channels"));
}

#[test]
fn a_file_without_eeg_is_rejected() {
    let dir = tempfile::tempdir().unwrap();
    edf::write(
        &dir.path().join("s1.edf"),
        &[("ECG", "uV"), ("EMG", "uV")],
        100,
        4,
        &[],
    );
    let found = scanned(&toy(""), dir.path());
    let why = look_up(&found, "files", ("path", "s1.edf"), "reason");
    assert!(
        why.contains("no EEG channel is kept") && why.contains("heart"),
        "{why}"
    );
}

#[test]
fn known_faults_note_reject_and_set_units() {
    let dir = tempfile::tempdir().unwrap();
    for s in ["s1.edf", "s2.edf", "s3.edf"] {
        edf::write(&dir.path().join(s), &[("Cz", "")], 100, 4, &[]);
    }
    let found = scanned(
        &toy(r#"
[[faults]]
pattern = 's1\.edf'
fault = "unit is missing"
source = "somebody"
action = "unit"
unit = "mV"
[[faults]]
pattern = 's2\.edf'
fault = "copy of s1"
source = "somebody"
action = "reject"
"#),
        dir.path(),
    );
    assert_eq!(
        column(&found, "files", "status"),
        ["ok", "rejected", "rejected"]
    );
    assert_eq!(column(&found, "channels", "to_microvolts"), ["1000"]);
    assert!(column(&found, "files", "reason")[1].contains("copy of s1"));
    assert_eq!(
        column(&found, "diagnostics", "code"),
        ["known-fault", "known-fault"]
    );
}

#[test]
fn annotations_come_from_the_file_and_from_files_beside_it() {
    let m = toy(r#"
[[files]]
pattern = '(?P<subject>s\d)_scoring\.edf'
kind = "annotations"
of = "${subject}.edf"
"#);
    let dir = tempfile::tempdir().unwrap();
    edf::write(
        &dir.path().join("s1.edf"),
        &[("Cz", "uV")],
        100,
        4,
        &[(1.0, 0.5, "T1")],
    );
    edf::write(
        &dir.path().join("s1_scoring.edf"),
        &[("Cz", "uV")],
        100,
        4,
        &[(0.0, 30.0, "Sleep stage W")],
    );
    put(dir.path(), "s2_scoring.edf", "junk");
    let found = scanned(&m, dir.path());
    assert_eq!(column(&found, "events", "value"), ["T1", "Sleep stage W"]);
    assert_eq!(column(&found, "events", "path"), ["s1.edf", "s1.edf"]);
    assert_eq!(column(&found, "events", "duration"), ["0.5", "30"]);
    assert_eq!(
        column(&found, "files", "status"),
        ["ok", "side-car", "rejected"]
    );
}

#[test]
fn two_scans_are_equal() {
    let dir = tempfile::tempdir().unwrap();
    for s in 0..9 {
        cap(dir.path(), &format!("s{s}.edf"));
    }
    let (a, b) = (scanned(&toy(""), dir.path()), scanned(&toy(""), dir.path()));
    assert_eq!(a.tables, b.tables);
}
