//! Which member names may be joined to a folder, and which collide. Owns the rules; touches no
//! file system.

use std::collections::{HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};

use crate::error::At;
use crate::{Collision, Limits, Reason, Refused, Result};

/// Written last into the folder: tells a finished unpack.
pub(crate) const STAMP: &str = ".unpacked.json";
/// Locked while a call works on the folder.
pub(crate) const LOCK: &str = ".unpacked.lock";
/// Holds files being written.
pub(crate) const WORKSHOP: &str = ".unpacking";

const LONGEST: usize = 4096;
const LONGEST_PART: usize = 255;
const DEEPEST: usize = 32;

/// A name made safe, or why it cannot be. `./a//b` becomes `a/b`; a folder's last `/` goes.
pub(crate) fn safe(raw: &str) -> Result<String, (Reason, String)> {
    let refuse = |reason, message: &str| Err((reason, message.to_owned()));
    if raw.len() > LONGEST {
        return refuse(Reason::BadName, "the name is longer than 4,096 bytes");
    }
    if raw.chars().any(char::is_control) {
        return refuse(Reason::BadName, "the name holds a control character");
    }
    if raw.starts_with('/') {
        return refuse(Reason::Absolute, "the name is an absolute path");
    }
    if raw.contains('\\') {
        return refuse(Reason::Backslash, "the name holds a backslash");
    }
    let mut out = String::with_capacity(raw.len());
    let mut depth = 0;
    for part in raw.split('/').filter(|p| !p.is_empty() && *p != ".") {
        if part == ".." {
            return refuse(Reason::Traversal, "the name climbs with '..'");
        }
        let bytes = part.as_bytes();
        if let [letter, b':', ..] = bytes
            && depth == 0
            && letter.is_ascii_alphabetic()
        {
            return refuse(Reason::DriveLetter, "the name begins with a drive letter");
        }
        if bytes.len() > LONGEST_PART {
            return refuse(
                Reason::BadName,
                "a part of the name is longer than 255 bytes",
            );
        }
        depth += 1;
        if depth > DEEPEST {
            return refuse(Reason::BadName, "the name is more than 32 folders deep");
        }
        if depth > 1 {
            out.push('/');
        }
        out.push_str(part);
    }
    let first = out.split('/').next().unwrap_or_default();
    if [STAMP, LOCK, WORKSHOP]
        .iter()
        .any(|own| first.eq_ignore_ascii_case(own))
    {
        return refuse(
            Reason::Reserved,
            "the name is kept for the unpacker's own files",
        );
    }
    if out.is_empty() {
        return refuse(Reason::BadName, "the name is empty");
    }
    Ok(out)
}

/// Where a symbolic link at `from` leads, by its text alone; None when it leaves the folder.
pub(crate) fn symlink(from: &str, target: &str) -> Option<String> {
    if target.starts_with('/') || target.contains('\\') || target.len() > LONGEST {
        return None;
    }
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop()?;
            }
            other => parts.push(other),
        }
    }
    Some(parts.join("/"))
}

/// A name as a row may show it.
pub(crate) fn shown(raw: &str) -> String {
    let mut out = String::new();
    for c in raw.chars() {
        if out.len() > 1024 {
            out.push('…');
            break;
        }
        if c.is_control() {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// The names admitted so far. Names are kept as 128-bit hashes but for the folded ones, so that
/// the folders of deep names cost no more than the names.
#[derive(Debug, Default)]
pub(crate) struct Names {
    files: HashSet<u128>,
    folders: HashSet<u128>,
    folded: HashMap<u128, String>,
    count: u64,
    bytes: u64,
    /// Names never admitted.
    pub(crate) refused: Vec<Refused>,
    /// Pairs that differ by case.
    pub(crate) collisions: Vec<Collision>,
    /// True on a file system that folds case: the later of two such names is refused.
    folds_case: bool,
}

fn key(text: &str) -> u128 {
    let hash = |seed: u8| {
        let mut hasher = DefaultHasher::new();
        seed.hash(&mut hasher);
        text.hash(&mut hasher);
        u128::from(hasher.finish())
    };
    (hash(1) << 64) | hash(2)
}

impl Names {
    /// For a file system that folds case, or does not.
    pub(crate) fn new(folds_case: bool) -> Self {
        Names {
            folds_case,
            ..Names::default()
        }
    }

    /// Counts an entry of any type against the limits.
    pub(crate) fn count(&mut self, at: At<'_>, raw: &str, limits: &Limits) -> Result<()> {
        self.count += 1;
        if self.count > limits.members {
            return Err(at.over(None, format!("more than {} members", limits.members)));
        }
        self.bytes = self.bytes.saturating_add(raw.len() as u64 + 64);
        if self.bytes > limits.name_bytes {
            let most = limits.name_bytes;
            return Err(at.over(None, format!("the names take more than {most} bytes")));
        }
        Ok(())
    }

    /// Adds a row.
    pub(crate) fn refuse(&mut self, raw: &str, reason: Reason, message: impl Into<String>) {
        self.refused.push(Refused {
            path: shown(raw),
            reason,
            message: message.into(),
        });
    }

    /// A folder entry: only its name is looked at, since files make their own folders.
    pub(crate) fn folder(&mut self, raw: &str) {
        if raw.split('/').all(|p| p.is_empty() || p == ".") && !raw.starts_with('/') {
            return;
        }
        if let Err((reason, message)) = safe(raw) {
            self.refuse(raw, reason, message);
        }
    }

    /// A file or link: its safe name, or None with a row that says why.
    pub(crate) fn file(&mut self, raw: &str) -> Option<String> {
        let path = match safe(raw) {
            Ok(path) => path,
            Err((reason, message)) => {
                self.refuse(raw, reason, message);
                return None;
            }
        };
        let own = key(&path);
        if self.files.contains(&own) {
            self.refuse(
                raw,
                Reason::Duplicate,
                "an earlier member has this name and is kept",
            );
            return None;
        }
        let ancestors = || path.match_indices('/').map(|(i, _)| key(&path[..i]));
        if self.folders.contains(&own) || ancestors().any(|a| self.files.contains(&a)) {
            self.refuse(raw, Reason::Clash, "one name is both a file and a folder");
            return None;
        }
        let folded = path.to_lowercase();
        let folded_key = key(&folded);
        if let Some(other) = self.folded.get(&folded_key).cloned() {
            self.collisions.push(Collision {
                path: path.clone(),
                other,
            });
            if self.folds_case {
                self.refuse(raw, Reason::Case, "another name differs by case alone");
                return None;
            }
        } else {
            self.folded.insert(folded_key, path.clone());
        }
        self.folders.extend(ancestors());
        self.files.insert(own);
        Some(path)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn each_unsafe_name_has_its_reason() {
        for (raw, reason) in [
            ("../a", Reason::Traversal),
            ("a/../../b", Reason::Traversal),
            ("a/..", Reason::Traversal),
            ("/etc/passwd", Reason::Absolute),
            ("//host/share", Reason::Absolute),
            ("a\\b", Reason::Backslash),
            ("..\\a", Reason::Backslash),
            ("C:/a", Reason::DriveLetter),
            ("./c:a", Reason::DriveLetter),
            ("", Reason::BadName),
            ("./", Reason::BadName),
            ("a\0b", Reason::BadName),
            ("a\nb", Reason::BadName),
            (".unpacked.json", Reason::Reserved),
            ("./.Unpacking/0", Reason::Reserved),
        ] {
            assert_eq!(safe(raw).unwrap_err().0, reason, "{raw:?}");
        }
        assert_eq!(safe(&"a/".repeat(33)).unwrap_err().0, Reason::BadName);
        assert_eq!(safe(&"a".repeat(256)).unwrap_err().0, Reason::BadName);
        assert_eq!(safe("./a//b/./c.edf").unwrap(), "a/b/c.edf");
        assert_eq!(safe("sub/12:30.edf").unwrap(), "sub/12:30.edf");
        assert_eq!(safe("a/...").unwrap(), "a/...");
    }

    #[test]
    fn links_are_followed_by_text() {
        assert_eq!(symlink("a/b", "c").as_deref(), Some("a/c"));
        assert_eq!(symlink("a/b", "../c").as_deref(), Some("c"));
        assert_eq!(symlink("a/b", "../../c"), None);
        assert_eq!(symlink("a/b", "/c"), None);
    }

    proptest! {
        #[test]
        fn a_safe_name_stays_inside(raw in "[./a-cC:\\\\]{0,24}") {
            if let Ok(path) = safe(&raw) {
                prop_assert!(!path.starts_with('/') && !path.contains('\\'));
                prop_assert!(path.split('/').all(|p| !matches!(p, "" | "." | "..")));
                prop_assert_eq!(safe(&path).unwrap(), path.clone());
            }
        }
    }
}
