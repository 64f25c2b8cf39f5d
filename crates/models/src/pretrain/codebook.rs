//! The VQ codebook: unit vectors that follow the vectors assigned to them by an exponential moving
//! average (LaBraM's `NormEMAVectorQuantizer`, after BEiT v2, Peng et al. 2022, arXiv:2208.06366).
//!
//! Codes are buffers: no gradient reaches them. Buffer names equal the published ones; `idle` is
//! ours and exists only where dead codes are revived.

use candle_core::{D, DType, Device, Tensor, Var};
use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};
use crate::model::Mode;
use crate::ops;
use crate::params::{Init, Params};
use crate::rng::Stream;

/// PyTorch's `normalize`.
const EPS: f64 = 1e-12;
/// Rows whose products with all codes are held at once.
const CHUNK: usize = 2048;

/// Shape and update of a codebook.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CodebookConfig {
    /// Number of codes.
    pub codes: usize,
    /// Width of a code.
    pub dim: usize,
    /// Share of the old code in the moving average.
    pub decay: f64,
    /// Weight of the commitment loss.
    pub beta: f64,
    /// Rounds of k-means at the start.
    pub kmeans_rounds: usize,
    /// Training steps without a single assignment after which a code is put on a vector of the
    /// batch; none leaves dead codes dead, as published.
    pub revive_after: Option<u32>,
}

impl Default for CodebookConfig {
    fn default() -> Self {
        Self {
            codes: 8192,
            dim: 64,
            decay: 0.99,
            beta: 1.0,
            kmeans_rounds: 10,
            revive_after: Some(256),
        }
    }
}

/// How a batch used the codebook.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Usage {
    /// Share of the codes that were assigned at least once.
    pub used: f64,
    /// exp of the entropy of the assignments: 1 where all vectors took one code, the number of codes
    /// where all took each alike.
    pub perplexity: f64,
    /// Codes revived in this step.
    pub revived: usize,
}

/// What becomes of a batch of vectors.
#[derive(Debug, Clone)]
pub struct Quantised {
    /// The codes' vectors [N, dim]; the gradient passes to the normalised input unchanged
    /// (straight-through, Bengio et al. 2013).
    pub vectors: Tensor,
    /// Index of each vector's code [N], u32.
    pub codes: Tensor,
    /// beta × mean squared distance of the normalised input from its code.
    pub commitment: Tensor,
    /// Statistics of the batch.
    pub usage: Usage,
}

/// The codebook.
#[derive(Debug, Clone)]
pub struct Codebook {
    config: CodebookConfig,
    weight: Var,
    initted: Var,
    /// Moving average of counts, for statistics.
    counts: Var,
    kmeans_counts: Var,
    idle: Option<Var>,
}

impl Codebook {
    /// Adds the buffers `{prefix}cluster_size` and `{prefix}embedding.*`.
    ///
    /// # Errors
    /// [`Error::Config`] for sizes or rates that make no codebook.
    pub fn new(config: &CodebookConfig, params: &mut Params, prefix: &str) -> Result<Self> {
        for (field, value) in [("codes", config.codes), ("dim", config.dim)] {
            if value == 0 {
                return Err(Error::config(field, value, "at least 1"));
            }
        }
        if !(0.0..1.0).contains(&config.decay) {
            return Err(Error::config(
                "decay",
                config.decay,
                "0 or more and below 1",
            ));
        }
        if config.revive_after == Some(0) {
            return Err(Error::config("revive_after", 0, "at least 1 step, or none"));
        }
        let (n, d) = (config.codes, config.dim);
        let at = |part: &str| format!("{prefix}{part}");
        let counts = params.buffer(&at("cluster_size"), n, 0.0)?;
        let initted = params.buffer(&at("embedding.initted"), 1, 0.0)?;
        let weight = params.buffer_from(&at("embedding.weight"), (n, d), Init::Normal(1.0))?;
        weight.set(&ops::l2_normalise(&weight.as_tensor().detach(), EPS)?)?;
        let kmeans_counts = params.buffer(&at("embedding.cluster_size"), n, 0.0)?;
        // Published beside the codes, and read by nothing.
        params.buffer(&at("embedding.embed_avg"), (n, d), 0.0)?;
        let idle = match config.revive_after {
            Some(_) => Some(params.buffer(&at("idle"), n, 0.0)?),
            None => None,
        };
        Ok(Self {
            config: config.clone(),
            weight,
            initted,
            counts,
            kmeans_counts,
            idle,
        })
    }

    /// The configuration it was built from.
    pub fn config(&self) -> &CodebookConfig {
        &self.config
    }

    /// The codes [codes, dim], unit vectors.
    pub fn weight(&self) -> Tensor {
        self.weight.as_tensor().detach()
    }

    /// Whether the codes were placed on data.
    ///
    /// # Errors
    /// Those of the tensor library.
    pub fn is_initialised(&self) -> Result<bool> {
        let v = numbers(self.initted.as_tensor())?;
        Ok(v.first().is_some_and(|v| *v != 0.0))
    }

    /// Places the codes on `vectors` [N, dim] by k-means with cosine distance: a random vector a
    /// code (with repetition where there are fewer vectors than codes, so gather at least as many as
    /// there are codes), then rounds of assignment and mean; a code that nothing chose stays.
    ///
    /// # Errors
    /// [`Error::Shape`] for vectors of another width, or none.
    pub fn initialise(&self, vectors: &Tensor, seed: u64) -> Result<()> {
        let n = self.rows(vectors)?;
        let x = ops::l2_normalise(&vectors.detach(), EPS)?;
        let picks = picks(Stream::named(seed, "codebook.kmeans"), n, self.config.codes);
        let picks = Tensor::from_vec(picks, self.config.codes, x.device())?;
        let mut centres = x.index_select(&picks, 0)?;
        let mut counts = self.kmeans_counts.as_tensor().detach();
        for _ in 0..self.config.kmeans_rounds {
            // Means of unit vectors, compared by direction alone.
            let codes = nearest(&x, &centres)?;
            let (bins, means) = self.means(&x, &codes, &centres)?;
            (counts, centres) = (bins, means);
        }
        self.weight.set(&centres.copy()?)?;
        self.kmeans_counts.set(&counts.copy()?)?;
        self.initted.set(&self.initted.as_tensor().ones_like()?)?;
        Ok(())
    }

    /// The nearest code of each vector of `z` [N, dim], whose length does not matter. In training
    /// mode the codes are placed on the first batch unless [`Codebook::initialise`] was called, and
    /// move after each batch; the results come from the codes before the move, as published.
    ///
    /// # Errors
    /// [`Error::Shape`] for vectors of another width, or none.
    pub fn quantise(&self, z: &Tensor, mode: Mode) -> Result<Quantised> {
        let n = self.rows(z)?;
        if let Mode::Train { seed, .. } = mode
            && !self.is_initialised()?
        {
            self.initialise(z, seed)?;
        }
        let z = ops::l2_normalise(z, EPS)?;
        let held = z.detach();
        // A copy: the variable changes below, and the results must not.
        let weight = self.weight().copy()?;
        let codes = nearest(&held, &weight)?;
        let chosen = weight.index_select(&codes, 0)?;
        let (bins, means) = self.means(&held, &codes, &weight)?;
        let decay = self.config.decay;
        let mut revived = 0;
        if mode.is_train() {
            // The published code counts in evaluation too; here evaluation changes nothing.
            let counts = ((self.counts.as_tensor().detach() * decay)? + (&bins * (1.0 - decay))?)?;
            self.counts.set(&counts)?;
            let moved = ((&weight * decay)? + (means * (1.0 - decay))?)?;
            let (moved, count) =
                self.revive(ops::l2_normalise(&moved, EPS)?, &held, &bins, mode)?;
            self.weight.set(&moved)?;
            revived = count;
        }
        let commitment = ((&z - &chosen)?.sqr()?.mean_all()? * self.config.beta)?;
        let vectors = (&z + (chosen - &held)?)?;
        Ok(Quantised {
            vectors,
            codes,
            commitment,
            usage: usage(&bins, n, revived)?,
        })
    }

    fn rows(&self, z: &Tensor) -> Result<usize> {
        match *z.dims() {
            [n, d] if n > 0 && d == self.config.dim => Ok(n),
            _ => Err(Error::Shape {
                what: "vectors to quantise",
                found: z.dims().to_vec(),
                expected: format!("[vectors, {}], at least one", self.config.dim),
            }),
        }
    }

    /// Counts [codes] and mean directions [codes, dim] of the vectors assigned to each code; a code
    /// without any keeps its old direction.
    fn means(&self, x: &Tensor, codes: &Tensor, old: &Tensor) -> Result<(Tensor, Tensor)> {
        let (n, _) = x.dims2()?;
        let (dtype, device) = (x.dtype(), x.device());
        let ones = Tensor::ones(n, dtype, device)?;
        let bins = Tensor::zeros(self.config.codes, dtype, device)?.index_add(codes, &ones, 0)?;
        let sums = old.zeros_like()?.index_add(codes, x, 0)?;
        let empty = bins.eq(0.0)?;
        let divisor = (&bins + empty.to_dtype(dtype)?)?.unsqueeze(1)?;
        let means = ops::l2_normalise(&sums.broadcast_div(&divisor)?, EPS)?;
        let empty = empty.unsqueeze(1)?.broadcast_as(old.shape())?;
        Ok((bins, empty.where_cond(old, &means)?))
    }

    /// Counts idle steps, and puts codes that were idle for too long on vectors of the batch.
    fn revive(
        &self,
        weight: Tensor,
        x: &Tensor,
        bins: &Tensor,
        mode: Mode,
    ) -> Result<(Tensor, usize)> {
        let (Some(idle), Some(limit), Some(stream)) = (
            &self.idle,
            self.config.revive_after,
            mode.stream("codebook.revive"),
        ) else {
            return Ok((weight, 0));
        };
        let mut steps = numbers(idle.as_tensor())?;
        let mut dead = Vec::new();
        for (i, (steps, count)) in steps.iter_mut().zip(numbers(bins)?).enumerate() {
            *steps = if count > 0.0 { 0.0 } else { *steps + 1.0 };
            if *steps >= f64::from(limit) {
                *steps = 0.0;
                dead.push(i as u32);
            }
        }
        let shape = idle.as_tensor().shape().clone();
        idle.set(&ops::constants(steps, shape, x)?)?;
        if dead.is_empty() {
            return Ok((weight, 0));
        }
        let (n, _) = x.dims2()?;
        let count = dead.len();
        let from = Tensor::from_vec(picks(stream, n, count), count, x.device())?;
        let dead = Tensor::from_vec(dead, count, x.device())?;
        // Adding the difference places each row exactly up to rounding; the norm is taken again.
        let difference = (x.index_select(&from, 0)? - weight.index_select(&dead, 0)?)?;
        let moved = weight.index_add(&dead, &difference, 0)?;
        Ok((ops::l2_normalise(&moved, EPS)?, count))
    }
}

/// The values of a vector, read off its device.
fn numbers(x: &Tensor) -> Result<Vec<f64>> {
    Ok(x.to_device(&Device::Cpu)?.to_dtype(DType::F64)?.to_vec1()?)
}

/// Index of the nearest centre of each row, by squared distance.
fn nearest(x: &Tensor, centres: &Tensor) -> Result<Tensor> {
    let (n, _) = x.dims2()?;
    let centres_t = centres.t()?.contiguous()?;
    let squares = centres.sqr()?.sum_keepdim(1)?.t()?.contiguous()?;
    let mut parts = Vec::with_capacity(n.div_ceil(CHUNK));
    for from in (0..n).step_by(CHUNK) {
        let rows = x.narrow(0, from, CHUNK.min(n - from))?;
        // |x|² is the same for all centres.
        let score = (rows.matmul(&centres_t)? * 2.0)?.broadcast_sub(&squares)?;
        parts.push(score.argmax(D::Minus1)?);
    }
    Ok(Tensor::cat(&parts, 0)?)
}

/// `count` random row numbers below `n`: all different while there are enough, else with repetition.
fn picks(stream: Stream, n: usize, count: usize) -> Vec<u32> {
    if count > n {
        return (0..count as u64)
            .map(|i| (stream.bits(i) % n as u64) as u32)
            .collect();
    }
    // The first places of a Fisher-Yates shuffle.
    let mut all: Vec<u32> = (0..n as u32).collect();
    for i in 0..count {
        let j = i + (stream.bits(i as u64) % (n - i) as u64) as usize;
        all.swap(i, j);
    }
    all.truncate(count);
    all
}

fn usage(bins: &Tensor, n: usize, revived: usize) -> Result<Usage> {
    let bins = numbers(bins)?;
    let used = bins.iter().filter(|b| **b > 0.0).count();
    let entropy: f64 = bins
        .iter()
        .filter(|b| **b > 0.0)
        .map(|b| {
            let p = b / n as f64;
            -p * p.ln()
        })
        .sum();
    Ok(Usage {
        used: used as f64 / bins.len() as f64,
        perplexity: entropy.exp(),
        revived,
    })
}
