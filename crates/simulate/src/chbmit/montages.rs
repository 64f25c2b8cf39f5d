//! The channel lists of CHB-MIT. Labels and their numbers are those of the summaries and of the
//! sidecars of all 686 files; where only the set of labels is known, the order is made up.

/// Channel lists of the files.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Montage {
    /// 23 pairs, the last the fifteenth again: most files.
    Base,
    /// The same pairs in another order with five placeholders: 28.
    Dashes,
    /// As [`Montage::Dashes`] with `.` for `-`: chb18 and chb20.
    Dots,
    /// 18 pairs and four placeholders: 22.
    Short,
    /// With an ECG: chb04.
    Ecg,
    /// With the vagus nerve stimulator: chb09.
    Vns,
    /// With ECG and an electrode pair off the scalp: chb13_04.
    Limbs,
    /// With one pair at the eyes: chb12_32 to chb12_42.
    Eyes,
    /// With eight electrodes against a common one: chb15.
    Refs,
    /// Electrodes against CS2: chb12_27.
    Cs2,
    /// Electrodes alone, O1 written with a zero: chb12_28 and chb12_29.
    Bare,
}

#[rustfmt::skip]
const BASE: [&str; 23] = [
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "FP2-F4", "F4-C4",
    "C4-P4", "P4-O2", "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "FZ-CZ", "CZ-PZ", "P7-T7", "T7-FT9",
    "FT9-FT10", "FT10-T8", "T8-P8",
];

#[rustfmt::skip]
const DASHES: [&str; 28] = [
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "-", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "-", "FZ-CZ",
    "CZ-PZ", "-", "FP2-F4", "F4-C4", "C4-P4", "P4-O2", "-", "FP2-F8", "F8-T8", "T8-P8", "P8-O2",
    "-", "P7-T7", "T7-FT9", "FT9-FT10", "FT10-T8", "T8-P8",
];

#[rustfmt::skip]
const REFS: [&str; 38] = [
    "FP1-F7", "F7-T7", "T7-P7", "P7-O1", "-", "FP1-F3", "F3-C3", "C3-P3", "P3-O1", "-", "FP2-F4",
    "F4-C4", "C4-P4", "P4-O2", "-", "FP2-F8", "F8-T8", "T8-P8", "P8-O2", "-", "FZ-CZ", "CZ-PZ",
    "PZ-OZ", "-", "FC1-Ref", "FC2-Ref", "FC5-Ref", "FC6-Ref", "CP1-Ref", "CP2-Ref", "CP5-Ref",
    "CP6-Ref", "-", "P7-T7", "T7-FT9", "FT9-FT10", "FT10-T8", "T8-P8",
];

#[rustfmt::skip]
const CS2: [&str; 29] = [
    "F7-CS2", "T7-CS2", "P7-CS2", "-", "FP1-CS2", "F3-CS2", "C3-CS2", "P3-CS2", "O1-CS2", "-",
    "FZ-CS2", "CZ-CS2", "PZ-CS2", "-", "FP2-CS2", "F4-CS2", "C4-CS2", "P4-CS2", "O2-CS2", "-",
    "F8-CS2", "T8-CS2", "P8-CS2", "-", "C2-CS2", "C6-CS2", "CP2-CS2", "CP4-CS2", "CP6-CS2",
];

#[rustfmt::skip]
const BARE: [&str; 29] = [
    "F7", "T7", "P7", "-", "FP1", "F3", "C3", "P3", "01", "-", "FZ", "CZ", "PZ", "-", "FP2", "F4",
    "C4", "P4", "O2", "-", "F8", "T8", "P8", "C2", "C6", "CP2", "CP4", "CP6", "EKG1-CHIN",
];

/// The labels of a file, in its order.
pub(super) fn labels(montage: Montage) -> Vec<&'static str> {
    let with = |list: &[&'static str], more: &[&'static str]| [list, more].concat();
    match montage {
        Montage::Base => BASE.to_vec(),
        Montage::Dashes => DASHES.to_vec(),
        Montage::Dots => DASHES
            .iter()
            .map(|l| if *l == "-" { "." } else { l })
            .collect(),
        Montage::Short => DASHES.iter().take(22).copied().collect(),
        Montage::Ecg => with(&BASE, &["ECG"]),
        Montage::Vns => with(&BASE, &["VNS"]),
        Montage::Limbs => with(&BASE, &["EKG1-EKG2", "LUE-RAE"]),
        Montage::Eyes => with(&DASHES, &["LOC-ROC"]),
        Montage::Refs => REFS.to_vec(),
        Montage::Cs2 => CS2.to_vec(),
        Montage::Bare => BARE.to_vec(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn montages_have_the_sizes_of_the_real_files() {
        let sizes = [
            (Montage::Base, 23),
            (Montage::Dashes, 28),
            (Montage::Dots, 28),
            (Montage::Short, 22),
            (Montage::Ecg, 24),
            (Montage::Vns, 24),
            (Montage::Limbs, 25),
            (Montage::Eyes, 29),
            (Montage::Refs, 38),
            (Montage::Cs2, 29),
            (Montage::Bare, 29),
        ];
        for (montage, n) in sizes {
            assert_eq!(labels(montage).len(), n, "{montage:?}");
        }
    }
}
