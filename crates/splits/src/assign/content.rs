//! Which trials belong together because they share a story, piece, clip or sound.

use std::collections::BTreeMap;

use crate::row::TrialKey;
use crate::{Error, Result, Row};

/// What links trials.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Link<'a> {
    Content((&'a str, &'a str)),
    Sound(&'a str, &'a str),
}

/// Groups of trials that share content or a sound, directly or through other trials: for each trial
/// the least key of its group. Two talkers at once link both their stories; a trial that names
/// neither content nor sound is a group of its own.
///
/// # Errors
/// [`Error::NoContent`] where no row names either.
pub(super) fn groups<'a>(rows: &[(&'a Row, i32)]) -> Result<BTreeMap<TrialKey<'a>, TrialKey<'a>>> {
    let mut trials: BTreeMap<TrialKey<'a>, usize> =
        rows.iter().map(|(row, _)| (row.trial_key(), 0)).collect();
    for (i, place) in trials.values_mut().enumerate() {
        *place = i;
    }
    // Each points to a trial of its group that is not after it, the first to itself.
    let mut towards: Vec<usize> = (0..trials.len()).collect();
    let mut first: BTreeMap<Link<'a>, usize> = BTreeMap::new();
    for &(row, _) in rows {
        let trial = trials.get(&row.trial_key()).copied().unwrap_or(0);
        let content = row.content_key().map(Link::Content);
        let sounds = row.stimuli.iter().map(|s| Link::Sound(&row.dataset, s));
        for link in content.into_iter().chain(sounds) {
            let other = *first.entry(link).or_insert(trial);
            let (a, b) = (root(&mut towards, trial), root(&mut towards, other));
            towards[a.max(b)] = a.min(b);
        }
    }
    if first.is_empty() {
        return Err(Error::NoContent { epochs: rows.len() });
    }
    let keys: Vec<TrialKey<'a>> = trials.keys().copied().collect();
    Ok(trials
        .into_iter()
        .map(|(key, i)| (key, keys[root(&mut towards, i)]))
        .collect())
}

/// The first trial of a group; shortens the way there.
fn root(towards: &mut [usize], mut i: usize) -> usize {
    while towards[i] != i {
        towards[i] = towards[towards[i]];
        i = towards[i];
    }
    i
}
