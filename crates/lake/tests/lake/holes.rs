//! Samples that are no numbers: what is bridged, what is left out, and what is told.

use std::path::Path;

use mmpipe_corpora::{Filter, Manifest, Scan};
use mmpipe_formats::write::{Start, gdf};
use mmpipe_lake::{IngestReport, Lake};

use crate::common::{expected, query, request, run, signal, stored};

const SFREQ: f64 = 128.0;

/// Writes 20 s of each channel as GDF, with `NaN` where `holes` says (channel, first, last).
fn write(path: &Path, names: &[&str], holes: &[(usize, usize, usize)]) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let mut samples: Vec<Vec<f64>> = (0..names.len())
        .map(|c| signal(c as u64 + 1, SFREQ, 20.0))
        .collect();
    for &(channel, first, last) in holes {
        samples[channel][first..=last].fill(f64::NAN);
    }
    let channels = names.iter().zip(&samples);
    let recording = gdf::NewGdf {
        version: gdf::Version::V2,
        start: Start::default(),
        patient: "X",
        recording: "X",
        record: (1, 1),
        channels: channels
            .map(|(name, samples)| gdf::NewChannel {
                name,
                unit: "µV",
                sfreq: SFREQ,
                // Missing samples are written as the overflow code.
                number: gdf::Number::I16(-32_768, 32_767),
                physical: (-100.0, 100.0),
                samples,
            })
            .collect(),
        table: gdf::Table::Plain,
        event_sfreq: SFREQ,
        events: &[],
    };
    gdf::write(path, &recording).unwrap();
}

fn scanned(raw: &Path) -> Scan {
    let manifest = r#"
name = "Toy"
title = "A toy"
licence = "CC0-1.0"
access = "open"
[[files]]
pattern = '(?P<subject>s\d+)\.gdf'
kind = "signal"
[trials]
sql = "SELECT path, 0 AS trial, CAST(NULL AS DOUBLE) AS start, CAST(NULL AS DOUBLE) AS stop FROM files WHERE status = 'ok'"
"#;
    let manifest = Manifest::parse(manifest, "Toy.toml").unwrap();
    mmpipe_corpora::scan(&manifest, raw, &Filter::default()).unwrap()
}

fn ingested(dir: &Path, names: &[&str], holes: &[(usize, usize, usize)]) -> (Lake, IngestReport) {
    let raw = dir.join("raw");
    write(&raw.join("s1.gdf"), names, holes);
    let lake = Lake::create_or_open(&dir.join("lake")).unwrap();
    let report = run(&lake, request(scanned(&raw), &raw)).unwrap();
    (lake, report)
}

/// The file's samples with every hole as a line, by hand.
fn bridged(dir: &Path, channels: usize) -> Vec<Vec<f64>> {
    let file = mmpipe_formats::open(&dir.join("raw/s1.gdf")).unwrap();
    let n = file.header().channels[0].n_samples as usize;
    let mut out = vec![vec![0.0; n]; channels];
    for (c, x) in out.iter_mut().enumerate() {
        file.read_f64(&[c], 0, &mut [x.as_mut_slice()]).unwrap();
        let known: Vec<usize> = (0..n).filter(|&i| x[i].is_finite()).collect();
        for i in 0..n {
            let right = known.partition_point(|&k| k < i);
            let (a, b) = match (right.checked_sub(1), known.get(right)) {
                (_, Some(&b)) if b == i => continue,
                (Some(a), Some(&b)) => (known[a], b),
                (Some(a), None) => (known[a], known[a]),
                (None, b) => (*b.unwrap(), *b.unwrap()),
            };
            let part = if a == b {
                0.0
            } else {
                (i - a) as f64 / (b - a) as f64
            };
            x[i] = x[a] + (x[b] - x[a]) * part;
        }
    }
    out
}

#[test]
fn epochs_that_touch_a_lost_sample_are_counted_and_the_others_are_whole() {
    let dir = tempfile::tempdir().unwrap();
    // At 128 Hz: 2.34 s of Fz (epoch 1), 9.99 s of Cz (epoch 4), the end of Cz (epoch 9).
    let holes = [(0, 300, 302), (1, 1279, 1279), (1, 2555, 2559)];
    let (lake, report) = ingested(dir.path(), &["Fz", "Cz", "Oz"], &holes);
    assert_eq!(report.epochs(), 7, "{report:?}");
    let row = &report.recordings[0];
    assert_eq!(row.status, "ok");
    let reason = row.reason.as_deref().unwrap_or_default();
    assert!(
        reason.contains(
            "non-finite samples: 3 of Fz, 6 of Cz; epochs that touch them are not written"
        ),
        "{reason}"
    );
    let dropped = query(
        &lake,
        "SELECT d['reason'] AS r, d['epochs'] AS e, d['seconds'] AS s FROM (SELECT unnest(dropped) AS d FROM recordings)",
    );
    assert!(
        dropped.contains("| non-finite samples | 3 | 6.0 |"),
        "{dropped}"
    );
    let numbers = query(
        &lake,
        "SELECT array_agg(epoch ORDER BY epoch) AS e FROM eeg",
    );
    assert!(numbers.contains("[0, 2, 3, 5, 6, 7, 8]"), "{numbers}");
    let raw = bridged(dir.path(), 3);
    for (onset, eeg) in stored(&lake, "SELECT onset, eeg FROM eeg ORDER BY epoch") {
        let want = expected(SFREQ, &raw, onset);
        for (c, (a, b)) in eeg.iter().zip(&want).enumerate() {
            let off = a
                .iter()
                .zip(b)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(off < 1e-5, "channel {c} at {onset} s: {off}");
        }
    }
}

#[test]
fn a_channel_that_is_mostly_lost_does_not_take_epochs_with_it() {
    let dir = tempfile::tempdir().unwrap();
    let holes = [(1, 0, 1300), (0, 10, 10)];
    let (lake, report) = ingested(dir.path(), &["Fz", "Cz", "Oz"], &holes);
    assert_eq!(report.epochs(), 9, "{report:?}");
    let channels = query(
        &lake,
        "SELECT c['raw_name'] AS n, c['reason'] AS r FROM (SELECT unnest(channels) AS c FROM recordings)",
    );
    assert!(
        channels.contains("1301 of 2560 samples are not finite, more than half"),
        "{channels}"
    );
    let names = query(&lake, "SELECT DISTINCT ch_names FROM eeg");
    assert!(names.contains("[Fz, Oz]"), "{names}");
}

#[test]
fn half_a_channel_is_enough_to_keep_it() {
    let dir = tempfile::tempdir().unwrap();
    let (lake, report) = ingested(dir.path(), &["Fz", "Cz"], &[(1, 0, 1279)]);
    assert_eq!(report.epochs(), 5, "{report:?}");
    let first = query(&lake, "SELECT min(onset) AS t FROM eeg");
    assert!(first.contains("10.0"), "{first}");
}

#[test]
fn a_recording_without_a_whole_epoch_says_why() {
    let dir = tempfile::tempdir().unwrap();
    let holes: Vec<(usize, usize, usize)> = (0..10).map(|k| (0, 256 * k, 256 * k)).collect();
    let (_, report) = ingested(dir.path(), &["Fz", "Cz"], &holes);
    assert_eq!(report.epochs(), 0);
    let row = &report.recordings[0];
    let reason = row.reason.as_deref().unwrap_or_default();
    assert!(reason.contains("non-finite samples: 10 of Fz"), "{reason}");
}
