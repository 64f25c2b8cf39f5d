//! Walks each network's graph: every trainable variable receives a finite, non-zero gradient,
//! but for those that by algebra cannot, which are listed with the reason and held to be zero.
//! An operation without a backward pass anywhere in a training graph fails here.

use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use mmpipe_models::aadnet::{AadNet, AadNetConfig};
use mmpipe_models::eegnet::{EegNet, EegNetConfig};
use mmpipe_models::encoder::{Classifier, ClassifierConfig, EncoderConfig, Size};
use mmpipe_models::rng::Stream;
use mmpipe_models::{Batch, Mode, Model, Params};

const STEP: Mode = Mode::Train { seed: 5, step: 9 };

fn noise(name: &str, shape: (usize, usize, usize)) -> Tensor {
    let s = Stream::named(1, name);
    let n = shape.0 * shape.1 * shape.2;
    let v: Vec<f32> = (0..n as u64).map(|i| s.normal(i) as f32).collect();
    Tensor::from_vec(v, shape, &Device::Cpu).unwrap()
}

fn montage(n: usize) -> Arc<[String]> {
    let known = ["Fp1", "Fz", "Cz", "Pz", "Oz", "T7", "T8"];
    known
        .iter()
        .cycle()
        .take(n)
        .map(|s| s.to_string())
        .collect()
}

/// Cross-entropy with labels 0, 1, 0, 1, ….
fn cross_entropy(scores: &Tensor) -> Tensor {
    let (b, k) = scores.dims2().unwrap();
    let hot: Vec<f32> = (0..b * k)
        .map(|i| f32::from(u8::from((i / k) % k == i % k)))
        .collect();
    let hot = Tensor::from_vec(hot, (b, k), &Device::Cpu)
        .unwrap()
        .to_dtype(scores.dtype())
        .unwrap();
    let p = mmpipe_models::ops::softmax(scores).unwrap().log().unwrap();
    ((p * hot).unwrap().sum_all().unwrap() * (-1.0 / b as f64)).unwrap()
}

/// A variable whose gradient is zero: the end of its name, how small relative to the largest
/// gradient of the network in f64, and why.
type Zero = (&'static str, f64, &'static str);

fn walk(model: &dyn Model, batch: &Batch, zero: &[Zero]) {
    let exact = model.params().dtype() == DType::F64;
    let grads = cross_entropy(&model.forward(batch, STEP).unwrap())
        .backward()
        .unwrap();
    let size = |name: &str| -> f64 {
        let p = model.params().get(name).unwrap();
        let g = grads
            .get(p.var.as_tensor())
            .unwrap_or_else(|| panic!("{name} receives no gradient"));
        let g = g.flatten_all().unwrap().to_dtype(DType::F64).unwrap();
        let g: Vec<f64> = g.to_vec1().unwrap();
        assert!(
            g.iter().all(|v| v.is_finite()),
            "{name}: a gradient that is not finite"
        );
        g.iter().fold(0.0, |m: f64, v| m.max(v.abs()))
    };
    let names: Vec<&str> = model
        .params()
        .trainable()
        .map(|p| p.name.as_str())
        .collect();
    let top = names.iter().map(|n| size(n)).fold(0.0, f64::max);
    for name in &names {
        match zero.iter().find(|(end, ..)| name.ends_with(end)) {
            // In f32 what cancels leaves its rounding.
            Some((_, limit, why)) => {
                let limit = if exact { *limit } else { limit.max(1e-3) };
                assert!(
                    size(name) <= limit * top,
                    "{name}: {} of {top} although {why}",
                    size(name)
                );
            }
            None => assert!(
                size(name) > 1e-6 * top,
                "{name}: no gradient to speak of: {}",
                size(name)
            ),
        }
    }
    for (end, ..) in zero {
        assert!(
            names.iter().any(|n| n.ends_with(end)),
            "no variable is called {end}"
        );
    }
}

/// f64 runs the composite operations, f32 the CPU kernels.
const BOTH: [DType; 2] = [DType::F64, DType::F32];

#[test]
fn eegnet() {
    let zero = [(
        "bnorm_temporal.bias",
        1e-12,
        "the next batch norm takes constants away",
    )];
    for dtype in BOTH {
        // With a kernel longer than the recording the f32 network takes the published order.
        for (kernel, times) in [(20, 128), (100, 64)] {
            let config = EegNetConfig {
                kernel,
                ..EegNetConfig::new(3, times, 2, 128.0)
            };
            let net = EegNet::new(&config, Params::with_dtype(0, &Device::Cpu, dtype)).unwrap();
            let eeg = noise("eeg", (6, 3, times)).to_dtype(dtype).unwrap();
            walk(&net, &Batch::eeg(eeg, montage(3)), &zero);
        }
    }
}

#[test]
fn mindmix_classifier() {
    let keys = "it adds the same to a query's products with all keys, which softmax takes away";
    let single = "with one channel a group, group norm takes constants away";
    for dtype in BOTH {
        for (size, spatial) in [(Size::Tiny, true), (Size::Tiny, false), (Size::Base, true)] {
            let encoder = EncoderConfig {
                depth: 2,
                spatial_embedding: spatial,
                drop_path: 0.0,
                ..EncoderConfig::new(size)
            };
            let mut zero = vec![("k_norm.bias", 1e-12, keys)];
            if encoder.conv_channels == 4 {
                zero.extend(["conv1.bias", "conv2.bias", "conv3.bias"].map(|n| (n, 1e-12, single)));
            }
            let config = ClassifierConfig {
                encoder,
                ..ClassifierConfig::new(size, 2)
            };
            let params = Params::with_dtype(0, &Device::Cpu, dtype);
            let net = Classifier::new(&config, params).unwrap();
            let eeg = noise("eeg", (4, 3, 400)).to_dtype(dtype).unwrap();
            walk(&net, &Batch::eeg(eeg, montage(3)), &zero);
        }
    }
}

#[test]
fn aadnet() {
    let zero = [
        ("batchnorm_2.bias", 1e-12, "correlation takes means away"),
        (
            "batchnorm_2.weight",
            1e-5,
            "correlation divides scales away, up to its epsilon",
        ),
    ];
    for dtype in BOTH {
        let params = Params::with_dtype(0, &Device::Cpu, dtype);
        let net = AadNet::new(&AadNetConfig::new(5), params).unwrap();
        let eeg = noise("eeg", (6, 5, 128)).to_dtype(dtype).unwrap();
        let envelopes = noise("envelopes", (6, 2, 128)).to_dtype(dtype).unwrap();
        walk(
            &net,
            &Batch::with_envelopes(eeg, montage(5), envelopes),
            &zero,
        );
    }
}

#[test]
fn steps_are_reproducible_and_masks_depend_on_the_step() {
    let config = EegNetConfig::new(4, 200, 3, 128.0);
    let net = EegNet::new(&config, Params::new(3, &Device::Cpu)).unwrap();
    let batch = Batch::eeg(noise("eeg", (5, 4, 200)), montage(4));
    let scores = |step| {
        net.forward(&batch, Mode::Train { seed: 1, step })
            .unwrap()
            .to_vec2::<f32>()
            .unwrap()
    };
    assert_eq!(scores(1), scores(1));
    assert_ne!(scores(1), scores(2));
    let eval = || {
        net.forward(&batch, Mode::Eval)
            .unwrap()
            .to_vec2::<f32>()
            .unwrap()
    };
    assert_eq!(eval(), eval());
}

/// Scores and gradients of a training step, by name, with running statistics behind.
fn outcome(model: &dyn Model, batch: &Batch) -> Vec<(String, Vec<f64>)> {
    let flat = |t: &Tensor| -> Vec<f64> {
        t.flatten_all()
            .unwrap()
            .to_dtype(DType::F64)
            .unwrap()
            .to_vec1()
            .unwrap()
    };
    let y = model.forward(batch, STEP).unwrap();
    let grads = cross_entropy(&y).backward().unwrap();
    let mut out = vec![("scores".to_string(), flat(&y))];
    for p in model.params().trainable() {
        out.push((p.name.clone(), flat(grads.get(p.var.as_tensor()).unwrap())));
    }
    for p in model.params().buffers() {
        out.push((p.name.clone(), flat(p.var.as_tensor())));
    }
    out
}

#[test]
fn eegnet_reordered_equals_published_in_every_shape_class() {
    let shapes = [
        (1, 1, 33, 1),
        (2, 1, 200, 100),
        (3, 255, 64, 63),
        (5, 7, 101, 50),
        (1, 16, 400, 100),
    ];
    for (b, channels, times, kernel) in shapes {
        let config = EegNetConfig {
            kernel,
            ..EegNetConfig::new(channels, times, 2, 200.0)
        };
        let fast = EegNet::new(&config, Params::new(1, &Device::Cpu)).unwrap();
        let exact = Params::with_dtype(1, &Device::Cpu, DType::F64);
        let exact = EegNet::new(&config, exact).unwrap();
        exact
            .params()
            .load(&fast.params().tensors().unwrap())
            .unwrap();
        // Slow waves under the noise, as in EEG: neighbouring windows are alike.
        let slow = noise("slow", (b, channels, 1))
            .broadcast_as((b, channels, times))
            .unwrap();
        let eeg = ((noise("eeg", (b, channels, times)) * 0.5).unwrap() + slow).unwrap();
        let wide = eeg.to_dtype(DType::F64).unwrap();
        let fast = outcome(&fast, &Batch::eeg(eeg, montage(channels)));
        let exact = outcome(&exact, &Batch::eeg(wide, montage(channels)));
        let top = exact
            .iter()
            .flat_map(|(_, v)| v)
            .fold(0.0, |m: f64, v| m.max(v.abs()));
        for ((name, a), (_, e)) in fast.iter().zip(&exact) {
            let scale = e.iter().fold(1e-2 * top, |m: f64, v| m.max(v.abs()));
            let worst = a
                .iter()
                .zip(e)
                .map(|(a, e)| (a - e).abs())
                .fold(0.0, f64::max);
            assert!(
                worst <= 2e-5 * scale,
                "{channels} × {times}, {kernel}: {name} differs by {worst} of {scale}"
            );
        }
    }
}

#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let eegnet = || -> Box<dyn Model> {
        Box::new(
            EegNet::new(
                &EegNetConfig::new(5, 200, 2, 200.0),
                Params::new(0, &Device::Cpu),
            )
            .unwrap(),
        )
    };
    let aadnet = || -> Box<dyn Model> {
        Box::new(AadNet::new(&AadNetConfig::new(5), Params::new(0, &Device::Cpu)).unwrap())
    };
    let mindmix = || -> Box<dyn Model> {
        Box::new(
            Classifier::new(
                &ClassifierConfig::new(Size::Tiny, 2),
                Params::new(0, &Device::Cpu),
            )
            .unwrap(),
        )
    };
    let batch = Batch::with_envelopes(
        noise("eeg", (21, 5, 200)),
        montage(5),
        noise("envelopes", (21, 2, 200)),
    );
    let makers: [&(dyn Fn() -> Box<dyn Model> + Sync); 3] = [&eegnet, &aadnet, &mindmix];
    for make in makers {
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| outcome(&*make(), &batch))
        };
        assert_eq!(run(1), run(3));
    }
}

#[test]
fn bad_inputs_are_typed_errors() {
    let net = EegNet::new(
        &EegNetConfig::new(4, 200, 3, 128.0),
        Params::new(3, &Device::Cpu),
    )
    .unwrap();
    for shape in [(0, 4, 200), (2, 5, 200), (2, 4, 199)] {
        let batch = Batch::eeg(noise("eeg", shape), montage(4));
        assert!(matches!(
            net.forward(&batch, Mode::Eval),
            Err(mmpipe_models::Error::Shape { .. })
        ));
    }
    let net = AadNet::new(&AadNetConfig::new(5), Params::new(0, &Device::Cpu)).unwrap();
    let alone = Batch::eeg(noise("eeg", (2, 5, 128)), montage(5));
    assert!(matches!(
        net.forward(&alone, Mode::Eval),
        Err(mmpipe_models::Error::MissingInput { .. })
    ));
    let three = Batch::with_envelopes(
        noise("eeg", (2, 5, 128)),
        montage(5),
        noise("envelopes", (2, 3, 128)),
    );
    assert!(matches!(
        net.forward(&three, Mode::Eval),
        Err(mmpipe_models::Error::Shape { .. })
    ));
    let net = Classifier::new(
        &ClassifierConfig::new(Size::Tiny, 2),
        Params::new(0, &Device::Cpu),
    )
    .unwrap();
    let cut = Batch::eeg(noise("eeg", (2, 3, 399)), montage(3));
    assert!(matches!(
        net.forward(&cut, Mode::Eval),
        Err(mmpipe_models::Error::Shape { .. })
    ));
    let odd = Batch::eeg(
        noise("eeg", (2, 2, 400)),
        vec!["Fz".to_string(), "E12".to_string()].into(),
    );
    assert!(matches!(
        net.forward(&odd, Mode::Eval),
        Err(mmpipe_models::Error::UnknownElectrode { name }) if name == "E12"
    ));
    for config in [
        EegNetConfig {
            times: 31,
            ..EegNetConfig::new(4, 200, 3, 128.0)
        },
        EegNetConfig {
            dropout: 1.0,
            ..EegNetConfig::new(4, 200, 3, 128.0)
        },
        EegNetConfig {
            channels: 0,
            ..EegNetConfig::new(4, 200, 3, 128.0)
        },
    ] {
        let built = EegNet::new(&config, Params::new(0, &Device::Cpu));
        assert!(matches!(built, Err(mmpipe_models::Error::Config { .. })));
    }
}

#[test]
fn max_norm_holds_after_constrain() {
    let net = EegNet::new(
        &EegNetConfig::new(4, 200, 3, 128.0),
        Params::new(3, &Device::Cpu),
    )
    .unwrap();
    for (name, limit) in [
        ("conv_spatial.weight", 1.0),
        ("conv_classifier.weight", 0.25),
    ] {
        let p = net.params().get(name).unwrap();
        let before = noise(
            name,
            (p.var.dims()[0], 1, p.var.elem_count() / p.var.dims()[0]),
        );
        // Every second filter small, so that it must stay as it is.
        let gain: Vec<f32> = (0..p.var.dims()[0])
            .map(|i| if i % 2 == 0 { 10.0 } else { 1e-3 })
            .collect();
        let gain = Tensor::from_vec(gain, (p.var.dims()[0], 1, 1), &Device::Cpu).unwrap();
        let before = before
            .broadcast_mul(&gain)
            .unwrap()
            .reshape(p.var.dims())
            .unwrap();
        p.var.set(&before).unwrap();
        net.constrain().unwrap();
        let rows = |t: &Tensor| t.flatten_from(1).unwrap().to_vec2::<f32>().unwrap();
        for (i, (a, b)) in rows(p.var.as_tensor())
            .iter()
            .zip(rows(&before))
            .enumerate()
        {
            let norm = a.iter().map(|v| v * v).sum::<f32>().sqrt();
            if i % 2 == 0 {
                assert!((norm - limit).abs() < 1e-5, "{name} {i}: {norm}");
            } else {
                assert_eq!(a, &b, "{name} {i}");
            }
        }
    }
}
