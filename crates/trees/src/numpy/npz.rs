//! A zip archive of `.npy` streams. Stored members are read in place, deflated ones are inflated
//! at their first use and kept; both are checked against the archive's CRC-32 then.

use std::io::Cursor;
use std::ops::{Deref, Range};
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};

use zip::{CompressionMethod, ZipArchive};

use crate::error::{Error, Result};
use crate::inflate;
use crate::numbers::Lanes;
use crate::room::{self, Room};
use crate::source::Source;
use crate::tree::{Container, Note, Tree, Var};

use super::header::{Fault, Header};
use super::{fault, no_struct};

/// Inflated to learn a header; more where that is not enough.
const FIRST_BYTES: usize = 512;

struct Member {
    name: String,
    at: Range<usize>,
    deflated: bool,
    size: u64,
    crc: u32,
    header: Header,
    /// Once checked: nothing more for a stored member, else the inflated bytes.
    seen: Mutex<Option<Option<Arc<Room>>>>,
}

impl Member {
    /// Bytes that it was inflated to; while that goes on, what it will be.
    fn held(&self) -> u64 {
        room::held(&self.seen, |seen| seen.as_ref()?.as_ref(), self.size)
    }
}

enum Bytes<'a> {
    Mapped(&'a [u8]),
    Shared(Arc<Room>),
}

impl Deref for Bytes<'_> {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Bytes::Mapped(bytes) => bytes,
            Bytes::Shared(bytes) => bytes,
        }
    }
}

/// An open `.npz` file.
pub(crate) struct Npz {
    source: Source,
    members: Vec<Member>,
    notes: Vec<Note>,
}

fn damaged(path: &Path, field: String, offset: u64, message: String) -> Error {
    Error::Damaged {
        path: path.to_path_buf(),
        field,
        offset,
        message,
    }
}

impl Npz {
    /// Reads the archive's directory and every member's header.
    ///
    /// # Errors
    /// [`Error::Damaged`]; [`Error::Unsupported`] for encryption and compression other than
    /// deflate. Members that are no arrays, and arrays of types that are not read, are skipped
    /// with a note.
    pub(crate) fn open(source: Source) -> Result<Npz> {
        let (mut members, mut notes) = (Vec::new(), Vec::new());
        let path = source.path();
        let wrong =
            |e: zip::result::ZipError| damaged(path, "zip directory".to_owned(), 0, e.to_string());
        let mut archive = ZipArchive::new(Cursor::new(source.bytes())).map_err(wrong)?;
        for k in 0..archive.len() {
            let file = archive.by_index_raw(k).map_err(wrong)?;
            let name = file.name().map_err(wrong)?.into_owned();
            let skip = |code, why: String| Note {
                code,
                message: format!("{name}: {why}, skipped"),
            };
            let Some(array) = name.strip_suffix(".npy") else {
                notes.push(skip("member-skipped", "no .npy array".to_owned()));
                continue;
            };
            let deflated = match file.compression() {
                CompressionMethod::Stored => false,
                CompressionMethod::DEFLATE => true,
                other => {
                    return Err(Error::Unsupported {
                        path: path.to_path_buf(),
                        place: name.clone(),
                        what: format!("compression {other}"),
                    });
                }
            };
            if file.encrypted() {
                return Err(Error::Unsupported {
                    path: path.to_path_buf(),
                    place: name.clone(),
                    what: "encryption".to_owned(),
                });
            }
            let start = file.data_start().unwrap_or(u64::MAX);
            let end = start.saturating_add(file.compressed_size());
            let size = file.size();
            if end > source.bytes().len() as u64 || (!deflated && size != file.compressed_size()) {
                let message =
                    format!("{name} lies at {start} to {end}, which the file does not hold");
                return Err(damaged(path, "zip member".to_owned(), start, message));
            }
            let at = start as usize..end as usize;
            match member_header(&source, &at, deflated, size) {
                Ok(header) => members.push(Member {
                    name: array.to_owned(),
                    at,
                    deflated,
                    size,
                    crc: file.crc32(),
                    header,
                    seen: Mutex::new(None),
                }),
                Err(Fault::Unsupported(what)) => {
                    notes.push(skip("array-skipped", format!("{what} is not supported")));
                }
                Err(other) => return Err(fault(path, &name, start, other)),
            }
        }
        drop(archive);
        Ok(Npz {
            source,
            members,
            notes,
        })
    }

    fn member(&self, of: &Var) -> Result<&Member> {
        let member = usize::try_from(of.handle)
            .ok()
            .and_then(|k| self.members.get(k));
        member.ok_or_else(|| Error::Absent {
            path: self.source.path().to_path_buf(),
            place: of.place.clone(),
            message: "no such array in this file".to_owned(),
        })
    }

    /// The whole stream of a member.
    fn bytes(&self, member: &Member) -> Result<Bytes<'_>> {
        let mut seen = member.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let raw = self
            .source
            .bytes()
            .get(member.at.clone())
            .unwrap_or_default();
        match seen.as_ref() {
            Some(None) => return Ok(Bytes::Mapped(raw)),
            Some(Some(bytes)) => return Ok(Bytes::Shared(Arc::clone(bytes))),
            None => {}
        }
        let wrong = |message: String| {
            let offset = member.at.start as u64;
            damaged(
                self.source.path(),
                format!("{}.npy", member.name),
                offset,
                message,
            )
        };
        let inflated = match member.deflated {
            true => Some(Arc::new(
                inflate::inflate(raw, false, member.size).map_err(wrong)?,
            )),
            false => None,
        };
        let content = inflated.as_ref().map_or(raw, |b| b.as_slice());
        let mut crc = flate2::Crc::new();
        crc.update(content);
        if crc.sum() != member.crc {
            let (expected, found) = (member.crc, crc.sum());
            return Err(wrong(format!(
                "CRC-32 {expected:08x} expected, {found:08x} found"
            )));
        }
        *seen = Some(inflated.clone());
        Ok(match inflated {
            Some(bytes) => Bytes::Shared(bytes),
            None => Bytes::Mapped(raw),
        })
    }

    fn lanes(&self, of: &Var, imaginary: bool, lanes: Lanes<'_, '_, '_>) -> Result<()> {
        let member = self.member(of)?;
        let bytes = self.bytes(member)?;
        let (from, n) = (member.header.data, member.header.bytes);
        let data = bytes.get(from..from + n).unwrap_or_default();
        let path = self.source.path();
        member.header.lanes(path, &of.place, data, imaginary, lanes)
    }
}

fn member_header(
    source: &Source,
    at: &Range<usize>,
    deflated: bool,
    size: u64,
) -> std::result::Result<Header, Fault> {
    let raw = source.bytes().get(at.clone()).unwrap_or_default();
    if !deflated {
        return Header::parse(raw, size);
    }
    let mut n = FIRST_BYTES;
    loop {
        let first = inflate::prefix(raw, false, n)
            .map_err(|message| Fault::Bad("compressed member", 0, message))?;
        match Header::parse(&first, size) {
            Err(Fault::Short) if first.len() >= n => n = n.saturating_mul(8),
            other => return other,
        }
    }
}

impl Tree for Npz {
    fn path(&self) -> &Path {
        self.source.path()
    }

    fn container(&self) -> Container {
        Container::Npz
    }

    fn held(&self) -> u64 {
        self.members.iter().map(Member::held).sum()
    }

    fn notes(&self) -> &[Note] {
        &self.notes
    }

    fn variables(&self) -> Vec<Var> {
        let members = self.members.iter().enumerate();
        members
            .map(|(k, m)| m.header.var(m.name.clone(), k as u64))
            .collect()
    }

    fn field(&self, of: &Var, _: u64, _: &str) -> Result<Option<Var>> {
        Err(no_struct(self.path(), of, "a struct"))
    }

    fn cell(&self, of: &Var, _: u64) -> Result<Var> {
        Err(no_struct(self.path(), of, "a cell array"))
    }

    fn read_f64(&self, of: &Var, first: &[u64], stride: u64, out: &mut [&mut [f64]]) -> Result<()> {
        self.lanes(of, false, Lanes { first, stride, out })
    }

    fn read_imaginary(
        &self,
        of: &Var,
        first: &[u64],
        stride: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        self.lanes(of, true, Lanes { first, stride, out })
    }

    fn texts(&self, of: &Var) -> Result<Vec<String>> {
        let member = self.member(of)?;
        let bytes = self.bytes(member)?;
        let (from, n) = (member.header.data, member.header.bytes);
        let data = bytes.get(from..from + n).unwrap_or_default();
        let texts = member.header.texts(data);
        texts.ok_or_else(|| no_struct(self.path(), of, "text"))
    }
}
