//! EEGLAB data sets: what MNE-Python reads in eeglabio's and SciPy's files and in real ones,
//! boundaries and epochs as runs, and files that are missing or lie.

mod common;

use std::path::{Path, PathBuf};

use mmpipe_formats::{Container, Error, Recording, Severity, open};
use mmpipe_trees::write::{Value as Value5, write_mat5};
use serde_json::Value;
use tempfile::TempDir;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/eeglab")
}

fn samples(r: &dyn Recording, channel: usize) -> Vec<f64> {
    let n = r.header().channels[channel].n_samples as usize;
    let (mut out, mut single) = (vec![0f64; n], vec![0f32; n]);
    r.read_f64(&[channel], 0, &mut [&mut out]).unwrap();
    r.read_f32(&[channel], 0, &mut [&mut single]).unwrap();
    assert!(out.iter().zip(&single).all(|(d, s)| *d as f32 == *s));
    out
}

fn codes(r: &dyn Recording) -> Vec<(&'static str, Severity)> {
    let all = r.header().diagnostics.iter();
    all.map(|d| (d.code, d.severity)).collect()
}

/// MNE gives volts.
fn close(x: f64, want: &Value, rel: f64) -> bool {
    (x * 1e-6 - want.as_f64().unwrap()).abs() < rel * 1e-6 * (1.0 + x.abs())
}

#[test]
fn the_fixtures_read_as_mne_reads_them() {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    for (name, want) in expected.as_object().unwrap() {
        let r = open(&fixtures().join(name)).unwrap_or_else(|e| panic!("{e}"));
        let h = r.header();
        assert_eq!(h.container, Container::Eeglab);
        let names: Vec<&str> = h.channels.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(serde_json::json!(names), want["ch_names"], "{name}");
        for (c, channel) in h.channels.iter().enumerate() {
            assert_eq!(channel.unit, "µV");
            assert_eq!(channel.sfreq, want["sfreq"].as_f64().unwrap());
            assert_eq!(channel.n_samples, want["n_times"].as_u64().unwrap());
            let x = samples(r.as_ref(), c);
            assert!(close(x.iter().sum(), &want["sum"][c], 1e-7), "{name}");
            for i in 0..5 {
                assert!(close(x[i], &want["first"][c][i], 1e-9), "{name}");
                assert!(
                    close(x[x.len() - 5 + i], &want["last"][c][i], 1e-9),
                    "{name}"
                );
            }
        }
        let Some(onsets) = want.get("onset") else {
            continue;
        };
        let texts: Vec<&str> = h.annotations.iter().map(|a| a.text.as_str()).collect();
        assert_eq!(serde_json::json!(texts), want["text"], "{name}");
        for (a, onset) in h.annotations.iter().zip(onsets.as_array().unwrap()) {
            assert!((a.onset - onset.as_f64().unwrap()).abs() < 1e-9, "{name}");
        }
    }
}

#[test]
fn boundaries_epochs_and_types() {
    let runs = |name: &str| {
        let r = open(&fixtures().join(name)).unwrap();
        let runs = r.runs(2);
        let got: Vec<_> = runs.into_iter().map(|r| (r.onset, r.samples)).collect();
        (got, codes(r.as_ref()))
    };
    let segments = ("segments", Severity::Note);
    for name in ["raw_v5.set", "raw_v73.set"] {
        // The boundary lies at latency 200.5: between the 200th and the 201st sample.
        let want = vec![(0.0, 0..200), (1.0, 200..400)];
        assert_eq!(runs(name), (want, vec![segments]), "{name}");
    }
    assert_eq!(
        runs("struct.set"),
        (vec![(0.0, 0..150), (0.75, 150..300)], vec![segments])
    );
    let epochs = [
        (0.0, 0..100),
        (0.5, 100..200),
        (1.0, 200..300),
        (1.5, 300..400),
    ]
    .to_vec();
    assert_eq!(
        runs("epochs.set"),
        (epochs, vec![("epochs", Severity::Note)])
    );
    let r = open(&fixtures().join("epochs.set")).unwrap();
    let marks: Vec<_> = r
        .header()
        .annotations
        .iter()
        .map(|a| (a.onset, a.text.as_str()))
        .collect();
    // 20 samples into each epoch: xmin is -0.1 s.
    assert_eq!(marks[..2], [(0.1, "left"), (0.6, "right")]);
    assert_eq!(marks.len(), 4);
    assert!(r.header().diagnostics[0].message.contains("from -0.1 s"));
    let r = open(&fixtures().join("struct.fdt")).unwrap();
    assert_eq!(r.header().path, fixtures().join("struct.set"));
    assert_eq!(r.header().files.len(), 2);
    let durations: Vec<_> = r.header().annotations.iter().map(|a| a.duration).collect();
    assert_eq!(durations, [None, Some(0.2), Some(0.05)]);
    assert_eq!(r.header().channels[0].transducer.as_deref(), Some("EEG"));
    // A name with a folder of Windows that is not there: the one like the set is taken.
    let r = open(&fixtures().join("old.set")).unwrap();
    assert_eq!(codes(r.as_ref()), [("renamed", Severity::Warning)]);
}

#[test]
fn data_files_that_are_missing_cut_or_long() {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("a.set");
    std::fs::copy(fixtures().join("struct.set"), &set).unwrap();
    match open(&set).err().unwrap() {
        Error::Missing {
            path,
            field,
            missing,
        } => {
            assert_eq!((path, field), (set.clone(), "data"));
            assert_eq!(missing, folder.path().join("struct.fdt"));
        }
        other => panic!("{other}"),
    }
    let fdt = folder.path().join("a.fdt");
    let data = std::fs::read(fixtures().join("struct.fdt")).unwrap();
    let with = |bytes: &[u8]| {
        std::fs::write(&fdt, bytes).unwrap();
        let r = open(&set).unwrap();
        let end = r.runs(0).last().map_or(0, |r| r.samples.end);
        (
            codes(r.as_ref()).iter().map(|c| c.0).collect::<Vec<_>>(),
            end,
        )
    };
    assert_eq!(with(&data), (vec!["renamed", "segments"], 300));
    assert_eq!(
        with(&data[..2407]),
        (vec!["renamed", "truncated", "segments"], 200)
    );
    let mut long = data.clone();
    long.extend([0; 12]);
    assert_eq!(
        with(&long),
        (vec!["renamed", "data-points-disagree", "segments"], 300)
    );
    std::fs::write(&fdt, b"").unwrap();
    assert_eq!(open(&set).err().unwrap().code(), "empty");
    std::fs::remove_file(&fdt).unwrap();
    // Channel after channel.
    let (n, points) = (3, 300);
    let at = |c: usize, t: usize| &data[4 * (t * n + c)..][..4];
    let order = (0..n).flat_map(|c| (0..points).map(move |t| (c, t)));
    let turned: Vec<u8> = order.flat_map(|(c, t)| at(c, t).to_vec()).collect();
    std::fs::write(folder.path().join("a.dat"), turned).unwrap();
    let want = samples(open(&fixtures().join("struct.set")).unwrap().as_ref(), 2);
    assert_eq!(samples(open(&set).unwrap().as_ref(), 2), want);
    std::fs::rename(&set, folder.path().join("b.fdt")).unwrap();
    assert_eq!(
        open(&folder.path().join("b.fdt")).err().unwrap().code(),
        "missing-file"
    );
}

#[test]
fn more_epochs_than_are_read_are_refused_before_they_cost_memory() {
    let folder = TempDir::new().unwrap();
    let set = folder.path().join("x.set");
    let with = |trials: f64| {
        let eeg = Value5::record([
            ("nbchan", Value5::scalar(1.0)),
            ("pnts", Value5::scalar(1.0)),
            ("trials", Value5::scalar(trials)),
            ("srate", Value5::scalar(100.0)),
            ("data", Value5::text("x.fdt")),
        ]);
        write_mat5(&set, &[("EEG", eeg)], false).unwrap();
        std::fs::write(folder.path().join("x.fdt"), vec![0; trials as usize * 4]).unwrap();
        open(&set).map(|r| r.runs(0).len())
    };
    assert_eq!(with(262_144.0).unwrap(), 262_144);
    let error = with(262_145.0).unwrap_err();
    assert_eq!(error.code(), "bad-description");
    assert!(error.to_string().contains("262145 epochs"), "{error}");
}

#[test]
fn spoiled_sets_are_errors_or_samples() {
    let folder = TempDir::new().unwrap();
    std::fs::copy(fixtures().join("struct.fdt"), folder.path().join("x.fdt")).unwrap();
    let set = folder.path().join("x.set");
    let mut seen = std::collections::BTreeSet::new();
    for name in ["raw_v5.set", "struct.set", "raw_v73.set", "epochs.set"] {
        let good = std::fs::read(fixtures().join(name)).unwrap();
        let step = good.len() / 40 + 1;
        for (k, at) in (0..good.len()).step_by(step).enumerate() {
            let mut bad = good.clone();
            if k % 2 == 0 {
                bad.truncate(at);
            } else {
                bad[at] ^= 0xff;
            }
            std::fs::write(&set, &bad).unwrap();
            match open(&set) {
                Err(error) => {
                    seen.insert(error.code());
                    assert_eq!(error.path(), set, "{error}");
                }
                Ok(r) => {
                    let h = r.header();
                    let mut out = vec![0f64; h.channels[0].n_samples.min(1000) as usize];
                    if let Err(error) = r.read_f64(&[0], 0, &mut [&mut out]) {
                        seen.insert(error.code());
                    }
                }
            }
        }
    }
    assert!(seen.contains("unreadable-arrays"), "{seen:?}");
    let allowed = [
        "unreadable-arrays",
        "bad-description",
        "empty",
        "unsupported",
        "missing-file",
    ];
    assert!(seen.iter().all(|c| allowed.contains(c)), "{seen:?}");
}

#[test]
fn real_data_sets_read_as_mne_reads_them() {
    let Some(real) = common::real() else { return };
    let text = std::fs::read_to_string(real.join("reference_values.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let mut compared = 0;
    for (name, want) in json["files"].as_object().unwrap() {
        if !name.ends_with(".set") {
            continue;
        }
        compared += 1;
        let r = open(&real.join(name)).unwrap_or_else(|e| panic!("{e}"));
        let h = r.header();
        assert!(!h.damaged(), "{:?}", h.diagnostics);
        let names: Vec<&str> = h.channels.iter().map(|c| c.name.as_str()).collect();
        assert_eq!(serde_json::json!(names), want["ch_names"], "{name}");
        for (c, channel) in h.channels.iter().enumerate() {
            assert_eq!(channel.sfreq, want["sfreq"].as_f64().unwrap());
            assert_eq!(channel.n_samples as f64, want["n_times"].as_f64().unwrap());
            let x = samples(r.as_ref(), c);
            // The reference stores nine digits.
            for (i, first) in want["first5"][c].as_array().unwrap().iter().enumerate() {
                assert!(close(x[i], first, 1e-7), "{name} {c} {i}");
            }
            let n = x.len() as f64;
            let mean = x.iter().sum::<f64>() / n;
            let std = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
            assert!(close(mean, &want["mean"][c], 1e-6), "{name} {c}");
            assert!(close(std, &want["std"][c], 1e-6), "{name} {c}");
        }
        let mut counts = serde_json::Map::new();
        for a in &h.annotations {
            let n = counts.get(&a.text).and_then(Value::as_u64).unwrap_or(0);
            counts.insert(a.text.clone(), (n + 1).into());
        }
        assert_eq!(counts, *want["ann"].as_object().unwrap(), "{name}");
        for (a, onset) in h
            .annotations
            .iter()
            .zip(want["ann_onset"].as_array().unwrap())
        {
            assert!((a.onset - onset.as_f64().unwrap()).abs() < 1e-6, "{name}");
        }
    }
    assert_eq!(compared, 2);
}
