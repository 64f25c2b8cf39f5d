//! A moving average of the weights over the steps, which is what is asked in place of the last
//! weights. Polyak & Juditsky 1992, doi:10.1137/0330046; the exponential form with its slow start
//! is that of TensorFlow's `ExponentialMovingAverage`.

use std::collections::HashMap;

use candle_core::{Device, Tensor};
use mmpipe_models::Params;

use crate::{Error, Result};

/// The average of each trainable variable, in the order of the parameters and on their device.
pub(crate) struct Average {
    decay: f64,
    names: Vec<String>,
    values: Vec<Tensor>,
}

impl Average {
    /// Starts from the weights as they are.
    pub(crate) fn new(params: &Params, decay: f64) -> Result<Self> {
        let mut average = Self {
            decay,
            names: Vec::new(),
            values: Vec::new(),
        };
        for p in params.trainable() {
            average.names.push(p.name.clone());
            average.values.push(p.var.as_detached_tensor().copy()?);
        }
        Ok(average)
    }

    /// Takes the weights after `step` (from 0) in. The first steps count more: the average of the
    /// first hundred is not yet one of ten thousand.
    pub(crate) fn update(&mut self, params: &Params, step: u64) -> Result<()> {
        let early = (step + 1) as f64 / (step + 10) as f64;
        let keep = self.decay.min(early);
        for (p, average) in params.trainable().zip(&mut self.values) {
            let weight = p.var.as_detached_tensor();
            *average = (average.affine(keep, 0.0)? + weight.affine(1.0 - keep, 0.0)?)?;
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
        let pairs = self.names.iter().zip(&self.values);
        pairs
            .map(|(name, value)| Ok((name.clone(), value.to_device(&Device::Cpu)?)))
            .collect()
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
        for (name, average) in self.names.iter().zip(&mut self.values) {
            let tensor = tensors
                .get(name)
                .ok_or_else(|| format!("lacks tensor {name}"))?;
            if tensor.elem_count() != average.elem_count() {
                return Err(format!(
                    "{name} has {} values, expected {}",
                    tensor.elem_count(),
                    average.elem_count()
                ));
            }
            *average = tensor
                .reshape(average.shape())
                .and_then(|t| t.to_device(average.device()))
                .map_err(|e| e.to_string())?;
        }
        Ok(())
    }
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
        assert_eq!(
            other.to_safetensors().unwrap(),
            average.to_safetensors().unwrap()
        );
        assert!(other.load(b"junk").is_err());
    }
}
