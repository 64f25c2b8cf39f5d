//! One post-norm transformer layer and the positional convolution in front of the first.

use candle_core::Tensor;

use super::config::Wav2Vec2Config;
use crate::error::Result;
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops::{self, LAYER_PAIRS, LayerShape, TimeConv};
use crate::params::{Init, Params};

/// Standard deviation of initial weights, as published.
pub(super) const STD: f64 = 0.02;

fn linear(params: &mut Params, name: &str, n_in: usize, n_out: usize) -> Result<Linear> {
    Linear::new(params, name, n_in, n_out, true, Init::Normal(STD))
}

#[derive(Debug, Clone)]
struct Attention {
    q: Linear,
    k: Linear,
    v: Linear,
    out: Linear,
    heads: usize,
    dropout: f32,
}

impl Attention {
    fn new(c: &Wav2Vec2Config, params: &mut Params, name: &str) -> Result<Self> {
        let d = c.hidden_size;
        let mut map = |part: &str| linear(params, &format!("{name}.{part}_proj"), d, d);
        Ok(Self {
            k: map("k")?,
            v: map("v")?,
            q: map("q")?,
            out: map("out")?,
            heads: c.num_attention_heads,
            dropout: c.attention_dropout,
        })
    }

    fn forward(&self, x: &Tensor, name: &str, mode: Mode) -> Result<Tensor> {
        let (b, n, d) = x.dims3()?;
        let head = d / self.heads;
        let split = |map: &Linear| -> Result<Tensor> {
            Ok(map
                .forward(x)?
                .reshape((b, n, self.heads, head))?
                .transpose(1, 2)?
                .contiguous()?)
        };
        let (q, k, v) = (split(&self.q)?, split(&self.k)?, split(&self.v)?);
        let scale = 1.0 / (head as f64).sqrt();
        let y = match mode.stream(&format!("{name}.attention.dropout")) {
            // The fused operation keeps no weights that could be dropped.
            Some(stream) if self.dropout > 0.0 => {
                let logits = ops::matmul(&(q * scale)?, &k.t()?.contiguous()?)?;
                let weights = ops::dropout(&ops::softmax(&logits)?, self.dropout, Some(stream))?;
                ops::matmul(&weights, &v)?
            }
            _ => ops::attention(&q, &k, &v, scale)?,
        };
        self.out
            .forward(&y.transpose(1, 2)?.contiguous()?.reshape((b, n, d))?)
    }
}

/// x ← LN(x + attention(x)); x ← LN(x + FFN(x)).
#[derive(Debug, Clone)]
pub(super) struct Layer {
    name: String,
    attention: Attention,
    norm: LayerNorm,
    first: Linear,
    second: Linear,
    final_norm: LayerNorm,
    hidden_dropout: f32,
    activation_dropout: f32,
    eps: f64,
    pub(super) drop: f32,
}

impl Layer {
    /// Adds the variables of `{name}`.
    pub(super) fn new(c: &Wav2Vec2Config, params: &mut Params, name: &str) -> Result<Self> {
        let (d, hidden) = (c.hidden_size, c.intermediate_size);
        Ok(Self {
            attention: Attention::new(c, params, &format!("{name}.attention"))?,
            norm: LayerNorm::new(params, &format!("{name}.layer_norm"), d, c.layer_norm_eps)?,
            first: linear(
                params,
                &format!("{name}.feed_forward.intermediate_dense"),
                d,
                hidden,
            )?,
            second: linear(
                params,
                &format!("{name}.feed_forward.output_dense"),
                hidden,
                d,
            )?,
            final_norm: LayerNorm::new(
                params,
                &format!("{name}.final_layer_norm"),
                d,
                c.layer_norm_eps,
            )?,
            hidden_dropout: c.hidden_dropout,
            activation_dropout: c.activation_dropout,
            eps: c.layer_norm_eps,
            drop: c.layerdrop,
            name: name.to_string(),
        })
    }

    /// [B, N, D] → [B, N, D].
    pub(super) fn forward(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let stream = |part: &str| mode.stream(&format!("{}.{part}", self.name));
        if let Some(s) = stream("layerdrop")
            && s.uniform(0) < self.drop
        {
            return Ok(x.clone());
        }
        let drop = |p: f32, part: &str| stream(part).filter(|_| p > 0.0).map(|s| (p, s));
        let shape = LayerShape {
            heads: self.attention.heads,
            eps: self.eps as f32,
            attention: drop(self.attention.dropout, "attention.dropout"),
            middle: drop(self.hidden_dropout, "dropout"),
            hidden: drop(self.activation_dropout, "activation"),
            output: drop(self.hidden_dropout, "output"),
        };
        if let Some(weights) = self.weights()
            && let Some(y) = ops::layer(x, weights, shape, mode.is_train())?
        {
            return Ok(y);
        }
        self.composite(x, mode)
    }

    /// The same from single operations, for devices and types that have no kernel.
    fn composite(&self, x: &Tensor, mode: Mode) -> Result<Tensor> {
        let stream = |part: &str| mode.stream(&format!("{}.{part}", self.name));
        let y = self.attention.forward(x, &self.name, mode)?;
        let y = ops::dropout(&y, self.hidden_dropout, stream("dropout"))?;
        let x = self.norm.forward(&(x + y)?)?;
        let y = ops::gelu(&self.first.forward(&x)?)?;
        let y = ops::dropout(&y, self.activation_dropout, stream("activation"))?;
        let y = self.second.forward(&y)?;
        let y = ops::dropout(&y, self.hidden_dropout, stream("output"))?;
        self.final_norm.forward(&(x + y)?)
    }

    /// Pairs of weight and bias in the order of the fused operation.
    fn weights(&self) -> Option<[[&Tensor; 2]; LAYER_PAIRS]> {
        let a = &self.attention;
        Some([
            a.q.pair()?,
            a.k.pair()?,
            a.v.pair()?,
            a.out.pair()?,
            self.norm.weights(),
            self.first.pair()?,
            self.second.pair()?,
            self.final_norm.weights(),
        ])
    }
}

/// A grouped convolution over frames with weight norm (Salimans and Kingma 2016) over all but the
/// tap: weight = g·v / |v|, one g a tap.
#[derive(Debug, Clone)]
pub(super) struct Positions {
    g: Tensor,
    v: Tensor,
    bias: Tensor,
    conv: TimeConv,
}

impl Positions {
    /// Adds `{name}.bias`, `.weight_g` and `.weight_v`.
    pub(super) fn new(c: &Wav2Vec2Config, params: &mut Params, name: &str) -> Result<Self> {
        let (d, k, groups) = (
            c.hidden_size,
            c.num_conv_pos_embeddings,
            c.num_conv_pos_embedding_groups,
        );
        let per_group = d / groups;
        // Normal with this deviation, as published; g starts at the length of v, on average.
        let std = 2.0 * (1.0 / (k * d) as f64).sqrt();
        let length = std * ((d * per_group) as f64).sqrt();
        Ok(Self {
            bias: params.weight(&format!("{name}.bias"), d, Init::Const(0.0))?,
            g: params.weight(&format!("{name}.weight_g"), (1, 1, k), Init::Const(length))?,
            v: params.weight(
                &format!("{name}.weight_v"),
                (d, per_group, k),
                Init::Normal(std),
            )?,
            // An even kernel gives one frame too many, of which the last is dropped.
            conv: TimeConv {
                stride: 1,
                pad_left: k / 2,
                pad_right: k - 1 - k / 2,
                groups,
            },
        })
    }

    /// [B, N, D] → [B, N, D].
    pub(super) fn forward(&self, x: &Tensor) -> Result<Tensor> {
        let length = self.v.sqr()?.sum_keepdim((0, 1))?.sqrt()?;
        let weight = self.v.broadcast_mul(&self.g.broadcast_div(&length)?)?;
        let x = x.transpose(1, 2)?.contiguous()?;
        let y = ops::conv_time(&x, &weight, Some(&self.bias), &self.conv)?;
        Ok(ops::gelu(&y.transpose(1, 2)?.contiguous()?)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    fn wave(n: usize, f: f32) -> Vec<f32> {
        (0..n).map(|k| (k as f32 * f).sin()).collect()
    }

    /// A layer with weights away from the ones and zeros they start with, and something to go through it.
    fn made(c: &Wav2Vec2Config, dims: [usize; 3]) -> (Params, Layer, Var) {
        let mut params = Params::new(3, &Device::Cpu);
        let layer = Layer::new(c, &mut params, "layer").unwrap();
        for (i, p) in params.trainable().enumerate() {
            let by = wave(p.var.elem_count(), 0.61 + i as f32);
            let by = Tensor::from_vec(by, p.var.shape(), &Device::Cpu).unwrap();
            p.var
                .set(&(p.var.as_tensor() + (by * 0.1).unwrap()).unwrap())
                .unwrap();
        }
        let x = Tensor::from_vec(wave(dims.iter().product(), 0.37), &dims, &Device::Cpu).unwrap();
        (params, layer, Var::from_tensor(&x).unwrap())
    }

    /// Result and all gradients of a layer by `run`.
    fn all(
        c: &Wav2Vec2Config,
        dims: [usize; 3],
        run: impl Fn(&Layer, &Tensor) -> Result<Tensor>,
    ) -> Vec<(String, Vec<f32>)> {
        let (params, layer, x) = made(c, dims);
        let n = dims.iter().product();
        let y = run(&layer, x.as_tensor()).unwrap();
        let counted = Tensor::from_vec(wave(n, 0.11), &dims, &Device::Cpu).unwrap();
        let grads = (&y * counted)
            .unwrap()
            .sum_all()
            .unwrap()
            .backward()
            .unwrap();
        let flat = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let of = |t: &Tensor| flat(grads.get(t).unwrap());
        let mut all = vec![("y".to_string(), flat(&y)), ("x".to_string(), of(&x))];
        all.extend(params.trainable().map(|p| (p.name.clone(), of(&p.var))));
        all
    }

    const TRAIN: Mode = Mode::Train { seed: 5, step: 9 };

    /// Without dropout and with all of it.
    fn configs() -> [Wav2Vec2Config; 2] {
        let plain = Wav2Vec2Config {
            hidden_size: 24,
            num_attention_heads: 3,
            intermediate_size: 20,
            ..Wav2Vec2Config::wav2vec2_base()
        };
        let dropped = Wav2Vec2Config {
            hidden_dropout: 0.2,
            attention_dropout: 0.3,
            activation_dropout: 0.4,
            ..plain.clone()
        };
        [plain, dropped]
    }

    #[test]
    fn gradients_are_slopes() {
        let [plain, dropped] = configs();
        for dims in [[1, 1, 24], [3, 17, 24], [1, 255, 24]] {
            for (c, mode) in [(&plain, Mode::Eval), (&dropped, TRAIN)] {
                let (params, layer, x) = made(c, dims);
                let mut vars = vec![("x".to_string(), x.clone())];
                vars.extend(params.trainable().map(|p| (p.name.clone(), p.var.clone())));
                crate::slopes::hold(&vars, || layer.forward(x.as_tensor(), mode).unwrap());
            }
        }
    }

    #[test]
    fn the_fused_layer_is_the_composite_one() {
        let [plain, dropped] = configs();
        // One token, more rows than a task works through, more queries than meet the keys at once.
        for dims in [[1, 1, 24], [3, 17, 24], [2, 131, 24]] {
            for (c, mode) in [(&plain, Mode::Eval), (&dropped, TRAIN)] {
                let fused = all(c, dims, |layer, x| layer.forward(x, mode));
                let single = all(c, dims, |layer, x| layer.composite(x, mode));
                for ((name, a), (_, b)) in fused.iter().zip(&single) {
                    // A bias of keys moves nothing under softmax: its gradient is noise about zero.
                    let most = b.iter().fold(0.1f32, |m, x| m.max(x.abs()));
                    for (i, (a, b)) in a.iter().zip(b).enumerate() {
                        let far = (a - b).abs();
                        assert!(
                            far <= 1e-5 * most,
                            "{dims:?} {name}[{i}]: {a} {b} of {most}"
                        );
                    }
                }
            }
        }
    }

    /// Frozen weights get no gradient, the others theirs; a second backward pass gives the same.
    #[test]
    fn weights_may_be_frozen_and_gradients_taken_twice() {
        let c = Wav2Vec2Config::tiny();
        let mut params = Params::new(3, &Device::Cpu);
        let layer = Layer::new(&c, &mut params, "layer").unwrap();
        let mut frozen = layer.clone();
        frozen.attention.q.weight = layer.attention.q.weight.detach();
        frozen.attention.q.bias = layer.attention.q.bias.as_ref().map(Tensor::detach);
        let x = Tensor::ones((1, 3, c.hidden_size), candle_core::DType::F32, &Device::Cpu).unwrap();
        let y = frozen
            .forward(&x, Mode::Train { seed: 1, step: 1 })
            .unwrap();
        let loss = y.sqr().unwrap().sum_all().unwrap();
        let [first, second] = [(); 2].map(|()| loss.backward().unwrap());
        assert!(first.get(&layer.attention.q.weight).is_none());
        let of = |grads: &candle_core::backprop::GradStore| {
            let g = grads.get(&layer.first.weight).unwrap();
            g.flatten_all().unwrap().to_vec1::<f32>().unwrap()
        };
        assert_eq!(of(&first), of(&second));
    }
}
