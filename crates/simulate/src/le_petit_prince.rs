//! A miniature of Le Petit Prince Hong Kong (doi:10.18112/openneuro.ds004718) in its native layout:
//! EEGLAB sets with a `.fdt` each, sentences as sounds, workbooks that say which trigger is which.

use crate::files::Staging;
use crate::hearing::{Listener, Playing};
use crate::packed::xlsx;
use crate::random::stream;
use crate::sessions::{PlantedSession, PlantedSessions, PlantedTrial};
use crate::speech::{Voice, synthesise};
use crate::{Error, Result};
use mmpipe_formats::Annotation;
use mmpipe_formats::write::{NewRecording, NewSignal, Start, eeglab, wav};
use serde_json::json;
use std::path::Path;

/// The Neuroscan cap in its own spelling, and what is recorded with it.
#[rustfmt::skip]
const LABELS: [&str; 67] = [
    "FP1", "FPZ", "FP2", "AF3", "AF4", "F7", "F5", "F3", "F1", "FZ", "F2", "F4", "F6", "F8", "FT7",
    "FC5", "FC3", "FC1", "FCZ", "FC2", "FC4", "FC6", "FT8", "T7", "C5", "C3", "C1", "CZ", "C2",
    "C4", "C6", "T8", "M1", "TP7", "CP5", "CP3", "CP1", "CPZ", "CP2", "CP4", "CP6", "TP8", "M2",
    "P7", "P5", "P3", "P1", "PZ", "P2", "P4", "P6", "P8", "PO7", "PO5", "PO3", "POZ", "PO4", "PO6",
    "PO8", "CB1", "O1", "OZ", "O2", "CB2", "HEO", "VEO", "TRIGGER",
];
/// Subjects whose real `.fdt` is shorter than the `.set` says.
const SHORT: [usize; 6] = [19, 23, 30, 42, 44, 45];
/// Section and number of a sentence, its length in s, and the pause after it. None is a question of
/// the quiz, which has no sound.
type Line = (Option<(usize, usize)>, f64, f64);
const STORY: [Line; 6] = [
    (Some((1, 1)), 2.5, 0.5),
    (Some((1, 2)), 4.25, 0.75),
    (Some((1, 10)), 2.25, 0.5),
    (None, 3.0, 1.0),
    (Some((2, 1)), 3.0, 0.5),
    (Some((2, 2)), 1.5, 0.5),
];
/// First trigger, s.
const FIRST: f64 = 2.125;
/// Rate of the EEG, Hz.
const SFREQ: f64 = 1000.0;
/// Rate of the sounds, Hz.
const AUDIO: u32 = 44_100;
/// Strength of the response, µV.
const RESPONSE: f64 = 6.0;

/// Settings of the miniature of Le Petit Prince.
#[derive(Debug, Clone, PartialEq)]
pub struct LePetitPrince {
    /// Numbers of the subjects, each 1 to 52 without 31. Those whose real files are broken have a
    /// broken file here.
    pub subjects: Vec<usize>,
    /// Trigger number of the first sentence in the workbook. From 256 on the recording has the
    /// remainder of the division by 256.
    pub first_number: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for LePetitPrince {
    fn default() -> Self {
        Self {
            subjects: vec![1],
            first_number: 1,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty. Trials of a planted recording
/// are its sentences and questions; their class is 1 for a sentence and 0 for a question, and the
/// manifest has none.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn le_petit_prince(cfg: &LePetitPrince, out: &Path) -> Result<PlantedSessions> {
    let unknown = |s: &&usize| !(1..=52).contains(*s) || **s == 31;
    if let Some(subject) = cfg.subjects.iter().find(unknown) {
        return Err(Error::config("subjects", "1 to 52 without 31", subject));
    }
    if !(1..=600).contains(&cfg.first_number) {
        return Err(Error::config("first_number", "1 to 600", cfg.first_number));
    }
    let staging = Staging::new(out)?;
    let listener = Listener::new(&LABELS, SFREQ);
    let audio = f64::from(AUDIO);
    let mut heard = Vec::new();
    for (k, (sentence, seconds, _)) in STORY.into_iter().enumerate() {
        let Some((section, number)) = sentence else {
            heard.push(None);
            continue;
        };
        let mut rng = stream(cfg.seed, "lpp-sentence", &[k]);
        let sound = synthesise(&mut rng, &Voice::pair()[0], seconds, audio);
        let path = format!(
            "sourcedata/stimuli/audio_files_segmented_by_sentence/Part {section}/{section}.{number:03}.wav"
        );
        wav::write(
            &staging.path(&path)?,
            AUDIO,
            &[&sound, &sound],
            wav::Sample::Pcm16,
        )?;
        heard.push(Some(listener.hear(&sound, audio)));
    }
    write_tables(cfg, &staging)?;
    let mut recordings = Vec::new();
    for &subject in &cfg.subjects {
        let total: f64 = STORY.iter().map(|(_, s, p)| s + p).sum();
        let n = ((FIRST + total + 1.0) * SFREQ) as usize;
        let mut eeg = listener.noise(cfg.seed, "lpp", &[subject], n);
        let (mut at, mut trials, mut marks) = (FIRST, Vec::new(), Vec::new());
        for (k, ((_, seconds, pause), response)) in STORY.into_iter().zip(&heard).enumerate() {
            let playing = Playing {
                at,
                from: 0.0,
                seconds,
                rate: 1.0,
            };
            if let Some(response) = response {
                listener.add(&mut eeg, response, playing, RESPONSE);
            }
            let start = (at * SFREQ).round() as usize;
            trials.push(PlantedTrial {
                start,
                stop: start + (seconds * SFREQ) as usize,
                label: i32::from(response.is_some()),
                rejected: false,
            });
            marks.push(Annotation {
                onset: at,
                duration: None,
                text: ((cfg.first_number + k) % 256).to_string(),
                channel: None,
            });
            at += seconds + pause;
        }
        for x in eeg.iter_mut().flatten() {
            *x = f64::from(*x as f32);
        }
        let path = write_set(&staging, subject, &eeg, &marks)?;
        recordings.push(PlantedSession {
            path,
            subject: format!("HK{subject:03}"),
            session: None,
            run: None,
            sfreq: SFREQ,
            labels: LABELS.iter().map(|l| (*l).to_owned()).collect(),
            runs: vec![(0, n)],
            trials,
            samples: eeg,
        });
    }
    staging.commit()?;
    Ok(PlantedSessions { recordings })
}

fn write_tables(cfg: &LePetitPrince, staging: &Staging) -> Result<()> {
    let texts = |cells: &[&str]| cells.iter().map(|c| (*c).to_owned()).collect::<Vec<_>>();
    let mut numbers = vec![texts(&["ID of the sentence or question", "Trigger number"])];
    let mut words = vec![texts(&[
        "word",
        "word_id",
        "sentence_id",
        "onset_in_sentence",
        "offset_in_sentence",
    ])];
    for (k, (sentence, seconds, _)) in STORY.into_iter().enumerate() {
        let id = match sentence {
            Some((section, number)) => format!("{section}.{number:03}.wav"),
            None => "Q1".to_owned(),
        };
        numbers.push(vec![id, (cfg.first_number + k).to_string()]);
        let Some((section, number)) = sentence else {
            continue;
        };
        for (word, (from, to)) in [(0.0, 0.5), (0.5, 1.0)].into_iter().enumerate() {
            // A workbook keeps 1.010 as the number 1.01.
            words.push(vec![
                "word".to_owned(),
                (word + 1).to_string(),
                (section as f64 + number as f64 / 1000.0).to_string(),
                (from * seconds).to_string(),
                (to * seconds).to_string(),
            ]);
        }
    }
    let folder = "sourcedata/annotation";
    staging.write(
        &format!("{folder}/EEG_trigger_and_sentence_number.xlsx"),
        xlsx("Sheet1", &numbers),
    )?;
    staging.write(
        &format!("{folder}/lppHK_timing_word_information.xlsx"),
        xlsx("lppHK_word_information", &words),
    )?;
    staging.write("derivatives/README", "not opened")?;
    staging.json(
        "dataset_description.json",
        &json!({ "Name": "Le Petit Prince Hong Kong, simulated", "BIDSVersion": "1.0.2" }),
    )
}

fn write_set(
    staging: &Staging,
    subject: usize,
    eeg: &[Vec<f64>],
    marks: &[Annotation],
) -> Result<String> {
    let stem = format!("sub-HK{subject:03}/eeg/sub-HK{subject:03}_task-lppHK_eeg");
    let signals = LABELS.iter().zip(eeg).map(|(name, samples)| NewSignal {
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
        annotations: marks,
    };
    let path = staging.path(&format!("{stem}.set"))?;
    eeglab::write(&path, &recording, eeglab::Place::Beside)?;
    staging.json(
        &format!("{stem}.json"),
        &json!({ "TaskName": "lppHK", "SamplingFrequency": SFREQ, "EEGReference": "Average", "PowerLineFrequency": 50 }),
    )?;
    if SHORT.contains(&subject) {
        let fdt = path.with_extension("fdt");
        let file = std::fs::OpenOptions::new().write(true).open(&fdt);
        let bytes = 4 * LABELS.len() as u64 * (SFREQ as u64) * 5;
        file.and_then(|f| f.set_len(bytes))
            .map_err(|e| Error::io(&fdt, e))?;
    }
    Ok(format!("{stem}.set"))
}
