//! The nights of the CAP miniature: at least one for every oddity of the real 108.

/// One signal of a night.
pub(super) struct Signal {
    pub(super) label: &'static str,
    pub(super) unit: &'static str,
    pub(super) sfreq: usize,
}

const fn signal(label: &'static str, unit: &'static str, sfreq: usize) -> Signal {
    Signal { label, unit, sfreq }
}

/// The columns of a scoring.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Columns {
    /// Stage, position, time, event, duration, location.
    All,
    /// Without position.
    NoPosition,
    /// Without location.
    NoLocation,
    /// All, a line earlier, and `Duration [s]`: n16.
    N16,
}

/// One recording and its scoring.
pub(super) struct Night {
    pub(super) record: &'static str,
    /// Clock at which the EDF starts.
    pub(super) start: (u8, u8, u8),
    pub(super) seconds: usize,
    /// s from the start of the recording to the first stage.
    pub(super) scored_from: i64,
    /// R&K stages, 30 s each; an empty text is a row that is missing.
    pub(super) stages: &'static [&'static str],
    pub(super) columns: Columns,
    /// Between hours, minutes and seconds.
    pub(super) separator: char,
    /// As the scoring gives it.
    pub(super) date: &'static str,
    pub(super) unknown_count: bool,
    pub(super) signals: &'static [Signal],
}

const PLAIN: Night = Night {
    record: "",
    start: (22, 30, 0),
    seconds: 90,
    scored_from: 0,
    stages: &["S0", "S1", "S2"],
    columns: Columns::All,
    separator: ':',
    date: "01/01/2009",
    unknown_count: false,
    signals: &[],
};

#[rustfmt::skip]
pub(super) const NIGHTS: [Night; 12] = [
    // Over midnight, with a hole, scored from 20 s on; EEG at 512 Hz, the rest slower.
    Night {
        record: "n1", start: (23, 58, 50), seconds: 150, scored_from: 20,
        stages: &["S0", "S1", "", "S3"],
        signals: &[
            signal("Fp2-F4", "uV", 512), signal("F4-C4", "uV", 512), signal("C4-P4", "uV", 512),
            signal("P4-O2", "uV", 512), signal("C4-A1", "uV", 512), signal("ROC-LOC", "uV", 128),
            signal("EMG1-EMG2", "uV", 256), signal("ECG1-ECG2", "mV", 128),
            signal("DX1-DX2", "uV", 128), signal("SX1-SX2", "uV", 128), signal("SAO2", "%", 128),
        ],
        ..PLAIN
    },
    // Declared in mV, written in µV.
    Night {
        record: "n8", columns: Columns::NoLocation,
        signals: &[signal("C3-A2", "mV", 128), signal("F3-C3", "mV", 128), signal("EKG", "mV", 128)],
        ..PLAIN
    },
    // The scoring is dated a year later.
    Night {
        record: "n12", date: "31/12/2010", separator: '.',
        signals: &[signal("C4-A1", "uV", 100), signal("O2-A1", "uV", 100)],
        ..PLAIN
    },
    // In µV without a unit, and not closed.
    Night {
        record: "n13", unknown_count: true,
        signals: &[signal("C3A2", "", 128), signal("F3A2", "", 128), signal("ECG", "mV", 128)],
        ..PLAIN
    },
    Night {
        record: "n14", unknown_count: true,
        signals: &[signal("C4A1", "", 128), signal("O1A2", "", 128), signal("ECG", "mV", 128)],
        ..PLAIN
    },
    Night {
        record: "n15", columns: Columns::NoPosition,
        signals: &[signal("C4A1", "", 128), signal("F4A1", "", 128)],
        ..PLAIN
    },
    // No ECG; another header.
    Night {
        record: "n16", columns: Columns::N16,
        signals: &[signal("C4-A1", "uV", 128), signal("EOG dx", "uV", 128), signal("EOG sin", "uV", 128)],
        ..PLAIN
    },
    // EEG of two rates, the short names of the frontal pairs, REM, movement and unscored; the
    // scoring goes on 138 s after the recording.
    Night {
        record: "ins1", seconds: 132, scored_from: 0,
        stages: &["REM", "MT", "S4", "UNSCORED", "S2", "S2", "S2", "S2", "S2"],
        signals: &[
            signal("F2-F4", "uV", 256), signal("F1-F3", "uV", 256), signal("F7-T3", "uV", 256),
            signal("T3-T5", "uV", 256), signal("T4-T6", "uV", 256), signal("C4-A1", "uV", 200),
            signal("ekg", "mV", 100), signal("TIB Dx", "uV", 100), signal("TIB Sx", "uV", 100),
        ],
        ..PLAIN
    },
    // The ECG in two signals; electrodes alone.
    Night {
        record: "nfle25",
        signals: &[
            signal("FP1", "uV", 128), signal("C3", "uV", 128), signal("T5", "uV", 128),
            signal("A1", "uV", 128), signal("A2", "uV", 128), signal("ECG1", "mV", 128),
            signal("ECG2", "mV", 128), signal("LOC", "uV", 128), signal("CHIN1", "uV", 128),
        ],
        ..PLAIN
    },
    // The scoring starts 48 min 24 s before the recording.
    Night {
        record: "nfle27", start: (22, 56, 40), scored_from: -2904,
        signals: &[signal("C4-A1", "uV", 128), signal("F4-C4", "uV", 128)],
        ..PLAIN
    },
    // rbd11 is this one again.
    Night {
        record: "rbd10", stages: &["S2", "REM", "REM"],
        signals: &[signal("C4-A1", "uV", 200), signal("Fp1-F3", "uV", 200)],
        ..PLAIN
    },
    // Starts after midnight.
    Night {
        record: "sdb1", start: (0, 12, 5), scored_from: 10, separator: '.',
        signals: &[signal("C4-A1", "uV", 128), signal("CHIN-CHIN", "uV", 128)],
        ..PLAIN
    },
];
