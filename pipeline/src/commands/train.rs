//! `mmpipe train`: every fold of a split, then the controls that train again.

use anyhow::{Context as _, Result, bail};
use arrow::array::AsArray;
use mmpipe_lake::Lake;
use mmpipe_splits as splits;
use mmpipe_train::{self as train, Control, FitReport, ModelKind, Task};

use super::{Status, config, init, pretrain};
use crate::cli::TrainArgs;
use crate::context::Context;
use crate::progress::TrainingBar;
use crate::render::{self, Table};
use crate::runs::{RunFolder, RunRecord, existing};
use crate::source::LakeSource;
use crate::vectors::prepare;

pub(crate) fn run(ctx: &Context, args: &TrainArgs) -> Result<Status> {
    let lake = ctx.lake()?;
    if let Some(stage) = pretrain::asked(&lake, args)? {
        return pretrain::run(ctx, &lake, args, stage);
    }
    let (folder, record) = match &args.resume {
        Some(run) => {
            let (folder, mut record) = existing(&lake, run)?;
            // Where a run goes on is no part of what it was asked.
            record.config.device = args.device.unwrap_or(record.config.device);
            (folder, record)
        }
        None => ctx.block_on(plan(ctx, &lake, args))?,
    };
    let fits = fit(ctx, &lake, &folder, &record)?;
    if ctx.global.json {
        render::json(&serde_json::json!({ "run": record.run, "record": record, "fits": fits }))?;
        return Ok(Status::Done);
    }
    let mut table = Table::new([
        "fold",
        "control",
        "train",
        "val",
        "test",
        "best pass",
        "val loss",
        "val bal. acc.",
        "ended",
        "seconds",
    ]);
    for f in &fits {
        table.row([
            f.fold.to_string(),
            f.control.map_or("-".to_owned(), |c| c.to_string()),
            f.n_train.to_string(),
            f.n_val.to_string(),
            f.n_test.to_string(),
            f.best_epoch.to_string(),
            f.best_val_loss.map_or("-".into(), |x| format!("{x:.4}")),
            f.best_val_balanced_accuracy
                .map_or("-".into(), |x| format!("{x:.3}")),
            format!("{:?}", f.ended).to_lowercase(),
            format!("{:.1}", f.seconds),
        ]);
    }
    render::text(&table.to_string())?;
    let mut notes: Vec<&String> = fits.iter().flat_map(|f| &f.notes).collect();
    notes.extend(record.init.iter().flat_map(|i| &i.notes));
    notes.dedup();
    for note in notes.into_iter().collect::<std::collections::BTreeSet<_>>() {
        render::line(format!("note        {note}"))?;
    }
    if record.leaky {
        render::line(format!(
            "LEAKY       {}: what this run scores is no evidence of decoding",
            record.protocol
        ))?;
    }
    render::line(format!(
        "run         {}  (next: mmpipe evaluate --run {})",
        record.run, record.run
    ))?;
    Ok(Status::Done)
}

/// Decides what to train and stores the decision before anything is trained.
pub(super) async fn plan(
    ctx: &Context,
    lake: &Lake,
    args: &TrainArgs,
) -> Result<(RunFolder, RunRecord)> {
    for (flag, given) in [("objective", &args.objective), ("recipe", &args.recipe)] {
        if given.is_some() {
            bail!("--{flag} belongs to an earlier stage, see --stage");
        }
    }
    let dataset = match args.dataset.as_slice() {
        [] => None,
        [one] => Some(one),
        _ => bail!("finetune takes one --dataset; only --stage pretrain and align take several"),
    };
    let split = match &args.split {
        Some(name) => splits::load(lake, name).await?,
        None => only_split(lake, dataset.map(String::as_str)).await?,
    };
    if let Some(dataset) = dataset
        && !dataset.eq_ignore_ascii_case(&split.dataset)
    {
        bail!(
            "split `{}` is of the data set {}, not of {dataset}",
            split.name,
            split.dataset
        );
    }
    let clearance = splits::check_for_training(lake, &split.name, args.allow_leaky).await?;
    let audit = clearance.audit.clone();
    let model = match &args.model {
        Some(name) => config::model_kind(name)?,
        None if args.init.is_some() => ModelKind::Mindmix,
        None => {
            let model = default_model(lake, &split.dataset).await?;
            if !ctx.global.quiet {
                eprintln!(
                    "training {} on {} with the split {}",
                    name_of(model),
                    split.dataset,
                    split.name
                );
            }
            model
        }
    };
    let mut flags = Vec::new();
    if let Some(epochs) = args.epochs {
        flags.push(("train.epochs", toml::Value::Integer(epochs as i64)));
    }
    if let Some(seed) = args.seed {
        let seed = i64::try_from(seed).context("--seed takes numbers below 2^63")?;
        flags.push(("train.seed", toml::Value::Integer(seed)));
    }
    if let Some(device) = args.device {
        flags.push(("train.device", toml::Value::String(device.to_string())));
    }
    if let Some(init) = &args.init {
        flags.push(("train.init", toml::Value::String(init.clone())));
    }
    let (_, mut cfg) = config::resolve(ctx, model, &args.set, &flags)?;
    let source = LakeSource::open(lake, &split, cfg.model).await?;
    let mut folds: Vec<i32> = source.folds().iter().map(|f| f.fold).collect();
    if let Some(wanted) = &args.folds {
        if let Some(absent) = wanted.iter().find(|f| !folds.contains(f)) {
            bail!(
                "split `{}` has no fold {absent}; it has {folds:?}",
                split.name
            );
        }
        folds.retain(|f| wanted.contains(f));
    }
    let run = args
        .name
        .clone()
        .unwrap_or_else(|| format!("{}-{}", name_of(cfg.model), split.name));
    let init = match &mut cfg.init {
        Some(from) => {
            let (path, record) = init::resolve(lake, from, &split, &source, &folds)?;
            *from = path;
            Some(record)
        }
        None => None,
    };
    let mut sound = None;
    if let Some(from) = &mut cfg.audio_init {
        (*from, sound) = init::sound(from)?;
    }
    let record = RunRecord {
        format: RunRecord::FORMAT,
        run: run.clone(),
        stage: "finetune".into(),
        dataset: split.dataset.clone(),
        split: split.name.clone(),
        split_digest: audit.assignments_digest,
        protocol: split.protocol.to_string(),
        recipe: split.recipe.clone(),
        leaky: clearance.leaky(),
        forced: clearance.forced,
        classes: source.class_names(cfg.task()),
        folds,
        controls: if args.no_controls {
            Vec::new()
        } else {
            controls(cfg.model)
        },
        config: cfg,
        init,
        sound,
        data_digest: source.digest().to_owned(),
        version: env!("CARGO_PKG_VERSION").into(),
    };
    let folder = RunFolder::of(lake, &run)?;
    if args.overwrite {
        folder.remove()?;
    }
    match folder.record()? {
        Some(old) if old == record => {}
        Some(_) => bail!(
            "run `{run}` exists and was asked something else; take another --name, --overwrite it, or --resume {run} as it was asked"
        ),
        None => folder.write_record(&record)?,
    }
    Ok((folder, record))
}

/// Trains what the record asks for; folds that are done are not done again.
pub(super) fn fit(
    ctx: &Context,
    lake: &Lake,
    folder: &RunFolder,
    record: &RunRecord,
) -> Result<Vec<FitReport>> {
    let source = open(ctx, lake, record)?;
    let folds: Vec<_> = source
        .folds()
        .iter()
        .filter(|f| record.folds.contains(&f.fold))
        .cloned()
        .collect();
    let (cfg, controls) = (&record.config, &record.controls);
    for encoder in train::frozen_encoders(cfg, &record.folds, controls, folder.path())? {
        prepare(ctx, &source, &encoder)?;
    }
    let bar = TrainingBar::new(&record.run, ctx.global.quiet);
    let report = train::run(
        &source,
        &folds,
        &record.config,
        folder.path(),
        &record.controls,
        &bar,
    )?;
    bar.finish();
    folder.write_fits(&report.fits)?;
    Ok(report.fits)
}

/// The run's examples, refused when the split or the data are no longer those of the record.
pub(super) fn open(ctx: &Context, lake: &Lake, record: &RunRecord) -> Result<LakeSource> {
    let allowed = !record.forced.is_empty();
    let clearance = ctx.block_on(splits::check_for_training(lake, &record.split, allowed))?;
    let split = clearance.split;
    if clearance.audit.assignments_digest != record.split_digest {
        bail!(
            "split `{}` changed since run `{}` was started; train a new run on it",
            record.split,
            record.run
        );
    }
    let source = ctx.block_on(LakeSource::open(lake, &split, record.config.model))?;
    if source.digest() != record.data_digest {
        bail!(
            "the epochs of {} changed since run `{}` was started; train a new run",
            record.dataset,
            record.run
        );
    }
    Ok(source)
}

async fn only_split(lake: &Lake, dataset: Option<&str>) -> Result<splits::Split> {
    let mut names = Vec::new();
    for name in splits::list(lake)? {
        let stored = splits::stored_audit(lake, &name)?;
        if dataset.is_none_or(|d| d.eq_ignore_ascii_case(&stored.dataset)) {
            names.push(name);
        }
    }
    match names.as_slice() {
        [one] => Ok(splits::load(lake, one).await?),
        [] => bail!("there is no split to train on; make one with `mmpipe split`"),
        many => bail!("name the split with --split; there are {}", many.join(", ")),
    }
}

/// AADNet where every sound has its candidates, else EEGNet.
async fn default_model(lake: &Lake, dataset: &str) -> Result<ModelKind> {
    let quoted = dataset.replace('\'', "''");
    let batches = lake
        .query(&format!("SELECT count(*) > 0 AS paired FROM eeg WHERE dataset = '{quoted}' AND cardinality(stimuli) > 1"))
        .await?;
    let paired = batches
        .first()
        .is_some_and(|b| b.num_rows() > 0 && b.column(0).as_boolean().value(0));
    Ok(if paired {
        ModelKind::Aadnet
    } else {
        ModelKind::Eegnet
    })
}

/// Controls that train beside a model. Where a sound that was heard stands beside the EEG and a class is
/// asked for, the sound alone may tell it.
fn controls(model: ModelKind) -> Vec<Control> {
    match model.needs_heard() {
        true => vec![Control::LabelPermuted, Control::AudioOnly],
        false => vec![Control::LabelPermuted],
    }
}

/// The model's name as typed.
pub(super) fn name_of(model: ModelKind) -> &'static str {
    match model {
        ModelKind::Eegnet => "eegnet",
        ModelKind::Mindmix => "mindmix",
        ModelKind::MindmixAv => "mindmix-av",
        ModelKind::MindmixReal => "mindmix-real",
        ModelKind::MindmixPrototype => "mindmix-prototype",
        ModelKind::Aadnet => "aadnet",
        ModelKind::BandpowerLr => "bandpower-lr",
        ModelKind::Ridge => "ridge",
    }
}

/// What the task asks, in plain words.
pub(super) fn question(model: ModelKind, classes: &[String]) -> String {
    match model.task() {
        _ if model.needs_heard() => {
            let classes = classes.join(", ");
            format!("Which of {classes} do the EEG and the sound that was heard show?")
        }
        Task::Classification => format!("Which of {} does the EEG show?", classes.join(", ")),
        Task::Matching => "Which of the sounds that played was attended?".into(),
    }
}
