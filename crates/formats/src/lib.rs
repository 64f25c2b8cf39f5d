//! Container readers: bytes to [`Recording`]. Owns EDF, EDF+, BDF, BDF+, GDF, BrainVision, the
//! sound formats and their writers. Knows nothing of data sets, electrodes, trials or filters.

pub mod audio;
mod brainvision;
mod curry;
mod damage;
mod edf;
mod eeglab;
mod error;
mod frames;
mod gdf;
mod recording;
mod sniff;
mod source;
mod stamp;
mod text;
pub mod tree;
mod units;
pub mod write;

pub use error::{Error, Result};
pub use recording::{Annotation, Channel, Container, Diagnostic, Header, Recording, Run, Severity};
pub use stamp::Stamp;

use std::path::Path;

/// Opens a recording, by content first and by extension second. For BrainVision any of the
/// three files may be given.
///
/// The file is mapped and must not be shortened by another process while it is open: the
/// system would end this process at the first touch of a page that is gone.
///
/// # Errors
/// [`Error`] with the path and, for headers, the field and its byte offset or line. A file that
/// can be read but is cut or damaged opens with a [`Diagnostic`]; see [`Header::damaged`].
pub fn open(path: &Path) -> Result<Box<dyn Recording>> {
    let source = source::Source::open(path)?;
    // The data files have no magic, and text data may look like the first bytes of an EDF file.
    let dat = has_extension(path, &["dat"]);
    if has_extension(path, curry::EXTENSIONS) || (dat && curry::beside(path)) {
        return Ok(Box::new(curry::Curry::open(path)?));
    }
    // A MATLAB file by its content; only the name says that it is a data set.
    if has_extension(path, &["set", "fdt"]) {
        return Ok(Box::new(eeglab::Eeglab::open(path)?));
    }
    match sniff::kind(source.bytes()) {
        Some(sniff::Kind::Edf) => Ok(Box::new(edf::Edf::open(source, false)?)),
        Some(sniff::Kind::Bdf) => Ok(Box::new(edf::Edf::open(source, true)?)),
        Some(sniff::Kind::Gdf) => Ok(Box::new(gdf::Gdf::open(source)?)),
        Some(sniff::Kind::Vhdr) => Ok(Box::new(brainvision::BrainVision::open(source)?)),
        Some(sniff::Kind::Vmrk) => vhdr(path),
        // A data file has no magic; its header names it.
        None if has_extension(path, &["eeg", "dat"]) => vhdr(path),
        None => Err(Error::UnknownFormat {
            path: path.to_path_buf(),
            expected: "EDF, EDF+, BDF, BDF+, GDF or BrainVision",
            found: sniff::describe(source.bytes()),
        }),
    }
}

fn vhdr(path: &Path) -> Result<Box<dyn Recording>> {
    let header = source::Source::open(&brainvision::header_beside(path)?)?;
    if sniff::kind(header.bytes()) != Some(sniff::Kind::Vhdr) {
        return Err(Error::UnknownFormat {
            path: header.path().to_path_buf(),
            expected: "a BrainVision header",
            found: sniff::describe(header.bytes()),
        });
    }
    Ok(Box::new(brainvision::BrainVision::open(header)?))
}

fn has_extension(path: &Path, wanted: &[&str]) -> bool {
    let extension = path
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or_default();
    wanted.iter().any(|w| extension.eq_ignore_ascii_case(w))
}
