//! What SciPy and NumPy read from a file is what the tree gives: from files that they wrote, that
//! MATLAB wrote (SciPy's own test files), and from real recordings where they are at hand.

use crate::common::{fixtures, numbers_of};
use mmpipe_trees::{Class, Container, Tree, Var, open, select};
use serde_json::Value;
use std::path::Path;

fn compare(folder: &Path, expected: &Path) -> (usize, usize) {
    let text = std::fs::read_to_string(expected).expect("the expectations");
    let files: serde_json::Map<String, Value> = serde_json::from_str(&text).expect("JSON");
    let mut leaves = 0;
    for (file, expected) in &files {
        let path = folder.join(file);
        let tree = open(&path).unwrap_or_else(|e| panic!("{e}"));
        for leaf in expected.as_array().expect("leaves") {
            check(tree.as_ref(), file, leaf);
            leaves += 1;
        }
    }
    (files.len(), leaves)
}

fn check(tree: &dyn Tree, file: &str, leaf: &Value) {
    let place = leaf["x"].as_str().expect("an expression");
    let found = select(tree, place).unwrap_or_else(|e| panic!("{e}"));
    let [var] = found.as_slice() else {
        panic!("{file}: {place}: {} results", found.len())
    };
    let what = format!("{file}: {place}");
    let class = leaf["class"].as_str().unwrap_or("");
    if class == "Sparse" {
        assert!(matches!(var.class, Class::F64 | Class::Bool), "{what}");
    } else {
        assert_eq!(format!("{:?}", var.class), class, "{what}");
    }
    if let Some(texts) = leaf["texts"].as_array() {
        let texts: Vec<&str> = texts.iter().filter_map(Value::as_str).collect();
        let ours = tree.texts(var).unwrap_or_else(|e| panic!("{e}"));
        // SciPy has no text where a char array has no characters.
        if !(texts.is_empty() && ours == [""]) {
            assert_eq!(ours, texts, "{what}");
        }
        return;
    }
    let dims: Vec<u64> = leaf["dims"]
        .as_array()
        .expect("dims")
        .iter()
        .filter_map(Value::as_u64)
        .collect();
    // An array of no bytes is MATLAB's [], 0 by 0; SciPy calls it 1 by 0.
    if !(dims == [1, 0] && var.dims == [0, 0]) {
        assert_eq!(var.dims, dims, "{what}");
    }
    assert_eq!(var.complex, leaf.get("imaginary").is_some(), "{what}");
    let (real, imaginary) = numbers_of(tree, var);
    check_numbers(&what, &real, leaf);
    match leaf.get("imaginary") {
        Some(expected) => check_numbers(&what, &imaginary, expected),
        None => assert!(imaginary.iter().all(|v| *v == 0.0), "{what}"),
    }
}

fn check_numbers(what: &str, found: &[f64], expected: &Value) {
    assert_eq!(
        found.len() as u64,
        expected["n"].as_u64().expect("n"),
        "{what}"
    );
    let finite = || found.iter().copied().filter(|v| v.is_finite());
    let scale = expected["abs"].as_f64().expect("abs");
    let near = |a: f64, b: &Value| (a - b.as_f64().expect("a number")).abs() <= 1e-12 * scale;
    assert!(near(finite().sum(), &expected["sum"]), "{what}");
    assert!(
        near(finite().map(f64::abs).sum(), &expected["abs"]),
        "{what}"
    );
    let ends = expected["ends"].as_array().expect("ends");
    let half = if found.len() == ends.len() {
        found.len()
    } else {
        ends.len() / 2
    };
    let ours = found[..half]
        .iter()
        .chain(&found[found.len() - (ends.len() - half)..]);
    for (ours, theirs) in ours.zip(ends) {
        match theirs {
            Value::String(text) => assert_eq!(ours.to_string().to_lowercase(), *text, "{what}"),
            // The JSON parser may be off in the last bit.
            number => {
                let theirs = number.as_f64().expect("a number");
                assert!(
                    (ours - theirs).abs() <= 3e-16 * theirs.abs(),
                    "{what}: {ours} {theirs}"
                );
            }
        }
    }
}

#[test]
fn fixtures_agree_with_scipy_and_numpy() {
    let (files, leaves) = compare(&fixtures(), &fixtures().join("expected.json"));
    assert!(files > 80 && leaves > 250, "{files} files, {leaves} leaves");
}

#[test]
fn real_files_agree_with_scipy_and_numpy() {
    let real = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../../shared/real");
    if !real.is_dir() {
        eprintln!("skipped: no real recordings at {}", real.display());
        return;
    }
    let (files, leaves) = compare(&real, &fixtures().join("expected_real.json"));
    assert!(files > 10 && leaves > 200, "{files} files, {leaves} leaves");
}

#[test]
fn sparse_matrices_are_double_or_logical() {
    let class = |file: &str, place: &str| {
        let tree = open(&fixtures().join(file)).unwrap_or_else(|e| panic!("{e}"));
        one(tree.as_ref(), place).class
    };
    assert_eq!(class("written/packed.mat", "sparseb"), Class::Bool);
    assert_eq!(class("written/packed.mat", "sparse"), Class::F64);
    let sp = class("scipy-tests/testsparse_6.1_SOL2.mat", "testsparse");
    assert_eq!(sp, Class::F64);
}

fn matio(name: &str) -> Box<dyn Tree> {
    open(&fixtures().join("matio").join(name)).unwrap_or_else(|e| panic!("{e}"))
}

fn one(tree: &dyn Tree, place: &str) -> Var {
    select(tree, place)
        .unwrap_or_else(|e| panic!("{e}"))
        .remove(0)
}

#[test]
fn strings_of_matlab() {
    let tree = matio("test_string_v7.mat");
    assert_eq!(tree.container(), Container::MatV5);
    for (name, dims, texts) in [
        ("string_scalar", [1, 1], vec!["Hello"]),
        (
            "string_array",
            [2, 3],
            vec!["Apple", "Date", "Banana", "Fig", "Cherry", "Grapes"],
        ),
        ("string_empty", [1, 1], vec![""]),
    ] {
        let var = one(tree.as_ref(), name);
        assert_eq!(
            (var.class, var.dims.as_slice()),
            (Class::Text, dims.as_slice())
        );
        assert_eq!(tree.texts(&var).expect("texts"), texts);
    }
}

#[test]
fn tables_of_matlab() {
    let tree = matio("test_tables_v7.mat");
    let names: Vec<String> = tree.variables().iter().map(|v| v.place.clone()).collect();
    let path = |leaf: &str| match names.iter().any(|n| n == "data") {
        true => format!("data.{leaf}"),
        false => leaf.to_owned(),
    };
    let table = one(tree.as_ref(), &path("table_numeric"));
    assert_eq!(
        (table.class, table.fields.as_slice()),
        (
            Class::Table,
            ["Var1".to_owned(), "Var2".to_owned()].as_slice()
        )
    );
    let column = one(tree.as_ref(), &path("table_numeric.Var2"));
    assert_eq!(tree.numbers(&column, 10).expect("numbers"), [4.4, 5.5, 6.6]);
    let strings = one(tree.as_ref(), &path("table_strings.Var1"));
    assert_eq!(
        tree.texts(&strings).expect("texts"),
        ["apple", "banana", "cherry"]
    );
    let label = one(tree.as_ref(), &path("table_with_attrs.Label"));
    assert_eq!(tree.texts(&label).expect("texts"), ["one", "two"]);
    let cell = one(tree.as_ref(), &path("table_from_cell.Var1{2}"));
    assert_eq!(tree.texts(&cell).expect("texts"), ["text"]);
    let named = one(tree.as_ref(), &path("table_row_names.Col2"));
    assert_eq!(tree.numbers(&named, 10).expect("numbers"), [4.0, 5.0, 6.0]);
    // Dates are objects that are not read; the error says which and what to do.
    let time = one(tree.as_ref(), &path("table_time.Time"));
    assert_eq!(time.class, Class::Opaque);
    let error = tree.numbers(&time, 10).expect_err("dates");
    assert_eq!(error.code(), "unsupported");
    assert!(error.to_string().contains("datetime"), "{error}");
}

#[test]
fn function_handles_and_other_objects_are_noted() {
    for (name, code) in [
        ("test_function_handles_v7.mat", "function-handle-skipped"),
        ("test_time_v7.mat", "object-skipped"),
    ] {
        let tree = matio(name);
        assert!(
            tree.notes().iter().any(|n| n.code == code),
            "{name}: {:?}",
            tree.notes()
        );
        for var in tree.variables().iter().filter(|v| v.class == Class::Opaque) {
            let error = tree.numbers(var, 10).expect_err("opaque");
            assert_eq!(error.code(), "unsupported");
        }
    }
}
