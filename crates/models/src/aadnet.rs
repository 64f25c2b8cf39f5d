//! AADNet (Nguyen et al., code CC0): which of several speech envelopes the EEG follows.
//!
//! Batch norm over electrodes and envelopes, one inception block for the EEG and one shared by
//! the envelopes, batch norm, Pearson-type correlation over time of every envelope feature with
//! every EEG feature, dropout, linear scores. The correlation pools over time, so an example may
//! have any length: train on two seconds, test on forty.
//!
//! Every slot has its own batch-norm parameters and its own weights in the last layer, so
//! exchanging two candidates does *not* simply exchange their scores; the authors train on both
//! orders of every example (swap augmentation), and so must whoever trains this.
//!
//! What the sources leave open is decided here: the 1×1 reduction of a branch is linear and ReLU
//! follows each branch's last convolution; convolutions are padded to keep the length. Names of
//! variables at the top level are the authors' (`batchnorm_1`, `inception_1_eeg`,
//! `inception_1_aud`, `batchnorm_2`, `fc1`); those inside the inception blocks are ours.

use candle_core::Tensor;
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::layers::{BatchNorm, Linear};
use crate::model::{Batch, Mode, Model, Needs};
use crate::ops::{self, TimeConv};
use crate::params::{Init, Params};

/// PyTorch's batch-norm defaults.
const BN_EPS: f64 = 1e-5;
const BN_MOMENTUM: f64 = 0.1;
/// Added to the product of standard deviations, as published.
const CORRELATION_EPS: f64 = 1e-8;
/// Added to each variance. Ours: the square root of a flat feature's variance has no gradient.
const VARIANCE_EPS: f64 = 1e-6;

/// Channels and kernel of each EEG branch: (reduction, output, kernel).
const EEG_BRANCHES: &[(Option<usize>, usize, usize)] = &[
    (None, 32, 1),
    (Some(16), 8, 19),
    (Some(8), 8, 25),
    (Some(4), 8, 33),
    (Some(2), 8, 39),
];
/// Channels of the EEG block's max-pool branch.
const EEG_POOL: usize = 8;
/// Channels and kernel of each envelope branch.
const AUDIO_BRANCHES: &[(Option<usize>, usize, usize)] =
    &[(None, 1, 1), (Some(1), 4, 65), (Some(1), 4, 81)];

/// Shape of an AADNet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct AadNetConfig {
    /// Electrodes.
    pub channels: usize,
    /// Candidate envelopes, at least 2.
    #[serde(default = "default_candidates")]
    pub candidates: usize,
    /// Dropout of the correlations.
    #[serde(default = "default_dropout")]
    pub dropout: f32,
}

fn default_candidates() -> usize {
    2
}
fn default_dropout() -> f32 {
    0.4
}

impl AadNetConfig {
    /// Two candidates, dropout 0.4.
    pub fn new(channels: usize) -> Self {
        Self {
            channels,
            candidates: default_candidates(),
            dropout: default_dropout(),
        }
    }
}

#[derive(Debug, Clone)]
struct Conv {
    weight: Tensor,
    bias: Tensor,
    conv: TimeConv,
}

impl Conv {
    fn new(
        params: &mut Params,
        name: &str,
        n_in: usize,
        n_out: usize,
        kernel: usize,
    ) -> Result<Self> {
        let init = Init::glorot(n_in * kernel, n_out * kernel);
        let bias = Init::torch_default(n_in * kernel);
        Ok(Self {
            weight: params.weight(&format!("{name}.weight"), (n_out, n_in, kernel), init)?,
            bias: params.weight(&format!("{name}.bias"), n_out, bias)?,
            conv: TimeConv::same(kernel, 1),
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        Ok(ops::conv_time(
            x,
            &self.weight,
            Some(&self.bias),
            &self.conv,
        )?)
    }
}

/// Branches side by side, their outputs stacked as channels.
#[derive(Debug, Clone)]
struct Inception {
    branches: Vec<(Option<Conv>, Conv)>,
    pool: Option<Conv>,
    channels: usize,
}

impl Inception {
    fn new(
        params: &mut Params,
        name: &str,
        n_in: usize,
        plan: &[(Option<usize>, usize, usize)],
        pool: Option<usize>,
    ) -> Result<Self> {
        let mut branches = Vec::with_capacity(plan.len());
        for (i, &(reduce, n_out, kernel)) in plan.iter().enumerate() {
            let name = format!("{name}.branches.{i}");
            let first = reduce
                .map(|r| Conv::new(params, &format!("{name}.reduce"), n_in, r, 1))
                .transpose()?;
            branches.push((
                first,
                Conv::new(
                    params,
                    &format!("{name}.conv"),
                    reduce.unwrap_or(n_in),
                    n_out,
                    kernel,
                )?,
            ));
        }
        let channels = plan.iter().map(|b| b.1).sum::<usize>() + pool.unwrap_or(0);
        let pool = pool
            .map(|n| Conv::new(params, &format!("{name}.pool.conv"), n_in, n, 1))
            .transpose()?;
        Ok(Self {
            branches,
            pool,
            channels,
        })
    }

    fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let mut outputs = Vec::with_capacity(self.branches.len() + 1);
        for (reduce, conv) in &self.branches {
            let y = match reduce {
                Some(reduce) => conv.forward(&reduce.forward(x)?)?,
                None => conv.forward(x)?,
            };
            outputs.push(y);
        }
        if let Some(conv) = &self.pool {
            outputs.push(conv.forward(&ops::max_pool3_time(x)?)?);
        }
        Ok(ops::relu(&Tensor::cat(&outputs, 1)?)?)
    }
}

/// The network.
#[derive(Debug, Clone)]
pub struct AadNet {
    config: AadNetConfig,
    params: Params,
    bn_1: BatchNorm,
    eeg: Inception,
    audio: Inception,
    bn_2: BatchNorm,
    fc1: Linear,
}

impl AadNet {
    /// Builds the network in `params` (an empty set).
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &AadNetConfig, mut params: Params) -> Result<Self> {
        if config.channels == 0 {
            return Err(Error::config("channels", config.channels, "at least 1"));
        }
        if config.candidates < 2 {
            return Err(Error::config("candidates", config.candidates, "at least 2"));
        }
        if !(0.0..1.0).contains(&config.dropout) {
            return Err(Error::config(
                "dropout",
                config.dropout,
                "0 or more and below 1",
            ));
        }
        let p = &mut params;
        let bn_1 = BatchNorm::new(
            p,
            "batchnorm_1",
            config.channels + config.candidates,
            BN_EPS,
            BN_MOMENTUM,
        )?;
        let eeg = Inception::new(
            p,
            "inception_1_eeg",
            config.channels,
            EEG_BRANCHES,
            Some(EEG_POOL),
        )?;
        let audio = Inception::new(p, "inception_1_aud", 1, AUDIO_BRANCHES, None)?;
        let n_audio = config.candidates * audio.channels;
        let bn_2 = BatchNorm::new(
            p,
            "batchnorm_2",
            eeg.channels + n_audio,
            BN_EPS,
            BN_MOMENTUM,
        )?;
        let n = n_audio * eeg.channels;
        let fc1 = Linear::new(
            p,
            "fc1",
            n,
            config.candidates,
            true,
            Init::glorot(n, config.candidates),
        )?;
        Ok(Self {
            config: config.clone(),
            params,
            bn_1,
            eeg,
            audio,
            bn_2,
            fc1,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &AadNetConfig {
        &self.config
    }

    /// `eeg` [B, C, L] and `envelopes` [B, K, L] → scores [B, K].
    ///
    /// # Errors
    /// [`Error::Shape`] for other channel or candidate counts, or fewer than 2 samples.
    pub fn scores(&self, eeg: &Tensor, envelopes: &Tensor, mode: Mode) -> Result<Tensor> {
        let AadNetConfig {
            channels,
            candidates,
            dropout,
        } = self.config;
        let (b, l) = match *eeg.dims() {
            [b, c, l] if b > 0 && c == channels && l > 1 => (b, l),
            _ => {
                return Err(Error::Shape {
                    what: "eeg",
                    found: eeg.dims().to_vec(),
                    expected: format!("[batch, {channels}, at least 2 times]"),
                });
            }
        };
        if envelopes.dims() != [b, candidates, l] {
            return Err(Error::Shape {
                what: "envelopes",
                found: envelopes.dims().to_vec(),
                expected: format!("[{b}, {candidates}, {l}], as the eeg"),
            });
        }
        let x = self
            .bn_1
            .forward(&Tensor::cat(&[eeg, envelopes], 1)?, mode)?;
        let eeg = self.eeg.forward(&x.narrow(1, 0, channels)?.contiguous()?)?;
        // The shared block sees each candidate as an example of its own.
        let audio =
            x.narrow(1, channels, candidates)?
                .contiguous()?
                .reshape((b * candidates, 1, l))?;
        let n_audio = candidates * self.audio.channels;
        let audio = self.audio.forward(&audio)?.reshape((b, n_audio, l))?;
        let x = self.bn_2.forward(&Tensor::cat(&[&eeg, &audio], 1)?, mode)?;
        let eeg = x.narrow(1, 0, self.eeg.channels)?;
        let audio = x.narrow(1, self.eeg.channels, n_audio)?;
        let r = correlation(&audio, &eeg)?.reshape((b, n_audio * self.eeg.channels))?;
        self.fc1
            .forward(&ops::dropout(&r, dropout, mode.stream("dropout_1"))?)
    }
}

/// Correlation over time of each channel of `a` [B, M, L] with each of `b` [B, N, L]: [B, M, N].
/// The product's mean divided by the unbiased standard deviations, as published, so a perfect
/// match gives (L − 1) / L.
fn correlation(a: &Tensor, b: &Tensor) -> Result<Tensor> {
    let l = a.dim(2)? as f64;
    let (a, b) = (
        a.broadcast_sub(&a.mean_keepdim(2)?)?,
        b.broadcast_sub(&b.mean_keepdim(2)?)?,
    );
    let std = |x: &Tensor| ((x.sqr()?.sum_keepdim(2)? / (l - 1.0))? + VARIANCE_EPS)?.sqrt();
    let product = (a.matmul(&b.t()?.contiguous()?)? / l)?;
    let scale = (std(&a)?.broadcast_mul(&std(&b)?.t()?)? + CORRELATION_EPS)?;
    Ok((product / scale)?)
}

impl Model for AadNet {
    fn name(&self) -> &'static str {
        "aadnet"
    }

    fn needs(&self) -> Needs {
        Needs::EegAndEnvelopes
    }

    fn forward(&self, batch: &Batch, mode: Mode) -> Result<Tensor> {
        let Some(envelopes) = &batch.envelopes else {
            return Err(Error::MissingInput {
                model: self.name(),
                what: "candidate envelopes",
            });
        };
        self.scores(&batch.eeg, envelopes, mode)
    }

    fn params(&self) -> &Params {
        &self.params
    }
}

#[cfg(test)]
mod tests {
    use candle_core::Device;

    use super::*;

    #[test]
    fn parameter_count_is_the_published_one() {
        let net = AadNet::new(&AadNetConfig::new(64), Params::new(0, &Device::Cpu)).unwrap();
        assert_eq!(net.params().count(), 13_798);
    }

    #[test]
    fn correlation_of_equal_and_flat_signals() {
        let n = 50;
        let wave: Vec<f32> = (0..n).map(|i| (i as f32 * 0.7).sin()).collect();
        let a = Tensor::from_vec(
            [wave.clone(), vec![3.0; n]].concat(),
            (1, 2, n),
            &Device::Cpu,
        )
        .unwrap();
        let b = Tensor::from_vec(
            wave.iter().map(|v| 5.0 - 2.0 * v).collect::<Vec<_>>(),
            (1, 1, n),
            &Device::Cpu,
        )
        .unwrap();
        let r = correlation(&a, &b)
            .unwrap()
            .flatten_all()
            .unwrap()
            .to_vec1::<f32>()
            .unwrap();
        assert!((r[0] + (n as f32 - 1.0) / n as f32).abs() < 1e-5, "{r:?}");
        assert!(r[1].abs() < 1e-6, "{r:?}");
    }
}
