//! Files of independent writers, see `fixtures/make_fixtures.py`.

use mmpipe_sidecars::{Format, Table};
use serde_json::Value;

use crate::{column, fixture, notes, read};

/// What the writer's own library reads, numbers as numbers.
fn expected(name: &str) -> Vec<Vec<Value>> {
    let text = std::fs::read_to_string(fixture(name)).unwrap();
    serde_json::from_str(&text).unwrap()
}

fn agree(table: &Table, name: &str) {
    let all = expected(name);
    assert_eq!(table.columns.len(), all[0].len(), "{name}");
    let header = std::iter::once(table.columns.iter().cloned().map(Some).collect());
    let rows: Vec<Vec<Option<String>>> = header.chain(table.rows.iter().cloned()).collect();
    assert_eq!(rows.len(), all.len(), "{name}");
    for (row, want) in rows.iter().zip(&all) {
        for (cell, want) in row.iter().zip(want) {
            match (cell, want) {
                (None, Value::Null) => {}
                (Some(cell), Value::String(want)) => assert_eq!(cell, want, "{name}"),
                (Some(cell), Value::Number(want)) => {
                    assert_eq!(cell.parse().ok(), want.as_f64(), "{name}");
                }
                other => panic!("{name}: {other:?} in {row:?}"),
            }
        }
    }
}

#[test]
fn openpyxl_workbook() {
    let table = read("words.xlsx", Format::Xlsx);
    agree(&table, "words.xlsx.json");
    let codes: Vec<_> = table.notes.iter().map(|n| n.code).collect();
    assert_eq!(codes, ["xlsx-twice", "xlsx-no-name", "xlsx-no-name"]);
}

#[test]
fn wfdb_seizures_have_brackets_and_every_modifier() {
    let table = read("seizures.seizures", Format::WfdbAnnotations);
    agree(&table, "seizures.seizures.json");
    assert!(table.notes.is_empty(), "{:?}", table.notes);
}

#[test]
fn wfdb_symbols_of_the_files_own() {
    let table = read("custom.atr", Format::WfdbAnnotations);
    agree(&table, "custom.atr.json");
}

#[test]
fn praatio_textgrids_long_short_and_utf_16() {
    for name in ["praatio_long", "praatio_short", "praatio_utf16"] {
        let table = read(&format!("{name}.TextGrid"), Format::Textgrid);
        if name == "praatio_utf16" {
            // Its lines end in CR LF, also inside the text.
            assert_eq!(column(&table, "text")[2], "Ünï\r\n2");
            assert_eq!(table.rows.len(), 5);
        } else {
            agree(&table, "textgrid.json");
        }
        assert!(notes(&table).is_empty());
    }
}

#[test]
fn textgrid_library() {
    let table = read("textgrid.TextGrid", Format::Textgrid);
    assert_eq!(column(&table, "tier"), ["words", "words"]);
    assert_eq!(column(&table, "text"), ["one", "two"]);
}

#[test]
fn pyyaml_tree_with_an_alias() {
    agree(&read("tree.yaml", Format::Yaml), "tree.yaml.json");
}
