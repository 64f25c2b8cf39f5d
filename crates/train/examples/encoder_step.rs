//! Times training steps of the EEG encoder (forward, backward, AdamW) for
//! `tests/peers/encoder_step.py`. Usage: `encoder_step BATCH CHANNELS PATCHES STEPS`; prints one JSON
//! line: seconds of every step after the first, the peak of memory in MiB after them (null where the
//! system does not say), and seconds of every forward pass without training.

use std::sync::Arc;
use std::time::Instant;

use candle_core::{Device, Tensor};
use mmpipe_models::encoder::{Classifier, ClassifierConfig, Size};
use mmpipe_models::ops::gradients;
use mmpipe_models::{Batch, Mode, Model, Params};
use mmpipe_train::{AdamW, StepConfig};

type Failure = Box<dyn std::error::Error>;

/// The peak of memory so far, MiB.
fn peak() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find(|l| l.starts_with("VmHWM:"))?;
    let kib: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kib / 1024.0)
}

fn main() -> Result<(), Failure> {
    mmpipe_memory::keep();
    let args: Vec<usize> = std::env::args()
        .skip(1)
        .map(|a| a.parse())
        .collect::<Result<_, _>>()?;
    let &[batch, channels, patches, steps] = args.as_slice() else {
        return Err("usage: encoder_step BATCH CHANNELS PATCHES STEPS".into());
    };
    let mut config = ClassifierConfig::new(Size::Base, 4);
    config.encoder.drop_path = 0.0;
    config.projection_dropout = 0.0;
    config.head_dropout = 0.0;
    let model = Classifier::new(&config, Params::new(0, &Device::Cpu))?;
    // Which electrodes they are takes no time.
    let names: Arc<[String]> = vec!["Cz".to_owned(); channels].into();
    let x = Tensor::randn(0f32, 1.0, (batch, channels, 200 * patches), &Device::Cpu)?;
    let input = Batch::eeg(x, names);
    let mut adamw = AdamW::new(model.params(), &StepConfig::default())?;
    let (mut seconds, mut forward) = (Vec::new(), Vec::new());
    for step in 0..=steps as u64 {
        let start = Instant::now();
        let y = model.forward(&input, Mode::Train { seed: 0, step })?;
        let gradients = gradients(&y.sqr()?.mean_all()?)?;
        adamw.step(model.params(), &gradients, 1e-4, step)?;
        drop(gradients);
        if step > 0 {
            seconds.push(start.elapsed().as_secs_f64());
        }
    }
    let peak = peak().map_or("null".to_owned(), |p| format!("{p:.0}"));
    for _ in 0..steps {
        let start = Instant::now();
        model.forward(&input, Mode::Eval)?;
        forward.push(start.elapsed().as_secs_f64());
    }
    println!("{{\"step\":{seconds:?},\"peak_mib\":{peak},\"forward\":{forward:?}}}");
    Ok(())
}
