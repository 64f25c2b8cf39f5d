//! What was planted in the miniatures of paired corpora, and how: sounds, and EEG that follows
//! the sounds that a listener hears, the attended one more than the others.

use crate::files::Staging;
use crate::montage::{Point, position};
use crate::noise::coloured;
use crate::random::stream;
use crate::sessions::PlantedSession;
use crate::speech::{Voice, envelope, synthesise};
use crate::trf::Trf;
use crate::{Error, Result};
use mmpipe_formats::write::wav;

/// What was planted in a miniature of a corpus of EEG and sound.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedListening {
    /// The recordings, by path.
    pub recordings: Vec<PlantedHearing>,
    /// The sounds that trials refer to.
    pub sounds: Vec<PlantedSound>,
}

/// One recording and what was heard in it.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedHearing {
    /// Samples and trials.
    #[serde(flatten)]
    pub session: PlantedSession,
    /// The number of each trial in the lake.
    pub numbers: Vec<i32>,
    /// The sounds of each trial.
    pub heard: Vec<Vec<Heard>>,
}

/// A sound of a trial.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct Heard {
    /// As [`PlantedSound::stimulus`].
    pub stimulus: String,
    /// `attended`, `unattended`, `heard`.
    pub role: &'static str,
    /// Seconds of the sound at the trial's start.
    pub offset: f64,
}

/// A sound, or a channel of one.
#[derive(Debug, Clone, PartialEq, serde::Serialize)]
pub struct PlantedSound {
    /// Path relative to the raw root; `path#ch2` is the second channel of a file.
    pub stimulus: String,
    /// Hz.
    pub sfreq: u32,
    /// Every sample as a reader gives it; left out of JSON for its size.
    #[serde(skip)]
    pub samples: Vec<f32>,
}

/// Response to the attended sound at the strongest channel, root mean square in µV.
pub(crate) const ATTENDED: f64 = 6.0;
/// The same of a sound that is not attended.
pub(crate) const UNATTENDED: f64 = 1.5;
/// Background of every channel, root mean square in µV.
const BACKGROUND: f64 = 5.0;

/// A sound of a trial, for [`Listener::hear`].
pub(crate) struct Stream<'a> {
    /// As [`envelope_at`] gives it, from the sound's start.
    pub(crate) envelope: &'a [f64],
    /// Sample of the recording at which the sound starts.
    pub(crate) start: i64,
    /// Samples of the recording in which it is heard.
    pub(crate) within: (usize, usize),
    /// [`ATTENDED`] or [`UNATTENDED`].
    pub(crate) microvolts: f64,
}

/// `seconds` of speech as a 16-bit file gives it back.
pub(crate) fn speak(
    seed: u64,
    index: &[usize],
    voice: usize,
    seconds: f64,
    sfreq: u32,
) -> Vec<f32> {
    let voices = Voice::pair();
    let voice = &voices[voice % voices.len()];
    let mut rng = stream(seed, "speech", index);
    let mut sound = synthesise(&mut rng, voice, seconds, f64::from(sfreq));
    sound.iter_mut().for_each(|x| *x = as_stored(*x));
    sound
}

/// A sample as 16 bits keep it and a reader gives it back.
pub(crate) fn as_stored(x: f32) -> f32 {
    (x.clamp(-1.0, 1.0) * 32767.0).round() / 32768.0
}

/// Writes the channels of a sound, as [`speak`] gives them, as 16-bit PCM.
pub(crate) fn write_wav(
    staging: &Staging,
    path: &str,
    sfreq: u32,
    channels: &[&[f32]],
) -> Result<()> {
    // Undoes the reader's scale, so that the same 16 bits are written.
    let scaled: Vec<Vec<f32>> = channels
        .iter()
        .map(|x| x.iter().map(|x| x * (32768.0 / 32767.0)).collect())
        .collect();
    let channels: Vec<&[f32]> = scaled.iter().map(Vec::as_slice).collect();
    wav::write(&staging.path(path)?, sfreq, &channels, wav::Sample::Pcm16).map_err(Error::from)
}

/// The envelope of a sound at `sfreq` Hz, standardised.
pub(crate) fn envelope_at(sound: &[f32], audio_sfreq: u32, sfreq: f64) -> Vec<f64> {
    let rate = f64::from(audio_sfreq);
    let n = (sound.len() as f64 * sfreq / rate).floor() as usize;
    envelope(sound, rate, sfreq, n)
}

/// The response function of a cap, 1 µV at its strongest channel for speech.
pub(crate) struct Listener {
    trf: Trf,
    channels: usize,
}

impl Listener {
    /// For channels of these names, of 10-05 or any others; `example` is an envelope at `sfreq`.
    pub(crate) fn new(names: &[String], sfreq: f64, example: &[f64]) -> Self {
        let positions: Vec<Point> = names
            .iter()
            .enumerate()
            .map(|(k, name)| place(name).unwrap_or_else(|| spiral(k, names.len())))
            .collect();
        let mut trf = Trf::new(&positions, sfreq);
        let mut response = vec![vec![0.0; example.len()]; names.len()];
        let mut rows: Vec<&mut [f64]> = response.iter_mut().map(Vec::as_mut_slice).collect();
        trf.add_response(example, 1.0, &mut rows);
        let power = |row: &Vec<f64>| row.iter().map(|v| v * v).sum::<f64>();
        let most = response.iter().map(power).fold(0.0, f64::max);
        if most > 0.0 {
            trf.scale((example.len() as f64 / most).sqrt());
        }
        Self {
            trf,
            channels: names.len(),
        }
    }

    /// `n` samples of every channel in µV: background that is new for every `index`, and the
    /// responses to the sounds.
    pub(crate) fn hear(
        &self,
        (seed, index): (u64, &[usize]),
        n: usize,
        sfreq: f64,
        streams: &[Stream<'_>],
    ) -> Vec<Vec<f64>> {
        let mut eeg: Vec<Vec<f64>> = (0..self.channels)
            .map(|c| {
                let place: Vec<usize> = index.iter().copied().chain([c]).collect();
                let mut rng = stream(seed, "background", &place);
                let mut x = coloured(&mut rng, n, sfreq, 1.0, 0.5);
                x.iter_mut().for_each(|v| *v *= BACKGROUND);
                x
            })
            .collect();
        for s in streams {
            let (first, last) = (s.within.0.min(n), s.within.1.min(n));
            let heard: Vec<f64> = (first..last)
                .map(|i| {
                    let at = usize::try_from(i as i64 - s.start).ok();
                    at.and_then(|k| s.envelope.get(k)).copied().unwrap_or(0.0)
                })
                .collect();
            let mut rows: Vec<&mut [f64]> = eeg
                .iter_mut()
                .filter_map(|x| x.get_mut(first..last))
                .collect();
            self.trf.add_response(&heard, s.microvolts, &mut rows);
        }
        eeg
    }
}

/// The place of a 10-10 electrode on the unit sphere, by the construction of the system: rows at
/// steps of 22.5 degrees over the crown, numbers along the arc from the midline down to the
/// circle through Fpz, T8 and Oz.
pub(crate) fn place(name: &str) -> Option<Point> {
    let split = name.find(|c: char| c.is_ascii_digit() || c == 'z')?;
    let (row, number) = name.split_at(split);
    let steps = match row {
        "Fp" => 4.0,
        "AF" => 3.0,
        "F" => 2.0,
        "FC" | "FT" => 1.0,
        "C" | "T" => 0.0,
        "CP" | "TP" => -1.0,
        "P" => -2.0,
        "PO" => -3.0,
        "O" => -4.0,
        "I" => -5.0,
        _ => return None,
    };
    let number: u32 = match number {
        "z" => 0,
        digits => digits.parse().ok()?,
    };
    let lean = 22.5_f64.to_radians() * steps;
    let top = [0.0, lean.sin(), lean.cos()];
    // On the circle neighbours are 18 degrees apart; outermost rows have 1 and 2 there.
    let around = 18.0_f64.to_radians() * f64::clamp(steps, -4.0, 4.0);
    let right = [around.cos(), around.sin(), 0.0];
    let side = if number % 2 == 1 { -1.0 } else { 1.0 };
    let count = f64::from(number.div_ceil(2));
    let share = if steps.abs() >= 4.0 {
        count
    } else {
        count / 4.0
    };
    let out: Vec<f64> = top
        .iter()
        .zip(right)
        .map(|(a, b)| (1.0 - share) * a + share * b)
        .collect();
    let length = out.iter().map(|v| v * v).sum::<f64>().sqrt();
    Some([side * out[0] / length, out[1] / length, out[2] / length])
}

/// Place `k` of `n` spread evenly over the upper head.
fn spiral(k: usize, n: usize) -> Point {
    let inclination = (1.0 - 1.1 * (k as f64 + 0.5) / n as f64)
        .acos()
        .to_degrees();
    position(inclination, 137.507_764 * k as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn electrodes_are_where_their_names_say() {
        let at = |name: &str| place(name).unwrap();
        let near = |a: Point, b: Point| {
            let far = a.iter().zip(b).map(|(x, y)| (x - y).powi(2)).sum::<f64>();
            assert!(far < 1e-12, "{a:?} {b:?}");
        };
        near(at("Cz"), [0.0, 0.0, 1.0]);
        near(at("T8"), [1.0, 0.0, 0.0]);
        near(at("T7"), [-1.0, 0.0, 0.0]);
        near(at("Fpz"), [0.0, 1.0, 0.0]);
        assert!(at("Fp1")[0] < -0.25 && at("Fp1")[1] > 0.9);
        assert!(at("F3")[0] < -0.3 && at("F3")[1] > 0.3 && at("F3")[2] > 0.4);
        assert!(at("PO8")[0] > 0.5 && at("PO8")[1] < -0.5);
        assert!(place("A12").is_none() && place("37").is_none());
    }

    #[test]
    fn the_response_is_as_strong_as_asked_and_only_where_the_sound_is() {
        let names: Vec<String> = ["Fz", "Cz", "Oz", "T7"].map(String::from).to_vec();
        let sound = speak(3, &[0], 0, 20.0, 8000);
        let env = envelope_at(&sound, 8000, 64.0);
        assert_eq!(env.len(), 1280);
        let listener = Listener::new(&names, 64.0, &env);
        let streams = |microvolts| {
            vec![Stream {
                envelope: &env,
                start: 64,
                within: (64, 1344),
                microvolts,
            }]
        };
        let with = listener.hear((0, &[1]), 1600, 64.0, &streams(ATTENDED));
        let without = listener.hear((0, &[1]), 1600, 64.0, &streams(0.0));
        let rms = |c: usize, range: std::ops::Range<usize>| {
            let n = range.len() as f64;
            let difference = range.map(|i| (with[c][i] - without[c][i]).powi(2));
            (difference.sum::<f64>() / n).sqrt()
        };
        let strongest = (0..4).map(|c| rms(c, 64..1344)).fold(0.0, f64::max);
        assert!((strongest / ATTENDED - 1.0).abs() < 1e-9, "{strongest}");
        assert!((0..4).all(|c| rms(c, 0..64) == 0.0 && rms(c, 1344..1600) == 0.0));
    }

    #[test]
    fn sixteen_bits_give_back_what_was_planted() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("raw");
        let (a, b) = (speak(1, &[2], 1, 0.5, 8000), speak(1, &[3], 0, 0.5, 8000));
        let staging = Staging::new(&target).unwrap();
        write_wav(&staging, "a.wav", 8000, &[&a, &b]).unwrap();
        staging.commit().unwrap();
        let read = mmpipe_formats::audio::read(&target.join("a.wav")).unwrap();
        assert_eq!(read.sfreq, 8000);
        assert_eq!(read.samples, [a, b]);
    }
}
