//! L2-penalised logistic regression in f64 by Newton's method with conjugate gradients.
//!
//! Objective, as scikit-learn's `LogisticRegression(C)`: C · Σ weight · −log p + ‖w‖² / 2, the
//! intercepts not penalised. Two classes: one logit; more: softmax. It is convex, so the optimum
//! does not depend on how it is reached; sums run over fixed chunks in a fixed order.

use rayon::prelude::*;

/// Rows whose sums are taken together; fixed, so that the result does not depend on threads.
const CHUNK: usize = 256;

/// The fitted numbers: for each of `outputs` (1 for two classes) `d` weights and an intercept.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Logistic {
    pub(crate) outputs: usize,
    pub(crate) d: usize,
    /// `outputs` × (d + 1), the intercept last.
    pub(crate) w: Vec<f64>,
}

/// What is fitted to.
struct Problem<'a> {
    rows: &'a [Vec<f64>],
    labels: &'a [usize],
    weights: &'a [f64],
    outputs: usize,
    d: usize,
    /// 1 / (C · n).
    ridge: f64,
}

impl Logistic {
    /// Fit; `weights` one an example. Returns the number of Newton steps beside.
    pub(crate) fn fit(
        rows: &[Vec<f64>],
        labels: &[usize],
        weights: &[f64],
        classes: usize,
        c: f64,
    ) -> (Self, u64) {
        let d = rows.first().map_or(0, Vec::len);
        let outputs = if classes == 2 { 1 } else { classes };
        let ridge = 1.0 / (c * rows.len().max(1) as f64);
        let problem = Problem {
            rows,
            labels,
            weights,
            outputs,
            d,
            ridge,
        };
        let mut w = vec![0.0; outputs * (d + 1)];
        let mut steps = 0;
        let (mut value, mut grad) = problem.value_and_gradient(&w);
        for _ in 0..200 {
            let size = norm(&grad);
            if size < 1e-11 {
                break;
            }
            steps += 1;
            let direction = problem.newton_direction(&w, &grad, size);
            let slope = dot(&direction, &grad);
            let mut step = 1.0;
            let mut moved = false;
            for _ in 0..40 {
                let trial: Vec<f64> = w
                    .iter()
                    .zip(&direction)
                    .map(|(w, p)| w + step * p)
                    .collect();
                let (v, g) = problem.value_and_gradient(&trial);
                // Near the optimum the values differ by rounding only; then the gradient decides.
                if v <= value + 1e-4 * step * slope || (slope.abs() < 1e-12 && norm(&g) < size) {
                    (w, value, grad) = (trial, v, g);
                    moved = true;
                    break;
                }
                step *= 0.5;
            }
            if !moved {
                break;
            }
        }
        (Self { outputs, d, w }, steps)
    }

    /// Log-probability of each class.
    pub(crate) fn log_probabilities(&self, row: &[f64]) -> Vec<f64> {
        let z = scores(&self.w, row, self.outputs);
        match z.as_slice() {
            [z] => vec![-softplus(*z), -softplus(-*z)],
            _ => {
                let max = z.iter().fold(f64::NEG_INFINITY, |m, z| m.max(*z));
                let log_sum = max + z.iter().map(|z| (z - max).exp()).sum::<f64>().ln();
                z.iter().map(|z| z - log_sum).collect()
            }
        }
    }
}

impl Problem<'_> {
    /// Mean objective and its gradient.
    fn value_and_gradient(&self, w: &[f64]) -> (f64, Vec<f64>) {
        let model = Logistic {
            outputs: self.outputs,
            d: self.d,
            w: w.to_vec(),
        };
        let (value, mut grad) = self.sum(|i, residual| {
            let lp = model.log_probabilities(&self.rows[i]);
            let weight = self.weights[i];
            if self.outputs == 1 {
                residual[0] = weight * (lp[1].exp() - f64::from(u8::from(self.labels[i] == 1)));
            } else {
                for (k, r) in residual.iter_mut().enumerate() {
                    *r = weight * (lp[k].exp() - f64::from(u8::from(self.labels[i] == k)));
                }
            }
            -weight * lp[self.labels[i]]
        });
        let mut penalty = 0.0;
        for (grad, w) in grad.chunks_mut(self.d + 1).zip(w.chunks(self.d + 1)) {
            for (g, w) in grad.iter_mut().zip(&w[..self.d]) {
                *g += self.ridge * w;
                penalty += 0.5 * self.ridge * w * w;
            }
        }
        (value + penalty, grad)
    }

    /// Hessian at `w` (through the probabilities) times `v`.
    fn hessian_times(&self, probabilities: &[Vec<f64>], v: &[f64]) -> Vec<f64> {
        let (_, mut out) = self.sum(|i, residual| {
            let u = scores(v, &self.rows[i], self.outputs);
            let p = &probabilities[i];
            if self.outputs == 1 {
                residual[0] = self.weights[i] * p[0] * p[1] * u[0];
            } else {
                let mean = dot(p, &u);
                for ((r, p), u) in residual.iter_mut().zip(p).zip(&u) {
                    *r = self.weights[i] * p * (u - mean);
                }
            }
            0.0
        });
        for (out, v) in out.chunks_mut(self.d + 1).zip(v.chunks(self.d + 1)) {
            for (o, v) in out.iter_mut().zip(&v[..self.d]) {
                *o += self.ridge * v;
            }
        }
        out
    }

    /// −H⁻¹ g by conjugate gradients, as exact as the gradient is small.
    fn newton_direction(&self, w: &[f64], grad: &[f64], size: f64) -> Vec<f64> {
        let model = Logistic {
            outputs: self.outputs,
            d: self.d,
            w: w.to_vec(),
        };
        let probabilities: Vec<Vec<f64>> = self
            .rows
            .par_iter()
            .map(|r| {
                model
                    .log_probabilities(r)
                    .into_iter()
                    .map(f64::exp)
                    .collect()
            })
            .collect();
        let tolerance = size * size.sqrt().min(0.1);
        let mut x = vec![0.0; grad.len()];
        let mut r: Vec<f64> = grad.iter().map(|g| -g).collect();
        let mut p = r.clone();
        let mut rr = dot(&r, &r);
        for _ in 0..(4 * grad.len()).max(50) {
            if rr.sqrt() <= tolerance {
                break;
            }
            let hp = self.hessian_times(&probabilities, &p);
            let curvature = dot(&p, &hp);
            if curvature <= 0.0 {
                break;
            }
            let alpha = rr / curvature;
            for i in 0..x.len() {
                x[i] += alpha * p[i];
                r[i] -= alpha * hp[i];
            }
            let next = dot(&r, &r);
            for i in 0..p.len() {
                p[i] = r[i] + next / rr * p[i];
            }
            rr = next;
        }
        if x.iter().all(|v| *v == 0.0) {
            grad.iter().map(|g| -g).collect()
        } else {
            x
        }
    }

    /// Mean over examples of a value and of residual ⊗ (row, 1). `f` fills the residual of example
    /// i and returns its value.
    fn sum(&self, f: impl Fn(usize, &mut [f64]) -> f64 + Sync) -> (f64, Vec<f64>) {
        let n = self.rows.len();
        let parts: Vec<(f64, Vec<f64>)> = (0..n.div_ceil(CHUNK))
            .into_par_iter()
            .map(|chunk| {
                let mut value = 0.0;
                let mut grad = vec![0.0; self.outputs * (self.d + 1)];
                let mut residual = vec![0.0; self.outputs];
                for i in chunk * CHUNK..((chunk + 1) * CHUNK).min(n) {
                    value += f(i, &mut residual);
                    for (grad, r) in grad.chunks_mut(self.d + 1).zip(&residual) {
                        for (g, x) in grad.iter_mut().zip(&self.rows[i]) {
                            *g += r * x;
                        }
                        grad[self.d] += r;
                    }
                }
                (value, grad)
            })
            .collect();
        let mut value = 0.0;
        let mut grad = vec![0.0; self.outputs * (self.d + 1)];
        for (v, g) in parts {
            value += v / n as f64;
            grad.iter_mut().zip(g).for_each(|(a, b)| *a += b / n as f64);
        }
        (value, grad)
    }
}

/// w · (row, 1) of each output.
fn scores(w: &[f64], row: &[f64], outputs: usize) -> Vec<f64> {
    let width = w.len() / outputs.max(1);
    w.chunks(width.max(1))
        .map(|w| dot(&w[..row.len()], row) + w[row.len()])
        .collect()
}

/// ln(1 + e^z) without overflow.
fn softplus(z: f64) -> f64 {
    z.max(0.0) + (-z.abs()).exp().ln_1p()
}

fn dot(a: &[f64], b: &[f64]) -> f64 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn norm(a: &[f64]) -> f64 {
    dot(a, a).sqrt()
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;

    use super::super::features::{moments, standardise};
    use super::*;

    #[derive(Deserialize)]
    struct Case {
        classes: usize,
        balanced: bool,
        c: f64,
        x: Vec<Vec<f64>>,
        y: Vec<usize>,
        coef: Vec<Vec<f64>>,
        intercept: Vec<f64>,
        log_proba: Vec<Vec<f64>>,
    }

    /// tests/fixtures/logistic.py made the numbers.
    #[test]
    fn agrees_with_scikit_learn() {
        let cases: Vec<Case> =
            serde_json::from_str(include_str!("../../tests/fixtures/logistic.json")).unwrap();
        assert_eq!(cases.len(), 4);
        for case in cases {
            let mut rows = case.x.clone();
            let (mean, std) = moments(&rows.iter().collect::<Vec<_>>());
            standardise(&mut rows, &mean, &std);
            let count = |c: usize| case.y.iter().filter(|y| **y == c).count() as f64;
            let weight = |y: &usize| {
                if case.balanced {
                    case.y.len() as f64 / (case.classes as f64 * count(*y))
                } else {
                    1.0
                }
            };
            let weights: Vec<f64> = case.y.iter().map(weight).collect();
            let (fitted, _) = Logistic::fit(&rows, &case.y, &weights, case.classes, case.c);
            let d = fitted.d;
            for (w, coef) in fitted.w.chunks(d + 1).zip(&case.coef) {
                for (a, b) in w.iter().zip(coef) {
                    assert!((a - b).abs() < 1e-6, "{a} {b}");
                }
            }
            // Softmax intercepts are free up to a common shift.
            let shift = fitted.w[d] - case.intercept[0];
            assert!(case.classes > 2 || shift.abs() < 1e-6);
            for (w, b) in fitted.w.chunks(d + 1).zip(&case.intercept) {
                assert!((w[d] - shift - b).abs() < 1e-6);
            }
            for (row, expected) in rows.iter().zip(&case.log_proba) {
                for (a, b) in fitted.log_probabilities(row).iter().zip(expected) {
                    assert!((a - b).abs() < 1e-6, "{a} {b}");
                }
            }
        }
    }

    #[test]
    fn separable_data_and_extreme_scores_stay_finite() {
        let rows: Vec<Vec<f64>> = (0..40)
            .map(|i| vec![f64::from(i) * 100.0 - 2000.0])
            .collect();
        let labels: Vec<usize> = (0..40).map(|i| usize::from(i >= 20)).collect();
        let (fitted, steps) = Logistic::fit(&rows, &labels, &[1.0; 40], 2, 1e9);
        assert!(steps > 0 && fitted.w.iter().all(|w| w.is_finite()));
        assert!(fitted.log_probabilities(&[1e9]).iter().all(|p| !p.is_nan()));
    }
}
