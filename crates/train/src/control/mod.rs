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
//!
//! **`audio-only`**, for networks that hear, trains again with zeros in the place of the EEG, in
//! training and in testing (module `silent`). Its score is what the sound alone gives: a score of the
//! model that is no higher says nothing of the EEG. `noise-eeg` is milder: a network that was trained
//! to lean on the EEG may fail without it although the sound would have been enough.

pub(crate) mod noise;
pub(crate) mod other_eeg;
pub(crate) mod permute;
pub(crate) mod silent;

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
    /// The model is trained again, and asked, with zeros in the place of the EEG.
    AudioOnly,
}

impl Control {
    /// Name as in tables and flags.
    pub fn name(self) -> &'static str {
        match self {
            Self::NoiseEeg => "noise-eeg",
            Self::LabelPermuted => "label-permuted",
            Self::AudioOnly => "audio-only",
        }
    }

    /// Whether the control is a training of its own; the others ask the model that is there.
    pub fn trains(self) -> bool {
        match self {
            Self::NoiseEeg => false,
            Self::LabelPermuted | Self::AudioOnly => true,
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
            "audio-only" => Ok(Self::AudioOnly),
            _ => Err(format!(
                "expected `noise-eeg`, `label-permuted` or `audio-only`, found `{s}`"
            )),
        }
    }
}
