//! The crate's one error type. Owns the wording; decides nothing.

use std::io;
use std::path::{Path, PathBuf};

use crate::Report;

/// What can go wrong with an archive. `path` is the archive, except in [`Error::Io`].
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The file system said no.
    #[error("{}: {doing}: {source}", .path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What was being done to it.
        doing: &'static str,
        /// What the system answered.
        source: io::Error,
    },
    /// The file is not of a kind that is read here.
    #[error("{}: not a zip, tar, tar.gz or gz file: {message}", .path.display())]
    NotArchive {
        /// The file.
        path: PathBuf,
        /// What it looks like instead.
        message: String,
    },
    /// The archive ends before its contents do.
    #[error("{}{}: cut short at byte {offset}: {message}; fetch it again", .path.display(), within(.member))]
    Truncated {
        /// The archive.
        path: PathBuf,
        /// The member being read, if any.
        member: Option<String>,
        /// Where: a byte of the archive, or of the unpacked stream of a gz file.
        offset: u64,
        /// What was expected.
        message: String,
    },
    /// A field or stream that contradicts the format or another field.
    #[error("{}{}: corrupt at byte {offset}: {message}", .path.display(), within(.member))]
    Corrupt {
        /// The archive.
        path: PathBuf,
        /// The member being read, if any.
        member: Option<String>,
        /// Where: a byte of the archive, or of the unpacked stream of a gz file.
        offset: u64,
        /// What was expected and what was found.
        message: String,
    },
    /// The contents do not have the recorded CRC-32.
    #[error("{}{}: CRC-32 is {found:08x}, the archive says {expected:08x}; fetch it again", .path.display(), within(.member))]
    Checksum {
        /// The archive.
        path: PathBuf,
        /// The member; none for the stream of a gz file.
        member: Option<String>,
        /// As recorded.
        expected: u32,
        /// As computed.
        found: u32,
    },
    /// A wanted member needs a password.
    #[error("{}{}: encrypted; decrypt it first", .path.display(), within(.member))]
    Encrypted {
        /// The archive.
        path: PathBuf,
        /// The first such member.
        member: Option<String>,
    },
    /// A feature of the format that is not read here.
    #[error("{}{}: {message}, which is not supported", .path.display(), within(.member))]
    Unsupported {
        /// The archive.
        path: PathBuf,
        /// The member, if one is to blame.
        member: Option<String>,
        /// The feature.
        message: String,
    },
    /// More bytes, members or names than [`crate::Limits`] allow.
    #[error("{}{}: {message}; raise the limit if the archive is trusted", .path.display(), within(.member))]
    OverLimit {
        /// The archive.
        path: PathBuf,
        /// The member at which the limit was passed, if one is.
        member: Option<String>,
        /// The limit and what was found.
        message: String,
    },
    /// Unpacking began and did not finish; what was unpacked stays and is in the report.
    #[error("{fault} ({} members unpacked before it or beside it)", .report.members.len())]
    Stopped {
        /// The first fault.
        fault: Box<Error>,
        /// Every member that is whole, and every one that failed.
        report: Box<Report>,
    },
}

/// A result with this crate's error.
pub type Result<T, E = Error> = std::result::Result<T, E>;

fn within(member: &Option<String>) -> String {
    member
        .as_ref()
        .map(|m| format!(": member {m:?}"))
        .unwrap_or_default()
}

impl Error {
    /// The fault itself, out of [`Error::Stopped`].
    pub fn fault(&self) -> &Error {
        match self {
            Error::Stopped { fault, .. } => fault.fault(),
            other => other,
        }
    }

    /// What had been unpacked, when the call had begun to.
    pub fn report(&self) -> Option<&Report> {
        match self {
            Error::Stopped { report, .. } => Some(report),
            _ => None,
        }
    }

    pub(crate) fn io(doing: &'static str, path: &Path) -> impl FnOnce(io::Error) -> Error {
        let path = path.to_path_buf();
        move |source| Error::Io {
            path,
            doing,
            source,
        }
    }
}

/// Makes errors about one archive.
#[derive(Debug, Clone, Copy)]
pub(crate) struct At<'a>(pub(crate) &'a Path);

impl At<'_> {
    pub(crate) fn truncated(
        self,
        member: Option<&str>,
        offset: u64,
        message: impl Into<String>,
    ) -> Error {
        Error::Truncated {
            path: self.0.to_path_buf(),
            member: member.map(str::to_owned),
            offset,
            message: message.into(),
        }
    }

    pub(crate) fn corrupt(
        self,
        member: Option<&str>,
        offset: u64,
        message: impl Into<String>,
    ) -> Error {
        Error::Corrupt {
            path: self.0.to_path_buf(),
            member: member.map(str::to_owned),
            offset,
            message: message.into(),
        }
    }

    pub(crate) fn checksum(self, member: Option<&str>, expected: u32, found: u32) -> Error {
        Error::Checksum {
            path: self.0.to_path_buf(),
            member: member.map(str::to_owned),
            expected,
            found,
        }
    }

    pub(crate) fn encrypted(self, member: Option<&str>) -> Error {
        Error::Encrypted {
            path: self.0.to_path_buf(),
            member: member.map(str::to_owned),
        }
    }

    pub(crate) fn unsupported(self, member: Option<&str>, message: impl Into<String>) -> Error {
        Error::Unsupported {
            path: self.0.to_path_buf(),
            member: member.map(str::to_owned),
            message: message.into(),
        }
    }

    pub(crate) fn over(self, member: Option<&str>, message: impl Into<String>) -> Error {
        Error::OverLimit {
            path: self.0.to_path_buf(),
            member: member.map(str::to_owned),
            message: message.into(),
        }
    }

    /// An error that came out of a reader: a [`Fault`] where it is one.
    pub(crate) fn stream(self, member: Option<&str>, offset: u64, error: io::Error) -> Error {
        match error.downcast::<Fault>() {
            Ok(Fault::Truncated(m)) => self.truncated(member, offset, m),
            Ok(Fault::Corrupt(m)) => self.corrupt(member, offset, m),
            Ok(Fault::Over(m)) => self.over(member, m),
            Ok(Fault::Checksum(expected, found)) => self.checksum(None, expected, found),
            Err(e) if e.kind() == io::ErrorKind::UnexpectedEof => {
                self.truncated(member, offset, "the file ends here")
            }
            Err(source) => Error::Io {
                path: self.0.to_path_buf(),
                doing: "read",
                source,
            },
        }
    }
}

/// A fault of the format, carried through `io::Read`.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Fault {
    #[error("{0}")]
    Truncated(&'static str),
    #[error("{0}")]
    Corrupt(String),
    #[error("{0}")]
    Over(String),
    #[error("CRC-32 is {1:08x}, recorded {0:08x}")]
    Checksum(u32, u32),
}

impl From<Fault> for io::Error {
    fn from(fault: Fault) -> Self {
        io::Error::other(fault)
    }
}
