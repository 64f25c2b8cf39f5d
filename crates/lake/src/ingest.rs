//! Ingest: raw recordings to shards, as a DataFusion plan.
//!
//! ```text
//! manifest's SQL over the raw metadata tables            plan
//!   └─ work list, one partition a recording              DataSourceExec (memory)
//!        └─ decode, condition, cut, normalise            EpochsExec
//!             └─ one Parquet file a recording            WriteShardsExec
//!                  └─ rows of table recordings
//! ```
//!
//! The leaf is DataFusion's own memory source and both operators are interior, so that a
//! distributed scheduler can hand out the partitions one by one; [`IngestCodec`] carries the
//! plan there. Here, partitions run on this machine, as many at a time as there are threads,
//! the largest recordings first. A shard depends on its recording alone, so neither order nor
//! number of threads changes a byte.

mod ahead;
mod alignment;
mod answers;
mod bridge;
mod codec;
mod conditioned;
mod cut;
mod decode;
mod eeg;
mod grid;
mod hashes;
mod intervals;
mod labels;
mod operators;
mod pairing;
mod plan;
mod raw;
mod report;
mod resume;
mod rows;
mod sounds;
mod stimuli;
mod streamed;
mod streams;
mod work;

use std::collections::{BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, stream};
use mmpipe_corpora::Scan;
use mmpipe_signal::recipe::Recipe;
use tokio::sync::Semaphore;

pub use ahead::Ahead;
pub use codec::IngestCodec;
pub use grid::{Grid, sound_of};
pub use report::{
    AlignmentSummary, BeyondEeg, IgnoredFile, IngestReport, Progress, RecordingReport,
};
pub use rows::{Alignment, ChannelRow, Dropped, RecordingRow};
pub(crate) use sounds::audio_path;
pub use stimuli::StimulusRow;

use crate::{Error, Lake, Result};
use alignment::Aligner;
pub(crate) use operators::shard_path;
use operators::{EpochsExec, WriteShardsExec};
use plan::Plan;
use resume::Earlier;
use work::Work;

/// What to ingest, and how.
#[derive(Debug, Clone)]
pub struct IngestRequest {
    /// The raw folder's metadata and the manifest's queries.
    pub scan: Scan,
    /// The raw folder.
    pub raw: PathBuf,
    /// The preprocessing.
    pub recipe: Recipe,
    /// Recordings in work at one time; 0 = one a core.
    pub threads: usize,
    /// Plan and report, but write nothing.
    pub dry_run: bool,
    /// What was begun while the folder was scanned.
    pub ahead: Arc<Ahead>,
}

/// What the steps of one ingest share.
#[derive(Clone, Copy)]
struct Job<'a> {
    lake: &'a Lake,
    raw: &'a Path,
    recipe: &'a Arc<Recipe>,
    threads: usize,
    ahead: &'a Arc<Ahead>,
    progress: &'a dyn Progress,
}

/// Recordings that may be on their way to the disk while the next are decoded: a core need not wait
/// for a sync.
const ON_THE_WAY: usize = 2;

/// Time between two writes of the `recordings` table while an ingest runs: what is done by
/// then is not done again after a crash.
const SAVE_EVERY: Duration = Duration::from_secs(5);

/// Brings a data set into the lake. Recordings already there and unchanged are skipped; those
/// whose raw file is gone are removed; one that cannot be read becomes a row with status
/// `rejected` and does not stop the others.
///
/// # Errors
/// [`Error::Manifest`] and [`Error::Collision`] when the queries give something unusable,
/// [`Error::Empty`] when no file belongs to the data set, [`Error::Io`] when the lake cannot
/// be written. What was committed before an error stays, and the next ingest goes on from there.
pub async fn ingest(
    lake: &Lake,
    request: IngestRequest,
    progress: &dyn Progress,
) -> Result<IngestReport> {
    let IngestRequest {
        scan,
        raw,
        recipe,
        threads,
        dry_run,
        ahead,
    } = request;
    ahead.stop();
    check_recipe(&recipe)?;
    let raw = std::fs::canonicalize(&raw).map_err(Error::io("open raw folder", &raw))?;
    let recipe = Arc::new(recipe);
    let mut plan = plan::plan(&scan, &recipe).await?;
    if plan.works.is_empty() && plan.rejected.is_empty() {
        let why = plan
            .ignored
            .first()
            .map_or(String::new(), |(path, reason)| {
                format!("; {path}: {reason}")
            });
        return Err(Error::Empty(format!(
            "no file under {} is a recording of {} ({} files ignored{why})",
            raw.display(),
            scan.dataset,
            plan.ignored.len()
        )));
    }
    let mut report = IngestReport {
        dataset: scan.dataset.clone(),
        recipe: recipe.name.clone(),
        recipe_hash: recipe.hash(),
        dry_run,
        recordings: plan
            .rejected
            .iter()
            .map(|r| RecordingReport::new(r, 0, false))
            .collect(),
        stimuli: Vec::new(),
        ignored: plan
            .ignored
            .iter()
            .map(|(path, reason)| IgnoredFile {
                path: path.clone(),
                reason: reason.clone(),
            })
            .collect(),
        beyond_eeg: BeyondEeg::default(),
        removed: Vec::new(),
        notes: std::mem::take(&mut plan.notes),
    };
    let bytes = plan
        .works
        .iter()
        .map(|w| u64::try_from(w.bytes).unwrap_or(0))
        .sum();
    progress.planned(plan.works.len(), bytes);
    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let job = Job {
        lake,
        raw: &raw,
        recipe: &recipe,
        threads,
        ahead: &ahead,
        progress,
    };
    if dry_run {
        pairing::look(&job, &scan, &mut plan, &mut report);
        report
            .recordings
            .extend(plan.works.iter().map(|w| expected(&job, &plan, w)));
        report.recordings.sort_by(|a, b| a.path.cmp(&b.path));
        return Ok(report);
    }
    let mut earlier = Earlier::load(lake, &scan.dataset, &recipe.name)?;
    earlier.sweep(lake)?;
    // Beside the sounds, where there is a thread for it: these files are long.
    let hashes = hashes::of_files(&raw, hashes::with_parts(&plan.works), threads, &ahead);
    let stored = pairing::store(&job, &scan, &mut plan, &mut earlier, &mut report);
    let hashes = if threads > 1 {
        let (hashes, stored) = futures::join!(hashes, stored);
        stored.and(hashes)?
    } else {
        stored.await?;
        hashes.await?
    };
    for work in &mut plan.works {
        if work.tree.is_some()
            && let Some(sha256) = hashes.get(work.raw_file())
        {
            work.sha256.clone_from(sha256);
        }
        work.plan_hash = work.hash();
    }
    let to_do = skip_done(&job, &plan, &mut earlier, &mut report).await?;
    let aligner = Arc::new(Aligner::new(&job, &scan, &plan));
    run(&job, &to_do, aligner, &plan, &mut earlier, &mut report).await?;
    let mut current: BTreeSet<String> = plan.works.iter().map(|w| w.path.clone()).collect();
    for row in std::mem::take(&mut plan.rejected) {
        current.insert(row.path.clone());
        earlier.put(row);
    }
    report.removed = earlier.remove_orphans(lake, &raw, &plan, &current, &scan)?;
    earlier.save(lake)?;
    report.notes.extend(earlier.repeated());
    report.recordings.sort_by(|a, b| a.path.cmp(&b.path));
    Ok(report)
}

/// The ingest's physical plan over a work list, for executing it elsewhere: see [`IngestCodec`].
/// One partition a recording, in order of path; skips nothing.
///
/// # Errors
/// As [`ingest`], except that sounds are neither decoded nor referred to.
pub async fn physical_plan(lake: &Lake, request: &IngestRequest) -> Result<Arc<dyn ExecutionPlan>> {
    check_recipe(&request.recipe)?;
    let recipe = Arc::new(request.recipe.clone());
    let mut plan = plan::plan(&request.scan, &recipe).await?;
    for work in &mut plan.works {
        work.plan_hash = work.hash();
    }
    assemble(lake.root(), &request.raw, &recipe, &plan.works, None)
}

/// Work list → epochs → shards.
fn assemble(
    lake: &Path,
    raw: &Path,
    recipe: &Arc<Recipe>,
    works: &[Work],
    permits: Option<Arc<Semaphore>>,
) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = works
        .iter()
        .map(|w| work::encode(w).map(|b| vec![b]))
        .collect::<Result<Vec<_>>>()?;
    let list: Arc<DataSourceExec> =
        MemorySourceConfig::try_new_exec(&partitions, work::schema(), None)?;
    let mut epochs = EpochsExec::new(list, raw.to_path_buf(), recipe.clone())?;
    if let Some(permits) = permits {
        epochs = epochs.limited(permits);
    }
    Ok(Arc::new(WriteShardsExec::new(
        Arc::new(epochs),
        lake.to_path_buf(),
        recipe.clone(),
    )?))
}

fn check_recipe(recipe: &Recipe) -> Result<()> {
    let wrong = |message: String| Error::Schema {
        table: format!("recipe {}", recipe.name),
        message,
    };
    if recipe.audio.sfreq != mmpipe_signal::audio::SFREQ {
        return Err(wrong(format!(
            "audio.sfreq: expected {}, found {}",
            mmpipe_signal::audio::SFREQ,
            recipe.audio.sfreq
        )));
    }
    if recipe.audio.segment_seconds != recipe.epoch_seconds {
        return Err(wrong(format!(
            "audio.segment_seconds: expected epoch_seconds = {}, so that an epoch has one segment of each sound, found {}",
            recipe.epoch_seconds, recipe.audio.segment_seconds
        )));
    }
    let times = recipe.epoch_seconds * recipe.sfreq;
    if (times - times.round()).abs() > 1e-6 {
        return Err(wrong(format!(
            "epoch_seconds × sfreq: expected a whole number of samples, found {times}"
        )));
    }
    Ok(())
}

/// What a dry run says of a recording: what its file promises, or where that cannot be opened now
/// (in an archive that stays packed), what the scan's length does.
fn expected(job: &Job<'_>, plan: &Plan, work: &Work) -> RecordingReport {
    let row = decode::outline(work, job.raw, job.recipe);
    let mut row = row.unwrap_or_else(|_| {
        let cut = plan.expected(work, job.recipe);
        let mut row = RecordingRow::planned(work, job.recipe);
        row.seconds = plan.seconds.get(&work.path).copied().unwrap_or(0.0);
        row.epochs = cut.epochs.len() as i64;
        row.dropped = decode::dropped(&cut);
        row
    });
    row.status = "planned".into();
    RecordingReport::new(&row, work.trials.len(), false)
}

/// Works that are not in the lake as they would be written now. Files that an earlier ingest
/// knew are hashed here, so that only changed ones are decoded.
async fn skip_done(
    job: &Job<'_>,
    plan: &Plan,
    earlier: &mut Earlier,
    report: &mut IngestReport,
) -> Result<Vec<Work>> {
    let Job {
        lake,
        raw,
        recipe,
        threads,
        progress,
        ..
    } = *job;
    let mut to_do = Vec::new();
    let mut checks = stream::iter(plan.works.clone())
        .map(|mut work| {
            let old = earlier.candidate(lake, &work, recipe).cloned();
            let path = raw.join(work.raw_file());
            tokio::task::spawn_blocking(move || {
                if old.is_none() {
                    return (work, None);
                }
                // A file that cannot be read now is rejected when it is decoded.
                if work.sha256.is_none() {
                    let hash = mmpipe_formats::open(&path)
                        .map_err(Error::from)
                        .and_then(|f| {
                            hashes::sha256(f.header().files.iter().map(PathBuf::as_path))
                        });
                    work.sha256 = hash.ok();
                }
                let same = old.filter(|old| work.sha256.is_some() && old.sha256 == work.sha256);
                (work, same)
            })
        })
        .buffered(threads);
    while let Some(checked) = checks.next().await {
        match checked.map_err(|e| Error::Empty(format!("a worker stopped: {e}")))? {
            (work, None) => to_do.push(work),
            (work, Some(row)) => {
                let done = RecordingReport::new(&row, work.trials.len(), true);
                progress.recording(&done);
                report.recordings.push(done);
            }
        }
    }
    Ok(to_do)
}

/// Executes one partition of the plan: the rows of its recording.
async fn one(
    physical: Arc<dyn ExecutionPlan>,
    partition: usize,
    work: Option<Work>,
    aligner: Arc<Aligner>,
    permits: Arc<Semaphore>,
) -> Result<Vec<RecordingRow>> {
    let stream = physical
        .execute(partition, Arc::default())
        .map_err(unwrap)?;
    let batches = datafusion::physical_plan::common::collect(stream)
        .await
        .map_err(unwrap)?;
    let mut rows = Vec::new();
    for batch in &batches {
        rows.extend(rows::from_batch(batch)?);
    }
    let Some(work) = work.filter(|_| !aligner.is_idle()) else {
        return Ok(rows);
    };
    // Closed it would let everyone through; it never is.
    let _permit = permits.acquire().await.ok();
    tokio::task::spawn_blocking(move || {
        rows.iter_mut().for_each(|row| aligner.measure(&work, row));
        rows
    })
    .await
    .map_err(|e| Error::Empty(format!("a worker stopped: {e}")))
}

/// Executes the plan over `to_do`.
async fn run(
    job: &Job<'_>,
    to_do: &[Work],
    aligner: Arc<Aligner>,
    plan: &Plan,
    earlier: &mut Earlier,
    report: &mut IngestReport,
) -> Result<()> {
    let Job {
        lake,
        raw,
        recipe,
        threads,
        progress,
        ..
    } = *job;
    let permits = Arc::new(Semaphore::new(threads));
    let physical = assemble(lake.root(), raw, recipe, to_do, Some(permits.clone()))?;
    let trials: HashMap<&str, usize> = plan
        .works
        .iter()
        .map(|w| (w.path.as_str(), w.trials.len()))
        .collect();
    let is_open = |file: &str| mmpipe_formats::tree::is_shared(&raw.join(file));
    let mut done = stream::iter(work::order(to_do, threads, is_open))
        .map(|partition| {
            let work = to_do.get(partition).cloned();
            let (physical, permits) = (physical.clone(), permits.clone());
            tokio::spawn(one(physical, partition, work, aligner.clone(), permits))
        })
        .buffer_unordered(threads + ON_THE_WAY);
    let mut saved = Instant::now();
    let mut failed = None;
    while let Some(result) = done.next().await {
        let rows = match result {
            Ok(Ok(rows)) => rows,
            // The lake cannot be written: nothing that follows could be.
            Ok(Err(e)) => {
                failed = Some(e);
                break;
            }
            Err(e) => {
                failed = Some(Error::Empty(format!("a worker stopped: {e}")));
                break;
            }
        };
        for row in rows {
            let one = RecordingReport::new(
                &row,
                trials.get(row.path.as_str()).copied().unwrap_or(0),
                false,
            );
            progress.recording(&one);
            report.recordings.push(one);
            earlier.put(row);
        }
        if saved.elapsed() > SAVE_EVERY {
            earlier.save(lake)?;
            saved = Instant::now();
        }
    }
    drop(done);
    match failed {
        None => Ok(()),
        Some(e) => {
            // Keep the account of what is committed, if the disk lets us.
            let _ = earlier.save(lake);
            Err(e)
        }
    }
}

/// Our own error back out of the engine's.
fn unwrap(e: datafusion::error::DataFusionError) -> Error {
    use datafusion::error::DataFusionError as D;
    match e {
        D::External(e) => match e.downcast::<Error>() {
            Ok(e) => *e,
            Err(e) => Error::Query(D::External(e)),
        },
        D::Context(_, e) => unwrap(*e),
        e => Error::Query(e),
    }
}
