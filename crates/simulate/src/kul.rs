//! A miniature of the KUL corpus of auditory attention (doi:10.5281/zenodo.4004271) in its native
//! layout: `S1.mat`, a cell array of trials, and `stimuli/part1_track1_dry.wav` and so on.
//!
//! As in the real files: sounds last longer than the EEG; experiment 1 attends track 1 and
//! experiment 2 track 2 of the same four parts; experiment 3 repeats the start of each part three
//! times from `rep_` files; a trial names the sounds of the left and of the right ear.

use crate::files::Staging;
use crate::listening::{
    ATTENDED, Heard, Listener, PlantedHearing, PlantedListening, PlantedSound, Stream, UNATTENDED,
    as_stored, envelope_at, speak, write_wav,
};
use crate::sessions::{PlantedSession, PlantedTrial};
use crate::{Error, Result};
use mmpipe_trees::write::{Value, write_mat5};
use std::path::Path;

/// Electrodes of the BioSemi cap in file order.
#[rustfmt::skip]
pub(crate) const BIOSEMI64: [&str; 64] = [
    "Fp1", "AF7", "AF3", "F1", "F3", "F5", "F7", "FT7", "FC5", "FC3", "FC1", "C1", "C3", "C5",
    "T7", "TP7", "CP5", "CP3", "CP1", "P1", "P3", "P5", "P7", "P9", "PO7", "PO3", "O1", "Iz", "Oz",
    "POz", "Pz", "CPz", "Fpz", "Fp2", "AF8", "AF4", "AFz", "Fz", "F2", "F4", "F6", "F8", "FT8",
    "FC6", "FC4", "FC2", "FCz", "Cz", "C2", "C4", "C6", "T8", "TP8", "CP6", "CP4", "CP2", "P2",
    "P4", "P6", "P8", "P10", "PO8", "PO4", "O2",
];
/// Rate of the EEG, Hz.
const SFREQ: usize = 128;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// Samples of EEG of the trials of parts 1 to 4.
const EEG: [usize; 4] = [1664, 1728, 1664, 1792];
/// Seconds of the sounds of parts 1 to 4; the last is much longer than its EEG.
const SOUND: [f64; 4] = [14.0, 15.326, 14.045, 21.926];
/// Samples of EEG of a repetition, and seconds of its sound.
const REPEAT: (usize, f64) = (640, 6.0);

/// Settings of the miniature of KUL.
#[derive(Debug, Clone, PartialEq)]
pub struct Kul {
    /// Number of subjects, 1 to 16, each with 20 trials.
    pub subjects: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Kul {
    fn default() -> Self {
        Self {
            subjects: 2,
            seed: 0,
        }
    }
}

/// One trial's design.
struct Trial {
    /// From 0.
    part: usize,
    /// From 0.
    attended: usize,
    left: bool,
    repetition: bool,
    hrtf: bool,
}

/// Writes the miniature to `out`, which must not exist or be empty. The label is the side: 0 left.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn kul(cfg: &Kul, out: &Path) -> Result<PlantedListening> {
    if !(1..=16).contains(&cfg.subjects) {
        return Err(Error::config("subjects", "1 to 16", cfg.subjects));
    }
    let staging = Staging::new(out)?;
    let (sounds, envelopes) = write_sounds(cfg, &staging)?;
    let names: Vec<String> = BIOSEMI64.iter().map(ToString::to_string).collect();
    let listener = Listener::new(&names, SFREQ as f64, &envelopes[0]);
    let mut recordings = Vec::new();
    for subject in 0..cfg.subjects {
        let file = format!("S{}.mat", subject + 1);
        let mut cells = Vec::new();
        for (number, trial) in design(subject).iter().enumerate() {
            let index = [subject, number];
            let made = hearing(cfg, &listener, &envelopes, &names, &file, &index, trial);
            cells.push(cell(subject, number, trial, &made));
            recordings.push(made);
        }
        let trials = Value::cells(cells);
        write_mat5(&staging.path(&file)?, &[("trials", trials)], true)?;
    }
    staging.write("README.txt.txt", "simulated\n")?;
    staging.commit()?;
    Ok(PlantedListening { recordings, sounds })
}

/// Experiments 1 (track 1), 2 (track 2) and 3 (the start of track 1, three times); the side
/// changes from trial to trial, and between subjects.
fn design(subject: usize) -> Vec<Trial> {
    (0..20)
        .map(|k| Trial {
            part: k % 4,
            attended: usize::from((4..8).contains(&k)),
            left: (k + k / 4 + subject).is_multiple_of(2),
            repetition: k >= 8,
            hrtf: (k + subject).is_multiple_of(3),
        })
        .collect()
}

/// Writes all sounds; gives the dry ones of the parts and their envelopes at the EEG's rate.
fn write_sounds(cfg: &Kul, staging: &Staging) -> Result<(Vec<PlantedSound>, Vec<Vec<f64>>)> {
    let (mut sounds, mut envelopes) = (Vec::new(), Vec::new());
    for (part, seconds) in SOUND.iter().enumerate() {
        for track in 0..2 {
            let samples = speak(cfg.seed, &[part, track], track, *seconds, AUDIO);
            let ears: Vec<f32> = samples.iter().map(|x| as_stored(0.3 * x)).collect();
            let start = (REPEAT.1 * f64::from(AUDIO)) as usize;
            for (condition, x) in [("dry", &samples), ("hrtf", &ears)] {
                let name = sound_name(part, track, condition == "hrtf");
                write_wav(staging, &format!("stimuli/{name}"), AUDIO, &[x.as_slice()])?;
                let repeat = format!("stimuli/rep_{name}");
                write_wav(staging, &repeat, AUDIO, &[&x[..start.min(x.len())]])?;
            }
            envelopes.push(envelope_at(&samples, AUDIO, SFREQ as f64));
            sounds.push(PlantedSound {
                stimulus: format!("stimuli/{}", sound_name(part, track, false)),
                sfreq: AUDIO,
                samples,
            });
        }
    }
    Ok((sounds, envelopes))
}

fn sound_name(part: usize, track: usize, hrtf: bool) -> String {
    let condition = if hrtf { "hrtf" } else { "dry" };
    format!("part{}_track{}_{condition}.wav", part + 1, track + 1)
}

fn hearing(
    cfg: &Kul,
    listener: &Listener,
    envelopes: &[Vec<f64>],
    names: &[String],
    file: &str,
    index: &[usize; 2],
    trial: &Trial,
) -> PlantedHearing {
    let n = if trial.repetition {
        REPEAT.0
    } else {
        EEG[trial.part]
    };
    let tracks = [(trial.attended, ATTENDED), (1 - trial.attended, UNATTENDED)];
    let streams = tracks.map(|(track, microvolts)| Stream {
        envelope: &envelopes[2 * trial.part + track],
        start: 0,
        within: (0, n),
        microvolts,
    });
    let heard = |track, role| Heard {
        stimulus: format!("stimuli/{}", sound_name(trial.part, track, false)),
        role,
        offset: 0.0,
    };
    let number = index[1] + 1;
    PlantedHearing {
        session: PlantedSession {
            path: format!("{file}#trial{number}"),
            subject: (index[0] + 1).to_string(),
            session: None,
            run: Some(number.to_string()),
            sfreq: SFREQ as f64,
            labels: names.to_vec(),
            runs: vec![(0, n)],
            trials: vec![PlantedTrial {
                start: 0,
                stop: n,
                label: i32::from(!trial.left),
                rejected: false,
            }],
            samples: listener.hear((cfg.seed, index), n, SFREQ as f64, &streams),
        },
        numbers: vec![number as i32],
        heard: vec![vec![
            heard(trial.attended, "attended"),
            heard(1 - trial.attended, "unattended"),
        ]],
    }
}

/// A trial as the files hold it.
fn cell(subject: usize, number: usize, trial: &Trial, made: &PlantedHearing) -> Value {
    let number_of = |x: usize| Value::scalar(x as f64);
    let n = made.session.runs[0].1 as u64;
    let channels = made.session.labels.len();
    let labels = made.session.labels.iter().map(Value::text).collect();
    let repetition = if trial.repetition { "rep_" } else { "" };
    // The track of the left ear, then that of the right one.
    let left = if trial.left {
        trial.attended
    } else {
        1 - trial.attended
    };
    let stimuli = [left, 1 - left]
        .map(|track| format!("{repetition}{}", sound_name(trial.part, track, trial.hrtf)));
    let experiment = if trial.repetition {
        3
    } else {
        1 + trial.attended
    };
    Value::record([
        (
            "RawData",
            Value::record([
                (
                    "Channels",
                    Value::row((1..=channels).map(|c| c as f64).collect::<Vec<_>>()),
                ),
                (
                    "EegData",
                    Value::array(&[n, channels as u64], made.session.samples.concat()),
                ),
            ]),
        ),
        (
            "FileHeader",
            Value::record([
                ("SampleRate", number_of(SFREQ)),
                ("ChannelCount", number_of(channels)),
                (
                    "Channels",
                    Value::Struct(vec![1, channels as u64], vec![("Label".into(), labels)]),
                ),
                ("ElectrodeCap", Value::text("BioSemi64")),
            ]),
        ),
        ("TrialID", number_of(number + 1)),
        (
            "attended_ear",
            Value::text(if trial.left { "L" } else { "R" }),
        ),
        ("attended_track", number_of(trial.attended + 1)),
        (
            "stimuli",
            Value::Cell(vec![2, 1], stimuli.map(Value::text).to_vec()),
        ),
        (
            "condition",
            Value::text(if trial.hrtf { "HRTF" } else { "dry" }),
        ),
        ("experiment", number_of(experiment)),
        (
            "part",
            number_of(if trial.repetition {
                number - 7
            } else {
                trial.part + 1
            }),
        ),
        ("repetition", Value::array(&[1, 1], vec![trial.repetition])),
        ("subject", Value::text(format!("S{}", subject + 1))),
    ])
}
