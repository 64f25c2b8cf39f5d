//! Tar (POSIX ustar and pax, GNU long names, V7) walked entry by entry over a stream or a file.
//! Owns the header fields; knows nothing of where members go. Sparse members are named, not read.

use std::fs::File;
use std::io::{self, BufReader, Read};

use crate::error::{At, Fault};
use crate::{Error, Result};

const BLOCK: u64 = 512;
/// Most bytes of a pax header or a long name; real ones hold a path or two.
const META: u64 = 1 << 20;

/// Where a tar's bytes come from.
pub(crate) trait Source: Read {
    /// Passes over `n` bytes, all of which must be there.
    fn skip(&mut self, n: u64) -> io::Result<()>;
    /// True when the container itself tells a whole stream from one cut short.
    fn knows_its_end(&self) -> bool;
}

/// A tar file on disk: skipping is seeking.
pub(crate) struct Plain {
    file: BufReader<File>,
    left: u64,
}

impl Plain {
    pub(crate) fn new(file: File, bytes: u64) -> Self {
        let file = BufReader::with_capacity(1 << 18, file);
        Plain { file, left: bytes }
    }
}

impl Read for Plain {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(out)?;
        self.left = self.left.saturating_sub(n as u64);
        Ok(n)
    }
}

impl Source for Plain {
    fn skip(&mut self, n: u64) -> io::Result<()> {
        if n > self.left {
            return Err(Fault::Truncated("the member is longer than the file").into());
        }
        self.left -= n;
        // n is at most a file's size, which fits.
        self.file.seek_relative(n as i64)
    }

    fn knows_its_end(&self) -> bool {
        false
    }
}

/// A tar within gzip: skipping is reading.
pub(crate) struct Stream<R>(pub(crate) R);

impl<R: Read> Read for Stream<R> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        self.0.read(out)
    }
}

impl<R: Read> Source for Stream<R> {
    fn skip(&mut self, n: u64) -> io::Result<()> {
        let mut scrap = [0; 1 << 14];
        let mut left = n;
        while left > 0 {
            let most = left.min(scrap.len() as u64) as usize;
            match self.0.read(&mut scrap[..most])? {
                0 => return Err(Fault::Truncated("the stream ends within a member").into()),
                read => left -= read as u64,
            }
        }
        Ok(())
    }

    fn knows_its_end(&self) -> bool {
        true
    }
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum What {
    File,
    Folder,
    Hard(String),
    Symbolic(String),
    Sparse,
    Special(&'static str),
}

/// One entry, names as text (bytes that are not UTF-8 are taken for Latin-1).
#[derive(Debug, Clone)]
pub(crate) struct Entry {
    pub(crate) name: String,
    pub(crate) bytes: u64,
    pub(crate) what: What,
}

/// The extended fields that precede an entry.
#[derive(Default)]
struct Ahead {
    name: Option<String>,
    link: Option<String>,
    bytes: Option<u64>,
    sparse: bool,
}

/// Walks the entries; as a reader it gives the current one's contents.
pub(crate) struct Walk<'a, S> {
    pub(crate) at: At<'a>,
    source: S,
    /// Bytes of the (unpacked) stream before the next one read.
    pub(crate) offset: u64,
    body: u64,
    padding: u64,
}

impl<'a, S: Source> Walk<'a, S> {
    pub(crate) fn new(at: At<'a>, source: S) -> Self {
        Walk {
            at,
            source,
            offset: 0,
            body: 0,
            padding: 0,
        }
    }

    fn fail(&self, error: io::Error) -> Error {
        self.at.stream(None, self.offset, error)
    }

    fn block(&mut self) -> Result<Option<[u8; BLOCK as usize]>> {
        let mut out = [0; BLOCK as usize];
        let mut have = 0;
        while have < out.len() {
            match self.source.read(&mut out[have..]) {
                Ok(0) if have == 0 => return Ok(None),
                Ok(0) => {
                    let what = "a tar header is not whole";
                    return Err(self.at.truncated(None, self.offset, what));
                }
                Ok(n) => have += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(self.fail(e)),
            }
        }
        self.offset += BLOCK;
        Ok(Some(out))
    }

    fn skip_rest(&mut self) -> Result<()> {
        let rest = self.body.checked_add(self.padding);
        let rest = rest.ok_or_else(|| {
            self.at
                .corrupt(None, self.offset, "a member's size does not fit")
        })?;
        self.source.skip(rest).map_err(|e| self.fail(e))?;
        self.offset = self.offset.saturating_add(rest);
        (self.body, self.padding) = (0, 0);
        Ok(())
    }

    fn hold(&mut self, bytes: u64) {
        self.body = bytes;
        self.padding = (BLOCK - bytes % BLOCK) % BLOCK;
    }

    /// The body of a header-like entry, bounded.
    fn meta(&mut self, bytes: u64) -> Result<Vec<u8>> {
        if bytes > META {
            let what = format!("an extended header of {bytes} bytes, expected at most {META}");
            return Err(self.at.corrupt(None, self.offset, what));
        }
        self.hold(bytes);
        let mut out = Vec::new();
        self.read_to_end(&mut out).map_err(|e| self.fail(e))?;
        self.skip_rest()?;
        Ok(out)
    }

    /// The next entry, the rest of the last one passed over; None at the archive's end, which
    /// must be marked unless the container tells.
    pub(crate) fn next(&mut self) -> Result<Option<Entry>> {
        let mut ahead = Ahead::default();
        loop {
            self.skip_rest()?;
            let start = self.offset;
            let Some(block) = self.block()? else {
                if !self.source.knows_its_end() {
                    let what = "no end mark (a block of zeros)";
                    return Err(self.at.truncated(None, start, what));
                }
                return Ok(None);
            };
            if block.iter().all(|&b| b == 0) {
                self.drain()?;
                return Ok(None);
            }
            let header =
                Header::parse(&block).map_err(|what| self.at.corrupt(None, start, what))?;
            let bytes = ahead.bytes.unwrap_or(header.bytes);
            match header.kind {
                b'L' => ahead.name = Some(terminated(&self.meta(header.bytes)?)),
                b'K' => ahead.link = Some(terminated(&self.meta(header.bytes)?)),
                b'x' | b'X' => {
                    let body = self.meta(header.bytes)?;
                    pax(&body, &mut ahead).map_err(|what| self.at.corrupt(None, start, what))?;
                }
                b'g' => {
                    let mut global = Ahead::default();
                    let body = self.meta(header.bytes)?;
                    pax(&body, &mut global).map_err(|what| self.at.corrupt(None, start, what))?;
                    if global.name.is_some() || global.link.is_some() || global.bytes.is_some() {
                        let what = "a global pax header that names every member";
                        return Err(self.at.unsupported(None, what));
                    }
                }
                _ => return Ok(Some(self.entry(&header, ahead, bytes))),
            }
        }
    }

    fn entry(&mut self, header: &Header, ahead: Ahead, bytes: u64) -> Entry {
        let name = ahead.name.unwrap_or_else(|| header.name.clone());
        let link = ahead.link.unwrap_or_else(|| header.link.clone());
        let what = match header.kind {
            b'0' | b'7' if ahead.sparse => What::Sparse,
            0 if name.ends_with('/') => What::Folder,
            0 | b'0' | b'7' => What::File,
            b'1' => What::Hard(link),
            b'2' => What::Symbolic(link),
            b'3' | b'4' => What::Special("a device"),
            b'5' => What::Folder,
            b'6' => What::Special("a pipe"),
            b'S' => What::Sparse,
            b'D' => What::Special("a list of a folder's names"),
            b'V' => What::Special("a volume label"),
            b'M' => What::Special("the rest of a member begun in another volume"),
            _ => What::Special("of a type that tar does not define"),
        };
        // Links, folders and devices have no contents, whatever their size field says.
        let bytes = match header.kind {
            b'1'..=b'6' => 0,
            _ => bytes,
        };
        self.hold(bytes);
        Entry { name, bytes, what }
    }

    /// Reads a stream to its end, so that its own checks are made.
    fn drain(&mut self) -> Result<()> {
        if self.source.knows_its_end() {
            io::copy(&mut self.source, &mut io::sink()).map_err(|e| self.fail(e))?;
        }
        Ok(())
    }
}

impl<S: Source> Read for Walk<'_, S> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        let most = self.body.min(out.len() as u64) as usize;
        if most == 0 {
            return Ok(0);
        }
        let n = self.source.read(&mut out[..most])?;
        if n == 0 {
            return Err(Fault::Truncated("the archive ends within a member").into());
        }
        self.body -= n as u64;
        self.offset += n as u64;
        Ok(n)
    }
}

struct Header {
    name: String,
    link: String,
    bytes: u64,
    kind: u8,
}

/// True for 512 bytes that are a tar header: its sum is right and its name not empty.
pub(crate) fn is_header(block: &[u8; 512]) -> bool {
    block[0] != 0 && checked(block)
}

fn checked(block: &[u8; 512]) -> bool {
    let sums = block.iter().enumerate().map(|(i, &b)| match i {
        148..156 => b' ',
        _ => b,
    });
    let unsigned: u64 = sums.clone().map(u64::from).sum();
    let signed: i64 = sums.map(|b| i64::from(b as i8)).sum();
    // Some old writers summed signed bytes.
    number(&block[148..156]).is_some_and(|n| n == unsigned || i64::try_from(n) == Ok(signed))
}

impl Header {
    fn parse(block: &[u8; 512]) -> Result<Header, String> {
        if !checked(block) {
            return Err("not a tar header: its checksum is wrong".into());
        }
        let bytes = number(&block[124..136]).ok_or("the size field is not a number")?;
        let mut name = terminated(&block[..100]);
        // GNU's own format ("ustar  ") keeps times where POSIX has the prefix.
        if &block[257..263] == b"ustar\0" && block[345] != 0 {
            name = format!("{}/{name}", terminated(&block[345..500]));
        }
        Ok(Header {
            name,
            link: terminated(&block[157..257]),
            bytes,
            kind: block[156],
        })
    }
}

/// An octal field, or GNU's binary one (first bit set), positive.
fn number(field: &[u8]) -> Option<u64> {
    let (&first, rest) = field.split_first()?;
    if first & 0x80 != 0 {
        let zero = u64::from(first & 0x7f);
        return rest.iter().try_fold(zero, |sum, &b| {
            sum.checked_mul(256).map(|n| n | u64::from(b))
        });
    }
    let text = field.trim_ascii_start();
    let end = text.iter().position(|b| matches!(b, 0 | b' '));
    let digits = &text[..end.unwrap_or(text.len())];
    digits.iter().try_fold(0u64, |sum, &b| match b {
        b'0'..=b'7' => sum.checked_mul(8).map(|n| n | u64::from(b - b'0')),
        _ => None,
    })
}

fn terminated(field: &[u8]) -> String {
    let end = field.iter().position(|&b| b == 0);
    text(&field[..end.unwrap_or(field.len())])
}

/// Bytes as text: UTF-8, or else Latin-1, so that no name is lost.
pub(crate) fn text(bytes: &[u8]) -> String {
    match std::str::from_utf8(bytes) {
        Ok(text) => text.to_owned(),
        Err(_) => bytes.iter().map(|&b| char::from(b)).collect(),
    }
}

/// The records of a pax header: `LENGTH KEY=VALUE\n`.
fn pax(mut body: &[u8], ahead: &mut Ahead) -> Result<(), String> {
    let bad = || "a pax record is not 'LENGTH KEY=VALUE'".to_owned();
    while !body.is_empty() {
        let space = body
            .iter()
            .take(20)
            .position(|&b| b == b' ')
            .ok_or_else(bad)?;
        let digits = std::str::from_utf8(&body[..space]).map_err(|_| bad())?;
        let length: usize = digits.parse().map_err(|_| bad())?;
        let record = body.get(space + 1..length).ok_or_else(bad)?;
        let record = record.strip_suffix(b"\n").ok_or_else(bad)?;
        let equals = record.iter().position(|&b| b == b'=').ok_or_else(bad)?;
        let (key, value) = (&record[..equals], &record[equals + 1..]);
        match key {
            b"path" => ahead.name = Some(text(value)),
            b"linkpath" => ahead.link = Some(text(value)),
            b"size" => {
                let size = std::str::from_utf8(value).ok().and_then(|v| v.parse().ok());
                ahead.bytes = Some(size.ok_or("a pax size is not a number")?);
            }
            _ => ahead.sparse |= key.starts_with(b"GNU.sparse."),
        }
        body = &body[length..];
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::path::Path;

    #[test]
    fn numbers_are_octal_or_binary() {
        assert_eq!(number(b"0000644\0"), Some(0o644));
        assert_eq!(number(b"   644 \0"), Some(0o644));
        assert_eq!(number(b"\0\0\0\0"), Some(0));
        assert_eq!(number(b"12a4567\0"), None);
        let mut wide = [0u8; 12];
        wide[0] = 0x80;
        wide[7] = 3;
        assert_eq!(number(&wide), Some(3 << 32));
        assert_eq!(number(&[0xff; 12]), None);
    }

    proptest! {
        #[test]
        fn any_bytes_end_without_a_panic(
            mut data in proptest::collection::vec(any::<u8>(), 512..2600),
            kind in proptest::sample::select(&b"0125xgLKS\0"[..]),
            size in 0u32..3000,
            pax in "[0-9]{1,3} (path|size|x)=[0-9a-z/.]{0,9}\n",
        ) {
            data[156] = kind;
            data[124..136].copy_from_slice(format!("{size:011o}\0").as_bytes());
            let end = data.len().min(512 + pax.len());
            data[512..end].copy_from_slice(&pax.as_bytes()[..end - 512]);
            data[148..156].fill(b' ');
            let sum: u32 = data[..512].iter().map(|&b| u32::from(b)).sum();
            data[148..156].copy_from_slice(format!("{sum:06o}\0 ").as_bytes());
            let mut walk = Walk::new(At(Path::new("x")), Stream(&data[..]));
            let mut entries = 0;
            while let Ok(Some(_)) = walk.next() {
                entries += 1;
                prop_assert!(entries < 10);
            }
        }
    }
}
