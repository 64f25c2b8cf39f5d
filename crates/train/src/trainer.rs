//! The training loop of networks.

use std::ops::Range;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::Tensor;
use candle_core::backprop::GradStore;
use mmpipe_models::{Batch, Mode, Model, Params};

use crate::ask::{ask, asking_batches, validation};
use crate::config::{ClassWeights, Select, Task, TrainConfig};
use crate::control::Control;
use crate::data::{
    ASKING, ChannelPlan, Features, Labels, LoadedBatch, Loader, Plan, batches, shuffled,
};
use crate::log::{MetricLog, StepRecord};
use crate::loss::{argmax, cross_entropy, total_weight};
use crate::optim::{AdamW, Average, Schedule};
use crate::progress::Progress;
use crate::report::{Ended, EpochRecord};
use crate::source::Fold;
use crate::spec::Spec;
use crate::store::{Best, Checkpoints, State, fingerprint};
use crate::{Error, Result};

/// Montages that one batch may mix before their dropout masks could repeat.
const GROUPS: u64 = 1 << 16;

/// File of a checkpoint with the moving average of the weights, where one is kept.
pub(crate) const AVERAGE: &str = "average.safetensors";

/// What a fit works with.
pub(crate) struct Job<'a> {
    pub(crate) features: &'a Features<'a>,
    /// Usable examples only.
    pub(crate) fold: &'a Fold,
    pub(crate) cfg: &'a TrainConfig,
    pub(crate) labels: &'a Labels,
    pub(crate) control: Option<Control>,
    pub(crate) dir: &'a Path,
    pub(crate) progress: &'a dyn Progress,
}

/// How a fit ended.
pub(crate) struct Outcome {
    pub(crate) state: State,
    pub(crate) parameters: u64,
    pub(crate) waited: Duration,
    /// False when nothing was left to do.
    pub(crate) worked: bool,
    /// What a reader must know of this fit.
    pub(crate) notes: Vec<String>,
}

/// A fit in progress.
struct Run<'a> {
    job: &'a Job<'a>,
    channels: &'a ChannelPlan,
    model: Box<dyn Model>,
    optimiser: AdamW,
    average: Option<Average>,
    schedule: Schedule,
    weights: Vec<f32>,
    state: State,
    store: Checkpoints,
    log: MetricLog,
    waited: Duration,
}

/// Train, or continue, until an end is reached.
pub(crate) fn train(job: &Job<'_>, spec: Spec, channels: &ChannelPlan) -> Result<Outcome> {
    let cfg = job.cfg;
    let model = spec.build(cfg)?;
    let parameters = model.params().count() as u64;
    let mut optimiser = AdamW::new(model.params(), cfg);
    let mut average = match cfg.ema {
        0.0 => None,
        decay => Some(Average::new(model.params(), decay)?),
    };
    let fingerprint = fingerprint(job.features.source, job.fold, job.labels);
    let fresh = State::start(job.fold.fold, job.control, fingerprint, cfg, spec);
    let store = Checkpoints::of(job.dir);
    store.sweep()?;
    let state = match store.latest()? {
        None => fresh,
        Some(mut old) => {
            old.must_continue(&fresh, &store.path(old.step))?;
            if old.ended.is_some() {
                return Ok(Outcome {
                    state: old,
                    parameters,
                    waited: Duration::ZERO,
                    worked: false,
                    notes: Vec::new(),
                });
            }
            let (path, bytes) = store.read(old.step, "model.safetensors")?;
            model
                .params()
                .from_safetensors(&bytes)
                .map_err(|e| Error::checkpoint(&path, e.to_string()))?;
            let (path, bytes) = store.read(old.step, "optimiser.safetensors")?;
            optimiser
                .load(&bytes)
                .map_err(|e| Error::checkpoint(&path, e))?;
            if let Some(average) = &mut average {
                let (path, bytes) = store.read(old.step, AVERAGE)?;
                average
                    .load(&bytes)
                    .map_err(|e| Error::checkpoint(&path, e))?;
            }
            old.config = cfg.clone();
            old
        }
    };
    let per_epoch = batches(job.fold.train.len(), cfg.batch).len() as u64;
    let total = per_epoch * cfg.epochs as u64;
    let warmup = ((cfg.warmup * per_epoch as f64).round() as u64).min(total);
    let label = job.control.map_or("", Control::name);
    job.progress
        .fold_started(label, job.fold.fold, per_epoch, cfg.epochs, state.step);
    let run = Run {
        job,
        channels,
        weights: class_weights(job),
        schedule: Schedule {
            peak: cfg.lr,
            floor: cfg.final_lr,
            warmup,
            total,
        },
        log: MetricLog::open(job.dir, state.step)?,
        model,
        optimiser,
        average,
        state,
        store,
        waited: Duration::ZERO,
    };
    let (state, waited) = run.all()?;
    job.progress.fold_finished(label, job.fold.fold);
    Ok(Outcome {
        state,
        parameters,
        waited,
        worked: true,
        notes: Vec::new(),
    })
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

impl<'a> Run<'a> {
    fn plan(&self, batches: Vec<Vec<usize>>, pass: u64, rotations: bool) -> Plan<'a> {
        Plan {
            features: self.job.features,
            channels: self.channels,
            labels: self.job.labels,
            task: self.state.spec.task,
            candidates: self.state.spec.candidates,
            rotations,
            seed: self.job.cfg.seed,
            pass,
            batches,
        }
    }

    fn all(mut self) -> Result<(State, Duration)> {
        let (job, cfg) = (self.job, self.job.cfg);
        while self.state.ended.is_none() {
            let pass = self.state.epoch as u64;
            let order = shuffled(&job.fold.train, cfg.seed, pass);
            let cut = batches(order.len(), cfg.batch);
            let cut: Vec<Vec<usize>> = cut.into_iter().map(|r| order[r].to_vec()).collect();
            let n = cut.len();
            let plan = self.plan(cut, pass, cfg.swap_augmentation);
            std::thread::scope(|scope| {
                let mut loader =
                    Loader::start(scope, &plan, self.state.batch, cfg.prefetch, cfg.queue);
                while let Some(batch) = loader.next() {
                    let lr = self.step(&batch?)?;
                    let last = self.state.batch == n;
                    if last {
                        self.end_of_pass(lr)?;
                    }
                    let stop = job.progress.stop(self.state.step) && self.state.ended.is_none();
                    let due = cfg.checkpoint_every > 0
                        && self.state.step.is_multiple_of(cfg.checkpoint_every);
                    if last || due || stop {
                        self.checkpoint()?;
                    }
                    if stop {
                        return Err(Error::Stopped {
                            step: self.state.step,
                            dir: job.dir.to_path_buf(),
                        });
                    }
                }
                self.waited += loader.waited;
                Ok(())
            })?;
        }
        Ok((self.state, self.waited))
    }

    /// One optimiser step; returns its learning rate.
    fn step(&mut self, batch: &LoadedBatch) -> Result<f64> {
        let cfg = self.job.cfg;
        let step = self.state.step;
        let diverged = |reason: String| {
            let meta = |i: &usize| self.job.features.source.meta(*i).epoch_id;
            Err(Error::Diverged {
                step,
                reason,
                epoch_ids: batch.indices.iter().map(meta).collect(),
            })
        };
        let total = total_weight(&batch.targets, &self.weights);
        let mut gradients: Option<GradStore> = None;
        let (mut scores, mut value, mut passes) = (Vec::new(), 0.0, 0);
        for part in parts(batch, cfg.micro_batch)? {
            let mut of_part = Vec::with_capacity(part.groups.len());
            for group in &part.groups {
                let mode = Mode::Train {
                    seed: cfg.seed,
                    step: step * GROUPS + passes,
                };
                of_part.push(self.model.forward(group, mode)?);
                passes += 1;
            }
            let of_part = match of_part.as_slice() {
                [one] => one.clone(),
                many => Tensor::cat(many, 0)?,
            };
            let targets = &batch.targets[part.rows];
            let loss = cross_entropy(&of_part, targets, &self.weights, cfg.label_smoothing, total)?;
            value += f64::from(loss.to_scalar::<f32>()?);
            if !value.is_finite() {
                return diverged(format!("the loss is {value}"));
            }
            scores.push(of_part.detach());
            let new = loss.backward()?;
            gradients = Some(match gradients {
                None => new,
                Some(all) => add(all, new, self.model.params())?,
            });
        }
        let scores = match scores.as_slice() {
            [one] => one.clone(),
            many => Tensor::cat(many, 0)?,
        };
        let limit = cfg.explode * (self.state.spec.outputs().max(2) as f64).ln();
        if value > limit {
            return diverged(format!("the loss is {value:.3}, above {limit:.3}"));
        }
        let lr = self.schedule.lr(step);
        let norm = match &gradients {
            Some(grads) => self.optimiser.step(self.model.params(), grads, lr, step)?,
            None => 0.0,
        };
        if !norm.is_finite() {
            return diverged(format!("the gradient norm is {norm}"));
        }
        self.model.constrain()?;
        if let Some(average) = &mut self.average {
            average.update(self.model.params(), step)?;
        }

        let rows = batch.targets.len() as u64;
        let right = scores.to_vec2::<f32>()?;
        let right = right
            .iter()
            .zip(&batch.targets)
            .filter(|(s, t)| argmax(s) == **t as usize)
            .count();
        self.state.sums.loss += value * rows as f64;
        self.state.sums.rows += rows;
        self.state.sums.right += right as u64;
        self.state.step += 1;
        self.state.batch += 1;
        let record = StepRecord {
            step: step + 1,
            epoch: self.state.epoch + 1,
            loss: value,
            lr,
            grad_norm: norm,
        };
        self.log.step(&record)?;
        self.job.progress.step(step + 1, value, lr);
        Ok(lr)
    }

    /// Validate, note the best, decide whether to go on.
    fn end_of_pass(&mut self, lr: f64) -> Result<()> {
        let cfg = self.job.cfg;
        let plan = self.plan(asking_batches(&self.job.fold.val, cfg), ASKING, true);
        let answers = || ask(self.model.as_ref(), &plan, cfg);
        let found = validation(&match &self.average {
            Some(average) => average.shown(self.model.params(), answers)?,
            None => answers()?,
        })?;
        let state = &mut self.state;
        let sums = std::mem::take(&mut state.sums);
        let rows = sums.rows.max(1) as f64;
        let record = EpochRecord {
            epoch: state.epoch + 1,
            step: state.step,
            lr,
            train_loss: sums.loss / rows,
            train_accuracy: sums.right as f64 / rows,
            val_loss: found.map(|f| f.0),
            val_balanced_accuracy: found.map(|f| f.1),
        };
        if better(&record, state.best.as_ref(), cfg.select) {
            state.bad = 0;
            state.best = Some(Best {
                epoch: record.epoch,
                step: record.step,
                val_loss: record.val_loss,
                val_balanced_accuracy: record.val_balanced_accuracy,
            });
        } else {
            state.bad += 1;
        }
        state.epoch += 1;
        state.batch = 0;
        if state.epoch >= cfg.epochs {
            state.ended = Some(Ended::Epochs);
        } else if cfg.patience > 0 && state.bad >= cfg.patience {
            state.ended = Some(Ended::Patience);
        }
        state.history.push(record);
        self.log.epoch(&record)?;
        self.job.progress.epoch(&record);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.log.sync()?;
        let mut files = vec![
            ("model.safetensors", self.model.params().to_safetensors()?),
            ("optimiser.safetensors", self.optimiser.to_safetensors()?),
        ];
        if let Some(average) = &self.average {
            files.push((AVERAGE, average.to_safetensors()?));
        }
        self.store.write(&self.state, files, self.job.cfg.keep_last)
    }
}

/// A part of a batch that goes through the network at once.
struct Part {
    groups: Vec<Batch>,
    /// Rows of the batch.
    rows: Range<usize>,
}

/// The whole batch, or parts of at most `most` rows of one montage each.
fn parts(batch: &LoadedBatch, most: usize) -> Result<Vec<Part>> {
    let n = batch.targets.len();
    if most == 0 || n <= most {
        return Ok(vec![Part {
            groups: batch.groups.clone(),
            rows: 0..n,
        }]);
    }
    let mut parts = Vec::new();
    let mut first = 0;
    for group in &batch.groups {
        let (rows, ..) = group.dims()?;
        for start in (0..rows).step_by(most) {
            let len = most.min(rows - start);
            let cut = |x: &Tensor| x.narrow(0, start, len)?.contiguous();
            parts.push(Part {
                groups: vec![Batch {
                    eeg: cut(&group.eeg)?,
                    ch_names: group.ch_names.clone(),
                    envelopes: group.envelopes.as_ref().map(cut).transpose()?,
                }],
                rows: first + start..first + start + len,
            });
        }
        first += rows;
    }
    Ok(parts)
}

/// Sum of two gradients.
fn add(mut all: GradStore, mut new: GradStore, params: &Params) -> Result<GradStore> {
    for p in params.trainable() {
        let var = p.var.as_tensor();
        let sum = match (all.remove(var), new.remove(var)) {
            (Some(a), Some(b)) => (a + b)?,
            (Some(one), None) | (None, Some(one)) => one,
            (None, None) => continue,
        };
        all.insert(var, sum);
    }
    Ok(all)
}

/// Whether `new` beats `best`. Without validation the latest is the best.
fn better(new: &EpochRecord, best: Option<&Best>, select: Select) -> bool {
    let Some(best) = best else { return true };
    let (Some(loss), Some(best_loss)) = (new.val_loss, best.val_loss) else {
        return true;
    };
    match select {
        Select::Loss => loss < best_loss,
        Select::BalancedAccuracy => {
            let (new, old) = (new.val_balanced_accuracy, best.val_balanced_accuracy);
            new > old || (new == old && loss < best_loss)
        }
    }
}

/// Seconds since `start`.
pub(crate) fn seconds(start: Instant) -> f64 {
    start.elapsed().as_secs_f64()
}
