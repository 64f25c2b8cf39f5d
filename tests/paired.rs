//! What the miniatures of paired corpora planted against what is in the lake: which sound each
//! epoch has, every sample of the sounds, and that the attended one can be heard in the EEG.

use std::collections::BTreeMap;

use mmpipe_signal::audio::{peak_normalise, to_16k_mono};
use mmpipe_simulate::{PlantedHearing, PlantedListening, PlantedSound};
use serde_json::{Value, json};

use crate::support::Scratch;

/// Length of an epoch and of a segment, s.
const EPOCH: f64 = 2.0;
/// Samples of a segment.
const SEGMENT: usize = 32_000;

/// Holds the epochs of every recording against what was planted: the trials by number, one epoch
/// each 2 s up to the end of the trial, each at its time, with its label (a planted one below 0 is
/// none) and with the segment of every sound that plays under it.
pub(crate) fn hearing_agrees(scratch: &Scratch, dataset: &str, planted: &[PlantedHearing]) {
    let rows = scratch.sql(
        "SELECT r.path, trial, epoch, onset, label, stimuli FROM eeg e \
         JOIN recordings r ON r.recording_id = e.recording_id ORDER BY r.path, trial, epoch",
    );
    let mut by_path: BTreeMap<&str, Vec<&Value>> = BTreeMap::new();
    for row in &rows {
        by_path
            .entry(row["path"].as_str().unwrap())
            .or_default()
            .push(row);
    }
    for planted in planted {
        let rows = by_path
            .remove(planted.session.path.as_str())
            .unwrap_or_default();
        one_hearing_agrees(dataset, planted, &rows);
    }
    assert!(by_path.is_empty(), "not planted: {:?}", by_path.keys());
}

fn one_hearing_agrees(dataset: &str, planted: &PlantedHearing, rows: &[&Value]) {
    let path = &planted.session.path;
    let mut rows = rows.iter();
    let mut order: Vec<usize> = (0..planted.numbers.len()).collect();
    order.sort_by_key(|k| planted.numbers[*k]);
    for k in order {
        let trial = &planted.session.trials[k];
        let start = trial.start as f64 / planted.session.sfreq;
        let seconds = (trial.stop - trial.start) as f64 / planted.session.sfreq;
        let number = planted.numbers[k];
        for epoch in 0..((seconds + 0.0025) / EPOCH) as usize {
            let row = rows
                .next()
                .unwrap_or_else(|| panic!("{path}: trial {number} has no epoch {epoch}"));
            assert_eq!(row["trial"], number, "{path}: {row}");
            assert_eq!(row["epoch"], epoch, "{path}: {row}");
            let onset = row["onset"].as_f64().unwrap();
            let at = EPOCH * epoch as f64;
            // Epochs start at a sample of the lake's 200 Hz.
            assert!((onset - start - at).abs() <= 0.0025 + 1e-9, "{path}: {row}");
            let label = (trial.label >= 0).then_some(trial.label);
            assert_eq!(row["label"], json!(label), "{path}: {row}");
            let mut want: Vec<(String, i64, String)> = planted.heard[k]
                .iter()
                .map(|h| {
                    let (id, segment) = segment(dataset, &h.stimulus, h.offset + at);
                    (id, segment, h.role.to_owned())
                })
                .collect();
            let none = Vec::new();
            let found = row["stimuli"].as_array().unwrap_or(&none);
            let text = |s: &Value, key: &str| s[key].as_str().unwrap().to_owned();
            let mut found: Vec<(String, i64, String)> = found
                .iter()
                .map(|s| {
                    let segment = s["segment"].as_i64().unwrap();
                    (text(s, "stimulus_id"), segment, text(s, "role"))
                })
                .collect();
            want.sort();
            found.sort();
            assert_eq!(found, want, "{path}: {row}");
        }
    }
    assert_eq!(rows.next(), None, "{path}");
}

/// Key and number of the segment that starts `at` seconds into a sound, on a grid of its own
/// where `at` is no multiple of 2 s (to the nearest sample).
fn segment(dataset: &str, stimulus: &str, at: f64) -> (String, i64) {
    let sample = (at * 16_000.0).round() as i64;
    let (segment, phase) = (sample / SEGMENT as i64, sample % SEGMENT as i64);
    let id = format!("{dataset}/{stimulus}");
    match phase {
        0 => (id, segment),
        _ => (format!("{id}@{}", phase as f64 / 16.0), segment),
    }
}

/// Holds every stored segment of the first `most` sounds against the planted sound at 16 kHz, and
/// asks for one row in `stimuli` of every sound.
pub(crate) fn sounds_agree(scratch: &Scratch, dataset: &str, sounds: &[PlantedSound], most: usize) {
    let listed = scratch.sql("SELECT path, sfreq, seconds, status FROM stimuli ORDER BY path");
    let mut sorted: Vec<&PlantedSound> = sounds.iter().collect();
    sorted.sort_by(|a, b| a.stimulus.cmp(&b.stimulus));
    assert_eq!(listed.len(), sorted.len(), "{listed:?}");
    for (row, sound) in listed.iter().zip(&sorted) {
        assert_eq!(row["path"], json!(sound.stimulus), "{row}");
        assert_eq!(row["status"], "ok", "{row}");
        assert_eq!(row["sfreq"], f64::from(sound.sfreq), "{row}");
        let seconds = sound.samples.len() as f64 / f64::from(sound.sfreq);
        assert!(
            (row["seconds"].as_f64().unwrap() - seconds).abs() < 1e-4,
            "{row}"
        );
    }
    for sound in sounds.iter().take(most) {
        let want = to_16k_mono(std::slice::from_ref(&sound.samples), sound.sfreq).unwrap();
        let id = format!("{dataset}/{}", sound.stimulus);
        let rows = scratch.sql(&format!(
            "SELECT stimulus_id, segment, onset, peak, samples FROM audio \
             WHERE stimulus_id = '{id}' OR stimulus_id LIKE '{id}@%' ORDER BY stimulus_id, segment"
        ));
        assert!(!rows.is_empty(), "{id} has no segments");
        for row in &rows {
            let first = (row["onset"].as_f64().unwrap() * 16_000.0).round() as usize;
            let mut want = want[first..first + SEGMENT].to_vec();
            let peak = peak_normalise(&mut want);
            assert!(
                (row["peak"].as_f64().unwrap() - f64::from(peak)).abs() < 1e-6,
                "{id}"
            );
            let found = row["samples"].as_array().unwrap();
            assert_eq!(found.len(), SEGMENT);
            for (a, b) in found.iter().zip(&want) {
                assert!(
                    (a.as_f64().unwrap() - f64::from(*b)).abs() < 1e-6,
                    "{id} at {first}"
                );
            }
        }
    }
}

/// Asks that the response to the sounds of a role is in the EEG of the lake at `channel`: the
/// largest correlation with the envelope at a lag of 0 to 0.4 s, over all epochs of a subject.
/// Returns it.
pub(crate) fn response(
    scratch: &Scratch,
    dataset: &str,
    planted: &PlantedListening,
    role: &str,
    channel: &str,
) -> f64 {
    let rows = scratch.sql(&format!(
        "SELECT x, s['stimulus_id'] AS id, s['segment'] AS segment FROM ( \
           SELECT e.eeg[CAST(array_position(e.ch_names, '{channel}') AS BIGINT)] AS x, unnest(e.stimuli) AS s \
           FROM eeg e WHERE e.subject = (SELECT min(subject) FROM eeg)) \
         WHERE s['role'] = '{role}'"
    ));
    assert!(
        rows.len() > 5,
        "{dataset}: {} epochs with a sound",
        rows.len()
    );
    let envelopes: BTreeMap<String, Vec<f64>> = planted
        .sounds
        .iter()
        .map(|s| (format!("{dataset}/{}", s.stimulus), envelope(s)))
        .collect();
    let lags = 80;
    let mut sums = vec![[0.0_f64; 3]; lags];
    for row in &rows {
        let id = row["id"].as_str().unwrap();
        let (sound, phase) = id.split_once('@').unwrap_or((id, "0"));
        let at = 2.0 * row["segment"].as_f64().unwrap() + phase.parse::<f64>().unwrap() / 1000.0;
        let first = (at * 200.0).round() as usize;
        let x: Vec<f64> = row["x"]
            .as_array()
            .unwrap()
            .iter()
            .map(|v| v.as_f64().unwrap())
            .collect();
        let y = &envelopes[sound][first..first + x.len()];
        let n = (x.len() - lags) as f64;
        for (lag, sum) in sums.iter_mut().enumerate() {
            let (x, y) = (&x[lag..], &y[..x.len() - lag]);
            let mean = |v: &[f64]| v.iter().sum::<f64>() / v.len() as f64;
            let (mx, my) = (mean(x), mean(y));
            for (a, b) in x.iter().zip(y) {
                sum[0] += (a - mx) * (b - my) / n;
                sum[1] += (a - mx).powi(2) / n;
                sum[2] += (b - my).powi(2) / n;
            }
        }
    }
    let r = sums
        .iter()
        .map(|[xy, xx, yy]| (xy / (xx * yy).sqrt()).abs());
    r.fold(0.0, f64::max)
}

/// Asks for a clear response to the attended sound and a weaker one to the other.
pub(crate) fn attention_is_in_the_eeg(
    scratch: &Scratch,
    dataset: &str,
    planted: &PlantedListening,
    channel: &str,
) {
    let attended = response(scratch, dataset, planted, "attended", channel);
    let other = response(scratch, dataset, planted, "unattended", channel);
    assert!(
        attended > 0.25,
        "{dataset}: {attended} attended, {other} not"
    );
    assert!(
        attended > 1.5 * other,
        "{dataset}: {attended} attended, {other} not"
    );
}

/// Loudness of a sound at 200 Hz.
fn envelope(sound: &PlantedSound) -> Vec<f64> {
    let step = f64::from(sound.sfreq) / 200.0;
    let n = (sound.samples.len() as f64 / step) as usize;
    let bin = |k: usize| (k as f64 * step) as usize;
    (0..n)
        .map(|k| {
            let window = &sound.samples[bin(k)..bin(k + 1)];
            let mean = window.iter().map(|x| f64::from(x.abs())).sum::<f64>() / window.len() as f64;
            mean.powf(0.6)
        })
        .collect()
}

/// Epochs left out over all recordings, by reason; those of none are left out.
pub(crate) fn dropped(scratch: &Scratch) -> Vec<(String, i64)> {
    let rows = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    );
    let rows = rows.iter().map(|r| {
        let reason = r["reason"].as_str().unwrap().to_owned();
        (reason, r["epochs"].as_i64().unwrap())
    });
    rows.filter(|(_, epochs)| *epochs > 0).collect()
}
