//! The ways of keeping training and test apart, and what each one promises.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::Error;

/// How epochs are divided.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Protocol {
    /// Windows of each subject at random into folds, the protocol of the MindMix paper. Marked
    /// leaky: neighbouring windows of one trial land on both sides and share its slow state.
    WithinSubject,
    /// Whole trials stay together.
    BetweenTrial,
    /// Trials that share a story, piece, clip or sound stay together, whoever heard it, and with them
    /// all that is linked to them: two talkers at once link their stories.
    ContentDisjoint,
    /// Whole subjects stay together; as many folds as subjects is leave-one-subject-out.
    CrossSubject,
}

impl Protocol {
    /// All protocols. The last two promise more than whole trials, each another thing.
    pub const ALL: [Self; 4] = [
        Self::WithinSubject,
        Self::BetweenTrial,
        Self::ContentDisjoint,
        Self::CrossSubject,
    ];

    /// Name as the command line and the tables have it.
    pub fn name(self) -> &'static str {
        match self {
            Self::WithinSubject => "within-subject",
            Self::BetweenTrial => "between-trial",
            Self::ContentDisjoint => "content-disjoint",
            Self::CrossSubject => "cross-subject",
        }
    }

    /// Whether results of this protocol must be marked, although its promise holds.
    pub fn leaky(self) -> bool {
        self == Self::WithinSubject
    }

    /// What the protocol promises, in words.
    pub fn promise(self) -> &'static str {
        match self {
            Self::WithinSubject => {
                "no epoch and no sample is on two sides; neighbouring windows of one trial may be"
            }
            Self::BetweenTrial => "no trial, and so no epoch and no sample, is on two sides",
            Self::ContentDisjoint => {
                "no content, no sound and no trial, and so no epoch and no sample, is on two sides"
            }
            Self::CrossSubject => {
                "no subject, and so no recording, trial, epoch or sample, is on two sides"
            }
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Protocol {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let wanted = text.trim().to_ascii_lowercase().replace('_', "-");
        Self::ALL
            .into_iter()
            .find(|p| p.name() == wanted)
            .ok_or_else(|| Error::Protocol {
                found: text.to_owned(),
            })
    }
}

/// Side of a fold.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Fits the weights.
    Train,
    /// Chooses when to stop; never scored.
    Val,
    /// Scored once.
    Test,
}

impl Role {
    /// All roles.
    pub const ALL: [Self; 3] = [Self::Train, Self::Val, Self::Test];
    /// Pairs of roles that an audit compares.
    pub const PAIRS: [(Self, Self); 3] = [
        (Self::Train, Self::Val),
        (Self::Train, Self::Test),
        (Self::Val, Self::Test),
    ];

    /// Name as the table has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Train => "train",
            Self::Val => "val",
            Self::Test => "test",
        }
    }
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl FromStr for Role {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        Self::ALL
            .into_iter()
            .find(|r| r.name() == text)
            .ok_or_else(|| Error::Role {
                found: text.to_owned(),
            })
    }
}
