//! Golden scans of real folders, as small summaries. Skipped with a reason where the folder
//! `shared/real` is absent.

use crate::common::{real, summary};
use mmpipe_corpora::{Filter, registry, scan, scan_bids};

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
