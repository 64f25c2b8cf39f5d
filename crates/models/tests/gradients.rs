//! Every operation, in every shape class (one channel, 255 channels, batch 1, odd lengths):
//! kernel against composite (values and gradients), and both against finite differences.

use candle_core::{DType, Device, Result, Tensor, Var};
use mmpipe_models::ops::{self, Norm, TimeConv};
use mmpipe_models::rng::Stream;

type Op<'a> = &'a dyn Fn(&[Tensor]) -> Result<Tensor>;

fn vars(shapes: &[Vec<usize>], dtype: DType) -> Vec<Var> {
    shapes
        .iter()
        .enumerate()
        .map(|(a, shape)| {
            let s = Stream::named(11, "argument").child(a as u64);
            let n: usize = shape.iter().product();
            let v: Vec<f32> = (0..n as u64).map(|i| 2.0 * s.uniform(i) - 0.8).collect();
            let t = Tensor::from_vec(v, shape.as_slice(), &Device::Cpu).unwrap();
            Var::from_tensor(&t.to_dtype(dtype).unwrap()).unwrap()
        })
        .collect()
}

fn flat(t: &Tensor) -> Vec<f64> {
    t.to_dtype(DType::F64)
        .unwrap()
        .flatten_all()
        .unwrap()
        .to_vec1()
        .unwrap()
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

fn cotangent(n: usize) -> Vec<f64> {
    let s = Stream::named(12, "cotangent");
    (0..n as u64)
        .map(|i| f64::from(2.0 * s.uniform(i) - 1.0))
        .collect()
}

/// Value of the operation, and the gradients of Σ cotangent·value.
fn run(op: Op<'_>, args: &[Var]) -> (Vec<f64>, Vec<Vec<f64>>) {
    let tensors: Vec<Tensor> = args.iter().map(|v| v.as_tensor().clone()).collect();
    let y = op(&tensors).unwrap();
    let c = Tensor::from_vec(cotangent(y.elem_count()), y.dims(), &Device::Cpu)
        .unwrap()
        .to_dtype(y.dtype())
        .unwrap();
    let grads = (&y * c).unwrap().sum_all().unwrap().backward().unwrap();
    let grads = args
        .iter()
        .map(|v| {
            flat(
                grads
                    .get(v.as_tensor())
                    .expect("a gradient for every argument"),
            )
        })
        .collect();
    (flat(&y), grads)
}

fn loss(op: Op<'_>, args: &[Tensor]) -> f64 {
    let y = flat(&op(args).unwrap());
    y.iter().zip(cotangent(y.len())).map(|(y, c)| y * c).sum()
}

/// Central differences at up to 9 places of each argument.
fn differences(
    name: &str,
    op: Op<'_>,
    args: &[Var],
    grads: &[Vec<f64>],
    step: f64,
    tolerance: f64,
) {
    let mut tensors: Vec<Tensor> = args.iter().map(|v| v.as_detached_tensor()).collect();
    let y = flat(&op(&tensors).unwrap());
    let terms = y
        .iter()
        .zip(cotangent(y.len()))
        .map(|(y, c)| (y * c).powi(2))
        .sum::<f64>()
        .sqrt();
    for (a, grad) in grads.iter().enumerate() {
        let (base, dtype) = (flat(&tensors[a]), tensors[a].dtype());
        let shape = tensors[a].dims().to_vec();
        let (scale, unit) = match dtype {
            DType::F64 => (largest(grad).max(1e-2), f64::EPSILON),
            _ => (largest(grad).max(1e-2), f64::from(f32::EPSILON)),
        };
        // Rounding of the two losses, divided by the distance between them.
        let noise = 2.0 * unit * terms / step;
        for i in (0..base.len()).step_by(base.len().div_ceil(9)) {
            let mut at = |by: f64| {
                let mut v = base.clone();
                v[i] += by;
                tensors[a] = Tensor::from_vec(v, shape.as_slice(), &Device::Cpu)
                    .unwrap()
                    .to_dtype(dtype)
                    .unwrap();
                loss(op, &tensors)
            };
            let slope = (at(step) - at(-step)) / (2.0 * step);
            at(0.0);
            let error = (slope - grad[i]).abs();
            assert!(
                error <= tolerance * scale + noise,
                "{name}: argument {a} at {i}: slope {slope}, gradient {}",
                grad[i]
            );
        }
    }
}

fn check(name: &str, shapes: &[Vec<usize>], op: Op<'_>) {
    check_with_step(name, shapes, 3e-3, op);
}

/// `step`: distance of the f32 differences; longer where the operation is smooth and its result
/// is the sum of many terms.
fn check_with_step(name: &str, shapes: &[Vec<usize>], step: f64, op: Op<'_>) {
    let name = format!("{name} {shapes:?}");
    let (exact, fast) = (vars(shapes, DType::F64), vars(shapes, DType::F32));
    let (y64, g64) = run(op, &exact);
    let (y32, g32) = run(op, &fast);
    let compare = |what: &str, a: &[f64], b: &[f64]| {
        assert_eq!(a.len(), b.len());
        let worst = a
            .iter()
            .zip(b)
            .map(|(a, b)| (a - b).abs())
            .fold(0.0, f64::max);
        let scale = largest(b).max(1e-2);
        assert!(
            worst <= 1e-5 * scale,
            "{name}: {what} of kernel and composite differ by {worst:e} of {scale}"
        );
    };
    compare("values", &y32, &y64);
    for (i, (a, b)) in g32.iter().zip(&g64).enumerate() {
        compare(&format!("gradients of argument {i}"), a, b);
    }
    differences(&name, op, &exact, &g64, 1e-5, 1e-6);
    differences(&name, op, &fast, &g32, step, 1e-3);
}

#[test]
fn layer_norm() {
    for shape in [
        vec![1, 1, 20],
        vec![3, 255, 7],
        vec![1, 33, 200],
        vec![2, 5],
    ] {
        let d = *shape.last().unwrap();
        check("layer norm", &[shape, vec![d], vec![d]], &|a| {
            ops::layer_norm(&a[0], &a[1], &a[2], 1e-6)
        });
    }
}

#[test]
fn linear_with_and_without_bias() {
    for (rows, n_in, n_out) in [(1, 1, 1), (3, 7, 5), (255, 4, 33), (2, 300, 1)] {
        let shapes = [vec![rows, n_in], vec![n_out, n_in], vec![n_out]];
        let name = format!("linear {rows} x {n_in} to {n_out}");
        check(&name, &shapes, &|a| ops::linear(&a[0], &a[1], Some(&a[2])));
        check(&name, &shapes[..2], &|a| ops::linear(&a[0], &a[1], None));
    }
}

#[test]
fn softmax_gelu_elu() {
    for shape in [
        vec![1, 1, 1, 9],
        vec![2, 255, 3],
        vec![1, 1, 129],
        vec![3, 16, 16],
    ] {
        check("softmax", std::slice::from_ref(&shape), &|a| {
            ops::softmax(&a[0])
        });
        check("gelu", std::slice::from_ref(&shape), &|a| ops::gelu(&a[0]));
        check("relu", std::slice::from_ref(&shape), &|a| ops::relu(&a[0]));
        check("elu", &[shape], &|a| ops::elu(&a[0]));
    }
}

#[test]
fn group_norm() {
    for (b, r, l) in [(1, 1, 25), (2, 7, 5), (1, 255, 3)] {
        let op = |a: &[Tensor]| ops::group_norm_gelu(&a[0], 4, &a[1], &a[2], 1e-5, None);
        check("group norm", &[vec![b, r, 8, l], vec![8], vec![8]], &op);
    }
}

#[test]
fn batch_norm_with_and_without_elu_and_pooling() {
    for (b, c, t) in [(1, 1, 33), (4, 3, 32), (1, 255, 9), (3, 16, 101)] {
        for pool in [None, Some(1), Some(4), Some(8)] {
            let shapes = [vec![b, c, t], vec![c], vec![c]];
            check("batch norm", &shapes, &|a| {
                Ok(ops::batch_norm(&a[0], &a[1], &a[2], 1e-3, Norm::Batch, pool)?.0)
            });
            check("batch norm, fixed statistics", &shapes, &|a| {
                let mean = Tensor::full(0.1f32, c, &Device::Cpu)?.to_dtype(a[0].dtype())?;
                let var = Tensor::full(0.7f32, c, &Device::Cpu)?.to_dtype(a[0].dtype())?;
                let norm = Norm::Fixed {
                    mean: &mean,
                    var: &var,
                };
                Ok(ops::batch_norm(&a[0], &a[1], &a[2], 1e-3, norm, pool)?.0)
            });
        }
    }
}

#[test]
fn conv_time_dense() {
    let shapes = [
        (1, 1, 1, 5, 3),
        (2, 1, 8, 200, 15),
        (1, 255, 2, 11, 3),
        (5, 6, 4, 57, 39),
        (19, 3, 2, 8, 1),
        (2, 5, 18, 21, 10),
    ];
    for (b, n_in, n_out, t, k) in shapes {
        let convs = [
            TimeConv::same(k, 1),
            TimeConv::padded(1, 0, 1),
            TimeConv::padded(3, k / 2, 1),
        ];
        for conv in convs.into_iter().filter(|c| c.output_len(t, k).is_some()) {
            let arguments = vec![vec![b, n_in, t], vec![n_out, n_in, k]];
            check("conv", &arguments, &|a| {
                ops::conv_time(&a[0], &a[1], None, &conv)
            });
            let biased = [arguments, vec![vec![n_out]]].concat();
            check("conv with bias", &biased, &|a| {
                ops::conv_time(&a[0], &a[1], Some(&a[2]), &conv)
            });
        }
    }
}

/// Dimensions before the last two are as many signals, with kernels, sliding or not, and without.
#[test]
fn conv_time_of_signals_of_signals() {
    for (before, n_in, n_out, groups, k) in [
        (&[2, 3][..], 1, 8, 1, 15),
        (&[2, 1, 2], 8, 8, 1, 3),
        (&[], 4, 4, 4, 3),
        (&[3, 2], 4, 2, 2, 3),
    ] {
        let conv = TimeConv::padded(1, k / 2, groups);
        let arguments = [
            [before, &[n_in, 21]].concat(),
            vec![n_out, n_in / groups, k],
            vec![n_out],
        ];
        let op = |a: &[Tensor]| ops::conv_time(&a[0], &a[1], Some(&a[2]), &conv);
        check("conv of signals of signals", &arguments, &op);
        let args: Vec<Tensor> = vars(&arguments, DType::F32)
            .iter()
            .map(|v| v.as_tensor().clone())
            .collect();
        let y = op(&args).unwrap();
        assert_eq!(y.dims(), [before, &[n_out, 21]].concat());
        let rows = args[0].reshape(((), n_in, 21)).unwrap();
        assert_eq!(
            flat(&y),
            flat(&op(&[&[rows], &args[1..]].concat()).unwrap())
        );
    }
}

#[test]
fn conv_time_depthwise() {
    for (b, c, per, t, k) in [
        (1, 2, 1, 33, 16),
        (3, 16, 1, 100, 10),
        (1, 255, 1, 7, 4),
        (18, 3, 2, 65, 5),
    ] {
        for conv in [
            TimeConv::same(k, c),
            TimeConv::padded(1, 0, c),
            TimeConv::padded(2, k / 2, c),
        ] {
            let arguments = [vec![b, c, t], vec![c * per, 1, k], vec![c * per]];
            check("depthwise", &arguments, &|a| {
                ops::conv_time(&a[0], &a[1], Some(&a[2]), &conv)
            });
        }
    }
}

#[test]
fn conv_time_grouped() {
    for (b, n_in, n_out, groups, t, k) in [
        (1, 4, 2, 2, 9, 4),
        (3, 6, 12, 3, 17, 16),
        (2, 255, 3, 3, 7, 3),
    ] {
        for conv in [
            TimeConv::padded(1, 0, groups),
            TimeConv {
                stride: 1,
                pad_left: k / 2,
                pad_right: k - 1 - k / 2,
                groups,
            },
            TimeConv::padded(2, 1, groups),
        ] {
            if conv.output_len(t, k).is_none() {
                continue;
            }
            let arguments = [vec![b, n_in, t], vec![n_out, n_in / groups, k], vec![n_out]];
            check("grouped", &arguments, &|a| {
                ops::conv_time(&a[0], &a[1], Some(&a[2]), &conv)
            });
        }
    }
}

#[test]
fn frames() {
    for (b, t, n_in, n_out, k, stride) in [
        (1, 33, 1, 4, 10, 5),
        (3, 12, 3, 2, 3, 2),
        (2, 9, 4, 3, 2, 2),
        (17, 8, 2, 1, 1, 3),
        (1, 11, 255, 2, 4, 1),
        (1, 2100, 1, 2, 3, 1),
    ] {
        let arguments = [vec![b, t, n_in], vec![n_out, n_in, k]];
        for (gelu, keep) in [(false, false), (true, false), (true, true)] {
            check("frames", &arguments, &|a| {
                ops::conv_frames(&a[0], &a[1], stride, gelu, keep)
            });
        }
    }
    // Each channel over its own time: as many groups as channels.
    for (b, t, c) in [(1, 2, 1), (3, 130, 5), (1, 9, 255), (17, 3, 2)] {
        check("time norm", &[vec![b, t, c, 1], vec![c], vec![c]], &|a| {
            ops::group_norm_gelu(&a[0], c, &a[1], &a[2], 1e-3, None)
        });
    }
}

#[test]
fn attention() {
    for (b, h, n, d) in [(1, 1, 1, 4), (1, 2, 17, 5), (2, 3, 8, 20), (1, 1, 255, 3)] {
        let shape = vec![b, h, n, d];
        let op = |a: &[Tensor]| ops::attention(&a[0], &a[1], &a[2], 0.4);
        if n == 1 {
            // One key: its weight is one whatever query and key are, so they have no gradient.
            let (_, g) = run(
                &op,
                &vars(&[shape.clone(), shape.clone(), shape], DType::F32),
            );
            assert_eq!((largest(&g[0]), largest(&g[1])), (0.0, 0.0));
            continue;
        }
        check_with_step(
            "attention",
            &[shape.clone(), shape.clone(), shape],
            3e-2,
            &op,
        );
    }
}

#[test]
fn attention_and_group_norm_of_padded_samples() {
    for (b, h, n, d) in [(1, 1, 9, 4), (2, 2, 17, 5), (1, 1, 255, 3)] {
        let lengths: Vec<usize> = (0..b).map(|i| n - 2 - 3 * i).collect();
        let shape = vec![b, h, n, d];
        check_with_step(
            "padded attention",
            &[shape.clone(), shape.clone(), shape],
            3e-2,
            &|a| ops::attention_padded(&a[0], &a[1], &a[2], 0.4, &lengths),
        );
    }
    for (b, r, l) in [(1, 2, 25), (2, 7, 5), (1, 255, 3)] {
        let rows: Vec<usize> = (0..b).map(|i| r - 1 - 2 * i).collect();
        check(
            "padded group norm",
            &[vec![b, r, 8, l], vec![8], vec![8]],
            &|a| ops::group_norm_gelu(&a[0], 4, &a[1], &a[2], 1e-5, Some(&rows)),
        );
    }
}

#[test]
fn log_softmax_and_unit_vectors() {
    for shape in [vec![1, 9], vec![2, 255], vec![3, 4, 33]] {
        check("log softmax", std::slice::from_ref(&shape), &|a| {
            ops::log_softmax(&a[0])
        });
        check("unit vectors", &[shape], &|a| {
            ops::l2_normalise(&a[0], 1e-12)
        });
    }
}

#[test]
fn pooling() {
    for (b, c, t) in [(1, 1, 33), (2, 255, 5), (1, 3, 64)] {
        check("mean of 4", &[vec![b, c, t]], &|a| {
            ops::avg_pool_time(&a[0], 4)
        });
        check("maximum of 3", &[vec![b, c, t]], &|a| {
            ops::max_pool3_time(&a[0])
        });
    }
}

#[test]
fn what_stands_before_and_behind_the_blocks() {
    for shape in [vec![1, 1], vec![2, 3, 8, 25], vec![255, 3], vec![1, 1, 255]] {
        check("turn", &[shape], &|a| ops::turn(&a[0]));
    }
    // One embedding and class token for all samples, or one each; more samples than are summed at once.
    for (b, n, d) in [(1, 1, 5), (3, 7, 20), (35, 2, 3), (2, 255, 4)] {
        for (added, class) in [(1, 1), (b, 1), (1, b), (b, b)] {
            let shapes = [vec![b, n, d], vec![added, n, d], vec![class, 1, d]];
            check("class token", &shapes, &|a| {
                ops::with_class_token(&a[0], &a[1], &a[2])
            });
        }
        let tokens = [vec![b, 1 + n, d]];
        check("mean of patches", &tokens, &|a| {
            ops::mean_of_patches(&a[0], None)
        });
        let lengths: Vec<usize> = (0..b).map(|i| 1 + (3 * i) % n).collect();
        check("mean of patches, padded", &tokens, &|a| {
            ops::mean_of_patches(&a[0], Some(&lengths))
        });
    }
    let x = &vars(&[vec![2, 4, 3]], DType::F32)[0];
    for lengths in [&[3][..], &[3, 0], &[4, 1]] {
        assert!(ops::mean_of_patches(x.as_tensor(), Some(lengths)).is_err());
    }
    for (added, class) in [([2, 2, 3], [1, 1, 3]), ([2, 4, 3], [2, 1, 2])] {
        let args = vars(&[added.to_vec(), class.to_vec()], DType::F32);
        let found = ops::with_class_token(x.as_tensor(), args[0].as_tensor(), args[1].as_tensor());
        assert!(found.is_err());
    }
}

#[test]
fn masks() {
    let stream = Some(Stream::named(3, "mask"));
    for shape in [vec![1, 1, 33], vec![5, 255, 3]] {
        check("dropout", std::slice::from_ref(&shape), &|a| {
            ops::dropout(&a[0], 0.4, stream)
        });
        check("drop path", &[shape], &|a| {
            ops::drop_path(&a[0], 0.4, stream)
        });
    }
    // Share of zeros, scale of the rest, and purity.
    let x = Tensor::ones((100, 300), DType::F32, &Device::Cpu).unwrap();
    let y = ops::dropout(&x, 0.4, stream).unwrap();
    let v = flat(&y);
    let zeros = v.iter().filter(|v| **v == 0.0).count() as f64 / v.len() as f64;
    assert!((zeros - 0.4).abs() < 0.01, "{zeros}");
    assert!(v.iter().all(|v| *v == 0.0 || (v - 1.0 / 0.6).abs() < 1e-6));
    assert_eq!(v, flat(&ops::dropout(&x, 0.4, stream).unwrap()));
    assert_ne!(
        v,
        flat(&ops::dropout(&x, 0.4, stream.map(|s| s.child(1))).unwrap())
    );
    assert_eq!(flat(&x), flat(&ops::dropout(&x, 0.4, None).unwrap()));
}
