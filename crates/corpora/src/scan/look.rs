//! A look at a folder whose layout nobody knows, for whoever writes its mapping.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::Path;

use mmpipe_trees::Var;

use super::walk::Found;

/// Files that are listed by name.
const MOST_FILES: usize = 20;
/// Files that are opened for a look.
const MOST_OPENED: usize = 3;
/// Variables of one file that are listed.
const MOST_VARIABLES: usize = 12;

/// What a folder holds: how many files of which kind, the first ones by name, and what is in the
/// first that can be read.
pub(super) fn describe(files: &[Found]) -> String {
    if files.is_empty() {
        return "no file".into();
    }
    let mut kinds: BTreeMap<&str, usize> = BTreeMap::new();
    for file in files {
        let extension = Path::new(&file.path).extension().and_then(|e| e.to_str());
        *kinds.entry(extension.unwrap_or("")).or_default() += 1;
    }
    let kinds: Vec<String> = kinds
        .iter()
        .map(|(kind, n)| match kind.is_empty() {
            true => format!("{n} without an extension"),
            false => format!("{n} .{kind}"),
        })
        .collect();
    // Writing to a String cannot fail.
    let mut out = format!("{} files ({})", files.len(), kinds.join(", "));
    let mut opened = 0;
    for file in files.iter().take(MOST_FILES) {
        let _ = write!(out, "\n  {} ({} bytes)", file.path, file.bytes);
        if opened < MOST_OPENED
            && file.problem.is_none()
            && let Some(inside) = inside(&file.full)
        {
            opened += 1;
            let _ = write!(out, ": {inside}");
        }
    }
    if files.len() > MOST_FILES {
        let _ = write!(out, "\n  and {} more", files.len() - MOST_FILES);
    }
    out
}

/// What is in one file; `None` where no reader takes it.
fn inside(path: &Path) -> Option<String> {
    if let Ok(tree) = mmpipe_trees::open(path) {
        let variables = tree.variables();
        let shown: Vec<String> = variables.iter().take(MOST_VARIABLES).map(shape).collect();
        let more = match variables.len() > shown.len() {
            true => format!(", and {} more", variables.len() - shown.len()),
            false => String::new(),
        };
        return Some(format!("{}, {}{more}", tree.container(), shown.join(", ")));
    }
    if let Ok(recording) = mmpipe_formats::open(path) {
        let header = recording.header();
        let first = header.channels.first()?;
        return Some(format!(
            "{}, {} channels from `{}` on, {} Hz, {} s",
            header.container,
            header.channels.len(),
            first.name,
            first.sfreq,
            header.seconds
        ));
    }
    let sound = mmpipe_formats::audio::probe(path).ok()?;
    Some(format!(
        "{}, {} channels, {} Hz",
        sound.container, sound.channels, sound.sfreq
    ))
}

fn shape(var: &Var) -> String {
    let dims: Vec<String> = var.dims.iter().map(u64::to_string).collect();
    let fields = match var.fields.is_empty() {
        true => String::new(),
        false => {
            let first: Vec<&str> = var.fields.iter().take(8).map(String::as_str).collect();
            let more = if var.fields.len() > 8 { ", ..." } else { "" };
            format!(" with {}{more}", first.join(", "))
        }
    };
    format!(
        "`{}` ({:?} {}){fields}",
        var.place,
        var.class,
        dims.join(" x ")
    )
}
