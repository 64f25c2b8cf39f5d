//! When a recording starts, and annotations in a file that starts at another time.

use std::path::Path;

use crate::common::{column, edf};
use mmpipe_corpora::{Filter, Manifest, Scan, scan};

const TOY: &str = r#"
name = "Toy"
title = "A toy"
licence = "CC0-1.0"
access = "open"
[[files]]
pattern = '(?P<subject>s\d)\.edf'
kind = "signal"
[[files]]
pattern = '(?P<subject>s\d)_scoring\.edf'
kind = "annotations"
of = "${subject}.edf"
[trials]
sql = "SELECT path, 0 AS trial FROM files WHERE status = 'ok'"
"#;

/// An EDF file that starts at `clock`, with one annotation at 3 s.
fn write(path: &Path, clock: &[u8; 8]) {
    edf::write(path, &[("Cz", "uV")], 10, 2, &[(3.0, 30.0, "W")]);
    let mut bytes = std::fs::read(path).unwrap();
    bytes[176..184].copy_from_slice(clock);
    std::fs::write(path, bytes).unwrap();
}

fn scanned(signals: &[u8; 8], scoring: &[u8; 8]) -> Scan {
    let dir = tempfile::tempdir().unwrap();
    write(&dir.path().join("s1.edf"), signals);
    write(&dir.path().join("s1_scoring.edf"), scoring);
    let manifest = Manifest::parse(TOY, "toy.toml").unwrap();
    scan(&manifest, dir.path(), &Filter::default()).unwrap()
}

#[test]
fn files_say_when_they_start() {
    let found = scanned(b"23.59.50", b"23.59.50");
    let starts = column(&found, "files", "start_time");
    assert_eq!(starts, ["2020-01-01T23:59:50", "-"]);
}

#[test]
fn annotations_are_moved_by_the_clocks_of_their_files() {
    for (signals, scoring, onset, notes) in [
        (b"23.59.50", b"23.59.50", "3", 0),
        // Over midnight, and back.
        (b"23.59.50", b"00.00.02", "15", 1),
        (b"00.00.02", b"23.59.50", "-9", 1),
        // Midnight to the second is how a clock that is not set is written.
        (b"23.59.50", b"00.00.00", "3", 0),
        (b"00.00.00", b"22.00.00", "3", 0),
    ] {
        let found = scanned(signals, scoring);
        assert_eq!(column(&found, "events", "onset"), ["3", onset]);
        let codes = column(&found, "diagnostics", "code");
        let moved = codes.iter().filter(|c| *c == "annotations-start-differs");
        assert_eq!(moved.count(), notes, "{codes:?}");
    }
}
