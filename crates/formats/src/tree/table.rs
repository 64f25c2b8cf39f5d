//! Small variables to rows of texts, for tables.

use std::path::Path;

use mmpipe_trees::{Class, Tree, Var, select};

use super::spec::expand;
use super::{arrays, wrap};
use crate::error::{Error, Result};

/// Most cells of one column.
const MOST: usize = 1 << 20;

/// Rows of a table whose columns are given by expressions, as (name, expression). Every
/// expression gives numbers or texts: all elements of each variable that it leads to, in linear
/// order, one after the other. A column of one value is repeated to the length of the longest.
/// `None` stands for NaN, and for an empty variable where an expression leads to several (an
/// event without a duration). Numbers are printed with the fewest digits that read back the
/// same. `[a..b]` is a range as in [`super::TreeSpec`].
///
/// # Errors
/// [`Error::Tree`] when the file or an expression cannot be read, [`Error::Description`] when
/// two columns differ in length or a column has more than a million values.
pub fn tree_table(path: &Path, columns: &[(String, String)]) -> Result<Vec<Vec<Option<String>>>> {
    let tree = arrays(path)?;
    tree_rows(tree.as_ref(), columns)
}

/// As [`tree_table`], of a file that is open already.
///
/// # Errors
/// As [`tree_table`].
pub fn tree_rows(
    tree: &dyn Tree,
    columns: &[(String, String)],
) -> Result<Vec<Vec<Option<String>>>> {
    let wrong = |name: &str, message: String| Error::Description {
        path: tree.path().to_path_buf(),
        field: format!("column {name:?}"),
        message,
    };
    let mut found = Vec::with_capacity(columns.len());
    for (name, expression) in columns {
        let mut cells = Vec::new();
        for expression in expand(expression).map_err(|m| wrong(name, m))? {
            let vars = select(tree, &expression).map_err(wrap)?;
            let several = vars.len() > 1;
            for var in vars {
                let before = cells.len();
                values(tree, &var, several, &mut cells)?;
                if cells.len() > MOST {
                    return Err(wrong(name, format!("more than {MOST} values")));
                }
                if several && cells.len() == before {
                    cells.push(None);
                }
            }
        }
        found.push(cells);
    }
    let Some(longest) = (0..found.len()).max_by_key(|i| found.get(*i).map_or(0, Vec::len)) else {
        return Ok(Vec::new());
    };
    let rows = found.get(longest).map_or(0, Vec::len);
    for ((name, expression), cells) in columns.iter().zip(&found) {
        if cells.len() != rows && cells.len() != 1 {
            let (other, _) = columns.get(longest).cloned().unwrap_or_default();
            let message = format!(
                "{expression} gives {} values, column {other:?} {rows}; expected as many, or one",
                cells.len()
            );
            return Err(wrong(name, message));
        }
    }
    let row = |i: usize| {
        let cell = |c: &Vec<Option<String>>| c.get(if c.len() == 1 { 0 } else { i }).cloned();
        found.iter().map(|c| cell(c).flatten()).collect()
    };
    Ok((0..rows).map(row).collect())
}

fn values(
    tree: &dyn Tree,
    var: &Var,
    one_of_several: bool,
    out: &mut Vec<Option<String>>,
) -> Result<()> {
    match var.class {
        // An empty char array is an empty text, also where one text is expected.
        Class::Char if var.is_empty() && !one_of_several => out.push(Some(String::new())),
        Class::Char | Class::Text => {
            out.extend(tree.texts(var).map_err(wrap)?.into_iter().map(Some));
        }
        Class::Cell => {
            for i in 0..var.len().min(MOST as u64 + 1) {
                let element = tree.cell(var, i).map_err(wrap)?;
                let before = out.len();
                // A cell in a cell is an error of its own: `texts` says what it found.
                if element.class.is_numeric() && element.class != Class::Char {
                    values(tree, &element, true, out)?;
                } else {
                    out.extend(tree.texts(&element).map_err(wrap)?.into_iter().map(Some));
                }
                if out.len() == before {
                    out.push(None);
                }
            }
        }
        _ => {
            let numbers = tree.numbers(var, MOST).map_err(wrap)?;
            out.extend(numbers.into_iter().map(number));
        }
    }
    Ok(())
}

/// The shortest digits that read back the same; `None` for NaN.
pub(crate) fn number(x: f64) -> Option<String> {
    // Minus zero is zero.
    (!x.is_nan()).then(|| (x + 0.0).to_string())
}
