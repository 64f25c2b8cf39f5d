//! Tables out of small variables of files of named arrays.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use mmpipe_formats::tree::share;
use rayon::prelude::*;

use super::classify::{File, Status};
use super::early::Early;
use super::note::{Note, without_path};
use super::parts::{Element, elements};
use super::tables::TextTable;
use crate::manifest::{FileKind, TreeTable};

/// A row and its number from 1.
type Row = (usize, Vec<Option<String>>);
/// Rows of one element of a file, by its name; `None` in front where the rule has no `each`.
type Rows = (Option<String>, Vec<Row>);
/// The rows of every element of a file and what is wrong with those that cannot be read, or why there
/// are none.
pub(super) type Read = Result<(Vec<Rows>, Vec<String>), String>;

/// Whether a file may hold tables. One whose recordings are parts is there once more, as a side-car.
pub(super) fn may_hold(file: &File) -> bool {
    let used = matches!(file.status, Status::Ok | Status::SideCar);
    file.is_whole() && used && file.kind != Some(FileKind::Annotations)
}

/// All files of a rule, the manifest's `k`-th, as one table. What cannot be read is a diagnostic of its
/// file.
pub(super) fn table(
    k: usize,
    rule: &TreeTable,
    files: &[File],
    early: &mut Early,
    notes: &mut Vec<Note>,
) -> crate::Result<(String, RecordBatch)> {
    let mut table = TextTable::with_columns(&["path"]);
    let groups = rule.pattern.group_names();
    let part = rule.each.as_ref().map(|_| "part");
    let own = rule.columns.keys().map(String::as_str);
    for column in groups.chain(part).chain(["row"]).chain(own) {
        table.column(column);
    }
    let wanted = files.iter().filter(|f| may_hold(f));
    let found: Vec<(&File, BTreeMap<String, String>)> = wanted
        .filter_map(|f| Some((f, rule.pattern.groups(&f.path)?)))
        .collect();
    let before: Vec<Option<Read>> = found
        .iter()
        .map(|(file, _)| early.rows(k, &file.path))
        .collect();
    let read: Vec<(Vec<Rows>, Vec<String>)> = found
        .par_iter()
        .zip(before)
        .map(|((file, _), before)| {
            let read = before.unwrap_or_else(|| rows(file, rule));
            read.unwrap_or_else(|why| (Vec::new(), vec![why]))
        })
        .collect();
    for ((file, groups), (elements, wrong)) in found.iter().zip(read) {
        for why in wrong {
            let remedy = rule
                .remedy
                .as_ref()
                .map_or(String::new(), |r| format!("; {r}"));
            let message = format!("table {}: {why}{remedy}", rule.table);
            notes.push(Note::warning(&file.path, "table-unreadable", message));
        }
        for (number, rows) in elements {
            for (n, row) in rows {
                let mut cells: BTreeMap<&str, Option<String>> = BTreeMap::new();
                cells.insert("path", Some(file.path.clone()));
                cells.extend(groups.iter().map(|(c, v)| (c.as_str(), Some(v.clone()))));
                if let Some(number) = &number {
                    cells.insert("part", Some(number.clone()));
                }
                cells.insert("row", Some(n.to_string()));
                cells.extend(rule.columns.keys().map(String::as_str).zip(row));
                table.push(cells);
            }
        }
    }
    table.finish_counted(&rule.table, "row")
}

/// The rows of one file.
pub(super) fn rows(file: &File, rule: &TreeTable) -> Read {
    let tree = share(&file.full).map_err(|e| without_path(&file.full, &e))?;
    let columns = |element: Option<&Element>| -> Vec<(String, String)> {
        let put = |e: &String| match element {
            Some(element) => element.expression(e),
            None => e.clone(),
        };
        rule.columns
            .iter()
            .map(|(c, e)| (c.clone(), put(e)))
            .collect()
    };
    let read = |element: Option<&Element>| -> Result<Vec<Row>, String> {
        let rows = mmpipe_formats::tree::tree_rows(tree.as_ref(), &columns(element))
            .map_err(|e| without_path(&file.full, &e))?;
        let mut rows: Vec<Row> = (1..).zip(rows).collect();
        if !rule.changes.is_empty() {
            let names = rule.columns.keys().enumerate();
            let watched: Vec<usize> = names
                .filter_map(|(k, name)| rule.changes.contains(name).then_some(k))
                .collect();
            // The first of equal rows stays.
            rows.dedup_by(|(_, row), (_, before)| {
                watched.iter().all(|k| row.get(*k) == before.get(*k))
            });
        }
        Ok(rows)
    };
    let Some(each) = &rule.each else {
        return Ok((vec![(None, read(None)?)], Vec::new()));
    };
    let part = rule.part.as_deref().unwrap_or("$");
    let (mut out, mut wrong) = (Vec::new(), Vec::new());
    for element in elements(tree.as_ref(), each)? {
        match read(Some(&element)) {
            Ok(rows) => out.push((Some(element.text(part)), rows)),
            Err(why) => wrong.push(format!("element {}: {why}", element.number)),
        }
    }
    Ok((out, wrong))
}
