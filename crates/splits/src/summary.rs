//! The audit as a result stores it and a report shows it.

use mmpipe_eval::result::{AuditAlone, AuditPair, AuditSummary};

use crate::{Audit, KeyAlone};

impl From<&Audit> for AuditSummary {
    fn from(audit: &Audit) -> Self {
        let pairs = audit.folds.iter().flat_map(|fold| {
            fold.pairs.iter().map(|pair| AuditPair {
                fold: fold.fold,
                a: pair.a.to_string(),
                b: pair.b.to_string(),
                counts: pair
                    .counts()
                    .into_iter()
                    .map(|(name, n)| (name.to_owned(), n))
                    .collect(),
            })
        });
        let alone = |what: &str, key: Option<KeyAlone>| {
            key.map(|key| AuditAlone {
                what: what.to_owned(),
                balanced_accuracy: key.balanced_accuracy,
                chance: key.chance,
                seen_share: key.seen_share,
            })
        };
        Self {
            promise: audit.promise.clone(),
            holds: audit.holds,
            leaky: audit.leaky,
            broken: audit.broken.clone(),
            notes: audit.notes.clone(),
            alone: [
                alone("content", audit.alone.content),
                alone("sounds heard", audit.alone.sounds),
                alone("attended sound", audit.alone.attended),
                alone("attended speaker", audit.alone.speaker),
                alone("trial", audit.alone.trial),
                alone("recording", audit.alone.recording),
                alone("subject", audit.alone.subject),
            ]
            .into_iter()
            .flatten()
            .collect(),
            pairs: pairs.collect(),
        }
    }
}
