//! A moving average of the weights over the steps, which is what is asked in place of the last
//! weights. Polyak & Juditsky 1992, doi:10.1137/0330046; the exponential form with its slow start
//! is that of TensorFlow's `ExponentialMovingAverage`.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use mmpipe_models::Params;

use crate::{Error, Result};

/// The average of each trainable variable, in the order of the parameters.
pub(crate) struct Average {
    decay: f64,
    names: Vec<String>,
    dims: Vec<Vec<usize>>,
    values: Vec<Vec<f32>>,
}

impl Average {
    /// Starts from the weights as they are.
    pub(crate) fn new(params: &Params, decay: f64) -> Result<Self> {
        let mut average = Self {
            decay,
            names: Vec::new(),
            dims: Vec::new(),
            values: Vec::new(),
        };
        for p in params.trainable() {
            average.names.push(p.name.clone());
            average.dims.push(p.var.dims().to_vec());
            average.values.push(flat(p.var.as_tensor())?);
        }
        Ok(average)
    }

    /// Takes the weights after `step` (from 0) in. The first steps count more: the average of the
    /// first hundred is not yet one of ten thousand.
    pub(crate) fn update(&mut self, params: &Params, step: u64) -> Result<()> {
        let early = (step + 1) as f64 / (step + 10) as f64;
        let keep = self.decay.min(early);
        let (keep, new) = (keep as f32, (1.0 - keep) as f32);
        for (p, values) in params.trainable().zip(&mut self.values) {
            for (a, w) in values.iter_mut().zip(flat(p.var.as_tensor())?) {
                *a = keep * *a + new * w;
            }
        }
        Ok(())
    }

    /// Runs `ask` with the averages in place of the weights, which come back afterwards.
    pub(crate) fn shown<T>(&self, params: &Params, ask: impl FnOnce() -> Result<T>) -> Result<T> {
        let own = params.tensors()?;
        self.put(params)?;
        let answer = ask();
        params.load(&own)?;
        answer
    }

    /// Puts the averages in place of the weights, for good.
    pub(crate) fn put(&self, params: &Params) -> Result<()> {
        let mut shown = params.tensors()?;
        shown.extend(self.tensors()?);
        Ok(params.load(&shown)?)
    }

    fn tensors(&self) -> Result<Vec<(String, Tensor)>> {
        let mut out = Vec::with_capacity(self.names.len());
        for ((name, dims), values) in self.names.iter().zip(&self.dims).zip(&self.values) {
            let tensor = Tensor::from_slice(values, dims.as_slice(), &Device::Cpu)?;
            out.push((name.clone(), tensor));
        }
        Ok(out)
    }

    /// The averages as safetensors bytes, under the names of the weights.
    pub(crate) fn to_safetensors(&self) -> Result<Vec<u8>> {
        let bytes = safetensors::serialize(self.tensors()?, None);
        bytes.map_err(|e| Error::Tensor(candle_core::Error::wrap(e)))
    }

    /// Takes back what [`Average::to_safetensors`] wrote. `Err` names what does not fit.
    pub(crate) fn load(&mut self, bytes: &[u8]) -> std::result::Result<(), String> {
        let tensors: HashMap<String, Tensor> =
            candle_core::safetensors::load_buffer(bytes, &Device::Cpu)
                .map_err(|e| e.to_string())?;
        for (name, values) in self.names.iter().zip(&mut self.values) {
            let tensor = tensors
                .get(name)
                .ok_or_else(|| format!("lacks tensor {name}"))?;
            let found = flat(tensor).map_err(|e| e.to_string())?;
            if found.len() != values.len() {
                return Err(format!(
                    "{name} has {} values, expected {}",
                    found.len(),
                    values.len()
                ));
            }
            *values = found;
        }
        Ok(())
    }
}

fn flat(tensor: &Tensor) -> Result<Vec<f32>> {
    Ok(tensor.flatten_all()?.to_vec1::<f32>()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use mmpipe_models::Init;

    #[test]
    fn follows_the_formula_and_gives_the_weights_back() {
        let mut params = Params::new(0, &Device::Cpu);
        let w = params.weight("w", (1, 2), Init::Const(1.0)).unwrap();
        let kept = params.buffer("seen", 1, 7.0).unwrap();
        let mut average = Average::new(&params, 0.9).unwrap();
        let mut reference = 1.0f64;
        for step in 0..200u64 {
            let value = 1.0 + step as f64;
            let now = Tensor::full(value as f32, (1, 2), &Device::Cpu).unwrap();
            params.get("w").unwrap().var.set(&now).unwrap();
            average.update(&params, step).unwrap();
            let keep = 0.9f64.min((step + 1) as f64 / (step + 10) as f64);
            reference = keep * reference + (1.0 - keep) * value;
        }
        let read = || w.flatten_all().unwrap().to_vec1::<f32>().unwrap()[0];
        let seen = average.shown(&params, || Ok(read())).unwrap();
        assert!(
            (f64::from(seen) - reference).abs() < 1e-3,
            "{seen} {reference}"
        );
        assert_eq!(read(), 200.0);
        assert_eq!(kept.to_vec1::<f32>().unwrap(), [7.0]);
        let mut other = Average::new(&params, 0.9).unwrap();
        other.load(&average.to_safetensors().unwrap()).unwrap();
        assert_eq!(other.values, average.values);
        assert!(other.load(b"junk").is_err());
    }
}
