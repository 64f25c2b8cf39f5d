//! Tables out of matrices, and out of tables of MATLAB.

use std::path::Path;

use crate::channels::with_triggers;
use crate::common::column;
use crate::paired::manifest;
use crate::plain::scanned;
use mmpipe_trees::write::{Value, write_mat5};

#[test]
fn columns_of_a_matrix_are_columns_of_a_table() {
    let dir = tempfile::tempdir().unwrap();
    // Three words by start, stop, offset; linear order is column after column.
    let trl = vec![
        100.0,
        200.0,
        300.0,
        150.0,
        250.0,
        350.0,
        -150.0,
        -150.0,
        f64::NAN,
    ];
    let proc = Value::record([
        ("trl", Value::array(&[3, 3], trl)),
        ("subject", Value::text("S01")),
        ("bads", Value::texts(["27", "29"])),
        ("x", Value::array(&[4, 1], vec![1.0, 2.0, 3.0, 4.0])),
    ]);
    write_mat5(&dir.path().join("s1.mat"), &[("proc", proc)], true).unwrap();
    let m = |columns: &str| {
        manifest(
            "[[files]]\npattern = '(?P<subject>s\\d)\\.mat'\nkind = \"signal\"",
            &format!(
                "[[parts]]\npattern = '.*'\ntree = {{ eeg = ['proc.x'], sfreq = 1, ch_names = ['Cz'] }}\n\
                 [[tables]]\ntable = 'words'\npattern = '.*'\n\
                 remedy = 'supply words.csv'\ncolumns = {{ {columns} }}"
            ),
        )
    };
    let found = scanned(
        &m("start = 'proc.trl[:,1]', before = 'proc.trl[:,3]', who = 'proc.subject'"),
        dir.path(),
    );
    assert_eq!(column(&found, "words", "start"), ["100", "200", "300"]);
    assert_eq!(column(&found, "words", "before"), ["-150", "-150", "-"]);
    assert_eq!(column(&found, "words", "who"), ["S01"; 3]);
    assert_eq!(column(&found, "words", "row"), ["1", "2", "3"]);
    let row = found.table("words").unwrap().schema();
    assert_eq!(
        row.field_with_name("row").unwrap().data_type().to_string(),
        "Int64"
    );
    let found = scanned(&m("second = 'proc.trl[2,:]'"), dir.path());
    assert_eq!(column(&found, "words", "second"), ["200", "250", "-150"]);
    for (columns, says) in [
        ("a = 'proc.trl[:,4]'", "column 4 of 3"),
        ("a = 'proc.trl[9,:]'", "row 9 of 3"),
        ("a = 'proc.bads[:,1]'", "expected a matrix of numbers"),
    ] {
        let found = scanned(&m(columns), dir.path());
        assert_eq!(column(&found, "diagnostics", "code"), ["table-unreadable"]);
        let message = &column(&found, "diagnostics", "message")[0];
        assert!(message.contains(says), "{columns}: {message}");
        assert!(message.ends_with("; supply words.csv"), "{message}");
    }
}

#[test]
fn a_table_of_matlab_is_a_table() {
    // Written by MATLAB; see the crate `trees`.
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../trees/tests/fixtures/matio/test_tables_v7.mat");
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(from, dir.path().join("expinfo_S1.mat")).unwrap();
    with_triggers(&dir.path().join("s1.cdt"), &[0.0; 100]);
    let m = manifest(
        "[[files]]\npattern = '(?P<subject>s\\d)\\.cdt'\nkind = \"signal\"\n\
         [[files]]\npattern = 'expinfo_.*'\nkind = \"side-car\"",
        r#"
[[tables]]
table = "numbers"
pattern = 'expinfo_S(?P<number>\d+)\.mat'
columns = { first = "table_numeric.Var1", second = "table_numeric.Var2" }
[[tables]]
table = "cells"
pattern = 'expinfo_.*'
columns = { label = "table_with_attrs.Label" }
[[tables]]
table = "times"
pattern = 'expinfo_.*'
remedy = "supply a struct array instead (table2struct)"
columns = { at = "table_time.Time" }
"#,
    );
    let found = scanned(&m, dir.path());
    assert_eq!(column(&found, "numbers", "second"), ["4.4", "5.5", "6.6"]);
    assert_eq!(column(&found, "numbers", "number"), ["1"; 3]);
    assert_eq!(column(&found, "cells", "label"), ["one", "two"]);
    assert_eq!(column(&found, "times", "at"), [""; 0]);
    assert_eq!(column(&found, "diagnostics", "code"), ["table-unreadable"]);
    let message = &column(&found, "diagnostics", "message")[0];
    assert!(
        message.contains("datetime") && message.ends_with("(table2struct)"),
        "{message}"
    );
}
