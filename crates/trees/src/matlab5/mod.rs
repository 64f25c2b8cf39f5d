//! MATLAB level 5 files (v5, v6, and v7 with compression), also EEGLAB's `.set`.
//!
//! Owns the index of a file and the buffers that arrays lie in: the file itself, and the inflated
//! bytes of each compressed variable, made at its first use and kept. What a variable is (its
//! name, class and dimensions) is learnt from the first bytes of its compressed stream. Nothing
//! recurses: an array's children are found by their lengths and parsed when they are asked for,
//! so nesting costs no stack.
//!
//! Source: "MAT-File Format", The MathWorks, level 5; the objects' subsystem is not described
//! there (see `mcos`).

mod chars;
mod head;
mod mcos;
mod node;
mod object;
mod tag;
mod tree;

use std::collections::HashMap;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use crate::error::{Error, Result};
use crate::inflate;
use crate::room::{self, Room};
use crate::source::Source;
use crate::tree::{Class, Note, Var};

use head::{Head, MX_FUNCTION, MX_OPAQUE};
use mcos::Subsystem;
use node::Node;
use tag::{Fault, MI_COMPRESSED, MI_MATRIX};

/// Bytes of the descriptive header.
const HEADER: usize = 128;
/// A handle is a buffer's number above so many bits of an offset in it, or has `VIEW` set.
const OFFSET_BITS: u32 = 44;
const VIEW: u64 = 1 << 63;
const MOST_BUFFERS: usize = 1 << 18;
/// Inflated to learn a head; more where that is not enough.
const FIRST_BYTES: usize = 512;
/// Parsed containers of each generation of the cache.
const CACHED: usize = 256;

/// Whether the first bytes are of a level 5 file.
pub(crate) fn is_mat5(bytes: &[u8]) -> bool {
    match bytes.get(124..128) {
        Some([minor, major, b'I', b'M']) => (*minor, *major) == (0, 1),
        Some([major, minor, b'M', b'I']) => (*minor, *major) == (0, 1),
        _ => false,
    }
}

/// A compressed element: where it lies, and what it inflates to.
struct Packed {
    at: Range<usize>,
    claimed: u64,
    inflated: Mutex<Option<Arc<Room>>>,
}

impl Packed {
    /// Bytes that it was inflated to; while that goes on, what it will be.
    fn held(&self) -> u64 {
        room::held(&self.inflated, Option::as_ref, self.claimed)
    }
}

/// Bytes of a buffer.
enum Bytes<'a> {
    Mapped(&'a [u8]),
    Shared(Arc<Room>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

/// Two generations of parsed containers, so that the ones in use stay.
#[derive(Default)]
struct Cache {
    young: HashMap<u64, Arc<Node>>,
    old: HashMap<u64, Arc<Node>>,
}

/// Single elements of struct arrays, for `(n)` without a field: the array's handle and the
/// element, by the number that their own handle carries.
#[derive(Default)]
struct Views {
    numbers: HashMap<(u64, u64), u64>,
    list: Vec<(u64, u64)>,
}

/// An open level 5 file.
pub(crate) struct Mat5 {
    source: Source,
    big: bool,
    packed: Vec<Packed>,
    variables: Vec<Var>,
    notes: Vec<Note>,
    /// Handle of the nameless array of bytes that holds the objects.
    subsystem_at: Option<u64>,
    subsystem: OnceLock<std::result::Result<Subsystem, String>>,
    cache: Mutex<Cache>,
    views: Mutex<Views>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // Every value behind these locks is whole between two statements, also after a panic.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Mat5 {
    /// Indexes a mapped file whose first bytes [`is_mat5`] accepts.
    ///
    /// # Errors
    /// [`Error::Damaged`] where a variable's head is, [`Error::Unsupported`] beyond 262,143
    /// compressed variables.
    pub(crate) fn open(source: Source) -> Result<Mat5> {
        let big = source.bytes().get(126..128) == Some(b"MI".as_slice());
        let mut file = Mat5 {
            source,
            big,
            packed: Vec::new(),
            variables: Vec::new(),
            notes: Vec::new(),
            subsystem_at: None,
            subsystem: OnceLock::new(),
            cache: Mutex::default(),
            views: Mutex::default(),
        };
        let mut heads = Vec::new();
        file.index(&mut heads)?;
        file.name_variables(heads);
        Ok(file)
    }

    fn path(&self) -> &Path {
        self.source.path()
    }

    fn index(&mut self, heads: &mut Vec<(u64, Head)>) -> Result<()> {
        let subsystem = self.subsystem_offset();
        let size = self.source.bytes().len();
        let mut at = HEADER;
        while at < size {
            let rest = self.source.bytes().get(at..).unwrap_or_default();
            if rest.len() < 8 || rest.iter().take(8).all(|b| *b == 0) {
                self.notes.push(Note {
                    code: "trailing-bytes",
                    message: format!("{} bytes after the last variable are skipped", rest.len()),
                });
                break;
            }
            let found = tag::tag(self.source.bytes(), at, self.big, size);
            let found = found.map_err(|f| self.fault(0, f))?;
            let (handle, head) = match found.kind {
                MI_MATRIX => {
                    let head = head::head(self.source.bytes(), at, self.big, size);
                    (at as u64, head.map_err(|f| self.fault(0, f))?)
                }
                MI_COMPRESSED => self.packed_head(found.data.clone())?,
                kind => {
                    let message = format!("expected 14 or 15, found {kind}");
                    let field = "data type of a variable";
                    return Err(self.fault(0, Fault::Bad { field, at, message }));
                }
            };
            if subsystem == Some(at as u64) || (head.name.is_empty() && head.class == 9) {
                self.subsystem_at = Some(handle);
            } else {
                heads.push((handle, head));
            }
            at = found.next;
        }
        Ok(())
    }

    /// Where the header says that the subsystem lies; blanks and zeros say that there is none.
    fn subsystem_offset(&self) -> Option<u64> {
        let eight = *self.source.bytes().get(116..)?.first_chunk::<8>()?;
        let at = match self.big {
            true => u64::from_be_bytes(eight),
            false => u64::from_le_bytes(eight),
        };
        (at >= HEADER as u64 && at < self.source.bytes().len() as u64).then_some(at)
    }

    fn packed_head(&mut self, at: Range<usize>) -> Result<(u64, Head)> {
        let buffer = self.packed.len() + 1;
        if buffer >= MOST_BUFFERS {
            return Err(Error::Unsupported {
                path: self.path().to_path_buf(),
                place: "file".to_owned(),
                what: format!("more than {} compressed variables", MOST_BUFFERS - 1),
            });
        }
        self.packed.push(Packed {
            at: at.clone(),
            claimed: 8,
            inflated: Mutex::new(None),
        });
        let stream = self.source.bytes().get(at).unwrap_or_default();
        let mut n = FIRST_BYTES;
        let (head, claimed) = loop {
            let first = inflate::prefix(stream, true, n)
                .map_err(|message| self.inflation(buffer, message))?;
            let claimed = match tag::word(&first, 4, self.big) {
                Ok(n) => n as usize + 8,
                Err(_) => return Err(self.inflation(buffer, "no array comes out".to_owned())),
            };
            match head::head(&first, 0, self.big, claimed) {
                Ok(head) => break (head, claimed),
                Err(Fault::Short) if first.len() >= n => n = n.saturating_mul(8),
                Err(fault) => return Err(self.fault(buffer, fault)),
            }
        };
        if let Some(packed) = self.packed.last_mut() {
            packed.claimed = claimed as u64;
        }
        Ok(((buffer as u64) << OFFSET_BITS, head))
    }

    fn name_variables(&mut self, heads: Vec<(u64, Head)>) {
        let mut variables = Vec::with_capacity(heads.len());
        for (handle, head) in heads {
            let var = self.describe(handle, &head, head.name.clone());
            if var.class == Class::Opaque {
                let (code, what) = match &head.object {
                    _ if head.class == MX_FUNCTION => ("function-handle-skipped", String::new()),
                    Some((system, class)) if head.class == MX_OPAQUE => {
                        ("object-skipped", format!(" of class {class} ({system})"))
                    }
                    _ => ("object-skipped", String::new()),
                };
                let what = match self.why_opaque(handle) {
                    Some(why) => format!("{what}: {why}"),
                    None => what,
                };
                let kind = match code {
                    "function-handle-skipped" => "a function handle",
                    _ => "an object",
                };
                self.notes.push(Note {
                    code,
                    message: format!("{}: {kind}{what} is not read", var.place),
                });
            }
            variables.push(var);
        }
        self.variables = variables;
    }

    /// Buffer and offset of a handle that is no view.
    fn split(handle: u64) -> (usize, usize) {
        let offset = handle & ((1 << OFFSET_BITS) - 1);
        ((handle >> OFFSET_BITS) as usize, offset as usize)
    }

    /// The number of the subsystem's buffer.
    fn subsystem_buffer(&self) -> usize {
        self.packed.len() + 1
    }

    fn bytes(&self, buffer: usize) -> Result<Bytes<'_>> {
        if buffer == 0 {
            return Ok(Bytes::Mapped(self.source.bytes()));
        }
        let Some(packed) = self.packed.get(buffer - 1) else {
            return Ok(match self.subsystem() {
                Ok(subsystem) => Bytes::Mapped(&subsystem.bytes),
                Err(_) => Bytes::Mapped(&[]),
            });
        };
        let mut inflated = lock(&packed.inflated);
        if let Some(bytes) = inflated.as_ref() {
            return Ok(Bytes::Shared(Arc::clone(bytes)));
        }
        let stream = self
            .source
            .bytes()
            .get(packed.at.clone())
            .unwrap_or_default();
        let bytes = inflate::inflate(stream, true, packed.claimed)
            .map_err(|message| self.inflation(buffer, message))?;
        if (bytes.len() as u64) < packed.claimed {
            let message = format!("{} bytes of {} come out", bytes.len(), packed.claimed);
            return Err(self.inflation(buffer, message));
        }
        let bytes = Arc::new(bytes);
        *inflated = Some(Arc::clone(&bytes));
        Ok(Bytes::Shared(bytes))
    }

    fn inflation(&self, buffer: usize, message: String) -> Error {
        let at = self.packed.get(buffer.wrapping_sub(1));
        Error::Damaged {
            path: self.path().to_path_buf(),
            field: "compressed variable".to_owned(),
            offset: at.map_or(0, |p| p.at.start as u64),
            message,
        }
    }

    fn fault(&self, buffer: usize, fault: Fault) -> Error {
        let (field, at, message) = match fault {
            Fault::Short => ("array", 0, "the file ends early".to_owned()),
            Fault::Bad { field, at, message } => (field, at, message),
        };
        let (offset, message) = match self.packed.get(buffer.wrapping_sub(1)) {
            _ if buffer == 0 => (at as u64, message),
            Some(p) => (p.at.start as u64, format!("{message} (inflated byte {at})")),
            None => (
                0,
                format!("{message} (byte {at} of the objects' subsystem)"),
            ),
        };
        Error::Damaged {
            path: self.path().to_path_buf(),
            field: field.to_owned(),
            offset,
            message,
        }
    }

    /// The parsed array behind a handle that is no view. Containers are kept, leaves are not.
    fn node(&self, handle: u64) -> Result<Arc<Node>> {
        {
            let mut cache = lock(&self.cache);
            if let Some(node) = cache.young.get(&handle) {
                return Ok(Arc::clone(node));
            }
            if let Some(node) = cache.old.remove(&handle) {
                cache.young.insert(handle, Arc::clone(&node));
                return Ok(node);
            }
        }
        let (buffer, offset) = Self::split(handle);
        let bytes = self.bytes(buffer)?;
        let node = node::node(&bytes, offset, self.big).map_err(|f| self.fault(buffer, f))?;
        let node = Arc::new(node);
        if matches!(node.body, node::Body::Children(_)) {
            let mut cache = lock(&self.cache);
            if cache.young.len() >= CACHED {
                cache.old = std::mem::take(&mut cache.young);
            }
            cache.young.insert(handle, Arc::clone(&node));
        }
        Ok(node)
    }
}
