//! What became of each file.

use serde::Serialize;

/// How one file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Status {
    /// Brought, checked and in its place.
    Fetched,
    /// It was there, and checked.
    Present,
    /// It could not be brought.
    Failed,
    /// It is not asked for: its name is not safe, or it is kept elsewhere.
    Refused,
    /// The fetch ended before its turn.
    NotTried,
}

/// What a file was compared with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Check {
    /// The publisher's SHA-256.
    Sha256,
    /// The publisher's MD5.
    Md5,
    /// The publisher's size, and that it is no page or pointer; there is no checksum.
    Size,
    /// The size that the server stated with the file itself.
    Stated,
}

/// One file.
#[derive(Debug, Clone, Serialize)]
pub struct FileReport {
    /// Name below the folder.
    pub path: String,
    /// How it ended.
    pub status: Status,
    /// Its bytes, where they are known.
    pub size: Option<u64>,
    /// What it was compared with.
    pub check: Option<Check>,
    /// The checksum that was found, as `sha256:HEX`.
    pub digest: Option<String>,
    /// Bytes that came over the network for it.
    pub received: u64,
    /// Attempts that failed before.
    pub failures: u32,
    /// Why it failed or was refused, or what is to be known.
    pub reason: Option<String>,
}

impl FileReport {
    pub(crate) fn new(path: impl Into<String>, status: Status) -> Self {
        FileReport {
            path: path.into(),
            status,
            size: None,
            check: None,
            digest: None,
            received: 0,
            failures: 0,
            reason: None,
        }
    }
}

/// A whole fetch.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// The data set.
    pub dataset: String,
    /// One row a file, sorted by name.
    pub files: Vec<FileReport>,
    /// Bytes that came over the network.
    pub received: u64,
    /// How long it took.
    pub seconds: f64,
}

impl Report {
    /// Files that ended so.
    pub fn count(&self, status: Status) -> usize {
        self.files.iter().filter(|f| f.status == status).count()
    }

    /// Whether every file is in its place.
    pub fn is_complete(&self) -> bool {
        let done = |f: &FileReport| matches!(f.status, Status::Fetched | Status::Present);
        self.files.iter().all(done)
    }
}
