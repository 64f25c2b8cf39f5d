//! The networks with their objectives: the loss and all gradients of a training step, and for each
//! stage whole steps with the optimiser.

use anyhow::Result;
use candle_core::Device;
use mmpipe_models::align::FusionKind;
use mmpipe_models::encoder::Size;
use mmpipe_models::{Mode, ops};
use mmpipe_train::{AdamW, StepConfig};

use super::{Case, Found, GRADIENT, gradients, values};
use crate::networks::{self as net, Scale, Work};

/// Largest relative difference of the loss or the gradient of a whole network, both f32.
const TOLERANCE: f64 = 1e-5;
/// The same through the twelve layers and the convolutions of published size.
const DEEP: f64 = 1e-4;
/// Largest relative difference of a single number.
const BY_ITSELF: f64 = 1e-3;
/// Steps of a case that trains.
const STEPS: u64 = 2;

const SMALL: Scale = Scale {
    size: Size::Tiny,
    batch: 4,
    channels: 5,
    patches: 2,
    codes: 8,
    base_sound: false,
    plain: false,
};

/// Published sizes.
const BASE: Scale = Scale {
    size: Size::Base,
    batch: 4,
    channels: 32,
    patches: 2,
    codes: 64,
    base_sound: true,
    plain: false,
};

type Build = fn(&Scale, &Device) -> Result<Work>;

/// Loss and gradients of one forward and backward pass in training mode.
fn once(work: &Work) -> Result<Found> {
    let loss = (work.loss)(Mode::Train { seed: 5, step: 1 })?;
    let mut found = vec![("loss".to_owned(), values(&loss)?)];
    found.extend(gradients(&work.params, &loss.backward()?)?);
    Ok(found)
}

/// Losses before every step and weights after the last. The optimiser's epsilon is large, so that a
/// step follows the gradient and not its sign, of which rounding decides where a gradient is nothing:
/// with a tenth of it, inputs that differ in their last bit alone took a bias that began at zero as far
/// apart, on one and the same path, as is allowed between two (1.0e-5). As it is, six draws of dropout
/// give 5.2e-6 to 9.9e-6 with AVX-512, and this one 5.6e-6 without.
fn steps(work: &Work) -> Result<Found> {
    let cfg = StepConfig {
        eps: 1e-1,
        clip: 1.0,
        weight_decay: 0.05,
        ..StepConfig::default()
    };
    let mut adamw = AdamW::new(&work.params, &cfg)?;
    let mut found = Vec::new();
    let at = || -> Result<Vec<Vec<f64>>> {
        let vars = work.params.iter().map(|p| values(p.var.as_tensor()));
        vars.collect()
    };
    let before = at()?;
    for step in 0..STEPS {
        let loss = (work.loss)(Mode::Train { seed: 5, step })?;
        let norm = adamw.step(&work.params, &ops::gradients(&loss)?, 1e-2, step)?;
        found.push((format!("loss {step}"), values(&loss)?));
        found.push((format!("gradient norm {step}"), vec![norm]));
    }
    // Beside the values the way that was gone, all variables as one vector, as gradients are: beside a
    // large weight what it learnt is small.
    for ((p, before), after) in work.params.iter().zip(before).zip(at()?) {
        let way = after.iter().zip(before).map(|(a, b)| a - b).collect();
        found.push((format!("{} after {STEPS} steps", p.name), after));
        found.push((format!("{GRADIENT}{STEPS} steps, {}", p.name), way));
    }
    Ok(found)
}

fn case(name: &str, scale: Scale, build: Build, tolerance: f64, trained: bool) -> Case {
    Case {
        name: match trained {
            true => format!("{name}, steps"),
            false => name.to_owned(),
        },
        tolerance,
        by_itself: BY_ITSELF,
        bf16: true,
        run: Box::new(move |device| {
            let work = build(&scale, device)?;
            if trained { steps(&work) } else { once(&work) }
        }),
    }
}

/// All networks small, and unless `small` those of published size too.
pub(super) fn all(small: bool) -> Vec<Case> {
    let fused: [(&str, Build); 5] = [
        ("stage 2, CALRA of the paper", |s, d| {
            net::contrast(s, FusionKind::CalraPaper, false, d)
        }),
        ("stage 2, CALRA as released", |s, d| {
            net::contrast(s, FusionKind::CalraReleased, true, d)
        }),
        ("stage 2, co-attention", |s, d| {
            net::contrast(s, FusionKind::CoAttention, true, d)
        }),
        ("stage 2, concat", |s, d| {
            net::contrast(s, FusionKind::ConcatMlp, true, d)
        }),
        ("stage 2, clip", |s, d| {
            net::contrast(s, FusionKind::Clip, true, d)
        }),
    ];
    let others: [(&str, Build); 9] = [
        ("stage 1, joint", net::joint),
        ("stage 1, tokeniser", net::tokeniser),
        ("stage 1, masked", net::masked),
        ("stage 3, classifier", net::classifier),
        ("stage 3, prototypes", net::prototypes),
        ("encoder, padded", net::padded),
        ("wav2vec 2.0", net::wav2vec2),
        ("EEGNet", net::eegnet),
        ("AADNet", net::aadnet),
    ];
    let mut cases: Vec<Case> = others
        .into_iter()
        .chain(fused)
        .map(|(name, build)| case(name, SMALL, build, TOLERANCE, false))
        .collect();
    let stages: [(&str, Build); 3] = [others[0], fused[0], others[3]];
    let trained = |(name, build)| case(name, SMALL, build, TOLERANCE, true);
    cases.extend(stages.into_iter().map(trained));
    if !small {
        for (name, build) in [
            others[0], others[1], others[2], others[3], others[6], fused[0],
        ] {
            cases.push(case(&format!("{name}, base"), BASE, build, DEEP, false));
        }
    }
    cases
}
