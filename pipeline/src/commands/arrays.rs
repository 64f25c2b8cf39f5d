//! `mmpipe inspect` of a file of named arrays: where its variables are, for `[[parts]]` and
//! `[[tables]]` of a manifest.

use anyhow::Result;
use mmpipe_trees::{Class, Tree, Var};
use serde_json::{Value, json};

use super::Status;
use crate::context::Context;
use crate::render::{self, Table};

/// Variables that are printed; the others are counted.
const SHOWN: usize = 200;
/// Variables that are counted at most.
const COUNTED: usize = 20_000;
/// Elements of a cell array that are looked into.
const ELEMENTS: u64 = 3;
/// Levels that are looked into.
const DEPTH: usize = 16;
/// Characters of a value.
const WIDTH: usize = 60;

/// A line of the listing.
struct Line {
    var: Var,
    value: Option<String>,
    /// What of it is not listed.
    note: Option<String>,
}

struct Listing<'a> {
    tree: &'a dyn Tree,
    lines: Vec<Line>,
    more: usize,
}

/// Prints the variables of a file; `why` says why it is no recording by itself.
pub(super) fn print(ctx: &Context, tree: &dyn Tree, why: &str) -> Result<Status> {
    let mut listing = Listing {
        tree,
        lines: Vec::new(),
        more: 0,
    };
    let variables = tree.variables();
    for var in &variables {
        listing.add(var, 0);
    }
    let more = match listing.more {
        n if n + SHOWN >= COUNTED => format!("more than {n}"),
        n => n.to_string(),
    };
    if ctx.global.json {
        let lines: Vec<Value> = listing
            .lines
            .iter()
            .map(|l| {
                json!({ "place": l.var.place, "class": class(l.var.class), "dims": l.var.dims,
                    "complex": l.var.complex, "fields": l.var.fields, "value": l.value, "note": l.note })
            })
            .collect();
        render::json(&json!({
            "path": tree.path(), "container": tree.container().to_string(), "recording": false,
            "why": why, "diagnostics": tree.notes(), "variables": lines, "more": listing.more,
        }))?;
        return Ok(Status::done_if(true));
    }
    render::line(format!("file        {}", tree.path().display()))?;
    render::line(format!("container   {}", tree.container()))?;
    render::line(format!("variables   {}", variables.len()))?;
    render::line(format!("note        no recording by itself: {why}"))?;
    for note in tree.notes() {
        render::line(format!("note        {} [{}]", note.message, note.code))?;
    }
    render::line("")?;
    let mut table = Table::new(["place", "class", "dims", "value"]);
    for l in &listing.lines {
        let dims: Vec<String> = l.var.dims.iter().map(u64::to_string).collect();
        let value = [l.value.clone(), l.note.clone()];
        let value: Vec<String> = value.into_iter().flatten().collect();
        table.row([
            l.var.place.clone(),
            class(l.var.class),
            dims.join(" x "),
            value.join("; "),
        ]);
    }
    render::text(&table.to_string())?;
    if listing.more > 0 {
        render::line(format!("... and {more} more"))?;
    }
    Ok(Status::done_if(true))
}

impl Listing<'_> {
    /// Adds a variable and what is inside it.
    fn add(&mut self, var: &Var, depth: usize) {
        if self.lines.len() + self.more >= COUNTED {
            return;
        }
        let (elements, note) = match var.class {
            Class::Cell => (var.len().min(ELEMENTS), self.rest(var, ELEMENTS, depth)),
            Class::Struct | Class::Table => (var.len().min(1), self.rest(var, 1, depth)),
            _ => (0, None),
        };
        if self.lines.len() < SHOWN {
            let value = value(self.tree, var);
            self.lines.push(Line {
                var: var.clone(),
                value,
                note,
            });
        } else {
            self.more += 1;
        }
        if depth >= DEPTH {
            return;
        }
        for element in 0..elements {
            if var.class == Class::Cell {
                match self.tree.cell(var, element) {
                    Ok(inside) => self.add(&inside, depth + 1),
                    Err(e) => self.wrong(e.to_string()),
                }
                continue;
            }
            for field in &var.fields {
                match self.tree.field(var, element, field) {
                    Ok(Some(inside)) => self.add(&inside, depth + 1),
                    Ok(None) => {}
                    Err(e) => self.wrong(e.to_string()),
                }
            }
        }
    }

    /// What of a list's elements is not looked into.
    fn rest(&self, var: &Var, most: u64, depth: usize) -> Option<String> {
        let n = var.len();
        match (depth >= DEPTH, n > most) {
            (true, _) => Some("not looked into: too deep".into()),
            (false, true) => Some(format!("{n} elements, the first {most} listed")),
            (false, false) => None,
        }
    }

    /// Says below the last line what cannot be read.
    fn wrong(&mut self, message: String) {
        if let Some(line) = self.lines.last_mut() {
            line.note.get_or_insert(message);
        }
    }
}

/// A short value: a few numbers or texts.
fn value(tree: &dyn Tree, var: &Var) -> Option<String> {
    let few = !var.is_empty() && var.len() <= 4;
    let text = match var.class {
        Class::Char if var.len() <= 1 << 12 => tree.texts(var).ok()?.join(" | "),
        Class::Text if few => tree.texts(var).ok()?.join(" | "),
        class if class.is_numeric() && few => {
            let numbers = tree.numbers(var, 4).ok()?;
            let numbers: Vec<String> = numbers.iter().map(f64::to_string).collect();
            numbers.join(" ")
        }
        _ => return None,
    };
    let text: String = text
        .chars()
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect();
    Some(match text.char_indices().nth(WIDTH) {
        Some((end, _)) => format!("{}...", &text[..end]),
        None => text,
    })
}

fn class(class: Class) -> String {
    match class {
        Class::F64 => "double".into(),
        Class::F32 => "single".into(),
        Class::OtherFloat => "float".into(),
        Class::Int(bits) => format!("int{bits}"),
        Class::UInt(bits) => format!("uint{bits}"),
        Class::Bool => "logical".into(),
        Class::Char => "char".into(),
        Class::Text => "string".into(),
        Class::Cell => "cell".into(),
        Class::Struct => "struct".into(),
        Class::Table => "table".into(),
        Class::Opaque => "not read".into(),
        other => format!("{other:?}").to_lowercase(),
    }
}
