//! The tree's operations on a level 5 file.

use std::path::Path;
use std::sync::Arc;

use crate::error::{Error, Result};
use crate::numbers::{Lanes, Layout, check_lanes, gather};
use crate::tree::{Class, Container, Note, Tree, Var};

use super::chars::Codes;
use super::head::{MX_CELL, MX_OBJECT, MX_STRUCT};
use super::node::{Body, Node, Stored};
use super::object::Object;
use super::{Mat5, OFFSET_BITS, Packed, VIEW, lock};

impl Mat5 {
    fn wrong(&self, of: &Var, expected: &'static str) -> Error {
        Error::Kind {
            path: self.source.path().to_path_buf(),
            place: of.place.clone(),
            expected,
            found: format!("{:?} of dimensions {:?}", of.class, of.dims),
        }
    }

    fn beyond(&self, of: &Var, element: u64) -> Error {
        Error::Range {
            path: self.source.path().to_path_buf(),
            place: of.place.clone(),
            message: format!("element {} of {}", element.saturating_add(1), of.len()),
        }
    }

    fn opaque(&self, of: &Var) -> Error {
        Error::Unsupported {
            path: self.source.path().to_path_buf(),
            place: of.place.clone(),
            what: match self.why_opaque(of.handle) {
                Some(why) => format!("this object ({why})"),
                None => "a function handle or object".to_owned(),
            },
        }
    }

    /// Looks through a view: the variable's own handle and the element that it stands for.
    fn seen(&self, handle: u64) -> (u64, u64) {
        if handle & VIEW == 0 {
            return (handle, 0);
        }
        let view = lock(&self.views)
            .list
            .get((handle ^ VIEW) as usize)
            .copied();
        view.unwrap_or_default()
    }

    fn container(&self, of: &Var) -> Result<(u64, Arc<Node>)> {
        let (handle, element) = self.seen(of.handle);
        Ok((element, self.node(handle)?))
    }

    fn child(&self, of: u64, node: &Node, at: u64, place: String) -> Result<Option<Var>> {
        let Body::Children(children) = &node.body else {
            return Ok(None);
        };
        let Some(&offset) = usize::try_from(at).ok().and_then(|at| children.get(at)) else {
            return Ok(None);
        };
        let (buffer, _) = Self::split(of);
        self.variable((buffer as u64) << OFFSET_BITS | offset as u64, place)
            .map(Some)
    }

    fn variable(&self, handle: u64, place: String) -> Result<Var> {
        let (buffer, offset) = Self::split(handle);
        let bytes = self.bytes(buffer)?;
        let head = super::head::head(&bytes, offset, self.big, bytes.len());
        let head = head.map_err(|f| self.fault(buffer, f))?;
        Ok(self.describe(handle, &head, place))
    }

    fn part(&self, of: &Var, imaginary: bool, lanes: Lanes<'_, '_, '_>) -> Result<()> {
        let Lanes { first, stride, out } = lanes;
        if of.class == Class::Opaque {
            return Err(self.opaque(of));
        }
        if !of.class.is_numeric() {
            return Err(self.wrong(of, "numbers"));
        }
        let node = self.node(of.handle)?;
        // Not `of.len()`: its fields are public, and the node's dimensions have been checked.
        let len = node.head.len().unwrap_or(0);
        check_lanes(self.source.path(), &of.place, len, first, stride, out)?;
        let (buffer, _) = Self::split(of.handle);
        let bytes = self.bytes(buffer)?;
        let copy = |stored: &Stored, out: &mut [&mut [f64]]| {
            let data = bytes.get(stored.at.clone()).unwrap_or_default();
            match gather(
                data,
                Layout::packed(stored.number, self.big),
                first,
                stride,
                out,
            ) {
                true => Ok(()),
                false => Err(self.fault(buffer, super::tag::Fault::Short)),
            }
        };
        match (&node.body, imaginary) {
            (Body::Numbers(re, _), false) => copy(re, out),
            (Body::Numbers(_, Some(im)), true) => copy(im, out),
            (Body::Chars(kind, at), false) => {
                let text = bytes.get(at.clone()).unwrap_or_default();
                let codes = Codes::decode(*kind, text, self.big, len)
                    .map_err(|message| self.bad_text(buffer, at.start, message))?;
                each(first, stride, out, |i| codes.get(i).map_or(0.0, f64::from));
                Ok(())
            }
            (
                Body::Sparse {
                    rows,
                    starts,
                    re,
                    im,
                },
                _,
            ) => {
                let values = match imaginary {
                    false => Some(re),
                    true => im.as_ref(),
                };
                let m = node.head.dims.first().copied().unwrap_or(0).max(1);
                let index = |at: usize| {
                    super::tag::word(&bytes, at, self.big).map_or(usize::MAX, |w| w as usize)
                };
                each(first, stride, out, |i| {
                    let (row, column) = ((i % m) as usize, (i / m) as usize);
                    let (mut low, mut high) = (
                        index(starts.start + 4 * column),
                        index(starts.start + 4 * column + 4),
                    );
                    while low < high {
                        let middle = low + (high - low) / 2;
                        match index(rows.start + 4 * middle).cmp(&row) {
                            std::cmp::Ordering::Less => low = middle + 1,
                            std::cmp::Ordering::Greater => high = middle,
                            std::cmp::Ordering::Equal => {
                                return values.map_or(0.0, |v| self.one(&bytes, v, middle));
                            }
                        }
                    }
                    0.0
                });
                Ok(())
            }
            _ => {
                out.iter_mut().for_each(|lane| lane.fill(0.0));
                Ok(())
            }
        }
    }

    fn one(&self, bytes: &[u8], stored: &Stored, at: usize) -> f64 {
        let mut value = [0.0];
        let data = bytes.get(stored.at.clone()).unwrap_or_default();
        let layout = Layout::packed(stored.number, self.big);
        gather(data, layout, &[at as u64], 1, &mut [&mut value]);
        value[0]
    }

    fn bad_text(&self, buffer: usize, at: usize, message: String) -> Error {
        let field = "characters";
        self.fault(buffer, super::tag::Fault::Bad { field, at, message })
    }

    /// The rows of a char matrix; an empty one of 0 × 0 is MATLAB's `''`, one empty text.
    pub(super) fn char_rows(&self, of: &Var) -> Result<Vec<String>> {
        let node = self.node(of.handle)?;
        let Body::Chars(kind, at) = &node.body else {
            return Err(self.wrong(of, "text"));
        };
        let (dims, len) = (&node.head.dims, node.head.len().unwrap_or(0));
        if dims.iter().all(|d| *d == 0) {
            return Ok(vec![String::new()]);
        }
        let (buffer, _) = Self::split(of.handle);
        let bytes = self.bytes(buffer)?;
        let text = bytes.get(at.clone()).unwrap_or_default();
        let codes = Codes::decode(*kind, text, self.big, len)
            .map_err(|message| self.bad_text(buffer, at.start, message))?;
        let rows = dims.first().copied().unwrap_or(0);
        if len == 0 {
            // Rows without columns: `zeros(3,0)` has no bytes that could bound its rows.
            return Ok(match rows {
                1 => vec![String::new()],
                _ => Vec::new(),
            });
        }
        let rows = rows as usize;
        Ok((0..rows).map(|r| codes.row(r, rows)).collect())
    }

    fn cell_texts(&self, of: &Var) -> Result<Vec<String>> {
        let (handle, _) = self.seen(of.handle);
        let node = self.node(handle)?;
        let Body::Children(children) = &node.body else {
            return Err(self.wrong(of, "a cell array of text"));
        };
        let mut texts = Vec::with_capacity(children.len());
        for at in 0..children.len() as u64 {
            let place = format!("{}{{{}}}", of.place, at + 1);
            let Some(child) = self.child(handle, &node, at, place)? else {
                continue;
            };
            let mut rows = match child.class {
                Class::Char => self.char_rows(&child)?,
                Class::Text => self.texts(&child)?,
                // `[]` stands for an empty text in many files.
                Class::F64 if child.is_empty() => vec![String::new()],
                _ => return Err(self.wrong(&child, "text")),
            };
            match (rows.pop(), rows.is_empty()) {
                (Some(text), true) => texts.push(text),
                (None, _) => texts.push(String::new()),
                _ => return Err(self.wrong(&child, "one text")),
            }
        }
        Ok(texts)
    }
}

fn each(first: &[u64], stride: u64, out: &mut [&mut [f64]], value: impl Fn(u64) -> f64) {
    for (&first, lane) in first.iter().zip(out.iter_mut()) {
        for (i, y) in lane.iter_mut().enumerate() {
            *y = value(first + i as u64 * stride);
        }
    }
}

impl Tree for Mat5 {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn container(&self) -> Container {
        Container::MatV5
    }

    fn held(&self) -> u64 {
        self.packed.iter().map(Packed::held).sum()
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn variables(&self) -> Vec<Var> {
        self.variables.clone()
    }

    fn field(&self, of: &Var, element: u64, name: &str) -> Result<Option<Var>> {
        match of.class {
            Class::Struct | Class::Table => {}
            Class::Opaque => return Err(self.opaque(of)),
            _ => return Err(self.wrong(of, "a struct")),
        }
        if element >= of.len() {
            return Err(self.beyond(of, element));
        }
        let Some(k) = of.fields.iter().position(|f| f == name) else {
            return Ok(None);
        };
        if of.class == Class::Table {
            return match self.object(of.handle) {
                Some(Ok(Object::Table(_, columns))) => match columns.get(k) {
                    Some(&at) => self.variable(at, format!("{}.{name}", of.place)).map(Some),
                    None => Ok(None),
                },
                _ => Err(self.opaque(of)),
            };
        }
        let (handle, _) = self.seen(of.handle);
        let (shift, node) = self.container(of)?;
        if !matches!(node.head.class, MX_STRUCT | MX_OBJECT) {
            return Err(self.wrong(of, "a struct"));
        }
        let place = match of.len() {
            1 => format!("{}.{name}", of.place),
            _ => format!("{}({}).{name}", of.place, element + 1),
        };
        let at = (shift + element) * of.fields.len() as u64 + k as u64;
        self.child(handle, &node, at, place)
    }

    fn cell(&self, of: &Var, element: u64) -> Result<Var> {
        match of.class {
            Class::Cell => {}
            Class::Opaque => return Err(self.opaque(of)),
            _ => return Err(self.wrong(of, "a cell array")),
        }
        let node = self.node(of.handle)?;
        if node.head.class != MX_CELL {
            return Err(self.wrong(of, "a cell array"));
        }
        let place = format!("{}{{{}}}", of.place, element.saturating_add(1));
        let child = self.child(of.handle, &node, element, place)?;
        child.ok_or_else(|| self.beyond(of, element))
    }

    fn element(&self, of: &Var, element: u64) -> Result<Var> {
        if !matches!(of.class, Class::Struct | Class::Table) {
            return Err(self.wrong(of, "a struct array"));
        }
        if element >= of.len() {
            return Err(self.beyond(of, element));
        }
        if of.len() == 1 {
            return Ok(of.clone());
        }
        let mut views = lock(&self.views);
        let next = views.list.len() as u64;
        let k = *views.numbers.entry((of.handle, element)).or_insert(next);
        if k == next {
            views.list.push((of.handle, element));
        }
        Ok(Var {
            place: format!("{}({})", of.place, element + 1),
            dims: vec![1, 1],
            handle: VIEW | k,
            ..of.clone()
        })
    }

    fn read_f64(&self, of: &Var, first: &[u64], stride: u64, out: &mut [&mut [f64]]) -> Result<()> {
        self.part(of, false, Lanes { first, stride, out })
    }

    fn read_imaginary(
        &self,
        of: &Var,
        first: &[u64],
        stride: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        self.part(of, true, Lanes { first, stride, out })
    }

    fn texts(&self, of: &Var) -> Result<Vec<String>> {
        match of.class {
            Class::Char => self.char_rows(of),
            Class::Cell => self.cell_texts(of),
            Class::Text => match self.object(of.handle) {
                Some(Ok(Object::Strings(_, texts))) => Ok(texts),
                _ => Err(self.opaque(of)),
            },
            Class::Opaque => Err(self.opaque(of)),
            _ => Err(self.wrong(of, "text")),
        }
    }
}
