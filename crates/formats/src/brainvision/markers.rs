//! The .vmrk file: markers to annotations, New Segment markers to run boundaries.

use crate::recording::{Annotation, Diagnostic, Severity};
use crate::text;

use super::ini;

/// What a marker file says.
#[derive(Default)]
pub(super) struct Markers {
    /// All markers but the first New Segment, in time order.
    pub(super) annotations: Vec<Annotation>,
    /// Samples at which a new segment starts (0-based, without the first).
    pub(super) segments: Vec<u64>,
    /// Start of the recording, from the first New Segment's date.
    pub(super) start: Option<String>,
}

/// Parses a marker file.
pub(super) fn parse(
    bytes: &[u8],
    sfreq: f64,
    n_samples: u64,
    names: &[String],
    diagnostics: &mut Vec<Diagnostic>,
) -> Markers {
    let content = text::decode(bytes);
    // Bounds what a hostile file can make the reader allocate; a real line is longer.
    let limit = bytes.len() / 16;
    let mut out = Markers::default();
    let (mut malformed, mut beyond, mut too_many) = (0u64, 0u64, 0u64);
    let mut segment_seen = false;
    for entry in ini::entries(&content) {
        if !entry.section.eq_ignore_ascii_case("Marker Infos")
            || ini::numbered(entry.key, "Mk").is_none()
        {
            continue;
        }
        let Some(marker) = marker(entry.value, sfreq, names) else {
            malformed += 1;
            continue;
        };
        let (position, kind, date, annotation) = marker;
        if kind.eq_ignore_ascii_case("New Segment") {
            if !segment_seen {
                segment_seen = true;
                out.start = date.and_then(iso);
                // The first segment is the recording itself: no event, as in MNE.
                if position == 0 {
                    continue;
                }
            }
            if position > 0 && position < n_samples {
                out.segments.push(position);
            }
        }
        beyond += u64::from(position >= n_samples);
        if out.annotations.len() >= limit {
            too_many += 1;
            continue;
        }
        out.annotations.push(annotation);
    }
    out.annotations.sort_by(|a, b| a.onset.total_cmp(&b.onset));
    out.segments.sort_unstable();
    out.segments.dedup();
    let mut push = |count: u64, code, what: &str| {
        if count > 0 {
            diagnostics.push(Diagnostic::new(
                code,
                Severity::Warning,
                format!("{count} markers {what}"),
            ));
        }
    };
    push(
        malformed,
        "bad-marker",
        "have no type, description and position; left out",
    );
    push(
        beyond,
        "marker-beyond-end",
        "lie beyond the last sample; kept",
    );
    push(
        too_many,
        "too-many-annotations",
        "are more than the file can hold; left out",
    );
    out
}

type Marker<'a> = (u64, &'a str, Option<&'a str>, Annotation);

/// `<type>,<description>,<position>,<points>,<channel>[,<date>]`, position from 1.
fn marker<'a>(value: &'a str, sfreq: f64, names: &[String]) -> Option<Marker<'a>> {
    let mut parts = value.split(',').map(str::trim);
    let kind = parts.next()?;
    let description = parts.next()?;
    let position = parts.next()?.parse::<u64>().ok()?;
    let points = parts.next().and_then(|p| p.parse::<u64>().ok());
    let channel = parts.next().and_then(|c| c.parse::<usize>().ok());
    let date = parts.next();
    // Position 0 is not allowed, but written by some; the first sample is meant.
    let position = position.saturating_sub(1);
    let annotation = Annotation {
        onset: position as f64 / sfreq,
        duration: points.map(|p| p as f64 / sfreq),
        text: format!("{}/{}", ini::unescape(kind), ini::unescape(description)),
        channel: channel
            .and_then(|c| c.checked_sub(1))
            .and_then(|c| names.get(c))
            .cloned(),
    };
    Some((position, kind, date, annotation))
}

/// `YYYYMMDDhhmmssuuuuuu` to ISO 8601; all zeros say "none".
fn iso(date: &str) -> Option<String> {
    let digits = date.len() == 20 && date.bytes().all(|b| b.is_ascii_digit());
    if !digits {
        return None;
    }
    let number =
        |range: std::ops::Range<usize>| date.get(range).and_then(|d| d.parse::<u32>().ok());
    let day = chrono::NaiveDate::from_ymd_opt(number(0..4)? as i32, number(4..6)?, number(6..8)?)?;
    let time = day.and_hms_micro_opt(
        number(8..10)?,
        number(10..12)?,
        number(12..14)?,
        number(14..20)?,
    )?;
    (number(0..4)? > 0).then(|| {
        let text = time.format("%Y-%m-%dT%H:%M:%S%.6f").to_string();
        text.trim_end_matches('0').trim_end_matches('.').to_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_dates_and_commas() {
        let text = "Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\n\
            Mk1=New Segment,,1,1,0,20131113161403794232\nMk2=Comment,a\\1b,11,5,2\n\
            Mk3=New Segment,,21,1,0,00000000000000000000\nMk4=Stimulus,S  1,x,1,0\n\
            Mk5=Stimulus,S  1,101,1,0\n";
        let mut d = Vec::new();
        let m = parse(
            text.as_bytes(),
            10.0,
            100,
            &["A".into(), "B".into()],
            &mut d,
        );
        assert_eq!(m.start.as_deref(), Some("2013-11-13T16:14:03.794232"));
        assert_eq!(m.segments, vec![20]);
        assert_eq!(m.annotations.len(), 3);
        assert_eq!(m.annotations[0].text, "Comment/a,b");
        assert_eq!(m.annotations[0].onset, 1.0);
        assert_eq!(m.annotations[0].duration, Some(0.5));
        assert_eq!(m.annotations[0].channel.as_deref(), Some("B"));
        let codes: Vec<_> = d.iter().map(|d| d.code).collect();
        assert_eq!(codes, vec!["bad-marker", "marker-beyond-end"]);
        assert_eq!(iso("20001301000000000000"), None);
        assert_eq!(
            iso("20000101120000000000").as_deref(),
            Some("2000-01-01T12:00:00")
        );
    }
}
