//! Archives of a raw folder: which of their members a manifest wants, and where these lie once
//! they are unpacked. Their files are scanned as if they were in a folder beside the archive.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::{Path, PathBuf};

use mmpipe_archives::{Error as Fault, Limits, Report};
use rayon::iter::{IndexedParallelIterator, IntoParallelIterator, ParallelIterator};
use sha2::{Digest, Sha256};

use super::classify::{File, Status};
use super::note::{Note, without_path};
use super::run;
use super::walk::{self, Found};
use crate::manifest::{FileKind, FileRule, Manifest};
use crate::{Error, Result};

/// Names of archives, most of which are read; of the others it is said that they are not.
const NAMES: &[&str] = &[
    ".zip", ".tar", ".tar.gz", ".tgz", ".gz", ".7z", ".rar", ".tar.bz2", ".tbz2", ".tar.xz",
    ".txz", ".tar.zst",
];

/// Headers of recordings whose other files no rule needs to name.
const HEADERS: &[&str] = &["vhdr", "set", "dap", "dat", "cdt"];

/// Refused members of one archive that are written out; the others are counted.
const MOST_NOTES: usize = 20;

/// A raw folder, or one archive in place of it, with what its archives hold.
#[derive(Debug, Clone, Default)]
pub struct Raw {
    root: PathBuf,
    /// The one file of the folder that counts, where an archive was given in its place.
    only: Option<String>,
    mounts: Vec<Mount>,
}

/// What became of one archive.
#[derive(Debug, Clone)]
struct Mount {
    /// Its path below the raw folder.
    archive: String,
    status: Status,
    reason: String,
    /// Path in the tables, where it lies, size, and why it cannot be used.
    files: Vec<(String, PathBuf, u64, Option<String>)>,
    notes: Vec<Note>,
}

impl Raw {
    /// A folder as it is: its archives stay packed.
    pub fn folder(root: &Path) -> Raw {
        Raw {
            root: root.to_owned(),
            ..Raw::default()
        }
    }

    /// The folder that paths are relative to.
    pub fn root(&self) -> &Path {
        &self.root
    }

    /// A raw folder with its archives unpacked, or `raw` itself where it is one.
    /// An archive lies in a folder of `scratch` that is named by its content, and is not
    /// unpacked again. What no rule of the manifest wants stays packed. Without `scratch` all
    /// stay packed, and their rows say so.
    ///
    /// # Errors
    /// `raw` is missing, or neither a folder nor an archive; it cannot be read. An archive that
    /// cannot be unpacked is a rejected row of `files`.
    pub fn unpack(
        manifest: &Manifest,
        raw: &Path,
        scratch: impl FnOnce() -> Option<PathBuf>,
    ) -> Result<Raw> {
        let (rules, _) = run::rules(manifest)?;
        let mut out = Raw::folder(raw);
        let mut there: BTreeMap<String, u64> = BTreeMap::new();
        let packed: Vec<String> = match archive_name(raw) {
            Some(name) => {
                let parent = raw.parent().filter(|p| !p.as_os_str().is_empty());
                out.root = parent.unwrap_or(Path::new(".")).to_owned();
                out.only = Some(name.clone());
                vec![name]
            }
            None => {
                let found = walk::walk(raw, &manifest.name)?;
                there.extend(found.iter().map(|f| (f.path.clone(), f.bytes)));
                let packed = found.into_iter().filter(|f| {
                    f.problem.is_none()
                        && is_archive(&f.path)
                        && !rules.iter().any(|r| r.pattern.is_match(&f.path))
                });
                packed.map(|f| f.path).collect()
            }
        };
        if packed.is_empty() {
            return Ok(out);
        }
        let Some(scratch) = scratch() else {
            out.mounts = packed.into_iter().map(|a| out.packed(a)).collect();
            return Ok(out);
        };
        // A tar.gz is one stream, which one core inflates: so several archives at a time. Which of
        // two files of one name counts is decided afterwards, in the order of the archives.
        let opened: Vec<_> = packed
            .into_par_iter()
            .with_max_len(1)
            .map(|archive| out.open(archive, &rules, &scratch))
            .collect();
        for opened in opened {
            let mount = match opened {
                Ok(opened) => opened.mount(&rules, &there),
                Err(left) => left,
            };
            there.extend(mount.files.iter().map(|(p, _, n, _)| (p.clone(), *n)));
            out.mounts.push(mount);
        }
        Ok(out)
    }

    /// An archive alone that stays packed leaves nothing to scan.
    fn packed(&self, archive: String) -> Mount {
        let status = match self.only {
            Some(_) => Status::Rejected,
            None => Status::Ignored,
        };
        Mount::left(archive, status, "archive, not unpacked in a dry run".into())
    }

    /// Unpacks one archive; the error is what is said of one that cannot be.
    fn open(
        &self,
        archive: String,
        rules: &[FileRule],
        scratch: &Path,
    ) -> std::result::Result<Opened, Mount> {
        let full = self.root.join(&archive);
        let key = match content(&full) {
            Ok(key) => key,
            Err(e) => return Err(Mount::left(archive, Status::Rejected, e.to_string())),
        };
        let folder = scratch.join(key);
        let views = View::of(&archive, self.only.is_some());
        let wanted = |m: &str| (views.iter()).any(|v| v.path(m).is_some_and(|p| wants(rules, &p)));
        let limits = Limits::default();
        let (report, fault) = match mmpipe_archives::unpack(&full, &folder, &limits, &wanted) {
            Ok(report) => (report, None),
            Err(Fault::Stopped { fault, report }) => (*report, Some(without_path(&full, &fault))),
            Err(e) => {
                let why = without_path(&full, &e);
                return Err(Mount::left(archive, Status::Rejected, why));
            }
        };
        Ok(Opened {
            archive,
            folder,
            views,
            report,
            fault,
        })
    }

    /// The files to scan, in the order of their paths.
    pub(super) fn files(&self, dataset: &str) -> Result<Vec<Found>> {
        let mut found = match &self.only {
            None => walk::walk(&self.root, dataset)?,
            Some(name) => {
                let full = self.root.join(name);
                vec![Found {
                    path: name.clone(),
                    bytes: std::fs::metadata(&full).map_or(0, |m| m.len()),
                    full,
                    problem: None,
                }]
            }
        };
        for (path, full, bytes, problem) in self.mounts.iter().flat_map(|m| &m.files) {
            found.push(Found {
                path: path.clone(),
                full: full.clone(),
                bytes: *bytes,
                problem: problem.clone(),
            });
        }
        found.sort_by(|a, b| a.path.cmp(&b.path));
        Ok(found)
    }

    /// Says of the archives what became of them.
    pub(super) fn account(&self, files: &mut [File], notes: &mut Vec<Note>) {
        for mount in &self.mounts {
            notes.extend(mount.notes.iter().cloned());
            if let Some(file) = files.iter_mut().find(|f| f.path == mount.archive) {
                file.status = mount.status;
                file.reason = Some(mount.reason.clone());
            }
        }
    }

    /// Where files lie that are not below the root.
    pub(super) fn places(&self) -> BTreeMap<String, PathBuf> {
        let files = self.mounts.iter().flat_map(|m| &m.files);
        files
            .map(|(path, full, ..)| (path.clone(), full.clone()))
            .collect()
    }
}

/// An archive that was unpacked.
struct Opened {
    archive: String,
    folder: PathBuf,
    /// How its members may be called.
    views: Vec<View>,
    report: Report,
    /// Why it was not unpacked to its end.
    fault: Option<String>,
}

impl Opened {
    /// What of it counts beside the files `there` are already.
    fn mount(self, rules: &[FileRule], there: &BTreeMap<String, u64>) -> Mount {
        let Opened {
            archive,
            folder,
            views,
            report,
            fault,
        } = self;
        let signals = |view: &&View| {
            let paths = report.members.iter().filter_map(|m| view.path(&m.path));
            paths
                .filter(|p| kind(rules, p) == Some(FileKind::Signal))
                .count()
        };
        // Of equals the first, the folder that has the archive's name.
        let Some(view) = views.iter().rev().max_by_key(signals) else {
            return Mount::left(archive, Status::Ignored, "archive".into());
        };
        // A member lies in the raw folder already under its own path, or as it would have been
        // unpacked by hand.
        let same = |member: &str, bytes: u64| {
            let paths = views.iter().filter_map(|v| v.path(member));
            let mut sizes = paths.filter_map(|p| there.get(&p));
            view.path(member).is_some_and(|p| there.contains_key(&p)) || sizes.any(|n| *n == bytes)
        };
        Mount::of(archive, &folder, view, rules, &report, fault, &same)
    }
}

impl Mount {
    fn left(archive: String, status: Status, reason: String) -> Mount {
        Mount {
            archive,
            status,
            reason,
            files: Vec::new(),
            notes: Vec::new(),
        }
    }

    fn of(
        archive: String,
        folder: &Path,
        view: &View,
        rules: &[FileRule],
        report: &Report,
        fault: Option<String>,
        there: &dyn Fn(&str, u64) -> bool,
    ) -> Mount {
        let mut files = Vec::new();
        let (mut unwanted, mut twice) = (report.unwanted, 0_usize);
        let whole = report.members.iter().map(|m| (&m.path, m.bytes, None));
        let failed = report
            .failed
            .iter()
            .map(|f| (&f.path, 0, Some(f.message.clone())));
        for (member, bytes, problem) in whole.chain(failed) {
            match view.path(member).filter(|p| wants(rules, p)) {
                None => unwanted += 1,
                Some(_) if there(member, bytes) => twice += 1,
                Some(path) => files.push((path, folder.join(member), bytes, problem)),
            }
        }
        let mut notes: Vec<Note> = report
            .refused
            .iter()
            .take(MOST_NOTES)
            .map(|r| {
                let message = format!("{}: {}", r.path, r.message);
                Note::warning(&archive, "archive-member-refused", message)
            })
            .collect();
        if let Some(more) = report
            .refused
            .len()
            .checked_sub(MOST_NOTES)
            .filter(|n| *n > 0)
        {
            let message = format!("and {more} more members");
            notes.push(Note::warning(&archive, "archive-member-refused", message));
        }
        let mut parts = vec![format!("archive: {} files are used", files.len())];
        if unwanted > 0 {
            parts.push(format!("{unwanted} no rule of the manifest wants"));
        }
        if twice > 0 {
            parts.push(format!("{twice} are in the raw folder already"));
        }
        if !report.refused.is_empty() {
            parts.push(format!("{} are refused", report.refused.len()));
        }
        let status = match (&fault, files.is_empty() && twice == 0) {
            (Some(_), _) => Status::Rejected,
            (None, true) => Status::Ignored,
            (None, false) => Status::SideCar,
        };
        if let Some(fault) = fault {
            parts.insert(0, fault);
        }
        Mount {
            archive,
            status,
            reason: parts.join(", "),
            files,
            notes,
        }
    }
}

/// How members of an archive are called in the tables.
struct View {
    /// Stands before the member's name.
    prefix: String,
    /// Whether the first folder of the name is taken off.
    strip: bool,
}

impl View {
    /// Beside the archive: in a folder of its name, or as they are. Alone: as they are, or
    /// without the one folder on top.
    fn of(archive: &str, alone: bool) -> Vec<View> {
        let (folder, name) = match archive.rsplit_once('/') {
            Some((folder, name)) => (format!("{folder}/"), name),
            None => (String::new(), archive),
        };
        let view = |prefix: String, strip| View { prefix, strip };
        let gz_of_one = name.to_ascii_lowercase().ends_with(".gz")
            && !name.to_ascii_lowercase().ends_with(".tar.gz");
        match (alone, gz_of_one) {
            (true, _) => vec![view(String::new(), false), view(String::new(), true)],
            (false, true) => vec![view(folder, false)],
            (false, false) => {
                let own = format!("{folder}{}/", stem(name));
                vec![view(own, false), view(folder, false)]
            }
        }
    }

    fn path(&self, member: &str) -> Option<String> {
        let member = match self.strip {
            true => member.split_once('/')?.1,
            false => member,
        };
        Some(format!("{}{member}", self.prefix))
    }
}

/// The kind that the first matching rule gives.
fn kind(rules: &[FileRule], path: &str) -> Option<FileKind> {
    let rule = rules.iter().find(|r| r.pattern.is_match(path))?;
    Some(rule.kind)
}

/// Whether a rule wants a file, or it may belong to a recording whose header a rule wants.
fn wants(rules: &[FileRule], path: &str) -> bool {
    if let Some(kind) = kind(rules, path) {
        return kind != FileKind::Ignore;
    }
    let name = path.rfind('/').map_or(0, |i| i + 1);
    let dots = path[name..].match_indices('.').map(|(i, _)| name + i);
    dots.into_iter().any(|dot| {
        HEADERS.iter().any(|header| {
            let header = format!("{}.{header}", &path[..dot]);
            kind(rules, &header) == Some(FileKind::Signal)
        })
    })
}

/// The name of `raw` where it is a file that is an archive by its content or its name.
fn archive_name(raw: &Path) -> Option<String> {
    let name = raw.file_name()?.to_str()?;
    let is =
        raw.is_file() && (is_archive(name) || matches!(mmpipe_archives::kind(raw), Ok(Some(_))));
    is.then(|| name.to_owned())
}

fn is_archive(path: &str) -> bool {
    let path = path.to_ascii_lowercase();
    NAMES.iter().any(|end| path.ends_with(end))
}

/// An archive's name without what says that it is one.
fn stem(name: &str) -> &str {
    let lower = name.to_ascii_lowercase();
    let ends = NAMES.iter().filter(|end| lower.ends_with(**end));
    let longest = ends.map(|end| end.len()).max().unwrap_or(0);
    let stem = name.get(..name.len() - longest).unwrap_or(name);
    if stem.is_empty() { name } else { stem }
}

/// The first half of the SHA-256 of a file, in hexadecimal.
fn content(path: &Path) -> Result<String> {
    let io = |source| Error::Io {
        path: path.to_owned(),
        source,
    };
    let mut file = std::fs::File::open(path).map_err(io)?;
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    loop {
        match file.read(&mut buffer) {
            Ok(0) => break,
            Ok(n) => hash.update(buffer.get(..n).unwrap_or_default()),
            Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
            Err(e) => return Err(io(e)),
        }
    }
    let digest = hash.finalize();
    Ok(digest.iter().take(16).map(|b| format!("{b:02x}")).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_called_as_in_a_folder_beside_the_archive() {
        let paths = |archive: &str, alone, member: &str| -> Vec<Option<String>> {
            let views = View::of(archive, alone);
            views.iter().map(|v| v.path(member)).collect()
        };
        let some = |p: &str| Some(p.to_owned());
        assert_eq!(
            paths("a/b.tar.gz", false, "c/d.edf"),
            [some("a/b/c/d.edf"), some("a/c/d.edf")]
        );
        assert_eq!(
            paths("b.ZIP", false, "d.edf"),
            [some("b/d.edf"), some("d.edf")]
        );
        assert_eq!(paths("a/d.edf.gz", false, "d.edf"), [some("a/d.edf")]);
        assert_eq!(
            paths("b.zip", true, "c/d.edf"),
            [some("c/d.edf"), some("d.edf")]
        );
        assert_eq!(paths("b.zip", true, "d.edf"), [some("d.edf"), None]);
        assert_eq!(stem(".zip"), ".zip");
    }
}
