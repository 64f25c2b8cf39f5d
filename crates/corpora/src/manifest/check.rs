//! Checks of a manifest that its types cannot express.

mod arrays;

use super::{Action, FileKind, Layout, Manifest, Pattern};
use crate::electrodes::KINDS;
use crate::{Error, Result};

/// Tables that every scan makes; a side-car may not take their names.
const TABLES: &[&str] = &["files", "events", "channels", "diagnostics"];
/// Columns of `files` that a named group may not take.
const FILE_COLUMNS: &[&str] = &[
    "path",
    "container",
    "bytes",
    "sfreq",
    "n_channels",
    "seconds",
    "start_time",
    "status",
    "reason",
];

/// Checks everything; the first fault is returned.
pub(super) fn check(m: &Manifest, file: &str) -> Result<()> {
    let fail = |key: String, detail: String| {
        Err(Error::ManifestValue {
            file: file.to_owned(),
            key,
            detail,
        })
    };
    for (key, name) in m.names().enumerate() {
        if !is_name(name) {
            let key = match key {
                0 => "name".to_owned(),
                k => format!("aliases[{}]", k - 1),
            };
            return fail(
                key,
                format!("expected letters, digits, `-`, `_` or `.`, found `{name}`"),
            );
        }
    }
    if m.mapping.as_ref().is_some_and(|n| blank(Some(&n.needs))) {
        return fail(
            "mapping.needs".into(),
            "expected what a mapping file must say, found nothing".into(),
        );
    }
    let mapped = m.mapping.is_none();
    if mapped && m.layout == Layout::Plain && m.files.iter().all(|f| f.kind != FileKind::Signal) {
        return fail(
            "files".into(),
            "expected at least one rule with kind = \"signal\", found none".into(),
        );
    }
    for (i, rule) in m.files.iter().enumerate() {
        if rule.kind == FileKind::Ignore && blank(rule.reason.as_deref()) {
            return fail(
                format!("files[{i}].reason"),
                "expected why these files are ignored, found nothing".into(),
            );
        }
        if let Some(example) = rule.example.as_ref().filter(|e| !rule.pattern.is_match(e)) {
            return fail(
                format!("files[{i}].example"),
                format!("expected a path that the pattern matches, found `{example}`"),
            );
        }
        if (rule.kind == FileKind::Annotations) != rule.of.is_some() {
            return fail(
                format!("files[{i}].of"),
                "expected the signal file's path together with kind = \"annotations\", and \
                 nowhere else"
                    .into(),
            );
        }
        for column in columns(&rule.pattern).chain(rule.set.keys().map(String::as_str)) {
            if FILE_COLUMNS.contains(&column) {
                return fail(
                    format!("files[{i}].pattern"),
                    format!("`{column}` is a column of the table files already"),
                );
            }
        }
    }
    for (i, rule) in m.channels.drop.iter().enumerate() {
        if rule.reason.trim().is_empty() {
            return fail(
                format!("channels.drop[{i}].reason"),
                "expected why these channels are dropped, found nothing".into(),
            );
        }
        if let Some(kind) = &rule.kind {
            known_kind(file, &format!("channels.drop[{i}].kind"), kind)?;
        }
    }
    for (i, rule) in m.channels.kinds.iter().enumerate() {
        known_kind(file, &format!("channels.kinds[{i}].kind"), &rule.kind)?;
    }
    for (i, list) in m.channels.lists.iter().enumerate() {
        if list.names.is_empty() {
            return fail(
                format!("channels.lists[{i}].names"),
                "expected a label for every channel, found none".into(),
            );
        }
    }
    arrays::check(m, file)?;
    for (i, table) in m.tables.iter().enumerate() {
        let taken = m.side_cars.iter().map(|s| &s.table);
        let taken = taken.chain(m.tables[..i].iter().map(|t| &t.table));
        if TABLES.contains(&table.table.as_str())
            || !is_table(&table.table)
            || taken.into_iter().any(|t| *t == table.table)
        {
            return fail(
                format!("tables[{i}].table"),
                format!(
                    "expected a lower-case identifier that no other table has, found `{}`",
                    table.table
                ),
            );
        }
        if table.columns.is_empty() {
            return fail(
                format!("tables[{i}].columns"),
                "expected at least one column, found none".into(),
            );
        }
        let part = table.each.as_ref().map(|_| "part");
        let given = ["path", "row"].into_iter().chain(part);
        for column in given.chain(columns(&table.pattern)) {
            if table.columns.contains_key(column) {
                return fail(
                    format!("tables[{i}].columns"),
                    format!("`{column}` is a column of every such table already"),
                );
            }
        }
        let known = |name: &&String| table.columns.contains_key(*name);
        if let Some(name) = table.changes.iter().find(|n| !known(n)) {
            return fail(
                format!("tables[{i}].changes"),
                format!("`{name}` is none of the columns"),
            );
        }
        arrays::each(file, &format!("tables[{i}].each"), table.each.as_deref())?;
    }
    for (i, open) in m.open.iter().enumerate() {
        let texts = [
            ("what", &open.what),
            ("meanwhile", &open.meanwhile),
            ("source", &open.source),
        ];
        for (key, text) in texts {
            if text.trim().is_empty() {
                return fail(
                    format!("open[{i}].{key}"),
                    "expected a sentence, found nothing".into(),
                );
            }
        }
    }
    for (i, side_car) in m.side_cars.iter().enumerate() {
        if TABLES.contains(&side_car.table.as_str()) || !is_table(&side_car.table) {
            return fail(
                format!("side_cars[{i}].table"),
                format!(
                    "expected a lower-case identifier other than {}, found `{}`",
                    TABLES.join(", "),
                    side_car.table
                ),
            );
        }
        if m.side_cars[..i].iter().any(|s| s.table == side_car.table) {
            return fail(
                format!("side_cars[{i}].table"),
                format!("`{}` is defined twice", side_car.table),
            );
        }
    }
    let queries = [
        ("trials.sql", Some(&m.trials).filter(|_| mapped)),
        ("intervals.sql", m.intervals.as_ref()),
        ("streams.sql", m.streams.as_ref()),
        ("stimuli.sql", m.stimuli.as_ref()),
    ];
    for (key, query) in queries {
        if query.is_some_and(|q| q.sql.trim().is_empty()) {
            return fail(key.into(), "expected a query, found nothing".into());
        }
    }
    for (i, fault) in m.faults.iter().enumerate() {
        for (key, text) in [("fault", &fault.fault), ("source", &fault.source)] {
            if text.trim().is_empty() {
                return fail(
                    format!("faults[{i}].{key}"),
                    "expected a sentence, found nothing".into(),
                );
            }
        }
        let unit_is_right = match (&fault.unit, fault.action) {
            (Some(unit), Action::Unit) => crate::scan::microvolts(unit).is_some(),
            (None, Action::Unit) | (Some(_), _) => false,
            (None, _) => true,
        };
        if !unit_is_right {
            return fail(
                format!("faults[{i}].unit"),
                "expected V, mV, µV or nV together with action = \"unit\", and nowhere else".into(),
            );
        }
    }
    for (i, d) in m.differences.iter().enumerate() {
        const WHAT: &[&str] = &["hours", "channels", "subjects", "recordings"];
        if !WHAT.contains(&d.what.as_str()) {
            return fail(
                format!("differences[{i}].what"),
                format!("expected one of {}, found `{}`", WHAT.join(", "), d.what),
            );
        }
        if d.why.trim().is_empty() {
            return fail(
                format!("differences[{i}].why"),
                "expected an explanation, found nothing".into(),
            );
        }
    }
    Ok(())
}

fn columns(pattern: &Pattern) -> impl Iterator<Item = &str> {
    pattern.group_names()
}

fn blank(text: Option<&str>) -> bool {
    text.is_none_or(|t| t.trim().is_empty())
}

fn is_name(name: &str) -> bool {
    !name.is_empty()
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.'))
}

fn is_table(name: &str) -> bool {
    name.starts_with(|c: char| c.is_ascii_lowercase())
        && name
            .chars()
            .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_')
}

fn known_kind(file: &str, key: &str, kind: &str) -> Result<()> {
    if KINDS.contains(&kind) {
        return Ok(());
    }
    Err(Error::ManifestValue {
        file: file.to_owned(),
        key: key.to_owned(),
        detail: format!("expected one of {}, found `{kind}`", KINDS.join(", ")),
    })
}
