//! A miniature of the DTU corpus of auditory attention (doi:10.5281/zenodo.1199011) in its native
//! layout: `EEG/S1.mat` with the struct `data`, `AUDIO/aske_story1_trial_1.wav` and so on.
//!
//! The MATLAB table `expinfo` of the real files lies beside each as `EEG/expinfo_S1.mat`, a struct
//! array `data`, as one reader of the corpus converted it: this crate writes no tables. Which
//! values mark the end of a trial and a trial of one talker is not known; they are made up.

use crate::files::Staging;
use crate::kul::BIOSEMI64;
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

/// Rate of the EEG, Hz.
const SFREQ: usize = 512;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// Two-talker trials of a subject.
const PAIRS: usize = 8;
/// Rows of the table (from 0) with one talker.
const SINGLES: [usize; 2] = [3, 7];
/// Seconds of a trial (50 in the real files).
const SECONDS: usize = 4;
/// The offset comes some samples before the end of the trial (up to 10 ms in the real files).
const EARLY: usize = 3;
/// The story that is shorter than its trial, and its seconds.
const SHORT: (usize, f64) = (5, 3.1);

/// Settings of the miniature of DTU.
#[derive(Debug, Clone, PartialEq)]
pub struct Dtu {
    /// Number of subjects, 1 to 18, each with eight trials of two talkers and two of one.
    pub subjects: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Dtu {
    fn default() -> Self {
        Self {
            subjects: 2,
            seed: 0,
        }
    }
}

/// A row of `expinfo`.
struct Row {
    /// Story of the man and of the woman, from 0; `None` is the one talker of `dss.wav`.
    stories: Option<[usize; 2]>,
    /// 0 the man, 1 the woman.
    attended: usize,
    left: bool,
}

/// Writes the miniature to `out`, which must not exist or be empty. The label is the side: 0 left.
/// Trials of one talker are not among those planted: they are left out.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn dtu(cfg: &Dtu, out: &Path) -> Result<PlantedListening> {
    if !(1..=18).contains(&cfg.subjects) {
        return Err(Error::config("subjects", "1 to 18", cfg.subjects));
    }
    let staging = Staging::new(out)?;
    let (mut sounds, mut envelopes) = (Vec::new(), Vec::new());
    for story in 0..PAIRS {
        for talker in 0..2 {
            let short = (talker, story) == (1, SHORT.0);
            let seconds = if short { SHORT.1 } else { SECONDS as f64 + 0.2 };
            let samples = speak(cfg.seed, &[story, talker], talker, seconds, AUDIO);
            let stimulus = format!("AUDIO/{}", file(story, talker));
            write_wav(&staging, &stimulus, AUDIO, &[&samples])?;
            envelopes.push(envelope_at(&samples, AUDIO, SFREQ as f64));
            sounds.push(PlantedSound {
                stimulus,
                sfreq: AUDIO,
                samples,
            });
        }
    }
    let alone = speak(cfg.seed, &[PAIRS, 0], 0, 1.0, AUDIO);
    write_wav(&staging, "AUDIO/dss.wav", AUDIO, &[&alone])?;
    let names: Vec<String> = BIOSEMI64.iter().map(ToString::to_string).collect();
    let listener = Listener::new(&names, SFREQ as f64, &envelopes[0]);
    let mut recordings = Vec::new();
    for subject in 0..cfg.subjects {
        let rows = rows(subject);
        let made = recording(cfg, subject, &rows, &listener, &envelopes);
        write(&staging, &made, &rows)?;
        recordings.push(made);
    }
    staging.commit()?;
    Ok(PlantedListening { recordings, sounds })
}

/// The design: stories in other pairs for every subject, sides and talkers balanced.
fn rows(subject: usize) -> Vec<Row> {
    let mut pair = 0;
    (0..PAIRS + SINGLES.len())
        .map(|row| {
            if SINGLES.contains(&row) {
                return Row {
                    stories: None,
                    attended: 0,
                    left: true,
                };
            }
            let k = pair;
            pair += 1;
            Row {
                stories: Some([k, (k + subject) % PAIRS]),
                attended: k % 2,
                left: (k / 2 + subject).is_multiple_of(2),
            }
        })
        .collect()
}

fn file(story: usize, talker: usize) -> String {
    let name = ["aske", "marianne"][talker % 2];
    format!("{name}_story{}_trial_{}.wav", 1 + story / 4, 1 + story % 4)
}

/// First sample of a row's trial.
fn onset(row: usize) -> usize {
    SFREQ / 2 + 101 + row * (SECONDS * SFREQ + SFREQ / 2)
}

fn recording(
    cfg: &Dtu,
    subject: usize,
    rows: &[Row],
    listener: &Listener,
    envelopes: &[Vec<f64>],
) -> PlantedHearing {
    let n = onset(rows.len()) + SFREQ;
    let (mut streams, mut trials) = (Vec::new(), Vec::new());
    let (mut heard, mut numbers) = (Vec::new(), Vec::new());
    for (number, row) in rows.iter().enumerate() {
        let Some(stories) = row.stories else { continue };
        let start = onset(number);
        let mut stop = start + SECONDS * SFREQ;
        let mut sounds = Vec::new();
        for talker in [row.attended, 1 - row.attended] {
            let attended = talker == row.attended;
            streams.push(Stream {
                envelope: &envelopes[2 * stories[talker] + talker],
                start: start as i64,
                within: (start, stop),
                microvolts: if attended { ATTENDED } else { UNATTENDED },
            });
            sounds.push(Heard {
                stimulus: format!("AUDIO/{}", file(stories[talker], talker)),
                role: if attended { "attended" } else { "unattended" },
                offset: 0.0,
            });
        }
        if stories[1] == SHORT.0 {
            stop = start + (SHORT.1 * SFREQ as f64) as usize;
        }
        trials.push(PlantedTrial {
            start,
            stop,
            label: i32::from(!row.left),
            rejected: false,
        });
        numbers.push(number as i32 + 1);
        heard.push(sounds);
    }
    let place = (cfg.seed, [subject]);
    let mut samples = listener.hear((place.0, &place.1), n, SFREQ as f64, &streams);
    // An unreferenced amplifier: every channel has an offset of its own.
    for (c, x) in samples.iter_mut().enumerate() {
        x.iter_mut().for_each(|v| *v += 1000.0 + 37.0 * c as f64);
    }
    let mut labels: Vec<String> = BIOSEMI64.iter().map(ToString::to_string).collect();
    for k in 1..=8 {
        labels.push(format!("EXG{k}"));
        let mut rng = stream(cfg.seed, "exg", &[subject, k]);
        let noise = coloured(&mut rng, n, SFREQ as f64, 1.0, 0.5);
        samples.push(noise.iter().map(|v| 15.0 * v).collect());
    }
    labels.push("Status".into());
    samples.push(vec![0.0; n]);
    PlantedHearing {
        session: PlantedSession {
            path: format!("EEG/S{}.mat", subject + 1),
            subject: (subject + 1).to_string(),
            session: None,
            run: None,
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

fn write(staging: &Staging, made: &PlantedHearing, rows: &[Row]) -> Result<()> {
    let session = &made.session;
    let (n, channels) = (session.runs[0].1 as u64, session.labels.len() as u64);
    // MATLAB counts samples from 1; onsets and offsets alternate.
    let (mut samples, mut values) = (Vec::new(), Vec::new());
    for (number, row) in rows.iter().enumerate() {
        let start = onset(number) + 1;
        samples.extend([start, start + SECONDS * SFREQ - EARLY].map(|s| s as f64));
        values.extend([code(row), 9.0].map(Value::scalar));
    }
    let eeg = |value| Value::record([("eeg", value)]);
    let data = Value::record([
        (
            "dim",
            Value::record([(
                "chan",
                eeg(Value::cells([Value::texts(session.labels.iter())])),
            )]),
        ),
        (
            "event",
            Value::record([(
                "eeg",
                Value::record([
                    ("sample", Value::column(samples)),
                    ("value", Value::Cell(vec![values.len() as u64, 1], values)),
                ]),
            )]),
        ),
        ("fsample", eeg(Value::scalar(session.sfreq))),
        (
            "eeg",
            Value::cells([Value::array(&[n, channels], session.samples.concat())]),
        ),
    ]);
    write_mat5(&staging.path(&session.path)?, &[("data", data)], true)?;

    let column = |name: &str, value: &dyn Fn(&Row) -> Value| {
        (name.to_owned(), rows.iter().map(value).collect::<Vec<_>>())
    };
    let story = |row: &Row, talker: usize| match row.stories {
        Some(stories) => Value::text(file(stories[talker], talker)),
        None => Value::text(if talker == 0 { "dss.wav" } else { "" }),
    };
    let number = |x: usize| Value::scalar(x as f64);
    let fields = vec![
        column("attend_mf", &|r| number(1 + r.attended)),
        column("attend_lr", &|r| number(if r.left { 1 } else { 2 })),
        column("acoustic_condition", &|r| {
            number(r.stories.map_or(1, |s| 1 + s[0] % 3))
        }),
        column("n_speakers", &|r| number(r.stories.map_or(1, |s| s.len()))),
        column("wavfile_male", &|r| story(r, 0)),
        column("wavfile_female", &|r| story(r, 1)),
        column("trigger", &|r| Value::scalar(code(r))),
    ];
    let table = Value::Struct(vec![rows.len() as u64, 1], fields);
    let path = format!("EEG/expinfo_S{}.mat", session.subject);
    write_mat5(&staging.path(&path)?, &[("data", table)], true)?;
    Ok(())
}

/// The value of a trial's onset: the attended talker, or another for one talker.
fn code(row: &Row) -> f64 {
    match row.stories {
        Some(_) => 1.0 + row.attended as f64,
        None => 4.0,
    }
}
