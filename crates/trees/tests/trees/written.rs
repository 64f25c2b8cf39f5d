//! MATLAB v7.3 files of ours: what is written is what is read, here and by h5py.
//!
//! `fixtures/hdf5/ours.mat` is what the writer makes of [`variables`];
//! `fixtures/hdf5/check_ours.py` reads it with h5py. Where the writer changes, this test says so:
//! store its file again (`MMPIPE_STORE=1`) and run the script.

use crate::common::fixtures;
use crate::everything::read_all;
use mmpipe_trees::write::{Value, write_mat73};
use mmpipe_trees::{Class, Container, open, select};

/// One of every kind, more names than a symbol node holds, and what the High-Gamma files have.
fn variables() -> Vec<(String, Value)> {
    let mut all: Vec<(String, Value)> = (1..=30)
        .map(|k| (format!("ch{k}"), Value::row(vec![k as f32 * 0.5, -1.5])))
        .collect();
    let labels: Vec<String> = (0..30).map(|k| format!("EEG {k}")).collect();
    all.push((
        "nfo".to_owned(),
        Value::record([
            ("fs", Value::scalar(500.0)),
            ("clab", Value::texts(labels)),
            ("µ", Value::text("naïve")),
        ]),
    ));
    all.push((
        "grid".to_owned(),
        Value::array(&[2, 3], vec![1_i16, -2, 3, -4, 5, -6]),
    ));
    all.push((
        "cube".to_owned(),
        Value::array(&[2, 1, 2], vec![1_u64 << 60, 2, 3, 4]),
    ));
    all.push(("truth".to_owned(), Value::row(vec![true, false, true])));
    all.push(("empty".to_owned(), Value::array(&[0, 3], Vec::<f64>::new())));
    all.push(("nothing".to_owned(), Value::text("")));
    all.push((
        "nested".to_owned(),
        Value::Cell(
            vec![2, 2],
            vec![
                Value::text("a"),
                Value::scalar(2.5),
                Value::cells([Value::text("in"), Value::row(vec![7_u8])]),
                Value::record([("x", Value::scalar(1.0))]),
            ],
        ),
    ));
    all.push((
        "runs".to_owned(),
        Value::records((0..3).map(|k| {
            vec![
                ("name", Value::text(format!("run {k}"))),
                ("x", Value::column(vec![f64::from(k), f64::NAN])),
            ]
        })),
    ));
    all
}

fn write(path: &std::path::Path) {
    let all = variables();
    let all: Vec<(&str, Value)> = all.iter().map(|(n, v)| (n.as_str(), v.clone())).collect();
    write_mat73(path, &all).expect("written");
}

#[test]
fn the_stored_file_is_what_the_writer_makes() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ours.mat");
    write(&path);
    let made = std::fs::read(&path).expect("bytes");
    let stored = fixtures().join("hdf5/ours.mat");
    if std::env::var_os("MMPIPE_STORE").is_some() {
        std::fs::write(&stored, &made).expect("stored");
    }
    assert!(made == std::fs::read(&stored).expect("the fixture"));
}

#[test]
fn it_reads_back() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("ours.mat");
    write(&path);
    let tree = open(&path).expect("opened");
    assert_eq!(tree.container(), Container::MatV73);
    let one = |place: &str| {
        let mut found = select(tree.as_ref(), place).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(found.len(), 1, "{place}");
        found.remove(0)
    };
    let numbers = |place: &str| tree.numbers(&one(place), 100).expect("numbers");
    let texts = |place: &str| tree.texts(&one(place)).expect("texts");
    for k in 1..=30 {
        assert_eq!(numbers(&format!("ch{k}")), [f64::from(k) * 0.5, -1.5]);
    }
    assert_eq!(one("ch1").class, Class::F32);
    assert_eq!(numbers("nfo.fs"), [500.0]);
    assert_eq!(texts("nfo.clab").len(), 30);
    assert_eq!(texts("nfo.clab")[29], "EEG 29");
    assert_eq!(texts("nfo.µ"), ["naïve"]);
    assert_eq!(one("grid").dims, [2, 3]);
    assert_eq!(numbers("grid"), [1.0, -2.0, 3.0, -4.0, 5.0, -6.0]);
    assert_eq!(one("cube").dims, [2, 1, 2]);
    assert_eq!(numbers("cube")[0], (1_u64 << 60) as f64);
    assert_eq!(one("truth").class, Class::Bool);
    assert_eq!(one("empty").dims, [0, 3]);
    assert_eq!(one("empty").class, Class::F64);
    assert_eq!(one("nothing").len(), 0);
    assert_eq!(texts("nested{1}"), ["a"]);
    assert_eq!(numbers("nested{2}"), [2.5]);
    assert_eq!(texts("nested{3}{1}"), ["in"]);
    assert_eq!(numbers("nested{4}.x"), [1.0]);
    assert_eq!(one("nested").dims, [2, 2]);
    assert_eq!(texts("runs(2).name"), ["run 1"]);
    assert_eq!(numbers("runs(3).x")[0], 2.0);
    assert!(numbers("runs(3).x")[1].is_nan());
    assert!(read_all(tree.as_ref()).1.is_empty());
}

#[test]
fn what_matlab_would_not_take_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("bad.mat");
    let many: Vec<String> = (0..257).map(|k| format!("v{k}")).collect();
    let many: Vec<(&str, Value)> = many
        .iter()
        .map(|name| (name.as_str(), Value::scalar(0.0)))
        .collect();
    let cases: [(&[(&str, Value)], &str); 5] = [
        (&many, "257 names"),
        (&[("", Value::scalar(1.0))], "is no name"),
        (&[("a/b", Value::scalar(1.0))], "is no name"),
        (
            &[("a", Value::scalar(1.0)), ("a", Value::scalar(2.0))],
            "twice",
        ),
        (&[("a", Value::array(&[2, 2], vec![1.0]))], "dimensions"),
    ];
    for (variables, why) in cases {
        let error = write_mat73(&path, variables).expect_err(why).to_string();
        assert!(error.contains(why), "{error}");
        assert!(!path.exists());
    }
}
