//! The fields of an EEGLAB data set, in a struct `EEG` or at the top of the file.

use mmpipe_trees::{Class, Tree, Var};

use crate::error::{Error, Result};
use crate::tree::{description, number, wrap};

/// A data set's fields by name.
pub(super) struct Fields<'a> {
    pub(super) tree: &'a dyn Tree,
    top: Vec<Var>,
    eeg: Option<Var>,
}

impl<'a> Fields<'a> {
    /// # Errors
    /// [`Error::Unsupported`] for several data sets in one file, [`Error::Description`] when
    /// there is none.
    pub(super) fn new(tree: &'a dyn Tree) -> Result<Fields<'a>> {
        let top = tree.variables();
        let unsupported = |what: &str| Error::Unsupported {
            path: tree.path().to_path_buf(),
            what: what.to_owned(),
        };
        let named = |name: &str| top.iter().find(|v| v.place == name).cloned();
        if named("ALLEEG").is_some() {
            return Err(unsupported("several EEGLAB data sets in one file (ALLEEG)"));
        }
        let eeg = named("EEG");
        match &eeg {
            Some(eeg) if eeg.class != Class::Struct => {
                let message = format!("expected a struct, found {:?}", eeg.class);
                return Err(description(tree.path(), "EEG", message));
            }
            Some(eeg) if eeg.len() != 1 => {
                return Err(unsupported("an array of EEGLAB data sets in one file"));
            }
            None if named("data").is_none() || named("srate").is_none() => {
                let message = "expected an EEGLAB data set: a struct EEG, or the variables data, \
                               srate, nbchan, ..."
                    .to_owned();
                return Err(description(tree.path(), "EEG", message));
            }
            _ => {}
        }
        Ok(Fields { tree, top, eeg })
    }

    /// A field; `None` when it is not there.
    ///
    /// # Errors
    /// [`Error::Tree`].
    pub(super) fn get(&self, name: &str) -> Result<Option<Var>> {
        match &self.eeg {
            Some(eeg) => self.tree.field(eeg, 0, name).map_err(wrap),
            None => Ok(self.variable(name)),
        }
    }

    /// A variable at the top of the file.
    pub(super) fn variable(&self, name: &str) -> Option<Var> {
        self.top.iter().find(|v| v.place == name).cloned()
    }

    /// The first number of a field; `None` when it is absent or empty.
    ///
    /// # Errors
    /// [`Error::Tree`].
    pub(super) fn number(&self, name: &str) -> Result<Option<f64>> {
        match self.get(name)? {
            Some(var) => first(self.tree, &var),
            None => Ok(None),
        }
    }

    /// A count of 1 or more.
    ///
    /// # Errors
    /// [`Error::Description`] when it is not one.
    pub(super) fn count(&self, name: &str) -> Result<Option<u64>> {
        let Some(x) = self.number(name)? else {
            return Ok(None);
        };
        if (1.0..=1e15).contains(&x) && x.fract() == 0.0 {
            return Ok(Some(x as u64));
        }
        let message = format!("expected a whole number from 1, found {x}");
        Err(description(self.tree.path(), name, message))
    }

    /// The fields called `name` of all elements of a struct array, in order. Some writers store
    /// a struct of arrays instead: then the elements of the one field.
    ///
    /// # Errors
    /// [`Error::Tree`].
    pub(super) fn column(&self, of: &Var, name: &str, most: u64) -> Result<Vec<Cell>> {
        let mut out = Vec::new();
        for i in 0..of.len().min(most) {
            let Some(var) = self.tree.field(of, i, name).map_err(wrap)? else {
                return Ok(Vec::new());
            };
            if of.len() == 1 && var.len() > 1 && var.class != Class::Char {
                return self.array(&var, most);
            }
            out.push(self.cell(&var)?);
        }
        Ok(out)
    }

    fn array(&self, var: &Var, most: u64) -> Result<Vec<Cell>> {
        let n = var.len().min(most);
        if var.class == Class::Cell {
            let cell = |i| self.cell(&self.tree.cell(var, i).map_err(wrap)?);
            return (0..n).map(cell).collect();
        }
        if var.class.is_numeric() {
            let numbers = self.tree.numbers(var, n as usize).map_err(wrap)?;
            return Ok(numbers.into_iter().map(Cell::Number).collect());
        }
        let texts = self.tree.texts(var).map_err(wrap)?;
        Ok(texts.into_iter().map(Cell::Text).collect())
    }

    fn cell(&self, var: &Var) -> Result<Cell> {
        if var.is_empty() {
            return Ok(Cell::Nothing);
        }
        match var.class {
            Class::Char | Class::Text => self.text(var).map(Cell::Text),
            // A text in a cell of its own.
            Class::Cell if var.len() == 1 => {
                let inner = self.tree.cell(var, 0).map_err(wrap)?;
                if inner.class == Class::Cell {
                    Ok(Cell::Nothing)
                } else {
                    self.cell(&inner)
                }
            }
            class if class.is_numeric() => {
                Ok(first(self.tree, var)?.map_or(Cell::Nothing, Cell::Number))
            }
            _ => Ok(Cell::Nothing),
        }
    }

    /// The rows of a text, joined.
    ///
    /// # Errors
    /// [`Error::Tree`].
    pub(super) fn text(&self, var: &Var) -> Result<String> {
        let rows = self.tree.texts(var).map_err(wrap)?;
        Ok(rows.join(" ").trim().to_owned())
    }
}

/// A value of a struct array's field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Cell {
    Nothing,
    Number(f64),
    Text(String),
}

impl Cell {
    pub(super) fn number(&self) -> Option<f64> {
        match self {
            Cell::Number(x) => Some(*x).filter(|x| !x.is_nan()),
            Cell::Text(text) => text.trim().parse().ok(),
            Cell::Nothing => None,
        }
    }

    pub(super) fn text(&self) -> Option<String> {
        match self {
            Cell::Number(x) => number(*x),
            Cell::Text(text) => Some(text.clone()),
            Cell::Nothing => None,
        }
    }
}

fn first(tree: &dyn Tree, var: &Var) -> Result<Option<f64>> {
    if var.is_empty() || !var.class.is_numeric() {
        return Ok(None);
    }
    let mut out = [0.0];
    tree.read_f64(var, &[0], 1, &mut [&mut out]).map_err(wrap)?;
    Ok(out.first().copied())
}
