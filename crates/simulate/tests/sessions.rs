//! The miniatures of cue-paced experiments, read back sample by sample through the containers'
//! readers.

use mmpipe_formats::Recording;
use mmpipe_formats::tree::{TreeSpec, open_tree};
use mmpipe_simulate::{
    BciIv2a, BciIv2b, Hgd, OpenBmi, PlantedSession, bci_iv_2a, bci_iv_2b, bnci2014_001,
    bnci2014_004, hgd, hgd_mat, openbmi,
};
use std::path::Path;

/// Every sample, NaN in gaps, to the rounding of one multiplication.
fn agrees(recording: &dyn Recording, planted: &PlantedSession) {
    let header = recording.header();
    let names: Vec<&str> = header.channels.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, planted.labels, "{}", planted.path);
    let runs = recording.runs(0).into_iter();
    let runs: Vec<(usize, usize)> = runs
        .map(|r| (r.samples.start as usize, r.samples.end as usize))
        .collect();
    assert_eq!(runs, planted.runs, "{}", planted.path);
    for (c, want) in planted.samples.iter().enumerate() {
        assert_eq!(header.channels[c].sfreq, planted.sfreq);
        assert_eq!(header.channels[c].microvolts(), Some(1.0));
        let mut found = vec![0.0; want.len()];
        recording.read_f64(&[c], 0, &mut [&mut found]).unwrap();
        for (i, (a, b)) in found.iter().zip(want).enumerate() {
            let same = (a.is_nan() && b.is_nan()) || (a - b).abs() <= 1e-9;
            assert!(same, "{} channel {c} sample {i}: {a} {b}", planted.path);
        }
    }
}

/// The recording in a file of named arrays.
fn array(root: &Path, file: &str, spec: &str) -> Box<dyn Recording> {
    let spec: TreeSpec = serde_json::from_str(spec).unwrap();
    open_tree(&root.join(file), &spec).unwrap()
}

fn list(labels: &[String]) -> String {
    serde_json::to_string(labels).unwrap()
}

#[test]
fn graz_files_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = BciIv2a {
        subjects: vec![4],
        ..BciIv2a::default()
    };
    let mut planted = bci_iv_2a(&cfg, &dir.path().join("a")).unwrap().recordings;
    let cfg = BciIv2b {
        subjects: vec![1],
        ..BciIv2b::default()
    };
    let more = bci_iv_2b(&cfg, &dir.path().join("b")).unwrap().recordings;
    for recording in &planted {
        let file = mmpipe_formats::open(&dir.path().join("a").join(&recording.path)).unwrap();
        agrees(file.as_ref(), recording);
    }
    for recording in &more {
        let file = mmpipe_formats::open(&dir.path().join("b").join(&recording.path)).unwrap();
        agrees(file.as_ref(), recording);
        // A new run is marked, and every trial has its start.
        let marks = &file.header().annotations;
        let count = |code: &str| marks.iter().filter(|m| m.text == code).count();
        assert_eq!(count("32766"), recording.runs.len());
        assert_eq!(count("768"), recording.trials.len());
        let rejected = recording.trials.iter().filter(|t| t.rejected).count();
        assert_eq!(count("1023"), rejected);
    }
    planted.extend(more);
    assert_eq!(planted.len(), 7);
}

#[test]
fn graz_matlab_files_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (a, b) = (dir.path().join("a"), dir.path().join("b"));
    let cfg = BciIv2a {
        subjects: vec![4],
        ..BciIv2a::default()
    };
    let mut all = vec![(a.clone(), bnci2014_001(&cfg, &a).unwrap())];
    let cfg = BciIv2b {
        subjects: vec![1],
        ..BciIv2b::default()
    };
    all.push((b.clone(), bnci2014_004(&cfg, &b).unwrap()));
    for (root, planted) in all {
        for recording in &planted.recordings {
            let (file, k) = recording.path.split_once('#').unwrap();
            let spec = format!(
                r#"{{"eeg": ["data{{{k}}}.X"], "sfreq": "data{{{k}}}.fs", "ch_names": {}}}"#,
                list(&recording.labels)
            );
            agrees(array(&root, file, &spec).as_ref(), recording);
        }
    }
}

#[test]
fn high_gamma_files_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let cfg = Hgd {
        subjects: vec![14],
        ..Hgd::default()
    };
    for recording in &hgd(&cfg, &dir.path().join("edf")).unwrap().recordings {
        let file = mmpipe_formats::open(&dir.path().join("edf").join(&recording.path)).unwrap();
        agrees(file.as_ref(), recording);
        assert_eq!(file.header().annotations.len(), recording.trials.len());
    }
    let root = dir.path().join("mat");
    for recording in &hgd_mat(&cfg, &root).unwrap().recordings {
        let spec = r#"{"eeg": ["ch[1..133]"], "orientation": "channel-each",
                       "sfreq": "nfo.fs", "ch_names": "nfo.clab"}"#;
        agrees(array(&root, &recording.path, spec).as_ref(), recording);
    }
}

#[test]
fn openbmi_files_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("raw");
    for recording in &openbmi(&OpenBmi::default(), &root).unwrap().recordings {
        let (file, run) = recording.path.split_once('#').unwrap();
        let tag = file.rsplit('_').next().unwrap().trim_end_matches(".mat");
        let spec = format!(
            r#"{{"eeg": ["EEG_{tag}_{run}.x"], "sfreq": "EEG_{tag}_{run}.fs",
                 "ch_names": "EEG_{tag}_{run}.chan"}}"#
        );
        agrees(array(&root, file, &spec).as_ref(), recording);
        // The cut trials hold what `t` points to, counted from 1.
        let spec = format!(
            r#"{{"eeg": ["EEG_{tag}_{run}.smt"], "sfreq": 1000, "orientation": "time-trial-channel"}}"#
        );
        let cut = array(&root, file, &spec);
        let before = if tag == "ERP" { 200 } else { 0 };
        let mut first = [0.0];
        cut.read_f64(&[5], before, &mut [&mut first]).unwrap();
        assert_eq!(first[0], recording.samples[5][recording.trials[0].start]);
    }
}

#[test]
fn the_same_settings_give_the_same_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("1"), dir.path().join("2"));
    let cfg = BciIv2b {
        subjects: vec![3],
        runs: 1,
        ..BciIv2b::default()
    };
    let planted = bci_iv_2b(&cfg, &one).unwrap();
    assert_eq!(planted.recordings.len(), 5);
    bci_iv_2b(&cfg, &two).unwrap();
    let other = BciIv2b { seed: 1, ..cfg };
    let three = dir.path().join("3");
    bci_iv_2b(&other, &three).unwrap();
    for file in ["B0301T.gdf", "B0305E.gdf", "B0305E.mat"] {
        let bytes = |root: &Path| std::fs::read(root.join(file)).unwrap();
        assert!(bytes(&one) == bytes(&two), "{file}");
        assert!(
            file.ends_with("mat") || bytes(&one) != bytes(&three),
            "{file}"
        );
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("raw");
    let no = |error: mmpipe_simulate::Error, field: &str| {
        assert!(error.to_string().starts_with(field), "{error}");
    };
    let cfg = BciIv2a {
        subjects: vec![10],
        ..BciIv2a::default()
    };
    no(bci_iv_2a(&cfg, &out).unwrap_err(), "subjects");
    let cfg = BciIv2b {
        repeats: 0,
        ..BciIv2b::default()
    };
    no(bnci2014_004(&cfg, &out).unwrap_err(), "repeats");
    let cfg = Hgd {
        train_repeats: 0,
        ..Hgd::default()
    };
    no(hgd_mat(&cfg, &out).unwrap_err(), "train_repeats");
    let cfg = OpenBmi {
        sessions: 3,
        ..OpenBmi::default()
    };
    no(openbmi(&cfg, &out).unwrap_err(), "sessions");
    assert!(!out.exists());
}
