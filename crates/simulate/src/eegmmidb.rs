//! A miniature of EEGMMIDB (doi:10.13026/C28G6P) in its native layout: `SxxxRyy.edf` with EDF+
//! annotations T0, T1, T2 and the WFDB side-car `SxxxRyy.edf.event`.

use crate::files::Staging;
use crate::grid::digitise;
use crate::noise::coloured;
use crate::planted::{PlantedChannel, PlantedCorpus, PlantedRecording};
use crate::random::stream;
use crate::{Error, Result};
use rand::Rng;
use std::path::Path;

/// Labels as in the real files, dots included.
#[rustfmt::skip]
const LABELS: [&str; 64] = [
    "Fc5.", "Fc3.", "Fc1.", "Fcz.", "Fc2.", "Fc4.", "Fc6.", "C5..", "C3..", "C1..", "Cz..",
    "C2..", "C4..", "C6..", "Cp5.", "Cp3.", "Cp1.", "Cpz.", "Cp2.", "Cp4.", "Cp6.", "Fp1.",
    "Fpz.", "Fp2.", "Af7.", "Af3.", "Afz.", "Af4.", "Af8.", "F7..", "F5..", "F3..", "F1..",
    "Fz..", "F2..", "F4..", "F6..", "F8..", "Ft7.", "Ft8.", "T7..", "T8..", "T9..", "T10.",
    "Tp7.", "Tp8.", "P7..", "P5..", "P3..", "P1..", "Pz..", "P2..", "P4..", "P6..", "P8..",
    "Po7.", "Po3.", "Poz.", "Po4.", "Po8.", "O1..", "Oz..", "O2..", "Iz..",
];

/// Settings of the EEGMMIDB miniature.
#[derive(Debug, Clone, PartialEq)]
pub struct EegMmidb {
    /// Subjects, 1 to 109.
    pub subjects: usize,
    /// Runs, each 1 to 14; 1 and 2 are baselines with a single T0.
    pub runs: Vec<usize>,
    /// Pairs of T0 and T1 or T2 in a task run, 1 to 15 (15 in the real files).
    pub pairs: usize,
    /// `S001/S001R03.edf` as PhysioNet serves them, instead of all files in one folder.
    pub subject_folders: bool,
    /// Seed.
    pub seed: u64,
}

impl Default for EegMmidb {
    fn default() -> Self {
        Self {
            subjects: 2,
            runs: vec![3, 4],
            pairs: 3,
            subject_folders: false,
            seed: 0,
        }
    }
}

/// Rate of the real files, Hz.
const SFREQ: f64 = 160.0;
/// Lengths of rest and of a movement in the real files, s.
const REST: f64 = 4.2;
const MOVE: f64 = 4.1;

/// Writes the miniature to `out`, which must not exist or be empty.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn eegmmidb(cfg: &EegMmidb, out: &Path) -> Result<PlantedCorpus> {
    if !(1..=109).contains(&cfg.subjects) {
        return Err(Error::config("subjects", "1 to 109", cfg.subjects));
    }
    if !(1..=15).contains(&cfg.pairs) {
        return Err(Error::config("pairs", "1 to 15", cfg.pairs));
    }
    if let Some(run) = cfg.runs.iter().find(|r| !(1..=14).contains(*r)) {
        return Err(Error::config("runs", "1 to 14", run));
    }
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for index in 1..=cfg.subjects {
        for run in &cfg.runs {
            let made = recording(cfg, index, *run);
            made.write(&staging.path(&made.path)?, "BCI2000", "HP:0Hz LP:0Hz N:0Hz")?;
            staging.write(
                &format!("{}.event", made.path),
                wfdb(&made.annotations, *run <= 2),
            )?;
            recordings.push(made);
        }
    }
    staging.commit()?;
    Ok(PlantedCorpus { recordings })
}

fn recording(cfg: &EegMmidb, index: usize, run: usize) -> PlantedRecording {
    let subject = format!("S{index:03}");
    let mut rng = stream(cfg.seed, "eegmmidb-cues", &[index, run]);
    let mut annotations = Vec::new();
    let mut t = 0.0_f64;
    if run <= 2 {
        annotations.push((0.0, 10.0, "T0".to_string()));
        t = 10.0;
    } else {
        for _ in 0..cfg.pairs {
            let cue = if rng.random::<bool>() { "T1" } else { "T2" };
            for (seconds, text) in [(REST, "T0"), (MOVE, cue)] {
                annotations.push((t, seconds, text.to_string()));
                // Onsets have a tenth of a second, as in the real files.
                t = ((t + seconds) * 10.0).round() / 10.0;
            }
        }
    }
    let seconds = t.ceil() as usize;
    let physical = (-8092.0, 8092.0);
    let channels = LABELS
        .iter()
        .enumerate()
        .map(|(c, label)| {
            let mut rng = stream(cfg.seed, "eegmmidb", &[index, run, c]);
            let mut x = coloured(&mut rng, seconds * SFREQ as usize, SFREQ, 1.2, 0.5);
            x.iter_mut().for_each(|v| *v *= 40.0);
            PlantedChannel {
                label: (*label).to_string(),
                unit: "uV".to_string(),
                sfreq: SFREQ,
                physical,
                samples: digitise(&x, physical),
            }
        })
        .collect();
    let file = format!("{subject}R{run:02}.edf");
    PlantedRecording {
        path: if cfg.subject_folders {
            format!("{subject}/{file}")
        } else {
            file
        },
        subject,
        run: format!("{run:02}"),
        label: None,
        seconds,
        channels,
        annotations,
    }
}

/// Annotations in the MIT format of WFDB (`annot(5)`), laid out as in the real side-cars: a note
/// (code 22) at the time of each cue with its text as auxiliary information (code 63). Baseline
/// runs have the opening note alone.
fn wfdb(annotations: &[(f64, f64, String)], baseline: bool) -> Vec<u8> {
    const NOTE: u16 = 22;
    const AUX: u16 = 63;
    let mut out = Vec::new();
    let mut note = |ticks: u16, text: &str| {
        out.extend_from_slice(&((NOTE << 10) | ticks).to_le_bytes());
        out.extend_from_slice(&((AUX << 10) | text.len() as u16).to_le_bytes());
        out.extend_from_slice(text.as_bytes());
        if text.len() % 2 == 1 {
            out.push(0);
        }
        out.len()
    };
    let opening = note(0, "## time resolution: 160");
    if !baseline {
        let mut previous = 0.0;
        for (onset, duration, text) in annotations {
            // A cue starts less than the 1024 ticks of one word after the one before.
            note(
                ((onset - previous) * SFREQ).round() as u16,
                &format!("{text} duration: {duration}"),
            );
            previous = *onset;
        }
    }
    // After the opening note the real files skip back by one tick and forth again.
    out.splice(
        opening..opening,
        [0x00, 0xec, 0xff, 0xff, 0xff, 0xff, 0x01, 0x00],
    );
    out.extend_from_slice(&[0, 0]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn side_car_has_the_bytes_of_the_real_one() {
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../../../shared/real/physionet-eegmmidb-S001/restored/S001R03.edf.event");
        let Ok(real) = std::fs::read(&path) else {
            eprintln!("{} is absent: nothing to compare with", path.display());
            return;
        };
        // The cues of S001R03 as its EDF+ annotations give them.
        let cues = [2, 1, 1, 2, 2, 1, 1, 2, 1, 2, 2, 1, 1, 2, 1];
        let mut annotations = Vec::new();
        let mut t = 0.0;
        for cue in cues {
            annotations.push((t, REST, "T0".to_string()));
            annotations.push((t + REST, MOVE, format!("T{cue}")));
            t += REST + MOVE;
        }
        assert_eq!(wfdb(&annotations, false), real);
    }

    #[test]
    fn baseline_side_car_is_the_opening_alone() {
        assert_eq!(wfdb(&[(0.0, 10.0, "T0".to_string())], true).len(), 38);
    }
}
