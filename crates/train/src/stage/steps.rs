//! The loop.

use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, Instant};

use candle_core::backprop::GradStore;
use mmpipe_models::{Params, ops};

use super::objective::{Draws, Objective};
use super::parts::add;
use super::{Named, StepConfig};
use crate::config::Select;
use crate::data::{Load, Loader, batches, shuffled};
use crate::log::{MetricLog, StepRecord};
use crate::optim::{AdamW, Average, Schedule};
use crate::progress::Progress;
use crate::report::{Ended, EpochRecord};
use crate::source::Source;
use crate::store::{About, Best, Checkpoints, State};
use crate::{Error, Result};

/// File of a checkpoint with the moving average of the weights, where one is kept.
const AVERAGE: &str = "average.safetensors";

/// File of a checkpoint with weights and buffers.
const MODEL: &str = "model.safetensors";

/// What is trained, on what, how, and where it is stored.
pub(crate) struct Stage<'a, O, A> {
    pub(crate) objective: &'a O,
    /// Identity of what is trained; a checkpoint of another is refused.
    pub(crate) about: A,
    /// Names the examples in errors.
    pub(crate) source: &'a dyn Source,
    /// Examples that move the weights.
    pub(crate) train: &'a [usize],
    /// Examples that choose the checkpoint.
    pub(crate) val: &'a [usize],
    pub(crate) cfg: &'a StepConfig,
    pub(crate) select: Select,
    /// Folder of checkpoints and logs.
    pub(crate) dir: &'a Path,
    /// What [`Progress`] is told.
    pub(crate) label: &'a str,
    /// See `label`.
    pub(crate) fold: i32,
    pub(crate) progress: &'a dyn Progress,
}

/// How training ended. The weights of the objective are those of the last step of this call; those
/// of the best step are read by [`load_weights`].
pub(crate) struct Outcome<A> {
    pub(crate) state: State<A>,
    pub(crate) parameters: u64,
    pub(crate) waited: Duration,
    /// False when nothing was left to do.
    pub(crate) worked: bool,
}

/// Training in progress.
struct Run<'a, O, A> {
    stage: Stage<'a, O, A>,
    optimiser: AdamW,
    average: Option<Average>,
    schedule: Schedule,
    state: State<A>,
    store: Checkpoints,
    log: MetricLog,
    waited: Duration,
}

/// The batches of one pass.
struct Pass<'a, O> {
    objective: &'a O,
    number: u64,
    batches: Vec<Vec<usize>>,
}

impl<O: Objective> Load for Pass<'_, O> {
    type Batch = O::Batch;

    fn len(&self) -> usize {
        self.batches.len()
    }

    fn load(&self, b: usize) -> Result<O::Batch> {
        let examples = self.batches.get(b).map_or(&[][..], Vec::as_slice);
        self.objective.load(examples, self.number)
    }
}

/// Train, or continue what stands in the folder, until an end is reached.
///
/// # Errors
/// [`Error::Stopped`] where the caller's [`Progress`] asked for it, [`Error::Diverged`] with the
/// epochs of the batch, [`Error::Checkpoint`] for a folder that holds something else, and those of
/// the objective.
pub(crate) fn train<O: Objective, A: About>(stage: Stage<'_, O, A>) -> Result<Outcome<A>> {
    let (cfg, objective) = (stage.cfg, stage.objective);
    let params = objective.params();
    let parameters = params.count() as u64;
    let mut optimiser = AdamW::new(params, cfg)?;
    let fresh = State::start(stage.about.clone());
    let store = Checkpoints::of(stage.dir);
    store.sweep()?;
    let order = shuffled(stage.train, cfg.seed, 0);
    let found = store.latest::<A>()?;
    let mut state = match found {
        None => {
            let notes = objective.begin(&order)?;
            State { notes, ..fresh }
        }
        Some(mut old) => {
            old.must_continue(&fresh, &store.path(old.step))?;
            if old.ended.is_some() {
                return Ok(Outcome {
                    state: old,
                    parameters,
                    waited: Duration::ZERO,
                    worked: false,
                });
            }
            read(&store, old.step, MODEL, |bytes| {
                params.from_safetensors(bytes).map_err(|e| e.to_string())
            })?;
            read(&store, old.step, "optimiser.safetensors", |bytes| {
                optimiser.load(bytes)
            })?;
            objective
                .take_back(&old.kept)
                .map_err(|e| Error::checkpoint(&store.path(old.step).join("state.json"), e))?;
            old.about = stage.about.clone();
            old
        }
    };
    // A new average starts from the weights that the objective began with.
    let mut average = match cfg.ema {
        0.0 => None,
        decay => Some(Average::new(params, decay)?),
    };
    if let Some(average) = &mut average
        && state.step > 0
    {
        read(&store, state.step, AVERAGE, |bytes| average.load(bytes))?;
    }
    let per_epoch = batches(stage.train.len(), cfg.batch).len() as u64;
    let total = per_epoch * cfg.epochs as u64;
    let warmup = ((cfg.warmup * per_epoch as f64).round() as u64).min(total);
    let (label, fold, progress) = (stage.label, stage.fold, stage.progress);
    progress.fold_started(label, fold, per_epoch, cfg.epochs, state.step);
    state.kept = serde_json::Value::Null;
    let run = Run {
        schedule: Schedule {
            peak: cfg.lr,
            floor: cfg.final_lr,
            warmup,
            total,
        },
        log: MetricLog::open(stage.dir, state.step)?,
        stage,
        optimiser,
        average,
        state,
        store,
        waited: Duration::ZERO,
    };
    let (state, waited) = run.all()?;
    progress.fold_finished(label, fold);
    Ok(Outcome {
        state,
        parameters,
        waited,
        worked: true,
    })
}

/// Puts the weights of step `step` into `params`, or their averages where `ema` says that such were
/// kept; buffers are those of the step.
pub(crate) fn load_weights(
    store: &Checkpoints,
    step: u64,
    ema: f64,
    params: &Params,
) -> Result<()> {
    read(store, step, MODEL, |bytes| {
        params.from_safetensors(bytes).map_err(|e| e.to_string())
    })?;
    if ema > 0.0 {
        let mut average = Average::new(params, ema)?;
        read(store, step, AVERAGE, |bytes| average.load(bytes))?;
        average.put(params)?;
    }
    Ok(())
}

fn read(
    store: &Checkpoints,
    step: u64,
    name: &str,
    take: impl FnOnce(&[u8]) -> std::result::Result<(), String>,
) -> Result<()> {
    let (path, bytes) = store.read(step, name)?;
    take(&bytes).map_err(|e| Error::checkpoint(&path, e))
}

impl<O: Objective, A: About> Run<'_, O, A> {
    fn all(mut self) -> Result<(State<A>, Duration)> {
        let cfg = self.stage.cfg;
        while self.state.ended.is_none() {
            let number = self.state.epoch as u64;
            let order = shuffled(self.stage.train, cfg.seed, number);
            let cut = batches(order.len(), cfg.batch);
            let pass = Pass {
                objective: self.stage.objective,
                number,
                batches: cut.into_iter().map(|r| order[r].to_vec()).collect(),
            };
            let n = pass.len();
            if self.state.batch >= n {
                let path = self.store.path(self.state.step).join("state.json");
                let message = format!("batch {} of a pass of {n}", self.state.batch);
                return Err(Error::checkpoint(&path, message));
            }
            std::thread::scope(|scope| {
                let mut loader =
                    Loader::start(scope, &pass, self.state.batch, cfg.prefetch, cfg.queue);
                while let Some(batch) = loader.next() {
                    let examples = &pass.batches[self.state.batch];
                    let lr = self.step(&batch?, examples)?;
                    let last = self.state.batch == n;
                    if last {
                        self.end_of_pass(lr)?;
                    }
                    let stop = self.stage.progress.stop(self.state.step);
                    let stop = stop && self.state.ended.is_none();
                    let due = cfg.checkpoint_every > 0
                        && self.state.step.is_multiple_of(cfg.checkpoint_every);
                    if last || due || stop {
                        self.checkpoint()?;
                    }
                    if stop {
                        return Err(Error::Stopped {
                            step: self.state.step,
                            dir: self.stage.dir.to_path_buf(),
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
    fn step(&mut self, batch: &O::Batch, examples: &[usize]) -> Result<f64> {
        let (cfg, objective) = (self.stage.cfg, self.stage.objective);
        let source = self.stage.source;
        let step = self.state.step;
        let diverged = |reason: String| {
            Err(Error::Diverged {
                step,
                reason,
                epoch_ids: examples.iter().map(|i| source.meta(*i).epoch_id).collect(),
            })
        };
        let mut draws = Draws::of(cfg.seed, step);
        let mut gradients: Option<GradStore> = None;
        let mut value = 0.0;
        let mut named: BTreeMap<String, (f64, f64)> = BTreeMap::new();
        for part in objective.cut(batch, cfg.micro_batch)? {
            let compute = cfg.compute();
            let loss = compute.run(|| objective.loss(batch, &part, &mut draws))?;
            value += f64::from(loss.value.to_scalar::<f32>()?);
            if !value.is_finite() {
                return diverged(format!("the loss is {value}"));
            }
            for Named { name, sum, weight } in loss.named {
                let of = named.entry(name.to_owned()).or_default();
                *of = (of.0 + sum, of.1 + weight);
            }
            let new = ops::gradients(&loss.value)?;
            gradients = Some(match gradients {
                None => new,
                Some(all) => add(all, new, objective.params())?,
            });
        }
        let limit = cfg.explode * objective.ignorance();
        if value > limit {
            return diverged(format!("the loss is {value:.3}, above {limit:.3}"));
        }
        let lr = self.schedule.lr(step);
        let norm = match &gradients {
            Some(grads) => self.optimiser.step(objective.params(), grads, lr, step)?,
            None => 0.0,
        };
        if !norm.is_finite() {
            return diverged(format!("the gradient norm is {norm}"));
        }
        objective.constrain()?;
        if let Some(average) = &mut self.average {
            average.update(objective.params(), step)?;
        }

        let rows = examples.len() as u64;
        let sums = &mut self.state.sums;
        sums.loss += value * rows as f64;
        sums.rows += rows;
        for (name, (sum, weight)) in &named {
            let of = sums.named.entry(name.clone()).or_default();
            *of = (of.0 + sum, of.1 + weight);
        }
        self.state.step += 1;
        self.state.batch += 1;
        let record = StepRecord {
            step: step + 1,
            epoch: self.state.epoch + 1,
            loss: value,
            lr,
            grad_norm: norm,
            named: means(named),
        };
        self.log.step(&record)?;
        self.stage.progress.step(step + 1, value, lr);
        Ok(lr)
    }

    /// Validate, note the best, decide whether to go on.
    fn end_of_pass(&mut self, lr: f64) -> Result<()> {
        let (cfg, objective) = (self.stage.cfg, self.stage.objective);
        let val = self.stage.val;
        let found = match &self.average {
            Some(average) => average.shown(objective.params(), || objective.validate(val))?,
            None => objective.validate(val)?,
        };
        let state = &mut self.state;
        let sums = std::mem::take(&mut state.sums);
        let rows = sums.rows.max(1) as f64;
        let mut named = means(sums.named);
        let train_accuracy = named.remove("accuracy");
        let others = objective.end_of_pass()?;
        named.extend(others.into_iter().map(|(n, v)| (n.to_owned(), v)));
        named.extend(found.iter().flat_map(|f| f.named.iter().cloned()));
        let record = EpochRecord {
            epoch: state.epoch + 1,
            step: state.step,
            lr,
            train_loss: sums.loss / rows,
            train_accuracy,
            val_loss: found.as_ref().map(|f| f.loss),
            val_balanced_accuracy: found.as_ref().and_then(|f| f.balanced_accuracy),
            named,
        };
        if better(&record, state.best.as_ref(), self.stage.select) {
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
        self.log.epoch(&record)?;
        self.stage.progress.epoch(&record);
        state.history.push(record);
        Ok(())
    }

    fn checkpoint(&mut self) -> Result<()> {
        self.log.sync()?;
        let params = self.stage.objective.params();
        let mut files = vec![
            (MODEL, params.to_safetensors()?),
            ("optimiser.safetensors", self.optimiser.to_safetensors()?),
        ];
        if let Some(average) = &self.average {
            files.push((AVERAGE, average.to_safetensors()?));
        }
        self.state.kept = self.stage.objective.kept();
        self.store
            .write(&self.state, files, self.stage.cfg.keep_last)
    }
}

fn means(sums: BTreeMap<String, (f64, f64)>) -> BTreeMap<String, f64> {
    sums.into_iter()
        .filter(|(_, (_, weight))| *weight > 0.0)
        .map(|(name, (sum, weight))| (name, sum / weight))
        .collect()
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
