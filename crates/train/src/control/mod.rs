//! The controls that are run beside every result, and what each can and cannot show.
//!
//! **`noise-eeg`** asks the trained model about noise instead of EEG (module `noise`). A score above
//! chance means that something besides the EEG gives the answer away: the label or its place
//! enters the input, or a candidate sound can be recognised as the attended one by itself. It
//! cannot show that a split leaks: a network that recognises trials is right for a bad reason on
//! real EEG and helpless on noise.
//!
//! **`label-permuted`** trains again with the answers of whole trials exchanged and scores against
//! the true ones (module `permute`, which also says why it fits each fold twice, and why `ridge` is
//! scored against exchanged streams). A score above chance means that the answers reach the scores
//! without having been learnt, or that the scoring favours an answer. It cannot show that a split
//! leaks either: a network that recognises trials learns the exchanged answers and repeats them,
//! and these agree with the true ones as often as chance. What shows a leak is the audit, and the
//! same model under a protocol that keeps trials apart.

pub(crate) mod noise;
pub(crate) mod permute;

use serde::{Deserialize, Serialize};

/// A control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// The trained model is asked about phase-randomised noise with the average spectrum of its
    /// training epochs.
    NoiseEeg,
    /// The model is trained again on permuted labels and asked about the true ones.
    LabelPermuted,
}

impl Control {
    /// Name as in tables and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoiseEeg => "noise-eeg",
            Self::LabelPermuted => "label-permuted",
        }
    }
}

impl std::fmt::Display for Control {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

impl std::str::FromStr for Control {
    type Err = String;
    fn from_str(s: &str) -> std::result::Result<Self, String> {
        match s {
            "noise-eeg" => Ok(Self::NoiseEeg),
            "label-permuted" => Ok(Self::LabelPermuted),
            _ => Err(format!(
                "expected `noise-eeg` or `label-permuted`, found `{s}`"
            )),
        }
    }
}
