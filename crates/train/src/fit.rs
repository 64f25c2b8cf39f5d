//! Fit one fold, predict with what was fitted.

use std::path::Path;

use crate::config::TrainConfig;
use crate::control::Control;
use crate::progress::Progress;
use crate::report::{FitReport, Prediction};
use crate::source::{Fold, Source};
use crate::{Error, Result};

/// Train one fold into `dir` (`<run>/fold=N`), or continue what stands there.
///
/// # Errors
/// See [`Error`].
pub fn fit(
    source: &dyn Source,
    fold: &Fold,
    cfg: &TrainConfig,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<FitReport> {
    let _ = (source, fold, dir, progress);
    cfg.check()?;
    Err(Error::Config { field: "model", message: "this model has no trainer yet".into() })
}

/// Ask the best checkpoint in `dir` about the examples `indices`.
///
/// # Errors
/// See [`Error`].
pub fn predict(
    source: &dyn Source,
    indices: &[usize],
    cfg: &TrainConfig,
    dir: &Path,
    control: Option<Control>,
) -> Result<Vec<Prediction>> {
    let _ = (source, indices, dir, control);
    cfg.check()?;
    Err(Error::Config { field: "model", message: "this model has no trainer yet".into() })
}
