//! Names from a listing, made safe: a [`RelPath`] never leads out of the folder it is joined to.

use std::fmt;
use std::path::{Path, PathBuf};

/// The folder of this crate's own files, below the folder of the data.
pub(crate) const OWN: &str = ".mmpipe-fetch";

/// A path below a folder: parts separated by `/`, none of them empty, `.` or `..`.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelPath(String);

impl RelPath {
    /// Takes a name as a listing gives it.
    ///
    /// # Errors
    /// Why the name is not taken.
    pub fn new(name: &str) -> Result<RelPath, String> {
        let name = name.strip_prefix("./").unwrap_or(name);
        if name.is_empty() {
            return Err("the name is empty".into());
        }
        if name.len() > 1024 {
            return Err(format!("the name has {} bytes, 1024 are taken", name.len()));
        }
        if name.starts_with('/') {
            return Err("the name starts at the root".into());
        }
        if let Some(c) = name.chars().find(|c| c.is_control() || *c == '\\') {
            return Err(format!("the name holds {c:?}"));
        }
        for part in name.split('/') {
            match part {
                "" => return Err("a part of the name is empty".into()),
                "." | ".." => return Err(format!("the name leads elsewhere (`{part}`)")),
                _ if part.len() > 255 => return Err("a part of the name is over 255 bytes".into()),
                _ => {}
            }
        }
        let first = name.split('/').next().unwrap_or("");
        if first.eq_ignore_ascii_case(OWN) {
            return Err(format!("`{OWN}` is kept for the receipts of the fetch"));
        }
        // `C:x` leads to another drive on Windows.
        if first.len() >= 2 && first.as_bytes()[1] == b':' {
            return Err("the name starts with a drive".into());
        }
        Ok(RelPath(name.to_owned()))
    }

    /// The text, with `/`.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file below `root`.
    pub fn below(&self, root: &Path) -> PathBuf {
        let mut path = root.to_owned();
        path.extend(self.0.split('/'));
        path
    }

    /// The last part's extension in lower case, or nothing.
    pub(crate) fn extension(&self) -> String {
        let last = self.0.rsplit('/').next().unwrap_or("");
        last.rsplit_once('.')
            .map_or_else(String::new, |(_, e)| e.to_ascii_lowercase())
    }
}

impl fmt::Display for RelPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A path for the path part of an address: every byte but letters, digits, `-._~` and `/` as `%XX`.
pub(crate) fn encode(path: &str) -> String {
    let mut out = String::with_capacity(path.len());
    for b in path.bytes() {
        match b {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'.' | b'_' | b'~' | b'/' => {
                out.push(char::from(b));
            }
            _ => out.push_str(&format!("%{b:02X}")),
        }
    }
    out
}

/// `%XX` decoded; `None` where it is broken or not UTF-8.
pub(crate) fn decode(text: &str) -> Option<String> {
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(b) = bytes.next() {
        if b == b'%' {
            let hex = [bytes.next()?, bytes.next()?];
            let hex = std::str::from_utf8(&hex).ok()?;
            out.push(u8::from_str_radix(hex, 16).ok()?);
        } else {
            out.push(b);
        }
    }
    String::from_utf8(out).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_that_lead_elsewhere_are_refused() {
        for bad in [
            "",
            "/etc/passwd",
            "../x",
            "a/../../x",
            "a/./b",
            "a//b",
            "a/",
            "a\\..\\b",
            "a\0b",
            "a\nb",
            "C:x",
            ".mmpipe-fetch/receipts.jsonl",
            ".MMPIPE-FETCH/x",
            "..",
        ] {
            assert!(RelPath::new(bad).is_err(), "{bad:?} was taken");
        }
        for good in [
            "a",
            "./a/b",
            "sub-01/eeg/x.eeg",
            "chb02/chb02_16+.edf",
            "a..b/...c",
        ] {
            assert!(RelPath::new(good).is_ok(), "{good:?} was refused");
        }
    }

    #[test]
    fn a_plus_is_written_as_a_number() {
        assert_eq!(encode("chb02/chb02_16+.edf"), "chb02/chb02_16%2B.edf");
        assert_eq!(encode("é a"), "%C3%A9%20a");
    }

    proptest! {
        #[test]
        fn what_is_taken_stays_below(name in "[a-z./\\\\:%+ \\x00-\\x1f]{0,40}") {
            if let Ok(path) = RelPath::new(&name) {
                let full = path.below(Path::new("/data"));
                prop_assert!(full.starts_with("/data") && full != Path::new("/data"));
                prop_assert!(full.components().all(|c| !matches!(c, std::path::Component::ParentDir)));
            }
        }

        #[test]
        fn encoding_is_undone(name in "\\PC{0,40}") {
            prop_assert_eq!(decode(&encode(&name)), Some(name));
        }
    }
}
