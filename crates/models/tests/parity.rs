//! Forward values, gradients and running statistics against PyTorch twins. The vectors and the
//! script that made them are in `tests/fixtures`.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use mmpipe_models::aadnet::{AadNet, AadNetConfig};
use mmpipe_models::eegnet::{EegNet, EegNetConfig};
use mmpipe_models::encoder::{Classifier, ClassifierConfig, EncoderConfig, Size};
use mmpipe_models::{Batch, Mode, Model, Params};

/// The script's formula for weights and inputs.
fn wave(name: &str, n: usize, scale: f64) -> Vec<f64> {
    let phase = (name.bytes().map(u64::from).sum::<u64>() % 97) as f64;
    (0..n)
        .map(|i| {
            let i = i as f64;
            let v = (0.7 * i + phase + 0.013 * i * i).sin() + 0.5 * (0.11 * i + 2.0 * phase).sin();
            f64::from((v * scale) as f32)
        })
        .collect()
}

fn tensor(name: &str, shape: &[usize], dtype: DType) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_vec(wave(name, n, 1.0), shape, &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

fn fill(params: &Params) {
    let mut values = HashMap::new();
    for p in params.iter() {
        let (name, dims) = (&p.name, p.var.dims());
        let n: usize = dims.iter().product();
        let shifted =
            |v: Vec<f64>, by: f64, gain: f64| v.iter().map(|v| by + gain * v).collect::<Vec<_>>();
        let v = if name.ends_with("running_var") {
            shifted(
                wave(name, n, 1.0).iter().map(|v| v.abs()).collect(),
                1.0,
                0.2,
            )
        } else if name.ends_with("running_mean") {
            wave(name, n, 0.1)
        } else if dims.len() == 1 && name.ends_with("weight") || name.contains("gamma_") {
            shifted(wave(name, n, 0.2), 1.0, 1.0)
        } else {
            let fan = (n / dims[0].max(1)).max(1) as f64;
            wave(name, n, (1.0 / fan.sqrt()).min(0.5))
        };
        let v: Vec<f64> = v.into_iter().map(|v| f64::from(v as f32)).collect();
        values.insert(
            name.clone(),
            Tensor::from_vec(v, dims, &Device::Cpu).unwrap(),
        );
    }
    params.load(&values).unwrap();
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn close(what: &str, found: &[f64], expected: &[f64], scale: f64, tolerance: f64) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let worst = found
        .iter()
        .zip(expected)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f64::max);
    assert!(
        worst <= tolerance * scale,
        "{what}: differs by {worst:e}, scale {scale:e}, tolerance {tolerance:e}"
    );
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

/// Holds `model` against the stored vectors. Values and gradients are compared relative to the
/// largest element of each tensor. Gradients that cancel by algebra (`cancel`: a normalisation
/// follows that takes the variable's effect away up to its epsilon, or but for ReLU and the ends) are what rounding leaves of
/// larger terms, so they are compared relative to the largest gradient of the network.
fn check(file: &str, model: &dyn Model, batch: &Batch, tolerance: f64, cancel: &[&str]) {
    let path = format!(
        "{}/tests/fixtures/{file}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    let stored = candle_core::safetensors::load(path, &Device::Cpu).unwrap();
    let expected = |name: &str| {
        flat(
            stored
                .get(name)
                .unwrap_or_else(|| panic!("{name} is not stored")),
        )
    };
    fill(model.params());

    let y = flat(&model.forward(batch, Mode::Eval).unwrap());
    close(
        "eval",
        &y,
        &expected("eval"),
        largest(&expected("eval")),
        tolerance,
    );
    let y = model
        .forward(batch, Mode::Train { seed: 0, step: 0 })
        .unwrap();
    close(
        "train",
        &flat(&y),
        &expected("train"),
        largest(&expected("train")),
        tolerance,
    );

    let cotangent = tensor("cotangent", y.dims(), y.dtype());
    let grads = (y * cotangent)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let top = model
        .params()
        .trainable()
        .map(|p| expected(&format!("norm.{}", p.name))[0])
        .fold(0.0, f64::max);
    for p in model.params().trainable() {
        let g = flat(
            grads
                .get(p.var.as_tensor())
                .unwrap_or_else(|| panic!("{} has no gradient", p.name)),
        );
        let step = g.len().div_ceil(256);
        let sample: Vec<f64> = g.iter().copied().step_by(step).collect();
        let want = expected(&format!("grad.{}", p.name));
        let norm = expected(&format!("norm.{}", p.name))[0];
        let cancels = cancel.iter().any(|c| p.name.ends_with(c));
        let scale = |own: f64| if cancels { top } else { own };
        close(
            &format!("gradient of {}", p.name),
            &sample,
            &want,
            scale(largest(&want)),
            tolerance,
        );
        let found = g.iter().map(|v| v * v).sum::<f64>().sqrt();
        close(
            &format!("norm of the gradient of {}", p.name),
            &[found],
            &[norm],
            scale(norm),
            tolerance,
        );
    }
    for p in model.params().buffers() {
        let want = expected(&format!("buffer.{}", p.name));
        close(
            &p.name,
            &flat(p.var.as_tensor()),
            &want,
            largest(&want),
            tolerance,
        );
    }
    let names = stored.keys().filter(|k| k.starts_with("grad.")).count();
    assert_eq!(
        names,
        model.params().trainable().count(),
        "stored and own variables"
    );
}

fn names(list: &[&str]) -> Arc<[String]> {
    list.iter().map(|s| s.to_string()).collect()
}

/// f64 runs the composite operations, f32 the CPU kernels.
const BOTH: [(DType, f64); 2] = [(DType::F64, 1e-9), (DType::F32, 1e-5)];

#[test]
fn eegnet_equals_pytorch() {
    for (dtype, tolerance) in BOTH {
        let config = EegNetConfig {
            kernel: 10,
            dropout: 0.0,
            ..EegNetConfig::new(5, 71, 3, 200.0)
        };
        let net = EegNet::new(&config, Params::with_dtype(0, &Device::Cpu, dtype)).unwrap();
        let batch = Batch::eeg(
            tensor("eeg", &[4, 5, 71], dtype),
            names(&["Fz", "Cz", "Pz", "O1", "O2"]),
        );
        let cancel = ["bnorm_temporal.weight", "bnorm_temporal.bias"];
        check("eegnet", &net, &batch, tolerance, &cancel);
    }
}

#[test]
fn mindmix_classifier_equals_pytorch() {
    for (dtype, tolerance) in BOTH {
        let encoder = EncoderConfig {
            conv_channels: 8,
            depth: 2,
            heads: 10,
            mlp: 60,
            drop_path: 0.0,
            ..EncoderConfig::new(Size::Tiny)
        };
        let config = ClassifierConfig {
            encoder,
            classes: 3,
            projection_dropout: 0.0,
            head_dropout: 0.0,
        };
        let net = Classifier::new(&config, Params::with_dtype(0, &Device::Cpu, dtype)).unwrap();
        let batch = Batch::eeg(
            tensor("eeg", &[2, 3, 400], dtype),
            names(&["FZ", "Cz", "Oz"]),
        );
        check("mindmix", &net, &batch, tolerance, &["k_norm.bias"]);
    }
}

#[test]
fn aadnet_equals_pytorch() {
    for (dtype, tolerance) in BOTH {
        let config = AadNetConfig {
            dropout: 0.0,
            ..AadNetConfig::new(6)
        };
        let net = AadNet::new(&config, Params::with_dtype(0, &Device::Cpu, dtype)).unwrap();
        let eeg = tensor("eeg", &[3, 6, 57], dtype);
        let envelopes = tensor("envelopes", &[3, 2, 57], dtype);
        let batch =
            Batch::with_envelopes(eeg, names(&["Fz", "Cz", "Pz", "O1", "O2", "Oz"]), envelopes);
        check(
            "aadnet",
            &net,
            &batch,
            tolerance,
            &["batchnorm_2.weight", "batchnorm_2.bias", "reduce.bias"],
        );
    }
}
