//! wav2vec 2.0 (Baevski et al. 2020, arXiv:2006.11477) and HuBERT (Hsu et al. 2021,
//! arXiv:2106.07447), base size: one network. Variable names equal the published checkpoints'.

use candle_core::Tensor;

use super::config::Wav2Vec2Config;
use super::features::Features;
use super::layer::{Layer, Positions, STD};
use crate::error::{Error, Result};
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};
use crate::rng::Stream;

/// The network.
#[derive(Debug, Clone)]
pub struct Wav2Vec2 {
    config: Wav2Vec2Config,
    name: String,
    masked_spec_embed: Tensor,
    features: Features,
    feature_norm: LayerNorm,
    projection: Linear,
    positions: Positions,
    norm: LayerNorm,
    layers: Vec<Layer>,
}

impl Wav2Vec2 {
    /// Adds the network's variables, each name behind `prefix` (MindMix: `audio_model.`).
    ///
    /// # Errors
    /// [`Error::Config`] for sizes that make no network, or a variant that is not the base one.
    pub fn new(config: &Wav2Vec2Config, params: &mut Params, prefix: &str) -> Result<Self> {
        config.check()?;
        let (c, d) = (config, config.hidden_size);
        let frames = c.conv_dim.last().copied().unwrap_or(1);
        let at = |part: &str| format!("{prefix}{part}");
        Ok(Self {
            masked_spec_embed: params.embedding(&at("masked_spec_embed"), d, Init::Uniform(1.0))?,
            features: Features::new(c, params, prefix)?,
            feature_norm: LayerNorm::new(
                params,
                &at("feature_projection.layer_norm"),
                frames,
                c.layer_norm_eps,
            )?,
            projection: Linear::new(
                params,
                &at("feature_projection.projection"),
                frames,
                d,
                true,
                Init::Normal(STD),
            )?,
            positions: Positions::new(c, params, &at("encoder.pos_conv_embed.conv"))?,
            norm: LayerNorm::new(params, &at("encoder.layer_norm"), d, c.layer_norm_eps)?,
            layers: (0..c.num_hidden_layers)
                .map(|i| Layer::new(c, params, &at(&format!("encoder.layers.{i}"))))
                .collect::<Result<_>>()?,
            config: config.clone(),
            name: prefix.to_string(),
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &Wav2Vec2Config {
        &self.config
    }

    /// Waveforms [B, T] at 16 kHz, all of one length → last hidden state [B, frames, width]
    /// (2 s: 99 frames). Group norm runs over time, so padding would change every frame: pass equal
    /// lengths alone.
    ///
    /// # Errors
    /// [`Error::Shape`] for waveforms too short for one frame.
    pub fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let c = &self.config;
        match *x.dims() {
            [b, t] if b > 0 && c.frames(t).is_some() => {}
            _ => {
                return Err(Error::Shape {
                    what: "waveforms",
                    found: x.dims().to_vec(),
                    expected: "[batch, samples], long enough for one frame".to_string(),
                });
            }
        }
        let stream = |part: &str| mode.stream(&format!("{}{part}", self.name));
        let x = self
            .feature_norm
            .forward(&self.features.forward(x, mode)?)?;
        let x = self.projection.forward(&x)?;
        let x = ops::dropout(
            &x,
            c.feat_proj_dropout,
            stream("feature_projection.dropout"),
        )?;
        let x = self.hide_spans(&x, stream("spec_augment"))?;
        let x = self.norm.forward(&(&x + self.positions.forward(&x)?)?)?;
        let mut x = ops::dropout(&x, c.hidden_dropout, stream("encoder.dropout"))?;
        for layer in &self.layers {
            x = layer.forward(&x, mode)?;
        }
        Ok(x)
    }

    /// SpecAugment over time (Park et al. 2019, arXiv:1904.08779): spans of frames become the learned
    /// vector `masked_spec_embed`.
    fn hide_spans(&self, x: &Tensor, stream: Option<Stream>) -> Result<Tensor> {
        let c = &self.config;
        let Some(stream) = stream.filter(|_| c.apply_spec_augment && c.mask_time_prob > 0.0) else {
            return Ok(x.clone());
        };
        let (b, n, _) = x.dims3()?;
        let mut hidden = vec![0.0f32; b * n];
        for (sample, row) in (0..).zip(hidden.chunks_mut(n)) {
            for start in spans(c, n, stream.child(sample)) {
                for h in row.iter_mut().skip(start).take(c.mask_time_length) {
                    *h = 1.0;
                }
            }
        }
        let hidden = Tensor::from_vec(hidden, (b, n, 1), x.device())?.to_dtype(x.dtype())?;
        let kept = x.broadcast_mul(&hidden.affine(-1.0, 1.0)?)?;
        let token = self.masked_spec_embed.reshape((1, 1, ()))?;
        Ok((kept + hidden.broadcast_mul(&token)?)?)
    }
}

/// First frames of the hidden spans of `n` frames, all different: the published count, with one draw
/// that rounds it up or down.
fn spans(c: &Wav2Vec2Config, n: usize, stream: Stream) -> Vec<usize> {
    let length = c.mask_time_length;
    if length > n {
        return Vec::new();
    }
    let wanted = f64::from(c.mask_time_prob) * n as f64 / length as f64;
    let places = n - length + 1;
    let count = ((wanted + stream.uniform_f64(0)) as usize)
        .max(c.mask_time_min_masks)
        .min(n / length)
        .min(places);
    let mut starts: Vec<usize> = (0..places).collect();
    for i in 0..count {
        let j = i + (stream.bits(i as u64 + 1) % (places - i) as u64) as usize;
        starts.swap(i, j);
    }
    starts.truncate(count);
    starts
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base_has_the_published_count_and_frames() {
        let c = Wav2Vec2Config::wav2vec2_base();
        assert_eq!(c.frames(32_000), Some(99));
        assert_eq!(c.frames(399), None);
        let steps: Vec<_> = (1..=7)
            .map(|i| {
                let head = Wav2Vec2Config {
                    conv_kernel: c.conv_kernel[..i].to_vec(),
                    conv_stride: c.conv_stride[..i].to_vec(),
                    ..c.clone()
                };
                head.frames(32_000).unwrap()
            })
            .collect();
        assert_eq!(steps, [6399, 3199, 1599, 799, 399, 199, 99]);
    }

    #[test]
    fn spans_are_different_and_inside() {
        let c = Wav2Vec2Config::wav2vec2_base();
        for i in 0..200 {
            let s = spans(&c, 99, Stream::named(1, "spans").child(i));
            assert_eq!(s.len(), 2, "int(0.495 + u), but at least two");
            assert!(s[0] != s[1] && s.iter().all(|s| s + 10 <= 99));
        }
        assert!(spans(&c, 9, Stream::named(1, "spans")).is_empty());
        let long = spans(&c, 2000, Stream::named(1, "spans"));
        assert!((10..=11).contains(&long.len()));
    }
}
