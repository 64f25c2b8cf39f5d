//! `mmpipe fetch`: an open data set from its publisher, every file checked; for the others the
//! terms, and what to do.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicI64, Ordering};

use anyhow::{Result, bail};
use mmpipe_corpora::registry;
use mmpipe_fetch::{
    self as fetch, Access, Client, Dataset, FileReport, Filter, Here, Options, Plan, RelPath,
    Report, Settings, Wanted,
};
use serde::Serialize;
use serde_json::json;

use super::Status;
use crate::cli::FetchArgs;
use crate::context::Context;
use crate::progress::Bar;
use crate::render::{self, Table};

/// Up to so many files each has a line of its own; above, each folder has one.
const LINES: usize = 40;

pub(crate) fn run(ctx: &Context, args: &FetchArgs) -> Result<Status> {
    if args.list {
        return list(ctx);
    }
    let (Some(name), Some(out)) = (&args.dataset, &args.out) else {
        bail!("fetch needs --dataset NAME --out DIR");
    };
    let dataset = fetch::find(name)?;
    if dataset.access != Access::Open {
        return closed(ctx, &dataset, out);
    }
    let mut settings = Settings {
        mirror: args.mirror.clone(),
        ..Settings::default()
    };
    settings.patience.retries = args.retries;
    let client = Client::new(&settings)?;
    let filter = Filter {
        subjects: args.subjects.clone(),
        offline: args.offline,
    };
    let jobs = usize::from(args.jobs);
    tracing::info!("asking for the list of files of {}", dataset.name);
    let plan = fetch::plan(&dataset, &client, &filter, out, jobs)?;
    if args.dry_run {
        return planned(ctx, &dataset, &plan, out);
    }
    for note in dataset.notes.iter().chain(&plan.notes) {
        tracing::warn!("{note}");
    }
    let bar = FetchBar {
        bar: Bar::bytes(plan.missing(), "fetch", ctx.global.quiet),
        at: AtomicI64::new(0),
    };
    let options = Options {
        jobs,
        check_again: args.verify,
    };
    let report = fetch::fetch(&plan, out, &client, &options, &bar)?;
    bar.bar.finish();
    if ctx.global.json {
        render::json(&report)?;
    } else {
        print(ctx, &dataset, &report, out)?;
    }
    Ok(Status::done_if(report.is_complete()))
}

/// Every data set on a line.
fn list(ctx: &Context) -> Result<Status> {
    let all = fetch::datasets()?;
    if ctx.global.json {
        let rows: Vec<_> = all.iter().map(about).collect();
        render::json(&rows)?;
        return Ok(Status::Done);
    }
    let mut table = Table::new(["data set", "access", "source", "licence"]);
    for d in &all {
        table.row([
            d.name.as_str(),
            access(d.access),
            d.source.as_ref().map_or("-", fetch::Source::kind),
            d.licence.as_str(),
        ]);
    }
    render::text(&table.to_string())?;
    Ok(Status::Done)
}

fn access(access: Access) -> &'static str {
    match access {
        Access::Open => "open",
        Access::Registration => "registration",
        Access::Credentialed => "credentialed",
    }
}

/// A data set as JSON.
fn about(d: &Dataset) -> serde_json::Value {
    json!({
        "dataset": d.name, "aliases": d.aliases, "title": d.title, "url": d.url,
        "licence": d.licence, "access": d.access, "register": d.register, "steps": d.steps,
        "source": d.source.as_ref().map(fetch::Source::kind), "notes": d.notes,
    })
}

/// What to do for a data set that no program can download.
fn closed(ctx: &Context, dataset: &Dataset, out: &Path) -> Result<Status> {
    if ctx.global.json {
        render::json(&about(dataset))?;
        return Ok(Status::Incomplete);
    }
    head(dataset)?;
    render::line(format!(
        "access      {}: nothing was downloaded",
        access(dataset.access)
    ))?;
    if let Some(register) = &dataset.register {
        render::line(format!("register    {register}"))?;
    }
    let out = out.display().to_string();
    for (number, step) in dataset.steps.iter().enumerate() {
        let step = step.replace("OUT", &out);
        render::line(format!("{:<12}{step}", format!("step {}", number + 1)))?;
    }
    next(ctx, dataset, Path::new(&out), "then")?;
    Ok(Status::Incomplete)
}

fn head(dataset: &Dataset) -> Result<()> {
    render::line(format!("data set    {}: {}", dataset.name, dataset.title))?;
    render::line(format!("page        {}", dataset.url))?;
    render::line(format!("licence     {}", dataset.licence))
}

/// The command that reads what was brought, where there is a manifest.
fn next(ctx: &Context, dataset: &Dataset, out: &Path, word: &str) -> Result<()> {
    // Manifests that cannot be read are no failure of a fetch.
    let known = ctx
        .manifests()
        .is_ok_and(|all| registry::find(&all, &dataset.name).is_ok());
    if known {
        render::line(format!(
            "{word:<12}mmpipe ingest --dataset {} --raw {}",
            dataset.name,
            out.display()
        ))?;
    }
    Ok(())
}

#[derive(Serialize)]
struct PlannedFile<'a> {
    path: &'a str,
    size: Option<u64>,
    check: &'static str,
    here: Here,
    url: &'a str,
}

/// The dry run.
fn planned(ctx: &Context, dataset: &Dataset, plan: &Plan, out: &Path) -> Result<Status> {
    if ctx.global.json {
        let file = |w: &Wanted| {
            json!(PlannedFile {
                path: w.path.as_str(),
                size: w.size,
                check: check(w),
                here: w.here,
                url: w.url.as_str(),
            })
        };
        let refused = |(path, reason): &(String, String)| json!({"path": path, "reason": reason});
        let mut value = about(dataset);
        value["dry_run"] = json!(true);
        value["out"] = json!(out);
        value["files"] = plan.files.iter().map(file).collect();
        value["refused"] = plan.refused.iter().map(refused).collect();
        value["plan_notes"] = json!(plan.notes);
        value["bytes"] = json!(plan.bytes());
        value["missing"] = json!(plan.missing());
        value["unknown_sizes"] = json!(plan.unknown_sizes());
        render::json(&value)?;
        return Ok(Status::Done);
    }
    head(dataset)?;
    render::line(format!("to          {}\n", out.display()))?;
    render::text(&files(plan, ctx.global.verbose > 0).to_string())?;
    let unknown = match plan.unknown_sizes() {
        0 => String::new(),
        n => format!(", and {n} whose size nobody tells"),
    };
    render::line(format!(
        "\ntotal       {}, {}; {} to come{unknown}",
        count(plan.files.len()),
        render::bytes(plan.bytes()),
        render::bytes(plan.missing())
    ))?;
    for note in dataset.notes.iter().chain(&plan.notes) {
        render::line(format!("note        {note}"))?;
    }
    for (name, why) in &plan.refused {
        render::line(format!("refused     {name:?}: {why}"))?;
    }
    Ok(Status::Done)
}

/// A line a file, or a line a folder where there are many.
fn files(plan: &Plan, each: bool) -> Table {
    if each || plan.files.len() <= LINES {
        let mut table = Table::new(["file", "size", "check", "there"]);
        for w in &plan.files {
            let size = w.size.map_or("unknown".to_owned(), render::bytes);
            table.row([w.path.as_str().to_owned(), size, check(w).into(), here(w)]);
        }
        return table;
    }
    let mut folders: BTreeMap<&str, (usize, u64, u64)> = BTreeMap::new();
    for w in &plan.files {
        let folder = w.path.as_str().split_once('/').map_or(".", |(f, _)| f);
        let sums = folders.entry(folder).or_default();
        sums.0 += 1;
        sums.1 += w.size.unwrap_or(0);
        sums.2 += w.missing();
    }
    let mut table = Table::new(["folder", "files", "size", "to come"]);
    for (folder, (files, bytes, missing)) in folders {
        table.row([
            folder.to_owned(),
            files.to_string(),
            render::bytes(bytes),
            render::bytes(missing),
        ]);
    }
    table
}

/// What a file will be compared with.
fn check(wanted: &Wanted) -> &'static str {
    match (&wanted.digest, wanted.size) {
        (Some(digest), _) => digest.name(),
        (None, Some(_)) => "size",
        (None, None) => "stated size",
    }
}

fn here(wanted: &Wanted) -> String {
    match wanted.here {
        Here::Absent => "-".into(),
        Here::Part(bytes) => format!("part: {}", render::bytes(bytes)),
        Here::Unchecked => "unchecked".into(),
        Here::Checked => "checked".into(),
    }
}

fn count(n: usize) -> String {
    match n {
        1 => "1 file".into(),
        n => format!("{n} files"),
    }
}

/// What became of the files.
fn print(ctx: &Context, dataset: &Dataset, report: &Report, out: &Path) -> Result<()> {
    use fetch::Status as S;
    head(dataset)?;
    render::line(format!("to          {}", out.display()))?;
    for (status, word) in [
        (S::Fetched, "fetched"),
        (S::Present, "present"),
        (S::Failed, "failed"),
        (S::Refused, "refused"),
        (S::NotTried, "not tried"),
    ] {
        let n = report.count(status);
        if n == 0 {
            continue;
        }
        let more = match status {
            S::Fetched => format!(
                ", {} in {}",
                render::bytes(report.received),
                render::duration(report.seconds)
            ),
            S::Present => ", checked and kept".into(),
            _ => String::new(),
        };
        render::line(format!("{word:<12}{}{more}", count(n)))?;
    }
    let bad = |f: &&FileReport| matches!(f.status, S::Failed | S::Refused);
    for file in report.files.iter().filter(bad) {
        let reason = file.reason.as_deref().unwrap_or("");
        render::line(format!("  {}: {reason}", file.path.escape_debug()))?;
    }
    let weak = |f: &&FileReport| {
        matches!(f.status, S::Fetched | S::Present)
            && matches!(
                f.check,
                Some(fetch::Check::Size | fetch::Check::Stated) | None
            )
    };
    let weak = report.files.iter().filter(weak).count();
    if weak > 0 {
        render::line(format!(
            "note        {} without a published checksum: size and content type alone were checked",
            count(weak)
        ))?;
    }
    if report.is_complete() {
        next(ctx, dataset, out, "next")
    } else {
        render::line("next        run the same command again: what is there is kept")
    }
}

/// One bar over the bytes that are to come.
struct FetchBar {
    bar: Bar,
    /// A restart takes bytes back, those of an earlier run too.
    at: AtomicI64,
}

impl fetch::Progress for FetchBar {
    fn started(&self, path: &RelPath) {
        self.bar.message(path.as_str().to_owned());
    }

    fn moved(&self, bytes: i64) {
        let at = self.at.fetch_add(bytes, Ordering::Relaxed) + bytes;
        self.bar.position(u64::try_from(at).unwrap_or(0));
    }

    fn ended(&self, file: &FileReport) {
        let reason = file.reason.as_deref().unwrap_or("");
        match file.status {
            fetch::Status::Failed => tracing::warn!("{}: {reason}", file.path),
            _ => tracing::info!("{}: {:?} {reason}", file.path, file.status),
        }
    }
}
