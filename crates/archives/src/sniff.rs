//! Which kind of archive a file is, by its first bytes. Owns the signatures.

use std::fs::File;
use std::io::{BufReader, Read};
use std::path::Path;

use crate::error::{At, Error};
use crate::gz::Gunzip;
use crate::{Kind, Result, tar};

/// The kind of archive that `path` is, by content; None for anything else.
///
/// The name decides only where the content cannot: a gzip stream or a run of zeros whose first
/// tar header is missing or unreadable is a tar when its name says so.
///
/// # Errors
/// [`Error::Io`] when the file cannot be read.
pub fn kind(path: &Path) -> Result<Option<Kind>> {
    let file = File::open(path).map_err(Error::io("open", path))?;
    let mut head = Vec::with_capacity(512);
    let mut reader = BufReader::new(file).take(512);
    reader
        .read_to_end(&mut head)
        .map_err(Error::io("read", path))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let name = name.to_ascii_lowercase();
    if [b"PK\x03\x04", b"PK\x05\x06", b"PK\x07\x08", b"PK00"]
        .iter()
        .any(|magic| head.starts_with(*magic))
    {
        return Ok(Some(Kind::Zip));
    }
    if head.starts_with(&[0x1f, 0x8b]) {
        let file = File::open(path).map_err(Error::io("open", path))?;
        let mut block = Vec::with_capacity(512);
        let mut stream = Gunzip::new(BufReader::new(file), u64::MAX).take(512);
        let read = stream.read_to_end(&mut block);
        let named = name.ends_with(".tar.gz") || name.ends_with(".tgz");
        let is_tar = match <&[u8; 512]>::try_from(&block[..]) {
            Ok(block) => tar::is_header(block) || (named && block.iter().all(|&b| b == 0)),
            Err(_) => named && read.is_err(),
        };
        return Ok(Some(if is_tar { Kind::TarGz } else { Kind::Gz }));
    }
    let is_tar = <&[u8; 512]>::try_from(&head[..]).is_ok_and(|block| {
        tar::is_header(block) || (name.ends_with(".tar") && block.iter().all(|&b| b == 0))
    });
    Ok(is_tar.then_some(Kind::Tar))
}

/// The kind, or an error that says what the file looks like.
pub(crate) fn required(path: &Path) -> Result<Kind> {
    if let Some(kind) = kind(path)? {
        return Ok(kind);
    }
    let mut head = Vec::new();
    let file = File::open(path).map_err(Error::io("open", path))?;
    file.take(262)
        .read_to_end(&mut head)
        .map_err(Error::io("read", path))?;
    let known: [(&[u8], &str); 8] = [
        (b"", ""),
        (b"BZh", "bzip2"),
        (b"\xfd7zXZ\0", "xz"),
        (b"7z\xbc\xaf\x27\x1c", "7-Zip"),
        (b"Rar!", "RAR"),
        (b"\x28\xb5\x2f\xfd", "Zstandard"),
        (b"\x1f\x9d", "compress (.Z)"),
        (b"<", "a web page, perhaps a failed download"),
    ];
    let message = match known.iter().rev().find(|(m, _)| head.starts_with(m)) {
        _ if head.is_empty() => "it is empty".to_owned(),
        Some((magic, what)) if !magic.is_empty() => format!("it looks like {what}"),
        _ if head.get(257..262) == Some(b"ustar") => {
            return Err(At(path).corrupt(None, 0, "not a tar header: its checksum is wrong"));
        }
        _ => "its first bytes are none that are known".to_owned(),
    };
    Err(Error::NotArchive {
        path: path.to_path_buf(),
        message,
    })
}
