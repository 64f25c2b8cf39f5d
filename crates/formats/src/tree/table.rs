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
/// same. `[a..b]` is a range as in [`super::TreeSpec`]. `x[:,2]` is the second column of a matrix
/// of numbers, `x[2,:]` its second row, counted from 1.
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
            let (of, line) = sliced(&expression);
            let vars = select(tree, of).map_err(wrap)?;
            let several = vars.len() > 1;
            for var in vars {
                let before = cells.len();
                match line {
                    None => values(tree, &var, several, &mut cells)?,
                    Some(line) => {
                        let message = |m| wrong(name, format!("{expression}: {m}"));
                        let (first, stride, n) = line.of(&var).map_err(message)?;
                        let mut numbers = vec![0.0; n];
                        tree.read_f64(&var, &[first], stride, &mut [&mut numbers])
                            .map_err(wrap)?;
                        cells.extend(numbers.into_iter().map(number));
                    }
                }
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

/// One column or row of a matrix, from 0.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Line {
    Column(u64),
    Row(u64),
}

impl Line {
    /// First element, elements from one to the next, and how many.
    fn of(self, var: &Var) -> std::result::Result<(u64, u64, usize), String> {
        let (rows, columns) = match *var.dims.as_slice() {
            [n] => (n, 1),
            [rows, columns] if var.class.is_numeric() => (rows, columns),
            _ => {
                let found = format!("{:?} of dimensions {:?}", var.class, var.dims);
                return Err(format!("expected a matrix of numbers, found {found}"));
            }
        };
        let (what, at, there, first, stride, n) = match self {
            Line::Column(k) => ("column", k, columns, k.saturating_mul(rows), 1, rows),
            Line::Row(k) => ("row", k, rows, k, rows, columns),
        };
        if at >= there {
            return Err(format!("{what} {} of {there}", at.saturating_add(1)));
        }
        match usize::try_from(n).ok().filter(|n| *n <= MOST) {
            Some(n) => Ok((first, stride, n)),
            None => Err(format!("more than {MOST} values")),
        }
    }
}

/// Takes `[:,k]` or `[k,:]` off the end of an expression.
fn sliced(expression: &str) -> (&str, Option<Line>) {
    let found = || {
        let (of, inside) = expression.strip_suffix(']')?.rsplit_once('[')?;
        let (row, column) = inside.split_once(',')?;
        let from_one = |text: &str| text.trim().parse::<u64>().ok()?.checked_sub(1);
        let line = match (row.trim(), column.trim()) {
            (":", k) => Line::Column(from_one(k)?),
            (k, ":") => Line::Row(from_one(k)?),
            _ => return None,
        };
        Some((of, line))
    };
    match found() {
        Some((of, line)) => (of, Some(line)),
        None => (expression, None),
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn slices() {
        assert_eq!(sliced("p.trl[:,1]"), ("p.trl", Some(Line::Column(0))));
        assert_eq!(sliced("p.trl[ 3, : ]"), ("p.trl", Some(Line::Row(2))));
        for plain in [
            "p.trl", "EEG [uV]", "x[:,0]", "x[1,2]", "x[:,]", "]", "x[:,a]",
        ] {
            assert_eq!(sliced(plain), (plain, None));
        }
    }
}
