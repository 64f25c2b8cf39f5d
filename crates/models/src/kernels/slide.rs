//! Sliding products: the one loop under depthwise convolutions, their gradients and
//! autocorrelations.

use multiversion::{multiversion, target::target_cfg_f};

use super::vector::mul_add;

const LANES: usize = 16;

#[inline(always)]
fn fma_block(fused: bool, acc: &mut [f32; LANES], w: f32, x: &[f32; LANES]) {
    for (a, x) in acc.iter_mut().zip(x) {
        *a = mul_add(fused, w, *x, *a);
    }
}

/// out[t] += Σ_k w[k]·x[t + k]. `x` has at least `out.len() + w.len() − 1` samples; what lies
/// beyond is not read.
///
/// # Panics
/// When `x` is shorter: a mistake of the caller.
#[multiversion(targets(
    "x86_64+avx512f+avx512vl+avx512bw+avx512dq+avx2+fma+bmi2",
    "x86_64+avx2+fma+bmi2"
))]
pub(crate) fn correlate(x: &[f32], w: &[f32], out: &mut [f32]) {
    let fused = target_cfg_f!(target_feature = "fma");
    assert!(
        w.is_empty() || x.len() + 1 >= out.len() + w.len(),
        "signal shorter than window and kernel"
    );
    let (n, k) = (out.len(), w.len());
    let mut t = 0;
    // Blocks of 64 outputs stay in registers while the kernel slides over them.
    while t + 4 * LANES <= n {
        let mut acc = [[0.0f32; LANES]; 4];
        let window = &x[t..t + 4 * LANES + k - usize::from(k > 0)];
        for (x, &w) in window.windows(4 * LANES).zip(w) {
            let (x, _) = x.as_chunks::<LANES>();
            if let [x0, x1, x2, x3] = x {
                fma_block(fused, &mut acc[0], w, x0);
                fma_block(fused, &mut acc[1], w, x1);
                fma_block(fused, &mut acc[2], w, x2);
                fma_block(fused, &mut acc[3], w, x3);
            }
        }
        for (o, a) in out[t..].iter_mut().zip(acc.as_flattened()) {
            *o += a;
        }
        t += 4 * LANES;
    }
    while t + LANES <= n {
        let mut acc = [0.0f32; LANES];
        for (i, &w) in w.iter().enumerate() {
            if let Some((x, _)) = x[t + i..].split_first_chunk::<LANES>() {
                fma_block(fused, &mut acc, w, x);
            }
        }
        for (o, a) in out[t..].iter_mut().zip(&acc) {
            *o += a;
        }
        t += LANES;
    }
    for (t, o) in out.iter_mut().enumerate().skip(t) {
        *o += super::vector::sum_of(&x[t..t + k], w, |x, w| x * w);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Stream;

    #[test]
    fn equals_the_definition() {
        let s = Stream::named(0, "slide");
        for n in [1, 7, 15, 16, 17, 63, 64, 65, 100, 200] {
            for k in [1, 2, 16, 33, 100] {
                let x: Vec<f32> = (0..n + k - 1).map(|i| s.uniform(i as u64) - 0.5).collect();
                let w: Vec<f32> = (0..k).map(|i| s.child(1).uniform(i as u64) - 0.5).collect();
                let mut out = vec![1.0; n];
                correlate(&x, &w, &mut out);
                for (t, o) in out.iter().enumerate() {
                    let want = 1.0
                        + w.iter()
                            .zip(&x[t..])
                            .map(|(w, x)| f64::from(*w) * f64::from(*x))
                            .sum::<f64>();
                    assert!((f64::from(*o) - want).abs() < 1e-5, "{n} {k} {t}");
                }
            }
        }
    }
}
