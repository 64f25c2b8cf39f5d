//! Tables out of small variables of files of named arrays.

use std::collections::BTreeMap;

use arrow::record_batch::RecordBatch;
use rayon::prelude::*;

use super::classify::{File, Status};
use super::note::{Note, without_path};
use super::parts::elements;
use super::tables::TextTable;
use crate::Result;
use crate::manifest::{FileKind, TreeTable};

/// Rows of one element of a file; `None` in front where the rule has no `each`.
type Rows = (Option<String>, Vec<Vec<Option<String>>>);

/// All files of a rule as one table. What cannot be read is a diagnostic of its file.
pub(super) fn table(
    rule: &TreeTable,
    files: &[File],
    notes: &mut Vec<Note>,
) -> Result<(String, RecordBatch)> {
    let mut table = TextTable::with_columns(&["path"]);
    let groups = rule.pattern.group_names();
    let part = rule.each.as_ref().map(|_| "part");
    let own = rule.columns.keys().map(String::as_str);
    for column in groups.chain(part).chain(["row"]).chain(own) {
        table.column(column);
    }
    // A file whose recordings are parts is there once more, as a side-car.
    let wanted = files.iter().filter(|f| {
        let whole = f.part.as_ref().is_none_or(|(path, _)| *path == f.path);
        let used = matches!(f.status, Status::Ok | Status::SideCar);
        whole && used && f.kind != Some(FileKind::Annotations)
    });
    let found: Vec<(&File, BTreeMap<String, String>)> = wanted
        .filter_map(|f| Some((f, rule.pattern.groups(&f.path)?)))
        .collect();
    let read: Vec<(Vec<Rows>, Vec<String>)> = found
        .par_iter()
        .map(|(file, _)| match rows(file, rule) {
            Ok(rows) => rows,
            Err(why) => (Vec::new(), vec![why]),
        })
        .collect();
    for ((file, groups), (elements, wrong)) in found.iter().zip(read) {
        for why in wrong {
            let message = format!("table {}: {why}", rule.table);
            notes.push(Note::warning(&file.path, "table-unreadable", message));
        }
        for (number, rows) in elements {
            for (row, k) in rows.into_iter().zip(1_usize..) {
                let mut cells: BTreeMap<&str, Option<String>> = BTreeMap::new();
                cells.insert("path", Some(file.path.clone()));
                cells.extend(groups.iter().map(|(c, v)| (c.as_str(), Some(v.clone()))));
                if let Some(number) = &number {
                    cells.insert("part", Some(number.clone()));
                }
                cells.insert("row", Some(k.to_string()));
                cells.extend(rule.columns.keys().map(String::as_str).zip(row));
                table.push(cells);
            }
        }
    }
    table.finish(&rule.table)
}

/// The rows of every element, and what is wrong with those that cannot be read.
fn rows(file: &File, rule: &TreeTable) -> Result<(Vec<Rows>, Vec<String>), String> {
    let tree = mmpipe_trees::open(&file.full).map_err(|e| without_path(&file.full, &e))?;
    let columns = |place: &str| -> Vec<(String, String)> {
        let put = |e: &String| match rule.each {
            Some(_) => e.replace('$', place),
            None => e.clone(),
        };
        rule.columns
            .iter()
            .map(|(c, e)| (c.clone(), put(e)))
            .collect()
    };
    let read = |place: &str| {
        mmpipe_formats::tree::tree_rows(tree.as_ref(), &columns(place))
            .map_err(|e| without_path(&file.full, &e))
    };
    let Some(each) = &rule.each else {
        return Ok((vec![(None, read("")?)], Vec::new()));
    };
    let (mut out, mut wrong) = (Vec::new(), Vec::new());
    for (place, number) in elements(tree.as_ref(), each)?.iter().zip(1_usize..) {
        match read(place) {
            Ok(rows) => out.push((Some(number.to_string()), rows)),
            Err(why) => wrong.push(format!("element {number}: {why}")),
        }
    }
    Ok((out, wrong))
}
