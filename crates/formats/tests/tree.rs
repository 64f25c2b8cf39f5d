//! Recordings described by data, in files of named arrays that SciPy, h5py and NumPy wrote:
//! every container and orientation, contradictions between description and file, tables.

// A recording of one run has a list of one range.
#![allow(clippy::single_range_in_vec_init)]

use std::path::{Path, PathBuf};

use mmpipe_formats::tree::{Orientation, TreeSpec, open_tree, tree_table};
use mmpipe_formats::{Container, Error, Recording};
use serde_json::{Value, json};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/tree")
        .join(name)
}

fn spec(json: Value) -> TreeSpec {
    serde_json::from_value(json).unwrap()
}

fn opened(name: &str, json: Value) -> Box<dyn Recording> {
    open_tree(&fixture(name), &spec(json)).unwrap_or_else(|e| panic!("{e}"))
}

/// Sample t of channel c is 1000 c + t.
fn check(r: &dyn Recording, names: &[&str], runs: &[std::ops::Range<u64>]) {
    let h = r.header();
    let found: Vec<&str> = h.channels.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(found, names);
    assert_eq!(h.seconds, 0.5);
    let got: Vec<_> = r
        .runs(3)
        .into_iter()
        .map(|r| (r.onset, r.samples))
        .collect();
    let want: Vec<_> = runs
        .iter()
        .map(|r| (r.start as f64 / 100.0, r.clone()))
        .collect();
    assert_eq!(got, want);
    assert!(r.runs(4).is_empty());
    let value = |c: usize, t: usize| (1000 * c + t) as f64;
    for c in 0..4 {
        assert_eq!(h.channels[c].n_samples, 50);
        assert_eq!(h.channels[c].sfreq, 100.0);
        let mut out = vec![0f64; 50];
        r.read_f64(&[c], 0, &mut [&mut out]).unwrap();
        let off = |(t, x): (usize, &f64)| (x - value(c, t)).abs() > 1e-3;
        assert_eq!(out.iter().enumerate().position(off), None, "{c}");
    }
    // Channels together, over the ends of trials and arrays, of different lengths.
    let (mut a, mut b) = (vec![0f32; 37], vec![0f32; 5]);
    r.read_f32(&[3, 1], 8, &mut [&mut a, &mut b]).unwrap();
    assert!(
        a.iter()
            .enumerate()
            .all(|(t, x)| (f64::from(*x) - value(3, 8 + t)).abs() < 1e-3)
    );
    assert!(
        b.iter()
            .enumerate()
            .all(|(t, x)| (f64::from(*x) - value(1, 8 + t)).abs() < 1e-3)
    );
    let beyond = r.read_f64(&[0], 45, &mut [&mut [0.0; 6]]);
    assert_eq!(beyond.unwrap_err().code(), "out-of-range");
}

const NAMES: [&str; 4] = ["Fz", "Cz", "Pz", "Oz"];
const NUMBERS: [&str; 4] = ["1", "2", "3", "4"];

fn fives() -> Vec<std::ops::Range<u64>> {
    (0..5).map(|k| 10 * k..10 * k + 10).collect()
}

#[test]
fn matlab_in_each_orientation() {
    let r = opened(
        "a.mat",
        json!({"eeg": ["train.x"], "sfreq": "train.fs", "ch_names": "train.chan"}),
    );
    assert_eq!(r.header().container, Container::Mat5);
    assert_eq!(r.header().channels[0].unit, "µV");
    assert!(r.header().diagnostics.is_empty());
    check(r.as_ref(), &NAMES, &[0..50]);
    let r = opened(
        "a.mat",
        json!({"eeg": ["train.xt"], "orientation": "channel-time", "sfreq": 100,
               "ch_names": ["A", "B[1..2]", "C"], "unit": "V", "start": "train.subject"}),
    );
    assert_eq!(r.header().channels[0].microvolts(), Some(1e6));
    assert_eq!(r.header().start.as_deref(), Some("s01"));
    check(r.as_ref(), &["A", "B1", "B2", "C"], &[0..50]);
    let r = opened(
        "a.mat",
        json!({"eeg": ["train.smt"], "orientation": "time-trial-channel", "sfreq": "train.fs"}),
    );
    assert_eq!(r.header().diagnostics[0].code, "pieces");
    check(r.as_ref(), &NUMBERS, &fives());
}

#[test]
fn several_arrays_are_runs() {
    for eeg in ["data{*}.X", "data{[1..2]}.X"] {
        let r = opened("a.mat", json!({"eeg": [eeg], "sfreq": "data{*}.fs"}));
        check(r.as_ref(), &NUMBERS, &[0..20, 20..50]);
    }
}

#[test]
fn numpy_and_text() {
    let r = opened(
        "a.npy",
        json!({"eeg": ["array"], "orientation": "trial-channel-time", "sfreq": 100}),
    );
    assert_eq!(r.header().container, Container::Npy);
    check(r.as_ref(), &NUMBERS, &fives());
    let r = opened("a.npz", json!({"eeg": ["eeg"], "sfreq": "fs"}));
    assert_eq!(r.header().container, Container::Npz);
    check(r.as_ref(), &NUMBERS, &[0..50]);
    let r = opened(
        "a.csv",
        json!({"eeg": ["Fz [uV]", "Cz [uV]", "Pz [uV]", "Oz [uV]"], "sfreq": 100,
               "orientation": "channel-each", "ch_names": NAMES}),
    );
    assert_eq!(r.header().container, Container::Csv);
    check(r.as_ref(), &NAMES, &[0..50]);
}

#[test]
fn hdf5_with_a_vector_a_channel() {
    let r = opened(
        "a.h5",
        json!({"eeg": ["ch[1..4]"], "orientation": "channel-each", "scale": 1e6,
               "sfreq": "nfo.fs", "ch_names": "nfo.clab", "start": "nfo.start"}),
    );
    assert_eq!(r.header().container, Container::Hdf5);
    assert_eq!(r.header().start.as_deref(), Some("2019-05-06T07:08:09"));
    check(r.as_ref(), &NAMES, &[0..50]);
}

fn refused(name: &str, json: Value, code: &str, says: &[&str]) {
    let error = open_tree(&fixture(name), &spec(json.clone())).err();
    let error = error.unwrap_or_else(|| panic!("{json} opened"));
    assert_eq!(error.code(), code, "{error}");
    assert_eq!(error.path(), fixture(name));
    for word in says {
        assert!(error.to_string().contains(word), "{error} has no {word:?}");
    }
}

#[test]
fn contradictions_name_both_sides() {
    let bad = "bad-description";
    let with = |more: Value| {
        let mut spec = json!({"eeg": ["train.x"], "sfreq": 100});
        let (spec_map, more) = (
            spec.as_object_mut().unwrap(),
            more.as_object().unwrap().clone(),
        );
        spec_map.extend(more);
        spec
    };
    for (more, says) in [
        (
            json!({"orientation": "channel-time", "ch_names": "train.chan"}),
            &[
                "train.x is 50 x 4",
                "channel-time gives 50 channels",
                "4 names; is it turned?",
            ][..],
        ),
        (
            json!({"ch_names": ["A", "B"]}),
            &["gives 4 channels", "2 names"],
        ),
        (
            json!({"eeg": ["train.smt"]}),
            &["time-channel needs 2 dimensions", "10 x 5 x 4"],
        ),
        (
            json!({"orientation": "channel-each"}),
            &["needs vectors", "50 x 4"],
        ),
        (
            json!({"eeg": ["train.x", "train.xt"]}),
            &["train.xt has 50 channels, those before 4"],
        ),
        (
            json!({"eeg": ["train.t", "train.fs"], "orientation": "channel-each"}),
            &["train.fs has 1 samples, those before 3"],
        ),
        (
            json!({"eeg": ["train.t"], "orientation": "channel-each", "ch_names": ["A", "B"]}),
            &["2 names for 1 vectors"],
        ),
        (
            json!({"eeg": ["train"]}),
            &["train is no array of numbers", "Struct"],
        ),
        (json!({"eeg": []}), &["leads to nothing"]),
        (json!({"eeg": ["x[9..1]"]}), &["runs backwards"]),
        (
            json!({"ch_names": ["x[1..b]"]}),
            &["ch_names", "whole number"],
        ),
        (json!({"sfreq": 0}), &["sfreq", "found 0"]),
        (json!({"sfreq": -5.5}), &["found -5.5"]),
        (json!({"sfreq": "train.t"}), &["sfreq", "gives 3 and 17"]),
        (json!({"sfreq": "train.subject"}), &["sfreq", "found NaN"]),
    ] {
        refused("a.mat", with(more), bad, says);
    }
    for (more, says) in [
        (json!({"eeg": ["trian.x"]}), &["no such variable"][..]),
        (json!({"eeg": ["train.y"]}), &["no field \"y\""]),
        (json!({"ch_names": "train.fs"}), &["train.fs"]),
        (json!({"eeg": ["train..x"]}), &["expected a field"]),
    ] {
        refused("a.mat", with(more), "unreadable-arrays", says);
    }
    let infinite = TreeSpec {
        scale: Some(f64::NAN),
        ..spec(with(json!({})))
    };
    assert_eq!(
        open_tree(&fixture("a.mat"), &infinite)
            .err()
            .unwrap()
            .code(),
        bad
    );
    refused(
        "nothing.mat",
        with(json!({})),
        "unreadable-arrays",
        &["nothing.mat"],
    );
    // A file of arrays says nothing of channels: the plain door refuses it.
    assert_eq!(
        mmpipe_formats::open(&fixture("a.mat"))
            .err()
            .unwrap()
            .code(),
        "unknown-format"
    );
}

#[test]
fn scale_and_default_orientation() {
    assert_eq!(Orientation::default(), Orientation::TimeChannel);
    let r = opened(
        "a.mat",
        json!({"eeg": ["train.x"], "sfreq": 100, "scale": 0.5}),
    );
    let mut out = [0.0];
    r.read_f64(&[2], 30, &mut [&mut out]).unwrap();
    assert_eq!(out, [1015.0]);
}

fn table(name: &str, columns: &[(&str, &str)]) -> Result<Vec<Vec<Option<String>>>, Error> {
    let columns: Vec<_> = columns
        .iter()
        .map(|(n, e)| ((*n).into(), (*e).into()))
        .collect();
    tree_table(&fixture(name), &columns)
}

fn row(cells: &[&str]) -> Vec<Option<String>> {
    // "-" stands for null.
    cells
        .iter()
        .map(|c| (*c != "-").then(|| (*c).to_owned()))
        .collect()
}

#[test]
fn tables_of_small_variables() {
    let rows = table(
        "a.mat",
        &[
            ("onset", "train.t"),
            ("label", "train.y_dec"),
            ("name", "train.y_class"),
            ("subject", "train.subject"),
            ("x", "train.missing"),
            ("pos", "event(*).pos"),
            ("duration", "event(*).dur"),
        ],
    )
    .unwrap();
    let want = [
        row(&["3", "2", "left", "s01", "1.5", "1", "-"]),
        row(&["17", "1", "right", "s01", "-", "5", "2"]),
        row(&["40", "2", "left", "s01", "3", "9", "0.25"]),
    ];
    assert_eq!(rows, want);
    assert_eq!(table("a.mat", &[]).unwrap(), Vec::<Vec<_>>::new());
    assert_eq!(
        table("a.csv", &[("t", "time")]).unwrap()[37],
        row(&["0.37"])
    );
    let error = table("a.mat", &[("a", "train.t"), ("b", "train.chan")]).unwrap_err();
    assert_eq!(error.code(), "bad-description");
    for word in ["column \"a\"", "train.t gives 3 values", "column \"b\" 4"] {
        assert!(error.to_string().contains(word), "{error}");
    }
    assert_eq!(
        table("a.mat", &[("a", "train")]).unwrap_err().code(),
        "unreadable-arrays"
    );
}

/// A table of `times` beside two channels.
fn timed(times: &[f64], sfreq: f64) -> Result<Box<dyn Recording>, Error> {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("timed.csv");
    let rows: Vec<String> = times
        .iter()
        .enumerate()
        .map(|(k, t)| format!("{t},{k},{}\n", 1000 + k))
        .collect();
    std::fs::write(&path, format!("Time:256Hz,F3,F4\n{}", rows.concat())).unwrap();
    open_tree(
        &path,
        &spec(json!({ "eeg": ["F3", "F4"], "ch_names": ["F3", "F4"],
            "orientation": "channel-each", "sfreq": sfreq, "times": "Time:256Hz" })),
    )
}

#[test]
fn times_of_samples_give_the_runs() {
    let stretch = |from: f64, n: usize| (0..n).map(move |k| from + k as f64 / 4.0);
    let times: Vec<f64> = stretch(10.0, 4).chain(stretch(32.0, 3)).collect();
    let r = timed(&times, 4.0).unwrap();
    let runs: Vec<_> = r
        .runs(1)
        .into_iter()
        .map(|r| (r.onset, r.samples))
        .collect();
    assert_eq!(runs, [(10.0, 0..4), (32.0, 4..7)]);
    assert_eq!(r.header().seconds, 1.75);
    assert!(r.header().diagnostics.iter().any(|d| d.code == "gaps"));
    let mut x = vec![0.0; 5];
    r.read_f64(&[1], 2, &mut [&mut x]).unwrap();
    assert_eq!(x, [1002.0, 1003.0, 1004.0, 1005.0, 1006.0]);
    // A jitter of less than half a sample is none.
    assert_eq!(
        timed(&[0.0, 0.25, 0.6, 0.75, 1.0], 4.0)
            .unwrap()
            .runs(0)
            .len(),
        1
    );
}

#[test]
fn times_that_are_none_are_refused() {
    for (times, why) in [
        (vec![0.0, 0.25, 0.25], "the one before"),
        (vec![0.0, 0.25, 0.2], "the one before"),
        (vec![0.0, f64::NAN, 0.5], "is no time"),
    ] {
        let e = timed(&times, 4.0).err().unwrap().to_string();
        assert!(e.contains(why) && e.contains("times"), "{e}");
    }
    let short = spec(json!({ "eeg": ["train.x"], "sfreq": 100, "times": "train.t" }));
    let e = open_tree(&fixture("a.mat"), &short)
        .err()
        .unwrap()
        .to_string();
    assert!(e.contains("expected 50 times, found 3"), "{e}");
}
