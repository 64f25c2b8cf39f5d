//! Which of several sounds was attended: the linear envelope decoder.
//!
//! A backward model reconstructs the envelope of the attended sound from the EEG that follows it
//! (O'Sullivan et al. 2015, doi:10.1093/cercor/bht355):
//! `s(t) = sum over channels c and lags l of w[c, l] * eeg[c](t + l)`, lags 0 to 400 ms, samples
//! after the end of a piece counting as zero as in the mTRF-Toolbox (Crosse et al. 2016,
//! doi:10.3389/fnhum.2016.00604). The candidate whose envelope correlates most with the
//! reconstruction is the answer. Weights are a ridge regression with an intercept that is not
//! penalised; the penalty is relative to the mean variance of the lagged EEG, so that it does not
//! depend on the unit.
//!
//! Owns: the sums of one trial ([`Moments`]), the fit ([`Factor`], [`Decoder`]), the choice of the
//! penalty by leaving trials out ([`choose`]), a listener's cross-validated accuracy over decision
//! windows with its controls ([`decode`], [`control`]), and the question which of two streams a
//! data set's listeners attended ([`Preference`]). Does not own: how EEG is filtered and how
//! envelopes are made (`mmpipe-signal`), or where trials come from.
//!
//! All sums are f64 in a fixed order: the same bytes for any number of threads.

mod choose;
mod decoder;
mod moments;
mod preference;
mod trials;

pub use choose::{Choice, choose};
pub use decoder::{Decoder, Factor, correlation, standardise};
pub use moments::Moments;
pub use preference::{Favoured, Preference, RecordingPreference, Verdict};
pub use trials::{Control, Decoded, Trial, TrialScore, WindowScore, control, decode};

use crate::{Error, Result};

/// Settings of the decoder and of its scoring.
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// Rate of EEG and envelopes, Hz.
    pub sfreq: f64,
    /// Last lag in s; the first is 0.
    pub lag_seconds: f64,
    /// Penalties to choose from, relative to the mean variance of the lagged EEG.
    pub lambdas: Vec<f64>,
    /// Groups of whole trials that are left out in turn when the penalty is chosen; each trial is
    /// its own group where there are no more trials than this.
    pub inner_groups: usize,
    /// Lengths of decision windows in s; the whole trial is always scored too.
    pub windows: Vec<f64>,
    /// Bootstrap replicates of the interval over trials.
    pub replicates: usize,
    /// Coverage of the interval.
    pub level: f64,
    /// Seed of bootstrap, controls and sign flips.
    pub seed: u64,
}

impl Options {
    /// The usual settings at a rate of `sfreq` Hz: lags to 400 ms, penalties 1e-5 to 100, windows
    /// of 2, 5, 10, 20 and 40 s.
    pub fn new(sfreq: f64) -> Self {
        Self {
            sfreq,
            lag_seconds: LAG_SECONDS,
            lambdas: LAMBDAS.to_vec(),
            inner_groups: 10,
            windows: vec![2.0, 5.0, 10.0, 20.0, 40.0],
            replicates: 1000,
            level: 0.95,
            seed: 0,
        }
    }

    /// Lags in samples, from 0 on: `round(lag_seconds * sfreq) + 1`.
    ///
    /// # Errors
    /// [`Error::Domain`] for a rate, lag, penalty or window that cannot be.
    pub fn lags(&self) -> Result<usize> {
        let wrong = |what, expected, found| {
            Err(Error::Domain {
                what,
                expected,
                found,
            })
        };
        if !(self.sfreq > 0.0 && self.sfreq <= 1e6) {
            return wrong("sfreq", "a rate in Hz up to 1e6", self.sfreq);
        }
        let lags = (self.lag_seconds * self.sfreq).round() + 1.0;
        if !(1.0..=MOST_LAGS).contains(&lags) {
            return wrong("lag_seconds", "0 to 1000 samples", self.lag_seconds);
        }
        if self.lambdas.is_empty() {
            return Err(Error::Empty { what: "lambdas" });
        }
        for &lambda in &self.lambdas {
            if !(lambda > 0.0 && lambda.is_finite()) {
                return wrong("lambdas", "positive numbers", lambda);
            }
        }
        for &window in &self.windows {
            if !(window * self.sfreq >= 2.0 && window.is_finite()) {
                return wrong("windows", "seconds, of two samples or more", window);
            }
        }
        Ok(lags as usize)
    }
}

/// Last lag of the decoder in s.
pub const LAG_SECONDS: f64 = 0.4;

/// Penalties to choose from, relative to the mean variance of the lagged EEG.
pub const LAMBDAS: [f64; 8] = [1e-5, 1e-4, 1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0];

/// Most lags accepted.
const MOST_LAGS: f64 = 1001.0;
