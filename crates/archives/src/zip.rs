//! Zip (APPNOTE 6.3.10, with the 64-bit records): the central directory, and one member's
//! contents at a time. Owns every check between directory, local headers and data.

use std::fs::File;
use std::io::{self, BufReader, Read, Seek, SeekFrom, Take};

use flate2::bufread::DeflateDecoder;

use crate::Result;
use crate::error::{At, Fault};
use crate::zip_names;

const END: u64 = 22;
const LOCATOR: u64 = 20;
const END64: u64 = 56;
const CENTRAL: usize = 46;
const LOCAL: u64 = 30;

/// What a member is, by its recorded Unix mode.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Type {
    File,
    Folder,
    Symlink,
    Special,
}

/// One entry of the central directory.
#[derive(Debug)]
pub(crate) struct Entry {
    pub(crate) name: String,
    /// As stored, when that is not `name`'s UTF-8.
    raw: Option<Box<[u8]>>,
    pub(crate) what: Type,
    pub(crate) encrypted: bool,
    method: u16,
    pub(crate) crc: u32,
    packed: u64,
    pub(crate) bytes: u64,
    /// Of the local header, from the file's start.
    offset: u64,
}

pub(crate) fn u16_at(data: &[u8], i: usize) -> Option<u16> {
    Some(u16::from_le_bytes(data.get(i..)?.first_chunk().copied()?))
}

pub(crate) fn u32_at(data: &[u8], i: usize) -> Option<u32> {
    Some(u32::from_le_bytes(data.get(i..)?.first_chunk().copied()?))
}

pub(crate) fn u64_at(data: &[u8], i: usize) -> Option<u64> {
    Some(u64::from_le_bytes(data.get(i..)?.first_chunk().copied()?))
}

fn load(at: At<'_>, file: &mut File, offset: u64, bytes: u64) -> Result<Vec<u8>> {
    let fail = |e| at.stream(None, offset, e);
    file.seek(SeekFrom::Start(offset)).map_err(fail)?;
    let mut out = Vec::new();
    let read = file.take(bytes).read_to_end(&mut out).map_err(fail)?;
    if (read as u64) < bytes {
        return Err(at.truncated(None, offset, format!("{bytes} bytes expected")));
    }
    Ok(out)
}

/// Where the central directory lies, how many entries it says it has, and the file's bytes
/// before the archive proper (a self-extractor's program).
struct Place {
    start: u64,
    bytes: u64,
    entries: u64,
    wide: bool,
    prefix: u64,
}

fn find(at: At<'_>, file: &mut File, size: u64) -> Result<Place> {
    let window = size.min(END + u64::from(u16::MAX));
    let tail = load(at, file, size - window, window)?;
    let none = || {
        let what = "no end-of-directory record: the file is cut short or not a zip";
        at.truncated(None, size, what)
    };
    let fits = |&i: &usize| {
        tail[i..].starts_with(b"PK\x05\x06")
            && u16_at(&tail, i + 20)
                .is_some_and(|n| i + END as usize + usize::from(n) <= tail.len())
    };
    let last = tail.len().checked_sub(END as usize).ok_or_else(none)?;
    let i = (0..=last).rev().find(fits).ok_or_else(none)?;
    let end = size - window + i as u64;
    let field = |k| u16_at(&tail, i + k).ok_or_else(none);
    let wide_field = |k| u32_at(&tail, i + k).map(u64::from).ok_or_else(none);
    let mut disks = [field(4)?, field(6)?].map(u64::from);
    let mut entries = u64::from(field(10)?);
    let (mut bytes, mut offset) = (wide_field(12)?, wide_field(16)?);
    let (mut after, mut wide) = (end, false);

    let locator = end.checked_sub(LOCATOR);
    if let Some(locator) = locator {
        let record = load(at, file, locator, LOCATOR)?;
        if record.starts_with(b"PK\x06\x07") {
            let corrupt = || {
                at.corrupt(
                    None,
                    locator,
                    "the 64-bit end record is not where it should be",
                )
            };
            let stated = u64_at(&record, 8).ok_or_else(corrupt)?;
            // Straight before its locator, whatever precedes the archive; or where it says.
            let candidates = [locator.checked_sub(END64), Some(stated)];
            let mut found = None;
            for start in candidates.into_iter().flatten() {
                if start.checked_add(END64).is_some_and(|e| e <= locator) {
                    let record = load(at, file, start, END64)?;
                    if record.starts_with(b"PK\x06\x06") {
                        found = Some((start, record));
                        break;
                    }
                }
            }
            let (start, record) = found.ok_or_else(corrupt)?;
            let field = |k| u64_at(&record, k).ok_or_else(corrupt);
            let disk = |k| u32_at(&record, k).map(u64::from).ok_or_else(corrupt);
            disks = [disk(16)?, disk(20)?];
            (entries, bytes, offset) = (field(32)?, field(40)?, field(48)?);
            (after, wide) = (start, true);
        }
    }
    if disks != [0, 0] {
        return Err(at.unsupported(None, "a zip split over several files"));
    }
    let start = after.checked_sub(bytes);
    let prefix = start.and_then(|s| s.checked_sub(offset));
    let (Some(start), Some(prefix)) = (start, prefix) else {
        let what = format!("a directory of {bytes} bytes at {offset} does not fit before {after}");
        return Err(at.corrupt(None, end, what));
    };
    Ok(Place {
        start,
        bytes,
        entries,
        wide,
        prefix,
    })
}

/// The central directory, in its order. Members whose data overlap are an error: no writer
/// makes them, and they are how a small file claims to hold a thousand times the same data.
pub(crate) fn directory(at: At<'_>, file: &mut File, size: u64) -> Result<Vec<Entry>> {
    let place = find(at, file, size)?;
    let data = load(at, file, place.start, place.bytes)?;
    let mut entries = Vec::new();
    let mut i = 0;
    while i < data.len() {
        let here = place.start + i as u64;
        let Some((entry, next)) = parse(&data, i, place.prefix) else {
            return Err(at.corrupt(None, here, "not a whole directory entry"));
        };
        let end = (entry.offset.checked_add(LOCAL)).and_then(|n| n.checked_add(entry.packed));
        if end.is_none_or(|end| end > place.start) {
            let what = "the member's data do not lie before the directory";
            return Err(at.corrupt(Some(&entry.name), here, what));
        }
        entries.push(entry);
        i = next;
    }
    let count = entries.len() as u64;
    // Writers without the 64-bit records let the count wrap.
    if count != place.entries && (place.wide || count & 0xffff != place.entries) {
        let what = format!("{} entries stated, {count} found", place.entries);
        return Err(at.corrupt(None, place.start, what));
    }
    let mut order: Vec<u32> = (0..u32::try_from(count).unwrap_or(u32::MAX)).collect();
    let entry = |i: u32| &entries[i as usize];
    order.sort_unstable_by_key(|&i| entry(i).offset);
    for pair in order.windows(2) {
        let (a, b) = (entry(pair[0]), entry(pair[1]));
        if a.offset + LOCAL + a.packed > b.offset {
            let what = format!("its data overlap those of {:?}", a.name);
            return Err(at.corrupt(Some(&b.name), b.offset, what));
        }
    }
    Ok(entries)
}

fn parse(data: &[u8], i: usize, prefix: u64) -> Option<(Entry, usize)> {
    let fixed = data.get(i..i.checked_add(CENTRAL)?)?;
    if !fixed.starts_with(b"PK\x01\x02") {
        return None;
    }
    let length = |k| u16_at(fixed, k).map(usize::from);
    let name_end = i + CENTRAL + length(28)?;
    let extra_end = name_end + length(30)?;
    let next = extra_end + length(32)?;
    let raw = data.get(i + CENTRAL..name_end)?;
    let extra = data.get(name_end..extra_end)?;
    data.get(extra_end..next)?;

    let flags = u16_at(fixed, 8)?;
    let method = u16_at(fixed, 10)?;
    let mut bytes = u64::from(u32_at(fixed, 24)?);
    let mut packed = u64::from(u32_at(fixed, 20)?);
    let mut offset = u64::from(u32_at(fixed, 42)?);
    // The 64-bit field holds only what does not fit above, in this order.
    let mut wide = zip_names::extra(extra, 1).unwrap_or_default();
    for value in [&mut bytes, &mut packed, &mut offset] {
        if *value == u64::from(u32::MAX) && !wide.is_empty() {
            *value = u64_at(wide, 0)?;
            wide = wide.get(8..)?;
        }
    }
    let name = zip_names::name(raw, extra);
    let attributes = u32_at(fixed, 38)?;
    // Made on Unix (3) or macOS (19): the high half is the mode.
    let mode = match fixed.get(5)? {
        3 | 19 => (attributes >> 16) & 0o170000,
        _ => 0,
    };
    let what = match mode {
        _ if name.ends_with('/') => Type::Folder,
        0o040000 => Type::Folder,
        0o120000 => Type::Symlink,
        0 | 0o100000 => Type::File,
        _ => Type::Special,
    };
    let entry = Entry {
        raw: (name.as_bytes() != raw).then(|| raw.into()),
        name,
        what,
        // Bit 0: the member; bit 13: the directory too. Method 99: AES.
        encrypted: flags & 0x2001 != 0 || method == 99,
        method,
        crc: u32_at(fixed, 16)?,
        packed,
        bytes,
        offset: offset.checked_add(prefix)?,
    };
    Some((entry, next))
}

/// A member's contents being unpacked.
pub(crate) enum Contents<'f> {
    Stored(Take<BufReader<&'f mut File>>),
    Deflated(Box<DeflateDecoder<Take<BufReader<&'f mut File>>>>),
}

impl Read for Contents<'_> {
    fn read(&mut self, out: &mut [u8]) -> io::Result<usize> {
        match self {
            Contents::Stored(data) => data.read(out),
            Contents::Deflated(data) => data.read(out).map_err(|e| match e.kind() {
                io::ErrorKind::UnexpectedEof => {
                    Fault::Corrupt("the deflate stream goes past the member's end".into()).into()
                }
                io::ErrorKind::InvalidInput | io::ErrorKind::InvalidData => {
                    Fault::Corrupt("not a deflate stream".into()).into()
                }
                _ => e,
            }),
        }
    }
}

/// Where a member's contents start, its local header checked against the directory.
fn start(at: At<'_>, file: &mut File, size: u64, entry: &Entry) -> Result<u64> {
    let member = Some(entry.name.as_str());
    if entry.encrypted {
        return Err(at.encrypted(member));
    }
    let fixed = load(at, file, entry.offset, LOCAL)?;
    let raw = entry.raw.as_deref().unwrap_or(entry.name.as_bytes());
    let header = (|| {
        let name = u64::from(u16_at(&fixed, 26)?);
        let extra = u64::from(u16_at(&fixed, 28)?);
        let sound = fixed.starts_with(b"PK\x03\x04") && name == raw.len() as u64;
        sound.then_some((name, extra))
    })();
    let corrupt = |what: &str| at.corrupt(member, entry.offset, what);
    let (name, extra) = header
        .ok_or_else(|| corrupt("the local header is not the one that the directory names"))?;
    if load(at, file, entry.offset + LOCAL, name)? != raw {
        return Err(corrupt("the local header has another name"));
    }
    let start = entry.offset + LOCAL + name + extra;
    if start.checked_add(entry.packed).is_none_or(|end| end > size) {
        return Err(corrupt("the data go past the file's end"));
    }
    Ok(start)
}

/// Opens a member's contents.
pub(crate) fn contents<'f>(
    at: At<'_>,
    file: &'f mut File,
    size: u64,
    entry: &Entry,
) -> Result<Contents<'f>> {
    let member = Some(entry.name.as_str());
    let corrupt = |what: &str| at.corrupt(member, entry.offset, what);
    let start = start(at, file, size, entry)?;
    file.seek(SeekFrom::Start(start))
        .map_err(|e| at.stream(member, start, e))?;
    let data = BufReader::with_capacity(1 << 17, file).take(entry.packed);
    match entry.method {
        0 if entry.packed == entry.bytes => Ok(Contents::Stored(data)),
        0 => Err(corrupt("a stored member whose two sizes differ")),
        8 => Ok(Contents::Deflated(Box::new(DeflateDecoder::new(data)))),
        other => {
            let known = match other {
                1 => " (shrink)",
                6 => " (implode)",
                9 => " (deflate64)",
                12 => " (bzip2)",
                14 => " (lzma)",
                93 => " (zstd)",
                95 => " (xz)",
                98 => " (ppmd)",
                _ => "",
            };
            let what = format!("compression method {other}{known}");
            Err(at.unsupported(member, what))
        }
    }
}

/// Members up to this size, packed and unpacked, are unpacked at once.
const WHOLE: u64 = 32 << 20;
/// Deflate makes at most 1,032 bytes of one.
const RATIO: u64 = 1032;

/// What unpacks whole members, and its buffers, which are used again.
pub(crate) struct Whole {
    state: libdeflater::Decompressor,
    packed: Vec<u8>,
    plain: Vec<u8>,
}

impl Whole {
    pub(crate) fn new() -> Self {
        Whole {
            state: libdeflater::Decompressor::new(),
            packed: Vec::new(),
            plain: Vec::new(),
        }
    }

    /// A deflated member's bytes, as many as the directory says. `None` for one that is large or
    /// stored, or where anything is amiss, which [`contents`] then names.
    pub(crate) fn unpack(
        &mut self,
        at: At<'_>,
        file: &mut File,
        size: u64,
        entry: &Entry,
    ) -> Option<&[u8]> {
        let believable = entry.bytes <= entry.packed.saturating_mul(RATIO);
        if entry.method != 8 || !believable || entry.bytes.max(entry.packed) > WHOLE {
            return None;
        }
        let start = start(at, file, size, entry).ok()?;
        file.seek(SeekFrom::Start(start)).ok()?;
        self.packed.clear();
        let read = file.take(entry.packed).read_to_end(&mut self.packed).ok()?;
        if read as u64 != entry.packed {
            return None;
        }
        self.plain.resize(usize::try_from(entry.bytes).ok()?, 0);
        let state = &mut self.state;
        let given = state
            .deflate_decompress(&self.packed, &mut self.plain)
            .ok()?;
        (given == self.plain.len()).then_some(&self.plain)
    }
}
