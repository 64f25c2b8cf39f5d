//! Mapping files: what a user who has the files says of their layout, where no publication does.

use serde::Deserialize;

use super::{
    ChannelRules, FileRule, Manifest, PartRule, Query, SideCar, SoundRule, TreeTable, TriggerRule,
    check,
};
use crate::{Error, Result};

/// Why a manifest cannot be used without a mapping file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MappingNeed {
    /// What the mapping must say, as a sentence.
    pub needs: String,
}

/// A mapping file. Its rules come before those of the manifest; its tables stand for the
/// manifest's.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Mapping {
    #[serde(default)]
    files: Vec<FileRule>,
    #[serde(default)]
    side_cars: Vec<SideCar>,
    #[serde(default)]
    parts: Vec<PartRule>,
    #[serde(default)]
    tables: Vec<TreeTable>,
    #[serde(default)]
    sounds: Vec<SoundRule>,
    #[serde(default)]
    triggers: Vec<TriggerRule>,
    channels: Option<ChannelRules>,
    labels: Option<Vec<String>>,
    trials: Option<Query>,
    intervals: Option<Query>,
    streams: Option<Query>,
    stimuli: Option<Query>,
}

impl Manifest {
    /// Completes a manifest by a mapping file: the tables `files`, `side_cars`, `parts`, `tables`,
    /// `sounds`, `triggers` (before those of the manifest) and `channels`, `labels`, `trials`,
    /// `intervals`, `streams`, `stimuli` (in their place). `file` is named in errors.
    ///
    /// # Errors
    /// As [`Manifest::parse`], of the mapping and of what the two make together.
    pub fn mapped(&self, mapping: &str, file: &str) -> Result<Manifest> {
        let mapping: Mapping = toml::from_str(mapping).map_err(|e| Error::ManifestSyntax {
            file: file.to_owned(),
            detail: e.to_string().trim_end().to_owned(),
        })?;
        let mut out = self.clone();
        out.mapping = None;
        out.files.splice(0..0, mapping.files);
        out.side_cars.splice(0..0, mapping.side_cars);
        out.parts.splice(0..0, mapping.parts);
        out.tables.splice(0..0, mapping.tables);
        out.sounds.splice(0..0, mapping.sounds);
        out.triggers.splice(0..0, mapping.triggers);
        out.channels = mapping.channels.unwrap_or(out.channels);
        out.labels = mapping.labels.unwrap_or(out.labels);
        out.trials = mapping.trials.unwrap_or(out.trials);
        out.intervals = mapping.intervals.or(out.intervals);
        out.streams = mapping.streams.or(out.streams);
        out.stimuli = mapping.stimuli.or(out.stimuli);
        check::check(&out, file)?;
        Ok(out)
    }
}
