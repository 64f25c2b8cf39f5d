//! Log-mel spectrogram and a small encoder on it: the light sound encoder of the ablation. The paper
//! names it and gives no form; this one is ours.
//!
//! Front end (no variables, no gradient to the waveform): frames of 400 samples every 160 (25 and
//! 10 ms at 16 kHz), periodic Hann window, power of a 400-point transform, triangular filters on the
//! HTK mel scale from 0 to 8 kHz, natural logarithm of the power, not below 1e-10, and each clip less
//! its mean and divided by its standard deviation. In f64.
//!
//! Frames get the sines and cosines of their place (Vaswani et al. 2017): the mean over frames would
//! not tell otherwise *when* something was loud, and that is what EEG follows.

use std::f64::consts::TAU;
use std::sync::OnceLock;

use candle_core::{D, DType, Device, Tensor};
use serde::{Deserialize, Serialize};

use super::config::Wav2Vec2Config;
use super::layer::Layer;
use crate::error::{Error, Result};
use crate::layers::LayerNorm;
use crate::model::Mode;
use crate::ops::{self, TimeConv};
use crate::params::{Init, Params};

/// Samples a second.
const SFREQ: f64 = 16_000.0;
/// Samples of a frame, and points of its transform.
const FRAME: usize = 400;
/// Samples from one frame to the next.
const HOP: usize = 160;
/// Bins of a frame's transform.
const BINS: usize = FRAME / 2 + 1;
/// Least power whose logarithm is taken.
const FLOOR: f64 = 1e-10;

/// Shape of the encoder.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MelConfig {
    /// Mel bands.
    pub bands: usize,
    /// Width of a frame's vector.
    pub width: usize,
    /// Transformer layers.
    pub layers: usize,
    /// Attention heads; divide the width.
    pub heads: usize,
    /// Dropout of hidden vectors.
    pub dropout: f32,
}

impl Default for MelConfig {
    fn default() -> Self {
        Self {
            bands: 80,
            width: 256,
            layers: 2,
            heads: 4,
            dropout: 0.1,
        }
    }
}

/// Filters [BINS × bands], row-major: triangles between neighbouring points that are equidistant in
/// mel, each of height one.
fn filters(bands: usize) -> Vec<f64> {
    let to_mel = |f: f64| 2595.0 * (1.0 + f / 700.0).log10();
    let to_hz = |m: f64| 700.0 * (10f64.powf(m / 2595.0) - 1.0);
    let top = to_mel(SFREQ / 2.0);
    let edge = |i: usize| to_hz(top * i as f64 / (bands + 1) as f64);
    let mut out = Vec::with_capacity(BINS * bands);
    for k in 0..BINS {
        let f = k as f64 * SFREQ / FRAME as f64;
        for band in 0..bands {
            let (low, mid, high) = (edge(band), edge(band + 1), edge(band + 2));
            let rise = (f - low) / (mid - low);
            let fall = (high - f) / (high - mid);
            out.push(rise.min(fall).max(0.0));
        }
    }
    out
}

/// Cosines and sines of [`transform`].
static TABLE: OnceLock<Vec<f64>> = OnceLock::new();

/// [FRAME × 2·BINS], row-major: cosines, then sines, of each bin.
fn transform() -> Vec<f64> {
    let angle = |i: usize, k: usize| TAU * ((i * k) % FRAME) as f64 / FRAME as f64;
    (0..FRAME)
        .flat_map(|i| {
            (0..BINS)
                .map(move |k| angle(i, k).cos())
                .chain((0..BINS).map(move |k| angle(i, k).sin()))
        })
        .collect()
}

/// Frames that `samples` samples give.
pub fn mel_frames(samples: usize) -> usize {
    match samples.checked_sub(FRAME) {
        Some(rest) => rest / HOP + 1,
        None => 0,
    }
}

/// Places of `n` frames in vectors of `width`: value 2i is sin(n / 10000^(2i / width)), value 2i + 1
/// the cosine of the same.
fn places(n: usize, width: usize) -> Vec<f64> {
    (0..n)
        .flat_map(|t| {
            (0..width).map(move |i| {
                let rate = 10_000f64.powf(-((i - i % 2) as f64) / width as f64);
                match i % 2 {
                    0 => (t as f64 * rate).sin(),
                    _ => (t as f64 * rate).cos(),
                }
            })
        })
        .collect()
}

/// Log-mel spectrogram of waveforms [B, T] at 16 kHz → [B, bands, frames], standardised by clip, in
/// the input's type and on its device.
///
/// # Errors
/// [`Error::Shape`] for waveforms shorter than a frame.
pub fn log_mel(x: &Tensor, bands: usize) -> Result<Tensor> {
    let (b, t) = match *x.dims() {
        [b, t] if b > 0 && t >= FRAME => (b, t),
        _ => {
            return Err(Error::Shape {
                what: "waveforms",
                found: x.dims().to_vec(),
                expected: format!("[batch, samples], at least {FRAME} samples"),
            });
        }
    };
    let frames = mel_frames(t);
    let cpu = Device::Cpu;
    let values: Vec<f64> = x
        .detach()
        .to_device(&cpu)?
        .to_dtype(DType::F64)?
        .flatten_all()?
        .to_vec1()?;
    let window: Vec<f64> = (0..FRAME)
        .map(|i| 0.5 - 0.5 * (TAU * i as f64 / FRAME as f64).cos())
        .collect();
    let mut cut = Vec::with_capacity(b * frames * FRAME);
    for clip in values.chunks_exact(t) {
        for frame in clip.windows(FRAME).step_by(HOP) {
            cut.extend(frame.iter().zip(&window).map(|(x, w)| x * w));
        }
    }
    let table = TABLE.get_or_init(transform).as_slice();
    let parts = Tensor::from_vec(cut, (b * frames, FRAME), &cpu)?
        .matmul(&Tensor::from_slice(table, (FRAME, 2 * BINS), &cpu)?)?
        .sqr()?;
    let power = (parts.narrow(1, 0, BINS)? + parts.narrow(1, BINS, BINS)?)?;
    let mel = power.matmul(&Tensor::from_vec(filters(bands), (BINS, bands), &cpu)?)?;
    let log = mel.maximum(FLOOR)?.log()?.reshape((b, frames * bands))?;
    let centred = log.broadcast_sub(&log.mean_keepdim(D::Minus1)?)?;
    // A silent clip has no scale: it stays zero.
    let std = centred.sqr()?.mean_keepdim(D::Minus1)?.sqrt()?;
    let scaled = centred.broadcast_div(&std.maximum(1e-8)?)?;
    Ok(scaled
        .reshape((b, frames, bands))?
        .transpose(1, 2)?
        .contiguous()?
        .to_dtype(x.dtype())?
        .to_device(x.device())?)
}

/// Two convolutions over frames (kernel 3, the second in steps of two) with GELU, layer norm, and
/// post-norm transformer layers.
#[derive(Debug, Clone)]
pub struct MelEncoder {
    config: MelConfig,
    convs: [(Tensor, Tensor, TimeConv); 2],
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl MelEncoder {
    /// Adds `{prefix}conv1`, `conv2`, `layer_norm` and `layers.*`.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network.
    pub fn new(config: &MelConfig, params: &mut Params, prefix: &str) -> Result<Self> {
        let (bands, d) = (config.bands, config.width);
        if bands == 0 || bands > BINS {
            return Err(Error::config("bands", bands, format!("1 to {BINS}")));
        }
        if d == 0 || config.heads == 0 || !d.is_multiple_of(config.heads) {
            return Err(Error::config(
                "heads",
                config.heads,
                format!("a divisor of the width {d}"),
            ));
        }
        if !(0.0..1.0).contains(&config.dropout) {
            return Err(Error::config(
                "dropout",
                config.dropout,
                "0 or more and below 1",
            ));
        }
        let mut conv = |i: usize, n_in: usize, stride: usize| -> Result<_> {
            let init = Init::torch_default(3 * n_in);
            Ok((
                params.weight(&format!("{prefix}conv{i}.weight"), (d, n_in, 3), init)?,
                params.weight(&format!("{prefix}conv{i}.bias"), d, init)?,
                TimeConv::padded(stride, 1, 1),
            ))
        };
        let convs = [conv(1, bands, 1)?, conv(2, d, 2)?];
        let shape = Wav2Vec2Config {
            hidden_size: d,
            num_attention_heads: config.heads,
            intermediate_size: 4 * d,
            hidden_dropout: config.dropout,
            attention_dropout: 0.0,
            ..Wav2Vec2Config::wav2vec2_base()
        };
        Ok(Self {
            convs,
            norm: LayerNorm::new(
                params,
                &format!("{prefix}layer_norm"),
                d,
                shape.layer_norm_eps,
            )?,
            layers: (0..config.layers)
                .map(|i| Layer::new(&shape, params, &format!("{prefix}layers.{i}")))
                .collect::<Result<_>>()?,
            config: config.clone(),
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &MelConfig {
        &self.config
    }

    /// Waveforms [B, T] at 16 kHz, or what [`log_mel`] made of them [B, bands, frames], →
    /// [B, frames / 2, width].
    ///
    /// # Errors
    /// [`Error::Shape`] for waveforms shorter than a frame, or another number of bands.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let mut x = match *x.dims() {
            [_, bands, frames] if bands == self.config.bands && frames > 0 => x.clone(),
            [_, _, _] => {
                return Err(Error::Shape {
                    what: "log-mel spectrograms",
                    found: x.dims().to_vec(),
                    expected: format!("[batch, {}, frames]", self.config.bands),
                });
            }
            _ => log_mel(x, self.config.bands)?,
        };
        for (weight, bias, conv) in &self.convs {
            x = ops::gelu(&ops::conv_time(&x, weight, Some(bias), conv)?)?;
        }
        let x = self.norm.forward(&x.transpose(1, 2)?.contiguous()?)?;
        let (_, n, width) = x.dims3()?;
        let mut x = x.broadcast_add(&ops::constants(places(n, width), (1, n, width), &x)?)?;
        for layer in &self.layers {
            x = layer.forward(&x, mode)?;
        }
        Ok(x)
    }
}
