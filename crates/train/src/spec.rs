//! What a fitted model is made for: shapes and names that must be the same when it is asked again.

use candle_core::Device;
use serde::{Deserialize, Serialize};

use mmpipe_models::align::{Matcher, PrototypeClassifier, RealClassifier};
use mmpipe_models::encoder::{Classifier, ClassifierConfig, electrodes};
use mmpipe_models::{Model, Params, aadnet, eegnet};

use crate::config::{ModelKind, Task, TrainConfig};
use crate::data::{ChannelPlan, FeatureKind, common_channels};
use crate::mindmix::Shape;
use crate::sound::Hears;
use crate::source::{Fold, Source};
use crate::{Error, Result};

/// Shapes and names of a fitted model.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Spec {
    pub(crate) model: ModelKind,
    pub(crate) task: Task,
    /// Channels in order; absent = any montage.
    pub(crate) channels: Option<Vec<String>>,
    /// Samples a channel as stored.
    pub(crate) n_times: usize,
    /// Rate as stored, Hz.
    pub(crate) sfreq: f64,
    /// Class names (classification).
    pub(crate) classes: Vec<String>,
    /// Candidates (matching); 0 = any number.
    pub(crate) candidates: usize,
    /// What it hears with, where that is wav2vec 2.0 or HuBERT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) hears: Option<Hears>,
}

impl Spec {
    /// The shapes that the examples of `fold` ask for. `fold` holds usable examples only.
    pub(crate) fn of(
        source: &dyn Source,
        fold: &Fold,
        cfg: &TrainConfig,
        hears: Option<Hears>,
    ) -> Result<Self> {
        let all: Vec<usize> = [&fold.train, &fold.val, &fold.test]
            .into_iter()
            .flatten()
            .copied()
            .collect();
        let channels = match cfg.model.any_montage() {
            true => None,
            false => Some(common_channels(source, &all)?),
        };
        let task = cfg.task();
        Ok(Self {
            model: cfg.model,
            task,
            channels,
            n_times: source.n_times(),
            sfreq: source.sfreq(),
            classes: match task {
                Task::Classification => source.classes().to_vec(),
                Task::Matching => Vec::new(),
            },
            candidates: match task {
                Task::Matching if !cfg.model.any_candidates() => {
                    fold.train.first().map_or(0, |i| source.meta(*i).candidates)
                }
                _ => 0,
            },
            hears,
        })
    }

    /// Refuse a source whose examples the model was not made for.
    pub(crate) fn check(&self, source: &dyn Source) -> Result<()> {
        if source.n_times() != self.n_times || source.sfreq() != self.sfreq {
            return Err(Error::Data(format!(
                "the model was fitted on epochs of {} samples at {} Hz, these have {} at {} Hz; use the recipe that it was trained with",
                self.n_times,
                self.sfreq,
                source.n_times(),
                source.sfreq()
            )));
        }
        if self.task == Task::Classification && source.classes() != self.classes {
            return Err(Error::Data(format!(
                "the model tells {} apart, the data have {}; predict on data with the same classes",
                self.classes.join(", "),
                source.classes().join(", ")
            )));
        }
        Ok(())
    }

    /// Number of scores a row; 0 = not the same for all.
    pub(crate) fn outputs(&self) -> usize {
        match self.task {
            Task::Classification => self.classes.len(),
            Task::Matching => self.candidates,
        }
    }

    /// What the model reads.
    pub(crate) fn features(cfg: &TrainConfig) -> FeatureKind {
        match (cfg.task(), cfg.model) {
            (_, ModelKind::MindmixAv | ModelKind::MindmixReal) => Shape::from(cfg).features(),
            (Task::Classification, _) => FeatureKind::Eeg,
            (Task::Matching, _) => FeatureKind::EegAndEnvelopes(cfg.envelope_sfreq),
        }
    }

    /// Channels shown of each montage, and a note when names had to be left out.
    pub(crate) fn plan(
        &self,
        source: &dyn Source,
        indices: &[usize],
        cfg: &TrainConfig,
    ) -> Result<(ChannelPlan, Option<String>)> {
        if self.model.any_montage() && cfg.spatial {
            let (plan, dropped) =
                ChannelPlan::filtered(source, indices, |n| electrodes::row(n).is_ok())?;
            let note = (!dropped.is_empty()).then(|| {
                format!(
                    "channels without a row in the spatial embedding were left out: {}",
                    dropped.join(", ")
                )
            });
            return Ok((plan, note));
        }
        Ok((
            ChannelPlan::new(source, indices, self.channels.as_deref())?,
            None,
        ))
    }

    /// The network with its initial weights.
    pub(crate) fn build(&self, cfg: &TrainConfig, device: &Device) -> Result<Box<dyn Model>> {
        let params = Params::new(cfg.seed, device);
        let channels = self.channels.as_ref().map_or(0, Vec::len);
        let dropout = cfg.dropout.map(|d| d as f32);
        match self.model {
            ModelKind::Eegnet => {
                let mut c = eegnet::EegNetConfig::new(
                    channels,
                    self.n_times,
                    self.classes.len(),
                    self.sfreq,
                );
                c.kernel = cfg.kernel.unwrap_or(c.kernel);
                (c.f1, c.d, c.f2) = (cfg.f1, cfg.d, cfg.f2);
                c.dropout = dropout.unwrap_or(c.dropout);
                Ok(Box::new(eegnet::EegNet::new(&c, params)?))
            }
            ModelKind::Mindmix => {
                let shape = Shape::from(cfg);
                let mut c = ClassifierConfig::new(cfg.size, self.classes.len());
                c.encoder = shape.encoder();
                c.projection_dropout = dropout.unwrap_or(c.projection_dropout);
                c.head_dropout = dropout.unwrap_or(c.head_dropout);
                Ok(Box::new(Classifier::new(&c, params)?))
            }
            ModelKind::MindmixAv => {
                let config = Shape::from(cfg).aligner(self.hears.as_ref());
                Ok(Box::new(Matcher::new(&config, params)?))
            }
            ModelKind::MindmixReal => {
                let config = Shape::from(cfg).aligner(self.hears.as_ref());
                let n = self.classes.len();
                let own = ClassifierConfig::new(cfg.size, n).head_dropout;
                let dropout = dropout.unwrap_or(own);
                let net = RealClassifier::new(&config, n, dropout, cfg.contrast, params)?;
                Ok(Box::new(net))
            }
            ModelKind::MindmixPrototype => {
                let config = Shape::from(cfg).aligner(self.hears.as_ref());
                let n = self.classes.len();
                Ok(Box::new(PrototypeClassifier::new(&config, n, params)?))
            }
            ModelKind::Aadnet => {
                let mut c = aadnet::AadNetConfig::new(channels);
                c.candidates = self.candidates;
                c.dropout = dropout.unwrap_or(c.dropout);
                Ok(Box::new(aadnet::AadNet::new(&c, params)?))
            }
            ModelKind::BandpowerLr | ModelKind::Ridge => Err(Error::Config {
                field: "model",
                message: "bandpower-lr and ridge are not networks".into(),
            }),
        }
    }
}

/// Refuses indices out of range or in two roles.
pub(crate) fn check_roles(source: &dyn Source, fold: &Fold) -> Result<()> {
    let mut role = vec![false; source.len()];
    for &i in [&fold.train, &fold.val, &fold.test].into_iter().flatten() {
        match role.get_mut(i) {
            None => {
                return Err(Error::Data(format!(
                    "fold {} names example {i}, the source has {}; make the split again",
                    fold.fold,
                    source.len()
                )));
            }
            Some(taken) if *taken => {
                return Err(Error::Data(format!(
                    "fold {} gives epoch {:016x} two places; make the split again",
                    fold.fold,
                    source.meta(i).epoch_id
                )));
            }
            Some(taken) => *taken = true,
        }
    }
    Ok(())
}

/// The examples of `fold` that the task can use, with a note for what was left out.
///
/// # Errors
/// Indices out of range or in two roles; no training example; fewer than two classes.
pub(crate) fn usable(
    source: &dyn Source,
    fold: &Fold,
    cfg: &TrainConfig,
) -> Result<(Fold, Vec<String>)> {
    check_roles(source, fold)?;
    let mut notes = Vec::new();
    let candidates = fold
        .train
        .iter()
        .map(|i| source.meta(*i).candidates)
        .find(|k| *k >= 2)
        .unwrap_or(0);
    let mut keep = |name: &str, indices: &[usize]| -> Result<Vec<usize>> {
        let mut out = Vec::with_capacity(indices.len());
        for &i in indices {
            if usable_one(source, i, cfg.model, candidates)? {
                out.push(i);
            }
        }
        if out.len() < indices.len() {
            let why = match cfg.task() {
                _ if cfg.model.needs_heard() => {
                    "they have no label, or no sound belongs to them".to_string()
                }
                Task::Classification => "they have no label".to_string(),
                Task::Matching if cfg.model.any_candidates() => {
                    "they have fewer than two candidate sounds".to_string()
                }
                Task::Matching => format!(
                    "they have not the {candidates} candidate sounds of the first training example"
                ),
            };
            notes.push(format!(
                "{} of {} {name} epochs were left out: {why}",
                indices.len() - out.len(),
                indices.len()
            ));
        }
        Ok(out)
    };
    let out = Fold {
        fold: fold.fold,
        train: keep("training", &fold.train)?,
        val: keep("validation", &fold.val)?,
        test: keep("test", &fold.test)?,
    };
    if out.train.is_empty() {
        return Err(Error::Data(format!(
            "fold {} has no training epoch with {}; see the data set's trials",
            fold.fold,
            match cfg.task() {
                _ if cfg.model.needs_heard() => "a label and a sound that was heard",
                Task::Classification => "a label",
                Task::Matching => "two or more candidate sounds",
            }
        )));
    }
    if cfg.task() == Task::Classification {
        let first = source.meta(out.train[0]).label;
        if out.train.iter().all(|i| source.meta(*i).label == first) {
            let name = usize::try_from(first)
                .ok()
                .and_then(|c| source.classes().get(c));
            return Err(Error::Data(format!(
                "all training epochs of fold {} are of one class ({}); two are needed",
                fold.fold,
                name.map_or("?", String::as_str)
            )));
        }
    }
    if out.val.is_empty() {
        notes.push(
            "the fold has no validation epochs: the last checkpoint counts as the best".into(),
        );
    }
    Ok((out, notes))
}

/// Whether example `i` can be used; `candidates` is what a model needs that takes no other number.
pub(crate) fn usable_one(
    source: &dyn Source,
    i: usize,
    model: ModelKind,
    candidates: usize,
) -> Result<bool> {
    let meta = source.meta(i);
    match model.task() {
        Task::Matching if model.any_candidates() => Ok(meta.candidates >= 2),
        Task::Matching => Ok(candidates >= 2 && meta.candidates == candidates),
        Task::Classification if model.needs_heard() && meta.candidates == 0 => Ok(false),
        Task::Classification => {
            let classes = source.classes().len();
            match usize::try_from(meta.label) {
                Err(_) => Ok(false),
                Ok(label) if label < classes => Ok(true),
                Ok(label) => Err(Error::Data(format!(
                    "epoch {:016x} has label {label}, there are {classes} class names",
                    meta.epoch_id
                ))),
            }
        }
    }
}
