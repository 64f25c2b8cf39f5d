//! Miniatures of the Alice recordings (Brennan and Hale 2019, doi:10.1371/journal.pone.0207741):
//! the MATLAB files of the first release (doi:10.7302/Z29C6VNH), FieldTrip structs with the times
//! of the words beside them, and NEMAR's copy in BIDS (nm000180).
//!
//! As in the real files: electrodes are numbers without 29; a channel `AUD` or `Aux5` holds the
//! rectified sound; a subject whose first trigger is missing has every segment called by the
//! number before; one has no times at all.

mod bids;
mod fieldtrip;

use crate::Result;
use crate::files::Staging;
use crate::listening::{
    ATTENDED, Heard, Listener, PlantedHearing, PlantedListening, PlantedSound, Stream, envelope_at,
    speak, write_wav,
};
use crate::noise::coloured;
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedTrial};
use mmpipe_formats::Annotation;
use mmpipe_trees::write::{Value, write_mat5};
use serde_json::json;
use std::path::Path;

/// Rate of the EEG, Hz.
const SFREQ: usize = 500;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// Samples of EEG under each segment (12 of about a minute in the real files); the third is the
/// longest, so that a wrong number shows.
const SEGMENTS: [usize; 5] = [2600, 3760, 5010, 3110, 2240];
/// Samples between segments.
const PAUSE: usize = 40;
/// Seconds between words.
const WORD: f64 = 0.35;
/// Samples that FieldTrip's trials start before the word.
const BEFORE: f64 = 150.0;

/// Settings of the miniatures of Brennan 2018.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Brennan {
    /// Whether the file of the first subject begins 1.5 s after its first sound did.
    pub late: bool,
    /// Seed.
    pub seed: u64,
}

/// A subject and its oddities.
struct Subject {
    number: usize,
    /// Name of the channel with the sound.
    copy: Option<&'static str>,
    /// Sample at which the first segment starts.
    first: i64,
    /// Whether the first trigger is missing, with all before the second segment.
    shifted: bool,
    /// Whether there are times of words.
    timed: bool,
}

const SUBJECTS: [Subject; 4] = [
    Subject {
        number: 1,
        copy: Some("Aux5"),
        first: 1863,
        shifted: false,
        timed: true,
    },
    Subject {
        number: 5,
        copy: None,
        first: 611,
        shifted: false,
        timed: true,
    },
    Subject {
        number: 9,
        copy: Some("AUD"),
        first: 500,
        shifted: false,
        timed: false,
    },
    Subject {
        number: 26,
        copy: Some("AUD"),
        first: -2400,
        shifted: true,
        timed: true,
    },
];

/// The segments' sounds and their envelopes at the EEG's rate.
struct Sounds {
    sounds: Vec<PlantedSound>,
    envelopes: Vec<Vec<f64>>,
}

/// Writes the miniature of the first release to `out`, which must not exist or be empty.
///
/// # Errors
/// A target that is not empty, or a file system that refuses.
pub fn brennan(cfg: &Brennan, out: &Path) -> Result<PlantedListening> {
    let staging = Staging::new(out)?;
    let sounds = write_sounds(cfg, &staging, "audio")?;
    let mut recordings = Vec::new();
    for subject in &SUBJECTS {
        let name = format!("S{:02}", subject.number);
        let path = format!("{name}.mat");
        let made = recording(cfg, subject, &sounds, path, subject.timed);
        fieldtrip::write(&staging, &made)?;
        if subject.timed {
            fieldtrip::write_times(&staging, &name, &words(cfg, subject))?;
        }
        recordings.push(made);
    }
    let kept = Value::texts(["S01.mat", "S05.mat"]);
    write_mat5(&staging.path("datasets.mat")?, &[("use", kept)], true)?;
    staging.write("AliceChapterOne-EEG.csv", list_of_words())?;
    staging.commit()?;
    Ok(PlantedListening {
        recordings,
        sounds: sounds.sounds,
    })
}

/// Writes the miniature of NEMAR's copy to `out`, which must not exist or be empty.
///
/// # Errors
/// A target that is not empty, or a file system that refuses.
pub fn brennan_nemar(cfg: &Brennan, out: &Path) -> Result<PlantedListening> {
    let staging = Staging::new(out)?;
    let sounds = write_sounds(cfg, &staging, "stimuli")?;
    let mut recordings = Vec::new();
    for subject in SUBJECTS.iter().filter(|s| s.timed) {
        let name = format!("{:03}", subject.number);
        let stem = format!("sub-{name}/eeg/sub-{name}_task-alicelistening");
        let path = format!("{stem}_eeg.vhdr");
        let mut made = recording(cfg, subject, &sounds, path, true);
        made.session.subject = name;
        for x in made.session.samples.iter_mut().flatten() {
            *x = f64::from(*x as f32);
        }
        bids::write(&staging, &made)?;
        bids::write_events(&staging, &stem, &words(cfg, subject))?;
        recordings.push(made);
    }
    let people = SUBJECTS.iter().filter(|s| s.timed).map(|s| {
        let analyzed = if s.shifted { "no" } else { "yes" };
        vec![format!("sub-{:03}", s.number), analyzed.into()]
    });
    let columns = ["participant_id", "analyzed"];
    staging.tsv("participants.tsv", &columns, &people.collect::<Vec<_>>())?;
    let about = json!({ "Name": "simulated", "BIDSVersion": "1.9.0", "License": "CC-BY-4.0" });
    staging.json("dataset_description.json", &about)?;
    staging.write("sourcedata/AliceChapterOne-EEG.csv", list_of_words())?;
    staging.commit()?;
    Ok(PlantedListening {
        recordings,
        sounds: sounds.sounds,
    })
}

/// Writes the miniature of the second release to `out`, which must not exist or be empty: the
/// recordings as the amplifier wrote them, `S01.vhdr`, with a marker a segment. The sound starts
/// 60 ms after the first marker and 50 ms after the others, as one reader of the files found.
///
/// # Errors
/// A target that is not empty, or a file system that refuses.
pub fn brennan_v2(cfg: &Brennan, out: &Path) -> Result<PlantedListening> {
    let staging = Staging::new(out)?;
    let sounds = write_sounds(cfg, &staging, "audio")?;
    let mut recordings = Vec::new();
    for subject in &SUBJECTS {
        let path = format!("S{:02}.vhdr", subject.number);
        let mut made = recording(cfg, subject, &sounds, path, true);
        for x in made.session.samples.iter_mut().flatten() {
            *x = f64::from(*x as f32);
        }
        let pairs = made.numbers.iter().zip(&made.session.trials);
        let marks = pairs.map(|(number, trial)| {
            let delay = if *number == 1 { 0.06 } else { 0.05 };
            // Both spellings are in the real files.
            let text = match subject.number {
                1 => format!("Stimulus/S{number:>3}"),
                _ => format!("Stimulus/{number}"),
            };
            Annotation {
                onset: trial.start as f64 / SFREQ as f64 - delay,
                duration: None,
                text,
                channel: None,
            }
        });
        bids::write_signals(&staging, &made, &marks.collect::<Vec<_>>())?;
        recordings.push(made);
    }
    let kept = Value::texts(["S01.mat", "S05.mat"]);
    write_mat5(&staging.path("datasets.mat")?, &[("use", kept)], true)?;
    staging.write("AliceChapterOne-EEG.csv", list_of_words())?;
    staging.commit()?;
    Ok(PlantedListening {
        recordings,
        sounds: sounds.sounds,
    })
}

fn write_sounds(cfg: &Brennan, staging: &Staging, folder: &str) -> Result<Sounds> {
    let (mut sounds, mut envelopes) = (Vec::new(), Vec::new());
    for (k, n) in SEGMENTS.iter().enumerate() {
        let samples = speak(cfg.seed, &[k], 1, *n as f64 / SFREQ as f64, AUDIO);
        let name = format!("DownTheRabbitHoleFinal_SoundFile{}.wav", k + 1);
        let stimulus = format!("{folder}/{name}");
        write_wav(staging, &stimulus, AUDIO, &[&samples])?;
        envelopes.push(envelope_at(&samples, AUDIO, SFREQ as f64));
        sounds.push(PlantedSound {
            stimulus,
            sfreq: AUDIO,
            samples,
        });
    }
    Ok(Sounds { sounds, envelopes })
}

/// Sample at which segment `k` starts.
fn start(cfg: &Brennan, subject: &Subject, k: usize) -> i64 {
    let first = match cfg.late && subject.number == 1 {
        true => -750,
        false => subject.first,
    };
    let before: usize = SEGMENTS[..k].iter().map(|n| n + PAUSE).sum();
    first + before as i64
}

/// Onsets of the words of a segment in its sound, s; every other one lies on a sample.
fn onsets(segment: usize) -> Vec<f64> {
    let seconds = SEGMENTS[segment] as f64 / SFREQ as f64;
    let count = ((seconds - 0.6) / WORD) as usize;
    (0..count)
        .map(|w| 0.046 + WORD * w as f64 + 0.0007 * (w % 2) as f64)
        .collect()
}

/// A word as a subject's times have it.
struct Word {
    /// Of the recording.
    sample: f64,
    /// Number that its segment is given, from 1.
    segment: usize,
    /// Onset in the sound with that number, s.
    tmin: f64,
    /// Place in the story, from 1.
    order: usize,
}

/// The words of a subject, in the story's order. Those of a segment are the words of the sound
/// with its number, whether that is right or not.
fn words(cfg: &Brennan, subject: &Subject) -> Vec<Word> {
    let mut out = Vec::new();
    for k in usize::from(subject.shifted)..SEGMENTS.len() {
        let called = k - usize::from(subject.shifted);
        let earlier: usize = (0..called).map(|s| onsets(s).len()).sum();
        for (w, tmin) in onsets(called).into_iter().enumerate() {
            let sample = (start(cfg, subject, k) as f64 + tmin * SFREQ as f64).round();
            if sample >= BEFORE {
                out.push(Word {
                    sample,
                    segment: called + 1,
                    tmin,
                    order: earlier + w + 1,
                });
            }
        }
    }
    out.sort_by_key(|w| w.order);
    out
}

/// `timed`: whether the files say where segments start.
fn recording(
    cfg: &Brennan,
    subject: &Subject,
    sounds: &Sounds,
    path: String,
    timed: bool,
) -> PlantedHearing {
    let last = start(cfg, subject, SEGMENTS.len() - 1) + SEGMENTS[SEGMENTS.len() - 1] as i64;
    let n = usize::try_from(last).unwrap_or_default() + SFREQ;
    let rate = SFREQ as f64;
    let mut labels: Vec<String> = (1..=61)
        .filter(|k| *k != 29)
        .map(|k| k.to_string())
        .collect();
    let listener = Listener::new(&labels, rate, &sounds.envelopes[0]);
    let (mut streams, mut trials) = (Vec::new(), Vec::new());
    let (mut heard, mut numbers) = (Vec::new(), Vec::new());
    let mut copy = vec![0.0; n];
    for (k, envelope) in sounds.envelopes.iter().enumerate() {
        let (first, length) = (start(cfg, subject, k), SEGMENTS[k]);
        let within = |at: i64| usize::try_from(at.max(0)).unwrap_or_default().min(n);
        streams.push(Stream {
            envelope,
            start: first,
            within: (within(first), within(first + length as i64)),
            microvolts: ATTENDED,
        });
        let (from, to) = (within(first), within(first + length as i64));
        for (i, x) in copy.iter_mut().enumerate().take(to).skip(from) {
            let at = (i as i64 - first) as f64 / rate;
            *x = rectified(&sounds.sounds[k].samples, at);
        }
        // What cannot be numbered, or begins before the file, is not among the planted trials.
        if first < 0 || !timed || (subject.shifted && k == 0) {
            continue;
        }
        trials.push(PlantedTrial {
            start: within(first),
            stop: within(first + length as i64),
            label: -1,
            rejected: subject.shifted || !subject.timed,
        });
        numbers.push(k as i32 + 1);
        heard.push(vec![Heard {
            stimulus: sounds.sounds[k].stimulus.clone(),
            role: "heard",
            offset: 0.0,
        }]);
    }
    if !timed {
        trials.push(PlantedTrial {
            start: 0,
            stop: n,
            label: -1,
            rejected: true,
        });
        numbers.push(0);
        heard.push(Vec::new());
    }
    let index = [subject.number];
    let mut samples = listener.hear((cfg.seed, &index), n, rate, &streams);
    labels.push("VEOG".into());
    let mut rng = stream(cfg.seed, "veog", &index);
    samples.push(coloured(&mut rng, n, rate, 1.0, 0.5));
    if let Some(name) = subject.copy {
        labels.push(name.into());
        samples.push(copy);
    }
    PlantedHearing {
        session: PlantedSession {
            path,
            subject: format!("{:02}", subject.number),
            session: None,
            run: None,
            sfreq: rate,
            labels,
            runs: vec![(0, n)],
            trials,
            samples,
        },
        numbers,
        heard,
    }
}

/// The rectified sound around `at` s, as the amplifier's extra input recorded it.
fn rectified(sound: &[f32], at: f64) -> f64 {
    let width = f64::from(AUDIO) / SFREQ as f64;
    let first = (at * f64::from(AUDIO)) as usize;
    let window = sound.iter().skip(first).take(width as usize);
    1000.0 * window.map(|x| f64::from(x.abs())).sum::<f64>() / width
}

fn list_of_words() -> String {
    let mut text = String::from("Word,Trigger,Segment,onset,offset,Order\n");
    let mut order = 0;
    for segment in 0..SEGMENTS.len() {
        for onset in onsets(segment) {
            order += 1;
            let k = segment + 1;
            text += &format!("word,{k},{k},{onset},{},{order}\n", onset + 0.2);
        }
    }
    text
}
