//! What a split needs to know of an epoch: keys, place in time and label; no samples.

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::Role;

/// One epoch of the lake's table `eeg`, without its samples.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Row {
    /// Key of the epoch.
    pub epoch_id: u64,
    /// Data set.
    pub dataset: String,
    /// Subject.
    pub subject: String,
    /// Session, where the data set has them.
    pub session: Option<String>,
    /// Run, where the data set has them.
    pub run: Option<String>,
    /// Key of the recording.
    pub recording: String,
    /// Trial inside the recording.
    pub trial: i32,
    /// Epoch inside the trial.
    pub epoch: i32,
    /// Seconds from the start of the recording.
    pub onset: f64,
    /// Length in seconds.
    pub seconds: f64,
    /// Class index; `None` keeps the epoch out of every fold.
    pub label: Option<i32>,
    /// Class name.
    pub label_name: Option<String>,
    /// Story, piece or clip.
    pub content_id: Option<String>,
    /// Sounds under the epoch, sorted.
    pub stimuli: Vec<String>,
    /// What is known of each sound under the epoch, in the order of the lake.
    pub heard: Vec<Heard>,
}

/// A sound under an epoch.
#[derive(Debug, Clone, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Heard {
    /// Which, without the grid that a segment's key may carry.
    pub sound: String,
    /// attended, unattended, target, candidate or heard.
    pub role: String,
    /// Where it was played.
    pub side: Option<String>,
    /// Who speaks or plays.
    pub speaker: Option<String>,
    /// Of the speaker.
    pub gender: Option<String>,
}

/// One epoch's role in one fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct Assignment {
    /// Fold, from 0.
    pub fold: i32,
    /// Side.
    pub role: Role,
    /// Key of the epoch.
    pub epoch_id: u64,
}

/// Key of a trial.
pub(crate) type TrialKey<'a> = (&'a str, &'a str, &'a str, i32);
/// Key of a subject.
pub(crate) type SubjectKey<'a> = (&'a str, &'a str);

impl Row {
    pub(crate) fn subject_key(&self) -> SubjectKey<'_> {
        (&self.dataset, &self.subject)
    }

    pub(crate) fn recording_key(&self) -> TrialKey<'_> {
        (&self.dataset, &self.subject, &self.recording, 0)
    }

    pub(crate) fn trial_key(&self) -> TrialKey<'_> {
        (&self.dataset, &self.subject, &self.recording, self.trial)
    }

    pub(crate) fn session_key(&self) -> Option<(&str, &str, &str)> {
        Some((&self.dataset, &self.subject, self.session.as_deref()?))
    }

    /// The sound that the trial is about.
    pub(crate) fn attended(&self) -> Option<&Heard> {
        let about = ["attended", "target", "heard"];
        about
            .iter()
            .find_map(|role| self.heard.iter().find(|h| h.role == *role))
    }

    /// Key of the sound that tells content apart; `None` where the data set names none.
    pub(crate) fn content_key(&self) -> Option<(&str, &str)> {
        Some((&self.dataset, self.content_id.as_deref()?))
    }

    /// End in seconds from the start of the recording.
    pub(crate) fn stop(&self) -> f64 {
        self.onset + self.seconds
    }
}

/// A number that looks random and depends on the parts and the seed alone: the source of every
/// order in this crate, so that no result depends on the order of rows, threads or platforms.
pub(crate) fn lot(seed: u64, purpose: &str, parts: &[&[u8]]) -> u64 {
    let mut bytes = Vec::with_capacity(64);
    for part in std::iter::once(&purpose.as_bytes()).chain(parts) {
        // Lengths keep ("ab", "c") and ("a", "bc") apart.
        bytes.extend_from_slice(&(part.len() as u64).to_le_bytes());
        bytes.extend_from_slice(part);
    }
    xxh3_64_with_seed(&bytes, seed)
}
