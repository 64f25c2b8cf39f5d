//! Checkpoint folders: the last few and the best.

use std::fs;
use std::path::{Path, PathBuf};

use super::atomic::{remove_dir, write_dir};
use super::state::{About, State};
use crate::{Error, Result};

/// The one field that every `state.json` has.
#[derive(serde::Deserialize)]
struct Format {
    format: u32,
}

/// The `checkpoints` folder of one fold.
pub(crate) struct Checkpoints {
    dir: PathBuf,
}

impl Checkpoints {
    pub(crate) fn of(fold_dir: &Path) -> Self {
        Self {
            dir: fold_dir.join("checkpoints"),
        }
    }

    /// Folder of the checkpoint at `step`.
    pub(crate) fn path(&self, step: u64) -> PathBuf {
        self.dir.join(format!("step={step:08}"))
    }

    /// Write the checkpoint of `state.step` and drop what need not be kept.
    pub(crate) fn write<A: About>(
        &self,
        state: &State<A>,
        mut files: Vec<(&str, Vec<u8>)>,
        keep_last: usize,
    ) -> Result<()> {
        let json = serde_json::to_vec_pretty(state)
            .map_err(|e| Error::checkpoint(&self.dir, format!("state cannot be stored: {e}")))?;
        files.push(("state.json", json));
        write_dir(&self.path(state.step), &files)?;
        let best = state.best.as_ref().map(|b| b.step);
        let steps = self.steps()?;
        let last = steps.len().saturating_sub(keep_last.max(1));
        for &step in &steps[..last] {
            if Some(step) != best {
                remove_dir(&self.path(step))?;
            }
        }
        Ok(())
    }

    /// Remove what a killed process left half written.
    pub(crate) fn sweep(&self) -> Result<()> {
        for name in self.names()? {
            if name.starts_with(".tmp-") || name.starts_with(".old-") {
                let path = self.dir.join(name);
                fs::remove_dir_all(&path).map_err(Error::io(&path))?;
            }
        }
        Ok(())
    }

    /// State of the newest checkpoint, if there is one.
    pub(crate) fn latest<A: About>(&self) -> Result<Option<State<A>>> {
        match self.steps()?.last() {
            None => Ok(None),
            Some(step) => self.state(*step).map(Some),
        }
    }

    /// State of the checkpoint at `step`.
    pub(crate) fn state<A: About>(&self, step: u64) -> Result<State<A>> {
        let path = self.path(step).join("state.json");
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        let unreadable = |e: serde_json::Error| {
            Error::checkpoint(
                &path,
                format!(
                    "not a readable state ({e}); remove this checkpoint's folder to fall back to the one before"
                ),
            )
        };
        // The format comes first: a state of another one may have other fields.
        let Format { format } = serde_json::from_slice(&bytes).map_err(unreadable)?;
        if format != super::FORMAT {
            return Err(Error::checkpoint(
                &path,
                format!(
                    "format {format}, this version reads {}; train again in another folder",
                    super::FORMAT
                ),
            ));
        }
        serde_json::from_slice(&bytes).map_err(unreadable)
    }

    /// A file of the checkpoint at `step`.
    pub(crate) fn read(&self, step: u64, name: &str) -> Result<(PathBuf, Vec<u8>)> {
        let path = self.path(step).join(name);
        let bytes = fs::read(&path).map_err(Error::io(&path))?;
        Ok((path, bytes))
    }

    /// Steps of all whole checkpoints, rising.
    fn steps(&self) -> Result<Vec<u64>> {
        let names = self.names()?;
        let mut steps: Vec<u64> = names
            .iter()
            .filter_map(|n| n.strip_prefix("step=")?.parse().ok())
            .collect();
        steps.sort_unstable();
        Ok(steps)
    }

    /// Names in the folder that are text; none when there is no folder.
    fn names(&self) -> Result<Vec<String>> {
        let entries = match fs::read_dir(&self.dir) {
            Ok(entries) => entries,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(e) => return Err(Error::io(&self.dir)(e)),
        };
        let mut names = Vec::new();
        for entry in entries {
            if let Ok(name) = entry
                .map_err(Error::io(&self.dir))?
                .file_name()
                .into_string()
            {
                names.push(name);
            }
        }
        Ok(names)
    }
}
