//! The encoder: padded batches against samples alone, mixed montages, electrodes, sizes.

use super::twin::{self, close, flat, largest};
use candle_core::{DType, Device, Tensor};
use mmpipe_models::encoder::{Encoder, EncoderConfig, Size};
use mmpipe_models::ops;
use mmpipe_models::rng::Stream;
use mmpipe_models::{Error, Mode, Params};

const TRAIN: Mode = Mode::Train { seed: 2, step: 8 };
/// Montages of 3, 1 and 5 channels, one name outside the published list.
const MONTAGES: [&[&str]; 3] = [
    &["Fp1", "CCP1h", "Oz"],
    &["Cz"],
    &["T7", "T3", "Pz", "O2", "AFz"],
];

fn names() -> Vec<Vec<String>> {
    MONTAGES
        .iter()
        .map(|m| m.iter().map(|s| s.to_string()).collect())
        .collect()
}

fn noise(name: &str, shape: &[usize], dtype: DType) -> Tensor {
    let s = Stream::named(1, name);
    let n: usize = shape.iter().product();
    let v: Vec<f64> = (0..n as u64).map(|i| s.normal(i)).collect();
    Tensor::from_vec(v, shape, &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

fn small(spatial: bool) -> EncoderConfig {
    EncoderConfig {
        depth: 2,
        mlp: 60,
        spatial_embedding: spatial,
        // Drop path draws by sample, so it is the same only for the same place in a batch.
        drop_path: 0.0,
        ..EncoderConfig::new(Size::Base)
    }
}

/// Samples of different montages padded to the widest, with garbage for padding, give each sample's
/// own result and the same gradients as the samples alone.
#[test]
fn padding_reaches_nothing() {
    for (dtype, tolerance) in twin::BOTH {
        for spatial in [true, false] {
            let mut params = Params::with_dtype(3, &Device::Cpu, dtype);
            let net = Encoder::new(&small(spatial), &mut params, "").unwrap();
            let names = names();
            let widest = 5;
            let (mut alone, mut padded) = (Vec::new(), Vec::new());
            for (i, m) in names.iter().enumerate() {
                let x = noise(&format!("eeg {i}"), &[1, m.len(), 400], dtype);
                alone.push(net.forward(&x, m, TRAIN).unwrap());
                let rest = noise("garbage", &[1, widest, 400], dtype);
                let rest = (rest.narrow(1, 0, widest - m.len()).unwrap() * 1e3).unwrap();
                padded.push(Tensor::cat(&[x, rest], 1).unwrap());
            }
            let alone = Tensor::cat(&alone, 0).unwrap();
            let montages: Vec<&[String]> = names.iter().map(Vec::as_slice).collect();
            let together = net
                .forward_padded(&Tensor::cat(&padded, 0).unwrap(), &montages, TRAIN)
                .unwrap();
            close(
                "values",
                &flat(&together),
                &flat(&alone),
                largest(&flat(&alone)),
                tolerance,
            );
            let grads = |y: &Tensor| twin::backward(&[("y", y)]);
            let (a, b) = (grads(&alone), grads(&together));
            let top = params
                .trainable()
                .map(|p| largest(&flat(a.get(p.var.as_tensor()).unwrap())))
                .fold(0.0, f64::max);
            for p in params.trainable() {
                let (a, b) = (
                    a.get(p.var.as_tensor()).unwrap(),
                    b.get(p.var.as_tensor()).unwrap(),
                );
                // What a softmax takes away is compared relative to the largest of all.
                let scale = match p.name.ends_with("k_norm.bias") {
                    true => top,
                    false => largest(&flat(a)).max(1e-3 * top),
                };
                close(&p.name, &flat(b), &flat(a), scale, tolerance);
            }
        }
    }
}

#[test]
fn group_norm_and_attention_with_padding_are_differentiable() {
    // Finite differences in f64; the kernel (attention, f32) against the composite.
    let shape = [2usize, 3, 4, 5];
    let (w, b) = (noise("w", &[4], DType::F64), noise("b", &[4], DType::F64));
    let norm = |x: &Tensor| ops::group_norm_gelu(x, 2, &w, &b, 1e-5, Some(&[2, 3])).unwrap();
    let k = noise("k", &[2, 2, 6, 3], DType::F64);
    let v = noise("v", &[2, 2, 6, 3], DType::F64);
    let attend = |q: &Tensor, dtype: DType| {
        let cast = |t: &Tensor| t.to_dtype(dtype).unwrap();
        ops::attention_padded(&cast(q), &cast(&k), &cast(&v), 0.5, &[4, 6]).unwrap()
    };
    let q = noise("q", &[2, 2, 6, 3], DType::F64);
    close(
        "kernel",
        &flat(&attend(&q, DType::F32)),
        &flat(&attend(&q, DType::F64)),
        1.0,
        1e-5,
    );
    check_differences(&noise("x", &shape, DType::F64), &norm);
    check_differences(&q, &|q| attend(q, DType::F64));
    for lengths in [vec![4], vec![0, 6], vec![4, 7]] {
        assert!(ops::attention_padded(&q, &k, &v, 0.5, &lengths).is_err());
    }
    assert!(
        ops::group_norm_gelu(
            &noise("x", &shape, DType::F64),
            2,
            &w,
            &b,
            1e-5,
            Some(&[0, 3])
        )
        .is_err()
    );
}

fn check_differences(x: &Tensor, op: &dyn Fn(&Tensor) -> Tensor) {
    let var = candle_core::Var::from_tensor(x).unwrap();
    let y = op(var.as_tensor());
    let cotangent = twin::wave("cotangent.y", y.elem_count(), 1.0);
    let grad = flat(twin::backward(&[("y", &y)]).get(var.as_tensor()).unwrap());
    let base = flat(x);
    let loss = |v: Vec<f64>| -> f64 {
        let y = op(&Tensor::from_vec(v, x.dims(), &Device::Cpu).unwrap());
        flat(&y).iter().zip(&cotangent).map(|(a, b)| a * b).sum()
    };
    for i in (0..base.len()).step_by(3) {
        let at = |by: f64| {
            let mut v = base.clone();
            v[i] += by;
            loss(v)
        };
        let slope = (at(1e-5) - at(-1e-5)) / 2e-5;
        assert!(
            (slope - grad[i]).abs() <= 1e-6 * largest(&grad).max(1e-2),
            "{i}: {slope} {}",
            grad[i]
        );
    }
}

/// One name outside the list changes nothing else: it reads the row of its neighbour.
#[test]
fn unlisted_electrodes_read_their_neighbours_row() {
    let mut params = Params::new(1, &Device::Cpu);
    let net = Encoder::new(&small(true), &mut params, "").unwrap();
    let x = noise("x", &[2, 2, 200], DType::F32);
    let run = |names: [&str; 2]| {
        let names = names.map(str::to_string);
        net.forward(&x, &names, Mode::Eval)
    };
    let near = mmpipe_models::encoder::electrodes::row("FFC1h").unwrap();
    let lender = ["FC1", "F1", "FCz", "Fz"]
        .into_iter()
        .find(|n| mmpipe_models::encoder::electrodes::row(n).unwrap() == near)
        .expect("the neighbour is one of the four around");
    assert_eq!(
        flat(&run(["FFC1h", "Oz"]).unwrap()),
        flat(&run([lender, "Oz"]).unwrap())
    );
    assert_ne!(
        flat(&run(["Fp1", "Oz"]).unwrap()),
        flat(&run([lender, "Oz"]).unwrap())
    );
    assert!(matches!(run(["E17", "Oz"]), Err(Error::UnknownElectrode { name }) if name == "E17"));
}

#[test]
fn without_the_spatial_embedding_electrodes_have_no_order() {
    let mut params = Params::with_dtype(1, &Device::Cpu, DType::F64);
    let net = Encoder::new(&small(false), &mut params, "").unwrap();
    let x = noise("x", &[2, 3, 400], DType::F64);
    let back = Tensor::new(&[2u32, 0, 1], &Device::Cpu).unwrap();
    let a = net.forward(&x, &[], Mode::Eval).unwrap();
    let b = net
        .forward(&x.index_select(&back, 1).unwrap(), &[], Mode::Eval)
        .unwrap();
    close("permuted", &flat(&a), &flat(&b), largest(&flat(&a)), 1e-12);
}

#[test]
fn padded_batches_that_do_not_fit_are_typed_errors() {
    let mut params = Params::new(1, &Device::Cpu);
    let net = Encoder::new(&small(true), &mut params, "").unwrap();
    let x = noise("x", &[2, 3, 400], DType::F32);
    let (one, four) = (vec!["Cz".to_string()], vec!["Cz".to_string(); 4]);
    for montages in [
        vec![one.as_slice()],
        vec![one.as_slice(), four.as_slice()],
        vec![one.as_slice(), &[]],
    ] {
        let r = net.forward_padded(&x, &montages, Mode::Eval);
        assert!(matches!(r, Err(Error::Shape { .. })));
    }
    for shape in [[2, 3, 399], [2, 3, 17 * 200], [2, 0, 200]] {
        let x = Tensor::zeros(&shape, DType::F32, &Device::Cpu).unwrap();
        assert!(matches!(
            net.forward(&x, &one, Mode::Eval),
            Err(Error::Shape { .. })
        ));
    }
}

/// The four sizes build: widths, depths and heads of the published configurations.
#[test]
fn sizes() {
    for (size, width, depth, heads) in [
        (Size::Tiny, 100, 4, 5),
        (Size::Base, 200, 12, 10),
        (Size::Large, 400, 24, 16),
        (Size::Huge, 800, 48, 16),
    ] {
        let c = EncoderConfig::new(size);
        assert_eq!((c.width(), c.depth, c.heads), (width, depth, heads));
        assert_eq!(c.mlp, 4 * width);
        // Depth one: the shapes of a block are what can be wrong.
        let c = EncoderConfig { depth: 1, ..c };
        let mut params = Params::new(0, &Device::Cpu);
        let net = Encoder::new(&c, &mut params, "").unwrap();
        let y = net
            .forward(
                &noise("x", &[1, 1, 200], DType::F32),
                &["Cz".to_string()],
                Mode::Eval,
            )
            .unwrap();
        assert_eq!(y.dims(), [1, width]);
    }
}
