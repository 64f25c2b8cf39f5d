//! Finds the files of a Curry recording from each other, by their names.

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};

/// The files that belong together.
pub(super) struct Files {
    /// Curry 7 and before: .dat, .dap, .rs3 (else .cdt and names that go on from it).
    pub(super) seven: bool,
    pub(super) data: PathBuf,
    pub(super) parameters: PathBuf,
    /// Where the labels are, when not in the parameter file.
    pub(super) labels: Option<PathBuf>,
    pub(super) events: Option<PathBuf>,
}

/// The recording that `path` is a part of.
///
/// # Errors
/// [`Error::Missing`] without a data or a parameter file.
pub(super) fn files(path: &Path) -> Result<Files> {
    let extension = lower(path);
    let inner = path.with_extension("");
    let long = lower(&inner) == "cdt";
    let (seven, data) = match extension.as_str() {
        "cdt" => (false, path.to_path_buf()),
        "dat" => (true, path.to_path_buf()),
        "dap" | "rs3" => (true, path.with_extension("dat")),
        _ if long => (false, inner),
        // An event file "x.ceo" belongs to either.
        "ceo" | "cef" => match existing(&path.with_extension("dat")) {
            Some(data) => (true, data),
            None => (false, path.with_extension("cdt")),
        },
        _ => (false, path.with_extension("cdt")),
    };
    let missing = |missing: PathBuf| Error::Missing {
        path: path.to_path_buf(),
        field: "the recording's name",
        missing,
    };
    let data = existing(&data).ok_or_else(|| missing(data.clone()))?;
    let candidates = |extensions: &[&str]| -> Vec<PathBuf> {
        let long = extensions.iter().map(|e| appended(&data, e));
        let short = extensions.iter().map(|e| data.with_extension(e));
        if seven {
            short.collect()
        } else {
            long.chain(short).collect()
        }
    };
    let first = |extensions: &[&str]| candidates(extensions).iter().find_map(|p| existing(p));
    let wanted: &[&str] = if seven { &["dap"] } else { &["dpa", "dpo"] };
    let parameters = first(wanted).ok_or_else(|| {
        missing(if seven {
            data.with_extension("dap")
        } else {
            appended(&data, "dpa")
        })
    })?;
    Ok(Files {
        seven,
        parameters,
        labels: seven.then(|| first(&["rs3"])).flatten(),
        events: first(&["cef", "ceo"]),
        data,
    })
}

/// The file, in the spelling that exists: extensions may be in capitals.
fn existing(path: &Path) -> Option<PathBuf> {
    if path.is_file() {
        return Some(path.to_path_buf());
    }
    let upper = path.extension()?.to_str()?.to_ascii_uppercase();
    let upper = path.with_extension(upper);
    upper.is_file().then_some(upper)
}

fn appended(path: &Path, extension: &str) -> PathBuf {
    let mut name = OsString::from(path);
    name.push(".");
    name.push(extension);
    PathBuf::from(name)
}

fn lower(path: &Path) -> String {
    let extension = path.extension().and_then(|e| e.to_str());
    extension.unwrap_or_default().to_ascii_lowercase()
}
