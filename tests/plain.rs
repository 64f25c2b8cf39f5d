//! What the tests of corpora in plain EDF share: one ingest for all tests of a data set, and its
//! labels and samples held against what was planted.

use std::path::Path;

use mmpipe_signal::pipeline::condition;
use mmpipe_signal::recipe::Recipe;
use mmpipe_simulate::{PlainCorpus, PlainRecording};
use serde_json::Value;

use crate::support::Scratch;

/// A corpus that was simulated and ingested.
pub(crate) struct Walked {
    pub(crate) scratch: Scratch,
    pub(crate) corpus: PlainCorpus,
    pub(crate) report: Value,
    epochs: Vec<Value>,
    channels: Vec<Value>,
}

/// Onset, class and share of an epoch.
pub(crate) type Epoch = (f64, Option<i64>, Option<f64>);

/// Simulates a corpus and ingests it; `code` is what the program says of it.
pub(crate) fn walk(
    dataset: &str,
    code: i32,
    simulate: impl FnOnce(&Path) -> mmpipe_simulate::Result<PlainCorpus>,
) -> Walked {
    let scratch = Scratch::kept(&format!("walk-{dataset}"));
    let corpus = simulate(&scratch.path("raw")).expect("a corpus in miniature");
    let ran = scratch.run(&["ingest", "--dataset", dataset, "--raw", "raw", "--json"]);
    assert_eq!(ran.code, code, "{ran}");
    let report = serde_json::from_str(&ran.stdout).unwrap_or_else(|e| panic!("{e}: {ran}"));
    let epochs = scratch.sql(
        "SELECT r.path, e.onset, e.label, e.label_share FROM eeg e \
         JOIN recordings r ON r.recording_id = e.recording_id ORDER BY r.path, e.onset",
    );
    let channels = scratch.sql(
        "SELECT path, c['raw_name'] AS raw_name, c['name'] AS name, c['reason'] AS reason \
         FROM (SELECT path, unnest(channels) AS c FROM recordings)",
    );
    Walked {
        scratch,
        corpus,
        report,
        epochs,
        channels,
    }
}

impl Walked {
    /// What was planted under a path.
    pub(crate) fn planted(&self, path: &str) -> &PlainRecording {
        let found = self.corpus.recordings.iter().find(|r| r.path == path);
        found.unwrap_or_else(|| panic!("{path} was not planted"))
    }

    /// The report of a recording.
    pub(crate) fn recording(&self, path: &str) -> &Value {
        let all = self.report["recordings"].as_array().expect("recordings");
        let found = all.iter().find(|r| r["path"] == path);
        found.unwrap_or_else(|| panic!("{path} is not in the report"))
    }

    /// Canonical names of the channels kept of a recording, in order.
    pub(crate) fn kept(&self, path: &str) -> Vec<String> {
        let rows = self.channels.iter().filter(|c| c["path"] == path);
        let names = rows.filter_map(|c| c["name"].as_str());
        names.map(str::to_owned).collect()
    }

    /// Why a channel of a recording is dropped; the last of those with this label.
    pub(crate) fn why(&self, path: &str, raw: &str) -> String {
        let mut rows = self.channels.iter().rev();
        let found = rows.find(|c| c["path"] == path && c["raw_name"] == raw);
        let found = found.unwrap_or_else(|| panic!("{path} has no {raw}"));
        assert!(found["name"].is_null(), "{found}");
        found["reason"].as_str().expect("a reason").to_owned()
    }

    /// The epochs of a recording, in order.
    pub(crate) fn epochs(&self, path: &str) -> Vec<Epoch> {
        let of = |r: &Value| {
            let (label, share) = (r["label"].as_i64(), r["label_share"].as_f64());
            (number(&r["onset"]), label, share)
        };
        let rows = self.epochs.iter().filter(|r| r["path"] == path);
        rows.map(of).collect()
    }

    /// Status, subjects, recordings, seconds, fewest and most channels; epochs and the sum of their
    /// shares by class; seconds dropped by reason.
    pub(crate) fn summary(&self) -> String {
        let line = |query: &str| -> String {
            let rows = self.scratch.sql(query);
            let cells = |r: &Value| -> String {
                let cells = r.as_object().expect("a row").values();
                let cells: Vec<String> = cells.map(|v| v.to_string().replace('"', "")).collect();
                cells.join(" ")
            };
            rows.iter().map(|r| cells(r) + "\n").collect()
        };
        line(
            "SELECT status, count(DISTINCT subject) AS subjects, count(*) AS recordings, \
              round(sum(seconds)) AS seconds, min(n_channels) AS fewest, max(n_channels) AS most \
              FROM recordings GROUP BY 1 ORDER BY 1",
        ) + &line(
            "SELECT coalesce(label_name, 'none') AS name, count(*) AS epochs, \
                 round(coalesce(sum(label_share), 0.0) * 1000.0) / 1000.0 AS shares \
                 FROM eeg GROUP BY 1 ORDER BY 1",
        ) + &line(
            "SELECT d['reason'] AS reason, sum(d['seconds']) AS seconds \
                 FROM (SELECT unnest(dropped) AS d FROM recordings WHERE status = 'ok') \
                 GROUP BY 1 ORDER BY 1",
        )
    }

    /// Every epoch of every recording has the class that covers most of it in truth.
    pub(crate) fn labels_agree(&self, rejected: &[&str]) {
        for planted in &self.corpus.recordings {
            let found = self.epochs(&planted.path);
            if rejected.contains(&planted.path.as_str()) {
                assert!(found.is_empty(), "{}", planted.path);
                continue;
            }
            assert_eq!(found.len(), planted.seconds / 2, "{}", planted.path);
            for (onset, label, share) in found {
                let truth = most(&planted.labels, onset);
                assert_eq!(
                    label,
                    truth.map(|(l, _)| i64::from(l)),
                    "{} {onset}",
                    planted.path
                );
                let off = share.unwrap_or(0.0) - truth.map_or(0.0, |(_, s)| s);
                assert!(off.abs() < 1e-6, "{} {onset}: {share:?}", planted.path);
            }
        }
    }

    /// The first and the last epoch of a recording are the planted samples, filtered and
    /// resampled. `pairs` are canonical names and raw labels; a sample in the file's unit times
    /// `microvolts` is in µV.
    pub(crate) fn samples_agree(&self, path: &str, microvolts: f64, pairs: &[(&str, &str)]) {
        let recipe = Recipe::builtin("mindmix").expect("the recipe");
        let planted = self.planted(path);
        let last = 2 * (planted.seconds / 2 - 1);
        let rows = self.scratch.sql(&format!(
            "SELECT e.onset, e.ch_names, e.ch_mean, e.ch_std, e.eeg FROM eeg e \
             JOIN recordings r ON r.recording_id = e.recording_id \
             WHERE r.path = '{path}' AND e.onset IN (0.0, {last}.0) ORDER BY e.onset"
        ));
        assert_eq!(rows.len(), 2, "{path}");
        for (name, raw) in pairs {
            let channel = planted.channels.iter().find(|c| c.label == *raw);
            let channel = channel.unwrap_or_else(|| panic!("{path} has no {raw}"));
            let x: Vec<f64> = channel.values().iter().map(|v| v * microvolts).collect();
            let want = condition(&recipe, channel.sfreq as f64, vec![x]).expect("a signal");
            for row in &rows {
                let names = row["ch_names"].as_array().expect("names");
                let k = names.iter().position(|n| n == name);
                let k = k.unwrap_or_else(|| panic!("{path}: {name} is not among {names:?}"));
                let (mean, std) = (number(&row["ch_mean"][k]), number(&row["ch_std"][k]));
                let from = (number(&row["onset"]) * recipe.sfreq) as usize;
                let samples = row["eeg"][k].as_array().expect("samples");
                assert_eq!(samples.len(), recipe.epoch_samples());
                for (z, want) in samples.iter().zip(&want[0][from..]) {
                    let found = number(z) * std + mean;
                    assert!(
                        (found - want).abs() < 1e-4 * std,
                        "{path} {name}: {found} µV, planted {want} µV"
                    );
                }
            }
        }
    }
}

fn number(value: &Value) -> f64 {
    value
        .as_f64()
        .unwrap_or_else(|| panic!("{value} is no number"))
}

/// The class that covers most of the two seconds from `onset`, and the share: by counting, in
/// hundredths of a second.
fn most(labels: &[(f64, f64, i32)], onset: f64) -> Option<(i32, f64)> {
    let mut counts = [0usize; 8];
    for k in 0..200 {
        let t = onset + (f64::from(k) + 0.5) / 100.0;
        if let Some((.., class)) = labels.iter().find(|(a, b, _)| (*a..*b).contains(&t)) {
            counts[*class as usize] += 1;
        }
    }
    let most = *counts.iter().max()?;
    let class = counts.iter().position(|n| *n == most)?;
    (most > 0).then_some((class as i32, most as f64 / 200.0))
}
