//! Checks of recordings, sounds and triggers inside files.

use std::collections::BTreeMap;

use super::FILE_COLUMNS;
use crate::manifest::Manifest;
use crate::stimulus::channel_number;
use crate::{Error, Result};

/// Checks `[[parts]]`, `[[sounds]]` and `[[triggers]]`; the first fault is returned.
pub(super) fn check(m: &Manifest, file: &str) -> Result<()> {
    for (i, rule) in m.parts.iter().enumerate() {
        let at = Rule {
            file,
            key: format!("parts[{i}]"),
            each: rule.each.as_deref(),
        };
        at.check(rule.part.as_deref(), &rule.set)?;
        if rule.each.is_some() != rule.tree.eeg.iter().any(|e| e.contains('$')) {
            return at.fail(
                "tree.eeg",
                "expected $, which stands for the element, together with `each`, and nowhere else",
            );
        }
    }
    for (i, rule) in m.sounds.iter().enumerate() {
        let at = Rule {
            file,
            key: format!("sounds[{i}]"),
            each: rule.each.as_deref(),
        };
        at.check(Some(&rule.part), &rule.set)?;
        if rule.each.is_some() && !rule.part.contains('$') {
            return at.fail(
                "part",
                "expected $, which tells the elements of `each` apart",
            );
        }
        if rule.each.is_some() != rule.tree.audio.contains('$') {
            return at.fail(
                "tree.audio",
                "expected $, which stands for the element, together with `each`, and nowhere else",
            );
        }
        if rule.tree.row == Some(0) {
            return at.fail("tree.row", "expected a number from 1, found 0");
        }
    }
    for (i, rule) in m.triggers.iter().enumerate() {
        if rule.channel.trim().is_empty() {
            let at = Rule {
                file,
                key: format!("triggers[{i}]"),
                each: None,
            };
            return at.fail("channel", "expected a channel's label, found nothing");
        }
    }
    Ok(())
}

/// An expression over elements has a wildcard.
pub(super) fn each(file: &str, key: &str, expression: Option<&str>) -> Result<()> {
    match expression {
        Some(e) if wildcards(e) == 0 => Err(Error::ManifestValue {
            file: file.to_owned(),
            key: key.to_owned(),
            detail: format!("expected an expression with {{*}}, (*) or .*, found `{e}`"),
        }),
        _ => Ok(()),
    }
}

fn wildcards(expression: &str) -> usize {
    expression.matches('*').count()
}

/// A rule for something inside a file.
struct Rule<'a> {
    file: &'a str,
    key: String,
    each: Option<&'a str>,
}

impl Rule<'_> {
    fn fail(&self, key: &str, detail: &str) -> Result<()> {
        Err(Error::ManifestValue {
            file: self.file.to_owned(),
            key: format!("{}.{key}", self.key),
            detail: detail.to_owned(),
        })
    }

    /// What holds for recordings and sounds.
    fn check(&self, part: Option<&str>, set: &BTreeMap<String, String>) -> Result<()> {
        if let Some(column) = set.keys().find(|c| FILE_COLUMNS.contains(&c.as_str())) {
            return self.fail(
                "set",
                &format!("`{column}` is a column of the table files already"),
            );
        }
        each(self.file, &format!("{}.each", self.key), self.each)?;
        let Some(part) = part else { return Ok(()) };
        if part.is_empty() || part.contains('#') {
            return self.fail("part", "expected a name without #");
        }
        if channel_number(part).is_some() {
            return self.fail(
                "part",
                "expected another name than ch and a number, which is a channel of a sound",
            );
        }
        let Some(expression) = self.each else {
            return match part.contains('$') {
                true => self.fail(
                    "part",
                    "expected a name without $, which stands for the number of an element of `each`",
                ),
                false => Ok(()),
            };
        };
        let most = wildcards(expression);
        let beyond = (1..=9).find(|k| *k > most && part.contains(&format!("${k}")));
        match beyond {
            Some(k) => self.fail("part", &format!("${k}: `each` has only {most} wildcards")),
            None => Ok(()),
        }
    }
}
