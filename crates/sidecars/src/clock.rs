//! Numbers and clock times as text.

/// A finite number, as written.
pub(crate) fn number(text: &str) -> Option<f64> {
    text.trim().parse::<f64>().ok().filter(|n| n.is_finite())
}

/// The seconds of `h:m:s`, with `:` or `.` between; the hour may be `hours` at most.
pub(crate) fn seconds(text: &str, hours: u32) -> Option<u32> {
    let mut parts = text.trim().split([':', '.']);
    let mut next = |most: u32| -> Option<u32> {
        let part = parts.next()?;
        if part.is_empty() || part.len() > 2 || !part.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        part.parse().ok().filter(|&n| n <= most)
    };
    let (h, m, s) = (next(hours)?, next(59)?, next(59)?);
    match parts.next() {
        None => Some(h * 3600 + m * 60 + s),
        Some(_) => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn clocks() {
        assert_eq!(seconds("22:08:16", 23), Some(79_696));
        assert_eq!(seconds(" 22.08.16 ", 23), Some(79_696));
        assert_eq!(seconds("1:02:03", 23), Some(3723));
        assert_eq!(seconds("25:00:00", 23), None);
        assert_eq!(seconds("25:00:00", 99), Some(90_000));
        for bad in [
            "", "1:2", "1:60:0", "1:2:3:4", "a:b:c", "1:-2:3", "+1:2:3", "001:2:3",
        ] {
            assert_eq!(seconds(bad, 23), None, "{bad}");
        }
    }

    #[test]
    fn numbers_are_finite() {
        assert_eq!(number(" 1.5 "), Some(1.5));
        for bad in ["", "inf", "nan", "1,5", "x"] {
            assert_eq!(number(bad), None, "{bad}");
        }
    }
}
