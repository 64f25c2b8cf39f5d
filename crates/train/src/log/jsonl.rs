//! `metrics.jsonl`: one object a line, `kind` = `step` | `epoch`.

use std::fs::{self, File, OpenOptions};
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::Value;

use crate::store::write_file;
use crate::{Error, Result};

pub(crate) struct Lines {
    path: PathBuf,
    file: BufWriter<File>,
}

impl Lines {
    /// Keep the lines up to `step`, append from there. A torn last line is dropped.
    pub(crate) fn open(path: &Path, step: u64) -> Result<Self> {
        let old = match fs::read_to_string(path) {
            Ok(text) => text,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => String::new(),
            Err(e) => return Err(Error::io(path)(e)),
        };
        let mut kept = String::new();
        for line in old.lines() {
            let at = serde_json::from_str::<Value>(line)
                .ok()
                .and_then(|v| v["step"].as_u64());
            if at.is_some_and(|at| at <= step) {
                kept.push_str(line);
                kept.push('\n');
            }
        }
        write_file(path, kept.as_bytes())?;
        let file = OpenOptions::new()
            .append(true)
            .open(path)
            .map_err(Error::io(path))?;
        Ok(Self {
            path: path.to_path_buf(),
            file: BufWriter::new(file),
        })
    }

    pub(crate) fn write(&mut self, kind: &str, record: &impl Serialize) -> Result<()> {
        #[derive(Serialize)]
        struct Line<'a, T> {
            kind: &'a str,
            #[serde(flatten)]
            record: &'a T,
        }
        let text = serde_json::to_string(&Line { kind, record })
            .map_err(|e| Error::checkpoint(&self.path, format!("metrics cannot be stored: {e}")))?;
        writeln!(self.file, "{text}").map_err(Error::io(&self.path))
    }

    pub(crate) fn sync(&mut self) -> Result<()> {
        self.file.flush().map_err(Error::io(&self.path))?;
        self.file
            .get_ref()
            .sync_data()
            .map_err(Error::io(&self.path))
    }
}
