//! The baseline as a model that is fitted, stored and asked.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};

use super::features::{BandPowers, moments, standardise, standardise_within};
use super::logistic::Logistic;
use crate::ask::{Answer, validation};
use crate::config::{ClassWeights, Standardise, TrainConfig};
use crate::data::Labels;
use crate::report::{Ended, EpochRecord};
use crate::source::Fold;
use crate::store::{Best, Checkpoints, FitState};
use crate::{Error, Result};

/// Weights and the standardisation of the training examples.
struct Fitted {
    logistic: Logistic,
    mean: Vec<f64>,
    std: Vec<f64>,
}

/// Fit on `fold.train` and write the one checkpoint. `state` is the fresh state of this fit.
pub(crate) fn fit(
    powers: &BandPowers<'_>,
    fold: &Fold,
    cfg: &TrainConfig,
    labels: &Labels,
    store: &Checkpoints,
    mut state: FitState,
) -> Result<FitState> {
    let source = powers.source;
    let names = state.about.spec.channels.clone().unwrap_or_default();
    let classes = state.about.spec.classes.len();
    let mut rows = powers.rows(&fold.train, &names)?;
    let (mean, std) = moments(&rows.iter().collect::<Vec<_>>());
    match cfg.standardise {
        Standardise::Train => standardise(&mut rows, &mean, &std),
        Standardise::WithinSubject => standardise_within(&mut rows, source, &fold.train),
    }
    let targets: Vec<usize> = fold
        .train
        .iter()
        .map(|i| usize::try_from(labels.class(source, *i)).unwrap_or(0))
        .collect();
    let mut counts = vec![0.0; classes];
    targets.iter().for_each(|t| counts[*t] += 1.0);
    let present = counts.iter().filter(|n| **n > 0.0).count() as f64;
    let weight = |t: &usize| match cfg.class_weights {
        ClassWeights::None => 1.0,
        ClassWeights::Balanced => targets.len() as f64 / (present * counts[*t]),
    };
    let weights: Vec<f64> = targets.iter().map(weight).collect();
    let (logistic, steps) = Logistic::fit(&rows, &targets, &weights, classes, cfg.c);
    let fitted = Fitted {
        logistic,
        mean,
        std,
    };

    let train: Vec<Answer> = answers(&fitted, &rows, &fold.train, labels, source);
    let own = validation(&train)?.unwrap_or((0.0, 0.0));
    let right = train.iter().filter(|a| a.predicted() == a.target).count() as f64;
    let val = ask_fitted(&fitted, powers, &names, &fold.val, cfg, labels)?;
    let val = validation(&val)?;
    state.step = steps.max(1);
    state.epoch = 1;
    state.history.push(EpochRecord {
        epoch: 1,
        step: state.step,
        lr: 0.0,
        train_loss: own.0,
        train_accuracy: Some(right / train.len().max(1) as f64),
        val_loss: val.map(|v| v.0),
        val_balanced_accuracy: val.map(|v| v.1),
        named: BTreeMap::new(),
    });
    state.best = Some(Best {
        epoch: 1,
        step: state.step,
        val_loss: val.map(|v| v.0),
        val_balanced_accuracy: val.map(|v| v.1),
    });
    state.ended = Some(Ended::Converged);
    store.write(
        &state,
        vec![("model.safetensors", to_bytes(&fitted)?)],
        cfg.keep_last,
    )?;
    Ok(state)
}

/// Answers of the stored baseline for `indices`, in order.
pub(crate) fn ask(
    powers: &BandPowers<'_>,
    indices: &[usize],
    state: &FitState,
    store: &Checkpoints,
) -> Result<Vec<Answer>> {
    let names = state.about.spec.channels.clone().unwrap_or_default();
    let (path, bytes) = store.read(state.step, "model.safetensors")?;
    let fitted = from_bytes(
        &bytes,
        names.len() * state.about.config.bands.len(),
        state.about.spec.classes.len(),
    )
    .map_err(|message| Error::checkpoint(&path, message))?;
    ask_fitted(
        &fitted,
        powers,
        &names,
        indices,
        &state.about.config,
        &Labels::default(),
    )
}

fn ask_fitted(
    fitted: &Fitted,
    powers: &BandPowers<'_>,
    names: &[String],
    indices: &[usize],
    cfg: &TrainConfig,
    labels: &Labels,
) -> Result<Vec<Answer>> {
    let mut rows = powers.rows(indices, names)?;
    match cfg.standardise {
        Standardise::Train => standardise(&mut rows, &fitted.mean, &fitted.std),
        Standardise::WithinSubject => standardise_within(&mut rows, powers.source, indices),
    }
    Ok(answers(fitted, &rows, indices, labels, powers.source))
}

fn answers(
    fitted: &Fitted,
    rows: &[Vec<f64>],
    indices: &[usize],
    labels: &Labels,
    source: &dyn crate::Source,
) -> Vec<Answer> {
    let one = |(row, &index): (&Vec<f64>, &usize)| Answer {
        index,
        target: usize::try_from(labels.class(source, index)).unwrap_or(0),
        scores: fitted.logistic.log_probabilities(row),
    };
    rows.iter().zip(indices).map(one).collect()
}

fn to_bytes(fitted: &Fitted) -> Result<Vec<u8>> {
    let Logistic { outputs, d, ref w } = fitted.logistic;
    let tensor = |x: &[f64], shape: &[usize]| Tensor::from_slice(x, shape, &Device::Cpu);
    let coef: Vec<f64> = w.chunks(d + 1).flat_map(|w| w[..d].to_vec()).collect();
    let intercept: Vec<f64> = w.chunks(d + 1).map(|w| w[d]).collect();
    let tensors = [
        ("coef", tensor(&coef, &[outputs, d])?),
        ("intercept", tensor(&intercept, &[outputs])?),
        ("mean", tensor(&fitted.mean, &[d])?),
        ("std", tensor(&fitted.std, &[d])?),
    ];
    safetensors::serialize(tensors, None).map_err(|e| Error::Tensor(candle_core::Error::wrap(e)))
}

fn from_bytes(bytes: &[u8], d: usize, classes: usize) -> std::result::Result<Fitted, String> {
    let outputs = if classes == 2 { 1 } else { classes };
    let tensors =
        candle_core::safetensors::load_buffer(bytes, &Device::Cpu).map_err(|e| e.to_string())?;
    let get = |name: &str, n: usize| -> std::result::Result<Vec<f64>, String> {
        let tensor = tensors
            .get(name)
            .ok_or_else(|| format!("lacks tensor {name}"))?;
        let values = tensor
            .flatten_all()
            .and_then(|t| t.to_vec1::<f64>())
            .map_err(|e| e.to_string())?;
        if values.len() == n {
            Ok(values)
        } else {
            Err(format!("{name} has {} values, expected {n}", values.len()))
        }
    };
    let (coef, intercept) = (get("coef", outputs * d)?, get("intercept", outputs)?);
    let mut w = Vec::with_capacity(outputs * (d + 1));
    for (k, b) in intercept.iter().enumerate() {
        w.extend_from_slice(&coef[k * d..(k + 1) * d]);
        w.push(*b);
    }
    Ok(Fitted {
        logistic: Logistic { outputs, d, w },
        mean: get("mean", d)?,
        std: get("std", d)?,
    })
}
