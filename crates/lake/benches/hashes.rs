//! SHA-256 of two buffers, one after the other and in turns of so many bytes, on one core.
//!
//!     cargo bench -p mmpipe-lake --bench hashes

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use sha2::{Digest, Sha256};

const BYTES: usize = 8 << 20;

fn hashes(c: &mut Criterion) {
    let buffer = |k: usize| -> Vec<u8> { (0..BYTES).map(|i| (i * k % 251) as u8).collect() };
    let (a, b) = (buffer(7), buffer(11));
    let mut group = c.benchmark_group("sha256");
    group.throughput(Throughput::Bytes(2 * BYTES as u64));
    group.bench_function("one after the other", |bencher| {
        bencher.iter(|| (Sha256::digest(&a), Sha256::digest(&b)));
    });
    for turn in [64, 128, 256, 1 << 18] {
        group.bench_function(format!("in turns of {turn} bytes"), |bencher| {
            bencher.iter(|| {
                let (mut x, mut y) = (Sha256::new(), Sha256::new());
                for (a, b) in a.chunks(turn).zip(b.chunks(turn)) {
                    x.update(a);
                    y.update(b);
                }
                (x.finalize(), y.finalize())
            });
        });
    }
    group.finish();
}

criterion_group!(benches, hashes);
criterion_main!(benches);
