//! Damaged HDF5 files: what is changed where, and the error that follows.

use std::path::Path;

use mmpipe_trees::{Error, Result, Tree, open, select};

fn bytes(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hdf5");
    std::fs::read(folder.join(name)).unwrap()
}

/// Opens the bytes and reads all numbers or texts that the expression leads to.
fn read(bytes: &[u8], expression: &str) -> Result<usize> {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), bytes).unwrap();
    let tree = open(file.path())?;
    let found = select(&*tree, expression)?;
    let mut count = 0;
    for var in &found {
        count += match tree.texts(var) {
            Err(Error::Kind { .. }) => tree.numbers(var, 1 << 20)?.len(),
            texts => texts?.len(),
        };
    }
    Ok(count)
}

/// Where `pattern` is for the `n`th time.
fn find(bytes: &[u8], pattern: &[u8], n: usize) -> usize {
    let hits = bytes
        .windows(pattern.len())
        .enumerate()
        .filter(|(_, w)| *w == pattern);
    hits.map(|(at, _)| at).nth(n).unwrap()
}

fn code(result: Result<usize>) -> &'static str {
    match result {
        Ok(_) => "ok",
        Err(e) => {
            assert!(!e.to_string().is_empty());
            e.code()
        }
    }
}

#[test]
fn the_fixtures_read_without_damage() {
    for expression in [
        "gzip",
        "grows",
        "vlen",
        "refs{1}",
        "large.member05",
        "records.time",
    ] {
        assert_eq!(
            code(read(&bytes("earliest.h5"), expression)),
            "ok",
            "{expression}"
        );
        assert_eq!(
            code(read(&bytes("latest.h5"), expression)),
            "ok",
            "{expression}"
        );
    }
}

#[test]
fn a_broken_superblock_is_named() {
    let good = bytes("earliest.h5");
    let cases: [(usize, u8, &str); 5] = [
        (0, 0, "unknown-format"),
        (8, 9, "unsupported"),
        (13, 3, "damaged"),
        (14, 0, "damaged"),
        (70, 0xff, "damaged"),
    ];
    for (at, value, want) in cases {
        let mut bytes = good.clone();
        bytes[at] = value;
        assert_eq!(code(read(&bytes, "gzip")), want, "byte {at}");
    }
    let good = bytes("latest.h5");
    for at in [9, 12, 20, 36, 44] {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        assert_eq!(code(read(&bytes, "gzip")), "damaged", "byte {at}");
    }
}

#[test]
fn broken_signatures_are_named() {
    for (pattern, n, expression) in [
        (b"HEAP", 0, "gzip"),
        (b"SNOD", 0, "gzip"),
        (b"TREE", 0, "gzip"),
        (b"GCOL", 0, "vlen"),
    ] {
        let mut bytes = bytes("earliest.h5");
        let at = find(&bytes, pattern, n);
        bytes[at] = b'?';
        assert_eq!(code(read(&bytes, expression)), "damaged", "{expression}");
    }
    for (pattern, expression) in [
        (b"OHDR", "gzip"),
        (b"FRHP", "gzip"),
        (b"BTHD", "gzip"),
        (b"BTLF", "gzip"),
        (b"FAHD", "plain_chunks"),
        (b"FADB", "gzip"),
        (b"EAHD", "grows_first"),
        (b"EAIB", "grows"),
        (b"GCOL", "vlen"),
    ] {
        let mut bytes = bytes("latest.h5");
        let mut at = 0;
        while let Some(hit) = bytes[at..].windows(4).position(|w| w == pattern) {
            bytes[at + hit] = b'?';
            at += hit + 1;
        }
        assert_eq!(code(read(&bytes, expression)), "damaged", "{expression}");
    }
}

#[test]
fn a_changed_checksum_is_noticed() {
    for pattern in [b"OHDR", b"FRHP", b"BTHD", b"FAHD"] {
        let mut bytes = bytes("latest.h5");
        let at = find(&bytes, pattern, 0);
        bytes[at + 7] ^= 1;
        let all = [
            "gzip",
            "grows_both",
            "plain_chunks",
            "many_chunks",
            "large.member05",
        ];
        let codes: Vec<&str> = all.iter().map(|e| code(read(&bytes, e))).collect();
        assert!(codes.contains(&"damaged"), "{codes:?}");
    }
}

#[test]
fn a_file_cut_short_is_noticed() {
    for name in ["earliest.h5", "latest.h5", "v73.mat"] {
        let good = bytes(name);
        for keep in [9, 20, 60, 90, 520, 700] {
            let result = read(&good[..keep], "gzip");
            let code = code(result);
            assert!(
                matches!(code, "damaged" | "unknown-format" | "absent"),
                "{name} {keep} {code}"
            );
        }
    }
}

#[test]
fn what_is_asked_wrongly_is_told() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/hdf5");
    let tree = open(&folder.join("earliest.h5")).unwrap();
    let var = |e: &str| select(&*tree, e).unwrap().remove(0);
    let mut out = [0.0; 4];
    let whole: &dyn Tree = &*tree;
    let ask = |e: &str, first: u64, stride, out: &mut [f64]| {
        whole
            .read_f64(&var(e), &[first], stride, &mut [out])
            .unwrap_err()
            .code()
    };
    assert_eq!(ask("contiguous", 299, 1, &mut out), "out-of-range");
    assert_eq!(ask("contiguous", u64::MAX, 1, &mut out), "out-of-range");
    assert_eq!(ask("contiguous", 0, u64::MAX, &mut out), "out-of-range");
    assert_eq!(ask("empty", 0, 1, &mut out), "out-of-range");
    assert_eq!(ask("vlen", 0, 1, &mut out), "wrong-kind");
    assert_eq!(ask("records", 0, 1, &mut out), "wrong-kind");
    assert_eq!(ask("committed", 0, 1, &mut out), "unsupported");
    assert_eq!(tree.texts(&var("gzip")).unwrap_err().code(), "wrong-kind");
    assert_eq!(tree.cell(&var("gzip"), 0).unwrap_err().code(), "wrong-kind");
    assert_eq!(
        tree.cell(&var("refs"), 2).unwrap_err().code(),
        "out-of-range"
    );
    assert_eq!(select(&*tree, "nowhere").unwrap_err().code(), "absent");
    assert_eq!(
        select(&*tree, "large.nowhere").unwrap_err().code(),
        "absent"
    );
}
