//! The learning curve on disk: JSON lines for programs, event files for TensorBoard.

mod events;
mod jsonl;

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::report::EpochRecord;

/// One optimiser step.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct StepRecord {
    /// Steps done, from 1.
    pub(crate) step: u64,
    /// Pass, from 1.
    pub(crate) epoch: usize,
    pub(crate) loss: f64,
    pub(crate) lr: f64,
    /// Before clipping.
    pub(crate) grad_norm: f64,
    /// What the objective says besides.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub(crate) named: BTreeMap<String, f64>,
}

/// Both logs of one fold.
pub(crate) struct MetricLog {
    lines: jsonl::Lines,
    events: events::EventWriter,
}

impl MetricLog {
    /// Continue the logs in `dir` after `step` steps: what a lost process wrote beyond is dropped.
    pub(crate) fn open(dir: &Path, step: u64) -> Result<Self> {
        Ok(Self {
            lines: jsonl::Lines::open(&dir.join("metrics.jsonl"), step)?,
            events: events::EventWriter::create(dir, step)?,
        })
    }

    pub(crate) fn step(&mut self, r: &StepRecord) -> Result<()> {
        self.lines.write("step", r)?;
        let mut values = vec![
            ("train/loss".to_owned(), r.loss),
            ("train/lr".to_owned(), r.lr),
            ("train/grad_norm".to_owned(), r.grad_norm),
        ];
        values.extend(under("train", &r.named));
        self.events.scalars(r.step, &values)
    }

    pub(crate) fn epoch(&mut self, r: &EpochRecord) -> Result<()> {
        self.lines.write("epoch", r)?;
        let mut values = vec![("epoch/train_loss".to_owned(), r.train_loss)];
        for (name, value) in [
            ("train_accuracy", r.train_accuracy),
            ("val_loss", r.val_loss),
            ("val_balanced_accuracy", r.val_balanced_accuracy),
        ] {
            values.extend(value.map(|v| (format!("epoch/{name}"), v)));
        }
        values.extend(under("epoch", &r.named));
        self.events.scalars(r.step, &values)
    }

    /// Make everything written so far durable; called before a checkpoint.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.lines.sync()?;
        self.events.sync()
    }
}

/// Names as TensorBoard groups them.
fn under<'a>(
    group: &'a str,
    named: &'a BTreeMap<String, f64>,
) -> impl Iterator<Item = (String, f64)> + 'a {
    named.iter().map(move |(n, v)| (format!("{group}/{n}"), *v))
}
