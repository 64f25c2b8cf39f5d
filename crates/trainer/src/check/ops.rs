//! Every operation: its values, and the gradients of all its arguments.

use anyhow::{Context as _, Result};
use candle_core::{DType, Device, Tensor, Var};
use mmpipe_models::ops::{self, Norm, TimeConv};
use mmpipe_models::pretrain::cross_entropy;
use mmpipe_models::rng::Stream;

use super::{Case, Found, GRADIENT, values};
use crate::networks::noise;

type Op = Box<dyn Fn(&[Tensor]) -> candle_core::Result<Tensor>>;

/// Largest relative difference of two f32 forms of one operation.
const TOLERANCE: f64 = 2e-5;

fn case(name: &str, shapes: &[&[usize]], bf16: bool, op: Op) -> Case {
    let shapes: Vec<Vec<usize>> = shapes.iter().map(|s| s.to_vec()).collect();
    Case {
        name: name.to_owned(),
        tolerance: TOLERANCE,
        by_itself: TOLERANCE,
        bf16,
        run: Box::new(move |device| run(&shapes, &op, device)),
    }
}

fn run(shapes: &[Vec<usize>], op: &Op, device: &Device) -> Result<Found> {
    let mut args = Vec::with_capacity(shapes.len());
    for (i, shape) in shapes.iter().enumerate() {
        args.push(Var::from_tensor(&noise(
            &format!("argument {i}"),
            shape,
            device,
        )?)?);
    }
    let tensors: Vec<Tensor> = args.iter().map(|v| v.as_tensor().clone()).collect();
    let y = op(&tensors)?;
    let loss = (&y * noise("cotangent", y.dims(), device)?)?.sum_all()?;
    let grads = loss.backward()?;
    let mut found = vec![("value".to_owned(), values(&y)?)];
    for (i, arg) in args.iter().enumerate() {
        let g = grads.get(arg.as_tensor());
        let g = g.with_context(|| format!("argument {i} has no gradient"))?;
        found.push((format!("{GRADIENT}argument {i}"), values(g)?));
    }
    Ok(found)
}

fn conv(name: &str, x: &[usize], weight: &[usize], conv: TimeConv) -> Case {
    let bias = [weight[0]];
    case(
        name,
        &[x, weight, &bias],
        true,
        Box::new(move |a| ops::conv_time(&a[0], &a[1], Some(&a[2]), &conv)),
    )
}

/// All operations.
pub(super) fn all() -> Vec<Case> {
    let mut all = products();
    all.extend(norms());
    all.extend(pointwise());
    all
}

fn products() -> Vec<Case> {
    vec![
        case(
            "linear",
            &[&[33, 20], &[7, 20], &[7]],
            true,
            Box::new(|a| ops::linear(&a[0], &a[1], Some(&a[2]))),
        ),
        case(
            "linear without bias",
            &[&[1, 20], &[7, 20]],
            true,
            Box::new(|a| ops::linear(&a[0], &a[1], None)),
        ),
        case(
            "matmul",
            &[&[3, 5, 7], &[3, 7, 4]],
            true,
            Box::new(|a| ops::matmul(&a[0], &a[1])),
        ),
        case(
            "attention",
            &[&[2, 5, 33, 20], &[2, 5, 33, 20], &[2, 5, 33, 20]],
            true,
            Box::new(|a| ops::attention(&a[0], &a[1], &a[2], 0.2)),
        ),
        case(
            "attention of one token",
            &[&[3, 4, 1, 8], &[3, 4, 1, 8], &[3, 4, 1, 8]],
            false,
            Box::new(|a| ops::attention(&a[0], &a[1], &a[2], 0.2)),
        ),
        case(
            "attention, padded",
            &[&[3, 2, 9, 8], &[3, 2, 9, 8], &[3, 2, 9, 8]],
            true,
            Box::new(|a| ops::attention_padded(&a[0], &a[1], &a[2], 0.3, &[9, 1, 5])),
        ),
        conv(
            "convolution of patches",
            &[30, 1, 200],
            &[8, 1, 15],
            TimeConv::padded(8, 7, 1),
        ),
        conv(
            "convolution",
            &[3, 8, 25],
            &[8, 8, 3],
            TimeConv::padded(1, 1, 1),
        ),
        conv(
            "convolution, stride 5",
            &[2, 3, 101],
            &[6, 3, 10],
            TimeConv::padded(5, 0, 1),
        ),
        conv(
            "convolution, stride 2, even",
            &[2, 6, 40],
            &[6, 6, 2],
            TimeConv::padded(2, 0, 1),
        ),
        conv(
            "convolution, one tap",
            &[2, 255, 9],
            &[4, 255, 1],
            TimeConv::same(1, 1),
        ),
        conv(
            "convolution, grouped",
            &[2, 8, 20],
            &[8, 2, 6],
            TimeConv::same(6, 4),
        ),
        conv(
            "convolution, depthwise",
            &[2, 6, 33],
            &[6, 1, 16],
            TimeConv::same(16, 6),
        ),
        case(
            "convolution, channels-last",
            &[&[2, 33, 6], &[8, 6, 3]],
            true,
            Box::new(|a| ops::conv_frames(&a[0], &a[1], 2, false, false)),
        ),
        case(
            "convolution, channels-last, and GELU",
            &[&[2, 33, 6], &[8, 6, 3]],
            false,
            Box::new(|a| ops::conv_frames(&a[0], &a[1], 2, true, true)),
        ),
    ]
}

fn norms() -> Vec<Case> {
    let batch = |pool: Option<usize>| -> Op {
        Box::new(move |a| Ok(ops::batch_norm(&a[0], &a[1], &a[2], 1e-3, Norm::Batch, pool)?.0))
    };
    vec![
        case(
            "layer norm",
            &[&[3, 17, 200], &[200], &[200]],
            false,
            Box::new(|a| ops::layer_norm(&a[0], &a[1], &a[2], 1e-6)),
        ),
        case(
            "group norm and GELU",
            &[&[2, 255, 8, 5], &[8], &[8]],
            false,
            Box::new(|a| ops::group_norm_gelu(&a[0], 4, &a[1], &a[2], 1e-5, None)),
        ),
        case(
            "group norm and GELU, padded",
            &[&[3, 6, 8, 5], &[8], &[8]],
            false,
            Box::new(|a| ops::group_norm_gelu(&a[0], 4, &a[1], &a[2], 1e-5, Some(&[6, 1, 4]))),
        ),
        case("batch norm", &[&[4, 3, 32], &[3], &[3]], false, batch(None)),
        case(
            "batch norm, ELU, mean",
            &[&[4, 3, 32], &[3], &[3]],
            false,
            batch(Some(4)),
        ),
        case(
            "batch norm, fixed",
            &[&[2, 5, 30], &[5], &[5]],
            false,
            Box::new(|a| {
                let of = |v: f32| Tensor::full(v, 5, a[0].device());
                let (mean, var) = (of(0.1)?, of(0.7)?);
                let norm = Norm::Fixed {
                    mean: &mean,
                    var: &var,
                };
                Ok(ops::batch_norm(&a[0], &a[1], &a[2], 1e-3, norm, None)?.0)
            }),
        ),
        case(
            "unit vectors",
            &[&[9, 64]],
            false,
            Box::new(|a| ops::l2_normalise(&a[0], 1e-12)),
        ),
    ]
}

fn pointwise() -> Vec<Case> {
    let one = |name: &str, op: fn(&Tensor) -> candle_core::Result<Tensor>| {
        case(name, &[&[3, 7, 33]], false, Box::new(move |a| op(&a[0])))
    };
    vec![
        one("softmax", ops::softmax),
        one("logarithm of softmax", ops::log_softmax),
        one("GELU", ops::gelu),
        one("ReLU", ops::relu),
        one("ELU", ops::elu),
        one("tanh", |x| x.tanh()),
        one("mean of four", |x| ops::avg_pool_time(x, 4)),
        one("largest of three", ops::max_pool3_time),
        one("turn", ops::turn),
        one("mean of patches", |x| {
            ops::mean_of_patches(x, Some(&[6, 1, 3]))
        }),
        case(
            "class token",
            &[&[3, 7, 33], &[1, 7, 33], &[1, 1, 33]],
            false,
            Box::new(|a| ops::with_class_token(&a[0], &a[1], &a[2])),
        ),
        one("dropout", |x| {
            ops::dropout(x, 0.3, Some(Stream::named(3, "dropout")))
        }),
        one("drop path", |x| {
            ops::drop_path(x, 0.5, Some(Stream::named(3, "path")))
        }),
        one("rows by index", |x| {
            let rows = Tensor::from_slice(&[2u32, 0, 2, 1], 4, x.device())?;
            x.index_select(&rows, 0)
        }),
        case(
            "cross-entropy",
            &[&[6, 9]],
            false,
            Box::new(|a| {
                let labels = Tensor::from_slice(&[0u32, 8, 3, 3, 1, 5], 6, a[0].device())?;
                let found = cross_entropy(&a[0], &labels).map_err(candle_core::Error::wrap)?;
                found.0.to_dtype(DType::F32)
            }),
        ),
    ]
}
