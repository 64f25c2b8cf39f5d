//! A miniature of PME4 (doi:10.6084/m9.figshare.18737924) in its native layout: one `.npy` and one
//! wav a trial, and one table for all.

use crate::files::Staging;
use crate::hearing::{Listener, Playing};
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial};
use crate::speech::{Voice, synthesise};
use crate::{Error, Result};
use mmpipe_formats::write::wav;
use mmpipe_trees::write::{Numbers, write_npy};
use std::fmt::Write as _;
use std::path::Path;

const LABELS: [&str; 8] = ["F3", "Fz", "F4", "Cz", "P3", "Pz", "P4", "O2"];
/// In the order of the manifest's classes.
const EMOTIONS: [&str; 7] = [
    "anger", "disgust", "fear", "happy", "neutral", "sad", "surprise",
];
/// Start and stop of the speech of trials 1, 2, ... in s, then from the start: in the middle, so
/// early and so late that an interval of 3 s around it would leave the recording.
const SPEECH: [(f64, f64); 3] = [(1.25, 2.75), (0.25, 1.25), (3.5, 4.75)];
/// Rate of the EEG, Hz, and its length, s.
const SFREQ: usize = 5000;
const SECONDS: usize = 5;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// Strength of the response to the own voice, µV.
const RESPONSE: f64 = 6.0;

/// Settings of the miniature of PME4.
#[derive(Debug, Clone, PartialEq)]
pub struct Pme4 {
    /// Subjects, from 1 (11 in the real files).
    pub subjects: usize,
    /// Trials of a subject (about 350).
    pub trials: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Pme4 {
    fn default() -> Self {
        Self {
            subjects: 2,
            trials: 7,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty; nothing is packed. A planted
/// recording is a trial of 5 s; its own trial is the 3 s around the speech.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn pme4(cfg: &Pme4, out: &Path) -> Result<PlantedSessions> {
    if !(1..=11).contains(&cfg.subjects) {
        return Err(Error::config("subjects", "1 to 11", cfg.subjects));
    }
    if !(1..=359).contains(&cfg.trials) {
        return Err(Error::config("trials", "1 to 359", cfg.trials));
    }
    let staging = Staging::new(out)?;
    let listener = Listener::new(&LABELS, SFREQ as f64);
    let mut table = String::from(
        "subject,trial,emotion_num,emotion,speech_start_time,speech_stop_time,speech_duration,\
         audio_wav_filepath,raw_eeg_filepath\n",
    );
    let mut recordings = Vec::new();
    for subject in 1..=cfg.subjects {
        for trial in 1..=cfg.trials {
            let stem = format!("s{subject:02}/t{trial:03}/s{subject:02}_t{trial:03}");
            // Each subject has another order.
            let label = (trial * 2 + subject) % EMOTIONS.len();
            let speech = SPEECH[(trial - 1) % SPEECH.len()];
            let made = write_trial(
                cfg,
                &staging,
                &listener,
                &stem,
                (subject, trial),
                label,
                speech,
            )?;
            // Writing to a String cannot fail.
            let _ = writeln!(
                table,
                "{subject},{trial},{},{},{},{},{},{stem}.wav,{}",
                (label + 3) % EMOTIONS.len(),
                EMOTIONS[label],
                speech.0,
                speech.1,
                speech.1 - speech.0,
                made.path,
            );
            recordings.push(made);
        }
    }
    staging.write("PME4_dataset_configs.csv", table)?;
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

fn write_trial(
    cfg: &Pme4,
    staging: &Staging,
    listener: &Listener,
    stem: &str,
    (subject, trial): (usize, usize),
    label: usize,
    (from, to): (f64, f64),
) -> Result<PlantedSession> {
    let index = [subject, trial];
    let audio = f64::from(AUDIO);
    let voice = &Voice::pair()[subject % 2];
    let said = synthesise(
        &mut stream(cfg.seed, "pme4-voice", &index),
        voice,
        to - from,
        audio,
    );
    let mut sound = vec![0.0_f32; SECONDS * AUDIO as usize];
    let stretch = sound.iter_mut().skip((from * audio) as usize);
    stretch.zip(&said).for_each(|(y, x)| *y = *x);
    // As large as the real ones: 16 bits, both channels the same.
    let path = staging.path(&format!("{stem}.wav"))?;
    wav::write(&path, AUDIO, &[&sound, &sound], wav::Sample::Pcm16)?;

    let n = SECONDS * SFREQ;
    let mut eeg = listener.noise(cfg.seed, "pme4", &index, n);
    let playing = Playing {
        at: 0.0,
        from: 0.0,
        seconds: SECONDS as f64,
        rate: 1.0,
    };
    listener.add(&mut eeg, &listener.hear(&sound, audio), playing, RESPONSE);
    let path = format!("{stem}_raw_eeg_5kHz.npy");
    // Linear order: all channels of a sample, then the next sample.
    let linear = (0..n).flat_map(|t| eeg.iter().filter_map(move |x| x.get(t).copied()));
    let numbers = Numbers::F64(linear.collect());
    write_npy(
        &staging.path(&path)?,
        &[LABELS.len() as u64, n as u64],
        &numbers,
    )?;
    // Others of the real names hold nothing that is ingested.
    for other in ["raw_emg_5kHz", "processed_eeg_1kHz", "face_vgg16_features"] {
        staging.write(&format!("{stem}_{other}.npy"), "not opened")?;
    }

    let start = ((from + to) / 2.0 - 1.5).clamp(0.0, SECONDS as f64 - 3.0);
    let start = (start * SFREQ as f64).round() as usize;
    Ok(PlantedSession {
        path,
        subject: format!("{subject:02}"),
        session: None,
        run: Some(format!("{trial:03}")),
        sfreq: SFREQ as f64,
        labels: LABELS.iter().map(|l| (*l).to_owned()).collect(),
        runs: vec![(0, n)],
        trials: vec![PlantedTrial {
            start,
            stop: start + 3 * SFREQ,
            label: label as i32,
            rejected: false,
        }],
        samples: eeg,
    })
}
