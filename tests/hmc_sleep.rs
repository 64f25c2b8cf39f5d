//! HMC in miniature, from its raw files into the lake. Tests are named after the oddities of the
//! real files.

use std::sync::OnceLock;

use mmpipe_simulate::{Hmc, hmc};

use crate::plain::{Walked, walk};

fn walked() -> &'static Walked {
    static WALKED: OnceLock<Walked> = OnceLock::new();
    WALKED.get_or_init(|| walk("HMCSleep", 0, |raw| hmc(&Hmc::default(), raw)))
}

/// First and last onset of each run of epochs with one class.
fn runs(path: &str) -> Vec<(f64, f64, Option<i64>)> {
    let mut out: Vec<(f64, f64, Option<i64>)> = Vec::new();
    for (onset, label, _) in walked().epochs(path) {
        match out.last_mut() {
            Some(last) if last.2 == label => last.1 = onset,
            _ => out.push((onset, onset, label)),
        }
    }
    out
}

#[test]
fn hmc_in_numbers() {
    let want = "\
        ok 4 4 352.0 4 4\n\
        N1 15 15.0\n\
        N2 31 30.0\n\
        N3 16 15.0\n\
        R 45 44.5\n\
        W 31 30.0\n\
        none 37 0.0\n\
        tail shorter than an epoch 2.0\n";
    assert_eq!(walked().summary(), want, "{}", walked().summary());
}

#[test]
fn stages_cover_the_epochs_that_they_cover() {
    walked().labels_agree(&[]);
}

#[test]
fn samples_are_the_planted_ones() {
    let pairs = [("F4", "EEG F4-M1"), ("C3", "EEG C3-M2")];
    walked().samples_agree("recordings/SN015.edf", 1.0, &pairs);
}

#[test]
fn four_of_the_eight_signals_are_on_the_scalp() {
    let path = "recordings/SN013.edf";
    assert_eq!(walked().kept(path), ["F4", "C4", "O2", "C3"]);
    for (label, word) in [
        ("EMG chin", "muscle"),
        ("EOG E1-M2", "eye"),
        ("EOG E2-M2", "eye"),
        ("ECG", "heart"),
    ] {
        let why = walked().why(path, label);
        assert!(why.contains(word), "{label}: {why}");
    }
}

#[test]
fn scoring_begins_after_the_recording_and_onsets_count() {
    // N2 from 17 to 47 s, a hole, N3 from 77 to 107 s. An epoch that a stage covers half has it.
    let want = [
        (0.0, 14.0, None),
        (16.0, 46.0, Some(2)),
        (48.0, 74.0, None),
        (76.0, 106.0, Some(3)),
        (108.0, 110.0, None),
    ];
    assert_eq!(runs("recordings/SN015.edf"), want);
    let halves = walked().epochs("recordings/SN015.edf");
    let share = |onset: f64| halves.iter().find(|(at, ..)| *at == onset).unwrap().2;
    assert_eq!((share(16.0), share(18.0)), (Some(0.5), Some(1.0)));
}

#[test]
fn a_scoring_file_that_starts_later_is_moved_by_its_clock() {
    // The stages stand at 0 and 30 s of a file that starts 12 s after the signals, past midnight.
    let want = [(0.0, 10.0, None), (12.0, 70.0, Some(4)), (72.0, 74.0, None)];
    assert_eq!(runs("recordings/SN016.edf"), want);
}

#[test]
fn a_scoring_as_text_serves_where_there_is_no_other() {
    assert!(
        !walked()
            .scratch
            .path("raw/recordings/SN017_sleepscoring.edf")
            .exists()
    );
    let labels: Vec<_> = runs("recordings/SN017.edf").iter().map(|r| r.2).collect();
    assert_eq!(labels, [None, Some(0), Some(4), None]);
}

#[test]
fn lights_off_and_on_are_no_stages() {
    // They are annotations of SN013 at 0.5 and 90 s; its stages fill all of 90 s.
    let want = [
        (0.0, 28.0, Some(0)),
        (30.0, 58.0, Some(1)),
        (60.0, 88.0, Some(2)),
        (90.0, 92.0, None),
    ];
    assert_eq!(runs("recordings/SN013.edf"), want);
}

#[test]
fn records_014_064_and_135_do_not_exist() {
    let list = std::fs::read_to_string(walked().scratch.path("raw/RECORDS")).unwrap();
    let shown = walked().scratch.json(&["datasets", "show", "HMC"]);
    let expected = shown["expected"]["recordings"].as_u64();
    assert_eq!(expected, Some(list.lines().count() as u64), "{shown}");
    for number in ["014", "064", "135"] {
        assert!(!list.contains(number), "SN{number}");
    }
}
