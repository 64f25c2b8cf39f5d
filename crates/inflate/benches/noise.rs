//! Doubles of noise, deflated at zlib's own level, from four places at once and by libdeflate.
//! Throughput is in bytes that come out.
//!
//!     cargo bench -p mmpipe-inflate --bench noise

use std::hint::black_box;
use std::io::Write;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mmpipe_inflate::Plan;

const BYTES: usize = 64 << 20;

/// Twelve uniform numbers are nearly a normal one.
fn noise() -> Vec<u8> {
    let mut state = 1_u64;
    let mut uniform = || {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut sample = || 20.0 * ((0..12).map(|_| uniform()).sum::<f64>() - 6.0);
    (0..BYTES / 8)
        .flat_map(|_| sample().to_le_bytes())
        .collect()
}

fn inflate(c: &mut Criterion) {
    let level = flate2::Compression::default();
    let mut packer = flate2::write::ZlibEncoder::new(Vec::new(), level);
    packer.write_all(&noise()).expect("in memory");
    let packed = packer.finish().expect("in memory");
    let mut out = vec![0; BYTES];
    let mut group = c.benchmark_group("inflate");
    group
        .throughput(Throughput::Bytes(BYTES as u64))
        .sample_size(20);
    group.bench_function("places", |b| {
        let plan = Plan::default();
        assert!(plan.suits(packed.len(), BYTES));
        b.iter(|| {
            let n = plan.inflate(black_box(&packed), true, &mut out);
            assert_eq!(n, Some(BYTES));
        });
    });
    group.bench_function("libdeflate", |b| {
        let mut state = libdeflater::Decompressor::new();
        b.iter(|| {
            let n = state.zlib_decompress(black_box(&packed), &mut out);
            assert_eq!(n, Ok(BYTES));
        });
    });
    group.finish();
}

criterion_group!(benches, inflate);
criterion_main!(benches);
