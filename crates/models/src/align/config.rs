//! How EEG and sound are brought together, and how pairs are formed.

use serde::{Deserialize, Serialize};

use crate::error::{Error, Result};

/// The module between the two projections and the score.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FusionKind {
    /// CALRA as the paper writes it (Eqs. 4 to 9): type aligner, cross-attention, feed-forward
    /// network, shared low-rank product.
    CalraPaper,
    /// CALRA as the released code has it: attention of a vector's heads on themselves, low-rank
    /// product with sound's part scaled down, output maps and skips.
    CalraReleased,
    /// A co-attention block (ablation): the pieces of each vector attend to the other's.
    CoAttention,
    /// A perceptron over both vectors laid side by side (ablation).
    #[serde(rename = "concat")]
    ConcatMlp,
    /// Nothing: the projections are compared as they are (CLIP; the only form that is a dual
    /// encoder).
    Clip,
}

/// Shape of the fusion module. The switches remove one component each, for ablations; those that a
/// form does not have are not looked at.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FusionConfig {
    /// The form.
    pub kind: FusionKind,
    /// Width of the common space.
    pub width: usize,
    /// Attention heads; divide the width.
    pub heads: usize,
    /// Hidden width of the feed-forward networks.
    pub hidden: usize,
    /// Width of the low-rank product.
    pub rank: usize,
    /// Kinds of sound that the type aligner tells apart.
    pub types: usize,
    /// Maps by kind of sound. `CalraPaper`: one a modality, in front. `CalraReleased`: instead of
    /// EEG's low-rank map (off as released).
    pub type_aligner: bool,
    /// Cross-attention (`CalraPaper`) or attention of heads (`CalraReleased`).
    pub attention: bool,
    /// Feed-forward networks of both CALRA forms.
    pub feed_forward: bool,
    /// Shared low-rank product of both CALRA forms.
    pub low_rank: bool,
    /// Dropout inside the module.
    pub dropout: f32,
}

impl FusionConfig {
    /// The published sizes of a form, every component on that the form has on.
    pub fn new(kind: FusionKind) -> Self {
        Self {
            kind,
            width: crate::encoder::PROJECTION,
            heads: 4,
            hidden: 512,
            rank: 128,
            types: 3,
            type_aligner: kind == FusionKind::CalraPaper,
            attention: true,
            feed_forward: true,
            low_rank: true,
            dropout: 0.1,
        }
    }

    pub(super) fn check(&self) -> Result<()> {
        for (field, value) in [
            ("width", self.width),
            ("hidden", self.hidden),
            ("rank", self.rank),
            ("types", self.types),
            ("heads", self.heads),
        ] {
            if value == 0 {
                return Err(Error::config(field, value, "at least 1"));
            }
        }
        if !self.width.is_multiple_of(self.heads) {
            return Err(Error::config(
                "heads",
                self.heads,
                format!("a divisor of the width {}", self.width),
            ));
        }
        if self.kind == FusionKind::CoAttention
            && !self
                .width
                .is_multiple_of(super::simple::PIECES * self.heads)
        {
            return Err(Error::config(
                "width",
                self.width,
                format!(
                    "a multiple of {} pieces × {} heads",
                    super::simple::PIECES,
                    self.heads
                ),
            ));
        }
        if !(0.0..1.0).contains(&self.dropout) {
            return Err(Error::config(
                "dropout",
                self.dropout,
                "0 or more and below 1",
            ));
        }
        Ok(())
    }
}

/// Which pairs of a batch are fused for the contrast.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pairs {
    /// Every EEG with every sound: the score of a pair comes from that pair alone.
    #[default]
    Crossed,
    /// Matching pairs only, as released: row i holds EEG that has seen sound i, so the sound can be
    /// recognised in the EEG vector without any neural information.
    Diagonal,
}

/// How candidates of one epoch are scored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Scoring {
    /// Each candidate from its own fused pair; no label is an input.
    #[default]
    Candidate,
    /// The released evaluator, for reproduction: the EEG is fused with the attended sound, which is
    /// the label, before anything is compared. **The label enters the input.**
    Paper,
}
