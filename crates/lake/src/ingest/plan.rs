//! From a scan to a work list: the manifest's queries run over the raw metadata tables, and
//! their answers, checked, become one [`Work`] a recording.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use datafusion::datasource::MemTable;
use datafusion::prelude::{Expr, SessionConfig, SessionContext};
use mmpipe_corpora::Scan;
use mmpipe_signal::recipe::Recipe;

use super::answers::{read_channels, read_trials};
use super::cut::{self, Bounds, Span};
use super::intervals::{self, Labelled};
use super::raw::{Rows, Values};
use super::rows::{self, ChannelRow, RecordingRow};
use super::streams::{Sound, Stream};
use super::work::{Work, WorkChannel, WorkTrial};
use crate::lake::path_value;
use crate::{Error, Result};

/// What an ingest is to do.
#[derive(Debug, Default)]
pub(crate) struct Plan {
    /// Recordings to cut, by path. Streams and hashes are still to be filled in.
    pub(crate) works: Vec<Work>,
    /// Length of each, in s, as the scan found it.
    pub(crate) seconds: BTreeMap<String, f64>,
    /// Recordings that the scan refused.
    pub(crate) rejected: Vec<RecordingRow>,
    /// Files that are no recordings of this data set, and why.
    pub(crate) ignored: Vec<(String, String)>,
    /// Sounds per (path, trial).
    pub(crate) streams: HashMap<(String, i32), Vec<Stream>>,
    /// Everything known of the sounds.
    pub(crate) sounds: BTreeMap<String, Sound>,
    /// Remarks for the report.
    pub(crate) notes: Vec<String>,
}

/// What the scan has to say: each known fault once, of warnings one of each code.
const DIAGNOSTICS: &str = "\
    SELECT code, CASE code WHEN 'known-fault' THEN message END AS fault, \
           count(*) AS n, min(path || ': ' || message) AS example \
    FROM diagnostics WHERE severity = 'warning' OR code = 'known-fault' \
    GROUP BY 1, 2 ORDER BY 1, 4";

/// The queries that are written here, which order their rows themselves.
const OURS: [&str; 3] = ["channels", "files", "diagnostics"];

/// Runs the queries and checks what they give.
pub(crate) async fn plan(scan: &Scan, recipe: &Recipe) -> Result<Plan> {
    let mut config = SessionConfig::new().with_information_schema(true);
    // `CAST(x AS VARCHAR)` is then of the type that the raw tables have, so that UNION fits.
    config.options_mut().sql_parser.map_string_types_to_utf8view = false;
    let ctx = SessionContext::new_with_config(config);
    for (name, batch) in &scan.tables {
        let table = MemTable::try_new(batch.schema(), vec![vec![batch.clone()]])?;
        ctx.register_table(
            datafusion::common::TableReference::bare(name.as_str()),
            std::sync::Arc::new(table),
        )?;
    }
    let run = async |what: &'static str, sql: &str| -> Result<Rows> {
        let explain = |e: datafusion::error::DataFusionError| Error::Manifest {
            dataset: scan.dataset.clone(),
            query: what,
            message: e.strip_backtrace(),
        };
        let frame = ctx.sql(sql).await.map_err(explain)?;
        // A manifest's query need not order its rows, and threads would.
        let every = frame.schema().columns().into_iter().map(Expr::Column);
        let frame = if OURS.contains(&what) {
            frame
        } else {
            frame.sort_by(every.collect()).map_err(explain)?
        };
        let schema = frame.schema().inner().clone();
        let batches = frame.collect().await.map_err(explain)?;
        Rows::new(&scan.dataset, what, schema, &batches)
    };

    let mut plan = Plan::default();
    let mut channels = read_channels(
        &run("channels", "SELECT * FROM channels ORDER BY path, channel").await?,
        scan.mixed_rates,
    )?;
    let files = run("files", "SELECT * FROM files ORDER BY path").await?;
    let mut trials = read_trials(&run("trials", &scan.trials_sql).await?, &scan.labels)?;
    let mut labelled = match &scan.intervals_sql {
        Some(sql) => intervals::read(&run("intervals", sql).await?, &scan.labels)?,
        None => BTreeMap::new(),
    };
    let read = Files {
        scan,
        recipe,
        files: &files,
    };
    read.to_plan(&mut plan, &mut channels, &mut trials, &mut labelled)?;
    let unknown = |query: &'static str, path: Option<&String>| match path {
        Some(path) => Err(Error::Manifest {
            dataset: scan.dataset.clone(),
            query,
            message: format!("path {path:?} is not a file of table `files`"),
        }),
        None => Ok(()),
    };
    unknown("trials", trials.keys().find(|path| !plan.knows(path)))?;
    unknown("intervals", labelled.keys().find(|path| !plan.knows(path)))?;
    if let Some(sql) = &scan.streams_sql {
        plan.read_streams(&run("streams", sql).await?)?;
    }
    if let Some(sql) = &scan.stimuli_sql {
        plan.read_stimuli(&run("stimuli", sql).await?)?;
    }
    if scan.table("diagnostics").is_some() {
        plan.read_diagnostics(&run("diagnostics", DIAGNOSTICS).await?)?;
    }
    plan.inherit_content();
    plan.check_keys(recipe)?;
    Ok(plan)
}

/// Table `files` and what it is read with.
struct Files<'a> {
    scan: &'a Scan,
    recipe: &'a Recipe,
    files: &'a Rows,
}

/// Columns of table `files` that every data set has.
const COMMON: [&str; 12] = [
    "path",
    "subject",
    "session",
    "run",
    "container",
    "bytes",
    "sfreq",
    "n_channels",
    "seconds",
    "start_time",
    "status",
    "reason",
];

impl Files<'_> {
    /// The file that a recording is read from, where it is not its path.
    fn file(&self, path: &str) -> Option<String> {
        let part = self.scan.parts.get(path).map(|p| p.file.as_str());
        match self.scan.places.get(part.unwrap_or(path)) {
            // A name that is not UTF-8 is not found, and the recording rejected.
            Some(place) => Some(place.to_string_lossy().into_owned()),
            None => part.map(str::to_owned),
        }
    }

    /// The columns that the manifest's patterns add, in their order.
    fn other_groups(&self) -> Result<Vec<(String, Values<String>)>> {
        let names = self
            .files
            .names()
            .into_iter()
            .filter(|n| !COMMON.contains(&n.as_str()));
        names
            .map(|n| Ok((n.clone(), self.files.text(&n)?)))
            .collect()
    }

    fn to_plan(
        &self,
        plan: &mut Plan,
        channels: &mut BTreeMap<String, Vec<WorkChannel>>,
        trials: &mut BTreeMap<String, Vec<WorkTrial>>,
        labelled: &mut BTreeMap<String, Labelled>,
    ) -> Result<()> {
        let rows = self.files;
        let (path, status, reason) = (
            rows.text("path")?,
            rows.text("status")?,
            rows.text("reason")?,
        );
        let (subject, session, run) = (
            rows.text("subject")?,
            rows.text_or_absent("session")?,
            rows.text_or_absent("run")?,
        );
        let (bytes, seconds, container) = (
            rows.long("bytes")?,
            rows.double("seconds")?,
            rows.text("container")?,
        );
        let groups = self.other_groups()?;
        let place = |i: usize| (subject.get(i), session.get(i), run.get(i));
        let recordings = || {
            (0..rows.len())
                .filter(|&i| matches!(status.get(i).as_deref(), Some("ok" | rows::REJECTED)))
        };
        let distinct: BTreeSet<_> = recordings().map(place).collect();
        let crowded = distinct.len() < recordings().count();
        if crowded && !groups.is_empty() {
            let names: Vec<&str> = groups.iter().map(|(name, _)| name.as_str()).collect();
            plan.notes.push(format!(
                "several recordings share subject, session and run: column run says {} too",
                names.join(", ")
            ));
        }
        for i in 0..rows.len() {
            let Some(path) = path.get(i) else {
                return Err(rows.wrong(format!("row {i} has no path")));
            };
            let reason = reason.get(i);
            let labels = labelled.remove(&path).unwrap_or_default();
            let part = self.scan.parts.get(&path);
            let mut work = Work {
                recording_id: recording_id(&self.scan.dataset, &path),
                dataset: self.scan.dataset.clone(),
                subject: subject.get(i).unwrap_or_default(),
                session: session.get(i),
                run: if crowded {
                    run_with(&groups, run.get(i), i)
                } else {
                    run.get(i)
                },
                bytes: bytes.get(i).unwrap_or(0),
                path: path.clone(),
                file: self.file(&path),
                tree: part.map(|p| p.tree.clone()),
                ..Default::default()
            };
            match status.get(i).as_deref() {
                Some("ok") if work.subject.is_empty() => {
                    let mut row = RecordingRow::planned(&work, self.recipe);
                    row.subject = None;
                    row.reject("no rule of the manifest gives it a subject".into());
                    plan.rejected.push(row);
                }
                Some("ok") => {
                    work.channels = channels.remove(&path).unwrap_or_default();
                    work.trials = trials.remove(&path).unwrap_or_default();
                    work.intervals = labels.intervals;
                    work.label_names = labels.names;
                    if labels.backwards > 0 {
                        plan.notes.push(format!(
                            "{path}: {} intervals stop before they start and label nothing",
                            labels.backwards
                        ));
                    }
                    plan.seconds.insert(path, seconds.get(i).unwrap_or(0.0));
                    plan.works.push(work);
                }
                Some(rows::REJECTED) => {
                    trials.remove(&path);
                    let mut row = RecordingRow::planned(&work, self.recipe);
                    row.subject = subject.get(i);
                    row.container = container.get(i);
                    row.channels = channels
                        .remove(&path)
                        .unwrap_or_default()
                        .into_iter()
                        .map(channel_row)
                        .collect();
                    row.seconds = seconds.get(i).unwrap_or(0.0);
                    row.reject(reason.unwrap_or_else(|| "the scan gives no reason".into()));
                    plan.rejected.push(row);
                }
                Some("ignored") => {
                    trials.remove(&path);
                    plan.ignored.push((path, reason.unwrap_or_default()));
                }
                Some("side-car" | "stimulus") => {}
                other => return Err(rows.wrong(format!("{path:?} has status {other:?}"))),
            }
        }
        Ok(())
    }
}

/// A run told apart by the file's other groups, as BIDS writes them: `task-rest_run-1`.
fn run_with(
    groups: &[(String, Values<String>)],
    run: Option<String>,
    row: usize,
) -> Option<String> {
    let mut parts: Vec<String> = groups
        .iter()
        .filter_map(|(name, values)| Some(format!("{name}-{}", values.get(row)?)))
        .collect();
    parts.extend(run.map(|run| {
        if parts.is_empty() {
            run
        } else {
            format!("run-{run}")
        }
    }));
    (!parts.is_empty()).then(|| parts.join("_"))
}

fn channel_row(c: WorkChannel) -> ChannelRow {
    ChannelRow {
        raw_name: c.raw_name,
        kind: c.kind,
        name: c.name,
        unit: c.unit,
        reason: c.reason,
        distance: c.distance,
    }
}

impl Plan {
    fn knows(&self, path: &str) -> bool {
        self.seconds.contains_key(path) || self.rejected.iter().any(|r| r.path == path)
    }

    /// Puts what the scan has to say into the remarks.
    fn read_diagnostics(&mut self, rows: &Rows) -> Result<()> {
        let (code, n, example) = (rows.text("code")?, rows.long("n")?, rows.text("example")?);
        for i in 0..rows.len() {
            let (code, example) = (code.get(i), example.get(i));
            let (code, example) = (code.unwrap_or_default(), example.unwrap_or_default());
            self.notes.push(match n.get(i) {
                Some(n) if n > 1 => format!("{code}, {n} in all, the first: {example}"),
                _ => format!("{code}: {example}"),
            });
        }
        Ok(())
    }

    /// No two epochs may get one key.
    fn check_keys(&self, recipe: &Recipe) -> Result<()> {
        let mut seen: HashMap<u64, (usize, i32, i32)> = HashMap::new();
        for (w, work) in self.works.iter().enumerate() {
            for epoch in self.expected(work, recipe).epochs {
                let Some(trial) = work.trials.get(epoch.trial) else {
                    continue;
                };
                let key = work.epoch_id(trial.trial, epoch.epoch);
                if let Some(&(other, other_trial, other_epoch)) = seen.get(&key) {
                    let tell = |w: usize, trial: i32, epoch: i32| {
                        let path = self.works.get(w).map_or("", |w| w.path.as_str());
                        format!("{path}, trial {trial}, epoch {epoch}")
                    };
                    return Err(Error::Collision {
                        key,
                        first: tell(other, other_trial, other_epoch),
                        second: tell(w, trial.trial, epoch.epoch),
                    });
                }
                seen.insert(key, (w, trial.trial, epoch.epoch));
            }
        }
        Ok(())
    }

    /// What the scan's lengths promise, gaps and filters left out of account.
    pub(crate) fn expected(&self, work: &Work, recipe: &Recipe) -> cut::Cut {
        let seconds = self
            .seconds
            .get(&work.path)
            .copied()
            .filter(|s| s.is_finite())
            .unwrap_or(0.0);
        let span = Span {
            onset: 0.0,
            seconds,
            samples: (seconds * recipe.sfreq).ceil() as usize,
            unusable: None,
        };
        let bounds: Vec<Bounds> = work.trials.iter().map(|t| t.bounds()).collect();
        cut::cut(&[span], &bounds, recipe.sfreq, recipe.epoch_seconds)
    }
}

/// Name of a recording in the lake: the file's name, readable, and a hash of where it lies.
pub(crate) fn recording_id(dataset: &str, path: &str) -> String {
    let name = path.rsplit('/').next().unwrap_or(path);
    let stem = name.rsplit_once('.').map_or(name, |(stem, _)| stem);
    let hash = xxhash_rust::xxh3::xxh3_64(format!("{dataset}/{path}").as_bytes());
    let stem = path_value(
        &stem
            .chars()
            .filter(|c| c.is_ascii_alphanumeric() || "._-".contains(*c))
            .take(60)
            .collect::<String>(),
    );
    format!("{stem}-{:08x}", hash >> 32)
}
