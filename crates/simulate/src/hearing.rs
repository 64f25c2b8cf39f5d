//! EEG of somebody who listens: noise, and the response to a sound's envelope at the place and
//! the time that a miniature says. Shared by the miniatures of the paired corpora.

use crate::montage::{CAP, Point, position};
use crate::noise::coloured;
use crate::random::{stream, uniform};
use crate::speech::envelope;
use crate::trf::Trf;

/// Rate at which responses are computed, Hz; an EEG of another rate is interpolated from it.
const RATE: f64 = 200.0;
/// Standard deviation of the noise, µV.
const NOISE: f64 = 8.0;

/// Electrodes and how they answer to sound.
pub(crate) struct Listener {
    trf: Trf,
    channels: usize,
    sfreq: f64,
}

/// What a sound does to the brain: one course a component of the response, at [`RATE`] from the
/// start of the sound. The strongest channel has a root mean square of 1.
pub(crate) struct Response(Vec<Vec<f64>>);

/// When a sound is heard.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Playing {
    /// Time of the EEG at which the sound is at `from`, s.
    pub(crate) at: f64,
    /// Where in the sound it is switched on, s.
    pub(crate) from: f64,
    /// For how long it is on, s of the sound.
    pub(crate) seconds: f64,
    /// Seconds of the EEG's clock a second of the sound's.
    pub(crate) rate: f64,
}

impl Listener {
    /// A head with these electrodes. A label that is no position of the simulated cap has one
    /// drawn by its name.
    pub(crate) fn new<S: AsRef<str>>(labels: &[S], sfreq: f64) -> Self {
        let positions: Vec<Point> = labels.iter().map(|l| place(l.as_ref())).collect();
        Self {
            trf: Trf::new(&positions, RATE),
            channels: labels.len(),
            sfreq,
        }
    }

    /// Channel × time, µV: noise with a slope of 1/f.
    pub(crate) fn noise(
        &self,
        seed: u64,
        purpose: &str,
        index: &[usize],
        n: usize,
    ) -> Vec<Vec<f64>> {
        (0..self.channels)
            .map(|c| {
                let mut index = index.to_vec();
                index.push(c);
                let mut rng = stream(seed, purpose, &index);
                let mut x = coloured(&mut rng, n, self.sfreq, 1.0, 0.5);
                x.iter_mut().for_each(|v| *v *= NOISE);
                x
            })
            .collect()
    }

    /// The response to a sound of `sfreq` Hz.
    pub(crate) fn hear(&self, sound: &[f32], sfreq: f64) -> Response {
        let n = (sound.len() as f64 * RATE / sfreq).ceil() as usize;
        let env = envelope(sound, sfreq, RATE, n);
        let mut courses: Vec<Vec<f64>> = self
            .trf
            .kernels
            .iter()
            .map(|kernel| {
                let at = |t: usize| {
                    kernel
                        .iter()
                        .take(t + 1)
                        .enumerate()
                        .map(move |(k, h)| (t - k, h))
                };
                (0..n)
                    .map(|t| at(t).filter_map(|(i, h)| Some(h * env.get(i)?)).sum())
                    .collect()
            })
            .collect();
        let strongest = (0..self.channels)
            .map(|c| {
                (0..n)
                    .map(|t| self.value(&courses, c, t).powi(2))
                    .sum::<f64>()
                    / n.max(1) as f64
            })
            .fold(0.0, f64::max)
            .sqrt();
        if strongest > 0.0 {
            courses.iter_mut().flatten().for_each(|v| *v /= strongest);
        }
        Response(courses)
    }

    fn value(&self, courses: &[Vec<f64>], channel: usize, t: usize) -> f64 {
        let parts = courses.iter().zip(&self.trf.maps);
        parts
            .map(|(course, map)| {
                let weight = map.get(channel).copied().unwrap_or_default();
                weight * course.get(t).copied().unwrap_or_default()
            })
            .sum()
    }

    /// Adds the response, `uv` µV at its strongest channel, while the sound is on.
    pub(crate) fn add(&self, eeg: &mut [Vec<f64>], response: &Response, playing: Playing, uv: f64) {
        let first = (playing.at * self.sfreq).ceil().max(0.0) as usize;
        let end = ((playing.at + playing.seconds * playing.rate) * self.sfreq).ceil();
        for (channel, row) in eeg.iter_mut().enumerate() {
            let stretch = row.iter_mut().enumerate();
            for (i, v) in stretch.take(end.max(0.0) as usize).skip(first) {
                let heard = (i as f64 / self.sfreq - playing.at) / playing.rate + playing.from;
                let (k, share) = ((heard * RATE).floor(), (heard * RATE).fract());
                if k < 0.0 {
                    continue;
                }
                let (a, b) = (
                    self.value(&response.0, channel, k as usize),
                    self.value(&response.0, channel, k as usize + 1),
                );
                *v += uv * (a + share * (b - a));
            }
        }
    }
}

fn place(label: &str) -> Point {
    let known = CAP.iter().find(|(name, ..)| *name == label);
    if let Some((_, inclination, azimuth)) = known {
        return position(*inclination, *azimuth);
    }
    let mut rng = stream(0, label, &[]);
    let inclination = uniform(&mut rng, 10.0, 100.0);
    position(inclination, uniform(&mut rng, 0.0, 360.0))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::speech::{Voice, synthesise};

    #[test]
    fn a_response_is_where_the_sound_is() {
        let sfreq = 1000.0;
        let listener = Listener::new(&["Cz", "Fz", "O1"], sfreq);
        let voice = &Voice::pair()[0];
        let sound = synthesise(&mut stream(1, "s", &[]), voice, 6.0, 16_000.0);
        let response = listener.hear(&sound, 16_000.0);
        let rms = |x: &[f64]| (x.iter().map(|v| v * v).sum::<f64>() / x.len() as f64).sqrt();
        let mut eeg = vec![vec![0.0; 10_000]; 3];
        let playing = Playing {
            at: 2.0,
            from: 0.0,
            seconds: 6.0,
            rate: 1.0,
        };
        listener.add(&mut eeg, &response, playing, 3.0);
        for row in &eeg {
            assert!(row[..2000].iter().chain(&row[8000..]).all(|v| *v == 0.0));
        }
        let strongest = eeg.iter().map(|x| rms(&x[2000..8000])).fold(0.0, f64::max);
        assert!((strongest - 3.0).abs() < 0.1, "{strongest}");
        // A second into the sound, and on a slow clock: the same course elsewhere.
        let mut later = vec![vec![0.0; 10_000]; 3];
        let playing = Playing {
            at: 1.0,
            from: 1.0,
            seconds: 4.0,
            rate: 1.25,
        };
        listener.add(&mut later, &response, playing, 3.0);
        for t in (0..4000).step_by(100) {
            let (a, b) = (eeg[0][3000 + t], later[0][1000 + t * 5 / 4]);
            assert!((a - b).abs() < 1e-9, "{t}: {a} {b}");
        }
    }
}
