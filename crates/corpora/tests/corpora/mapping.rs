//! Data sets whose layout a mapping file must say.

use crate::common::{column, put};
use crate::plain::{cap, scanned};
use mmpipe_corpora::{Error, Filter, Manifest, scan};
use mmpipe_trees::write::{Value, write_mat5};

const TEXT: &str = r#"
name = "Ears"
title = "Ears"
licence = "unknown"
access = "open"
labels = ["a", "b"]
[mapping]
needs = "the pattern of the EEG files (`[[files]]`), and where EEG, rate and attended talker are"
[[files]]
pattern = '.*\.txt'
kind = "ignore"
reason = "notes"
[trials]
sql = "SELECT path, 0 AS trial FROM files WHERE status = 'ok'"
"#;

const MAPPING: &str = r#"
[[files]]
pattern = '(?P<subject>P\d+)\.mat'
kind = "signal"
[[parts]]
pattern = 'P\d+\.mat'
tree = { eeg = ["ear"], orientation = "channel-time", sfreq = "fs", ch_names = ["L", "R"] }
[channels]
unknown = "keep"
[streams]
sql = "SELECT path, 0 AS trial, 'x.wav' AS stimulus, 'attended' AS role FROM files"
"#;

fn manifest() -> Manifest {
    Manifest::parse(TEXT, "ears.toml").unwrap_or_else(|e| panic!("{e}"))
}

fn folder() -> tempfile::TempDir {
    let dir = tempfile::tempdir().unwrap();
    let ear = Value::array(&[2, 500], (0..1000).map(f64::from).collect::<Vec<_>>());
    let fs = Value::scalar(250.0);
    write_mat5(
        &dir.path().join("P01.mat"),
        &[("ear", ear), ("fs", fs)],
        true,
    )
    .unwrap();
    cap(dir.path(), "s1.edf");
    put(dir.path(), "notes/read me.txt", "hello");
    dir
}

#[test]
fn without_one_the_error_says_what_is_needed_and_what_is_there() {
    let dir = folder();
    let e = scan(&manifest(), dir.path(), &Filter::default()).unwrap_err();
    assert!(matches!(e, Error::MappingNeeded { .. }), "{e:?}");
    let text = e.to_string();
    for says in [
        "Ears",
        "--mapping FILE",
        "where EEG, rate and attended talker are",
        "3 files (1 .edf, 1 .mat, 1 .txt)",
        "`ear` (F64 2 x 500), `fs` (F64 1 x 1)",
        "EDF, 2 channels from `EEG Fz-REF` on, 100 Hz, 4 s",
        "notes/read me.txt (5 bytes)",
    ] {
        assert!(text.contains(says), "{says}: {text}");
    }
    for k in 0..30 {
        put(dir.path(), &format!("a{k}"), "x");
    }
    let text = scan(&manifest(), dir.path(), &Filter::default())
        .unwrap_err()
        .to_string();
    assert!(
        text.contains("30 without an extension") && text.contains("and 13 more"),
        "{text}"
    );
}

#[test]
fn with_one_the_data_set_is_like_any_other() {
    let dir = folder();
    let mapped = manifest().mapped(MAPPING, "my.toml").unwrap();
    assert_eq!(mapped.mapping, None);
    let found = scanned(&mapped, dir.path());
    assert_eq!(
        column(&found, "files", "status"),
        ["ok", "ignored", "ignored"]
    );
    assert_eq!(column(&found, "files", "seconds")[0], "2");
    assert_eq!(column(&found, "channels", "name"), ["raw:L", "raw:R"]);
    assert!(found.trials_sql.contains("status = 'ok'"));
    assert!(found.streams_sql.is_some_and(|sql| sql.contains("x.wav")));
    assert_eq!(found.labels, ["a", "b"]);
}

#[test]
fn a_mapping_is_checked_like_a_manifest() {
    for (mapping, says) in [
        ("", "files"),
        (
            "[[files]]\npattern = 'x'\nkind = 'signal'\ncolour = 1",
            "colour",
        ),
        ("name = 'Other'", "name"),
        ("[[files]]\npattern = '('\nkind = 'signal'", "my.toml"),
        (
            "[[files]]\npattern = 'x'\nkind = 'signal'\n[trials]\nsql = ' '",
            "trials.sql",
        ),
    ] {
        let e = manifest()
            .mapped(mapping, "my.toml")
            .unwrap_err()
            .to_string();
        assert!(e.contains("my.toml") && e.contains(says), "{mapping}: {e}");
    }
    let blank = TEXT.replace("needs = \"", "needs = \" \" # ");
    let e = Manifest::parse(&blank, "ears.toml")
        .unwrap_err()
        .to_string();
    assert!(e.contains("mapping.needs"), "{e}");
    let none = TEXT.replace("[mapping]\nneeds", "[expected]\nsubjects = 1 # ");
    let e = Manifest::parse(&none, "ears.toml").unwrap_err().to_string();
    assert!(e.contains("kind = \"signal\""), "{e}");
}
