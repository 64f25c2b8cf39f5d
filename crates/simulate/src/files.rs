//! Writing files: a corpus appears whole or not at all.

use crate::{Error, Result};
use std::path::{Path, PathBuf};

/// A folder that is filled under a temporary name beside its target and renamed at the end.
#[derive(Debug)]
pub(crate) struct Staging {
    target: PathBuf,
    work: PathBuf,
    done: bool,
}

impl Staging {
    /// Starts a folder that will become `target`, which must not exist or be empty.
    pub(crate) fn new(target: &Path) -> Result<Self> {
        if target.exists() {
            let empty = std::fs::read_dir(target).is_ok_and(|mut entries| entries.next().is_none());
            if !empty {
                return Err(Error::Exists {
                    path: target.to_path_buf(),
                });
            }
        }
        let name = target
            .file_name()
            .map_or_else(|| "corpus".into(), ToOwned::to_owned);
        let mut hidden = std::ffi::OsString::from(".");
        hidden.push(name);
        hidden.push(".partial");
        let work = target.with_file_name(hidden);
        if work.exists() {
            std::fs::remove_dir_all(&work).map_err(|e| Error::io(&work, e))?;
        }
        std::fs::create_dir_all(&work).map_err(|e| Error::io(&work, e))?;
        Ok(Self {
            target: target.to_path_buf(),
            work,
            done: false,
        })
    }

    /// The path of a file of the corpus, its folder made.
    pub(crate) fn path(&self, relative: &str) -> Result<PathBuf> {
        let path = self.work.join(relative);
        if let Some(folder) = path.parent() {
            std::fs::create_dir_all(folder).map_err(|e| Error::io(folder, e))?;
        }
        Ok(path)
    }

    /// Writes a text or a small binary file.
    pub(crate) fn write(&self, relative: &str, bytes: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(relative)?;
        std::fs::write(&path, bytes).map_err(|e| Error::io(&path, e))
    }

    /// Writes a value as indented JSON with a final newline.
    pub(crate) fn json(&self, relative: &str, value: &impl serde::Serialize) -> Result<()> {
        let path = self.path(relative)?;
        let mut text = serde_json::to_string_pretty(value)
            .map_err(|e| Error::io(&path, std::io::Error::other(e)))?;
        text.push('\n');
        std::fs::write(&path, text).map_err(|e| Error::io(&path, e))
    }

    /// Writes a tab-separated table with a header line.
    pub(crate) fn tsv(&self, relative: &str, columns: &[&str], rows: &[Vec<String>]) -> Result<()> {
        let mut text = columns.join("\t");
        text.push('\n');
        for row in rows {
            text.push_str(&row.join("\t"));
            text.push('\n');
        }
        self.write(relative, text)
    }

    /// Moves the finished folder to its target.
    pub(crate) fn commit(mut self) -> Result<()> {
        if self.target.exists() {
            std::fs::remove_dir(&self.target).map_err(|e| Error::io(&self.target, e))?;
        }
        std::fs::rename(&self.work, &self.target).map_err(|e| Error::io(&self.target, e))?;
        self.done = true;
        Ok(())
    }
}

impl Drop for Staging {
    fn drop(&mut self) {
        if !self.done {
            // Best effort: what is left is hidden, and the next attempt replaces it.
            let _ = std::fs::remove_dir_all(&self.work);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_folder_appears_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let target = dir.path().join("raw");
        let names = || -> Vec<_> {
            std::fs::read_dir(dir.path())
                .unwrap()
                .map(|e| e.unwrap().file_name())
                .collect()
        };
        let staging = Staging::new(&target).unwrap();
        staging.write("a/b.txt", "x").unwrap();
        assert!(!target.exists());
        drop(staging);
        assert!(
            names().is_empty(),
            "an abandoned attempt left {:?}",
            names()
        );

        // What a killed process left behind is replaced, and an empty target is taken over.
        let left = dir.path().join(".raw.partial");
        std::fs::create_dir(&left).unwrap();
        std::fs::write(left.join("old"), "y").unwrap();
        std::fs::create_dir(&target).unwrap();
        let staging = Staging::new(&target).unwrap();
        staging
            .tsv("t.tsv", &["a", "b"], &[vec!["1".into(), "2".into()]])
            .unwrap();
        staging.commit().unwrap();
        assert_eq!(names(), ["raw"]);
        assert_eq!(
            std::fs::read_to_string(target.join("t.tsv")).unwrap(),
            "a\tb\n1\t2\n"
        );
        assert!(!target.join("old").exists());
        assert!(matches!(Staging::new(&target), Err(Error::Exists { .. })));
    }
}
