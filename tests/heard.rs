//! Sounds in the lake: held against their files, and against the trials in which they were heard.

use std::path::Path;

use mmpipe_formats::audio;
use mmpipe_signal::audio::{peak_normalise, to_16k_mono};
use serde_json::Value;

use crate::support::Scratch;

/// Samples of a segment.
const SAMPLES: usize = 32_000;

/// Holds every stored segment of a sound against its file, decoded and resampled here: sample by
/// sample, on the grid that starts `phase` samples of 16 kHz into the sound. `channel` is one of
/// the file, else all of them are mixed.
pub(crate) fn sound_agrees(
    scratch: &Scratch,
    stimulus_id: &str,
    file: &Path,
    channel: Option<usize>,
    phase: usize,
) {
    segments_agree(scratch, stimulus_id, file, channel, |k| phase + k * SAMPLES);
}

/// As [`sound_agrees`], where segment k starts at sample `start(k)` of 16 kHz.
pub(crate) fn segments_agree(
    scratch: &Scratch,
    stimulus_id: &str,
    file: &Path,
    channel: Option<usize>,
    start: impl Fn(usize) -> usize,
) {
    let sound = audio::read(file).unwrap();
    let planar = match channel {
        Some(c) => vec![sound.samples[c].clone()],
        None => sound.samples.clone(),
    };
    let mono = to_16k_mono(&planar, sound.sfreq).unwrap();
    let rows = scratch.sql(&format!(
        "SELECT segment, peak, onset, samples FROM audio WHERE stimulus_id = '{stimulus_id}' ORDER BY segment"
    ));
    let whole = (0..).take_while(|k| start(*k) + SAMPLES <= mono.len());
    assert_eq!(rows.len(), whole.count(), "{stimulus_id}");
    assert!(!rows.is_empty(), "{stimulus_id}");
    for (k, row) in rows.iter().enumerate() {
        assert_eq!(row["segment"], k);
        let first = start(k);
        assert_eq!(row["onset"], first as f64 / 16_000.0, "{stimulus_id}");
        let mut want = mono[first..first + SAMPLES].to_vec();
        let peak = peak_normalise(&mut want);
        assert!((row["peak"].as_f64().unwrap() - f64::from(peak)).abs() < 1e-6);
        let samples = row["samples"].as_array().unwrap();
        assert_eq!(samples.len(), want.len());
        for (a, b) in samples.iter().zip(&want) {
            assert!((a.as_f64().unwrap() - f64::from(*b)).abs() < 1e-6);
        }
    }
}

/// One sound of an epoch.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Sound {
    pub(crate) trial: i64,
    pub(crate) epoch: i64,
    pub(crate) role: String,
    pub(crate) stimulus_id: String,
    pub(crate) segment: i64,
}

/// Every sound of every epoch of a recording, by trial, epoch and role.
pub(crate) fn heard(scratch: &Scratch, path: &str) -> Vec<Sound> {
    let rows = scratch.sql(&format!(
        "SELECT trial, epoch, s['role'] AS role, s['stimulus_id'] AS id, s['segment'] AS segment FROM \
         (SELECT e.trial, e.epoch, unnest(e.stimuli) AS s FROM eeg e \
          JOIN recordings r ON r.recording_id = e.recording_id WHERE r.path = '{path}') \
         ORDER BY 1, 2, 3, 4"
    ));
    let text = |v: &Value| v.as_str().unwrap().to_owned();
    rows.iter()
        .map(|r| Sound {
            trial: r["trial"].as_i64().unwrap(),
            epoch: r["epoch"].as_i64().unwrap(),
            role: text(&r["role"]),
            stimulus_id: text(&r["id"]),
            segment: r["segment"].as_i64().unwrap(),
        })
        .collect()
}
