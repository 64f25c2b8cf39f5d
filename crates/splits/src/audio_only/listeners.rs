//! Subjects who got the same label for the same content.

use std::collections::BTreeMap;

use super::Item;
use crate::audit::alone::majority;

/// The label of each content for each subject, and how far subjects agree.
pub(super) struct Listeners<'a> {
    labels: BTreeMap<&'a str, BTreeMap<&'a str, i32>>,
    /// Contents of the same label, and contents that both have a label for.
    agree: BTreeMap<(&'a str, &'a str), (u64, u64)>,
}

impl<'a> Listeners<'a> {
    pub(super) fn new(items: &[Item<'a>]) -> Self {
        let mut counts: BTreeMap<&str, BTreeMap<&str, BTreeMap<i32, u64>>> = BTreeMap::new();
        for item in items {
            if let (Some(label), Some(content)) = (item.label, &item.row.content_id) {
                let contents = counts.entry(&item.row.subject).or_default();
                let labels = contents.entry(content).or_default();
                *labels.entry(label).or_default() += item.epochs;
            }
        }
        let labels: BTreeMap<&str, BTreeMap<&str, i32>> = counts
            .into_iter()
            .map(|(subject, contents)| {
                let contents = contents.into_iter();
                let one = contents.filter_map(|(c, labels)| Some((c, majority(&labels)?)));
                (subject, one.collect())
            })
            .collect();
        let mut agree = BTreeMap::new();
        for (a, mine) in &labels {
            for (b, theirs) in labels.iter().filter(|(b, _)| *b != a) {
                let both: Vec<bool> = mine
                    .iter()
                    .filter_map(|(content, label)| Some(theirs.get(content)? == label))
                    .collect();
                let same = both.iter().filter(|same| **same).count();
                agree.insert((*a, *b), (same as u64, both.len() as u64));
            }
        }
        Listeners { labels, agree }
    }

    /// The label that a content had for most of those whose labels for all other contents agree
    /// best with the subject's; `None` where nobody else heard it and another content.
    pub(super) fn guess(&self, subject: &str, content: &str) -> Option<i32> {
        let own = self.labels.get(subject)?.get(content);
        let mut best: Option<(u64, u64)> = None;
        let mut votes: BTreeMap<i32, u64> = BTreeMap::new();
        for (other, contents) in self.labels.iter().filter(|(other, _)| **other != subject) {
            let Some(&label) = contents.get(content) else {
                continue;
            };
            let (same, both) = self.agree.get(&(subject, *other)).copied()?;
            let same = same - u64::from(own == Some(&label));
            let both = both - u64::from(own.is_some());
            if both == 0 {
                continue;
            }
            // same / both against the best so far, without rounding.
            let order = best.map_or(std::cmp::Ordering::Greater, |(s, b)| {
                (u128::from(same) * u128::from(b)).cmp(&(u128::from(s) * u128::from(both)))
            });
            if order.is_gt() {
                best = Some((same, both));
                votes.clear();
            }
            if order.is_ge() {
                *votes.entry(label).or_default() += 1;
            }
        }
        majority(&votes)
    }
}
