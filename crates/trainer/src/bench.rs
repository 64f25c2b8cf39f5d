//! Training steps of the three stages, timed: forward, backward, AdamW.
//!
//! The shapes are those of `tests/gpu/peer.py`, which times the same in PyTorch: the base encoder on
//! 64 channels of 2 s; stage 1 the joint objective with 8192 codes, stage 2 with wav2vec 2.0 of base
//! size on the same 2 s and the paper's CALRA over all pairs of the batch, stage 3 the classifier.
//! Nothing is dropped.

use std::time::Instant;

use anyhow::Result;
use candle_core::Device;
use mmpipe_models::align::FusionKind;
use mmpipe_models::encoder::Size;
use mmpipe_models::ops::gradients;
use mmpipe_models::{Compute, Mode};
use mmpipe_train::{AdamW, Precision, StepConfig};
use serde::Serialize;

use crate::networks::{Scale, Work, classifier, contrast, joint};
use crate::{BenchArgs, name_of};

/// Steps before the first that is timed.
const WARM: u64 = 3;

/// One stage in one precision.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Timed {
    stage: u8,
    precision: &'static str,
    batch: usize,
    channels: usize,
    patches: usize,
    /// Of every step.
    seconds: Vec<f64>,
    median_seconds: f64,
    samples_per_second: f64,
    /// Of the last step, to see that it learnt something.
    loss: f64,
}

fn scale(args: &BenchArgs, stage: u8) -> Scale {
    let batch = if stage == 2 { 32 } else { 64 };
    let base = Scale {
        size: Size::Base,
        batch,
        channels: 64,
        patches: 2,
        codes: 8192,
        base_sound: true,
        plain: true,
    };
    let scale = match args.small {
        true => Scale {
            size: Size::Tiny,
            batch: 4,
            channels: 4,
            patches: 1,
            codes: 16,
            base_sound: false,
            ..base
        },
        false => base,
    };
    Scale {
        batch: args.batch.unwrap_or(scale.batch).max(2),
        ..scale
    }
}

/// Times what is asked for.
pub(crate) fn run(device: &Device, args: &BenchArgs) -> Result<Vec<Timed>> {
    let mut all = Vec::new();
    for &stage in &args.stage {
        for &precision in &args.precision {
            let scale = scale(args, stage);
            let work = match stage {
                1 => joint(&scale, device)?,
                2 => contrast(&scale, FusionKind::CalraPaper, false, device)?,
                _ => classifier(&scale, device)?,
            };
            let compute = Compute {
                precision,
                composite: false,
            };
            all.push(compute.run(|| time(&work, &scale, stage, precision, args, device))?);
        }
    }
    Ok(all)
}

fn time(
    work: &Work,
    scale: &Scale,
    stage: u8,
    precision: Precision,
    args: &BenchArgs,
    device: &Device,
) -> Result<Timed> {
    let mut adamw = AdamW::new(&work.params, &StepConfig::default())?;
    let (mut seconds, mut loss) = (Vec::new(), f64::NAN);
    for step in 0..WARM + args.steps.max(1) as u64 {
        device.synchronize()?;
        let start = Instant::now();
        let value = (work.loss)(Mode::Train { seed: 0, step })?;
        let gradients = gradients(&value)?;
        adamw.step(&work.params, &gradients, 1e-4, step)?;
        loss = f64::from(value.to_scalar::<f32>()?);
        drop(gradients);
        device.synchronize()?;
        if step >= WARM {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    let mut sorted = seconds.clone();
    sorted.sort_by(f64::total_cmp);
    let median = sorted[sorted.len() / 2];
    Ok(Timed {
        stage,
        precision: name_of(precision),
        batch: scale.batch,
        channels: scale.channels,
        patches: scale.patches,
        seconds,
        median_seconds: median,
        samples_per_second: scale.batch as f64 / median,
        loss,
    })
}

/// The times as text.
pub(crate) fn table(all: &[Timed]) -> String {
    let line = |t: &Timed| {
        format!(
            "stage {}  {:4}  batch {:3}  {:9.4} s a step  {:9.1} examples a second  loss {:.4}\n",
            t.stage, t.precision, t.batch, t.median_seconds, t.samples_per_second, t.loss
        )
    };
    all.iter().map(line).collect()
}
