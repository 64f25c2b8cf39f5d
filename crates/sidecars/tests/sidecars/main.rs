//! Side-cars through the public door.

mod corpora;
mod malformed;
mod properties;
mod real;
mod writers;

use std::path::{Path, PathBuf};

use mmpipe_sidecars::{Format, Table};

/// Every format, with a fixture where there is a file.
const FIXTURES: [(&str, Format); 18] = [
    ("n1.txt", Format::CapScoring),
    ("n16.txt", Format::CapScoring),
    ("nfle27.txt", Format::CapScoring),
    ("chb09-summary.txt", Format::ChbmitSummary),
    ("chb24-summary.txt", Format::ChbmitSummary),
    ("SN001_sleepscoring.txt", Format::HmcScoring),
    ("aaaaaaju_00000001.rec", Format::TuhRec),
    ("aaaaaaju_00000001_ch000.lab", Format::TuhLab),
    ("aaaaaanr_s001_t001.csv", Format::TuhCsv),
    ("aaaaaanr_s001_t001.tse", Format::TuhTse),
    ("seizures.seizures", Format::WfdbAnnotations),
    ("custom.atr", Format::WfdbAnnotations),
    ("praatio_long.TextGrid", Format::Textgrid),
    ("praatio_short.TextGrid", Format::Textgrid),
    ("tree.yaml", Format::Yaml),
    ("words.xlsx", Format::Xlsx),
    ("words.xlsx.json", Format::JsonTree),
    ("n1.txt", Format::Lines),
];

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn read(name: &str, format: Format) -> Table {
    mmpipe_sidecars::read(&fixture(name), format).unwrap_or_else(|e| panic!("{e}"))
}

fn parse(text: impl AsRef<[u8]>, format: Format) -> mmpipe_sidecars::Result<Table> {
    mmpipe_sidecars::parse("x".as_ref(), text.as_ref(), format)
}

/// Rows as text joined by `|`, nulls as `-`.
fn lines(table: &Table) -> Vec<String> {
    let cell = |c: &Option<String>| c.clone().unwrap_or_else(|| "-".to_owned());
    let line = |row: &Vec<_>| row.iter().map(cell).collect::<Vec<_>>().join("|");
    table.rows.iter().map(line).collect()
}

/// Line and code of every note.
fn notes(table: &Table) -> Vec<(u64, &'static str)> {
    table.notes.iter().map(|n| (n.line, n.code)).collect()
}

fn column<'a>(table: &'a Table, name: &str) -> Vec<&'a str> {
    let cells = table.column(name).expect("the column is there");
    cells.map(|c| c.unwrap_or("-")).collect()
}

#[test]
fn formats_have_kebab_case_names_and_their_columns() {
    let names = [
        ("csv", Format::Csv),
        ("json-rows", Format::JsonRows),
        ("textgrid", Format::Textgrid),
        ("tuh-rec", Format::TuhRec),
        ("chbmit-summary", Format::ChbmitSummary),
        ("wfdb-annotations", Format::WfdbAnnotations),
        ("cap-scoring", Format::CapScoring),
        ("hmc-scoring", Format::HmcScoring),
    ];
    for (name, format) in names {
        assert_eq!(serde_json::to_value(format).unwrap(), name);
    }
    for (name, format) in FIXTURES {
        let table = read(name, format);
        let fixed = format.columns();
        assert_eq!(table.columns[..fixed.len()], *fixed, "{name}");
        assert!(!table.rows.is_empty(), "{name}");
    }
}

#[test]
fn a_missing_file_is_an_io_error() {
    let e = mmpipe_sidecars::read("no/such.csv".as_ref(), Format::Csv).unwrap_err();
    assert_eq!(e.code(), "io");
    assert!(e.to_string().starts_with("no/such.csv: cannot read"));
}

#[test]
fn a_file_above_the_cap_is_refused_before_it_is_read() {
    let file = tempfile::NamedTempFile::new().unwrap();
    file.as_file()
        .set_len(mmpipe_sidecars::MOST_BYTES + 1)
        .unwrap();
    for format in [Format::Csv, Format::Xlsx, Format::WfdbAnnotations] {
        let e = mmpipe_sidecars::read(file.path(), format).unwrap_err();
        assert_eq!(e.code(), "too-large");
    }
}
