//! The model: what every container of named arrays is turned into.

use std::fmt;
use std::path::Path;

use serde::Serialize;

use crate::error::{Error, Result};

/// An open file of named arrays. Nothing is read before it is asked for, unless the container
/// leaves no choice (a compressed MATLAB variable is inflated as a whole, once).
///
/// *Linear order*: elements are numbered from 0 with the first dimension fastest (MATLAB's
/// order), whatever order the file keeps them in. `dims` are those that the container's own
/// language shows: `size(x)` for MATLAB (v7.3 too), `x.shape` for NumPy and plain HDF5.
pub trait Tree: Send + Sync {
    /// The file.
    fn path(&self) -> &Path;

    /// What kind of file it is.
    fn container(&self) -> Container;

    /// Bytes of memory that it keeps while it is open, about: what was inflated or parsed. A mapped
    /// file is the system's.
    fn held(&self) -> u64;

    /// What was skipped or repaired, in file order.
    fn notes(&self) -> &[Note];

    /// The top-level variables, in file order (HDF5: in the order of their names).
    fn variables(&self) -> Vec<Var>;

    /// Field `name` of element `element` (linear) of a struct, or member `name` of a group
    /// (element 0); `None` when there is no such field.
    ///
    /// # Errors
    /// [`Error::Kind`] when `of` is neither, [`Error::Range`], [`Error::Damaged`].
    fn field(&self, of: &Var, element: u64, name: &str) -> Result<Option<Var>>;

    /// Element `element` (linear) of a cell array.
    ///
    /// # Errors
    /// [`Error::Kind`] when `of` is no cell array, [`Error::Range`], [`Error::Damaged`].
    fn cell(&self, of: &Var, element: u64) -> Result<Var>;

    /// Element `element` (linear) of a struct array as a struct of its own. Containers without
    /// struct arrays need not provide it.
    ///
    /// # Errors
    /// [`Error::Unsupported`] for an array of several where the container does not provide it;
    /// [`Error::Range`].
    fn element(&self, of: &Var, element: u64) -> Result<Var> {
        if element >= of.len() {
            return Err(Error::Range {
                path: self.path().to_path_buf(),
                place: of.place.clone(),
                message: format!("element {} of {}", element.saturating_add(1), of.len()),
            });
        }
        match of.len() {
            1 => Ok(of.clone()),
            _ => Err(Error::Unsupported {
                path: self.path().to_path_buf(),
                place: of.place.clone(),
                what: "an element of a struct array without a field".to_owned(),
            }),
        }
    }

    /// Numbers: `out[k][i]` becomes element `first[k] + i * stride` (linear) of `of`. Integers,
    /// logicals, chars and sparse matrices are converted; of complex numbers this is the real
    /// part. Several lanes are asked for at once so that a chunk is decompressed once.
    ///
    /// # Errors
    /// [`Error::Kind`] when `of` holds no numbers, [`Error::Range`] when an element does not
    /// exist or `first` and `out` differ in length, [`Error::Damaged`].
    fn read_f64(&self, of: &Var, first: &[u64], stride: u64, out: &mut [&mut [f64]]) -> Result<()>;

    /// The imaginary part, as [`Tree::read_f64`]; zeros for real numbers.
    ///
    /// # Errors
    /// As [`Tree::read_f64`].
    fn read_imaginary(
        &self,
        of: &Var,
        first: &[u64],
        stride: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()>;

    /// Texts: the rows of a char matrix, the elements of a string array, or those of a cell
    /// array of such (linear order). Trailing blanks of padded rows are taken off.
    ///
    /// # Errors
    /// [`Error::Kind`] when `of` holds no text, [`Error::Damaged`].
    fn texts(&self, of: &Var) -> Result<Vec<String>>;

    /// All numbers of a variable in linear order.
    ///
    /// # Errors
    /// As [`Tree::read_f64`], and [`Error::Range`] when there are more than `most`.
    fn numbers(&self, of: &Var, most: usize) -> Result<Vec<f64>> {
        let n = usize::try_from(of.len()).ok().filter(|n| *n <= most);
        let n = n.ok_or_else(|| Error::Range {
            path: self.path().to_path_buf(),
            place: of.place.clone(),
            message: format!("{} numbers, at most {most} can be taken at once", of.len()),
        })?;
        let mut out = vec![0.0; n];
        self.read_f64(of, &[0], 1, &mut [&mut out])?;
        Ok(out)
    }
}

/// The containers read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Container {
    /// MATLAB level 5 (v5, v6, and v7 with compression).
    MatV5,
    /// MATLAB v7.3, which is HDF5.
    MatV73,
    /// HDF5 of other makers.
    Hdf5,
    /// One NumPy array.
    Npy,
    /// A zip archive of NumPy arrays.
    Npz,
    /// A table of numbers as text; each column is a variable.
    Csv,
}

impl fmt::Display for Container {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Container::MatV5 => "MATLAB v5",
            Container::MatV73 => "MATLAB v7.3",
            Container::Hdf5 => "HDF5",
            Container::Npy => "NumPy .npy",
            Container::Npz => "NumPy .npz",
            Container::Csv => "CSV",
        })
    }
}

/// What a variable is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize)]
#[non_exhaustive]
pub enum Class {
    /// 64-bit floating point.
    F64,
    /// 32-bit floating point.
    F32,
    /// Floating point of another size, converted to f64 (HDF5: half, x87 extended, quad).
    OtherFloat,
    /// Signed integer of so many bits.
    Int(u8),
    /// Unsigned integer of so many bits.
    UInt(u8),
    /// Truth values.
    Bool,
    /// Characters (MATLAB char matrix).
    Char,
    /// Whole strings (MATLAB string, HDF5 or NumPy string array).
    Text,
    /// Cell array.
    Cell,
    /// Struct or struct array; for HDF5 also a group (dims `[1]`) and a compound.
    Struct,
    /// A MATLAB `table` object, shown as a struct of its columns (dims `[1]`).
    Table,
    /// Something that is not read: a function handle or another object. Its `place` says where.
    Opaque,
}

impl Class {
    /// Whether [`Tree::read_f64`] applies.
    pub fn is_numeric(self) -> bool {
        matches!(
            self,
            Class::F64
                | Class::F32
                | Class::OtherFloat
                | Class::Int(_)
                | Class::UInt(_)
                | Class::Bool
                | Class::Char
        )
    }
}

/// A variable, field or element: where it is and what it holds.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Var {
    /// The expression that leads to it from the top, e.g. `data{3}.X`.
    pub place: String,
    /// What it is.
    pub class: Class,
    /// Its dimensions (see [`Tree`]); empty for a scalar of HDF5 or NumPy.
    pub dims: Vec<u64>,
    /// Names of the fields of a struct, group or table, in file order; else empty.
    pub fields: Vec<String>,
    /// Whether it has an imaginary part.
    pub complex: bool,
    /// The container's own name for it.
    #[serde(skip)]
    pub(crate) handle: u64,
}

impl Var {
    /// Number of elements (1 for a scalar, 0 for an empty array); `u64::MAX` at most.
    pub fn len(&self) -> u64 {
        self.dims.iter().fold(1, |n, d| n.saturating_mul(*d))
    }

    /// Whether it has no elements.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Something that was skipped or repaired.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Note {
    /// Stable kebab-case name, e.g. "function-handle-skipped".
    pub code: &'static str,
    /// Where, what, and what was done about it.
    pub message: String,
}
