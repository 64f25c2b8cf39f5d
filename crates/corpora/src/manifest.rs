//! The manifest format: one TOML file a data set.
//!
//! ```toml
//! name = "Toy"                       # how the data set is called, unique
//! aliases = ["toy-set"]              # other spellings accepted
//! title = "A toy"
//! licence = "CC0-1.0"
//! access = "open"                    # open | registration | credentialed
//! labels = ["rest", "task"]          # class 0, class 1, ...
//!
//! [[files]]                          # first rule that matches a whole path wins
//! pattern = '(?P<subject>s\d+)_(?P<run>\d)\.edf'
//! kind = "signal"                    # signal | side-car | stimulus | ignore (with reason)
//!
//! [trials]
//! sql = "SELECT path, 0 AS trial FROM files WHERE status = 'ok'"
//! ```
//!
//! `data-manifests/README.md` explains every key with examples. Unknown keys are errors.
//! Patterns are regular expressions over the path below the
//! raw folder, with `/` separators, and must match the whole of it. What the SQL sees
//! is described at [`Scan`](crate::Scan).

use std::collections::BTreeMap;

use regex::Regex;
use serde::Deserialize;
use serde::de::{Deserializer, Error as _};

mod channels;
mod check;
mod known;
mod mapping;
mod parts;
mod sounds;

pub use channels::{
    ChannelRules, Derivations, DropRule, Keep, KindRule, ListWhen, PositionList, Rates,
};
pub use known::{Action, Difference, Fault, Open};
pub use mapping::MappingNeed;
pub use mmpipe_sidecars::Format;
pub use parts::{PartRule, TreeTable};
pub use sounds::{Baseline, SoundKind, SoundOrientation, SoundRule, SoundTree, TriggerRule};

/// One data set: identity, files, channels, trials, and what is known to be wrong with it.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Manifest {
    /// The name used on the command line and in the lake; letters, digits, `-`, `_`, `.`.
    pub name: String,
    /// Other names accepted on the command line (for example the paper's).
    #[serde(default)]
    pub aliases: Vec<String>,
    /// The title of the data set.
    pub title: String,
    /// DOI without a resolver prefix.
    pub doi: Option<String>,
    /// Where to get it.
    pub url: Option<String>,
    /// The release that the manifest describes.
    pub version: Option<String>,
    /// Licence, as an SPDX expression where there is one.
    pub licence: String,
    /// What a user must do to get the files.
    pub access: Access,
    /// What the paper says about it.
    #[serde(default)]
    pub paper: Paper,
    /// What a complete raw folder holds.
    #[serde(default)]
    pub expected: Expected,
    /// Where the layout of the files is not known: what a mapping file must say of it (see
    /// [`Manifest::mapped`]).
    pub mapping: Option<MappingNeed>,
    /// How files relate to each other.
    #[serde(default)]
    pub layout: Layout,
    /// Who decodes the signal files.
    #[serde(default)]
    pub reader: Reader,
    /// File rules; the first match wins. For [`Layout::Bids`] those of `_bids.toml` follow.
    #[serde(default)]
    pub files: Vec<FileRule>,
    /// Channel rules.
    #[serde(default)]
    pub channels: ChannelRules,
    /// Side-cars that become tables.
    #[serde(default)]
    pub side_cars: Vec<SideCar>,
    /// Recordings inside files of named arrays.
    #[serde(default)]
    pub parts: Vec<PartRule>,
    /// Small variables of such files that become tables.
    #[serde(default)]
    pub tables: Vec<TreeTable>,
    /// Sounds inside files of named arrays.
    #[serde(default)]
    pub sounds: Vec<SoundRule>,
    /// Channels that hold triggers.
    #[serde(default)]
    pub triggers: Vec<TriggerRule>,
    /// Class names; the index is the class.
    #[serde(default)]
    pub labels: Vec<String>,
    /// The trials query; only with [`Manifest::mapping`] it may be absent (empty).
    #[serde(default)]
    pub trials: Query,
    /// The intervals query: labels over the time of a recording, for trials without one.
    pub intervals: Option<Query>,
    /// The streams query: which sound played in which trial.
    pub streams: Option<Query>,
    /// The stimuli query: what is known of each sound.
    pub stimuli: Option<Query>,
    /// Known faults of the files.
    #[serde(default)]
    pub faults: Vec<Fault>,
    /// Differences from the paper, explained.
    #[serde(default)]
    pub differences: Vec<Difference>,
    /// What is not known of the files, and what happens meanwhile.
    #[serde(default)]
    pub open: Vec<Open>,
}

/// What a user must do to get the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Access {
    /// Anyone may download it.
    Open,
    /// A form or an account is needed.
    Registration,
    /// A signed agreement or training is needed.
    Credentialed,
}

impl std::fmt::Display for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Access::Open => "open",
            Access::Registration => "registration",
            Access::Credentialed => "credentialed",
        })
    }
}

/// What the paper reports of the data set; `None` where it says nothing.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Paper {
    /// Its name in the paper's tables.
    pub name: Option<String>,
    /// Training stage: 1 EEG pre-training, 2 EEG-audio alignment, 3 fine-tuning.
    pub stage: Option<u8>,
    /// The task, in the paper's words.
    pub task: Option<String>,
    /// Hours of EEG.
    pub hours: Option<f64>,
    /// Channels.
    pub channels: Option<u32>,
    /// Subjects.
    pub subjects: Option<u32>,
}

/// What a complete raw folder holds; `None` where it is not known.
#[derive(Debug, Clone, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Expected {
    /// Subjects.
    pub subjects: Option<u32>,
    /// Signal files.
    pub recordings: Option<u32>,
    /// Hours of signal.
    pub hours: Option<f64>,
    /// EEG channels kept.
    pub channels: Option<u32>,
    /// Sampling rate of the EEG, Hz.
    pub sfreq: Option<f64>,
}

/// How the files of a raw folder relate to each other.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Layout {
    /// Only the file rules say.
    #[default]
    Plain,
    /// BIDS-EEG: side-cars by the inheritance principle.
    Bids,
}

/// Who decodes the signal files.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reader {
    /// The container readers of `formats`, chosen by content.
    #[default]
    Auto,
}

/// A regular expression that must match a whole string.
#[derive(Debug, Clone)]
pub struct Pattern {
    source: String,
    regex: Regex,
}

impl Pattern {
    /// Compiles a pattern.
    ///
    /// # Errors
    /// The message of the regular expression compiler.
    pub fn new(source: &str) -> Result<Self, String> {
        let regex = Regex::new(&format!("^(?:{source})$")).map_err(|e| e.to_string())?;
        Ok(Self {
            source: source.to_owned(),
            regex,
        })
    }

    /// The pattern as written.
    pub fn as_str(&self) -> &str {
        &self.source
    }

    /// Whether the whole of `text` matches.
    pub fn is_match(&self, text: &str) -> bool {
        self.regex.is_match(text)
    }

    /// The named groups that took part in a match of the whole of `text`.
    pub fn groups(&self, text: &str) -> Option<BTreeMap<String, String>> {
        let captures = self.regex.captures(text)?;
        Some(
            self.group_names()
                .filter_map(|name| {
                    let value = captures.name(name)?;
                    Some((name.to_owned(), value.as_str().to_owned()))
                })
                .collect(),
        )
    }

    /// All named groups of the pattern, in order.
    pub fn group_names(&self) -> impl Iterator<Item = &str> {
        self.regex.capture_names().flatten()
    }
}

impl<'de> Deserialize<'de> for Pattern {
    fn deserialize<D: Deserializer<'de>>(de: D) -> Result<Self, D::Error> {
        Pattern::new(&String::deserialize(de)?).map_err(D::Error::custom)
    }
}

/// What a matching file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FileKind {
    /// A recording to open.
    Signal,
    /// Metadata, or a part of another file.
    SideCar,
    /// A recording that holds only annotations, which belong to the signal file named by `of`.
    Annotations,
    /// A sound that subjects heard.
    Stimulus,
    /// Not used; the rule says why.
    Ignore,
}

/// Files whose path matches `pattern` are of `kind`; its named groups become columns of `files`.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FileRule {
    /// Matches the whole path below the raw folder.
    pub pattern: Pattern,
    /// What such a file is.
    pub kind: FileKind,
    /// A path that matches, shown when none does.
    pub example: Option<String>,
    /// Why it is ignored; needed for `ignore` and allowed elsewhere as a note.
    pub reason: Option<String>,
    /// For `annotations`: the path of the signal file, with `${group}` for named groups.
    pub of: Option<String>,
    /// Constant columns of `files` for such files, such as `session = "1"`.
    #[serde(default)]
    pub set: BTreeMap<String, String>,
}

/// Files that become rows of a table. All columns are text; the SQL casts.
/// Beside the file's columns the table has `path` (the side-car's) and the named groups.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct SideCar {
    /// Table name in SQL.
    pub table: String,
    /// Matches the whole path of the side-car.
    pub pattern: Pattern,
    /// How it is written.
    pub format: Format,
    /// Columns the query counts on. A file that lacks one gets nulls and a diagnostic;
    /// when no file is there at all the table is empty but has these columns.
    #[serde(default)]
    pub columns: Vec<String>,
}

/// An SQL query.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Query {
    /// The query text; the tables are described at [`Scan`](crate::Scan).
    pub sql: String,
}

impl Manifest {
    /// Reads and checks a manifest; `file` is named in errors.
    ///
    /// # Errors
    /// [`Error::ManifestSyntax`](crate::Error::ManifestSyntax) with line and key, or
    /// [`Error::ManifestValue`](crate::Error::ManifestValue).
    pub fn parse(text: &str, file: &str) -> crate::Result<Self> {
        let manifest: Manifest =
            toml::from_str(text).map_err(|e| crate::Error::ManifestSyntax {
                file: file.to_owned(),
                detail: e.to_string().trim_end().to_owned(),
            })?;
        check::check(&manifest, file)?;
        Ok(manifest)
    }

    /// Whether `name` is the name or an alias, in any case.
    pub fn is_called(&self, name: &str) -> bool {
        self.names().any(|n| n.eq_ignore_ascii_case(name))
    }

    /// The name, then the aliases.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        std::iter::once(self.name.as_str()).chain(self.aliases.iter().map(String::as_str))
    }
}
