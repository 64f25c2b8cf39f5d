//! A miniature of EEGMat (rest `_1`, mental arithmetic `_2`; doi:10.13026/C2JQ1P) in its native
//! layout: `SubjectNN_R.edf` and `subject-info.csv`.

use crate::files::Staging;
use crate::grid::digitise;
use crate::noise::coloured;
use crate::planted::{PlantedChannel, PlantedCorpus, PlantedRecording};
use crate::random::{stream, uniform};
use crate::{Error, Result};
use std::f64::consts::TAU;
use std::path::Path;

/// Labels as in the real files. The first 19 are scalp electrodes; `A2-A1` is a difference of the
/// ears and the last one the heart.
const LABELS: [&str; 21] = [
    "EEG Fp1",
    "EEG Fp2",
    "EEG F3",
    "EEG F4",
    "EEG F7",
    "EEG F8",
    "EEG T3",
    "EEG T4",
    "EEG C3",
    "EEG C4",
    "EEG T5",
    "EEG T6",
    "EEG P3",
    "EEG P4",
    "EEG O1",
    "EEG O2",
    "EEG Fz",
    "EEG Cz",
    "EEG Pz",
    "EEG A2-A1",
    "ECG ECG",
];

/// Settings of the EEGMat miniature.
#[derive(Debug, Clone, PartialEq)]
pub struct EegMat {
    /// Subjects, 1 to 36.
    pub subjects: usize,
    /// Length of the rest recording in seconds.
    pub rest_seconds: usize,
    /// Length of the arithmetic recording in seconds.
    pub task_seconds: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for EegMat {
    fn default() -> Self {
        Self {
            subjects: 3,
            rest_seconds: 13,
            task_seconds: 8,
            seed: 0,
        }
    }
}

/// Rate of the real files, Hz.
const SFREQ: f64 = 500.0;

/// Writes the miniature to `out`, which must not exist or be empty. Rest has a strong rhythm at
/// 10 Hz, arithmetic a weak one, so that a classifier has something to find.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn eegmat(cfg: &EegMat, out: &Path) -> Result<PlantedCorpus> {
    if !(1..=36).contains(&cfg.subjects) {
        return Err(Error::config("subjects", "1 to 36", cfg.subjects));
    }
    for (field, n) in [
        ("rest_seconds", cfg.rest_seconds),
        ("task_seconds", cfg.task_seconds),
    ] {
        if !(1..=600).contains(&n) {
            return Err(Error::config(field, "1 to 600", n));
        }
    }
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    let mut info =
        String::from("Subject,Age,Gender,Recording year,Number of subtractions,Count quality\n");
    for index in 0..cfg.subjects {
        let subject = format!("Subject{index:02}");
        let mut rng = stream(cfg.seed, "eegmat-info", &[index]);
        let age = uniform(&mut rng, 16.0, 27.0) as u32;
        let count = (uniform(&mut rng, 4.0, 35.0) * 100.0).round() / 100.0;
        let gender = if index % 4 == 3 { "M" } else { "F" };
        info.push_str(&format!(
            "{subject},{age},{gender},2011,{count},{}\n",
            i32::from(count > 10.0)
        ));
        for (run, seconds) in [(1, cfg.rest_seconds), (2, cfg.task_seconds)] {
            let made = recording(cfg, index, &subject, run, seconds);
            made.write(
                &staging.path(&made.path)?,
                "mmpipe-simulate",
                "HP:0.5Hz LP:45Hz N:50Hz",
            )?;
            recordings.push(made);
        }
    }
    staging.write("subject-info.csv", info)?;
    staging.commit()?;
    Ok(PlantedCorpus { recordings })
}

fn recording(
    cfg: &EegMat,
    index: usize,
    subject: &str,
    run: usize,
    seconds: usize,
) -> PlantedRecording {
    let n = seconds * SFREQ as usize;
    let alpha = if run == 1 { 12.0 } else { 4.0 };
    let channels = LABELS
        .iter()
        .enumerate()
        .map(|(c, label)| {
            let mut rng = stream(cfg.seed, "eegmat", &[index, run, c]);
            let (unit, physical, size) = if *label == "ECG ECG" {
                ("mV", (-3.0, 3.0), 0.02)
            } else {
                ("uV", (-120.5, 131.25), 1.0)
            };
            let phase = uniform(&mut rng, 0.0, 1.0);
            let mut x = coloured(&mut rng, n, SFREQ, 1.0, 0.5);
            for (i, v) in x.iter_mut().enumerate() {
                let t = i as f64 / SFREQ;
                *v = size * (8.0 * *v + alpha * (TAU * (10.0 * t + phase)).sin());
            }
            PlantedChannel {
                label: (*label).to_string(),
                unit: unit.to_string(),
                sfreq: SFREQ,
                physical,
                samples: digitise(&x, physical),
            }
        })
        .collect();
    PlantedRecording {
        path: format!("{subject}_{run}.edf"),
        subject: subject.to_string(),
        run: run.to_string(),
        label: Some(run as i32 - 1),
        seconds,
        channels,
        annotations: Vec::new(),
    }
}
