//! Windows of each subject at random, stratified by label.

use std::collections::BTreeMap;

use super::{VAL_SHARE, check_parts, lot};
use crate::row::SubjectKey;
use crate::{Assignment, Protocol, Result, Role, Row};

/// Deals each subject's windows, ordered by label and then by lot, round robin into the test
/// folds; of the others every so-manieth goes to validation.
pub(super) fn deal(rows: &[(&Row, i32)], folds: usize, seed: u64) -> Result<Vec<Assignment>> {
    let mut subjects: BTreeMap<SubjectKey<'_>, Vec<(i32, u64, u64)>> = BTreeMap::new();
    for &(row, label) in rows {
        let id = row.epoch_id;
        let order = lot(seed, "window", &[&id.to_le_bytes()]);
        subjects
            .entry(row.subject_key())
            .or_default()
            .push((label, order, id));
    }
    let mut out = Vec::with_capacity(rows.len() * folds);
    // Share of the non-test windows, so that validation is VAL_SHARE of all; one half at most.
    let share = (VAL_SHARE / (1.0 - 1.0 / folds as f64)).min(0.5);
    for (subject, windows) in &mut subjects {
        windows.sort_unstable();
        // Without an own start per subject the first folds would get every remainder.
        let key = [subject.0.as_bytes(), subject.1.as_bytes()];
        let start = (lot(seed, "start", &key) % folds as u64) as usize;
        for fold in 0..folds {
            // Systematic sampling with an own phase a fold: exact in share, even over labels.
            let phase = (fold as f64 + 0.5) / folds as f64;
            let mut others = 0.0_f64;
            for (i, &(_, _, epoch_id)) in windows.iter().enumerate() {
                let role = if (i + start) % folds == fold {
                    Role::Test
                } else {
                    let before = (others * share + phase).floor();
                    others += 1.0;
                    if (others * share + phase).floor() > before {
                        Role::Val
                    } else {
                        Role::Train
                    }
                };
                out.push(Assignment {
                    fold: fold as i32,
                    role,
                    epoch_id,
                });
            }
        }
    }
    check_parts(&out, Protocol::WithinSubject, folds, rows.len())?;
    Ok(out)
}
