//! Synthesis of one subject's recording from the design, the sounds' envelopes and the states.

use crate::config::TwoTalker;
use crate::montage::{Point, bump, jitter, position, random_point};
use crate::noise::coloured;
use crate::plan::Trial;
use crate::random::{normal, stream, uniform};
use crate::state::{self, State};
use crate::trf::Trf;
use std::f64::consts::TAU;

/// Background sources (with fixed places in a subject) and maps that topographies are mixed of.
const SOURCES: usize = 24;
const BUMPS: usize = 14;

/// A simulated recording, before it is digitised.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Recording {
    /// Channel × time, µV.
    pub(crate) eeg: Vec<Vec<f64>>,
    /// The vertical electro-oculogram, µV.
    pub(crate) eog: Vec<f64>,
    /// The trigger line: 1 or 2 for 100 ms at the start of a trial attended left or right.
    pub(crate) trigger: Vec<f64>,
    /// State of each trial.
    pub(crate) states: Vec<State>,
    /// Factor on the response function of this subject.
    pub(crate) trf_gain: f64,
}

/// What all subjects share.
pub(crate) struct Scene<'a> {
    pub(crate) cfg: &'a TwoTalker,
    pub(crate) positions: &'a [Point],
    pub(crate) trf: &'a Trf,
    /// Envelope at the EEG's rate of each sound: content × talker.
    pub(crate) envelopes: &'a [[Vec<f64>; 2]],
}

/// Makes the recording of `subject`, `seconds` long.
pub(crate) fn record(
    scene: &Scene<'_>,
    subject: usize,
    trials: &[Trial],
    seconds: usize,
) -> Recording {
    let cfg = scene.cfg;
    let n = seconds * cfg.sfreq as usize;
    let mut rng = stream(cfg.seed, "head", &[subject]);
    let bumps: Vec<Vec<f64>> = (0..BUMPS)
        .map(|_| bump(scene.positions, &random_point(&mut rng), 0.6))
        .collect();
    let states = state::wander(cfg, subject, &bumps, SOURCES);
    let course = Course::new(cfg, trials, n);

    let mut eeg = vec![vec![0.0; n]; cfg.channels];
    add_background(scene, subject, &states, &course, &mut eeg);
    add_rhythms(cfg, subject, &states, &course, &mut eeg);
    add_drift(cfg, subject, &mut eeg);
    let eog = add_blinks(scene, subject, &mut eeg);

    let trf_gain = (0.1 * normal(&mut rng)).exp();
    let mut trf = scene.trf.clone();
    for map in &mut trf.maps {
        *map = jitter(&mut rng, map, 0.1);
    }
    let mut trigger = vec![0.0; n];
    for trial in trials {
        add_trial(scene, &trf, trf_gain, trial, &mut eeg);
        let start = (trial.onset * cfg.sfreq).round() as usize;
        let code = if trial.side == crate::plan::Side::Left {
            1.0
        } else {
            2.0
        };
        for v in trigger
            .iter_mut()
            .skip(start)
            .take((0.1 * cfg.sfreq) as usize)
        {
            *v = code;
        }
    }
    Recording {
        eeg,
        eog,
        trigger,
        states,
        trf_gain,
    }
}

/// Which trial's state holds at each sample: constant in a trial, gliding in the gap after it.
struct Course(Vec<(usize, usize, f64)>);

impl Course {
    fn new(cfg: &TwoTalker, trials: &[Trial], n: usize) -> Self {
        let mut at = Vec::with_capacity(n);
        let mut k = 0;
        for i in 0..n {
            let t = i as f64 / cfg.sfreq;
            while trials.get(k + 1).is_some_and(|next| t >= next.onset) {
                k += 1;
            }
            let end = trials.get(k).map_or(0.0, |x| x.onset) + cfg.trial_seconds;
            at.push(match trials.get(k + 1) {
                Some(next) if t > end => (k, k + 1, (t - end) / (next.onset - end)),
                _ => (k, k, 0.0),
            });
        }
        Self(at)
    }

    /// A number of the state at each sample.
    fn follow<'a>(
        &'a self,
        states: &'a [State],
        read: impl Fn(&State) -> f64 + 'a,
    ) -> impl Iterator<Item = f64> + 'a {
        let values: Vec<f64> = states.iter().map(read).collect();
        self.0.iter().map(move |(a, b, w)| {
            let at = |k: &usize| values.get(*k).copied().unwrap_or(0.0);
            at(a) * (1.0 - w) + at(b) * w
        })
    }
}

fn add_background(
    scene: &Scene<'_>,
    subject: usize,
    states: &[State],
    course: &Course,
    eeg: &mut [Vec<f64>],
) {
    let cfg = scene.cfg;
    let n = course.0.len();
    let steepness: Vec<f64> = course.follow(states, |s| s.steepness).collect();
    let mut places = stream(cfg.seed, "sources", &[subject]);
    // Each map peaks at 1; about a third of a map's width overlaps with the next one's.
    let share = cfg.background_uv / (SOURCES as f64).sqrt() * 2.2;
    for k in 0..SOURCES {
        let width = uniform(&mut places, 0.4, 0.9);
        let map = bump(scene.positions, &random_point(&mut places), width);
        let mut rng = stream(cfg.seed, "background", &[subject, k]);
        let steep = coloured(&mut rng, n, cfg.sfreq, 1.6, 0.5);
        let shallow = coloured(&mut rng, n, cfg.sfreq, 0.6, 0.5);
        let gain = course.follow(states, move |s| {
            s.source_gain.get(k).copied().unwrap_or(1.0)
        });
        let wave: Vec<f64> = gain
            .zip(&steepness)
            .zip(steep.iter().zip(&shallow))
            .map(|((g, s), (a, b))| share * g * (s.sqrt() * a + (1.0 - s).sqrt() * b))
            .collect();
        for (channel, m) in eeg.iter_mut().zip(&map) {
            for (y, x) in channel.iter_mut().zip(&wave) {
                *y += m * x;
            }
        }
    }
    for (c, channel) in eeg.iter_mut().enumerate() {
        let mut rng = stream(cfg.seed, "sensor", &[subject, c]);
        for y in channel.iter_mut() {
            *y += 0.1 * cfg.background_uv * normal(&mut rng);
        }
    }
}

fn add_rhythms(
    cfg: &TwoTalker,
    subject: usize,
    states: &[State],
    course: &Course,
    eeg: &mut [Vec<f64>],
) {
    let n = course.0.len();
    for r in 0..state::RHYTHMS.len() {
        let mut rng = stream(cfg.seed, "rhythm", &[subject, r]);
        let pulse = coloured(&mut rng, n, cfg.sfreq, 2.0, 0.4);
        let number = |v: &[f64]| v.get(r).copied().unwrap_or(0.0);
        let mut phase = uniform(&mut rng, 0.0, 1.0);
        let wave: Vec<f64> = course
            .follow(states, |s| number(&s.rhythm_hz))
            .zip(course.follow(states, |s| number(&s.rhythm_gain)))
            .zip(&pulse)
            .map(|((hz, gain), p)| {
                // The phase also walks, which gives the peak a width of about half a hertz.
                phase = (phase + hz / cfg.sfreq + 0.02 * normal(&mut rng)).fract();
                // A sine has a root mean square of 1/√2.
                let level = cfg.rhythm_uv * std::f64::consts::SQRT_2 * gain;
                level * (1.0 + 0.35 * p).max(0.1) * (TAU * phase).sin()
            })
            .collect();
        for (c, channel) in eeg.iter_mut().enumerate() {
            let map = course.follow(states, move |s| {
                s.rhythm_map
                    .get(r)
                    .and_then(|m| m.get(c))
                    .copied()
                    .unwrap_or(0.0)
            });
            for ((y, x), m) in channel.iter_mut().zip(&wave).zip(map) {
                *y += m * x;
            }
        }
    }
}

/// Electrode drift: an offset and a wander below 0.5 Hz, which the band-pass removes.
fn add_drift(cfg: &TwoTalker, subject: usize, eeg: &mut [Vec<f64>]) {
    for (c, channel) in eeg.iter_mut().enumerate() {
        let mut rng = stream(cfg.seed, "drift", &[subject, c]);
        let offset = 3.0 * normal(&mut rng);
        let drift = coloured(&mut rng, channel.len(), cfg.sfreq, 4.0, 0.02);
        for (y, d) in channel.iter_mut().zip(drift) {
            *y += cfg.drift_uv * (offset + d);
        }
    }
}

/// Blinks every 2 to 8 s: large on the oculogram, weaker on the forehead.
fn add_blinks(scene: &Scene<'_>, subject: usize, eeg: &mut [Vec<f64>]) -> Vec<f64> {
    let cfg = scene.cfg;
    let n = eeg.first().map_or(0, Vec::len);
    let mut rng = stream(cfg.seed, "blinks", &[subject]);
    let mut eog: Vec<f64> = coloured(&mut rng, n, cfg.sfreq, 1.0, 0.5)
        .into_iter()
        .map(|v| 10.0 * v)
        .collect();
    let leak = bump(scene.positions, &position(95.0, 90.0), 0.4);
    let mut t = uniform(&mut rng, 0.5, 5.0);
    while t * cfg.sfreq < n as f64 {
        let height = uniform(&mut rng, 100.0, 250.0);
        let first = ((t - 0.4) * cfg.sfreq).max(0.0) as usize;
        let last = (((t + 0.4) * cfg.sfreq) as usize).min(n);
        for i in first..last {
            let x = (i as f64 / cfg.sfreq - t) / 0.08;
            let v = height * (-0.5 * x * x).exp();
            if let Some(y) = eog.get_mut(i) {
                *y += v;
            }
            for (channel, l) in eeg.iter_mut().zip(&leak) {
                if let Some(y) = channel.get_mut(i) {
                    *y += 0.2 * l * v;
                }
            }
        }
        t += uniform(&mut rng, 2.0, 8.0);
    }
    eog
}

/// The responses to both talkers of a trial; nothing sounds outside it.
fn add_trial(scene: &Scene<'_>, trf: &Trf, gain: f64, trial: &Trial, eeg: &mut [Vec<f64>]) {
    let cfg = scene.cfg;
    let start = (trial.onset * cfg.sfreq).round() as usize;
    let n = (cfg.trial_seconds * cfg.sfreq).round() as usize;
    let mut rows: Vec<&mut [f64]> = eeg
        .iter_mut()
        .filter_map(|c| c.get_mut(start..start + n))
        .collect();
    let Some(pair) = scene.envelopes.get(trial.content) else {
        return;
    };
    let talkers = [trial.attended, 1 - trial.attended];
    let gains = [gain, gain * cfg.unattended_share];
    for ((talker, onset), gain) in talkers.iter().zip(trial.sound_onsets).zip(gains) {
        let skip = (onset * cfg.sfreq).round() as usize;
        if let Some(heard) = pair.get(*talker).and_then(|e| e.get(skip..skip + n)) {
            trf.add_response(heard, gain, &mut rows);
        }
    }
}
