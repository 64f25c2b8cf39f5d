//! The files of the miniature: at least one for every oddity of the real 686.

use super::montages::Montage;

/// One recording of the miniature.
pub(super) struct File {
    /// Folder, and the name that the summary is called by.
    pub(super) case: &'static str,
    /// File name without `.edf`.
    pub(super) record: &'static str,
    pub(super) montage: Montage,
    /// Clock at the start, as the summary gives it.
    pub(super) start: (u8, u8, u8),
    /// Seizures, s from the start.
    pub(super) seizures: &'static [(usize, usize)],
}

const fn file(
    case: &'static str,
    record: &'static str,
    montage: Montage,
    start: (u8, u8, u8),
    seizures: &'static [(usize, usize)],
) -> File {
    File {
        case,
        record,
        montage,
        start,
        seizures,
    }
}

/// In the order of the summaries. Every seizure ends before 16 s.
#[rustfmt::skip]
pub(super) const FILES: [File; 22] = [
    file("chb01", "chb01_01", Montage::Base, (11, 42, 54), &[]),
    file("chb01", "chb01_03", Montage::Base, (13, 43, 4), &[(5, 11)]),
    file("chb02", "chb02_16", Montage::Base, (3, 12, 40), &[(4, 9)]),
    file("chb02", "chb02_16+", Montage::Base, (3, 30, 0), &[]),
    // Over midnight: the summary says 24:00:10.
    file("chb04", "chb04_07", Montage::Ecg, (23, 59, 50), &[]),
    file("chb07", "chb07_18", Montage::Base, (20, 1, 2), &[]),
    file("chb07", "chb07_19", Montage::Base, (21, 1, 9), &[(6, 14)]),
    file("chb09", "chb09_08", Montage::Vns, (4, 0, 1), &[(2, 6), (10, 16)]),
    file("chb11", "chb11_82", Montage::Dashes, (5, 0, 0), &[(3, 13)]),
    file("chb12", "chb12_27", Montage::Cs2, (6, 0, 0), &[(2, 8)]),
    file("chb12", "chb12_28", Montage::Bare, (7, 0, 0), &[(7, 12)]),
    file("chb12", "chb12_32", Montage::Eyes, (8, 0, 0), &[]),
    file("chb13", "chb13_04", Montage::Limbs, (9, 0, 0), &[]),
    file("chb15", "chb15_06", Montage::Refs, (10, 0, 0), &[(8, 12)]),
    file("chb16", "chb16_18", Montage::Short, (11, 0, 0), &[]),
    file("chb17", "chb17a_03", Montage::Base, (12, 0, 0), &[(5, 9)]),
    file("chb17", "chb17b_69", Montage::Dashes, (13, 0, 0), &[]),
    file("chb17", "chb17c_02", Montage::Dashes, (14, 0, 0), &[(1, 4)]),
    file("chb18", "chb18_29", Montage::Dots, (15, 0, 0), &[(9, 15)]),
    // The girl of chb01, a year and a half later.
    file("chb21", "chb21_19", Montage::Dashes, (16, 0, 0), &[(10, 14)]),
    file("chb24", "chb24_01", Montage::Base, (17, 0, 0), &[(3, 6), (12, 15)]),
    // Without seizures, and so not in the summary of this case.
    file("chb24", "chb24_22", Montage::Base, (18, 0, 0), &[]),
];
