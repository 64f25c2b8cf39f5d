//! The two-talker corpus through its public door.

use mmpipe_simulate::{Error, Side, TwoTalker, write_bids};
use std::collections::BTreeMap;
use std::path::Path;

fn small(seed: u64) -> TwoTalker {
    TwoTalker {
        subjects: 2,
        trials: 4,
        trial_seconds: 6.0,
        channels: 8,
        seed,
        ..TwoTalker::default()
    }
}

/// Every file below a folder with its bytes.
fn tree(root: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut out = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
            } else {
                let name = path
                    .strip_prefix(root)
                    .unwrap()
                    .to_str()
                    .unwrap()
                    .to_string();
                out.insert(name, std::fs::read(&path).unwrap());
            }
        }
    }
    out
}

#[test]
fn same_seed_same_bytes_and_another_seed_other_bytes() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let a = write_bids(&small(1), &at("a")).unwrap();
    // On another thread, while a third one works: nothing is shared.
    let (b, c) = std::thread::scope(|s| {
        let b = s.spawn(|| write_bids(&small(1), &at("b")).unwrap());
        let c = s.spawn(|| write_bids(&small(2), &at("c")).unwrap());
        (b.join().unwrap(), c.join().unwrap())
    });
    assert_eq!(a, b);
    assert_ne!(a, c);
    let (a, b, c) = (tree(&at("a")), tree(&at("b")), tree(&at("c")));
    assert_eq!(a, b);
    let edf = "sub-01/eeg/sub-01_task-listening_run-1_eeg.edf";
    assert_ne!(a[edf], c[edf]);
    assert!(
        std::fs::read_dir(dir.path()).unwrap().count() == 3,
        "a temporary folder was left"
    );
}

#[test]
fn layout_and_events_agree_with_the_truth() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("raw");
    let cfg = small(3);
    let truth = write_bids(&cfg, &root).unwrap();
    let files = tree(&root);
    for name in [
        "README",
        "dataset_description.json",
        "participants.json",
        "participants.tsv",
        "sourcedata/truth.json",
        "task-listening_events.json",
        "sub-02/eeg/sub-02_coordsystem.json",
        "sub-02/eeg/sub-02_electrodes.tsv",
        "sub-02/eeg/sub-02_task-listening_run-1_channels.tsv",
        "sub-02/eeg/sub-02_task-listening_run-1_eeg.json",
    ] {
        assert!(files.contains_key(name), "{name} is missing");
    }
    assert_eq!(truth.subjects.len(), 2);
    for subject in &truth.subjects {
        let events = &files[&subject.recording.replace("_eeg.edf", "_events.tsv")];
        let text = std::str::from_utf8(events).unwrap();
        let mut lines = text.lines();
        assert_eq!(
            lines.next().unwrap(),
            "onset\tduration\ttrial_type\ttrial\tattended\tunattended\tattended_onset\tunattended_onset\tcontent_id"
        );
        for (line, trial) in lines.by_ref().zip(&subject.trials) {
            let cell: Vec<&str> = line.split('\t').collect();
            assert_eq!(cell[0].parse::<f64>().unwrap(), trial.onset);
            assert_eq!(cell[1].parse::<f64>().unwrap(), cfg.trial_seconds);
            assert_eq!(cell[2], trial.side.trial_type());
            assert_eq!(cell[3].parse::<usize>().unwrap(), trial.trial);
            for sound in [cell[4], cell[5]] {
                // 44 bytes of header; the trial fits into the sound from its onset on.
                let seconds = (files[sound].len() - 44) as f64 / 2.0 / f64::from(cfg.audio_sfreq);
                assert!(
                    trial.attended_onset.max(trial.unattended_onset) + cfg.trial_seconds <= seconds
                );
                assert!(sound.contains(cell[8]), "both sounds belong to {}", cell[8]);
            }
            assert_ne!(cell[4], cell[5]);
            assert!(trial.onset + trial.duration < subject.seconds);
        }
        assert!(lines.next().is_none());
        let left = subject
            .trials
            .iter()
            .filter(|t| t.side == Side::Left)
            .count();
        assert_eq!(left * 2, subject.trials.len());
    }
}

/// The digital samples of one signal of an EDF file, read here without any library.
fn signal(edf: &[u8], wanted: &str) -> (Vec<f64>, usize) {
    let text =
        |from: usize, len: usize| std::str::from_utf8(&edf[from..from + len]).unwrap().trim();
    let n: usize = text(252, 4).parse().unwrap();
    let field = |before: usize, width: usize, i: usize| text(256 + before * n + i * width, width);
    let counts: Vec<usize> = (0..n).map(|i| field(216, 8, i).parse().unwrap()).collect();
    let k = (0..n).find(|i| field(0, 16, *i) == wanted).unwrap();
    let number = |before| field(before, 8, k).parse::<f64>().unwrap();
    let (pmin, pmax, dmin, dmax) = (number(104), number(112), number(120), number(128));
    let total: usize = counts.iter().sum();
    let skip: usize = counts[..k].iter().sum();
    let header: usize = text(184, 8).parse().unwrap();
    let mut out = Vec::new();
    for record in edf[header..].chunks_exact(total * 2) {
        for pair in record[skip * 2..(skip + counts[k]) * 2].chunks_exact(2) {
            let d = f64::from(i16::from_le_bytes([pair[0], pair[1]]));
            out.push((d - dmin) * (pmax - pmin) / (dmax - dmin) + pmin);
        }
    }
    (out, counts[k])
}

#[test]
fn triggers_mark_the_trials_and_drift_is_slow_and_large() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("raw");
    let truth = write_bids(&small(4), &root).unwrap();
    for subject in &truth.subjects {
        let edf = std::fs::read(root.join(&subject.recording)).unwrap();
        let (trigger, sfreq) = signal(&edf, "TRIG");
        assert_eq!(trigger.len(), subject.seconds as usize * sfreq);
        let starts: Vec<(usize, i32)> = (1..trigger.len())
            .filter(|i| trigger[*i].round() != 0.0 && trigger[*i - 1].round() == 0.0)
            .map(|i| (i, trigger[i].round() as i32))
            .collect();
        let expected: Vec<(usize, i32)> = subject
            .trials
            .iter()
            .map(|t| {
                (
                    (t.onset * sfreq as f64).round() as usize,
                    if t.side == Side::Left { 1 } else { 2 },
                )
            })
            .collect();
        assert_eq!(starts, expected);
        // Means over 2 s move by far more than the signal inside them would let them.
        let (cz, _) = signal(&edf, &truth.ch_names[4]);
        let means: Vec<f64> = cz
            .chunks_exact(2 * sfreq)
            .map(|c| c.iter().sum::<f64>() / c.len() as f64)
            .collect();
        let range = means.iter().fold(f64::MIN, |m, v| m.max(*v))
            - means.iter().fold(f64::MAX, |m, v| m.min(*v));
        assert!(range > 60.0, "drift of only {range} µV");
    }
}

/// Least squares of a channel on the lagged attended envelope gives the planted response back:
/// the response is really in the signal, at the right latency, for the attended sound only.
#[test]
fn attended_response_is_in_the_recording() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("raw");
    let clean = TwoTalker {
        background_uv: 0.5,
        rhythm_uv: 0.0,
        unattended_share: 0.0,
        drift_uv: 0.0,
        trial_seconds: 12.0,
        ..small(5)
    };
    let truth = write_bids(&clean, &root).unwrap();
    let subject = &truth.subjects[0];
    let edf = std::fs::read(root.join(&subject.recording)).unwrap();
    let cz = truth.ch_names.iter().position(|n| n == "Fz").unwrap();
    let (x, sfreq) = signal(&edf, "Fz");
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for trial in &subject.trials {
        let start = (trial.onset * sfreq as f64).round() as usize;
        let n = (trial.duration * sfreq as f64) as usize;
        let eeg = &x[start..start + n];
        for (sound, onset, out) in [
            (&trial.attended, trial.attended_onset, &mut with),
            (&trial.unattended, trial.unattended_onset, &mut without),
        ] {
            let bytes = std::fs::read(root.join(sound)).unwrap();
            let env = loudness(&bytes[44..], sfreq, onset, n);
            let predicted: Vec<f64> = (0..n)
                .map(|i| {
                    (0..3)
                        .map(|c| {
                            let kernel = &truth.trf.kernels[c];
                            let sum: f64 = kernel
                                .iter()
                                .take(i + 1)
                                .enumerate()
                                .map(|(k, h)| h * env[i - k])
                                .sum();
                            truth.trf.maps[c][cz] * sum
                        })
                        .sum()
                })
                .collect();
            out.push(correlation(&predicted[64..], &eeg[64..]));
        }
    }
    let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
    assert!(mean(&with) > 0.7, "{with:?}");
    assert!(mean(&without).abs() < 0.25, "{without:?}");
}

fn loudness(pcm: &[u8], sfreq: usize, onset: f64, n: usize) -> Vec<f64> {
    let x: Vec<f64> = pcm
        .chunks_exact(2)
        .map(|p| f64::from(i16::from_le_bytes([p[0], p[1]])) / 32768.0)
        .collect();
    let step = 16_000 / sfreq;
    let first = (onset * 16_000.0) as usize;
    let env: Vec<f64> = (0..n)
        .map(|k| {
            let centre = first + k * step;
            let part = &x[centre.saturating_sub(240)..(centre + 240).min(x.len())];
            (part.iter().map(|v| v.abs()).sum::<f64>() / 480.0).powf(0.6)
        })
        .collect();
    let m = env.iter().sum::<f64>() / n as f64;
    env.iter().map(|v| v - m).collect()
}

fn correlation(a: &[f64], b: &[f64]) -> f64 {
    let (ma, mb) = (
        a.iter().sum::<f64>() / a.len() as f64,
        b.iter().sum::<f64>() / b.len() as f64,
    );
    let dot = |x: &[f64], mx: f64, y: &[f64], my: f64| -> f64 {
        x.iter().zip(y).map(|(p, q)| (p - mx) * (q - my)).sum()
    };
    dot(a, ma, b, mb) / (dot(a, ma, a, ma) * dot(b, mb, b, mb)).sqrt()
}

#[test]
fn bad_settings_and_a_full_target_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |cfg: TwoTalker, field: &str| {
        let message = write_bids(&cfg, &dir.path().join("raw"))
            .unwrap_err()
            .to_string();
        assert!(
            message.starts_with(&format!("{field}: expected ")),
            "{message}"
        );
    };
    refused(
        TwoTalker {
            trials: 6,
            ..small(0)
        },
        "trials",
    );
    refused(
        TwoTalker {
            subjects: 0,
            ..small(0)
        },
        "subjects",
    );
    refused(
        TwoTalker {
            channels: 33,
            ..small(0)
        },
        "channels",
    );
    refused(
        TwoTalker {
            sfreq: 128.5,
            ..small(0)
        },
        "sfreq",
    );
    refused(
        TwoTalker {
            attended_uv: f64::NAN,
            ..small(0)
        },
        "attended_uv",
    );
    refused(
        TwoTalker {
            trial_seconds: 1.0,
            ..small(0)
        },
        "trial_seconds",
    );
    assert_eq!(
        std::fs::read_dir(dir.path()).unwrap().count(),
        0,
        "a refusal left something"
    );

    let full = dir.path().join("full");
    std::fs::create_dir(&full).unwrap();
    std::fs::write(full.join("precious"), "x").unwrap();
    let error = write_bids(&small(0), &full).unwrap_err();
    assert!(matches!(error, Error::Exists { .. }), "{error}");
    assert_eq!(std::fs::read(full.join("precious")).unwrap(), b"x");
}
