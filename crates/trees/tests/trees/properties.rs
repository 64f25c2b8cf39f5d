//! What is written is what is read; any bytes are refused or read, without a panic.

use crate::common::numbers_of;
use crate::everything::read_all;
use mmpipe_trees::write::{Numbers, Value, write_mat5, write_mat73, write_npy};
use mmpipe_trees::{Class, Tree, Var, open, select};
use proptest::prelude::*;

fn numbers(n: usize) -> impl Strategy<Value = Numbers> {
    use prop::collection::vec;
    prop_oneof![
        vec(any::<f64>(), n).prop_map(Numbers::F64),
        vec(any::<f32>(), n).prop_map(Numbers::F32),
        vec(any::<i8>(), n).prop_map(Numbers::I8),
        vec(any::<u16>(), n).prop_map(Numbers::U16),
        vec(any::<i32>(), n).prop_map(Numbers::I32),
        vec(any::<u64>(), n).prop_map(Numbers::U64),
        vec(any::<bool>(), n).prop_map(Numbers::Bool),
    ]
}

fn array() -> impl Strategy<Value = Value> {
    prop::collection::vec(0u64..4, 2..4).prop_flat_map(|dims| {
        let n = dims.iter().product::<u64>() as usize;
        numbers(n).prop_map(move |numbers| Value::Array(dims.clone(), numbers))
    })
}

fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![array(), "[a-zé😀]{0,6}".prop_map(Value::Text)];
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::cells),
            prop::collection::vec(inner.clone(), 2..3).prop_map(|v| {
                let names = ["a", "b_2", "c"];
                Value::record(names.into_iter().zip(v))
            }),
            prop::collection::vec(inner, 4).prop_map(|mut v| {
                let second = v.split_off(2);
                Value::Struct(vec![1, 2], vec![("p".into(), v), ("q".into(), second)])
            }),
        ]
    })
}

fn as_f64(numbers: &Numbers) -> Vec<f64> {
    match numbers {
        Numbers::F64(v) => v.clone(),
        Numbers::F32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Numbers::I8(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Numbers::U16(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Numbers::I32(v) => v.iter().map(|x| f64::from(*x)).collect(),
        Numbers::U64(v) => v.iter().map(|x| *x as f64).collect(),
        Numbers::Bool(v) => v.iter().map(|x| f64::from(u8::from(*x))).collect(),
        other => panic!("{other:?} is not made here"),
    }
}

fn same(found: &[f64], expected: &[f64]) -> bool {
    let bits = |v: &[f64]| v.iter().map(|x| x.to_bits()).collect::<Vec<_>>();
    let nans = |v: &[f64]| {
        v.iter()
            .map(|x| if x.is_nan() { f64::NAN } else { *x })
            .collect::<Vec<_>>()
    };
    bits(&nans(found)) == bits(&nans(expected))
}

fn check(tree: &dyn Tree, var: &Var, value: &Value) {
    match value {
        Value::Array(dims, numbers) => {
            assert_eq!(var.dims, *dims);
            assert!(same(&numbers_of(tree, var).0, &as_f64(numbers)));
        }
        Value::Text(text) => assert_eq!(tree.texts(var).expect("text"), [text.as_str()]),
        Value::Cell(_, values) => {
            assert_eq!(var.class, Class::Cell);
            for (i, value) in values.iter().enumerate() {
                check(tree, &tree.cell(var, i as u64).expect("a cell"), value);
            }
        }
        Value::Struct(_, fields) => {
            assert_eq!(var.class, Class::Struct);
            for (name, values) in fields {
                for (i, value) in values.iter().enumerate() {
                    let found = tree.field(var, i as u64, name).expect("a field");
                    check(tree, &found.expect("a field"), value);
                }
            }
        }
        other => panic!("{other:?} is not made here"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn matlab_values_come_back(values in prop::collection::vec(value(), 1..4), compress: bool) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.mat");
        let names: Vec<String> = (0..values.len()).map(|k| format!("v{k}")).collect();
        let variables: Vec<(&str, Value)> =
            names.iter().map(String::as_str).zip(values.iter().cloned()).collect();
        write_mat5(&path, &variables, compress).expect("written");
        let newer = folder.path().join("y.mat");
        write_mat73(&newer, &variables).expect("written");
        for path in [path, newer] {
            let tree = open(&path).expect("opened");
            for (name, value) in &variables {
                let var = select(tree.as_ref(), name).expect("the variable").remove(0);
                check(tree.as_ref(), &var, value);
            }
            prop_assert!(read_all(tree.as_ref()).1.is_empty());
        }
    }

    #[test]
    fn numpy_values_come_back(dims in prop::collection::vec(0u64..5, 0..4), seed: u64) {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("x.npy");
        let n = dims.iter().product::<u64>();
        let numbers = Numbers::U64((0..n).map(|k| k.wrapping_mul(seed) >> 12).collect());
        write_npy(&path, &dims, &numbers).expect("written");
        let tree = open(&path).expect("opened");
        let var = tree.variables().remove(0);
        prop_assert_eq!(&var.dims, &dims);
        prop_assert!(same(&numbers_of(tree.as_ref(), &var).0, &as_f64(&numbers)));
    }

    #[test]
    fn any_bytes_behind_a_signature(which in 0usize..4, tail in prop::collection::vec(any::<u8>(), 0..400)) {
        let folder = tempfile::tempdir().expect("a folder");
        let (name, mut bytes) = match which {
            0 => ("x.mat", [[b' '; 124].as_slice(), b"\0\x01IM", b"\x0e\0\0\0"].concat()),
            1 => ("x.npy", b"\x93NUMPY\x01\0".to_vec()),
            2 => ("x.npz", b"PK\x03\x04".to_vec()),
            _ => ("x.csv", Vec::new()),
        };
        bytes.extend(tail);
        let path = folder.path().join(name);
        std::fs::write(&path, bytes).expect("a file");
        if let Ok(tree) = open(&path) {
            read_all(tree.as_ref());
        }
    }

    #[test]
    fn any_expression(text in "[a-z.{}()*0-9 é]{0,12}") {
        let path = crate::common::fixtures().join("written/plain.mat");
        let tree = open(&path).expect("opened");
        for expression in [text.clone(), format!("runs{text}"), format!("cells{text}")] {
            if let Ok(found) = select(tree.as_ref(), &expression) {
                // What was found says how to find it again.
                for var in found.iter().take(3) {
                    prop_assert!(select(tree.as_ref(), &var.place).is_ok(), "{}", var.place);
                }
            }
        }
    }
}
