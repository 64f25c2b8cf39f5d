//! The trap in the paper's own design (models.md F.1): on EEG that is phase-randomised noise, with
//! nothing of the sound in it, training and scoring as released reach the top, and scoring each
//! candidate from its own pair stays at chance.

use candle_core::{DType, Device, Tensor, Var};
use mmpipe_models::align::{
    Fusion, FusionConfig, FusionKind, Pairs, Sounds, Temperature, UNKNOWN_TYPE, info_nce, logits,
    score,
};
use mmpipe_models::encoder::{Encoder, EncoderConfig, Size};
use mmpipe_models::layers::Projection;
use mmpipe_models::rng::Stream;
use mmpipe_models::{Mode, Params};

const BATCH: usize = 32;
const TRAINING: usize = 40 * BATCH;
const TEST: usize = 512;
const SOUND: usize = 96;
const D: usize = 64;

/// `n` epochs of two channels of 200 samples: 1/f amplitudes with random phases, z-scored.
fn eeg(name: &str, n: usize) -> Tensor {
    let s = Stream::named(7, name);
    let mut v = Vec::with_capacity(n * 400);
    for row in 0..2 * n as u64 {
        let mut x = [0.0f64; 200];
        for f in 1..40u64 {
            let phase = std::f64::consts::TAU * s.uniform_f64(row * 64 + f);
            for (t, x) in x.iter_mut().enumerate() {
                *x +=
                    (std::f64::consts::TAU * f as f64 * t as f64 / 200.0 + phase).cos() / f as f64;
            }
        }
        let mean = x.iter().sum::<f64>() / 200.0;
        let std = (x.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 200.0).sqrt();
        v.extend(x.iter().map(|x| ((x - mean) / std) as f32));
    }
    Tensor::from_vec(v, (n, 2, 200), &Device::Cpu).unwrap()
}

/// Embeddings of sounds: noise, one a segment.
fn sounds(name: &str, shape: &[usize]) -> Tensor {
    let s = Stream::named(8, name);
    let v: Vec<f32> = (0..shape.iter().product::<usize>() as u64)
        .map(|i| s.normal(i) as f32)
        .collect();
    Tensor::from_vec(v, shape, &Device::Cpu).unwrap()
}

/// Adam (Kingma and Ba 2015) without decay.
struct Adam {
    state: Vec<(Var, Tensor, Tensor)>,
    step: i32,
}

impl Adam {
    fn new(params: &Params) -> Self {
        let zero = |p: &mmpipe_models::Param| p.var.zeros_like().unwrap();
        Self {
            state: params
                .trainable()
                .map(|p| (p.var.clone(), zero(p), zero(p)))
                .collect(),
            step: 0,
        }
    }

    fn step(&mut self, loss: &Tensor, rate: f64) -> candle_core::Result<()> {
        let grads = loss.backward()?;
        self.step += 1;
        let (c1, c2) = (1.0 - 0.9f64.powi(self.step), 1.0 - 0.98f64.powi(self.step));
        for (var, m, v) in &mut self.state {
            let Some(g) = grads.get(var.as_tensor()) else {
                continue;
            };
            *m = ((&*m * 0.9)? + (g * 0.1)?)?;
            *v = ((&*v * 0.98)? + (g.sqr()? * 0.02)?)?;
            let by = ((&*m * (rate / c1))? / ((&*v * (1.0 / c2))?.sqrt()? + 1e-8)?)?;
            var.set(&(var.as_tensor().detach() - by)?.detach())?;
        }
        Ok(())
    }
}

#[test]
fn noise_reaches_the_top_under_paper_scoring_and_stays_at_chance_under_candidate() {
    let mut params = Params::new(1, &Device::Cpu);
    let p = &mut params;
    let encoder = EncoderConfig {
        depth: 1,
        mlp: 100,
        ..EncoderConfig::released(Size::Tiny)
    };
    let encoder = Encoder::new(&encoder, p, "eeg_model.model.").unwrap();
    let eeg_proj = Projection::new(p, "eeg_proj", 100, D).unwrap();
    let audio_proj = Projection::new(p, "audio_proj", SOUND, D).unwrap();
    let config = FusionConfig {
        width: D,
        hidden: 2 * D,
        rank: D / 2,
        ..FusionConfig::new(FusionKind::CalraPaper)
    };
    let fusion = Fusion::new(&config, p, "fusion_module.").unwrap();
    let temperature = Temperature::new(p, "logit_scale", 0.07).unwrap();
    let mut adam = Adam::new(&params);

    let (x, a) = (eeg("train", TRAINING), sounds("train", &[TRAINING, SOUND]));
    let types = vec![UNKNOWN_TYPE; BATCH];
    let mut last = f32::NAN;
    for step in 0..400u64 {
        let from = (step as usize * BATCH) % TRAINING;
        let mode = Mode::Train { seed: 1, step };
        let e = encoder
            .forward(&x.narrow(0, from, BATCH).unwrap(), &[], mode)
            .unwrap();
        let sounds = Sounds {
            audio: audio_proj
                .forward(&a.narrow(0, from, BATCH).unwrap())
                .unwrap(),
            types: types.clone(),
            ids: (from as u64..).take(BATCH).collect(),
            others: None,
        };
        let e = eeg_proj.forward(&e).unwrap();
        let scores = logits(&fusion, &e, &sounds, Pairs::Diagonal, &temperature, mode).unwrap();
        let loss = info_nce(&scores, false).unwrap();
        adam.step(&loss, 1e-3).unwrap();
        temperature.constrain().unwrap();
        last = loss.to_scalar().unwrap();
    }
    // Chance is ln 32 = 3.47.
    assert!(
        last < 0.5,
        "the diagonal contrast is solved without any signal: {last}"
    );

    // New noise, two candidates, the attended one at a random place.
    let e = encoder
        .forward(&eeg("test", TEST), &[], Mode::Eval)
        .unwrap();
    let e = eeg_proj.forward(&e).unwrap();
    let candidates = audio_proj
        .forward(&sounds("test", &[TEST, 2, SOUND]))
        .unwrap();
    let attended: Vec<usize> = (0..TEST as u64).map(|i| score::order(3, i, 2)[0]).collect();
    let types = vec![UNKNOWN_TYPE; 2 * TEST];
    let accuracy = |scores: &Tensor, right: &[usize]| {
        let best = score::best(scores).unwrap();
        best.iter()
            .zip(right)
            .filter(|(b, r)| **b as usize == **r)
            .count() as f64
            / right.len() as f64
    };
    let mut paper = 0.0;
    for from in (0..TEST).step_by(BATCH) {
        let right = &attended[from..from + BATCH];
        let part = candidates.narrow(0, from, BATCH).unwrap();
        let scores = score::paper(
            &fusion,
            &e.narrow(0, from, BATCH).unwrap(),
            &part,
            &types[..2 * BATCH],
            right,
            14.3,
        )
        .unwrap();
        assert_eq!(scores.dtype(), DType::F32);
        paper += accuracy(&scores, right) / (TEST / BATCH) as f64;
    }
    let honest = accuracy(
        &score::candidate(&fusion, &e, &candidates, &types).unwrap(),
        &attended,
    );
    eprintln!(
        "noise eeg: paper scoring {paper:.3}, candidate scoring {honest:.3}, last loss {last:.4}"
    );
    assert!(paper >= 0.95, "paper scoring of noise: {paper}");
    // 99.9 % of fair coins: 3.29 standard deviations of 512 tosses.
    let bound = 3.29 * (0.25 / TEST as f64).sqrt();
    assert!(
        (honest - 0.5).abs() <= bound,
        "candidate scoring of noise: {honest}, chance within {bound}"
    );
}
