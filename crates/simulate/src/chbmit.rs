//! A miniature of CHB-MIT (doi:10.13026/C2K01R) in its native layout: `chbNN/chbNN_NN.edf`,
//! `.edf.seizures`, `chbNN-summary.txt` and PhysioNet's lists.
//!
//! Every channel is the difference of two electrodes of one head, so that a pair written twice
//! is the same twice, and a pair the other way round its negative, as in the real files.

mod files;
mod montages;
mod side_cars;

use std::collections::BTreeMap;
use std::f64::consts::TAU;
use std::path::Path;

use crate::files::Staging;
use crate::noise::coloured;
use crate::plain_edf::{PlainChannel, PlainCorpus, PlainRecording};
use crate::random::{stream, uniform};
use crate::{Error, Result};
use files::{FILES, File};
use side_cars::SFREQ;

/// Settings of the CHB-MIT miniature.
#[derive(Debug, Clone, PartialEq)]
pub struct ChbMit {
    /// Length of every file in seconds, 16 to 600.
    pub seconds: usize,
    /// Seed.
    pub seed: u64,
}

impl Default for ChbMit {
    fn default() -> Self {
        Self {
            seconds: 20,
            seed: 0,
        }
    }
}

/// Writes the miniature to `out`, which must not exist or be empty. In a seizure all electrodes
/// swing at 3 Hz.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn chbmit(cfg: &ChbMit, out: &Path) -> Result<PlainCorpus> {
    if !(16..=600).contains(&cfg.seconds) {
        return Err(Error::config("seconds", "16 to 600", cfg.seconds));
    }
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for (index, file) in FILES.iter().enumerate() {
        let made = recording(cfg, index, file);
        made.write(&staging.path(&made.path)?)?;
        if !file.seizures.is_empty() {
            let path = format!("{}.seizures", made.path);
            staging.write(&path, side_cars::seizures(file))?;
        }
        recordings.push(made);
    }
    for case in side_cars::cases() {
        let path = format!("{case}/{case}-summary.txt");
        staging.write(&path, side_cars::summary(case, cfg.seconds))?;
    }
    staging.write("RECORDS", side_cars::records())?;
    staging.write("RECORDS-WITH-SEIZURES", side_cars::records_with_seizures())?;
    staging.write("SUBJECT-INFO", side_cars::subject_info())?;
    staging.commit()?;
    Ok(PlainCorpus { recordings })
}

fn recording(cfg: &ChbMit, index: usize, file: &File) -> PlainRecording {
    let mut head = Head {
        seed: cfg.seed,
        index,
        n: cfg.seconds * SFREQ,
        seizures: file.seizures,
        electrodes: BTreeMap::new(),
    };
    let channels = montages::labels(file.montage)
        .into_iter()
        .map(|label| {
            let x = head.channel(label);
            PlainChannel::new(label, "uV", SFREQ, (-800.0, 800.0), (-2048, 2047), &x)
        })
        .collect();
    PlainRecording {
        path: format!("{}/{}.edf", file.case, file.record),
        subject: match file.case {
            "chb21" => "chb01",
            case => case,
        }
        .to_owned(),
        start: file.start,
        seconds: cfg.seconds,
        channels,
        labels: labels(file, cfg.seconds),
        unknown_count: false,
        trailing: if file.record == "chb17b_69" { 256 } else { 0 },
    }
}

/// Class 1 in a seizure and 0 between.
fn labels(file: &File, seconds: usize) -> Vec<(f64, f64, i32)> {
    let mut out = Vec::new();
    let mut since = 0;
    for (start, stop) in file.seizures {
        out.push((since as f64, *start as f64, 0));
        out.push((*start as f64, *stop as f64, 1));
        since = *stop;
    }
    out.push((since as f64, seconds as f64, 0));
    out
}

/// The electrodes of one recording.
struct Head {
    seed: u64,
    index: usize,
    n: usize,
    seizures: &'static [(usize, usize)],
    electrodes: BTreeMap<String, Vec<f64>>,
}

impl Head {
    /// What a label names: a difference, an electrode, or nothing.
    fn channel(&mut self, label: &str) -> Vec<f64> {
        if label == "-" || label == "." {
            return vec![0.0; self.n];
        }
        match label.split_once('-') {
            Some((a, b)) => {
                let b = self.electrode(b);
                self.electrode(a)
                    .iter()
                    .zip(&b)
                    .map(|(a, b)| a - b)
                    .collect()
            }
            None => self.electrode(label),
        }
    }

    fn electrode(&mut self, name: &str) -> Vec<f64> {
        let name = if name == "01" { "O1" } else { name };
        if let Some(x) = self.electrodes.get(name) {
            return x.clone();
        }
        let letters = name.bytes().map(usize::from);
        let key: Vec<usize> = std::iter::once(self.index).chain(letters).collect();
        let mut rng = stream(self.seed, "chbmit", &key);
        let phase = uniform(&mut rng, 0.0, 1.0);
        let mut x = coloured(&mut rng, self.n, SFREQ as f64, 1.0, 0.5);
        for (i, v) in x.iter_mut().enumerate() {
            let t = i as f64 / SFREQ as f64;
            let swings = |(a, b): &(usize, usize)| (*a as f64..*b as f64).contains(&t);
            let swing = if self.seizures.iter().any(swings) {
                60.0 * (TAU * (3.0 * t + phase)).sin()
            } else {
                0.0
            };
            *v = 25.0 * *v + swing;
        }
        self.electrodes.insert(name.to_owned(), x.clone());
        x
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_differences_and_repeat() {
        let made = recording(&ChbMit::default(), 1, &FILES[1]);
        let of = |label: &str| -> Vec<&PlainChannel> {
            made.channels.iter().filter(|c| c.label == label).collect()
        };
        assert_eq!(of("T8-P8").len(), 2);
        assert_eq!(of("T8-P8")[0], of("T8-P8")[1]);
        let (there, back) = (of("T7-P7")[0].values(), of("P7-T7")[0].values());
        let off = there.iter().zip(&back).map(|(a, b)| (a + b).abs());
        assert!(off.fold(0.0, f64::max) < 0.4, "more than a step apart");
        assert_eq!(
            made.labels,
            [(0.0, 5.0, 0), (5.0, 11.0, 1), (11.0, 20.0, 0)]
        );
    }

    #[test]
    fn settings_out_of_range_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let cfg = ChbMit {
            seconds: 15,
            seed: 0,
        };
        assert!(chbmit(&cfg, &dir.path().join("raw")).is_err());
    }
}
