//! One listener's trials: which sound was attended, each trial decoded by the others.

use rand::{Rng, SeedableRng};
use rand_chacha::ChaCha8Rng;
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::{Decoder, Moments, Options, choose, correlation, standardise};
use crate::stats::{Interval, bootstrap_share};
use crate::{Error, Result};

/// One trial of a listener: EEG and the envelopes that played, at one rate and of one length.
///
/// Units and offsets do not matter: every channel and envelope is brought to mean 0 and standard
/// deviation 1 over the trial.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Trial {
    /// Name in results.
    pub name: String,
    /// Channel by channel; the same channels in every trial.
    pub eeg: Vec<Vec<f64>>,
    /// Envelopes of the candidates.
    pub streams: Vec<Vec<f64>>,
    /// Which of them was attended.
    pub attended: usize,
}

/// What was decoded of one trial by a model that has not seen it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct TrialScore {
    /// The trial.
    pub trial: String,
    /// Penalty chosen without it.
    pub lambda: f64,
    /// Correlation of the reconstruction with each candidate, over the whole trial.
    pub correlations: Vec<f64>,
    /// The attended candidate.
    pub attended: usize,
}

/// Accuracy over decision windows of one length.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WindowScore {
    /// Length in s; `None` for the whole trial.
    pub seconds: Option<f64>,
    /// Windows decided: consecutive ones from the trial's start, a shorter rest left out.
    pub windows: u64,
    /// Windows in which the attended candidate correlated more than every other.
    pub correct: u64,
    /// `correct / windows`; `None` where every trial is shorter than a window.
    pub accuracy: Option<f64>,
    /// What guessing reaches: one over the number of candidates.
    pub chance: f64,
    /// Bootstrap interval of the accuracy over whole trials.
    pub interval: Option<Interval>,
}

/// A listener's result.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Decoded {
    /// One a trial, in order; empty for [`Control::Shuffled`], where a trial has many models.
    pub trials: Vec<TrialScore>,
    /// One a window length in the order of [`Options::windows`], then the whole trial.
    pub windows: Vec<WindowScore>,
}

/// What must be at chance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Control {
    /// In each of so many draws the attended stream of every trial is drawn anew, for training and
    /// for scoring. (Training alone would not do: both talkers drive the EEG in much the same way,
    /// so a decoder taught by either follows the one that the EEG follows, which is attended.)
    Shuffled(usize),
    /// The EEG of the decoded trial is turned round by a random time of a quarter to three
    /// quarters of the trial: noise with the very spectrum and covariance of the EEG.
    Turned,
}

/// Decodes every trial with a model of all others (leave-trial-out); the penalty is chosen by
/// leaving out trials among those others. A window is decided by the candidate whose envelope
/// correlates most with the reconstruction in it; the last samples of a window lean on the EEG of
/// the 400 ms after it, and a tie counts as wrong.
///
/// # Errors
/// [`Error::Shape`] for fewer than two trials or candidates, or channels that differ;
/// [`Error::Domain`] for settings out of range or samples that are not finite;
/// [`Error::NotPositive`] for flat EEG.
pub fn decode(trials: &[Trial], options: &Options) -> Result<Decoded> {
    let moments = sums(trials, options)?;
    let attended: Vec<usize> = trials.iter().map(|t| t.attended).collect();
    let decoders = leave_one_out(&moments, &attended, options)?;
    let asked = ask(trials, &attended, &decoders, options, None)?;
    let windows = window_scores(trials, &[&asked], options)?;
    let score = |((trial, decoder), answer): ((&Trial, &Decoder), &Answer)| TrialScore {
        trial: trial.name.clone(),
        lambda: decoder.lambda,
        correlations: answer.correlations.clone(),
        attended: trial.attended,
    };
    let trials = trials
        .iter()
        .zip(&decoders)
        .zip(&asked)
        .map(score)
        .collect();
    Ok(Decoded { trials, windows })
}

/// The same with something withheld, see [`Control`].
///
/// # Errors
/// As [`decode`].
pub fn control(trials: &[Trial], what: Control, options: &Options) -> Result<Decoded> {
    let moments = sums(trials, options)?;
    let mut rng = ChaCha8Rng::seed_from_u64(options.seed);
    match what {
        Control::Turned => {
            let shifts: Vec<f64> = trials
                .iter()
                .map(|_| rng.random_range(0.25..0.75))
                .collect();
            let attended: Vec<usize> = trials.iter().map(|t| t.attended).collect();
            let decoders = leave_one_out(&moments, &attended, options)?;
            let asked = ask(trials, &attended, &decoders, options, Some(&shifts))?;
            Ok(Decoded {
                trials: Vec::new(),
                windows: window_scores(trials, &[&asked], options)?,
            })
        }
        Control::Shuffled(draws) => {
            let mut all = Vec::with_capacity(draws);
            for _ in 0..draws {
                let drawn: Vec<usize> = trials
                    .iter()
                    .map(|t| rng.random_range(0..t.streams.len().max(1)))
                    .collect();
                let decoders = leave_one_out(&moments, &drawn, options)?;
                all.push(ask(trials, &drawn, &decoders, options, None)?);
            }
            let all: Vec<&Vec<Answer>> = all.iter().collect();
            Ok(Decoded {
                trials: Vec::new(),
                windows: window_scores(trials, &all, options)?,
            })
        }
    }
}

/// Sums of every trial, standardised.
pub(super) fn sums(trials: &[Trial], options: &Options) -> Result<Vec<Moments>> {
    let lags = options.lags()?;
    if trials.len() < 2 {
        return Err(Error::Shape {
            what: "trials, of which one is left out,",
            expected: 2,
            found: trials.len(),
        });
    }
    let channels = trials[0].eeg.len();
    let one = |trial: &Trial| {
        if trial.eeg.len() != channels {
            return Err(Error::Shape {
                what: "channels",
                expected: channels,
                found: trial.eeg.len(),
            });
        }
        if trial.streams.len() < 2 || trial.attended >= trial.streams.len() {
            return Err(Error::Shape {
                what: "candidate sounds",
                expected: 2.max(trial.attended + 1),
                found: trial.streams.len(),
            });
        }
        Moments::of(&standard(&trial.eeg), &standard(&trial.streams), lags)
    };
    trials.par_iter().map(one).collect()
}

pub(super) fn standard(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(|row| standardise(row));
    rows
}

/// For every trial a decoder of the others; `taught` is the stream that each trial teaches.
pub(super) fn leave_one_out(
    moments: &[Moments],
    taught: &[usize],
    options: &Options,
) -> Result<Vec<Decoder>> {
    let one = |out: usize| {
        let others: Vec<(&Moments, usize)> = moments
            .iter()
            .zip(taught.iter().copied())
            .enumerate()
            .filter(|(k, _)| *k != out)
            .map(|(_, other)| other)
            .collect();
        let choice = choose(&others, &options.lambdas, options.inner_groups)?;
        Decoder::fit(&Moments::pool(&others)?, 0, choice.lambda)
    };
    (0..moments.len()).into_par_iter().map(one).collect()
}

/// What a decoder says of one trial.
struct Answer {
    correlations: Vec<f64>,
    /// (correct, decided) for each window length, the whole trial last.
    windows: Vec<(u64, u64)>,
}

/// Asks each trial's decoder; `attended` is what counts as right, `shifts` turn the EEG round by that share of the trial.
fn ask(
    trials: &[Trial],
    attended: &[usize],
    decoders: &[Decoder],
    options: &Options,
    shifts: Option<&[f64]>,
) -> Result<Vec<Answer>> {
    let one = |k: usize| -> Result<Answer> {
        let (trial, attended) = (&trials[k], attended[k]);
        let mut eeg = standard(&trial.eeg);
        if let Some(share) = shifts.and_then(|s| s.get(k)) {
            for x in &mut eeg {
                let by = ((share * x.len() as f64) as usize).min(x.len());
                x.rotate_left(by);
            }
        }
        let made = decoders[k].reconstruct(&eeg)?;
        let right = |from: usize, to: usize| {
            let r: Vec<f64> = trial
                .streams
                .iter()
                .map(|s| correlation(&made[from..to], &s[from..to]))
                .collect();
            let others = r.iter().enumerate().filter(|(s, _)| *s != attended);
            let best = others.fold(f64::NEG_INFINITY, |m, (_, r)| m.max(*r));
            (u64::from(r[attended] > best), r)
        };
        let mut windows = Vec::with_capacity(options.windows.len() + 1);
        for seconds in &options.windows {
            let length = (seconds * options.sfreq).round() as usize;
            let starts = (0..made.len() / length).map(|w| w * length);
            let correct: u64 = starts.map(|at| right(at, at + length).0).sum();
            windows.push((correct, (made.len() / length) as u64));
        }
        let (correct, correlations) = right(0, made.len());
        windows.push((correct, 1));
        Ok(Answer {
            correlations,
            windows,
        })
    };
    (0..trials.len()).into_par_iter().map(one).collect()
}

/// Counts of one or several rounds of answers, with an interval over trials.
fn window_scores(
    trials: &[Trial],
    rounds: &[&Vec<Answer>],
    options: &Options,
) -> Result<Vec<WindowScore>> {
    let lengths = options.windows.iter().copied().map(Some).chain([None]);
    let mut out = Vec::with_capacity(options.windows.len() + 1);
    for (w, seconds) in lengths.enumerate() {
        let blocks: Vec<(u64, u64)> = (0..trials.len())
            .map(|k| {
                let of = rounds.iter().map(|round| round[k].windows[w]);
                of.fold((0, 0), |sum, x| (sum.0 + x.0, sum.1 + x.1))
            })
            .collect();
        let correct = blocks.iter().map(|b| b.0).sum();
        let windows: u64 = blocks.iter().map(|b| b.1).sum();
        let guess = |(trial, block): (&Trial, &(u64, u64))| {
            block.1 as f64 / trial.streams.len().max(1) as f64
        };
        let chance: f64 = trials.iter().zip(&blocks).map(guess).sum();
        let share = |x: f64| (windows > 0).then(|| x / windows as f64);
        out.push(WindowScore {
            seconds,
            windows,
            correct,
            accuracy: share(correct as f64),
            chance: share(chance).unwrap_or(0.5),
            interval: bootstrap_share(
                &blocks,
                "trial",
                options.replicates,
                options.level,
                options.seed,
            )?,
        });
    }
    Ok(out)
}
