//! Units that stay whole: trials or subjects, dealt so that labels and subjects spread evenly.

use std::collections::BTreeMap;

use super::{check_parts, lot, val_count};
use crate::row::{SubjectKey, TrialKey};
use crate::{Assignment, Error, Protocol, Result, Role, Row};

/// A trial or subject with its epochs.
pub(super) struct Unit<'a> {
    /// Group inside which labels are spread first: the subject of a trial; one for all subjects.
    group: SubjectKey<'a>,
    /// The label of most of its epochs, the smallest on a tie.
    label: i32,
    /// Order by the seed.
    lot: u64,
    /// Bytes of the key, for later lots.
    key: String,
    epochs: Vec<u64>,
}

/// Gathers rows into units, ordered by group, label and lot.
pub(super) fn collect<'a>(
    rows: &[(&'a Row, i32)],
    purpose: &str,
    seed: u64,
    key: impl Fn(&'a Row) -> (TrialKey<'a>, SubjectKey<'a>),
) -> Vec<Unit<'a>> {
    let mut parts: BTreeMap<_, (BTreeMap<i32, usize>, Vec<u64>)> = BTreeMap::new();
    for &(row, label) in rows {
        let entry = parts.entry(key(row)).or_default();
        *entry.0.entry(label).or_default() += 1;
        entry.1.push(row.epoch_id);
    }
    let mut units: Vec<Unit<'a>> = parts
        .into_iter()
        .map(|((key, group), (labels, epochs))| {
            let most = labels.values().copied().max().unwrap_or_default();
            let label = labels
                .iter()
                .find(|(_, n)| **n == most)
                .map_or(0, |(label, _)| *label);
            let key = format!("{key:?}");
            let lot = lot(seed, purpose, &[key.as_bytes()]);
            Unit {
                group,
                label,
                lot,
                key,
                epochs,
            }
        })
        .collect();
    units.sort_by(|a, b| (a.group, a.label, a.lot, &a.key).cmp(&(b.group, b.label, b.lot, &b.key)));
    units
}

/// Deals units into test folds and draws validation units. `few` is the error of fewer units than needed,
/// from the number needed and the number found.
pub(super) fn deal(
    units: &[Unit<'_>],
    protocol: Protocol,
    folds: usize,
    seed: u64,
    few: impl FnOnce(usize, usize) -> Error,
) -> Result<Vec<Assignment>> {
    // One to test, one to validate, one to train.
    let needed = folds.max(3);
    if units.len() < needed {
        return Err(few(needed, units.len()));
    }
    let tested = test_folds(units, folds, seed);
    let mut out = Vec::new();
    for fold in 0..folds {
        let others: Vec<&Unit<'_>> = units
            .iter()
            .zip(&tested)
            .filter(|(_, t)| **t != fold)
            .map(|(unit, _)| unit)
            .collect();
        let val = validation(&others, units.len(), fold, seed);
        let mut others = 0;
        for (unit, &test) in units.iter().zip(&tested) {
            let role = if test == fold {
                Role::Test
            } else {
                let chosen = val.contains(&others);
                others += 1;
                if chosen { Role::Val } else { Role::Train }
            };
            out.extend(unit.epochs.iter().map(|&epoch_id| Assignment {
                fold: fold as i32,
                role,
                epoch_id,
            }));
        }
    }
    check_parts(&out, protocol, folds, units.len())?;
    Ok(out)
}

/// The fold in which each unit is tested. Each unit goes where its label is rarest: first inside
/// its group, then over all (by epochs); then where its group is rarest, then where fewest epochs
/// are. No fold stays empty, because an empty fold wins every comparison.
fn test_folds(units: &[Unit<'_>], folds: usize, seed: u64) -> Vec<usize> {
    #[derive(Default, Clone)]
    struct Fold {
        group_label: BTreeMap<(usize, i32), usize>,
        label: BTreeMap<i32, usize>,
        group: BTreeMap<usize, usize>,
        units: usize,
        epochs: usize,
    }
    let mut state = vec![Fold::default(); folds];
    let mut groups: BTreeMap<SubjectKey<'_>, usize> = BTreeMap::new();
    let mut tested = Vec::with_capacity(units.len());
    for unit in units {
        let next = groups.len();
        let group = *groups.entry(unit.group).or_insert(next);
        let best = (0..folds)
            .min_by_key(|&f| {
                let s = &state[f];
                (
                    s.group_label
                        .get(&(group, unit.label))
                        .copied()
                        .unwrap_or(0),
                    s.label.get(&unit.label).copied().unwrap_or(0),
                    s.group.get(&group).copied().unwrap_or(0),
                    s.units,
                    s.epochs,
                    lot(
                        seed,
                        "fold",
                        &[&(f as u64).to_le_bytes(), unit.key.as_bytes()],
                    ),
                )
            })
            .unwrap_or(0);
        let s = &mut state[best];
        *s.group_label.entry((group, unit.label)).or_default() += 1;
        *s.label.entry(unit.label).or_default() += unit.epochs.len();
        *s.group.entry(group).or_default() += 1;
        s.units += 1;
        s.epochs += unit.epochs.len();
        tested.push(best);
    }
    tested
}

/// Indices of the units of `others` that validate in this fold: each label's share, at least one
/// unit a label where the label has two or more left, spread over groups before any group gives
/// a second one.
fn validation(others: &[&Unit<'_>], all: usize, fold: usize, seed: u64) -> Vec<usize> {
    let mut by_label: BTreeMap<i32, Vec<usize>> = BTreeMap::new();
    for (i, unit) in others.iter().enumerate() {
        by_label.entry(unit.label).or_default().push(i);
    }
    let wanted = val_count(all) as f64;
    let mut chosen = Vec::new();
    for candidates in by_label.values_mut() {
        let draw = |i: usize| {
            lot(
                seed,
                "val",
                &[&(fold as u64).to_le_bytes(), others[i].key.as_bytes()],
            )
        };
        candidates.sort_by_key(|&i| draw(i));
        let mut rank: BTreeMap<SubjectKey<'_>, usize> = BTreeMap::new();
        let mut ranked: Vec<(usize, u64, usize)> = candidates
            .iter()
            .map(|&i| {
                let seen = rank.entry(others[i].group).or_default();
                *seen += 1;
                (*seen, draw(i), i)
            })
            .collect();
        // In one common group (subjects as units) the rank is the order itself.
        ranked.sort_unstable();
        let share = wanted * ranked.len() as f64 / others.len() as f64;
        let keep_one = ranked.len().saturating_sub(1);
        let n = (share.round() as usize).max(1).min(keep_one);
        chosen.extend(ranked.iter().take(n).map(|&(_, _, i)| i));
    }
    if chosen.is_empty() && others.len() > 1 {
        // Every label has a single unit left: one of them validates, the rest trains.
        chosen.extend(
            (0..others.len()).min_by_key(|&i| lot(seed, "val", &[others[i].key.as_bytes()])),
        );
    }
    chosen
}
