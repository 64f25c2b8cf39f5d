//! A miniature of ESAA (doi:10.5281/zenodo.7078451) in its native layout: `S1/S1/S1.mat`, one
//! variable a channel, and `clean/Trail1.wav`, a talker a channel.
//!
//! As in the real files: some subjects are split in two files with trial numbers that go on;
//! `Markers` name the start and end of each trial, and the last one may have no end; from subject
//! 9 on the sounds come in another order and attention is the other way round.

use crate::files::Staging;
use crate::listening::{
    ATTENDED, Heard, Listener, PlantedHearing, PlantedListening, PlantedSound, Stream, UNATTENDED,
    envelope_at, speak, write_wav,
};
use crate::noise::coloured;
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedTrial};
use crate::{Error, Result};
use mmpipe_trees::write::{Value, write_mat5};
use std::path::Path;

/// Electrodes in the publisher's order.
#[rustfmt::skip]
const CHANNELS: [&str; 64] = [
    "Fp1", "Fp2", "F3", "F4", "C3", "C4", "P3", "P4", "O1", "O2", "F7", "F8", "T7", "T8", "P7",
    "P8", "Fz", "Cz", "Pz", "Oz", "FC1", "FC2", "CP1", "CP2", "FC5", "FC6", "CP5", "CP6", "TP9",
    "TP10", "POz", "F1", "F2", "C1", "C2", "P1", "P2", "AF3", "AF4", "FC3", "FC4", "CP3", "CP4",
    "PO3", "PO4", "F5", "F6", "C5", "C6", "P5", "P6", "AF7", "AF8", "FT7", "FT8", "TP7", "TP8",
    "PO7", "PO8", "FT9", "FT10", "Fpz", "CPz", "FCz",
];
/// The sound (from 1) of each trial from subject 9 on.
const ORDER: [usize; 32] = [
    24, 8, 32, 31, 7, 15, 29, 6, 12, 26, 9, 1, 5, 28, 20, 11, 30, 21, 2, 4, 10, 13, 17, 25, 14, 22,
    23, 19, 16, 27, 18, 3,
];
/// Rate of the EEG, Hz.
const SFREQ: usize = 1000;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// Samples of a trial, and between trials.
const TRIAL: (usize, usize) = (8500, 700);
/// Seconds of a sound; that of trail 22 is shorter than its trial.
const SECONDS: (f64, f64) = (8.7, 5.0);

/// A file of the miniature and the numbers of its trials.
struct File {
    subject: usize,
    path: &'static str,
    trials: &'static [usize],
}

/// Subjects with their own oddities, few trials each.
const FILES: [File; 5] = [
    File {
        subject: 1,
        path: "S1/S1/S1.mat",
        trials: &[1, 4, 5, 6],
    },
    File {
        subject: 4,
        path: "S4/S4/S4_1.mat",
        trials: &[20, 21],
    },
    File {
        subject: 4,
        path: "S4/S4/S4_2.mat",
        trials: &[22, 23],
    },
    File {
        subject: 8,
        path: "S8/S8.mat",
        trials: &[24, 25],
    },
    File {
        subject: 10,
        path: "S10/S10/S10.mat",
        trials: &[1, 2, 20],
    },
];

/// Trials of those above whose answers were poor, by subject and number.
const POOR: [(usize, usize); 2] = [(1, 1), (8, 25)];

/// Settings of the miniature of ESAA.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Esaa {
    /// Seed.
    pub seed: u64,
}

/// Writes the miniature to `out`, which must not exist or be empty. The label is the side: 0 left.
/// Trials with poor answers are not among those planted: they are left out. Their sounds are.
///
/// # Errors
/// A target that is not empty, or a file system that refuses.
pub fn esaa(cfg: &Esaa, out: &Path) -> Result<PlantedListening> {
    let staging = Staging::new(out)?;
    let mut trails: Vec<usize> = FILES
        .iter()
        .flat_map(|f| f.trials.iter().map(|k| trail(f.subject, *k)))
        .collect();
    trails.sort_unstable();
    trails.dedup();
    let (mut sounds, mut envelopes) = (Vec::new(), Vec::new());
    for &trail in &trails {
        let seconds = if trail == 22 { SECONDS.1 } else { SECONDS.0 };
        let talkers = [0, 1].map(|t| speak(cfg.seed, &[trail, t], t, seconds, AUDIO));
        for folder in ["clean", "hrtf"] {
            let path = format!("{folder}/Trail{trail}.wav");
            write_wav(&staging, &path, AUDIO, &[&talkers[0], &talkers[1]])?;
        }
        for (samples, channel) in talkers.into_iter().zip(1..) {
            envelopes.push((trail, envelope_at(&samples, AUDIO, SFREQ as f64)));
            sounds.push(PlantedSound {
                stimulus: format!("clean/Trail{trail}.wav#ch{channel}"),
                sfreq: AUDIO,
                samples,
            });
        }
    }
    let names: Vec<String> = CHANNELS.iter().map(ToString::to_string).collect();
    let example = envelopes.first().map(|e| e.1.as_slice());
    let listener = Listener::new(&names, SFREQ as f64, example.unwrap_or_default());
    let mut recordings = Vec::new();
    for (number, file) in FILES.iter().enumerate() {
        let made = recording(cfg, number, file, &listener, &envelopes);
        write(&staging, &made, file)?;
        recordings.push(made);
    }
    staging.write("__MACOSX/S1/._S1.mat", "not a recording")?;
    staging.write("readme.txt", "simulated\n")?;
    staging.commit()?;
    Ok(PlantedListening { recordings, sounds })
}

/// The sound of a trial, from 1.
fn trail(subject: usize, trial: usize) -> usize {
    if subject > 8 { ORDER[trial - 1] } else { trial }
}

/// The attended side of a trial, 0 left: as the publisher's table has it.
fn direction(subject: usize, trial: usize) -> usize {
    #[rustfmt::skip]
    const TABLE: [usize; 16] = [0, 1, 0, 1, 0, 1, 0, 1, 1, 0, 1, 0, 1, 0, 1, 0];
    let direction = TABLE[(trail(subject, trial) - 1) % 16];
    if subject > 8 {
        1 - direction
    } else {
        direction
    }
}

/// First sample of trial `k` of a file.
fn start(k: usize) -> usize {
    2540 + k * (TRIAL.0 + TRIAL.1)
}

fn recording(
    cfg: &Esaa,
    number: usize,
    file: &File,
    listener: &Listener,
    envelopes: &[(usize, Vec<f64>)],
) -> PlantedHearing {
    // The last trial of a file breaks off with it, half a second early.
    let n = start(file.trials.len() - 1) + TRIAL.0 - SFREQ / 2;
    let (mut streams, mut trials) = (Vec::new(), Vec::new());
    let (mut heard, mut numbers) = (Vec::new(), Vec::new());
    for (k, &trial) in file.trials.iter().enumerate() {
        let (trail, attended) = (trail(file.subject, trial), direction(file.subject, trial));
        let (first, last) = (start(k), (start(k) + TRIAL.0).min(n));
        let pair: Vec<&Vec<f64>> = envelopes
            .iter()
            .filter(|(t, _)| *t == trail)
            .map(|(_, e)| e)
            .collect();
        let mut sounds = Vec::new();
        for channel in [attended, 1 - attended] {
            let is = channel == attended;
            streams.push(Stream {
                envelope: pair[channel],
                start: first as i64,
                within: (first, last),
                microvolts: if is { ATTENDED } else { UNATTENDED },
            });
            sounds.push(Heard {
                stimulus: format!("clean/Trail{trail}.wav#ch{}", channel + 1),
                role: if is { "attended" } else { "unattended" },
                offset: 0.0,
            });
        }
        if POOR.contains(&(file.subject, trial)) {
            continue;
        }
        let heard_until = first + pair[attended].len();
        trials.push(PlantedTrial {
            start: first,
            stop: last.min(heard_until),
            label: attended as i32,
            rejected: false,
        });
        numbers.push(trial as i32);
        heard.push(sounds);
    }
    let mut samples = listener.hear((cfg.seed, &[number]), n, SFREQ as f64, &streams);
    let mut labels: Vec<String> = CHANNELS.iter().map(ToString::to_string).collect();
    labels.push("ECG".into());
    let mut rng = stream(cfg.seed, "ecg", &[number]);
    samples.push(coloured(&mut rng, n, SFREQ as f64, 1.0, 0.5));
    for (c, x) in samples.iter_mut().enumerate() {
        // A large offset, and single precision.
        x.iter_mut()
            .for_each(|v| *v = f64::from((*v + 3000.0 - 90.0 * c as f64) as f32));
    }
    PlantedHearing {
        session: PlantedSession {
            path: file.path.to_owned(),
            subject: file.subject.to_string(),
            session: None,
            run: match file.path {
                path if path.ends_with("_1.mat") => Some("1".into()),
                path if path.ends_with("_2.mat") => Some("2".into()),
                _ => None,
            },
            sfreq: SFREQ as f64,
            labels,
            runs: vec![(0, n)],
            trials,
            samples,
        },
        numbers,
        heard,
    }
}

fn write(staging: &Staging, made: &PlantedHearing, file: &File) -> Result<()> {
    let session = &made.session;
    let mut marks = vec![(String::new(), 1)];
    for (k, trial) in file.trials.iter().enumerate() {
        // Positions count from 1.
        marks.push((format!("trail{trial}D"), start(k) - 300));
        marks.push((format!("trail{trial}S"), start(k) + 1));
        if k + 1 < file.trials.len() {
            marks.push((format!("trail{trial}E"), start(k) + TRIAL.0 + 1));
        }
    }
    let field = |name: &str, value: &dyn Fn(&(String, usize)) -> Value| {
        (name.to_owned(), marks.iter().map(value).collect::<Vec<_>>())
    };
    let fields = vec![
        field("Type", &|_| Value::text("Comment")),
        field("Description", &|m| Value::text(&m.0)),
        field("Points", &|_| Value::scalar(1.0)),
        field("Position", &|m| Value::scalar(m.1 as f64)),
    ];
    let single = |x: &Vec<f64>| Value::column(x.iter().map(|v| *v as f32).collect::<Vec<_>>());
    let signals = session.samples.iter().map(single);
    let mut variables: Vec<(&str, Value)> = session
        .labels
        .iter()
        .map(String::as_str)
        .zip(signals)
        .collect();
    variables.extend([
        ("SampleRate", Value::scalar(session.sfreq)),
        ("ChannelCount", Value::scalar(session.labels.len() as f64)),
        ("MarkerCount", Value::scalar(marks.len() as f64)),
        (
            "Markers",
            Value::Struct(vec![1, marks.len() as u64], fields),
        ),
    ]);
    write_mat5(&staging.path(&session.path)?, &variables, true).map_err(Error::from)
}
