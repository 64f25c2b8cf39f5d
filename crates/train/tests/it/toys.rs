//! Small sources with a known answer, and progress callbacks for tests.

use std::sync::atomic::{AtomicU64, Ordering};

use mmpipe_train::{Fold, MemorySource, Meta, Progress, TrainConfig};

/// Uniform numbers in [-1, 1), the same everywhere.
pub(crate) struct Noise(u64);

impl Noise {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    pub(crate) fn next(&mut self) -> f32 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 40) as f32 / (1u64 << 23) as f32 - 1.0
    }
}

fn zscore(x: &mut [f32]) -> (f32, f32) {
    let n = x.len() as f32;
    let mean = x.iter().sum::<f32>() / n;
    let std = (x.iter().map(|v| (v - mean).powi(2)).sum::<f32>() / n).sqrt();
    x.iter_mut().for_each(|v| *v = (*v - mean) / std);
    (mean, std)
}

/// Names of the channels of the toys.
pub(crate) const NAMES: [&str; 4] = ["Fz", "Cz", "Pz", "Oz"];

/// Two classes: a rhythm of 5 Hz on channel 1 against 12 Hz, in noise. 4 channels × 128 at 64 Hz.
/// `subjects` × `trials` × `epochs`; label = trial parity.
pub(crate) fn rhythms(subjects: usize, trials: usize, epochs: usize, seed: u64) -> MemorySource {
    let mut noise = Noise::new(seed + 1);
    let mut s = MemorySource {
        n_times: 128,
        sfreq: 64.0,
        classes: vec!["slow".into(), "fast".into()],
        montages: vec![NAMES.map(String::from).to_vec()],
        ..MemorySource::default()
    };
    for subject in 0..subjects {
        for trial in 0..trials {
            for _ in 0..epochs {
                let label = trial % 2;
                let hz = if label == 0 { 5.0 } else { 12.0 };
                let phase = noise.next() * 3.0;
                let (mut eeg, mut scale) = (Vec::new(), Vec::new());
                for c in 0..4 {
                    let mut row: Vec<f32> = (0..128)
                        .map(|t| {
                            let wave = (t as f32 / 64.0 * hz * std::f32::consts::TAU + phase).sin();
                            10.0 * (noise.next() + if c == 1 { wave } else { 0.0 })
                        })
                        .collect();
                    scale.push(zscore(&mut row));
                    eeg.extend(row);
                }
                s.metas.push(Meta {
                    epoch_id: 1000 + s.metas.len() as u64,
                    dataset: "toy".into(),
                    subject: format!("S{subject}"),
                    trial: trial as i32,
                    label: label as i32,
                    ..Meta::default()
                });
                s.eeg.push(eeg);
                s.scale.push(scale);
            }
        }
    }
    s
}

/// As [`rhythms`] of one subject, 400 samples at 200 Hz (two patches of a second), every other
/// epoch from another montage.
pub(crate) fn two_montages(trials: usize, epochs: usize, seed: u64) -> MemorySource {
    let mut source = rhythms(1, trials, epochs, seed);
    source
        .montages
        .push(vec!["Cz".into(), "Pz".into(), "EXG1".into()]);
    (source.n_times, source.sfreq) = (400, 200.0);
    for (i, eeg) in source.eeg.iter_mut().enumerate() {
        let montage = i % 2;
        source.metas[i].montage = montage;
        let channels = source.montages[montage].len();
        *eeg = eeg.iter().cycle().take(channels * 400).copied().collect();
        source.scale[i].truncate(channels);
    }
    source
}

/// Sounds that [`two_talkers`] draws from.
const POOL: usize = 12;

/// Two sounds an epoch; the EEG follows the loudness of the first. 4 channels × 128 at 64 Hz.
/// Every sound is attended as often as not, on average.
pub(crate) fn two_talkers(trials: usize, epochs: usize, seed: u64) -> MemorySource {
    talkers(trials, epochs, seed, 64)
}

/// As [`two_talkers`] at `sfreq` Hz; epochs of two seconds.
pub(crate) fn talkers(trials: usize, epochs: usize, seed: u64, sfreq: usize) -> MemorySource {
    let n_times = 2 * sfreq;
    let mut noise = Noise::new(seed + 7);
    // Loudness: random syllables of an eighth of a second.
    let loudness: Vec<Vec<f32>> = (0..POOL)
        .map(|_| (0..16).map(|_| 0.5 + 0.5 * noise.next()).collect())
        .collect();
    let sound = |l: &Vec<f32>| -> Vec<f32> {
        let tone = |t: usize| (t as f32 / 16_000.0 * 500.0 * std::f32::consts::TAU).sin();
        (0..32_000).map(|t| l[t / 2000] * tone(t)).collect()
    };
    let sounds: Vec<Vec<f32>> = loudness.iter().map(sound).collect();
    let mut s = MemorySource {
        n_times,
        sfreq: sfreq as f64,
        montages: vec![NAMES.map(String::from).to_vec()],
        ..MemorySource::default()
    };
    for trial in 0..trials {
        for epoch in 0..epochs {
            let attended = ((0.5 + 0.5 * noise.next()) * POOL as f32) as usize % POOL;
            let other =
                (attended + 1 + ((0.5 + 0.5 * noise.next()) * (POOL - 1) as f32) as usize) % POOL;
            let mut eeg = Vec::new();
            for c in 0..4 {
                let mut row: Vec<f32> = (0..n_times)
                    .map(|t| {
                        loudness[attended][t * 16 / n_times] * (c as f32 - 1.2) + 0.3 * noise.next()
                    })
                    .collect();
                zscore(&mut row);
                eeg.extend(row);
            }
            s.metas.push(Meta {
                epoch_id: 5000 + s.metas.len() as u64,
                dataset: "toy".into(),
                subject: "S0".into(),
                trial: trial as i32,
                onset: 1000.0 * trial as f64 + 2.0 * epoch as f64,
                label: -1,
                candidates: 2,
                ..Meta::default()
            });
            s.eeg.push(eeg);
            s.candidates
                .push(vec![sounds[attended].clone(), sounds[other].clone()]);
            s.keys.push(vec![attended as u64, other as u64]);
        }
    }
    s
}

/// Whole trials in each role: the first `train`, the next `val`, the rest.
pub(crate) fn by_trial(s: &MemorySource, train: i32, val: i32) -> Fold {
    let of = |f: &dyn Fn(i32) -> bool| -> Vec<usize> {
        (0..s.metas.len())
            .filter(|i| f(s.metas[*i].trial))
            .collect()
    };
    Fold {
        fold: 0,
        train: of(&|t| t < train),
        val: of(&|t| (train..train + val).contains(&t)),
        test: of(&|t| t >= train + val),
    }
}

/// A small and quick EEGNet.
pub(crate) fn small() -> TrainConfig {
    TrainConfig {
        epochs: 12,
        batch: 16,
        lr: 1e-2,
        kernel: Some(16),
        f1: 4,
        dropout: Some(0.25),
        patience: 0,
        ..TrainConfig::default()
    }
}

/// Asks to stop after a number of steps of this process.
pub(crate) struct StopAfter {
    left: AtomicU64,
}

impl StopAfter {
    pub(crate) fn new(steps: u64) -> Self {
        Self {
            left: AtomicU64::new(steps),
        }
    }
}

impl Progress for StopAfter {
    fn stop(&self, _step: u64) -> bool {
        self.left.fetch_sub(1, Ordering::SeqCst) == 1
    }
}

/// Share of predictions that are right.
pub(crate) fn accuracy(predictions: &[mmpipe_train::Prediction]) -> f64 {
    let right = predictions
        .iter()
        .filter(|p| p.label == p.predicted)
        .count();
    right as f64 / predictions.len() as f64
}

/// Bytes of the newest checkpoint's weights and moments.
pub(crate) fn weights(dir: &std::path::Path) -> Vec<Vec<u8>> {
    let mut steps: Vec<_> = std::fs::read_dir(dir.join("checkpoints"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    steps.sort();
    let last = steps.last().unwrap();
    ["model.safetensors", "optimiser.safetensors"]
        .map(|f| std::fs::read(last.join(f)).unwrap())
        .to_vec()
}
