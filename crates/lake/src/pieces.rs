//! The bytes of a column chunk as pieces that lie where they were made: values stay in the arrays
//! they came in until they are written.

use std::io::{self, Read};

use arrow::buffer::ScalarBuffer;
use bytes::Bytes;
use parquet::errors::{ParquetError, Result};
use parquet::file::reader::{ChunkReader, Length};

/// One piece, shared and not copied.
#[derive(Clone)]
enum Piece {
    Bytes(Bytes),
    Values(ScalarBuffer<f32>),
}

impl Piece {
    /// Its bytes, as Parquet wants them: values are little-endian.
    fn bytes(&self) -> &[u8] {
        match self {
            Piece::Bytes(bytes) => bytes,
            Piece::Values(values) => bytemuck::cast_slice(values),
        }
    }
}

/// Bytes in pieces.
#[derive(Default)]
pub(crate) struct Pieces {
    pieces: Vec<Piece>,
    len: u64,
}

impl Pieces {
    pub(crate) fn push(&mut self, bytes: Bytes) {
        self.add(Piece::Bytes(bytes));
    }

    /// Adds the bytes of `values`.
    pub(crate) fn push_values(&mut self, values: ScalarBuffer<f32>) {
        self.add(if cfg!(target_endian = "little") {
            Piece::Values(values)
        } else {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes());
            Piece::Bytes(bytes.collect())
        });
    }

    fn add(&mut self, piece: Piece) {
        self.len += piece.bytes().len() as u64;
        self.pieces.push(piece);
    }
}

impl Length for Pieces {
    fn len(&self) -> u64 {
        self.len
    }
}

impl ChunkReader for Pieces {
    type T = Reader;

    fn get_read(&self, start: u64) -> Result<Reader> {
        let mut left = start;
        for (i, piece) in self.pieces.iter().enumerate() {
            let len = piece.bytes().len() as u64;
            if left < len {
                return Ok(Reader {
                    pieces: self.pieces.get(i..).unwrap_or_default().to_vec(),
                    now: 0,
                    // Less than the piece's length, which is a usize.
                    at: left as usize,
                });
            }
            left -= len;
        }
        match left {
            0 => Ok(Reader::default()),
            _ => Err(ParquetError::EOF(format!(
                "byte {start} of {} was asked for",
                self.len
            ))),
        }
    }

    fn get_bytes(&self, start: u64, length: usize) -> Result<Bytes> {
        let mut out = vec![0; length];
        self.get_read(start)?.read_exact(&mut out)?;
        Ok(out.into())
    }
}

/// Reads one piece after the other.
#[derive(Default)]
pub(crate) struct Reader {
    pieces: Vec<Piece>,
    /// The piece that is being read, and the place in it.
    now: usize,
    at: usize,
}

impl Read for Reader {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        while let Some(piece) = self.pieces.get(self.now) {
            let left = piece.bytes().get(self.at..).unwrap_or_default();
            if left.is_empty() {
                (self.now, self.at) = (self.now + 1, 0);
                continue;
            }
            let n = out.len().min(left.len());
            if let (Some(out), Some(left)) = (out.get_mut(..n), left.get(..n)) {
                out.copy_from_slice(left);
            }
            self.at += n;
            return Ok(n);
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_added_is_read_from_anywhere() {
        let values: Vec<f32> = (0..7_001).map(|i| i as f32 / 7.0).collect();
        let values = ScalarBuffer::from(values);
        let mut pieces = Pieces::default();
        let mut bytes: Vec<u8> = Vec::new();
        for k in 0..9 {
            let head: Vec<u8> = (0..k * 100).map(|i| (i % 251) as u8).collect();
            let part = values.slice(k * 31, 700 * (k % 3));
            bytes.extend(&head);
            bytes.extend(part.iter().flat_map(|v| v.to_le_bytes()));
            pieces.push(head.into());
            pieces.push_values(part);
        }
        assert_eq!(pieces.len(), bytes.len() as u64);
        for start in [
            0,
            1,
            99,
            100,
            101,
            2_900,
            2_901,
            bytes.len() - 1,
            bytes.len(),
        ] {
            let mut found = Vec::new();
            let mut from = pieces.get_read(start as u64).unwrap();
            from.read_to_end(&mut found).unwrap();
            assert!(found == bytes[start..], "from {start}");
            let length = (bytes.len() - start).min(5_000);
            let part = pieces.get_bytes(start as u64, length).unwrap();
            assert!(part == bytes[start..start + length]);
        }
        assert!(pieces.get_read(bytes.len() as u64 + 1).is_err());
        assert!(pieces.get_bytes(bytes.len() as u64, 1).is_err());
        assert!(Pieces::default().get_read(0).is_ok());
        assert!(Pieces::default().get_read(1).is_err());
    }
}
