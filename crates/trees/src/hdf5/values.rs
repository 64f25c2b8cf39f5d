//! Numbers and texts of variables.

use super::dataset::Ask;
use super::datatype::Type;
use super::heap::Global;
use super::number::Decoder;
use super::object::{Body, text};
use super::reader::{Hdf5, parts};
use crate::error::{Error, Result};
use crate::tree::{Class, Tree, Var};

/// Most texts or characters of one variable.
const MOST_TEXTS: u64 = 1 << 24;
/// Most stored elements of a sparse matrix.
const MOST_SPARSE: usize = 1 << 26;

impl Hdf5 {
    pub(super) fn read(
        &self,
        of: &Var,
        imaginary: bool,
        first: &[u64],
        stride: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        if !of.class.is_numeric() {
            return Err(self.wrong(of, "numbers"));
        }
        if first.len() != out.len() {
            return Err(Error::Range {
                path: self.path().to_path_buf(),
                place: of.place.clone(),
                message: format!("{} first elements for {} lanes", first.len(), out.len()),
            });
        }
        for (first, lane) in first.iter().zip(out.iter()) {
            let Some(steps) = (lane.len() as u64).checked_sub(1) else {
                continue;
            };
            let last = stride
                .checked_mul(steps)
                .and_then(|n| n.checked_add(*first));
            if last.is_none_or(|last| last >= of.len()) {
                return Err(self.beyond(of, last.unwrap_or(u64::MAX)));
            }
        }
        if out.iter().all(|lane| lane.is_empty()) {
            return Ok(());
        }
        let object = self.object(Self::address(of))?;
        if let Body::Group(_) = object.body {
            return self.sparse(of, imaginary, first, stride, out);
        }
        let (data, member) = self.data(of, &object)?;
        let (kind, base) = match member {
            Some(member) => (&member.kind, member.offset),
            None => (&data.kind, 0),
        };
        let (decoder, offset) = match (parts(kind), imaginary) {
            (Some((real, _)), false) => (Decoder::new(&real.kind), base + real.offset),
            (Some((_, imag)), true) => (Decoder::new(&imag.kind), base + imag.offset),
            (None, false) => (Decoder::new(kind), base),
            (None, true) => {
                out.iter_mut().for_each(|lane| lane.fill(0.0));
                return Ok(());
            }
        };
        let decoder = decoder.ok_or_else(|| self.wrong(of, "numbers"))?;
        let count: Vec<usize> = out.iter().map(|lane| lane.len()).collect();
        let order = self.order(data);
        let ask = Ask {
            first,
            count: &count,
            stride,
            order: &order,
        };
        let mut fill = [0.0];
        decoder.run(data.fill(), offset, data.kind.size(), &mut fill);
        let [fill] = fill;
        let done = data.visit(
            &self.file,
            &self.cache,
            &ask,
            &mut |k, place, n, bytes, at, step| {
                let lane = out
                    .get_mut(k)
                    .and_then(|lane| lane.get_mut(place..place + n));
                let Some(lane) = lane else { return Ok(()) };
                if bytes.is_empty() {
                    lane.fill(fill);
                } else {
                    decoder.run(bytes, at.saturating_add(offset), step, lane);
                }
                Ok(())
            },
        );
        self.located(of, done)
    }

    /// Elements of a sparse matrix, which is loaded whole: columns' starts, rows, values.
    fn sparse(
        &self,
        of: &Var,
        imaginary: bool,
        first: &[u64],
        stride: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        let part = |name: &str| -> Result<Option<Var>> {
            let object = self.object(Self::address(of))?;
            self.part(&object, name, format!("{}.{name}", of.place))
        };
        let numbers = |var: Option<Var>| match var {
            Some(var) => self.numbers(&var, MOST_SPARSE),
            None => Ok(Vec::new()),
        };
        let starts = numbers(part("jc")?)?;
        let rows = numbers(part("ir")?)?;
        let values = match part("data")? {
            Some(var) if imaginary => {
                let n = usize::try_from(var.len())
                    .unwrap_or(usize::MAX)
                    .min(rows.len());
                let mut values = vec![0.0; n];
                self.read_imaginary(&var, &[0], 1, &mut [&mut values])?;
                values
            }
            var => numbers(var)?,
        };
        let height = of.dims.first().copied().unwrap_or(0).max(1);
        for (first, lane) in first.iter().zip(out.iter_mut()) {
            for (i, slot) in lane.iter_mut().enumerate() {
                let at = first + stride * i as u64;
                let (row, column) = ((at % height) as f64, (at / height) as usize);
                let range = match (starts.get(column), starts.get(column + 1)) {
                    (Some(a), Some(b)) => *a as usize..(*b as usize).max(*a as usize),
                    _ => 0..0,
                };
                let from = range.start;
                let found = rows
                    .get(range)
                    .and_then(|r| r.binary_search_by(|x| x.total_cmp(&row)).ok());
                *slot = found
                    .and_then(|n| values.get(from + n))
                    .copied()
                    .unwrap_or(0.0);
            }
        }
        Ok(())
    }

    pub(super) fn all_texts(&self, of: &Var) -> Result<Vec<String>> {
        if of.len() > MOST_TEXTS {
            return Err(Error::Range {
                path: self.path().to_path_buf(),
                place: of.place.clone(),
                message: format!("{} texts or characters, at most {MOST_TEXTS}", of.len()),
            });
        }
        match of.class {
            Class::Char => self.char_rows(of),
            Class::Text if self.matlab => match self.strings(of)? {
                Some(strings) => Ok(strings),
                None => self.stored_texts(of),
            },
            Class::Text => self.stored_texts(of),
            Class::Cell => {
                let mut out = Vec::new();
                for i in 0..of.len() {
                    let cell = self.cell(of, i)?;
                    let mut texts = match cell.class {
                        Class::Char | Class::Text => self.all_texts(&cell)?,
                        _ if cell.is_empty() => Vec::new(),
                        _ => return Err(self.wrong(&cell, "text")),
                    };
                    match texts.len() {
                        0 => out.push(String::new()),
                        1 => out.append(&mut texts),
                        _ => return Err(self.wrong(&cell, "one line of text")),
                    }
                }
                Ok(out)
            }
            _ => Err(self.wrong(of, "text")),
        }
    }

    /// The rows of a char matrix.
    fn char_rows(&self, of: &Var) -> Result<Vec<String>> {
        if of.is_empty() {
            // `''` is one empty line, as in level 5.
            return Ok(vec![String::new()]);
        }
        let object = self.object(Self::address(of))?;
        let (data, _) = self.data(of, &object)?;
        let Type::Int { size, .. } = data.kind else {
            return Err(self.wrong(of, "characters"));
        };
        let count = of.len() as usize;
        let order = self.order(data);
        let bytes = self.located(of, data.raw(&self.file, &self.cache, 0, count, &order))?;
        let codes: Vec<u32> = bytes
            .chunks_exact(size)
            .map(|b| super::file::little(b) as u32)
            .collect();
        let rows = usize::try_from(of.dims.first().copied().unwrap_or(1)).unwrap_or(1);
        let mut out = Vec::new();
        for row in 0..rows {
            let row = codes.iter().skip(row).step_by(rows);
            let mut text: String = match size {
                1 => String::from_utf8_lossy(&row.map(|c| *c as u8).collect::<Vec<_>>()).into(),
                2 => String::from_utf16_lossy(&row.map(|c| *c as u16).collect::<Vec<_>>()),
                _ => row
                    .map(|c| char::from_u32(*c).unwrap_or(char::REPLACEMENT_CHARACTER))
                    .collect(),
            };
            text.truncate(text.trim_end_matches([' ', '\0']).len());
            out.push(text);
        }
        Ok(out)
    }

    /// Strings as HDF5 stores them.
    fn stored_texts(&self, of: &Var) -> Result<Vec<String>> {
        let object = self.object(Self::address(of))?;
        let (data, member) = self.data(of, &object)?;
        let count = of.len() as usize;
        let order = self.order(data);
        let bytes = self.located(of, data.raw(&self.file, &self.cache, 0, count, &order))?;
        let (kind, offset) = match member {
            Some(member) => (&member.kind, member.offset),
            None => (&data.kind, 0),
        };
        let size = kind.size();
        if data.kind.size() == 0 {
            return Ok(vec![String::new(); count]);
        }
        let mut heap = Global::default();
        // Several descriptors may name the same bytes; honest files have one for each text.
        let mut left = self.file.size().saturating_mul(8).saturating_add(1 << 18);
        let mut out = Vec::with_capacity(count);
        for element in bytes.chunks_exact(data.kind.size()) {
            let stored = element.get(offset..offset + size).unwrap_or_default();
            match kind {
                Type::Text { .. } => out.push(text(stored)),
                Type::VlenText { .. } => {
                    let (length, bytes) = heap.value(&self.file, stored)?;
                    let bytes = bytes.get(..length).unwrap_or(bytes);
                    left = left.checked_sub(bytes.len()).ok_or_else(|| {
                        self.file
                            .damaged("texts", Self::address(of), "more text than the file")
                    })?;
                    out.push(text(bytes));
                }
                _ => return Err(self.wrong(of, "text")),
            }
        }
        Ok(out)
    }
}
