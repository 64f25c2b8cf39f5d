//! CSV: headers, separators, missing cells, text columns. Struct elements as values.

use crate::common::fixtures;
use mmpipe_trees::write::{Value, write_mat5};
use mmpipe_trees::{Class, Container, Tree, open, places, select};

fn csv(name: &str, text: &str) -> (tempfile::TempDir, Box<dyn Tree>) {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join(name);
    std::fs::write(&path, text).expect("a file");
    let tree = open(&path).unwrap_or_else(|e| panic!("{e}"));
    (folder, tree)
}

fn column(tree: &dyn Tree, name: &str) -> Vec<f64> {
    let var = select(tree, name)
        .unwrap_or_else(|e| panic!("{e}"))
        .remove(0);
    tree.numbers(&var, 100).unwrap_or_else(|e| panic!("{e}"))
}

fn names(tree: &dyn Tree) -> Vec<String> {
    tree.variables().into_iter().map(|v| v.place).collect()
}

#[test]
fn headers_and_separators() {
    let (_f, tree) = csv("a.csv", "Fp1 (uV),EEG.F3\n1,2\n3,4\n");
    assert_eq!(tree.container(), Container::Csv);
    assert_eq!(names(tree.as_ref()), ["Fp1 (uV)", "EEG.F3", "table"]);
    assert_eq!(column(tree.as_ref(), "EEG.F3"), [2.0, 4.0]);
    assert_eq!(column(tree.as_ref(), "Fp1 (uV)"), [1.0, 3.0]);
    assert_eq!(column(tree.as_ref(), "table"), [1.0, 3.0, 2.0, 4.0]);
    let (_f, tree) = csv("a.tsv", "1\t2\n3\t\n");
    assert_eq!(names(tree.as_ref()), ["column1", "column2", "table"]);
    let second = column(tree.as_ref(), "column2");
    assert!(second[0] == 2.0 && second[1].is_nan());
    let (_f, tree) = csv(
        "a.csv",
        "\u{feff}# made by hand\n# twice\na;a;time\n1e3;-inf;\"7\"\n",
    );
    assert_eq!(names(tree.as_ref()), ["a", "a#2", "time", "table"]);
    assert_eq!(column(tree.as_ref(), "a#2"), [f64::NEG_INFINITY]);
    let codes: Vec<&str> = tree.notes().iter().map(|n| n.code).collect();
    assert_eq!(codes, ["comment-lines-skipped", "column-renamed"]);
}

#[test]
fn text_columns() {
    let (_f, tree) = csv("a.csv", "onset,label\n0.5, left \nn/a,\"a,b\"\n");
    let label = select(tree.as_ref(), "label").expect("a column").remove(0);
    assert_eq!(
        (label.class, label.dims.as_slice()),
        (Class::Text, [2].as_slice())
    );
    assert_eq!(tree.texts(&label).expect("texts"), ["left", "a,b"]);
    assert!(column(tree.as_ref(), "onset")[1].is_nan());
    assert_eq!(names(tree.as_ref()), ["onset", "label"]);
    // A first row of data with text in a column of text is no header; one over numbers is.
    let (_f, tree) = csv("a.csv", "S01,1\nS02,2\n");
    assert_eq!(names(tree.as_ref()), ["column1", "column2"]);
    let (_f, tree) = csv("a.csv", "time,1,2\n0,5,6\n");
    assert_eq!(names(tree.as_ref()), ["time", "1", "2", "table"]);
}

#[test]
fn elements_of_a_struct_array() {
    let tree = open(&fixtures().join("written/packed.mat")).unwrap_or_else(|e| panic!("{e}"));
    let tree = tree.as_ref();
    let second = select(tree, "runs(2)").expect("an element").remove(0);
    assert_eq!(
        (second.place.as_str(), second.dims.as_slice()),
        ("runs(2)", [1, 1].as_slice())
    );
    let name = tree
        .field(&second, 0, "name")
        .expect("a field")
        .expect("a field");
    assert_eq!(name.place, "runs(2).name");
    assert_eq!(tree.texts(&name).expect("text"), ["run1"]);
    assert_eq!(
        tree.field(&second, 1, "name")
            .expect_err("one element")
            .code(),
        "out-of-range"
    );
    let all = select(tree, "runs.name").expect("all");
    let wild = select(tree, "runs(*).name").expect("all");
    assert_eq!(all, wild);
    let texts: Vec<String> = all
        .iter()
        .flat_map(|v| tree.texts(v).expect("text"))
        .collect();
    assert_eq!(texts, ["run0", "run1", "run2"]);
    let names = select(tree, "names").expect("a cell array").remove(0);
    assert_eq!(tree.texts(&names).expect("texts"), ["Fp1", "Fp2", "Cz"]);
}

#[test]
fn lanes_of_channels() {
    let tree = open(&fixtures().join("written/packed.mat")).unwrap_or_else(|e| panic!("{e}"));
    let big = select(tree.as_ref(), "big").expect("300 x 8").remove(0);
    let whole = tree.numbers(&big, 2400).expect("numbers");
    let (mut a, mut b) = (vec![0.0; 8], vec![0.0; 8]);
    tree.read_f64(&big, &[0, 299], 300, &mut [&mut a, &mut b])
        .expect("two rows");
    for k in 0..8 {
        assert_eq!((a[k], b[k]), (whole[300 * k], whole[300 * k + 299]));
    }
}

#[test]
fn wildcards_say_what_they_are() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("a.mat");
    let run = |k: f64| Value::record([("x", Value::scalar(k)), ("y", Value::scalar(-k))]);
    let six = (1..=6).map(|k| run(f64::from(k))).collect();
    let all = [
        ("grid", Value::Cell(vec![2, 3], six)),
        (
            "runs",
            Value::records((0..2).map(|k| vec![("x", Value::scalar(f64::from(k)))])),
        ),
        ("n", Value::scalar(7.0)),
    ];
    write_mat5(&path, &all, true).expect("a file");
    let tree = open(&path).unwrap_or_else(|e| panic!("{e}"));
    let found = |expression: &str| -> Vec<(String, String)> {
        let found = places(tree.as_ref(), expression).unwrap_or_else(|e| panic!("{e}"));
        found
            .into_iter()
            .map(|p| (p.place, p.met.join(" ")))
            .collect()
    };
    let of = |list: &[(&str, &str)]| -> Vec<(String, String)> {
        list.iter()
            .map(|(a, b)| ((*a).to_owned(), (*b).to_owned()))
            .collect()
    };
    assert_eq!(
        found("grid{1,*}"),
        of(&[("grid{1}", "1"), ("grid{3}", "2"), ("grid{5}", "3")])
    );
    assert_eq!(
        found("grid{*,2}"),
        of(&[("grid{3}", "1"), ("grid{4}", "2")])
    );
    assert_eq!(
        found("grid{*,*}")[3],
        ("grid{4}".to_owned(), "2 2".to_owned())
    );
    assert_eq!(found("grid{2,3}"), of(&[("grid{6}", "")]));
    assert_eq!(
        found("grid{6}.*"),
        of(&[("grid{6}.x", "x"), ("grid{6}.y", "y")])
    );
    // Elements of struct arrays are places; fields without a wildcard are not met.
    assert_eq!(found("runs(*)"), of(&[("runs(1)", "1"), ("runs(2)", "2")]));
    assert_eq!(
        found("runs(*).x"),
        of(&[("runs(1).x", "1"), ("runs(2).x", "2")])
    );
    // What has no members gives none.
    assert_eq!(
        found("*"),
        of(&[("grid", "grid"), ("runs", "runs"), ("n", "n")])
    );
    let members: Vec<String> = found("*.*").into_iter().map(|(p, _)| p).collect();
    assert_eq!(members, ["runs(1).x", "runs(2).x"]);
    for place in ["grid{1,*}", "runs(*).x", "*.*"] {
        for (place, _) in found(place) {
            assert_eq!(
                select(tree.as_ref(), &place)
                    .unwrap_or_else(|e| panic!("{e}"))
                    .len(),
                1
            );
        }
    }
    for (wrong, code) in [
        ("grid{3,1}", "absent"),
        ("grid{1,4}", "absent"),
        ("grid{1,0}", "bad-expression"),
        ("grid{1,}", "bad-expression"),
        ("grid{1,1,1}", "bad-expression"),
        ("nothing.*", "absent"),
    ] {
        let e = places(tree.as_ref(), wrong).expect_err(wrong);
        assert_eq!(e.code(), code, "{wrong}: {e}");
    }
}
