//! One data set: its shape, and its elements by runs along one dimension.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use super::cache::Cache;
use super::chunks::{self, Chunk, Grid};
use super::datatype::{self, Type};
use super::file::File;
use super::filters;
use super::header::{Message, kind};
use super::layout::{self, Filter, Layout};
use crate::error::Result;

/// Elements of all lanes that are sorted by chunk at once.
const WINDOW: usize = 1 << 18;

pub(super) struct Dataset {
    address: u64,
    /// Dimensions as the file has them, those of an array type last.
    pub(super) dims: Vec<u64>,
    pub(super) kind: Type,
    pub(super) null: bool,
    layout: Layout,
    grid: Grid,
    edges_unfiltered: bool,
    filters: Vec<Filter>,
    fill: Vec<u8>,
    chunks: OnceLock<HashMap<u64, Chunk>>,
}

/// Which elements: lane `k` has `count[k]`, the first at `first[k]`, each `stride` after the
/// one before, where dimension `order[0]` is the fastest.
pub(super) struct Ask<'a> {
    pub(super) first: &'a [u64],
    pub(super) count: &'a [usize],
    pub(super) stride: u64,
    pub(super) order: &'a [usize],
}

/// A run of elements of one lane within one chunk.
struct Segment {
    chunk: u64,
    lane: usize,
    out: usize,
    count: usize,
    /// Bytes to the first element and from one to the next, within the chunk.
    at: usize,
    step: usize,
}

/// Receives (lane, place in the lane, count, bytes, start, step); no bytes: the fill value.
pub(super) type Sink<'a> =
    &'a mut dyn FnMut(usize, usize, usize, &[u8], usize, usize) -> Result<()>;

impl Dataset {
    pub(super) fn new(file: &File, address: u64, messages: &[Message<'_>]) -> Result<Dataset> {
        let find = |kind: u16, name: &str| {
            messages.iter().find(|m| m.kind == kind).ok_or_else(|| {
                file.damaged(
                    "object header",
                    address,
                    format!("a data set without {name}"),
                )
            })
        };
        if messages.iter().any(|m| m.kind == kind::EXTERNAL) {
            return Err(file.unsupported("a data set in external files"));
        }
        let mut kind = datatype::parse(file, find(kind::DATATYPE, "a datatype")?)?;
        let space = layout::space(file, find(kind::DATASPACE, "a dataspace")?)?;
        let layout = layout::layout(file, find(kind::LAYOUT, "a layout")?)?;
        let mut filters = Vec::new();
        if let Some(message) = messages.iter().find(|m| m.kind == kind::FILTERS) {
            filters = layout::filters(file, message)?;
        }
        let mut fill: &[u8] = &[];
        for message in messages {
            if message.kind == kind::FILL || fill.is_empty() && message.kind == kind::FILL_OLD {
                fill = layout::fill(file, message)?;
            }
        }
        if fill.iter().all(|b| *b == 0) {
            fill = &[];
        }
        let damaged = |message: String| file.damaged("data layout", address, message);
        let (mut dims, mut most) = (space.dims.clone(), space.most.clone());
        let (mut chunk, edges_unfiltered) = match &layout {
            Layout::Chunked {
                chunk,
                edges_unfiltered,
                ..
            } => (chunk.clone(), *edges_unfiltered),
            _ => (dims.iter().map(|d| (*d).max(1)).collect(), false),
        };
        if chunk.len() != dims.len() {
            let message = format!("chunks of {} dimensions for {}", chunk.len(), dims.len());
            return Err(damaged(message));
        }
        while let Type::Array {
            dims: inner,
            element,
        } = kind
        {
            if !fill.is_empty() {
                return Err(file.unsupported("a fill value of an array type"));
            }
            dims.extend(&inner);
            most.extend(inner.iter().map(|d| Some(*d)));
            chunk.extend(&inner);
            kind = *element;
        }
        if !fill.is_empty() && fill.len() != kind.size() {
            let message = format!("a fill value of {} bytes for {}", fill.len(), kind.size());
            return Err(damaged(message));
        }
        // A scalar is one chunk of one element.
        if dims.is_empty() && chunk.is_empty() {
            chunk.push(1);
        }
        let shape = if dims.is_empty() {
            vec![1]
        } else {
            dims.clone()
        };
        most.resize(shape.len(), Some(1));
        let grid = Grid::new(&shape, &most, &chunk);
        let grid = grid.ok_or_else(|| damaged(format!("chunks of {chunk:?} for {dims:?}")))?;
        let size = kind.size() as u64;
        let bytes = shape.iter().try_fold(size, |n, d| n.checked_mul(*d));
        if bytes.is_none_or(|b| b > i64::MAX as u64) {
            return Err(damaged(format!(
                "{dims:?} elements of {} bytes",
                kind.size()
            )));
        }
        Ok(Dataset {
            address,
            dims,
            kind,
            null: space.null,
            layout,
            grid,
            edges_unfiltered,
            filters,
            fill: fill.to_vec(),
            chunks: OnceLock::new(),
        })
    }

    pub(super) fn len(&self) -> u64 {
        if self.null {
            return 0;
        }
        self.dims.iter().fold(1, |n, d| n.saturating_mul(*d))
    }

    fn chunk_bytes(&self) -> u64 {
        let elements = self
            .grid
            .chunk
            .iter()
            .fold(1u64, |n, d| n.saturating_mul(*d));
        elements.saturating_mul(self.kind.size() as u64)
    }

    /// Refuses what cannot be read with an error that says so.
    fn readable(&self, file: &File) -> Result<()> {
        if let Some(what) = filters::unknown(&self.filters) {
            return Err(file.unsupported(what));
        }
        if !self.filters.is_empty() && self.chunk_bytes() > filters::GREATEST_CHUNK {
            let what = format!("a filtered chunk of {} bytes", self.chunk_bytes());
            return Err(file.unsupported(what));
        }
        Ok(())
    }

    /// Gives the elements that are asked for to `sink`, each chunk's together. The caller has
    /// checked that they exist.
    pub(super) fn visit(
        &self,
        file: &File,
        cache: &Cache,
        ask: &Ask<'_>,
        sink: Sink<'_>,
    ) -> Result<()> {
        self.readable(file)?;
        let lanes = ask.first.len().min(ask.count.len());
        let longest = ask.count.iter().copied().max().unwrap_or(0);
        let step = (WINDOW / lanes.max(1)).max(1);
        let mut segments = Vec::new();
        let mut from = 0;
        while from < longest {
            segments.clear();
            for lane in 0..lanes {
                self.cut(ask, lane, from, step, &mut segments);
            }
            segments.sort_by_key(|s: &Segment| s.chunk);
            for same in segments.chunk_by(|a, b| a.chunk == b.chunk) {
                let Some(number) = same.first().map(|s| s.chunk) else {
                    continue;
                };
                let given = same.iter().map(|s| s.count as u64).sum();
                self.chunk(file, cache, number, given, &mut |bytes| {
                    for s in same {
                        sink(s.lane, s.out, s.count, bytes, s.at, s.step)?;
                    }
                    Ok(())
                })?;
            }
            from += step;
        }
        Ok(())
    }

    /// Cuts elements `from..from + most` of a lane into segments.
    fn cut(&self, ask: &Ask<'_>, lane: usize, from: usize, most: usize, out: &mut Vec<Segment>) {
        let all = ask.count.get(lane).copied().unwrap_or(0);
        let first = ask.first.get(lane).copied().unwrap_or(0);
        let end = all.min(from.saturating_add(most));
        let shape: &[u64] = if self.dims.is_empty() {
            &[1]
        } else {
            &self.dims
        };
        let order: &[usize] = if self.dims.is_empty() {
            &[0]
        } else {
            ask.order
        };
        let dim = |d: usize| shape.get(d).copied().unwrap_or(1);
        let chunk = |d: usize| self.grid.chunk.get(d).copied().unwrap_or(1).max(1);
        // The slowest dimension that the stride moves along alone.
        let (mut axis, mut step, mut product) = (None, 0, 1u64);
        for d in order {
            if product > 0 && ask.stride > 0 && ask.stride.is_multiple_of(product) {
                axis = Some(*d);
                step = ask.stride / product;
            }
            product = product.saturating_mul(dim(*d));
        }
        // Elements between neighbours of each dimension within a chunk.
        let mut pitch = vec![1u64; shape.len()];
        for d in (1..shape.len()).rev() {
            let below = pitch.get(d).copied().unwrap_or(1).saturating_mul(chunk(d));
            if let Some(slot) = pitch.get_mut(d - 1) {
                *slot = below;
            }
        }
        let pitch = |d: usize| pitch.get(d).copied().unwrap_or(1);
        let size = self.kind.size() as u64;
        let mut at = vec![0u64; shape.len()];
        let mut i = from;
        while i < end {
            let mut rest = first.saturating_add(ask.stride.saturating_mul(i as u64));
            for d in order {
                if let Some(slot) = at.get_mut(*d) {
                    *slot = rest % dim(*d).max(1);
                }
                rest /= dim(*d).max(1);
            }
            let left = (end - i) as u64;
            let mut run = match axis {
                Some(d) => {
                    let here = at.get(d).copied().unwrap_or(0);
                    ((dim(d) - 1 - here.min(dim(d) - 1)) / step + 1).min(left)
                }
                None => 1,
            };
            while run > 0 {
                let mut number = 0u64;
                let mut inside = 0u64;
                for (d, coordinate) in at.iter().enumerate() {
                    let n = self.grid.count.get(d).copied().unwrap_or(1);
                    number = number
                        .saturating_mul(n)
                        .saturating_add(coordinate / chunk(d));
                    inside =
                        inside.saturating_add((coordinate % chunk(d)).saturating_mul(pitch(d)));
                }
                let (mut n, mut bytes) = (1, size);
                if let Some(d) = axis {
                    let here = at.get(d).copied().unwrap_or(0) % chunk(d);
                    n = ((chunk(d) - 1 - here) / step + 1).min(run);
                    bytes = step.saturating_mul(pitch(d)).saturating_mul(size);
                    if let Some(slot) = at.get_mut(d) {
                        *slot = slot.saturating_add(step.saturating_mul(n));
                    }
                }
                out.push(Segment {
                    chunk: number,
                    lane,
                    out: i,
                    count: n as usize,
                    at: inside.saturating_mul(size) as usize,
                    step: bytes as usize,
                });
                i += n as usize;
                run -= n;
            }
        }
    }

    /// Calls `take` with the bytes of chunk `number`, which are empty when none are stored;
    /// `given` of its elements will be taken.
    fn chunk(
        &self,
        file: &File,
        cache: &Cache,
        number: u64,
        given: u64,
        take: &mut dyn FnMut(&[u8]) -> Result<()>,
    ) -> Result<()> {
        let wanted = self.chunk_bytes();
        let Some(chunk) = self.stored(file, number)? else {
            return take(&[]);
        };
        if self.filters.is_empty() || self.edges_unfiltered && self.sticks_out(number) {
            return take(file.bytes(chunk.address, wanted, "data")?);
        }
        let key = (self.address, number);
        if let Some(bytes) = cache.get(key, given) {
            return take(&bytes);
        }
        let stored = file.bytes(chunk.address, chunk.size, "chunk")?;
        let wanted = usize::try_from(wanted).unwrap_or(usize::MAX);
        let bytes = filters::undo(
            file,
            chunk.address,
            stored,
            &self.filters,
            chunk.mask,
            wanted,
            cache.spare(),
        )?;
        let bytes = Arc::new(bytes);
        let left = self.inside(number).saturating_sub(given);
        cache.put(key, Arc::clone(&bytes), left);
        take(&bytes)
    }

    fn stored(&self, file: &File, number: u64) -> Result<Option<Chunk>> {
        let whole = |address| {
            Some(Chunk {
                address,
                size: self.chunk_bytes(),
                mask: 0,
            })
        };
        let (index, address) = match &self.layout {
            Layout::Compact(at, size) => {
                if *size < self.chunk_bytes() {
                    let message = format!("{} bytes of data in {size}", self.chunk_bytes());
                    return Err(file.damaged("compact data", *at, message));
                }
                return Ok(whole(*at));
            }
            Layout::Contiguous(at) => return Ok(at.and_then(whole)),
            Layout::Chunked { index, address, .. } => (*index, *address),
        };
        let Some(address) = address else {
            return Ok(None);
        };
        if let Some(map) = self.chunks.get() {
            return Ok(map.get(&number).copied());
        }
        let filtered = !self.filters.is_empty();
        let bytes = self.chunk_bytes();
        // The array type's dimensions are one chunk each and not in the index.
        let map = chunks::find(file, index, address, &self.bare_grid(), bytes, filtered)?;
        let found = map.get(&number).copied();
        let _ = self.chunks.set(map);
        Ok(found)
    }

    fn bare_grid(&self) -> Grid {
        let rank = match &self.layout {
            Layout::Chunked { chunk, .. } => chunk.len().max(1),
            _ => self.grid.chunk.len(),
        };
        self.grid.first(rank)
    }

    /// Elements of a chunk that are data: those at the edges reach beyond.
    fn inside(&self, number: u64) -> u64 {
        let (mut rest, mut inside) = (number, 1u64);
        for (d, dim) in self.dims.iter().enumerate().rev() {
            let n = self.grid.count.get(d).copied().unwrap_or(1).max(1);
            let chunk = self.grid.chunk.get(d).copied().unwrap_or(1);
            let start = (rest % n).saturating_mul(chunk);
            inside = inside.saturating_mul(dim.saturating_sub(start).min(chunk));
            rest /= n;
        }
        inside
    }

    /// Whether a chunk reaches beyond the data.
    fn sticks_out(&self, number: u64) -> bool {
        let chunk = &self.grid.chunk;
        !self.dims.is_empty()
            && self.inside(number) < chunk.iter().fold(1u64, |n, d| n.saturating_mul(*d))
    }

    /// The bytes of `count` elements from number `first`, in the order of `order`.
    pub(super) fn raw(
        &self,
        file: &File,
        cache: &Cache,
        first: u64,
        count: usize,
        order: &[usize],
    ) -> Result<Vec<u8>> {
        let size = self.kind.size();
        // Elements that are not stored, or well compressed, cost little in the file: a cap.
        let most = if self.filters.is_empty() {
            file.size().saturating_mul(8).saturating_add(1 << 18)
        } else {
            1 << 30
        };
        let bytes = count.checked_mul(size).filter(|n| *n <= most);
        let bytes = bytes
            .ok_or_else(|| file.unsupported(format!("{count} elements of {size} bytes at once")))?;
        let mut out = vec![0u8; bytes];
        let ask = Ask {
            first: &[first],
            count: &[count],
            stride: 1,
            order,
        };
        self.visit(file, cache, &ask, &mut |_, place, n, bytes, at, step| {
            for i in 0..n {
                let to = (place + i) * size;
                let from = at.saturating_add(i.saturating_mul(step));
                let source = if bytes.is_empty() {
                    self.fill.get(..size)
                } else {
                    bytes.get(from..from.saturating_add(size))
                };
                if let (Some(to), Some(source)) = (out.get_mut(to..to + size), source) {
                    to.copy_from_slice(source);
                }
            }
            Ok(())
        })?;
        Ok(out)
    }

    /// The fill value's bytes; empty means zeros.
    pub(super) fn fill(&self) -> &[u8] {
        &self.fill
    }
}
