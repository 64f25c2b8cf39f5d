//! A miniature of BCI Competition IV data set 2a (doi:10.3389/fnins.2012.00055) in its native
//! layout: `A01T.gdf` (classes as cues), `A01E.gdf` (unknown cues) and the true labels
//! `A01E.mat`, variable `classlabel`.

use crate::files::Staging;
use crate::graz::{Block, SFREQ, Session, Timing};
use crate::random::stream;
use crate::sessions::PlantedSessions;
use crate::{Error, Result};
use mmpipe_trees::write::{Value, write_mat5};
use rand::seq::SliceRandom;
use std::path::Path;

/// Labels as in the real files: most electrodes are called `EEG` and nothing else. By position
/// they are Fz FC3 FC1 FCz FC2 FC4 C5 C3 C1 Cz C2 C4 C6 CP3 CP1 CPz CP2 CP4 P1 Pz P2 POz and
/// three electrodes of the eyes. Range in µV: the amplifier's sensitivity was 100 µV, 1 mV for
/// the eyes.
const EEG: (f64, f64) = (-100.0, 100.0);
const EOG: (f64, f64) = (-1000.0, 1000.0);
#[rustfmt::skip]
const CHANNELS: [(&str, (f64, f64)); 25] = [
    ("EEG-Fz", EEG), ("EEG", EEG), ("EEG", EEG), ("EEG", EEG), ("EEG", EEG), ("EEG", EEG),
    ("EEG", EEG), ("EEG-C3", EEG), ("EEG", EEG), ("EEG-Cz", EEG), ("EEG", EEG), ("EEG-C4", EEG),
    ("EEG", EEG), ("EEG", EEG), ("EEG", EEG), ("EEG", EEG), ("EEG", EEG), ("EEG", EEG),
    ("EEG", EEG), ("EEG-Pz", EEG), ("EEG", EEG), ("EEG", EEG),
    ("EOG-left", EOG), ("EOG-central", EOG), ("EOG-right", EOG),
];

/// Cross at 0 s, cue at 2 s, imagery until 6 s; a trial each 8 s.
const TIMING: Timing = Timing {
    cue: 2 * SFREQ,
    stop: 6 * SFREQ,
    step: 8 * SFREQ,
    feedback: None,
};

/// Settings of the miniature of 2a.
#[derive(Debug, Clone, PartialEq)]
pub struct BciIv2a {
    /// Numbers of the subjects, each 1 to 9. Subject 4's training file has the block of eye
    /// movements alone.
    pub subjects: Vec<usize>,
    /// Runs of imagery a session (6 in the real files).
    pub runs: usize,
    /// Trials of each of the four classes in a run (12 in the real files).
    pub repeats: usize,
    /// Seconds with eyes open, eyes closed, and of eye movements (about 120, 60 and 60).
    pub eye_seconds: [usize; 3],
    /// Whether the true labels of the evaluation sessions are there.
    pub true_labels: bool,
    /// Seed.
    pub seed: u64,
}

impl Default for BciIv2a {
    fn default() -> Self {
        Self {
            subjects: vec![1, 4],
            runs: 2,
            repeats: 1,
            eye_seconds: [9, 7, 5],
            true_labels: true,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty. The second trial of every
/// run is one that the expert rejected.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn bci_iv_2a(cfg: &BciIv2a, out: &Path) -> Result<PlantedSessions> {
    check(cfg)?;
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        for (index, session) in ["T", "E"].into_iter().enumerate() {
            let name = format!("A{subject:02}");
            let path = format!("{name}{session}.gdf");
            let made = self::session(cfg, path, subject, index).write(&staging)?;
            if session == "E" && cfg.true_labels {
                let labels: Vec<u8> = made.trials.iter().map(|t| t.label as u8 + 1).collect();
                let path = staging.path(&format!("{name}{session}.mat"))?;
                write_mat5(&path, &[("classlabel", Value::column(labels))], true)?;
            }
            recordings.push(made);
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

/// What a file holds; session 0 is T, 1 is E.
pub(crate) fn session(
    cfg: &BciIv2a,
    path: String,
    subject: usize,
    session: usize,
) -> Session<'static> {
    Session {
        path,
        subject: format!("A{subject:02}"),
        session: ["T", "E"][session % 2].to_owned(),
        channels: &CHANNELS,
        blocks: blocks(cfg, subject, session),
        purpose: "bci-iv-2a",
        index: [subject, session],
        seed: cfg.seed,
    }
}

pub(crate) fn check(cfg: &BciIv2a) -> Result<()> {
    if let Some(subject) = cfg.subjects.iter().find(|s| !(1..=9).contains(*s)) {
        return Err(Error::config("subjects", "1 to 9", subject));
    }
    for (field, n) in [("runs", cfg.runs), ("repeats", cfg.repeats)] {
        if !(1..=12).contains(&n) {
            return Err(Error::config(field, "1 to 12", n));
        }
    }
    if let Some(seconds) = cfg.eye_seconds.iter().find(|s| !(1..=600).contains(*s)) {
        return Err(Error::config("eye_seconds", "1 to 600", seconds));
    }
    Ok(())
}

/// The blocks of a session: the eyes, then imagery.
fn blocks(cfg: &BciIv2a, subject: usize, session: usize) -> Vec<Block> {
    let eyes = [276, 277, 1072];
    let short = usize::from(subject == 4 && session == 0) * 2;
    let mut blocks: Vec<Block> = eyes
        .into_iter()
        .zip(cfg.eye_seconds)
        .skip(short)
        .map(|(code, seconds)| Block::eyes(seconds, &[code]))
        .collect();
    for run in 0..cfg.runs {
        let mut labels = [0, 1, 2, 3].repeat(cfg.repeats);
        labels.shuffle(&mut stream(
            cfg.seed,
            "bci-iv-2a-order",
            &[subject, session, run],
        ));
        let labels: Vec<(i32, bool)> = labels
            .into_iter()
            .enumerate()
            .map(|(k, label)| (label, k == 1))
            .collect();
        blocks.push(Block::imagery(&labels, &TIMING, session == 1));
    }
    blocks
}
