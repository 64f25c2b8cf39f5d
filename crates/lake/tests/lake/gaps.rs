//! Gaps of EDF+D: every run is filtered for itself, and no epoch lies over a gap.

use std::path::Path;

use mmpipe_corpora::{Filter, Manifest};
use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf};
use mmpipe_formats::{Annotation, Container};
use mmpipe_lake::Lake;

use crate::common::{expected, query, request, run, signal, stored};

const SFREQ: f64 = 128.0;
const MANIFEST: &str = r#"
name = "Toy"
title = "A toy"
licence = "CC0-1.0"
access = "open"
[[files]]
pattern = '(?P<subject>s\d+)\.edf'
kind = "signal"
[trials]
sql = "SELECT path, 0 AS trial, CAST(NULL AS DOUBLE) AS start, CAST(NULL AS DOUBLE) AS stop FROM files WHERE status = 'ok'"
"#;

/// Writes 20 s of two channels, of which the last 9 s begin 20 s later than they did.
fn write(path: &Path) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let samples = [signal(1, SFREQ, 20.0), signal(2, SFREQ, 20.0)];
    let signals = ["Fz", "Cz"].iter().zip(&samples);
    let recording = NewRecording {
        patient: "X",
        recording: "X",
        start: Start::default(),
        signals: signals
            .map(|(name, samples)| NewSignal {
                name,
                unit: "uV",
                sfreq: SFREQ,
                prefilter: "",
                transducer: "",
                physical_range: Some((-100.0, 100.0)),
                samples,
            })
            .collect(),
        annotations: &[Annotation {
            onset: 0.0,
            duration: None,
            text: "begin".into(),
            channel: None,
        }],
    };
    edf::write(path, &recording).unwrap();
    let mut bytes = std::fs::read(path).unwrap();
    bytes[192..197].copy_from_slice(b"EDF+D");
    for record in 11..20 {
        let mark = format!("+{record}\x14\x14").into_bytes();
        let at = bytes.windows(mark.len()).position(|w| w == mark);
        let at = at.expect("a record's time");
        let later = format!("+{}\x14\x14", record + 20);
        bytes[at..at + mark.len()].copy_from_slice(later.as_bytes());
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn no_epoch_lies_over_a_gap_of_edf_plus_d() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    let path = raw.join("s1.edf");
    write(&path);
    let file = mmpipe_formats::open(&path).unwrap();
    assert_eq!(file.header().container, Container::EdfPlusD);
    let runs: Vec<(f64, usize)> = file
        .runs(0)
        .iter()
        .map(|r| (r.onset, (r.samples.end - r.samples.start) as usize))
        .collect();
    assert_eq!(runs, [(0.0, 11 * 128), (31.0, 9 * 128)]);

    let manifest = Manifest::parse(MANIFEST, "Toy.toml").unwrap();
    let scan = mmpipe_corpora::scan(&manifest, &raw, &Filter::default()).unwrap();
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let report = run(&lake, request(scan, &raw)).unwrap();
    assert_eq!(report.epochs(), 9, "{report:?}");
    let seconds = query(
        &lake,
        "SELECT 2.0 * epochs + (SELECT sum(d['seconds']) FROM (SELECT unnest(dropped) AS d FROM recordings)) AS s, \
         seconds FROM recordings",
    );
    assert!(seconds.contains("| 20.0 | 20.0    |"), "{seconds}");

    let mut start = 0;
    for (onset, n) in runs {
        let mut x = vec![vec![0.0; n]; 2];
        for (c, x) in x.iter_mut().enumerate() {
            file.read_f64(&[c], start, &mut [x.as_mut_slice()]).unwrap();
        }
        start += n as u64;
        let (from, to) = (onset, onset + n as f64 / SFREQ);
        let sql = format!("SELECT onset, eeg FROM eeg WHERE onset >= {from} AND onset < {to}");
        let epochs = stored(&lake, &sql);
        assert_eq!(epochs.len(), n / 256);
        for (at, eeg) in epochs {
            assert!(at + 2.0 <= to, "{at}");
            for (a, b) in eeg.iter().zip(&expected(SFREQ, &x, at - onset)) {
                let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
                assert!(off.fold(0.0, f32::max) < 1e-5, "{at}");
            }
        }
    }
}
