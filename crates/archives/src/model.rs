//! What the crate takes and gives: limits, members, refusals, reports. Owns no behaviour but
//! the defaults.

use serde::{Deserialize, Serialize};

/// A kind of archive, told by its first bytes and never by its name alone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// PKWARE zip, with or without the 64-bit records.
    Zip,
    /// POSIX ustar, pax, GNU or V7 tar.
    Tar,
    /// Any of those within gzip.
    TarGz,
    /// One file within gzip.
    Gz,
}

/// One file of an archive, under a name that is safe to join to a folder.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// Relative, `/` between the parts, no `.`, `..` or empty part.
    pub path: String,
    /// Unpacked size in bytes; for a link, that of the file it names.
    pub bytes: u64,
    /// As recorded; zip alone records one.
    pub crc32: Option<u32>,
    /// The member this one is a (hard or symbolic) link to. It is unpacked as a file.
    pub link_to: Option<String>,
}

/// What an archive holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Listing {
    /// The archive's kind.
    pub kind: Kind,
    /// The files, in the archive's order. Folders are not listed.
    pub members: Vec<Member>,
    /// What is never unpacked, and why.
    pub refused: Vec<Refused>,
    /// Pairs of members whose names differ by case alone.
    pub collisions: Vec<Collision>,
}

/// A member left out because unpacking it would not be safe or has no meaning.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// The name as the archive has it, cut at 1,024 bytes, control characters escaped. Not safe to join.
    pub path: String,
    /// Why, for programs.
    pub reason: Reason,
    /// Why, for people.
    pub message: String,
}

/// Why a member is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Reason {
    /// A `..` in the name.
    Traversal,
    /// The name begins with `/`.
    Absolute,
    /// The name holds a backslash, which some systems read as `/`.
    Backslash,
    /// The name begins with a drive letter and a colon.
    DriveLetter,
    /// The name is empty, too long, too deep, or holds a control character.
    BadName,
    /// The name is one that this crate keeps for itself.
    Reserved,
    /// An earlier member has this name; the first is kept.
    Duplicate,
    /// One name is a file and also a folder of another member.
    Clash,
    /// The name differs from another's by case alone, on a file system that cannot tell them apart.
    Case,
    /// A link to something outside the folder.
    LinkOutside,
    /// A link to something that is not a file unpacked from this archive.
    LinkBroken,
    /// A device, a pipe, a volume label or the like.
    Special,
}

/// Two members whose names differ by case alone; both are unpacked where the file system can.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Collision {
    /// The later of the two.
    pub path: String,
    /// The earlier.
    pub other: String,
}

/// A wanted member that could not be unpacked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// The member.
    pub path: String,
    /// The error's text.
    pub message: String,
}

/// Whether a member was written by this call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum How {
    /// Unpacked now.
    Written,
    /// Already there, proved by the stamp or by its CRC-32.
    Kept,
}

/// A member that lies whole under its name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unpacked {
    /// Relative to the folder.
    pub path: String,
    /// Its size.
    pub bytes: u64,
    /// Written or kept.
    pub how: How,
}

/// What a call to [`crate::unpack`] did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Report {
    /// The archive's kind.
    pub kind: Kind,
    /// Every wanted member that is in place, in the archive's order, links last.
    pub members: Vec<Unpacked>,
    /// Members never unpacked, and why.
    pub refused: Vec<Refused>,
    /// Pairs of members whose names differ by case alone.
    pub collisions: Vec<Collision>,
    /// Wanted members that failed; empty when the call succeeds.
    pub failed: Vec<Failed>,
    /// How many members the filter turned away.
    pub unwanted: u64,
    /// Bytes written by this call.
    pub bytes_written: u64,
    /// True when the stamp proved everything and the archive was not read.
    pub already: bool,
}

impl Report {
    pub(crate) fn new(kind: Kind) -> Self {
        Report {
            kind,
            members: Vec::new(),
            refused: Vec::new(),
            collisions: Vec::new(),
            failed: Vec::new(),
            unwanted: 0,
            bytes_written: 0,
            already: false,
        }
    }
}

/// Bounds on what an archive may cost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Most bytes to unpack, tar headers and skipped members of a gz stream included. None:
    /// `ratio` times the archive's size plus `allowance`. Free disk space bounds it in any case.
    pub total_bytes: Option<u64>,
    /// Unpacked bytes for each byte of the archive (deflate itself can reach 1,032).
    pub ratio: u64,
    /// Bytes allowed beyond the ratio.
    pub allowance: u64,
    /// Most members.
    pub members: u64,
    /// Most bytes of member names, 64 more counted for each: what the bookkeeping may hold.
    pub name_bytes: u64,
    /// Threads for the members of a zip file; 0 means one a core and at most four. A tar.gz is
    /// unpacked by one thread and written by another unless this is 1.
    pub threads: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            total_bytes: None,
            ratio: 100,
            allowance: 1 << 30,
            members: 10_000_000,
            name_bytes: 2 << 30,
            threads: 0,
        }
    }
}

impl Limits {
    /// The most bytes that an archive of `size` bytes may unpack to.
    pub fn cap(&self, size: u64) -> u64 {
        self.total_bytes.unwrap_or_else(|| {
            size.saturating_mul(self.ratio)
                .saturating_add(self.allowance)
        })
    }
}
