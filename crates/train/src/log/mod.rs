//! The learning curve on disk: JSON lines for programs, event files for TensorBoard.

mod events;
mod jsonl;

use std::path::Path;

use serde::Serialize;

use crate::Result;
use crate::report::EpochRecord;

/// One optimiser step.
#[derive(Debug, Clone, Copy, Serialize)]
pub(crate) struct StepRecord {
    /// Steps done, from 1.
    pub(crate) step: u64,
    /// Pass, from 1.
    pub(crate) epoch: usize,
    pub(crate) loss: f64,
    pub(crate) lr: f64,
    /// Before clipping.
    pub(crate) grad_norm: f64,
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
        let values = [
            ("train/loss", r.loss),
            ("train/lr", r.lr),
            ("train/grad_norm", r.grad_norm),
        ];
        self.events.scalars(r.step, &values)
    }

    pub(crate) fn epoch(&mut self, r: &EpochRecord) -> Result<()> {
        self.lines.write("epoch", r)?;
        let mut values = vec![
            ("epoch/train_loss", r.train_loss),
            ("epoch/train_accuracy", r.train_accuracy),
        ];
        values.extend(r.val_loss.map(|v| ("epoch/val_loss", v)));
        values.extend(
            r.val_balanced_accuracy
                .map(|v| ("epoch/val_balanced_accuracy", v)),
        );
        self.events.scalars(r.step, &values)
    }

    /// Make everything written so far durable; called before a checkpoint.
    pub(crate) fn sync(&mut self) -> Result<()> {
        self.lines.sync()?;
        self.events.sync()
    }
}
