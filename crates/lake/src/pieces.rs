//! Bytes that grow block by block. A chunk of up to 64 MB that grew as a vector would be copied, and
//! hold twice its size, each time it does.

use std::io::{self, Read, Write};

use bytes::{Buf, Bytes};
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// Size of a block.
const BLOCK: usize = 1 << 20;

/// Bytes in blocks, of which the last is being filled.
#[derive(Default)]
pub(crate) struct Blocks {
    full: Vec<Bytes>,
    last: Vec<u8>,
}

impl Write for Blocks {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.last.capacity() == 0 {
            self.last = Vec::with_capacity(BLOCK);
        }
        let now = bytes.len().min(BLOCK - self.last.len());
        self.last
            .extend_from_slice(bytes.get(..now).unwrap_or_default());
        if self.last.len() == BLOCK {
            self.full.push(std::mem::take(&mut self.last).into());
        }
        Ok(now)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Length for Blocks {
    fn len(&self) -> u64 {
        (self.full.len() * BLOCK + self.last.len()) as u64
    }
}

impl ChunkReader for Blocks {
    type T = Pieces;

    fn get_read(&self, start: u64) -> Result<Pieces> {
        let mut pieces = Pieces {
            now: Bytes::new(),
            rest: self.full.clone().into_iter(),
            last: Bytes::copy_from_slice(&self.last),
        };
        let skipped = io::copy(&mut (&mut pieces).take(start), &mut io::sink())?;
        match skipped == start {
            true => Ok(pieces),
            false => Err(ParquetError::EOF(format!(
                "byte {start} of {} was asked for",
                self.len()
            ))),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut out = vec![0; length];
        self.get_read(start)?.read_exact(&mut out)?;
        Ok(out.into())
    }
}

/// Reads one block after the other.
pub(crate) struct Pieces {
    now: Bytes,
    rest: std::vec::IntoIter<Bytes>,
    last: Bytes,
}

impl Read for Pieces {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if self.now.is_empty() {
            let last = || std::mem::take(&mut self.last);
            self.now = self.rest.next().unwrap_or_else(last);
        }
        let n = out.len().min(self.now.len());
        if let Some(out) = out.get_mut(..n) {
            self.now.copy_to_slice(out);
        }
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_from_anywhere() {
        let bytes: Vec<u8> = (0..3 * BLOCK + 17).map(|i| (i % 251) as u8).collect();
        for whole in [bytes.len(), 2 * BLOCK, 0] {
            let bytes = &bytes[..whole];
            let mut blocks = Blocks::default();
            for part in bytes.chunks(100_003) {
                blocks.write_all(part).unwrap();
            }
            assert_eq!(blocks.len(), whole as u64);
            for start in [0, 1, BLOCK - 1, BLOCK, 2 * BLOCK].map(|s| s.min(whole)) {
                let mut found = Vec::new();
                let mut from = blocks.get_read(start as u64).unwrap();
                from.read_to_end(&mut found).unwrap();
                assert!(found == bytes[start..], "{whole} from {start}");
                let length = (whole - start).min(BLOCK + 5);
                let part = blocks.get_bytes(start as u64, length).unwrap();
                assert!(part == bytes[start..start + length]);
            }
            assert!(blocks.get_read(whole as u64 + 1).is_err());
            assert!(blocks.get_bytes(whole as u64, 1).is_err());
        }
    }
}
