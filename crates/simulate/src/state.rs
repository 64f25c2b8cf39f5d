//! The slow state of the head: what a network can recognise a trial by.
//!
//! Band-pass filtering and the z-score of every epoch remove offsets, slow drift and gain. What
//! survives is *shape*: which rhythms there are, at which frequency, with which topography, how
//! steep the background falls and which sources are strong. All of that wanders from trial to
//! trial as a first-order autoregressive process and holds still inside a trial, as posture,
//! sweat, fatigue and electrode pressure make it do in real sessions. It never sees the label.

use crate::config::TwoTalker;
use crate::montage::mixed;
use crate::random::{normals, stream};

/// Rhythms and the middle of the range in which each one's frequency wanders, in Hz.
pub(crate) const RHYTHMS: [(f64, f64); 3] = [(10.5, 2.5), (17.5, 3.5), (27.0, 5.0)];

/// State of one trial.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct State {
    /// Frequency of each rhythm in Hz.
    pub rhythm_hz: Vec<f64>,
    /// Strength of each rhythm (factor).
    pub rhythm_gain: Vec<f64>,
    /// Topography of each rhythm (unit mean square over channels).
    pub rhythm_map: Vec<Vec<f64>>,
    /// Share of the steep background (slope 1.6) against the shallow one (slope 0.6), 0 to 1.
    pub steepness: f64,
    /// Strength of each background source (factor).
    pub source_gain: Vec<f64>,
}

/// The states of all trials of a subject. `bumps` are the smooth maps that topographies mix.
pub(crate) fn wander(
    cfg: &TwoTalker,
    subject: usize,
    bumps: &[Vec<f64>],
    sources: usize,
) -> Vec<State> {
    let mut rng = stream(cfg.seed, "state", &[subject]);
    let count = RHYTHMS.len();
    let width = count * (2 + bumps.len()) + 1 + sources;
    let base = normals(&mut rng, width);
    let mut now = normals(&mut rng, width);
    let memory = cfg.state_memory;
    let fresh = (1.0 - memory * memory).sqrt();
    (0..cfg.trials)
        .map(|_| {
            let z: Vec<f64> = now.iter().map(|v| v * cfg.state_spread).collect();
            let state = read(&z, &base, bumps, sources, cfg.channels);
            for (v, e) in now.iter_mut().zip(normals(&mut rng, width)) {
                *v = memory * *v + fresh * e;
            }
            state
        })
        .collect()
}

/// Turns standard normal numbers into a state; `base` is what stays the same in a subject.
fn read(z: &[f64], base: &[f64], bumps: &[Vec<f64>], sources: usize, channels: usize) -> State {
    let count = RHYTHMS.len();
    let mut z = z.iter().copied();
    let mut base = base.iter().copied();
    let mut next = || (z.next().unwrap_or(0.0), base.next().unwrap_or(0.0));
    let rhythm_hz = RHYTHMS
        .iter()
        .map(|(middle, range)| {
            let (v, _) = next();
            middle + range * (0.9 * v).tanh()
        })
        .collect();
    let rhythm_gain = (0..count).map(|_| (0.5 * next().0).exp()).collect();
    let rhythm_map = (0..count)
        .map(|_| {
            let weights: Vec<f64> = bumps
                .iter()
                .map(|_| {
                    let (v, b) = next();
                    v + 0.3 * b
                })
                .collect();
            mixed(bumps, &weights, channels)
        })
        .collect();
    let steepness = 1.0 / (1.0 + (-1.5 * next().0).exp());
    let source_gain = (0..sources).map(|_| (0.5 * next().0).exp()).collect();
    State {
        rhythm_hz,
        rhythm_gain,
        rhythm_map,
        steepness,
        source_gain,
    }
}
