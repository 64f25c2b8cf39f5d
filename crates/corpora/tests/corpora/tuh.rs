//! The Temple University corpora: paths of their releases, every label the publisher lists, and
//! headers that are not what the standard says.

use std::path::Path;

use crate::common::{cell, column, edf, look_up, put};
use mmpipe_corpora::{Filter, Scan, registry, scan};

fn scanned(name: &str, root: &Path) -> Scan {
    let all = registry::builtin().unwrap();
    scan(
        registry::find(&all, name).unwrap(),
        root,
        &Filter::default(),
    )
    .unwrap()
}

fn groups(name: &str, path: &str) -> Vec<(String, String)> {
    let all = registry::builtin().unwrap();
    let m = registry::find(&all, name).unwrap();
    let rule = m.files.iter().find(|r| r.pattern.is_match(path));
    let rule = rule.unwrap_or_else(|| panic!("no rule of {name} matches {path}"));
    rule.pattern.groups(path).unwrap().into_iter().collect()
}

fn are(name: &str, path: &str, want: &[(&str, &str)]) {
    let found = groups(name, path);
    let found: Vec<_> = found
        .iter()
        .map(|(k, v)| (k.as_str(), v.as_str()))
        .collect();
    assert_eq!(found, want, "{path}");
}

#[test]
fn tuev_paths_of_both_partitions_and_of_version_1() {
    are(
        "TUEV",
        "tuh_eeg_events/v2.0.1/edf/train/aaaaaaar/aaaaaaar_00000001.edf",
        &[
            ("partition", "train"),
            ("session", "00000001"),
            ("subject", "aaaaaaar"),
        ],
    );
    are(
        "TUEV",
        "edf/train/00002275/00002275_00000001.edf",
        &[
            ("partition", "train"),
            ("session", "00000001"),
            ("subject", "00002275"),
        ],
    );
    // The number at the end may be empty.
    are(
        "TUEV",
        "edf/eval/000/bckg_000_a_.edf",
        &[
            ("partition", "eval"),
            ("run", "bckg_000_a_"),
            ("subject", "000"),
        ],
    );
    are(
        "TUEV",
        "edf/eval/001/pled_001_a_2.edf",
        &[
            ("partition", "eval"),
            ("run", "pled_001_a_2"),
            ("subject", "001"),
        ],
    );
}

#[test]
fn tuep_sessions_with_a_year_or_a_date_in_each_montage() {
    for (montage, session) in [
        ("01_tcp_ar", "s003_2013"),
        ("02_tcp_le", "s003_2003_02_05"),
        ("03_tcp_ar_a", "s003_2013"),
        ("04_tcp_le_a", "s003_2013"),
    ] {
        are(
            "TUEP",
            &format!("v2.0.1/01_no_epilepsy/aaaaaanr/{session}/{montage}/aaaaaanr_s003_t000.edf"),
            &[
                ("diagnosis", "no_epilepsy"),
                ("montage", montage),
                ("run", "t000"),
                ("session", "s003"),
                ("subject", "aaaaaanr"),
                ("year", &session[5..9]),
            ],
        );
    }
}

#[test]
fn tuab_paths_of_versions_2_and_3() {
    are(
        "TUAB",
        "v3.0.1/edf/eval/normal/01_tcp_ar/aaaaamye_s001_t000.edf",
        &[
            ("finding", "normal"),
            ("partition", "eval"),
            ("run", "t000"),
            ("session", "s001"),
            ("subject", "aaaaamye"),
        ],
    );
    are(
        "TUAB",
        "v2.0.0/edf/train/abnormal/01_tcp_ar/083/00008393/s002_2012_02_21/00008393_s002_t000.edf",
        &[
            ("finding", "abnormal"),
            ("partition", "train"),
            ("run", "t000"),
            ("session", "s002"),
            ("subject", "00008393"),
        ],
    );
}

/// Electrodes and what they are called.
#[rustfmt::skip]
const PLACES: [(&str, &str); 24] = [
    ("A1", "A1"), ("A2", "A2"), ("C3", "C3"), ("C4", "C4"), ("CZ", "Cz"), ("F3", "F3"),
    ("F4", "F4"), ("F7", "F7"), ("F8", "F8"), ("FP1", "Fp1"), ("FP2", "Fp2"), ("FZ", "Fz"),
    ("O1", "O1"), ("O2", "O2"), ("OZ", "Oz"), ("P3", "P3"), ("P4", "P4"), ("PZ", "Pz"),
    ("T1", "FT9"), ("T2", "FT10"), ("T3", "T7"), ("T4", "T8"), ("T5", "P7"), ("T6", "P8"),
];

/// The other labels of Appendix B of the publisher's report on electrodes, and of LaBraM's list.
#[rustfmt::skip]
const OTHERS: [&str; 66] = [
    "BURSTS", "DC1-DC", "DC2-DC", "DC3-DC", "DC4-DC", "DC5-DC", "DC6-DC", "DC7-DC", "DC8-DC",
    "ECG EKG-REF", "EEG 20-LE", "EEG 20-REF", "EEG 21-LE", "EEG 23-REF", "EEG 29-REF", "EEG 30-LE",
    "EEG 31-REF", "EEG 32-LE", "EEG 33-REF", "EEG 64-REF", "EEG 99-REF", "EEG 100-REF",
    "EEG 127-REF", "EEG 128-REF", "EEG 1X10_LAT_01-", "EEG 1X10_LAT_05-", "EEG X1-REF",
    "EEG C3-P3", "EEG C3-T3", "EEG C4-CZ", "EEG CZ-PZ", "EEG FP1-F7", "EEG FZ-CZ", "EEG T1-T2",
    "EEG T2-T4", "EEG T3-T1", "EEG T3-T5", "EEG T6-O2", "EEG C3P-REF", "EEG C4P-REF",
    "EEG EKG1-REF", "EEG EKG-LE", "EEG EKG-REF", "EEG LOC-REF", "EEG ROC-REF", "EEG LUC-LE",
    "EEG LUC-REF", "EEG RLC-LE", "EEG RLC-REF", "EEG PG1-LE", "EEG PG1-REF", "EEG PG2-LE",
    "EEG PG2-REF", "EEG RESP1-REF", "EEG RESP2-REF", "EEG SP1-LE", "EEG SP1-REF", "EEG SP2-LE",
    "EEG SP2-REF", "EMG-REF", "IBI", "PHOTIC PH", "PHOTIC-REF", "PULSE RATE", "RESP ABDOMEN-REF",
    "SUPPR",
];

#[test]
fn every_label_that_the_publisher_lists_is_named_or_dropped_with_a_reason() {
    for (dataset, path) in [
        ("TUEV", "edf/train/aaaaaaar/aaaaaaar_00000001.edf"),
        (
            "TUEP",
            "00_epilepsy/aaaaaanr/s001_2003/02_tcp_le/aaaaaanr_s001_t000.edf",
        ),
        ("TUAB", "edf/train/normal/01_tcp_ar/aaaaamye_s001_t000.edf"),
    ] {
        for reference in ["REF", "LE"] {
            let dir = tempfile::tempdir().unwrap();
            let electrodes = PLACES.map(|(raw, _)| format!("EEG {raw}-{reference}"));
            let mut labels: Vec<(&str, &str)> = OTHERS.iter().map(|l| (*l, "uV")).collect();
            labels.extend(electrodes.iter().map(|l| (l.as_str(), "uV")));
            edf::write(&dir.path().join(path), &labels, 10, 1, &[]);
            let found = scanned(dataset, dir.path());
            let table = found.table("channels").unwrap();
            for row in 0..table.num_rows() {
                let raw = cell(table, "raw_name", row);
                let (name, reason) = (cell(table, "name", row), cell(table, "reason", row));
                let place = electrodes.iter().position(|e| *e == raw);
                match place {
                    Some(i) => assert_eq!(
                        (name.as_str(), reason.as_str()),
                        (PLACES[i].1, "-"),
                        "{raw}"
                    ),
                    None => assert!(
                        name == "-" && reason != "-",
                        "{dataset} {raw}: {name}, {reason}"
                    ),
                }
            }
            assert_eq!(table.num_rows(), OTHERS.len() + PLACES.len());
        }
    }
}

/// The publisher's montage, in its order.
#[rustfmt::skip]
const PAIRS: [&str; 22] = [
    "FP1-F7", "F7-T3", "T3-T5", "T5-O1", "FP2-F8", "F8-T4", "T4-T6", "T6-O2", "A1-T3", "T3-C3",
    "C3-CZ", "CZ-C4", "C4-T4", "T4-A2", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4",
    "C4-P4", "P4-O2",
];

#[test]
fn numbers_of_tuev_marks_are_pairs_of_the_montage_and_not_channels_of_the_file() {
    let all = registry::builtin().unwrap();
    let sql = &registry::find(&all, "TUEV")
        .unwrap()
        .intervals
        .as_ref()
        .unwrap()
        .sql;
    for (number, pair) in PAIRS.iter().enumerate() {
        let (a, b) = mmpipe_corpora::electrodes::pair(pair).unwrap();
        let row = format!("({number}, '{a}-{b}')");
        assert!(sql.contains(&row), "{row} is not in\n{sql}");
    }
    let dir = tempfile::tempdir().unwrap();
    let stem = "edf/train/aaaaaaar/aaaaaaar_00000001";
    // One channel, so that pair 13 cannot be one.
    edf::write(
        &dir.path().join(format!("{stem}.edf")),
        &[("EEG FP1-REF", "uV")],
        10,
        1,
        &[],
    );
    put(
        dir.path(),
        &format!("{stem}.rec"),
        "13,90.4,91.4,6\n22,1.0,2.0,6\n",
    );
    put(
        dir.path(),
        &format!("{stem}_ch013.lab"),
        "117100000 117200000 eyem\n",
    );
    let found = scanned("TUEV", dir.path());
    let row = |table: &str, columns: [&str; 4]| columns.map(|c| column(&found, table, c).join(","));
    assert_eq!(
        row("rec", ["pair", "start", "stop", "label"]),
        ["13", "90.4", "91.4", "bckg"]
    );
    assert_eq!(
        row("lab", ["pair", "start", "stop", "label"]),
        ["013", "1171", "1172", "eyem"]
    );
    assert_eq!(column(&found, "rec", "stem"), [stem]);
    // A number beyond the montage is left out and told.
    assert_eq!(column(&found, "diagnostics", "code"), ["tuh-pair"]);
}

/// Bytes of an EDF header.
fn patch(path: &Path, offset: usize, text: &str) {
    let mut bytes = std::fs::read(path).unwrap();
    bytes[offset..offset + text.len()].copy_from_slice(text.as_bytes());
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn dates_that_never_were_are_noted_and_the_file_is_used() {
    let dir = tempfile::tempdir().unwrap();
    let eval = "edf/eval/000/bckg_000_a_.edf";
    let path = dir.path().join(eval);
    edf::write(&path, &[("EEG FP1-REF", "uV")], 10, 1, &[]);
    patch(&path, 8, &format!("{:80}", "000 F 01-JAN-0000 000 Age:36"));
    patch(&path, 168, "00.00.00");
    let found = scanned("TUEV", dir.path());
    assert_eq!(look_up(&found, "files", ("path", eval), "status"), "ok");
    let codes = column(&found, "diagnostics", "code");
    assert_eq!(codes, ["bad-date", "known-fault"]);
    let message = look_up(&found, "diagnostics", ("code", "known-fault"), "message");
    assert!(message.contains("cannot be matched"), "{message}");
}

#[test]
fn reports_features_and_the_publishers_lists_are_not_read() {
    let dir = tempfile::tempdir().unwrap();
    let cap = [("EEG FP1-REF", "uV")];
    edf::write(
        &dir.path().join("edf/train/aaaaaaar/aaaaaaar_00000001.edf"),
        &cap,
        10,
        1,
        &[],
    );
    put(
        dir.path(),
        "edf/train/aaaaaaar/aaaaaaar_00000001_ch000.htk",
        "",
    );
    put(dir.path(), "needs_fixin.list", "");
    let found = scanned("TUEV", dir.path());
    assert_eq!(
        column(&found, "files", "status"),
        ["ok", "ignored", "ignored"]
    );

    let dir = tempfile::tempdir().unwrap();
    let session = "edf/eval/normal/01_tcp_ar/107/00010782/s002_2013_10_05/00010782_s002";
    edf::write(
        &dir.path().join(format!("{session}_t001.edf")),
        &cap,
        10,
        1,
        &[],
    );
    put(dir.path(), &format!("{session}.txt"), "CLINICAL HISTORY");
    let found = scanned("TUAB", dir.path());
    let why = look_up(&found, "files", ("status", "ignored"), "reason");
    assert!(why.contains("physician's report"), "{why}");
}

#[test]
fn tuep_version_3_has_its_marks_as_tables() {
    let dir = tempfile::tempdir().unwrap();
    let stem = "00_epilepsy/aaaaaanr/s003_2013/01_tcp_ar/aaaaaanr_s003_t000";
    edf::write(
        &dir.path().join(format!("{stem}.edf")),
        &[("EEG FP1-REF", "uV")],
        10,
        1,
        &[],
    );
    let head = "# version = csv_v1.0.0\n# bname = aaaaaanr_s003_t000\n# duration = 1.00 secs\n#\n\
                channel,start_time,stop_time,label,confidence\n";
    put(
        dir.path(),
        &format!("{stem}.csv"),
        &format!("{head}FP1-F7,0.0000,0.5000,fnsz,1.0000\n"),
    );
    put(
        dir.path(),
        &format!("{stem}.csv_bi"),
        &format!("{head}TERM,0.0000,0.5000,seiz,1.0000\n"),
    );
    let found = scanned("TUEP", dir.path());
    assert_eq!(column(&found, "seizures", "label"), ["fnsz"]);
    assert_eq!(column(&found, "seizures_bi", "channel"), ["TERM"]);
    assert_eq!(
        column(&found, "seizures_bi", "path"),
        [format!("{stem}.csv_bi")]
    );
    assert_eq!(
        column(&found, "files", "status"),
        ["side-car", "side-car", "ok"]
    );
}
