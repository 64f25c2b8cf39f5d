//! Damaged files give the stated kind of error: when they are opened or when what is damaged is
//! read. Nothing panics, whatever byte changes.

use crate::common::fixtures;
use crate::everything::read_all;
use mmpipe_trees::write::{Numbers, Value, write_mat5, write_npy};
use mmpipe_trees::{open, select};
use std::path::Path;

/// The codes of all errors of a file with this content and extension.
fn codes(folder: &Path, extension: &str, bytes: &[u8]) -> Vec<&'static str> {
    let path = folder.join(format!("x.{extension}"));
    std::fs::write(&path, bytes).expect("a file");
    match open(&path) {
        Ok(tree) => read_all(tree.as_ref()).1,
        Err(e) => {
            assert_eq!(e.path(), path);
            vec![e.code()]
        }
    }
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a folder")
}

/// One variable `x` of 2 × 3 doubles: header 128, tag 8, flags 16, dims 16, name 8, data tag 8.
fn mat(value: Value, compress: bool) -> Vec<u8> {
    let folder = folder();
    let path = folder.path().join("x.mat");
    write_mat5(&path, &[("x", value)], compress).expect("a file");
    std::fs::read(&path).expect("its bytes")
}

fn doubles() -> Value {
    Value::array(&[2, 3], vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0])
}

fn put(bytes: &[u8], at: usize, word: u32) -> Vec<u8> {
    let mut bytes = bytes.to_vec();
    bytes[at..at + 4].copy_from_slice(&word.to_le_bytes());
    bytes
}

#[test]
fn matlab_arrays() {
    let folder = folder();
    let good = mat(doubles(), false);
    assert_eq!(codes(folder.path(), "mat", &good), [""; 0]);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("header alone", good[..127].to_vec(), "unknown-format"),
        ("no byte order", put(&good, 124, 0), "unknown-format"),
        ("type of the variable", put(&good, 128, 9), "damaged"),
        ("variable too long", put(&good, 132, 1000), "damaged"),
        (
            "variable's length all ones",
            put(&good, 132, u32::MAX),
            "damaged",
        ),
        (
            "variable too short for its flags",
            put(&good, 132, 4),
            "damaged",
        ),
        ("flags of another type", put(&good, 136, 9), "damaged"),
        ("flags of another length", put(&good, 140, 4), "damaged"),
        ("class 0", put(&good, 144, 0), "damaged"),
        ("class 99", put(&good, 144, 99), "damaged"),
        ("dimensions of another type", put(&good, 152, 9), "damaged"),
        ("one dimension", put(&good, 156, 4), "damaged"),
        ("dimensions past the end", put(&good, 156, 400), "damaged"),
        ("a negative dimension", put(&good, 160, u32::MAX), "damaged"),
        ("more elements than data", put(&good, 160, 3), "damaged"),
        ("fewer elements than data", put(&good, 160, 1), "damaged"),
        (
            "huge dimensions",
            put(&put(&good, 160, 1 << 30), 164, 1 << 30),
            "damaged",
        ),
        (
            "a small element of 9 bytes",
            put(&good, 168, 9 << 16 | 1),
            "damaged",
        ),
        ("a name of doubles", put(&good, 168, 1 << 16 | 9), "damaged"),
        ("data of an unknown type", put(&good, 176, 8), "damaged"),
        ("data of characters", put(&good, 176, 16), "damaged"),
        ("data of singles", put(&good, 176, 7), "damaged"),
        ("data too long", put(&good, 180, 56), "damaged"),
        ("a cell array without cells", put(&good, 144, 1), "damaged"),
        (
            "a struct without field names",
            put(&good, 144, 2),
            "damaged",
        ),
        (
            "a sparse matrix without rows",
            put(&good, 144, 5),
            "damaged",
        ),
        ("characters of doubles", put(&good, 144, 4), "damaged"),
        ("no imaginary part", put(&good, 144, 0x806), "damaged"),
        ("cut in the data", good[..200].to_vec(), "damaged"),
        ("cut in the tag", good[..134].to_vec(), ""),
    ];
    for (what, bytes, code) in cases {
        let found = codes(folder.path(), "mat", &bytes);
        match code {
            // Fewer than 8 bytes at the end are skipped with a note.
            "" => assert!(found.is_empty(), "{what}: {found:?}"),
            _ => assert_eq!(found.first(), Some(&code), "{what}: {found:?}"),
        }
    }
}

#[test]
fn matlab_containers() {
    let folder = folder();
    let cell = mat(Value::cells([doubles(), Value::text("ab")]), false);
    let record = mat(
        Value::record([("a", doubles()), ("b", Value::scalar(1.0))]),
        false,
    );
    let packed = mat(doubles(), true);
    let end = packed.len();
    let mut checksum = packed.clone();
    checksum[end - 1] ^= 1;
    let mut longer = mat(Value::array(&[1, 4000], vec![0.0; 4000]), true);
    let cut = longer.len() - 12;
    longer.truncate(cut);
    let length = (cut - 136) as u32;
    let longer = put(&longer, 132, length);
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("a child that is no array", put(&cell, 176, 9), "damaged"),
        ("a child past the end", put(&cell, 180, 10_000), "damaged"),
        (
            "more cells than there can be",
            put(&cell, 164, 1 << 20),
            "damaged",
        ),
        ("one cell too many", put(&cell, 164, 3), "damaged"),
        ("field names of 7 bytes", put(&record, 180, 7), "damaged"),
        ("field names of no bytes", put(&record, 180, 0), "damaged"),
        (
            "more elements than there can be",
            put(&record, 164, 100),
            "damaged",
        ),
        ("a wrong checksum", checksum, "damaged"),
        ("no compressed data", put(&packed, 136, 0), "damaged"),
        (
            "compressed data past the end",
            put(&packed, 132, 1 << 30),
            "damaged",
        ),
        ("compressed data cut", longer, "damaged"),
    ];
    for (what, bytes, code) in cases {
        let found = codes(folder.path(), "mat", &bytes);
        assert!(found.contains(&code), "{what}: {found:?}");
    }
}

#[test]
fn odd_files_of_scipy() {
    for (name, code) in [
        ("corrupted_zlib_checksum.mat", Some("damaged")),
        ("corrupted_zlib_data.mat", Some("damaged")),
        ("bad_miuint32.mat", Some("damaged")),
        // SciPy refuses a name that is not ASCII; its type says UTF-8, and UTF-8 it is.
        ("bad_miutf8_array_name.mat", None),
        ("malformed1.mat", Some("damaged")),
        ("broken_utf8.mat", None),
        ("debigged_m4.mat", Some("unsupported")),
        ("test_mat4_le_floats.mat", Some("unsupported")),
        ("testdouble_4.2c_SOL2.mat", Some("unsupported")),
    ] {
        let found = match open(&fixtures().join("odd").join(name)) {
            Ok(tree) => read_all(tree.as_ref()).1,
            Err(e) => vec![e.code()],
        };
        assert_eq!(found.first().copied(), code, "{name}");
    }
}

fn npy_with(text: &str, version: u8, data: usize) -> Vec<u8> {
    let mut out = b"\x93NUMPY".to_vec();
    out.extend([version, 0]);
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
    out.resize(out.len() + data, 0);
    out
}

#[test]
fn numpy() {
    let folder = folder();
    let good = "{'descr': '<f8', 'fortran_order': False, 'shape': (2, 3), }\n";
    assert_eq!(codes(folder.path(), "npy", &npy_with(good, 1, 48)), [""; 0]);
    let with = |from: &str, to: &str| npy_with(&good.replace(from, to), 1, 48);
    let mut long = npy_with(good, 1, 48);
    long[8..10].copy_from_slice(&60000u16.to_le_bytes());
    let cases: Vec<(&str, Vec<u8>, &str)> = vec![
        ("version 9", npy_with(good, 9, 48), "damaged"),
        ("data cut", npy_with(good, 1, 47), "damaged"),
        ("header past the end", long, "damaged"),
        ("magic alone", npy_with(good, 1, 0)[..7].to_vec(), "damaged"),
        ("no dictionary", with("{", "["), "damaged"),
        ("a negative size", with("2,", "-2,"), "damaged"),
        (
            "a size beyond 64 bits",
            with("2,", "99999999999999999999,"),
            "damaged",
        ),
        (
            "a product beyond 64 bits",
            with("2, 3", "4294967296, 4294967296, 4294967296"),
            "damaged",
        ),
        ("a missing key", with("'shape'", "'form'"), "damaged"),
        ("a truth of 1", with("False", "1"), "damaged"),
        ("an open string", with("'<f8'", "'<f8"), "damaged"),
        (
            "a structured dtype",
            with("'<f8'", "[('a', '<f8')]"),
            "unsupported",
        ),
        ("objects", with("<f8", "|O"), "unsupported"),
        ("long doubles", with("<f8", "<f16"), "unsupported"),
    ];
    for (what, bytes, code) in cases {
        let found = codes(folder.path(), "npy", &bytes);
        assert_eq!(found.first(), Some(&code), "{what}: {found:?}");
    }
    for name in ["structured", "object", "times"] {
        let error = open(&fixtures().join(format!("written/{name}.npy")))
            .err()
            .expect("refused");
        assert_eq!(error.code(), "unsupported", "{name}");
    }
}

#[test]
fn zip_archives() {
    let folder = folder();
    for name in ["stored", "deflated"] {
        let good = std::fs::read(fixtures().join(format!("written/{name}.npz"))).expect("bytes");
        assert_eq!(codes(folder.path(), "npz", &good), [""; 0]);
        let cut = &good[..good.len() - 30];
        assert_eq!(codes(folder.path(), "npz", cut).first(), Some(&"damaged"));
        // The first array's last data byte or stream: behind its name and header.
        let mut data = good.clone();
        data[400] ^= 0x55;
        assert!(
            codes(folder.path(), "npz", &data).contains(&"damaged"),
            "{name}"
        );
        let directory = good
            .windows(4)
            .position(|w| w == b"PK\x01\x02")
            .expect("a directory");
        let mut crc = good.clone();
        crc[directory + 16] ^= 1;
        assert!(
            codes(folder.path(), "npz", &crc).contains(&"damaged"),
            "{name}"
        );
        let mut method = good.clone();
        method[directory + 10] = 12;
        assert!(
            codes(folder.path(), "npz", &method).contains(&"unsupported"),
            "{name}"
        );
        let mut encrypted = good.clone();
        encrypted[directory + 8] |= 1;
        assert!(
            codes(folder.path(), "npz", &encrypted).contains(&"unsupported"),
            "{name}"
        );
    }
}

#[test]
fn tables_and_others() {
    let folder = folder();
    for (extension, bytes, code) in [
        ("csv", b"a,b\n1,2\n3\n".as_slice(), "damaged"),
        ("csv", b"a,b\n1,2,3\n", "damaged"),
        ("csv", b"a,b\n1,\0\n", "unknown-format"),
        ("csv", b"\n\n", "unknown-format"),
        ("csv", b"", "unknown-format"),
        ("tsv", b"# only\n# comments\n", "unknown-format"),
        ("txt", b"a,b\n1,2\n", "unknown-format"),
        ("bin", b"\x00\x01", "unknown-format"),
    ] {
        assert_eq!(codes(folder.path(), extension, bytes), [code], "{bytes:?}");
    }
    assert_eq!(
        open(folder.path()).err().map(|e| e.code()),
        Some("unknown-format")
    );
    assert_eq!(
        open(&folder.path().join("no.csv")).err().map(|e| e.code()),
        Some("io")
    );
}

#[test]
fn expressions() {
    let tree = open(&fixtures().join("written/plain.mat")).unwrap_or_else(|e| panic!("{e}"));
    for (expression, code) in [
        ("", "bad-expression"),
        (".x", "bad-expression"),
        ("runs(", "bad-expression"),
        ("runs(0)", "bad-expression"),
        ("runs(x)", "bad-expression"),
        ("runs().X", "bad-expression"),
        ("runs.", "bad-expression"),
        ("runs(1)X", "bad-expression"),
        ("nothing", "absent"),
        ("runs(4).X", "absent"),
        ("runs(4)", "absent"),
        ("one.nothing", "absent"),
        ("cells{9}", "absent"),
        ("f64.x", "wrong-kind"),
        ("f64{1}", "wrong-kind"),
        ("f64(1)", "wrong-kind"),
        ("cells.x", "wrong-kind"),
    ] {
        let found = select(tree.as_ref(), expression).err().map(|e| e.code());
        assert_eq!(found, Some(code), "{expression}");
    }
    let x = select(tree.as_ref(), "f64")
        .unwrap_or_else(|e| panic!("{e}"))
        .remove(0);
    let mut out = [0.0; 3];
    for (first, stride) in [(10, 1), (0, 6), (u64::MAX, 1), (1, u64::MAX)] {
        let error = tree
            .read_f64(&x, &[first], stride, &mut [&mut out])
            .expect_err("too far");
        assert_eq!(error.code(), "out-of-range");
    }
    let error = tree
        .read_f64(&x, &[0, 1], 1, &mut [&mut out])
        .expect_err("one lane");
    assert_eq!(error.code(), "out-of-range");
    assert_eq!(
        tree.numbers(&x, 11).expect_err("12 numbers").code(),
        "out-of-range"
    );
    assert_eq!(tree.texts(&x).expect_err("no text").code(), "wrong-kind");
}

#[test]
fn writers_refuse_what_does_not_fit() {
    let folder = folder();
    let path = folder.path().join("x");
    for value in [
        Value::array(&[2, 2], vec![1.0]),
        Value::array(&[1], vec![1.0]),
        Value::Cell(vec![1, 3], vec![]),
        Value::records([
            vec![("a", Value::scalar(1.0))],
            vec![("b", Value::scalar(1.0))],
        ]),
        Value::record([("x".repeat(64), Value::scalar(1.0))]),
    ] {
        let error = write_mat5(&path, &[("x", value)], false).expect_err("refused");
        assert_eq!(error.code(), "out-of-range");
    }
    let error = write_npy(&path, &[3], &Numbers::U8(vec![1])).expect_err("refused");
    assert_eq!(error.code(), "out-of-range");
}

#[test]
fn no_byte_makes_a_panic() {
    let folder = folder();
    let written = fixtures();
    for (name, step) in [
        ("written/plain.mat", 61),
        ("written/packed.mat", 29),
        ("matio/test_string_v7.mat", 3),
        ("matio/test_tables_v7.mat", 37),
        ("scipy-tests/teststructnest_6.1_SOL2.mat", 1),
        ("scipy-tests/testsparsecomplex_6.5.1_GLNX86.mat", 1),
        ("written/c64.npy", 7),
        ("written/deflated.npz", 41),
        ("written/stored.npz", 97),
    ] {
        let good = std::fs::read(written.join(name)).expect("a fixture");
        let extension = name.rsplit('.').next().unwrap_or("");
        for at in (0..good.len()).step_by(step) {
            let mut bytes = good.clone();
            bytes[at] ^= 0x81;
            codes(folder.path(), extension, &bytes);
            codes(folder.path(), extension, &good[..at]);
        }
    }
}
