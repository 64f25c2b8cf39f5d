//! Small corpora for the tests.

use mmpipe_splits::Row;

/// A corpus of `subjects` with `trials` of `epochs` windows each, labels alternating by trial.
pub(crate) fn corpus(subjects: usize, trials: usize, epochs: usize) -> Vec<Row> {
    let mut rows = Vec::new();
    for s in 0..subjects {
        for t in 0..trials {
            for e in 0..epochs {
                rows.push(Row {
                    epoch_id: 1_000_003 * (s as u64 * 10_000 + t as u64 * 100 + e as u64 + 1),
                    dataset: "Demo".into(),
                    subject: format!("s{s:02}"),
                    recording: format!("r{s:02}-{t:02}"),
                    trial: t as i32,
                    epoch: e as i32,
                    onset: 2.0 * e as f64,
                    seconds: 2.0,
                    label: Some((t % 2) as i32),
                    label_name: Some(["left", "right"][t % 2].into()),
                    ..Row::default()
                });
            }
        }
    }
    rows
}
