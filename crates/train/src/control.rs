//! The controls that are run beside every result.

use serde::{Deserialize, Serialize};

/// A control.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Control {
    /// The trained model is asked about phase-randomised noise.
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
            _ => Err(format!("expected `noise-eeg` or `label-permuted`, found `{s}`")),
        }
    }
}
