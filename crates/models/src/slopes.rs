//! Gradients held against finite differences, for operations that have no door of their own.

use candle_core::{Tensor, Var};

/// Distance of the differences.
const STEP: f64 = 1e-2;

fn flat(t: &Tensor) -> Vec<f32> {
    t.flatten_all().unwrap().to_vec1().unwrap()
}

fn wave(n: usize, f: f64) -> Vec<f32> {
    (0..n).map(|i| (i as f64 * f).sin() as f32).collect()
}

fn length(x: &[f32]) -> f64 {
    x.iter().map(|x| f64::from(x * x)).sum::<f64>().sqrt()
}

/// Holds the gradients of Σ cotangent·run() against central differences, to 1e-3 of each variable's
/// gradient and what f32 rounds away: along the gradient itself, and along a wave through all values.
///
/// # Panics
/// Where one differs.
pub(crate) fn hold(vars: &[(String, Var)], run: impl Fn() -> Tensor) {
    let y = run();
    let cotangent = wave(y.elem_count(), 0.11);
    let seed = Tensor::from_vec(cotangent.clone(), y.shape(), y.device()).unwrap();
    let grads = (&y * seed).unwrap().sum_all().unwrap().backward().unwrap();
    let terms = || -> Vec<f32> {
        let y = flat(&run());
        y.iter().zip(&cotangent).map(|(y, c)| y * c).collect()
    };
    let noise = 4.0 * f64::from(f32::EPSILON) * length(&terms()) / STEP;
    for (name, var) in vars {
        let grad = flat(grads.get(var.as_tensor()).unwrap());
        let before = var.as_detached_tensor().copy().unwrap();
        for direction in [grad.clone(), wave(grad.len(), 1.7)] {
            let unit = length(&direction).max(1e-9);
            let found = grad.iter().zip(&direction);
            let found = found.map(|(g, d)| f64::from(g * d)).sum::<f64>() / unit;
            let along = Tensor::from_vec(direction, var.shape(), var.device()).unwrap();
            let at = |by: f64| -> f64 {
                let moved = (&before + (&along * (by / unit)).unwrap()).unwrap();
                var.set(&moved).unwrap();
                terms().iter().map(|t| f64::from(*t)).sum()
            };
            let slope = (at(STEP) - at(-STEP)) / (2.0 * STEP);
            var.set(&before).unwrap();
            let size = length(&grad);
            assert!(
                (slope - found).abs() <= 1e-3 * size + noise,
                "{name}: slope {slope}, gradient {found} of {size}, noise {noise}"
            );
        }
    }
}
