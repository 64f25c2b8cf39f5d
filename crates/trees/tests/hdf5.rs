//! HDF5 and MATLAB v7.3 files that h5py wrote, against what it says they hold.

use std::path::{Path, PathBuf};

use mmpipe_trees::{Class, Container, Tree, Var, open, select};
use serde_json::Value;

#[path = "trees/everything.rs"]
mod everything;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/hdf5")
        .join(name)
}

fn numbers(value: &Value) -> Vec<f64> {
    value
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect()
}

fn check(tree: &dyn Tree, expression: &str, want: &Value) {
    let found = select(tree, expression).unwrap();
    let [var] = found.as_slice() else {
        panic!("{expression}: {found:?}")
    };
    let dims: Vec<u64> = numbers(&want["dims"]).iter().map(|d| *d as u64).collect();
    assert_eq!(var.dims, dims, "{expression}");
    if let Some(texts) = want["texts"].as_array() {
        let texts: Vec<&str> = texts.iter().map(|t| t.as_str().unwrap()).collect();
        assert_eq!(tree.texts(var).unwrap(), texts, "{expression}");
        return;
    }
    let values = numbers(&want["values"]);
    assert_eq!(tree.numbers(var, 1 << 20).unwrap(), values, "{expression}");
    let mut imaginary = vec![9.0; values.len()];
    tree.read_imaginary(var, &[0], 1, &mut [&mut imaginary])
        .unwrap();
    match want["imaginary"].is_array() {
        true => assert_eq!(imaginary, numbers(&want["imaginary"]), "{expression}"),
        false => assert!(imaginary.iter().all(|v| *v == 0.0), "{expression}"),
    }
    strided(tree, var, &values);
}

/// Every lane and stride gives what indexing the whole gives.
fn strided(tree: &dyn Tree, var: &Var, values: &[f64]) {
    for stride in [1, 2, 3, 6, 7, 24] {
        let first = [0u64, 1, 5].map(|f| f.min(values.len() as u64));
        let mut lanes: Vec<Vec<f64>> = first
            .iter()
            .map(|f| vec![0.0; (values.len() - *f as usize).div_ceil(stride)])
            .collect();
        let mut out: Vec<&mut [f64]> = lanes.iter_mut().map(Vec::as_mut_slice).collect();
        tree.read_f64(var, &first, stride as u64, &mut out).unwrap();
        for (f, lane) in first.iter().zip(&lanes) {
            let want: Vec<f64> = values[*f as usize..]
                .iter()
                .step_by(stride)
                .copied()
                .collect();
            assert_eq!(*lane, want, "{} from {f} by {stride}", var.place);
        }
    }
}

#[test]
fn files_of_h5py_hold_what_it_wrote() {
    let expected = std::fs::read_to_string(fixture("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&expected).unwrap();
    for (name, variables) in expected.as_object().unwrap() {
        let tree = open(&fixture(name)).unwrap();
        let matlab = name.ends_with(".mat");
        let container = if matlab {
            Container::MatV73
        } else {
            Container::Hdf5
        };
        assert_eq!(tree.container(), container);
        for (expression, want) in variables.as_object().unwrap() {
            check(&*tree, expression, want);
        }
    }
}

#[test]
fn classes_are_those_of_the_file() {
    let tree = open(&fixture("earliest.h5")).unwrap();
    let class = |name: &str| select(&*tree, name).unwrap()[0].class;
    assert_eq!(class("contiguous"), Class::F32);
    assert_eq!(class("extended"), Class::OtherFloat);
    assert_eq!(class("half"), Class::OtherFloat);
    assert_eq!(class("truth"), Class::Bool);
    assert_eq!(class("uint64"), Class::UInt(64));
    assert_eq!(class("records"), Class::Struct);
    assert_eq!(class("refs"), Class::Cell);
    assert_eq!(class("vlen"), Class::Text);
    let tree = open(&fixture("v73.mat")).unwrap();
    let class = |name: &str| select(&*tree, name).unwrap()[0].class;
    assert_eq!(class("title"), Class::Char);
    assert_eq!(class("nothing"), Class::Char);
    assert_eq!(class("flags"), Class::Bool);
    assert_eq!(class("event"), Class::Struct);
    assert!(tree.variables().iter().all(|v| !v.place.starts_with('#')));
}

#[test]
fn any_change_of_a_byte_gives_values_or_an_error() {
    let mut state = 0x2545_f491_4f6c_dd1d_u64;
    let mut random = move |n: usize| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state % n as u64) as usize
    };
    let file = tempfile::NamedTempFile::new().unwrap();
    for name in ["earliest.h5", "latest.h5", "v73.mat"] {
        let whole = std::fs::read(fixture(name)).unwrap();
        for _ in 0..150 {
            let mut bytes = whole.clone();
            for _ in 0..1 + random(4) {
                let at = random(bytes.len());
                bytes[at] = [0, 0xff, random(256) as u8, bytes[at] ^ 1 << random(8)][random(4)];
            }
            if random(8) == 0 {
                bytes.truncate(random(whole.len()));
            }
            std::fs::write(file.path(), &bytes).unwrap();
            if let Ok(tree) = open(file.path()) {
                everything::read_all(&*tree);
            }
        }
    }
}
