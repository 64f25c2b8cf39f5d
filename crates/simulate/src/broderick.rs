//! Miniatures of *The Old Man and the Sea* (Broderick 2018, doi:10.1016/j.cub.2018.01.080): in
//! BIDS as OpenNeuro ds004408 has it, with sounds, and as the MATLAB files of Dryad
//! (doi:10.5061/dryad.070jc), with envelopes alone.

use crate::files::Staging;
use crate::listening::{
    ATTENDED, Heard, Listener, PlantedHearing, PlantedListening, PlantedSound, Stream, envelope_at,
    speak, write_wav,
};
use crate::sessions::{PlantedSession, PlantedTrial};
use crate::{Error, Result};
use mmpipe_formats::write::{NewRecording, NewSignal, Start, brainvision};
use mmpipe_trees::write::{Value, write_mat5};
use serde_json::json;
use std::path::Path;

/// Rates of the EEG in BIDS and in MATLAB, Hz.
const SFREQ: (usize, usize) = (512, 128);
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// Seconds of the sounds of the two runs.
const SOUND: [f64; 2] = [9.0, 10.3];
/// Seconds of EEG beyond the sound.
const BEYOND: f64 = 2.25;

/// Settings of both miniatures of Broderick 2018.
#[derive(Debug, Clone, PartialEq)]
pub struct Broderick {
    /// Number of subjects, 1 to 19, each with two runs.
    pub subjects: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Broderick {
    fn default() -> Self {
        Self {
            subjects: 2,
            seed: 0,
        }
    }
}

/// Writes the miniature of ds004408 to `out`, which must not exist or be empty.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn broderick(cfg: &Broderick, out: &Path) -> Result<PlantedListening> {
    check(cfg)?;
    let staging = Staging::new(out)?;
    let mut sounds = Vec::new();
    for (run, samples) in speech(cfg) {
        let stimulus = format!("stimuli/audio{run:02}.wav");
        // Both ears hear the same.
        write_wav(&staging, &stimulus, AUDIO, &[&samples, &samples])?;
        let grid = format!("stimuli/audio{run:02}.TextGrid");
        staging.write(&grid, text_grid(SOUND[run - 1]))?;
        sounds.push(PlantedSound {
            stimulus,
            sfreq: AUDIO,
            samples,
        });
    }
    let place = |subject: usize, run: usize| {
        let stem = format!("sub-{subject:03}/eeg/sub-{subject:03}_task-listening_run-{run:02}");
        (format!("{stem}_eeg.vhdr"), format!("{run:02}"))
    };
    let mut recordings = Vec::new();
    for mut made in hearings(cfg, SFREQ.0, &sounds, &place) {
        made.session.subject = format!("{:0>3}", made.session.subject);
        for x in made.session.samples.iter_mut().flatten() {
            *x = f64::from(*x as f32);
        }
        write_bids(&staging, &made)?;
        recordings.push(made);
    }
    write_root(&staging, cfg)?;
    staging.commit()?;
    Ok(PlantedListening { recordings, sounds })
}

/// Writes the miniature of the Dryad files to `out`, which must not exist or be empty. What is
/// heard are envelopes, which are no sounds: `sounds` is empty.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn broderick_dryad(cfg: &Broderick, out: &Path) -> Result<PlantedListening> {
    check(cfg)?;
    let staging = Staging::new(out)?;
    let mut sounds = Vec::new();
    for (run, samples) in speech(cfg) {
        let file = format!("Natural Speech/Stimuli/Envelopes/audio{run}_128Hz.mat");
        let course = envelope_at(&samples, AUDIO, SFREQ.1 as f64);
        let env = Value::column(course);
        write_mat5(&staging.path(&file)?, &[("env", env)], true)?;
        sounds.push(PlantedSound {
            stimulus: format!("{file}#env"),
            sfreq: AUDIO,
            samples,
        });
    }
    let place = |subject: usize, run: usize| {
        let folder = format!("Natural Speech/EEG/Subject{subject}");
        (
            format!("{folder}/Subject{subject}_Run{run}.mat"),
            run.to_string(),
        )
    };
    let recordings = hearings(cfg, SFREQ.1, &sounds, &place);
    for made in &recordings {
        let n = made.session.runs[0].1 as u64;
        let mastoids = vec![0.0; 2 * n as usize];
        let variables = [
            (
                "eegData",
                Value::array(&[n, 128], made.session.samples.concat()),
            ),
            ("mastoids", Value::array(&[n, 2], mastoids)),
            ("fs", Value::scalar(made.session.sfreq)),
        ];
        write_mat5(&staging.path(&made.session.path)?, &variables, true)?;
    }
    staging.write(
        "Cocktail Party/EEG/Subject1/Subject1_Run1.mat",
        "not opened",
    )?;
    staging.commit()?;
    Ok(PlantedListening {
        recordings,
        sounds: Vec::new(),
    })
}

fn check(cfg: &Broderick) -> Result<()> {
    match cfg.subjects {
        1..=19 => Ok(()),
        other => Err(Error::config("subjects", "1 to 19", other)),
    }
}

/// Number from 1 and samples of the sound of each run.
fn speech(cfg: &Broderick) -> Vec<(usize, Vec<f32>)> {
    let runs = SOUND.iter().zip(1..);
    runs.map(|(seconds, run)| (run, speak(cfg.seed, &[run], 0, *seconds, AUDIO)))
        .collect()
}

/// Labels of the BioSemi cap: A1 to D32.
fn labels() -> Vec<String> {
    let letters = ["A", "B", "C", "D"].iter();
    letters
        .flat_map(|l| (1..=32).map(move |k| format!("{l}{k}")))
        .collect()
}

/// Every subject's runs; `place` gives path and run.
fn hearings(
    cfg: &Broderick,
    sfreq: usize,
    sounds: &[PlantedSound],
    place: &dyn Fn(usize, usize) -> (String, String),
) -> Vec<PlantedHearing> {
    let rate = sfreq as f64;
    let names = labels();
    let envelopes: Vec<Vec<f64>> = sounds
        .iter()
        .map(|s| envelope_at(&s.samples, AUDIO, rate))
        .collect();
    let listener = Listener::new(&names, rate, &envelopes[0]);
    let mut out = Vec::new();
    for subject in 1..=cfg.subjects {
        for (k, seconds) in SOUND.iter().enumerate() {
            let n = ((seconds + BEYOND) * rate) as usize;
            let heard = (seconds * rate) as usize;
            let streams = [Stream {
                envelope: &envelopes[k],
                start: 0,
                within: (0, n),
                microvolts: ATTENDED,
            }];
            let index = [subject, k];
            let mut samples = listener.hear((cfg.seed, &index), n, rate, &streams);
            // Unreferenced: each channel has an offset.
            for (c, x) in samples.iter_mut().enumerate() {
                x.iter_mut().for_each(|v| *v += 4000.0 - 61.0 * c as f64);
            }
            let (path, run) = place(subject, k + 1);
            out.push(PlantedHearing {
                session: PlantedSession {
                    path,
                    subject: subject.to_string(),
                    session: None,
                    run: Some(run),
                    sfreq: rate,
                    labels: names.clone(),
                    runs: vec![(0, n)],
                    trials: vec![PlantedTrial {
                        start: 0,
                        stop: heard,
                        label: -1,
                        rejected: false,
                    }],
                    samples,
                },
                numbers: vec![k as i32 + 1],
                heard: vec![vec![Heard {
                    stimulus: sounds[k].stimulus.clone(),
                    role: "heard",
                    offset: 0.0,
                }]],
            });
        }
    }
    out
}

fn write_bids(staging: &Staging, made: &PlantedHearing) -> Result<()> {
    let session = &made.session;
    let signal = |name, samples| NewSignal {
        name,
        unit: "µV",
        sfreq: session.sfreq,
        prefilter: "",
        transducer: "",
        physical_range: None,
        samples,
    };
    let pairs = session.labels.iter().zip(&session.samples);
    let recording = NewRecording {
        start: Start::default(),
        patient: &session.subject,
        recording: "mmpipe-simulate",
        signals: pairs
            .map(|(name, x)| signal(name.as_str(), x.as_slice()))
            .collect(),
        annotations: &[],
    };
    let path = staging.path(&session.path)?;
    brainvision::write(&path, &recording, brainvision::Sample::Float32)?;
    let stem = session.path.trim_end_matches("eeg.vhdr");
    let columns = ["name", "type", "units", "sampling_frequency", "status"];
    let rows: Vec<Vec<String>> = session
        .labels
        .iter()
        .map(|label| {
            // As in the real side-cars, which say V beside a file in µV.
            let status = if label == "B7" { "bad" } else { "good" };
            [
                "".to_owned() + label,
                "EEG".into(),
                "V".into(),
                "512.0".into(),
                status.into(),
            ]
            .into()
        })
        .collect();
    staging.tsv(&format!("{stem}channels.tsv"), &columns, &rows)?;
    let about = json!({
        "TaskName": "listening", "Manufacturer": "Brain Products", "PowerLineFrequency": "n/a",
        "SamplingFrequency": 512.0, "EEGReference": "n/a", "SoftwareFilters": "n/a",
    });
    staging.json(&format!("{stem}eeg.json"), &about)
}

fn write_root(staging: &Staging, cfg: &Broderick) -> Result<()> {
    let about = json!({ "Name": "simulated", "BIDSVersion": "1.8.0", "License": "CC0" });
    staging.json("dataset_description.json", &about)?;
    staging.write("README", "simulated\n")?;
    staging.write("stimuli/results.txt", "simulated\n")?;
    let rows: Vec<Vec<String>> = (1..=cfg.subjects)
        .map(|s| vec![format!("sub-{s:03}"), "n/a".into()])
        .collect();
    staging.tsv("participants.tsv", &["participant_id", "age"], &rows)
}

/// A Praat grid of one tier.
fn text_grid(seconds: f64) -> String {
    format!(
        "File type = \"ooTextFile\"\nObject class = \"TextGrid\"\n\nxmin = 0\nxmax = {seconds}\n\
         tiers? <exists>\nsize = 1\nitem []:\n    item [1]:\n        class = \"IntervalTier\"\n        \
         name = \"words\"\n        xmin = 0\n        xmax = {seconds}\n        \
         intervals: size = 1\n        intervals [1]:\n            xmin = 0\n            \
         xmax = {seconds}\n            text = \"sp\"\n"
    )
}
