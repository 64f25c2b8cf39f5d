//! Recordings inside files of named arrays: which there are, and how one is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mmpipe_formats::Recording;

use super::Part;
use super::classify::{File, Status};
use crate::manifest::{FileKind, Manifest, PartRule};

/// Opens a recording inside a file; `tree` is [`Part::tree`].
///
/// # Errors
/// What is wrong, without the path.
pub fn open(path: &Path, tree: &str) -> Result<Box<dyn Recording>, String> {
    let _ = (path, tree);
    Err("recordings inside files of named arrays are not supported yet".into())
}

/// The number and the place of every element that `each` leads to.
fn elements(path: &Path, each: &str) -> Result<Vec<(usize, String)>, String> {
    let _ = (path, each);
    Err("recordings inside files of named arrays are not supported yet".into())
}

/// Puts in place of a file with parts the file as a side-car and after it its recordings.
pub(super) fn split(files: Vec<File>, manifest: &Manifest) -> Vec<File> {
    let mut out = Vec::with_capacity(files.len());
    for mut file in files {
        let rules: Vec<&PartRule> = manifest
            .parts
            .iter()
            .filter(|r| r.pattern.is_match(&file.path))
            .collect();
        if rules.is_empty() || file.kind != Some(FileKind::Signal) {
            out.push(file);
            continue;
        }
        let mut parts = Vec::new();
        for rule in rules {
            match recordings(&file, rule) {
                Ok(more) => parts.extend(more),
                Err(why) => parts.push(rejected(&file, rule, why)),
            }
        }
        let mut seen = BTreeSet::new();
        for part in &mut parts {
            if !seen.insert(part.path.clone()) {
                part.status = Status::Rejected;
                part.reason = Some("two rules of the manifest give this part".into());
            }
        }
        let whole = parts.iter().any(|p| p.path == file.path);
        if !whole {
            // The recordings stand for the file; what was wrong with it is wrong with them.
            file.kind = Some(FileKind::SideCar);
            if file.status == Status::Ok {
                file.status = Status::SideCar;
                file.reason = Some(format!("holds {} recordings", parts.len()));
            } else if file.status == Status::Rejected {
                file.status = Status::SideCar;
            }
            out.push(file);
        }
        out.extend(parts);
    }
    out
}

/// The parts among `files`, by path.
pub(super) fn list(files: &[File]) -> BTreeMap<String, Part> {
    files
        .iter()
        .filter_map(|f| {
            let (file, tree) = f.part.clone()?;
            Some((f.path.clone(), Part { file, tree }))
        })
        .collect()
}

/// The recordings that one rule finds in a file.
fn recordings(file: &File, rule: &PartRule) -> Result<Vec<File>, String> {
    let tree = serde_json::to_string(&rule.tree).map_err(|e| e.to_string())?;
    let Some(each) = &rule.each else {
        let part = rule.part.as_deref();
        return Ok(vec![recording(file, rule, part, tree, None)]);
    };
    if file.status != Status::Ok {
        return Ok(vec![recording(file, rule, Some("*"), tree, None)]);
    }
    Ok(elements(&file.full, each)?
        .into_iter()
        .map(|(number, place)| {
            let number = number.to_string();
            let part = rule.part.as_deref().unwrap_or("$").replace('$', &number);
            // The place is an expression of names and numbers; quotes cannot occur in it.
            let tree = tree.replace('$', &place);
            recording(file, rule, Some(&part), tree, Some(&number))
        })
        .collect())
}

fn recording(
    file: &File,
    rule: &PartRule,
    part: Option<&str>,
    tree: String,
    number: Option<&str>,
) -> File {
    let mut found = file.clone();
    if let Some(part) = part {
        found.path = format!("{}#{part}", file.path);
    }
    for (column, value) in &rule.set {
        let value = match number {
            Some(number) => value.replace('$', number),
            None => value.clone(),
        };
        found.groups.insert(column.clone(), value);
    }
    found.part = Some((file.path.clone(), tree));
    found
}

/// Stands for the recordings of a file whose parts cannot be listed.
fn rejected(file: &File, rule: &PartRule, why: String) -> File {
    let part = rule.part.as_deref().unwrap_or("*");
    let mut found = recording(file, rule, Some(part), String::new(), None);
    if found.status == Status::Ok {
        found.status = Status::Rejected;
        found.reason = Some(why);
    }
    found
}
