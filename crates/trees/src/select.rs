//! Expressions that point into a tree.
//!
//! `name`, then any of `.field`, `{n}` (element of a cell array), `(n)` (element of a struct
//! array), each from 1 as MATLAB counts, in linear order; `{*}` and `(*)` take every element.
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
    Cell(Option<u64>),
    Element(Option<u64>),
}

/// The variables that `expression` leads to, in linear order of its wildcards.
///
/// # Errors
/// [`Error::Expression`] when it is not one; [`Error::Absent`] when a step leads nowhere (a
/// wildcard over nothing gives nothing instead); [`Error::Kind`] when a step does not suit what
/// it is applied to; [`Error::Range`] beyond a million results.
pub fn select(tree: &dyn Tree, expression: &str) -> Result<Vec<Var>> {
    let variables = tree.variables();
    let fits = |name: &str| {
        let rest = expression.strip_prefix(name);
        rest.is_some_and(|r| r.is_empty() || r.starts_with(['.', '{', '(']))
    };
    let known = variables.iter().filter(|v| fits(&v.place));
    let known = known.max_by_key(|v| v.place.len());
    let (name, steps) = parse(tree.path(), expression, known.map(|v| v.place.len()))?;
    let Some(var) = known else {
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
    };
    // A variable and, for a struct array, the element that the next field is taken of.
    let mut found: Vec<(Var, Option<u64>)> = vec![(var.clone(), None)];
    for (k, step) in steps.iter().enumerate() {
        let field_follows = matches!(steps.get(k + 1), Some(Step::Field(_)));
        let mut next = Vec::new();
        for (var, element) in &found {
            match step {
                Step::Field(field) => fields(tree, var, *element, field, &mut next)?,
                Step::Cell(at) => {
                    for i in indices(tree.path(), var, *at)? {
                        next.push((tree.cell(var, i)?, None));
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
                    for i in indices(tree.path(), var, *at)? {
                        next.push(match field_follows {
                            true => (var.clone(), Some(i)),
                            false => (tree.element(var, i)?, None),
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
    Ok(found.into_iter().map(|(var, _)| var).collect())
}

fn fields(
    tree: &dyn Tree,
    var: &Var,
    element: Option<u64>,
    field: &str,
    next: &mut Vec<(Var, Option<u64>)>,
) -> Result<()> {
    let elements = match element {
        Some(i) => i..i + 1,
        None => 0..var.len().min(MOST as u64 + 1),
    };
    for i in elements {
        match tree.field(var, i, field)? {
            Some(found) => next.push((found, None)),
            None => {
                return Err(Error::Absent {
                    path: tree.path().to_path_buf(),
                    place: var.place.clone(),
                    message: format!("no field {field:?}; there are {}", var.fields.join(", ")),
                });
            }
        }
    }
    Ok(())
}

fn indices(path: &Path, var: &Var, at: Option<u64>) -> Result<std::ops::Range<u64>> {
    match at {
        None => Ok(0..var.len().min(MOST as u64 + 1)),
        Some(i) if i < var.len() => Ok(i..i + 1),
        Some(i) => Err(Error::Absent {
            path: path.to_path_buf(),
            place: var.place.clone(),
            message: format!("element {} of {}", i.saturating_add(1), var.len()),
        }),
    }
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
            steps.push(Step::Field(field));
            at = end;
            continue;
        }
        let close = if c == '{' { '}' } else { ')' };
        let rest = expression.get(at + 1..).unwrap_or_default();
        let Some(length) = rest.find(close) else {
            return Err(wrong(at, "the bracket is not closed"));
        };
        let inside = rest.get(..length).unwrap_or_default().trim();
        let index = match inside {
            "*" => None,
            number => match number.parse::<u64>() {
                Ok(n) if n >= 1 => Some(n - 1),
                _ => return Err(wrong(at + 1, "expected a number from 1, or *")),
            },
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
