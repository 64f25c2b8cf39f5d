//! Room on the disk.

use std::path::Path;

/// Bytes that are left alone.
pub(crate) const RESERVE: u64 = 64 << 20;

/// Bytes that we may write at `path`, which exists; `None` where the system does not say.
#[cfg(unix)]
pub(crate) fn free(path: &Path) -> Option<u64> {
    let stat = rustix::fs::statvfs(path).ok()?;
    stat.f_bavail.checked_mul(stat.f_frsize)
}

/// Bytes that we may write at `path`; not asked for on this system.
#[cfg(not(unix))]
pub(crate) fn free(_: &Path) -> Option<u64> {
    None
}
