//! Real side-cars, read in place.

use std::path::PathBuf;

use mmpipe_sidecars::{Format, read};

use crate::{column, lines};

fn real(path: &str) -> Option<PathBuf> {
    let full = PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("../../../shared/real")
        .join(path);
    if full.exists() {
        return Some(full);
    }
    eprintln!("skipped: {path} is not here");
    None
}

#[test]
fn chb01_summary() {
    let Some(path) = real("chbmit-segments/chb01/chb01-summary.txt") else {
        return;
    };
    let table = read(&path, Format::ChbmitSummary).unwrap();
    assert!(table.notes.is_empty(), "{:?}", table.notes);
    // 42 files; 7 seizures of 442 s in all (the data set's own paper, table of cases).
    let mut files = column(&table, "file");
    files.dedup();
    assert_eq!(files.len(), 42);
    let span = |row: &Vec<Option<String>>| {
        let at = |i: usize| row[i].as_deref().map(|t| t.parse::<u32>().unwrap());
        Some(at(5)? - at(4)?)
    };
    let spans: Vec<u32> = table.rows.iter().filter_map(span).collect();
    assert_eq!((spans.len(), spans.iter().sum::<u32>()), (7, 442));
    assert!(
        column(&table, "channels")
            .iter()
            .all(|c| c.split('|').count() == 23)
    );
}

#[test]
fn eegmmidb_events() {
    let Some(path) = real("physionet-eegmmidb-S001/restored/S001R03.edf.event") else {
        return;
    };
    let table = read(&path, Format::WfdbAnnotations).unwrap();
    assert!(table.notes.is_empty(), "{:?}", table.notes);
    assert_eq!(table.rows.len(), 30);
    assert_eq!(
        lines(&table)[..2],
        [
            "0|\"|0|0|0|T0 duration: 4.2|160",
            "672|\"|0|0|0|T2 duration: 4.1|160"
        ]
    );
}

#[test]
fn naplib_textgrids() {
    let Some(path) = real("naplib/tests/features/aligner_output1/test1.TextGrid") else {
        return;
    };
    let table = read(&path, Format::Textgrid).unwrap();
    assert!(table.notes.is_empty());
    assert_eq!(lines(&table)[1], "phones|interval|2|0.07|0.19|S");
    let tiers = column(&table, "tier");
    assert_eq!(tiers.iter().filter(|t| **t == "phones").count(), 24);
}

#[test]
fn bids_tables_and_json() {
    let Some(root) = real("bids-sidecars") else {
        return;
    };
    let (mut tables, mut folders) = (0, vec![root]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap().flatten() {
            let path = entry.path();
            let format = match path.extension().and_then(|e| e.to_str()) {
                _ if path.is_dir() => {
                    folders.push(path);
                    continue;
                }
                Some("tsv") => Format::Tsv,
                Some("json") => Format::JsonTree,
                _ => continue,
            };
            let table = read(&path, format).unwrap_or_else(|e| panic!("{e}"));
            assert!(
                table.notes.is_empty(),
                "{}: {:?}",
                path.display(),
                table.notes
            );
            tables += 1;
        }
    }
    assert!(tables > 10, "{tables}");
}
