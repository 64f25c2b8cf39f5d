//! Expressions that point into a tree.
//!
//! `name`, then any of `.field`, `{n}` (element of a cell array), `(n)` (element of a struct
//! array), each from 1 as MATLAB counts, in linear order; `{*}` and `(*)` take every element;
//! `{2,3}` is that of a row and a column, `{1,*}` all of a row.
//! `.*` takes every field of a struct or member of a group, and `*` in place of the name every
//! variable; what has no fields gives none.
//! A field asked of a struct array of one element needs no `(1)`; of several, all are taken.
//! An HDF5 group is a struct: `nfo.fs`. A variable's own name may hold dots and brackets (NumPy
//! archives, columns of tables): the longest name that fits is taken.

use std::path::Path;

use crate::error::{Error, Result};
use crate::tree::{Class, Tree, Var};

/// Most variables that one expression may give.
const MOST: usize = 1 << 20;

enum Step<'a> {
    Field(&'a str),
    Members,
    Cell(Index),
    Element(Index),
}

/// Which elements, from 0; `None` for all.
#[derive(Clone, Copy)]
enum Index {
    /// By their number in linear order.
    Linear(Option<u64>),
    /// By row and column; dimensions after the second count as columns.
    Matrix(Option<u64>, Option<u64>),
}

/// The variables that `expression` leads to, in linear order of its wildcards.
///
/// # Errors
/// [`Error::Expression`] when it is not one; [`Error::Absent`] when a step leads nowhere (a
/// wildcard over nothing gives nothing instead); [`Error::Kind`] when a step does not suit what
/// it is applied to; [`Error::Range`] beyond a million results.
pub fn select(tree: &dyn Tree, expression: &str) -> Result<Vec<Var>> {
    let found = walk(tree, expression, false)?;
    Ok(found.into_iter().map(|f| f.var).collect())
}

/// One of the places that an expression with wildcards leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The expression without wildcards that leads to it: `data{3}`.
    pub place: String,
    /// What each wildcard stands for there, in their order: the name of a member, or the number
    /// of an element from 1.
    pub met: Vec<String>,
}

/// The places that `expression` leads to, in linear order of its wildcards. Elements of struct
/// arrays are places too where the container cannot give them as a variable.
///
/// # Errors
/// As [`select`].
pub fn places(tree: &dyn Tree, expression: &str) -> Result<Vec<Place>> {
    let found = walk(tree, expression, true)?;
    let place = |f: Found| Place {
        place: match f.element {
            Some(i) => format!("{}({})", f.var.place, i.saturating_add(1)),
            None => f.var.place,
        },
        met: f.met,
    };
    Ok(found.into_iter().map(place).collect())
}

/// A variable and, for a struct array, the element that the next field is taken of.
#[derive(Clone)]
struct Found {
    var: Var,
    element: Option<u64>,
    met: Vec<String>,
}

impl Found {
    /// What is found one step further on; `met` for the step's wildcards.
    fn next(&self, var: Var, element: Option<u64>, met: Vec<String>) -> Found {
        let met = self.met.iter().cloned().chain(met).collect();
        Found { var, element, met }
    }
}

/// Goes all steps; with `places` the elements of a last `(n)` are not asked of the container.
fn walk(tree: &dyn Tree, expression: &str, places: bool) -> Result<Vec<Found>> {
    let variables = tree.variables();
    let fits = |name: &str| {
        let rest = expression.strip_prefix(name);
        rest.is_some_and(|r| r.is_empty() || r.starts_with(['.', '{', '(']))
    };
    let known = variables.iter().filter(|v| fits(&v.place));
    let known = known.max_by_key(|v| v.place.len());
    let (name, steps) = parse(tree.path(), expression, known.map(|v| v.place.len()))?;
    let start = |var: &Var, met: Vec<String>| Found {
        var: var.clone(),
        element: None,
        met,
    };
    let mut found: Vec<Found> = match known {
        Some(var) => vec![start(var, Vec::new())],
        None if name == "*" => {
            let all = variables.iter();
            all.map(|v| start(v, vec![v.place.clone()])).collect()
        }
        None => {
            let there: Vec<&str> = variables
                .iter()
                .take(12)
                .map(|v| v.place.as_str())
                .collect();
            return Err(Error::Absent {
                path: tree.path().to_path_buf(),
                place: name.to_owned(),
                message: format!(
                    "no such variable; of {} the first are {}",
                    variables.len(),
                    there.join(", ")
                ),
            });
        }
    };
    for (k, step) in steps.iter().enumerate() {
        let bare = match steps.get(k + 1) {
            Some(next) => matches!(next, Step::Field(_) | Step::Members),
            None => places,
        };
        let mut next = Vec::new();
        for from in &found {
            let var = &from.var;
            match step {
                Step::Field(field) => {
                    for i in taken(from) {
                        next.push(from.next(field_of(tree, var, i, field)?, None, Vec::new()));
                    }
                }
                Step::Members => {
                    for i in taken(from) {
                        for field in &var.fields {
                            let member = field_of(tree, var, i, field)?;
                            next.push(from.next(member, None, vec![field.clone()]));
                        }
                    }
                }
                Step::Cell(at) => {
                    for (i, met) in indices(tree.path(), var, *at)? {
                        next.push(from.next(tree.cell(var, i)?, None, met));
                    }
                }
                Step::Element(at) => {
                    if !matches!(var.class, Class::Struct | Class::Table) {
                        return Err(Error::Kind {
                            path: tree.path().to_path_buf(),
                            place: var.place.clone(),
                            expected: "a struct array",
                            found: format!("{:?}", var.class),
                        });
                    }
                    for (i, met) in indices(tree.path(), var, *at)? {
                        next.push(match bare {
                            true => from.next(var.clone(), Some(i), met),
                            false => from.next(tree.element(var, i)?, None, met),
                        });
                    }
                }
            }
            if next.len() > MOST {
                return Err(Error::Range {
                    path: tree.path().to_path_buf(),
                    place: expression.to_owned(),
                    message: format!("more than {MOST} results"),
                });
            }
        }
        found = next;
    }
    Ok(found)
}

/// The elements that a field is taken of.
fn taken(from: &Found) -> std::ops::Range<u64> {
    match from.element {
        Some(i) => i..i.saturating_add(1),
        None => 0..from.var.len().min(MOST as u64 + 1),
    }
}

fn field_of(tree: &dyn Tree, var: &Var, element: u64, field: &str) -> Result<Var> {
    match tree.field(var, element, field)? {
        Some(found) => Ok(found),
        None => Err(Error::Absent {
            path: tree.path().to_path_buf(),
            place: var.place.clone(),
            message: format!("no field {field:?}; there are {}", var.fields.join(", ")),
        }),
    }
}

/// The elements by their number, and what the wildcards are for each.
fn indices(path: &Path, var: &Var, at: Index) -> Result<Vec<(u64, Vec<String>)>> {
    let absent = |what: &str, i: u64, n: u64| Error::Absent {
        path: path.to_path_buf(),
        place: var.place.clone(),
        message: format!("{what} {} of {n}", i.saturating_add(1)),
    };
    // One more than may be, so that too many are noticed.
    let range = |what: &str, at: Option<u64>, n: u64| match at {
        None => Ok(0..n.min(MOST as u64 + 1)),
        Some(i) if i < n => Ok(i..i + 1),
        Some(i) => Err(absent(what, i, n)),
    };
    let number = |at: Option<u64>, i: u64| at.is_none().then(|| (i + 1).to_string());
    let (row, column) = match at {
        Index::Linear(at) => {
            let found = range("element", at, var.len())?;
            return Ok(found
                .map(|i| (i, number(at, i).into_iter().collect()))
                .collect());
        }
        Index::Matrix(row, column) => (row, column),
    };
    let rows = var.dims.first().copied().unwrap_or(1);
    let columns = var.len().checked_div(rows).unwrap_or(0);
    let mut out = Vec::new();
    for j in range("column", column, columns)? {
        for i in range("row", row, rows)? {
            let met = number(row, i).into_iter().chain(number(column, j));
            // Below the length, which fits.
            out.push((j * rows + i, met.collect()));
            if out.len() > MOST {
                return Ok(out);
            }
        }
    }
    Ok(out)
}

fn parse<'a>(
    path: &Path,
    expression: &'a str,
    known: Option<usize>,
) -> Result<(&'a str, Vec<Step<'a>>)> {
    let wrong = |at: usize, message: &str| Error::Expression {
        path: path.to_path_buf(),
        expression: expression.to_owned(),
        column: at + 1,
        message: message.to_owned(),
    };
    let name_end = |from: usize| {
        let rest = expression.get(from..).unwrap_or_default();
        from + rest.find(['.', '{', '(']).unwrap_or(rest.len())
    };
    let mut at = known.unwrap_or_else(|| name_end(0));
    let name = expression.get(..at).unwrap_or_default();
    if name.is_empty() {
        return Err(wrong(0, "expected a variable's name"));
    }
    let mut steps = Vec::new();
    while let Some(c) = expression.get(at..).and_then(|r| r.chars().next()) {
        if c == '.' {
            let end = name_end(at + 1);
            let field = expression.get(at + 1..end).unwrap_or_default();
            if field.is_empty() {
                return Err(wrong(at + 1, "expected a field's name after the dot"));
            }
            steps.push(match field {
                "*" => Step::Members,
                field => Step::Field(field),
            });
            at = end;
            continue;
        }
        let close = if c == '{' { '}' } else { ')' };
        let rest = expression.get(at + 1..).unwrap_or_default();
        let Some(length) = rest.find(close) else {
            return Err(wrong(at, "the bracket is not closed"));
        };
        let inside = rest.get(..length).unwrap_or_default().trim();
        let number = |text: &str| match text.trim() {
            "*" => Ok(None),
            number => match number.parse::<u64>() {
                Ok(n) if n >= 1 => Ok(Some(n - 1)),
                _ => Err(wrong(at + 1, "expected a number from 1, or *")),
            },
        };
        let index = match inside.split_once(',') {
            None => Index::Linear(number(inside)?),
            Some((row, column)) => Index::Matrix(number(row)?, number(column)?),
        };
        steps.push(if c == '{' {
            Step::Cell(index)
        } else {
            Step::Element(index)
        });
        at += length + 2;
        let follows = expression.get(at..).and_then(|r| r.chars().next());
        if follows.is_some_and(|c| !matches!(c, '.' | '{' | '(')) {
            return Err(wrong(at, "expected '.', '{', '(' or the end"));
        }
    }
    Ok((name, steps))
}
