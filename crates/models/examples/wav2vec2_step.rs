//! Times wav2vec 2.0 base on waveforms for `tests/peers/wav2vec2_step.py`: forward, and forward with
//! backward. Usage: `wav2vec2_step BATCH SAMPLES STEPS`; prints one JSON line: seconds of every
//! pass after the first of its kind.

use std::time::Instant;

use candle_core::{Device, Tensor};
use mmpipe_models::audio::{Wav2Vec2, Wav2Vec2Config};
use mmpipe_models::ops::gradients;
use mmpipe_models::{Mode, Params};

type Failure = Box<dyn std::error::Error>;

fn main() -> Result<(), Failure> {
    mmpipe_memory::keep();
    let args: Vec<usize> = std::env::args()
        .skip(1)
        .map(|a| a.parse())
        .collect::<Result<_, _>>()?;
    let &[batch, samples, steps] = args.as_slice() else {
        return Err("usage: wav2vec2_step BATCH SAMPLES STEPS".into());
    };
    let config = Wav2Vec2Config {
        hidden_dropout: 0.0,
        attention_dropout: 0.0,
        activation_dropout: 0.0,
        feat_proj_dropout: 0.0,
        layerdrop: 0.0,
        apply_spec_augment: false,
        ..Wav2Vec2Config::wav2vec2_base()
    };
    let mut params = Params::new(0, &Device::Cpu);
    let model = Wav2Vec2::new(&config, &mut params, "")?;
    let x = Tensor::randn(0f32, 1.0, (batch, samples), &Device::Cpu)?;
    let (mut forward, mut both) = (Vec::new(), Vec::new());
    for _ in 0..=steps {
        let start = Instant::now();
        model.forward(&x, Mode::Eval)?;
        forward.push(start.elapsed().as_secs_f64());
    }
    for step in 0..=steps as u64 {
        let start = Instant::now();
        let y = model.forward(&x, Mode::Train { seed: 0, step })?;
        gradients(&y.sqr()?.mean_all()?)?;
        both.push(start.elapsed().as_secs_f64());
    }
    println!(
        "{{\"forward\":{:?},\"both\":{:?}}}",
        &forward[1..],
        &both[1..]
    );
    Ok(())
}
