//! `mmpipe train --stage pretrain` and `--stage align`: stages 1 and 2 on one data set or several, or
//! inside a split's folds.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use anyhow::{Context as _, Result, bail};
use mmpipe_lake::Lake;
use mmpipe_splits as splits;
use mmpipe_train::{self as train, AlignReport, Fold, PhaseReport, PretrainReport, Source as _};
use serde::Serialize;

use super::{Status, config, init, known};
use crate::cli::{Stage, TrainArgs};
use crate::context::Context;
use crate::progress::TrainingBar;
use crate::render::{self, Table};
use crate::runs::{ALIGN, EarlyConfig, PRETRAIN, PretrainRecord, RunFolder, RunRecord};
use crate::source::{LakeSource, Sounds};
use crate::vectors::prepare;

/// The stage that is meant, where it is one of the two: by name, or by the run that is to be continued.
pub(super) fn asked(lake: &Lake, args: &TrainArgs) -> Result<Option<&'static str>> {
    let of_run = match &args.resume {
        Some(run) => RunFolder::of(lake, run)?.stage()?,
        None => None,
    };
    let early = |stage: &str| [PRETRAIN, ALIGN].into_iter().find(|s| *s == stage);
    let named = args.stage.map(|stage| match stage {
        Stage::Pretrain => PRETRAIN,
        Stage::Align => ALIGN,
        Stage::Finetune => "finetune",
    });
    if let (Some(named), Some(of_run), Some(run)) = (named, &of_run, &args.resume)
        && named != of_run
    {
        bail!("run `{run}` is of the stage {of_run}, not of {named}");
    }
    Ok(named.or(of_run.as_deref()).and_then(early))
}

/// What came out of a fold.
#[derive(Serialize)]
#[serde(untagged)]
enum Report {
    Pretrain(Box<PretrainReport>),
    Align(Box<AlignReport>),
}

impl Report {
    fn phases(&self) -> &[PhaseReport] {
        match self {
            Report::Pretrain(r) => &r.phases,
            Report::Align(r) => std::slice::from_ref(&r.phase),
        }
    }

    fn notes(&self) -> &[String] {
        match self {
            Report::Pretrain(r) => &r.notes,
            Report::Align(r) => &r.notes,
        }
    }

    fn roles(&self) -> (usize, usize) {
        match self {
            Report::Pretrain(r) => (r.n_train, r.n_val),
            Report::Align(r) => (r.n_train, r.n_val),
        }
    }
}

/// Numbers of the best pass that are shown, with their digits, under these headings.
fn shown(stage: &str) -> &'static [(&'static str, &'static str, usize)] {
    match stage {
        ALIGN => &[
            ("val top 1", "val_top1", 3),
            ("val top 5", "val_top5", 3),
            ("of sounds", "val_pool", 1),
            ("val cand. acc.", "val_candidate_accuracy", 3),
        ],
        _ => &[
            ("masked acc.", "val_masked_accuracy", 3),
            ("codes used", "codes_used", 3),
            ("perplexity", "perplexity", 1),
        ],
    }
}

pub(super) fn run(ctx: &Context, lake: &Lake, args: &TrainArgs, stage: &str) -> Result<Status> {
    let (folder, record, opened) = match &args.resume {
        Some(run) => {
            let (folder, mut record, opened) = resume(ctx, lake, run, args.allow_leaky)?;
            // Where a run goes on is no part of what it was asked.
            if let Some(device) = args.device {
                record.config.set_device(device);
            }
            (folder, record, opened)
        }
        None => ctx.block_on(plan(ctx, lake, args, stage))?,
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
        let report = match &record.config {
            EarlyConfig::Pretrain(cfg) => {
                Report::Pretrain(Box::new(train::pretrain(&source, fold, cfg, &dir, &bar)?))
            }
            EarlyConfig::Align(cfg) => {
                if let Some(encoder) = train::align_encoder(cfg, fold.fold, &dir)? {
                    prepare(ctx, &source, &encoder)?;
                }
                Report::Align(Box::new(train::align(&source, fold, cfg, &dir, &bar)?))
            }
        };
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
    let of_reports = reports.iter().flat_map(|(_, r)| r.notes());
    let of_init = record.init.iter().flat_map(|i| &i.notes);
    for note in notes
        .iter()
        .chain(of_reports)
        .chain(of_init)
        .collect::<BTreeSet<_>>()
    {
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
    stage: &str,
) -> Result<(RunFolder, PretrainRecord, Opened)> {
    for (flag, given, stages) in [
        ("model", &args.model, &["finetune"][..]),
        ("init", &args.init, &["finetune", ALIGN]),
        ("objective", &args.objective, &[PRETRAIN]),
    ] {
        if given.is_some() && !stages.contains(&stage) {
            bail!("--{flag} belongs to --stage {}", stages.join(" or "));
        }
    }
    let split = match &args.split {
        Some(name) => Some(splits::check_for_training(lake, name, args.allow_leaky).await?),
        None => None,
    };
    let mut datasets = known::stored(lake, &args.dataset).await?;
    if let Some(split) = &split {
        datasets.insert(split.split.dataset.clone());
    }
    if datasets.is_empty() {
        bail!(
            "{stage} wants --dataset (one or several), or --split, whose test epochs it keeps out"
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
        (None, None) => known::common_recipe(lake, &datasets).await?,
    };
    let mut cfg = configured(ctx, args, stage)?;
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
        format!("{stage}-{what}")
    });
    let init = match &mut cfg {
        EarlyConfig::Align(cfg) => match &mut cfg.init {
            Some(from) => {
                let folds: Vec<i32> = opened.folds.iter().map(|f| f.fold).collect();
                let (path, record) = init::earlier(lake, from, &recipe, &folds)?;
                *from = path;
                Some(record)
            }
            None => None,
        },
        EarlyConfig::Pretrain(_) => None,
    };
    let mut sound = None;
    if let EarlyConfig::Align(cfg) = &mut cfg
        && let Some(from) = &mut cfg.audio_init
    {
        (*from, sound) = init::sound(from)?;
    }
    let record = PretrainRecord {
        format: RunRecord::FORMAT,
        run: run.clone(),
        stage: stage.into(),
        datasets,
        split: of_split.map(|s| s.name.clone()),
        split_digest: split.as_ref().map(|s| s.audit.assignments_digest.clone()),
        recipe,
        seen: opened.seen(),
        config: cfg,
        init,
        sound,
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

/// The resolved configuration of a stage.
fn configured(ctx: &Context, args: &TrainArgs, stage: &str) -> Result<EarlyConfig> {
    let mut flags = Vec::new();
    let mut flag = |key: &str, value: toml::Value| flags.push((format!("{stage}.{key}"), value));
    if let Some(epochs) = args.epochs {
        flag("steps.epochs", toml::Value::Integer(epochs as i64));
    }
    if let Some(seed) = args.seed {
        let seed = i64::try_from(seed).context("--seed takes numbers below 2^63")?;
        flag("steps.seed", toml::Value::Integer(seed));
    }
    if let Some(device) = args.device {
        flag("steps.device", toml::Value::String(device.to_string()));
    }
    for (key, text) in [("objective", &args.objective), ("init", &args.init)] {
        if let Some(text) = text {
            flag(key, toml::Value::String(text.clone()));
        }
    }
    let flags: Vec<_> = flags.iter().map(|(k, v)| (k.as_str(), v.clone())).collect();
    Ok(match stage {
        ALIGN => EarlyConfig::Align(Box::new(config::resolve_align(ctx, &args.set, &flags)?)),
        _ => {
            let config = config::resolve_pretrain(ctx, &args.set, &flags)?;
            EarlyConfig::Pretrain(Box::new(config))
        }
    })
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
    cfg: &EarlyConfig,
) -> Result<Opened> {
    let mut ids = split.map_or_else(Vec::new, splits::Split::epoch_ids);
    let whole: Vec<&String> = datasets
        .iter()
        .filter(|d| split.is_none_or(|s| s.dataset != **d))
        .collect();
    let others = known::epochs(lake, &whole, recipe).await?;
    if let Some(empty) = whole.iter().find(|d| !others.contains_key(d.as_str())) {
        bail!(
            "data set {empty} has no epochs under the recipe {recipe}; ingest it with --recipe {recipe}"
        );
    }
    ids.extend(others.values().flatten());
    let sounds = match cfg {
        EarlyConfig::Pretrain(_) => Sounds::Unheard,
        EarlyConfig::Align(_) => Sounds::Heard,
    };
    let source = LakeSource::of(lake, recipe, &ids, datasets, sounds).await?;
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
            let (fold, held) = train::hold_out(&source, cfg.val_share(), cfg.seed());
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
        "whoever fine-tunes on the splits {} from this run tests on subjects whose EEG it saw, {}; --split NAME keeps them apart",
        names.join(", "),
        match record.stage.as_str() {
            ALIGN => "and is refused: it learnt what they attended to",
            _ => "and every report will say so",
        }
    )])
}

/// One row a fold and phase.
fn print(record: &PretrainRecord, reports: &[(i32, Report)]) -> Result<()> {
    let shown = shown(&record.stage);
    let mut header = vec![
        "fold",
        "phase",
        "train",
        "val",
        "parameters",
        "passes",
        "best pass",
        "train loss",
        "val loss",
    ];
    header.extend(shown.iter().map(|(heading, ..)| heading));
    header.push("seconds");
    let mut table = Table::new(header);
    for (fold, report) in reports {
        let (n_train, n_val) = report.roles();
        for phase in report.phases() {
            let best = phase.history.iter().find(|r| r.epoch == phase.best_epoch);
            let named = |name: &str, digits: usize| {
                let value = best.and_then(|r| r.named.get(name));
                value.map_or("-".to_owned(), |v| format!("{v:.digits$}"))
            };
            let mut row = vec![
                record
                    .split
                    .as_ref()
                    .map_or("-".to_owned(), |_| fold.to_string()),
                phase.phase.clone(),
                n_train.to_string(),
                n_val.to_string(),
                phase.parameters.to_string(),
                phase.history.len().to_string(),
                phase.best_epoch.to_string(),
                best.map_or("-".into(), |r| format!("{:.4}", r.train_loss)),
                phase
                    .best_val_loss
                    .map_or("-".into(), |x| format!("{x:.4}")),
            ];
            row.extend(shown.iter().map(|(_, name, digits)| named(name, *digits)));
            row.push(format!("{:.1}", phase.seconds));
            table.row(row);
        }
    }
    render::text(&table.to_string())?;
    Ok(())
}
