//! `.npy` version 1.0, little-endian, Fortran order.

use std::path::Path;

use crate::error::{Error, Result};

use super::Numbers;

/// Writes one array whose numbers are in linear order (first dimension fastest; NumPy's
/// `ravel(order="F")`). `dims` may be empty for a scalar.
///
/// # Errors
/// [`Error::Io`]; [`Error::Range`] for dimensions that do not agree with the numbers.
pub fn write_npy(path: &Path, dims: &[u64], numbers: &Numbers) -> Result<()> {
    let len = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
    if len != Some(numbers.len() as u64) || dims.len() > 32 {
        return Err(Error::Range {
            path: path.to_path_buf(),
            place: "array".to_owned(),
            message: format!("dimensions {dims:?} for {} elements", numbers.len()),
        });
    }
    let descr = match numbers {
        Numbers::F64(_) => "<f8",
        Numbers::F32(_) => "<f4",
        Numbers::I8(_) => "|i1",
        Numbers::I16(_) => "<i2",
        Numbers::I32(_) => "<i4",
        Numbers::I64(_) => "<i8",
        Numbers::U8(_) => "|u1",
        Numbers::U16(_) => "<u2",
        Numbers::U32(_) => "<u4",
        Numbers::U64(_) => "<u8",
        Numbers::Bool(_) => "|b1",
    };
    let sizes: String = dims.iter().map(|d| format!("{d},")).collect();
    let mut text = format!("{{'descr': '{descr}', 'fortran_order': True, 'shape': ({sizes}), }}");
    while !(10 + text.len() + 1).is_multiple_of(64) {
        text.push(' ');
    }
    text.push('\n');
    let mut out = b"\x93NUMPY\x01\x00".to_vec();
    out.extend((text.len() as u16).to_le_bytes());
    out.extend(text.as_bytes());
    (0..numbers.len()).for_each(|k| numbers.push(k, &mut out));
    std::fs::write(path, out).map_err(|e| Error::io(path, "write", e))
}
