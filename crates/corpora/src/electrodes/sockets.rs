//! Labels that number sockets, cables or grids instead of naming places.

use std::collections::{BTreeMap, BTreeSet};

/// A letter group and a number, such as (`A`, 12); the number has no leading zero.
fn split(label: &str) -> Option<(String, u32)> {
    let digits = label.find(|c: char| c.is_ascii_digit())?;
    let (letters, number) = (label.get(..digits)?, label.get(digits..)?);
    let plain = number.len() <= 3 && !number.starts_with('0');
    if letters.is_empty() || !letters.chars().all(char::is_alphabetic) || !plain {
        return None;
    }
    Some((letters.to_uppercase(), number.parse().ok()?))
}

/// Why a label that has no place looks as it does.
pub(super) fn explain(label: &str) -> Option<String> {
    let bare = label
        .strip_prefix("Channel")
        .or_else(|| label.strip_prefix("channel"))
        .or_else(|| label.strip_prefix("Ch"))
        .unwrap_or(label)
        .trim_start_matches([' ', '-', '_']);
    if !bare.is_empty() && bare.bytes().all(|b| b.is_ascii_digit()) {
        return Some(format!(
            "`{label}` is a number, not a place: a position list must say the montage"
        ));
    }
    match split(label)? {
        (l, n) if l == "E" && n >= 1 => Some(format!(
            "`{label}` is a sensor of a geodesic net: a rename rule must say the montage"
        )),
        (l, n) if matches!(l.as_str(), "A" | "B" | "C" | "D") && (1..=32).contains(&n) => Some(
            format!("`{label}` is a socket of a BioSemi cap: a rename rule must say the montage"),
        ),
        _ => None,
    }
}

/// Which letter groups of a file number sockets.
pub(super) struct Numbered {
    groups: BTreeSet<String>,
}

impl Numbered {
    /// Why this label is a socket, if it is one.
    pub(super) fn explain(&self, label: &str) -> Option<String> {
        let (letters, _) = split(label)?;
        self.groups.contains(&letters).then(|| {
            format!(
                "`{label}` is a socket: the labels {letters}1, {letters}2, ... of this file number \
                 a cable or a grid; a rename rule must say the montage"
            )
        })
    }
}

/// Finds the letter groups that number sockets.
///
/// Two signs: a run `X1 ... X11` (no row of the 10-05 system goes beyond 10), or BioSemi's
/// cables (`A3` or `B1`, which are no 10-05 names, among at least eight of their kind), which
/// make sockets of every single-letter group from A to I.
pub(super) fn numbered<'a>(labels: impl Iterator<Item = &'a str>) -> Numbered {
    let mut by_letters: BTreeMap<String, BTreeSet<u32>> = BTreeMap::new();
    for (letters, number) in labels.filter_map(split) {
        by_letters.entry(letters).or_default().insert(number);
    }
    let cable = |l: &str| l.len() == 1 && l <= "I";
    let sockets: usize = by_letters
        .iter()
        .filter(|(l, _)| cable(l))
        .map(|(_, n)| n.len())
        .sum();
    let has = |l: &str, n: u32| by_letters.get(l).is_some_and(|s| s.contains(&n));
    let biosemi = sockets >= 8 && (has("A", 3) || has("B", 1));
    let groups = by_letters
        .iter()
        .filter(|(l, n)| (biosemi && cable(l)) || (1..=11).all(|i| n.contains(&i)))
        .map(|(l, _)| l.clone())
        .collect();
    Numbered { groups }
}
