//! GDF files that lie, are cut or damaged: what each becomes, and that none makes the reader
//! panic or take memory without bound.

#[path = "common/counting.rs"]
mod counting;

use std::path::Path;

use mmpipe_formats::write::Start;
use mmpipe_formats::write::gdf::{Event, NewChannel, NewGdf, Number, Table, Version, write};
use mmpipe_formats::{Error, Recording, Severity, open};
use proptest::prelude::*;
use tempfile::TempDir;

/// Channels of the sample file.
const N: usize = 3;
/// Where its data start.
const DATA: usize = 256 * (N + 1);
/// Bytes of its 20 records: int16 x 2, f32, f64.
const RECORDS: usize = 20 * (2 * 2 + 4 + 8);

fn sample(version: Version, table: Table) -> Vec<u8> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.gdf");
    let samples: Vec<f64> = (0..40).map(|k| f64::from(k) - 20.5).collect();
    let events: Vec<Event> = (0..6)
        .map(|k| Event {
            sample: 3 * k,
            code: 768 + k as u16,
            channel: if table == Table::Plain {
                0
            } else {
                k as u16 % 3
            },
            duration: if table == Table::Plain { 0 } else { 2 },
        })
        .collect();
    let channel = |name, sfreq, number, samples| NewChannel {
        name,
        unit: "µV",
        sfreq,
        number,
        physical: (-100.0, 100.0),
        samples,
    };
    let recording = NewGdf {
        version,
        start: Start::default(),
        patient: "X X",
        recording: "r",
        record: (1, 10),
        channels: vec![
            channel("A", 20.0, Number::I16(-2048, 2047), &samples[..]),
            channel("B", 10.0, Number::F32, &samples[..20]),
            channel("C", 10.0, Number::F64, &samples[..20]),
        ],
        table,
        event_sfreq: 20.0,
        events: &events,
    };
    write(&path, &recording).unwrap();
    std::fs::read(path).unwrap()
}

fn v2() -> Vec<u8> {
    sample(Version::V2, Table::Extended)
}

fn v1() -> Vec<u8> {
    sample(Version::V1, Table::Extended)
}

/// The file with bytes replaced.
fn with(mut bytes: Vec<u8>, at: usize, new: &[u8]) -> Vec<u8> {
    bytes[at..at + new.len()].copy_from_slice(new);
    bytes
}

fn try_open(bytes: &[u8]) -> Result<Box<dyn Recording>, Error> {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.gdf");
    std::fs::write(&path, bytes).unwrap();
    // The mapping outlives the name.
    open(&path)
}

#[test]
fn the_sample_file_is_sound() {
    for bytes in [v1(), v2()] {
        let r = try_open(&bytes).unwrap();
        assert!(r.header().diagnostics.is_empty());
        assert_eq!(r.header().annotations.len(), 6);
        assert_eq!(bytes.len(), DATA + RECORDS + 8 + 6 * 12);
    }
}

#[test]
fn headers_that_lie_are_refused_with_field_and_offset() {
    let f = f64::to_le_bytes;
    let nan = f(f64::NAN);
    // What is changed, the field that the error names, its offset.
    let cases: Vec<(Vec<u8>, &str, u64)> = vec![
        (v2()[..100].to_vec(), "header", 100),
        (v2()[..255].to_vec(), "header", 255),
        (v2()[..DATA - 1].to_vec(), "header", DATA as u64 - 1),
        (with(v2(), 5, b"!"), "version", 4),
        (with(v2(), 4, b"2.2O"), "version", 4),
        (with(v2(), 252, &[0, 0]), "number of channels", 252),
        (with(v2(), 252, &[0xff, 0xff]), "header", v2().len() as u64),
        (with(v1(), 252, &[0xff; 4]), "header", v1().len() as u64),
        (with(v2(), 184, &[0, 0]), "length of the header", 184),
        (with(v2(), 184, &[3, 0]), "length of the header", 184),
        (with(v2(), 184, &[0xff, 0xff]), "length of the header", 184),
        (with(v1(), 184, &[0xff; 8]), "length of the header", 184),
        (with(v1(), 184, &[0xff, 3]), "length of the header", 184),
        (
            with(v2(), 236, &(-2i64).to_le_bytes()),
            "number of data records",
            236,
        ),
        (
            with(v1(), 236, &i64::MIN.to_le_bytes()),
            "number of data records",
            236,
        ),
        (with(v1(), 244, &[0xff; 4]), "", 0),
        (with(v2(), 256 + 104 * N, &nan), "physical", 568),
        (
            with(v2(), 256 + 112 * N + 8, &f(f64::INFINITY)),
            "physical minimum or maximum of channel 2",
            256 + 104 * 3 + 8,
        ),
        (with(v2(), 256 + 120 * N, &nan), "digital", 616),
        (
            with(v2(), 256 + 128 * N, &f(-2048.0)),
            "digital minimum of channel 1",
            616,
        ),
        (
            with(v1(), 256 + 120 * N, &5000i64.to_le_bytes()),
            "digital minimum",
            616,
        ),
    ];
    for (k, (bytes, field, offset)) in cases.iter().enumerate() {
        match try_open(bytes) {
            Err(error @ Error::Header { .. }) => {
                assert_eq!(error.code(), "bad-header");
                let Error::Header {
                    field: found,
                    offset: at,
                    ..
                } = &error
                else {
                    unreachable!()
                };
                assert!(found.contains(field), "case {k}: {error}");
                assert_eq!(at, offset, "case {k}: {error}");
            }
            // A ratio of 2^32 to ten is a long but possible record.
            Ok(r) if field.is_empty() => assert!(r.header().channels[0].sfreq < 1e-6),
            Ok(_) => panic!("case {k} opened"),
            Err(other) => panic!("case {k}: {other}"),
        }
    }
}

#[test]
fn what_is_not_supported_says_so() {
    for (bytes, what) in [
        (with(v2(), 4, b"3.00"), "GDF 3.00"),
        (with(v2(), 4, b"0.12"), "GDF 0.12"),
        (
            with(v2(), 256 + 220 * N, &[18, 0, 0, 0]),
            "number type 18 of channel 1",
        ),
        (
            with(v2(), 256 + 220 * N + 4, &523u32.to_le_bytes()),
            "number type 523 of channel 2",
        ),
        (
            with(v2(), 256 + 220 * N + 4, &[0xff; 4]),
            "number type 4294967295",
        ),
        (with(v2(), 256 + 216 * N, &[0; 12]), "sparse channels only"),
    ] {
        match try_open(&bytes) {
            Err(error @ Error::Unsupported { .. }) => {
                assert_eq!(error.code(), "unsupported");
                assert!(error.to_string().contains(what), "{error}");
            }
            Err(other) => panic!("{what}: {other}"),
            Ok(_) => panic!("{what} opened"),
        }
    }
    let error = try_open(b"GDFX2.20").err().unwrap();
    assert_eq!(error.code(), "unknown-format");
}

/// (bytes, diagnostic, severity, samples of the first channel, annotations)
type Case = (Vec<u8>, &'static str, Severity, u64, usize);

#[test]
fn damage_is_told_apart_and_what_is_whole_is_read() {
    use Severity::{Damaged, Note, Warning};
    let table = DATA + RECORDS;
    let broken = {
        // A header 3 whose first tag is longer than the block.
        let mut bytes = with(v2(), 184, &[N as u8 + 2, 0]);
        bytes.splice(DATA..DATA, [1, 0xff, 0xff, 0].into_iter().chain([0; 252]));
        bytes
    };
    let cases: Vec<Case> = vec![
        (v2()[..table].to_vec(), "", Note, 40, 0),
        (v2()[..table - 1].to_vec(), "truncated", Warning, 38, 0),
        (v2()[..DATA + 16].to_vec(), "truncated", Warning, 2, 0),
        (v2()[..DATA].to_vec(), "truncated", Damaged, 0, 0),
        (
            with(v2(), 236, &i64::MAX.to_le_bytes()),
            "truncated",
            Warning,
            50,
            0,
        ),
        (
            with(v2()[..table].to_vec(), 236, &[0xff; 8]),
            "record-count-unknown",
            Warning,
            40,
            0,
        ),
        (
            v2()[..table + 5].to_vec(),
            "event-table-truncated",
            Damaged,
            40,
            0,
        ),
        (
            v2()[..table + 30].to_vec(),
            "event-table-truncated",
            Damaged,
            40,
            0,
        ),
        (
            with(v2(), table + 1, &[0xff; 3]),
            "event-table-truncated",
            Damaged,
            40,
            0,
        ),
        (
            with(v1(), table + 4, &[0xff; 4]),
            "event-table-truncated",
            Damaged,
            40,
            0,
        ),
        (
            with(v2(), table, &[9]),
            "event-table-unknown",
            Warning,
            40,
            0,
        ),
        (with(v2(), table, &[1]), "trailing-bytes", Note, 40, 6),
        (
            with(v2(), table + 8, &[0; 4]),
            "event-position-zero",
            Warning,
            40,
            6,
        ),
        (
            with(v2(), table + 8 + 36, &[77, 0]),
            "event-channel-unknown",
            Warning,
            40,
            6,
        ),
        (
            with(v2(), 244, &[0; 8]),
            "record-duration-zero",
            Warning,
            40,
            6,
        ),
        (
            with(v2(), 244, &0.125f64.to_le_bytes()),
            "record-duration-type",
            Warning,
            40,
            6,
        ),
        (
            with(v2(), 4, b"2.51"),
            "record-duration-type",
            Warning,
            40,
            6,
        ),
        (with(v1(), 168, b"20071301"), "bad-date", Note, 40, 6),
        (with(v2(), 168, &[0xff; 8]), "bad-date", Note, 40, 6),
        (
            with(v2(), 256 + 112 * N, &(-100.0f64).to_le_bytes()),
            "uncalibrated",
            Warning,
            40,
            6,
        ),
        (
            with(v2(), 256 + 216 * N + 8, &[0; 4]),
            "sparse-channel",
            Warning,
            40,
            0,
        ),
        (broken, "header3-broken", Warning, 40, 6),
        (
            with(v2(), DATA, &b"\n\r\n\rxx".repeat(50)[..RECORDS - 20]),
            "",
            Note,
            40,
            6,
        ),
        (
            with(v2(), DATA, &b"x\r\nyz".repeat(60)[..RECORDS - 20]),
            "line-ends-rewritten",
            Damaged,
            40,
            6,
        ),
    ];
    for (k, (bytes, code, severity, samples, annotations)) in cases.iter().enumerate() {
        let r = try_open(bytes).unwrap_or_else(|e| panic!("case {k} {code}: {e}"));
        let h = r.header();
        let found = h.diagnostics.iter().any(|d| d.code == *code);
        assert!(code.is_empty() || found, "case {k}: {:?}", h.diagnostics);
        if let Some(d) = h.diagnostics.iter().find(|d| d.code == *code) {
            assert_eq!(d.severity, *severity, "case {k}");
        }
        if !found || *severity != Damaged {
            assert!(!h.damaged(), "case {k}: {:?}", h.diagnostics);
        }
        assert_eq!(h.channels[0].n_samples, *samples, "case {k} {code}");
        if *code != "sparse-channel" {
            assert_eq!(h.annotations.len(), *annotations, "case {k} {code}");
        }
        let mut out = vec![0f32; *samples as usize];
        r.read_f32(&[0], 0, &mut [&mut out]).unwrap();
        let beyond = r.read_f32(&[0], 1, &mut [&mut out]).unwrap_err();
        assert_eq!(beyond.code(), "out-of-range");
    }
}

/// Paths, messages, what any file needs.
const BASE: usize = 64 << 10;

fn exercise(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let peak = counting::peak(|| {
        let Ok(r) = open(path) else { return };
        for (c, channel) in r.header().channels.iter().enumerate() {
            let n = channel.n_samples;
            let mut out = [0f32; 8];
            let k = n.min(8) as usize;
            r.read_f32(&[c], 0, &mut [&mut out[..k]]).unwrap();
            r.read_f32(&[c], n - k as u64, &mut [&mut out[..k]])
                .unwrap();
            if c < 4 {
                assert!(r.runs(c).iter().all(|run| run.samples.end <= n));
            }
        }
    });
    assert!(
        peak <= 16 * bytes.len() + BASE,
        "{peak} bytes for a file of {}",
        bytes.len()
    );
}

/// Single bytes and stretches changed, perhaps cut.
fn mutated(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let n = bytes.len();
    let edits = proptest::collection::vec((0..n, any::<u8>(), 1usize..9), 0..10);
    (edits, 0..=n, any::<bool>()).prop_map(move |(edits, cut, whole)| {
        let mut out = bytes.clone();
        for (at, byte, len) in edits {
            out[at..(at + len).min(n)].fill(byte);
        }
        if !whole {
            out.truncate(cut);
        }
        out
    })
}

fn fixture(name: &str) -> Vec<u8> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/gdf");
    std::fs::read(folder.join(name)).unwrap()
}

/// The worst that a table of events can ask for: one event in six bytes of file.
#[test]
fn a_file_of_events_only_stays_within_the_bound() {
    for (version, table) in [(Version::V2, Table::Plain), (Version::V2, Table::Extended)] {
        let mut bytes = sample(version, table);
        let at = DATA + RECORDS;
        let n = 50_000u32;
        let width = if table == Table::Plain { 6 } else { 12 };
        bytes.truncate(at + 8);
        bytes.splice(at + 1..at + 4, n.to_le_bytes()[..3].iter().copied());
        bytes.extend((0..n * width).map(|k| (k.wrapping_mul(2_654_435_761) >> 24) as u8));
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.gdf"), &bytes);
        let r = try_open(&bytes).unwrap();
        assert_eq!(r.header().annotations.len(), n as usize);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_v1_never_panics(bytes in mutated(v1())) {
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.gdf"), &bytes);
    }

    #[test]
    fn mutated_v2_never_panics(bytes in mutated(v2())) {
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.gdf"), &bytes);
    }

    #[test]
    fn mutated_types_and_header_3_never_panic(bytes in mutated(fixture("types_v2.gdf"))) {
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.gdf"), &bytes);
    }

    #[test]
    fn mutated_frames_never_panic(bytes in mutated(fixture("frames.gdf"))) {
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.gdf"), &bytes);
    }

    #[test]
    fn any_bytes_never_panic(v in 0usize..3, tail in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut bytes = [&b"GDF 1.25"[..], b"GDF 2.20", b"GDF 2.22"][v].to_vec();
        bytes.extend(tail);
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.gdf"), &bytes);
    }
}
