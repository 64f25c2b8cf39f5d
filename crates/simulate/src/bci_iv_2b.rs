//! A miniature of BCI Competition IV data set 2b (doi:10.1109/TNSRE.2007.906956) in its native
//! layout: `B0101T.gdf` ... `B0105E.gdf` and the true labels `B0104E.mat`, variable `classlabel`.

use crate::files::Staging;
use crate::graz::{Block, SFREQ, Session, Timing};
use crate::random::stream;
use crate::sessions::PlantedSessions;
use crate::{Error, Result};
use mmpipe_trees::write::{Value, write_mat5};
use rand::seq::SliceRandom;
use std::path::Path;

/// Labels as in the real files, and ranges in µV: half as large in the sessions with feedback.
const EOG: (f64, f64) = (-1000.0, 1000.0);
type Channels = [(&'static str, (f64, f64)); 6];
const fn channels(range: f64) -> Channels {
    [
        ("EEG:C3", (-range, range)),
        ("EEG:Cz", (-range, range)),
        ("EEG:C4", (-range, range)),
        ("EOG:ch01", EOG),
        ("EOG:ch02", EOG),
        ("EOG:ch03", EOG),
    ]
}
const WIDE: Channels = channels(100.0);
const NARROW: Channels = channels(50.0);

/// Screening: cue at 3 s, imagery until 7 s.
const SCREENING: Timing = Timing {
    cue: 3 * SFREQ,
    stop: 7 * SFREQ,
    step: 9 * SFREQ,
    feedback: None,
};
/// With feedback from 3.5 s to 7.5 s.
const FEEDBACK: Timing = Timing {
    cue: 3 * SFREQ,
    stop: 15 * SFREQ / 2,
    step: 9 * SFREQ,
    feedback: Some(7 * SFREQ / 2),
};

/// Settings of the miniature of 2b.
#[derive(Debug, Clone, PartialEq)]
pub struct BciIv2b {
    /// Numbers of the subjects, each 1 to 9. B0102T and B0504E have no block of the eyes.
    pub subjects: Vec<usize>,
    /// Runs of imagery a session (6 in screening and 4 with feedback in the real files).
    pub runs: usize,
    /// Trials of each of the two classes in a run (10 and 20).
    pub repeats: usize,
    /// Seconds of eyes open, eyes closed, and of each of four eye movements.
    pub eye_seconds: [usize; 3],
    /// Whether the true labels of the evaluation sessions are there.
    pub true_labels: bool,
    /// Seed.
    pub seed: u64,
}

impl Default for BciIv2b {
    fn default() -> Self {
        Self {
            subjects: vec![1, 5],
            runs: 2,
            repeats: 2,
            eye_seconds: [9, 7, 3],
            true_labels: true,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty. The first trial of every run
/// is one that the expert rejected.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn bci_iv_2b(cfg: &BciIv2b, out: &Path) -> Result<PlantedSessions> {
    check(cfg)?;
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        for session in 1..=5 {
            let phase = if session < 4 { "T" } else { "E" };
            let name = format!("B{subject:02}{session:02}{phase}");
            let path = format!("{name}.gdf");
            let made = self::session(cfg, path, subject, session).write(&staging)?;
            if phase == "E" && cfg.true_labels {
                let labels: Vec<u8> = made.trials.iter().map(|t| t.label as u8 + 1).collect();
                let path = staging.path(&format!("{name}.mat"))?;
                write_mat5(&path, &[("classlabel", Value::column(labels))], true)?;
            }
            recordings.push(made);
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

/// What a file holds; sessions are numbered from 1.
pub(crate) fn session(
    cfg: &BciIv2b,
    path: String,
    subject: usize,
    session: usize,
) -> Session<'static> {
    Session {
        path,
        subject: format!("B{subject:02}"),
        session: format!("{session:02}"),
        channels: if session < 3 { &WIDE } else { &NARROW },
        blocks: blocks(cfg, subject, session),
        purpose: "bci-iv-2b",
        index: [subject, session],
        seed: cfg.seed,
    }
}

pub(crate) fn check(cfg: &BciIv2b) -> Result<()> {
    if let Some(subject) = cfg.subjects.iter().find(|s| !(1..=9).contains(*s)) {
        return Err(Error::config("subjects", "1 to 9", subject));
    }
    for (field, n) in [("runs", cfg.runs), ("repeats", cfg.repeats)] {
        if !(1..=20).contains(&n) {
            return Err(Error::config(field, "1 to 20", n));
        }
    }
    if let Some(seconds) = cfg.eye_seconds.iter().find(|s| !(1..=600).contains(*s)) {
        return Err(Error::config("eye_seconds", "1 to 600", seconds));
    }
    Ok(())
}

/// The blocks of a session: the eyes, then imagery.
fn blocks(cfg: &BciIv2b, subject: usize, session: usize) -> Vec<Block> {
    let mut blocks = Vec::new();
    let [open, closed, moved] = cfg.eye_seconds;
    if !matches!((subject, session), (1, 2) | (5, 4)) {
        blocks.push(Block::eyes(open, &[276]));
        blocks.push(Block::eyes(closed, &[277]));
        blocks.push(Block::eyes(4 * moved, &[1077, 1078, 1079, 1081]));
    }
    let timing = if session < 3 { SCREENING } else { FEEDBACK };
    for run in 0..cfg.runs {
        let mut labels = [0, 1].repeat(cfg.repeats);
        let index = [subject, session, run];
        labels.shuffle(&mut stream(cfg.seed, "bci-iv-2b-order", &index));
        let labels: Vec<(i32, bool)> = labels
            .into_iter()
            .enumerate()
            .map(|(k, label)| (label, k == 0))
            .collect();
        blocks.push(Block::imagery(&labels, &timing, session > 3));
    }
    blocks
}
