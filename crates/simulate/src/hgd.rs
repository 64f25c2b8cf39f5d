//! A miniature of the High-Gamma Dataset (doi:10.1002/hbm.23730) in its native layout:
//! `train/1.edf`, `test/1.edf` with the trials as annotations, or the same as MATLAB v7.3 files.

use crate::files::Staging;
use crate::grid::{digitise, physical_value};
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial, rhythmic};
use crate::{Error, Result};
use mmpipe_formats::Annotation;
use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf};
use mmpipe_trees::write::{Value, write_mat73};
use rand::seq::SliceRandom;
use std::path::Path;

/// Electrodes before and after the five channels of eyes and muscles, in file order.
#[rustfmt::skip]
const FIRST: [&str; 32] = [
    "Fp1", "Fp2", "Fpz", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "M1", "T7",
    "C3", "Cz", "C4", "T8", "M2", "CP5", "CP1", "CP2", "CP6", "P7", "P3", "Pz", "P4", "P8", "POz",
    "O1", "Oz", "O2",
];
const OTHERS: [&str; 5] = ["EOGh", "EOGv", "EMG_RH", "EMG_LH", "EMG_RF"];
#[rustfmt::skip]
const SECOND: [&str; 96] = [
    "AF7", "AF3", "AF4", "AF8", "F5", "F1", "F2", "F6", "FC3", "FCz", "FC4", "C5", "C1", "C2",
    "C6", "CP3", "CPz", "CP4", "P5", "P1", "P2", "P6", "PO5", "PO3", "PO4", "PO6", "FT7", "FT8",
    "TP7", "TP8", "PO7", "PO8", "FT9", "FT10", "TPP9h", "TPP10h", "PO9", "PO10", "P9", "P10",
    "AFF1", "AFz", "AFF2", "FFC5h", "FFC3h", "FFC4h", "FFC6h", "FCC5h", "FCC3h", "FCC4h", "FCC6h",
    "CCP5h", "CCP3h", "CCP4h", "CCP6h", "CPP5h", "CPP3h", "CPP4h", "CPP6h", "PPO1", "PPO2", "I1",
    "Iz", "I2", "AFp3h", "AFp4h", "AFF5h", "AFF6h", "FFT7h", "FFC1h", "FFC2h", "FFT8h", "FTT9h",
    "FTT7h", "FCC1h", "FCC2h", "FTT8h", "FTT10h", "TTP7h", "CCP1h", "CCP2h", "TTP8h", "TPP7h",
    "CPP1h", "CPP2h", "TPP8h", "PPO9h", "PPO5h", "PPO6h", "PPO10h", "POO9h", "POO3h", "POO4h",
    "POO10h", "OI1h", "OI2h",
];

/// Class names by code - 1.
const CLASSES: [&str; 4] = ["right_hand", "left_hand", "rest", "feet"];
/// Rate of the real files, Hz.
const SFREQ: usize = 500;
/// Physical range, µV.
const RANGE: (f64, f64) = (-3276.7, 3276.7);

/// Settings of the miniature of the High-Gamma Dataset.
#[derive(Debug, Clone, PartialEq)]
pub struct Hgd {
    /// Numbers of the subjects, each 1 to 14. Half of the sensors of subject 14 are flat in the
    /// second half of the test file.
    pub subjects: Vec<usize>,
    /// Trials of each of the four classes in training (about 200 in the real files).
    pub train_repeats: usize,
    /// Trials of each class in the test (40).
    pub test_repeats: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Hgd {
    fn default() -> Self {
        Self {
            subjects: vec![1, 14],
            train_repeats: 1,
            test_repeats: 1,
            seed: 0,
        }
    }
}

/// Writes the miniature in EDF to `out`, which must not exist or be empty.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn hgd(cfg: &Hgd, out: &Path) -> Result<PlantedSessions> {
    check(cfg)?;
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        for run in ["train", "test"] {
            let path = format!("{run}/{subject}.edf");
            let made = recording(cfg, path, subject, run);
            write(&made, &staging.path(&made.path)?)?;
            recordings.push(made);
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

/// Writes the miniature in MATLAB v7.3 to `out`, which must not exist or be empty: `train/1.mat`
/// and so on, each signal a variable of single precision.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn hgd_mat(cfg: &Hgd, out: &Path) -> Result<PlantedSessions> {
    check(cfg)?;
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        for run in ["train", "test"] {
            let mut made = recording(cfg, format!("{run}/{subject}.mat"), subject, run);
            for x in made.samples.iter_mut().flatten() {
                *x = f64::from(*x as f32);
            }
            // Here labels have no prefix.
            for label in &mut made.labels {
                *label = label.split(' ').next_back().unwrap_or_default().to_owned();
            }
            write_matlab(&made, &staging.path(&made.path)?)?;
            recordings.push(made);
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

fn check(cfg: &Hgd) -> Result<()> {
    if let Some(subject) = cfg.subjects.iter().find(|s| !(1..=14).contains(*s)) {
        return Err(Error::config("subjects", "1 to 14", subject));
    }
    for (field, n) in [
        ("train_repeats", cfg.train_repeats),
        ("test_repeats", cfg.test_repeats),
    ] {
        if !(1..=220).contains(&n) {
            return Err(Error::config(field, "1 to 220", n));
        }
    }
    Ok(())
}

/// What a file holds; labels have the prefixes of the EDF files.
fn recording(cfg: &Hgd, path: String, subject: usize, run: &str) -> PlantedSession {
    let test = run == "test";
    let repeats = if test {
        cfg.test_repeats
    } else {
        cfg.train_repeats
    };
    let mut order = [0, 1, 2, 3].repeat(repeats);
    let index = [subject, usize::from(test)];
    order.shuffle(&mut stream(cfg.seed, "hgd-order", &index));
    // The first trial 5 s after the start, then one each 7.5 s.
    let trials: Vec<PlantedTrial> = order
        .into_iter()
        .enumerate()
        .map(|(k, label)| {
            let start = 5 * SFREQ + 1 + k * 15 * SFREQ / 2;
            PlantedTrial {
                start,
                stop: start + 4 * SFREQ,
                label,
                rejected: false,
            }
        })
        .collect();
    let last = trials.last().map_or(0, |t| t.stop);
    let n = last.div_ceil(SFREQ) * SFREQ + 2 * SFREQ;
    let labels = labels();
    let samples = (0..labels.len())
        .map(|c| {
            let index = [subject, usize::from(test), c];
            let mut x = rhythmic(cfg.seed, "hgd", &index, n, SFREQ as f64, &trials);
            if subject == 14 && test && c % 2 == 1 {
                x[n / 2..].fill(0.0);
            }
            let digital = digitise(&x, RANGE);
            digital.iter().map(|d| physical_value(*d, RANGE)).collect()
        })
        .collect();
    PlantedSession {
        path,
        subject: subject.to_string(),
        session: None,
        run: Some(run.to_owned()),
        sfreq: SFREQ as f64,
        labels,
        runs: vec![(0, n)],
        trials,
        samples,
    }
}

fn labels() -> Vec<String> {
    let eeg = |name: &&str| format!("EEG {name}");
    let other = |name: &&str| format!("{} {name}", name.get(..3).unwrap_or(name));
    let first = FIRST.iter().map(eeg).chain(OTHERS.iter().map(other));
    first.chain(SECOND.iter().map(eeg)).collect()
}

fn write(made: &PlantedSession, path: &Path) -> Result<()> {
    let annotations: Vec<Annotation> = made
        .trials
        .iter()
        .map(|t| Annotation {
            onset: t.start as f64 / made.sfreq,
            duration: Some((t.stop - t.start) as f64 / made.sfreq),
            text: CLASSES[t.label.unsigned_abs() as usize % 4].to_owned(),
            channel: None,
        })
        .collect();
    let recording = NewRecording {
        start: Start {
            year: 2016,
            ..Start::default()
        },
        patient: &made.subject,
        recording: "mmpipe-simulate",
        signals: made
            .labels
            .iter()
            .zip(&made.samples)
            .map(|(name, samples)| NewSignal {
                name,
                unit: "uV",
                sfreq: made.sfreq,
                prefilter: "",
                transducer: "",
                physical_range: Some(RANGE),
                samples,
            })
            .collect(),
        annotations: &annotations,
    };
    edf::write(path, &recording).map_err(Error::from)
}

/// The variables of the real files that are used: `ch1` ... `ch133`, `nfo`, `mrk`.
fn write_matlab(made: &PlantedSession, path: &Path) -> Result<()> {
    let names: Vec<String> = (1..=made.samples.len()).map(|k| format!("ch{k}")).collect();
    let single = |x: &Vec<f64>| -> Vec<f32> { x.iter().map(|v| *v as f32).collect() };
    let signals = made.samples.iter().map(|x| Value::row(single(x)));
    let mut variables: Vec<(&str, Value)> = names.iter().map(String::as_str).zip(signals).collect();
    let n = made.samples.first().map_or(0, Vec::len);
    let codes: Vec<f64> = made.trials.iter().map(|t| f64::from(t.label + 1)).collect();
    let times = made.trials.iter();
    let times = times.map(|t| t.start as f64 / made.sfreq * 1000.0);
    let one_hot: Vec<f64> = made
        .trials
        .iter()
        .flat_map(|t| (0..4).map(|k| f64::from(u8::from(t.label == k))))
        .collect();
    variables.push((
        "nfo",
        Value::record([
            ("fs", Value::scalar(made.sfreq)),
            ("T", Value::scalar(n as f64)),
            ("clab", Value::texts(made.labels.iter())),
            (
                "className",
                Value::texts(["Right Hand", "Left Hand", "Rest", "Feet"]),
            ),
        ]),
    ));
    variables.push((
        "mrk",
        Value::record([
            ("time", Value::row(times.collect::<Vec<f64>>())),
            ("event", Value::record([("desc", Value::column(codes))])),
            ("y", Value::array(&[4, made.trials.len() as u64], one_hot)),
        ]),
    ));
    Ok(write_mat73(path, &variables)?)
}
