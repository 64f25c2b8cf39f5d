//! One pre-norm transformer block with q/k norm, layer scale and drop path.

use candle_core::Tensor;

use super::config::EncoderConfig;
use crate::error::Result;
use crate::layers::{LayerNorm, Linear};
use crate::model::Mode;
use crate::ops::{self, BlockFactors, BlockGiven, BlockShape};
use crate::params::{Init, Params};
use crate::rng::Stream;

/// Epsilon of all layer norms of the transformer.
pub(crate) const EPS: f64 = 1e-6;
/// Standard deviation of the initial weights.
pub(crate) const INIT_STD: f64 = 0.02;

#[derive(Debug, Clone)]
struct Attention {
    qkv: Linear,
    /// Biases of queries and values.
    qv_bias: Option<(Tensor, Tensor)>,
    qk_norm: Option<(LayerNorm, LayerNorm)>,
    proj: Linear,
    heads: usize,
}

impl Attention {
    fn new(params: &mut Params, name: &str, c: &EncoderConfig, out_std: f64) -> Result<Self> {
        let d = c.width();
        let qkv = Linear::new(
            params,
            &format!("{name}.qkv"),
            d,
            3 * d,
            false,
            Init::TruncNormal(INIT_STD),
        )?;
        let qv_bias = if c.qkv_bias {
            let q = params.weight(&format!("{name}.q_bias"), d, Init::Const(0.0))?;
            Some((
                q,
                params.weight(&format!("{name}.v_bias"), d, Init::Const(0.0))?,
            ))
        } else {
            None
        };
        let qk_norm = if c.qk_norm {
            let q = LayerNorm::new(params, &format!("{name}.q_norm"), c.head_width(), EPS)?;
            Some((
                q,
                LayerNorm::new(params, &format!("{name}.k_norm"), c.head_width(), EPS)?,
            ))
        } else {
            None
        };
        let proj = Linear::new(
            params,
            &format!("{name}.proj"),
            d,
            d,
            true,
            Init::TruncNormal(out_std),
        )?;
        Ok(Self {
            qkv,
            qv_bias,
            qk_norm,
            proj,
            heads: c.heads,
        })
    }

    fn forward(&self, x: &Tensor, lengths: Option<&[usize]>) -> Result<Tensor> {
        let (b, n, d) = x.dims3()?;
        let head = d / self.heads;
        let qkv = self.qkv.forward(x)?;
        // Rows of the fused weight: queries, keys, values, each head-major.
        let part = |i: usize, bias: Option<&Tensor>| -> Result<Tensor> {
            let p = qkv.narrow(2, i * d, d)?;
            let p = match bias {
                Some(bias) => p.broadcast_add(bias)?,
                None => p,
            };
            Ok(p.reshape((b, n, self.heads, head))?
                .transpose(1, 2)?
                .contiguous()?)
        };
        let (q_bias, v_bias) = match &self.qv_bias {
            Some((q, v)) => (Some(q), Some(v)),
            None => (None, None),
        };
        let (mut q, mut k, v) = (part(0, q_bias)?, part(1, None)?, part(2, v_bias)?);
        if let Some((q_norm, k_norm)) = &self.qk_norm {
            (q, k) = (q_norm.forward(&q)?, k_norm.forward(&k)?);
        }
        let scale = 1.0 / (head as f64).sqrt();
        let y = match lengths {
            None => ops::attention(&q, &k, &v, scale)?,
            Some(lengths) => ops::attention_padded(&q, &k, &v, scale, lengths)?,
        };
        self.proj
            .forward(&y.transpose(1, 2)?.contiguous()?.reshape((b, n, d))?)
    }
}

/// The block.
#[derive(Debug, Clone)]
pub(super) struct Block {
    name: String,
    norm1: LayerNorm,
    attn: Attention,
    norm2: LayerNorm,
    fc1: Linear,
    fc2: Linear,
    gammas: Option<(Tensor, Tensor)>,
    drop_path: f32,
    shape: BlockShape,
    recompute: bool,
}

/// [B, N, D] → [B, N, D] through all `blocks`; with `lengths`, sample i has so many tokens and padding behind
/// them.
pub(super) fn forward(
    blocks: &[Block],
    x: &Tensor,
    lengths: Option<&[usize]>,
    mode: Mode,
) -> Result<Tensor> {
    let b = x.dim(0)?;
    let given = blocks.iter().map(|block| block.given(b, mode)).collect();
    if let Some(y) = ops::blocks(x, given, lengths)? {
        return Ok(y);
    }
    let mut x = x.clone();
    for block in blocks {
        x = block.composite(&x, lengths, mode)?;
    }
    Ok(x)
}

impl Block {
    /// Adds the variables of `{prefix}blocks.{index}`.
    pub(super) fn new(
        params: &mut Params,
        prefix: &str,
        index: usize,
        c: &EncoderConfig,
    ) -> Result<Self> {
        let name = format!("{prefix}blocks.{index}");
        let d = c.width();
        // The published initialisation divides the two output maps by sqrt(2·layer).
        let out_std = INIT_STD / (2.0 * (index + 1) as f64).sqrt();
        let gammas = match c.layer_scale {
            Some(start) => {
                let first = params.weight(&format!("{name}.gamma_1"), d, Init::Const(start))?;
                Some((
                    first,
                    params.weight(&format!("{name}.gamma_2"), d, Init::Const(start))?,
                ))
            }
            None => None,
        };
        let rate = if c.depth > 1 {
            c.drop_path * index as f32 / (c.depth - 1) as f32
        } else {
            0.0
        };
        Ok(Self {
            norm1: LayerNorm::new(params, &format!("{name}.norm1"), d, EPS)?,
            attn: Attention::new(params, &format!("{name}.attn"), c, out_std)?,
            norm2: LayerNorm::new(params, &format!("{name}.norm2"), d, EPS)?,
            fc1: Linear::new(
                params,
                &format!("{name}.mlp.fc1"),
                d,
                c.mlp,
                true,
                Init::TruncNormal(INIT_STD),
            )?,
            fc2: Linear::new(
                params,
                &format!("{name}.mlp.fc2"),
                c.mlp,
                d,
                true,
                Init::TruncNormal(out_std),
            )?,
            gammas,
            drop_path: rate,
            shape: BlockShape {
                width: d,
                heads: c.heads,
                hidden: c.mlp,
                qv_bias: c.qkv_bias,
                qk_norm: c.qk_norm,
                scaled: c.layer_scale.is_some(),
                eps: EPS as f32,
            },
            recompute: c.recompute,
            name,
        })
    }

    /// The block as a part of the fused operation.
    fn given(&self, batch: usize, mode: Mode) -> BlockGiven<'_> {
        BlockGiven {
            shape: self.shape,
            weights: self.weights(),
            factors: self.factors(batch, mode),
            keep: mode.is_train() && !self.recompute,
        }
    }

    /// The block from single operations, for devices and types that have no kernel.
    fn composite(&self, x: &Tensor, lengths: Option<&[usize]>, mode: Mode) -> Result<Tensor> {
        let (g1, g2) = match &self.gammas {
            Some((a, b)) => (Some(a), Some(b)),
            None => (None, None),
        };
        let y = self.attn.forward(&self.norm1.forward(x)?, lengths)?;
        let x = self.residual(x, y, g1, mode, "attn")?;
        let y = self
            .fc2
            .forward(&ops::gelu(&self.fc1.forward(&self.norm2.forward(&x)?)?)?)?;
        self.residual(&x, y, g2, mode, "mlp")
    }

    /// All weights, in the order of the fused operation.
    fn weights(&self) -> Vec<&Tensor> {
        let a = &self.attn;
        let mut all = self.norm1.weights().to_vec();
        all.push(&a.qkv.weight);
        all.extend(a.qv_bias.iter().flat_map(|(q, v)| [q, v]));
        let norms = a.qk_norm.iter().flat_map(|(q, k)| [q, k]);
        all.extend(norms.flat_map(LayerNorm::weights));
        all.extend(a.proj.weights());
        all.extend(self.norm2.weights());
        all.extend(self.fc1.weights());
        all.extend(self.fc2.weights());
        all.extend(self.gammas.iter().flat_map(|(a, b)| [a, b]));
        all
    }

    /// The random stream of a part's drop path, where there is one.
    fn stream(&self, mode: Mode, part: &str) -> Option<Stream> {
        let stream = mode.stream(&format!("{}.drop_path.{part}", self.name));
        stream.filter(|_| self.drop_path > 0.0)
    }

    fn factors(&self, b: usize, mode: Mode) -> Option<BlockFactors> {
        let of = |part| {
            let stream = self.stream(mode, part)?;
            Some(ops::drop_path_factors(b, self.drop_path, stream))
        };
        let (attn, mlp) = (of("attn")?, of("mlp")?);
        Some(attn.into_iter().zip(mlp).map(|(a, m)| [a, m]).collect())
    }

    fn residual(
        &self,
        x: &Tensor,
        y: Tensor,
        gamma: Option<&Tensor>,
        mode: Mode,
        part: &str,
    ) -> Result<Tensor> {
        let y = match gamma {
            Some(g) => y.broadcast_mul(g)?,
            None => y,
        };
        let y = ops::drop_path(&y, self.drop_path, self.stream(mode, part))?;
        Ok((x + y)?)
    }
}

#[cfg(test)]
mod tests {
    use candle_core::{Device, Var};

    use super::*;

    /// A block with weights away from the ones and zeros they start with, which would hide a mistake, and
    /// something to go through it.
    fn made(c: &EncoderConfig, dims: [usize; 3]) -> (Params, Block, Var) {
        let mut params = Params::new(3, &Device::Cpu);
        let block = Block::new(&mut params, "", c.depth - 1, c).unwrap();
        for (i, p) in params.trainable().enumerate() {
            let n = p.var.elem_count();
            let own = p.var.as_tensor().flatten_all().unwrap();
            let own = own.to_vec1::<f32>().unwrap();
            let moved: Vec<f32> = (0..n)
                .map(|k| own[k] + 0.2 * ((k * 7 + i * 13) as f32 * 0.61).sin())
                .collect();
            let moved = Tensor::from_vec(moved, p.var.shape(), &Device::Cpu).unwrap();
            p.var.set(&moved).unwrap();
        }
        let n: usize = dims.iter().product();
        let values: Vec<f32> = (0..n).map(|k| (k as f32 * 0.37).sin() + 0.3).collect();
        let x = Tensor::from_vec(values, &dims, &Device::Cpu).unwrap();
        (params, block, Var::from_tensor(&x).unwrap())
    }

    /// Two results and all gradients of a block, fused and from single operations.
    fn both(c: &EncoderConfig, dims: [usize; 3], lengths: Option<&[usize]>, mode: Mode) {
        let (params, block, x) = made(c, dims);
        let n: usize = dims.iter().product();
        // Tokens of padding count for nothing.
        let counted: Vec<f32> = (0..n)
            .map(|k| {
                let (sample, token) = (k / (dims[1] * dims[2]), k / dims[2] % dims[1]);
                let inside = lengths.is_none_or(|l| token < l[sample]);
                if inside { (k as f32 * 0.11).cos() } else { 0.0 }
            })
            .collect();
        let counted = Tensor::from_vec(counted, &dims, &Device::Cpu).unwrap();
        let run = |y: Tensor| {
            let y = (y * &counted).unwrap();
            let grads = y.sum_all().unwrap().backward().unwrap();
            let of = |v: &Tensor| grads.get(v).unwrap().flatten_all().unwrap();
            let mut all = vec![("y".to_owned(), y.flatten_all().unwrap().detach())];
            all.push(("x".to_owned(), of(x.as_tensor())));
            all.extend(
                params
                    .trainable()
                    .map(|p| (p.name.clone(), of(p.var.as_tensor()))),
            );
            all
        };
        let one = std::slice::from_ref(&block);
        let fused = run(forward(one, x.as_tensor(), lengths, mode).unwrap());
        let plain = run(block.composite(x.as_tensor(), lengths, mode).unwrap());
        for ((name, a), (_, b)) in fused.iter().zip(&plain) {
            let (a, b) = (a.to_vec1::<f32>().unwrap(), b.to_vec1::<f32>().unwrap());
            // A bias of keys moves nothing under softmax: its gradient is noise about zero.
            let most = b.iter().fold(0.1f32, |m, x| m.max(x.abs()));
            for (i, (a, b)) in a.iter().zip(&b).enumerate() {
                assert!(
                    (a - b).abs() <= 1e-5 * most,
                    "{name}[{i}]: {a} {b} of {most}"
                );
            }
        }
    }

    fn small(hidden: usize) -> EncoderConfig {
        EncoderConfig {
            depth: 3,
            heads: 5,
            mlp: hidden,
            conv_channels: 4,
            drop_path: 0.5,
            ..EncoderConfig::new(crate::encoder::Size::Tiny)
        }
    }

    #[test]
    fn gradients_are_slopes() {
        let c = small(36);
        for dims in [[1, 1, 100], [3, 7, 100], [1, 255, 100]] {
            let (params, block, x) = made(&c, dims);
            let mode = Mode::Train { seed: 5, step: 9 };
            let mut vars = vec![("x".to_owned(), x.clone())];
            vars.extend(params.trainable().map(|p| (p.name.clone(), p.var.clone())));
            let one = std::slice::from_ref(&block);
            crate::slopes::hold(&vars, || forward(one, x.as_tensor(), None, mode).unwrap());
        }
    }

    #[test]
    fn the_fused_block_is_the_composite_one() {
        let train = Mode::Train { seed: 5, step: 9 };
        for recompute in [false, true] {
            let c = EncoderConfig {
                recompute,
                ..small(36)
            };
            // One token, an odd number, more than are held against all keys at once; more samples
            // than groups.
            for dims in [[1, 1, 100], [3, 7, 100], [2, 131, 100], [35, 3, 100]] {
                both(&c, dims, None, Mode::Eval);
                both(&c, dims, None, train);
            }
            both(&c, [3, 70, 100], Some(&[1, 70, 66]), train);
        }
    }

    /// Frozen weights get no gradient, the others theirs; a second backward pass gives the same.
    #[test]
    fn weights_may_be_frozen_and_gradients_taken_twice() {
        let (_, block, x) = made(&small(36), [5, 3, 100]);
        let mut frozen = block.clone();
        frozen.fc1.weight = block.fc1.weight.detach();
        let mode = Mode::Train { seed: 5, step: 9 };
        let y = forward(&[frozen], x.as_tensor(), None, mode);
        let loss = y.unwrap().sqr().unwrap().sum_all().unwrap();
        let [first, second] = [(); 2].map(|()| loss.backward().unwrap());
        assert!(first.get(&block.fc1.weight).is_none());
        for weight in [&block.attn.qkv.weight, &block.fc2.weight] {
            let of = |grads: &candle_core::backprop::GradStore| {
                let g = grads.get(weight).unwrap().flatten_all().unwrap();
                g.to_vec1::<f32>().unwrap()
            };
            assert_eq!(of(&first), of(&second));
            assert!(of(&first).iter().any(|g| *g != 0.0));
        }
    }

    /// Blocks in one operation are what they are one by one, their gradients too, also the second time.
    #[test]
    fn one_after_the_other_is_each_by_itself() {
        for recompute in [false, true] {
            let c = EncoderConfig {
                recompute,
                ..small(36)
            };
            let (_, first, x) = made(&c, [5, 3, 100]);
            let (_, second, _) = made(&c, [5, 3, 100]);
            let blocks = [first, second];
            let mode = Mode::Train { seed: 5, step: 9 };
            let lengths = Some(&[3, 1, 2, 3, 3][..]);
            let together = forward(&blocks, x.as_tensor(), lengths, mode).unwrap();
            let mut apart = x.as_tensor().clone();
            for block in blocks.chunks(1) {
                apart = forward(block, &apart, lengths, mode).unwrap();
            }
            let found = |y: &Tensor| {
                let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
                let all = blocks.iter().flat_map(Block::weights);
                let of = |t: &Tensor| grads.get(t).unwrap().flatten_all().unwrap();
                let all = all.chain([x.as_tensor()]).map(of);
                all.map(|g| g.to_vec1::<f32>().unwrap()).collect::<Vec<_>>()
            };
            let want = found(&apart);
            assert_eq!(found(&together), want);
            assert_eq!(found(&together), want);
        }
    }

    /// Also of weights that an operation has twice, and of one with another use; and nothing of it stays for
    /// a backward pass that is candle's own.
    #[test]
    fn gradients_past_the_graph_are_the_graphs() {
        let (_, block, x) = made(&small(36), [5, 3, 100]);
        let mode = Mode::Train { seed: 5, step: 9 };
        let fc1 = &block.fc1.weight;
        for (times, other) in [(1, false), (2, false), (1, true)] {
            let y = forward(&vec![block.clone(); times], x.as_tensor(), None, mode).unwrap();
            let mut loss = y.sqr().unwrap().sum_all().unwrap();
            if other {
                loss = (loss + fc1.exp().unwrap().sum_all().unwrap()).unwrap();
            }
            let of = |grads: candle_core::backprop::GradStore| {
                let all = block.weights().into_iter().chain([x.as_tensor()]);
                let of = |t: &Tensor| grads.get(t).unwrap().flatten_all().unwrap();
                all.map(|t| of(t).to_vec1::<f32>().unwrap())
                    .collect::<Vec<_>>()
            };
            let want = of(loss.backward().unwrap());
            assert_eq!(of(ops::gradients(&loss).unwrap()), want);
            assert_eq!(of(loss.backward().unwrap()), want);
        }
    }

    #[test]
    fn so_it_is_without_what_can_be_left_out() {
        for (qkv_bias, qk_norm, layer_scale) in [
            (false, true, Some(0.1)),
            (true, false, None),
            (false, false, Some(0.1)),
        ] {
            let c = EncoderConfig {
                qkv_bias,
                qk_norm,
                layer_scale,
                ..small(20)
            };
            both(&c, [2, 5, 100], None, Mode::Train { seed: 1, step: 0 });
        }
    }
}
