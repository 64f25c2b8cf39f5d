//! `mmpipe ingest`: a raw folder into the lake, every file accounted for.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use anyhow::{Result, bail};
use mmpipe_corpora::{self as corpora, Filter, Manifest, Raw, Scan, registry};
use mmpipe_lake::Lake;
use mmpipe_lake::ingest::{self as lake, IngestReport, IngestRequest};
use mmpipe_signal::recipe::{self, Recipe};

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
    let (scan, raw) = match (&args.bids, &args.raw, &args.dataset) {
        (Some(root), _, dataset) => (
            corpora::scan_bids(root, dataset.as_deref(), &filter)?,
            root.clone(),
        ),
        (None, Some(raw), Some(dataset)) => {
            let manifests = ctx.manifests()?;
            let manifest = registry::find(&manifests, dataset)?;
            let raw = unpacked(ctx, manifest, raw, args.dry_run)?;
            (
                corpora::scan_raw(manifest, &raw, &filter)?,
                raw.root().to_owned(),
            )
        }
        _ => bail!("ingest needs --dataset NAME --raw DIR, or --bids DIR"),
    };
    let lake = ctx.lake_or_new()?;
    let report = ingest(ctx, &lake, scan, &raw, recipe, args.dry_run)?;
    if ctx.global.json {
        render::json(&report)?;
    } else {
        print(&report)?;
    }
    Ok(Status::done_if(report.count("rejected") == 0))
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
) -> Result<IngestReport> {
    let bar = Bar::new(0, "ingest", ctx.global.quiet);
    let request = IngestRequest {
        scan,
        raw: raw.to_owned(),
        recipe,
        threads: ctx.threads,
        dry_run,
    };
    let report = ctx.block_on(mmpipe_lake::ingest(lake, request, &IngestBar(&bar)))?;
    bar.finish();
    Ok(report)
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
pub(super) fn print(report: &IngestReport) -> Result<()> {
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
        let missing = report.stimuli.iter().filter(|s| s.reason.is_some()).count();
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
    for r in report.recordings.iter().filter(|r| r.status == "rejected") {
        render::line(format!(
            "rejected    {}: {}",
            r.path,
            r.reason.as_deref().unwrap_or("no reason is known")
        ))?;
    }
    for s in &report.stimuli {
        if let Some(reason) = &s.reason {
            render::line(format!("no sound    {}: {reason}", s.path))?;
        }
    }
    let mut ignored: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for file in &report.ignored {
        ignored.entry(&file.reason).or_default().push(&file.path);
    }
    for (reason, paths) in ignored {
        let shown = paths.iter().take(3).copied().collect::<Vec<_>>().join(", ");
        let more = if paths.len() > 3 {
            format!(" and {} more", paths.len() - 3)
        } else {
            String::new()
        };
        render::line(format!("ignored     {shown}{more}: {reason}"))?;
    }
    for path in &report.removed {
        render::line(format!("removed     {path}: its raw file is gone"))?;
    }
    for note in &report.notes {
        render::line(format!("note        {note}"))?;
    }
    Ok(())
}
