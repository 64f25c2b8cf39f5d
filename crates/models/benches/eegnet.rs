//! One training step of EEGNet: forward, backward, a plain gradient step and the max-norm
//! projection. The PyTorch twin is `tests/peers/eegnet_step.py`; set `RAYON_NUM_THREADS` to the
//! threads that it uses.

use std::hint::black_box;

use candle_core::{Device, Tensor};
use criterion::{Criterion, criterion_group, criterion_main};
use mmpipe_models::eegnet::{EegNet, EegNetConfig};
use mmpipe_models::rng::Stream;
use mmpipe_models::{Batch, Mode, Model, Params};

fn batch(b: usize, c: usize, t: usize) -> Batch {
    let s = Stream::named(0, "bench");
    let v: Vec<f32> = (0..(b * c * t) as u64)
        .map(|i| s.normal(i) as f32)
        .collect();
    let eeg = Tensor::from_vec(v, (b, c, t), &Device::Cpu).unwrap();
    Batch::eeg(eeg, vec!["Cz".to_string(); c].into())
}

fn step(net: &EegNet, batch: &Batch, step: u64) -> f32 {
    let y = net.forward(batch, Mode::Train { seed: 0, step }).unwrap();
    let loss = y.sqr().unwrap().mean_all().unwrap();
    let grads = loss.backward().unwrap();
    for p in net.params().trainable() {
        let g = grads.get(p.var.as_tensor()).unwrap();
        p.var
            .set(&(p.var.as_tensor().detach() - (g * 1e-4).unwrap()).unwrap())
            .unwrap();
    }
    net.constrain().unwrap();
    loss.to_scalar().unwrap()
}

fn bench(c: &mut Criterion) {
    for (b, channels, times) in [(64, 20, 400), (64, 64, 400)] {
        let net = EegNet::new(
            &EegNetConfig::new(channels, times, 2, 200.0),
            Params::new(0, &Device::Cpu),
        )
        .unwrap();
        let x = batch(b, channels, times);
        let mut k = 0;
        c.bench_function(
            &format!("eegnet step B={b} C={channels} T={times}"),
            |bench| {
                bench.iter(|| {
                    k += 1;
                    black_box(step(&net, &x, k))
                });
            },
        );
        c.bench_function(
            &format!("eegnet forward B={b} C={channels} T={times}"),
            |bench| {
                bench.iter(|| black_box(net.forward(&x, Mode::Eval).unwrap()));
            },
        );
    }
}

criterion_group! {
    name = benches;
    config = Criterion::default().sample_size(20);
    targets = bench
}
criterion_main!(benches);
