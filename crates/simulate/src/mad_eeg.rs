//! A miniature of the preprocessed release of MAD-EEG (doi:10.5281/zenodo.4537751) in its native
//! layout: one HDF5 file of groups by subject and key, and one YAML file.

use crate::files::Staging;
use crate::hearing::{Listener, Playing};
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial};
use crate::speech::{Voice, synthesise};
use crate::{Error, Result};
use mmpipe_trees::write::{Value, write_mat73};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

#[rustfmt::skip]
const LABELS: [&str; 20] = [
    "F3", "F1", "Fz", "F2", "F4", "C3", "C1", "Cz", "C2", "C4", "CPz", "P3", "P1", "Pz", "P2",
    "P4", "POz", "O1", "Oz", "O2",
];
/// In the order of the manifest's classes.
const INSTRUMENTS: [&str; 9] = ["Vx", "Gt", "Bs", "Dr", "Co", "Fl", "Ob", "Fh", "Bo"];
/// Genre and song, instruments, target.
const KEYS: [(&str, &[&str], &str); 4] = [
    ("classique_morceau1", &["Co", "Fl"], "Co"),
    ("classique_morceau1", &["Co", "Fl"], "Fl"),
    ("pop_mixtape", &["Bs", "Dr", "Vx"], "Vx"),
    ("pop_mixtape", &["Bs", "Vx"], "Bs"),
];
/// Panning of the first, second and third instrument.
const PANNING: [f64; 3] = [0.2, 0.8, 0.5];
/// Rate of the EEG, Hz, and of the sounds.
const SFREQ: f64 = 256.0;
const AUDIO: f64 = 44_100.0;
/// Length of an excerpt in s (5 to 7 in the real files), and how often it is played.
const EXCERPT: f64 = 1.5;
const TIMES: usize = 4;
/// Strength of the responses to the target and to the others, µV.
const TARGET: f64 = 8.0;
const OTHERS: f64 = 1.0;

/// Settings of the miniature of MAD-EEG.
#[derive(Debug, Clone, PartialEq)]
pub struct MadEeg {
    /// Numbers of the subjects, each 1 to 9 without 6.
    pub subjects: Vec<usize>,
    /// Seed.
    pub seed: u64,
}

impl Default for MadEeg {
    fn default() -> Self {
        Self {
            subjects: vec![1, 7],
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty. A planted recording is a group
/// of the file, its path `file#subject:key`; the class of its trial is the target.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn mad_eeg(cfg: &MadEeg, out: &Path) -> Result<PlantedSessions> {
    let unknown = |s: &&usize| !(1..=9).contains(*s) || **s == 6;
    if let Some(subject) = cfg.subjects.iter().find(unknown) {
        return Err(Error::config("subjects", "1 to 9 without 6", subject));
    }
    let staging = Staging::new(out)?;
    let listener = Listener::new(&LABELS, SFREQ);
    let mut soli = BTreeMap::new();
    for (song, instruments, _) in KEYS {
        for instrument in instruments {
            let id = (song, *instrument);
            let place = INSTRUMENTS
                .iter()
                .position(|i| i == instrument)
                .unwrap_or(0);
            let mut rng = stream(cfg.seed, song, &[place]);
            let voice = &Voice::pair()[place % 2];
            let once = synthesise(&mut rng, voice, EXCERPT, AUDIO);
            let track = once.repeat(TIMES);
            let response = listener.hear(&track, AUDIO);
            soli.insert(id, (track, response));
        }
    }
    let (mut subjects, mut yaml, mut recordings) = (Vec::new(), String::new(), Vec::new());
    for &subject in &cfg.subjects {
        // Writing to a String cannot fail.
        let _ = writeln!(yaml, "'{subject:04}':");
        let mut keys = Vec::new();
        for (k, (song, instruments, target)) in KEYS.into_iter().enumerate() {
            let kind = if instruments.len() == 2 {
                "duo"
            } else {
                "trio"
            };
            let key = format!(
                "{song}_{kind}_{}_theme1_stereo_{target}",
                instruments.concat()
            );
            let n = (EXCERPT * TIMES as f64 * SFREQ) as usize;
            let mut eeg = listener.noise(cfg.seed, "mad-eeg", &[subject, k], n);
            let mut tracks = Vec::new();
            for instrument in instruments {
                let Some((track, response)) = soli.get(&(song, *instrument)) else {
                    continue;
                };
                let uv = if *instrument == target {
                    TARGET
                } else {
                    OTHERS
                };
                let playing = Playing {
                    at: 0.0,
                    from: 0.0,
                    seconds: EXCERPT * TIMES as f64,
                    rate: 1.0,
                };
                listener.add(&mut eeg, response, playing, uv);
                tracks.push(track);
            }
            keys.push((key.clone(), group(&eeg, &tracks)));
            describe(&mut yaml, &key, song, kind, instruments, target);
            recordings.push(PlantedSession {
                path: format!("madeeg_preprocessed.hdf5#{subject:04}:{key}"),
                subject: format!("{subject:04}"),
                session: None,
                run: Some(key),
                sfreq: SFREQ,
                labels: LABELS.iter().map(|l| (*l).to_owned()).collect(),
                runs: vec![(0, n)],
                trials: vec![PlantedTrial {
                    start: 0,
                    stop: n,
                    label: INSTRUMENTS.iter().position(|i| *i == target).unwrap_or(0) as i32,
                    rejected: false,
                }],
                samples: eeg,
            });
        }
        subjects.push((format!("{subject:04}"), Value::record(keys)));
    }
    let variables: Vec<(&str, Value)> = subjects
        .iter()
        .map(|(name, v)| (name.as_str(), v.clone()))
        .collect();
    write_mat73(&staging.path("madeeg_preprocessed.hdf5")?, &variables)?;
    staging.write("madeeg_preprocessed.yaml", yaml)?;
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

/// `response`, `soli` (three rows, the third empty in a duo) and `stimulus`, in stereo.
fn group(eeg: &[Vec<f64>], tracks: &[&Vec<f32>]) -> Value {
    let n = eeg.first().map_or(0, Vec::len);
    let response: Vec<f64> = (0..n)
        .flat_map(|t| eeg.iter().filter_map(move |x| x.get(t).copied()))
        .collect();
    let sound = tracks.first().map_or(0, |x| x.len());
    let at = |k: usize, t: usize| tracks.get(k).and_then(|x| x.get(t)).copied().unwrap_or(0.0);
    let soli: Vec<f32> = (0..sound)
        .flat_map(|t| (0..3).map(move |k| at(k, t)))
        .collect();
    let ear = |t: usize, right: bool| -> f32 {
        let gain = |k: usize| if right { PANNING[k] } else { 1.0 - PANNING[k] };
        (0..3).map(|k| gain(k) as f32 * at(k, t)).sum()
    };
    let stimulus: Vec<f32> = (0..sound)
        .flat_map(|t| [ear(t, false), ear(t, true)])
        .collect();
    Value::record([
        (
            "response",
            Value::array(&[LABELS.len() as u64, n as u64], response),
        ),
        ("soli", Value::array(&[3, sound as u64], soli)),
        ("stimulus", Value::array(&[2, sound as u64], stimulus)),
    ])
}

fn describe(
    yaml: &mut String,
    key: &str,
    song: &str,
    kind: &str,
    instruments: &[&str],
    target: &str,
) {
    let (genre, song) = song.split_once('_').unwrap_or((song, ""));
    let list = |items: Vec<String>| format!("[{}]", items.join(", "));
    let panning = list(
        PANNING
            .iter()
            .take(instruments.len())
            .map(f64::to_string)
            .collect(),
    );
    let gains = list(vec!["1.0".to_owned(); instruments.len()]);
    let names = list(instruments.iter().map(|i| (*i).to_owned()).collect());
    // Writing to a String cannot fail.
    let _ = write!(
        yaml,
        "  {key}:\n    target: {target}\n    instruments: {names}\n    ensemble: {kind}\n    \
         spatial: stereo\n    genre: {genre}\n    song: {song}\n    theme: theme1\n    eeg_info:\n      \
         sfreq: 256\n    wav_info:\n      sfreq: 44100\n      gains: {gains}\n      panning: {panning}\n"
    );
}
