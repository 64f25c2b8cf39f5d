//! What an archive holds, without unpacking it. Owns the walk that both listing and unpacking
//! make over a zip's directory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, Read};
use std::path::Path;

use crate::error::{At, Error};
use crate::gz::Gunzip;
use crate::links::{self, Link};
use crate::names::Names;
use crate::tar::{Plain, Source, Stream, Walk, What};
use crate::zip::{self, Entry, Type};
use crate::{Kind, Limits, Listing, Member, Reason, Result, sniff};

/// The files of an archive that [`crate::unpack`] would write, in the archive's order and under
/// safe names. A zip's come from its directory; a tar.gz or gz is unpacked to nowhere for them.
///
/// # Errors
/// As [`list_all`], with the default limits.
pub fn list(path: &Path) -> Result<Vec<Member>> {
    Ok(list_all(path, &Limits::default())?.members)
}

/// As [`list`], with what is refused and what collides.
///
/// # Errors
/// [`Error::NotArchive`], [`Error::Truncated`], [`Error::Corrupt`] and [`Error::Checksum`] (gz)
/// by what the file is;
/// [`Error::Unsupported`] for a split zip; [`Error::OverLimit`] past `limits`.
pub fn list_all(path: &Path, limits: &Limits) -> Result<Listing> {
    let kind = sniff::required(path)?;
    let at = At(path);
    let (mut file, size) = open(path)?;
    let mut names = Names::default();
    let mut found = Found::default();
    match kind {
        Kind::Zip => {
            let entries = zip::directory(at, &mut file, size)?;
            for (i, path) in zip_plan(at, &mut file, size, &entries, limits, &mut names)? {
                let entry = &entries[i];
                match path {
                    Planned::File(path) => found.file(path, entry.bytes, Some(entry.crc)),
                    Planned::Link(link) => found.link(link),
                }
            }
        }
        Kind::Tar => {
            let source = Plain::new(file, size);
            walk(Walk::new(at, source), limits, &mut names, &mut found)?;
        }
        Kind::TarGz => {
            let source = Stream(gunzip(file, limits.cap(size)));
            walk(Walk::new(at, source), limits, &mut names, &mut found)?;
        }
        Kind::Gz => {
            let mut stream = gunzip(file, limits.cap(size));
            let bytes =
                io::copy(&mut stream, &mut io::sink()).map_err(|e| at.stream(None, 0, e))?;
            if let Some(path) = names.file(&gz_name(path)) {
                found.file(path, bytes, None);
            }
        }
    }
    let members = found.finish(&mut names);
    Ok(Listing {
        kind,
        members,
        refused: names.refused,
        collisions: names.collisions,
    })
}

pub(crate) fn open(path: &Path) -> Result<(File, u64)> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let meta = file.metadata().map_err(Error::io("look at", path))?;
    Ok((file, meta.len()))
}

pub(crate) fn gunzip(file: File, cap: u64) -> Gunzip<BufReader<File>> {
    Gunzip::new(BufReader::with_capacity(1 << 17, file), cap)
}

/// The name of a gz file's one member: its own, without `.gz`.
pub(crate) fn gz_name(path: &Path) -> String {
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let cut = name.len().saturating_sub(3);
    match name.get(cut..) {
        Some(end) if cut > 0 && end.eq_ignore_ascii_case(".gz") => name[..cut].to_owned(),
        _ => format!("{name}.unpacked"),
    }
}

#[derive(Default)]
struct Found {
    members: Vec<Member>,
    links: Vec<Link>,
}

impl Found {
    fn file(&mut self, path: String, bytes: u64, crc32: Option<u32>) {
        self.members.push(Member {
            path,
            bytes,
            crc32,
            link_to: None,
        });
    }

    fn link(&mut self, link: Link) {
        self.links.push(link);
    }

    /// The members, the links that lead to one last.
    fn finish(self, names: &mut Names) -> Vec<Member> {
        let Found { mut members, links } = self;
        if links.is_empty() {
            return members;
        }
        let files: HashMap<String, u64> =
            (members.iter().map(|m| (m.path.clone(), m.bytes))).collect();
        for (link, end) in links.iter().zip(links::resolve(&links, &files)) {
            match end {
                Ok((target, bytes)) => members.push(Member {
                    path: link.path.clone(),
                    bytes,
                    crc32: None,
                    link_to: Some(target.to_owned()),
                }),
                Err((reason, message)) => names.refuse(&link.path, reason, message),
            }
        }
        members
    }
}

fn walk<S: Source>(
    mut walk: Walk<'_, S>,
    limits: &Limits,
    names: &mut Names,
    found: &mut Found,
) -> Result<()> {
    let at = walk.at;
    while let Some(entry) = walk.next()? {
        names.count(at, &entry.name, limits)?;
        match entry.what {
            What::Folder => names.folder(&entry.name),
            What::Special(what) => names.refuse(&entry.name, Reason::Special, what),
            What::File | What::Sparse => {
                if let Some(path) = names.file(&entry.name) {
                    found.file(path, entry.bytes, None);
                }
            }
            What::Hard(text) => {
                if let Some(path) = names.file(&entry.name) {
                    found.link(Link::hard(path, &text));
                }
            }
            What::Symbolic(text) => {
                if let Some(path) = names.file(&entry.name) {
                    found.link(Link::symbolic(path, &text));
                }
            }
        }
    }
    Ok(())
}

/// A zip entry that may be unpacked.
#[derive(Debug)]
pub(crate) enum Planned {
    File(String),
    Link(Link),
}

/// Longest text of a symbolic link.
const LINK: u64 = 4096;

/// The entries with safe names, by index.
pub(crate) fn zip_plan(
    at: At<'_>,
    file: &mut File,
    size: u64,
    entries: &[Entry],
    limits: &Limits,
    names: &mut Names,
) -> Result<Vec<(usize, Planned)>> {
    let mut plan = Vec::new();
    for (i, entry) in entries.iter().enumerate() {
        names.count(at, &entry.name, limits)?;
        match entry.what {
            Type::Folder => names.folder(&entry.name),
            Type::Special => names.refuse(&entry.name, Reason::Special, "a device or a pipe"),
            Type::File => {
                if let Some(path) = names.file(&entry.name) {
                    plan.push((i, Planned::File(path)));
                }
            }
            Type::Symlink if entry.bytes > LINK || entry.encrypted => {
                names.refuse(
                    &entry.name,
                    Reason::LinkBroken,
                    "a link that cannot be read",
                );
            }
            Type::Symlink => {
                let Some(path) = names.file(&entry.name) else {
                    continue;
                };
                let mut text = Vec::new();
                zip::contents(at, file, size, entry)?
                    .take(LINK)
                    .read_to_end(&mut text)
                    .map_err(|e| at.stream(Some(&path), 0, e))?;
                let text = crate::tar::text(&text);
                plan.push((i, Planned::Link(Link::symbolic(path, &text))));
            }
        }
    }
    Ok(plan)
}
