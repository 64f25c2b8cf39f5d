//! Where the chunks of a data set are: the six kinds of index as one map.

use std::collections::HashMap;

use super::array::{self, Element};
use super::btree;
use super::file::File;
use super::layout::Index;
use crate::error::Result;

/// One stored chunk.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Chunk {
    pub(super) address: u64,
    /// Bytes as stored.
    pub(super) size: u64,
    /// Bit `i`: filter `i` was left out.
    pub(super) mask: u32,
}

/// The grid of chunks of a data set.
#[derive(Debug, Clone)]
pub(super) struct Grid {
    /// Dimensions of one chunk.
    pub(super) chunk: Vec<u64>,
    /// Chunks along each dimension now.
    pub(super) count: Vec<u64>,
    /// Chunks along each dimension at most; `None` without limit.
    most: Vec<Option<u64>>,
}

impl Grid {
    pub(super) fn new(dims: &[u64], most: &[Option<u64>], chunk: &[u64]) -> Option<Grid> {
        if dims.len() != chunk.len() || chunk.contains(&0) || dims.is_empty() {
            return None;
        }
        let count: Vec<u64> = dims
            .iter()
            .zip(chunk)
            .map(|(d, c)| d.div_ceil(*c))
            .collect();
        let most = most
            .iter()
            .zip(chunk)
            .map(|(m, c)| m.map(|m| m.div_ceil(*c)));
        Some(Grid {
            chunk: chunk.to_vec(),
            most: most.collect(),
            count,
        })
    }

    /// The grid over the first `rank` dimensions.
    pub(super) fn first(&self, rank: usize) -> Grid {
        let mut grid = self.clone();
        grid.chunk.truncate(rank);
        grid.count.truncate(rank);
        grid.most.truncate(rank);
        grid
    }

    /// Number of the chunk at these grid coordinates (last dimension fastest).
    pub(super) fn number(&self, at: &[u64]) -> Option<u64> {
        let mut number = 0u64;
        for (a, n) in at.iter().zip(&self.count) {
            if a >= n {
                return None;
            }
            number = number.checked_mul(*n)?.checked_add(*a)?;
        }
        Some(number)
    }

    /// The grid coordinates of element `index` of an array index, which counts over the
    /// greatest dimensions, with an unlimited one slowest.
    fn place(&self, index: u64, unlimited: Option<usize>) -> Option<Vec<u64>> {
        let mut at = vec![0; self.count.len()];
        let mut rest = index;
        for d in (0..self.count.len()).rev() {
            if Some(d) == unlimited {
                continue;
            }
            let n = self.most.get(d).copied().flatten()?;
            *at.get_mut(d)? = rest.checked_rem(n)?;
            rest = rest.checked_div(n)?;
        }
        match unlimited {
            Some(d) => *at.get_mut(d)? = rest,
            None if rest > 0 => return None,
            None => {}
        }
        Some(at)
    }
}

/// All stored chunks by their number in the grid.
pub(super) fn find(
    file: &File,
    index: Index,
    address: u64,
    grid: &Grid,
    bytes: u64,
    filtered: bool,
) -> Result<HashMap<u64, Chunk>> {
    let mut out = HashMap::new();
    let whole = |address| Chunk {
        address,
        size: bytes,
        mask: 0,
    };
    match index {
        Index::Single(stored) => {
            let (size, mask) = stored.unwrap_or((bytes, 0));
            out.insert(
                0,
                Chunk {
                    address,
                    size,
                    mask,
                },
            );
        }
        Index::Implicit => {
            // Nothing is stored about these, so their number is bounded by the file's size.
            let most = file.size() as u64 / bytes.max(1);
            let total = grid.most.iter().try_fold(1u64, |n, m| n.checked_mul((*m)?));
            let Some(total) = total.filter(|t| *t <= most) else {
                let message = format!("chunks of {bytes} bytes beyond the file's end");
                return Err(file.damaged("implicit chunk index", address, message));
            };
            for i in 0..total {
                let number = grid.place(i, None).and_then(|at| grid.number(&at));
                if let (Some(number), Some(at)) = (number, address.checked_add(i * bytes)) {
                    out.insert(number, whole(at));
                }
            }
        }
        Index::BTree1 => tree1(file, address, grid, &mut out)?,
        Index::BTree2 => tree2(file, address, grid, bytes, filtered, &mut out)?,
        Index::FixedArray | Index::ExtensibleArray => {
            let unlimited = if index == Index::ExtensibleArray {
                grid.most.iter().position(Option::is_none)
            } else {
                None
            };
            let mut take = |i: u64, element: Element| {
                let number = grid.place(i, unlimited).and_then(|at| grid.number(&at));
                if let Some(number) = number {
                    let (size, mask) = element.stored.unwrap_or((bytes, 0));
                    let address = element.address;
                    out.insert(
                        number,
                        Chunk {
                            address,
                            size,
                            mask,
                        },
                    );
                }
            };
            if index == Index::FixedArray {
                array::fixed(file, address, filtered, &mut take)?;
            } else {
                array::extensible(file, address, filtered, &mut take)?;
            }
        }
    }
    Ok(out)
}

fn tree1(file: &File, address: u64, grid: &Grid, out: &mut HashMap<u64, Chunk>) -> Result<()> {
    let rank = grid.chunk.len();
    let key = 8 + 8 * (rank + 1);
    btree::walk1(file, address, 1, key, &mut |mut c, child| {
        let size = u64::from(c.u32()?);
        let mask = c.u32()?;
        let mut at = Vec::with_capacity(rank);
        for chunk in &grid.chunk {
            let offset = c.uint(8)?;
            if offset % chunk != 0 {
                return Err(c.wrong(format!("offset {offset} in chunks of {chunk}")));
            }
            at.push(offset / chunk);
        }
        // Chunks beyond the dimensions are left from before the data set was made smaller.
        if let Some(number) = grid.number(&at) {
            let address = child;
            out.insert(
                number,
                Chunk {
                    address,
                    size,
                    mask,
                },
            );
        }
        Ok(())
    })
}

fn tree2(
    file: &File,
    address: u64,
    grid: &Grid,
    bytes: u64,
    filtered: bool,
    out: &mut HashMap<u64, Chunk>,
) -> Result<()> {
    let rank = grid.chunk.len();
    let kind = if filtered { 11 } else { 10 };
    btree::walk2(file, address, kind, &mut |mut c, length| {
        let Some(address) = c.offset()? else {
            return Ok(());
        };
        let (mut size, mut mask) = (bytes, 0);
        if filtered {
            let width = length.checked_sub(file.offset_size + 4 + 8 * rank);
            let width = width.filter(|w| (1..=8).contains(w));
            let width = width.ok_or_else(|| c.wrong(format!("records of {length} bytes")))?;
            size = c.uint(width)?;
            mask = c.u32()?;
        }
        let mut at = Vec::with_capacity(rank);
        for _ in 0..rank {
            at.push(c.uint(8)?);
        }
        if let Some(number) = grid.number(&at) {
            out.insert(
                number,
                Chunk {
                    address,
                    size,
                    mask,
                },
            );
        }
        Ok(())
    })
}
