//! Decoupled weight decay, Loshchilov & Hutter 2019 (arXiv:1711.05101), as one fused pass that
//! updates weight and moments in place.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor};
use mmpipe_models::Params;
use rayon::prelude::*;

use crate::{Error, Result, StepConfig};

/// Values that one thread updates at a time. The update is element by element, so the split does
/// not change a bit.
const CHUNK: usize = 1 << 16;

/// First and second moments of one weight.
struct Slot {
    name: String,
    dims: Vec<usize>,
    decay: bool,
    /// Share of the learning rate.
    share: f64,
    m: Vec<f32>,
    v: Vec<f32>,
}

/// The optimiser's state: two moments a trainable value, in the order of the parameters.
pub struct AdamW {
    beta1: f64,
    beta2: f64,
    eps: f64,
    weight_decay: f64,
    clip: f64,
    slots: Vec<Slot>,
}

/// Numbers of one update, shared by all weights.
#[derive(Clone, Copy)]
struct Factors {
    /// What clipping multiplies the gradient by.
    scale: f32,
    beta1: f32,
    beta2: f32,
    /// 1 − β1 and 1 − β2, taken before rounding to f32: 1 − 0.999 in f32 is off by 5e-5.
    rest1: f32,
    rest2: f32,
    /// 1 − lr · weight decay.
    keep: f32,
    /// lr / (1 − β1^t).
    rate: f32,
    /// 1 / √(1 − β2^t).
    root: f32,
    eps: f32,
}

impl AdamW {
    /// Zero moments for the trainable variables of `params`.
    pub fn new(params: &Params, cfg: &StepConfig) -> Self {
        let depth = super::depth::shares(params, cfg.layer_decay);
        let part = cfg.lr_scale.shares(params);
        let shares = depth.into_iter().zip(part).map(|(d, p)| d * p);
        let slots = params.trainable().zip(shares).map(|(p, share)| Slot {
            name: p.name.clone(),
            dims: p.var.dims().to_vec(),
            decay: p.decay,
            share,
            m: vec![0.0; p.var.elem_count()],
            v: vec![0.0; p.var.elem_count()],
        });
        Self {
            beta1: cfg.beta1,
            beta2: cfg.beta2,
            eps: cfg.eps,
            weight_decay: cfg.weight_decay,
            clip: cfg.clip,
            slots: slots.collect(),
        }
    }

    /// Update `params` by the gradients; `step` counts from 0. Returns the global gradient norm
    /// before clipping. When it is not finite nothing is changed. A variable without a gradient, or
    /// without a share of the learning rate, is left as it is and does not count in the norm.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn step(&mut self, params: &Params, grads: &GradStore, lr: f64, step: u64) -> Result<f64> {
        let mut flat: Vec<Option<Tensor>> = Vec::with_capacity(self.slots.len());
        let mut squares = 0.0;
        for (p, slot) in params.trainable().zip(&self.slots) {
            let grad = match grads.get(p.var.as_tensor()) {
                Some(g) if slot.share > 0.0 => Some(g.contiguous()?),
                _ => None,
            };
            if let Some(g) = &grad {
                squares += sum_of_squares(g)?;
            }
            flat.push(grad);
        }
        let norm = squares.sqrt();
        if !norm.is_finite() {
            return Ok(norm);
        }
        let t = i32::try_from(step + 1).unwrap_or(i32::MAX);
        let scale = if self.clip > 0.0 && norm > self.clip {
            self.clip / norm
        } else {
            1.0
        };
        let factors = |decay: bool, lr: f64| Factors {
            scale: scale as f32,
            beta1: self.beta1 as f32,
            beta2: self.beta2 as f32,
            rest1: (1.0 - self.beta1) as f32,
            rest2: (1.0 - self.beta2) as f32,
            keep: if decay {
                (1.0 - lr * self.weight_decay) as f32
            } else {
                1.0
            },
            rate: (lr / (1.0 - self.beta1.powi(t))) as f32,
            root: (1.0 / (1.0 - self.beta2.powi(t)).sqrt()) as f32,
            eps: self.eps as f32,
        };
        for ((p, slot), grad) in params.trainable().zip(&mut self.slots).zip(&flat) {
            let Some(grad) = grad else { continue };
            let op = Update {
                moments: Mutex::new((&mut slot.m, &mut slot.v)),
                factors: factors(slot.decay, lr * slot.share),
            };
            p.var.as_tensor().inplace_op2(grad, &op)?;
        }
        Ok(norm)
    }

    /// The moments as safetensors bytes, `m.NAME` and `v.NAME`.
    pub(crate) fn to_safetensors(&self) -> Result<Vec<u8>> {
        let mut tensors = Vec::with_capacity(2 * self.slots.len());
        for slot in &self.slots {
            for (prefix, values) in [("m", &slot.m), ("v", &slot.v)] {
                let tensor = Tensor::from_slice(values, slot.dims.as_slice(), &Device::Cpu)?;
                tensors.push((format!("{prefix}.{}", slot.name), tensor));
            }
        }
        let bytes = safetensors::serialize(tensors, None);
        bytes.map_err(|e| Error::Tensor(candle_core::Error::wrap(e)))
    }

    /// Take back what [`AdamW::to_safetensors`] wrote. `Err` names what does not fit.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> std::result::Result<(), String> {
        let tensors: HashMap<String, Tensor> =
            candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
                .map_err(|e| e.to_string())?;
        for slot in &mut self.slots {
            for (prefix, values) in [("m", &mut slot.m), ("v", &mut slot.v)] {
                let name = format!("{prefix}.{}", slot.name);
                let tensor = tensors
                    .get(&name)
                    .ok_or_else(|| format!("lacks tensor {name}"))?;
                let found = tensor
                    .flatten_all()
                    .and_then(|t| t.to_vec1::<f32>())
                    .map_err(|e| e.to_string())?;
                if found.len() != values.len() {
                    return Err(format!(
                        "{name} has {} values, expected {}",
                        found.len(),
                        values.len()
                    ));
                }
                *values = found;
            }
        }
        Ok(())
    }
}

/// Sum of squares in f64, in one fixed order of chunks.
fn sum_of_squares(g: &Tensor) -> Result<f64> {
    let values = g.flatten_all()?.to_vec1::<f32>()?;
    let parts: Vec<f64> = values
        .par_chunks(CHUNK)
        .map(|c| c.iter().map(|x| f64::from(*x) * f64::from(*x)).sum())
        .collect();
    Ok(parts.iter().sum())
}

struct Update<'a> {
    moments: Mutex<(&'a mut Vec<f32>, &'a mut Vec<f32>)>,
    factors: Factors,
}

impl InplaceOp2 for Update<'_> {
    fn name(&self) -> &'static str {
        "adamw"
    }

    fn cpu_fwd(
        &self,
        weight: &mut CpuStorage,
        weight_layout: &Layout,
        grad: &CpuStorage,
        grad_layout: &Layout,
    ) -> candle_core::Result<()> {
        let (CpuStorage::F32(w), CpuStorage::F32(g)) = (weight, grad) else {
            candle_core::bail!("adamw: weights and gradients must be f32");
        };
        let (Some((w0, w1)), Some((g0, g1))) = (
            weight_layout.contiguous_offsets(),
            grad_layout.contiguous_offsets(),
        ) else {
            candle_core::bail!("adamw: weights and gradients must be contiguous");
        };
        let Ok(mut moments) = self.moments.lock() else {
            candle_core::bail!("adamw: a thread panicked during an update");
        };
        let (m, v) = &mut *moments;
        let f = self.factors;
        w[w0..w1]
            .par_chunks_mut(CHUNK)
            .zip(g[g0..g1].par_chunks(CHUNK))
            .zip(m.par_chunks_mut(CHUNK).zip(v.par_chunks_mut(CHUNK)))
            .for_each(|((w, g), (m, v))| update(w, g, m, v, f));
        Ok(())
    }
}

fn update(w: &mut [f32], g: &[f32], m: &mut [f32], v: &mut [f32], f: Factors) {
    for (((w, g), m), v) in w.iter_mut().zip(g).zip(m).zip(v) {
        let g = g * f.scale;
        *m = f.beta1 * *m + f.rest1 * g;
        *v = f.beta2 * *v + f.rest2 * g * g;
        *w = *w * f.keep - f.rate * *m / (v.sqrt() * f.root + f.eps);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use candle_core::DType;
    use mmpipe_models::Init;

    /// The published update written out in f64: lr 0.1, betas (0.9, 0.999), eps 1e-8, decay 0.1
    /// on the matrix and none on the bias, loss = sum(w²·[1, 2]) + 3·sum(b), three steps.
    #[test]
    fn follows_the_published_update_with_decay_groups() {
        let mut params = Params::new(0, &Device::Cpu);
        let w = params.weight("w", (1, 2), Init::Const(1.0)).unwrap();
        let b = params.weight("b", 2, Init::Const(0.5)).unwrap();
        let cfg = StepConfig {
            weight_decay: 0.1,
            clip: 0.0,
            ..StepConfig::default()
        };
        let mut opt = AdamW::new(&params, &cfg);
        let factor = Tensor::new(&[[1f32, 2.0]], &Device::Cpu).unwrap();
        for step in 0..3 {
            let loss = ((w.sqr().unwrap() * &factor).unwrap().sum_all().unwrap()
                + (b.sum_all().unwrap() * 3.0).unwrap())
            .unwrap();
            opt.step(&params, &loss.backward().unwrap(), 0.1, step)
                .unwrap();
        }
        let mut reference = [(1.0f64, 0.0, 0.0, 2.0), (1.0, 0.0, 0.0, 4.0)];
        for t in 1..=3 {
            for (w, m, v, slope) in &mut reference {
                let g = *w * *slope;
                *w *= 1.0 - 0.1 * 0.1;
                *m = 0.9 * *m + 0.1 * g;
                *v = 0.999 * *v + 0.001 * g * g;
                let (mh, vh) = (*m / (1.0 - 0.9f64.powi(t)), *v / (1.0 - 0.999f64.powi(t)));
                *w -= 0.1 * mh / (vh.sqrt() + 1e-8);
            }
        }
        let found = w.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        for (f, r) in found.iter().zip(&reference) {
            assert!((f64::from(*f) - r.0).abs() < 1e-6, "{f} {}", r.0);
        }
        // The bias: constant gradient, no decay: 0.1 a step.
        for x in b.to_vec1::<f32>().unwrap() {
            assert!((x - 0.2).abs() < 1e-5, "{x}");
        }
    }

    #[test]
    fn clips_by_the_global_norm_and_leaves_non_finite_gradients_alone() {
        let mut params = Params::new(0, &Device::Cpu);
        let w = params.weight("w", (1, 2), Init::Const(1.0)).unwrap();
        let cfg = StepConfig {
            weight_decay: 0.0,
            clip: 1.0,
            ..StepConfig::default()
        };
        let mut opt = AdamW::new(&params, &cfg);
        let factor = Tensor::new(&[[3f32, 4.0]], &Device::Cpu).unwrap();
        let loss = (&w * &factor).unwrap().sum_all().unwrap();
        let norm = opt
            .step(&params, &loss.backward().unwrap(), 0.1, 0)
            .unwrap();
        assert!((norm - 5.0).abs() < 1e-6);
        assert!(
            (opt.slots[0].m[0] - 0.06).abs() < 1e-6,
            "{}",
            opt.slots[0].m[0]
        );
        let before = w.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let nan = (&w * f64::NAN).unwrap().sum_all().unwrap();
        let norm = opt.step(&params, &nan.backward().unwrap(), 0.1, 1).unwrap();
        assert!(!norm.is_finite());
        assert_eq!(before, w.flatten_all().unwrap().to_vec1::<f32>().unwrap());
    }

    #[test]
    fn state_survives_its_bytes() {
        let mut params = Params::new(1, &Device::Cpu);
        let w = params.weight("w", (2, 2), Init::Uniform(1.0)).unwrap();
        let cfg = StepConfig::default();
        let mut a = AdamW::new(&params, &cfg);
        let loss = w.sqr().unwrap().sum_all().unwrap();
        a.step(&params, &loss.backward().unwrap(), 0.1, 0).unwrap();
        let mut b = AdamW::new(&params, &cfg);
        b.load(&a.to_safetensors().unwrap()).unwrap();
        assert_eq!(a.slots[0].m, b.slots[0].m);
        assert_eq!(a.slots[0].v, b.slots[0].v);
        assert!(b.load(b"junk").is_err());
        let mut other = Params::new(1, &Device::Cpu);
        other.weight("w", (2, 3), Init::Uniform(1.0)).unwrap();
        let mut c = AdamW::new(&other, &cfg);
        assert!(
            c.load(&a.to_safetensors().unwrap())
                .unwrap_err()
                .contains("expected 6")
        );
        assert_eq!(w.dtype(), DType::F32);
    }
}
