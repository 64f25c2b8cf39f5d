//! The leakage audit: what the sides of every fold share, and whether the protocol's promise holds.
//!
//! Counts are made from the assignments as they stand, not from how they were meant, so that a
//! stored table which somebody edited is judged by what it says. Where a data set names no
//! sessions, sounds or content, the count is unknown (`None`, printed `–`), not zero.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::Xxh3;

use crate::{Assignment, Protocol, Role, Row};

pub(crate) mod alone;
mod pairs;
mod table;

pub use alone::{Alone, KeyAlone, Purity};
pub use pairs::PairAudit;

/// Epochs and labels of one role.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct RoleCounts {
    /// Epochs.
    pub epochs: u64,
    /// Distinct trials.
    pub trials: u64,
    /// Distinct recordings.
    pub recordings: u64,
    /// Distinct subjects.
    pub subjects: u64,
    /// Epochs by class.
    pub labels: BTreeMap<i32, u64>,
}

/// Label counts of the three roles of a fold.
pub type Balance = BTreeMap<Role, RoleCounts>;

/// One fold's audit.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct FoldAudit {
    /// Fold.
    pub fold: i32,
    /// Counts by role.
    pub roles: Balance,
    /// What each pair of roles shares.
    pub pairs: Vec<PairAudit>,
    /// How well identities alone tell the test labels.
    pub alone: Alone,
}

/// What is wrong with the assignments as a whole.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Findings {
    /// Epochs of the data set in the lake.
    pub epochs: u64,
    /// Labelled ones.
    pub labelled: u64,
    /// Epochs without a label: in no fold.
    pub unlabelled: u64,
    /// Assigned keys that the lake does not have.
    pub unknown: u64,
    /// Assigned epochs that have no label.
    pub assigned_unlabelled: u64,
    /// Labelled epochs that some fold gives no role.
    pub missing: u64,
    /// Epochs that one fold gives the same role twice.
    pub repeated: u64,
    /// Assigned epochs that are not tested exactly once over the folds.
    pub not_tested_once: u64,
    /// Folds in which a role is empty.
    pub empty_parts: u64,
}

/// The audit of a split.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Audit {
    /// Protocol.
    pub protocol: Protocol,
    /// What it promises, in words.
    pub promise: String,
    /// Whether the promise holds and every epoch has its place.
    pub holds: bool,
    /// What broke it, one sentence each; empty when it holds.
    pub broken: Vec<String>,
    /// Whether the protocol is marked leaky even when its promise holds.
    pub leaky: bool,
    /// What a reader must know, one sentence each.
    pub notes: Vec<String>,
    /// Class names by index, as far as the data set gives them.
    pub classes: BTreeMap<i32, String>,
    /// The assignments as a whole.
    pub findings: Findings,
    /// How constant the label is inside a recording, trial and so on.
    pub purity: Purity,
    /// Fold by fold.
    pub folds: Vec<FoldAudit>,
    /// Mean over folds of how well identities alone tell the test labels.
    pub alone: Alone,
    /// Hash of the assignments (fold, role, epoch), 32 hex digits.
    pub assignments_digest: String,
    /// Hash of what was known of the assigned epochs (place, label, content), 32 hex digits.
    pub epochs_digest: String,
}

/// Audits assignments of `rows`; rows that no assignment names count as missing when labelled.
pub fn audit(rows: &[Row], assignments: &[Assignment], protocol: Protocol) -> Audit {
    let by_id: HashMap<u64, &Row> = rows.iter().map(|row| (row.epoch_id, row)).collect();
    let mut sorted = assignments.to_vec();
    sorted.sort_unstable();
    let mut folds: BTreeMap<i32, BTreeMap<Role, Vec<&Row>>> = BTreeMap::new();
    for a in &sorted {
        let parts = folds.entry(a.fold).or_default();
        let part = parts.entry(a.role).or_default();
        part.extend(by_id.get(&a.epoch_id));
    }
    let findings = findings(rows, &by_id, &sorted, &folds);
    let empty = Vec::new();
    let folds: Vec<FoldAudit> = folds
        .iter()
        .map(|(&fold, parts)| {
            let part = |role: Role| parts.get(&role).unwrap_or(&empty).as_slice();
            FoldAudit {
                fold,
                roles: Role::ALL
                    .iter()
                    .map(|&role| (role, role_counts(part(role))))
                    .collect(),
                pairs: Role::PAIRS
                    .iter()
                    .map(|&(a, b)| pairs::compare(a, part(a), b, part(b)))
                    .collect(),
                alone: alone::fold(part(Role::Train), part(Role::Test)),
            }
        })
        .collect();
    let assigned: BTreeSet<u64> = sorted.iter().map(|a| a.epoch_id).collect();
    let mut used: Vec<&Row> = assigned
        .iter()
        .filter_map(|id| by_id.get(id).copied())
        .collect();
    used.sort_by_key(|row| row.epoch_id);
    let alone = alone::mean(folds.iter().map(|f| &f.alone));
    let purity = alone::purity(&used);
    let broken = broken(protocol, &findings, &folds);
    let mut notes = notes(&findings, &folds, &alone, &purity);
    let silent = used.iter().filter(|row| row.content_key().is_none());
    let silent = silent.filter(|row| row.stimuli.is_empty()).count();
    if protocol == Protocol::ContentDisjoint && silent > 0 {
        notes.push(format!(
            "{silent} of {} epochs name neither content nor sound; of them only the trials are kept apart.",
            used.len()
        ));
    }
    let classes = rows
        .iter()
        .filter_map(|row| Some((row.label?, row.label_name.clone()?)))
        .collect::<BTreeMap<_, _>>();
    Audit {
        protocol,
        promise: protocol.promise().to_owned(),
        holds: broken.is_empty(),
        broken,
        leaky: protocol.leaky(),
        notes,
        classes,
        findings,
        purity,
        folds,
        alone,
        assignments_digest: assignments_digest(&sorted),
        epochs_digest: epochs_digest(&used),
    }
}

fn role_counts(rows: &[&Row]) -> RoleCounts {
    let mut labels = BTreeMap::new();
    for label in rows.iter().filter_map(|row| row.label) {
        *labels.entry(label).or_insert(0) += 1;
    }
    RoleCounts {
        epochs: rows.len() as u64,
        trials: rows
            .iter()
            .map(|r| r.trial_key())
            .collect::<BTreeSet<_>>()
            .len() as u64,
        recordings: rows
            .iter()
            .map(|r| r.recording_key())
            .collect::<BTreeSet<_>>()
            .len() as u64,
        subjects: rows
            .iter()
            .map(|r| r.subject_key())
            .collect::<BTreeSet<_>>()
            .len() as u64,
        labels,
    }
}

fn findings(
    rows: &[Row],
    by_id: &HashMap<u64, &Row>,
    sorted: &[Assignment],
    folds: &BTreeMap<i32, BTreeMap<Role, Vec<&Row>>>,
) -> Findings {
    let mut tested: BTreeMap<u64, u32> = BTreeMap::new();
    let mut placed: HashMap<u64, BTreeSet<i32>> = HashMap::new();
    for a in sorted {
        *tested.entry(a.epoch_id).or_default() += u32::from(a.role == Role::Test);
        placed.entry(a.epoch_id).or_default().insert(a.fold);
    }
    let labelled = rows.iter().filter(|row| row.label.is_some());
    let count = |test: &dyn Fn(u64) -> bool| tested.keys().filter(|&&id| test(id)).count() as u64;
    let missing = labelled
        .clone()
        .filter(|row| placed.get(&row.epoch_id).map_or(0, BTreeSet::len) < folds.len().max(1))
        .count() as u64;
    let labelled = labelled.count() as u64;
    Findings {
        epochs: rows.len() as u64,
        labelled,
        unlabelled: rows.len() as u64 - labelled,
        unknown: count(&|id| !by_id.contains_key(&id)),
        assigned_unlabelled: count(&|id| by_id.get(&id).is_some_and(|row| row.label.is_none())),
        missing,
        repeated: sorted.windows(2).filter(|pair| pair[0] == pair[1]).count() as u64,
        not_tested_once: tested.values().filter(|&&n| n != 1).count() as u64,
        empty_parts: folds
            .values()
            .flat_map(|parts| {
                Role::ALL
                    .iter()
                    .map(|role| parts.get(role).map_or(0, Vec::len))
            })
            .filter(|&n| n == 0)
            .count() as u64,
    }
}

/// Sentences on what broke the promise.
fn broken(protocol: Protocol, findings: &Findings, folds: &[FoldAudit]) -> Vec<String> {
    let mut broken = Vec::new();
    let mut say = |n: u64, text: &str| {
        if n > 0 {
            broken.push(format!("{n} {text}"));
        }
    };
    if folds.is_empty() {
        say(1, "split without a single fold");
    }
    say(findings.unknown, "assigned epoch(s) are not in the lake");
    say(
        findings.assigned_unlabelled,
        "assigned epoch(s) have no label",
    );
    say(findings.repeated, "epoch(s) stand twice in one part");
    say(
        findings.not_tested_once,
        "epoch(s) are not tested exactly once over the folds",
    );
    say(findings.empty_parts, "part(s) of a fold are empty");
    for fold in folds {
        for pair in &fold.pairs {
            for (name, count) in pair.promised(protocol) {
                if count > 0.0 {
                    let (a, b) = (pair.a, pair.b);
                    broken.push(format!("fold {}, {a}/{b}: {count} {name}", fold.fold));
                }
            }
        }
    }
    // What nobody named cannot have been kept apart.
    let named = |p: &PairAudit| p.shared_content.is_some() || p.shared_stimuli.is_some();
    if protocol == Protocol::ContentDisjoint && !folds.iter().flat_map(|f| &f.pairs).any(named) {
        broken.push("no epoch names content or sound".to_owned());
    }
    broken
}

/// Sentences on what the counts mean for a reader.
fn notes(findings: &Findings, folds: &[FoldAudit], alone: &Alone, purity: &Purity) -> Vec<String> {
    let mut notes = Vec::new();
    if findings.unlabelled > 0 {
        notes.push(format!(
            "{} of {} epochs have no label and are in no fold.",
            findings.unlabelled, findings.epochs
        ));
    }
    if findings.missing > 0 {
        notes.push(format!(
            "{} labelled epochs of the data set lack a role in some fold; they may have been ingested after the split was made.",
            findings.missing
        ));
    }
    let near: u64 = folds
        .iter()
        .flat_map(|f| &f.pairs)
        .map(|p| p.neighbours_in_time)
        .sum();
    if near > 0 {
        notes.push(format!(
            "{near} pairs of epochs less than one epoch apart in time lie on two sides; they share the recording's slow state."
        ));
    }
    let lacking = folds
        .iter()
        .filter(|f| {
            let classes = |role| f.roles.get(&role).map_or(0, |r| r.labels.len());
            classes(Role::Test) < classes(Role::Train) || classes(Role::Train) < 2
        })
        .count();
    if lacking > 0 {
        notes.push(format!(
            "In {lacking} fold(s) the test part lacks a class of the training part, or the training part has only one."
        ));
    }
    if let Some(trial) = &alone.trial
        && trial.seen_share > 0.0
    {
        notes.push(format!(
            "Knowing only which trial an epoch is from reaches a balanced accuracy of {:.2} (chance {:.2}).",
            trial.balanced_accuracy, trial.chance
        ));
    }
    if let Some(content) = &alone.content {
        notes.push(format!(
            "Knowing only which content was heard reaches a balanced accuracy of {:.2} (chance {:.2}); {:.0} % of the test epochs have content that training has seen.",
            content.balanced_accuracy, content.chance, 100.0 * content.seen_share
        ));
    }
    for (what, key) in [
        ("which sounds were heard, and where", alone.sounds),
        ("which sound was attended", alone.attended),
        ("who was attended", alone.speaker),
    ] {
        if let Some(key) = key
            && key.balanced_accuracy > key.chance + crate::audio_only::MARGIN
        {
            notes.push(format!(
                "Knowing only {what} reaches a balanced accuracy of {:.2} (chance {:.2}).",
                key.balanced_accuracy, key.chance
            ));
        }
    }
    if purity.recordings > 1 && purity.recording > 0.999 {
        notes.push(
            "Every recording holds a single class, so anything that tells recordings apart (impedance, time of day, amplifier state) can pass for the label.".to_owned(),
        );
    }
    notes
}

fn hex(hasher: &Xxh3) -> String {
    format!("{:032x}", hasher.digest128())
}

/// Hash of sorted assignments.
fn assignments_digest(sorted: &[Assignment]) -> String {
    let mut hasher = Xxh3::new();
    for a in sorted {
        hasher.update(&a.fold.to_le_bytes());
        hasher.update(a.role.name().as_bytes());
        hasher.update(&a.epoch_id.to_le_bytes());
    }
    hex(&hasher)
}

/// Hash of what an audit reads of the assigned epochs, sorted by key.
fn epochs_digest(used: &[&Row]) -> String {
    let mut hasher = Xxh3::new();
    for row in used {
        // The debug form quotes strings, so that no two rows run together.
        let text = format!(
            "{:?}",
            (
                row.epoch_id,
                (
                    &row.dataset,
                    &row.subject,
                    &row.session,
                    &row.run,
                    &row.recording
                ),
                (
                    row.trial,
                    row.epoch,
                    row.onset.to_bits(),
                    row.seconds.to_bits()
                ),
                (row.label, &row.content_id, &row.stimuli),
            )
        );
        hasher.update(text.as_bytes());
    }
    hex(&hasher)
}
