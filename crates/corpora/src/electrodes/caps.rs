//! Caps whose labels number sensors: which 10-05 place each lies at or next to.
//!
//! One table a cap (`biosemi128.tsv`, ...), written by `make_layouts.py` beside them, which says
//! how positions are compared. Each 10-05 name is given once.

use std::collections::HashMap;
use std::sync::LazyLock;

use serde::Deserialize;

/// A cap or net with numbered sensors, as a manifest names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cap {
    /// BioSemi, 64 electrodes: A1 to B32 are 10-10 places.
    Biosemi64,
    /// BioSemi, 128 electrodes at equal distances, A1 to D32.
    Biosemi128,
    /// BioSemi, 256 electrodes at equal distances, A1 to H32.
    Biosemi256,
    /// EGI HydroCel Geodesic Sensor Net, E1 to E128 and the vertex.
    Egi128,
    /// EGI HydroCel Geodesic Sensor Net, E1 to E256 and the vertex.
    Egi256,
    /// EASYCAP M10, 1 to 61.
    EasycapM10,
}

/// Where a sensor of a cap lies.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct CapPlace {
    /// The 10-05 name; `None` where no free one lies near enough.
    pub name: Option<&'static str>,
    /// Distance from there, mm, on a head of the template's size. Without a name that of the
    /// nearest free place.
    pub mm: f32,
}

type Table = HashMap<String, CapPlace>;

static TABLES: LazyLock<[Table; 6]> = LazyLock::new(|| {
    [
        table(include_str!("biosemi64.tsv")),
        table(include_str!("biosemi128.tsv")),
        table(include_str!("biosemi256.tsv")),
        table(include_str!("egi128.tsv")),
        table(include_str!("egi256.tsv")),
        table(include_str!("easycap-m10.tsv")),
    ]
});

fn table(text: &'static str) -> Table {
    let place = |line: &'static str| {
        let mut fields = line.split('\t');
        let (label, name, mm) = (fields.next()?, fields.next()?, fields.next()?);
        let name = Some(name).filter(|n| !n.is_empty());
        let mm = mm.parse().ok()?;
        Some((key(label), CapPlace { name, mm }))
    };
    text.lines().skip(1).filter_map(place).collect()
}

/// Upper case, without zeros before the number: `e007` is `E7`.
fn key(label: &str) -> String {
    let label = label.trim().to_uppercase();
    let at = label.find(|c: char| c.is_ascii_digit());
    let (letters, number) = label.split_at(at.unwrap_or(label.len()));
    match number.trim_start_matches('0') {
        "" => label.clone(),
        rest => format!("{letters}{rest}"),
    }
}

impl Cap {
    /// Where the sensor with this label lies; `None` when the cap has no such sensor.
    pub fn place(self, label: &str) -> Option<CapPlace> {
        let label = super::strip_eeg(label.trim());
        let vertex = match self {
            // The reference at the vertex is one sensor more.
            Cap::Egi128 => &["E129", "VREF"][..],
            Cap::Egi256 => &["E257", "VREF"][..],
            _ => &[],
        };
        let key = key(label);
        let key = if vertex.contains(&key.as_str()) {
            "CZ"
        } else {
            key.as_str()
        };
        TABLES.get(self as usize)?.get(key).copied()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::BTreeSet;

    const ALL: [(Cap, usize); 6] = [
        (Cap::Biosemi64, 64),
        (Cap::Biosemi128, 128),
        (Cap::Biosemi256, 256),
        (Cap::Egi128, 129),
        (Cap::Egi256, 257),
        (Cap::EasycapM10, 61),
    ];

    fn name(cap: Cap, label: &str) -> &'static str {
        cap.place(label).and_then(|p| p.name).unwrap_or("none")
    }

    #[test]
    fn every_table_is_whole_and_gives_a_name_once() {
        for (cap, sensors) in ALL {
            let table = &TABLES[cap as usize];
            assert_eq!(table.len(), sensors, "{cap:?}");
            let named: Vec<&str> = table.values().filter_map(|p| p.name).collect();
            let distinct: BTreeSet<&str> = named.iter().copied().collect();
            assert_eq!(named.len(), distinct.len(), "{cap:?}");
            for place in table.values() {
                assert!((0.0..60.0).contains(&place.mm), "{cap:?}: {place:?}");
                let Some(name) = place.name else { continue };
                // A name of the template in its own spelling, and no reference.
                assert_eq!(super::super::place(name), Some(name), "{cap:?}");
                assert!(!super::super::is_reference(name), "{cap:?}: {name}");
            }
            if matches!(cap, Cap::Biosemi128 | Cap::EasycapM10) {
                assert!(table.values().all(|p| p.name.is_some() && p.mm < 14.0));
            }
        }
    }

    #[test]
    fn places_are_where_the_makers_put_them() {
        // BioSemi's 128 electrodes, of which it names these; not used to make the table.
        for (label, want) in [
            ("A1", "Cz"),
            ("A19", "Pz"),
            ("A23", "Oz"),
            ("C21", "Fz"),
            ("C17", "Fpz"),
            ("D19", "C3"),
            ("B22", "C4"),
            ("D23", "T7"),
            ("B26", "T8"),
        ] {
            assert_eq!(name(Cap::Biosemi128, label), want, "{label}");
        }
        for (label, want) in [("A1", "Fp1"), ("A2", "AF7"), ("B16", "Cz"), ("B32", "O2")] {
            assert_eq!(name(Cap::Biosemi64, label), want, "{label}");
        }
        for (label, want) in [("1", "Cz"), ("39", "T8"), ("47", "T7"), ("14", "Pz")] {
            assert_eq!(name(Cap::EasycapM10, label), want, "{label}");
        }
        for (label, want) in [("E11", "Fz"), ("E36", "C3"), ("E129", "Cz"), ("VREF", "Cz")] {
            assert_eq!(name(Cap::Egi128, label), want, "{label}");
        }
        for (label, want) in [
            ("E21", "Fz"),
            ("e021", "Fz"),
            ("EEG E59", "C3"),
            ("E257", "Cz"),
        ] {
            assert_eq!(name(Cap::Egi256, label), want, "{label}");
        }
        // A sensor on the cheek has no place, and says how far the nearest free one is.
        let cheek = Cap::Egi256.place("E241");
        assert!(
            cheek.is_some_and(|p| p.name.is_none() && p.mm > 25.0),
            "{cheek:?}"
        );
        assert_eq!(Cap::Biosemi128.place("E1"), None);
        assert_eq!(Cap::Biosemi128.place("EXG1"), None);
        assert_eq!(Cap::EasycapM10.place("VEOG"), None);
        assert_eq!(Cap::EasycapM10.place(""), None);
    }
}
