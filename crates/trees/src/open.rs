//! Which container a file is, by its content; by its name only where text has no signature.

use std::path::Path;

use crate::error::{Error, Result};
use crate::source::Source;
use crate::tree::Tree;
use crate::{csv, hdf5, matlab5, numpy};

/// Opens a file of named arrays: MATLAB v5 to v7.3, HDF5, `.npy`, `.npz`, `.csv` or `.tsv`.
///
/// The file is mapped: it must not be shortened while the tree is in use, which would end the
/// process.
///
/// # Errors
/// [`Error::Io`]; [`Error::UnknownFormat`]; [`Error::Unsupported`] for a container that is
/// recognised but not read (MATLAB level 4); and what the container's own reader says.
pub fn open(path: &Path) -> Result<Box<dyn Tree>> {
    let source = Source::open(path)?;
    let bytes = source.bytes();
    if matlab5::is_mat5(bytes) {
        return Ok(Box::new(matlab5::Mat5::open(source)?));
    }
    if hdf5::find_signature(bytes).is_some() {
        return hdf5::open(source);
    }
    if bytes.starts_with(numpy::MAGIC) {
        return Ok(Box::new(numpy::Npy::open(source)?));
    }
    if bytes.starts_with(b"PK\x03\x04") || bytes.starts_with(b"PK\x05\x06") {
        return Ok(Box::new(numpy::Npz::open(source)?));
    }
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    let extension = extension.to_ascii_lowercase();
    if matches!(extension.as_str(), "csv" | "tsv") {
        return Ok(Box::new(csv::Csv::open(source)?));
    }
    if extension == "mat" && is_mat4(bytes) {
        return Err(Error::Unsupported {
            path: path.to_path_buf(),
            place: "file".to_owned(),
            what: "MATLAB level 4 (save it again with -v7)".to_owned(),
        });
    }
    Err(Error::UnknownFormat {
        path: path.to_path_buf(),
        expected: "MATLAB v5 to v7.3, HDF5, .npy, .npz, .csv or .tsv",
        found: describe(bytes),
    })
}

/// The type word of a level 4 matrix: `MOPT` as decimal digits, with O zero.
fn is_mat4(bytes: &[u8]) -> bool {
    let Some(four) = bytes.first_chunk::<4>() else {
        return false;
    };
    [u32::from_le_bytes(*four), u32::from_be_bytes(*four)]
        .iter()
        .any(|w| *w <= 4052 && w / 100 % 10 == 0 && w / 10 % 10 <= 5 && w % 10 <= 2)
}

fn describe(bytes: &[u8]) -> String {
    let first: Vec<String> = bytes.iter().take(8).map(|b| format!("{b:02x}")).collect();
    format!("a file that starts with {}", first.join(" "))
}
