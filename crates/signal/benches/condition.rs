//! Recipe `mindmix` on 64 channels × 512 Hz × 60 s, one core. Throughput is in bytes of f32 input.
//!
//!     cargo bench -p mmpipe-signal --bench condition

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mmpipe_signal::pipeline::Conditioner;
use mmpipe_signal::recipe::Recipe;
use mmpipe_signal::{iir, resample};

const CHANNELS: usize = 64;
const SECONDS: usize = 60;

fn signal(n: usize, channel: usize) -> Vec<f32> {
    let sample = |t: usize| ((t * t * 7 + t * (31 + channel)) % 401) as f32 - 200.0;
    (0..n).map(sample).collect()
}

fn condition(c: &mut Criterion) {
    let recipe = Recipe::builtin("mindmix").expect("built in");
    let mut group = c.benchmark_group("condition");
    for sfreq in [512, 500, 2048, 160] {
        let n = sfreq * SECONDS;
        let input: Vec<Vec<f32>> = (0..CHANNELS).map(|k| signal(n, k)).collect();
        let input: Vec<&[f32]> = input.iter().map(Vec::as_slice).collect();
        let mut conditioner = Conditioner::new(&recipe, sfreq as f64).expect("design");
        let mut out = vec![vec![0.0f32; conditioner.output_len(n)]; CHANNELS];
        group.throughput(Throughput::Bytes((CHANNELS * n * 4) as u64));
        group.sample_size(20);
        group.bench_function(format!("64ch_{sfreq}Hz_60s_f32"), |b| {
            b.iter(|| {
                let mut out: Vec<&mut [f32]> = out.iter_mut().map(Vec::as_mut_slice).collect();
                conditioner
                    .run_slices(black_box(&input), &mut out)
                    .expect("run");
            });
        });
    }
    group.finish();
}

fn steps(c: &mut Criterion) {
    let n = 512 * SECONDS;
    let x: Vec<Vec<f64>> = (0..8)
        .map(|k| signal(n, k).into_iter().map(f64::from).collect())
        .collect();
    let sos = iir::butter(4, Some(1.0), Some(40.0), 512.0).expect("design");
    let mut group = c.benchmark_group("steps");
    group.throughput(Throughput::Bytes((8 * n * 4) as u64));
    group.sample_size(20);
    let mut work = x.clone();
    group.bench_function("sosfiltfilt_8ch", |b| {
        b.iter(|| iir::sosfiltfilt_channels(&sos, black_box(&mut work)).expect("filter"));
    });
    group.bench_function("resample_poly_8ch", |b| {
        b.iter(|| resample::resample_poly_channels(black_box(&x), 25, 64).expect("resample"));
    });
    group.finish();
}

criterion_group!(benches, condition, steps);
criterion_main!(benches);
