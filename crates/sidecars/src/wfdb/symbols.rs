//! The symbols of the annotation codes, from the table of the WFDB library ("annot(5)").

/// By code; a blank has no symbol.
const SYMBOLS: &[u8; 42] = b" NLRaVFJASEj/Q~ | sT*D\"=pB^t+u?![]en@xf()r";

/// The symbol of a code.
pub(super) fn of(code: u16) -> Option<&'static str> {
    let i = usize::from(code);
    SYMBOLS.get(i).filter(|&&b| b != b' ')?;
    std::str::from_utf8(SYMBOLS.get(i..i + 1)?).ok()
}

#[cfg(test)]
mod tests {
    use super::of;

    #[test]
    fn symbols_stand_at_their_codes() {
        for (code, symbol) in [
            (1, "N"),
            (14, "~"),
            (16, "|"),
            (22, "\""),
            (32, "["),
            (33, "]"),
            (41, "r"),
        ] {
            assert_eq!(of(code), Some(symbol));
        }
        for code in [0, 15, 17, 42, u16::MAX] {
            assert_eq!(of(code), None);
        }
    }
}
