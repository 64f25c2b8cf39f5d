//! What a run's result is: the record that `evaluate` stores as JSON and a report renders.
//!
//! [`score`] turns predictions into [`Scores`] with their groups and uncertainty, and
//! [`summarise`] puts scores, controls, baselines, curves and the audit into one [`RunSummary`].

mod score;
mod types;

pub use score::{ScoreOptions, score};
pub use types::{
    AuditAlone, AuditPair, AuditSummary, CurvePoint, DataCounts, FoldCurve, GroupScore, Prediction,
    RunMeta, RunSummary, Scores, Spread,
};

use crate::Result;

/// Version of the stored JSON; raised when a field changes its meaning.
pub const FORMAT: u32 = 1;

/// Scores the predictions of a run and starts its summary.
///
/// Controls and baselines are added with [`RunSummary::add_control`] and
/// [`RunSummary::add_baseline`]; curves, audit and notes are plain fields.
///
/// # Errors
/// When there are no predictions, an epoch occurs twice in a fold, or a class lies outside
/// `meta.classes`.
pub fn summarise(
    meta: RunMeta,
    predictions: &[Prediction],
    options: &ScoreOptions,
) -> Result<RunSummary> {
    let scores = score("model", predictions, meta.classes.len(), options)?;
    let data = DataCounts::of(predictions, meta.classes.len());
    Ok(RunSummary {
        format: FORMAT,
        meta,
        data,
        scores,
        controls: Vec::new(),
        baselines: Vec::new(),
        curves: Vec::new(),
        audit: None,
        notes: Vec::new(),
    })
}

impl RunSummary {
    /// Scores a control's predictions and puts them beside the run; a control of that name is replaced.
    ///
    /// # Errors
    /// As [`summarise`].
    pub fn add_control(
        &mut self,
        name: &str,
        predictions: &[Prediction],
        options: &ScoreOptions,
    ) -> Result<()> {
        let scores = score(name, predictions, self.meta.classes.len(), options)?;
        self.controls.retain(|c| c.name != name);
        self.controls.push(scores);
        Ok(())
    }

    /// Scores a classical baseline's predictions and puts them beside the run.
    ///
    /// # Errors
    /// As [`summarise`].
    pub fn add_baseline(
        &mut self,
        name: &str,
        predictions: &[Prediction],
        options: &ScoreOptions,
    ) -> Result<()> {
        let scores = score(name, predictions, self.meta.classes.len(), options)?;
        self.baselines.retain(|c| c.name != name);
        self.baselines.push(scores);
        Ok(())
    }

    /// Whether every table must say that the split leaks: by protocol or by a broken promise.
    pub fn leaky(&self) -> bool {
        self.meta.leaky || self.audit.as_ref().is_some_and(|a| a.leaky || !a.holds)
    }
}
