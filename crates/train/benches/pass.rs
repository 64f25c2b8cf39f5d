//! One pass of EEGNet over 1,000 epochs of 20 channels × 400 samples, with and without prefetch.
//!
//! `cargo bench -p mmpipe-train`; the share of time spent waiting for data is printed beside.

use criterion::{Criterion, criterion_group, criterion_main};
use mmpipe_train::{Fold, MemorySource, Meta, Silent, TrainConfig, fit};

fn source() -> MemorySource {
    let mut s = MemorySource {
        n_times: 400,
        sfreq: 200.0,
        classes: vec!["a".into(), "b".into()],
        montages: vec![(0..20).map(|c| format!("E{c}")).collect()],
        ..MemorySource::default()
    };
    let mut x = 1u32;
    for i in 0..1000 {
        let mut draw = || {
            x = x.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (x >> 8) as f32 / (1 << 23) as f32 - 1.0
        };
        s.eeg.push((0..20 * 400).map(|_| draw()).collect());
        s.metas.push(Meta {
            epoch_id: i,
            label: (i % 2) as i32,
            ..Meta::default()
        });
    }
    s
}

fn pass(c: &mut Criterion) {
    let source = source();
    let fold = Fold {
        train: (0..1000).collect(),
        ..Fold::default()
    };
    let mut group = c.benchmark_group("eegnet 1000x20x400");
    group.sample_size(10);
    for prefetch in [0, 1, 2] {
        let cfg = TrainConfig {
            epochs: 1,
            prefetch,
            ..TrainConfig::default()
        };
        let mut waits = Vec::new();
        group.bench_function(format!("prefetch {prefetch}"), |b| {
            b.iter(|| {
                let dir = tempfile::tempdir().expect("a temporary folder");
                let report = fit(&source, &fold, &cfg, dir.path(), &Silent).expect("a fit");
                waits.push(report.wait_seconds / report.seconds);
            });
        });
        waits.sort_by(f64::total_cmp);
        if let Some(median) = waits.get(waits.len() / 2) {
            println!(
                "prefetch {prefetch}: waited for data {:.2} % of the time (median)",
                100.0 * median
            );
        }
    }
    group.finish();
}

criterion_group!(benches, pass);
criterion_main!(benches);
