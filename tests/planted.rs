//! What was planted against what is in the lake: samples through `mmpipe-signal` alone, and
//! trials.

use mmpipe_signal::epochs::zscore;
use mmpipe_signal::pipeline::condition;
use mmpipe_signal::recipe::Recipe;
use mmpipe_simulate::PlantedSession;
use serde_json::Value;

use crate::support::Scratch;

/// Holds every stored sample of up to `most` epochs of a recording, spread over it, against the
/// planted signal: the stretch between gaps that holds the epoch, filtered, resampled, cut and
/// z-scored here. `kept` are the channels that the lake should have, by position in the file.
pub(crate) fn samples_agree(
    scratch: &Scratch,
    planted: &PlantedSession,
    kept: &[usize],
    most: usize,
) {
    let recipe = Recipe::builtin("mindmix").expect("the default recipe");
    let onsets = scratch.sql(&format!(
        "SELECT trial, epoch, onset FROM eeg e JOIN recordings r ON r.recording_id = e.recording_id \
         WHERE r.path = '{}' ORDER BY onset",
        planted.path
    ));
    assert!(onsets.len() >= most, "{}: {onsets:?}", planted.path);
    let mut conditioned: Vec<Option<Vec<Vec<f64>>>> = vec![None; planted.runs.len()];
    for row in onsets.iter().step_by(onsets.len() / most).take(most) {
        let onset = row["onset"].as_f64().unwrap();
        let at = |sample: usize| sample as f64 / planted.sfreq;
        let holds = |run: &&(usize, usize)| at(run.0) <= onset && onset + 2.0 <= at(run.1) + 1e-6;
        let index = planted.runs.iter().position(|run| holds(&run));
        let index = index.unwrap_or_else(|| panic!("{}: {onset} s is over a gap", planted.path));
        let (first, last) = planted.runs[index];
        let run = conditioned[index].get_or_insert_with(|| {
            let raw: Vec<Vec<f64>> = kept
                .iter()
                .map(|c| planted.samples[*c][first..last].to_vec())
                .collect();
            condition(&recipe, planted.sfreq, raw).expect("the planted signal can be filtered")
        });
        let found = scratch.sql(&format!(
            "SELECT eeg, ch_std FROM eeg e JOIN recordings r ON r.recording_id = e.recording_id \
             WHERE r.path = '{}' AND trial = {} AND epoch = {}",
            planted.path, row["trial"], row["epoch"]
        ));
        let rows = found[0]["eeg"].as_array().unwrap();
        assert_eq!(rows.len(), kept.len());
        let start = ((onset - at(first)) * recipe.sfreq).round() as usize;
        for (c, (stored, clean)) in rows.iter().zip(run.iter()).enumerate() {
            let mut expected = clean[start..start + 400].to_vec();
            let stats = zscore(&mut expected);
            let std = found[0]["ch_std"][c].as_f64().unwrap();
            assert!(
                (std - stats.std).abs() <= 1e-5 * stats.std,
                "{std} {}",
                stats.std
            );
            for (a, b) in stored.as_array().unwrap().iter().zip(&expected) {
                let a = a.as_f64().unwrap();
                assert!(
                    (a - b).abs() < 1e-5,
                    "{} at {onset} s: {a} {b}",
                    planted.path
                );
            }
        }
    }
}

/// Holds the trials that have a class in the lake against the planted ones: as many, each at its
/// time, with its class, and rejected where it was. A trial of `seconds` gives one epoch each 2 s.
pub(crate) fn trials_agree(scratch: &Scratch, planted: &PlantedSession) {
    let rows = scratch.sql(&format!(
        "SELECT trial, epoch, onset, label, label_share, rejected FROM eeg e \
         JOIN recordings r ON r.recording_id = e.recording_id \
         WHERE r.path = '{}' AND trial < 1000 ORDER BY trial, epoch",
        planted.path
    ));
    let mut rows = rows.iter();
    for (k, trial) in planted.trials.iter().enumerate() {
        let start = trial.start as f64 / planted.sfreq;
        let seconds = (trial.stop - trial.start) as f64 / planted.sfreq;
        for epoch in 0..(seconds / 2.0) as usize {
            let row = rows
                .next()
                .unwrap_or_else(|| panic!("no trial {k} of {}", planted.path));
            assert_eq!(row["trial"], k, "{row}");
            assert_eq!(row["epoch"], epoch, "{row}");
            let onset = row["onset"].as_f64().unwrap();
            // Epochs start at a sample of the lake's 200 Hz.
            assert!(
                (onset - start - 2.0 * epoch as f64).abs() <= 0.0025 + 1e-9,
                "{row} {start}"
            );
            assert_eq!(row["label"], trial.label, "{}: {row}", planted.path);
            assert_eq!(row["label_share"], 1.0, "{row}");
            assert!(
                row["rejected"] == Value::Null || row["rejected"] == trial.rejected,
                "{row}"
            );
        }
    }
    assert_eq!(rows.next(), None, "{}", planted.path);
}

/// Every second of every recording is in an epoch or has a reason.
pub(crate) fn every_second_is_accounted_for(scratch: &Scratch) {
    let rows = scratch.sql(
        "SELECT r.path, max(r.seconds) - max(r.epochs) * 2.0 - coalesce(sum(d['seconds']), 0.0) AS missing \
         FROM (SELECT path, seconds, epochs, unnest(dropped) AS d FROM recordings WHERE status = 'ok') r GROUP BY 1",
    );
    assert!(!rows.is_empty());
    for row in rows {
        assert!(row["missing"].as_f64().unwrap().abs() < 1e-6, "{row}");
    }
}
