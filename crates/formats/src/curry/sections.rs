//! The text of Curry's parameter, label and event files: sections of `key = value` lines
//! between `NAME START` and `NAME END`, and lists between `NAME START_LIST` and
//! `NAME END_LIST`. Nothing is copied: every question walks the text.

/// A value with the number of its line, from 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Value<'a> {
    pub(super) line: usize,
    pub(super) text: &'a str,
}

/// Most groups of channels that are looked at (a file has one to four).
const MOST_GROUPS: usize = 32;

/// The first `key` of these in section `section`, or anywhere when that is empty.
pub(super) fn value<'a>(text: &'a str, section: &str, keys: &[&str]) -> Option<Value<'a>> {
    let mut inside = section.is_empty();
    for (i, line) in text.lines().enumerate() {
        let mut words = line.split_whitespace();
        if !section.is_empty() && words.next() == Some(section) {
            match words.next() {
                Some("START") => inside = true,
                Some("END") => inside = false,
                _ => {}
            }
            continue;
        }
        if inside
            && let Some((key, value)) = line.split_once('=')
            && keys.contains(&key.trim())
        {
            return Some(Value {
                line: i + 1,
                text: value.trim(),
            });
        }
    }
    None
}

/// The lines of the list `name`, blank ones left out; `None` when it has no beginning.
pub(super) fn list<'a>(
    text: &'a str,
    name: &str,
) -> Option<impl Iterator<Item = Value<'a>> + use<'a>> {
    let is = |line: &str, word: &str| {
        let mut words = line.split_whitespace();
        words.next() == Some(name) && words.next() == Some(word)
    };
    let begin = text.lines().position(|line| is(line, "START_LIST"))?;
    let rows = text
        .lines()
        .enumerate()
        .skip(begin + 1)
        // A list whose end is missing ends where the next section begins.
        .take_while(|(_, line)| {
            let word = line.split_whitespace().nth(1).unwrap_or_default();
            !matches!(word, "END_LIST" | "START_LIST" | "START" | "END")
        })
        .map(|(i, line)| Value {
            line: i + 1,
            text: line.trim(),
        })
        .filter(|v| !v.text.is_empty());
    Some(rows)
}

/// What follows `prefix` in the names of lists ("" for the EEG, "_OTHERS", "_MAG1", ...), in
/// file order.
pub(super) fn groups<'a>(text: &'a str, prefix: &str) -> Vec<&'a str> {
    let mut out = Vec::new();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        let name = words.next().and_then(|w| w.strip_prefix(prefix));
        if let Some(suffix) = name
            && words.next() == Some("START_LIST")
            && (suffix.is_empty() || suffix.starts_with('_'))
            && !out.contains(&suffix)
            && out.len() < MOST_GROUPS
        {
            out.push(suffix);
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "DATA_PARAMETERS START\n   NumSamples  =   10\r\nDATA_PARAMETERS END\n\
        DEVICE_PARAMETERS START\n  DataUnit = uV\nDEVICE_PARAMETERS END\n\
        DEVICE_PARAMETERS_OTHERS START\n  DataUnit =\nDEVICE_PARAMETERS_OTHERS END\n\
        LABELS START\n  ListNrRows = 2\nLABELS END\nLABELS START_LIST\t# Do not edit!\nFz \n\nC z\n\
        LABELS END_LIST\nLABELS_OTHERS START_LIST\nTrigger\nLABELS_OTHERS START\n";

    #[test]
    fn values_lists_and_groups() {
        let found = value(TEXT, "DATA_PARAMETERS", &["NUM", "NumSamples"]).unwrap();
        assert_eq!((found.line, found.text), (2, "10"));
        assert_eq!(value(TEXT, "DEVICE_PARAMETERS", &["NumSamples"]), None);
        let unit = |s| value(TEXT, s, &["DataUnit"]).unwrap().text;
        assert_eq!(unit("DEVICE_PARAMETERS"), "uV");
        assert_eq!(unit("DEVICE_PARAMETERS_OTHERS"), "");
        let labels: Vec<_> = list(TEXT, "LABELS").unwrap().map(|v| v.text).collect();
        assert_eq!(labels, ["Fz", "C z"]);
        // No end: the next section ends it.
        let others: Vec<_> = list(TEXT, "LABELS_OTHERS")
            .unwrap()
            .map(|v| v.line)
            .collect();
        assert_eq!(others, [19]);
        assert!(list(TEXT, "SENSORS").is_none());
        assert_eq!(groups(TEXT, "LABELS"), ["", "_OTHERS"]);
    }
}
