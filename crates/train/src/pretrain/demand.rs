//! Memory of stage 1, estimated.

use mmpipe_models::Params;
use mmpipe_models::encoder::PATCH;
use mmpipe_models::pretrain::{Joint, Masked, Tokeniser};

use super::config::{PretrainConfig, PretrainObjective};
use crate::Result;
use crate::source::{Fold, Source};
use crate::stage::{MemoryEstimate, memory};

/// Numbers a patch and code that cross-entropy keeps: scores, their logarithms, and the gradients.
const SCORES: u64 = 4;
/// Numbers a patch that targets and heads of the spectra keep, in samples of a patch.
const SPECTRA: u64 = 14;

/// What [`super::pretrain`] will take, of the phase that takes most. Network weights are made to be
/// counted; no example is read.
///
/// # Errors
/// Settings that make no network.
pub fn pretrain_memory(
    source: &dyn Source,
    fold: &Fold,
    cfg: &PretrainConfig,
) -> Result<MemoryEstimate> {
    cfg.check()?;
    let all = || fold.train.iter().chain(&fold.val);
    let channels = all().map(|i| source.montage(source.meta(*i).montage).len());
    let channels = channels.max().unwrap_or(0);
    let patches = channels * (source.n_times() / PATCH);
    let rows = match cfg.steps.micro_batch {
        0 => cfg.steps.batch,
        most => most.min(cfg.steps.batch),
    };
    let of_row = |tokens: usize| rows as u64 * tokens as u64;
    let (n, with_class) = (of_row(patches), of_row(patches + 1));
    let params = || Params::new(0, &candle_core::Device::Cpu);
    let float = 4;
    let masked_passes = if cfg.symmetric { 2 } else { 1 };
    // Both passes together ask about every patch once.
    let scores = |codes: usize| n * codes as u64 * SCORES * float;
    let spectra = n * SPECTRA * PATCH as u64 * float;
    let (count, activations) = match cfg.objective {
        PretrainObjective::Joint => {
            let c = cfg.joint();
            let trunk = memory::blocks(&c.encoder, c.encoder.depth, with_class);
            let decoder = memory::blocks(&c.encoder, c.decoder_depth, with_class);
            let kept = memory::convolutions(n)
                + masked_passes * trunk
                + decoder
                + scores(cfg.codes)
                + spectra;
            (Joint::new(&c, params())?.params().count(), kept)
        }
        PretrainObjective::Labram => {
            let (first, second) = (cfg.tokeniser(), cfg.masked());
            let depth = first.encoder.depth + first.decoder_depth;
            let tokeniser = memory::convolutions(n)
                + memory::blocks(&first.encoder, depth, with_class)
                + scores(cfg.codes) / SCORES
                + spectra;
            // The frozen tokeniser's pass is done before the student's begins.
            let student = masked_passes
                * memory::blocks(&second.encoder, second.encoder.depth, with_class)
                + memory::convolutions(n)
                + scores(cfg.codes);
            let tokens = Tokeniser::new(&first, params())?.params().count();
            let count = Masked::new(&second, params())?.params().count();
            (count.max(tokens), tokeniser.max(student))
        }
    };
    let steps = &cfg.steps;
    Ok(MemoryEstimate {
        weights: memory::weights(count, steps.ema),
        activations,
        rows,
        examples: memory::examples(
            all().count(),
            channels * source.n_times(),
            steps.cache_mib,
            steps.batch,
            steps.prefetch * steps.queue,
        ),
    })
}
