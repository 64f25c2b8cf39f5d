//! How much memory a training will take, told before it starts.
//!
//! What is kept is counted from the shapes. What a step holds in passing, and the program itself,
//! were fitted to peaks that were measured; tests hold the estimate against them.

use mmpipe_machine::available_memory;
use mmpipe_models::encoder::{EncoderConfig, PATCH};

use crate::progress::Progress;
use crate::sound::Hears;

/// Bytes of one number.
const FLOAT: u64 = 4;
/// Numbers a token and block that the backward pass needs, in widths of a token, beside the hidden
/// layer: queries, keys, values, what the heads gave, the sum after them, and the block's result.
const WIDTHS: u64 = 6;
/// What the backward pass of blocks holds in passing, in halves of what one block keeps without
/// being recomputed. Fitted.
const PASSING: u64 = 6;
/// The program, its threads' scratch and what the allocator does not give back. Fitted.
const PROGRAM: u64 = 112 << 20;
/// Numbers a patch that the convolutions keep, in samples of a patch: three stages of a convolution, and
/// of its norm with the activation, and the patch itself.
const CONVOLUTIONS: u64 = 7;

/// Numbers a frame and layer of wav2vec 2.0 that the backward pass needs, in widths of a frame, beside
/// the hidden layer: queries, keys, values, what the heads gave, what both norms are given, and the
/// layer's result.
const HEARD_WIDTHS: usize = 7;
/// Numbers an output of a convolution over samples: before and after the activation.
const HEARD_STAGES: usize = 2;
/// What the backward pass of the convolutions holds in passing, in outputs of the widest. Fitted.
const HEARD_PASSING: usize = 6;

/// An estimate in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct MemoryEstimate {
    /// Weights, gradients, a gradient that is being added to, both moments, and the average where
    /// one is kept.
    pub weights: u64,
    /// What one part of a batch keeps for its backward pass, and what that holds in passing.
    pub activations: u64,
    /// Rows of that part.
    pub rows: usize,
    /// Examples: the cache as far as the data fill it, and batches loaded ahead.
    pub examples: u64,
}

impl MemoryEstimate {
    /// All of it, and the program.
    pub fn total(&self) -> u64 {
        self.fixed() + self.activations
    }

    /// What smaller parts of a batch do not change.
    fn fixed(&self) -> u64 {
        PROGRAM + self.weights + self.examples
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
        let room = available.saturating_sub(self.fixed());
        let row = (self.activations / self.rows.max(1) as u64).max(1);
        let fits = (room / row) as usize;
        // Stage 2 tells all sounds of a batch apart at once: there the batch itself has to be smaller.
        let whole = section.starts_with("align");
        if whole && fits >= 2 && fits < self.rows {
            text.push_str(&format!("; --set {section}.batch={fits} fits"));
        } else if whole {
            text.push_str("; take a smaller size, a frozen sound encoder, or another machine");
        } else if fits >= 1 && fits < self.rows {
            text.push_str(&format!("; --set {section}.micro_batch={fits} fits"));
        } else if self.examples > 0 && PROGRAM + self.weights + row <= available {
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

/// Bytes of a trained network: see [`MemoryEstimate::weights`].
pub(crate) fn weights(count: usize, ema: f64) -> u64 {
    let copies = if ema > 0.0 { 6 } else { 5 };
    count as u64 * FLOAT * copies
}

/// Bytes that `depth` blocks of an encoder keep of `tokens` tokens, those of the fused block, and
/// what their backward pass holds in passing.
pub(crate) fn blocks(config: &EncoderConfig, depth: usize, tokens: u64) -> u64 {
    let width = config.width() as u64;
    let whole = WIDTHS * width + config.mlp as u64;
    let kept = match config.recompute {
        true => width,
        false => whole,
    };
    tokens * (depth as u64 * kept + PASSING * whole / 2) * FLOAT
}

/// What `sounds` sounds of `samples` samples add that go through a wav2vec 2.0 at once: where it learns
/// what its backward pass keeps, else its weights, which are read where a sound has no vector yet.
pub(crate) fn hearing(hears: &Hears, sounds: u64, samples: usize) -> MemoryEstimate {
    if hears.frozen() {
        return MemoryEstimate {
            weights: hears.about.parameters * FLOAT,
            ..MemoryEstimate::default()
        };
    }
    let c = &hears.config;
    let (mut t, mut numbers, mut widest) = (samples, samples, 0);
    for ((dim, k), stride) in c.conv_dim.iter().zip(&c.conv_kernel).zip(&c.conv_stride) {
        t = t.saturating_sub(*k) / (*stride).max(1) + 1;
        numbers += t * dim * HEARD_STAGES;
        widest = widest.max(t * dim);
    }
    numbers += HEARD_PASSING * widest;
    let width = c.hidden_size;
    numbers += t * (c.conv_dim.last().copied().unwrap_or(0) + width) * HEARD_STAGES * 2;
    numbers += c.num_hidden_layers * t * (HEARD_WIDTHS * width + c.intermediate_size);
    MemoryEstimate {
        activations: sounds * numbers as u64 * FLOAT,
        ..MemoryEstimate::default()
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use mmpipe_models::encoder::{Classifier, ClassifierConfig, Size};
    use mmpipe_models::{Model, Params};

    #[test]
    fn advice_names_a_number_of_rows_that_fits() {
        let gib = 1u64 << 30;
        let estimate = MemoryEstimate {
            weights: gib,
            activations: 8 * gib,
            rows: 64,
            examples: gib,
        };
        assert_eq!(estimate.advice(10 * gib + PROGRAM, "train"), None);
        assert!(estimate.advice(10 * gib, "train").is_some());
        let text = estimate.advice(6 * gib + PROGRAM, "train").unwrap();
        assert!(text.contains("--set train.micro_batch=32 fits"), "{text}");
        let fewer = MemoryEstimate {
            activations: 4 * gib,
            rows: 32,
            ..estimate
        };
        assert_eq!(fewer.advice(6 * gib + PROGRAM, "train"), None);
        assert!(
            estimate
                .advice(2 * gib + PROGRAM, "train")
                .unwrap()
                .contains("cache_mib=0")
        );
        assert!(
            estimate
                .advice(gib, "train")
                .unwrap()
                .contains("smaller size")
        );
        let text = estimate.advice(6 * gib + PROGRAM, "align.steps").unwrap();
        assert!(text.contains("align.steps.batch=32 fits"), "{text}");
        let text = estimate.advice(gib, "align.steps").unwrap();
        assert!(text.contains("frozen sound encoder"), "{text}");
    }

    /// Peaks of training steps of the encoder of size base, batch, channels and seconds, as
    /// `encoder_step BATCH CHANNELS SECONDS 2` said them on 2026-11-22, MiB.
    #[test]
    fn estimates_of_the_encoder_are_near_what_was_measured() {
        let net = ClassifierConfig::new(Size::Base, 4);
        let params = Params::new(0, &candle_core::Device::Cpu);
        let count = Classifier::new(&net, params).unwrap().params().count();
        let net = net.encoder;
        for (batch, channels, seconds, peak) in [
            (8, 32, 2, 270.0),
            (16, 64, 2, 480.0),
            (32, 64, 2, 716.0),
            (64, 64, 2, 1160.0),
            (32, 256, 2, 2098.0),
            (8, 255, 2, 680.0),
        ] {
            let patches: u64 = batch * channels * seconds;
            let estimate = MemoryEstimate {
                weights: weights(count, 0.0),
                activations: convolutions(patches) + blocks(&net, net.depth, patches + batch),
                ..MemoryEstimate::default()
            };
            let found = estimate.total() as f64 / f64::from(1 << 20);
            let share = found / peak;
            assert!(
                (0.93..1.10).contains(&share),
                "{batch} x {channels}: {found:.0} against {peak} MiB"
            );
        }
    }

    /// A sound encoder that learns keeps what its backward pass needs; a frozen one only its weights.
    #[test]
    fn hearing_is_counted() {
        let of = |train| Hears {
            about: crate::SoundReport {
                encoder: crate::Audio::Wav2vec2,
                train,
                from: "x".into(),
                hash: "0".into(),
                parameters: 94_371_712,
            },
            config: mmpipe_models::audio::Wav2Vec2Config::wav2vec2_base(),
        };
        let learns = hearing(&of(crate::AudioTrain::Trainable), 2, 32_000);
        let one = hearing(&of(crate::AudioTrain::Trainable), 1, 32_000);
        assert_eq!(
            (learns.weights, learns.activations),
            (0, 2 * one.activations)
        );
        // `wav2vec2_step BATCH 32000 1` took 1305, 1515, 1873 and 2475 MiB for 1, 2, 4 and 8 sounds on
        // 2026-11-22: 167 MiB a sound.
        assert!((159 << 20..175 << 20).contains(&one.activations), "{one:?}");
        let frozen = hearing(&of(crate::AudioTrain::Frozen), 2, 32_000);
        assert_eq!((frozen.weights, frozen.activations), (4 * 94_371_712, 0));
    }
}
