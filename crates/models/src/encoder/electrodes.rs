//! Rows of the spatial embedding table: LaBraM's electrode list.
//!
//! `electrodes.txt` holds the first 128 names of the list in the published code, in order; line i
//! (from 1) is row i of the table, row 0 belongs to the class token. The list's last eight names
//! (bipolar pairs such as FP1-F3) lie beyond the published table of 129 rows and are not taken.

use std::collections::HashMap;
use std::sync::LazyLock;

use crate::error::{Error, Result};

/// Rows of the published table, the class token's included.
pub const ROWS: usize = 129;

static INDEX: LazyLock<HashMap<String, u32>> = LazyLock::new(|| {
    include_str!("electrodes.txt")
        .lines()
        .zip(1..)
        .map(|(name, row)| (name.to_ascii_uppercase(), row))
        .collect()
});

/// Row of one electrode, 1 to 128; letters in either case.
///
/// # Errors
/// [`Error::UnknownElectrode`]: no row is guessed for a name outside the list, because a wrong
/// position is worse than a refused one.
pub fn row(name: &str) -> Result<u32> {
    INDEX
        .get(&name.to_ascii_uppercase())
        .copied()
        .ok_or_else(|| Error::UnknownElectrode {
            name: name.to_string(),
        })
}

/// Rows of a montage.
///
/// # Errors
/// [`Error::UnknownElectrode`] for the first name outside the list.
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
}
