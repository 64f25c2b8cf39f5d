//! Epochs of the lake against the samples that a miniature planted, through the recipe's public
//! functions and nothing of ingest.

use mmpipe_signal::epochs::zscore;
use mmpipe_signal::pipeline::condition;
use mmpipe_signal::recipe::Recipe;
use mmpipe_simulate::PlantedRecording;
use serde_json::Value;

use crate::support::Scratch;

/// Holds every sample of every epoch of a recording of one trial against what was planted.
/// `names` says how each raw label that is kept is called. Returns the number of epochs.
pub(crate) fn every_sample(
    scratch: &Scratch,
    planted: &PlantedRecording,
    names: &[(String, &str)],
) -> usize {
    let recipe = Recipe::builtin("mindmix").expect("the recipe is built in");
    let n = (recipe.epoch_seconds * recipe.sfreq).round() as usize;
    let rows = scratch.sql(&format!(
        "SELECT e.onset, e.ch_names, e.eeg, e.ch_mean, e.ch_std FROM eeg e \
         JOIN recordings r ON r.recording_id = e.recording_id \
         WHERE r.path = '{}' ORDER BY e.epoch",
        planted.path
    ));
    let clean: Vec<Vec<f64>> = names
        .iter()
        .map(|(raw, _)| {
            let channel = planted.channels.iter().find(|c| c.label == *raw).unwrap();
            let x = (0..channel.samples.len()).map(|i| channel.physical_value(i).unwrap());
            let clean = condition(&recipe, channel.sfreq, vec![x.collect()]).unwrap();
            clean.into_iter().next().unwrap()
        })
        .collect();
    for row in &rows {
        let stored: Vec<&str> = list(&row["ch_names"])
            .map(|v| v.as_str().unwrap())
            .collect();
        assert_eq!(stored.len(), names.len(), "{}: {stored:?}", planted.path);
        let first = (row["onset"].as_f64().unwrap() * recipe.sfreq).round() as usize;
        for ((_, name), clean) in names.iter().zip(&clean) {
            let place = stored.iter().position(|s| s == name);
            let place = place.unwrap_or_else(|| panic!("{name} is not in {stored:?}"));
            let mut want = clean[first..first + n].to_vec();
            let stats = zscore(&mut want);
            let found: Vec<f64> = list(&row["eeg"][place])
                .map(|v| v.as_f64().unwrap())
                .collect();
            assert_eq!(found.len(), n);
            let worst = found.iter().zip(&want).map(|(a, b)| (a - b).abs());
            let worst = worst.fold(0.0, f64::max);
            assert!(worst < 1e-4, "{} {name} at {first}: {worst}", planted.path);
            for (key, want) in [("ch_mean", stats.mean), ("ch_std", stats.std)] {
                let found = row[key][place].as_f64().unwrap();
                assert!(
                    (found - want).abs() < 1e-3,
                    "{name} {key}: {found}, not {want}"
                );
            }
        }
    }
    rows.len()
}

fn list(value: &Value) -> impl Iterator<Item = &Value> {
    value.as_array().expect("a list").iter()
}

/// Raw labels and canonical names of the 10-20 electrodes as the Temple University corpora write
/// them, less those of `without`.
pub(crate) fn tuh_names(reference: &str, without: &[&str]) -> Vec<(String, &'static str)> {
    #[rustfmt::skip]
    const NAMES: [(&str, &str); 24] = [
        ("FP1", "Fp1"), ("FP2", "Fp2"), ("F3", "F3"), ("F4", "F4"), ("C3", "C3"), ("C4", "C4"),
        ("P3", "P3"), ("P4", "P4"), ("O1", "O1"), ("O2", "O2"), ("F7", "F7"), ("F8", "F8"),
        ("T3", "T7"), ("T4", "T8"), ("T5", "P7"), ("T6", "P8"), ("A1", "A1"), ("A2", "A2"),
        ("FZ", "Fz"), ("CZ", "Cz"), ("PZ", "Pz"), ("T1", "FT9"), ("T2", "FT10"), ("OZ", "Oz"),
    ];
    NAMES
        .iter()
        .filter(|(raw, _)| !without.contains(raw))
        .map(|(raw, name)| (format!("EEG {raw}-{reference}"), *name))
        .collect()
}
