//! NumPy's `.npy` (one array, called `array`) and `.npz` (a zip archive of such).
//!
//! Owns headers, both storage orders, numbers and strings. Structured, object and time dtypes
//! are refused as unsupported.

mod array;
mod header;
mod npz;

use std::path::Path;

use crate::error::{Error, Result};
use crate::numbers::Lanes;
use crate::source::Source;
use crate::tree::{Container, Note, Tree, Var};

pub(crate) use header::MAGIC;
use header::{Fault, Header};
pub(crate) use npz::Npz;

/// An open `.npy` file.
pub(crate) struct Npy {
    source: Source,
    header: Header,
    notes: Vec<Note>,
}

fn fault(path: &Path, place: &str, offset: u64, fault: Fault) -> Error {
    match fault {
        Fault::Short => Error::Damaged {
            path: path.to_path_buf(),
            field: "header".to_owned(),
            offset,
            message: format!("{place}: it ends early"),
        },
        Fault::Bad(field, at, message) => Error::Damaged {
            path: path.to_path_buf(),
            field: field.to_owned(),
            offset: offset + at as u64,
            message: format!("{place}: {message}"),
        },
        Fault::Unsupported(what) => Error::Unsupported {
            path: path.to_path_buf(),
            place: place.to_owned(),
            what,
        },
    }
}

fn no_struct(path: &Path, of: &Var, expected: &'static str) -> Error {
    Error::Kind {
        path: path.to_path_buf(),
        place: of.place.clone(),
        expected,
        found: format!("{:?}", of.class),
    }
}

impl Npy {
    /// Parses the header of a mapped file that starts with [`MAGIC`].
    ///
    /// # Errors
    /// [`Error::Damaged`], [`Error::Unsupported`].
    pub(crate) fn open(source: Source) -> Result<Npy> {
        let bytes = source.bytes();
        let header = Header::parse(bytes, bytes.len() as u64)
            .map_err(|f| fault(source.path(), "array", 0, f))?;
        let extra = bytes.len() - header.data - header.bytes;
        let notes = match extra {
            0 => Vec::new(),
            _ => vec![Note {
                code: "trailing-bytes",
                message: format!("{extra} bytes after the array are skipped"),
            }],
        };
        Ok(Npy {
            source,
            header,
            notes,
        })
    }

    fn data(&self) -> &[u8] {
        let (from, n) = (self.header.data, self.header.bytes);
        self.source.bytes().get(from..from + n).unwrap_or_default()
    }
}

impl Tree for Npy {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn container(&self) -> Container {
        Container::Npy
    }

    fn held(&self) -> u64 {
        0
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn variables(&self) -> Vec<Var> {
        vec![self.header.var("array".to_owned(), 0)]
    }

    fn field(&self, of: &Var, _: u64, _: &str) -> Result<Option<Var>> {
        Err(no_struct(self.path(), of, "a struct"))
    }

    fn cell(&self, of: &Var, _: u64) -> Result<Var> {
        Err(no_struct(self.path(), of, "a cell array"))
    }

    fn read_f64(&self, of: &Var, first: &[u64], stride: u64, out: &mut [&mut [f64]]) -> Result<()> {
        let (path, data) = (self.path(), self.data());
        let lanes = Lanes { first, stride, out };
        self.header.lanes(path, &of.place, data, false, lanes)
    }

    fn read_imaginary(
        &self,
        of: &Var,
        first: &[u64],
        stride: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        let (path, data) = (self.path(), self.data());
        let lanes = Lanes { first, stride, out };
        self.header.lanes(path, &of.place, data, true, lanes)
    }

    fn texts(&self, of: &Var) -> Result<Vec<String>> {
        self.header
            .texts(self.data())
            .ok_or_else(|| no_struct(self.path(), of, "text"))
    }
}
