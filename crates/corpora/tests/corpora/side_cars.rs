//! Side-cars of the data sets' own formats, and what becomes of broken ones.

use crate::common::{column, look_up, put};
use crate::plain::{cap, scanned, toy};

fn of_kinds() -> mmpipe_corpora::Manifest {
    toy(r#"
side_cars = [
    { table = "seizures", pattern = '(?P<subject>s\d)-summary\.txt', format = "chbmit-summary" },
    { table = "tuh", pattern = '.*\.csv', format = "tuh-csv" },
    { table = "ticks", pattern = '.*\.lab', format = "tuh-lab" },
    { table = "words", pattern = '.*\.TextGrid', format = "textgrid" },
    { table = "tree", pattern = '.*\.yaml', format = "yaml" },
    { table = "sleep", pattern = '(?P<night>n\d)\.txt', format = "cap-scoring" },
]
[[files]]
pattern = '.*\.(?:csv|lab|yaml|TextGrid)|s\d-summary\.txt'
kind = "side-car"
"#)
}

#[test]
fn formats_of_the_corpora_are_read() {
    let dir = tempfile::tempdir().unwrap();
    cap(dir.path(), "s1.edf");
    let summary = "Data Sampling Rate: 256 Hz\n*************************\n\n\
        Channels in EDF Files:\n**********************\nChannel 1: FP1-F7\nChannel 2: F7-T7\n\n\
        File Name: s1_03.edf\nFile Start Time: 13:43:04\nFile End Time: 14:43:04\n\
        Number of Seizures in File: 1\nSeizure Start Time: 2996 seconds\n\
        Seizure End Time: 3036 seconds\n";
    put(dir.path(), "s1-summary.txt", summary);
    let csv = "# version = csv_v1.0.0\nchannel,start_time,stop_time,label,confidence\n\
               FP1-F7,0.0000,36.8868,bckg,1.0000\n";
    put(dir.path(), "a.csv", csv);
    put(dir.path(), "a.lab", "100000 300000 eyem\n");
    put(dir.path(), "a.yaml", "a:\n  b: [1, two]\n");
    let found = scanned(&of_kinds(), dir.path());
    assert_eq!(column(&found, "diagnostics", "message"), [""; 0]);
    assert_eq!(column(&found, "seizures", "seizure_start"), ["2996"]);
    assert_eq!(column(&found, "seizures", "file"), ["s1_03.edf"]);
    assert_eq!(column(&found, "seizures", "subject"), ["s1"]);
    assert_eq!(column(&found, "seizures", "path"), ["s1-summary.txt"]);
    assert_eq!(column(&found, "tuh", "label"), ["bckg"]);
    assert_eq!(column(&found, "tuh", "stop_time"), ["36.8868"]);
    assert_eq!(column(&found, "ticks", "start"), ["1"]);
    assert_eq!(column(&found, "tree", "key"), ["a.b.0", "a.b.1"]);
    assert_eq!(column(&found, "tree", "value"), ["1", "two"]);
}

#[test]
fn tables_without_a_file_have_their_columns() {
    let dir = tempfile::tempdir().unwrap();
    cap(dir.path(), "s1.edf");
    let found = scanned(&of_kinds(), dir.path());
    for (table, columns) in [
        ("words", &["path", "tier", "xmin", "text"] as &[&str]),
        ("sleep", &["path", "night", "seconds", "event", "duration"]),
        ("seizures", &["path", "subject", "seizure_start"]),
    ] {
        let table = found.table(table).unwrap();
        assert_eq!(table.num_rows(), 0);
        for column in columns {
            assert!(table.column_by_name(column).is_some(), "{column}");
        }
    }
}

#[test]
fn what_the_reader_notes_is_a_diagnostic_and_many_notes_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    cap(dir.path(), "s1.edf");
    let wrong = "1 2 3 4 5\n".repeat(25);
    put(
        dir.path(),
        "a.lab",
        &format!("0 100000 bckg\n{wrong}200000 300000 eyem\n"),
    );
    let found = scanned(&of_kinds(), dir.path());
    assert_eq!(column(&found, "ticks", "label"), ["bckg", "eyem"]);
    let messages = column(&found, "diagnostics", "message");
    assert_eq!(messages.len(), 21, "{messages:?}");
    assert_eq!(column(&found, "diagnostics", "path"), ["a.lab"; 21]);
    assert_eq!(column(&found, "diagnostics", "severity"), ["warning"; 21]);
    assert!(messages.iter().any(|m| m.starts_with("line 2: ")));
    assert!(messages.iter().any(|m| m == "and 5 more such notes"));
    assert_eq!(
        look_up(&found, "files", ("path", "a.lab"), "status"),
        "side-car"
    );
}

#[test]
fn a_side_car_that_cannot_be_read_does_not_end_the_scan() {
    let dir = tempfile::tempdir().unwrap();
    cap(dir.path(), "s1.edf");
    put(dir.path(), "a.yaml", "a: [1\n");
    put(dir.path(), "b.yaml", "b: 2\n");
    put(dir.path(), "a.csv", "");
    let found = scanned(&of_kinds(), dir.path());
    assert_eq!(column(&found, "tree", "key"), ["b"]);
    assert_eq!(column(&found, "diagnostics", "path"), ["a.csv", "a.yaml"]);
    assert_eq!(
        column(&found, "diagnostics", "code"),
        ["side-car-unreadable", "side-car-unreadable"]
    );
    for (path, status) in [
        ("a.yaml", "rejected"),
        ("a.csv", "rejected"),
        ("s1.edf", "ok"),
    ] {
        assert_eq!(look_up(&found, "files", ("path", path), "status"), status);
    }
    let why = look_up(&found, "files", ("path", "a.yaml"), "reason");
    assert!(why.starts_with("line ") && !why.contains(".yaml"), "{why}");
}
