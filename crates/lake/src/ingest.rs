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

mod answers;
mod bridge;
mod codec;
mod conditioned;
mod cut;
mod decode;
mod eeg;
mod intervals;
mod labels;
mod operators;
mod plan;
mod raw;
mod report;
mod resume;
mod rows;
mod sounds;
mod streamed;
mod work;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use datafusion::catalog::memory::{DataSourceExec, MemorySourceConfig};
use datafusion::execution::TaskContext;
use datafusion::physical_plan::ExecutionPlan;
use futures::{StreamExt, stream};
use mmpipe_corpora::Scan;
use mmpipe_signal::recipe::Recipe;

pub use codec::IngestCodec;
pub use report::{IgnoredFile, IngestReport, Progress, RecordingReport};
pub use rows::{ChannelRow, Dropped, RecordingRow};
pub use sounds::StimulusRow;
pub(crate) use sounds::audio_path;

use crate::{Error, Lake, Result};
pub(crate) use operators::shard_path;
use operators::{EpochsExec, WriteShardsExec};
use plan::Plan;
use resume::Earlier;
use work::{Work, WorkStream};

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
}

/// What the steps of one ingest share.
#[derive(Clone, Copy)]
struct Job<'a> {
    lake: &'a Lake,
    raw: &'a Path,
    recipe: &'a Arc<Recipe>,
    threads: usize,
    progress: &'a dyn Progress,
}

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
    } = request;
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
        removed: Vec::new(),
        notes: std::mem::take(&mut plan.notes),
    };
    let bytes = plan
        .works
        .iter()
        .map(|w| u64::try_from(w.bytes).unwrap_or(0))
        .sum();
    progress.planned(plan.works.len(), bytes);
    if dry_run {
        report
            .recordings
            .extend(plan.works.iter().map(|w| expected(&plan, w, &recipe)));
        report.recordings.sort_by(|a, b| a.path.cmp(&b.path));
        return Ok(report);
    }

    let threads = match threads {
        0 => std::thread::available_parallelism().map_or(1, usize::from),
        n => n,
    };
    let mut earlier = Earlier::load(lake, &scan.dataset, &recipe.name)?;
    earlier.sweep(lake)?;
    let job = Job {
        lake,
        raw: &raw,
        recipe: &recipe,
        threads,
        progress,
    };
    store_sounds(&job, &scan, &mut plan, &mut earlier, &mut report).await?;
    for work in &mut plan.works {
        work.plan_hash = work.hash();
    }
    let to_do = skip_done(&job, &plan, &mut earlier, &mut report).await?;
    run(&job, &to_do, &plan, &mut earlier, &mut report).await?;
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
    assemble(lake.root(), &request.raw, &recipe, &plan.works)
}

/// Work list → epochs → shards.
fn assemble(
    lake: &Path,
    raw: &Path,
    recipe: &Arc<Recipe>,
    works: &[Work],
) -> Result<Arc<dyn ExecutionPlan>> {
    let partitions = works
        .iter()
        .map(|w| work::encode(w).map(|b| vec![b]))
        .collect::<Result<Vec<_>>>()?;
    let list: Arc<DataSourceExec> =
        MemorySourceConfig::try_new_exec(&partitions, work::schema(), None)?;
    let epochs = EpochsExec::new(list, raw.to_path_buf(), recipe.clone())?;
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

fn expected(plan: &Plan, work: &Work, recipe: &Recipe) -> RecordingReport {
    let cut = plan.expected(work, recipe);
    let mut row = RecordingRow::planned(work, recipe);
    row.status = "planned".into();
    row.seconds = plan.seconds.get(&work.path).copied().unwrap_or(0.0);
    row.epochs = cut.epochs.len() as i64;
    row.dropped = cut
        .dropped
        .iter()
        .map(|(reason, (epochs, seconds))| Dropped {
            reason: reason.clone(),
            epochs: *epochs,
            seconds: *seconds,
        })
        .collect();
    RecordingReport::new(&row, work.trials.len(), false)
}

/// Decodes the sounds that trials refer to and writes their segments' keys into the work list.
async fn store_sounds(
    job: &Job<'_>,
    scan: &Scan,
    plan: &mut Plan,
    earlier: &mut Earlier,
    report: &mut IngestReport,
) -> Result<()> {
    let Job {
        lake,
        raw,
        recipe,
        threads,
        progress,
    } = *job;
    let sfreq = f64::from(recipe.audio.sfreq);
    let sample = |offset: f64| (offset * sfreq).round() as i64;
    let n = sounds::segment_samples(&recipe.audio).max(1);
    let mut phases: BTreeMap<&str, BTreeSet<i32>> = plan
        .sounds
        .keys()
        .map(|path| (path.as_str(), BTreeSet::new()))
        .collect();
    let wanted: HashMap<&str, ()> = plan.works.iter().map(|w| (w.path.as_str(), ())).collect();
    for ((path, _), streams) in &plan.streams {
        if wanted.contains_key(path.as_str()) {
            for s in streams {
                if let Some(phases) = phases.get_mut(s.stimulus.as_str()) {
                    phases.insert(sample(s.offset).rem_euclid(n) as i32);
                }
            }
        }
    }
    let requests: Vec<sounds::Request> = phases
        .into_iter()
        .filter(|(_, phases)| !phases.is_empty())
        .map(|(path, phases)| sounds::Request {
            lake: lake.root().to_path_buf(),
            file: scan
                .places
                .get(path)
                .cloned()
                .unwrap_or_else(|| raw.join(path)),
            recipe: recipe.clone(),
            dataset: report.dataset.clone(),
            path: path.to_string(),
            sound: plan.sounds.get(path).cloned().unwrap_or_default(),
            phases,
            earlier: earlier.stimuli.get(path).cloned(),
        })
        .collect();
    let mut lengths: HashMap<String, i64> = HashMap::new();
    let mut done = stream::iter(requests)
        .map(|request| tokio::task::spawn_blocking(move || sounds::store(request)))
        .buffered(threads);
    while let Some(result) = done.next().await {
        let (row, _) = result.map_err(|e| Error::Empty(format!("a worker stopped: {e}")))??;
        match (row.status.as_str(), row.seconds) {
            (rows::OK, Some(seconds)) => {
                lengths.insert(row.path.clone(), (seconds * sfreq).round() as i64);
            }
            _ => report.notes.push(format!(
                "{}: {}; trials with it are kept without it",
                row.path,
                row.reason.as_deref().unwrap_or("cannot be read")
            )),
        }
        progress.stimulus(&row);
        report.stimuli.push(row.clone());
        earlier.stimuli.insert(row.path.clone(), row);
    }
    drop(done);
    if !report.stimuli.is_empty() {
        earlier.save_stimuli(lake)?;
    }
    for work in &mut plan.works {
        for trial in &mut work.trials {
            let Some(streams) = plan.streams.get(&(work.path.clone(), trial.trial)) else {
                continue;
            };
            trial.streams = streams
                .iter()
                .filter_map(|s| {
                    let length = *lengths.get(&s.stimulus)?;
                    let stimulus_id = sounds::stimulus_id(&report.dataset, &s.stimulus);
                    Some(WorkStream {
                        stimulus_id,
                        role: s.role.clone(),
                        offset: sample(s.offset),
                        length,
                    })
                })
                .collect();
        }
    }
    Ok(())
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
    } = *job;
    let mut to_do = Vec::new();
    let mut works = plan.works.clone();
    hash_parts(raw, &mut works).await?;
    let mut checks = stream::iter(works)
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
                            decode::sha256(f.header().files.iter().map(PathBuf::as_path))
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

/// Hashes each file that holds several recordings once for all of them.
async fn hash_parts(raw: &Path, works: &mut [Work]) -> Result<()> {
    let mut files: BTreeMap<String, Option<String>> = works
        .iter()
        .filter(|w| w.tree.is_some())
        .filter_map(|w| Some((w.file.clone()?, None)))
        .collect();
    for (file, sha256) in &mut files {
        let path = raw.join(file);
        // A file that cannot be read now is rejected when it is decoded.
        *sha256 = tokio::task::spawn_blocking(move || {
            decode::sha256(std::iter::once(path.as_path())).ok()
        })
        .await
        .map_err(|e| Error::Empty(format!("a worker stopped: {e}")))?;
    }
    for work in works.iter_mut().filter(|w| w.tree.is_some()) {
        if let Some(sha256) = work.file.as_ref().and_then(|f| files.get(f)) {
            work.sha256.clone_from(sha256);
        }
    }
    Ok(())
}

/// Executes the plan over `to_do`.
async fn run(
    job: &Job<'_>,
    to_do: &[Work],
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
    } = *job;
    let physical = assemble(lake.root(), raw, recipe, to_do)?;
    let trials: HashMap<&str, usize> = plan
        .works
        .iter()
        .map(|w| (w.path.as_str(), w.trials.len()))
        .collect();
    // Largest first, so that the last thread to finish has little left.
    let mut order: Vec<usize> = (0..to_do.len()).collect();
    order.sort_by_key(|&i| std::cmp::Reverse(to_do.get(i).map_or(0, |w| w.bytes)));
    let context = Arc::new(TaskContext::default());
    let mut done = stream::iter(order)
        .map(|partition| {
            let (physical, context) = (physical.clone(), context.clone());
            tokio::spawn(async move {
                let stream = physical.execute(partition, context)?;
                datafusion::physical_plan::common::collect(stream).await
            })
        })
        .buffer_unordered(threads);
    let mut saved = Instant::now();
    let mut failed = None;
    while let Some(result) = done.next().await {
        let batches = match result {
            Ok(Ok(batches)) => batches,
            // The lake cannot be written: nothing that follows could be.
            Ok(Err(e)) => {
                failed = Some(unwrap(e));
                break;
            }
            Err(e) => {
                failed = Some(Error::Empty(format!("a worker stopped: {e}")));
                break;
            }
        };
        for row in batches
            .iter()
            .map(rows::from_batch)
            .collect::<Result<Vec<_>>>()?
            .into_iter()
            .flatten()
        {
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
