//! `mmpipe train --stage pretrain`: stage 1 on one data set or several, or inside a split's folds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use arrow::array::AsArray;
use arrow::datatypes::UInt64Type;
use mmpipe_lake::Lake;
use mmpipe_splits as splits;
use mmpipe_train::{self as train, Fold, PretrainReport, Source as _, Task};

use super::{Status, config};
use crate::cli::{Stage, TrainArgs};
use crate::context::Context;
use crate::progress::TrainingBar;
use crate::render::{self, Table};
use crate::runs::{PRETRAIN, PretrainRecord, RunFolder, RunRecord};
use crate::source::LakeSource;

/// Recipe that is taken among several.
const RECIPE: &str = "mindmix";

/// Whether stage 1 is meant: by name, or by the run that is to be continued.
pub(super) fn asked(lake: &Lake, args: &TrainArgs) -> Result<bool> {
    let of_run = match &args.resume {
        Some(run) => RunFolder::of(lake, run)?.stage()?,
        None => None,
    };
    let pretrain = of_run.as_deref() == Some(PRETRAIN);
    match (args.stage, &args.resume) {
        (Some(Stage::Pretrain), Some(run)) if !pretrain && of_run.is_some() => {
            bail!("run `{run}` is of another stage than pretrain")
        }
        (Some(Stage::Finetune), Some(run)) if pretrain => {
            bail!("run `{run}` is of the stage pretrain")
        }
        (stage, _) => Ok(pretrain || stage == Some(Stage::Pretrain)),
    }
}

pub(super) fn run(ctx: &Context, lake: &Lake, args: &TrainArgs) -> Result<Status> {
    let (folder, record, opened) = match &args.resume {
        Some(run) => resume(ctx, lake, run, args.allow_leaky)?,
        None => ctx.block_on(plan(ctx, lake, args))?,
    };
    let Opened {
        source,
        folds,
        notes,
    } = opened;
    let bar = TrainingBar::new(&record.run, ctx.global.quiet);
    let mut reports = Vec::new();
    for fold in &folds {
        let dir = place(&folder, &record, fold.fold);
        let report = train::pretrain(&source, fold, &record.config, &dir, &bar)?;
        reports.push((fold.fold, report));
    }
    bar.finish();
    if ctx.global.json {
        let reports: Vec<_> = reports
            .iter()
            .map(|(fold, report)| serde_json::json!({ "fold": fold, "report": report }))
            .collect();
        let all = serde_json::json!({ "run": record.run, "record": record, "reports": reports, "notes": notes });
        render::json(&all)?;
        return Ok(Status::Done);
    }
    print(&record, &reports)?;
    let of_reports = reports.iter().flat_map(|(_, r)| &r.notes);
    for note in notes.iter().chain(of_reports).collect::<BTreeSet<_>>() {
        render::line(format!("note        {note}"))?;
    }
    render::line(format!(
        "run         {}  (next: mmpipe train --stage finetune --init {})",
        record.run, record.run
    ))?;
    Ok(Status::Done)
}

/// Folder of one fold's weights.
fn place(folder: &RunFolder, record: &PretrainRecord, fold: i32) -> PathBuf {
    match record.split {
        Some(_) => train::fold_dir(folder.path(), None, fold),
        None => folder.path().to_owned(),
    }
}

/// Epochs and roles.
struct Opened {
    source: LakeSource,
    folds: Vec<Fold>,
    notes: Vec<String>,
}

/// Decides what to train and stores the decision before anything is trained.
async fn plan(
    ctx: &Context,
    lake: &Lake,
    args: &TrainArgs,
) -> Result<(RunFolder, PretrainRecord, Opened)> {
    for (flag, given) in [("model", &args.model), ("init", &args.init)] {
        if given.is_some() {
            bail!("--{flag} belongs to --stage finetune");
        }
    }
    let split = match &args.split {
        Some(name) => Some(splits::check_for_training(lake, name, args.allow_leaky).await?),
        None => None,
    };
    let mut datasets = stored(lake, &args.dataset).await?;
    if let Some(split) = &split {
        datasets.insert(split.split.dataset.clone());
    }
    if datasets.is_empty() {
        bail!(
            "pretrain wants --dataset (one or several), or --split, whose test epochs it keeps out"
        );
    }
    let datasets: Vec<String> = datasets.into_iter().collect();
    let recipe = match (&split, &args.recipe) {
        (Some(split), Some(recipe)) if *recipe != split.split.recipe => bail!(
            "split `{}` is of the recipe {}, not of {recipe}",
            split.split.name,
            split.split.recipe
        ),
        (Some(split), _) => split.split.recipe.clone(),
        (None, Some(recipe)) => recipe.clone(),
        (None, None) => common_recipe(lake, &datasets).await?,
    };
    let mut flags = Vec::new();
    if let Some(epochs) = args.epochs {
        flags.push(("pretrain.steps.epochs", toml::Value::Integer(epochs as i64)));
    }
    if let Some(seed) = args.seed {
        let seed = i64::try_from(seed).context("--seed takes numbers below 2^63")?;
        flags.push(("pretrain.steps.seed", toml::Value::Integer(seed)));
    }
    if let Some(objective) = &args.objective {
        let objective = toml::Value::String(objective.clone());
        flags.push(("pretrain.objective", objective));
    }
    let cfg = config::resolve_pretrain(ctx, &args.set, &flags)?;
    let of_split = split.as_ref().map(|s| &s.split);
    let mut opened = open(lake, &datasets, of_split, &recipe, &cfg).await?;
    if let Some(wanted) = &args.folds {
        let have: Vec<i32> = opened.folds.iter().map(|f| f.fold).collect();
        if let Some(absent) = wanted.iter().find(|f| !have.contains(f)) {
            bail!("there is no fold {absent}; there is {have:?}");
        }
        opened.folds.retain(|f| wanted.contains(&f.fold));
    }
    let run = args.name.clone().unwrap_or_else(|| {
        let what = match of_split {
            Some(split) => split.name.clone(),
            None => datasets.join("-").to_lowercase(),
        };
        format!("pretrain-{what}")
    });
    let record = PretrainRecord {
        format: RunRecord::FORMAT,
        run: run.clone(),
        stage: PRETRAIN.into(),
        datasets,
        split: of_split.map(|s| s.name.clone()),
        split_digest: split.as_ref().map(|s| s.audit.assignments_digest.clone()),
        recipe,
        seen: opened.seen(),
        config: cfg,
        data_digest: opened.source.digest().to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let folder = RunFolder::of(lake, &run)?;
    if args.overwrite {
        folder.remove()?;
    }
    match folder.pretrain_record()? {
        Some(old) if old == record => {}
        Some(_) => bail!(
            "run `{run}` exists and was asked something else; take another --name, --overwrite it, or --resume {run} as it was asked"
        ),
        None => folder.write_pretrain_record(&record)?,
    }
    opened.notes.extend(known_splits(lake, &record)?);
    Ok((folder, record, opened))
}

/// What a stored run was asked, refused when split or data are no longer those of the record.
fn resume(
    ctx: &Context,
    lake: &Lake,
    run: &str,
    allow_leaky: bool,
) -> Result<(RunFolder, PretrainRecord, Opened)> {
    let folder = RunFolder::of(lake, run)?;
    let Some(record) = folder.pretrain_record()? else {
        bail!("no run `{run}` in the lake {}", lake.root().display());
    };
    let split = match &record.split {
        Some(name) => {
            let clearance = splits::check_for_training(lake, name, allow_leaky);
            let clearance = ctx.block_on(clearance)?;
            if Some(&clearance.audit.assignments_digest) != record.split_digest.as_ref() {
                bail!("split `{name}` changed since run `{run}` was started; train a new run");
            }
            Some(clearance.split)
        }
        None => None,
    };
    let opening = open(
        lake,
        &record.datasets,
        split.as_ref(),
        &record.recipe,
        &record.config,
    );
    let mut opened = ctx.block_on(opening)?;
    opened.folds.retain(|f| record.seen.contains_key(&f.fold));
    if opened.source.digest() != record.data_digest || opened.seen() != record.seen {
        bail!("the epochs changed since run `{run}` was started; train a new run");
    }
    opened.notes.extend(known_splits(lake, &record)?);
    Ok((folder, record, opened))
}

/// The epochs of all data sets, with roles from the split, or else from whole subjects held out.
async fn open(
    lake: &Lake,
    datasets: &[String],
    split: Option<&splits::Split>,
    recipe: &str,
    cfg: &train::PretrainConfig,
) -> Result<Opened> {
    let mut ids = split.map_or_else(Vec::new, splits::Split::epoch_ids);
    let whole: Vec<&String> = datasets
        .iter()
        .filter(|d| split.is_none_or(|s| s.dataset != **d))
        .collect();
    let others = epochs(lake, &whole, recipe).await?;
    if let Some(empty) = whole.iter().find(|d| !others.contains_key(d.as_str())) {
        bail!(
            "data set {empty} has no epochs under the recipe {recipe}; ingest it with --recipe {recipe}"
        );
    }
    ids.extend(others.values().flatten());
    let source = LakeSource::of(lake, recipe, &ids, datasets, Task::Classification).await?;
    let mut notes = Vec::new();
    let folds = match split {
        Some(split) => {
            // Epochs of the other data sets follow those of the split.
            let rest: Vec<usize> = (split.epoch_ids().len()..ids.len()).collect();
            let mut folds = source.folds_of(split)?;
            for fold in &mut folds {
                fold.train.extend(&rest);
                fold.test.clear();
            }
            folds
        }
        None => {
            let (fold, held) = train::hold_out(&source, cfg.val_share, cfg.steps.seed);
            if !held.is_empty() {
                let names: Vec<String> = held.iter().map(|(d, s)| format!("{d} {s}")).collect();
                notes.push(format!(
                    "validated on subjects held out: {}",
                    names.join(", ")
                ));
            }
            vec![fold]
        }
    };
    Ok(Opened {
        source,
        folds,
        notes,
    })
}

impl Opened {
    /// Subjects whose EEG is seen, by fold.
    fn seen(&self) -> BTreeMap<i32, Vec<(String, String)>> {
        let subject = |i: &usize| {
            let meta = self.source.meta(*i);
            (meta.dataset.clone(), meta.subject.clone())
        };
        let of = |fold: &Fold| -> Vec<(String, String)> {
            let all = fold.train.iter().chain(&fold.val).map(subject);
            all.collect::<BTreeSet<_>>().into_iter().collect()
        };
        self.folds.iter().map(|f| (f.fold, of(f))).collect()
    }
}

/// The lake's own names of the data sets asked for.
async fn stored(lake: &Lake, asked: &[String]) -> Result<BTreeSet<String>> {
    if asked.is_empty() {
        return Ok(BTreeSet::new());
    }
    let have = texts(
        lake,
        "SELECT DISTINCT dataset FROM recordings WHERE status = 'ok' ORDER BY 1",
    );
    let have = have.await?;
    let mut out = BTreeSet::new();
    for name in asked {
        match have.iter().find(|h| h.eq_ignore_ascii_case(name)) {
            Some(found) => out.insert(found.clone()),
            None => bail!(
                "data set {name} is not in the lake; there is {}",
                have.join(", ")
            ),
        };
    }
    Ok(out)
}

/// The only recipe of these data sets, or [`RECIPE`] among several that all have.
async fn common_recipe(lake: &Lake, datasets: &[String]) -> Result<String> {
    let mut common: Option<BTreeSet<String>> = None;
    for dataset in datasets {
        let quoted = dataset.replace('\'', "''");
        let sql = format!(
            "SELECT DISTINCT recipe FROM recordings WHERE status = 'ok' AND dataset = '{quoted}'"
        );
        let own: BTreeSet<String> = texts(lake, &sql).await?.into_iter().collect();
        common = Some(match common {
            None => own,
            Some(before) => before.intersection(&own).cloned().collect(),
        });
    }
    let common = common.unwrap_or_default();
    match common.iter().collect::<Vec<_>>().as_slice() {
        [one] => Ok((*one).clone()),
        [] => bail!("the data sets share no recipe; ingest them with the same one"),
        _ if common.contains(RECIPE) => Ok(RECIPE.into()),
        many => {
            let many: Vec<&str> = many.iter().map(|r| r.as_str()).collect();
            bail!(
                "the data sets are there under the recipes {}; name one with --recipe",
                many.join(", ")
            )
        }
    }
}

/// Keys of all epochs by data set, in the lake's order.
async fn epochs(
    lake: &Lake,
    datasets: &[&String],
    recipe: &str,
) -> Result<BTreeMap<String, Vec<u64>>> {
    let mut out = BTreeMap::new();
    for dataset in datasets {
        let sql = format!(
            "SELECT epoch_id FROM eeg WHERE dataset = '{}' AND recipe = '{}' ORDER BY subject, recording_id, trial, epoch",
            dataset.replace('\'', "''"),
            recipe.replace('\'', "''")
        );
        let mut ids: Vec<u64> = Vec::new();
        for batch in lake.query(&sql).await? {
            ids.extend(batch.column(0).as_primitive::<UInt64Type>().values());
        }
        if !ids.is_empty() {
            out.insert((*dataset).clone(), ids);
        }
    }
    Ok(out)
}

/// The first column of a query, as text.
async fn texts(lake: &Lake, sql: &str) -> Result<Vec<String>> {
    let mut out = Vec::new();
    for batch in lake.query(sql).await? {
        let column = arrow::compute::cast(batch.column(0), &arrow::datatypes::DataType::Utf8)?;
        out.extend(
            column
                .as_string::<i32>()
                .iter()
                .flatten()
                .map(str::to_owned),
        );
    }
    Ok(out)
}

/// Whether splits are there that this run could have kept apart.
fn known_splits(lake: &Lake, record: &PretrainRecord) -> Result<Vec<String>> {
    let mut names = Vec::new();
    for name in splits::list(lake)? {
        let dataset = splits::stored_audit(lake, &name)?.dataset;
        let own = record.split.as_ref() == Some(&name);
        if record.split.is_none() && !own && record.datasets.contains(&dataset) {
            names.push(name);
        }
    }
    if names.is_empty() {
        return Ok(Vec::new());
    }
    Ok(vec![format!(
        "whoever fine-tunes on the splits {} from this run tests on subjects whose EEG it saw, and every report will say so; --split NAME keeps them apart",
        names.join(", ")
    )])
}

/// One row a fold and phase.
fn print(record: &PretrainRecord, reports: &[(i32, PretrainReport)]) -> Result<()> {
    let mut table = Table::new([
        "fold",
        "phase",
        "train",
        "val",
        "parameters",
        "passes",
        "best pass",
        "train loss",
        "val loss",
        "masked acc.",
        "codes used",
        "perplexity",
        "seconds",
    ]);
    for (fold, report) in reports {
        for phase in &report.phases {
            let best = phase.history.iter().find(|r| r.epoch == phase.best_epoch);
            let named = |name: &str, digits: usize| {
                let value = best.and_then(|r| r.named.get(name));
                value.map_or("-".to_owned(), |v| format!("{v:.digits$}"))
            };
            table.row([
                record
                    .split
                    .as_ref()
                    .map_or("-".to_owned(), |_| fold.to_string()),
                phase.phase.clone(),
                report.n_train.to_string(),
                report.n_val.to_string(),
                phase.parameters.to_string(),
                phase.history.len().to_string(),
                phase.best_epoch.to_string(),
                best.map_or("-".into(), |r| format!("{:.4}", r.train_loss)),
                phase
                    .best_val_loss
                    .map_or("-".into(), |x| format!("{x:.4}")),
                named("val_masked_accuracy", 3),
                named("codes_used", 3),
                named("perplexity", 1),
                format!("{:.1}", phase.seconds),
            ]);
        }
    }
    render::text(&table.to_string())?;
    Ok(())
}
