//! Miniatures of the two Graz sets as BNCI Horizon 2020 ships them: MATLAB files with a cell
//! array `data` of runs (`A01T.mat`, 001-2014) or sessions (`B01T.mat`, 004-2014).

use crate::Result;
use crate::bci_iv_2a::{self, BciIv2a};
use crate::bci_iv_2b::{self, BciIv2b};
use crate::files::Staging;
use crate::graz::SFREQ;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial};
use mmpipe_trees::write::{Value, write_mat5};
use std::path::Path;

/// Writes the recordings of [`bci_iv_2a`](crate::bci_iv_2a) as 001-2014 to `out`, which must not
/// exist or be empty. Every run is an element, the runs of the eyes first, without trials.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn bnci2014_001(cfg: &BciIv2a, out: &Path) -> Result<PlantedSessions> {
    bci_iv_2a::check(cfg)?;
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        for session in 0..2 {
            let path = format!("A{subject:02}{}.mat", ["T", "E"][session]);
            let whole = bci_iv_2a::session(cfg, path.clone(), subject, session);
            let (whole, _) = whole.planted(0);
            let runs: Vec<PlantedSession> = (0..whole.runs.len()).map(|k| run(&whole, k)).collect();
            let classes = ["left hand", "right hand", "feet", "tongue"];
            write(&staging, &path, &runs, 2 * SFREQ, &classes)?;
            recordings.extend(runs);
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

/// Writes the recordings of [`bci_iv_2b`](crate::bci_iv_2b) as 004-2014 to `out`, which must not
/// exist or be empty. Every session is an element, its blocks one after the other.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn bnci2014_004(cfg: &BciIv2b, out: &Path) -> Result<PlantedSessions> {
    bci_iv_2b::check(cfg)?;
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        for (phase, sessions) in [("T", 1..4), ("E", 4..6)] {
            let path = format!("B{subject:02}{phase}.mat");
            let parts: Vec<PlantedSession> = sessions
                .zip(1..)
                .map(|(session, k)| {
                    let made = bci_iv_2b::session(cfg, format!("{path}#{k}"), subject, session);
                    let (mut made, _) = made.planted(0);
                    made.session = Some(format!("{phase}{k}"));
                    made.runs = vec![(0, made.samples.first().map_or(0, Vec::len))];
                    made
                })
                .collect();
            write(
                &staging,
                &path,
                &parts,
                3 * SFREQ,
                &["left hand", "right hand"],
            )?;
            recordings.extend(parts);
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

/// One run of a recording as a recording of its own.
fn run(whole: &PlantedSession, k: usize) -> PlantedSession {
    let (first, last) = whole.runs[k];
    let inside = whole
        .trials
        .iter()
        .filter(|t| (first..last).contains(&t.start));
    PlantedSession {
        path: format!("{}#{}", whole.path, k + 1),
        run: Some((k + 1).to_string()),
        runs: vec![(0, last - first)],
        trials: inside
            .map(|t| PlantedTrial {
                start: t.start - first,
                stop: t.stop - first,
                ..*t
            })
            .collect(),
        samples: whole
            .samples
            .iter()
            .map(|x| x[first..last].to_vec())
            .collect(),
        subject: whole.subject.clone(),
        session: whole.session.clone(),
        sfreq: whole.sfreq,
        labels: whole.labels.clone(),
    }
}

/// Writes a file of elements whose trials start `cue` samples before the cue.
fn write(
    staging: &Staging,
    path: &str,
    elements: &[PlantedSession],
    cue: usize,
    classes: &[&str],
) -> Result<()> {
    let data = elements.iter().map(|e| {
        let n = e.samples.first().map_or(0, Vec::len) as u64;
        // MATLAB counts samples from 1.
        let starts: Vec<i32> = e
            .trials
            .iter()
            .map(|t| (t.start - cue + 1) as i32)
            .collect();
        let labels: Vec<u8> = e.trials.iter().map(|t| t.label as u8 + 1).collect();
        let rejected: Vec<u8> = e.trials.iter().map(|t| u8::from(t.rejected)).collect();
        Value::record([
            (
                "X",
                Value::array(&[n, e.samples.len() as u64], e.samples.concat()),
            ),
            ("trial", Value::column(starts)),
            ("y", Value::column(labels)),
            ("fs", Value::scalar(e.sfreq)),
            ("classes", Value::texts(classes.iter().copied())),
            ("artifacts", Value::column(rejected)),
            ("gender", Value::text("female")),
            ("age", Value::scalar(22.0)),
        ])
    });
    let data = Value::cells(data.collect::<Vec<_>>());
    Ok(write_mat5(&staging.path(path)?, &[("data", data)], true)?)
}
