//! Which of a trial's sounds is attended, told by what was attended elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;

use serde::{Deserialize, Serialize};

use super::{Item, warns};
use crate::{Heard, Row};

/// By what sounds are told apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum By {
    /// The file, or the part of one.
    Sound,
    /// Who speaks or plays.
    Speaker,
    /// Gender of the speaker.
    Gender,
    /// Where it was played.
    Side,
}

impl By {
    const ALL: [By; 4] = [By::Sound, By::Speaker, By::Gender, By::Side];

    fn of(self, heard: &Heard) -> Option<&str> {
        match self {
            By::Sound => Some(&heard.sound),
            By::Speaker => heard.speaker.as_deref(),
            By::Gender => heard.gender.as_deref(),
            By::Side => heard.side.as_deref(),
        }
    }
}

impl fmt::Display for By {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            By::Sound => "file",
            By::Speaker => "speaker",
            By::Gender => "gender",
            By::Side => "side",
        })
    }
}

/// How well one property of sounds tells which is attended.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct ChoiceScore {
    /// The property.
    pub by: By,
    /// Share of the time in which the choice is right.
    pub accuracy: f64,
    /// Of choosing at random.
    pub chance: f64,
    /// Share of the time whose trials' sounds all have the property.
    pub known_share: f64,
    /// Whether a reader must be warned.
    pub warns: bool,
}

/// Each sound of a trial once, and whether it is the attended one.
fn options(row: &Row) -> Vec<(&Heard, bool)> {
    let mut out: Vec<(&Heard, bool)> = Vec::new();
    for heard in &row.heard {
        let attended = match heard.role.as_str() {
            "attended" | "target" => true,
            "unattended" | "candidate" => false,
            _ => continue,
        };
        match out.iter_mut().find(|(h, _)| h.sound == heard.sound) {
            // The target may be listed among the candidates too.
            Some(known) => known.1 |= attended,
            None => out.push((heard, attended)),
        }
    }
    out
}

/// Whether a trial has an attended sound and another one.
pub(super) fn is_one(row: &Row) -> bool {
    let options = options(row);
    options.iter().any(|o| o.1) && options.iter().any(|o| !o.1)
}

/// Every property that some trial's sounds have.
pub(super) fn scores(items: &[Item<'_>], trials: u64) -> Vec<ChoiceScore> {
    By::ALL
        .into_iter()
        .filter_map(|by| score(items, by, trials))
        .collect()
}

/// Time attended and time heard.
type Shares<K> = BTreeMap<K, (u64, u64)>;

fn score(items: &[Item<'_>], by: By, trials: u64) -> Option<ChoiceScore> {
    let (mut all, mut own): (Shares<&str>, Shares<(usize, &str)>) = Default::default();
    let (mut total, mut known) = (0_u64, Vec::new());
    for item in items.iter().filter(|i| is_one(i.row)) {
        total += item.epochs;
        let options: Option<Vec<(&str, bool)>> = options(item.row)
            .into_iter()
            .map(|(heard, attended)| Some((by.of(heard)?, attended)))
            .collect();
        let Some(options) = options else { continue };
        for &(value, attended) in &options {
            let own = own.entry((item.group, value)).or_default();
            for share in [all.entry(value).or_default(), own] {
                share.0 += u64::from(attended) * item.epochs;
                share.1 += item.epochs;
            }
        }
        known.push((item, options));
    }
    let several: BTreeSet<&str> = all.keys().copied().collect();
    if known.is_empty() || several.len() < 2 {
        return None;
    }
    let (mut right, mut chance, mut seconds) = (0.0, 0.0, 0_u64);
    for (item, options) in &known {
        let share = |value: &str| {
            let (n, m) = all.get(value).copied().unwrap_or_default();
            let (a, b) = own.get(&(item.group, value)).copied().unwrap_or_default();
            // What was never met elsewhere is as good as any.
            let prior = 1.0 / options.len() as f64;
            if m > b {
                (n - a) as f64 / (m - b) as f64
            } else {
                prior
            }
        };
        let shares: Vec<f64> = options.iter().map(|(value, _)| share(value)).collect();
        let most = shares.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let best = options.iter().zip(&shares).filter(|(_, s)| **s == most);
        let (hits, ties) = best.fold((0, 0), |(hits, ties), ((_, attended), _)| {
            (hits + u32::from(*attended), ties + 1)
        });
        let weight = item.epochs as f64;
        right += weight * f64::from(hits) / f64::from(ties.max(1));
        let attended = options.iter().filter(|o| o.1).count();
        chance += weight * attended as f64 / options.len() as f64;
        seconds += item.epochs;
    }
    let (accuracy, chance) = (right / seconds as f64, chance / seconds as f64);
    Some(ChoiceScore {
        by,
        accuracy,
        chance,
        known_share: seconds as f64 / total as f64,
        warns: warns(accuracy, chance, trials),
    })
}
