//! Assigning epochs to folds and roles.
//!
//! Every protocol does the same three steps: order its units (windows, trials, contents or subjects) by a
//! hash of their key and the seed, deal them into test folds so that labels and subjects spread
//! evenly, and draw each fold's validation part from what is left. Nothing depends on the order
//! of the rows. In every fold each labelled epoch has exactly one role, and over the folds each
//! is tested exactly once.

use std::collections::{BTreeMap, BTreeSet};

use crate::row::lot;
use crate::{Assignment, Error, Protocol, Result, Role, Row};

mod content;
mod units;
mod windows;

/// Share of all units that a fold's validation part gets: 70/10/20 with five folds.
pub const VAL_SHARE: f64 = 0.1;

/// Divides the labelled rows; unlabelled rows get no role.
///
/// The result is sorted by fold, role and key.
///
/// # Errors
/// When fewer than two folds are asked for, two rows have one key, nothing is labelled, all labels
/// are the same, or there are too few units for the folds.
pub fn assign(
    rows: &[Row],
    protocol: Protocol,
    folds: usize,
    seed: u64,
) -> Result<Vec<Assignment>> {
    if !(2..=10_000).contains(&folds) {
        return Err(Error::Folds { found: folds });
    }
    let mut labelled = labelled(rows);
    labelled.sort_by_key(|(row, _)| row.epoch_id);
    if let Some(pair) = labelled
        .windows(2)
        .find(|pair| pair[0].0.epoch_id == pair[1].0.epoch_id)
    {
        return Err(Error::DuplicateEpoch {
            epoch_id: pair[0].0.epoch_id,
        });
    }
    if labelled.is_empty() {
        return Err(Error::Unlabelled { epochs: rows.len() });
    }
    let classes: BTreeSet<i32> = labelled.iter().map(|&(_, label)| label).collect();
    if classes.len() < 2 {
        return Err(Error::OneClass {
            label: labelled[0].1,
            epochs: labelled.len(),
        });
    }
    let few = |what| {
        move |needed, found| Error::TooFewUnits {
            protocol,
            what,
            needed,
            found,
            folds,
        }
    };
    let mut out = match protocol {
        Protocol::WithinSubject => windows::deal(&labelled, folds, seed)?,
        Protocol::BetweenTrial => {
            let units = units::collect(&labelled, "trial", seed, |row| {
                (row.trial_key(), row.subject_key())
            });
            units::deal(&units, protocol, folds, seed, few("trial"))?
        }
        Protocol::ContentDisjoint => {
            let groups = content::groups(&labelled)?;
            let units = units::collect(&labelled, "content", seed, |row| {
                let trial = row.trial_key();
                (groups.get(&trial).copied().unwrap_or(trial), ("", ""))
            });
            let few = |needed, found| Error::TooFewContents {
                needed,
                found,
                trials: groups.len(),
                folds,
            };
            units::deal(&units, protocol, folds, seed, few)?
        }
        Protocol::CrossSubject => {
            let units = units::collect(&labelled, "subject", seed, |row| {
                (
                    (row.dataset.as_str(), row.subject.as_str(), "", 0),
                    ("", ""),
                )
            });
            units::deal(&units, protocol, folds, seed, few("subject"))?
        }
    };
    out.sort_unstable();
    Ok(out)
}

/// Rows that have a label, with it.
fn labelled(rows: &[Row]) -> Vec<(&Row, i32)> {
    rows.iter()
        .filter_map(|row| row.label.map(|label| (row, label)))
        .collect()
}

/// How many units the labelled rows make for a protocol that may have few: subjects, or groups of
/// trials that share no content. `None` for the others, and where there is no content.
pub(crate) fn few_units(rows: &[Row], protocol: Protocol) -> Option<usize> {
    let rows = labelled(rows);
    match protocol {
        Protocol::WithinSubject | Protocol::BetweenTrial => None,
        Protocol::ContentDisjoint => {
            let groups = content::groups(&rows).ok()?;
            Some(groups.values().collect::<BTreeSet<_>>().len())
        }
        Protocol::CrossSubject => {
            let subjects: BTreeSet<_> = rows.iter().map(|(row, _)| row.subject_key()).collect();
            Some(subjects.len())
        }
    }
}

/// Number of units to validate on: the share of all, at least one.
fn val_count(units: usize) -> usize {
    ((units as f64 * VAL_SHARE).round() as usize).max(1)
}

/// Checks that every fold has all three parts.
fn check_parts(out: &[Assignment], protocol: Protocol, folds: usize, units: usize) -> Result<()> {
    let mut seen: BTreeMap<(i32, Role), usize> = BTreeMap::new();
    for a in out {
        *seen.entry((a.fold, a.role)).or_default() += 1;
    }
    for fold in 0..folds as i32 {
        for role in Role::ALL {
            if !seen.contains_key(&(fold, role)) {
                return Err(Error::EmptyPart {
                    protocol,
                    folds,
                    fold,
                    role,
                    units,
                });
            }
        }
    }
    Ok(())
}
