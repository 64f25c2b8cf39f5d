//! The event file (.cef, .ceo): rows of NUMBER_LIST to annotations.

use crate::recording::{Annotation, Diagnostic, Severity};

use super::sections;

/// Different codes whose remarks are quoted.
const QUOTED: usize = 20;

/// Events in time order: the text is the decimal code. A row is sample, -, code, -, first and
/// last sample, ...; remarks (one a row) go into a diagnostic, as the codes alone are sure to
/// be set.
pub(super) fn parse(
    bytes: usize,
    text: &str,
    sfreq: f64,
    seconds: f64,
    notes: &mut Vec<Diagnostic>,
) -> Vec<Annotation> {
    let mut out = Vec::new();
    let mut remarks: Vec<(i64, &str)> = Vec::new();
    let mut remark = sections::list(text, "REMARK_LIST").into_iter().flatten();
    let (mut malformed, mut beyond, mut too_many) = (0u64, 0u64, 0u64);
    // Bounds what a hostile file can make the reader allocate; a real row is longer.
    let limit = bytes / 16;
    for row in sections::list(text, "NUMBER_LIST").into_iter().flatten() {
        let remark = remark.next();
        let mut cells = row.text.split_whitespace().map(|c| c.parse::<i64>());
        let mut cell = || cells.next().and_then(|c| c.ok());
        let (sample, _, code) = (cell(), cell(), cell());
        let (_, first, last) = (cell(), cell(), cell());
        let (Some(sample), Some(code)) = (sample.filter(|s| *s >= 0), code) else {
            malformed += 1;
            continue;
        };
        if out.len() >= limit {
            too_many += 1;
            continue;
        }
        let onset = sample as f64 / sfreq;
        beyond += u64::from(onset >= seconds);
        let span = first.zip(last).map(|(a, b)| b.saturating_sub(a).max(0));
        out.push(Annotation {
            onset,
            duration: span.map(|s| s as f64 / sfreq),
            text: code.to_string(),
            channel: None,
        });
        if let Some(remark) = remark
            && remarks.len() < QUOTED
            && !remarks.iter().any(|(c, _)| *c == code)
        {
            remarks.push((code, remark.text));
        }
    }
    out.sort_by(|a, b| a.onset.total_cmp(&b.onset));
    let mut push = |count: u64, code, what: &str| {
        if count > 0 {
            let message = format!("{count} events {what}");
            notes.push(Diagnostic::new(code, Severity::Warning, message));
        }
    };
    push(malformed, "bad-marker", "have no sample and code; left out");
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
    if !remarks.is_empty() {
        let list: Vec<String> = remarks
            .iter()
            .map(|(code, text)| format!("{code} = {:?}", text.chars().take(60).collect::<String>()))
            .collect();
        notes.push(Diagnostic::new(
            "remarks",
            Severity::Note,
            format!("remarks on the codes: {}", list.join(", ")),
        ));
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_remarks_and_bad_rows() {
        let text = "NUMBER_LIST START_LIST # x\n 50 3 7 2 50 75 0 0 0 0 1\n10 3 -2 2 10 10 0 0 0 0 1\n\
            x 1 2\n999 3 7\n-4 3 7\nNUMBER_LIST END_LIST\nREMARK_LIST START_LIST\nseven\ntwo\n\
            REMARK_LIST END_LIST\n";
        let mut notes = Vec::new();
        let found = parse(1000, text, 10.0, 50.0, &mut notes);
        let got: Vec<_> = found
            .iter()
            .map(|a| (a.onset, a.duration, a.text.as_str()))
            .collect();
        assert_eq!(
            got,
            [
                (1.0, Some(0.0), "-2"),
                (5.0, Some(2.5), "7"),
                (99.9, None, "7")
            ]
        );
        let codes: Vec<_> = notes.iter().map(|d| d.code).collect();
        assert_eq!(codes, ["bad-marker", "marker-beyond-end", "remarks"]);
        assert!(notes[0].message.starts_with("2 events"));
        assert!(notes[2].message.ends_with("7 = \"seven\", -2 = \"two\""));
        let mut notes = Vec::new();
        assert_eq!(parse(16, text, 10.0, 50.0, &mut notes).len(), 1);
    }
}
