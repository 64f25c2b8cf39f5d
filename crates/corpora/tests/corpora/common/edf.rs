//! A minimal EDF file, byte by byte after the specification; not the product's writer.

use std::path::Path;

/// One second records of int16 ramps; `labels` as (label, unit). With `notes` an EDF+C file
/// whose first record carries (onset, duration, text).
pub(crate) fn write(
    path: &Path,
    labels: &[(&str, &str)],
    sfreq: usize,
    seconds: usize,
    notes: &[(f64, f64, &str)],
) {
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    std::fs::write(path, bytes(labels, sfreq, seconds, notes)).unwrap();
}

/// The bytes of such a file.
pub(crate) fn bytes(
    labels: &[(&str, &str)],
    sfreq: usize,
    seconds: usize,
    notes: &[(f64, f64, &str)],
) -> Vec<u8> {
    const NOTE_BYTES: usize = 240;
    let mut signals: Vec<(&str, &str, usize)> =
        labels.iter().map(|(l, u)| (*l, *u, sfreq)).collect();
    if !notes.is_empty() {
        signals.push(("EDF Annotations", "", NOTE_BYTES / 2));
    }
    let mut out = String::new();
    let mut field = |text: &str, width: usize| out.push_str(&format!("{text:<width$}"));
    field("0", 8);
    field("X X X X", 80);
    field("Startdate X X X X", 80);
    field("01.01.20", 8);
    field("00.00.00", 8);
    field(&(256 * (signals.len() + 1)).to_string(), 8);
    field(if notes.is_empty() { "" } else { "EDF+C" }, 44);
    field(&seconds.to_string(), 8);
    field("1", 8);
    field(&signals.len().to_string(), 4);
    for (label, ..) in &signals {
        field(label, 16);
    }
    signals.iter().for_each(|_| field("", 80));
    for (_, unit, _) in &signals {
        field(unit, 8);
    }
    for (text, width) in [
        ("-100", 8),
        ("100", 8),
        ("-32768", 8),
        ("32767", 8),
        ("", 80),
    ] {
        signals.iter().for_each(|_| field(text, width));
    }
    for (.., n) in &signals {
        field(&n.to_string(), 8);
    }
    signals.iter().for_each(|_| field("", 32));
    let mut out = out.into_bytes();
    for second in 0..seconds {
        for k in 0..labels.len() {
            for i in 0..sfreq {
                let value = ((second * sfreq + i) * (k + 1)) as i16;
                out.extend(value.to_le_bytes());
            }
        }
        if !notes.is_empty() {
            let mut tal = format!("+{second}\x14\x14\0");
            if second == 0 {
                for (onset, duration, text) in notes {
                    tal.push_str(&format!("+{onset}\x15{duration}\x14{text}\x14\0"));
                }
            }
            assert!(tal.len() <= NOTE_BYTES);
            let mut tal = tal.into_bytes();
            tal.resize(NOTE_BYTES, 0);
            out.extend(tal);
        }
    }
    out
}
