//! Which of two streams did the listeners of a data set attend?
//!
//! For data sets whose descriptions disagree about it. Nothing about attention is assumed: for
//! each recording one decoder is trained on the first stream and one on the second, both tested on
//! trials that they have not seen, each against its own stream. The attended stream is the one
//! that the EEG follows more closely (O'Sullivan et al. 2015, doi:10.1093/cercor/bht355). Under
//! the hypothesis that both are followed alike the difference has either sign equally often, which
//! a sign-flip test turns into a p-value.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use serde::{Deserialize, Serialize};

use super::trials::{leave_one_out, standard, sums};
use super::{Options, Trial, correlation};
use crate::{Error, Result};

/// The outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Favoured {
    /// The first stream.
    First,
    /// The second stream.
    Second,
    /// The data do not tell.
    Undecided,
}

/// What one recording says.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct RecordingPreference {
    /// The recording.
    pub recording: String,
    /// Trials used.
    pub trials: usize,
    /// Mean correlation of the first stream with its reconstruction, over trials.
    pub first: f64,
    /// The same of the second stream.
    pub second: f64,
    /// Trials in which the first stream was followed more closely.
    pub prefer_first: usize,
}

/// The answer for the data set.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Verdict {
    /// The stream that is followed more closely, where `p` is below the level asked for.
    pub favoured: Favoured,
    /// Mean over units of the first stream's correlation less the second's.
    pub difference: f64,
    /// Two-sided p of the sign-flip test.
    pub p: f64,
    /// What is flipped: `recording` where there are six or more, else `trial`.
    pub unit: String,
    /// How many of them.
    pub units: usize,
    /// Every recording, in the order added.
    pub recordings: Vec<RecordingPreference>,
}

/// Collects recordings one by one; only their correlations are kept.
#[derive(Debug, Clone)]
pub struct Preference {
    options: Options,
    recordings: Vec<RecordingPreference>,
    /// Differences by trial, all recordings.
    trials: Vec<f64>,
}

/// Recordings from which on they are the unit of the test: five cannot reach p = 0.05.
const RECORDINGS: usize = 6;

/// Units up to which all flips are counted.
const EXACT: usize = 16;

/// Random flips beyond that.
const FLIPS: usize = 9999;

impl Preference {
    /// No recording yet.
    pub fn new(options: Options) -> Self {
        Self {
            options,
            recordings: Vec::new(),
            trials: Vec::new(),
        }
    }

    /// Decodes the trials of one recording, each of two streams in the order asked about;
    /// [`Trial::attended`] is not looked at.
    ///
    /// # Errors
    /// [`Error::Shape`] for fewer than two trials or other than two streams; else as
    /// [`super::decode`]. The recording then counts as not added.
    pub fn add(&mut self, recording: &str, trials: &[Trial]) -> Result<&RecordingPreference> {
        if let Some(odd) = trials.iter().find(|t| t.streams.len() != 2) {
            return Err(Error::Shape {
                what: "candidate sounds",
                expected: 2,
                found: odd.streams.len(),
            });
        }
        let moments = sums(trials, &self.options)?;
        let mut followed = [Vec::new(), Vec::new()];
        for (stream, followed) in followed.iter_mut().enumerate() {
            let taught = vec![stream; trials.len()];
            let decoders = leave_one_out(&moments, &taught, &self.options)?;
            for (trial, decoder) in trials.iter().zip(&decoders) {
                let made = decoder.reconstruct(&standard(&trial.eeg))?;
                followed.push(correlation(&made, &trial.streams[stream]));
            }
        }
        let [first, second] = &followed;
        let differences: Vec<f64> = first.iter().zip(second).map(|(a, b)| a - b).collect();
        self.recordings.push(RecordingPreference {
            recording: recording.to_owned(),
            trials: trials.len(),
            first: mean(first),
            second: mean(second),
            prefer_first: differences.iter().filter(|d| **d > 0.0).count(),
        });
        self.trials.extend(differences);
        // It was pushed two lines above.
        self.recordings
            .last()
            .ok_or(Error::Empty { what: "recordings" })
    }

    /// The answer so far at the level `alpha`, e.g. 0.01.
    ///
    /// # Errors
    /// [`Error::Empty`] without a recording; [`Error::Domain`] for a level outside (0, 1).
    pub fn verdict(&self, alpha: f64) -> Result<Verdict> {
        if !(alpha > 0.0 && alpha < 1.0) {
            return Err(Error::Domain {
                what: "alpha",
                expected: "a number between 0 and 1",
                found: alpha,
            });
        }
        let by_recording: Vec<f64> = self.recordings.iter().map(|r| r.first - r.second).collect();
        let (unit, units) = if by_recording.len() >= RECORDINGS {
            ("recording", &by_recording)
        } else {
            ("trial", &self.trials)
        };
        if units.is_empty() {
            return Err(Error::Empty { what: "recordings" });
        }
        let difference = mean(units);
        let p = sign_flip(units, self.options.seed);
        let favoured = match (p < alpha, difference > 0.0) {
            (false, _) => Favoured::Undecided,
            (true, true) => Favoured::First,
            (true, false) => Favoured::Second,
        };
        Ok(Verdict {
            favoured,
            difference,
            p,
            unit: unit.to_owned(),
            units: units.len(),
            recordings: self.recordings.clone(),
        })
    }
}

fn mean(x: &[f64]) -> f64 {
    x.iter().sum::<f64>() / x.len().max(1) as f64
}

/// Two-sided p of the mean under random signs: all of them up to 16 values, else 9,999 draws with
/// the +1 correction (Phipson & Smyth 2010, doi:10.2202/1544-6115.1585).
fn sign_flip(x: &[f64], seed: u64) -> f64 {
    let observed = x.iter().sum::<f64>().abs();
    // The tolerance absorbs the rounding of sums that are equal on paper.
    let enough = observed - 1e-12 * x.iter().map(|v| v.abs()).sum::<f64>();
    let flipped = |signs: &mut dyn FnMut(usize) -> bool| {
        let sum: f64 = x
            .iter()
            .enumerate()
            .map(|(k, v)| if signs(k) { -v } else { *v })
            .sum();
        sum.abs() >= enough
    };
    if x.len() <= EXACT {
        let all = 1u32 << x.len();
        let hits = (0..all).filter(|bits| flipped(&mut |k| bits >> k & 1 == 1));
        return hits.count() as f64 / f64::from(all);
    }
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let hits = (0..FLIPS).filter(|_| flipped(&mut |_| rng.random::<bool>()));
    (1 + hits.count()) as f64 / (1 + FLIPS) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signs_are_flipped_exactly_and_by_draws() {
        // All of one sign: two of 2^n flips reach the mean.
        assert_eq!(sign_flip(&[1.0; 6], 0), 2.0 / 64.0);
        assert_eq!(sign_flip(&[-0.3; 10], 0), 2.0 / 1024.0);
        assert_eq!(sign_flip(&[1.0, -1.0], 0), 1.0);
        assert_eq!(sign_flip(&[0.0; 3], 0), 1.0);
        // 1 + 2 + 3 - 4 = 2 or more in size: 14 of 16 sums (0 twice).
        assert_eq!(sign_flip(&[1.0, 2.0, 3.0, -4.0], 0), 14.0 / 16.0);
        let many: Vec<f64> = (0..40).map(|k| f64::from(k % 7) - 2.9).collect();
        let p = sign_flip(&many, 3);
        assert!((0.6..0.95).contains(&p), "{p}");
        assert_eq!(p, sign_flip(&many, 3));
        assert_eq!(sign_flip(&[1.0; 40], 3), 1e-4);
    }
}
