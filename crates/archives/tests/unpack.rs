//! Unpacking archives that Python's writers made: contents, safety, limits, and doing it twice.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use mmpipe_archives::{Error, How, Kind, Limits, Reason, kind, list, list_all, unpack};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn signal() -> Vec<u8> {
    (0..5000u32).map(|i| ((i * i) >> 5) as u8).collect()
}

fn all(_: &str) -> bool {
    true
}

/// Every file below a folder, but for the crate's own.
fn tree(folder: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![folder.to_path_buf()];
    while let Some(next) = todo.pop() {
        for entry in fs::read_dir(next).unwrap() {
            let path = entry.unwrap().path();
            let meta = fs::symlink_metadata(&path).unwrap();
            assert!(!meta.is_symlink(), "{path:?}");
            if meta.is_dir() {
                todo.push(path);
                continue;
            }
            let name = path.strip_prefix(folder).unwrap().to_str().unwrap();
            if !name.starts_with(".unpacked.") {
                out.insert(name.to_owned(), fs::read(&path).unwrap());
            }
        }
    }
    out
}

fn expect(name: &str, kind_of: Kind, files: &[(&str, &[u8])]) {
    let path = fixture(name);
    assert_eq!(kind(&path).unwrap(), Some(kind_of), "{name}");
    let folder = tempfile::tempdir().unwrap();
    let into = folder.path().join("deep/er");
    let report = unpack(&path, &into, &Limits::default(), &all).unwrap();
    let expected: BTreeMap<String, Vec<u8>> = (files.iter())
        .map(|(n, d)| ((*n).to_owned(), d.to_vec()))
        .collect();
    assert_eq!(tree(&into), expected, "{name}");
    assert!(report.failed.is_empty() && !report.already, "{name}");
    assert!(report.members.iter().all(|m| m.how == How::Written));
    let rows = |bytes: &dyn Fn(&str) -> u64| {
        expected
            .keys()
            .map(|n| (n.clone(), bytes(n)))
            .collect::<BTreeMap<_, _>>()
    };
    let sizes = rows(&|n| expected[n].len() as u64);
    let reported = report.members.iter().map(|m| (m.path.clone(), m.bytes));
    assert_eq!(reported.collect::<BTreeMap<_, _>>(), sizes, "{name}");
    let listed = list(&path).unwrap();
    let listed = listed.iter().map(|m| (m.path.clone(), m.bytes));
    assert_eq!(listed.collect::<BTreeMap<_, _>>(), sizes, "{name}");
    assert_eq!(
        list_all(&path, &Limits::default()).unwrap().refused,
        report.refused
    );

    let again = unpack(&path, &into, &Limits::default(), &all).unwrap();
    assert!(again.already && again.bytes_written == 0, "{name}");
    assert!(again.members.iter().all(|m| m.how == How::Kept));
    assert_eq!(again.refused, report.refused);
    assert!(!into.join(".unpacking").exists());
}

#[test]
fn zips_unpack_as_python_wrote_them() {
    let s = signal();
    let plain: &[(&str, &[u8])] = &[
        ("set/S01.edf", &s),
        ("set/é.txt", b"accent\n"),
        ("empty", b""),
    ];
    expect("plain.zip", Kind::Zip, plain);
    expect("extractor.zip", Kind::Zip, plain);
    expect("stored.zip", Kind::Zip, &[("a/b.bin", &s)]);
    expect("none.zip", Kind::Zip, &[]);
    expect(
        "descriptors.zip",
        Kind::Zip,
        &[("x.txt", &s), ("y.txt", b"y")],
    );
    expect("wide.zip", Kind::Zip, &[("one.bin", &s), ("two.bin", &s)]);
}

#[test]
fn tars_unpack_as_python_wrote_them() {
    let s = signal();
    let long = format!(
        "{}/{}/{}.edf",
        "d".repeat(90),
        "é".repeat(60),
        "n".repeat(120)
    );
    let plain: &[(&str, &[u8])] = &[("set/S01.edf", &s), ("empty", b""), (&long, b"long")];
    expect("pax.tar", Kind::Tar, plain);
    expect("gnu.tar", Kind::Tar, plain);
    expect("plain.tar.gz", Kind::TarGz, plain);
    let prefix = format!("{}/{}", "p".repeat(90), "q".repeat(90));
    let ustar: &[(&str, &[u8])] = &[("set/S01.edf", &s), ("empty", b""), (&prefix, b"prefix")];
    expect("ustar.tar", Kind::Tar, ustar);
}

#[test]
fn a_gz_is_one_file_of_all_its_members() {
    let both = [signal(), b"tail".to_vec()].concat();
    expect("single.gz", Kind::Gz, &[("single", &both)]);
}

#[test]
fn an_archive_within_an_archive_stays_packed() {
    let inner = fs::read(fixture("stored.zip")).unwrap();
    expect("nested.zip", Kind::Zip, &[("inner.zip", &inner)]);
}

#[test]
fn links_to_members_become_files_and_others_are_refused() {
    let s = signal();
    for (name, files) in [
        (
            "links.zip",
            &["data/real.bin", "data/same.bin", "again.bin"][..],
        ),
        (
            "links.tar",
            &["data/real.bin", "data/soft.bin", "hard.bin", "chain.bin"][..],
        ),
    ] {
        let folder = tempfile::tempdir().unwrap();
        let report = unpack(&fixture(name), folder.path(), &Limits::default(), &all).unwrap();
        let found = tree(folder.path());
        assert!(found.values().all(|d| *d == s));
        assert_eq!(found.len(), files.len());
        assert!(files.iter().all(|f| found.contains_key(*f)));
        let why = |path: &str| {
            report
                .refused
                .iter()
                .find(|r| r.path == path)
                .map(|r| r.reason)
        };
        assert_eq!(why("passwd"), Some(Reason::LinkOutside), "{name}");
        assert_eq!(why("ring"), Some(Reason::LinkBroken), "{name}");
        if name == "links.zip" {
            assert_eq!(why("up"), Some(Reason::LinkOutside));
            assert_eq!(why("nowhere"), Some(Reason::LinkBroken));
            assert_eq!(why("pipe"), Some(Reason::Special));
        } else {
            assert_eq!(why("climb"), Some(Reason::LinkOutside));
            assert_eq!(why("folder"), Some(Reason::LinkBroken));
            assert_eq!(why("folder/through.bin"), Some(Reason::Clash));
            for device in ["fifo", "disk", "tty"] {
                assert_eq!(why(device), Some(Reason::Special));
            }
        }
    }
}

#[test]
fn hostile_names_stay_out_with_a_reason() {
    let zip = [
        ("../climb", Reason::Traversal),
        ("a/../../climb", Reason::Traversal),
        ("/absolute", Reason::Absolute),
        ("C:/drive", Reason::DriveLetter),
        ("back\\slash", Reason::Backslash),
        ("good", Reason::Duplicate),
        ("good/under", Reason::Clash),
        ("deep", Reason::Clash),
        (".unpacked.json", Reason::Reserved),
        ("bell\\u{7}", Reason::BadName),
    ];
    let tar = [
        ("../climb", Reason::Traversal),
        ("/absolute", Reason::Absolute),
        ("C:\\drive", Reason::Backslash),
        ("good", Reason::Duplicate),
        ("good/under", Reason::Clash),
    ];
    for (name, refused) in [
        ("hostile.zip", &zip[..]),
        ("hostile.tar", &tar),
        ("hostile.tgz", &tar),
    ] {
        let outer = tempfile::tempdir().unwrap();
        let into = outer.path().join("in");
        let report = unpack(&fixture(name), &into, &Limits::default(), &all).unwrap();
        let rows: Vec<_> = report
            .refused
            .iter()
            .map(|r| (r.path.as_str(), r.reason))
            .collect();
        assert_eq!(rows, refused, "{name}");
        assert_eq!(fs::read(into.join("good")).unwrap(), b"first");
        assert_eq!(report.collisions.len(), 1);
        assert_eq!(report.collisions[0].other, "good");
        // Nothing outside the folder.
        assert_eq!(fs::read_dir(outer.path()).unwrap().count(), 1);
    }
}

#[test]
fn a_filter_is_answered_and_a_later_one_adds_to_it() {
    for name in ["plain.zip", "pax.tar", "plain.tar.gz"] {
        let folder = tempfile::tempdir().unwrap();
        let path = fixture(name);
        let edf = |p: &str| p.ends_with("S01.edf");
        let run = |wanted: &dyn Fn(&str) -> bool| {
            unpack(&path, folder.path(), &Limits::default(), wanted).unwrap()
        };
        let first = run(&edf);
        assert_eq!((first.members.len(), first.unwanted), (1, 2), "{name}");
        assert!(run(&edf).already, "{name}");
        let more = run(&all);
        let how: Vec<_> = more.members.iter().map(|m| m.how).collect();
        assert_eq!(how, [How::Kept, How::Written, How::Written], "{name}");
        assert_eq!(tree(folder.path()).len(), 3);
        assert!(run(&edf).already && run(&all).already);
    }
}

#[test]
fn what_was_changed_or_lost_is_unpacked_again() {
    for name in ["plain.zip", "plain.tar.gz"] {
        let folder = tempfile::tempdir().unwrap();
        let path = fixture(name);
        let run = || unpack(&path, folder.path(), &Limits::default(), &all).unwrap();
        run();
        let edf = folder.path().join("set/S01.edf");
        fs::write(&edf, vec![0; 5000]).unwrap();
        let report = run();
        let written: Vec<_> = (report.members.iter())
            .filter(|m| m.how == How::Written)
            .map(|m| m.path.as_str())
            .collect();
        assert_eq!(written, ["set/S01.edf"], "{name}");
        assert_eq!(fs::read(&edf).unwrap(), signal());
        fs::remove_file(folder.path().join("empty")).unwrap();
        assert_eq!(run().bytes_written, 0);
        assert!(folder.path().join("empty").exists());
    }
}

#[test]
fn without_a_stamp_a_zip_is_checked_by_its_sums() {
    let folder = tempfile::tempdir().unwrap();
    let run = || {
        unpack(
            &fixture("plain.zip"),
            folder.path(),
            &Limits::default(),
            &all,
        )
        .unwrap()
    };
    run();
    // As a process that died before the stamp would leave it, with a half-written file.
    fs::remove_file(folder.path().join(".unpacked.json")).unwrap();
    fs::create_dir(folder.path().join(".unpacking")).unwrap();
    fs::write(folder.path().join(".unpacking/0"), b"half").unwrap();
    let report = run();
    assert!(!report.already && report.bytes_written == 0);
    assert!(report.members.iter().all(|m| m.how == How::Kept));
    assert!(!folder.path().join(".unpacking").exists());
    fs::write(folder.path().join(".unpacked.json"), b"{\"version\":").unwrap();
    assert!(!run().already);
}

#[cfg(unix)]
#[test]
fn a_link_already_in_the_folder_is_not_followed() {
    let outer = tempfile::tempdir().unwrap();
    let into = outer.path().join("in");
    let elsewhere = outer.path().join("elsewhere");
    fs::create_dir(&into).unwrap();
    fs::create_dir(&elsewhere).unwrap();
    std::os::unix::fs::symlink(&elsewhere, into.join("set")).unwrap();
    for name in ["plain.zip", "plain.tar.gz"] {
        let error = unpack(&fixture(name), &into, &Limits::default(), &all).unwrap_err();
        assert!(matches!(error.fault(), Error::Io { .. }), "{error}");
        assert_eq!(fs::read_dir(&elsewhere).unwrap().count(), 0);
    }
}

#[test]
fn bombs_stop_at_the_limit() {
    let tight = |total| Limits {
        total_bytes: Some(total),
        ..Limits::default()
    };
    for name in ["bomb.zip", "bomb.tar.gz"] {
        let folder = tempfile::tempdir().unwrap();
        let error = unpack(&fixture(name), folder.path(), &tight(1 << 20), &all).unwrap_err();
        assert!(matches!(error.fault(), Error::OverLimit { .. }), "{error}");
        assert!(tree(folder.path()).is_empty());
        unpack(&fixture(name), folder.path(), &tight(5 << 20), &all).unwrap();
        assert_eq!(tree(folder.path())["zeros"].len(), 4 << 20);
    }
    let error = list_all(&fixture("bomb.tar.gz"), &tight(1 << 20)).unwrap_err();
    assert!(matches!(error, Error::OverLimit { .. }));
    let few = Limits {
        members: 2,
        ..Limits::default()
    };
    let short = Limits {
        name_bytes: 100,
        ..Limits::default()
    };
    for name in ["plain.zip", "pax.tar", "plain.tar.gz"] {
        for limits in [&few, &short] {
            let error = list_all(&fixture(name), limits).unwrap_err();
            assert!(matches!(error, Error::OverLimit { .. }), "{name}");
        }
    }
    let ratio = Limits {
        ratio: 100,
        allowance: 0,
        ..Limits::default()
    };
    assert!(list_all(&fixture("bomb.tar.gz"), &ratio).is_err());
    assert!(list_all(&fixture("plain.tar.gz"), &ratio).is_ok());
}

#[test]
fn threads_do_not_change_the_result() {
    let run = |threads| {
        let folder = tempfile::tempdir().unwrap();
        let limits = Limits {
            threads,
            ..Limits::default()
        };
        let report = unpack(&fixture("plain.zip"), folder.path(), &limits, &all).unwrap();
        (report, tree(folder.path()))
    };
    assert_eq!(run(1), run(4));
}
