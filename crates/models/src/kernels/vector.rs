//! Elementwise functions that vectorise: exponential, error function and what is built of them.

use multiversion::{multiversion, target::target_cfg_f};

use crate::rng::Stream;

/// `a`·`b` + `c`, fused where the instruction set has it. A fused multiply-add without hardware
/// would be a library call an element.
#[inline(always)]
pub(super) fn mul_add(fused: bool, a: f32, b: f32, c: f32) -> f32 {
    if fused { a.mul_add(b, c) } else { a * b + c }
}

/// exp(x) to about one unit in the last place of f32; arguments are clamped to [-87, 88].
#[inline(always)]
pub(super) fn exp(fused: bool, x: f32) -> f32 {
    // Adding 1.5·2^23 rounds to the nearest integer, which then lies in the lowest bits: neither takes a
    // library call or a conversion that looks at every special value.
    const ROUND: f32 = 12_582_912.0;
    let x = x.clamp(-87.0, 88.0);
    let rounded = mul_add(fused, x, std::f32::consts::LOG2_E, ROUND);
    let n = rounded - ROUND;
    // ln 2 in two parts, so that the remainder is exact.
    let r = mul_add(fused, n, -0.693_145_75, x);
    let r = mul_add(fused, n, -1.428_606_8e-6, r);
    // Taylor to the sixth order; |r| <= 0.35.
    let p = mul_add(fused, r, 1.0 / 720.0, 1.0 / 120.0);
    let p = mul_add(fused, p, r, 1.0 / 24.0);
    let p = mul_add(fused, p, r, 1.0 / 6.0);
    let p = mul_add(fused, p, r, 0.5);
    let p = mul_add(fused, p, r, 1.0);
    let p = mul_add(fused, p, r, 1.0);
    // The shift keeps the lowest nine bits, n and the exponent's offset.
    p * f32::from_bits(rounded.to_bits().wrapping_add(127) << 23)
}

/// Φ(x), the normal distribution function, to 1e-7, from `bell` = exp(-x²/2): Abramowitz and Stegun
/// (1964), 7.1.26.
#[inline(always)]
fn cdf(fused: bool, x: f32, bell: f32) -> f32 {
    let z = x.abs() * std::f32::consts::FRAC_1_SQRT_2;
    let t = 1.0 / mul_add(fused, 0.327_591_1, z, 1.0);
    let p = mul_add(fused, t, 1.061_405_4, -1.453_152);
    let p = mul_add(fused, p, t, 1.421_413_8);
    let p = mul_add(fused, p, t, -0.284_496_72);
    let p = mul_add(fused, p, t, 0.254_829_6) * t;
    // Half of the complement of erf.
    let tail = 0.5 * p * bell;
    if x < 0.0 { tail } else { 1.0 - tail }
}

/// Φ(x).
#[inline(always)]
pub(super) fn normal_cdf(fused: bool, x: f32) -> f32 {
    cdf(fused, x, exp(fused, -0.5 * x * x))
}

/// Φ(x) + x·φ(x).
#[inline(always)]
pub(super) fn gelu_slope(fused: bool, x: f32) -> f32 {
    const NORM: f32 = 0.398_942_3;
    let bell = exp(fused, -0.5 * x * x);
    mul_add(fused, x * NORM, bell, cdf(fused, x, bell))
}

/// out = x·Φ(x).
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn gelu(x: &[f32], out: &mut [f32]) {
    let fused = target_cfg_f!(target_feature = "fma");
    for (o, &x) in out.iter_mut().zip(x) {
        *o = x * normal_cdf(fused, x);
    }
}

/// out = g·(Φ(x) + x·φ(x)).
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn gelu_grad(x: &[f32], g: &[f32], out: &mut [f32]) {
    let fused = target_cfg_f!(target_feature = "fma");
    for ((o, &x), &g) in out.iter_mut().zip(x).zip(g) {
        *o = g * gelu_slope(fused, x);
    }
}

/// x ← g·(Φ(x) + x·φ(x)).
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn gelu_grad_in_place(x: &mut [f32], g: &[f32]) {
    let fused = target_cfg_f!(target_feature = "fma");
    for (x, &g) in x.iter_mut().zip(g) {
        *x = g * gelu_slope(fused, *x);
    }
}

/// Softmax of one row in place. The maximum is taken away first.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn softmax(row: &mut [f32]) {
    let fused = target_cfg_f!(target_feature = "fma");
    let top = largest(row);
    for v in row.iter_mut() {
        *v = exp(fused, *v - top);
    }
    let scale = 1.0 / sum(row);
    for v in row.iter_mut() {
        *v *= scale;
    }
}

/// out = y·(g − Σ y·g), the gradient of [`softmax`] from its result.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn softmax_grad(y: &[f32], g: &[f32], out: &mut [f32]) {
    let inner = sum_of(y, g, |y, g| y * g);
    for ((o, y), g) in out.iter_mut().zip(y).zip(g) {
        *o = y * (g - inner);
    }
}

/// Dropout: out = x / (1 − p) where the stream's draw at `first` + index reaches p, else zero.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn dropout(x: &[f32], p: f32, stream: Stream, first: u64, out: &mut [f32]) {
    let scale = 1.0 / (1.0 - p);
    for ((o, &x), i) in out.iter_mut().zip(x).zip(first..) {
        *o = if stream.uniform(i) < p {
            0.0
        } else {
            x * scale
        };
    }
}

/// out = max(x, 0).
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn relu(x: &[f32], out: &mut [f32]) {
    for (o, &x) in out.iter_mut().zip(x) {
        *o = if x > 0.0 { x } else { 0.0 };
    }
}

/// out = g where y > 0, else zero.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn relu_grad(y: &[f32], g: &[f32], out: &mut [f32]) {
    for ((o, &y), &g) in out.iter_mut().zip(y).zip(g) {
        *o = if y > 0.0 { g } else { 0.0 };
    }
}

/// out[t] = max(x[t − 1], x[t], x[t + 1]); a neighbour beyond the ends does not count.
pub(crate) fn max3(x: &[f32], out: &mut [f32]) {
    for (t, o) in out.iter_mut().enumerate() {
        let from = t.saturating_sub(1);
        *o = x[from..(t + 2).min(x.len())]
            .iter()
            .copied()
            .fold(f32::NEG_INFINITY, f32::max);
    }
}

/// Gradient of [`max3`]: each g goes to the first of its three samples that is the maximum, as
/// PyTorch does.
pub(crate) fn max3_grad(x: &[f32], g: &[f32], dx: &mut [f32]) {
    dx.fill(0.0);
    for (t, g) in g.iter().enumerate() {
        let from = t.saturating_sub(1);
        let mut best = from;
        for i in from + 1..(t + 2).min(x.len()) {
            if x[i] > x[best] {
                best = i;
            }
        }
        dx[best] += g;
    }
}

/// Lanes of the reductions: sixteen partial results, brought together in a fixed order.
const LANES: usize = 16;

/// The largest value, in sixteen lanes; one that is no number may be passed over.
#[inline(always)]
fn largest(x: &[f32]) -> f32 {
    let larger = |a: f32, b: f32| if b > a { b } else { a };
    let mut lanes = [f32::NEG_INFINITY; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for (l, v) in lanes.iter_mut().zip(block) {
            *l = larger(*l, *v);
        }
    }
    let all = lanes.iter().chain(rest).copied();
    all.fold(f32::NEG_INFINITY, larger)
}

/// Sum in sixteen lanes.
#[inline(always)]
pub(super) fn sum(x: &[f32]) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let (blocks, rest) = x.as_chunks::<LANES>();
    for block in blocks {
        for (l, v) in lanes.iter_mut().zip(block) {
            *l += v;
        }
    }
    lanes.iter().sum::<f32>() + rest.iter().sum::<f32>()
}

/// Σ f(a, b) in sixteen lanes.
#[inline(always)]
pub(super) fn sum_of(a: &[f32], b: &[f32], f: impl Fn(f32, f32) -> f32) -> f32 {
    let mut lanes = [0.0f32; LANES];
    let n = a.len().min(b.len());
    let (a, b) = (a[..n].as_chunks::<LANES>(), b[..n].as_chunks::<LANES>());
    for (a, b) in a.0.iter().zip(b.0) {
        for ((l, a), b) in lanes.iter_mut().zip(a).zip(b) {
            *l += f(*a, *b);
        }
    }
    lanes.iter().sum::<f32>() + a.1.iter().zip(b.1).map(|(a, b)| f(*a, *b)).sum::<f32>()
}

/// Σ a·b, in sixteen lanes.
pub(crate) fn dot(a: &[f32], b: &[f32]) -> f32 {
    sum_of(a, b, |a, b| a * b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn exp_is_good_to_two_units() {
        for fused in [false, true] {
            for i in -86_999..88_000 {
                let x = i as f32 * 1e-3;
                let want = f64::from(x).exp();
                let got = f64::from(exp(fused, x));
                assert!((got / want - 1.0).abs() < 2.5e-7, "{x}: {got} {want}");
            }
            assert!(exp(fused, -1e30) > 0.0 && exp(fused, 1e30).is_finite());
        }
    }

    #[test]
    fn gelu_and_its_slope() {
        // Reference: Φ by Simpson's rule over the density in f64.
        let density = |x: f64| (-0.5 * x * x).exp() / std::f64::consts::TAU.sqrt();
        let cdf = |x: f64| {
            let (n, h) = (2000, x / 2000.0);
            let inner: f64 = (1..n)
                .map(|i| density(i as f64 * h) * if i % 2 == 1 { 4.0 } else { 2.0 })
                .sum();
            0.5 + h / 3.0 * (density(0.0) + inner + density(x))
        };
        let x: Vec<f32> = (-80..=80).map(|i| i as f32 * 0.1).collect();
        let (mut y, mut g) = (vec![0.0; x.len()], vec![0.0; x.len()]);
        gelu(&x, &mut y);
        gelu_grad(&x, &vec![2.0; x.len()], &mut g);
        for ((x, y), g) in x.iter().zip(y).zip(g) {
            let x = f64::from(*x);
            assert!(
                (f64::from(y) - x * cdf(x)).abs() < 1.5e-7 * (1.0 + x.abs()),
                "{x}"
            );
            assert!(
                (f64::from(g) - 2.0 * (cdf(x) + x * density(x))).abs() < 1e-6,
                "{x}"
            );
        }
    }
}
