//! Rows of the spatial embedding table: LaBraM's electrode list.
//!
//! `electrodes.txt` holds the first 128 names of the list in the published code, in order; line i
//! (from 1) is row i of the table, row 0 belongs to the class token. The list's last eight names
//! (bipolar pairs such as FP1-F3) lie beyond the published table of 129 rows and are not taken.
//!
//! The rule for an electrode:
//! 1. a name of the list, in either case, has its own row;
//! 2. any other name with a place in MNE's `standard_1005` template (`positions.tsv`, on the unit
//!    sphere, x right, y front, z up) takes the row of the listed electrode at the smallest angle;
//!    earlobes and mastoids are references and lend their row to nobody; of two at the same place
//!    (T7 and its older name T3) the lower row is taken;
//! 3. a name without a place is refused: a guessed place is worse than none. Who knows the
//!    coordinates asks [`nearest`].
//!
//! Two electrodes of a dense montage may so share a row. They stay two tokens.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::error::{Error, Result};

/// Rows of the published table, the class token's included.
pub const ROWS: usize = 129;

/// References: they have rows of their own, but no other electrode borrows them.
const REFERENCES: [&str; 4] = ["A1", "A2", "M1", "M2"];

static INDEX: LazyLock<HashMap<String, u32>> = LazyLock::new(|| {
    include_str!("electrodes.txt")
        .lines()
        .zip(1..)
        .map(|(name, row)| (name.to_ascii_uppercase(), row))
        .collect()
});

/// Upper-case name to place on the unit sphere.
static PLACES: LazyLock<HashMap<String, [f32; 3]>> = LazyLock::new(|| {
    include_str!("positions.tsv")
        .lines()
        .skip(1)
        .filter_map(|line| {
            let mut fields = line.split('\t');
            let name = fields.next()?.to_ascii_uppercase();
            let mut axis = || fields.next()?.parse().ok();
            Some((name, [axis()?, axis()?, axis()?]))
        })
        .collect()
});

/// Listed electrodes that lend their rows, by row.
static LENDERS: LazyLock<Vec<(u32, [f32; 3])>> = LazyLock::new(|| {
    let mut lenders: Vec<_> = INDEX
        .iter()
        .filter(|(name, _)| !REFERENCES.contains(&name.as_str()))
        .filter_map(|(name, row)| Some((*row, *PLACES.get(name)?)))
        .collect();
    lenders.sort_by_key(|(row, _)| *row);
    lenders
});

/// Where an electrode's row comes from.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Place {
    /// The name is in the list.
    Listed(u32),
    /// Borrowed from the nearest listed electrode.
    Nearest {
        /// The lender's row.
        row: u32,
        /// Angle between the two, in degrees.
        degrees: f32,
    },
}

impl Place {
    /// The row, 1 to 128.
    pub fn row(self) -> u32 {
        match self {
            Place::Listed(row) | Place::Nearest { row, .. } => row,
        }
    }
}

/// The place of one electrode by the rule above.
///
/// # Errors
/// [`Error::UnknownElectrode`] for a name without a row and without a place.
pub fn locate(name: &str) -> Result<Place> {
    let upper = name.to_ascii_uppercase();
    if let Some(row) = INDEX.get(&upper) {
        return Ok(Place::Listed(*row));
    }
    PLACES
        .get(&upper)
        .and_then(|p| nearest(*p))
        .ok_or_else(|| Error::UnknownElectrode {
            name: name.to_string(),
        })
}

/// The listed electrode at the smallest angle from `position` (x right, y front, z up; its length
/// does not matter). None for a position without a direction.
pub fn nearest(position: [f32; 3]) -> Option<Place> {
    let length = position.iter().map(|v| v * v).sum::<f32>().sqrt();
    if !length.is_finite() || length <= 0.0 {
        return None;
    }
    let cosine = |p: &[f32; 3]| p.iter().zip(position).map(|(a, b)| a * b).sum::<f32>() / length;
    let mut best: Option<(u32, f32)> = None;
    for (row, p) in LENDERS.iter() {
        let c = cosine(p);
        if best.is_none_or(|(_, top)| c > top) {
            best = Some((*row, c));
        }
    }
    best.map(|(row, c)| Place::Nearest {
        row,
        degrees: c.clamp(-1.0, 1.0).acos().to_degrees(),
    })
}

/// Row of one electrode, 1 to 128.
///
/// # Errors
/// As [`locate`].
pub fn row(name: &str) -> Result<u32> {
    locate(name).map(Place::row)
}

/// Rows of a montage.
///
/// # Errors
/// As [`locate`], for the first name without a place.
pub fn rows(names: &[String]) -> Result<Vec<u32>> {
    names.iter().map(|n| row(n)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_has_128_distinct_rows() {
        assert_eq!(INDEX.len(), ROWS - 1);
        assert_eq!(row("Fp1").unwrap(), 1);
        assert_eq!(row("P8-O2").unwrap(), 128);
        assert!(matches!(row("FP1-F3"), Err(Error::UnknownElectrode { name }) if name == "FP1-F3"));
    }

    #[test]
    fn biosemi_64_maps_to_the_stated_rows() {
        let names = "Fp1 AF7 AF3 F1 F3 F5 F7 FT7 FC5 FC3 FC1 C1 C3 C5 T7 TP7 CP5 CP3 CP1 P1 P3 P5 P7 P9 PO7 PO3 O1 \
                     Iz Oz POz Pz CPz Fpz Fp2 AF8 AF4 AFz Fz F2 F4 F6 F8 FT8 FC6 FC4 FC2 FCz Cz C2 C4 C6 T8 TP8 CP6 \
                     CP4 CP2 P2 P4 P6 P8 P10 PO8 PO4 O2";
        let names: Vec<String> = names.split_whitespace().map(str::to_string).collect();
        let expected = [
            1, 5, 7, 19, 18, 17, 16, 27, 28, 29, 30, 41, 40, 39, 38, 49, 50, 51, 52, 63, 62, 61,
            60, 59, 71, 73, 81, 87, 82, 75, 64, 53, 2, 3, 13, 11, 9, 20, 21, 22, 23, 24, 35, 34,
            33, 32, 31, 42, 43, 44, 45, 46, 57, 56, 55, 54, 65, 66, 67, 68, 69, 79, 77, 83,
        ];
        assert_eq!(rows(&names).unwrap(), expected);
    }

    #[test]
    fn other_names_borrow_the_nearest_row() {
        // Between C1 and CP1, and between Oz and Iz: whichever is nearer, it is one of the two.
        for (name, allowed) in [
            ("CCP1h", ["C1", "CP1", "CCP1", "Cz"]),
            ("OIz", ["Oz", "Iz", "O1", "O2"]),
        ] {
            let Place::Nearest { row, degrees } = locate(name).unwrap() else {
                panic!("{name} is not in the list");
            };
            let allowed: Vec<u32> = allowed.iter().map(|n| super::row(n).unwrap()).collect();
            assert!(allowed.contains(&row), "{name}: {row}");
            assert!(degrees > 0.0 && degrees < 15.0, "{name}: {degrees}");
        }
        // Every place of the template is served, none from far away.
        for name in PLACES.keys() {
            match locate(name).unwrap() {
                Place::Listed(row) => assert_eq!(INDEX.get(name), Some(&row)),
                Place::Nearest { degrees, .. } => assert!(degrees < 20.0, "{name}: {degrees}"),
            }
        }
    }

    #[test]
    fn a_position_finds_its_electrode_and_older_names_do_not_lend() {
        for name in ["T7", "Cz", "PO10", "FTT9h"] {
            let p = PLACES[&name.to_ascii_uppercase()];
            let found = nearest(p.map(|v| v * 0.095)).unwrap();
            assert_eq!(found.row(), row(name).unwrap(), "{name}");
        }
        assert_eq!(nearest([0.0; 3]), None);
        assert_eq!(nearest([f32::NAN, 0.0, 1.0]), None);
    }

    #[test]
    fn places_are_those_of_the_corpora() {
        let other = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../corpora/src/electrodes/standard_1005.tsv"
        );
        assert_eq!(
            std::fs::read_to_string(other).unwrap(),
            include_str!("positions.tsv")
        );
    }
}
