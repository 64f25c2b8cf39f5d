//! Sounds inside files of named arrays, and channels of triggers.

use std::collections::BTreeMap;

use mmpipe_formats::tree::Number;
use serde::{Deserialize, Serialize};

use super::Pattern;

/// A sound inside the files that match, called `file#part` in all tables. A file may match several
/// rules; it must also match a `[[files]]` rule of kind signal, side-car or stimulus.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundRule {
    /// Matches the whole path of the file.
    pub pattern: Pattern,
    /// Name of the sound within the file; as in [`PartRule::part`](super::PartRule::part).
    pub part: String,
    /// As in [`PartRule::each`](super::PartRule::each).
    pub each: Option<String>,
    /// Columns of `files` for the sound; they win over the groups of the file rule.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
    /// Whether it can be heard.
    #[serde(default)]
    pub kind: SoundKind,
    /// Where the samples and the rate are.
    pub tree: SoundTree,
}

/// What the array of a sound holds.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SoundKind {
    /// The wave itself.
    #[default]
    Sound,
    /// Its envelope: named in `stimuli`, without audible segments.
    Envelope,
}

/// Where in a file of named arrays a sound is. Expressions are those of
/// [`TreeSpec`](mmpipe_formats::tree::TreeSpec).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SoundTree {
    /// The array; several are played one after the other.
    pub audio: String,
    /// Only this channel of the array, from 1; without it the mean of all is heard.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub row: Option<u32>,
    /// Sampling frequency, Hz.
    pub sfreq: Number,
    /// What the dimensions of the array are.
    #[serde(default)]
    pub orientation: SoundOrientation,
    /// Factor to full scale ±1, such as 0.000030517578125 for 16-bit numbers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
}

/// What the dimensions of a sound's array are.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SoundOrientation {
    /// Samples, channels.
    #[default]
    TimeChannel,
    /// Channels, samples.
    ChannelTime,
}

/// A channel of the recordings that match holds triggers: every step away from its baseline is a
/// row of `events` with source `trigger`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TriggerRule {
    /// Matches the whole path of the recording.
    pub pattern: Pattern,
    /// The channel's label as the file has it.
    pub channel: String,
    /// The value at rest.
    #[serde(default)]
    pub baseline: Baseline,
}

/// How the value at rest of a trigger channel is found.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Baseline {
    /// The first value where it holds for the first 5 s, else the median.
    #[default]
    Start,
    /// The median of all samples.
    Median,
}
