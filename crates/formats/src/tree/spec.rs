//! The description of a recording inside a file of named arrays.

use serde::{Deserialize, Serialize};

/// Where in a file of named arrays (MATLAB, HDF5, NumPy, CSV) a recording is. Expressions are
/// those of `mmpipe_trees::select`; in each, `[a..b]` stands for the whole numbers from a to b
/// ("ch[1..133]" is ch1, ch2, ..., ch133; "[01..12]" keeps two digits).
///
/// ```
/// use mmpipe_formats::tree::{Orientation, TreeSpec};
///
/// let spec: TreeSpec = serde_json::from_str(
///     r#"{
///         "eeg": ["EEG_MI_train.x"],
///         "orientation": "time-channel",
///         "sfreq": "EEG_MI_train.fs",
///         "ch_names": "EEG_MI_train.chan"
///     }"#,
/// )
/// .unwrap();
/// assert_eq!(spec.orientation, Orientation::TimeChannel);
/// assert_eq!(spec.unit, "µV");
/// ```
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct TreeSpec {
    /// The samples. With [`Orientation::ChannelEach`] each expression gives one vector or more,
    /// a channel each; with the others each gives one array or more of the same channels, and
    /// every array after the first is a run of its own, placed after the one before.
    pub eeg: Vec<String>,
    /// What the dimensions of the arrays are.
    #[serde(default)]
    pub orientation: Orientation,
    /// The unit of the samples after `scale`: "µV" (the default), "V", ...
    #[serde(default = "microvolts")]
    pub unit: String,
    /// Factor that every sample is multiplied by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scale: Option<f64>,
    /// Sampling frequency, Hz.
    pub sfreq: Number,
    /// Names of the channels; "1", "2", ... when absent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ch_names: Option<Names>,
    /// An expression that gives the start of the recording as a text (ISO 8601 local time).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub start: Option<String>,
    /// An expression that gives the time of every sample in s, for arrays that leave stretches
    /// out. Where it steps by another time than a sample's, to half a sample, a new run begins,
    /// at that time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub times: Option<String>,
}

fn microvolts() -> String {
    "µV".to_owned()
}

/// What the dimensions of an array are, in the order in which MATLAB or NumPy shows them.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
pub enum Orientation {
    /// Samples, channels.
    #[default]
    TimeChannel,
    /// Channels, samples.
    ChannelTime,
    /// One vector a channel.
    ChannelEach,
    /// Samples, trials, channels. Each trial is a run, placed after the one before.
    TimeTrialChannel,
    /// Samples, channels, trials.
    TimeChannelTrial,
    /// Channels, samples, trials.
    ChannelTimeTrial,
    /// Channels, trials, samples.
    ChannelTrialTime,
    /// Trials, channels, samples.
    TrialChannelTime,
    /// Trials, samples, channels.
    TrialTimeChannel,
}

impl Orientation {
    /// Which dimension is time, which channels, which trials; `None` for a vector a channel.
    pub(super) fn axes(self) -> Option<(usize, usize, Option<usize>)> {
        match self {
            Orientation::TimeChannel => Some((0, 1, None)),
            Orientation::ChannelTime => Some((1, 0, None)),
            Orientation::ChannelEach => None,
            Orientation::TimeTrialChannel => Some((0, 2, Some(1))),
            Orientation::TimeChannelTrial => Some((0, 1, Some(2))),
            Orientation::ChannelTimeTrial => Some((1, 0, Some(2))),
            Orientation::ChannelTrialTime => Some((2, 0, Some(1))),
            Orientation::TrialChannelTime => Some((2, 1, Some(0))),
            Orientation::TrialTimeChannel => Some((1, 2, Some(0))),
        }
    }
}

/// A number, or an expression that gives one (or the same one several times).
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
pub enum Number {
    /// The number itself.
    Literal(f64),
    /// Where it is.
    Expression(String),
}

/// Texts, or an expression that gives them.
#[derive(Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(untagged)]
pub enum Names {
    /// The texts themselves; `[a..b]` is allowed.
    List(Vec<String>),
    /// Where they are.
    Expression(String),
}

/// Most results of all ranges of one pattern.
const MOST: usize = 1 << 16;

/// Writes the ranges of a pattern out; the last range counts fastest. The message on failure
/// says what is wrong.
pub(super) fn expand(pattern: &str) -> Result<Vec<String>, String> {
    let Some((head, inside, tail)) = first_range(pattern) else {
        return Ok(vec![pattern.to_owned()]);
    };
    let (first, last) = inside.split_once("..").unwrap_or_default();
    let width = if first.starts_with('0') {
        first.len()
    } else {
        0
    };
    let number = |text: &str| {
        text.parse::<usize>()
            .map_err(|_| format!("expected a whole number, found {text:?}"))
    };
    let (first, last) = (number(first)?, number(last)?);
    let tails = expand(tail)?;
    let count = last.checked_sub(first).and_then(|n| n.checked_add(1));
    let count = count.ok_or_else(|| format!("[{inside}] runs backwards"))?;
    if count.saturating_mul(tails.len()) > MOST || width > 20 {
        return Err(format!("[{inside}] is more than {MOST}"));
    }
    let mut out = Vec::with_capacity(count * tails.len());
    for i in first..=last {
        for tail in &tails {
            out.push(format!("{head}{i:0width$}{tail}"));
        }
    }
    Ok(out)
}

/// What stands before, in and after the first brackets with two dots; other brackets are part
/// of a name ("EEG [uV]").
fn first_range(pattern: &str) -> Option<(&str, &str, &str)> {
    let mut from = 0;
    loop {
        let open = from + pattern.get(from..)?.find('[')?;
        let inside = pattern.get(open + 1..)?;
        let inside = inside.get(..inside.find(']')?)?;
        if inside.contains("..") {
            let tail = pattern.get(open + inside.len() + 2..)?;
            return Some((pattern.get(..open)?, inside, tail));
        }
        from = open + 1;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges() {
        assert_eq!(expand("a.b{3}").unwrap(), ["a.b{3}"]);
        assert_eq!(expand("ch[9..11]").unwrap(), ["ch9", "ch10", "ch11"]);
        assert_eq!(expand("d{[1..2]}.x").unwrap(), ["d{1}.x", "d{2}.x"]);
        assert_eq!(expand("[08..10]").unwrap(), ["08", "09", "10"]);
        assert_eq!(
            expand("r[1..2]c[0..1]").unwrap(),
            ["r1c0", "r1c1", "r2c0", "r2c1"]
        );
        assert_eq!(expand("ch[1..133]").unwrap().len(), 133);
        for bad in ["a[x..2]", "a[3..2]", "a[1..99999999]", "[1..999][1..999]"] {
            assert!(expand(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_description_survives_toml_and_json() {
        let spec: TreeSpec = serde_json::from_str(
            r#"{"eeg": ["ch[1..133]"], "orientation": "channel-each", "unit": "V", "sfreq": 500,
                "ch_names": ["A", "B"], "scale": 1e-6}"#,
        )
        .unwrap();
        assert_eq!(spec.sfreq, Number::Literal(500.0));
        let text = serde_json::to_string(&spec).unwrap();
        assert_eq!(serde_json::from_str::<TreeSpec>(&text).unwrap(), spec);
        let wrong = r#"{"eeg": ["x"], "sfreq": 1, "orientaton": "time-channel"}"#;
        assert!(serde_json::from_str::<TreeSpec>(wrong).is_err());
    }
}
