//! Files that are wrong, and what is said of them.

use mmpipe_sidecars::{Error, Format};

use crate::{fixture, notes, parse};

/// Content, its format, the code of the error.
const REFUSED: &[(&[u8], Format, &str)] = &[
    (b"", Format::Csv, "no-header"),
    (b"\n\n", Format::Tsv, "no-header"),
    (b"a,a\n1,2\n", Format::Csv, "twice"),
    (b"a,b\n1,\"2\n3,4\n", Format::Csv, "open-quote"),
    (b"{", Format::JsonTree, "json"),
    (b"", Format::JsonTree, "json"),
    (b"{}", Format::JsonRows, "json-rows"),
    (b"[1]", Format::JsonRows, "json-rows"),
    (b"", Format::Yaml, "yaml-empty"),
    (b"a: [1, 2\nb: 3\n", Format::Yaml, "yaml"),
    (b"a: 1\n---\nb: 2\n", Format::Yaml, "yaml-documents"),
    (b"? [1, 2]\n: 3\n", Format::Yaml, "yaml-key"),
    (b"a: &x [1, *x]\n", Format::Yaml, "yaml-alias"),
    (b"a: *x\n", Format::Yaml, "yaml"),
    (b"", Format::Textgrid, "textgrid-type"),
    (b"xmin = 0", Format::Textgrid, "textgrid-type"),
    (
        b"\"ooTextFile\"\n\"Pitch\"",
        Format::Textgrid,
        "textgrid-value",
    ),
    (
        b"\"ooTextFile\"\n\"TextGrid\"\n0",
        Format::Textgrid,
        "textgrid-end",
    ),
    (
        b"\"ooTextFile\"\n\"TextGrid\"\n0 \"x",
        Format::Textgrid,
        "textgrid-quote",
    ),
    (
        b"\"ooTextFile\"\n\"TextGrid\"\n0 1 2",
        Format::Textgrid,
        "textgrid-value",
    ),
    (
        b"\"ooTextFile\"\n\"TextGrid\"\n0 1 <exists> 1 \"Odd\"",
        Format::Textgrid,
        "textgrid-value",
    ),
    (
        b"\"ooTextFile\"\n\"TextGrid\"\n0 1 <exists> 999999999999",
        Format::Textgrid,
        "textgrid-end",
    ),
    (
        b"\"ooTextFile\"\n\"TextGrid\"\n0 1 <exists> -1",
        Format::Textgrid,
        "textgrid-value",
    ),
    (
        b"ooBinaryFile\x08TextGrid",
        Format::Textgrid,
        "textgrid-binary",
    ),
    (
        b"\"Praat chronological TextGrid text file\"",
        Format::Textgrid,
        "textgrid-chronological",
    ),
    (b"PK\x03\x04", Format::Xlsx, "xlsx-zip"),
    (b"a,b\n", Format::Xlsx, "xlsx-zip"),
    (b"hello\n", Format::TuhRec, "tuh-rec"),
    (b"1;2;3\n", Format::TuhRec, "tuh-rec"),
    (b"0.0 1.0 bckg\n", Format::TuhLab, "tuh-lab"),
    (b"channel,label\n", Format::TuhCsv, "tuh-csv-header"),
    (b"# only comments\n", Format::TuhCsv, "tuh-csv-header"),
    (b"0 1 bckg 1\n", Format::TuhTse, "tse-version"),
    (b"", Format::TuhTse, "tse-version"),
    (
        b"Data Sampling Rate: 256 Hz\n",
        Format::ChbmitSummary,
        "chbmit-no-files",
    ),
    (b"", Format::WfdbAnnotations, "wfdb-end"),
    (b"\x01", Format::WfdbAnnotations, "wfdb-end"),
    (b"\x00\xec\xff", Format::WfdbAnnotations, "wfdb-end"),
    (b"\x00\xd0\x00\x00", Format::WfdbAnnotations, "wfdb-code"),
    (b"Patient:\tX\n", Format::CapScoring, "cap-header"),
    (b"Sleep Stage\tEvent\n", Format::CapScoring, "cap-column"),
    (b"Date, Time\n", Format::HmcScoring, "hmc-header"),
    (b"", Format::HmcScoring, "hmc-header"),
];

#[test]
fn what_is_not_of_the_format_is_refused() {
    for (bytes, format, code) in REFUSED {
        let shown = String::from_utf8_lossy(bytes);
        match parse(bytes, *format) {
            Err(e) => assert_eq!(e.code(), *code, "{format:?} {shown:?}: {e}"),
            Ok(table) => panic!("{format:?} {shown:?}: {table:?}"),
        }
    }
}

/// Content, its format, rows that remain, lines and codes of the notes.
type Noted = (&'static [u8], Format, usize, &'static [(u64, &'static str)]);

const HEAD: &str = "Data Sampling Rate: 256 Hz\nFile Name: a.edf\n";

const NOTED: &[Noted] = &[
    (b"a,b\n1\n1,2,3\n", Format::Csv, 1, &[(2, "short-row"), (3, "long-row")]),
    (b"a: 1\na: 2\n", Format::Yaml, 2, &[(2, "yaml-twice")]),
    (
        b"a: &x {b: 1}\nc:\n  <<: *x\n",
        Format::Yaml,
        2,
        &[(3, "yaml-merge")],
    ),
    (
        b"\"ooTextFile\"\n\"TextGrid\"\n0 1 <exists> 1\n\"IntervalTier\" \"w\" 0 1 2\n1 0 \"x\"\n0 1 \"y\"\n5",
        Format::Textgrid,
        1,
        &[(5, "textgrid-order"), (7, "textgrid-rest")],
    ),
    (b"1,2,3,4\n1,x,3,4\n1,2\n", Format::TuhRec, 1, &[(2, "tuh-time"), (3, "tuh-fields")]),
    (b"1,-2,3,4\n1,2,3,4\n", Format::TuhRec, 1, &[(1, "tuh-time")]),
    (b"File Name: a.edf\n", Format::ChbmitSummary, 1, &[(0, "chbmit-sfreq")]),
    (b"\x00\x04", Format::WfdbAnnotations, 1, &[(0, "wfdb-end")]),
    (b"\x00\x04\x05\xfcab", Format::WfdbAnnotations, 1, &[(0, "wfdb-end")]),
    (b"\x00\x04\x00\x00\x01\x02", Format::WfdbAnnotations, 1, &[(0, "wfdb-rest")]),
    (b"\x01\xf4\x00\x04\x00\x00", Format::WfdbAnnotations, 1, &[(0, "wfdb-stray")]),
    (b"\x00\x3c\x00\x00", Format::WfdbAnnotations, 1, &[(0, "wfdb-symbol")]),
    (
        b"\x00\xec\xff\xff\xfe\xff\x00\x04\x00\x00",
        Format::WfdbAnnotations,
        0,
        &[(0, "wfdb-sample")],
    ),
    (
        b"Sleep Stage\tTime\tEvent\nW\t1:2:3\t\nW\t1:2:3\tSLEEP-S0\textra\n",
        Format::CapScoring,
        0,
        &[(2, "cap-event"), (3, "cap-fields")],
    ),
    (
        b"Date,Time,Recording onset,Duration,Annotation,Linked channel\nd,1:2:3,0,-1,x,\nd,1-2,0,1,x,\nd,1:2:3,0,1,,\nd\n",
        Format::HmcScoring,
        0,
        &[(2, "hmc-duration"), (3, "hmc-clock"), (4, "hmc-annotation"), (5, "hmc-fields")],
    ),
];

#[test]
fn bad_lines_are_noted_and_left_out() {
    for (bytes, format, rows, expected) in NOTED {
        let shown = String::from_utf8_lossy(bytes);
        let table = parse(bytes, *format).unwrap_or_else(|e| panic!("{shown:?}: {e}"));
        assert_eq!(notes(&table), *expected, "{shown:?}: {:?}", table.notes);
        assert_eq!(table.rows.len(), *rows, "{shown:?}");
    }
}

#[test]
fn summaries_with_odd_blocks() {
    let cases: [(&str, &[(u64, &str)]); 6] = [
        ("Seizure Start Time: 5 seconds\n", &[(3, "chbmit-unpaired")]),
        ("Seizure End Time: 5 seconds\n", &[(3, "chbmit-unpaired")]),
        (
            "Seizure Start Time: 5 seconds\nSeizure End Time: 4 seconds\n",
            &[(4, "chbmit-order")],
        ),
        ("Seizure Start Time: soon\n", &[(3, "chbmit-seizure")]),
        (
            "File Start Time: noon\nWhat is this?\nNumber of Seizures in File: x\n",
            &[(3, "chbmit-clock"), (4, "chbmit-line"), (5, "chbmit-count")],
        ),
        ("Number of Seizures in File: 1\n", &[(2, "chbmit-count")]),
    ];
    for (text, expected) in cases {
        let table = parse(format!("{HEAD}{text}"), Format::ChbmitSummary).unwrap();
        assert_eq!(notes(&table), expected, "{text}");
        assert_eq!(table.rows.len(), 1);
    }
}

#[test]
fn errors_name_path_line_and_what_was_expected() {
    let e = parse("# x\nchannel\n", Format::TuhCsv).unwrap_err();
    assert!(matches!(e, Error::Content { .. }));
    assert_eq!(
        e.to_string(),
        "x: line 2: expected `channel,start_time,stop_time,label,confidence`, found `channel`"
    );
}

#[test]
fn what_repeats_itself_too_much_is_refused() {
    // Long keys above many leaves, and long channel lists above many files.
    let leaves = vec!["1"; 10_000].join(",");
    let tree = format!("{{\"{}\": [{leaves}]}}", "k".repeat(100_000));
    assert_eq!(
        parse(&tree, Format::JsonTree).unwrap_err().code(),
        "table-size"
    );
    assert_eq!(parse(&tree, Format::Yaml).unwrap_err().code(), "table-size");
    let summary = format!(
        "Channel 1: {}\n{}",
        "c".repeat(100_000),
        "File Name: a\n".repeat(1000)
    );
    let e = parse(summary, Format::ChbmitSummary).unwrap_err();
    assert_eq!(e.code(), "table-size");
    let csv = format!(
        "{}\n{}",
        (0..20_000)
            .map(|i| i.to_string())
            .collect::<Vec<_>>()
            .join(","),
        "1\n".repeat(1000)
    );
    assert_eq!(parse(csv, Format::Csv).unwrap_err().code(), "table-size");
}

#[test]
fn deep_nesting_is_refused() {
    let open = "[".repeat(5_000);
    assert_eq!(parse(&open, Format::JsonTree).unwrap_err().code(), "json");
    assert!(parse(&open, Format::Yaml).is_err());
    let deep: String = (0..300).map(|i| format!("{}k:\n", " ".repeat(i))).collect();
    assert_eq!(parse(deep, Format::Yaml).unwrap_err().code(), "yaml-depth");
}

#[test]
fn a_workbook_that_is_cut_is_refused_everywhere() {
    let whole = std::fs::read(fixture("words.xlsx")).unwrap();
    for length in (0..whole.len()).step_by(97) {
        let e = parse(&whole[..length], Format::Xlsx).unwrap_err();
        assert_eq!(e.code(), "xlsx-zip", "{length}: {e}");
    }
}

#[test]
fn an_archive_that_unpacks_to_too_much_is_refused() {
    use std::io::Write;
    let mut zip = zip::ZipWriter::new(std::io::Cursor::new(Vec::new()));
    let options = zip::write::SimpleFileOptions::default();
    zip.start_file("xl/sharedStrings.xml", options).unwrap();
    let zeros = vec![0; 1 << 20];
    for _ in 0..257 {
        zip.write_all(&zeros).unwrap();
    }
    let bytes = zip.finish().unwrap().into_inner();
    assert!(bytes.len() < 1 << 20);
    assert_eq!(parse(bytes, Format::Xlsx).unwrap_err().code(), "xlsx-bomb");
}
