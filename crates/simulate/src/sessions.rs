//! What was planted in the miniatures of cue-paced experiments: samples in µV, the stretches
//! between gaps, and the trials with their classes.

use crate::noise::coloured;
use crate::random::{stream, uniform};
use std::f64::consts::TAU;

/// What was planted in a miniature of a cue-paced experiment.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedSessions {
    /// The recordings, by path.
    pub recordings: Vec<PlantedSession>,
}

/// One recording of a cue-paced experiment.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedSession {
    /// Path relative to the raw root; of a part of a file, `file#part`.
    pub path: String,
    /// Subject as the file name has it.
    pub subject: String,
    /// Session as the file name has it.
    pub session: Option<String>,
    /// Run, where a file is one of several or holds several.
    pub run: Option<String>,
    /// Sampling rate in Hz.
    pub sfreq: f64,
    /// Labels as written, in file order.
    pub labels: Vec<String>,
    /// First sample and sample past the last of each stretch between gaps.
    pub runs: Vec<(usize, usize)>,
    /// The trials, in order.
    pub trials: Vec<PlantedTrial>,
    /// Every sample of every channel in µV, NaN in gaps; left out of JSON for its size.
    #[serde(skip)]
    pub samples: Vec<Vec<f64>>,
}

/// One trial.
#[derive(Debug, Clone, Copy, PartialEq, serde::Serialize)]
pub struct PlantedTrial {
    /// First sample of the time that carries the class.
    pub start: usize,
    /// Sample past its last.
    pub stop: usize,
    /// Class, from 0, in the manifest's order.
    pub label: i32,
    /// Whether the publisher's expert rejected it.
    pub rejected: bool,
}

/// Noise of about 8 µV with a rhythm at 10 Hz that is stronger in some pairs of class and
/// channel, so that a classifier has something to find.
pub(crate) fn rhythmic(
    seed: u64,
    purpose: &str,
    index: &[usize],
    n: usize,
    sfreq: f64,
    trials: &[PlantedTrial],
) -> Vec<f64> {
    let mut rng = stream(seed, purpose, index);
    let phase = uniform(&mut rng, 0.0, 1.0);
    let mut x = coloured(&mut rng, n, sfreq, 1.0, 0.5);
    x.iter_mut().for_each(|v| *v *= 8.0);
    let channel = index.last().copied().unwrap_or_default();
    for trial in trials {
        let strong = channel % 4 == trial.label.unsigned_abs() as usize % 4;
        let size = if strong { 10.0 } else { 3.0 };
        let stretch = x.iter_mut().enumerate();
        for (i, v) in stretch.take(trial.stop).skip(trial.start) {
            *v += size * (TAU * (10.0 * i as f64 / sfreq + phase)).sin();
        }
    }
    x
}
