//! Labels that say they are not EEG.

use super::Electrode;

/// Labels that are exactly this (lower case).
const EXACT: &[(&str, &str, &str)] = &[
    ("edf annotations", "annotation", "annotation signal"),
    ("bdf annotations", "annotation", "annotation signal"),
    ("status", "trigger", "status word of the amplifier"),
    ("event marker", "trigger", "event marker"),
    ("photic", "trigger", "photic stimulator"),
    ("ibi", "misc", "inter-beat interval"),
    ("bursts", "misc", "computed trend"),
    ("suppr", "misc", "computed trend"),
    ("hl", "eog", "electrode beside the left eye"),
    ("hr", "eog", "electrode beside the right eye"),
    ("vb", "eog", "electrode below the eye"),
    ("loc", "eog", "left outer canthus"),
    ("roc", "eog", "right outer canthus"),
    ("loc-roc", "eog", "left against right outer canthus"),
    ("roc-loc", "eog", "right against left outer canthus"),
    ("ref", "ref", "reference"),
    ("reference", "ref", "reference"),
    ("reref", "ref", "reference"),
    ("gnd", "ref", "ground"),
    ("ground", "ref", "ground"),
    ("cms", "ref", "common mode sense electrode"),
    ("drl", "ref", "driven right leg electrode"),
    ("gsr", "gsr", "skin conductance"),
    ("eda", "gsr", "skin conductance"),
    ("aud", "misc", "audio recorded with the EEG"),
    ("audio", "misc", "audio recorded with the EEG"),
    ("osat", "misc", "oxygen saturation"),
    ("spo2", "misc", "oxygen saturation"),
    ("sao2", "misc", "oxygen saturation"),
    ("pr", "misc", "pulse rate"),
    ("pleth", "misc", "plethysmogram"),
    ("plet", "misc", "plethysmogram"),
    ("position", "misc", "body position"),
    ("snore", "misc", "snore microphone"),
    ("vns", "misc", "vagus nerve stimulator"),
];

/// Labels whose first word, or whose start, is this (lower case).
const STARTS: &[(&str, &str, &str)] = &[
    ("eog", "eog", "eye electrode"),
    ("ecg", "ecg", "heart"),
    ("ekg", "ecg", "heart"),
    ("emg", "emg", "muscle"),
    ("chin", "emg", "chin muscle"),
    ("tib ", "emg", "leg muscle"),
    ("resp", "resp", "breathing"),
    ("thorax", "resp", "breathing"),
    ("abdomen", "resp", "breathing"),
    ("airflow", "resp", "breathing"),
    ("temp", "temp", "temperature"),
    ("dig ", "trigger", "digital input"),
    ("ref_eeg", "ref", "reference"),
    ("ergo", "misc", "analogue input of the amplifier"),
    ("sti ", "trigger", "stimulus channel"),
    ("trig", "trigger", "trigger"),
    ("stim", "trigger", "stimulus channel"),
    ("accel", "misc", "accelerometer"),
];

/// Labels that hold this anywhere (lower case).
const HOLDS: &[(&str, &str, &str)] = &[
    ("eog", "eog", "eye electrode"),
    ("ecg", "ecg", "heart"),
    ("ekg", "ecg", "heart"),
    ("emg", "emg", "muscle"),
    ("annotations", "annotation", "annotation signal"),
];

/// Labels that are this followed by a number (lower case).
const NUMBERED: &[(&str, &str, &str)] = &[
    (
        "exg",
        "misc",
        "external electrode whose place the label does not say",
    ),
    ("aux", "misc", "auxiliary input of the amplifier"),
    ("dc", "misc", "direct-current input of the amplifier"),
    ("misc", "misc", "auxiliary input"),
];

/// Words of signal generators.
const GENERATOR: &[&str] = &["sine", "square", "ramp", "pulse", "noise"];

/// Says what a trimmed label is if it says it is no EEG.
pub(super) fn not_eeg(label: &str) -> Option<Electrode> {
    let lower = label.to_lowercase();
    let found = |kind, what: &str| {
        Some(Electrode::NotEeg {
            kind,
            reason: format!("`{label}`: {what}"),
        })
    };
    // Equal placeholders may carry MNE's number: `--0`.
    let bare = lower.trim_end_matches(|c: char| c.is_ascii_digit());
    if (bare == lower || !bare.is_empty()) && bare.chars().all(|c| matches!(c, '-' | '.' | ' ')) {
        return found("dummy", "placeholder without a signal");
    }
    for (text, kind, what) in EXACT {
        if lower == *text {
            return found(kind, what);
        }
    }
    for (text, kind, what) in STARTS {
        if lower.starts_with(text) {
            return found(kind, what);
        }
    }
    for (text, kind, what) in HOLDS {
        if lower.contains(text) {
            return found(kind, what);
        }
    }
    for (text, kind, what) in NUMBERED {
        let rest = lower.strip_prefix(text).map(|r| r.trim_start());
        if rest.is_some_and(|r| r.bytes().all(|b| b.is_ascii_digit())) {
            return found(kind, what);
        }
    }
    let mut words = lower.split([' ', '-']);
    let generated = words.any(|w| w.ends_with("hz") || GENERATOR.iter().any(|g| w.starts_with(g)));
    if generated {
        return found("misc", "test signal of a generator");
    }
    None
}
