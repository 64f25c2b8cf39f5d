//! Recordings inside files of named arrays: which there are, and how one is opened.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use mmpipe_formats::Recording;
use mmpipe_formats::tree::{Names, Number, TreeSpec, share};
use mmpipe_trees::{Tree, places};
use rayon::prelude::*;

use super::classify::{File, Status};
use super::early::Early;
use super::note::without_path;
use super::{Coming, Filter, Part};
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

/// One of the places that `each` leads to.
#[derive(Debug, Clone)]
pub(super) struct Element {
    /// Where it is.
    pub(super) place: String,
    /// Its number, from 1.
    pub(super) number: usize,
    /// What each wildcard is there.
    met: Vec<String>,
}

impl Element {
    /// Puts the place into `$`, and what wildcards are into `$1`, `$2`, ...
    pub(super) fn expression(&self, template: &str) -> String {
        self.put(template, &self.place)
    }

    /// Puts the number into `$`, and what wildcards are into `$1`, `$2`, ...
    pub(super) fn text(&self, template: &str) -> String {
        self.put(template, &self.number.to_string())
    }

    fn put(&self, template: &str, whole: &str) -> String {
        let mut out = String::with_capacity(template.len() + whole.len());
        let mut rest = template;
        while let Some((before, after)) = rest.split_once('$') {
            out.push_str(before);
            let digit = after.chars().next().and_then(|c| c.to_digit(10));
            let met = digit.and_then(|k| self.met.get((k as usize).checked_sub(1)?));
            rest = match (met, after.get(1..)) {
                (Some(met), Some(after)) => {
                    out.push_str(met);
                    after
                }
                _ => {
                    out.push_str(whole);
                    after
                }
            };
        }
        out.push_str(rest);
        out
    }
}

/// The places of all elements that `each` leads to, in order.
///
/// # Errors
/// What is wrong, without the path; also when there is no element.
pub(super) fn elements(tree: &dyn Tree, each: &str) -> Result<Vec<Element>, String> {
    let found = places(tree, each).map_err(|e| without_path(tree.path(), &e))?;
    match found.len() {
        0 => Err(format!("{each}: no element")),
        n if n > MOST => Err(format!("{each}: more than {MOST} elements")),
        _ => Ok(found
            .into_iter()
            .zip(1..)
            .map(|(found, number)| Element {
                place: found.place,
                number,
                met: found.met,
            })
            .collect()),
    }
}

/// Puts an element into all expressions.
fn at(spec: &TreeSpec, element: &Element) -> TreeSpec {
    let put = |text: &String| element.expression(text);
    TreeSpec {
        eeg: spec.eeg.iter().map(put).collect(),
        sfreq: number_at(&spec.sfreq, element),
        ch_names: spec.ch_names.as_ref().map(|names| match names {
            Names::List(list) => Names::List(list.clone()),
            Names::Expression(e) => Names::Expression(put(e)),
        }),
        start: spec.start.as_ref().map(put),
        times: spec.times.as_ref().map(put),
        ..spec.clone()
    }
}

/// Puts an element into an expression that gives a number.
pub(super) fn number_at(number: &Number, element: &Element) -> Number {
    match number {
        Number::Literal(x) => Number::Literal(*x),
        Number::Expression(e) => Number::Expression(element.expression(e)),
    }
}

/// Columns that a rule sets, with the element put in.
pub(super) fn set(
    columns: &BTreeMap<String, String>,
    element: Option<&Element>,
) -> impl Iterator<Item = (String, String)> {
    columns.iter().map(move |(column, value)| {
        let value = match element {
            Some(element) => element.text(value),
            None => value.clone(),
        };
        (column.clone(), value)
    })
}

/// Puts in place of a file with parts the file as a side-car and after it its recordings. Files are
/// looked into side by side, and whatever the scan wants of one is read while it is open: a compressed
/// one is inflated for it as a whole.
pub(super) fn split(files: Vec<File>, manifest: &Manifest, filter: &Filter) -> (Vec<File>, Early) {
    let split: Vec<(Vec<File>, Early)> = files
        .into_par_iter()
        .map(|file| {
            // Until all is read; without it, what other threads open would close it. What keeps it
            // from being opened is said where its parts are looked for.
            let _open = holds_parts(&file, manifest).then(|| share(&file.full));
            let files = split_one(file, manifest, filter);
            let early = match files.as_slice() {
                [_] => Early::default(),
                files => Early::read(files, manifest),
            };
            (files, early)
        })
        .collect();
    let mut all = (Vec::with_capacity(split.len()), Early::default());
    for (files, early) in split {
        all.0.extend(files);
        all.1.extend(early);
    }
    all
}

/// What [`split`] will open, and the sounds beside it.
pub(super) fn coming(files: &[File], manifest: &Manifest) -> Coming {
    let opened = files.iter().filter(|f| holds_parts(f, manifest));
    let sounds = files.iter().filter(|f| f.status == Status::Stimulus);
    Coming {
        arrays: opened.map(|f| f.full.clone()).collect(),
        sounds: sounds.map(|f| (f.path.clone(), f.full.clone())).collect(),
    }
}

/// Whether a file is opened for what is in it.
fn holds_parts(file: &File, manifest: &Manifest) -> bool {
    let holds = |r: &PartRule| r.each.is_some() && r.pattern.is_match(&file.path);
    file.kind == Some(FileKind::Signal)
        && file.status == Status::Ok
        && manifest.parts.iter().any(holds)
}

fn split_one(mut file: File, manifest: &Manifest, filter: &Filter) -> Vec<File> {
    let rules: Vec<&PartRule> = manifest
        .parts
        .iter()
        .filter(|r| r.pattern.is_match(&file.path))
        .collect();
    if rules.is_empty() || file.kind != Some(FileKind::Signal) {
        return vec![file];
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
        part.keep_if_wanted(filter);
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
        parts.insert(0, file);
    }
    parts
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
    let tree = share(&file.full).map_err(|e| without_path(&file.full, &e))?;
    elements(tree.as_ref(), each)?
        .iter()
        .map(|element| {
            let part = element.text(rule.part.as_deref().unwrap_or("$"));
            let tree = json(&at(&rule.tree, element))?;
            let mut found = recording(file, rule, Some(&part), tree, Some(element));
            if part.contains('#') {
                found.status = Status::Rejected;
                found.reason = Some(format!("`{part}` cannot name a recording: it has a #"));
            }
            Ok(found)
        })
        .collect()
}

fn recording(
    file: &File,
    rule: &PartRule,
    part: Option<&str>,
    tree: String,
    element: Option<&Element>,
) -> File {
    let mut found = file.clone();
    if let Some(part) = part {
        found.path = format!("{}#{part}", file.path);
    }
    found.groups.extend(set(&rule.set, element));
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_for_an_element() {
        let element = Element {
            place: "0001.a_b".into(),
            number: 7,
            met: vec!["0001".into(), "a_b".into()],
        };
        for (template, expression, text) in [
            ("$.soli", "0001.a_b.soli", "7.soli"),
            ("$1/$2", "0001/a_b", "0001/a_b"),
            ("x$3$", "x0001.a_b30001.a_b", "x737"),
            ("$", "0001.a_b", "7"),
            ("plain µ", "plain µ", "plain µ"),
            ("$µ", "0001.a_bµ", "7µ"),
        ] {
            assert_eq!(element.expression(template), expression);
            assert_eq!(element.text(template), text);
        }
    }
}
