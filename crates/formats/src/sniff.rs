//! What a file is, by its first bytes.

/// The recordings that are read here.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// EDF or EDF+.
    Edf,
    /// BDF or BDF+.
    Bdf,
    /// GDF 1 or 2.
    Gdf,
    /// BrainVision header.
    Vhdr,
    /// BrainVision markers.
    Vmrk,
}

/// The kind of recording that the first bytes announce.
pub(crate) fn kind(bytes: &[u8]) -> Option<Kind> {
    let head = bytes.get(..8).unwrap_or(bytes);
    if head == b"\xffBIOSEMI" {
        return Some(Kind::Bdf);
    }
    if head.len() == 8 && head[0] == b'0' && head[1..].iter().all(|&b| b == b' ' || b == 0) {
        return Some(Kind::Edf);
    }
    if let [b'G', b'D', b'F', b' ', digit, ..] = head
        && digit.is_ascii_digit()
    {
        return Some(Kind::Gdf);
    }
    let first = bytes.strip_prefix(b"\xef\xbb\xbf").unwrap_or(bytes);
    let line = first
        .split(|&b| b == b'\n' || b == b'\r')
        .next()
        .unwrap_or_default();
    let line = &line[..line.len().min(120)];
    let says = |what: &[u8]| line.windows(what.len()).any(|w| w == what);
    if says(b"Brain Vision") || says(b"BrainVision") {
        if says(b"Marker File") {
            return Some(Kind::Vmrk);
        }
        if says(b"Header File") {
            return Some(Kind::Vhdr);
        }
    }
    None
}

/// Names what a file that is none of ours seems to be, for the error message.
pub(crate) fn describe(bytes: &[u8]) -> String {
    const MAGIC: &[(&[u8], &str)] = &[
        (b"\x89PNG", "a PNG image"),
        (b"\xff\xd8\xff", "a JPEG image"),
        (b"GIF8", "a GIF image"),
        (b"%PDF", "a PDF document"),
        (b"PK\x03\x04", "a ZIP archive"),
        (b"\x1f\x8b", "gzip data; unpack it first"),
        (b"\x28\xb5\x2f\xfd", "zstd data; unpack it first"),
        (b"BZh", "bzip2 data; unpack it first"),
        (b"\x89HDF", "an HDF5 file"),
        (b"MATLAB", "a MATLAB file"),
        (b"GDF ", "a GDF recording"),
        (b"XDF:", "an XDF recording"),
        (b"RIFF", "a RIFF (wave) sound"),
        (b"fLaC", "a FLAC sound"),
        (b"OggS", "an Ogg sound"),
        (b"ID3", "an MP3 sound"),
        (b"PAR1", "a Parquet file"),
        (
            b"version https://git-lfs",
            "a Git LFS pointer; fetch the content",
        ),
        (b"/annex/objects", "a git-annex pointer; fetch the content"),
        (b"../.git/annex", "a git-annex pointer; fetch the content"),
        (b"<!DOCTYPE", "a web page; the download failed"),
        (b"<html", "a web page; the download failed"),
    ];
    if let Some((_, name)) = MAGIC.iter().find(|(magic, _)| bytes.starts_with(magic)) {
        return (*name).to_owned();
    }
    let head = &bytes[..bytes.len().min(8)];
    format!("a file that starts with \"{}\"", head.escape_ascii())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magics() {
        assert_eq!(kind(b"0       abc"), Some(Kind::Edf));
        assert_eq!(kind(b"0"), None);
        assert_eq!(kind(b"\xffBIOSEMI"), Some(Kind::Bdf));
        assert_eq!(kind(b"GDF 2.20"), Some(Kind::Gdf));
        assert_eq!(kind(b"GDF file"), None);
        assert_eq!(
            kind(b"\xef\xbb\xbfBrainVision Data Exchange Header File Version 1.0\r\n"),
            Some(Kind::Vhdr)
        );
        assert_eq!(
            kind(b"Brain Vision V-Amp Data Header File Version 1.0"),
            Some(Kind::Vhdr)
        );
        assert_eq!(
            kind(b"Brain Vision Data Exchange Marker File, Version 1.0"),
            Some(Kind::Vmrk)
        );
        assert_eq!(kind(b"\x89PNG\r\n"), None);
        assert_eq!(describe(b"\x89PNG\r\n"), "a PNG image");
    }
}
