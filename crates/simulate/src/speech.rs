//! Speech-like sound: a voiced harmonic source through three moving formants, syllables at 3 to
//! 6 Hz, noise bursts in place of consonants, phrases and pauses. It says nothing; it only has
//! the envelope and the spectrum that matter to an envelope decoder.
//! The source-filter idea is Klatt's (doi:10.1121/1.383940), much reduced.

use crate::random::{Random, normal, uniform};
use rand::Rng;
use std::f64::consts::TAU;

/// A talker.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Voice {
    /// Short name, part of the file names.
    pub name: String,
    /// Mean fundamental frequency in Hz.
    pub pitch: f64,
    /// Factor on all formants (a shorter vocal tract has higher ones).
    pub formant_scale: f64,
    /// Mean rate of syllables in Hz.
    pub syllable_rate: f64,
}

impl Voice {
    /// The two talkers of the simulated corpora: a low and a high voice.
    pub fn pair() -> [Self; 2] {
        [
            Self {
                name: "low".into(),
                pitch: 112.0,
                formant_scale: 1.0,
                syllable_rate: 4.3,
            },
            Self {
                name: "high".into(),
                pitch: 196.0,
                formant_scale: 1.16,
                syllable_rate: 4.7,
            },
        ]
    }
}

/// First three formants in Hz of seven vowels (rounded from Peterson and Barney 1952).
const VOWELS: [[f64; 3]; 7] = [
    [270.0, 2290.0, 3010.0],
    [390.0, 1990.0, 2550.0],
    [530.0, 1840.0, 2480.0],
    [660.0, 1720.0, 2410.0],
    [730.0, 1090.0, 2440.0],
    [570.0, 840.0, 2410.0],
    [300.0, 870.0, 2240.0],
];

/// Bandwidths in Hz of the three formants.
const BANDWIDTHS: [f64; 3] = [80.0, 110.0, 160.0];

struct Syllable {
    start: f64,
    seconds: f64,
    level: f64,
    burst: f64,
    pitch: f64,
    formants: [f64; 3],
}

/// `seconds` of sound at `sfreq` Hz, peak 0.8.
pub(crate) fn synthesise(rng: &mut Random, voice: &Voice, seconds: f64, sfreq: f64) -> Vec<f32> {
    let plan = syllables(rng, voice, seconds);
    let n = (seconds * sfreq).round() as usize;
    let mut out = vec![0.0_f64; n];
    let mut filters = [Resonator::default(); 3];
    let mut noise_filter = Resonator::default();
    let mut phase = 0.0_f64;
    let mut lowpass = 0.0_f64;
    for (k, s) in plan.iter().enumerate() {
        let next = plan.get(k + 1).map_or(s.formants, |x| x.formants);
        let first = (s.start * sfreq) as usize;
        let last = (((s.start + s.seconds) * sfreq) as usize).min(n);
        for (i, sample) in out.iter_mut().enumerate().take(last).skip(first) {
            let t = i as f64 / sfreq - s.start;
            let share = t / s.seconds;
            // Formants are set every 4 ms and glide to the next vowel in the last third.
            if (i - first).is_multiple_of((sfreq as usize / 250).max(1)) {
                let glide = ((share - 0.67) / 0.33).clamp(0.0, 1.0) * 0.5;
                for ((f, b), (a, z)) in filters
                    .iter_mut()
                    .zip(BANDWIDTHS)
                    .zip(s.formants.iter().zip(next))
                {
                    f.tune(a + (z - a) * glide, b, sfreq);
                }
                noise_filter.tune(3800.0_f64.min(sfreq * 0.4), 1500.0, sfreq);
            }
            let pitch = s.pitch * (1.0 - 0.06 * share);
            let step = pitch / sfreq;
            phase = (phase + step).fract();
            // A saw with its corner rounded over a sample, then -6 dB an octave.
            lowpass += 0.25 * ((2.0 * phase - 1.0 - corner(phase, step)) - lowpass);
            let breath = 0.02 * normal(rng);
            let voiced = filters.iter_mut().fold(lowpass + breath, |x, f| f.step(x));
            let burst = noise_filter.step(normal(rng)) * burst_shape(t) * s.burst;
            *sample = s.level * (voiced * vowel_shape(t, s.seconds, s.burst > 0.0) + burst);
        }
    }
    let peak = out.iter().fold(0.0_f64, |m, v| m.max(v.abs())).max(1e-12);
    out.iter().map(|v| (0.8 * v / peak) as f32).collect()
}

fn syllables(rng: &mut Random, voice: &Voice, seconds: f64) -> Vec<Syllable> {
    let mut plan = Vec::new();
    let mut t = uniform(rng, 0.0, 0.2);
    while t < seconds {
        let phrase_end = t + uniform(rng, 1.0, 2.8);
        let phrase_start = t;
        while t < phrase_end && t < seconds {
            let rate = (voice.syllable_rate + 0.8 * normal(rng)).clamp(3.0, 6.0);
            let vowel = VOWELS[rng.random_range(0..VOWELS.len())];
            // Pitch falls over a phrase, and a stressed syllable stands out.
            let stress = (0.35 * normal(rng)).exp();
            let fall = 1.1 - 0.2 * (t - phrase_start) / (phrase_end - phrase_start);
            plan.push(Syllable {
                start: t,
                seconds: 1.0 / rate,
                level: stress,
                burst: if rng.random::<f64>() < 0.55 {
                    uniform(rng, 0.4, 1.0)
                } else {
                    0.0
                },
                pitch: voice.pitch * fall * (1.0 + 0.12 * (stress - 1.0) + 0.02 * normal(rng)),
                formants: vowel.map(|f| f * voice.formant_scale),
            });
            t += 1.0 / rate;
        }
        t += uniform(rng, 0.15, 0.6);
    }
    plan
}

/// PolyBLEP: what has to be taken from a saw near its jump to keep it from aliasing.
fn corner(phase: f64, step: f64) -> f64 {
    if phase < step {
        let t = phase / step;
        2.0 * t - t * t - 1.0
    } else if phase > 1.0 - step {
        let t = (phase - 1.0) / step;
        t * t + 2.0 * t + 1.0
    } else {
        0.0
    }
}

/// Loudness of the vowel over its syllable: rises in 30 to 40 ms, decays into the next.
fn vowel_shape(t: f64, seconds: f64, after_burst: bool) -> f64 {
    let onset = if after_burst { 0.045 } else { 0.01 };
    let rise = ((t - onset) / 0.04).clamp(0.0, 1.0);
    let fall = ((seconds - t) / (0.45 * seconds)).clamp(0.0, 1.0);
    (0.5 - 0.5 * (TAU * 0.5 * rise).cos()) * (0.5 - 0.5 * (TAU * 0.5 * fall).cos())
}

/// Loudness of the noise burst: 50 ms from the start of the syllable.
fn burst_shape(t: f64) -> f64 {
    let x = t / 0.05;
    if x < 1.0 {
        0.3 * (TAU * 0.5 * x).sin()
    } else {
        0.0
    }
}

/// A two-pole resonator with unit gain at 0 Hz (Klatt 1980).
#[derive(Debug, Clone, Copy, Default)]
struct Resonator {
    a: f64,
    b: f64,
    c: f64,
    y1: f64,
    y2: f64,
}

impl Resonator {
    fn tune(&mut self, freq: f64, bandwidth: f64, sfreq: f64) {
        let r = (-TAU * 0.5 * bandwidth / sfreq).exp();
        self.c = -r * r;
        self.b = 2.0 * r * (TAU * freq / sfreq).cos();
        self.a = 1.0 - self.b - self.c;
    }

    fn step(&mut self, x: f64) -> f64 {
        let y = self.a * x + self.b * self.y1 + self.c * self.y2;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }
}

/// The envelope that drives the simulated brain: magnitude, averaged over a triangle of 30 ms
/// around each output sample, to the power 0.6 (loudness), standardised over the sound.
pub(crate) fn envelope(sound: &[f32], sfreq: f64, out_sfreq: f64, n_out: usize) -> Vec<f64> {
    let half = (0.03 * sfreq) as isize;
    let mut env: Vec<f64> = (0..n_out)
        .map(|k| {
            let centre = (k as f64 * sfreq / out_sfreq).round() as isize;
            let mut sum = 0.0;
            for d in -half + 1..half {
                let weight = (half - d.abs()) as f64;
                let index = usize::try_from(centre + d).ok();
                if let Some(x) = index.and_then(|i| sound.get(i)) {
                    sum += weight * f64::from(x.abs());
                }
            }
            (sum / (half * half) as f64).powf(0.6)
        })
        .collect();
    crate::noise::standardise(&mut env);
    env
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::stream;
    use realfft::RealFftPlanner;

    fn spectrum(x: &[f64]) -> Vec<f64> {
        let fft = RealFftPlanner::<f64>::new().plan_fft_forward(x.len());
        let mut out = fft.make_output_vec();
        fft.process(&mut x.to_vec(), &mut out).unwrap();
        out.iter().map(|c| c.norm_sqr()).collect()
    }

    #[test]
    fn envelope_moves_at_the_rate_of_syllables() {
        for (k, voice) in Voice::pair().iter().enumerate() {
            let sound = synthesise(&mut stream(5, "s", &[k]), voice, 32.0, 16_000.0);
            assert_eq!(sound.len(), 512_000);
            let peak = sound.iter().fold(0.0_f32, |m, v| m.max(v.abs()));
            assert!((peak - 0.8).abs() < 1e-3);
            let env = envelope(&sound, 16_000.0, 64.0, 2048);
            let p = spectrum(&env);
            let band = |lo: f64, hi: f64| -> f64 {
                p.iter()
                    .enumerate()
                    .filter(|(i, _)| (lo..hi).contains(&(*i as f64 / 32.0)))
                    .map(|x| x.1)
                    .sum()
            };
            // Speech is modulated most at 3 to 6 Hz (Ding et al. 2017, doi:10.1016/j.neubiorev.2017.02.011).
            let density = |lo: f64, hi: f64| band(lo, hi) / (hi - lo);
            assert!(density(3.0, 6.0) > 2.0 * density(8.0, 11.0));
            assert!(density(3.0, 6.0) > 5.0 * density(12.0, 16.0));
            assert!(band(0.1, 8.0) > 3.0 * band(8.0, 32.0));
        }
    }

    #[test]
    fn voices_have_their_pitch() {
        for (k, voice) in Voice::pair().iter().enumerate() {
            let sound = synthesise(&mut stream(6, "s", &[k]), voice, 4.0, 8_000.0);
            // The autocorrelation of the sound peaks at the pitch period.
            let r = |lag: usize| -> f32 {
                sound
                    .iter()
                    .zip(sound.iter().skip(lag))
                    .map(|(a, b)| a * b)
                    .sum()
            };
            let best = (28..134).max_by(|a, b| r(*a).total_cmp(&r(*b))).unwrap();
            let found = 8_000.0 / best as f64;
            assert!(
                (found / voice.pitch - 1.0).abs() < 0.2,
                "{found} for {}",
                voice.pitch
            );
        }
    }
}
