//! Files that lie, are cut, damaged or something else altogether: what each becomes.

#[path = "common/build.rs"]
mod build;
mod common;

use std::path::PathBuf;

use build::Edf;
use mmpipe_formats::{Container, Error, Recording, Severity, open};
use tempfile::TempDir;

struct Folder(TempDir);

impl Folder {
    fn new() -> Folder {
        Folder(TempDir::new().unwrap())
    }
    fn put(&self, name: &str, bytes: &[u8]) -> PathBuf {
        let path = self.0.path().join(name);
        std::fs::write(&path, bytes).unwrap();
        path
    }
}

fn refused(bytes: &[u8]) -> Error {
    let folder = Folder::new();
    match open(&folder.put("x.edf", bytes)) {
        Ok(_) => panic!("opened"),
        Err(error) => error,
    }
}

fn opened(name: &str, bytes: &[u8]) -> Box<dyn Recording> {
    let folder = Folder::new();
    // The mapping outlives the name.
    open(&folder.put(name, bytes)).unwrap()
}

fn codes(r: &dyn Recording) -> Vec<(&'static str, Severity)> {
    r.header()
        .diagnostics
        .iter()
        .map(|d| (d.code, d.severity))
        .collect()
}

fn bad_header(bytes: &[u8], field: &str, at: u64) {
    match refused(bytes) {
        Error::Header {
            field: found,
            offset,
            ..
        } => {
            assert!(found.contains(field), "{found:?} has no {field:?}");
            assert_eq!(offset, at, "{found}");
        }
        other => panic!("{other}"),
    }
}

#[test]
fn a_plain_file_is_read_as_it_was_built() {
    let r = opened("x.edf", &Edf::new(3).bytes());
    let h = r.header();
    assert_eq!(h.container, Container::Edf);
    assert!(h.diagnostics.is_empty(), "{:?}", h.diagnostics);
    assert_eq!(h.start.as_deref(), Some("2004-03-02T05:06:07"));
    assert_eq!(h.seconds, 3.0);
    assert_eq!((h.channels[0].sfreq, h.channels[1].sfreq), (8.0, 4.0));
    assert_eq!(h.channels[0].unit, "µV");
    assert_eq!(h.channels[0].microvolts(), Some(1.0));
    assert_eq!(h.channels[0].prefilter.as_deref(), Some("HP:0.1Hz"));
    let gain = 200.0 / 65_535.0;
    let want = |s: usize, k: usize| f64::from(Edf::value(s, k)) * gain + (-100.0 + 32_768.0 * gain);
    // Blocks that start and end within records, of both channels at once.
    let (mut a, mut b) = (vec![0f64; 13], vec![0f64; 5]);
    r.read_f64(&[0, 1], 3, &mut [&mut a, &mut b]).unwrap();
    a.iter()
        .enumerate()
        .for_each(|(k, x)| assert_eq!(*x, want(0, k + 3)));
    b.iter()
        .enumerate()
        .for_each(|(k, x)| assert_eq!(*x, want(1, k + 3)));
    let runs = r.runs(1);
    assert_eq!(
        (runs.len(), runs[0].onset, runs[0].samples.clone()),
        (1, 0.0, 0..12)
    );
}

#[test]
fn requests_beyond_the_file_are_refused() {
    let r = opened("x.edf", &Edf::new(3).bytes());
    let mut out = vec![0f32; 5];
    for (channels, start) in [
        (vec![0usize], 20u64),
        (vec![2], 0),
        (vec![0, 1], 0),
        (vec![0], u64::MAX),
    ] {
        let error = r.read_f32(&channels, start, &mut [&mut out]).unwrap_err();
        assert!(matches!(error, Error::Range { .. }), "{error}");
    }
    r.read_f32(&[0], 19, &mut [&mut out]).unwrap();
    assert!(r.runs(7).is_empty());
}

#[test]
fn header_fields_that_lie_are_named_with_their_offset() {
    let spoil = |f: &dyn Fn(&mut Edf)| {
        let mut edf = Edf::new(2);
        f(&mut edf);
        edf.bytes()
    };
    let n = 2;
    bad_header(
        &spoil(&|e| e.count = Some("-2".into())),
        "number of signals",
        252,
    );
    bad_header(
        &spoil(&|e| e.count = Some("9999".into())),
        "header",
        spoil(&|_| {}).len() as u64,
    );
    bad_header(
        &spoil(&|e| e.count = Some("x".into())),
        "number of signals",
        252,
    );
    bad_header(
        &spoil(&|e| e.header_bytes = Some("99999999".into())),
        "bytes in header",
        184,
    );
    bad_header(&spoil(&|e| e.records = "-7".into()), "data records", 236);
    bad_header(&spoil(&|e| e.records = "many".into()), "data records", 236);
    bad_header(&spoil(&|e| e.duration = "NaN"), "duration", 244);
    bad_header(&spoil(&|e| e.duration = "-1"), "duration", 244);
    bad_header(&spoil(&|e| e.duration = "inf"), "duration", 244);
    bad_header(
        &spoil(&|e| e.signals[1].samples = 0),
        "samples",
        256 + 216 * n + 8,
    );
    bad_header(
        &spoil(&|e| e.signals[0].digital = ("5", "5")),
        "digital minimum",
        256 + 120 * n,
    );
    bad_header(
        &spoil(&|e| e.signals[1].digital = ("5", "4")),
        "digital minimum",
        256 + 120 * n + 8,
    );
    bad_header(
        &spoil(&|e| e.signals[1].digital = ("", "4")),
        "digital minimum",
        256 + 120 * n + 8,
    );
    bad_header(
        &spoil(&|e| e.signals[0].physical.0 = "NaN"),
        "physical minimum",
        256 + 104 * n,
    );
    bad_header(
        &spoil(&|e| e.signals[1].physical.1 = "wide"),
        "physical maximum",
        256 + 112 * n + 8,
    );
    bad_header(&Edf::new(2).bytes()[..100], "header", 100);
    bad_header(&Edf::new(2).bytes()[..300], "header", 300);
}

#[test]
fn a_signal_without_a_range_keeps_its_digital_values() {
    let mut edf = Edf::new(1);
    edf.signals[0].physical = ("0", "0");
    edf.signals[1].label = "-".into();
    edf.signals[1].digital = ("0", "0");
    let r = opened("x.edf", &edf.bytes());
    let found = codes(r.as_ref());
    assert_eq!(found[0], ("uncalibrated", Severity::Warning));
    assert!(found.contains(&("uncalibrated", Severity::Note)));
    assert!(found.contains(&("dummy-channel", Severity::Note)));
    let mut a = vec![0f64; 8];
    r.read_f64(&[0], 0, &mut [&mut a]).unwrap();
    a.iter()
        .enumerate()
        .for_each(|(k, x)| assert_eq!(*x, f64::from(Edf::value(0, k))));
    assert_eq!(r.header().channels[0].unit, "");
    assert_eq!(r.header().channels[0].microvolts(), None);
}

#[test]
fn oddities_of_real_headers_are_read_with_a_diagnostic() {
    let mut edf = Edf::new(1);
    edf.date = "42.00.00";
    edf.signals[0].label = "µ-Kanal".into();
    edf.signals[0].unit = "µV";
    edf.signals[0].physical = ("-100,5", "+100,5");
    edf.signals[1].label = "µ-Kanal".into();
    let r = opened("x.edf", &edf.bytes());
    let h = r.header();
    assert_eq!(h.start, None);
    assert_eq!(
        (h.channels[0].name.as_str(), h.channels[0].unit.as_str()),
        ("µ-Kanal", "µV")
    );
    assert_eq!(h.channels[0].physical_max, Some(100.5));
    let mut found: Vec<_> = codes(r.as_ref()).into_iter().map(|c| c.0).collect();
    found.sort_unstable();
    assert_eq!(
        found,
        vec!["bad-date", "duplicate-label", "header-not-ascii"]
    );
}

#[test]
fn sizes_that_disagree_are_told_apart() {
    let record = 2 * 12;
    let cases: &[(&str, isize, usize, &str, Severity)] = &[
        // records promised, bytes added, records read, diagnostic
        ("-1", 0, 5, "record-count-unknown", Severity::Warning),
        ("-1", -10, 4, "truncated", Severity::Warning),
        ("5", -10, 4, "truncated", Severity::Warning),
        ("5", -5 * record, 0, "truncated", Severity::Damaged),
        ("99999999", 0, 5, "truncated", Severity::Warning),
        ("5", 1, 5, "trailing-bytes", Severity::Warning),
        ("3", 0, 5, "record-count-low", Severity::Warning),
        ("3", 7, 3, "size-disagrees", Severity::Damaged),
        ("0", -5 * record, 0, "no-records", Severity::Warning),
    ];
    for (promised, added, read, code, severity) in cases {
        let mut edf = Edf::new(5);
        edf.records = (*promised).to_owned();
        let mut bytes = edf.bytes();
        let len = bytes.len().checked_add_signed(*added).unwrap();
        bytes.resize(len, 1);
        let r = opened("x.edf", &bytes);
        let h = r.header();
        assert!(
            codes(r.as_ref()).contains(&(*code, *severity)),
            "{promised} {added}: {:?}",
            h.diagnostics
        );
        assert_eq!(
            h.channels[0].n_samples,
            8 * *read as u64,
            "{promised} {added}"
        );
        assert_eq!(h.damaged(), *severity == Severity::Damaged);
        let mut out = vec![0f32; 8 * read];
        r.read_f32(&[0], 0, &mut [&mut out]).unwrap();
    }
}

#[test]
fn a_record_of_no_duration_is_taken_as_one_second() {
    let mut edf = Edf::new(2);
    edf.duration = "0";
    let r = opened("x.edf", &edf.bytes());
    assert_eq!(
        codes(r.as_ref()),
        vec![("record-duration-zero", Severity::Warning)]
    );
    assert_eq!(r.header().channels[0].sfreq, 8.0);
}

fn keep(onset: &str, rest: &[u8]) -> Vec<u8> {
    let mut out = format!("+{onset}\x14\x14\0").into_bytes();
    out.extend(rest);
    out
}

#[test]
fn gaps_of_edf_plus_d_are_runs() {
    let lists = vec![
        keep("0.25", b""),
        keep("1.25", b"+1.5\x152\x14on@@B\x14\0"),
        keep("10.25", b"+10.25\x14\xe4\x14\0"),
        keep("11.25", b""),
    ];
    let r = opened("x.edf", &Edf::plus("EDF+D", lists.clone()).bytes());
    let h = r.header();
    assert_eq!(h.container, Container::EdfPlusD);
    assert_eq!(h.channels.len(), 2);
    assert_eq!(h.start.as_deref(), Some("2004-03-02T05:06:07.25"));
    let runs: Vec<_> = r
        .runs(0)
        .into_iter()
        .map(|r| (r.onset, r.samples))
        .collect();
    assert_eq!(runs, vec![(0.0, 0..16), (10.0, 16..32)]);
    assert_eq!(r.runs(1)[1].samples, 8..16);
    assert_eq!(h.annotations.len(), 2);
    assert_eq!(
        (h.annotations[0].onset, h.annotations[0].duration),
        (1.25, Some(2.0))
    );
    assert_eq!(h.annotations[0].channel.as_deref(), Some("B"));
    assert_eq!(
        (h.annotations[1].onset, h.annotations[1].text.as_str()),
        (10.0, "ä")
    );
    assert_eq!(codes(r.as_ref()), vec![("gaps", Severity::Note)]);
    // The same file that says it is contiguous is read as contiguous, with a warning.
    let r = opened("x.edf", &Edf::plus("EDF+C", lists).bytes());
    assert_eq!(r.runs(0).len(), 1);
    assert_eq!(
        codes(r.as_ref()),
        vec![("timekeeping-disagrees", Severity::Warning)]
    );
}

#[test]
fn bdf_plus_keeps_all_24_bits_and_its_annotations() {
    let mut edf = Edf::plus(
        "BDF+C",
        vec![keep("0", b"+0.5\x14go\x14\0"), keep("1", b"")],
    );
    edf.bdf = true;
    edf.signals[0].digital = ("-8388608", "8388607");
    edf.signals[0].physical = ("-8388608", "8388607");
    let r = opened("x.bdf", &edf.bytes());
    assert_eq!(r.header().container, Container::BdfPlusC);
    assert_eq!(r.header().annotations[0].text, "go");
    assert!(
        r.header().diagnostics.is_empty(),
        "{:?}",
        r.header().diagnostics
    );
    let mut a = vec![0f64; 16];
    r.read_f64(&[0], 0, &mut [&mut a]).unwrap();
    a.iter()
        .enumerate()
        .for_each(|(k, x)| assert_eq!(*x, f64::from(Edf::value(0, k))));
}

#[test]
fn one_bad_time_is_a_warning_and_many_are_damage() {
    let good = |r: usize| keep(&r.to_string(), b"");
    let mut lists: Vec<_> = (0..10).map(good).collect();
    lists[4] = b"garbage".to_vec();
    let r = opened("x.edf", &Edf::plus("EDF+C", lists.clone()).bytes());
    assert_eq!(
        codes(r.as_ref()),
        vec![("timekeeping-broken", Severity::Warning)]
    );
    lists[7] = b"garbage".to_vec();
    let r = opened("x.edf", &Edf::plus("EDF+C", lists.clone()).bytes());
    assert_eq!(
        codes(r.as_ref()),
        vec![("timekeeping-broken", Severity::Damaged)]
    );
    lists[4] = Vec::new();
    lists[7] = keep("7", b"+x\x14bad\x14\0");
    let r = opened("x.edf", &Edf::plus("EDF+C", lists).bytes());
    assert_eq!(
        codes(r.as_ref()),
        vec![
            ("no-timekeeping", Severity::Warning),
            ("bad-annotation", Severity::Warning)
        ]
    );
}

#[test]
fn a_text_mode_copy_is_damage_whatever_its_size() {
    let clean = Edf::new(2000).bytes();
    let header = 256 * 3;
    let mut damaged = clean[..header].to_vec();
    damaged.extend(lf_to_crlf(&clean[header..]));
    assert!(damaged.len() > clean.len() + 24);
    assert!(!opened("x.edf", &clean).header().damaged());
    for len in [damaged.len(), clean.len(), clean.len() - 1000] {
        let r = opened("x.edf", &damaged[..len]);
        assert!(
            codes(r.as_ref()).contains(&("line-ends-rewritten", Severity::Damaged)),
            "{len}"
        );
        assert!(r.header().damaged());
    }
}

#[test]
fn the_real_text_mode_copies_are_flagged_and_the_restored_are_not() {
    let Some(real) = common::real() else { return };
    let folder = real.join("physionet-eegmmidb-S001");
    let mut seen = 0;
    for entry in std::fs::read_dir(folder.join("as-committed-crlf"))
        .unwrap()
        .flatten()
    {
        if entry.path().extension().is_some_and(|e| e == "edf") {
            seen += 1;
            let r = open(&entry.path()).unwrap();
            let found = codes(r.as_ref());
            assert!(
                found.contains(&("line-ends-rewritten", Severity::Damaged)),
                "{found:?}"
            );
            assert!(
                found.contains(&("timekeeping-broken", Severity::Damaged)),
                "{found:?}"
            );
        }
    }
    assert_eq!(seen, 2);
    for entry in std::fs::read_dir(folder.join("restored"))
        .unwrap()
        .flatten()
    {
        if entry.path().extension().is_some_and(|e| e == "edf") {
            let r = open(&entry.path()).unwrap();
            assert!(
                r.header().diagnostics.is_empty(),
                "{:?}",
                r.header().diagnostics
            );
            assert_eq!(r.header().channels.len(), 64);
            assert_eq!(r.header().channels[0].n_samples, 20_000);
            seen += r.header().annotations.len();
        }
    }
    // 30 annotations in each of six runs (T0, T1, T2).
    assert_eq!(seen, 2 + 6 * 30);
}

#[test]
fn what_is_no_recording_is_named() {
    let folder = Folder::new();
    let says = |path: PathBuf, code: &str, words: &str| {
        let error = open(&path).err().unwrap();
        assert_eq!(error.code(), code, "{error}");
        let text = error.to_string();
        assert!(text.contains(words), "{text}");
        assert!(text.contains(&path.display().to_string()), "{text}");
    };
    says(folder.0.path().to_path_buf(), "not-a-file", "a folder");
    says(folder.put("empty.edf", b""), "empty", "0 bytes");
    says(
        folder.put("picture.edf", b"\x89PNG\r\n\x1a\n0000"),
        "unknown-format",
        "a PNG image",
    );
    says(
        folder.put("lfs.edf", b"version https://git-lfs.github.com/spec/v1"),
        "unknown-format",
        "LFS",
    );
    says(
        folder.put("alone.eeg", b"abc"),
        "unknown-format",
        "no BrainVision header",
    );
    says(folder.0.path().join("absent.edf"), "io", "cannot open");
    let bdf = folder.put("really-edf.bdf", &Edf::new(1).bytes());
    let r = open(&bdf).unwrap();
    assert_eq!(r.header().container, Container::Edf);
    assert_eq!(
        codes(r.as_ref()),
        vec![("extension-disagrees", Severity::Warning)]
    );
}

#[cfg(unix)]
#[test]
fn permissions_are_an_error_with_the_path() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let path = folder.put("x.edf", &Edf::new(1).bytes());
    std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o000)).unwrap();
    if std::fs::File::open(&path).is_ok() {
        eprintln!("skipped: this user may read everything");
        return;
    }
    let error = open(&path).err().unwrap();
    assert!(
        matches!(&error, Error::Io { action: "open", .. }),
        "{error}"
    );
}

/// What a text-mode copy does.
fn lf_to_crlf(bytes: &[u8]) -> Vec<u8> {
    let mut out = Vec::with_capacity(bytes.len() + bytes.len() / 100);
    for &b in bytes {
        if b == b'\n' {
            out.push(b'\r');
        }
        out.push(b);
    }
    out
}
