//! Gzip (RFC 1952) as a reader: several members one after another, zero padding after the last,
//! every CRC-32 and length checked, a cap on what comes out. Owns no file.

use std::io::{self, BufRead, Read};

use flate2::{Crc, Decompress, FlushDecompress, Status};

use crate::error::Fault;

enum State {
    Head,
    Body,
    Tail,
    End,
}

/// Unpacks a gzip stream.
pub(crate) struct Gunzip<R> {
    inner: R,
    state: State,
    first: bool,
    inflate: Decompress,
    crc: Crc,
    cap: u64,
    out: u64,
}

impl<R: BufRead> Gunzip<R> {
    /// Gives at most `cap` bytes; one more is [`Fault::Over`].
    pub(crate) fn new(inner: R, cap: u64) -> Self {
        Gunzip {
            inner,
            state: State::Head,
            first: true,
            inflate: Decompress::new(false),
            crc: Crc::new(),
            cap,
            out: 0,
        }
    }

    fn bytes<const N: usize>(&mut self) -> io::Result<[u8; N]> {
        let mut out = [0; N];
        self.inner
            .read_exact(&mut out)
            .map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => {
                    Fault::Truncated("a gzip header or trailer is not whole").into()
                }
                _ => e,
            })?;
        Ok(out)
    }

    fn skip_text(&mut self) -> io::Result<()> {
        while self.bytes::<1>()? != [0] {}
        Ok(())
    }

    /// Reads a member's header; false at the end of the file.
    fn head(&mut self) -> io::Result<bool> {
        if !self.first {
            loop {
                let buffer = self.inner.fill_buf()?;
                if buffer.is_empty() {
                    return Ok(false);
                }
                let zeros = buffer.iter().take_while(|&&b| b == 0).count();
                let all = zeros == buffer.len();
                self.inner.consume(zeros);
                if !all {
                    break;
                }
            }
        }
        let [id1, id2, method, flags, ..] = self.bytes::<10>()?;
        if [id1, id2] != [0x1f, 0x8b] {
            let what = if self.first {
                "not gzip"
            } else {
                "bytes after the last gzip member"
            };
            return Err(Fault::Corrupt(what.into()).into());
        }
        if method != 8 || flags & 0xe0 != 0 {
            let what = format!("gzip method {method} with flags {flags:#x}, expected 8");
            return Err(Fault::Corrupt(what).into());
        }
        if flags & 4 != 0 {
            let extra = u16::from_le_bytes(self.bytes()?);
            for _ in 0..extra {
                self.bytes::<1>()?;
            }
        }
        for flag in [8, 16] {
            if flags & flag != 0 {
                self.skip_text()?;
            }
        }
        if flags & 2 != 0 {
            self.bytes::<2>()?;
        }
        self.first = false;
        self.inflate.reset(false);
        self.crc = Crc::new();
        Ok(true)
    }

    /// One step of inflating; the count may be 0 without the stream being at its end.
    fn step(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let input = self.inner.fill_buf()?;
        let starved = input.is_empty();
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let status = self
            .inflate
            .decompress(input, out, FlushDecompress::None)
            .map_err(|_| Fault::Corrupt("not a deflate stream".into()))?;
        let taken = (self.inflate.total_in() - before_in) as usize;
        let given = (self.inflate.total_out() - before_out) as usize;
        self.inner.consume(taken);
        self.crc.update(&out[..given]);
        self.out += given as u64;
        if self.out > self.cap {
            let what = format!("it unpacks to more than {} bytes", self.cap);
            return Err(Fault::Over(what).into());
        }
        if matches!(status, Status::StreamEnd) {
            self.state = State::Tail;
        } else if given == 0 && starved {
            return Err(Fault::Truncated("the deflate stream has no end").into());
        } else if given == 0 && taken == 0 {
            return Err(Fault::Corrupt("the deflate stream stalls".into()).into());
        }
        Ok(given)
    }

    fn tail(&mut self) -> io::Result<()> {
        let expected = u32::from_le_bytes(self.bytes()?);
        let length = u32::from_le_bytes(self.bytes()?);
        if expected != self.crc.sum() {
            return Err(Fault::Checksum(expected, self.crc.sum()).into());
        }
        if length != self.crc.amount() {
            let what = format!("gzip length {length}, unpacked {}", self.crc.amount());
            return Err(Fault::Corrupt(what).into());
        }
        Ok(())
    }
}

impl<R: BufRead> Read for Gunzip<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        if out.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Head => {
                    self.state = if self.head()? {
                        State::Body
                    } else {
                        State::End
                    };
                }
                State::Body => {
                    let given = self.step(out)?;
                    if given > 0 {
                        return Ok(given);
                    }
                }
                State::Tail => {
                    self.tail()?;
                    self.state = State::Head;
                }
                State::End => return Ok(0),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use flate2::Compression;
    use flate2::write::GzEncoder;
    use proptest::prelude::*;
    use std::io::Write;

    fn pack(data: &[u8]) -> Vec<u8> {
        let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
        encoder.write_all(data).unwrap();
        encoder.finish().unwrap()
    }

    proptest! {
        #[test]
        fn members_join_and_any_cut_is_noticed(
            a in proptest::collection::vec(any::<u8>(), 0..300),
            b in proptest::collection::vec(0u8..3, 0..3000),
            cut in any::<prop::sample::Index>(),
        ) {
            let first = pack(&a);
            let mut both = first.clone();
            both.extend(pack(&b));
            let mut out = Vec::new();
            Gunzip::new(&both[..], u64::MAX).read_to_end(&mut out).unwrap();
            prop_assert_eq!(&out, &[a, b].concat());
            let cut = cut.index(both.len());
            let whole = cut == first.len();
            let read = Gunzip::new(&both[..cut], u64::MAX).read_to_end(&mut Vec::new());
            prop_assert_eq!(read.is_ok(), whole);
        }
    }

    #[test]
    fn padding_is_skipped_and_the_cap_holds() {
        let mut padded = pack(&[7; 1000]);
        padded.extend([0; 512]);
        let mut out = Vec::new();
        Gunzip::new(&padded[..], 1000)
            .read_to_end(&mut out)
            .unwrap();
        assert_eq!(out, [7; 1000]);
        let error = Gunzip::new(&padded[..], 999)
            .read_to_end(&mut out)
            .unwrap_err();
        assert!(matches!(error.downcast(), Ok(Fault::Over(_))));
    }
}
