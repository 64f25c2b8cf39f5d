//! Supervised training of networks: scores against right answers.

use std::path::Path;

use candle_core::Tensor;
use mmpipe_models::encoder::{EncoderConfig, PATCH};
use mmpipe_models::{Model, Params};

use crate::ask::{ask, asking_batches, validation};
use crate::config::{ClassWeights, Task, TrainConfig};
use crate::control::Control;
use crate::data::{ASKING, ChannelPlan, Features, Labels, Load, LoadedBatch, Plan};
use crate::init::load_encoder;
use crate::loss::{argmax, cross_entropy, total_weight};
use crate::mindmix::Shape;
use crate::progress::Progress;
use crate::sound::Sound;
use crate::source::Fold;
use crate::spec::Spec;
use crate::stage::{
    self, Draws, Loss, MemoryEstimate, Named, Objective, Outcome, Part, Stage, Validation, memory,
    parts,
};
use crate::store::FitAbout;
use crate::{Error, Result};

/// What a fit works with.
pub(crate) struct Job<'a> {
    pub(crate) features: &'a Features<'a>,
    /// What it hears with, where weights are asked for.
    pub(crate) sound: Option<&'a Sound>,
    /// Usable examples only.
    pub(crate) fold: &'a Fold,
    pub(crate) cfg: &'a TrainConfig,
    pub(crate) labels: &'a Labels,
    pub(crate) control: Option<Control>,
    pub(crate) dir: &'a Path,
    pub(crate) progress: &'a dyn Progress,
}

/// Train, or continue, until an end is reached.
pub(crate) fn train(
    job: &Job<'_>,
    about: FitAbout,
    channels: &ChannelPlan,
) -> Result<Outcome<FitAbout>> {
    let place = job.cfg.device.open()?;
    job.progress.device(&place.name);
    let objective = Supervised {
        job,
        channels,
        model: about.spec.build(job.cfg, &place.device)?,
        spec: &about.spec.clone(),
        weights: class_weights(job),
    };
    if job.cfg.model.any_montage() && place.device.is_cpu() {
        memory::tell(&demand(job, channels, &objective), "train", job.progress);
    }
    stage::train(Stage {
        objective: &objective,
        about,
        source: job.features.source,
        train: &job.fold.train,
        val: &job.fold.val,
        cfg: &job.cfg.steps(),
        select: job.cfg.select,
        dir: job.dir,
        label: job.control.map_or("", Control::name),
        fold: job.fold.fold,
        progress: job.progress,
    })
}

/// Memory that the encoders and what is read will take; the log-mel encoder takes a little more.
fn demand(job: &Job<'_>, channels: &ChannelPlan, objective: &Supervised<'_>) -> MemoryEstimate {
    let (cfg, fold, source) = (job.cfg, job.fold, job.features.source);
    let all = || [&fold.train, &fold.val, &fold.test].into_iter().flatten();
    let most = all().map(|i| channels.names(source.meta(*i).montage).len());
    let most = most.max().unwrap_or(0);
    let patches = most * (source.n_times() / PATCH);
    let rows = match cfg.micro_batch {
        0 => cfg.batch,
        parts => parts.min(cfg.batch),
    };
    let encoder = EncoderConfig::new(cfg.size);
    let of = |tokens: usize| rows as u64 * tokens as u64;
    let sounds = job.features.numbers();
    let heard = job.sound.map_or_else(Default::default, |sound| {
        let at_once = of(objective.spec.candidates);
        memory::hearing(&sound.hears, at_once, job.features.samples())
    });
    MemoryEstimate {
        weights: memory::weights(objective.params().count(), cfg.ema) + heard.weights,
        activations: heard.activations
            + memory::convolutions(of(patches))
            + memory::blocks(&encoder, encoder.depth, of(patches + 1)),
        rows,
        examples: memory::examples(
            all().count(),
            most * source.n_times() + objective.spec.candidates * sounds,
            cfg.cache_mib,
            cfg.batch,
            cfg.prefetch * cfg.queue,
        ),
    }
}

/// Rows with scores of as many answers.
struct Joined {
    answers: usize,
    scores: Vec<Tensor>,
    targets: Vec<u32>,
}

impl Joined {
    fn of(answers: usize) -> Self {
        Self {
            answers,
            scores: Vec::new(),
            targets: Vec::new(),
        }
    }
}

/// Cross-entropy of a network's scores.
struct Supervised<'a> {
    job: &'a Job<'a>,
    channels: &'a ChannelPlan,
    model: Box<dyn Model>,
    spec: &'a Spec,
    /// Of the classes.
    weights: Vec<f32>,
}

impl<'a> Supervised<'a> {
    fn plan(&self, batches: Vec<Vec<usize>>, pass: u64, rotations: bool) -> Plan<'a> {
        Plan {
            features: self.job.features,
            channels: self.channels,
            labels: self.job.labels,
            task: self.spec.task,
            rotations,
            seed: self.job.cfg.seed,
            pass,
            batches,
        }
    }
}

impl Objective for Supervised<'_> {
    type Batch = LoadedBatch;
    type Part = Part;

    fn params(&self) -> &Params {
        self.model.params()
    }

    fn load(&self, examples: &[usize], pass: u64) -> Result<LoadedBatch> {
        let rotations = self.job.cfg.swap_augmentation;
        self.plan(vec![examples.to_vec()], pass, rotations).load(0)
    }

    fn cut(&self, batch: &LoadedBatch, most: usize) -> Result<Vec<Part>> {
        parts(batch, most)
    }

    fn loss(&self, batch: &LoadedBatch, part: &Part, draws: &mut Draws) -> Result<Loss> {
        let targets = &batch.targets[part.rows.clone()];
        let total = total_weight(&batch.targets, &self.weights);
        let smoothing = self.job.cfg.label_smoothing;
        let mut value: Option<Tensor> = None;
        let mut add = |one: Tensor| -> Result<()> {
            value = Some(match value.take() {
                Some(all) => (all + one)?,
                None => one,
            });
            Ok(())
        };
        // Scores of as many answers are joined.
        let mut joined: Vec<Joined> = Vec::new();
        let (mut row, mut own) = (0, 0.0);
        for group in &part.groups {
            let group = group.to_device(self.params().device())?;
            let (scores, beside) = self.model.forward_with_loss(&group, draws.mode().0)?;
            let (n, answers) = scores.dims2()?;
            if let Some(beside) = beside {
                let share = n as f64 / batch.targets.len() as f64;
                own += f64::from(beside.detach().to_scalar::<f32>()?) * share;
                add((beside * share)?)?;
            }
            let at = match joined.iter().position(|j| j.answers == answers) {
                Some(at) => at,
                None => {
                    joined.push(Joined::of(answers));
                    joined.len() - 1
                }
            };
            joined[at].scores.push(scores);
            joined[at].targets.extend_from_slice(&targets[row..row + n]);
            row += n;
        }
        let mut right = 0;
        for Joined {
            scores, targets, ..
        } in &joined
        {
            let scores = match scores.as_slice() {
                [one] => one.clone(),
                many => Tensor::cat(many, 0)?,
            };
            add(cross_entropy(
                &scores,
                targets,
                &self.weights,
                smoothing,
                total,
            )?)?;
            let rows = scores.detach().to_vec2::<f32>()?;
            let hit = |(s, t): &(&Vec<f32>, &u32)| argmax(s) == **t as usize;
            right += rows.iter().zip(targets).filter(hit).count();
        }
        let mut named = vec![Named {
            name: "accuracy",
            sum: right as f64,
            weight: row as f64,
        }];
        if self.job.cfg.model.needs_heard() && self.job.cfg.contrast > 0.0 {
            let share = row as f64 / batch.targets.len() as f64;
            named.push(Named {
                name: "contrast",
                sum: own,
                weight: share,
            });
        }
        let empty = || Error::Data("a batch has no example".into());
        Ok(Loss {
            value: value.ok_or_else(empty)?,
            named,
        })
    }

    fn ignorance(&self) -> f64 {
        (self.spec.outputs().max(2) as f64).ln()
    }

    fn validate(&self, examples: &[usize]) -> Result<Option<Validation>> {
        let plan = self.plan(asking_batches(examples, self.job.cfg), ASKING, true);
        let answers = ask(self.model.as_ref(), &plan, self.job.cfg)?;
        let found = validation(&answers)?;
        Ok(found.map(|(loss, accuracy)| Validation {
            loss,
            balanced_accuracy: Some(accuracy),
            named: Vec::new(),
        }))
    }

    fn begin(&self, _: &[usize]) -> Result<Vec<String>> {
        // Stage 2 knows which sounds were attended, and permuted answers would not take that away.
        let permuted = self.job.control == Some(Control::LabelPermuted);
        let knows = permuted && self.job.cfg.task() == Task::Matching;
        let (sound, params) = (self.job.sound, self.params());
        let fusion = Shape::from(self.job.cfg).fusion();
        let mut notes = match &self.job.cfg.init {
            Some(_) if knows => vec![
                "the control started from random weights: stage 2 knows which sounds were attended"
                    .into(),
            ],
            Some(init) => {
                let fold = self.job.fold.fold;
                load_encoder(init, fold, params, &fusion, sound.is_some())?
            }
            None => Vec::new(),
        };
        if let Some(sound) = sound {
            notes.extend(sound.start(params)?);
        }
        Ok(notes)
    }

    fn constrain(&self) -> Result<()> {
        Ok(self.model.constrain()?)
    }
}

fn class_weights(job: &Job<'_>) -> Vec<f32> {
    let source = job.features.source;
    if job.cfg.task() == Task::Matching || job.cfg.class_weights == ClassWeights::None {
        return Vec::new();
    }
    let mut counts = vec![0usize; source.classes().len()];
    for &i in &job.fold.train {
        if let Some(n) = usize::try_from(job.labels.class(source, i))
            .ok()
            .and_then(|c| counts.get_mut(c))
        {
            *n += 1;
        }
    }
    let present = counts.iter().filter(|n| **n > 0).count() as f64;
    let total = counts.iter().sum::<usize>() as f64;
    counts
        .iter()
        .map(|n| {
            if *n > 0 {
                (total / (present * *n as f64)) as f32
            } else {
                0.0
            }
        })
        .collect()
}
