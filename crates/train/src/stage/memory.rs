//! How much memory a training will take, told before it starts.

use mmpipe_models::encoder::{EncoderConfig, PATCH};

use crate::progress::Progress;

/// Bytes of one number.
const FLOAT: u64 = 4;
/// Numbers a token and block that the backward pass needs, in widths of a token, beside the hidden
/// layer: queries, keys, values, what the heads gave, the sum after them, and the block's result.
const WIDTHS: u64 = 6;
/// Numbers a patch that the convolutions keep, in samples of a patch: three stages of convolution,
/// norm and activation, and the patch itself.
const CONVOLUTIONS: u64 = 12;

/// An estimate in bytes. It counts what grows with the settings, not the program or the allocator.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights, gradients, both moments, and the average where one is kept.
    pub weights: u64,
    /// What one part of a batch keeps for its backward pass.
    pub activations: u64,
    /// Rows of that part.
    pub rows: usize,
    /// Examples: the cache as far as the data fill it, and batches loaded ahead.
    pub examples: u64,
}

impl MemoryEstimate {
    /// All of it.
    pub fn total(&self) -> u64 {
        self.weights + self.activations + self.examples
    }

    /// What to do where `available` bytes are not enough; `None` where they are. `section` is the
    /// table of the settings, as in `train` or `pretrain.steps`.
    pub fn advice(&self, available: u64, section: &str) -> Option<String> {
        if self.total() <= available {
            return None;
        }
        let gib = |bytes: u64| bytes as f64 / f64::from(1 << 30);
        let mut text = format!(
            "this training wants about {:.1} GiB (weights and optimiser {:.1}, {} rows at once {:.1}, examples {:.1}), {:.1} GiB are free",
            gib(self.total()),
            gib(self.weights),
            self.rows,
            gib(self.activations),
            gib(self.examples),
            gib(available)
        );
        let room = available.saturating_sub(self.weights + self.examples);
        let row = (self.activations / self.rows.max(1) as u64).max(1);
        let fits = (room / row) as usize;
        if fits >= 1 && fits < self.rows {
            text.push_str(&format!("; --set {section}.micro_batch={fits} fits"));
        } else if self.examples > 0 && self.weights + row <= available {
            text.push_str(&format!(
                "; --set {section}.cache_mib=0 and {section}.micro_batch=1 may fit"
            ));
        } else {
            text.push_str("; take a smaller size of the encoder, or another machine");
        }
        Some(text)
    }
}

/// Warns where the system has less than `wanted`; `section` as for [`MemoryEstimate::advice`].
pub(crate) fn tell(wanted: &MemoryEstimate, section: &str, progress: &dyn Progress) {
    let advice = available_memory().and_then(|free| wanted.advice(free, section));
    if let Some(advice) = advice {
        progress.warn(&advice);
    }
}

/// Bytes of a trained network: weights, gradients, two moments, and the average.
pub(crate) fn weights(count: usize, ema: f64) -> u64 {
    let copies = if ema > 0.0 { 5 } else { 4 };
    count as u64 * FLOAT * copies
}

/// Bytes that `depth` blocks of an encoder keep of `tokens` tokens: those of the fused block.
pub(crate) fn blocks(config: &EncoderConfig, depth: usize, tokens: u64) -> u64 {
    let width = config.width() as u64;
    let token = match config.recompute {
        true => width,
        false => WIDTHS * width + config.mlp as u64,
    };
    tokens * depth as u64 * token * FLOAT
}

/// Bytes that the convolutions keep of `patches` patches.
pub(crate) fn convolutions(patches: u64) -> u64 {
    patches * CONVOLUTIONS * PATCH as u64 * FLOAT
}

/// Bytes of examples of `numbers` numbers each: the cache, and the batches ahead.
pub(crate) fn examples(
    count: usize,
    numbers: usize,
    cache_mib: usize,
    batch: usize,
    ahead: usize,
) -> u64 {
    let one = numbers as u64 * FLOAT;
    let cached = (count as u64 * one).min((cache_mib as u64) << 20);
    cached + batch as u64 * one * (ahead as u64 + 1)
}

/// Memory that this process may still take, where the system tells: what is free, within the limit
/// of its control group.
pub fn available_memory() -> Option<u64> {
    let info = std::fs::read_to_string("/proc/meminfo").ok()?;
    let free = info.lines().find_map(|line| {
        let kib: u64 = line
            .strip_prefix("MemAvailable:")?
            .trim()
            .strip_suffix("kB")?
            .trim()
            .parse()
            .ok()?;
        Some(kib << 10)
    })?;
    let number = |name: &str| -> Option<u64> {
        let text = std::fs::read_to_string(format!("/sys/fs/cgroup/{name}")).ok()?;
        text.trim().parse().ok()
    };
    let within =
        number("memory.max").and_then(|most| Some(most.saturating_sub(number("memory.current")?)));
    Some(within.map_or(free, |w| w.min(free)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn advice_names_a_number_of_rows_that_fits() {
        let gib = 1u64 << 30;
        let estimate = MemoryEstimate {
            weights: gib,
            activations: 8 * gib,
            rows: 64,
            examples: gib,
        };
        assert_eq!(estimate.advice(10 * gib, "train"), None);
        let text = estimate.advice(6 * gib, "train").unwrap();
        assert!(text.contains("--set train.micro_batch=32 fits"), "{text}");
        let fewer = MemoryEstimate {
            activations: 4 * gib,
            rows: 32,
            ..estimate
        };
        assert_eq!(fewer.advice(6 * gib, "train"), None);
        assert!(
            estimate
                .advice(2 * gib, "train")
                .unwrap()
                .contains("cache_mib=0")
        );
        assert!(
            estimate
                .advice(gib, "train")
                .unwrap()
                .contains("smaller size")
        );
    }
}
