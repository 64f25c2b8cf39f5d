//! Recordings inside files of named arrays: which there are, and how one is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mmpipe_formats::Recording;
use mmpipe_formats::tree::{Names, Number, TreeSpec};
use mmpipe_trees::{Class, Tree};

use super::Part;
use super::classify::{File, Status};
use super::note::without_path;
use crate::manifest::{FileKind, Manifest, PartRule};

/// Most elements of one `each`.
const MOST: usize = 1 << 16;

/// Opens a recording inside a file; `tree` is [`Part::tree`].
///
/// # Errors
/// What is wrong, without the path.
pub fn open(path: &Path, tree: &str) -> Result<Box<dyn Recording>, String> {
    let spec: TreeSpec = serde_json::from_str(tree).map_err(|e| e.to_string())?;
    mmpipe_formats::tree::open_tree(path, &spec).map_err(|e| without_path(path, &e))
}

/// The places of all elements that `each` leads to, in order; from 1 they are numbered.
///
/// # Errors
/// What is wrong, without the path; also when there is no element.
pub(super) fn elements(tree: &dyn Tree, each: &str) -> Result<Vec<String>, String> {
    let (list, open, close, class) = match (each.strip_suffix("{*}"), each.strip_suffix("(*)")) {
        (Some(list), _) => (list, '{', '}', Class::Cell),
        (None, Some(list)) => (list, '(', ')', Class::Struct),
        (None, None) => return Err(format!("{each}: expected {{*}} or (*) at the end")),
    };
    let lists = mmpipe_trees::select(tree, list).map_err(|e| without_path(tree.path(), &e))?;
    let mut out = Vec::new();
    for list in lists {
        if list.class != class {
            return Err(format!(
                "{}: expected a {} array, found {:?}",
                list.place,
                if class == Class::Cell {
                    "cell"
                } else {
                    "struct"
                },
                list.class
            ));
        }
        if list.len() > (MOST - out.len()) as u64 {
            return Err(format!("{each}: more than {MOST} elements"));
        }
        out.extend((1..=list.len()).map(|i| format!("{}{open}{i}{close}", list.place)));
    }
    match out.is_empty() {
        true => Err(format!("{each}: no element")),
        false => Ok(out),
    }
}

/// Puts the place of an element into `$`, wherever it stands.
fn at(spec: &TreeSpec, place: &str) -> TreeSpec {
    let put = |text: &String| text.replace('$', place);
    TreeSpec {
        eeg: spec.eeg.iter().map(put).collect(),
        sfreq: match &spec.sfreq {
            Number::Literal(x) => Number::Literal(*x),
            Number::Expression(e) => Number::Expression(put(e)),
        },
        ch_names: spec.ch_names.as_ref().map(|names| match names {
            Names::List(list) => Names::List(list.clone()),
            Names::Expression(e) => Names::Expression(put(e)),
        }),
        start: spec.start.as_ref().map(put),
        ..spec.clone()
    }
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
    let json = |spec: &TreeSpec| serde_json::to_string(spec).map_err(|e| e.to_string());
    let Some(each) = &rule.each else {
        let part = rule.part.as_deref();
        return Ok(vec![recording(file, rule, part, json(&rule.tree)?, None)]);
    };
    if file.status != Status::Ok {
        return Ok(vec![recording(
            file,
            rule,
            Some("*"),
            json(&rule.tree)?,
            None,
        )]);
    }
    let tree = mmpipe_trees::open(&file.full).map_err(|e| without_path(&file.full, &e))?;
    let places = elements(tree.as_ref(), each)?;
    let numbered = places.iter().zip(1_usize..);
    numbered
        .map(|(place, number)| {
            let number = number.to_string();
            let part = rule.part.as_deref().unwrap_or("$").replace('$', &number);
            let tree = json(&at(&rule.tree, place))?;
            Ok(recording(file, rule, Some(&part), tree, Some(&number)))
        })
        .collect()
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
