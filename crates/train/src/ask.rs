//! Ask a network: scores of examples, in order, without training.

use mmpipe_eval::metrics;
use mmpipe_models::{Mode, Model};

use crate::config::{Task, TrainConfig};
use crate::data::{Loader, Plan, batches};
use crate::loss::{argmax, log_probabilities};
use crate::{Error, Result};

/// The answer for one example.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Answer {
    /// The example.
    pub(crate) index: usize,
    /// Right class, or shown place of the attended candidate.
    pub(crate) target: usize,
    /// Log-probability of each class or shown candidate.
    pub(crate) scores: Vec<f64>,
}

impl Answer {
    /// The answer.
    pub(crate) fn predicted(&self) -> usize {
        argmax(&self.scores.iter().map(|s| *s as f32).collect::<Vec<_>>())
    }
}

/// Batches for asking: in the order of `indices`.
pub(crate) fn asking_batches(indices: &[usize], cfg: &TrainConfig) -> Vec<Vec<usize>> {
    // The batch size does not change an answer; larger ones are cheaper without a backward.
    let cut = batches(indices.len(), cfg.batch.max(64));
    cut.into_iter().map(|r| indices[r].to_vec()).collect()
}

/// Scores of every example of `plan`. A matching model is shown every rotation of the candidates
/// and the scores of each candidate are averaged, so that no place is favoured: with two
/// candidates, showing them the other way round gives the same scores the other way round.
pub(crate) fn ask(model: &dyn Model, plan: &Plan<'_>, cfg: &TrainConfig) -> Result<Vec<Answer>> {
    std::thread::scope(|scope| {
        let mut loader = Loader::start(scope, plan, 0, cfg.prefetch, cfg.queue);
        let mut answers = Vec::new();
        while let Some(batch) = loader.next() {
            let batch = batch?;
            let mut sums: Vec<Vec<f64>> = vec![Vec::new(); batch.indices.len()];
            let mut counts = vec![0usize; batch.indices.len()];
            let mut row = 0;
            for group in &batch.groups {
                let group = group.to_device(model.params().device())?;
                let scores = model.forward(&group, Mode::Eval)?.to_vec2::<f32>()?;
                for scores in scores {
                    let (position, rotation) = (batch.rows[row], batch.rotations[row]);
                    let sum = &mut sums[position];
                    sum.resize(scores.len(), 0.0);
                    for (place, score) in scores.iter().enumerate() {
                        sum[rotation.source(place, scores.len())] += f64::from(*score);
                    }
                    counts[position] += 1;
                    row += 1;
                }
            }
            for ((index, sum), count) in batch.indices.iter().zip(sums).zip(counts) {
                let mean: Vec<f32> = sum
                    .iter()
                    .map(|s| (s / count.max(1) as f64) as f32)
                    .collect();
                if mean.iter().any(|s| !s.is_finite()) {
                    return Err(Error::Diverged {
                        step: 0,
                        reason: "a score of an example that was only asked about is not finite"
                            .into(),
                        epoch_ids: vec![plan.features.source.meta(*index).epoch_id],
                    });
                }
                let target = match plan.task {
                    Task::Classification => {
                        usize::try_from(plan.labels.class(plan.features.source, *index))
                            .unwrap_or(0)
                    }
                    Task::Matching => plan.attended_place(*index),
                };
                answers.push(Answer {
                    index: *index,
                    target,
                    scores: log_probabilities(&mean),
                });
            }
        }
        Ok(answers)
    })
}

/// Mean cross-entropy and balanced accuracy; `None` for no answers.
pub(crate) fn validation(answers: &[Answer]) -> Result<Option<(f64, f64)>> {
    if answers.is_empty() {
        return Ok(None);
    }
    let loss = answers.iter().map(|a| -a.scores[a.target]).sum::<f64>() / answers.len() as f64;
    let labels: Vec<i32> = answers.iter().map(|a| a.target as i32).collect();
    let predicted: Vec<i32> = answers.iter().map(|a| a.predicted() as i32).collect();
    let accuracy =
        metrics::balanced_accuracy(&labels, &predicted).map_err(|e| Error::Data(e.to_string()))?;
    Ok(Some((loss, accuracy)))
}
