//! Objects as variables: string arrays and tables are looked up in the subsystem, the rest is
//! opaque with a reason.

use crate::tree::{Class, Var};

use super::head::{Head, MX_FUNCTION, MX_OPAQUE};
use super::mcos::{Reference, Subsystem};
use super::node::Body;
use super::{Mat5, OFFSET_BITS};

/// What an object turned out to be.
pub(super) enum Object {
    /// A string array.
    Strings(Vec<u64>, Vec<String>),
    /// A table: the columns' names and handles.
    Table(Vec<String>, Vec<u64>),
}

const CONVERT: &str = "export it from MATLAB as a plain array, a cell array of char or a CSV file";

impl Mat5 {
    pub(super) fn subsystem(&self) -> std::result::Result<&Subsystem, String> {
        let parsed = self.subsystem.get_or_init(|| {
            let handle = self
                .subsystem_at
                .ok_or("the file has no subsystem of objects")?;
            let (buffer, _) = Self::split(handle);
            let node = self.node(handle).map_err(|e| e.to_string())?;
            let Body::Numbers(stored, _) = &node.body else {
                return Err("the subsystem is no array of bytes".to_owned());
            };
            let bytes = self.bytes(buffer).map_err(|e| e.to_string())?;
            let content = bytes.get(stored.at.clone()).unwrap_or_default().to_vec();
            Subsystem::parse(content, self.big)
        });
        parsed.as_ref().map_err(Clone::clone)
    }

    /// A variable from its head. Only objects need more than that.
    pub(super) fn describe(&self, handle: u64, head: &Head, place: String) -> Var {
        let mut var = Var {
            place,
            class: head.model(),
            dims: head.dims.clone(),
            fields: head.fields.clone(),
            complex: head.complex,
            handle,
        };
        if self.may_be_object(handle, head) {
            match self.object(handle) {
                Some(Ok(Object::Strings(dims, _))) => {
                    var.class = Class::Text;
                    var.dims = dims;
                }
                Some(Ok(Object::Table(names, _))) => {
                    var.class = Class::Table;
                    var.dims = vec![1];
                    var.fields = names;
                }
                Some(Err(_)) => var.class = Class::Opaque,
                None => {}
            }
        }
        var
    }

    /// Objects are marked at the top and in containers; within the subsystem they are arrays of
    /// 32-bit words that start with a magic number.
    fn may_be_object(&self, handle: u64, head: &Head) -> bool {
        let (buffer, _) = Self::split(handle);
        let inside = buffer == self.subsystem_buffer();
        head.class == MX_OPAQUE || (inside && head.class == 13 && !head.complex)
    }

    /// What is known of an object: `None` when it is no object, a reason when it is not read.
    pub(super) fn object(&self, handle: u64) -> Option<std::result::Result<Object, String>> {
        let node = match self.node(handle) {
            Ok(node) => node,
            Err(e) => return Some(Err(e.to_string())),
        };
        let (buffer, _) = Self::split(handle);
        if node.head.class == MX_FUNCTION {
            return Some(Err("function handles are not read".to_owned()));
        }
        let words = match &node.body {
            Body::Object(at) => {
                let inner = self.node((buffer as u64) << OFFSET_BITS | *at as u64);
                let inner = match inner {
                    Ok(inner) => inner,
                    Err(e) => return Some(Err(e.to_string())),
                };
                match self.bytes(buffer) {
                    Ok(bytes) => Subsystem::words(&bytes, &inner, self.big),
                    Err(e) => return Some(Err(e.to_string())),
                }
            }
            _ => match self.bytes(buffer) {
                Ok(bytes) => Subsystem::words(&bytes, &node, self.big),
                Err(e) => return Some(Err(e.to_string())),
            },
        };
        let marked = matches!(node.body, Body::Object(_));
        let Some(words) = words else {
            return marked.then(|| Err(format!("its reference has an unknown form; {CONVERT}")));
        };
        match self.referred(&words) {
            Ok(Some(object)) => Some(Ok(object)),
            Ok(None) if marked => {
                Some(Err(format!("its reference has an unknown form; {CONVERT}")))
            }
            Ok(None) => None,
            Err(why) => Some(Err(format!("{why}; {CONVERT}"))),
        }
    }

    fn referred(&self, words: &[u32]) -> std::result::Result<Option<Object>, String> {
        let subsystem = self.subsystem()?;
        let Some((Reference { dims, first }, class)) = subsystem.reference(words)? else {
            return Ok(None);
        };
        let one = dims.iter().all(|d| *d == 1);
        match class {
            b"string" if one => match subsystem.property(first, "any")? {
                Some(at) => subsystem
                    .strings(at)
                    .map(|(d, s)| Some(Object::Strings(d, s))),
                None => Ok(Some(Object::Strings(vec![0, 0], Vec::new()))),
            },
            b"table" if one => self.table(subsystem, first).map(Some),
            other => Err(format!(
                "objects of class {} are not read",
                String::from_utf8_lossy(other)
            )),
        }
    }

    fn table(&self, subsystem: &Subsystem, object: u32) -> std::result::Result<Object, String> {
        let base = (self.subsystem_buffer() as u64) << OFFSET_BITS;
        let part = |name: &str| -> std::result::Result<Vec<usize>, String> {
            let at = subsystem.property(object, name)?;
            let at = at.ok_or_else(|| format!("the table has no property {name}"))?;
            let handle = base | at as u64;
            match &self.node(handle).map_err(|e| e.to_string())?.body {
                Body::Children(children) => Ok(children.clone()),
                _ => Err(format!("the table's property {name} is no cell array")),
            }
        };
        let (cells, columns) = (part("varnames")?, part("data")?);
        // Names are char arrays; anything else is refused here rather than looked up as an
        // object, which could lead back to this table.
        let mut names = Vec::with_capacity(cells.len());
        for at in cells {
            let name = Var {
                place: "varnames".to_owned(),
                class: Class::Char,
                dims: Vec::new(),
                fields: Vec::new(),
                complex: false,
                handle: base | at as u64,
            };
            let rows = self.char_rows(&name).map_err(|e| e.to_string())?;
            names.push(rows.into_iter().next().unwrap_or_default());
        }
        if names.len() != columns.len() {
            return Err(format!(
                "the table has {} columns and {} names",
                columns.len(),
                names.len()
            ));
        }
        let columns = columns.into_iter().map(|at| base | at as u64).collect();
        Ok(Object::Table(names, columns))
    }

    /// Why a variable is opaque.
    pub(super) fn why_opaque(&self, handle: u64) -> Option<String> {
        match self.object(handle) {
            Some(Err(why)) => Some(why),
            _ => None,
        }
    }
}
