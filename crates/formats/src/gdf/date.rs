//! Start of a recording: text in GDF 1, days since the year 0 in units of 2^-32 in GDF 2.

use chrono::{Duration, NaiveDate};

use crate::recording::{Diagnostic, Severity};

/// Day number of 0001-01-01, as MATLAB's `datenum` counts.
const DAY_ONE: i64 = 367;

fn odd(diagnostics: &mut Vec<Diagnostic>, found: String) -> Option<String> {
    diagnostics.push(Diagnostic::new(
        "bad-date",
        Severity::Note,
        format!("start {found} is no date; left out"),
    ));
    None
}

/// "YYYYMMDDhhmmsscc", the hundredths optional; nothing at all says unknown.
pub(super) fn from_text(raw: &str, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    if raw.is_empty() {
        return None;
    }
    let number = |from: usize, to: usize| raw.get(from..to)?.parse::<u32>().ok();
    let date = || {
        if !raw.bytes().all(|b| b.is_ascii_digit()) {
            return None;
        }
        let day = NaiveDate::from_ymd_opt(number(0, 4)? as i32, number(4, 6)?, number(6, 8)?)?;
        day.and_hms_opt(number(8, 10)?, number(10, 12)?, number(12, 14)?)
    };
    let Some(date) = date() else {
        return odd(diagnostics, format!("{raw:?}"));
    };
    let hundredths = number(14, 16).filter(|&cc| cc > 0);
    Some(format!(
        "{}{}",
        date.format("%Y-%m-%dT%H:%M:%S"),
        hundredths.map_or(String::new(), |cc| fraction(&format!("{cc:02}")))
    ))
}

/// Fixed-point days, to a tenth of a millisecond (the field resolves 0.02 ms); 0 says unknown.
pub(super) fn from_days(raw: u64, diagnostics: &mut Vec<Diagnostic>) -> Option<String> {
    if raw == 0 {
        return None;
    }
    let ticks = (u128::from(raw & 0xffff_ffff) * 864_000_000 + (1 << 31)) >> 32;
    let ticks = i64::try_from(ticks).unwrap_or(0);
    let date = NaiveDate::from_ymd_opt(1, 1, 1)
        .and_then(|first| {
            let days = Duration::try_days((raw >> 32) as i64 - DAY_ONE)?;
            first.and_hms_opt(0, 0, 0)?.checked_add_signed(days)
        })
        .and_then(|day| day.checked_add_signed(Duration::seconds(ticks / 10_000)))
        .filter(|day| *day.format("%Y").to_string() <= *"9999");
    match date {
        Some(date) => Some(format!(
            "{}{}",
            date.format("%Y-%m-%dT%H:%M:%S"),
            fraction(&format!("{:04}", ticks % 10_000))
        )),
        None => odd(diagnostics, format!("day {}", raw >> 32)),
    }
}

/// Digits after the point, without zeros at the end; nothing for none.
fn fraction(digits: &str) -> String {
    let digits = digits.trim_end_matches('0');
    if digits.is_empty() {
        String::new()
    } else {
        format!(".{digits}")
    }
}

/// The field of GDF 2 for a date and a time of day.
pub(crate) fn to_days(date: chrono::NaiveDateTime) -> Option<u64> {
    let first = NaiveDate::from_ymd_opt(1, 1, 1)?.and_hms_opt(0, 0, 0)?;
    let since = date.signed_duration_since(first).num_seconds();
    let days = u64::try_from(since.div_euclid(86_400) + DAY_ONE).ok()?;
    let seconds = since.rem_euclid(86_400) as u64;
    Some((days << 32) + (((seconds << 32) + 43_200) / 86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings() {
        let mut d = Vec::new();
        assert_eq!(
            from_text("2007030212075900", &mut d).as_deref(),
            Some("2007-03-02T12:07:59")
        );
        assert_eq!(
            from_text("2007030212075950", &mut d).as_deref(),
            Some("2007-03-02T12:07:59.5")
        );
        assert_eq!(from_text("", &mut d), None);
        assert_eq!(from_days(0, &mut d), None);
        let date = NaiveDate::from_ymd_opt(2024, 2, 29).and_then(|d| d.and_hms_opt(23, 59, 58));
        let days = date.and_then(to_days).unwrap_or_default();
        // MATLAB: datenum(2024, 2, 29) is 739311.
        assert_eq!(days >> 32, 739_311);
        assert_eq!(
            from_days(days, &mut d).as_deref(),
            Some("2024-02-29T23:59:58")
        );
        assert!(d.is_empty());
        assert_eq!(from_text("2007130212075900", &mut d), None);
        assert_eq!(from_text("yesterday", &mut d), None);
        assert_eq!(from_days(u64::MAX, &mut d), None);
        assert_eq!(d.len(), 3);
    }
}
