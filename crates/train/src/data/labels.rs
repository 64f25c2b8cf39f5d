//! What each example should be answered with: the source's own labels, or permuted ones.

use std::collections::HashMap;

use xxhash_rust::xxh3::Xxh3;

use crate::source::{Meta, Source};

/// Answers by example. The source's own unless replaced.
#[derive(Debug, Clone, Default)]
pub(crate) struct Labels {
    /// Class in place of [`Meta::label`].
    pub(crate) class: HashMap<usize, i32>,
    /// Candidate that is taught as the attended one in place of candidate 0.
    pub(crate) attended: HashMap<usize, usize>,
}

impl Labels {
    /// Class of example `i`; negative = none.
    pub(crate) fn class(&self, source: &dyn Source, i: usize) -> i32 {
        self.class.get(&i).copied().unwrap_or(source.meta(i).label)
    }

    /// Candidate (in the source's order) that counts as attended.
    pub(crate) fn attended(&self, i: usize) -> usize {
        self.attended.get(&i).copied().unwrap_or(0)
    }
}

/// The block that an example belongs to: its trial.
pub(crate) type Block = (String, String, String, String, i32);

/// Key of the block of an example.
pub(crate) fn block(meta: &Meta) -> Block {
    (
        meta.dataset.clone(),
        meta.subject.clone(),
        meta.session.clone(),
        meta.run.clone(),
        meta.trial,
    )
}

/// Hash of the block of an example.
pub(crate) fn trial_key(meta: &Meta) -> u64 {
    let mut hash = Xxh3::new();
    for part in [&meta.dataset, &meta.subject, &meta.session, &meta.run] {
        hash.update(&(part.len() as u64).to_le_bytes());
        hash.update(part.as_bytes());
    }
    hash.update(&meta.trial.to_le_bytes());
    hash.digest()
}
