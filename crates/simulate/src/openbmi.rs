//! A miniature of OpenBMI (Lee 2019, doi:10.1093/gigascience/giz002) in its native layout:
//! `session1/s1/sess01_subj01_EEG_MI.mat` and so on, each with the structs `EEG_MI_train` and
//! `EEG_MI_test`.

use crate::files::Staging;
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial, rhythmic};
use crate::{Error, Result};
use mmpipe_trees::write::{Value, write_mat5};
use rand::seq::SliceRandom;
use std::path::Path;

/// Electrodes in file order.
#[rustfmt::skip]
const CHANNELS: [&str; 62] = [
    "Fp1", "Fp2", "F7", "F3", "Fz", "F4", "F8", "FC5", "FC1", "FC2", "FC6", "T7", "C3", "Cz", "C4",
    "T8", "TP9", "CP5", "CP1", "CP2", "CP6", "TP10", "P7", "P3", "Pz", "P4", "P8", "PO9", "O1",
    "Oz", "O2", "PO10", "FC3", "FC4", "C5", "C1", "C2", "C6", "CP3", "CPz", "CP4", "P1", "P2",
    "POz", "FT9", "FTT9h", "TTP7h", "TP7", "TPP9h", "FT10", "FTT10h", "TPP8h", "TP8", "TPP10h",
    "F9", "F10", "AF7", "AF3", "AF4", "AF8", "PO3", "PO4",
];
/// Rate of the real files, Hz.
const SFREQ: usize = 1000;

/// The three experiments of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq, serde::Serialize)]
pub enum Paradigm {
    /// Motor imagery of the hands.
    Mi,
    /// A speller: flashes of which a sixth is looked for.
    Erp,
    /// Four flickering lights.
    Ssvep,
}

impl Paradigm {
    /// As in file and variable names.
    fn tag(self) -> &'static str {
        match self {
            Paradigm::Mi => "MI",
            Paradigm::Erp => "ERP",
            Paradigm::Ssvep => "SSVEP",
        }
    }

    /// Class names; the code is the index + 1.
    fn classes(self) -> &'static [&'static str] {
        match self {
            Paradigm::Mi => &["right", "left"],
            Paradigm::Erp => &["target", "nontarget"],
            Paradigm::Ssvep => &["up", "left", "right", "down"],
        }
    }

    /// Classes of one round, before they are shuffled.
    fn round(self) -> &'static [i32] {
        match self {
            Paradigm::Mi => &[0, 1],
            Paradigm::Erp => &[0, 1, 1, 1, 1, 1],
            Paradigm::Ssvep => &[0, 1, 2, 3],
        }
    }

    /// Samples from one trial to the next and after a round; length of the epoch in `smt`, and
    /// where it starts; samples that carry the class in the lake.
    fn timing(self) -> Timing {
        match self {
            Paradigm::Mi | Paradigm::Ssvep => Timing {
                step: 6 * SFREQ,
                pause: 0,
                smt: (0, 4 * SFREQ),
                labelled: 4 * SFREQ,
            },
            Paradigm::Erp => Timing {
                step: 215,
                pause: 3 * SFREQ,
                smt: (200, 800),
                labelled: 2 * SFREQ,
            },
        }
    }
}

struct Timing {
    step: usize,
    pause: usize,
    smt: (usize, usize),
    labelled: usize,
}

/// Settings of the miniature of OpenBMI.
#[derive(Debug, Clone, PartialEq)]
pub struct OpenBmi {
    /// Subjects, 1 to 54.
    pub subjects: usize,
    /// Sessions, 1 or 2.
    pub sessions: usize,
    /// The experiments that are there.
    pub paradigms: Vec<Paradigm>,
    /// Rounds of trials in each of the two parts of a file.
    pub rounds: usize,
    /// Whether the codes run backwards, as no real file's do: class names alone tell the class.
    pub codes_backwards: bool,
    /// Seed.
    pub seed: u64,
}

impl Default for OpenBmi {
    fn default() -> Self {
        Self {
            subjects: 1,
            sessions: 1,
            paradigms: vec![Paradigm::Mi, Paradigm::Erp, Paradigm::Ssvep],
            rounds: 1,
            codes_backwards: false,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn openbmi(cfg: &OpenBmi, out: &Path) -> Result<PlantedSessions> {
    for (field, n, most) in [
        ("subjects", cfg.subjects, 54),
        ("sessions", cfg.sessions, 2),
        ("rounds", cfg.rounds, 50),
    ] {
        if !(1..=most).contains(&n) {
            return Err(Error::config(field, format!("1 to {most}"), n));
        }
    }
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for session in 1..=cfg.sessions {
        for subject in 1..=cfg.subjects {
            for &paradigm in &cfg.paradigms {
                let tag = paradigm.tag();
                let path = format!(
                    "session{session}/s{subject}/sess{session:02}_subj{subject:02}_EEG_{tag}.mat"
                );
                let mut variables = Vec::new();
                for (k, run) in ["train", "test"].into_iter().enumerate() {
                    let index = [subject, session, tag.len(), k];
                    let made = part(cfg, &path, run, paradigm, index);
                    variables.push((
                        format!("EEG_{tag}_{run}"),
                        record(&made, paradigm, cfg.codes_backwards),
                    ));
                    recordings.push(made);
                }
                let variables: Vec<(&str, Value)> = variables
                    .iter()
                    .map(|(name, value)| (name.as_str(), value.clone()))
                    .collect();
                write_mat5(&staging.path(&path)?, &variables, false)?;
            }
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

/// What one of the two structs of a file holds.
fn part(
    cfg: &OpenBmi,
    path: &str,
    run: &str,
    paradigm: Paradigm,
    index: [usize; 4],
) -> PlantedSession {
    let timing = paradigm.timing();
    let mut trials = Vec::new();
    // The lead-in lasts three minutes in the real files.
    let mut at = 2 * SFREQ;
    for round in 0..cfg.rounds {
        let mut order = paradigm.round().to_vec();
        let [subject, session, tag, part] = index;
        let index = [subject, session, tag, part, round];
        order.shuffle(&mut stream(cfg.seed, "openbmi-order", &index));
        for label in order {
            trials.push(PlantedTrial {
                start: at,
                stop: at + timing.labelled,
                label,
                rejected: false,
            });
            at += timing.step;
        }
        at += timing.pause;
    }
    let n = at + timing.labelled.saturating_sub(timing.step) + SFREQ;
    let samples = (0..CHANNELS.len())
        .map(|c| {
            let [subject, session, tag, part] = index;
            let index = [subject, session, tag, part, c];
            let x = rhythmic(cfg.seed, "openbmi", &index, n, SFREQ as f64, &trials);
            // The resolution of the amplifier was 0.1 µV.
            x.into_iter().map(|v| (v * 10.0).round() / 10.0).collect()
        })
        .collect();
    PlantedSession {
        path: format!("{path}#{run}"),
        subject: format!("{:02}", index[0]),
        session: Some(format!("{:02}", index[1])),
        run: Some(run.to_owned()),
        sfreq: SFREQ as f64,
        labels: CHANNELS.map(str::to_owned).to_vec(),
        runs: vec![(0, n)],
        trials,
        samples,
    }
}

/// The struct, with the fields of the real files in their order.
fn record(made: &PlantedSession, paradigm: Paradigm, backwards: bool) -> Value {
    // By code - 1.
    let mut classes = paradigm.classes().to_vec();
    let last = classes.len() - 1;
    if backwards {
        classes.reverse();
    }
    let code = |label: i32| match label.unsigned_abs() as usize {
        label if backwards => last - label + 1,
        label => label + 1,
    };
    let (before, length) = paradigm.timing().smt;
    let trials = &made.trials;
    let (n, channels) = (made.runs[0].1, made.samples.len());
    let mut smt = Vec::with_capacity(length * trials.len() * channels);
    for x in &made.samples {
        for trial in trials {
            smt.extend_from_slice(&x[trial.start - before..trial.start - before + length]);
        }
    }
    let dims = [length as u64, trials.len() as u64, channels as u64];
    let codes: Vec<u8> = trials.iter().map(|t| code(t.label) as u8).collect();
    let name = |code: &u8| classes[usize::from(*code) - 1];
    let logic: Vec<u8> = codes
        .iter()
        .flat_map(|code| (1..=classes.len()).map(|k| u8::from(usize::from(*code) == k)))
        .collect();
    // MATLAB counts samples from 1.
    let onsets: Vec<i32> = trials.iter().map(|t| t.start as i32 + 1).collect();
    let first = -(before as f64);
    let ival: Vec<f64> = (0..length).map(|k| first + k as f64).collect();
    let columns = |n: usize| -> Vec<f64> {
        let rows = made.samples.iter();
        rows.flat_map(|x| x.iter().take(n).copied()).collect()
    };
    let class = (1..=classes.len())
        .map(|code| Value::text(code.to_string()))
        .chain(classes.iter().map(|name| Value::text(*name)))
        .collect();
    let rest = |name: &'static str| {
        let array = Value::array(&[100, channels as u64], columns(100));
        (name, array)
    };
    Value::record([
        ("smt", Value::array(&dims, smt)),
        ("x", Value::array(&[n as u64, channels as u64], columns(n))),
        ("t", Value::row(onsets)),
        ("fs", Value::row(vec![SFREQ as u16])),
        ("y_dec", Value::row(codes.clone())),
        (
            "y_logic",
            Value::array(&[classes.len() as u64, trials.len() as u64], logic),
        ),
        ("y_class", Value::texts(codes.iter().map(name))),
        ("class", Value::Cell(vec![classes.len() as u64, 2], class)),
        ("chan", Value::texts(CHANNELS)),
        ("ival", Value::row(ival)),
        (
            "time_interval",
            Value::row(vec![first, first + length as f64]),
        ),
        ("EMG", Value::array(&[n as u64, 4], vec![0.5; 4 * n])),
        ("EMG_index", Value::texts(["EMG1", "EMG2", "EMG3", "EMG4"])),
        rest("pre_rest"),
        rest("post_rest"),
    ])
}
