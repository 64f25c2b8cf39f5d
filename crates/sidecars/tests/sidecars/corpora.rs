//! Side-cars of the corpora: one test a quirk. The fixtures are made by hand.

use mmpipe_sidecars::Format;

use crate::{column, lines, notes, read};

#[test]
fn chb09_08_second_end_is_called_seizure_1() {
    let table = read("chb09-summary.txt", Format::ChbmitSummary);
    assert_eq!(
        lines(&table)[1..3],
        [
            "chb09_08.edf|27:30:20|31:30:20|1|2951|3030|256|FP1-F7|F7-T7|ECG|2",
            "chb09_08.edf|27:30:20|31:30:20|2|9196|9267|256|FP1-F7|F7-T7|ECG|2",
        ]
    );
    assert!(table.notes.is_empty(), "{:?}", table.notes);
}

#[test]
fn chbmit_times_run_past_midnight() {
    let table = read("chb09-summary.txt", Format::ChbmitSummary);
    assert_eq!(column(&table, "file_end")[0], "27:30:14");
}

#[test]
fn chbmit_files_without_seizures_have_a_row() {
    let table = read("chb09-summary.txt", Format::ChbmitSummary);
    let row = &table.rows[0];
    assert_eq!(row[0].as_deref(), Some("chb09_07.edf"));
    assert_eq!(row[3..6], [None, None, None]);
    assert_eq!(row[8].as_deref(), Some("0"));
}

#[test]
fn chbmit_channels_changed_holds_for_the_files_that_follow() {
    let table = read("chb09-summary.txt", Format::ChbmitSummary);
    let last = "chb09_16+.edf|1:02:03|2:02:03|1|12|40|256|FP1-F7|-|1";
    assert_eq!(lines(&table)[3], last);
}

#[test]
fn chb24_has_no_start_times_and_summaries_are_latin_1() {
    let table = read("chb24-summary.txt", Format::ChbmitSummary);
    assert_eq!(
        lines(&table),
        [
            "chb24_01.edf|-|-|1|480|505|256|FP1-F7|Café|2",
            "chb24_01.edf|-|-|2|2451|2476|256|FP1-F7|Café|2",
            "chb24_02.edf|-|-|-|-|-|256|FP1-F7|Café|0",
        ]
    );
    assert!(table.notes.is_empty());
}

#[test]
fn cap_clocks_roll_over_midnight() {
    let table = read("n1.txt", Format::CapScoring);
    assert_eq!(
        lines(&table),
        [
            "W|Unknown Position|23:58:30|86310|0|SLEEP-S0|30|ROC-LOC|03/01/2004",
            "S1|Supine|23:59:00|86340|30|SLEEP-S1|30|ROC-LOC|03/01/2004",
            "S1|Supine|23:59:10|86350|40|MCAP-A1|4|F4-C4|03/01/2004",
            "S1|Supine|00:00:00|0|90|SLEEP-S1|30|ROC-LOC|03/01/2004",
            "R|Supine|00:00:30|30|120|SLEEP-REM|30|ROC-LOC|03/01/2004",
        ]
    );
    assert!(table.notes.is_empty());
}

#[test]
fn cap_n16_has_dots_no_position_and_another_spelling_of_duration() {
    let table = read("n16.txt", Format::CapScoring);
    assert_eq!(
        lines(&table),
        [
            "S2|-|22.10.05|79805|0|SLEEP-S2|30|C4-A1|14/02/2005",
            "S4|-|22.10.35|79835|30|SLEEP-S4|30|C4-A1|14/02/2005",
        ]
    );
}

#[test]
fn cap_nfle27_has_malformed_rows() {
    let table = read("nfle27.txt", Format::CapScoring);
    assert_eq!(column(&table, "seconds"), ["0", "120", "115"]);
    assert_eq!(column(&table, "location"), ["-", "-", "-"]);
    assert_eq!(
        notes(&table),
        [
            (4, "cap-fields"),
            (5, "cap-time"),
            (6, "cap-duration"),
            (8, "cap-order")
        ]
    );
}

#[test]
fn hmc_headers_and_values_have_leading_spaces() {
    let table = read("SN001_sleepscoring.txt", Format::HmcScoring);
    assert_eq!(
        lines(&table),
        [
            "2001-01-01|22:48:54|0.0000000|0.0000000|Lights off@@EEG F4-A1|EEG F4-A1",
            "2001-01-01|22:48:54|0.0000000|30.0000000|Sleep stage W|-",
            "2001-01-01|22:49:24|30.0000000|30.0000000|Sleep stage N1|-",
        ]
    );
    assert_eq!(notes(&table), [(5, "hmc-onset")]);
}

#[test]
fn tuh_rec_codes_have_names_and_pairs_are_the_22_tcp_pairs() {
    let table = read("aaaaaaju_00000001.rec", Format::TuhRec);
    assert_eq!(
        lines(&table),
        [
            "13|90.4|91.4|6|bckg",
            "13|90.4|91.4|4|eyem",
            "0|16.0|17.0|1|spsw"
        ]
    );
    assert_eq!(
        notes(&table),
        [(4, "tuh-pair"), (5, "tuh-code"), (6, "tuh-order")]
    );
}

#[test]
fn tuh_lab_ticks_are_10_microseconds() {
    let table = read("aaaaaaju_00000001_ch000.lab", Format::TuhLab);
    assert_eq!(lines(&table), ["1171|1172|eyem", "1172.5|1172.50001|bckg"]);
    assert_eq!(notes(&table), [(3, "tuh-order"), (4, "tuh-time")]);
}

#[test]
fn tuh_csv_has_comments_before_its_header() {
    let table = read("aaaaaanr_s001_t001.csv", Format::TuhCsv);
    assert_eq!(
        lines(&table),
        [
            "FP1-F7|0.0000|36.8868|bckg|1.0000",
            "TERM|36.8868|183.3055|cpsz|1.0000"
        ]
    );
    assert_eq!(notes(&table), [(9, "tuh-fields")]);
}

#[test]
fn tuh_tse_has_a_version_line() {
    let table = read("aaaaaanr_s001_t001.tse", Format::TuhTse);
    assert_eq!(
        lines(&table),
        ["0.0000|10.2775|bckg|1.0000", "35.7775|40|cpsz|0.9"]
    );
    assert_eq!(notes(&table), [(4, "tuh-prob")]);
}
