//! Best times of the kernels on one core, in a minute and without a benchmark harness (the best of
//! many short runs is steady even on a busy machine).
//!
//!     cargo run --release -p mmpipe-signal --example throughput

use std::time::Instant;

use mmpipe_signal::audio::{envelope, to_16k_mono};
use mmpipe_signal::pipeline::Conditioner;
use mmpipe_signal::recipe::Recipe;
use mmpipe_signal::{iir, resample};

const SECONDS: usize = 60;

fn signal(n: usize, channel: usize) -> Vec<f32> {
    let sample = |t: usize| ((t * t * 7 + t * (31 + channel)) % 401) as f32 - 200.0;
    (0..n).map(sample).collect()
}

fn best(runs: usize, mut f: impl FnMut()) -> f64 {
    let once = |_| {
        let start = Instant::now();
        f();
        start.elapsed().as_secs_f64()
    };
    (0..runs).map(once).fold(f64::INFINITY, f64::min)
}

fn main() -> Result<(), mmpipe_signal::Error> {
    let recipe = Recipe::builtin("mindmix").expect("built in");
    for sfreq in [512, 500, 256, 2048, 160] {
        let n = sfreq * SECONDS;
        let input: Vec<Vec<f32>> = (0..8).map(|k| signal(n, k)).collect();
        let input: Vec<&[f32]> = input.iter().map(Vec::as_slice).collect();
        let mut conditioner = Conditioner::new(&recipe, sfreq as f64)?;
        let mut out = vec![vec![0.0f32; conditioner.output_len(n)]; 8];
        let seconds = best(200, || {
            let mut out: Vec<&mut [f32]> = out.iter_mut().map(Vec::as_mut_slice).collect();
            conditioner
                .run_slices(&input, &mut out)
                .expect("conditions");
        });
        report(
            &format!("condition, {sfreq} Hz to 200 Hz, f32 to f32"),
            8 * n,
            seconds,
        );
    }
    let (sfreq, n) = (10_000, 10_000 * SECONDS);
    let input: Vec<Vec<f32>> = (0..8).map(|k| signal(n, k)).collect();
    let conditioner = Conditioner::new(&recipe, f64::from(sfreq))?;
    let read = |first: usize, start: usize, block: &mut [&mut [f32]]| {
        for (from, to) in input[first..].iter().zip(block) {
            to.copy_from_slice(&from[start..start + to.len()]);
        }
        Ok::<_, mmpipe_signal::Error>(())
    };
    let seconds = best(20, || {
        let mut stream = conditioner.stream(n, 8, 1 << 16).expect("a stream");
        let mut out = vec![Vec::new(); 8];
        while stream.advance(read, &mut out).expect("streams").is_some() {}
    });
    report("stream, 10 kHz to 200 Hz, f32 to f64", 8 * n, seconds);
    let n = 512 * SECONDS;
    let mut x: Vec<Vec<f64>> = (0..8)
        .map(|k| signal(n, k).into_iter().map(f64::from).collect())
        .collect();
    let sos = iir::butter(4, Some(1.0), Some(40.0), 512.0)?;
    let seconds = best(200, || {
        iir::sosfiltfilt_channels(&sos, &mut x).expect("filters");
    });
    report("sosfiltfilt_channels, f64", 8 * n, seconds);
    let seconds = best(200, || {
        let y = resample::resample_poly_channels(&x, 25, 64).expect("resamples");
        std::hint::black_box(y);
    });
    report("resample_poly_channels 25/64, f64", 8 * n, seconds);

    let sound = [signal(44_100 * 10, 3)];
    let mut mono = Vec::new();
    let seconds = best(20, || {
        mono = to_16k_mono(&sound, 44_100).expect("resamples")
    });
    println!("44.1 to 16 kHz: {:.0} times real time", 10.0 / seconds);
    let seconds = best(20, || {
        std::hint::black_box(envelope(&mono, 16_000.0, 64.0).expect("envelope"));
    });
    println!(
        "envelope, 16 kHz to 64 Hz: {:.0} times real time",
        10.0 / seconds
    );
    Ok(())
}

fn report(what: &str, samples: usize, seconds: f64) {
    println!(
        "{what}: {:.2} ns a sample, {:.0} MB/s of f32 input",
        seconds * 1e9 / samples as f64,
        samples as f64 * 4.0 / seconds / 1e6
    );
}
