//! Channel rules of a manifest.

use std::collections::BTreeMap;

use serde::Deserialize;

use super::Pattern;
use crate::electrodes::Cap;

/// What to do with a doubtful channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Keep {
    /// Drop it, with the reason.
    Drop,
    /// Keep it, with the doubt as its note.
    Keep,
}

impl Keep {
    fn drop() -> Self {
        Keep::Drop
    }

    fn kept() -> Self {
        Keep::Keep
    }
}

/// Rules from raw labels to channels. Applied in this order: position list, rename, prefixes
/// and suffixes, the cap's layout, the electrode dictionary, kinds, drop, pairs, repeats, rates.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChannelRules {
    /// Labels by position in the file, for files whose own labels are useless.
    /// Files with another number of channels than this list are rejected.
    #[serde(default)]
    pub positions: Vec<String>,
    /// Labels by position for some of the files; the first that matches wins over `positions`.
    #[serde(default)]
    pub lists: Vec<PositionList>,
    /// Prefixes to take off, in any case, before the dictionary is asked.
    #[serde(default)]
    pub strip_prefix: Vec<String>,
    /// Suffixes to take off, in any case, before the dictionary is asked.
    #[serde(default)]
    pub strip_suffix: Vec<String>,
    /// Raw label to new label (exact match).
    #[serde(default)]
    pub rename: BTreeMap<String, String>,
    /// The cap whose sensors the labels number; each is called by the 10-05 place next to it.
    pub layout: Option<Cap>,
    /// Channels to drop, each with its reason.
    #[serde(default)]
    pub drop: Vec<DropRule>,
    /// Raw labels of channels that hold a copy of the sound (exact match): no EEG, kind `audio`.
    #[serde(default)]
    pub audio_copy: Vec<String>,
    /// Kinds by label, for labels that do not say themselves.
    #[serde(default)]
    pub kinds: Vec<KindRule>,
    /// EEG channels without a 10-05 name; kept, they are called `raw:LABEL`.
    #[serde(default = "Keep::drop")]
    pub unknown: Keep,
    /// Earlobes and mastoids (A1, A2, M1, M2).
    #[serde(default = "Keep::drop")]
    pub references: Keep,
    /// Differences of two scalp electrodes, such as `FP1-F7`; kept, they are called `Fp1-F7`.
    #[serde(default = "Keep::drop")]
    pub bipolar: Keep,
    /// Scalp electrodes against an earlobe or mastoid, such as `C4-A1` or `C4A1`.
    #[serde(default)]
    pub reference_derivations: Derivations,
    /// EEG channels of other rates than most of the file.
    #[serde(default)]
    pub rates: Rates,
    /// Channels that channels.tsv marks bad (BIDS).
    #[serde(default = "Keep::kept")]
    pub bad: Keep,
}

/// What becomes of a scalp electrode that is recorded against an earlobe or mastoid.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Derivations {
    /// It is called by the scalp electrode: `C4-A1` is `C4`.
    #[default]
    Active,
    /// It is called by both: `C4-A1`.
    Pair,
    /// It is dropped, with the reason.
    Drop,
}

/// What becomes of EEG channels whose rate is not that of most EEG channels of the file.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Rates {
    /// They are dropped, with the reason.
    #[default]
    Common,
    /// They are kept, and each is brought from its own rate to the recipe's; one that does not
    /// last as long as the others, to a sample, is dropped when its file is read.
    Resample,
}

/// When a [`PositionList`] is used.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ListWhen {
    /// For every file that matches.
    #[default]
    Always,
    /// Only where fewer than half of the file's own labels say a place or a kind.
    Useless,
}

/// Labels by position, for the files that match.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PositionList {
    /// Matches the whole path of the files.
    pub pattern: Pattern,
    /// One label a channel; a file with another number of channels is rejected.
    pub names: Vec<String>,
    /// When it is used.
    #[serde(default)]
    pub when: ListWhen,
}

impl Default for ChannelRules {
    fn default() -> Self {
        Self {
            positions: Vec::new(),
            lists: Vec::new(),
            strip_prefix: Vec::new(),
            strip_suffix: Vec::new(),
            rename: BTreeMap::new(),
            layout: None,
            drop: Vec::new(),
            audio_copy: Vec::new(),
            kinds: Vec::new(),
            unknown: Keep::Drop,
            references: Keep::Drop,
            bipolar: Keep::Drop,
            reference_derivations: Derivations::Active,
            rates: Rates::Common,
            bad: Keep::Keep,
        }
    }
}

/// Channels whose raw label matches are dropped.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct DropRule {
    /// Matches the whole raw label.
    pub pattern: Pattern,
    /// Matches the whole path of the recordings that the rule is for; without it, all.
    pub path: Option<Pattern>,
    /// Why.
    pub reason: String,
    /// Kind to write down, when it is not what the dictionary says.
    pub kind: Option<String>,
}

/// Channels whose raw label matches are of this kind.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct KindRule {
    /// Matches the whole raw label.
    pub pattern: Pattern,
    /// One of [`KINDS`](crate::electrodes::KINDS).
    pub kind: String,
}
