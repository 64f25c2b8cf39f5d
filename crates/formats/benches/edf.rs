//! Decoding of a 64-channel EDF and BDF file in memory order: `cargo bench -p mmpipe-formats`.
//! Throughput counts the bytes of the file.

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use mmpipe_formats::open;

#[path = "../tests/common/build.rs"]
mod build;

fn decode(c: &mut Criterion) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let mut group = c.benchmark_group("decode to f32");
    for bdf in [false, true] {
        let times = (0..120)
            .map(|r| format!("+{r}\x14\x14\0").into_bytes())
            .collect();
        let mut edf = build::Edf::plus(if bdf { "BDF+C" } else { "EDF+C" }, times);
        let signal = build::Signal {
            samples: 512,
            ..edf.signals[0].clone()
        };
        edf.signals = (0..64)
            .map(|i| build::Signal {
                label: format!("E{i}"),
                ..signal.clone()
            })
            .collect();
        edf.bdf = bdf;
        let bytes = edf.bytes();
        let path = folder.path().join(if bdf { "x.bdf" } else { "x.edf" });
        std::fs::write(&path, &bytes).expect("room for the file");
        let recording = open(&path).expect("a well-formed file");
        let channels: Vec<usize> = (0..64).collect();
        let mut planes = vec![vec![0f32; 120 * 512]; 64];
        group.throughput(Throughput::Bytes(bytes.len() as u64));
        group.bench_function(if bdf { "bdf" } else { "edf" }, |b| {
            b.iter(|| {
                let mut out: Vec<&mut [f32]> = planes.iter_mut().map(Vec::as_mut_slice).collect();
                recording
                    .read_f32(&channels, 0, &mut out)
                    .expect("all samples");
            });
        });
    }
    group.finish();
}

criterion_group!(benches, decode);
criterion_main!(benches);
