//! CAP Sleep in miniature, from its raw files into the lake. Tests are named after the oddities
//! of the real files.

use std::sync::OnceLock;

use mmpipe_simulate::{Cap, cap};
use serde_json::json;

use crate::plain::{Walked, walk};

fn walked() -> &'static Walked {
    static WALKED: OnceLock<Walked> = OnceLock::new();
    // rbd11 is rejected, which the program says with its exit code.
    WALKED.get_or_init(|| walk("CAPSleep", 1, |raw| cap(&Cap::default(), raw)))
}

/// Classes of the epochs of a recording at some onsets.
fn classes(path: &str, onsets: &[f64]) -> Vec<Option<i64>> {
    let epochs = walked().epochs(path);
    let at = |onset: &f64| epochs.iter().find(|(t, ..)| t == onset).map(|e| e.1);
    let found = onsets.iter().map(at);
    found.map(|label| label.expect("an epoch there")).collect()
}

#[test]
fn cap_in_numbers() {
    let want = "\
        ok 12 12 1182.0 1 6\n\
        rejected 1 1 0.0\n\
        N1 135 135.0\n\
        N2 136 136.0\n\
        N3 30 30.0\n\
        R 45 45.0\n\
        W 135 135.0\n\
        none 110 0.0\n";
    assert_eq!(walked().summary(), want, "{}", walked().summary());
}

#[test]
fn stages_cover_the_epochs_that_they_cover() {
    walked().labels_agree(&["rbd11.edf"]);
}

#[test]
fn rates_that_differ_by_channel_are_each_resampled() {
    // 256 Hz and 200 Hz in one file, and 512 Hz in another.
    let pairs = [("Fp2-F4", "F2-F4"), ("T7-P7", "T3-T5"), ("C4", "C4-A1")];
    walked().samples_agree("ins1.edf", 1.0, &pairs);
    let pairs = [("Fp2-F4", "Fp2-F4"), ("C4", "C4-A1")];
    walked().samples_agree("n1.edf", 1.0, &pairs);
}

#[test]
fn labels_are_free_and_have_aliases() {
    let kept = |path: &str| walked().kept(path);
    assert_eq!(kept("n1.edf"), ["Fp2-F4", "F4-C4", "C4-P4", "P4-O2", "C4"]);
    let want = ["Fp2-F4", "Fp1-F3", "F7-T7", "T7-P7", "T8-P8", "C4"];
    assert_eq!(kept("ins1.edf"), want);
    assert_eq!(kept("n13.edf"), ["C3", "F3"]);
    assert_eq!(kept("n14.edf"), ["C4", "O1"]);
    assert_eq!(kept("nfle25.edf"), ["Fp1", "C3", "P7"]);
}

#[test]
fn legs_eyes_chin_and_ears_are_no_scalp() {
    for (path, label, word) in [
        ("n1.edf", "DX1-DX2", "emg"),
        ("n1.edf", "SX1-SX2", "emg"),
        ("n1.edf", "ROC-LOC", "canthus"),
        ("n1.edf", "EMG1-EMG2", "muscle"),
        ("n1.edf", "SAO2", "oxygen"),
        ("n16.edf", "EOG dx", "eye"),
        ("ins1.edf", "TIB Dx", "emg"),
        ("ins1.edf", "ekg", "heart"),
        ("nfle25.edf", "A1", "earlobe"),
        ("nfle25.edf", "LOC", "eog"),
        ("nfle25.edf", "CHIN1", "chin"),
        ("sdb1.edf", "CHIN-CHIN", "chin"),
    ] {
        let why = walked().why(path, label);
        assert!(why.contains(word), "{path} {label}: {why}");
    }
}

#[test]
fn the_ecg_of_nfle25_is_in_two_signals() {
    for label in ["ECG1", "ECG2"] {
        let why = walked().why("nfle25.edf", label);
        assert!(why.contains("heart"), "{label}: {why}");
    }
}

#[test]
fn n8_and_n13_to_n15_are_in_microvolts_whatever_they_say() {
    for (path, name, raw) in [
        ("n8.edf", "C3", "C3-A2"),
        ("n8.edf", "F3-C3", "F3-C3"),
        ("n13.edf", "C3", "C3A2"),
        ("n14.edf", "O1", "O1A2"),
        ("n15.edf", "F4", "F4A1"),
    ] {
        walked().samples_agree(path, 1.0, &[(name, raw)]);
    }
    // Said plainly: tens of µV, not a thousand or a millionth of that.
    let rows = walked().scratch.sql(
        "SELECT min(s) > 5.0 AS least, max(s) < 60.0 AS most \
         FROM (SELECT unnest(ch_std) AS s FROM eeg WHERE subject IN ('n8', 'n13', 'n14', 'n15'))",
    );
    assert_eq!(rows, [json!({ "least": true, "most": true })]);
}

#[test]
fn n13_and_n14_give_minus_one_records() {
    for path in ["n13.edf", "n14.edf"] {
        let row = walked().recording(path);
        assert_eq!(row["seconds"], 90.0, "{row}");
        let reason = row["reason"].as_str().unwrap_or_default();
        assert!(reason.contains("record-count-unknown"), "{row}");
    }
}

#[test]
fn rbd11_is_rbd10_again() {
    let bytes = |name: &str| std::fs::read(walked().scratch.path("raw").join(name)).unwrap();
    assert_eq!(bytes("rbd10.edf"), bytes("rbd11.edf"));
    assert_eq!(walked().recording("rbd10.edf")["status"], "ok");
    let row = walked().recording("rbd11.edf");
    assert_eq!(row["status"], "rejected", "{row}");
    assert!(row["reason"].as_str().unwrap().contains("rbd10"), "{row}");
}

#[test]
fn nfle27_is_scored_before_it_was_recorded_and_has_no_labels() {
    let epochs = walked().epochs("nfle27.edf");
    assert_eq!(epochs.len(), 45);
    assert!(epochs.iter().all(|(_, label, _)| label.is_none()));
}

#[test]
fn clocks_are_aligned_to_the_start_of_the_edf_and_roll_over_midnight() {
    // n1 starts at 23:58:50, is scored from 23:59:10 on, and has S3 at 00:00:40.
    let found = classes(
        "n1.edf",
        &[18.0, 20.0, 50.0, 78.0, 108.0, 110.0, 138.0, 140.0],
    );
    let want = [
        None,
        Some(0),
        Some(1),
        Some(1),
        None,
        Some(3),
        Some(3),
        None,
    ];
    assert_eq!(found, want);
}

#[test]
fn rows_are_missing_within_a_scoring() {
    // The third stage of n1, from 80 to 110 s.
    assert_eq!(classes("n1.edf", &[80.0, 94.0, 108.0]), [None; 3]);
}

#[test]
fn sdb1_starts_after_midnight_with_dots_in_its_clocks() {
    let found = classes("sdb1.edf", &[8.0, 10.0, 40.0, 70.0]);
    assert_eq!(found, [None, Some(0), Some(1), Some(2)]);
}

#[test]
fn dates_are_wrong_in_n12_and_do_not_count() {
    let found = classes("n12.edf", &[0.0, 30.0, 60.0]);
    assert_eq!(found, [Some(0), Some(1), Some(2)]);
}

#[test]
fn scorings_are_in_latin_1() {
    let text = std::fs::read_to_string(walked().scratch.path("raw/n12.txt"));
    assert!(text.is_err(), "n12.txt is UTF-8");
    assert_eq!(classes("n12.edf", &[0.0]), [Some(0)]);
}

#[test]
fn headers_of_the_scorings_vary() {
    // Without location, without position, and n16's own, a line earlier.
    for path in ["n8.edf", "n15.edf", "n16.edf"] {
        let found = classes(path, &[0.0, 30.0, 88.0]);
        assert_eq!(found, [Some(0), Some(1), Some(2)], "{path}");
    }
}

#[test]
fn r_and_k_becomes_aasm_and_movement_is_nothing() {
    // REM, MT, S4, unscored, S2.
    let found = classes("ins1.edf", &[0.0, 30.0, 60.0, 90.0, 120.0]);
    assert_eq!(found, [Some(4), None, Some(3), None, Some(2)]);
}

#[test]
fn mcap_rows_are_no_epochs() {
    // S2 of n8 at 60 s holds phases A at 64 and 87 s; its epochs stay S2 and whole.
    let epochs = walked().epochs("n8.edf");
    assert!(
        epochs[30..45]
            .iter()
            .all(|(_, label, share)| *label == Some(2) && *share == Some(1.0))
    );
}

#[test]
fn scorings_run_past_the_end_of_the_recording() {
    // The rows of ins1 go on 138 s; nothing is added for them.
    assert_eq!(walked().recording("ins1.edf")["epochs"], 66);
}
