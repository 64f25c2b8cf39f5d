//! MATLAB level 5, little-endian.

use std::io::Write;
use std::path::Path;

use flate2::Compression;
use flate2::write::ZlibEncoder;

use crate::error::{Error, Result};

use super::{Numbers, Value};

/// Characters of the descriptive text, without a date so that files are reproducible.
const TEXT: &str = "MATLAB 5.0 MAT-file, Platform: posix";
/// Longest name of a variable or field that MATLAB takes.
const LONGEST_NAME: usize = 63;
const MATRIX: u32 = 14;

/// Writes variables to a file, each compressed when `compress` is set.
///
/// # Errors
/// [`Error::Io`]; [`Error::Range`] for dimensions that do not agree with the number of elements,
/// a name that MATLAB would not take, or a variable of 4 GiB and more.
pub fn write_mat5(path: &Path, variables: &[(&str, Value)], compress: bool) -> Result<()> {
    let mut out = TEXT.as_bytes().to_vec();
    out.resize(116, b' ');
    out.resize(124, 0);
    out.extend([0, 1, b'I', b'M']);
    for (name, value) in variables {
        let mut element = Vec::new();
        matrix(path, name, name, value, &mut element)?;
        if compress {
            let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
            let packed = encoder
                .write_all(&element)
                .and_then(|()| encoder.finish())
                .map_err(|e| Error::io(path, "compress", e))?;
            words(&[15, packed.len() as u32], &mut out);
            out.extend(packed);
        } else {
            out.extend(element);
        }
    }
    std::fs::write(path, out).map_err(|e| Error::io(path, "write", e))
}

fn wrong(path: &Path, place: &str, message: String) -> Error {
    Error::Range {
        path: path.to_path_buf(),
        place: place.to_owned(),
        message,
    }
}

fn words(words: &[u32], out: &mut Vec<u8>) {
    for word in words {
        out.extend(word.to_le_bytes());
    }
}

/// A tag, the data, and zeros up to a multiple of 8.
fn element(kind: u32, data: &[u8], out: &mut Vec<u8>) {
    if (1..=4).contains(&data.len()) {
        words(&[(data.len() as u32) << 16 | kind], out);
        out.extend(data);
    } else {
        words(&[kind, data.len() as u32], out);
        out.extend(data);
    }
    out.resize(out.len().next_multiple_of(8), 0);
}

fn matrix(path: &Path, place: &str, name: &str, value: &Value, out: &mut Vec<u8>) -> Result<()> {
    if name.len() > LONGEST_NAME || !name.is_ascii() {
        let message = format!("a name of at most {LONGEST_NAME} ASCII characters is needed");
        return Err(wrong(path, place, message));
    }
    let start = out.len();
    words(&[MATRIX, 0], out);
    let units: Vec<u16>;
    let (class, dims, elements) = match value {
        Value::Array(dims, numbers) => (class(numbers).0, dims.clone(), numbers.len()),
        Value::Text(text) => {
            units = text.encode_utf16().collect();
            (
                4,
                vec![u64::from(!units.is_empty()), units.len() as u64],
                units.len(),
            )
        }
        Value::Cell(dims, values) => (1, dims.clone(), values.len()),
        Value::Struct(dims, fields) => {
            let n = dims.iter().product::<u64>() as usize;
            if let Some((name, values)) = fields.iter().find(|(_, v)| v.len() != n) {
                let message = format!("field {name} has {} values for {n} elements", values.len());
                return Err(wrong(path, place, message));
            }
            (2, dims.clone(), n)
        }
    };
    let len = dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d));
    let small = dims.iter().all(|d| *d <= i32::MAX as u64);
    if len != Some(elements as u64) || dims.len() < 2 || !small {
        let message = format!("dimensions {dims:?} (two at least) for {elements} elements");
        return Err(wrong(path, place, message));
    }
    let logical = matches!(value, Value::Array(_, Numbers::Bool(_)));
    words(&[6, 8, class | u32::from(logical) << 9, 0], out);
    let dims: Vec<u8> = dims
        .iter()
        .flat_map(|d| (*d as i32).to_le_bytes())
        .collect();
    element(5, &dims, out);
    element(1, name.as_bytes(), out);
    match value {
        Value::Array(_, numbers) => {
            let mut data = Vec::new();
            (0..numbers.len()).for_each(|k| numbers.push(k, &mut data));
            element(class_storage(numbers), &data, out);
        }
        Value::Text(text) => {
            let units: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
            element(17, &units, out);
        }
        Value::Cell(_, values) => {
            for (k, value) in values.iter().enumerate() {
                matrix(path, &format!("{place}{{{}}}", k + 1), "", value, out)?;
            }
        }
        Value::Struct(_, fields) => {
            let longest = fields.iter().map(|(name, _)| name.len()).max().unwrap_or(0);
            if longest > LONGEST_NAME || fields.iter().any(|(name, _)| !name.is_ascii()) {
                let message = format!("field names have at most {LONGEST_NAME} ASCII characters");
                return Err(wrong(path, place, message));
            }
            let each = if longest < 32 { 32 } else { 64 };
            element(5, &(each as i32).to_le_bytes(), out);
            let mut names = Vec::new();
            for (k, (name, _)) in fields.iter().enumerate() {
                names.extend(name.as_bytes());
                names.resize((k + 1) * each, 0);
            }
            element(1, &names, out);
            for k in 0..elements {
                for (name, values) in fields {
                    if let Some(value) = values.get(k) {
                        matrix(path, &format!("{place}.{name}"), "", value, out)?;
                    }
                }
            }
        }
    }
    let size = u32::try_from(out.len() - start - 8)
        .map_err(|_| wrong(path, place, "4 GiB or more".to_owned()))?;
    if let Some(length) = out.get_mut(start + 4..start + 8) {
        length.copy_from_slice(&size.to_le_bytes());
    }
    Ok(())
}

/// Class of the array and storage type of its data.
fn class(numbers: &Numbers) -> (u32, u32) {
    match numbers {
        Numbers::F64(_) => (6, 9),
        Numbers::F32(_) => (7, 7),
        Numbers::I8(_) => (8, 1),
        Numbers::U8(_) | Numbers::Bool(_) => (9, 2),
        Numbers::I16(_) => (10, 3),
        Numbers::U16(_) => (11, 4),
        Numbers::I32(_) => (12, 5),
        Numbers::U32(_) => (13, 6),
        Numbers::I64(_) => (14, 12),
        Numbers::U64(_) => (15, 13),
    }
}

fn class_storage(numbers: &Numbers) -> u32 {
    class(numbers).1
}
