//! `mmpipe demo`: the whole walk on a simulated corpus whose truth is known.
//!
//! Two listeners' questions, two protocols, two models. EEGNet sees no sound: what it scores
//! under the leaky protocol is the trial's state, and it falls to chance when trials are kept
//! apart. The matcher compares EEG with envelopes, and its effect is really there.

use std::fs;
use std::path::Path;
use std::time::Instant;

use anyhow::{Context as _, Result, bail};
use mmpipe_corpora::{self as corpora, Filter};
use mmpipe_eval::report;
use mmpipe_signal::recipe::Recipe;
use mmpipe_simulate as sim;
use mmpipe_splits::{Protocol, SplitRequest};
use mmpipe_train::Control;

use super::{Status, evaluate, ingest, simulate, split, sql, train};
use crate::cli::{DemoArgs, Scoring, SqlFormat, TrainArgs};
use crate::context::Context;
use crate::render;

/// The corpus.
const DATASET: &str = "TwoTalker";

/// Marks a folder that an earlier demo made, and that may be made again.
const MARKER: &str = "mmpipe-demo.json";

/// What is asked of the lake.
const QUERIES: [(&str, &str); 3] = [
    (
        "What was ingested",
        "SELECT subject, count(*) AS epochs, count(DISTINCT trial) AS trials, max(onset) + 2 AS last_second \
         FROM eeg GROUP BY 1 ORDER BY 1",
    ),
    (
        "What was left out, and why",
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs, sum(d['seconds']) AS seconds \
         FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    ),
    (
        "Alpha against beta at Oz, by attended side",
        "SELECT label_name, count(*) AS epochs, avg(bandpower(samples, sfreq, 8, 13)) AS alpha, \
         avg(bandpower(samples, sfreq, 13, 30)) AS beta FROM eeg_channels WHERE ch_name = 'Oz' GROUP BY 1 ORDER BY 1",
    ),
];

/// Models and what they are told: few passes, because the demo has five minutes.
const MODELS: [(&str, &[&str]); 2] = [
    (
        "eegnet",
        &["train.epochs=15", "train.lr=0.003", "train.dropout=0.25"],
    ),
    ("aadnet", &["train.epochs=8", "train.warmup=0.5"]),
];

pub(crate) fn run(mut ctx: Context, args: &DemoArgs) -> Result<Status> {
    let begun = Instant::now();
    prepare(&args.out)?;
    let raw = args.out.join("raw");
    ctx.with_lake(&args.out.join("lake"));

    step(
        "1",
        "simulate two talkers, four listeners, a known response",
    )?;
    let config = sim::TwoTalker {
        seed: args.seed,
        ..Default::default()
    };
    sim::write_bids(&config, &raw)?;
    render::line(format!("raw BIDS folder: {}", raw.display()))?;

    step(
        "2",
        "ingest: 1-40 Hz, 200 Hz, 2-s epochs, z-score, Parquet shards",
    )?;
    let scan = corpora::scan(&ctx.manifest(DATASET)?, &raw, &Filter::default())?;
    let recipe = Recipe::builtin(RECIPE).context("the recipe is built in")?;
    let lake = ctx.lake_or_new()?;
    let ingested = ingest::ingest(&ctx, &lake, scan, &raw, recipe, false, Default::default())?;
    ingest::print(&ingested)?;

    step("3", "ask the lake")?;
    for (title, query) in QUERIES {
        render::line(format!(
            "\n{title}:\n  mmpipe --lake {} sql \"{query}\"",
            lake.root().display()
        ))?;
        ctx.block_on(sql::print(&lake, query, SqlFormat::Table, None, usize::MAX))?;
    }

    step("4", "split twice, and audit both")?;
    let mut names = Vec::new();
    for protocol in [Protocol::WithinSubject, Protocol::BetweenTrial] {
        let request = SplitRequest {
            dataset: DATASET.into(),
            recipe: None,
            protocol,
            name: None,
            folds: Some(FOLDS),
            seed: args.seed,
            replace: false,
        };
        let (split, audit) = split::make(&ctx, &lake, request)?;
        render::text(&audit.to_string())?;
        names.push(split.name);
    }

    step(
        "5",
        "train and score two models on each, with their controls",
    )?;
    let mut summaries = Vec::new();
    for (model, set) in MODELS {
        for name in &names {
            let asked = TrainArgs {
                split: Some(name.clone()),
                model: Some(model.into()),
                seed: Some(args.seed),
                set: set.iter().map(|s| (*s).to_owned()).collect(),
                ..Default::default()
            };
            let (folder, record) = ctx.block_on(train::plan(&ctx, &lake, &asked))?;
            train::fit(&ctx, &lake, &folder, &record)?;
            let controls = [Control::NoiseEeg, Control::LabelPermuted];
            let summary =
                evaluate::evaluate(&ctx, &lake, &folder, &record, Scoring::Candidate, &controls)?;
            render::line("")?;
            evaluate::print(&summary)?;
            summaries.push(summary);
        }
    }

    step("6", "report")?;
    mmpipe_lake::write_file(&args.report, report::render(&summaries).as_bytes())?;
    render::line(format!(
        "{}  (everything in {})",
        args.report.display(),
        render::duration(begun.elapsed().as_secs_f64())
    ))?;
    Ok(Status::Done)
}

/// Preprocessing of the demo.
const RECIPE: &str = "mindmix";

/// Folds of both splits.
const FOLDS: usize = 4;

fn step(number: &str, what: &str) -> Result<()> {
    render::line(format!("\n== {number}. {what}"))
}

/// Empties the folder of an earlier demo; refuses a folder that something else made.
fn prepare(out: &Path) -> Result<()> {
    if !simulate::is_empty(out)? {
        if !out.join(MARKER).is_file() {
            bail!(
                "{} is not empty and no demo made it; name another folder with --out",
                out.display()
            );
        }
        fs::remove_dir_all(out)
            .with_context(|| format!("cannot remove the earlier demo {}", out.display()))?;
    }
    fs::create_dir_all(out).with_context(|| format!("cannot make {}", out.display()))?;
    let marker = format!(
        "{{ \"made_by\": \"mmpipe demo\", \"version\": \"{}\" }}\n",
        env!("CARGO_PKG_VERSION")
    );
    fs::write(out.join(MARKER), marker)
        .with_context(|| format!("cannot write to {}", out.display()))
}
