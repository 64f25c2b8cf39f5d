//! A minute of mono sound at 44.1 kHz to 16 kHz, and rubato with the same sinc. Throughput is in
//! samples of input.
//!
//!     cargo bench -p mmpipe-signal --bench sound

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mmpipe_signal::audio::ToMono16k;
use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Indexing, Resampler, WindowFunction};

const SFREQ: usize = 44_100;
const BLOCK: usize = 4 * 441;

fn sound(c: &mut Criterion) {
    let n = 60 * SFREQ / BLOCK * BLOCK;
    let input: Vec<f32> = (0..n)
        .map(|t| ((t * t * 7 + t * 31) % 401) as f32 / 200.0 - 1.0)
        .collect();
    let mut group = c.benchmark_group("sound");
    group
        .throughput(Throughput::Elements(n as u64))
        .sample_size(20);
    group.bench_function("mmpipe", |b| {
        b.iter(|| {
            let mut converter = ToMono16k::new(SFREQ as u32, 1).expect("rates");
            for block in black_box(&input).chunks(1 << 14) {
                converter.push(block).expect("frames");
            }
            converter.finish()
        });
    });
    group.bench_function("rubato", |b| {
        b.iter(|| {
            let window = WindowFunction::BlackmanHarris2;
            let mut fft: Fft<f32> =
                Fft::new_custom(SFREQ, 16_000, BLOCK, 1, 1, window, FixedSync::Input)
                    .expect("rates");
            let mut made = vec![0.0; fft.output_frames_max()];
            let mut out = Vec::new();
            for block in black_box(&input).chunks_exact(BLOCK) {
                let input = InterleavedSlice::new(block, 1, BLOCK).expect("size");
                let room = made.len();
                let mut to = InterleavedSlice::new_mut(&mut made, 1, room).expect("size");
                let all = None::<&Indexing>;
                let (_, n) = fft
                    .process_into_buffer(&input, &mut to, all)
                    .expect("block");
                out.extend_from_slice(&made[..n]);
            }
            out
        });
    });
    group.finish();
}

criterion_group!(benches, sound);
criterion_main!(benches);
