//! What the miniatures of the Temple University corpora share: labels, signals and headers.

use crate::files::Staging;
use crate::grid::digitise;
use crate::noise::coloured;
use crate::planted::{PlantedChannel, PlantedRecording};
use crate::random::{stream, uniform};
use crate::{Error, Result};
use std::f64::consts::TAU;

/// The 23 electrodes of most files.
pub(crate) const ELECTRODES: [&str; 23] = [
    "FP1", "FP2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T3", "T4", "T5",
    "T6", "A1", "A2", "FZ", "CZ", "PZ", "T1", "T2",
];

/// The pairs of the TCP montage, as `.rec` and `.lab` files count them.
#[rustfmt::skip]
pub(crate) const PAIRS: [(&str, &str); 22] = [
    ("FP1", "F7"), ("F7", "T3"), ("T3", "T5"), ("T5", "O1"),
    ("FP2", "F8"), ("F8", "T4"), ("T4", "T6"), ("T6", "O2"),
    ("A1", "T3"), ("T3", "C3"), ("C3", "CZ"), ("CZ", "C4"), ("C4", "T4"), ("T4", "A2"),
    ("FP1", "F3"), ("F3", "C3"), ("C3", "P3"), ("P3", "O1"),
    ("FP2", "F4"), ("F4", "C4"), ("C4", "P4"), ("P4", "O2"),
];

/// Signals of files with an average reference that are no electrodes with a place; the three
/// trends have one sample a second.
#[rustfmt::skip]
pub(crate) const OTHERS_REF: [&str; 13] = [
    "EEG ROC-REF", "EEG LOC-REF", "EEG EKG1-REF", "EMG-REF", "EEG C3P-REF", "EEG C4P-REF",
    "EEG SP1-REF", "EEG 26-REF", "EEG 128-REF", "PHOTIC-REF", "IBI", "BURSTS", "SUPPR",
];

/// The same for linked ears.
#[rustfmt::skip]
pub(crate) const OTHERS_LE: [&str; 10] = [
    "EEG PG1-LE", "EEG PG2-LE", "EEG EKG-LE", "EEG SP2-LE", "EEG LUC-LE", "EEG RLC-LE",
    "EEG 30-LE", "PHOTIC PH", "DC1-DC", "PULSE RATE",
];

/// A rhythm added to some electrodes for some time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Burst {
    /// Electrodes, as in [`ELECTRODES`].
    pub(crate) electrodes: [&'static str; 2],
    /// s from the start of the recording.
    pub(crate) start: f64,
    /// s from the start of the recording.
    pub(crate) stop: f64,
    /// Hz.
    pub(crate) hz: f64,
}

/// One file of a corpus.
#[derive(Debug, Clone)]
pub(crate) struct File<'a> {
    pub(crate) path: String,
    pub(crate) subject: &'a str,
    pub(crate) run: &'a str,
    pub(crate) label: Option<i32>,
    pub(crate) seconds: usize,
    pub(crate) sfreq: f64,
    /// `REF` or `LE`.
    pub(crate) reference: &'a str,
    /// Electrodes that the file lacks.
    pub(crate) without: &'a [&'a str],
    /// Electrodes beside [`ELECTRODES`].
    pub(crate) with: &'a [&'a str],
    /// The rhythm of the whole recording, Hz.
    pub(crate) rhythm: f64,
    pub(crate) bursts: Vec<Burst>,
    /// The EDF patient field.
    pub(crate) patient: &'a str,
    /// The EDF start date, where it is not 01.01.00.
    pub(crate) date: Option<&'a str>,
}

/// Physical range of the electrodes in µV: a step is 0.1 µV.
const PHYSICAL: (f64, f64) = (-3276.7, 3276.7);

impl File<'_> {
    /// The signals; the order of the electrodes differs from file to file by `number`.
    pub(crate) fn recording(&self, seed: u64, number: usize) -> PlantedRecording {
        let mut names: Vec<&str> = ELECTRODES
            .iter()
            .chain(self.with)
            .copied()
            .filter(|e| !self.without.contains(e))
            .collect();
        let turn = 5 * number % names.len().max(1);
        names.rotate_left(turn);
        let others: &[&str] = match self.reference {
            "LE" => &OTHERS_LE,
            _ => &OTHERS_REF,
        };
        let electrodes = names
            .iter()
            .map(|name| (format!("EEG {name}-{}", self.reference), Some(*name)));
        let channels = electrodes
            .chain(others.iter().map(|label| ((*label).to_string(), None)))
            .enumerate()
            .map(|(c, (label, electrode))| {
                let trend = matches!(label.as_str(), "IBI" | "BURSTS" | "SUPPR");
                let sfreq = if trend { 1.0 } else { self.sfreq };
                let x = self.signal(seed, [number, c], electrode, sfreq);
                PlantedChannel {
                    unit: if trend { "" } else { "uV" }.to_string(),
                    sfreq,
                    physical: PHYSICAL,
                    samples: digitise(&x, PHYSICAL),
                    label,
                }
            })
            .collect();
        PlantedRecording {
            path: self.path.clone(),
            subject: self.subject.to_string(),
            run: self.run.to_string(),
            label: self.label,
            seconds: self.seconds,
            channels,
            annotations: Vec::new(),
        }
    }

    fn signal(
        &self,
        seed: u64,
        place: [usize; 2],
        electrode: Option<&str>,
        sfreq: f64,
    ) -> Vec<f64> {
        let mut rng = stream(seed, "tuh", &place);
        let phase = uniform(&mut rng, 0.0, 1.0);
        let n = self.seconds * sfreq as usize;
        let mut x = coloured(&mut rng, n, sfreq, 1.0, 0.5);
        for (i, v) in x.iter_mut().enumerate() {
            let t = i as f64 / sfreq;
            *v = 15.0 * *v + 10.0 * (TAU * (self.rhythm * t + phase)).sin();
            let on = |b: &&Burst| {
                b.start <= t && t < b.stop && electrode.is_some_and(|e| b.electrodes.contains(&e))
            };
            for burst in self.bursts.iter().filter(on) {
                *v += 40.0 * (TAU * burst.hz * (t - burst.start)).sin();
            }
        }
        x
    }

    /// Makes and writes the file.
    pub(crate) fn write(
        &self,
        staging: &Staging,
        seed: u64,
        number: usize,
    ) -> Result<PlantedRecording> {
        let made = self.recording(seed, number);
        let path = staging.path(&made.path)?;
        made.write(&path, "", "")?;
        // The header fields that the writer fills in by the standard and the publisher does not.
        let mut bytes = std::fs::read(&path).map_err(|e| Error::io(&path, e))?;
        put(&mut bytes, 8, 80, self.patient);
        if let Some(date) = self.date {
            put(&mut bytes, 88, 80, "");
            put(&mut bytes, 168, 8, date);
        }
        std::fs::write(&path, bytes).map_err(|e| Error::io(&path, e))?;
        Ok(made)
    }
}

/// Writes a header field, filled up with blanks.
fn put(bytes: &mut [u8], offset: usize, width: usize, text: &str) {
    let field = bytes.iter_mut().skip(offset).take(width);
    for (to, from) in field.zip(text.bytes().chain(std::iter::repeat(b' '))) {
        *to = from;
    }
}
