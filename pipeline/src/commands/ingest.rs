//! `mmpipe ingest`: a raw folder into the lake, every file accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;

use anyhow::{Context as _, Result, bail};
use mmpipe_corpora::{self as corpora, Filter, Manifest, Raw, Scan};
use mmpipe_lake::Lake;
use mmpipe_lake::ingest::{self as lake, Ahead, IngestReport, IngestRequest};
use mmpipe_signal::recipe::{self, Recipe};
use mmpipe_splits::{self as splits, AudioOnly};
use serde::Serialize;

use super::Status;
use crate::cli::IngestArgs;
use crate::context::Context;
use crate::progress::Bar;
use crate::render;

/// Folder of the lake that archives are unpacked to. It may be removed at any time.
const SCRATCH: &str = "unpacked";

pub(crate) fn run(ctx: &Context, args: &IngestArgs) -> Result<Status> {
    let Some(recipe) = Recipe::builtin(&args.recipe) else {
        bail!(
            "no recipe `{}`; there are {}",
            args.recipe,
            recipe::names().join(", ")
        );
    };
    let filter = Filter {
        subjects: args.subjects.clone(),
    };
    let ahead = Arc::new(Ahead::default());
    let (scan, raw) = match (&args.bids, &args.raw, &args.dataset) {
        (Some(root), _, dataset) => (
            corpora::scan_bids(root, dataset.as_deref(), &filter)?,
            root.clone(),
        ),
        (None, Some(raw), Some(dataset)) => {
            let mut manifest = ctx.manifest(dataset)?;
            if let Some(file) = &args.mapping {
                manifest = mapped(&manifest, file)?;
            }
            let raw = unpacked(ctx, &manifest, raw, args.dry_run)?;
            let told = |coming| {
                if !args.dry_run && ctx.threads != 1 {
                    ahead.begin(coming, ctx.lake_path(), &recipe, &manifest.name);
                }
            };
            (
                corpora::scan_raw_told(&manifest, &raw, &filter, told)?,
                raw.root().to_owned(),
            )
        }
        _ => bail!("ingest needs --dataset NAME --raw DIR, or --bids DIR"),
    };
    let lake = ctx.lake_or_new()?;
    let done = ingest(ctx, &lake, scan, &raw, recipe, args.dry_run, ahead)?;
    if ctx.global.json {
        render::json(&done)?;
    } else {
        print(&done)?;
    }
    // A sound that is missing is told and is no failure: its trials are there.
    Ok(Status::done_if(done.report.count("rejected") == 0))
}

/// What an ingest did, and what the sound alone tells of all that is now in the lake.
#[derive(Debug, Serialize)]
pub(super) struct Ingested {
    #[serde(flatten)]
    report: IngestReport,
    /// Absent in a dry run, and where there are neither sounds nor contents.
    audio_only: Option<AudioOnly>,
}

/// A manifest completed by a mapping file.
fn mapped(manifest: &Manifest, file: &Path) -> Result<Manifest> {
    let text = std::fs::read_to_string(file)
        .with_context(|| format!("cannot read mapping file {}", file.display()))?;
    Ok(manifest.mapped(&text, &file.display().to_string())?)
}

/// The raw folder with its archives unpacked below the lake; a dry run leaves them packed.
fn unpacked(ctx: &Context, manifest: &Manifest, raw: &Path, dry_run: bool) -> Result<Raw> {
    if dry_run {
        return Ok(Raw::unpack(manifest, raw, || None)?);
    }
    let mut failed = None;
    let scratch = || match ctx.lake_or_new() {
        Ok(lake) => Some(lake.root().join(SCRATCH)),
        Err(e) => {
            failed = Some(e);
            None
        }
    };
    let raw = Raw::unpack(manifest, raw, scratch)?;
    match failed {
        None => Ok(raw),
        Some(e) => Err(e),
    }
}

/// Runs the ingest with a progress bar.
pub(super) fn ingest(
    ctx: &Context,
    lake: &Lake,
    scan: Scan,
    raw: &Path,
    recipe: Recipe,
    dry_run: bool,
    ahead: Arc<Ahead>,
) -> Result<Ingested> {
    let bar = Bar::new(0, "ingest", ctx.global.quiet);
    let request = IngestRequest {
        scan,
        raw: raw.to_owned(),
        recipe,
        threads: ctx.threads,
        dry_run,
        ahead,
    };
    let report = ctx.block_on(mmpipe_lake::ingest(lake, request, &IngestBar(&bar)))?;
    bar.finish();
    let audio_only = if dry_run {
        None
    } else {
        ctx.block_on(splits::audio_only_in(lake, &report.dataset, &report.recipe))?
    };
    Ok(Ingested { report, audio_only })
}

struct IngestBar<'a>(&'a Bar);

impl lake::Progress for IngestBar<'_> {
    fn planned(&self, _recordings: usize, bytes: u64) {
        self.0.length(bytes);
    }

    fn stimulus(&self, row: &lake::StimulusRow) {
        self.0.message(row.path.clone());
    }

    fn recording(&self, report: &lake::RecordingReport) {
        self.0.message(report.path.clone());
        self.0.step(u64::try_from(report.bytes).unwrap_or(0));
        match &report.reason {
            Some(reason) => tracing::info!("{}: {}: {reason}", report.path, report.status),
            None => tracing::info!(
                "{}: {}, {} epochs",
                report.path,
                report.status,
                report.epochs
            ),
        }
    }
}

/// The report as text: totals, then everything that was not used, with the reason.
pub(super) fn print(done: &Ingested) -> Result<()> {
    let report = &done.report;
    let subjects: BTreeSet<&str> = report
        .recordings
        .iter()
        .filter_map(|r| r.subject.as_deref())
        .collect();
    let rejected = report.count("rejected");
    let used = report.recordings.len() - rejected;
    let verb = if report.dry_run {
        "would ingest"
    } else {
        "ingested"
    };
    render::line(format!(
        "{verb}    {}: {used} recordings of {} subjects, {}, {} epochs (recipe {} {})",
        report.dataset,
        subjects.len(),
        render::duration(report.seconds()),
        report.epochs(),
        report.recipe,
        report.recipe_hash
    ))?;
    if report.skipped() > 0 {
        render::line(format!(
            "unchanged   {} recordings were already in the lake",
            report.skipped()
        ))?;
    }
    if !report.stimuli.is_empty() {
        let missing = report.stimuli.iter().filter(|s| s.status != "ok").count();
        render::line(format!(
            "sounds      {}, of which {missing} could not be used",
            report.stimuli.len()
        ))?;
    }
    let mut left: BTreeMap<&str, (i64, f64)> = BTreeMap::new();
    for d in report.recordings.iter().flat_map(|r| &r.dropped) {
        let sum = left.entry(&d.reason).or_default();
        sum.0 += d.epochs;
        sum.1 += d.seconds;
    }
    for (reason, (epochs, seconds)) in left {
        render::line(format!(
            "left out    {} ({epochs} epochs): {reason}",
            render::duration(seconds)
        ))?;
    }
    if let Some(a) = report.alignment() {
        let lag = a
            .median_lag_ms
            .map_or("-".into(), |ms| format!("{ms:.1} ms"));
        render::line(format!(
            "alignment   copies of the sound in {} trials: middle lag {lag}, {} more than 20 ms away, {} not found",
            a.trials, a.moved, a.absent
        ))?;
    }
    if report.beyond_eeg.trials > 0 {
        render::line(format!(
            "not heard   {} of sound in {} trials: it goes on where the EEG or the trial has ended",
            render::duration(report.beyond_eeg.seconds),
            report.beyond_eeg.trials
        ))?;
    }
    for r in report.recordings.iter().filter(|r| r.status == "rejected") {
        render::line(format!(
            "rejected    {}: {}",
            r.path,
            r.reason.as_deref().unwrap_or("no reason is known")
        ))?;
    }
    let silent = report.stimuli.iter().filter(|s| s.status != "ok");
    by_reason(
        "no sound    ",
        silent.map(|s| (s.reason.as_deref(), s.path.as_str())),
    )?;
    let ignored = report.ignored.iter();
    by_reason(
        "ignored     ",
        ignored.map(|f| (Some(f.reason.as_str()), f.path.as_str())),
    )?;
    for path in &report.removed {
        render::line(format!("removed     {path}: its raw file is gone"))?;
    }
    for note in &report.notes {
        render::line(format!("note        {note}"))?;
    }
    if let Some(audio_only) = &done.audio_only {
        render::text(&audio_only.to_string())?;
    }
    Ok(())
}

/// A line for each reason, with the first few files that have it.
fn by_reason<'a>(
    head: &str,
    files: impl Iterator<Item = (Option<&'a str>, &'a str)>,
) -> Result<()> {
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (reason, path) in files {
        reasons
            .entry(reason.unwrap_or("no reason is known"))
            .or_default()
            .push(path);
    }
    for (reason, paths) in reasons {
        let shown = paths.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = match paths.len() {
            n @ 4.. => format!(" and {} more", n - 3),
            _ => String::new(),
        };
        render::line(format!("{head}{shown}{more}: {reason}"))?;
    }
    Ok(())
}
