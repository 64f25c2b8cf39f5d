//! How a run tells its caller what it does. The binary draws the bars.

use crate::report::EpochRecord;

/// Callbacks from the training thread. All have empty defaults.
pub trait Progress: Sync {
    /// A fold (of a control, if `label` says so) begins: batches a pass, passes at most, and the
    /// step it starts from (above 0 when it resumes).
    fn fold_started(&self, label: &str, fold: i32, steps_per_epoch: u64, epochs: usize, step: u64) {
        let _ = (label, fold, steps_per_epoch, epochs, step);
    }
    /// Where the network will compute; told at the start of every fold or phase.
    fn device(&self, name: &str) {
        let _ = name;
    }
    /// Something that the user should know before it is too late, such as too little memory.
    fn warn(&self, text: &str) {
        let _ = text;
    }
    /// An optimiser step is done. `step` counts from 1.
    fn step(&self, step: u64, loss: f64, lr: f64) {
        let _ = (step, loss, lr);
    }
    /// A pass is done and validated.
    fn epoch(&self, record: &EpochRecord) {
        let _ = record;
    }
    /// A fold is done.
    fn fold_finished(&self, label: &str, fold: i32) {
        let _ = (label, fold);
    }
    /// Asked after every step; true = write a checkpoint and return [`crate::Error::Stopped`].
    fn stop(&self, step: u64) -> bool {
        let _ = step;
        false
    }
}

/// Says nothing, never stops.
#[derive(Debug, Clone, Copy, Default)]
pub struct Silent;

impl Progress for Silent {}
