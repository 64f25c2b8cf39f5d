//! One object of the file: a group or a data set, with MATLAB's marks on it.

use super::attribute::{Attribute, attributes};
use super::dataset::Dataset;
use super::datatype::Type;
use super::file::{File, little};
use super::group::{self, Link};
use super::header;
use super::heap::Global;
use crate::error::{Error, Result};

/// What MATLAB says of a variable in attributes.
#[derive(Debug, Default, Clone, PartialEq)]
pub(super) struct Mark {
    /// `MATLAB_class`.
    pub(super) class: Option<String>,
    /// `MATLAB_empty`: the data are the dimensions of an empty array.
    pub(super) empty: bool,
    /// `MATLAB_object_decode`: an object, kept in the subsystem.
    pub(super) object: bool,
    /// `MATLAB_sparse`: rows of a sparse matrix.
    pub(super) sparse: Option<u64>,
    /// `MATLAB_fields`: names in the order of the struct.
    pub(super) fields: Vec<String>,
}

pub(super) enum Body {
    Group(Vec<(String, Link)>),
    Data(Box<Dataset>),
    /// Something that is not read, and what it is.
    Other(String),
}

pub(super) struct Object {
    pub(super) mark: Mark,
    pub(super) body: Body,
}

impl Object {
    pub(super) fn load(file: &File, address: u64) -> Result<Object> {
        let messages = header::messages(file, address)?;
        let wanted = |name: &str| name.starts_with("MATLAB_") || name == "H5PATH";
        let mut mark = Mark::default();
        match attributes(file, &messages, &wanted) {
            Ok(found) => {
                for attribute in &found {
                    mark.take(file, attribute)?;
                }
            }
            // Without its attributes a variable of other makers is still readable.
            Err(Error::Unsupported { .. }) => {}
            Err(e) => return Err(e),
        }
        let body = if group::is_group(&messages) {
            group::members(file, &messages).map(Body::Group)
        } else if messages.iter().any(|m| m.kind == header::kind::LAYOUT) {
            Dataset::new(file, address, &messages).map(|d| Body::Data(Box::new(d)))
        } else {
            Ok(Body::Other("a committed type".to_owned()))
        };
        let body = match body {
            Err(Error::Unsupported { what, .. }) => Body::Other(what),
            other => other?,
        };
        Ok(Object { mark, body })
    }
}

impl Mark {
    fn take(&mut self, file: &File, attribute: &Attribute<'_>) -> Result<()> {
        let number = || match &attribute.kind {
            Type::Int {
                size, big: false, ..
            } if attribute.space.len() == 1 => {
                Some(little(attribute.data.get(..*size).unwrap_or_default()))
            }
            _ => None,
        };
        match attribute.name.as_str() {
            "MATLAB_class" if matches!(attribute.kind, Type::Text { .. }) => {
                self.class = Some(text(attribute.data));
            }
            "MATLAB_class" if matches!(attribute.kind, Type::VlenText { .. }) => {
                let (_, bytes) = Global::default().value(file, attribute.data)?;
                self.class = Some(text(bytes));
            }
            "MATLAB_empty" => self.empty = number().is_some_and(|n| n != 0),
            "MATLAB_object_decode" => self.object = number().is_some_and(|n| n != 0),
            "MATLAB_sparse" => self.sparse = number(),
            "MATLAB_fields" => {
                let size = attribute.kind.size().max(1);
                let mut heap = Global::default();
                for stored in attribute.data.chunks_exact(size) {
                    match &attribute.kind {
                        Type::Vlen { .. } | Type::VlenText { .. } => {
                            let (count, bytes) = heap.value(file, stored)?;
                            self.fields.push(text(bytes.get(..count).unwrap_or(bytes)));
                        }
                        Type::Text { .. } => self.fields.push(text(stored)),
                        _ => {}
                    }
                }
            }
            _ => {}
        }
        Ok(())
    }
}

/// A fixed-length text: up to a NUL, without blanks after it.
pub(super) fn text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|b| *b == 0).unwrap_or(bytes.len());
    let text = String::from_utf8_lossy(bytes.get(..end).unwrap_or_default());
    text.trim_end_matches(' ').to_owned()
}
