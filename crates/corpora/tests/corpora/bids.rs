//! BIDS: inheritance, coordinates, units, contradictions, and what becomes of every file.

use std::path::Path;

use crate::common::{cell, column, edf, look_up, put};
use mmpipe_corpora::{Filter, Scan, registry, scan, scan_bids};

const EEG: &str = "sub-01/eeg/sub-01_task-rest_run-1_eeg.edf";

/// Two subjects, two channels each.
fn minimal(root: &Path) {
    put(
        root,
        "dataset_description.json",
        r#"{"Name": "My set!", "BIDSVersion": "1.9.0"}"#,
    );
    put(
        root,
        "participants.tsv",
        "participant_id\tage\nsub-01\t30\nsub-02\tn/a\n",
    );
    for subject in ["01", "02"] {
        let path = root.join(EEG.replace("01", subject));
        edf::write(
            &path,
            &[("Fz", "uV"), ("Cz", "uV"), ("VEOG", "uV")],
            100,
            10,
            &[],
        );
    }
}

fn scanned(root: &Path) -> Scan {
    scan_bids(root, None, &Filter::default()).unwrap()
}

fn json_value(scan: &Scan, path: &str, key: &str) -> Option<String> {
    let table = scan.table("eeg_json").unwrap();
    (0..table.num_rows())
        .find(|&r| cell(table, "path", r) == path && cell(table, "key", r) == key)
        .map(|r| cell(table, "value", r))
}

fn codes(scan: &Scan, path: &str) -> Vec<String> {
    let table = scan.table("diagnostics").unwrap();
    (0..table.num_rows())
        .filter(|&r| cell(table, "path", r) == path)
        .map(|r| cell(table, "code", r))
        .collect()
}

#[test]
fn name_comes_from_description_then_folder() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("study 1");
    minimal(&root);
    assert_eq!(scanned(&root).dataset, "My-set");
    assert_eq!(
        scan_bids(&root, Some("X"), &Filter::default())
            .unwrap()
            .dataset,
        "X"
    );
    put(&root, "dataset_description.json", "{broken");
    let broken = scanned(&root);
    assert_eq!(broken.dataset, "study-1");
}

#[test]
fn nearer_json_overrides_key_by_key() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    minimal(root);
    put(
        root,
        "task-rest_eeg.json",
        r#"{"EEGReference": "Cz", "PowerLineFrequency": 50, "A": {"B": [1, 2]}}"#,
    );
    put(
        root,
        "task-other_eeg.json",
        r#"{"EEGReference": "not this task"}"#,
    );
    put(
        root,
        "sub-01/sub-01_eeg.json",
        r#"{"EEGReference": "linked ears"}"#,
    );
    put(
        root,
        "sub-02/eeg/sub-02_task-rest_run-2_eeg.json",
        r#"{"EEGReference": "not this run"}"#,
    );
    let found = scanned(root);
    let second = EEG.replace("01", "02");
    assert_eq!(
        json_value(&found, EEG, "EEGReference").unwrap(),
        "linked ears"
    );
    assert_eq!(json_value(&found, EEG, "PowerLineFrequency").unwrap(), "50");
    assert_eq!(json_value(&found, EEG, "A.B.1").unwrap(), "2");
    assert_eq!(json_value(&found, &second, "EEGReference").unwrap(), "Cz");
}

#[test]
fn nearest_tsv_alone_applies() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    minimal(root);
    put(
        root,
        "task-rest_events.tsv",
        "onset\tduration\ttrial_type\n1\t4\troot\n",
    );
    put(
        root,
        "sub-02/sub-02_task-rest_events.tsv",
        "onset\tduration\ttrial_type\tnote\n2\t3\tnear\tx\nn/a\tsoon\tfar\tn/a\n",
    );
    let found = scanned(root);
    assert_eq!(
        column(&found, "events", "trial_type"),
        ["root", "near", "far"]
    );
    assert_eq!(column(&found, "events", "onset"), ["1", "2", "-"]);
    assert_eq!(column(&found, "events", "duration"), ["4", "3", "-"]);
    assert_eq!(column(&found, "events", "note"), ["-", "x", "-"]);
    assert_eq!(column(&found, "events", "source"), ["events.tsv"; 3]);
    // `soon` is no number: said, not guessed.
    assert_eq!(
        codes(&found, &EEG.replace("01", "02")),
        ["event-not-a-number"]
    );
    assert_eq!(
        column(&found, "trial_types", "trial_type"),
        ["far", "near", "root"]
    );
    assert_eq!(column(&found, "trial_types", "longest"), ["-", "3", "4"]);
}

#[test]
fn classes_do_not_depend_on_the_subjects_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    minimal(root);
    put(
        root,
        "sub-01/eeg/sub-01_task-rest_run-1_events.tsv",
        "onset\tduration\ttrial_type\n0\t4\tb\n",
    );
    put(
        root,
        "sub-02/eeg/sub-02_task-rest_run-1_events.tsv",
        "onset\tduration\ttrial_type\n0\t4\ta\n",
    );
    let filter = Filter {
        subjects: Some(vec!["sub-01".into()]),
    };
    let found = scan_bids(root, None, &filter).unwrap();
    assert_eq!(column(&found, "trial_types", "trial_type"), ["a", "b"]);
    assert_eq!(column(&found, "events", "trial_type"), ["b"]);
    let second = EEG.replace("01", "02");
    assert_eq!(
        look_up(&found, "files", ("path", &second), "status"),
        "ignored"
    );
    assert!(look_up(&found, "files", ("path", &second), "reason").contains("subjects asked for"));
}

#[test]
fn channels_tsv_types_units_and_bad_marks() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let labels = [
        ("Fz", "uV"),
        ("Cz", ""),
        ("Pz", "uV"),
        ("M1", "uV"),
        ("B7", "uV"),
        ("ECG", "uV"),
        ("Oz", ""),
    ];
    edf::write(&root.join(EEG), &labels, 100, 10, &[]);
    put(
        root,
        "sub-01/eeg/sub-01_task-rest_run-1_channels.tsv",
        "name\ttype\tunits\tstatus\tstatus_description\nFz\tEEG\tuV\tbad\tnoisy\nCz\tEEG\tmV\tgood\tn/a\nPz\tMISC\tuV\tgood\tn/a\n\
         B7\tEEG\tuV\tgood\tn/a\nECG\tEEG\tuV\tgood\tn/a\nF9\tEEG\tuV\tgood\tn/a\nM1\tBRAIN\tuV\tgood\tn/a\n",
    );
    let found = scanned(root);
    assert_eq!(
        column(&found, "channels", "kind"),
        ["eeg", "eeg", "misc", "ref", "eeg", "ecg", "eeg"]
    );
    assert_eq!(
        column(&found, "channels", "name"),
        ["Fz", "Cz", "-", "-", "raw:B7", "-", "-"]
    );
    assert_eq!(
        column(&found, "channels", "keep"),
        ["true", "true", "false", "false", "true", "false", "false"]
    );
    assert_eq!(
        column(&found, "channels", "to_microvolts")[..2],
        ["1", "1000"]
    );
    let reasons = column(&found, "channels", "reason");
    for (reason, want) in reasons.iter().zip([
        "marked bad in channels.tsv (noisy)",
        "-",
        "channels.tsv says MISC",
        "mastoid",
        "BioSemi",
        "heart",
        "no voltage",
    ]) {
        assert!(reason.contains(want), "{reason} / {want}");
    }
    assert_eq!(
        codes(&found, EEG),
        [
            "channel-type-conflict",
            "channel-type-unknown",
            "channels-not-in-file",
            "unit-from-side-car"
        ]
    );
}

#[test]
fn positions_come_in_metres_from_the_matching_space() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    minimal(root);
    put(
        root,
        "sub-01/eeg/sub-01_space-CapTrak_electrodes.tsv",
        "name\tx\ty\tz\nFz\t1\t2\t3\nCz\tn/a\tn/a\tn/a\n",
    );
    put(
        root,
        "sub-01/eeg/sub-01_space-CapTrak_coordsystem.json",
        r#"{"EEGCoordinateSystem": "CapTrak", "EEGCoordinateUnits": "mm"}"#,
    );
    put(
        root,
        "sub-01/eeg/sub-01_space-Other_electrodes.tsv",
        "name\tx\ty\tz\nFz\t9\t9\t9\n",
    );
    put(
        root,
        "sub-01/eeg/sub-01_space-Other_coordsystem.json",
        r#"{"EEGCoordinateSystem": "Other", "EEGCoordinateUnits": "m"}"#,
    );
    put(
        root,
        "sub-02/eeg/sub-02_electrodes.tsv",
        "name\tx\ty\tz\nFz\t1\t2\t3\n",
    );
    let found = scanned(root);
    assert_eq!(column(&found, "channels", "x")[..3], ["0.0010", "-", "-"]);
    assert_eq!(column(&found, "channels", "z")[..3], ["0.0030", "-", "-"]);
    assert_eq!(
        column(&found, "channels", "coordinate_system")[..2],
        ["CapTrak", "-"]
    );
    assert_eq!(codes(&found, EEG), ["several-electrode-spaces"]);
    // Without coordsystem.json the unit is unknown, so nothing is guessed.
    assert_eq!(column(&found, "channels", "x")[3], "-");
    assert_eq!(
        codes(&found, &EEG.replace("01", "02")),
        ["electrode-unit-unknown"]
    );
}

#[test]
fn the_file_wins_over_eeg_json_and_says_so() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    minimal(root);
    put(
        root,
        "task-rest_eeg.json",
        r#"{"SamplingFrequency": 250, "RecordingDuration": 99}"#,
    );
    let found = scanned(root);
    assert_eq!(look_up(&found, "files", ("path", EEG), "sfreq"), "100");
    assert_eq!(
        codes(&found, EEG),
        ["duration-differs", "sampling-frequency-differs"]
    );
}

#[test]
fn every_file_has_a_row_and_the_bad_ones_a_reason() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    minimal(root);
    put(root, "README", "x");
    put(
        root,
        "derivatives/clean/sub-01/eeg/sub-01_task-rest_eeg.edf",
        "x",
    );
    put(root, "sourcedata/log.txt", "x");
    put(root, "sub-01/anat/sub-01_T1w.nii.gz", "x");
    put(root, "stimuli/a.wav", "x");
    put(root, "notes.docx", "x");
    put(root, ".git/config", "x");
    put(
        root,
        "sub-03/eeg/sub-03_task-rest_eeg.edf",
        "this is no EDF file",
    );
    put(
        root,
        "sub-03/eeg/sub-03_task-rest_channels.tsv",
        "name\ttype\tunits\nA\tEEG\tuV\textra\n",
    );
    put(
        root,
        "sub-01/eeg/sub-01_task-rest_run-1_channels.tsv",
        "name\tname\nA\tB\n",
    );
    let found = scanned(root);
    for (path, status, reason) in [
        ("README", "ignored", "text for people"),
        (
            "derivatives/clean/sub-01/eeg/sub-01_task-rest_eeg.edf",
            "ignored",
            "not the raw recordings",
        ),
        ("sourcedata/log.txt", "ignored", "not the raw recordings"),
        (
            "sub-01/anat/sub-01_T1w.nii.gz",
            "ignored",
            "another modality",
        ),
        ("stimuli/a.wav", "stimulus", "-"),
        (
            "notes.docx",
            "ignored",
            "no rule of the manifest matches this file",
        ),
        (".git/", "ignored", "hidden folder"),
        ("sub-03/eeg/sub-03_task-rest_eeg.edf", "rejected", ""),
        (
            "sub-01/eeg/sub-01_task-rest_run-1_channels.tsv",
            "rejected",
            "`name` is there twice",
        ),
        (EEG, "ok", "-"),
    ] {
        assert_eq!(
            look_up(&found, "files", ("path", path), "status"),
            status,
            "{path}"
        );
        let why = look_up(&found, "files", ("path", path), "reason");
        assert!(
            why.contains(reason) && !why.contains(&root.display().to_string()),
            "{path}: {why}"
        );
    }
    assert_eq!(column(&found, "participants", "subject"), ["01", "02"]);
    assert_eq!(column(&found, "participants", "age"), ["30", "-"]);
}

#[test]
fn sessions_runs_and_scans_are_read() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    let path = "sub-A1/ses-pre/eeg/sub-A1_ses-pre_task-x_acq-y_run-02_split-01_eeg.edf";
    edf::write(&root.join(path), &[("Cz", "uV")], 100, 4, &[]);
    put(
        root,
        "sub-A1/ses-pre/sub-A1_ses-pre_scans.tsv",
        "filename\tacq_time\neeg/sub-A1_ses-pre_task-x_acq-y_run-02_split-01_eeg.edf\t2020-01-01T00:00:00\n",
    );
    put(
        root,
        "sub-A1/sub-A1_sessions.tsv",
        "session_id\tdrug\nses-pre\tnone\n",
    );
    let found = scanned(root);
    for (name, want) in [
        ("subject", "A1"),
        ("session", "pre"),
        ("run", "02"),
        ("task", "x"),
        ("acquisition", "y"),
        ("split", "01"),
    ] {
        assert_eq!(look_up(&found, "files", ("path", path), name), want);
    }
    assert_eq!(
        look_up(&found, "scans", ("path", path), "acq_time"),
        "2020-01-01T00:00:00"
    );
    assert_eq!(
        look_up(&found, "sessions", ("subject", "A1"), "session"),
        "pre"
    );
    assert_eq!(
        look_up(&found, "sessions", ("subject", "A1"), "drug"),
        "none"
    );
}

#[test]
fn the_demo_corpus_is_bids_with_streams() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path();
    minimal(root);
    put(root, "stimuli/a.wav", "x");
    put(root, "sourcedata/truth.json", "{}");
    put(
        root,
        "sub-01/eeg/sub-01_task-rest_run-1_events.tsv",
        "onset\tduration\ttrial_type\ttrial\tattended\tunattended\tattended_onset\tunattended_onset\tcontent_id\n\
         1.5\t4\tattend_left\t1\tstimuli/a.wav\tstimuli/b.wav\t0\t0.5\tstory-1\n",
    );
    let all = registry::builtin().unwrap();
    let found = scan(
        registry::find(&all, "TwoTalker").unwrap(),
        root,
        &Filter::default(),
    )
    .unwrap();
    for (name, want) in [
        ("trial", "1"),
        ("attended", "stimuli/a.wav"),
        ("unattended_onset", "0.5"),
        ("content_id", "story-1"),
    ] {
        assert_eq!(column(&found, "events", name), [want]);
    }
    assert!(found.streams_sql.is_some() && found.stimuli_sql.is_some());
    assert_eq!(found.labels, ["left", "right"]);
    assert_eq!(
        look_up(&found, "files", ("path", "stimuli/a.wav"), "status"),
        "stimulus"
    );
    assert_eq!(
        look_up(&found, "files", ("path", "sourcedata/truth.json"), "status"),
        "ignored"
    );
}
