//! Devices and precisions through the public door. What another device runs, the composite operations,
//! is run here on the CPU.

use std::path::Path;

use mmpipe_models::{Compute, Precision};
use mmpipe_train::{
    AlignConfig, DeviceChoice, Error, FitReport, ModelKind, PretrainConfig, Progress, Silent, Size,
    StepConfig, TrainConfig, align, fit, predict, pretrain,
};

use crate::toys::{StopAfter, by_trial, talkers, two_montages, weights};

fn classifier(precision: Precision) -> TrainConfig {
    TrainConfig {
        size: Size::Tiny,
        epochs: 2,
        batch: 8,
        lr: 1e-3,
        // A step follows the gradient, not its sign, of which rounding decides near zero.
        eps: 1e-2,
        warmup: 0.0,
        ema: 0.9,
        device: DeviceChoice::Cpu,
        precision,
        ..TrainConfig::for_model(ModelKind::Mindmix)
    }
}

fn composite<T>(work: impl FnOnce() -> T) -> T {
    let compute = Compute {
        composite: true,
        ..Compute::now()
    };
    compute.run(work)
}

/// The largest difference of two files of weights, relative to the largest value of each tensor.
fn apart(a: &Path, b: &Path) -> f64 {
    let read = |p: &Path| {
        let bytes = std::fs::read(p.join("model.safetensors")).unwrap();
        candle_core::safetensors::load_buffer(&bytes, &candle_core::Device::Cpu).unwrap()
    };
    let (a, b) = (read(a), read(b));
    assert_eq!(a.len(), b.len());
    let mut worst = 0.0f64;
    for (name, a) in &a {
        let values = |t: &candle_core::Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let (a, b) = (values(a), values(&b[name]));
        let scale = a.iter().fold(1e-3f32, |m, x| m.max(x.abs()));
        for (a, b) in a.iter().zip(&b) {
            assert!(a.is_finite() && b.is_finite(), "{name}");
            worst = worst.max(f64::from((a - b).abs() / scale));
        }
    }
    worst
}

#[test]
fn a_fit_of_composite_operations_is_that_of_the_kernels() {
    let source = two_montages(6, 4, 3);
    let fold = by_trial(&source, 4, 1);
    let dirs = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let cfg = classifier(Precision::F32);
    let own = fit(&source, &fold, &cfg, dirs[0].path(), &Silent).unwrap();
    let other = composite(|| fit(&source, &fold, &cfg, dirs[1].path(), &Silent)).unwrap();
    let narrow = classifier(Precision::Bf16);
    let narrow = fit(&source, &fold, &narrow, dirs[2].path(), &Silent).unwrap();
    let losses = |r: &FitReport| -> Vec<f64> { r.history.iter().map(|e| e.train_loss).collect() };
    for ((a, b), c) in losses(&own).iter().zip(losses(&other)).zip(losses(&narrow)) {
        assert!((a - b).abs() <= 1e-5 * a, "{a} {b}");
        assert!((a - c).abs() <= 0.02 * a && *a != c, "{a} {c}");
    }
    assert_eq!(own.device, "cpu");
    let at = |i: usize| {
        dirs[i]
            .path()
            .join(format!("checkpoints/step={:08}", own.steps))
    };
    let (same, close) = (apart(&at(0), &at(1)), apart(&at(0), &at(2)));
    assert!(same > 0.0 && same <= 1e-4, "{same:e}");
    assert!(close > same, "{close:e} {same:e}");
    // The best weights answer, whatever they were trained with.
    let answers = predict(&source, &fold.test, &cfg, dirs[2].path(), None).unwrap();
    assert_eq!(answers.len(), fold.test.len());
}

#[test]
fn every_stage_trains_with_bf16_and_goes_on_exactly() {
    let source = talkers(8, 2, 0, 200);
    let fold = by_trial(&source, 6, 2);
    let steps = StepConfig {
        epochs: 1,
        batch: 6,
        warmup: 0.0,
        precision: Precision::Bf16,
        device: DeviceChoice::Cpu,
        ..StepConfig::self_supervised()
    };
    let align_cfg = AlignConfig {
        size: Size::Tiny,
        steps: steps.clone(),
        ..AlignConfig::default()
    };
    let pretrain_cfg = PretrainConfig {
        size: Size::Tiny,
        codes: 8,
        code_dim: 8,
        decoder_depth: 1,
        kmeans_vectors: 16,
        steps,
        ..PretrainConfig::default()
    };
    let one = |stage: &str, dir: &Path, progress: &dyn Progress| -> Result<(), Error> {
        let dir = dir.join(stage);
        match stage {
            "align" => align(&source, &fold, &align_cfg, &dir, progress).map(|_| ()),
            _ => pretrain(&source, &fold, &pretrain_cfg, &dir, progress).map(|_| ()),
        }
    };
    let (whole, cut) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
    for stage in ["align", "pretrain"] {
        one(stage, whole.path(), &Silent).unwrap();
        let mut stops = 0;
        while let Err(e) = one(stage, cut.path(), &StopAfter::new(1)) {
            assert!(matches!(e, Error::Stopped { .. }), "{e}");
            stops += 1;
        }
        assert!(stops >= 1, "{stage}: {stops}");
        let read = |dir: &Path| std::fs::read(dir.join(stage).join("model.safetensors")).unwrap();
        assert_eq!(read(whole.path()), read(cut.path()), "{stage}");
    }
}

#[test]
fn a_device_is_no_part_of_what_was_trained_and_a_precision_is() {
    let source = two_montages(6, 4, 3);
    let fold = by_trial(&source, 4, 1);
    let dir = tempfile::tempdir().unwrap();
    let cfg = classifier(Precision::F32);
    let stopped = fit(&source, &fold, &cfg, dir.path(), &StopAfter::new(1));
    assert!(matches!(stopped, Err(Error::Stopped { .. })));
    let auto = TrainConfig {
        device: DeviceChoice::Auto,
        ..cfg.clone()
    };
    let told = Told::default();
    fit(&source, &fold, &auto, dir.path(), &told).unwrap();
    assert!(told.0.lock().unwrap().starts_with("cpu"));
    let whole = tempfile::tempdir().unwrap();
    fit(&source, &fold, &cfg, whole.path(), &Silent).unwrap();
    assert_eq!(weights(dir.path()), weights(whole.path()));
    let other = TrainConfig {
        precision: Precision::Bf16,
        ..cfg.clone()
    };
    let e = fit(&source, &fold, &other, dir.path(), &Silent).unwrap_err();
    assert!(e.to_string().contains("another configuration"), "{e}");
    if !cfg!(any(feature = "cuda", feature = "metal")) {
        let absent = TrainConfig {
            device: "cuda:1".parse().unwrap(),
            ..cfg
        };
        let dir = tempfile::tempdir().unwrap();
        let e = fit(&source, &fold, &absent, dir.path(), &Silent).unwrap_err();
        assert!(e.to_string().contains("`cuda:1`"), "{e}");
    }
}

/// Remembers the device.
#[derive(Default)]
struct Told(std::sync::Mutex<String>);

impl Progress for Told {
    fn device(&self, name: &str) {
        name.clone_into(&mut self.0.lock().unwrap());
    }
}
