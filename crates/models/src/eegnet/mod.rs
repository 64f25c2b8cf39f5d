//! EEGNet, version 4 (Lawhern et al. 2018, doi:10.1088/1741-2552/aace8c).
//!
//! Layers and hyper-parameters follow the authors' Keras code (`arl-eegmodels`): temporal
//! convolution, batch norm, depthwise convolution over electrodes (max-norm 1), batch norm, ELU,
//! mean of 4, dropout, separable convolution, batch norm, ELU, mean of 8, dropout, linear
//! classifier (rows max-norm 0.25). "Same" padding is Keras' too: an even kernel has its extra
//! zero on the right. Names and shapes of the variables are those of braindecode's `EEGNetv4`
//! (which pads an even kernel by one more sample and so looks one sample further back).
//!
//! On the CPU the first block is computed in another order with the same result (see `front`).

mod front;

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layers::{BatchNorm, max_norm};
use crate::model::{Batch, Mode, Model, Needs};
use crate::ops::{self, TimeConv};
use crate::params::{Init, Params};

/// Batch norm: Keras' epsilon.
const BN_EPS: f64 = 1e-3;
/// Batch norm: Keras' momentum of 0.99 in PyTorch's convention.
const BN_MOMENTUM: f64 = 0.01;
/// Limit of the L2 norm of each spatial filter.
const SPATIAL_MAX_NORM: f64 = 1.0;
/// Limit of the L2 norm of each class's weights.
const CLASSIFIER_MAX_NORM: f64 = 0.25;
/// Kernel of the separable convolution, samples.
const SEPARABLE_KERNEL: usize = 16;
/// Samples averaged after the first and the second block.
const POOLS: (usize, usize) = (4, 8);

/// Shape of an EEGNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct EegNetConfig {
    /// Electrodes.
    pub channels: usize,
    /// Samples of one example; at least 32.
    pub times: usize,
    /// Classes.
    pub classes: usize,
    /// Temporal filters (F1).
    #[serde(default = "default_f1")]
    pub f1: usize,
    /// Spatial filters a temporal filter (D).
    #[serde(default = "default_d")]
    pub d: usize,
    /// Filters of the separable convolution (F2).
    #[serde(default = "default_f2")]
    pub f2: usize,
    /// Samples of the temporal kernel; half the sampling rate in the paper.
    #[serde(default = "default_kernel")]
    pub kernel: usize,
    /// Dropout probability; 0.5 within subjects, 0.25 across them in the paper.
    #[serde(default = "default_dropout")]
    pub dropout: f32,
}

fn default_f1() -> usize {
    8
}
fn default_d() -> usize {
    2
}
fn default_f2() -> usize {
    16
}
fn default_kernel() -> usize {
    100
}
fn default_dropout() -> f32 {
    0.5
}

impl EegNetConfig {
    /// The paper's EEGNet-8,2 for `sfreq` hertz: kernel of half a second, dropout 0.5.
    pub fn new(channels: usize, times: usize, classes: usize, sfreq: f64) -> Self {
        Self {
            channels,
            times,
            classes,
            f1: default_f1(),
            d: default_d(),
            f2: default_f2(),
            kernel: ((sfreq / 2.0).round() as usize).max(1),
            dropout: default_dropout(),
        }
    }

    fn check(&self) -> Result<()> {
        let positive = [
            ("channels", self.channels),
            ("classes", self.classes),
            ("f1", self.f1),
            ("d", self.d),
            ("f2", self.f2),
            ("kernel", self.kernel),
        ];
        for (field, value) in positive {
            if value == 0 {
                return Err(Error::config(field, value, "at least 1"));
            }
        }
        if self.times < POOLS.0 * POOLS.1 {
            return Err(Error::config("times", self.times, "at least 32 samples"));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::config(
                "dropout",
                self.dropout,
                "0 or more and below 1",
            ));
        }
        Ok(())
    }
}

/// The network.
#[derive(Debug, Clone)]
pub struct EegNet {
    config: EegNetConfig,
    params: Params,
    temporal: Tensor,
    bn_temporal: BatchNorm,
    spatial: Tensor,
    bn_1: BatchNorm,
    depth: Tensor,
    point: Tensor,
    bn_2: BatchNorm,
    classifier: Tensor,
    classifier_bias: Tensor,
}

impl EegNet {
    /// Builds the network in `params` (an empty set): Glorot-uniform weights, zero biases.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &EegNetConfig, mut params: Params) -> Result<Self> {
        config.check()?;
        let EegNetConfig {
            channels,
            times,
            classes,
            f1,
            d,
            f2,
            kernel,
            ..
        } = *config;
        let p = &mut params;
        let n = f1 * d;
        let steps = times / POOLS.0 / POOLS.1;
        let temporal = p.weight(
            "conv_temporal.weight",
            (f1, 1, 1, kernel),
            Init::glorot(kernel, f1 * kernel),
        )?;
        let bn_temporal = BatchNorm::new(p, "bnorm_temporal", f1, BN_EPS, BN_MOMENTUM)?;
        let spatial = p.weight(
            "conv_spatial.weight",
            (n, 1, channels, 1),
            Init::glorot(channels, n * channels),
        )?;
        let bn_1 = BatchNorm::new(p, "bnorm_1", n, BN_EPS, BN_MOMENTUM)?;
        let depth = p.weight(
            "conv_separable_depth.weight",
            (n, 1, 1, SEPARABLE_KERNEL),
            Init::glorot(SEPARABLE_KERNEL, n * SEPARABLE_KERNEL),
        )?;
        let point = p.weight(
            "conv_separable_point.weight",
            (f2, n, 1, 1),
            Init::glorot(n, f2),
        )?;
        let bn_2 = BatchNorm::new(p, "bnorm_2", f2, BN_EPS, BN_MOMENTUM)?;
        let classifier = p.weight(
            "conv_classifier.weight",
            (classes, f2, 1, steps),
            Init::glorot(f2 * steps, classes * steps),
        )?;
        let classifier_bias = p.weight("conv_classifier.bias", classes, Init::Const(0.0))?;
        let net = Self {
            config: config.clone(),
            params,
            temporal,
            bn_temporal,
            spatial,
            bn_1,
            depth,
            point,
            bn_2,
            classifier,
            classifier_bias,
        };
        net.constrain()?;
        Ok(net)
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &EegNetConfig {
        &self.config
    }

    /// `x` [B, channels, times] → class scores [B, classes].
    ///
    /// # Errors
    /// [`Error::Shape`] when channels or times are not those of the configuration.
    pub fn scores(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let c = &self.config;
        let b = match *x.dims() {
            [b, channels, times] if b > 0 && channels == c.channels && times == c.times => b,
            _ => {
                return Err(Error::Shape {
                    what: "eeg",
                    found: x.dims().to_vec(),
                    expected: format!("[batch, {}, {}]", c.channels, c.times),
                });
            }
        };
        let x = match front::applies(x, &self.temporal) {
            true => self.first_block_reordered(x, mode)?,
            false => self.first_block(x, mode)?,
        };
        let x = self.bn_1.forward_elu_pool(&x, POOLS.0, mode)?;
        let x = ops::dropout(&x, c.dropout, mode.stream("drop_1"))?;
        let n = c.f1 * c.d;
        let depth = self.depth.reshape((n, 1, SEPARABLE_KERNEL))?;
        let x = ops::conv_time(&x, &depth, None, &TimeConv::same(SEPARABLE_KERNEL, n))?;
        let x = ops::conv_time(
            &x,
            &self.point.reshape((c.f2, n, 1))?,
            None,
            &TimeConv::same(1, 1),
        )?;
        let x = self.bn_2.forward_elu_pool(&x, POOLS.1, mode)?;
        let x = ops::dropout(&x, c.dropout, mode.stream("drop_2"))?;
        let weight = self.classifier.flatten_from(1)?;
        let x = x.reshape((b, weight.dim(1)?))?;
        Ok(x.matmul(&weight.t()?)?
            .broadcast_add(&self.classifier_bias)?)
    }

    /// Temporal convolution, batch norm and spatial filters as published:
    /// [B, C, T] → [B, F1·D, T].
    fn first_block(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let EegNetConfig {
            channels,
            f1,
            d,
            kernel,
            ..
        } = self.config;
        let (b, _, t) = x.dims3()?;
        let rows = x.reshape((b * channels, 1, t))?;
        let w = self.temporal.reshape((f1, 1, kernel))?;
        let y = ops::conv_time(&rows, &w, None, &TimeConv::same(kernel, 1))?;
        // [B·C, F1, T]: statistics over everything but the filter.
        let y = self.bn_temporal.forward(&y, mode)?;
        let y = y
            .reshape((b, channels, f1, t))?
            .transpose(1, 2)?
            .contiguous()?;
        // Each temporal filter has its own d spatial filters: one product a group.
        let s = self
            .spatial
            .reshape((1, f1, d, channels))?
            .broadcast_as((b, f1, d, channels))?;
        Ok(s.contiguous()?.matmul(&y)?.reshape((b, f1 * d, t))?)
    }

    /// The same block with the spatial filters first; see [`front`].
    fn first_block_reordered(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let EegNetConfig {
            channels,
            f1,
            d,
            kernel,
            ..
        } = self.config;
        let (b, _, t) = x.dims3()?;
        let n = f1 * d;
        let w = self.temporal.reshape((f1, kernel))?;
        let bn = &self.bn_temporal;
        let (mean, var) = if mode.is_train() {
            let (mean, var) = front::filter_statistics(x, &w)?;
            bn.update(&mean, &var, b * channels * t)?;
            (mean, var)
        } else {
            (
                bn.running_mean.as_tensor().clone(),
                bn.running_var.as_tensor().clone(),
            )
        };
        // Batch norm is a factor and an offset a temporal filter.
        let scale = (&bn.weight / (var + bn.eps)?.sqrt()?)?;
        let shift = (&bn.bias - (mean * &scale)?)?;
        let filters = w.broadcast_mul(&scale.unsqueeze(1)?)?.unsqueeze(1)?;
        let filters = filters
            .broadcast_as((f1, d, kernel))?
            .contiguous()?
            .reshape((n, 1, kernel))?;
        let s = self.spatial.reshape((f1, d, channels))?;
        let offset = s.sum(2)?.broadcast_mul(&shift.unsqueeze(1)?)?.reshape(n)?;
        let mixed = ops::conv_time(
            x,
            &s.reshape((n, channels, 1))?,
            None,
            &TimeConv::same(1, 1),
        )?;
        Ok(ops::conv_time(
            &mixed,
            &filters,
            Some(&offset),
            &TimeConv::same(kernel, n),
        )?)
    }
}

impl Model for EegNet {
    fn name(&self) -> &'static str {
        "eegnet"
    }

    fn needs(&self) -> Needs {
        Needs::Eeg
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensor> {
        self.scores(&batch.eeg, mode)
    }

    fn params(&self) -> &Params {
        &self.params
    }

    fn constrain(&self) -> Result<()> {
        for (name, limit) in [
            ("conv_spatial.weight", SPATIAL_MAX_NORM),
            ("conv_classifier.weight", CLASSIFIER_MAX_NORM),
        ] {
            if let Some(p) = self.params.get(name) {
                max_norm(&p.var, limit)?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn parameter_counts_are_the_published_ones() {
        for (times, count) in [(400, 2514), (256, 2386), (128, 2258)] {
            let config = EegNetConfig {
                kernel: 64,
                ..EegNetConfig::new(64, times, 2, 128.0)
            };
            let net = EegNet::new(&config, Params::new(0, &Device::Cpu)).unwrap();
            assert_eq!(net.params().count(), count);
        }
    }
}
