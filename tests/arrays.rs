//! `mmpipe inspect` of files of named arrays.

use std::path::{Path, PathBuf};

use crate::support::Scratch;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../crates/formats/tests/fixtures/tree")
        .join(name)
}

fn inspect(name: &str) -> String {
    Scratch::new().ok(&["inspect", fixture(name).to_str().unwrap()])
}

#[test]
fn the_variables_of_a_matlab_file_are_listed() {
    let text = inspect("a.mat");
    let line = |place: &str| {
        let found = text.lines().find(|l| l.split("  ").next() == Some(place));
        let found = found.unwrap_or_else(|| panic!("{place} is not in\n{text}"));
        found
            .split_whitespace()
            .skip(1)
            .collect::<Vec<_>>()
            .join(" ")
    };
    assert!(text.contains("container   MATLAB v5"), "{text}");
    assert!(text.contains("variables   3"), "{text}");
    assert_eq!(line("train"), "struct 1 x 1");
    assert_eq!(line("train.x"), "double 50 x 4");
    assert_eq!(line("train.fs"), "int64 1 x 1 100");
    assert_eq!(line("train.chan{1}"), "char 1 x 2 Fz");
    assert_eq!(line("data"), "cell 1 x 2");
    assert_eq!(line("data{2}.X"), "int32 30 x 4");
    assert!(
        line("event").ends_with("3 elements, the first 1 listed"),
        "{text}"
    );
}

#[test]
fn other_containers_are_listed_too() {
    for (name, place, dims) in [
        ("a.h5", "nfo.clab", "4"),
        ("a.npy", "array", "5 x 4 x 10"),
        ("a.npz", "eeg", "50 x 4"),
        ("a.csv", "Fz [uV]", "50"),
    ] {
        let text = inspect(name);
        let line = text.lines().find(|l| l.starts_with(place));
        assert!(line.is_some_and(|l| l.contains(dims)), "{name}:\n{text}");
    }
}

#[test]
fn the_listing_is_json_and_has_an_end() {
    let scratch = Scratch::new();
    let header: Vec<String> = (0..250).map(|i| format!("c{i}")).collect();
    let row = vec!["1"; 250].join(",");
    std::fs::write(
        scratch.path("wide.csv"),
        format!("{}\n{row}\n", header.join(",")),
    )
    .unwrap();
    let value = scratch.json(&["inspect", "wide.csv"]);
    assert_eq!(value["recording"], false);
    assert_eq!(value["variables"].as_array().unwrap().len(), 200);
    assert_eq!(value["variables"][0]["place"], "c0");
    // The columns, and `table`, which is all of them.
    assert_eq!(value["more"], 51);
    let text = scratch.ok(&["inspect", "wide.csv"]);
    assert!(text.ends_with("... and 51 more\n"), "{text}");
}

#[test]
fn what_is_neither_says_what_is_wrong() {
    let scratch = Scratch::new();
    let bytes = std::fs::read(fixture("a.mat")).unwrap();
    std::fs::write(scratch.path("cut.mat"), &bytes[..150]).unwrap();
    let ran = scratch.run(&["inspect", "cut.mat"]);
    assert!(ran.code != 0 && ran.stderr.contains("cut.mat"), "{ran}");
    assert!(!ran.stderr.contains("expected EDF"), "{ran}");
}
