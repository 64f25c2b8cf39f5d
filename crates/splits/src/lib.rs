//! Which epochs train, validate and test, and the audit that says what the sides share.
//!
//! Owns the protocols ([`Protocol`]), the assignment of epochs to folds and roles ([`assign()`]),
//! the leakage audit ([`audit()`]) and its stored proof, which is checked again before training,
//! and the warning of data sets whose sound alone tells the label ([`audio_only()`]).
//!
//! Does not own the epochs (the lake), what a trial or label is (the manifests), or training.

mod assign;
mod audio_only;
mod audit;
mod error;
mod protocol;
mod row;
mod store;
mod summary;

pub use assign::{VAL_SHARE, assign};
pub use audio_only::{AudioOnly, By, ChoiceScore, Cue, CueScore, HeldOut, audio_only};
pub use audit::{
    Alone, Audit, Balance, Findings, FoldAudit, KeyAlone, PairAudit, Purity, RoleCounts, audit,
};
pub use error::{Error, Result};
pub use protocol::{Protocol, Role};
pub use row::{Assignment, Heard, Row};
pub use store::{
    Clearance, DEFAULT_FOLDS, Reaudit, Split, SplitRequest, StoredAudit, audio_only_in,
    audio_only_of, check_for_training, create, default_name, list, load, reaudit, rows,
    stored_audit,
};
