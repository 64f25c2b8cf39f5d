//! A miniature of FEIS (doi:10.5281/zenodo.3369178) in its native layout: one table a subject and
//! stage of the trial, and the prompts in the subject's own voice.

use crate::files::Staging;
use crate::hearing::{Listener, Playing};
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial};
use crate::speech::{Voice, synthesise};
use crate::{Error, Result};
use mmpipe_formats::write::wav;
use rand::seq::SliceRandom;
use std::fmt::Write as _;
use std::path::Path;

#[rustfmt::skip]
const LABELS: [&str; 14] = [
    "F3", "FC5", "AF3", "F7", "T7", "P7", "O1", "O2", "P8", "T8", "F8", "AF4", "FC6", "F4",
];
/// The prompts, in the order of the manifest's classes.
#[rustfmt::skip]
const PROMPTS: [&str; 16] = [
    "fleece", "goose", "trap", "thought", "m", "n", "ng", "f", "s", "sh", "v", "z", "zh", "p",
    "t", "k",
];
/// Name, start in s from the start of the trial, length in s.
const STAGES: [(&str, usize, usize); 5] = [
    ("stimuli", 0, 5),
    ("articulators", 5, 1),
    ("thinking", 6, 5),
    ("speaking", 11, 5),
    ("resting", 16, 5),
];
/// From one trial to the next, s.
const PERIOD: usize = 22;
/// Before the first trial, s.
const BASELINE: usize = 5;
/// Rate of the EEG, Hz.
const SFREQ: usize = 256;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// One step of the headset, µV, and the level that it adds.
const STEP: f64 = 0.512_820_512_820_513;
const LEVEL: f64 = 4200.0;
/// Strength of the response to a prompt, µV.
const RESPONSE: f64 = 6.0;

/// Settings of the miniature of FEIS.
#[derive(Debug, Clone, PartialEq)]
pub struct Feis {
    /// Numbers of the subjects, each 1 to 21. Subject 5 hears the voice of subject 4.
    pub subjects: Vec<usize>,
    /// Trials of a subject (160 in the real files).
    pub trials: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Feis {
    fn default() -> Self {
        Self {
            subjects: vec![1, 5],
            trials: 4,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty; tables are not packed. Each
/// planted recording is one table, on the clock of the experiment.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn feis(cfg: &Feis, out: &Path) -> Result<PlantedSessions> {
    if let Some(subject) = cfg.subjects.iter().find(|s| !(1..=21).contains(*s)) {
        return Err(Error::config("subjects", "1 to 21", subject));
    }
    if !(1..=160).contains(&cfg.trials) {
        return Err(Error::config("trials", "1 to 160", cfg.trials));
    }
    let staging = Staging::new(out)?;
    let listener = Listener::new(&LABELS, SFREQ as f64);
    let mut recordings = Vec::new();
    let mut voices: Vec<(usize, Vec<Vec<f32>>)> = Vec::new();
    for &subject in &cfg.subjects {
        let voice = if subject == 5 { 4 } else { subject };
        if voices.iter().all(|(v, _)| *v != voice) {
            voices.push((voice, write_voice(cfg, voice, &staging)?));
        }
        let Some((_, prompts)) = voices.iter().find(|(v, _)| *v == voice) else {
            continue;
        };
        let mut order: Vec<usize> = (0..cfg.trials).map(|k| k % PROMPTS.len()).collect();
        order.shuffle(&mut stream(cfg.seed, "feis-order", &[subject]));
        let n = (BASELINE + cfg.trials * PERIOD) * SFREQ;
        let mut eeg = listener.noise(cfg.seed, "feis", &[subject], n);
        for (k, prompt) in order.iter().enumerate() {
            let Some(sound) = prompts.get(*prompt) else {
                continue;
            };
            let playing = Playing {
                at: (BASELINE + k * PERIOD) as f64,
                from: 0.0,
                seconds: 5.0,
                rate: 1.0,
            };
            let response = listener.hear(sound, f64::from(AUDIO));
            listener.add(&mut eeg, &response, playing, RESPONSE);
        }
        // As the files have it: ten decimals of whole steps.
        for x in eeg.iter_mut().flatten() {
            *x = ((LEVEL + *x) / STEP).round() * STEP;
            *x = (*x * 1e10).round() / 1e10;
        }
        for (stage, from, seconds) in STAGES {
            let made = session(subject, stage, (from, seconds), &order, &eeg);
            staging.write(&made.path, table(&made, stage, &order))?;
            recordings.push(made);
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

/// The 16 prompts of a voice: 1 s each, and five times over, which is what is heard.
fn write_voice(cfg: &Feis, voice: usize, staging: &Staging) -> Result<Vec<Vec<f32>>> {
    let talkers = Voice::pair();
    let talker = &talkers[voice % 2];
    let mut heard = Vec::new();
    for (k, prompt) in PROMPTS.iter().enumerate() {
        let mut rng = stream(cfg.seed, "feis-prompt", &[voice, k]);
        let once = synthesise(&mut rng, talker, 1.0, f64::from(AUDIO));
        let five = once.repeat(5);
        for (folder, sound) in [("wavs", &once), ("combined_wavs", &five)] {
            let path = staging.path(&format!("data_wav/{voice:02}/{folder}/{prompt}.wav"))?;
            wav::write(&path, AUDIO, &[sound], wav::Sample::Pcm16)?;
        }
        heard.push(five);
    }
    Ok(heard)
}

fn session(
    subject: usize,
    stage: &str,
    (from, seconds): (usize, usize),
    order: &[usize],
    eeg: &[Vec<f64>],
) -> PlantedSession {
    let trials: Vec<PlantedTrial> = order
        .iter()
        .enumerate()
        .map(|(k, prompt)| {
            let start = (BASELINE + k * PERIOD + from) * SFREQ;
            PlantedTrial {
                start,
                stop: start + seconds * SFREQ,
                label: *prompt as i32,
                rejected: false,
            }
        })
        .collect();
    PlantedSession {
        path: format!("data_eeg/{subject:02}/{stage}.csv"),
        subject: format!("{subject:02}"),
        session: None,
        run: Some(stage.to_owned()),
        sfreq: SFREQ as f64,
        labels: LABELS.iter().map(|l| (*l).to_owned()).collect(),
        runs: trials.iter().map(|t| (t.start, t.stop)).collect(),
        trials,
        samples: eeg.to_vec(),
    }
}

fn table(made: &PlantedSession, stage: &str, order: &[usize]) -> String {
    let mut out = format!("Time:256Hz,Epoch,{},Label,Stage,Flag\r\n", LABELS.join(","));
    for ((epoch, trial), prompt) in made.trials.iter().enumerate().zip(order) {
        for at in trial.start..trial.stop {
            let cells: String = made
                .samples
                .iter()
                .filter_map(|x| Some(format!("{:.10},", x.get(at)?)))
                .collect();
            // Writing to a String cannot fail.
            let _ = write!(
                out,
                "{},{epoch},{cells}{},{stage},\r\n",
                at as f64 / made.sfreq,
                PROMPTS[*prompt]
            );
        }
    }
    out
}
