//! Unpacking: the stamp first, then the archive, then links, then the stamp again. Owns the
//! order of events, and tar and gz; the threads of a zip are in `unpack_zip`.

use std::collections::HashMap;
use std::path::Path;

use crate::catalogue::{gunzip, gz_name, open};
use crate::error::{At, Error};
use crate::links::{self, Link};
use crate::names::Names;
use crate::pipe::piped;
use crate::place::{Landed, Place, Sink, Want};
use crate::stamp::{Row, Stamp};
use crate::tar::{Plain, Source, Stream, Walk, What};
use crate::{Failed, How, Kind, Limits, Reason, Report, Result, Unpacked, sniff, unpack_zip};

/// Unpacks the members of the archive `path` that `wanted` says yes to into the folder `into`,
/// which is made if need be and held by one call at a time.
///
/// A member already in place is kept: one whose size and time the stamp of the same archive
/// (name, size, time of change) records, or whose size and CRC-32 are right. A tar without a
/// stamp records no CRC-32, and is unpacked again. `wanted` is given safe names. Folders are made
/// for their files; empty ones are not. A zip cut short has lost its directory, and nothing of
/// it is unpacked; of a tar cut short the members before the cut are.
///
/// # Errors
/// Those of [`crate::list_all`]; [`Error::Encrypted`] before anything is written when a wanted
/// member is; [`Error::OverLimit`] when the wanted members exceed `limits` or the free space.
/// [`Error::Stopped`] holds the fault and the report of what is in place once something is. A
/// member at fault ([`Error::Checksum`], [`Error::Corrupt`], [`Error::Unsupported`]) does not
/// keep the others of a zip from being unpacked; no stamp is written then.
pub fn unpack(
    path: &Path,
    into: &Path,
    limits: &Limits,
    wanted: &dyn Fn(&str) -> bool,
) -> Result<Report> {
    let kind = sniff::required(path)?;
    let place = Place::open(into)?;
    let stamp = Stamp::new(path, kind)?;
    let old = Stamp::load(into, &stamp);
    if let Some(report) = old.as_ref().and_then(|old| finished(old, &place, wanted)) {
        return Ok(report);
    }
    Stamp::remove(into)?;
    let old = old.map(|old| old.members).unwrap_or_default();
    let mut job = Job {
        at: At(path),
        place: &place,
        limits,
        wanted,
        old: old.into_iter().map(|row| (row.path.clone(), row)).collect(),
        names: Names::new(place.folds_case()),
        rows: Vec::new(),
        kept: Vec::new(),
        links: Vec::new(),
        report: Report::new(kind),
        fault: None,
    };
    let run = match kind {
        Kind::Zip => unpack_zip::run(&mut job),
        Kind::Tar | Kind::TarGz => job.tar(kind),
        Kind::Gz => job.gz(),
    };
    job.finish(run, stamp)
}

/// The report when the stamp proves that all that is wanted is in place.
fn finished(old: &Stamp, place: &Place, wanted: &dyn Fn(&str) -> bool) -> Option<Report> {
    let mut report = Report::new(old.kind);
    for row in &old.members {
        if !wanted(&row.path) {
            report.unwanted += 1;
            continue;
        }
        if !place.stamped(row) {
            return None;
        }
        report.members.push(Unpacked {
            path: row.path.clone(),
            bytes: row.bytes,
            how: How::Kept,
        });
    }
    report.refused = old.refused.clone();
    report.collisions = old.collisions.clone();
    report.already = true;
    Some(report)
}

/// One call's work.
pub(crate) struct Job<'a> {
    pub(crate) at: At<'a>,
    pub(crate) place: &'a Place,
    pub(crate) limits: &'a Limits,
    wanted: &'a dyn Fn(&str) -> bool,
    /// The old stamp's rows.
    pub(crate) old: HashMap<String, Row>,
    pub(crate) names: Names,
    /// Every member that is a file, for the stamp.
    pub(crate) rows: Vec<Row>,
    /// For each row, how it came to be in place; None while it is not.
    pub(crate) kept: Vec<Option<How>>,
    pub(crate) links: Vec<Link>,
    pub(crate) report: Report,
    pub(crate) fault: Option<Error>,
}

impl Job<'_> {
    /// Adds a row; its index when the member is wanted.
    pub(crate) fn add(&mut self, path: String, bytes: u64) -> Option<usize> {
        let wanted = (self.wanted)(&path);
        let old = self.old.remove(&path);
        let mut row = Row {
            path,
            bytes,
            crc32: None,
            modified_ns: None,
        };
        let mut kept = None;
        // What an earlier call unpacked stays in the stamp, wanted now or not.
        if let Some(old) = old.filter(|old| old.bytes == bytes && self.place.stamped(old)) {
            row = old;
            kept = Some(How::Kept);
        }
        self.report.unwanted += u64::from(!wanted);
        let done = kept.is_some();
        self.rows.push(row);
        self.kept.push(kept.filter(|_| wanted));
        (wanted && !done).then(|| self.rows.len() - 1)
    }

    pub(crate) fn add_link(&mut self, link: Link) {
        if (self.wanted)(&link.path) {
            self.links.push(link);
        } else {
            self.report.unwanted += 1;
        }
    }

    pub(crate) fn fail(&mut self, path: &str, error: Error) {
        self.report.failed.push(Failed {
            path: path.to_owned(),
            message: error.to_string(),
        });
        self.fault.get_or_insert(error);
    }

    /// Notes members that have got their names.
    pub(crate) fn land(&mut self, landed: Vec<Landed>, how: How) {
        for (index, modified_ns, crc) in landed {
            let row = &mut self.rows[index];
            row.modified_ns = Some(modified_ns);
            row.crc32 = Some(crc);
            self.kept[index] = Some(how);
            if how == How::Written {
                self.report.bytes_written += row.bytes;
            }
        }
    }

    /// The most bytes that may be written: the limit, and what the disk has.
    fn room(&self, size: u64) -> u64 {
        let cap = self.limits.cap(size);
        cap.min(self.place.free().unwrap_or(u64::MAX))
    }

    fn tar(&mut self, kind: Kind) -> Result<()> {
        let (file, size) = open(self.at.0)?;
        let room = self.room(size);
        if kind == Kind::Tar {
            return self.walk(Walk::new(self.at, Plain::new(file, size)), room);
        }
        let (at, stream) = (self.at, gunzip(file, self.limits.cap(size)));
        match self.limits.threads {
            1 => self.walk(Walk::new(at, Stream(stream)), room),
            _ => piped(stream, |pipe| self.walk(Walk::new(at, Stream(pipe)), room)),
        }
    }

    fn walk<S: Source>(&mut self, mut walk: Walk<'_, S>, room: u64) -> Result<()> {
        let mut sink = Sink::new(self.place);
        let run = self.entries(&mut walk, &mut sink, room);
        // The members before a fault are whole and get their names.
        let flushed = sink.flush();
        self.land(std::mem::take(&mut sink.landed), How::Written);
        run.and(flushed)
    }

    fn entries<S: Source>(
        &mut self,
        walk: &mut Walk<'_, S>,
        sink: &mut Sink<'_>,
        mut room: u64,
    ) -> Result<()> {
        let at = self.at;
        while let Some(entry) = walk.next()? {
            self.names.count(at, &entry.name, self.limits)?;
            let path = match entry.what {
                What::Folder => {
                    self.names.folder(&entry.name);
                    continue;
                }
                What::Special(what) => {
                    self.names.refuse(&entry.name, Reason::Special, what);
                    continue;
                }
                _ => match self.names.file(&entry.name) {
                    Some(path) => path,
                    None => continue,
                },
            };
            match &entry.what {
                What::Hard(text) => self.add_link(Link::hard(path, text)),
                What::Symbolic(text) => self.add_link(Link::symbolic(path, text)),
                what => {
                    let Some(index) = self.add(path.clone(), entry.bytes) else {
                        continue;
                    };
                    if *what == What::Sparse {
                        let error = at.unsupported(Some(&path), "a sparse tar member");
                        self.fail(&path, error);
                        continue;
                    }
                    if entry.bytes > room {
                        let what = format!("{} bytes, with {room} left to unpack", entry.bytes);
                        let error = at.over(Some(&path), what);
                        return Err(self.failed(&path, error));
                    }
                    let want = Want {
                        index,
                        member: &path,
                        exact: Some(entry.bytes),
                        most: room,
                        crc: None,
                    };
                    match sink.write(at, &want, walk) {
                        Ok(written) => room -= written,
                        Err(error) => return Err(self.failed(&path, error)),
                    }
                }
            }
        }
        Ok(())
    }

    /// Adds the row of a failure that also ends the call.
    fn failed(&mut self, path: &str, error: Error) -> Error {
        self.report.failed.push(Failed {
            path: path.to_owned(),
            message: error.to_string(),
        });
        error
    }

    fn gz(&mut self) -> Result<()> {
        let (file, size) = open(self.at.0)?;
        let Some(path) = self.names.file(&gz_name(self.at.0)) else {
            return Ok(());
        };
        // The size is not recorded (but for its last 32 bits); the old stamp has it.
        let bytes = self.old.get(&path).map_or(0, |old| old.bytes);
        let Some(index) = self.add(path.clone(), bytes) else {
            return Ok(());
        };
        let want = Want {
            index,
            member: &path,
            exact: None,
            most: self.room(size),
            crc: None,
        };
        let mut sink = Sink::new(self.place);
        let mut stream = gunzip(file, self.limits.cap(size));
        let written = match sink.write(self.at, &want, &mut stream) {
            Ok(written) => written,
            Err(error) => return Err(self.failed(&path, error)),
        };
        self.rows[index].bytes = written;
        let flushed = sink.flush();
        self.land(std::mem::take(&mut sink.landed), How::Written);
        flushed
    }

    /// Puts the links in place that lead to a member in place.
    fn finish_links(&mut self) -> Result<()> {
        let links = std::mem::take(&mut self.links);
        if links.is_empty() {
            return Ok(());
        }
        let in_place = self.rows.iter().filter(|row| row.modified_ns.is_some());
        let files: HashMap<String, u64> =
            in_place.map(|row| (row.path.clone(), row.bytes)).collect();
        for (link, end) in links.iter().zip(links::resolve(&links, &files)) {
            match end {
                Ok((target, bytes)) => {
                    let modified_ns = self.place.link(&link.path, target)?;
                    self.rows.push(Row {
                        path: link.path.clone(),
                        bytes,
                        crc32: None,
                        modified_ns: Some(modified_ns),
                    });
                    self.kept.push(Some(How::Written));
                }
                Err((reason, message)) => self.names.refuse(&link.path, reason, message),
            }
        }
        Ok(())
    }

    fn finish(mut self, run: Result<()>, mut stamp: Stamp) -> Result<Report> {
        let run = match run {
            Ok(()) => self.finish_links(),
            Err(fault) => Err(fault),
        };
        let run = run.and(self.place.sync_folders());
        let fault = self.fault.take().or(run.err());
        for (row, how) in self.rows.iter().zip(&self.kept) {
            if let Some(how) = how {
                self.report.members.push(Unpacked {
                    path: row.path.clone(),
                    bytes: row.bytes,
                    how: *how,
                });
            }
        }
        self.report.refused = self.names.refused;
        self.report.collisions = self.names.collisions;
        if let Some(fault) = fault {
            if self.report.members.is_empty() && self.report.failed.is_empty() {
                return Err(fault);
            }
            return Err(Error::Stopped {
                fault: Box::new(fault),
                report: Box::new(self.report),
            });
        }
        stamp.members = self.rows;
        stamp.refused.clone_from(&self.report.refused);
        stamp.collisions.clone_from(&self.report.collisions);
        stamp.save(&self.place.into, &self.place.temporary())?;
        self.place.sync_folders()?;
        Ok(self.report)
    }
}
