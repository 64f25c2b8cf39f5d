//! Archives damaged in one place each, with the kind of error that each must give.

use std::fs;
use std::path::{Path, PathBuf};

use mmpipe_archives::{Error, Limits, Report, kind, list, unpack};

mod cases;

use cases::CASES;

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures");
    fs::read(folder.join(name)).unwrap()
}

fn unpacked(name: &str, data: &[u8]) -> (Result<Report, Error>, Vec<String>) {
    let folder = tempfile::tempdir().unwrap();
    let path: PathBuf = folder.path().join(name);
    fs::write(&path, data).unwrap();
    let into = folder.path().join("in");
    let result = unpack(&path, &into, &Limits::default(), &|_| true);
    let mut names = Vec::new();
    let mut todo = vec![into.clone()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path.strip_prefix(&into).unwrap().to_str().unwrap();
                names.push(name.to_owned());
            }
        }
    }
    names.retain(|n| n != ".unpacked.lock");
    names.sort();
    (result, names)
}

fn name_of(error: &Error) -> &'static str {
    match error {
        Error::Io { .. } => "io",
        Error::NotArchive { .. } => "not-archive",
        Error::Truncated { .. } => "truncated",
        Error::Corrupt { .. } => "corrupt",
        Error::Checksum { .. } => "checksum",
        Error::Encrypted { .. } => "encrypted",
        Error::Unsupported { .. } => "unsupported",
        Error::OverLimit { .. } => "over-limit",
        Error::Stopped { .. } => "stopped",
    }
}

#[test]
fn each_fault_has_its_error_and_leaves_no_part() {
    let (mut wrong, mut stopped) = (Vec::new(), 0);
    for (what, name, damage, expected) in CASES {
        let mut data = fixture(name);
        damage(&mut data);
        let (result, files) = unpacked(name, &data);
        let error = match result {
            Ok(_) => {
                wrong.push(format!("{what}: no error, expected {expected}"));
                continue;
            }
            Err(error) => error,
        };
        let found = name_of(error.fault());
        if found != *expected {
            wrong.push(format!("{what}: {found}, expected {expected}: {error}"));
        }
        let mut whole: Vec<String> = (error.report().iter())
            .flat_map(|r| r.members.iter().map(|m| m.path.clone()))
            .collect();
        whole.sort();
        stopped += usize::from(!whole.is_empty());
        assert_eq!(whole, files, "{what}");
        assert!(!error.to_string().is_empty());
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(stopped > 10, "members before the fault are reported");
}

#[test]
fn a_member_at_fault_does_not_take_the_others_with_it() {
    let (result, files) = unpacked("bzip2.zip", &fixture("bzip2.zip"));
    let error = result.unwrap_err();
    assert_eq!(files, ["good.txt"]);
    let report = error.report().unwrap();
    assert_eq!(report.failed[0].path, "b.bin");
    assert!(report.failed[0].message.contains("bzip2"));

    let cut = fixture("plain.tar.gz");
    let (result, files) = unpacked("plain.tar.gz", &cut[..cut.len() - 30]);
    let error = result.unwrap_err();
    assert!(files.contains(&"set/S01.edf".to_owned()));
    assert_eq!(error.report().unwrap().members.len(), files.len());
}

#[test]
fn every_single_byte_changed_is_an_error_or_an_archive() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["hostile.zip", "secret.zip", "hostile.tgz"] {
        let data = fixture(name);
        let path = folder.path().join(name);
        for i in 0..data.len() {
            let mut bad = data.clone();
            bad[i] ^= 1 << (i % 8);
            fs::write(&path, &bad).unwrap();
            let known = kind(&path).unwrap();
            if let Ok(members) = list(&path) {
                assert!(known.is_some());
                assert!(members.iter().all(|m| m.path.split('/').all(|p| p != "..")));
            }
        }
    }
}
