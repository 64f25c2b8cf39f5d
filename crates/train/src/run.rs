//! All folds of a run with its controls, resumable by fold and inside a fold.

use std::path::{Path, PathBuf};

use mmpipe_eval::result::Prediction;

use crate::config::{AudioTrain, TrainConfig};
use crate::control::{Control, permute};
use crate::fit::{As, Door, fit_as, predict_as};
use crate::progress::Progress;
use crate::report::FitReport;
use crate::sound::{Sound, SoundEncoder};
use crate::source::{Fold, Source};
use crate::{Error, Result};

/// What came out of all folds.
#[derive(Debug, Clone, Default)]
pub struct RunReport {
    /// One a fold; the fits of a control that trains again come after those of the run itself.
    pub fits: Vec<FitReport>,
    /// Predictions of the test role; `None` = the run itself, else the control.
    pub predictions: Vec<(Option<Control>, Vec<Prediction>)>,
}

/// Folder of one fold in a run's folder `dir`: `dir/fold=N`, and `dir/control=NAME/fold=N` for a control
/// that trains (`label-permuted` with the folders `fit=0` and `fit=1` of its fits). `noise-eeg` asks
/// the run's own fits.
pub fn fold_dir(dir: &Path, control: Option<Control>, fold: i32) -> PathBuf {
    match control.filter(|c| c.trains()) {
        Some(control) => dir.join(format!("control={control}")),
        None => dir.to_path_buf(),
    }
    .join(format!("fold={fold}"))
}

/// The frozen sound encoders that the fits of these folds and controls hear with, each once; none where
/// the settings freeze none. Who keeps their vectors (see [`Source::embedding`]) can make them before
/// [`run`] does.
///
/// # Errors
/// See [`crate::Error`]: settings or files that give no encoder.
pub fn frozen_encoders(
    cfg: &TrainConfig,
    folds: &[i32],
    controls: &[Control],
    dir: &Path,
) -> Result<Vec<SoundEncoder>> {
    let mut encoders: Vec<SoundEncoder> = Vec::new();
    if !cfg.model.listens() || cfg.audio_train != AudioTrain::Frozen {
        return Ok(encoders);
    }
    let permuted = controls.contains(&Control::LabelPermuted);
    for fold in folds {
        let mut places = vec![(fold_dir(dir, None, *fold), false)];
        if permuted {
            let path = fold_dir(dir, Some(Control::LabelPermuted), *fold);
            places.push((path.join("fit=0"), true));
        }
        for (path, control) in places {
            let sound = Sound::of_fit(cfg, *fold, control, &path)?;
            let new = sound.map(|s| s.encoder()).filter(|new| {
                let hash = |e: &SoundEncoder| e.about().hash == new.about().hash;
                !encoders.iter().any(hash)
            });
            encoders.extend(new);
        }
    }
    Ok(encoders)
}

/// Fit every fold and predict its test role, then the controls. Folds one after the other; the
/// work inside is parallel. What is done is not done again.
///
/// `label-permuted` fits each fold twice, with opposite answers, and each fit answers half of the
/// test trials; so it costs two further trainings a fold. `audio-only` costs one.
///
/// # Errors
/// See [`crate::Error`]; [`Error::Config`] for `audio-only` of a model that does not hear.
pub fn run(
    source: &dyn Source,
    folds: &[Fold],
    cfg: &TrainConfig,
    dir: &Path,
    controls: &[Control],
    progress: &dyn Progress,
) -> Result<RunReport> {
    cfg.check()?;
    if controls.contains(&Control::AudioOnly) && !cfg.model.hears() {
        return Err(Error::Config {
            field: "controls",
            message: "audio-only expects a network that hears (aadnet, mindmix-av, mindmix-real); found another".into(),
        });
    }
    let door = Door::new(source, cfg);
    let mut report = RunReport::default();
    let mut kinds = vec![None];
    kinds.extend(controls.iter().copied().map(Some));
    for kind in kinds {
        let mut predictions = Vec::new();
        for fold in folds {
            let path = fold_dir(dir, kind, fold.fold);
            match kind {
                None => {
                    report
                        .fits
                        .push(fit_as(&door, fold, cfg, &path, As::Itself, progress)?);
                    predictions.extend(predict_as(&door, &fold.test, cfg, &path, None)?);
                }
                Some(Control::NoiseEeg) => {
                    predictions.extend(predict_as(&door, &fold.test, cfg, &path, kind)?);
                }
                Some(Control::AudioOnly) => {
                    let fit = fit_as(&door, fold, cfg, &path, As::SoundAlone, progress)?;
                    report.fits.push(fit);
                    predictions.extend(predict_as(&door, &fold.test, cfg, &path, kind)?);
                }
                Some(Control::LabelPermuted) => {
                    for (n, share) in permute::shares(source, &fold.test).iter().enumerate() {
                        let path = path.join(format!("fit={n}"));
                        report.fits.push(fit_as(
                            &door,
                            fold,
                            cfg,
                            &path,
                            As::Permuted(n),
                            progress,
                        )?);
                        predictions.extend(predict_as(&door, share, cfg, &path, kind)?);
                    }
                }
            }
        }
        report.predictions.push((kind, predictions));
    }
    Ok(report)
}
