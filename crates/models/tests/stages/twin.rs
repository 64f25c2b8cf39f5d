//! Shared by the parity tests: the formulas of `fixtures/twins.py`, and the comparison.

use std::collections::HashMap;

use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use mmpipe_models::Params;

/// f64 runs the composite operations, f32 the CPU kernels.
pub(crate) const BOTH: [(DType, f64); 2] = [(DType::F64, 1e-9), (DType::F32, 1e-5)];
const SAMPLES: usize = 24;

pub(crate) fn wave(name: &str, n: usize, scale: f64) -> Vec<f64> {
    let phase = (name.bytes().map(u64::from).sum::<u64>() % 97) as f64;
    (0..n)
        .map(|i| {
            let i = i as f64;
            let v = (0.7 * i + phase + 0.013 * i * i).sin() + 0.5 * (0.11 * i + 2.0 * phase).sin();
            f64::from((v * scale) as f32)
        })
        .collect()
}

pub(crate) fn tensor(name: &str, shape: &[usize], dtype: DType) -> Tensor {
    let n = shape.iter().product();
    Tensor::from_vec(wave(name, n, 1.0), shape, &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

fn value_of(name: &str, dims: &[usize]) -> Vec<f64> {
    let n: usize = dims.iter().product();
    let raised = |scale: f64| wave(name, n, scale).into_iter().map(|v| 1.0 + v).collect();
    let v: Vec<f64> = if dims.len() == 1 && name.ends_with("weight")
        || name.contains("gamma_")
        || name.ends_with("weight_g")
    {
        raised(0.2)
    } else if dims.is_empty() {
        raised(0.5)
    } else {
        let fan = (n / dims[0].max(1)).max(1) as f64;
        wave(name, n, (1.0 / fan.sqrt()).min(0.5))
    };
    v.into_iter().map(|v| f64::from(v as f32)).collect()
}

/// Gives every weight the script's value; buffers stay. `strip` is a prefix that the script's names
/// do not have.
pub(crate) fn fill(params: &Params, strip: &str) {
    let mut values = params.tensors().unwrap();
    for p in params.trainable() {
        let name = p.name.strip_prefix(strip).unwrap_or(&p.name);
        let v = value_of(name, p.var.dims());
        values.insert(
            p.name.clone(),
            Tensor::from_vec(v, p.var.dims(), &Device::Cpu).unwrap(),
        );
    }
    params.load(&values).unwrap();
}

pub(crate) fn flat(t: &Tensor) -> Vec<f64> {
    t.flatten_all()
        .unwrap()
        .to_dtype(DType::F64)
        .unwrap()
        .to_vec1()
        .unwrap()
}

pub(crate) fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

pub(crate) fn close(what: &str, found: &[f64], expected: &[f64], scale: f64, tolerance: f64) {
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

pub(crate) fn stored(file: &str) -> HashMap<String, Vec<f64>> {
    let path = format!(
        "{}/tests/fixtures/{file}.safetensors",
        env!("CARGO_MANIFEST_DIR")
    );
    candle_core::safetensors::load(path, &Device::Cpu)
        .unwrap()
        .into_iter()
        .map(|(k, v)| (k, flat(&v)))
        .collect()
}

/// Gradients of the script's loss: the sum over outputs of output times a formula.
pub(crate) fn backward(outputs: &[(&str, &Tensor)]) -> GradStore {
    let mut loss: Option<Tensor> = None;
    for (name, y) in outputs {
        let c = tensor(&format!("cotangent.{name}"), y.dims(), y.dtype());
        let part = (*y * c).unwrap().sum_all().unwrap();
        loss = Some(match loss {
            Some(l) => (l + part).unwrap(),
            None => part,
        });
    }
    loss.unwrap().backward().unwrap()
}

/// Holds outputs and gradients against the stored ones, relative to the largest element of each
/// tensor. Gradients of variables whose name ends as one of `cancel` are what rounding leaves of
/// larger terms (a normalisation or a softmax follows that takes the variable's effect away), so
/// they are compared relative to the largest gradient of all.
pub(crate) fn compare(
    file: &str,
    params: &Params,
    strip: &str,
    outputs: &[(&str, &Tensor)],
    tolerance: f64,
    cancel: &[&str],
) {
    let stored = stored(file);
    let expected = |name: &str| {
        stored
            .get(name)
            .unwrap_or_else(|| panic!("{file} lacks {name}"))
            .clone()
    };
    for (name, y) in outputs {
        let want = expected(&format!("out.{name}"));
        close(
            &format!("{file}: {name}"),
            &flat(y),
            &want,
            largest(&want),
            tolerance,
        );
    }
    let grads = backward(outputs);
    let top = stored
        .iter()
        .filter(|(k, _)| k.starts_with("grad."))
        .map(|(_, v)| v[v.len() - 2])
        .fold(0.0, f64::max);
    let mut seen = 0;
    for p in params.trainable() {
        let name = p.name.strip_prefix(strip).unwrap_or(&p.name);
        let found = grads.get(p.var.as_tensor()).map(flat);
        if stored.contains_key(&format!("none.{name}")) {
            assert!(
                found.is_none_or(|g| largest(&g) == 0.0),
                "{file}: {name} has a gradient, PyTorch's has none"
            );
            continue;
        }
        seen += 1;
        let g = found.unwrap_or_else(|| panic!("{file}: {name} has no gradient"));
        let want = expected(&format!("grad.{name}"));
        let (sample, sums) = want.split_at(want.len() - 2);
        let found: Vec<f64> = g
            .iter()
            .copied()
            .step_by(g.len().div_ceil(SAMPLES))
            .collect();
        let probe = wave(&format!("probe.{name}"), g.len(), 1.0);
        let norm = g.iter().map(|v| v * v).sum::<f64>().sqrt();
        let product: f64 = g.iter().zip(&probe).map(|(a, b)| a * b).sum();
        let cancels = cancel.iter().any(|c| name.ends_with(c));
        let scale = |own: f64| if cancels { top } else { own };
        // The sample's largest element, but not below a hundredth of the root mean square.
        let typical = sums[0] / (g.len() as f64).sqrt();
        let own = largest(sample).max(typical);
        close(
            &format!("{file}: gradient of {name}"),
            &found,
            sample,
            scale(own),
            tolerance,
        );
        // A product of n values with signs: its rounding is that of the norm times the probe's.
        close(
            &format!("{file}: norm of the gradient of {name}"),
            &[norm],
            &[sums[0]],
            scale(sums[0]),
            tolerance,
        );
        close(
            &format!("{file}: probe of the gradient of {name}"),
            &[product],
            &[sums[1]],
            scale(sums[0]) * (g.len() as f64).sqrt(),
            tolerance,
        );
    }
    let count = stored.keys().filter(|k| k.starts_with("grad.")).count();
    assert_eq!(count, seen, "{file}: stored and own variables");
}

/// A variable whose gradient is zero: the end of its name and why.
pub(crate) type Zero = (&'static str, &'static str);

/// Every trainable variable receives a finite gradient, and one above a millionth of the largest,
/// but for those listed, which are zero up to rounding.
pub(crate) fn coverage(what: &str, params: &Params, grads: &GradStore, zero: &[Zero]) {
    let size = |name: &str| -> Option<f64> {
        let g = flat(grads.get(params.get(name).unwrap().var.as_tensor())?);
        assert!(
            g.iter().all(|v| v.is_finite()),
            "{what}: {name} is not finite"
        );
        Some(largest(&g))
    };
    let names: Vec<&str> = params.trainable().map(|p| p.name.as_str()).collect();
    let top = names.iter().filter_map(|n| size(n)).fold(0.0, f64::max);
    assert!(top > 0.0, "{what}: no gradient at all");
    let rounding = match params.dtype() {
        DType::F64 => 1e-12,
        _ => 1e-3,
    };
    for name in &names {
        match zero.iter().find(|(end, _)| name.ends_with(end)) {
            Some((_, why)) => {
                let found = size(name).unwrap_or(0.0);
                assert!(
                    found <= rounding * top,
                    "{what}: {name}: {found} of {top} although {why}"
                );
            }
            None => {
                let found =
                    size(name).unwrap_or_else(|| panic!("{what}: {name} receives no gradient"));
                assert!(found > 1e-6 * top, "{what}: {name}: {found} of {top}");
            }
        }
    }
    for (end, _) in zero {
        assert!(
            names.iter().any(|n| n.ends_with(end)),
            "{what}: no variable is called {end}"
        );
    }
}
