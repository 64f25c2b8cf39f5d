//! Which segment of a sound lies under which epoch.
//!
//! Epoch k of a trial starts k epoch lengths after the trial, on the EEG's clock. Where that clock
//! is not the sound's, `rate` says how many of its seconds pass in a second of the sound, and the
//! epoch's segment starts at `offset + k × n / rate` samples of the sound, to the nearest; it is
//! as long as any other, because within two seconds a clock that is off by 25 ppm loses 0.8
//! samples. So the start is right to a sample however long the trial is.
//!
//! A rate counts to as many digits as the sound is long enough to tell. At rate 1 all trials whose offsets lie on one grid of segments share it, and segments are
//! numbered from the first that starts within the sound; else a grid belongs to one offset and
//! rate, and segments are numbered as the trial's epochs.

use std::cmp::Ordering;

use mmpipe_signal::recipe::AudioRecipe;
use serde::Serialize;

use super::work::{WorkHeard, WorkStream};

/// A grid of segments: segment k starts at `start + k × n / rate`.
#[derive(Debug, Clone, Copy, Serialize)]
pub struct Grid {
    /// Sample of table `audio` from the start of the sound.
    pub start: i64,
    /// Seconds of the EEG's clock a second of the sound's.
    pub rate: f64,
}

impl Ord for Grid {
    fn cmp(&self, other: &Self) -> Ordering {
        let start = self.start.cmp(&other.start);
        start.then(self.rate.total_cmp(&other.rate))
    }
}

impl PartialOrd for Grid {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Grid {
    fn eq(&self, other: &Self) -> bool {
        self.cmp(other) == Ordering::Equal
    }
}

impl Eq for Grid {}

/// A rate to as many digits as a sound of `length` samples can tell: its last sample is moved by
/// a quarter of a sample at most. So recordings whose clocks were measured, each a little
/// otherwise, share their segments.
fn told(rate: f64, length: i64) -> f64 {
    let mut digits = 1e6;
    while digits < 2.0 * length as f64 && digits < 1e12 {
        digits *= 10.0;
    }
    (rate * digits).round() / digits
}

impl Grid {
    /// The grid of a trial at whose start the sample `offset` of a sound of `length` samples is
    /// heard, and the number there of the segment under its first epoch; `n` samples make a
    /// segment.
    pub(crate) fn of(offset: i64, rate: f64, length: i64, n: i64) -> (Grid, i64) {
        let rate = told(rate, length);
        if rate == 1.0 {
            let start = offset.rem_euclid(n);
            (Grid { start, rate }, offset.div_euclid(n))
        } else {
            let start = offset;
            (Grid { start, rate }, 0)
        }
    }

    /// The first sample of a segment.
    pub(crate) fn at(self, segment: i64, n: i64) -> i64 {
        if self.rate == 1.0 {
            return self.start + segment * n;
        }
        self.start + (segment as f64 * n as f64 / self.rate).round() as i64
    }

    /// Key of its segments in table `audio`.
    pub(crate) fn key(self, stimulus_id: &str, sfreq: u32) -> String {
        // Exact: a sample of 16 kHz is 0.0625 ms.
        let ms = self.start as f64 * 1000.0 / f64::from(sfreq);
        if self.rate != 1.0 {
            format!("{stimulus_id}@{ms}x{}", self.rate)
        } else if self.start != 0 {
            format!("{stimulus_id}@{ms}")
        } else {
            stimulus_id.to_string()
        }
    }
}

/// The sound that a key of table `audio` belongs to: the key without its grid.
pub fn sound_of(stimulus_id: &str) -> &str {
    let Some((sound, grid)) = stimulus_id.rsplit_once('@') else {
        return stimulus_id;
    };
    let number = |text: &str| {
        let plain = |b: u8| b.is_ascii_digit() || b == b'.' || b == b'-';
        text.bytes().all(plain) && text.parse::<f64>().is_ok()
    };
    let (ms, rate) = match grid.split_once('x') {
        Some((ms, rate)) => (ms, Some(rate)),
        None => (grid, None),
    };
    if number(ms) && rate.is_none_or(number) {
        sound
    } else {
        stimulus_id
    }
}

/// Samples of a segment.
pub(crate) fn segment_samples(audio: &AudioRecipe) -> i64 {
    (audio.segment_seconds * f64::from(audio.sfreq)).round() as i64
}

/// The stored segment under epoch number `epoch` of a trial, if the sound fills it.
pub(crate) fn segment_of(
    stream: &WorkStream,
    epoch: i32,
    audio: &AudioRecipe,
) -> Option<(String, i32)> {
    let n = segment_samples(audio).max(1);
    let (grid, first) = Grid::of(stream.offset, stream.rate, stream.length, n);
    let segment = first + i64::from(epoch);
    let at = grid.at(segment, n);
    if at < 0 || at + n > stream.length {
        return None;
    }
    let segment = i32::try_from(segment).ok()?;
    Some((grid.key(&stream.stimulus_id, audio.sfreq), segment))
}

/// The epochs of a trial that every one of its sounds fills; absent where it has none.
pub(crate) fn heard(streams: &[WorkStream], audio: &AudioRecipe) -> Option<WorkHeard> {
    let n = segment_samples(audio).max(1);
    let mut heard: Option<WorkHeard> = None;
    for stream in streams {
        let (grid, first) = Grid::of(stream.offset, stream.rate, stream.length, n);
        let at = |epoch: i64| grid.at(first + epoch, n);
        // More than the sound can have.
        let seconds = (stream.length - stream.offset).max(0) as f64;
        let most = (seconds * stream.rate / n as f64) as i64 + 2;
        let most = most.max((-stream.offset / n) * 2 + 2);
        let from = first_where(most, |epoch| at(epoch) >= 0);
        let until = first_where(most, |epoch| at(epoch) + n > stream.length);
        heard = Some(match heard {
            None => WorkHeard { from, until },
            Some(h) => WorkHeard {
                from: h.from.max(from),
                until: h.until.min(until),
            },
        });
    }
    heard
}

/// The first number below `most` from which `holds` is true, else `most`.
fn first_where(most: i64, holds: impl Fn(i64) -> bool) -> i64 {
    let (mut low, mut high) = (0, most);
    while low < high {
        let middle = low + (high - low) / 2;
        if holds(middle) {
            high = middle;
        } else {
            low = middle + 1;
        }
    }
    low
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmpipe_signal::recipe::Recipe;
    use proptest::prelude::*;

    fn stream(offset: i64, length: i64, rate: f64) -> WorkStream {
        WorkStream {
            stimulus_id: "D/a.wav".into(),
            role: "heard".into(),
            offset,
            length,
            rate,
            side: None,
        }
    }

    fn audio() -> AudioRecipe {
        Recipe::builtin("mindmix").unwrap().audio
    }

    #[test]
    fn segments_follow_the_grid_of_the_sound_or_one_of_their_own() {
        let audio = audio();
        let of = |offset, length, epoch| segment_of(&stream(offset, length, 1.0), epoch, &audio);
        assert_eq!(of(0, 96_000, 0), Some(("D/a.wav".into(), 0)));
        assert_eq!(of(64_000, 960_000, 1), Some(("D/a.wav".into(), 3)));
        assert_eq!(of(8_000, 960_000, 0), Some(("D/a.wav@500".into(), 0)));
        assert_eq!(of(32_001, 960_000, 0), Some(("D/a.wav@0.0625".into(), 1)));
        // The sound starts half a second after the trial.
        assert_eq!(of(-8_000, 960_000, 0), None);
        assert_eq!(of(-8_000, 960_000, 1), Some(("D/a.wav@1500".into(), 0)));
        // The sound ends.
        assert_eq!(of(0, 95_999, 2), None);
        assert_eq!(of(0, 96_000, 2), Some(("D/a.wav".into(), 2)));
    }

    #[test]
    fn a_clock_that_drifts_moves_the_segments() {
        // 25 ppm over 72 minutes are 108 ms.
        let audio = audio();
        let long = stream(0, 72 * 60 * 16_000, 1.000_025);
        let (grid, first) = Grid::of(long.offset, long.rate, long.length, 32_000);
        assert_eq!(first, 0);
        let epochs = 72 * 30 - 1;
        let without = i64::from(epochs) * 32_000;
        let moved = without - grid.at(epochs.into(), 32_000);
        assert_eq!(moved, (without as f64 * 25e-6 / 1.000_025).round() as i64);
        assert!((moved as f64 / 16.0 - 108.0).abs() < 0.1, "{moved}");
        assert_eq!(
            segment_of(&long, epochs, &audio),
            Some(("D/a.wav@0x1.000025".into(), epochs))
        );
        // A trial that starts before the sound.
        let late = stream(-8_000, 960_000, 0.999);
        assert_eq!(segment_of(&late, 0, &audio), None);
        assert_eq!(
            segment_of(&late, 1, &audio),
            Some(("D/a.wav@-500x0.999".into(), 1))
        );
        assert_eq!(heard(&[late], &audio).unwrap().from, 1);
    }

    #[test]
    fn clocks_that_no_sample_can_tell_apart_share_a_grid() {
        let grid = |rate, seconds: i64| Grid::of(0, rate, seconds * 16_000, 32_000).0;
        assert_eq!(grid(1.000_024_98, 12), grid(1.000_025_01, 12));
        assert_eq!(grid(1.000_025_01, 12).rate, 1.000_025);
        // In 72 minutes they are two samples apart.
        assert_ne!(grid(1.000_024_98, 4320), grid(1.000_025_01, 4320));
        // What drifts by less than a sample in all does not drift.
        assert_eq!(
            grid(1.000_000_2, 12),
            Grid {
                start: 0,
                rate: 1.0
            }
        );
        for seconds in [12, 600, 4320, 40_000] {
            for rate in [1.000_024_987_6, 0.999_912_345_678, 1.009_999_999_9] {
                let length = seconds * 16_000;
                let exact = (length as f64 / rate).round() as i64;
                let stored = grid(rate, seconds).at(seconds / 2, 32_000);
                assert!(
                    (stored - exact).abs() <= 1,
                    "{seconds} s at {rate}: {stored}, {exact}"
                );
            }
        }
    }

    #[test]
    fn keys_give_their_sound_back() {
        for (key, sound) in [
            ("D/a.wav", "D/a.wav"),
            ("D/a.wav@500", "D/a.wav"),
            ("D/a.wav@0.0625", "D/a.wav"),
            ("D/a.wav@-500x0.999", "D/a.wav"),
            ("D/a.wav#ch2@0x1.000025", "D/a.wav#ch2"),
            ("D/me@home.wav", "D/me@home.wav"),
            ("D/me@2x.wav", "D/me@2x.wav"),
        ] {
            assert_eq!(sound_of(key), sound);
        }
    }

    proptest! {
        #[test]
        fn heard_are_the_epochs_with_a_segment_of_every_sound(
            sounds in prop::collection::vec(
                (-200_000i64..200_000, 0i64..900_000, prop::sample::select(vec![1.0, 1.000_025, 0.995])),
                1..3,
            ),
        ) {
            let audio = audio();
            let streams: Vec<WorkStream> = sounds
                .into_iter()
                .map(|(offset, length, rate)| stream(offset, length, rate))
                .collect();
            let heard = heard(&streams, &audio).unwrap();
            for epoch in 0..64 {
                let all = streams.iter().all(|s| segment_of(s, epoch, &audio).is_some());
                let inside = (heard.from..heard.until).contains(&i64::from(epoch));
                prop_assert_eq!(all, inside, "epoch {} of {:?}: {:?}", epoch, streams, heard);
            }
            for s in &streams {
                let (grid, _) = Grid::of(s.offset, s.rate, s.length, 32_000);
                let key = grid.key("D/a", 16_000);
                prop_assert_eq!(sound_of(&key), "D/a");
            }
        }
    }
}
