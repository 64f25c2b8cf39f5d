//! Roles where no split gives them: whole subjects are held out.

use std::collections::{BTreeMap, BTreeSet};

use mmpipe_models::rng::Stream;

use crate::data::permute;
use crate::source::{Fold, Source};

/// Holds whole subjects of each data set out for validation: a `share` of them, at least one where
/// the data set has two or more. Which ones depends on `seed` and the names alone. Gives one fold
/// without test examples, and the subjects held out (data set, subject), sorted.
///
/// A single subject of a data set is trained on; where every data set has one, nobody is held out.
/// A share of 0 holds nobody out.
pub fn hold_out(source: &dyn Source, share: f64, seed: u64) -> (Fold, Vec<(String, String)>) {
    let mut subjects: BTreeMap<&str, BTreeSet<&str>> = BTreeMap::new();
    for i in 0..source.len() {
        let meta = source.meta(i);
        subjects
            .entry(&meta.dataset)
            .or_default()
            .insert(&meta.subject);
    }
    let mut held: BTreeSet<(&str, &str)> = BTreeSet::new();
    for (dataset, subjects) in &subjects {
        let mut order: Vec<&str> = subjects.iter().copied().collect();
        let stream = Stream::named(seed, &format!("subjects held out of {dataset}"));
        permute(&mut order, stream);
        let most = order.len().saturating_sub(1);
        let wanted = (order.len() as f64 * share).round() as usize;
        let count = match share > 0.0 {
            true => wanted.max(1).min(most),
            false => 0,
        };
        held.extend(order.into_iter().take(count).map(|s| (*dataset, s)));
    }
    let mut fold = Fold::default();
    for i in 0..source.len() {
        let meta = source.meta(i);
        match held.contains(&(meta.dataset.as_str(), meta.subject.as_str())) {
            true => fold.val.push(i),
            false => fold.train.push(i),
        }
    }
    let owned = |(d, s): (&str, &str)| (d.to_owned(), s.to_owned());
    let held = held.into_iter().map(owned).collect();
    (fold, held)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::source::{MemorySource, Meta};

    fn source(sets: &[(&str, usize)]) -> MemorySource {
        let mut source = MemorySource::default();
        for (dataset, subjects) in sets {
            for s in 0..*subjects {
                for trial in 0..3 {
                    source.metas.push(Meta {
                        dataset: (*dataset).into(),
                        subject: format!("S{s}"),
                        trial,
                        ..Meta::default()
                    });
                }
            }
        }
        source
    }

    #[test]
    fn whole_subjects_of_each_data_set_are_held_out() {
        let source = source(&[("A", 20), ("B", 3), ("C", 1)]);
        let (fold, held) = hold_out(&source, 0.1, 0);
        let of = |d: &str| held.iter().filter(|(set, _)| set == d).count();
        assert_eq!((of("A"), of("B"), of("C")), (2, 1, 0));
        assert_eq!(fold.val.len(), 3 * 3);
        assert_eq!(fold.train.len() + fold.val.len(), source.metas.len());
        for i in &fold.train {
            let m = &source.metas[*i];
            assert!(!held.contains(&(m.dataset.clone(), m.subject.clone())));
        }
        assert_eq!(hold_out(&source, 0.1, 0), (fold.clone(), held));
        assert_ne!(hold_out(&source, 0.1, 1).0, fold);
        assert!(hold_out(&source, 0.0, 0).0.val.is_empty());
    }
}
