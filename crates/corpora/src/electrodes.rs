//! The electrode dictionary: raw labels to 10-05 names.
//!
//! Names and case are MNE's (`Fp1`, `AFz`, `T7`, `P7`); T3, T4, T5, T6 are the older names
//! of T7, T8, P7, P8. Positions are MNE's `standard_1005` template on the unit sphere
//! (`electrodes/standard_1005.tsv`, written by the script beside it).
//!
//! A label alone can mislead: BioSemi's `F3` is the third socket of cable F. Where all
//! labels of a file are known, ask [`canonical_all`], which looks for such numbering.

use std::collections::HashMap;
use std::sync::LazyLock;

mod caps;
mod other;
mod sockets;

pub use caps::{Cap, CapPlace};

/// Kinds a channel can be of, as written in the table `channels`.
pub const KINDS: &[&str] = &[
    "eeg",
    "ref",
    "eog",
    "ecg",
    "emg",
    "resp",
    "temp",
    "gsr",
    "trigger",
    "annotation",
    "audio",
    "misc",
    "dummy",
];

/// What a raw label says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Electrode {
    /// A place of the 10-05 system, or an earlobe or mastoid (`A1 A2 M1 M2`).
    Name(&'static str),
    /// Not an EEG channel.
    NotEeg {
        /// One of [`KINDS`].
        kind: &'static str,
        /// What the label says it is.
        reason: String,
    },
    /// EEG, as far as the label tells, but without a single 10-05 place.
    Unknown {
        /// Why, and what would help.
        reason: String,
    },
}

impl Electrode {
    /// The 10-05 name, if there is one.
    pub fn name(&self) -> Option<&'static str> {
        match self {
            Electrode::Name(name) => Some(name),
            _ => None,
        }
    }
}

const TABLE: &str = include_str!("electrodes/standard_1005.tsv");
/// Older names of the same places.
const OLD: &[(&str, &str)] = &[("T3", "T7"), ("T4", "T8"), ("T5", "P7"), ("T6", "P8")];

/// Lower-case name to (name in MNE's case, position).
static PLACES: LazyLock<HashMap<String, (&'static str, [f32; 3])>> = LazyLock::new(|| {
    TABLE
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let name = fields.next()?;
            let mut axis = || fields.next()?.parse().ok();
            Some((name.to_lowercase(), (name, [axis()?, axis()?, axis()?])))
        })
        .collect()
});

/// Position on the unit sphere (x right, y front, z up) of a 10-05 name, in any case.
pub fn position(name: &str) -> Option<[f32; 3]> {
    PLACES.get(&name.to_lowercase()).map(|(_, p)| *p)
}

/// All 343 names of the template, in its order, with the older names T3 to T6.
pub fn names() -> impl Iterator<Item = &'static str> {
    TABLE
        .lines()
        .skip(1)
        .filter_map(|line| line.split('\t').next())
}

/// Whether a canonical name is an earlobe or a mastoid: a place for references, not scalp.
pub fn is_reference(name: &str) -> bool {
    matches!(name, "A1" | "A2" | "M1" | "M2")
}

/// What one raw label says, on its own.
///
/// Case, blanks, trailing dots, the prefixes `EEG ` and `EEG-`, and suffixes that name the
/// reference (`-REF`, `-LE`, `-AVG`, `-A1`, `-M2`, ...) do not matter.
pub fn canonical(raw: &str) -> Electrode {
    let label = raw.trim();
    if let Some(found) = other::not_eeg(label) {
        return found;
    }
    let stripped = strip_eeg(label);
    if let Some(name) = place(stripped) {
        return Electrode::Name(name);
    }
    let unnumbered = unnumbered(stripped);
    if let Some((active, _)) = joined(unnumbered) {
        return Electrode::Name(active);
    }
    if let Some((active, reference)) = unnumbered.rsplit_once('-')
        && let Some(name) = place(active)
    {
        let refers_to_ear = |r: &str| place(r).is_some_and(is_reference);
        if is_reference_word(reference) || (refers_to_ear(reference) && !is_reference(name)) {
            return Electrode::Name(name);
        }
        if place(reference).is_some() {
            return Electrode::Unknown {
                reason: format!(
                    "`{label}` is the difference of two electrodes and has no single place"
                ),
            };
        }
    }
    Electrode::Unknown {
        reason: sockets::explain(stripped).unwrap_or_else(|| {
            format!("`{label}` is no 10-05 name: a rename rule or a position list must say it")
        }),
    }
}

/// The two electrodes whose difference a label names, by their 10-05 names: `FP1-F7`, `T3-T5`
/// (T7 and P7), `C4-A1` and, against an earlobe or mastoid, also `C4A1`.
pub fn pair(raw: &str) -> Option<(&'static str, &'static str)> {
    let label = unnumbered(strip_eeg(raw.trim()));
    let Some((active, reference)) = label.split_once('-') else {
        return joined(label);
    };
    match (place(active), place(reference)) {
        (Some(a), Some(b)) if a != b => Some((a, b)),
        _ => None,
    }
}

/// The label without the number that MNE gives equal labels: `T8-P8-0`, `EEG F1-Ref-1`.
fn unnumbered(label: &str) -> &str {
    match label.rsplit_once('-') {
        Some((front, n)) if is_number(n) && front.contains('-') => front,
        _ => label,
    }
}

/// A scalp electrode written together with the earlobe or mastoid it is measured against.
fn joined(label: &str) -> Option<(&'static str, &'static str)> {
    let cut = label.len().checked_sub(2)?;
    let (active, ear) = (place(label.get(..cut)?)?, place(label.get(cut..)?)?);
    (is_reference(ear) && !is_reference(active)).then_some((active, ear))
}

/// What the labels of one file say together, in their order.
///
/// Labels that follow an amplifier's or a grid's numbering (`A1 A2 A3 ... B32`, `G1 ... G64`)
/// are never taken for 10-05 names, though some look like them.
pub fn canonical_all<S: AsRef<str>>(labels: &[S]) -> Vec<Electrode> {
    let labels: Vec<&str> = labels.iter().map(AsRef::as_ref).collect();
    let numbered = sockets::numbered(labels.iter().map(|l| strip_eeg(l.trim())));
    labels
        .iter()
        .map(|label| {
            let core = strip_eeg(label.trim());
            match numbered.explain(core) {
                Some(reason) => Electrode::Unknown { reason },
                None => canonical(label),
            }
        })
        .collect()
}

/// Takes off `EEG ` or `EEG-` at the front and dots at the end.
fn strip_eeg(label: &str) -> &str {
    let rest = match label.get(..3) {
        Some(head) if head.eq_ignore_ascii_case("eeg") => {
            let rest = &label[3..];
            match rest.strip_prefix([' ', '-', '_', ':']) {
                Some(rest) if !rest.trim().is_empty() => rest.trim(),
                _ => label,
            }
        }
        _ => label,
    };
    rest.trim_end_matches('.').trim()
}

/// The canonical name of a bare label, blanks inside ignored.
fn place(label: &str) -> Option<&'static str> {
    let key: String = label
        .chars()
        .filter(|c| !c.is_whitespace())
        .flat_map(char::to_lowercase)
        .collect();
    let (name, _) = PLACES.get(&key)?;
    Some(
        OLD.iter()
            .find(|(old, _)| old == name)
            .map_or(name, |(_, new)| new),
    )
}

/// Words that say against what an electrode was measured.
fn is_reference_word(text: &str) -> bool {
    const WORDS: &[&str] = &[
        "REF", "LE", "AVG", "AVE", "AV", "AR", "CAR", "CS2", "A1A2", "A1+A2", "A12", "M1M2",
        "M1+M2", "G2", "LINKED",
    ];
    let text = text.trim();
    WORDS.iter().any(|w| w.eq_ignore_ascii_case(text))
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(raw: &str) -> &'static str {
        canonical(raw).name().unwrap_or("none")
    }

    #[test]
    fn spelling_does_not_matter() {
        for (raw, want) in [
            ("Fc5.", "FC5"),
            ("C3..", "C3"),
            ("Afz.", "AFz"),
            ("Iz..", "Iz"),
            ("T10.", "T10"),
            ("EEG Fp1", "Fp1"),
            ("EEG FP1-REF", "Fp1"),
            ("EEG T3-LE", "T7"),
            ("EEG-Fz", "Fz"),
            ("CP 6", "CP6"),
            ("fp1", "Fp1"),
            ("T5", "P7"),
            ("EEG F4-M1", "F4"),
            ("C4-A1", "C4"),
            ("C4A1", "C4"),
            ("O1A2", "O1"),
            ("EEG F1-Ref-0", "F1"),
            ("A1", "A1"),
            ("m2", "M2"),
            ("TPP10h", "TPP10h"),
            (" Cz ", "Cz"),
        ] {
            assert_eq!(name(raw), want, "{raw}");
        }
    }

    /// The 84 sensors of the 255-channel net that other projects name, in their spelling, and
    /// how its files write frontal ones.
    #[test]
    fn a_dense_net_of_1005_names_needs_no_rules_for_case() {
        let labels = "FP1 FPZ FP2 AF7 AF3 AF1 AF2 AF4 AF8 F9 F7 F5 F3 F1 FZ F2 F4 F6 F8 F10 FT9 FT7 \
            FC5 FC3 FC1 FC2 FC4 FC6 FT8 FT10 T7 C5 C3 C1 CZ C2 C4 C6 T8 TP9 TP7 CP5 CP3 CP1 CPZ CP2 \
            CP4 CP6 TP8 TP10 P9 P7 P5 P3 P1 PZ P2 P4 P6 P8 P10 PO9 PO7 PO3 PO1 POZ PO2 PO4 PO8 PO10 \
            O1 OZ O2 IZ CCP1 CCP2 CCP3 CCP4 CCP5 CCP6 TTP7h TPP9h TPP8h TPP10h AFP7 AFP3h PPO8";
        let labels: Vec<&str> = labels.split_whitespace().collect();
        let said = canonical_all(&labels);
        for (label, said) in labels.iter().zip(said) {
            let name = said.name().unwrap_or("none");
            assert!(name.eq_ignore_ascii_case(label), "{label}: {name}");
        }
        assert_eq!((name("AFP7"), name("FPZ")), ("AFp7", "Fpz"));
    }

    #[test]
    fn no_single_place_is_said() {
        for raw in ["EEG A2-A1", "T8-P8-0", "Fp1-F7", "EEG Fpz-Cz"] {
            let Electrode::Unknown { reason } = canonical(raw) else {
                panic!("{raw}: {:?}", canonical(raw));
            };
            assert!(reason.contains("difference of two electrodes"), "{reason}");
        }
    }

    #[test]
    fn pairs_are_named_by_both_sides() {
        for (raw, want) in [
            ("FP1-F7", Some(("Fp1", "F7"))),
            ("T3-T5", Some(("T7", "P7"))),
            ("FZ-CZ", Some(("Fz", "Cz"))),
            ("T8-P8-1", Some(("T8", "P8"))),
            ("EEG F4-M1", Some(("F4", "M1"))),
            ("C3A2", Some(("C3", "A2"))),
            ("FT9-FT10", Some(("FT9", "FT10"))),
            ("EEG A2-A1", Some(("A2", "A1"))),
            ("FC1-Ref", None),
            ("F2-F2", None),
            ("A1A2", None),
            ("Cz", None),
            ("-", None),
            ("LUE-RAE", None),
        ] {
            assert_eq!(pair(raw), want, "{raw}");
        }
    }

    #[test]
    fn numbered_placeholders_are_dummies() {
        for raw in ["-", ".", "--0", "--12", ".-1", "  - "] {
            let Electrode::NotEeg { kind, .. } = canonical(raw) else {
                panic!("{raw}: {:?}", canonical(raw));
            };
            assert_eq!(kind, "dummy", "{raw}");
        }
    }

    #[test]
    fn template_is_whole() {
        assert_eq!(names().count(), 343);
        for n in names() {
            let p = position(n).map(|p| p.iter().map(|v| v * v).sum::<f32>());
            assert!(p.is_some_and(|r| (r - 1.0).abs() < 5e-4), "{n}: {p:?}");
        }
        assert_eq!(position("T3"), position("T7"));
        assert!(position("Cz").is_some_and(|p| p[2] > 0.99));
        assert_eq!(position("nowhere"), None);
    }

    #[test]
    fn cable_numbering_is_not_1005() {
        let mut labels: Vec<String> = Vec::new();
        for cable in ["A", "B", "C", "D", "E", "F"] {
            labels.extend((1..=16).map(|i| format!("{cable}{i}")));
        }
        labels.push("Status".into());
        let all = canonical_all(&labels);
        assert!(all.iter().all(|e| e.name().is_none()));
        // A dense 10-05 cap with F1..F10 is not a cable.
        let cap: Vec<String> = (1..=10).map(|i| format!("F{i}")).collect();
        assert!(canonical_all(&cap).iter().all(|e| e.name().is_some()));
    }
}
