//! CHB-MIT in miniature, from its raw files into the lake. Tests are named after the oddities of
//! the real files.

use std::sync::OnceLock;

use mmpipe_simulate::{ChbMit, chbmit};
use serde_json::json;

use crate::plain::{Walked, walk};
use crate::support::Scratch;

fn walked() -> &'static Walked {
    static WALKED: OnceLock<Walked> = OnceLock::new();
    WALKED.get_or_init(|| walk("CMBMIT", 0, |raw| chbmit(&ChbMit::default(), raw)))
}

#[test]
fn chb_mit_in_numbers() {
    let want = "\
        ok 13 22 440.0 18 30\n\
        non-seizure 188 181.5\n\
        seizure 32 32.0\n";
    assert_eq!(walked().summary(), want, "{}", walked().summary());
    assert_eq!(walked().report["dataset"], "CHB-MIT");
}

#[test]
fn seizures_cover_the_epochs_that_they_cover() {
    walked().labels_agree(&[]);
}

#[test]
fn samples_are_the_planted_ones() {
    let pairs = [("Fp1-F7", "FP1-F7"), ("FT10-T8", "FT10-T8")];
    walked().samples_agree("chb01/chb01_03.edf", 1.0, &pairs);
    let refs = [("CP6", "CP6-Ref"), ("T8-P8", "T8-P8"), ("Pz-Oz", "PZ-OZ")];
    walked().samples_agree("chb15/chb15_06.edf", 1.0, &refs);
    let bare = [("O1", "01"), ("Fp2", "FP2")];
    walked().samples_agree("chb12/chb12_28.edf", 1.0, &bare);
}

#[test]
fn bipolar_derivations_are_kept_as_pairs() {
    let want = [
        "Fp1-F7", "F7-T7", "T7-P7", "P7-O1", "Fp1-F3", "F3-C3", "C3-P3", "P3-O1", "Fp2-F4",
        "F4-C4", "C4-P4", "P4-O2", "Fp2-F8", "F8-T8", "T8-P8", "P8-O2", "Fz-Cz", "Cz-Pz", "T7-FT9",
        "FT9-FT10", "FT10-T8",
    ];
    assert_eq!(walked().kept("chb01/chb01_03.edf"), want);
}

#[test]
fn t8_p8_is_there_twice_and_the_first_is_kept() {
    let why = walked().why("chb01/chb01_03.edf", "T8-P8");
    assert!(
        why.contains("second channel called T8-P8: 14 is kept"),
        "{why}"
    );
}

#[test]
fn p7_t7_is_t7_p7_the_other_way_round() {
    let why = walked().why("chb01/chb01_03.edf", "P7-T7");
    assert!(why.contains("the other way round"), "{why}");
}

#[test]
fn dashes_and_dots_are_placeholders() {
    for (path, label) in [("chb11/chb11_82.edf", "-"), ("chb18/chb18_29.edf", ".")] {
        let why = walked().why(path, label);
        assert!(why.contains("placeholder"), "{path}: {why}");
        assert_eq!(walked().kept(path).len(), 21, "{path}");
    }
    assert_eq!(walked().kept("chb16/chb16_18.edf").len(), 18);
}

#[test]
fn what_is_not_brain_is_dropped_with_its_reason() {
    for (path, label, word) in [
        ("chb04/chb04_07.edf", "ECG", "heart"),
        ("chb09/chb09_08.edf", "VNS", "vagus"),
        ("chb12/chb12_28.edf", "EKG1-CHIN", "heart"),
        ("chb12/chb12_32.edf", "LOC-ROC", "canthus"),
        ("chb13/chb13_04.edf", "EKG1-EKG2", "heart"),
        ("chb13/chb13_04.edf", "LUE-RAE", "scalp"),
    ] {
        let why = walked().why(path, label);
        assert!(why.contains(word), "{path} {label}: {why}");
    }
}

#[test]
fn chb12_27_to_29_are_referential_and_keep_their_electrodes() {
    let electrodes = [
        "F7", "T7", "P7", "Fp1", "F3", "C3", "P3", "O1", "Fz", "Cz", "Pz", "Fp2", "F4", "C4", "P4",
        "O2", "F8", "T8", "P8", "C2", "C6", "CP2", "CP4", "CP6",
    ];
    // Against CS2 in one; alone, O1 with a zero, in the other.
    assert_eq!(walked().kept("chb12/chb12_27.edf"), electrodes);
    assert_eq!(walked().kept("chb12/chb12_28.edf"), electrodes);
}

#[test]
fn chb15_has_electrodes_beside_its_pairs() {
    let kept = walked().kept("chb15/chb15_06.edf");
    assert_eq!(kept.len(), 30);
    for name in [
        "Pz-Oz", "FC1", "FC2", "FC5", "FC6", "CP1", "CP2", "CP5", "CP6",
    ] {
        assert!(kept.iter().any(|k| k == name), "{name} of {kept:?}");
    }
}

/// Seconds of seizure in a recording, by the whole epochs that it covers most of.
fn ictal(path: &str) -> Vec<f64> {
    let epochs = walked().epochs(path);
    let ictal = epochs.iter().filter(|(_, label, _)| *label == Some(1));
    ictal.map(|(onset, ..)| *onset).collect()
}

#[test]
fn the_second_end_of_chb09_08_is_called_the_first() {
    assert_eq!(ictal("chb09/chb09_08.edf"), [2.0, 4.0, 10.0, 12.0, 14.0]);
}

#[test]
fn records_with_seizures_names_chb07_18_for_chb07_19() {
    assert_eq!(ictal("chb07/chb07_18.edf"), [0.0; 0]);
    assert_eq!(ictal("chb07/chb07_19.edf"), [6.0, 8.0, 10.0, 12.0]);
}

#[test]
fn chb24_has_no_clock_times_and_yet_its_seizures() {
    // 3 to 6 s and 12 to 15 s: the halves of epochs 2 and 14 are ties, which the lower class wins.
    assert_eq!(ictal("chb24/chb24_01.edf"), [4.0, 12.0]);
}

#[test]
fn the_summary_of_chb24_leaves_out_files_without_seizures() {
    let text = walked().scratch.path("raw/chb24/chb24-summary.txt");
    assert!(!std::fs::read_to_string(text).unwrap().contains("chb24_22"));
    let epochs = walked().epochs("chb24/chb24_22.edf");
    assert_eq!(epochs.len(), 10);
    assert!(
        epochs
            .iter()
            .all(|(_, label, share)| *label == Some(0) && *share == Some(1.0))
    );
}

#[test]
fn chb21_is_the_girl_of_chb01_in_another_session() {
    let rows = walked()
        .scratch
        .sql("SELECT DISTINCT session, run FROM recordings WHERE subject = 'chb01' ORDER BY 1, 2");
    let row = |session: &str, run: &str| json!({ "session": session, "run": run });
    assert_eq!(rows, [row("1", "01"), row("1", "03"), row("2", "19")]);
    let twin = walked()
        .scratch
        .sql("SELECT count(*) AS n FROM recordings WHERE subject = 'chb21'");
    assert_eq!(twin, [json!({ "n": 0 })]);
}

#[test]
fn chb17_has_three_sessions() {
    let rows = walked()
        .scratch
        .sql("SELECT session, run FROM recordings WHERE subject = 'chb17' ORDER BY 1");
    let row = |session: &str, run: &str| json!({ "session": session, "run": run });
    assert_eq!(rows, [row("a", "03"), row("b", "69"), row("c", "02")]);
}

#[test]
fn chb02_16_plus_is_a_file_of_its_own() {
    assert_eq!(ictal("chb02/chb02_16.edf"), [4.0, 6.0]);
    let plus = walked().epochs("chb02/chb02_16+.edf");
    assert!(
        plus.iter()
            .all(|(_, label, share)| *label == Some(0) && *share == Some(1.0))
    );
}

#[test]
fn zero_bytes_follow_the_last_record_of_chb17b_69() {
    let row = walked().recording("chb17/chb17b_69.edf");
    assert_eq!(row["seconds"], 20.0);
    let reason = row["reason"].as_str().unwrap_or_default();
    assert!(reason.contains("256 bytes follow"), "{row}");
}

#[test]
fn summaries_that_are_wrong_or_absent_give_way_to_the_marks() {
    let scratch = Scratch::new();
    chbmit(&ChbMit::default(), &scratch.path("all")).unwrap();
    let raw = scratch.path("raw");
    std::fs::create_dir(&raw).unwrap();
    for case in ["chb02", "chb07"] {
        std::fs::rename(scratch.path("all").join(case), raw.join(case)).unwrap();
    }
    // Of chb02 there is no summary: chb02_16 has marks, and nobody speaks of chb02_16+.
    std::fs::remove_file(raw.join("chb02/chb02-summary.txt")).unwrap();
    // The seizure of chb07_19 loses its end; the summary still says that there is one. And a file
    // with a plus sign has come as %2B, which the summary does not know.
    let summary = raw.join("chb07/chb07-summary.txt");
    let text = std::fs::read_to_string(&summary).unwrap();
    let cut: Vec<String> = text
        .lines()
        .filter(|l| !l.contains("End Time: 14 seconds"))
        .map(|l| l.replace("chb07_18", "chb07_18+"))
        .collect();
    assert_eq!(cut.len() + 1, text.lines().count());
    std::fs::write(&summary, cut.join("\n")).unwrap();
    let file = |name: &str| raw.join("chb07").join(name);
    std::fs::rename(file("chb07_18.edf"), file("chb07_18%2B.edf")).unwrap();
    scratch.json(&["ingest", "--dataset", "CHB-MIT", "--raw", "raw"]);
    let rows = scratch.sql(
        "SELECT r.run, coalesce(e.label, -1) AS label, count(*) AS epochs FROM eeg e \
         JOIN recordings r ON r.recording_id = e.recording_id GROUP BY 1, 2 ORDER BY 1, 2",
    );
    let row = |run: &str, label: i64, n: i64| json!({ "run": run, "label": label, "epochs": n });
    let want = [
        row("16", 0, 8),
        row("16", 1, 2),
        row("16+", -1, 10),
        row("18%2B", 0, 10),
        row("19", 0, 6),
        row("19", 1, 4),
    ];
    assert_eq!(rows, want);
}
