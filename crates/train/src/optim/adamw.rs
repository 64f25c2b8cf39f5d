//! Decoupled weight decay, Loshchilov & Hutter 2019 (arXiv:1711.05101), as one fused pass that
//! updates weight and moments in place on the CPU, and by composite operations on other devices.

use std::collections::HashMap;
use std::sync::Mutex;

use candle_core::backprop::GradStore;
use candle_core::{CpuStorage, Device, InplaceOp2, Layout, Tensor, Var};
use mmpipe_models::Params;
use rayon::prelude::*;

use crate::{Error, Result, StepConfig};

/// Values that one thread updates at a time. The update is element by element, so the split does
/// not change a bit.
const CHUNK: usize = 1 << 16;

/// First and second moments of one weight.
enum Moments {
    /// On the CPU, updated in place by one pass.
    Host(Vec<f32>, Vec<f32>),
    /// On the weight's device, updated by its operations.
    Device(Tensor, Tensor),
}

impl Moments {
    /// Zeros for a weight.
    fn of(weight: &Tensor) -> Result<Self> {
        Ok(match weight.device().is_cpu() {
            true => {
                let n = weight.elem_count();
                Self::Host(vec![0.0; n], vec![0.0; n])
            }
            false => Self::Device(weight.zeros_like()?, weight.zeros_like()?),
        })
    }

    /// Both on the CPU, in the weight's shape.
    fn read(&self, dims: &[usize]) -> Result<[Tensor; 2]> {
        let cpu = &Device::Cpu;
        Ok(match self {
            Self::Host(m, v) => [
                Tensor::from_slice(m, dims, cpu)?,
                Tensor::from_slice(v, dims, cpu)?,
            ],
            Self::Device(m, v) => [m.to_device(cpu)?, v.to_device(cpu)?],
        })
    }

    /// Takes over stored values, of which there are as many.
    fn write(&mut self, dims: &[usize], [m, v]: [Vec<f32>; 2]) -> Result<()> {
        *self = match self {
            Self::Host(..) => Self::Host(m, v),
            Self::Device(old, _) => {
                let device = old.device().clone();
                let there = |x: Vec<f32>| Tensor::from_vec(x, dims, &device);
                Self::Device(there(m)?, there(v)?)
            }
        };
        Ok(())
    }
}

/// What is known of one weight.
struct Slot {
    name: String,
    dims: Vec<usize>,
    decay: bool,
    /// Share of the learning rate.
    share: f64,
    moments: Moments,
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
    /// Zero moments for the trainable variables of `params`, on their device.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn new(params: &Params, cfg: &StepConfig) -> Result<Self> {
        let depth = super::depth::shares(params, cfg.layer_decay);
        let part = cfg.lr_scale.shares(params);
        let shares = depth.into_iter().zip(part).map(|(d, p)| d * p);
        let slots = params.trainable().zip(shares).map(|(p, share)| {
            Ok(Slot {
                name: p.name.clone(),
                dims: p.var.dims().to_vec(),
                decay: p.decay,
                share,
                moments: Moments::of(p.var.as_tensor())?,
            })
        });
        Ok(Self {
            beta1: cfg.beta1,
            beta2: cfg.beta2,
            eps: cfg.eps,
            weight_decay: cfg.weight_decay,
            clip: cfg.clip,
            slots: slots.collect::<Result<_>>()?,
        })
    }

    /// Update `params` by the gradients; `step` counts from 0. Returns the global gradient norm
    /// before clipping. When it is not finite nothing is changed. A variable without a gradient, or
    /// without a share of the learning rate, is left as it is and does not count in the norm.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn step(&mut self, params: &Params, grads: &GradStore, lr: f64, step: u64) -> Result<f64> {
        let mut flat: Vec<Option<Tensor>> = Vec::with_capacity(self.slots.len());
        for (p, slot) in params.trainable().zip(&self.slots) {
            flat.push(match grads.get(p.var.as_tensor()) {
                Some(g) if slot.share > 0.0 => Some(g.contiguous()?),
                _ => None,
            });
        }
        let norm = sum_of_squares(&flat)?.sqrt();
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
            let factors = factors(slot.decay, lr * slot.share);
            match &mut slot.moments {
                Moments::Host(m, v) => {
                    let moments = Mutex::new((m, v));
                    let op = Update { moments, factors };
                    p.var.as_tensor().inplace_op2(grad, &op)?;
                }
                Moments::Device(m, v) => composite(&p.var, grad, m, v, factors)?,
            }
        }
        Ok(norm)
    }

    /// The moments as safetensors bytes, `m.NAME` and `v.NAME`.
    pub(crate) fn to_safetensors(&self) -> Result<Vec<u8>> {
        let mut tensors = Vec::with_capacity(2 * self.slots.len());
        for slot in &self.slots {
            let [m, v] = slot.moments.read(&slot.dims)?;
            tensors.push((format!("m.{}", slot.name), m));
            tensors.push((format!("v.{}", slot.name), v));
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
            let wanted: usize = slot.dims.iter().product();
            let read = |prefix: &str| -> std::result::Result<Vec<f32>, String> {
                let name = format!("{prefix}.{}", slot.name);
                let tensor = tensors
                    .get(&name)
                    .ok_or_else(|| format!("lacks tensor {name}"))?;
                let found = tensor
                    .flatten_all()
                    .and_then(|t| t.to_vec1::<f32>())
                    .map_err(|e| e.to_string())?;
                match found.len() == wanted {
                    true => Ok(found),
                    false => Err(format!(
                        "{name} has {} values, expected {wanted}",
                        found.len()
                    )),
                }
            };
            let both = [read("m")?, read("v")?];
            let written = slot.moments.write(&slot.dims, both);
            written.map_err(|e| e.to_string())?;
        }
        Ok(())
    }
}

/// Sum of squares of all gradients: on the CPU in f64, in one fixed order of chunks; on a device of
/// each tensor there, read at once.
fn sum_of_squares(grads: &[Option<Tensor>]) -> Result<f64> {
    let mut sum = 0.0;
    let mut there = Vec::new();
    for g in grads.iter().flatten() {
        if !g.device().is_cpu() {
            there.push(g.sqr()?.sum_all()?);
            continue;
        }
        let values = g.flatten_all()?.to_vec1::<f32>()?;
        let parts: Vec<f64> = values
            .par_chunks(CHUNK)
            .map(|c| c.iter().map(|x| f64::from(*x) * f64::from(*x)).sum())
            .collect();
        sum += parts.iter().sum::<f64>();
    }
    if !there.is_empty() {
        let sums = Tensor::stack(&there, 0)?.to_vec1::<f32>()?;
        sum += sums.into_iter().map(f64::from).sum::<f64>();
    }
    Ok(sum)
}

/// The update of [`update`] by the operations of the weight's device.
fn composite(weight: &Var, g: &Tensor, m: &mut Tensor, v: &mut Tensor, f: Factors) -> Result<()> {
    let by = |x: &Tensor, factor: f32| x.affine(f64::from(factor), 0.0);
    let g = by(&g.detach(), f.scale)?;
    *m = (by(m, f.beta1)? + by(&g, f.rest1)?)?;
    *v = (by(v, f.beta2)? + by(&g.sqr()?, f.rest2)?)?;
    let below = v.sqrt()?.affine(f64::from(f.root), f64::from(f.eps))?;
    let step = by(&(&*m / below)?, f.rate)?;
    let w = by(&weight.as_detached_tensor(), f.keep)?;
    Ok(weight.set(&(w - step)?)?)
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

    fn moments(opt: &AdamW, i: usize) -> [Vec<f32>; 2] {
        let slot = &opt.slots[i];
        let both = slot.moments.read(&slot.dims).unwrap();
        both.map(|t| t.flatten_all().unwrap().to_vec1().unwrap())
    }

    /// The moments as they stand on another device.
    fn as_on_a_device(opt: &mut AdamW) {
        for slot in &mut opt.slots {
            let [m, v] = slot.moments.read(&slot.dims).unwrap();
            slot.moments = Moments::Device(m, v);
        }
    }

    #[test]
    fn the_composite_update_is_the_fused_one() {
        let cfg = StepConfig {
            weight_decay: 0.1,
            clip: 0.5,
            ..StepConfig::default()
        };
        let start = || {
            let mut params = Params::new(4, &Device::Cpu);
            params.weight("w", (7, 5), Init::Normal(1.0)).unwrap();
            params.weight("b", 9, Init::Normal(0.3)).unwrap();
            params.weight("still", 3, Init::Normal(0.3)).unwrap();
            params
        };
        let (here, there) = (start(), start());
        let mut fused = AdamW::new(&here, &cfg).unwrap();
        let mut other = AdamW::new(&there, &cfg).unwrap();
        as_on_a_device(&mut other);
        for step in 0..5 {
            for (opt, params) in [(&mut fused, &here), (&mut other, &there)] {
                let of = |name: &str| params.get(name).unwrap().var.as_tensor().clone();
                let loss = (of("w").sqr().unwrap().sum_all().unwrap()
                    + (of("b").exp().unwrap().sum_all().unwrap() * 2.0).unwrap())
                .unwrap();
                let norm = opt
                    .step(params, &loss.backward().unwrap(), 0.05, step)
                    .unwrap();
                assert!(norm > cfg.clip);
            }
            // As stored in between and taken back.
            let bytes = other.to_safetensors().unwrap();
            other.load(&bytes).unwrap();
        }
        for (a, b) in here.iter().zip(there.iter()) {
            let read = |v: &Var| v.flatten_all().unwrap().to_vec1::<f32>().unwrap();
            for (a, b) in read(&a.var).iter().zip(read(&b.var)) {
                assert!((a - b).abs() <= 1e-6 * b.abs().max(0.1), "{a} {b}");
            }
        }
        for i in 0..2 {
            for (a, b) in moments(&fused, i).iter().zip(moments(&other, i)) {
                for (a, b) in a.iter().zip(b) {
                    assert!((a - b).abs() <= 1e-6 * b.abs().max(1e-3), "{a} {b}");
                }
            }
        }
        assert_eq!(moments(&other, 2), [[0.0; 3], [0.0; 3]].map(Vec::from));
    }

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
        let mut opt = AdamW::new(&params, &cfg).unwrap();
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
        let mut opt = AdamW::new(&params, &cfg).unwrap();
        let factor = Tensor::new(&[[3f32, 4.0]], &Device::Cpu).unwrap();
        let loss = (&w * &factor).unwrap().sum_all().unwrap();
        let norm = opt
            .step(&params, &loss.backward().unwrap(), 0.1, 0)
            .unwrap();
        assert!((norm - 5.0).abs() < 1e-6);
        let [m, _] = moments(&opt, 0);
        assert!((m[0] - 0.06).abs() < 1e-6, "{}", m[0]);
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
        let mut a = AdamW::new(&params, &cfg).unwrap();
        let loss = w.sqr().unwrap().sum_all().unwrap();
        a.step(&params, &loss.backward().unwrap(), 0.1, 0).unwrap();
        let mut b = AdamW::new(&params, &cfg).unwrap();
        b.load(&a.to_safetensors().unwrap()).unwrap();
        assert_eq!(moments(&a, 0), moments(&b, 0));
        assert!(b.load(b"junk").is_err());
        let mut other = Params::new(1, &Device::Cpu);
        other.weight("w", (2, 3), Init::Uniform(1.0)).unwrap();
        let mut c = AdamW::new(&other, &cfg).unwrap();
        assert!(
            c.load(&a.to_safetensors().unwrap())
                .unwrap_err()
                .contains("expected 6")
        );
        assert_eq!(w.dtype(), DType::F32);
    }
}
