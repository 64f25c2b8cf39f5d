//! A miniature of OpenNeuro ds004356 (doi:10.18112/openneuro.ds004356.v2.2.1) in its native layout:
//! BIDS, BrainVision of 32-bit floats at 10 kHz, clips and clicks.

use crate::files::Staging;
use crate::hearing::{Listener, Playing, Response};
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial};
use crate::speech::{Voice, synthesise};
use crate::{Error, Result};
use mmpipe_formats::Annotation;
use mmpipe_formats::write::{NewRecording, NewSignal, Start, brainvision, wav};
use serde_json::json;
use std::collections::BTreeMap;
use std::path::Path;

#[rustfmt::skip]
const LABELS: [&str; 34] = [
    "Fp1", "Fz", "F3", "F7", "FT9", "FC5", "FC1", "C3", "T7", "TP9", "CP5", "CP1", "Pz", "P3",
    "P7", "O1", "Oz", "O2", "P4", "P8", "TP10", "CP6", "CP2", "Cz", "C4", "T8", "FT10", "FC6",
    "FC2", "F4", "F8", "Fp2", "EP1", "EP2",
];
/// Kinds of sound in the order of the manifest's classes, clicks last.
#[rustfmt::skip]
const KINDS: [&str; 13] = [
    "acoustic", "classical", "hiphop", "jazz", "metal", "pop", "chn_aud", "eng_aud", "interview",
    "lecture", "news", "talk", "click",
];
const CLICK: usize = 12;
/// Subjects of whom clicks and clips are files of their own.
const TWO_RUNS: [usize; 2] = [3, 19];
/// Subjects of the real data set that there are not.
const ABSENT: [usize; 2] = [14, 21];
/// Rate of the EEG, Hz.
const SFREQ: f64 = 10_000.0;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 48_000;
/// Length of a sound and pause after it in s (12, 60 for clicks, and 0.5 in the real files).
const SECONDS: f64 = 4.0;
const PAUSE: f64 = 0.5;
/// Strength of the response, µV.
const RESPONSE: f64 = 6.0;

/// Settings of the miniature of ds004356.
#[derive(Debug, Clone, PartialEq)]
pub struct Ds004356 {
    /// Numbers of the subjects, each 1 to 24 without 14 and 21. Of 3 and 19 the clicks are a run
    /// of their own.
    pub subjects: Vec<usize>,
    /// Clips of a subject, of as many kinds (480), after one sound of clicks (10).
    pub clips: usize,
    /// How much slower the EEG's clock is than the sound card's, in millionths. 25 in the real
    /// files, a hundred times as much here, so that seconds show it.
    pub drift_ppm: f64,
    /// Seed.
    pub seed: u64,
}

impl Default for Ds004356 {
    fn default() -> Self {
        Self {
            subjects: vec![1, 3],
            clips: 2,
            drift_ppm: 2500.0,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty. Trials of a planted recording
/// are its sounds on the EEG's clock; clicks have the class 12, which the manifest leaves out.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn ds004356(cfg: &Ds004356, out: &Path) -> Result<PlantedSessions> {
    let unknown = |s: &&usize| !(1..=24).contains(*s) || ABSENT.contains(s);
    if let Some(subject) = cfg.subjects.iter().find(unknown) {
        return Err(Error::config(
            "subjects",
            "1 to 24 without 14 and 21",
            subject,
        ));
    }
    if !(1..=CLICK).contains(&cfg.clips) {
        return Err(Error::config("clips", "1 to 12", cfg.clips));
    }
    if !cfg.drift_ppm.is_finite() || cfg.drift_ppm.abs() > 9000.0 {
        return Err(Error::config("drift_ppm", "at most 9000", cfg.drift_ppm));
    }
    let staging = Staging::new(out)?;
    let listener = Listener::new(&LABELS, SFREQ);
    let mut sounds = BTreeMap::new();
    for kind in (0..cfg.clips).map(|k| (k * 7) % CLICK).chain([CLICK]) {
        sounds.insert(kind, write_sound(cfg, &staging, &listener, kind)?);
    }
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        let clips: Vec<usize> = (0..cfg.clips)
            .map(|k| ((k + subject) % cfg.clips * 7) % CLICK)
            .collect();
        let runs = if TWO_RUNS.contains(&subject) {
            vec![(Some("01"), vec![CLICK]), (Some("02"), clips)]
        } else {
            vec![(None, [vec![CLICK], clips].concat())]
        };
        for (run, kinds) in runs {
            recordings.push(write_run(
                cfg, &staging, &listener, &sounds, subject, run, &kinds,
            )?);
        }
    }
    staging.json(
        "dataset_description.json",
        &json!({ "Name": "Music vs Speech ABR, simulated", "BIDSVersion": "1.7.0", "DatasetType": "raw" }),
    )?;
    staging.json(
        "task-MusicvsSpeech_eeg.json",
        &json!({ "TaskName": "Music vs Speech", "SamplingFrequency": 10_000, "PowerLineFrequency": 60,
                 "EEGReference": "FCz", "SoftwareFilters": "n/a" }),
    )?;
    // The real file's texts are exchanged, too.
    staging.json(
        "task-MusicvsSpeech_events.json",
        &json!({ "value": { "Description": "Type of stimulus",
                            "Levels": { "enn_aud": "English audiobook", "jazz": "Jazz" } },
                 "trial_type": { "Description": "Trigger value" } }),
    )?;
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

fn file(kind: usize) -> String {
    let name = KINDS[kind];
    format!("{name}/{name}{:03}.wav", 3 * kind + 1)
}

/// Writes a sound: music in stereo with 32-bit floats, speech in mono with 64-bit floats, clicks
/// with 16 bits. Gives the response to it.
fn write_sound(
    cfg: &Ds004356,
    staging: &Staging,
    listener: &Listener,
    kind: usize,
) -> Result<Response> {
    let rate = f64::from(AUDIO);
    let voice = &Voice::pair()[kind % 2];
    let mut sound = synthesise(
        &mut stream(cfg.seed, "ds004356-sound", &[kind]),
        voice,
        SECONDS,
        rate,
    );
    if kind == CLICK {
        sound
            .iter_mut()
            .enumerate()
            .for_each(|(i, x)| *x = f32::from(u8::from(i % 1200 < 5)));
    }
    let path = format!("stimuli/{}", file(kind));
    match kind {
        CLICK => wav::write(&staging.path(&path)?, AUDIO, &[&sound], wav::Sample::Pcm16)?,
        0..6 => wav::write(
            &staging.path(&path)?,
            AUDIO,
            &[&sound, &sound],
            wav::Sample::Float32,
        )?,
        _ => staging.write(&path, float64(&sound))?,
    }
    Ok(listener.hear(&sound, rate))
}

/// A WAVE file of one channel of 64-bit floats, with the 58 bytes of header of the real ones.
fn float64(sound: &[f32]) -> Vec<u8> {
    let data = 8 * sound.len() as u32;
    let mut out = Vec::with_capacity(58 + data as usize);
    out.extend(b"RIFF");
    out.extend((50 + data).to_le_bytes());
    out.extend(b"WAVEfmt ");
    out.extend(18_u32.to_le_bytes());
    out.extend(3_u16.to_le_bytes());
    out.extend(1_u16.to_le_bytes());
    out.extend(AUDIO.to_le_bytes());
    out.extend((8 * AUDIO).to_le_bytes());
    out.extend(8_u16.to_le_bytes());
    out.extend(64_u16.to_le_bytes());
    out.extend(0_u16.to_le_bytes());
    out.extend(b"fact");
    out.extend(4_u32.to_le_bytes());
    out.extend((sound.len() as u32).to_le_bytes());
    out.extend(b"data");
    out.extend(data.to_le_bytes());
    out.extend(sound.iter().flat_map(|x| f64::from(*x).to_le_bytes()));
    out
}

fn write_run(
    cfg: &Ds004356,
    staging: &Staging,
    listener: &Listener,
    sounds: &BTreeMap<usize, Response>,
    subject: usize,
    run: Option<&str>,
    kinds: &[usize],
) -> Result<PlantedSession> {
    let entity = run.map(|r| format!("_run-{r}")).unwrap_or_default();
    let stem = format!("sub-{subject:02}/eeg/sub-{subject:02}_task-MusicvsSpeech{entity}");
    let rate = 1.0 + cfg.drift_ppm * 1e-6;
    let number = run.map_or(0, |r| r.len() + usize::from(r == "02"));
    let n = ((1.5 + kinds.len() as f64 * (SECONDS + PAUSE)) * SFREQ * rate) as usize;
    let mut eeg = listener.noise(cfg.seed, "ds004356", &[subject, number], n);
    let (mut trials, mut rows, mut marks) = (Vec::new(), Vec::new(), Vec::new());
    for (k, kind) in kinds.iter().enumerate() {
        let onset = 0.8125 + k as f64 * (SECONDS + PAUSE);
        let start = (onset * SFREQ * rate).round() as usize;
        let playing = Playing {
            at: start as f64 / SFREQ,
            from: 0.0,
            seconds: SECONDS,
            rate,
        };
        if let Some(response) = sounds.get(kind) {
            listener.add(&mut eeg, response, playing, RESPONSE);
        }
        trials.push(PlantedTrial {
            start,
            stop: start + (SECONDS * SFREQ * rate).round() as usize,
            label: *kind as i32,
            rejected: false,
        });
        rows.push(vec![
            format!("{onset:.4}"),
            format!("{SECONDS}"),
            KINDS[*kind].to_owned(),
            (*kind + 1).to_string(),
            start.to_string(),
            (k + 1).to_string(),
            (k + 1).to_string(),
            "1".to_owned(),
            file(*kind),
        ]);
        let mark = |at: f64, text: &str| Annotation {
            onset: at,
            duration: None,
            text: format!("Stimulus/{text}"),
            channel: None,
        };
        marks.push(mark(start as f64 / SFREQ, "S  1"));
        marks.push(mark(
            start as f64 / SFREQ + 0.1,
            if k % 2 == 0 { "S  4" } else { "S  8" },
        ));
        marks.push(mark(start as f64 / SFREQ + (SECONDS - 0.02) * rate, "S  2"));
    }
    for x in eeg.iter_mut().flatten() {
        *x = f64::from(*x as f32);
    }
    let signals = LABELS.iter().zip(&eeg).map(|(name, samples)| NewSignal {
        name,
        unit: "uV",
        sfreq: SFREQ,
        prefilter: "",
        transducer: "",
        physical_range: None,
        samples,
    });
    let recording = NewRecording {
        start: Start::default(),
        patient: "X",
        recording: "mmpipe-simulate",
        signals: signals.collect(),
        annotations: &marks,
    };
    let path = format!("{stem}_eeg.vhdr");
    brainvision::write(
        &staging.path(&path)?,
        &recording,
        brainvision::Sample::Float32,
    )?;
    #[rustfmt::skip]
    let columns = ["onset", "duration", "trial_type", "value", "sample", "trial", "number_trial", "EEG_trigger", "stim_file"];
    staging.tsv(&format!("{stem}_events.tsv"), &columns, &rows)?;
    let row = |name: &&str| vec![(*name).to_owned(), "EEG".into(), "uV".into(), "good".into()];
    let rows: Vec<Vec<String>> = LABELS.iter().map(row).collect();
    staging.tsv(
        &format!("{stem}_channels.tsv"),
        &["name", "type", "units", "status"],
        &rows,
    )?;
    Ok(PlantedSession {
        path,
        subject: format!("{subject:02}"),
        session: None,
        run: run.map(str::to_owned),
        sfreq: SFREQ,
        labels: LABELS.iter().map(|l| (*l).to_owned()).collect(),
        runs: vec![(0, n)],
        trials,
        samples: eeg,
    })
}
