//! Finds the files of a recording from each other.

use std::ffi::OsStr;
use std::path::{Path, PathBuf};

use crate::error::{Error, Result};
use crate::recording::{Diagnostic, Severity};
use crate::source::Source;
use crate::text;

use super::ini;

/// The file that a header names: `$b` is the header's own base name, separators may be those of
/// Windows. When it is not there, a file named like the header is taken, with a diagnostic
/// (recordings are renamed more often than their headers are edited).
pub(super) fn named(
    header: &Path,
    field: &'static str,
    value: &str,
    extension: &str,
    diagnostics: &mut Vec<Diagnostic>,
) -> Result<PathBuf> {
    let folder = header.parent().unwrap_or(Path::new(""));
    let base = header
        .file_stem()
        .map(|s| s.to_string_lossy())
        .unwrap_or_default();
    let value = value.replace("$b", &base).replace('\\', "/");
    let wanted = folder.join(&value);
    if wanted.is_file() {
        return Ok(wanted);
    }
    let mut renamed = vec![extension];
    renamed.extend(Path::new(&value).extension().and_then(OsStr::to_str));
    if extension == "eeg" {
        renamed.push("dat");
    }
    for extension in renamed {
        let candidate = header.with_extension(extension);
        if candidate.is_file() {
            diagnostics.push(Diagnostic::new(
                "renamed",
                Severity::Warning,
                format!(
                    "{field} names {value:?}, which is not there; {} is read",
                    candidate.display()
                ),
            ));
            return Ok(candidate);
        }
    }
    Err(Error::Missing {
        path: header.to_path_buf(),
        field,
        missing: wanted,
    })
}

/// The header of a data or marker file: the one of the same base name, else the only one in
/// the folder that names it.
///
/// # Errors
/// [`Error::UnknownFormat`] when there is none, or more than one and none of the same name.
pub(crate) fn header_beside(path: &Path) -> Result<PathBuf> {
    for extension in ["vhdr", "VHDR"] {
        let same = path.with_extension(extension);
        if same.is_file() {
            return Ok(same);
        }
    }
    let folder = match path.parent() {
        Some(p) if !p.as_os_str().is_empty() => p,
        _ => Path::new("."),
    };
    let mut naming = Vec::new();
    let entries = std::fs::read_dir(folder).map_err(|e| Error::io(folder, "list", e))?;
    for entry in entries.flatten() {
        let candidate = entry.path();
        let is_header = candidate
            .extension()
            .and_then(OsStr::to_str)
            .is_some_and(|e| e.eq_ignore_ascii_case("vhdr"));
        if is_header && names(&candidate, path) {
            naming.push(candidate);
        }
    }
    naming.sort();
    match naming.as_slice() {
        [one] => Ok(one.clone()),
        [] => Err(unknown(
            path,
            "no BrainVision header (.vhdr) beside it names it".into(),
        )),
        many => {
            let list: Vec<_> = many.iter().map(|p| p.display().to_string()).collect();
            Err(unknown(
                path,
                format!("{} headers that name it ({})", many.len(), list.join(", ")),
            ))
        }
    }
}

fn unknown(path: &Path, found: String) -> Error {
    Error::UnknownFormat {
        path: path.to_path_buf(),
        expected: "a data or marker file with one BrainVision header",
        found,
    }
}

fn names(header: &Path, path: &Path) -> bool {
    let Ok(source) = Source::open(header) else {
        return false;
    };
    let content = text::decode(source.bytes());
    let base = header
        .file_stem()
        .map(|s| s.to_string_lossy())
        .unwrap_or_default();
    ini::entries(&content)
        .filter(|e| {
            e.key.eq_ignore_ascii_case("DataFile") || e.key.eq_ignore_ascii_case("MarkerFile")
        })
        .any(|e| {
            let value = e.value.replace("$b", &base).replace('\\', "/");
            Path::new(&value).file_name() == path.file_name()
        })
}
