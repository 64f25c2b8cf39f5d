//! Stage 1 as an objective of the loop: examples without labels, and the use of the codes.
//!
//! Every patch counts alike: the loss of a batch is the mean over its patches, however it is cut and
//! whatever montages it mixes. The codebook moves after each part of a batch.

use std::sync::{Mutex, MutexGuard, PoisonError};

use candle_core::Tensor;
use mmpipe_models::{Batch, Mode, Params};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::networks::Network;
use crate::config::Task;
use crate::data::{
    ASKING, ChannelPlan, Features, Labels, Load, LoadedBatch, Loader, Plan, batches,
};
use crate::stage::{Draws, Loss, Named, Objective, StepConfig, Validation, slices};
use crate::{Error, Result};

/// Draws of validation begin here, beyond those of any training step.
const VALIDATING: u64 = 1 << 63;

/// Access to the EEG.
pub(super) struct Examples<'a> {
    pub(super) features: &'a Features<'a>,
    pub(super) channels: &'a ChannelPlan,
    /// Empty: what a plan wants, and nothing reads.
    pub(super) labels: &'a Labels,
    pub(super) seed: u64,
}

impl Examples<'_> {
    fn plan(&self, batches: Vec<Vec<usize>>, pass: u64) -> Plan<'_> {
        Plan {
            features: self.features,
            channels: self.channels,
            labels: self.labels,
            task: Task::Classification,
            rotations: false,
            seed: self.seed,
            pass,
            batches,
        }
    }
}

/// How often each code was assigned in the pass so far.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Assigned {
    counts: Vec<u64>,
    revived: u64,
}

impl Assigned {
    fn none(codes: usize) -> Self {
        Self {
            counts: vec![0; codes],
            revived: 0,
        }
    }

    fn add(&mut self, codes: &Tensor, revived: usize) -> Result<()> {
        for code in codes.flatten_all()?.to_vec1::<u32>()? {
            if let Some(n) = self.counts.get_mut(code as usize) {
                *n += 1;
            }
        }
        self.revived += revived as u64;
        Ok(())
    }

    /// exp of the entropy of the assignments.
    fn perplexity(&self) -> f64 {
        let total = self.counts.iter().sum::<u64>().max(1) as f64;
        let share = |n: &u64| *n as f64 / total;
        let entropy: f64 = self
            .counts
            .iter()
            .filter(|n| **n > 0)
            .map(|n| -share(n) * share(n).ln())
            .sum();
        entropy.exp()
    }

    fn dead(&self) -> usize {
        self.counts.iter().filter(|n| **n == 0).count()
    }

    fn used(&self) -> f64 {
        1.0 - self.dead() as f64 / self.counts.len().max(1) as f64
    }
}

/// The objective.
pub(super) struct Unlabelled<'a, N> {
    net: N,
    examples: &'a Examples<'a>,
    kmeans_vectors: usize,
    steps: &'a StepConfig,
    assigned: Mutex<Assigned>,
}

impl<'a, N: Network> Unlabelled<'a, N> {
    pub(super) fn new(
        net: N,
        examples: &'a Examples<'a>,
        kmeans_vectors: usize,
        steps: &'a StepConfig,
    ) -> Self {
        Self {
            assigned: Mutex::new(Assigned::none(net.codes())),
            net,
            examples,
            kmeans_vectors,
            steps,
        }
    }

    pub(super) fn into_network(self) -> N {
        self.net
    }

    fn assigned(&self) -> MutexGuard<'_, Assigned> {
        self.assigned.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows that go through the network at once when nothing is learnt.
    fn rows(&self) -> usize {
        match self.steps.micro_batch {
            0 => self.steps.batch,
            most => most,
        }
    }

    fn plan(&self, indices: &[usize], pass: u64) -> Plan<'_> {
        let cut = batches(indices.len(), self.steps.batch);
        let cut = cut.into_iter().map(|r| indices[r].to_vec()).collect();
        self.examples.plan(cut, pass)
    }
}

/// Patches times samples of a patch: what parts are weighed by.
fn size(batch: &Batch) -> usize {
    batch.eeg.elem_count()
}

impl<N: Network> Objective for Unlabelled<'_, N> {
    type Batch = LoadedBatch;
    type Part = Batch;

    fn params(&self) -> &Params {
        self.net.params()
    }

    fn load(&self, examples: &[usize], pass: u64) -> Result<LoadedBatch> {
        self.examples.plan(vec![examples.to_vec()], pass).load(0)
    }

    fn cut(&self, batch: &LoadedBatch, most: usize) -> Result<Vec<Batch>> {
        let mut parts = Vec::new();
        for group in &batch.groups {
            parts.extend(slices(group, most)?.into_iter().map(|(_, part)| part));
        }
        Ok(parts)
    }

    fn loss(&self, batch: &LoadedBatch, part: &Batch, draws: &mut Draws) -> Result<Loss> {
        let (mode, draw) = draws.mode();
        let on_device = part.to_device(self.params().device())?;
        let losses = self.net.losses(&on_device, self.steps.seed, draw, mode)?;
        self.assigned().add(&losses.codes, losses.revived)?;
        let whole: usize = batch.groups.iter().map(size).sum();
        let share = size(part) as f64 / whole.max(1) as f64;
        let named = losses.named.into_iter();
        Ok(Loss {
            value: (losses.total * share)?,
            named: named.map(|(n, v)| Named::mean(n, v, share)).collect(),
        })
    }

    fn ignorance(&self) -> f64 {
        self.net.ignorance()
    }

    fn begin(&self, train: &[usize]) -> Result<Vec<String>> {
        let Some(codebook) = self.net.codebook() else {
            return Ok(Vec::new());
        };
        let (codes, dim) = (codebook.config().codes, codebook.config().dim);
        let device = self.params().device();
        let wanted = self.kmeans_vectors.max(codes);
        let mut vectors: Vec<f32> = Vec::new();
        let plan = self.plan(train, 0);
        for b in 0..plan.len() {
            for group in &plan.load(b)?.groups {
                for (_, part) in slices(group, self.rows())? {
                    let part = part.to_device(device)?;
                    let z = self.net.code_vectors(&part)?.detach();
                    vectors.extend(z.flatten_all()?.to_vec1::<f32>()?);
                }
            }
            if vectors.len() / dim >= wanted {
                break;
            }
        }
        let n = vectors.len() / dim;
        let vectors = Tensor::from_vec(vectors, (n, dim), device)?;
        codebook.initialise(&vectors, self.steps.seed)?;
        let few = n < codes;
        Ok(few
            .then(|| {
                format!(
                    "the codebook has {codes} codes, the training epochs {n} patches: so many codes cannot all be used; lower `pretrain.codes`"
                )
            })
            .into_iter()
            .collect())
    }

    fn validate(&self, examples: &[usize]) -> Result<Option<Validation>> {
        if examples.is_empty() {
            return Ok(None);
        }
        let plan = self.plan(examples, ASKING);
        let mut assigned = Assigned::none(self.net.codes());
        let (mut loss, mut weight, mut draw) = (0.0, 0.0, VALIDATING);
        let mut named: Vec<(&'static str, f64)> = Vec::new();
        std::thread::scope(|scope| {
            let (threads, queue) = (self.steps.prefetch, self.steps.queue);
            let mut loader = Loader::start(scope, &plan, 0, threads, queue);
            while let Some(batch) = loader.next() {
                let batch = batch?;
                for group in &batch.groups {
                    for (_, part) in slices(group, self.rows())? {
                        let part = part.to_device(self.params().device())?;
                        let found = self.net.losses(&part, self.steps.seed, draw, Mode::Eval)?;
                        draw += 1;
                        let value = f64::from(found.total.to_scalar::<f32>()?);
                        if !value.is_finite() {
                            let meta = |i: &usize| self.examples.features.source.meta(*i).epoch_id;
                            return Err(Error::Diverged {
                                step: 0,
                                reason: format!(
                                    "the loss of validation epochs of these is {value}"
                                ),
                                epoch_ids: batch.indices.iter().map(meta).collect(),
                            });
                        }
                        let share = size(&part) as f64;
                        loss += value * share;
                        weight += share;
                        for (name, value) in found.named {
                            match named.iter_mut().find(|(n, _)| *n == name) {
                                Some((_, sum)) => *sum += value * share,
                                None => named.push((name, value * share)),
                            }
                        }
                        assigned.add(&found.codes, 0)?;
                    }
                }
            }
            Ok(())
        })?;
        let mut all: Vec<(String, f64)> = named
            .into_iter()
            .map(|(name, sum)| (format!("val_{name}"), sum / weight))
            .collect();
        all.push(("val_codes_used".into(), assigned.used()));
        all.push(("val_perplexity".into(), assigned.perplexity()));
        Ok(Some(Validation {
            loss: loss / weight,
            balanced_accuracy: None,
            named: all,
        }))
    }

    fn end_of_pass(&self) -> Result<Vec<(&'static str, f64)>> {
        let mut assigned = self.assigned();
        let found = std::mem::replace(&mut *assigned, Assigned::none(self.net.codes()));
        Ok(vec![
            ("codes_used", found.used()),
            ("perplexity", found.perplexity()),
            ("dead_codes", found.dead() as f64),
            ("revived_codes", found.revived as f64),
        ])
    }

    fn kept(&self) -> Value {
        serde_json::to_value(&*self.assigned()).unwrap_or(Value::Null)
    }

    fn take_back(&self, kept: &Value) -> std::result::Result<(), String> {
        let found: Assigned = serde_json::from_value(kept.clone())
            .map_err(|e| format!("`kept` is not the use of a codebook: {e}"))?;
        if found.counts.len() != self.net.codes() {
            return Err(format!(
                "`kept` is of {} codes, expected {}",
                found.counts.len(),
                self.net.codes()
            ));
        }
        *self.assigned() = found;
        Ok(())
    }
}
