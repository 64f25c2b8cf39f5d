//! Spellings of physical units. Owns what counts as a volt; nothing about electrodes.

/// The unit as it is shown: "nV", "µV" (U+00B5), "mV", "V" for every known spelling of a
/// voltage, anything else trimmed and unchanged. An empty unit stays empty.
pub(crate) fn normalise(raw: &str) -> String {
    let trimmed = raw.trim_matches(|c: char| c.is_whitespace() || c == '\0');
    match trimmed {
        // U+00B5 micro sign, U+03BC Greek mu, and the spellings that lost either.
        "µV" | "μV" | "uV" | "UV" | "uv" | "µv" | "μv" | "microV" | "microvolt" | "MicroV" => {
            "µV"
        }
        "mV" | "mv" | "millivolt" => "mV",
        "nV" | "nv" | "nanovolt" => "nV",
        "V" | "v" | "volt" | "Volt" => "V",
        other => other,
    }
    .to_owned()
}

/// Factor from a normalised unit to microvolts.
pub(crate) fn microvolts(unit: &str) -> Option<f64> {
    match unit {
        "nV" => Some(1e-3),
        "µV" => Some(1.0),
        "mV" => Some(1e3),
        "V" => Some(1e6),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spellings_of_microvolt_are_one() {
        for raw in ["µV", "\u{3bc}V", "uV", " uV ", "UV", "uV\0"] {
            assert_eq!(normalise(raw), "\u{b5}V", "{raw:?}");
        }
        assert_eq!(microvolts(&normalise("mV")), Some(1000.0));
        assert_eq!(normalise(" mmHg "), "mmHg");
        assert_eq!(microvolts("mmHg"), None);
        assert_eq!(microvolts(&normalise("")), None);
    }
}
