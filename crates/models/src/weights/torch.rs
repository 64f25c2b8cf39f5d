//! PyTorch's files (`torch.save`, version 1.6 and later): a zip of one pickle and raw storages.
//!
//! Tensors alone are read. Everything else in the pickle, unknown classes included, is passed over.
//! Nothing is allocated that the file's size does not cover: a storage is as long as its entry, a
//! tensor lies inside its storage, and all tensors together may take twice the file (tied weights are
//! written once and read twice).

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufReader, Read, Seek};
use std::path::Path;
use std::rc::Rc;

use candle_core::{DType, Device, Tensor};
use zip::ZipArchive;

use super::pickle::{self, MAX_STREAM};
use super::values::{Id, Value, Values};
use crate::error::{Error, Result};

/// Dictionaries inside dictionaries.
const MAX_DEPTH: usize = 8;
/// Entries of all dictionaries that are looked at.
const MAX_ENTRIES: usize = 1 << 20;
/// Dimensions of a tensor.
const MAX_RANK: usize = 8;
/// Keys under which training scripts keep a model's weights beside other things.
const STATE_KEYS: [&str; 4] = ["model_state_dict", "state_dict", "model", "module"];

/// Tensors of a checkpoint.
#[derive(Debug)]
pub struct Checkpoint {
    /// By name, as written; those of dictionaries inside dictionaries joined by dots.
    pub tensors: HashMap<String, Tensor>,
    /// The key under which the weights lay, if they did not lie at the top.
    pub under: Option<String>,
}

fn fail(place: impl Into<String>, reason: impl Into<String>) -> Error {
    Error::Checkpoint {
        place: place.into(),
        reason: reason.into(),
    }
}

/// Reads the weights of a PyTorch file.
///
/// # Errors
/// [`Error::Checkpoint`] with place and reason; [`Error::Io`] where the file cannot be read.
pub fn read_torch(path: &Path) -> Result<Checkpoint> {
    let io = |source| Error::Io {
        path: path.to_path_buf(),
        source,
    };
    let file = File::open(path).map_err(io)?;
    let size = file.metadata().map_err(io)?.len();
    read_from(BufReader::new(file), size)
}

/// As [`read_torch`], from anything of `size` bytes.
pub(super) fn read_from<R: Read + Seek>(mut source: R, size: u64) -> Result<Checkpoint> {
    let mut head = [0u8; 4];
    let got = source
        .read(&mut head)
        .map_err(|e| fail("file", e.to_string()))?;
    if head.get(..got) != Some(b"PK\x03\x04") {
        let hint = match head.first() {
            Some(0x80) => {
                "; it is a bare pickle (PyTorch before 1.6): load and save it with a newer PyTorch, or as safetensors"
            }
            _ => "",
        };
        return Err(fail(
            "file",
            format!("not a zip archive, as torch.save writes{hint}"),
        ));
    }
    let zip = ZipArchive::new(source).map_err(|e| fail("zip directory", e.to_string()))?;
    let name = zip
        .file_names()
        .filter_map(|n| n.ok().map(|n| n.into_owned()))
        .find(|n| n == "data.pkl" || n.ends_with("/data.pkl"))
        .ok_or_else(|| fail("zip directory", "no data.pkl: not a file of torch.save"))?;
    let mut archive = Archive {
        root: name.trim_end_matches("data.pkl").to_string(),
        zip,
        size,
        cached: 0,
        storages: HashMap::new(),
    };
    if let Some(order) = archive.optional("byteorder", 16)?
        && order != b"little"
    {
        return Err(fail(
            "byteorder",
            format!("{:?}, expected little", String::from_utf8_lossy(&order)),
        ));
    }
    let stream = archive
        .optional("data.pkl", MAX_STREAM)?
        .ok_or_else(|| fail("data.pkl", "it vanished"))?;
    let (values, root) = pickle::read(&stream)?;
    let mut found = Vec::new();
    let mut budget = MAX_ENTRIES;
    let under = STATE_KEYS
        .iter()
        .find_map(|k| values.entry(root, k).map(|id| (*k, id)))
        .filter(|(_, id)| values.pairs(*id).is_some());
    let top = under.map_or(root, |(_, id)| id);
    if values.pairs(top).is_none() {
        return Err(fail("data.pkl", "not a dictionary of tensors"));
    }
    collect(&values, top, "", 0, &mut budget, &mut found)?;
    let mut reader = Reader {
        values: &values,
        archive: &mut archive,
        left: size.saturating_mul(2),
    };
    let mut tensors = HashMap::new();
    for (name, id) in found {
        let t = reader.tensor(&name, id)?;
        tensors.insert(name, t);
    }
    if tensors.is_empty() {
        return Err(fail("data.pkl", "no tensor in it"));
    }
    Ok(Checkpoint {
        tensors,
        under: under.map(|(k, _)| k.to_string()),
    })
}

/// Names and numbers of the tensors under `id`.
fn collect(
    values: &Values,
    id: Id,
    prefix: &str,
    depth: usize,
    budget: &mut usize,
    out: &mut Vec<(String, Id)>,
) -> Result<()> {
    for (key, value) in values.pairs(id).unwrap_or(&[]) {
        *budget = budget
            .checked_sub(1)
            .ok_or_else(|| fail("data.pkl", format!("more than {MAX_ENTRIES} entries")))?;
        let Some(key) = values.text(*key) else {
            continue;
        };
        let name = match prefix.is_empty() {
            true => key.to_string(),
            false => format!("{prefix}.{key}"),
        };
        if values.pairs(*value).is_some() {
            if depth < MAX_DEPTH {
                collect(values, *value, &name, depth + 1, budget, out)?;
            }
        } else if unwrap_parameter(values, *value).is_some() {
            out.push((name, *value));
        }
    }
    Ok(())
}

/// Arguments of a tensor's rebuilding, out of its parameter if it is one.
fn unwrap_parameter(values: &Values, id: Id) -> Option<&[Id]> {
    let (path, arguments) = values.call(id)?;
    match path {
        "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => Some(arguments),
        "torch._utils._rebuild_parameter" | "torch._utils._rebuild_parameter_with_state" => {
            let (path, inner) = values.call(*arguments.first()?)?;
            match path {
                "torch._utils._rebuild_tensor_v2" | "torch._utils._rebuild_tensor" => Some(inner),
                _ => None,
            }
        }
        _ => None,
    }
}

struct Archive<R> {
    zip: ZipArchive<R>,
    root: String,
    size: u64,
    /// Bytes of the storages held.
    cached: u64,
    storages: HashMap<String, Rc<Vec<u8>>>,
}

impl<R: Read + Seek> Archive<R> {
    /// Bytes of an entry of at most `limit`, if there is one.
    fn optional(&mut self, name: &str, limit: usize) -> Result<Option<Vec<u8>>> {
        let full = format!("{}{name}", self.root);
        let entry = match self.zip.by_name(&full) {
            Ok(entry) => entry,
            Err(zip::result::ZipError::FileNotFound) => return Ok(None),
            Err(e) => return Err(fail(full, e.to_string())),
        };
        let size = entry.size();
        // torch.save compresses nothing, so an entry is no longer than the file.
        if size > limit as u64 || size > self.size {
            return Err(fail(
                full,
                format!(
                    "{size} bytes, the file has {} and the limit is {limit}",
                    self.size
                ),
            ));
        }
        let mut out = Vec::with_capacity(size as usize);
        entry
            .take(size)
            .read_to_end(&mut out)
            .map_err(|e| fail(&full, e.to_string()))?;
        if out.len() as u64 != size {
            return Err(fail(
                full,
                format!("{size} bytes promised, {} found", out.len()),
            ));
        }
        Ok(Some(out))
    }

    fn storage(&mut self, key: &str) -> Result<Rc<Vec<u8>>> {
        if let Some(s) = self.storages.get(key) {
            return Ok(s.clone());
        }
        let left = usize::try_from(self.size.saturating_sub(self.cached)).unwrap_or(usize::MAX);
        let bytes = self
            .optional(&format!("data/{key}"), left)?
            .ok_or_else(|| fail(format!("data/{key}"), "no such storage"))?;
        self.cached += bytes.len() as u64;
        let bytes = Rc::new(bytes);
        self.storages.insert(key.to_string(), bytes.clone());
        Ok(bytes)
    }
}

struct Reader<'a, R> {
    values: &'a Values,
    archive: &'a mut Archive<R>,
    /// Bytes that tensors may still take.
    left: u64,
}

/// Type of a storage class: as read, and bytes of a value.
fn element(class: &str) -> Option<(&'static str, usize)> {
    Some(
        match class.strip_prefix("torch.")?.strip_suffix("Storage")? {
            "Float" => ("f32", 4),
            "Double" => ("f64", 8),
            "Half" => ("f16", 2),
            "BFloat16" => ("bf16", 2),
            "Long" => ("i64", 8),
            "Int" => ("i32", 4),
            "Short" => ("i16", 2),
            "Char" => ("i8", 1),
            "Byte" | "Bool" => ("u8", 1),
            _ => return None,
        },
    )
}

impl<R: Read + Seek> Reader<'_, R> {
    fn tensor(&mut self, name: &str, id: Id) -> Result<Tensor> {
        let values = self.values;
        let bad = |what: &str| fail(format!("tensor {name}"), what);
        let arguments = unwrap_parameter(values, id).ok_or_else(|| bad("not a tensor"))?;
        let &[storage, offset, size, stride, ..] = arguments else {
            return Err(bad("storage, offset, shape and strides expected"));
        };
        let Some(Value::Persistent(storage)) = values.get(storage) else {
            return Err(bad("a storage expected"));
        };
        let Some(&[tag, class, key, _, count]) = values.items(*storage) else {
            return Err(bad("a storage of five fields expected"));
        };
        let (Some("storage"), Some(class), Some(key), Some(count)) = (
            values.text(tag),
            values.global(class),
            values.text(key),
            values.integer(count).and_then(|c| usize::try_from(c).ok()),
        ) else {
            return Err(bad("a storage with class, key and length expected"));
        };
        let (kind, width) = element(class).ok_or_else(|| bad(&format!("storage class {class}")))?;
        let numbers = |id: Id| -> Option<Vec<usize>> {
            let v = values.integers(id)?;
            v.into_iter().map(|v| usize::try_from(v).ok()).collect()
        };
        let (Some(offset), Some(shape), Some(strides)) = (
            values.integer(offset).and_then(|o| usize::try_from(o).ok()),
            numbers(size),
            numbers(stride),
        ) else {
            return Err(bad("offset, shape and strides of 0 or more expected"));
        };
        if shape.len() != strides.len() || shape.len() > MAX_RANK {
            return Err(bad(&format!(
                "{} dimensions, {} strides",
                shape.len(),
                strides.len()
            )));
        }
        let elements = shape.iter().try_fold(1usize, |n, d| n.checked_mul(*d));
        let bytes = elements.and_then(|n| n.checked_mul(width));
        let (Some(elements), Some(bytes)) = (elements, bytes) else {
            return Err(bad("a shape beyond this machine"));
        };
        self.left = self.left.checked_sub(bytes as u64).ok_or_else(|| {
            bad(&format!(
                "shape {shape:?} takes more than the file can hold"
            ))
        })?;
        let data = self.archive.storage(key)?;
        let held = data.len() / width;
        if held < count {
            return Err(bad(&format!("storage {key} of {count} values has {held}")));
        }
        let last = shape.iter().zip(&strides).try_fold(offset, |at, (d, s)| {
            at.checked_add(d.saturating_sub(1).checked_mul(*s)?)
        });
        if elements > 0 && last.is_none_or(|last| last >= count) {
            return Err(bad(&format!(
                "shape {shape:?} with strides {strides:?} from {offset} reaches beyond the {count} values of storage {key}"
            )));
        }
        let raw = gather(&data, width, offset, &shape, &strides, elements);
        Ok(decode(kind, &raw, &shape)?)
    }
}

/// Bytes of the tensor in the order of its shape.
fn gather(
    data: &[u8],
    width: usize,
    offset: usize,
    shape: &[usize],
    strides: &[usize],
    n: usize,
) -> Vec<u8> {
    let mut out = Vec::with_capacity(n * width);
    let mut index = vec![0usize; shape.len()];
    let mut at = offset;
    for _ in 0..n {
        // Inside by the checks of the caller.
        out.extend_from_slice(
            data.get(at * width..(at + 1) * width)
                .unwrap_or(&[0; 8][..width]),
        );
        for ((i, d), s) in index.iter_mut().zip(shape).zip(strides).rev() {
            *i += 1;
            at += s;
            if *i < *d {
                break;
            }
            at -= s * d;
            *i = 0;
        }
    }
    out
}

/// Little-endian values to a tensor; whole numbers become i64, bytes stay.
fn decode(kind: &str, raw: &[u8], shape: &[usize]) -> candle_core::Result<Tensor> {
    let cpu = &Device::Cpu;
    let whole = |v: Vec<i64>| Tensor::from_vec(v, shape, cpu);
    match kind {
        "f32" => Tensor::from_raw_buffer(raw, DType::F32, shape, cpu),
        "f64" => Tensor::from_raw_buffer(raw, DType::F64, shape, cpu),
        "f16" => Tensor::from_raw_buffer(raw, DType::F16, shape, cpu),
        "bf16" => Tensor::from_raw_buffer(raw, DType::BF16, shape, cpu),
        "i64" => Tensor::from_raw_buffer(raw, DType::I64, shape, cpu),
        "i32" => whole(
            raw.as_chunks::<4>()
                .0
                .iter()
                .map(|b| i32::from_le_bytes(*b).into())
                .collect(),
        ),
        "i16" => whole(
            raw.as_chunks::<2>()
                .0
                .iter()
                .map(|b| i16::from_le_bytes(*b).into())
                .collect(),
        ),
        "i8" => whole(raw.iter().map(|b| (*b as i8).into()).collect()),
        _ => Tensor::from_raw_buffer(raw, DType::U8, shape, cpu),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn fixture() -> Vec<u8> {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/fixtures/checkpoint.pth");
        std::fs::read(path).unwrap()
    }

    fn read(data: &[u8]) -> Result<Checkpoint> {
        read_from(Cursor::new(data), data.len() as u64)
    }

    #[test]
    fn types_strides_and_unknown_classes() {
        let c = read(&fixture()).unwrap();
        assert_eq!(c.under.as_deref(), Some("model_state_dict"));
        let mut names: Vec<&str> = c.tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        assert_eq!(
            names,
            [
                "bf16",
                "bool",
                "empty",
                "f16",
                "f32",
                "f64",
                "i32",
                "i64",
                "nested.deep",
                "parameter",
                "scalar",
                "tied",
                "transposed",
                "view"
            ]
        );
        let v = |n: &str| -> Vec<f64> {
            let t = c.tensors[n].to_dtype(DType::F64).unwrap();
            t.flatten_all().unwrap().to_vec1().unwrap()
        };
        let six = [0.0, 1.0, 2.0, 3.0, 4.0, 5.0];
        for n in [
            "f32",
            "f64",
            "f16",
            "bf16",
            "i32",
            "i64",
            "tied",
            "parameter",
        ] {
            assert_eq!(v(n), six, "{n}");
            assert_eq!(c.tensors[n].dims(), [2, 3], "{n}");
        }
        assert_eq!(v("transposed"), [0.0, 3.0, 1.0, 4.0, 2.0, 5.0]);
        assert_eq!(c.tensors["transposed"].dims(), [3, 2]);
        assert_eq!(v("view"), [4.0, 5.0]);
        assert_eq!(v("bool"), [1.0, 0.0]);
        assert_eq!((v("scalar"), c.tensors["scalar"].rank()), (vec![2.5], 0));
        assert_eq!(c.tensors["empty"].dims(), [0, 3]);
        assert_eq!(v("nested.deep"), [7.0]);
    }

    #[test]
    fn damaged_files_are_errors_or_tensors_and_never_panics() {
        let whole = fixture();
        for n in (0..whole.len()).step_by(97) {
            assert!(read(&whole[..n]).is_err(), "cut at {n}");
        }
        let stream = crate::rng::Stream::named(1, "damage");
        for case in 0..1500u64 {
            let mut d = whole.clone();
            for k in 0..1 + case % 4 {
                let s = stream.child(case).child(k);
                let at = (s.bits(0) % d.len() as u64) as usize;
                d[at] = s.bits(1) as u8;
            }
            let _ = read(&d);
        }
        let old = read(b"\x80\x02\x8a\x0al\xfc\x9cF\xf9 j\xa8P\x19.").unwrap_err();
        assert!(old.to_string().contains("before 1.6"), "{old}");
        assert!(read(b"").is_err() && read(b"PK").is_err());
    }
}
