//! Golden scans of real folders, as small summaries. Skipped with a reason where the folder
//! `shared/real` is absent.

use crate::common::{column, look_up, real, summary};
use mmpipe_corpora::{Filter, Manifest, Raw, open_part, registry, scan, scan_bids, scan_raw};

#[test]
fn eegmat() {
    let Some(raw) = real("physionet-eegmat") else {
        return;
    };
    let all = registry::builtin().unwrap();
    let found = scan(
        registry::find(&all, "eegmat").unwrap(),
        &raw,
        &Filter::default(),
    )
    .unwrap();
    insta::assert_snapshot!(summary(
        &found,
        &[
            "path",
            "subject",
            "run",
            "sfreq",
            "n_channels",
            "seconds",
            "status",
            "reason"
        ],
        "Subject00_1.edf"
    ));
    assert_eq!(found.table("subject_info").unwrap().num_rows(), 36);
}

#[test]
fn eegmmidb() {
    let Some(raw) = real("physionet-eegmmidb-S001/restored") else {
        return;
    };
    let all = registry::builtin().unwrap();
    let found = scan(
        registry::find(&all, "EEGMMIDB").unwrap(),
        &raw,
        &Filter::default(),
    )
    .unwrap();
    insta::assert_snapshot!(summary(
        &found,
        &[
            "path",
            "subject",
            "run",
            "sfreq",
            "n_channels",
            "seconds",
            "status",
            "reason"
        ],
        "S001R04.edf"
    ));
}

#[test]
fn damaged_copies_are_rejected() {
    let Some(raw) = real("physionet-eegmmidb-S001/as-committed-crlf") else {
        return;
    };
    let all = registry::builtin().unwrap();
    let found = scan(
        registry::find(&all, "EEGMMIDB").unwrap(),
        &raw,
        &Filter::default(),
    )
    .unwrap();
    insta::assert_snapshot!(summary(
        &found,
        &["path", "status", "reason"],
        "S001R04.edf"
    ));
}

#[test]
fn tiny_bids() {
    let Some(raw) = real("mne-bids/tiny_bids") else {
        return;
    };
    let found = scan_bids(&raw, None, &Filter::default()).unwrap();
    insta::assert_snapshot!(summary(
        &found,
        &[
            "path",
            "subject",
            "session",
            "task",
            "sfreq",
            "n_channels",
            "seconds",
            "status",
            "reason"
        ],
        "sub-01/ses-eeg/eeg/sub-01_ses-eeg_task-rest_eeg.vhdr"
    ));
}

#[test]
fn eeglab_bids() {
    let Some(raw) = real("eeglab-sample/test_data/BIDS_test") else {
        return;
    };
    let found = scan_bids(&raw, Some("EEGLAB"), &Filter::default()).unwrap();
    insta::assert_snapshot!(summary(
        &found,
        &[
            "path",
            "subject",
            "session",
            "run",
            "sfreq",
            "n_channels",
            "seconds",
            "status",
            "reason"
        ],
        "sub-S1/ses-01/eeg/sub-S1_ses-01_task-Experiment_run-01_eeg.edf"
    ));
}

/// Subjects 01 and 02 of FEIS, of which only the fixation of each trial is there: 160 stretches
/// of 1 s, 22 s apart, each prompt ten times.
#[test]
fn feis() {
    let Some(folder) = real("feis") else {
        return;
    };
    let scratch = tempfile::tempdir().unwrap();
    let all = registry::builtin().unwrap();
    let feis = registry::find(&all, "FEIS").unwrap();
    let raw = Raw::unpack(feis, &folder, || Some(scratch.path().to_owned())).unwrap();
    let found = scan_raw(feis, &raw, &Filter::default()).unwrap();
    let starts = column(&found, "epochs", "start");
    let prompts = column(&found, "epochs", "prompt");
    let paths = column(&found, "epochs", "path");
    assert_eq!(starts.len(), 320);
    let own: Vec<usize> = (0..320)
        .filter(|k| paths[*k] == "data_eeg/01/articulators.csv")
        .collect();
    let mut counts = std::collections::BTreeMap::new();
    for (k, row) in own.iter().enumerate() {
        assert_eq!(starts[*row], (10 + 22 * k).to_string());
        *counts.entry(prompts[*row].as_str()).or_insert(0) += 1;
    }
    assert_eq!(counts.len(), 16);
    assert!(counts.values().all(|n| *n == 10), "{counts:?}");

    // The numbers of the file's second row and last, as `unzip -p` shows them.
    let path = "data_eeg/01/articulators.csv";
    let part = &found.parts[path];
    let recording = open_part(&found.places[&part.file], &part.tree).unwrap();
    let names: Vec<&str> = recording
        .header()
        .channels
        .iter()
        .map(|c| c.name.as_str())
        .collect();
    assert_eq!((names[0], names[13]), ("F3", "F4"));
    let (mut f3, mut f4) = ([0.0; 2], [0.0; 1]);
    recording.read_f64(&[0], 0, &mut [&mut f3]).unwrap();
    recording.read_f64(&[13], 40_959, &mut [&mut f4]).unwrap();
    assert_eq!(f3, [4_246.410_156_25, 4_247.820_312_5]);
    assert_eq!(f4, [4_208.333_496_093_8]);
    let runs = recording.runs(0);
    assert_eq!(runs.len(), 160);
    assert_eq!(
        (runs[159].onset, &runs[159].samples),
        (3508.0, &(40_704..40_960))
    );

    let names = column(&found, "files", "path");
    let status = column(&found, "files", "status");
    let sounds = names
        .iter()
        .zip(&status)
        .filter(|(p, s)| p.ends_with(".wav") && *s == "stimulus");
    assert_eq!(sounds.count(), 32);
}

#[test]
fn continuous_neural_data() {
    // The layout of the CNSP workshops: trials of EEG in one file, features of the stimuli in
    // another, one row a feature.
    let Some(root) = real("naplib/tests/io") else {
        return;
    };
    let text = r#"
name = "CND"
title = "CND"
licence = "MIT"
access = "open"
[channels]
layout = "biosemi128"
[[files]]
pattern = 'dataSub(?P<subject>\d+)\.mat'
kind = "signal"
[[files]]
pattern = 'dataStim\.mat'
kind = "stimulus"
[[parts]]
pattern = 'dataSub\d+\.mat'
each = "eeg.data{*}"
part = "trial$"
set = { run = "$" }
tree = { eeg = ["$"], sfreq = "eeg.fs", ch_names = "eeg.chanlocs(*).labels" }
[[sounds]]
pattern = 'dataStim\.mat'
each = "stim.data{1,*}"
part = "envelope$1"
kind = "envelope"
tree = { audio = "$", sfreq = "stim.fs" }
[trials]
sql = "SELECT path, 0 AS trial FROM files WHERE status = 'ok'"
"#;
    let manifest = Manifest::parse(text, "cnd.toml").unwrap_or_else(|e| panic!("{e}"));
    let found = scan(&manifest, &root, &Filter::default()).unwrap();
    let status = column(&found, "files", "status");
    let count = |s: &str| status.iter().filter(|x| *x == s).count();
    assert_eq!((count("ok"), count("stimulus")), (20, 20));
    let of = |table: &str, path: &str, c: &str| look_up(&found, table, ("path", path), c);
    assert_eq!(of("files", "dataSub1.mat#trial20", "seconds"), "0.0859375");
    assert_eq!(of("channels", "dataSub1.mat#trial1", "name"), "Cz");
    let sound = &found.sounds["dataStim.mat#envelope1"];
    let sound = mmpipe_corpora::open_sound(&root.join(&sound.file), &sound.tree).unwrap();
    let mut samples: Vec<f32> = Vec::new();
    sound.decode(None, |block| samples.extend(block)).unwrap();
    // As SciPy reads them.
    assert_eq!(samples.len(), 11);
    let scipy = [
        0.030434310155117508,
        0.03653028458467754,
        0.035432426427569566,
    ];
    assert_eq!(samples[..3], scipy.map(|x: f64| x as f32));
}
