//! Time-stamped annotation lists of EDF+ (<https://www.edfplus.info/specs/edfplus.html>,
//! section 2.2.2): `+onset [0x15 duration] 0x14 text 0x14 ... 0x14 0x00`.

use crate::text;

/// One list: an onset, a duration and its texts (raw bytes, empty texts kept).
pub(super) struct Tal<'a> {
    pub(super) onset: f64,
    pub(super) duration: Option<f64>,
    texts: &'a [u8],
}

impl<'a> Tal<'a> {
    /// The texts, decoded as UTF-8 with Latin-1 as fallback.
    pub(super) fn texts(&self) -> impl Iterator<Item = String> + 'a {
        self.texts
            .split(|&b| b == 0x14)
            .map(|raw| text::decode(raw).into_owned())
    }

    /// True for the list that gives a data record its time: its first text is empty.
    pub(super) fn keeps_time(&self) -> bool {
        self.texts.first().is_none_or(|&b| b == 0x14)
    }
}

/// The lists in the annotation bytes of one data record; `Err` for each that is malformed.
pub(super) fn parse(bytes: &[u8]) -> impl Iterator<Item = Result<Tal<'_>, ()>> {
    bytes
        .split(|&b| b == 0)
        .filter(|chunk| !chunk.is_empty())
        .map(|chunk| one(chunk).ok_or(()))
}

fn one(chunk: &[u8]) -> Option<Tal<'_>> {
    let head_end = chunk.iter().position(|&b| b == 0x14)?;
    // What follows the last 0x14 would be a text without an end.
    let texts = chunk[head_end + 1..].strip_suffix(&[0x14]).or_else(|| {
        // "+0 0x14 0x00": a bare onset, as some writers keep time.
        (head_end + 1 == chunk.len()).then_some(&[][..])
    })?;
    let mut head = chunk[..head_end].splitn(2, |&b| b == 0x15);
    let onset = number(head.next()?, true)?;
    let duration = match head.next() {
        None | Some(b"") => None,
        Some(raw) => Some(number(raw, false)?),
    };
    Some(Tal {
        onset,
        duration,
        texts,
    })
}

/// A decimal number without exponent; an onset must carry its sign.
fn number(raw: &[u8], signed: bool) -> Option<f64> {
    let digits = match raw.first()? {
        b'+' | b'-' => &raw[1..],
        _ if signed => return None,
        _ => raw,
    };
    let plain = digits.iter().all(|b| b.is_ascii_digit() || *b == b'.');
    if digits.is_empty() || !plain {
        return None;
    }
    std::str::from_utf8(raw).ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Onset, duration, texts, and whether the list keeps time.
    type Plain = (f64, Option<f64>, Vec<String>, bool);

    fn all(bytes: &[u8]) -> Vec<Option<Plain>> {
        parse(bytes)
            .map(|t| {
                t.ok()
                    .map(|t| (t.onset, t.duration, t.texts().collect(), t.keeps_time()))
            })
            .collect()
    }

    #[test]
    fn examples_of_the_specification() {
        let got = all(b"+567\x14\x14\0+567\x14Lights off\x14Close door\x14\0+1800.2\x1525.5\x14Apnea\x14\0\0\0");
        assert_eq!(
            got,
            vec![
                Some((567.0, None, vec![String::new()], true)),
                Some((
                    567.0,
                    None,
                    vec!["Lights off".into(), "Close door".into()],
                    false
                )),
                Some((1800.2, Some(25.5), vec!["Apnea".into()], false)),
            ]
        );
    }

    #[test]
    fn texts_are_utf8_or_latin1() {
        let got = all(b"+1\x14\xc3\xa4\x14\0+2\x14\xe4\x14\0");
        assert_eq!(
            got[0].as_ref().map(|g| g.2.clone()),
            Some(vec!["ä".to_owned()])
        );
        assert_eq!(
            got[1].as_ref().map(|g| g.2.clone()),
            Some(vec!["ä".to_owned()])
        );
    }

    #[test]
    fn malformed_lists_are_errors_not_guesses() {
        for bad in [
            &b"1\x14a\x14\0"[..],
            b"+\x14a\x14\0",
            b"+1e5\x14a\x14\0",
            b"+1\x15x\x14a\x14\0",
            b"+1\x14no end\0",
            b"noise\0",
            b"+1.2.3\x14\x14\0",
        ] {
            assert_eq!(all(bad), vec![None], "{bad:?}");
        }
        assert!(all(b"\0\0\0").is_empty());
        assert_eq!(all(b"+0\x14\0")[0].as_ref().map(|g| g.3), Some(true));
    }
}
