//! Small recordings whose every digital sample is known, so that a reader can be held against
//! them value by value.

use crate::grid::{LIMIT, physical_value};
use crate::{Error, Result};
use mmpipe_formats::Annotation;
use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf};
use std::path::Path;

/// What was planted in a miniature corpus.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedCorpus {
    /// The recordings, by path.
    pub recordings: Vec<PlantedRecording>,
}

/// One recording of a miniature corpus.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedRecording {
    /// Path relative to the raw root.
    pub path: String,
    /// Subject label as in the file name.
    pub subject: String,
    /// Run as in the file name (`1`, `2` for EEGMat; `03` ... for EEGMMIDB).
    pub run: String,
    /// Class of the whole recording, where it has one: 0 rest, 1 arithmetic (EEGMat).
    pub label: Option<i32>,
    /// Length in seconds.
    pub seconds: usize,
    /// The signals in file order, annotation signal left out.
    pub channels: Vec<PlantedChannel>,
    /// Annotations: onset in s, duration in s, text.
    pub annotations: Vec<(f64, f64, String)>,
}

/// One signal of a planted recording.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedChannel {
    /// Label as written.
    pub label: String,
    /// Unit as written (`uV`, `mV`).
    pub unit: String,
    /// Sampling rate in Hz.
    pub sfreq: f64,
    /// Physical minimum and maximum, in `unit`.
    pub physical: (f64, f64),
    /// Every sample as stored; left out of JSON for its size.
    #[serde(skip)]
    pub samples: Vec<i16>,
}

impl PlantedChannel {
    /// Digital minimum and maximum of the file.
    pub fn digital(&self) -> (i16, i16) {
        (-LIMIT, LIMIT)
    }

    /// A sample in `unit`, by the formula of the EDF standard; `None` past the end.
    pub fn physical_value(&self, index: usize) -> Option<f64> {
        self.samples
            .get(index)
            .map(|d| physical_value(*d, self.physical))
    }
}

impl PlantedRecording {
    /// Writes the recording as EDF+C.
    pub(crate) fn write(&self, path: &Path, equipment: &str, prefilter: &str) -> Result<()> {
        let samples: Vec<Vec<f64>> = self
            .channels
            .iter()
            .map(|c| {
                c.samples
                    .iter()
                    .map(|d| physical_value(*d, c.physical))
                    .collect()
            })
            .collect();
        let annotations: Vec<Annotation> = self
            .annotations
            .iter()
            .map(|(onset, duration, text)| Annotation {
                onset: *onset,
                duration: Some(*duration),
                text: text.clone(),
                channel: None,
            })
            .collect();
        let recording = NewRecording {
            start: Start::default(),
            patient: &self.subject,
            recording: equipment,
            signals: self
                .channels
                .iter()
                .zip(&samples)
                .map(|(c, samples)| NewSignal {
                    name: &c.label,
                    unit: &c.unit,
                    sfreq: c.sfreq,
                    prefilter,
                    transducer: equipment,
                    physical_range: Some(c.physical),
                    samples,
                })
                .collect(),
            annotations: &annotations,
        };
        edf::write(path, &recording).map_err(Error::from)
    }
}
