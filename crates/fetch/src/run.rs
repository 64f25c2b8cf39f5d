//! All files of a plan: room checked, workers, one report. A file that fails does not stop the
//! others; a disk that fails does.

use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Instant;

use crate::folder::Folder;
use crate::http::Client;
use crate::path::RelPath;
use crate::plan::Plan;
use crate::report::{FileReport, Report, Status};
use crate::space;
use crate::transfer::Transfer;
use crate::{Error, Result};

/// How to run.
#[derive(Debug, Clone)]
pub struct Options {
    /// Files at a time.
    pub jobs: usize,
    /// Read files that were checked earlier again.
    pub check_again: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            jobs: 4,
            check_again: false,
        }
    }
}

/// Who is told how far it is. Called from several threads.
pub trait Progress: Sync {
    /// A file is being asked for.
    fn started(&self, path: &RelPath);
    /// So many bytes came, or were thrown away.
    fn moved(&self, bytes: i64);
    /// A file ended.
    fn ended(&self, file: &FileReport);
}

/// Brings the files of a plan to `out`.
///
/// # Errors
/// Too little room, another fetch at work there, a folder that cannot be made. What goes wrong with
/// a file is in its row.
pub fn fetch(
    plan: &Plan,
    out: &Path,
    client: &Client,
    options: &Options,
    progress: &dyn Progress,
) -> Result<Report> {
    let began = Instant::now();
    fs::create_dir_all(out).map_err(|source| Error::Io {
        path: out.to_owned(),
        source,
    })?;
    let needed = plan.missing();
    if let Some(free) = space::free(out)
        && needed.saturating_add(space::RESERVE) > free
        && needed > 0
    {
        return Err(Error::Space {
            path: out.to_owned(),
            free,
            needed,
            reserve: space::RESERVE,
        });
    }
    let folder = Folder::open(out)?;
    let transfer = Transfer {
        client,
        folder: &folder,
        progress,
        again: options.check_again,
    };
    let next = AtomicUsize::new(0);
    let stop = AtomicBool::new(false);
    let done: Mutex<Vec<(usize, FileReport)>> = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..options.jobs.clamp(1, plan.files.len().max(1)) {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some(wanted) = plan.files.get(at) else {
                        break;
                    };
                    let (report, disk) = transfer.bring(wanted);
                    stop.fetch_or(disk, Ordering::Relaxed);
                    progress.ended(&report);
                    done.lock()
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .push((at, report));
                }
            });
        }
    });
    let done = done
        .into_inner()
        .unwrap_or_else(std::sync::PoisonError::into_inner);
    let mut rows: Vec<FileReport> = plan
        .files
        .iter()
        .map(|w| FileReport {
            size: w.size,
            reason: Some("the fetch ended before its turn".into()),
            ..FileReport::new(w.path.as_str(), Status::NotTried)
        })
        .collect();
    for (at, report) in done {
        rows[at] = report;
    }
    rows.extend(plan.refused.iter().map(|(name, why)| FileReport {
        reason: Some(why.clone()),
        ..FileReport::new(name, Status::Refused)
    }));
    rows.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(Report {
        dataset: plan.dataset.clone(),
        received: rows.iter().map(|f| f.received).sum(),
        files: rows,
        seconds: began.elapsed().as_secs_f64(),
    })
}
