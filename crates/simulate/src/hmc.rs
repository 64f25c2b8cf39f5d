//! A miniature of HMC (sleep staging, doi:10.13026/t79q-fr32) in its native layout:
//! `recordings/SN001.edf`, `SN001_sleepscoring.edf` (EDF+ without signals) and
//! `SN001_sleepscoring.txt`.

use std::f64::consts::TAU;
use std::path::Path;

use crate::files::Staging;
use crate::noise::coloured;
use crate::plain_edf::{PlainChannel, PlainCorpus, PlainRecording, annotations};
use crate::random::stream;
use crate::{Error, Result};

/// Labels of the real files, in their order; the physical ranges are made up.
const CHANNELS: [(&str, f64); 8] = [
    ("EEG F4-M1", 300.0),
    ("EEG C4-M1", 300.0),
    ("EEG O2-M1", 300.0),
    ("EEG C3-M2", 300.0),
    ("EMG chin", 100.0),
    ("EOG E1-M2", 500.0),
    ("EOG E2-M2", 500.0),
    ("ECG", 3000.0),
];

/// Numbers that the release has no record of.
const MISSING: [usize; 3] = [14, 64, 135];

/// Rate of the real files, Hz.
const SFREQ: usize = 256;
/// Length of a scored epoch, s.
const EPOCH: usize = 30;
/// Classes in the order of the manifest.
const STAGES: [&str; 5] = ["W", "N1", "N2", "N3", "R"];

/// What one recording of the miniature is there for.
struct Night {
    number: usize,
    /// s from the start of the recording to the first stage.
    scored_from: usize,
    /// Stages by class; `None` is an epoch that was not scored.
    stages: &'static [Option<usize>],
    /// s by which the scoring file starts after the signals.
    scoring_late: usize,
    /// Whether the scoring is there as EDF+, and as text.
    scorings: (bool, bool),
}

/// Around the first gap of the list of records. SN013 is scored from its first sample on; SN015
/// from 17 s on, with a hole; SN016 in a file that starts 12 s later; SN017 in text alone.
const NIGHTS: [Night; 4] = [
    Night {
        number: 13,
        scored_from: 0,
        stages: &[Some(0), Some(1), Some(2)],
        scoring_late: 0,
        scorings: (true, true),
    },
    Night {
        number: 15,
        scored_from: 17,
        stages: &[Some(2), None, Some(3)],
        scoring_late: 0,
        scorings: (true, true),
    },
    Night {
        number: 16,
        scored_from: 12,
        stages: &[Some(4), Some(4)],
        scoring_late: 12,
        scorings: (true, true),
    },
    Night {
        number: 17,
        scored_from: 3,
        stages: &[Some(0), Some(4)],
        scoring_late: 0,
        scorings: (false, true),
    },
];

/// Settings of the HMC miniature.
#[derive(Debug, Clone, PartialEq)]
pub struct Hmc {
    /// Seconds of every recording after its last scored epoch.
    pub tail: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for Hmc {
    fn default() -> Self {
        Self { tail: 5, seed: 0 }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty. Each stage has a rhythm of
/// its own.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn hmc(cfg: &Hmc, out: &Path) -> Result<PlainCorpus> {
    if cfg.tail > 600 {
        return Err(Error::config("tail", "0 to 600", cfg.tail));
    }
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for night in &NIGHTS {
        let made = recording(cfg, night);
        made.write(&staging.path(&made.path)?)?;
        let stem = made.path.trim_end_matches(".edf").to_owned();
        if night.scorings.0 {
            let bytes = annotations(scoring_start(night), &notes(night));
            staging.write(&format!("{stem}_sleepscoring.edf"), bytes)?;
        }
        if night.scorings.1 {
            staging.write(&format!("{stem}_sleepscoring.txt"), text(night))?;
        }
        recordings.push(made);
    }
    let numbers = (1..=154).filter(|n| !MISSING.contains(n));
    let list: String = numbers
        .map(|n| format!("recordings/SN{n:03}.edf\n"))
        .collect();
    staging.write("RECORDS", list)?;
    staging.commit()?;
    Ok(PlainCorpus { recordings })
}

/// Every recording starts shortly before midnight.
const START: (u8, u8, u8) = (23, 59, 50);

fn scoring_start(night: &Night) -> (u8, u8, u8) {
    clock(night.scoring_late)
}

/// The clock `t` s after the start.
fn clock(t: usize) -> (u8, u8, u8) {
    let (h, m, s) = START;
    let at = usize::from(h) * 3600 + usize::from(m) * 60 + usize::from(s) + t;
    (
        (at / 3600 % 24) as u8,
        (at / 60 % 60) as u8,
        (at % 60) as u8,
    )
}

/// Scored epochs: s from the start of the recording, and class.
fn scored(night: &Night) -> impl Iterator<Item = (usize, usize)> + '_ {
    let stages = night.stages.iter().enumerate();
    stages.filter_map(|(k, stage)| Some((night.scored_from + k * EPOCH, (*stage)?)))
}

fn seconds(cfg: &Hmc, night: &Night) -> usize {
    night.scored_from + night.stages.len() * EPOCH + cfg.tail
}

/// Annotations by time: the lights, then stages. Onsets count from the scoring's own start.
fn notes(night: &Night) -> Vec<(f64, f64, String)> {
    let lights = |t: f64, which: &str| (t, 0.0, format!("Lights {which}@@EEG F4-A1"));
    let mut out = vec![lights(0.5, "off")];
    out.extend(scored(night).map(|(t, stage)| {
        let onset = (t - night.scoring_late) as f64;
        (
            onset,
            EPOCH as f64,
            format!("Sleep stage {}", STAGES[stage]),
        )
    }));
    let end = out.last().map_or(0.0, |(t, d, _)| t + d);
    out.push(lights(end, "on"));
    out
}

/// The same as text, as Polyman writes it; onsets count from the start of the recording.
fn text(night: &Night) -> String {
    let mut out =
        String::from("Date, Time, Recording onset, Duration, Annotation, Linked channel\n");
    for (onset, duration, note) in notes(night) {
        let onset = onset + night.scoring_late as f64;
        let (h, m, s) = clock(onset as usize);
        let (note, channel) = note.split_once("@@").unwrap_or((&note, ""));
        out.push_str(&format!(
            "01.01.01, {h:02}.{m:02}.{s:02}, {onset}, {duration}, {note}, {channel}\n"
        ));
    }
    out
}

fn recording(cfg: &Hmc, night: &Night) -> PlainRecording {
    let seconds = seconds(cfg, night);
    let channels = CHANNELS
        .iter()
        .enumerate()
        .map(|(c, (label, range))| {
            let mut rng = stream(cfg.seed, "hmc", &[night.number, c]);
            let mut x = coloured(&mut rng, seconds * SFREQ, SFREQ as f64, 1.0, 0.5);
            let size = range / 30.0;
            for (i, v) in x.iter_mut().enumerate() {
                let t = i as f64 / SFREQ as f64;
                let stage = scored(night)
                    .find(|(from, _)| (*from as f64..(from + EPOCH) as f64).contains(&t));
                // 10, 8, 6, 4 and 2 Hz from waking to REM.
                let rhythm = stage.map_or(0.0, |(_, s)| (TAU * (10.0 - 2.0 * s as f64) * t).sin());
                *v = size * (*v + 2.0 * rhythm);
            }
            let range = (-range, *range);
            PlainChannel::new(label, "uV", SFREQ, range, (i16::MIN, i16::MAX), &x)
        })
        .collect();
    PlainRecording {
        path: format!("recordings/SN{:03}.edf", night.number),
        subject: format!("SN{:03}", night.number),
        start: START,
        seconds,
        channels,
        labels: scored(night)
            .map(|(t, stage)| (t as f64, (t + EPOCH) as f64, stage as i32))
            .collect(),
        unknown_count: false,
        trailing: 0,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn onsets_skip_what_is_not_scored() {
        let made = recording(&Hmc::default(), &NIGHTS[1]);
        assert_eq!(made.labels, [(17.0, 47.0, 2), (77.0, 107.0, 3)]);
        assert_eq!(made.seconds, 112);
    }

    #[test]
    fn the_text_has_blanks_in_front_and_rolls_over_midnight() {
        let text = text(&NIGHTS[0]);
        assert!(text.starts_with("Date, Time, Recording onset"), "{text}");
        assert!(
            text.contains("01.01.01, 23.59.50, 0, 30, Sleep stage W, \n"),
            "{text}"
        );
        assert!(
            text.contains("01.01.01, 00.00.20, 30, 30, Sleep stage N1, \n"),
            "{text}"
        );
        assert!(text.contains("Lights off, EEG F4-A1"), "{text}");
    }

    #[test]
    fn a_scoring_that_starts_later_counts_from_its_own_start() {
        let notes = notes(&NIGHTS[2]);
        assert_eq!(notes[1].0, 0.0);
        assert_eq!(scoring_start(&NIGHTS[2]), (0, 0, 2));
    }
}
