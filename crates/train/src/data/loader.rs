//! Batches in a fixed order, prepared ahead by threads.
//!
//! Thread `w` of `n` prepares batches `w, w + n, w + 2n, …` into its own bounded queue, and the
//! training thread takes from the queues in turn. So the order never depends on the threads, and
//! memory is bounded by threads × queue batches. Starting at batch `b` costs nothing: resuming in
//! the middle of a pass is the same as having come there.
//!
//! A batch may hold examples of several montages and of several numbers of candidates. It is then made of
//! groups alike in both; what they cost is added up, so the batch is one optimiser step.

use std::sync::mpsc::{Receiver, sync_channel};
use std::thread::{Scope, ScopedJoinHandle};
use std::time::{Duration, Instant};

use candle_core::{Device, Tensor};
use mmpipe_models::Batch;

use super::{ASKING, ChannelPlan, Features, Labels, Rotation, place_of, show_order, trial_key};
use crate::config::Task;
use crate::{Error, Result};

/// What to load.
#[derive(Clone)]
pub(crate) struct Plan<'a> {
    pub(crate) features: &'a Features<'a>,
    pub(crate) channels: &'a ChannelPlan,
    pub(crate) labels: &'a Labels,
    pub(crate) task: Task,
    /// Matching: every rotation of each example is in the batch, where places can matter.
    pub(crate) rotations: bool,
    pub(crate) seed: u64,
    /// Which random order of candidates.
    pub(crate) pass: u64,
    /// Examples of each batch.
    pub(crate) batches: Vec<Vec<usize>>,
}

/// One batch, ready for the model.
pub(crate) struct LoadedBatch {
    /// Examples, in order.
    pub(crate) indices: Vec<usize>,
    /// Model inputs, one a montage and number of candidates; rows follow each other across groups.
    pub(crate) groups: Vec<Batch>,
    /// Per row of all groups: position in `indices`.
    pub(crate) rows: Vec<usize>,
    /// Per row: how its candidates are rotated.
    pub(crate) rotations: Vec<Rotation>,
    /// Per row: the right answer.
    pub(crate) targets: Vec<u32>,
}

/// Batches that threads can prepare ahead.
pub(crate) trait Load: Sync {
    /// One batch.
    type Batch: Send;
    /// Number of batches.
    fn len(&self) -> usize;
    /// Prepare batch `b`: a pure function of `b`.
    fn load(&self, b: usize) -> Result<Self::Batch>;
}

impl Load for Plan<'_> {
    type Batch = LoadedBatch;

    fn len(&self) -> usize {
        self.batches.len()
    }

    fn load(&self, b: usize) -> Result<LoadedBatch> {
        let indices = self.batches.get(b).cloned().unwrap_or_default();
        let source = self.features.source;
        let alike = |i: usize| (source.meta(i).montage, self.sounds(i));
        let mut kinds: Vec<(usize, usize)> = Vec::new();
        for &i in &indices {
            let kind = alike(i);
            if !kinds.contains(&kind) {
                kinds.push(kind);
            }
        }
        let n_times = self.features.n_times()?;
        let mut out = LoadedBatch {
            groups: Vec::with_capacity(kinds.len()),
            rows: Vec::with_capacity(indices.len()),
            rotations: Vec::with_capacity(indices.len()),
            targets: Vec::with_capacity(indices.len()),
            indices,
        };
        for (montage, k) in kinds {
            let members: Vec<usize> = (0..out.indices.len())
                .filter(|p| alike(out.indices[*p]) == (montage, k))
                .collect();
            let group = self.group(montage, k, &members, n_times, &mut out)?;
            out.groups.push(group);
        }
        Ok(out)
    }
}

impl Plan<'_> {
    /// Sounds that the model reads of example `i`: its candidates, or the one that was heard.
    fn sounds(&self, i: usize) -> usize {
        match self.task {
            Task::Matching => self.features.source.meta(i).candidates,
            Task::Classification => usize::from(self.features.hears()),
        }
    }

    fn group(
        &self,
        montage: usize,
        k: usize,
        members: &[usize],
        n_times: usize,
        out: &mut LoadedBatch,
    ) -> Result<Batch> {
        let names = self.channels.names(montage);
        let rotations = match self.task {
            Task::Matching if self.rotations && self.features.places_matter() => k,
            _ => 1,
        };
        let n = members.len() * rotations;
        let mut kinds = Vec::with_capacity(n);
        let mut eeg = Vec::with_capacity(n * names.len() * n_times);
        let mut sounds = Vec::new();
        for r in 0..rotations {
            for &position in members {
                let i = out.indices[position];
                let all = self.features.eeg(i)?;
                self.channels.append(montage, &all, n_times, &mut eeg);
                out.rows.push(position);
                out.rotations.push(Rotation(r));
                kinds.push(self.features.source.meta(i).sound_type());
                match self.task {
                    Task::Classification => {
                        let class = self.labels.class(self.features.source, i);
                        // Rows without a label are asked for predictions only.
                        out.targets.push(u32::try_from(class).unwrap_or(0));
                        for heard in 0..k {
                            sounds.extend_from_slice(&self.features.sound(i, heard)?);
                        }
                    }
                    Task::Matching => {
                        let order = show_order(k, self.seed, self.order_key(i), self.pass);
                        for place in 0..k {
                            let shown = order[Rotation(r).source(place, k)];
                            sounds.extend_from_slice(&self.features.sound(i, shown)?);
                        }
                        let place = place_of(&order, self.labels.attended(i));
                        out.targets.push(Rotation(r).place(place, k) as u32);
                    }
                }
            }
        }
        let eeg = Tensor::from_vec(eeg, (n, names.len(), n_times), &Device::Cpu)?;
        let mut batch = self.features.batch(eeg, names, sounds, k)?;
        if batch.sounds.is_some() {
            batch.sound_types = kinds;
        }
        Ok(batch)
    }

    /// What the order of candidates is drawn by: the epoch in training; the trial when the model
    /// is asked, so that all epochs of a trial have one label and statistics may exchange the
    /// labels of whole trials. Neither knows the answer.
    fn order_key(&self, i: usize) -> u64 {
        let meta = self.features.source.meta(i);
        if self.pass == ASKING {
            trial_key(meta)
        } else {
            meta.epoch_id
        }
    }

    /// Shown place (unrotated) of the attended candidate of example `i`.
    pub(crate) fn attended_place(&self, i: usize) -> usize {
        let order = show_order(self.sounds(i), self.seed, self.order_key(i), self.pass);
        place_of(&order, self.labels.attended(i))
    }
}

/// Hands out the batches of a plan from batch `next` on.
pub(crate) struct Loader<'scope, P: Load> {
    plan: &'scope P,
    next: usize,
    queues: Vec<Receiver<Result<P::Batch>>>,
    threads: Vec<ScopedJoinHandle<'scope, ()>>,
    first: usize,
    /// Time that [`Loader::next`] has taken.
    pub(crate) waited: Duration,
}

impl<'scope, P: Load> Loader<'scope, P> {
    /// Start `threads` threads in `scope`; with 0 batches are prepared on demand.
    pub(crate) fn start(
        scope: &'scope Scope<'scope, '_>,
        plan: &'scope P,
        first: usize,
        threads: usize,
        queue: usize,
    ) -> Self {
        let mut queues = Vec::new();
        let mut handles = Vec::new();
        let threads = threads.min(plan.len().saturating_sub(first));
        for w in 0..threads {
            let (send, receive) = sync_channel(queue);
            queues.push(receive);
            handles.push(scope.spawn(move || {
                for b in (first + w..plan.len()).step_by(threads) {
                    let loaded = plan.load(b);
                    let failed = loaded.is_err();
                    // A closed queue means that the training thread has stopped.
                    if send.send(loaded).is_err() || failed {
                        return;
                    }
                }
            }));
        }
        Self {
            plan,
            next: first,
            queues,
            threads: handles,
            first,
            waited: Duration::ZERO,
        }
    }

    /// The next batch; `None` at the end.
    pub(crate) fn next(&mut self) -> Option<Result<P::Batch>> {
        if self.next >= self.plan.len() {
            return None;
        }
        let start = Instant::now();
        let b = self.next;
        self.next += 1;
        let loaded = if self.queues.is_empty() {
            self.plan.load(b)
        } else {
            let queue = &self.queues[(b - self.first) % self.queues.len()];
            queue.recv().unwrap_or_else(|_| {
                Err(Error::Data(
                    "a loader thread ended early; see the message above".into(),
                ))
            })
        };
        self.waited += start.elapsed();
        Some(loaded)
    }
}

impl<P: Load> Drop for Loader<'_, P> {
    fn drop(&mut self) {
        // Closing the queues ends the threads; the scope would wait for them otherwise.
        self.queues.clear();
        for handle in self.threads.drain(..) {
            let _ = handle.join();
        }
    }
}
