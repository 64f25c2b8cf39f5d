//! What each example should be answered with: the source's own labels, or permuted ones.

use std::collections::HashMap;

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
