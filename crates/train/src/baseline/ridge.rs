//! `ridge`: which sound was attended, by reconstruction of its envelope from the EEG.
//!
//! The model and its references are in [`mmpipe_eval::attention`]. Here it meets folds: fitted on
//! the training epochs alone, the penalty chosen by leaving out whole trials among them, and asked
//! epoch by epoch. Subjects with four or more training trials get a decoder of their own, as
//! is the custom; a decoder for all answers the others. The penalty of that one is chosen by
//! leaving out whole subjects where there are several.
//!
//! An epoch is decided by the correlations within it. Where the next epoch of its trial was asked
//! for as well, its last samples lean on the 400 ms of EEG after it.

use std::collections::BTreeMap;

use candle_core::{Device, Tensor};
use mmpipe_eval::attention::{Decoder, Moments, choose, correlation};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use super::stretches::{Stretch, Stretches};
use crate::ask::{Answer, validation};
use crate::config::TrainConfig;
use crate::data::{ASKING, Labels, block, place_of, show_order, trial_key};
use crate::loss::log_probabilities;
use crate::report::{Ended, EpochRecord};
use crate::source::{Fold, Source};
use crate::store::{Best, Checkpoints, FitState};
use crate::{Error, Result};

/// Training trials from which on a subject has a decoder of its own.
const OWN: usize = 4;
/// Groups of trials or subjects that are left out in turn.
const GROUPS: usize = 10;
/// Stretches whose sums are made side by side.
const SIDE_BY_SIDE: usize = 8;

type Subject = (String, String);

/// One decoder as stored beside its weights.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Card {
    /// Data set and subject; `None` for the decoder of all.
    subject: Option<Subject>,
    /// Training trials.
    trials: usize,
    lambda: f64,
    /// Mean correlation over what was left out, one a penalty offered.
    correlations: Vec<f64>,
}

/// All decoders of a fold, the one for all first.
struct Fitted {
    cards: Vec<Card>,
    decoders: Vec<Decoder>,
}

impl Fitted {
    fn of(&self, subject: &Subject) -> &Decoder {
        let own = self
            .cards
            .iter()
            .position(|c| c.subject.as_ref() == Some(subject));
        &self.decoders[own.unwrap_or(0)]
    }
}

/// Fit on `fold.train` and write the one checkpoint. `state` is the fresh state of this fit.
pub(crate) fn fit(
    stretches: &Stretches<'_>,
    fold: &Fold,
    cfg: &TrainConfig,
    labels: &Labels,
    store: &Checkpoints,
    mut state: FitState,
) -> Result<FitState> {
    let names = state.about.spec.channels.clone().unwrap_or_default();
    let (fitted, notes) = train(stretches, fold, cfg, labels, &names)?;
    let ask = |indices: &[usize]| answers(&fitted, stretches, indices, cfg, labels, &names);
    let train = ask(&fold.train)?;
    let own = validation(&train)?.unwrap_or((0.0, 0.0));
    let right = train.iter().filter(|a| a.predicted() == a.target).count() as f64;
    let val = validation(&ask(&fold.val)?)?;
    state.step = 1;
    state.epoch = 1;
    state.history.push(EpochRecord {
        epoch: 1,
        step: 1,
        lr: 0.0,
        train_loss: own.0,
        train_accuracy: Some(right / train.len().max(1) as f64),
        val_loss: val.map(|v| v.0),
        val_balanced_accuracy: val.map(|v| v.1),
        named: BTreeMap::new(),
    });
    state.best = Some(Best {
        epoch: 1,
        step: 1,
        val_loss: val.map(|v| v.0),
        val_balanced_accuracy: val.map(|v| v.1),
    });
    state.ended = Some(Ended::Converged);
    state.notes = notes;
    store.write(&state, to_files(&fitted)?, cfg.keep_last)?;
    Ok(state)
}

/// Answers of the stored decoders for `indices`, in order; `labels` says which candidate counts as
/// attended where it is not the source's first.
pub(crate) fn ask(
    stretches: &Stretches<'_>,
    indices: &[usize],
    labels: &Labels,
    state: &FitState,
    store: &Checkpoints,
) -> Result<Vec<Answer>> {
    let names = state.about.spec.channels.clone().unwrap_or_default();
    let fitted = load(state, store)?;
    answers(
        &fitted,
        stretches,
        indices,
        &state.about.config,
        labels,
        &names,
    )
}

/// Numbers in the stored decoders.
pub(crate) fn size(state: &FitState, store: &Checkpoints) -> Result<u64> {
    let fitted = load(state, store)?;
    Ok(fitted.decoders.iter().map(|d| d.weights.len() as u64).sum())
}

/// Lags from 0 on, in samples of the envelopes.
fn lags(cfg: &TrainConfig) -> usize {
    (cfg.lag * cfg.envelope_sfreq).round() as usize + 1
}

fn train(
    stretches: &Stretches<'_>,
    fold: &Fold,
    cfg: &TrainConfig,
    labels: &Labels,
    names: &[String],
) -> Result<(Fitted, Vec<String>)> {
    let source = stretches.source;
    // Subjects, their trials, and the stretches of each, all in a fixed order.
    let mut subjects: BTreeMap<Subject, Vec<Vec<Stretch>>> = BTreeMap::new();
    let mut before = None;
    for stretch in stretches.of(&fold.train) {
        let Some(&first) = stretch.examples.first() else {
            continue;
        };
        let trial = Some(block(source.meta(first)));
        let trials = subjects.entry(subject(source, first)).or_default();
        if trial != before {
            trials.push(Vec::new());
        }
        if let Some(open) = trials.last_mut() {
            open.push(stretch);
        }
        before = trial;
    }
    let all_trials: usize = subjects.values().map(Vec::len).sum();
    let by_subject = cfg.per_subject && subjects.len() > 1;
    let empty = || Moments::empty(names.len(), lags(cfg), 1);
    let mut of_all: Vec<Moments> = Vec::new();
    let (mut cards, mut decoders, mut notes) = (Vec::new(), Vec::new(), Vec::new());
    let mut turn = 0;
    for (number, (subject, trials)) in subjects.into_iter().enumerate() {
        let count = trials.len();
        let mut groups = vec![empty(); count.min(GROUPS)];
        for (t, trial) in trials.iter().enumerate() {
            let group = t % groups.len().max(1);
            if let Some(sums) = trial_sums(stretches, trial, cfg, labels, names)? {
                groups[group].add(&sums).map_err(eval)?;
            }
        }
        if cfg.per_subject && count >= OWN {
            let (card, decoder) = decoder(&groups, cfg, Some(subject), count)?;
            cards.push(card);
            decoders.push(decoder);
        }
        for group in groups {
            let number = if by_subject { number } else { turn };
            let to = number % GROUPS;
            turn += 1;
            if of_all.len() <= to {
                of_all.resize(to + 1, empty());
            }
            of_all[to].add(&group).map_err(eval)?;
        }
    }
    if all_trials == 1 {
        notes.push(
            "a single training trial: nothing could be left out, so the middle penalty was taken"
                .into(),
        );
    }
    let (card, decoder) = decoder(&of_all, cfg, None, all_trials)?;
    cards.insert(0, card);
    decoders.insert(0, decoder);
    Ok((Fitted { cards, decoders }, notes))
}

fn subject(source: &dyn Source, i: usize) -> Subject {
    let meta = source.meta(i);
    (meta.dataset.clone(), meta.subject.clone())
}

/// Sums of a trial's stretches with the stream that it teaches.
fn trial_sums(
    stretches: &Stretches<'_>,
    trial: &[Stretch],
    cfg: &TrainConfig,
    labels: &Labels,
    names: &[String],
) -> Result<Option<Moments>> {
    let one = |stretch: &Stretch| -> Result<Moments> {
        // All epochs of a trial teach one stream.
        let taught = stretch.examples.first().map_or(0, |i| labels.attended(*i));
        let eeg = stretches.eeg(stretch, names)?;
        let envelope = stretches.envelope(stretch, taught)?;
        Moments::of(&eeg, &[envelope], lags(cfg)).map_err(eval)
    };
    let mut out: Option<Moments> = None;
    for part in trial.chunks(SIDE_BY_SIDE) {
        let sums: Vec<Result<Moments>> = part.par_iter().map(one).collect();
        for sum in sums {
            let sum = sum?;
            match &mut out {
                Some(all) => all.add(&sum).map_err(eval)?,
                None => out = Some(sum),
            }
        }
    }
    Ok(out)
}

/// Chooses the penalty over `groups` and fits all of them.
fn decoder(
    groups: &[Moments],
    cfg: &TrainConfig,
    subject: Option<Subject>,
    trials: usize,
) -> Result<(Card, Decoder)> {
    let all: Vec<(&Moments, usize)> = groups
        .iter()
        .filter(|g| g.samples() > 0)
        .map(|g| (g, 0))
        .collect();
    let choice = choose(&all, &cfg.lambdas, GROUPS).map_err(eval)?;
    let sums = Moments::pool(&all).map_err(eval)?;
    let decoder = Decoder::fit(&sums, 0, choice.lambda).map_err(eval)?;
    let card = Card {
        subject,
        trials,
        lambda: choice.lambda,
        correlations: choice.correlations,
    };
    Ok((card, decoder))
}

fn answers(
    fitted: &Fitted,
    stretches: &Stretches<'_>,
    indices: &[usize],
    cfg: &TrainConfig,
    labels: &Labels,
    names: &[String],
) -> Result<Vec<Answer>> {
    let source = stretches.source;
    let one = |stretch: &Stretch| -> Result<Vec<Answer>> {
        let Some(&first) = stretch.examples.first() else {
            return Ok(Vec::new());
        };
        let decoder = fitted.of(&subject(source, first));
        let eeg = stretches.eeg(stretch, names)?;
        let made = decoder.reconstruct(&eeg).map_err(eval)?;
        let k = source.meta(first).candidates;
        let envelopes = (0..k).map(|k| stretches.envelope(stretch, k));
        let envelopes = envelopes.collect::<Result<Vec<_>>>()?;
        let mut out = Vec::with_capacity(stretch.examples.len());
        for (&index, window) in stretch.examples.iter().zip(stretches.windows(stretch)?) {
            let order = show_order(k, cfg.seed, trial_key(source.meta(index)), ASKING);
            let scores: Vec<f32> = order
                .iter()
                .map(|shown| {
                    let r = correlation(&made[window.clone()], &envelopes[*shown][window.clone()]);
                    score(r, window.len())
                })
                .collect();
            out.push(Answer {
                index,
                target: place_of(&order, labels.attended(index)),
                scores: log_probabilities(&scores),
            });
        }
        Ok(out)
    };
    let all = stretches.of(indices);
    let mut found = BTreeMap::new();
    for part in all.chunks(SIDE_BY_SIDE) {
        let made: Vec<Result<Vec<Answer>>> = part.par_iter().map(one).collect();
        for answers in made {
            found.extend(answers?.into_iter().map(|a| (a.index, a)));
        }
    }
    Ok(indices.iter().filter_map(|i| found.remove(i)).collect())
}

/// Fisher's z of a correlation over `n` samples in units of its standard deviation. It only gives
/// scores a scale; the order is that of the correlations.
fn score(r: f64, n: usize) -> f32 {
    let r = r.clamp(-0.999_999, 0.999_999);
    (r.atanh() * (n.saturating_sub(3).max(1) as f64).sqrt()) as f32
}

fn eval(e: mmpipe_eval::Error) -> Error {
    Error::Data(e.to_string())
}

const WEIGHTS: &str = "model.safetensors";
const CARDS: &str = "decoders.json";

fn to_files(fitted: &Fitted) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let width = fitted.decoders.first().map_or(0, |d| d.weights.len());
    let all: Vec<f64> = fitted
        .decoders
        .iter()
        .flat_map(|d| d.weights.iter().copied())
        .collect();
    let tensor = Tensor::from_vec(all, (fitted.decoders.len(), width), &Device::Cpu)?;
    let weights = safetensors::serialize([("weights", tensor)], None)
        .map_err(|e| Error::Tensor(candle_core::Error::wrap(e)))?;
    let cards = serde_json::to_vec_pretty(&fitted.cards)
        .map_err(|e| Error::Data(format!("the decoders cannot be stored: {e}")))?;
    Ok(vec![(WEIGHTS, weights), (CARDS, cards)])
}

fn load(state: &FitState, store: &Checkpoints) -> Result<Fitted> {
    let (path, bytes) = store.read(state.step, CARDS)?;
    let cards: Vec<Card> = serde_json::from_slice(&bytes)
        .map_err(|e| Error::checkpoint(&path, format!("not readable: {e}")))?;
    let (path, bytes) = store.read(state.step, WEIGHTS)?;
    let damaged = |e: candle_core::Error| Error::checkpoint(&path, e.to_string());
    let tensors = candle_core::safetensors::load_buffer(&bytes, &Device::Cpu).map_err(damaged)?;
    let weights = tensors
        .get("weights")
        .ok_or_else(|| Error::checkpoint(&path, "lacks tensor weights"))?
        .to_vec2::<f64>()
        .map_err(damaged)?;
    let lags = lags(&state.about.config);
    let width = state.about.spec.channels.as_ref().map_or(0, Vec::len) * lags;
    if weights.is_empty()
        || weights.len() != cards.len()
        || weights.iter().any(|w| w.len() != width)
    {
        return Err(Error::checkpoint(
            &path,
            format!("expected {} decoders of {width} weights", cards.len()),
        ));
    }
    let decoders = weights
        .into_iter()
        .zip(&cards)
        .map(|(weights, card)| Decoder {
            weights,
            lags,
            lambda: card.lambda,
        })
        .collect();
    Ok(Fitted { cards, decoders })
}
