//! Everything computed twice: on the CPU with its kernels, and on the device, values and gradients.
//!
//! On the CPU itself the second is the composite form of every operation, which is what other devices
//! run. With f32 the two must agree; with bf16 the loss must be close, and the gradient must point the
//! same way and reach every variable that it reaches with f32.

mod networks;
mod ops;

use anyhow::{Context as _, Result, bail};
use candle_core::backprop::GradStore;
use candle_core::{DType, Device, Tensor};
use mmpipe_models::{Compute, Params, Precision};
use serde::Serialize;

/// One comparison.
#[derive(Debug, Clone, Serialize)]
pub(crate) struct Row {
    /// What was computed.
    pub(crate) name: String,
    pub(crate) precision: &'static str,
    /// The largest difference, relative to the largest value of its kind.
    pub(crate) error: f64,
    pub(crate) tolerance: f64,
    /// Where that is, and what else was found.
    pub(crate) at: String,
    pub(crate) right: bool,
}

/// What a computation gave, each by its name: values, losses and gradients.
pub(crate) type Found = Vec<(String, Vec<f64>)>;

/// A computation on a device.
pub(crate) type Run = Box<dyn Fn(&Device) -> Result<Found>>;

/// Something that can be computed on a device.
pub(crate) struct Case {
    pub(crate) name: String,
    /// Largest relative difference of f32: of each result, and of all gradients as one vector.
    pub(crate) tolerance: f64,
    /// Largest relative difference of a single number, each tensor by itself. Larger for networks,
    /// where a variable's gradient can be a sum that cancels.
    pub(crate) by_itself: f64,
    /// Whether it is also computed with bf16.
    pub(crate) bf16: bool,
    pub(crate) run: Run,
}

/// Largest relative difference of a loss with bf16.
const BF16_LOSS: f64 = 0.03;
/// Least cosine of the gradients with f32 and bf16.
const BF16_COSINE: f64 = 0.97;
/// A gradient below this share of the largest of its network is rounding of zero.
const ZERO: f64 = 1e-5;

/// Runs all cases; `small` leaves out the networks of published size.
///
/// # Errors
/// Those of a case that cannot be computed at all.
pub(crate) fn run(device: &Device, small: bool) -> Result<Vec<Row>> {
    let mut cases = ops::all();
    cases.extend(networks::all(small));
    let mut rows = Vec::new();
    for case in &cases {
        rows.extend(compare(case, device).with_context(|| case.name.clone())?);
    }
    Ok(rows)
}

fn compare(case: &Case, device: &Device) -> Result<Vec<Row>> {
    let there = |precision| {
        let compute = Compute {
            precision,
            composite: true,
        };
        compute.run(|| (case.run)(device))
    };
    let reference = (case.run)(&Device::Cpu)?;
    let found = there(Precision::F32)?;
    let (whole, at) = difference(&reference, &found)?;
    let (worst, of) = largest_difference(&reference, &found)?;
    let mut rows = vec![Row {
        name: case.name.clone(),
        precision: "f32",
        error: whole,
        tolerance: case.tolerance,
        at: format!("{at}; by itself {worst:.1e}, {of}"),
        // Not a number is not right.
        right: whole <= case.tolerance && worst <= case.by_itself,
    }];
    if case.bf16 {
        rows.extend(narrow(case, &reference, &there(Precision::Bf16)?)?);
    }
    Ok(rows)
}

fn same_names(a: &Found, b: &Found) -> Result<()> {
    for ((name, a), (other, b)) in a.iter().zip(b) {
        if name != other || a.len() != b.len() {
            bail!("{name} has {} values, {other} has {}", a.len(), b.len());
        }
    }
    match a.len() == b.len() {
        true => Ok(()),
        false => bail!("{} results against {}", a.len(), b.len()),
    }
}

fn largest(v: &[f64]) -> f64 {
    v.iter().fold(0.0, |m: f64, x| m.max(x.abs()))
}

/// The largest gradient.
fn top(found: &Found) -> f64 {
    let gradients = found.iter().filter(|(name, _)| is_gradient(name));
    gradients.map(|(_, v)| largest(v)).fold(0.0, f64::max)
}

fn is_gradient(name: &str) -> bool {
    name.starts_with(GRADIENT)
}

/// What names of gradients begin with.
const GRADIENT: &str = "gradient of ";

/// The largest difference of a result, or the length of the difference of all gradients relative to
/// that of the gradients, whichever is larger, and its name.
fn difference(a: &Found, b: &Found) -> Result<(f64, String)> {
    same_names(a, b)?;
    let (mut apart, mut length) = (0.0, 0.0);
    let gradients = a.iter().zip(b).filter(|((n, _), _)| is_gradient(n));
    for ((_, a), (_, b)) in gradients {
        for (a, b) in a.iter().zip(b) {
            apart += (a - b) * (a - b);
            length += a * a;
        }
    }
    let gradient = apart.sqrt() / length.sqrt().max(f64::MIN_POSITIVE);
    let results = |f: &Found| -> Found {
        let not = |(n, _): &&(String, Vec<f64>)| !is_gradient(n);
        f.iter().filter(not).cloned().collect()
    };
    let (result, at) = largest_difference(&results(a), &results(b))?;
    Ok(match gradient <= result {
        true => (result, at),
        false => (gradient, "gradient".to_owned()),
    })
}

/// The largest difference and its name. A result is measured by its own largest value, a gradient by
/// no less than a hundredth of the largest gradient: what is smaller is sums that cancel.
fn largest_difference(a: &Found, b: &Found) -> Result<(f64, String)> {
    same_names(a, b)?;
    let top = top(a);
    let mut worst = (0.0, String::new());
    for ((name, a), (_, b)) in a.iter().zip(b) {
        let least = if is_gradient(name) { 1e-2 * top } else { 1e-3 };
        let scale = largest(a).max(least).max(f64::MIN_POSITIVE);
        for (a, b) in a.iter().zip(b) {
            let error = (a - b).abs() / scale;
            if error > worst.0 || !error.is_finite() {
                worst = (error, name.clone());
            }
            if !error.is_finite() {
                return Ok((f64::NAN, name.clone()));
            }
        }
    }
    Ok(worst)
}

/// bf16 against f32: the loss, and the direction and reach of the gradient.
fn narrow(case: &Case, wide: &Found, found: &Found) -> Result<Vec<Row>> {
    same_names(wide, found)?;
    let row = |name: String, error: f64, tolerance: f64, at: String| Row {
        name,
        precision: "bf16",
        error,
        tolerance,
        at,
        right: error <= tolerance,
    };
    let (error, at) = largest_difference(&results(wide), &results(found))?;
    let mut rows = vec![row(case.name.clone(), error, BF16_LOSS, at)];
    let top = top(wide);
    if top == 0.0 {
        return Ok(rows);
    }
    let (mut ab, mut aa, mut bb) = (0.0, 0.0, 0.0);
    let mut lost = Vec::new();
    for ((name, a), (_, b)) in wide.iter().zip(found).filter(|((n, _), _)| is_gradient(n)) {
        for (a, b) in a.iter().zip(b) {
            ab += a * b;
            aa += a * a;
            bb += b * b;
        }
        let reached = largest(b) > 0.0 || largest(a) <= ZERO * top;
        if !reached || b.iter().any(|b| !b.is_finite()) {
            lost.push(name.clone());
        }
    }
    let mut gradients = row(
        format!("{}: gradient", case.name),
        1.0 - ab / (aa.sqrt() * bb.sqrt()).max(f64::MIN_POSITIVE),
        1.0 - BF16_COSINE,
        match lost.is_empty() {
            true => "1 − cosine with f32".to_owned(),
            false => format!("zero or not finite: {}", lost.join(", ")),
        },
    );
    gradients.right &= lost.is_empty();
    rows.push(gradients);
    Ok(rows)
}

/// Losses and values: what a rounding to bf16 leaves alike.
fn results(found: &Found) -> Found {
    let is = |n: &str| n.starts_with("loss") || n.starts_with("value");
    found.iter().filter(|(n, _)| is(n)).cloned().collect()
}

/// Values of a tensor, read off its device.
pub(crate) fn values(x: &Tensor) -> Result<Vec<f64>> {
    let x = x.detach().to_device(&Device::Cpu)?;
    Ok(x.to_dtype(DType::F64)?.flatten_all()?.to_vec1()?)
}

/// The gradients of all weights that have one.
pub(crate) fn gradients(params: &Params, grads: &GradStore) -> Result<Found> {
    let mut found = Vec::new();
    for p in params.trainable() {
        if let Some(g) = grads.get(p.var.as_tensor()) {
            found.push((format!("{GRADIENT}{}", p.name), values(g)?));
        }
    }
    Ok(found)
}

/// The rows as text.
pub(crate) fn table(rows: &[Row]) -> String {
    let wide = rows.iter().map(|r| r.name.chars().count()).max();
    let wide = wide.unwrap_or(0);
    let mut text = String::new();
    for r in rows {
        let verdict = if r.right { "ok" } else { "WRONG" };
        text.push_str(&format!(
            "{:wide$}  {:4}  {:8.1e}  of {:7.1e}  {verdict:5}  {}\n",
            r.name, r.precision, r.error, r.tolerance, r.at
        ));
    }
    let wrong = rows.iter().filter(|r| !r.right).count();
    text.push_str(&format!("{} comparisons, {wrong} wrong\n", rows.len()));
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a device without kernels runs, on the CPU: every operation, objective and training step,
    /// f32 and bf16.
    #[test]
    fn composite_operations_agree_with_the_kernels() {
        let rows = run(&Device::Cpu, true).unwrap();
        assert!(rows.iter().all(|r| r.right), "{}", table(&rows));
        for wanted in ["attention", "stage 1, joint", "stage 3, classifier, steps"] {
            let of = |precision| {
                let found = rows
                    .iter()
                    .find(|r| r.name == wanted && r.precision == precision);
                found.map(|r| r.error)
            };
            // Something was computed differently, so something was compared.
            assert!(of("f32").unwrap() > 0.0, "{wanted}");
            assert!(of("bf16").unwrap() > of("f32").unwrap(), "{wanted}");
        }
    }

    #[test]
    fn a_wrong_gradient_is_seen() {
        let found = |g: &[f64]| -> Found {
            vec![
                ("loss".into(), vec![1.0]),
                (format!("{GRADIENT}w"), g.to_vec()),
                (format!("{GRADIENT}b"), vec![0.5]),
            ]
        };
        let case = Case {
            name: "x".into(),
            tolerance: 1e-5,
            by_itself: 1e-3,
            bf16: true,
            run: Box::new(|_| Ok(Vec::new())),
        };
        let wide = found(&[1.0, -2.0]);
        assert_eq!(largest_difference(&wide, &wide).unwrap().0, 0.0);
        let (error, _) = difference(&wide, &found(&[1.0, -1.9])).unwrap();
        assert!((error - 0.1 / 5.25f64.sqrt()).abs() < 1e-9, "{error}");
        let (error, at) = largest_difference(&wide, &found(&[1.0, -1.9])).unwrap();
        assert!((error - 0.05).abs() < 1e-9 && at == "gradient of w");
        assert!(
            largest_difference(&wide, &found(&[f64::NAN, 0.0]))
                .unwrap()
                .0
                .is_nan()
        );
        assert!(largest_difference(&wide, &found(&[1.0])).is_err());
        let right = |g: &[f64]| {
            narrow(&case, &wide, &found(g))
                .unwrap()
                .iter()
                .all(|r| r.right)
        };
        assert!(right(&[1.01, -2.01]));
        assert!(!right(&[0.0, 0.0]), "a variable that nothing reaches");
        assert!(!right(&[2.0, 1.0]), "another direction");
        assert!(!right(&[f64::INFINITY, -2.0]));
    }
}
