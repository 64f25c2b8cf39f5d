//! A miniature of Zenodo 4518754 (doi:10.5281/zenodo.4518754) in its native layout: Curry 7 files of
//! 256 channels, two talkers, a trigger each 10 s.

mod labels;

use crate::files::Staging;
use crate::hearing::{Listener, Playing};
use crate::packed::tar_gz;
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial};
use crate::speech::{Voice, synthesise};
use crate::{Error, Result};
use labels::SCALP;
use mmpipe_formats::write::wav;
use std::fmt::Write as _;
use std::path::Path;

/// Of the files: part, side, and the track attended by the one loader that says which.
const FILES: [(usize, char, usize); 4] = [(1, 'L', 2), (1, 'R', 1), (2, 'L', 1), (2, 'R', 2)];
/// Channels of noise; an electrode mixes two of them.
const SOURCES: usize = 16;
/// First trigger and time from one to the next, s; the sound starts with the first.
const FIRST: f64 = 1.5;
const PERIOD: f64 = 10.0;
/// Triggers of a file (about 43 in the real ones), and what is recorded after the last, s.
const TRIGGERS: usize = 2;
const AFTER: f64 = 11.0;
/// Length of a sound in s: less than the triggers promise.
const SECONDS: f64 = 16.0;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// Strength of the responses to the attended and to the other talker, µV.
const ATTENDED: f64 = 8.0;
const IGNORED: f64 = 1.0;
/// The level of the trigger channel between pulses.
const LEVEL: f32 = 1_200_002.0;

/// Settings of the miniature of Zenodo 4518754.
#[derive(Debug, Clone, PartialEq)]
pub struct Aad255 {
    /// Numbers of the subjects, each 0 to 29.
    pub subjects: Vec<usize>,
    /// Rate of the EEG, Hz (1000 in the real files).
    pub sfreq: usize,
    /// Whether the samples of a channel lie together, as `DataSampOrder = CHAN` has it.
    pub blocked: bool,
    /// Whether the brain answers to the track that the loader calls ignored.
    pub exchanged: bool,
    /// Whether each subject is an archive, `S0.tar.gz` with `S0/S0/...` in it, as published.
    pub packed: bool,
    /// Seed.
    pub seed: u64,
}

impl Default for Aad255 {
    fn default() -> Self {
        Self {
            subjects: vec![0],
            sfreq: 250,
            blocked: false,
            exchanged: false,
            packed: false,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty. The trial of
/// a planted recording goes from the first trigger to the end of the sound; its class is the side.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn zenodo_4518754(cfg: &Aad255, out: &Path) -> Result<PlantedSessions> {
    if let Some(subject) = cfg.subjects.iter().find(|s| **s > 29) {
        return Err(Error::config("subjects", "0 to 29", subject));
    }
    if !(100..=2000).contains(&cfg.sfreq) {
        return Err(Error::config("sfreq", "100 to 2000 Hz", cfg.sfreq));
    }
    let staging = Staging::new(out)?;
    let listener = Listener::new(&SCALP, cfg.sfreq as f64);
    let mut responses = Vec::new();
    for (part, track) in [(1, 1), (1, 2), (2, 1), (2, 2)] {
        let mut rng = stream(cfg.seed, "aad255-track", &[part, track]);
        let voice = &Voice::pair()[track - 1];
        let sound = synthesise(&mut rng, voice, SECONDS, f64::from(AUDIO));
        let path = staging.path(&format!("stimuli/part{part}_track{track}_dry.wav"))?;
        wav::write(&path, AUDIO, &[&sound], wav::Sample::Pcm16)?;
        responses.push(((part, track), listener.hear(&sound, f64::from(AUDIO))));
    }
    staging.write("misc/eeg255ch_locs.csv", "Channel Name,Theta,Phi\nCz,0,0\n")?;
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        let mut members = Vec::new();
        for (file, (part, side, attended)) in FILES.into_iter().enumerate() {
            let mut eeg = noise(cfg, &[subject, file]);
            for ((of, track), response) in &responses {
                let uv = if (*track == attended) == cfg.exchanged {
                    IGNORED
                } else {
                    ATTENDED
                };
                let playing = Playing {
                    at: FIRST,
                    from: 0.0,
                    seconds: SECONDS,
                    rate: 1.0,
                };
                if *of == part {
                    listener.add(&mut eeg, response, playing, uv);
                }
            }
            eeg.iter_mut()
                .flatten()
                .for_each(|x| *x = f64::from(*x as f32));
            let stem = format!("S{subject}/S{subject}_AAD_{part}{side}");
            members.extend(files(cfg, &stem, &eeg));
            recordings.push(planted(cfg, subject, &stem, (part, side), eeg));
        }
        if cfg.packed {
            // The archive holds a folder of its own name in a folder of its own name.
            let inner = members.into_iter();
            let inner: Vec<_> = inner
                .map(|(name, bytes)| (format!("S{subject}/{name}"), bytes))
                .collect();
            staging.write(&format!("S{subject}.tar.gz"), tar_gz(&inner))?;
        } else {
            for (name, bytes) in members {
                staging.write(&name, bytes)?;
            }
        }
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

fn planted(
    cfg: &Aad255,
    subject: usize,
    stem: &str,
    (part, side): (usize, char),
    eeg: Vec<Vec<f64>>,
) -> PlantedSession {
    let start = (FIRST * cfg.sfreq as f64).round() as usize;
    PlantedSession {
        path: format!("{stem}.dat"),
        subject: subject.to_string(),
        session: None,
        run: Some(format!("{part}{side}")),
        sfreq: cfg.sfreq as f64,
        labels: SCALP.iter().map(|l| (*l).to_owned()).collect(),
        runs: vec![(0, eeg.first().map_or(0, Vec::len))],
        trials: vec![PlantedTrial {
            start,
            stop: start + SECONDS as usize * cfg.sfreq,
            label: i32::from(side == 'R'),
            rejected: false,
        }],
        samples: eeg,
    }
}

/// Each electrode is a mixture of two of a few sources.
fn noise(cfg: &Aad255, index: &[usize]) -> Vec<Vec<f64>> {
    let seconds = FIRST + PERIOD * (TRIGGERS - 1) as f64 + AFTER;
    let n = (seconds * cfg.sfreq as f64) as usize;
    let few: Vec<&str> = SCALP.iter().take(SOURCES).copied().collect();
    let sources = Listener::new(&few, cfg.sfreq as f64).noise(cfg.seed, "aad255", index, n);
    (0..SCALP.len())
        .map(|c| {
            let (a, b) = (
                &sources[c % SOURCES],
                &sources[(c / SOURCES + 1 + c) % SOURCES],
            );
            a.iter().zip(b).map(|(a, b)| 0.8 * a + 0.6 * b).collect()
        })
        .collect()
}

/// The four files of a Curry 7 recording: 253 electrodes, two others and the triggers.
fn files(cfg: &Aad255, stem: &str, eeg: &[Vec<f64>]) -> [(String, Vec<u8>); 4] {
    let n = eeg.first().map_or(0, Vec::len);
    let other = |c: usize| move |t: usize| ((t * (c + 3)) % 17) as f32 - 8.0;
    let trigger = |t: usize| {
        // A pulse of 50 ms.
        let at = (t as f64 / cfg.sfreq as f64 - FIRST) / PERIOD;
        let on = at >= 0.0 && at < TRIGGERS as f64 && at.fract() * PERIOD < 0.05 - 1e-9;
        LEVEL + if on { 255.0 } else { 0.0 }
    };
    let value = |c: usize, t: usize| match eeg.get(c) {
        Some(x) => x.get(t).map_or(0.0, |v| *v as f32),
        None if c < SCALP.len() + 2 => other(c)(t),
        None => trigger(t),
    };
    let channels = SCALP.len() + 3;
    let mut data = Vec::with_capacity(4 * n * channels);
    if cfg.blocked {
        (0..channels).for_each(|c| data.extend((0..n).flat_map(|t| value(c, t).to_le_bytes())));
    } else {
        (0..n).for_each(|t| data.extend((0..channels).flat_map(|c| value(c, t).to_le_bytes())));
    }
    let order = if cfg.blocked { "CHAN" } else { "SAMP" };
    let mut head = format!(
        "DATA_PARAMETERS START\n   NumSamples           =  {n}\n   NumChannels          =  {channels}\n   \
         NumTrials            =  1\n   SampleFreqHz         =  {}\n   TriggerOffsetUsec    =  0\n   \
         DataFormat           =  FLOAT\n   DataSampOrder        =  {order}\n   \
         SampleTimeUsec       =  {}\n   DataByteOrder        =  INTEL\nDATA_PARAMETERS END\n\n",
        cfg.sfreq,
        1e6 / cfg.sfreq as f64,
    );
    let mut names = String::new();
    let others = ["XtraL", "XtraR", "Trigger"];
    for (group, list) in [("", &SCALP[..]), ("_OTHERS", &others[..])] {
        // Writing to a String cannot fail.
        let _ = write!(
            head,
            "DEVICE_PARAMETERS{group} START\n   DataUnit             =  uV\n   \
             NumChanThisGroup     =  {}\nDEVICE_PARAMETERS{group} END\n\n",
            list.len()
        );
        let _ = write!(
            names,
            "LABELS{group} START\n   ListNrRows           =  {}\nLABELS{group} END\n\n\
             LABELS{group} START_LIST\t# Do not edit!\n{}\nLABELS{group} END_LIST\n\n",
            list.len(),
            list.join("\n")
        );
    }
    let events = "NUMBER_LIST START_LIST\t# Do not edit!\nNUMBER_LIST END_LIST\n";
    [
        (format!("{stem}.dat"), data),
        (format!("{stem}.dap"), head.into_bytes()),
        (format!("{stem}.rs3"), names.into_bytes()),
        (format!("{stem}.ceo"), events.into()),
    ]
}
