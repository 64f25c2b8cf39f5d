//! Archives in a raw folder, and in place of one.

use std::io::Write;
use std::path::Path;

use crate::common::{column, edf, look_up, put};
use crate::plain::{cap, toy};
use mmpipe_corpora::{Filter, Raw, Result, Scan, scan_raw};
use zip::write::SimpleFileOptions;

fn recording() -> Vec<u8> {
    edf::bytes(&[("EEG Fz-REF", "uV"), ("EEG Cz-REF", "uV")], 100, 4, &[])
}

fn zip(path: &Path, members: &[(&str, &[u8])]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut out = zip::ZipWriter::new(std::fs::File::create(path).unwrap());
    for (name, bytes) in members {
        out.start_file(*name, SimpleFileOptions::default()).unwrap();
        out.write_all(bytes).unwrap();
    }
    out.finish().unwrap();
}

/// A ustar archive within gzip, after POSIX.1-1988.
fn tar_gz(path: &Path, members: &[(&str, &[u8])]) {
    let file = std::fs::File::create(path).unwrap();
    let mut out = flate2::write::GzEncoder::new(file, flate2::Compression::fast());
    for (name, bytes) in members {
        let mut head = [0_u8; 512];
        let mut field = |at: usize, text: &str| {
            head[at..at + text.len()].copy_from_slice(text.as_bytes());
        };
        field(0, name);
        field(100, "0000644\0");
        field(108, "0000000\0");
        field(116, "0000000\0");
        field(124, &format!("{:011o}\0", bytes.len()));
        field(136, "00000000000\0");
        field(148, "        ");
        field(156, "0");
        field(257, "ustar\x0000");
        let sum: u32 = head.iter().map(|b| u32::from(*b)).sum();
        head[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
        out.write_all(&head).unwrap();
        out.write_all(bytes).unwrap();
        out.write_all(&vec![0; bytes.len().next_multiple_of(512) - bytes.len()])
            .unwrap();
    }
    out.write_all(&[0; 1024]).unwrap();
    out.finish().unwrap();
}

fn scanned(dir: &Path, raw: &str) -> Result<Scan> {
    let more = "[[files]]\npattern = '.*\\.old\\.zip'\nkind = \"ignore\"\nreason = \"superseded\"\n\
                [[files]]\npattern = '(?:.*/)?(?P<subject>v\\d)\\.vhdr'\nkind = \"signal\"";
    let scratch = dir.join("scratch");
    let raw = Raw::unpack(&toy(more), &dir.join(raw), || Some(scratch))?;
    scan_raw(&toy(more), &raw, &Filter::default())
}

fn row(found: &Scan, path: &str) -> (String, String) {
    let of = |column| look_up(found, "files", ("path", path), column);
    (of("status"), of("reason"))
}

#[test]
fn members_are_files_of_a_folder_beside_the_archive() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    cap(&raw, "s1.edf");
    let eeg = recording();
    zip(
        &raw.join("more/set.zip"),
        &[("s2.edf", &eeg), ("notes.pdf", b"x"), ("../s6.edf", &eeg)],
    );
    tar_gz(
        &raw.join("more/rest.tar.gz"),
        &[("s3_a.edf", &eeg), ("scan.nii", b"y")],
    );
    zip(&raw.join("gone.old.zip"), &[("s4.edf", &eeg)]);
    let mut gz = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gz.write_all(&eeg).unwrap();
    std::fs::write(raw.join("s5.edf.gz"), gz.finish().unwrap()).unwrap();
    let found = scanned(dir.path(), "raw").unwrap();
    assert_eq!(
        column(&found, "files", "path"),
        [
            "gone.old.zip",
            "more/rest.tar.gz",
            "more/rest/s3_a.edf",
            "more/set.zip",
            "more/set/s2.edf",
            "s1.edf",
            "s5.edf",
            "s5.edf.gz"
        ]
    );
    for path in ["more/rest/s3_a.edf", "more/set/s2.edf", "s1.edf", "s5.edf"] {
        assert_eq!(row(&found, path).0, "ok", "{path}");
    }
    assert_eq!(
        look_up(&found, "files", ("path", "more/rest/s3_a.edf"), "block"),
        "a"
    );
    let (status, why) = row(&found, "more/set.zip");
    assert_eq!(status, "side-car");
    assert_eq!(
        why,
        "archive: 1 files are used, 1 no rule of the manifest wants, 1 are refused"
    );
    assert_eq!(row(&found, "gone.old.zip").1, "superseded");
    assert_eq!(
        column(&found, "diagnostics", "code"),
        ["archive-member-refused"]
    );
    assert_eq!(column(&found, "diagnostics", "path"), ["more/set.zip"]);
    assert!(column(&found, "diagnostics", "message")[0].contains("../s6.edf"));
    let place = &found.places["more/set/s2.edf"];
    assert!(place.starts_with(dir.path().join("scratch")));
    assert_eq!(std::fs::read(place).unwrap(), eeg);
    assert_eq!(found.places.len(), 3);
    // Unwanted members stay packed, and a second scan finds everything in place.
    assert!(!place.with_file_name("notes.pdf").exists());
    let stamp = |p: &Path| p.metadata().unwrap().modified().unwrap();
    let before = stamp(place);
    assert_eq!(scanned(dir.path(), "raw").unwrap().tables, found.tables);
    assert_eq!(stamp(place), before);
}

#[test]
fn an_archive_stands_for_a_raw_folder_with_or_without_a_folder_on_top() {
    for top in ["", "release-1.0/"] {
        let dir = tempfile::tempdir().unwrap();
        let eeg = recording();
        let (a, b) = (format!("{top}s1.edf"), format!("{top}x/s2.edf"));
        tar_gz(&dir.path().join("all.tgz"), &[(&a, &eeg), (&b, &eeg)]);
        cap(dir.path(), "s9.edf");
        let found = scanned(dir.path(), "all.tgz").unwrap();
        let paths: Vec<String> = [a, b, "all.tgz".into()].into();
        let mut want = paths.clone();
        want.sort();
        assert_eq!(column(&found, "files", "path"), want);
        assert_eq!(row(&found, &paths[0]).0, "ok");
    }
    // Patterns that start at the raw folder decide.
    let dir = tempfile::tempdir().unwrap();
    let m = mmpipe_corpora::Manifest::parse(
        "name = 'Toy'\ntitle = 'x'\nlicence = 'x'\naccess = 'open'\n[[files]]\n\
         pattern = '(?P<subject>s\\d)/eeg\\.edf'\nkind = 'signal'\n[trials]\nsql = 'SELECT 1'",
        "toy.toml",
    )
    .unwrap();
    zip(
        &dir.path().join("r.zip"),
        &[("top/s1/eeg.edf", &recording())],
    );
    let scratch = dir.path().join("scratch");
    let raw = Raw::unpack(&m, &dir.path().join("r.zip"), || Some(scratch)).unwrap();
    let found = scan_raw(&m, &raw, &Filter::default()).unwrap();
    assert_eq!(column(&found, "files", "path"), ["r.zip", "s1/eeg.edf"]);
}

#[test]
fn archives_that_cannot_be_read_are_rejected_and_the_rest_is_scanned() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    cap(&raw, "s1.edf");
    let eeg = recording();
    zip(&raw.join("cut.zip"), &[("s2.edf", &eeg)]);
    let bytes = std::fs::read(raw.join("cut.zip")).unwrap();
    std::fs::write(raw.join("cut.zip"), &bytes[..bytes.len() / 2]).unwrap();
    std::fs::write(raw.join("old.rar"), b"Rar!\x1a\x07\x00").unwrap();
    zip(&raw.join("docs.zip"), &[("readme.txt", b"x")]);
    let found = scanned(dir.path(), "raw").unwrap();
    assert_eq!(row(&found, "s1.edf").0, "ok");
    let (status, why) = row(&found, "cut.zip");
    assert!(
        status == "rejected" && why.contains("cut short"),
        "{status} {why}"
    );
    let (status, why) = row(&found, "old.rar");
    assert!(
        status == "rejected" && why.contains("RAR"),
        "{status} {why}"
    );
    let (status, why) = row(&found, "docs.zip");
    assert_eq!(status, "ignored");
    assert!(why.contains("0 files are used, 1 no rule"), "{why}");
    // Alone, the same is an error with the reason.
    std::fs::copy(raw.join("cut.zip"), dir.path().join("cut.zip")).unwrap();
    let e = scanned(dir.path(), "cut.zip").unwrap_err().to_string();
    assert!(e.contains("cut short") && e.contains("s1.edf"), "{e}");
}

#[test]
fn a_damaged_member_is_a_rejected_recording() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let eeg = recording();
    let stored = SimpleFileOptions::default().compression_method(zip::CompressionMethod::Stored);
    std::fs::create_dir_all(&raw).unwrap();
    let mut out = zip::ZipWriter::new(std::fs::File::create(raw.join("a.zip")).unwrap());
    for name in ["s1.edf", "s2.edf"] {
        out.start_file(name, stored).unwrap();
        out.write_all(&eeg).unwrap();
    }
    out.finish().unwrap();
    let mut bytes = std::fs::read(raw.join("a.zip")).unwrap();
    bytes[eeg.len()] ^= 0xFF;
    std::fs::write(raw.join("a.zip"), bytes).unwrap();
    let found = scanned(dir.path(), "raw").unwrap();
    let (status, why) = row(&found, "a/s1.edf");
    assert!(
        status == "rejected" && why.contains("CRC-32"),
        "{status} {why}"
    );
    assert_eq!(row(&found, "a/s2.edf").0, "ok");
    let (status, why) = row(&found, "a.zip");
    assert!(
        status == "rejected" && why.contains("CRC-32"),
        "{status} {why}"
    );
}

#[test]
fn what_is_in_the_raw_folder_already_is_not_taken_twice() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let eeg = recording();
    for folder in ["set/", ""] {
        let _ = std::fs::remove_dir_all(&raw);
        cap(&raw, &format!("{folder}s1.edf"));
        zip(&raw.join("set.zip"), &[("s1.edf", &eeg), ("s2.edf", &eeg)]);
        let found = scanned(dir.path(), "raw").unwrap();
        let ok = |path: &String| row(&found, path).0 == "ok";
        let recordings: Vec<String> = column(&found, "files", "path");
        let recordings: Vec<&String> = recordings.iter().filter(|p| ok(p)).collect();
        assert_eq!(recordings.len(), 2, "{folder}: {recordings:?}");
        assert!(
            row(&found, "set.zip")
                .1
                .contains("1 are in the raw folder already")
        );
    }
}

#[test]
fn files_that_belong_to_a_wanted_header_come_along() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let header = "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\n\
        DataFile=v1.eeg\nMarkerFile=v1.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n\
        NumberOfChannels=1\nSamplingInterval=4000\n[Binary Infos]\nBinaryFormat=INT_16\n\
        [Channel Infos]\nCh1=Cz,,0.1,µV\n";
    let marks = "Brain Vision Data Exchange Marker File, Version 1.0\n[Common Infos]\n\
        DataFile=v1.eeg\n[Marker Infos]\nMk1=New Segment,,1,1,0\n";
    zip(
        &raw.join("bv.zip"),
        &[
            ("v1.vhdr", header.as_bytes()),
            ("v1.vmrk", marks.as_bytes()),
            ("v1.eeg", &[1, 0].repeat(500)),
            ("other.eeg", b"x"),
        ],
    );
    put(&raw, "readme", "x");
    let found = scanned(dir.path(), "raw").unwrap();
    assert_eq!(row(&found, "bv/v1.vhdr").0, "ok");
    let part = ("side-car".to_owned(), "part of bv/v1.vhdr".to_owned());
    assert_eq!(row(&found, "bv/v1.eeg"), part);
    assert_eq!(row(&found, "bv/v1.vmrk"), part);
    assert!(
        row(&found, "bv.zip")
            .1
            .contains("1 no rule of the manifest wants")
    );
}

#[test]
fn a_dry_run_leaves_archives_packed() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    cap(&raw, "s1.edf");
    zip(&raw.join("set.zip"), &[("s2.edf", &recording())]);
    let packed = Raw::unpack(&toy(""), &raw, || None).unwrap();
    let found = scan_raw(&toy(""), &packed, &Filter::default()).unwrap();
    assert_eq!(
        row(&found, "set.zip"),
        (
            "ignored".into(),
            "archive, not unpacked in a dry run".into()
        )
    );
    let packed = Raw::unpack(&toy(""), &raw.join("set.zip"), || None).unwrap();
    let e = scan_raw(&toy(""), &packed, &Filter::default()).unwrap_err();
    assert!(e.to_string().contains("not unpacked in a dry run"), "{e}");
}
