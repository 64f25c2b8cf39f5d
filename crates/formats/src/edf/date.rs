//! Start of a recording: `dd.mm.yy`, `hh.mm.ss` and the EDF+ "Startdate" of the recording field.

use chrono::{NaiveDate, NaiveTime};

use crate::recording::{Diagnostic, Severity};

/// ISO 8601 start, or `None` with a diagnostic for dates that never were.
pub(super) fn start(
    date: &str,
    time: &str,
    recording: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Option<String> {
    let day = plus_date(recording).or_else(|| old_date(date));
    let clock = parts(time).and_then(|(h, m, s)| NaiveTime::from_hms_opt(h, m, s));
    match (day, clock) {
        (Some(day), Some(clock)) => {
            Some(day.and_time(clock).format("%Y-%m-%dT%H:%M:%S").to_string())
        }
        _ => {
            diagnostics.push(Diagnostic::new(
                "bad-date",
                Severity::Note,
                format!("start date {date:?} and time {time:?} are no date; left out"),
            ));
            None
        }
    }
}

/// "Startdate 02-MAR-2002 ..." of EDF+, which knows the century.
fn plus_date(recording: &str) -> Option<NaiveDate> {
    let mut words = recording.split_ascii_whitespace();
    (words.next()? == "Startdate").then_some(())?;
    let mut parts = words.next()?.split('-');
    let day = parts.next()?.parse().ok()?;
    let month = parts.next()?.to_ascii_uppercase();
    let year = parts.next()?.parse().ok()?;
    const MONTHS: [&str; 12] = [
        "JAN", "FEB", "MAR", "APR", "MAY", "JUN", "JUL", "AUG", "SEP", "OCT", "NOV", "DEC",
    ];
    let month = MONTHS.iter().position(|m| *m == month)? as u32 + 1;
    NaiveDate::from_ymd_opt(year, month, day)
}

/// "dd.mm.yy" with the clipping date 1985 of the EDF+ specification.
fn old_date(date: &str) -> Option<NaiveDate> {
    let (day, month, year) = parts(date)?;
    let year = if year >= 85 { 1900 + year } else { 2000 + year };
    NaiveDate::from_ymd_opt(year as i32, month, day)
}

/// Three numbers of one or two digits; writers disagree on the separator.
fn parts(text: &str) -> Option<(u32, u32, u32)> {
    let mut it = text.split(['.', ':', '-', '/']).map(|part| {
        let part = part.trim();
        ((1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_digit()))
            .then(|| part.parse::<u32>().ok())
            .flatten()
    });
    let out = (it.next()??, it.next()??, it.next()??);
    it.next().is_none().then_some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn centuries_and_dates_that_never_were() {
        let mut d = Vec::new();
        assert_eq!(
            start("01.01.85", "00.00.00", "", &mut d).as_deref(),
            Some("1985-01-01T00:00:00")
        );
        assert_eq!(
            start("01.01.84", "00.00.00", "", &mut d).as_deref(),
            Some("2084-01-01T00:00:00")
        );
        assert_eq!(
            start(
                "01.01.yy",
                "10.00.00",
                "Startdate 02-mar-2102 X X X",
                &mut d
            )
            .as_deref(),
            Some("2102-03-02T10:00:00")
        );
        assert!(d.is_empty());
        assert_eq!(start("42.00.00", "26.00.99", "", &mut d), None);
        assert_eq!(start("+1.01.01", "00.00.00", "", &mut d), None);
        assert_eq!(d.len(), 2);
    }
}
