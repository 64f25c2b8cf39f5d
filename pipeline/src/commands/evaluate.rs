//! `mmpipe evaluate`: a run's test folds scored, with controls, baseline and chance beside it.

use anyhow::{Result, bail};
use arrow::array::{ArrayRef, Int32Array, ListArray, RecordBatch, StringArray, UInt64Array};
use arrow::datatypes::Float32Type;
use mmpipe_eval::result::{self, CurvePoint, FoldCurve, RunMeta, RunSummary, ScoreOptions, Scores};
use mmpipe_lake::Lake;
use mmpipe_splits as splits;
use mmpipe_train::{
    self as train, Control, DeviceChoice, Fold, ModelKind, Prediction, Silent, Task, TrainConfig,
};

use super::Status;
use super::train::{name_of, open, question};
use crate::cli::{EvaluateArgs, Scoring};
use crate::context::Context;
use crate::render::{self, Table};
use crate::runs::{RunFolder, RunRecord, existing};
use crate::source::LakeSource;
use std::collections::BTreeMap;
use std::sync::Arc;

pub(crate) fn run(ctx: &Context, args: &EvaluateArgs) -> Result<Status> {
    let lake = ctx.lake()?;
    let (folder, record) = existing(&lake, &args.run)?;
    let mut controls = Vec::new();
    for name in &args.controls {
        controls.push(name.parse::<Control>().map_err(anyhow::Error::msg)?);
    }
    let summary = evaluate(ctx, &lake, &folder, &record, args.scoring, &controls)?;
    if ctx.global.json {
        render::json(&summary)?;
    } else {
        print(&summary)?;
        render::line(format!(
            "next        mmpipe report {} -o report.html",
            record.run
        ))?;
    }
    Ok(Status::Done)
}

/// Predicts, scores, and stores predictions and summary.
pub(super) fn evaluate(
    ctx: &Context,
    lake: &Lake,
    folder: &RunFolder,
    record: &RunRecord,
    scoring: Scoring,
    controls: &[Control],
) -> Result<RunSummary> {
    let Some(fits) = folder.fits()? else {
        bail!(
            "run `{}` is not trained to its end; go on with `mmpipe train --resume {}`",
            record.run,
            record.run
        );
    };
    let source = open(ctx, lake, record)?;
    let folds: Vec<Fold> = source
        .folds()
        .iter()
        .filter(|f| record.folds.contains(&f.fold))
        .cloned()
        .collect();
    // Where it was trained may be another machine.
    let device = match record.config.device.open() {
        Ok(_) => record.config.device,
        Err(_) => DeviceChoice::Auto,
    };
    let cfg = &TrainConfig {
        device,
        ..record.config.clone()
    };
    let scoring = match (scoring, cfg.task()) {
        (Scoring::Candidate, Task::Matching) => "candidate",
        (Scoring::Candidate, Task::Classification) => "label",
    };
    let options = ScoreOptions::default();

    let mut notes: Vec<String> = fits
        .iter()
        .filter(|f| f.control.is_none())
        .flat_map(|f| f.notes.clone())
        .collect();
    notes.extend(record.init.iter().flat_map(|i| i.notes.clone()));
    let mut wanted = Vec::new();
    let trained = record.controls.iter().filter(|c| !controls.contains(c));
    for &control in controls.iter().chain(trained) {
        if control.trains() && !record.controls.contains(&control) {
            notes.push(format!(
                "The control {control} was left out when this run was trained."
            ));
        } else {
            wanted.push(control);
        }
    }
    // Everything is trained, so this predicts only.
    let report = train::run(&source, &folds, cfg, folder.path(), &wanted, &Silent)?;
    let sets: Vec<(String, Vec<Prediction>)> = report
        .predictions
        .into_iter()
        .map(|(control, set)| (control.map_or_else(String::new, |c| c.to_string()), set))
        .collect();
    let Some((_, own)) = sets.first() else {
        bail!("run `{}` has no fold to predict", record.run)
    };
    let clearance = ctx.block_on(splits::check_for_training(
        lake,
        &record.split,
        !record.forced.is_empty(),
    ))?;
    let parameters = fits.iter().map(|f| f.parameters).max();
    let meta = RunMeta {
        run: record.run.clone(),
        question: question(cfg.model, &record.classes),
        model: name_of(cfg.model).into(),
        stage: record.stage.clone(),
        dataset: record.dataset.clone(),
        split: record.split.clone(),
        protocol: record.protocol.clone(),
        leaky: record.leaky,
        scoring: scoring.into(),
        classes: record.classes.clone(),
        parameters,
        seed: Some(cfg.seed),
        version: record.version.clone(),
        config: serde_json::to_value(cfg)?,
    };
    let of = |set: &[Prediction]| set.iter().map(|p| source.result(p)).collect::<Vec<_>>();
    let mut summary = result::summarise(meta, &of(own), &options)?;
    for (name, set) in &sets[1..] {
        summary.add_control(name, &of(set), &options)?;
    }
    let classical = match cfg.task() {
        Task::Classification => ModelKind::BandpowerLr,
        Task::Matching => ModelKind::Ridge,
    };
    if cfg.model != classical {
        let (predictions, baseline_notes) = baseline(&source, &folds, cfg, classical, folder)?;
        summary.add_baseline(name_of(classical), &of(&predictions), &options)?;
        notes.extend(baseline_notes);
    }
    summary.curves = fits
        .iter()
        .filter(|f| f.control.is_none())
        .map(|f| FoldCurve {
            fold: f.fold,
            best_epoch: u32::try_from(f.best_epoch).ok(),
            points: f
                .history
                .iter()
                .map(|r| CurvePoint {
                    epoch: u32::try_from(r.epoch).unwrap_or(u32::MAX),
                    train_loss: Some(r.train_loss),
                    val_loss: r.val_loss,
                    val_balanced_accuracy: r.val_balanced_accuracy,
                    lr: Some(r.lr),
                })
                .collect(),
        })
        .collect();
    summary.audit = Some(clearance.summary());
    if record.leaky {
        notes.push(format!(
            "The split is leaky ({}): what this run scores is no evidence of decoding.",
            record.protocol
        ));
    }
    notes.extend(by_number(own));
    notes.sort();
    notes.dedup();
    summary.notes = notes;
    store(lake, record, scoring, &sets)?;
    folder.write_summary(&summary)?;
    Ok(summary)
}

/// Of candidates in different numbers (duo, trio), each number by itself: its chance is its own.
fn by_number(predictions: &[Prediction]) -> Vec<String> {
    let mut by: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    for p in predictions {
        let (right, n) = by.entry(p.scores.len()).or_default();
        *right += usize::from(p.label == p.predicted);
        *n += 1;
    }
    if by.len() < 2 {
        return Vec::new();
    }
    let said = |(k, (right, n)): (&usize, &(usize, usize))| {
        format!(
            "Among {k} candidates: {right} of {n} epochs are right ({:.3}; chance {:.3}).",
            *right as f64 / *n as f64,
            1.0 / *k as f64
        )
    };
    by.iter().map(said).collect()
}

/// The classical baseline of the task on the same folds.
fn baseline(
    source: &LakeSource,
    folds: &[Fold],
    cfg: &TrainConfig,
    model: ModelKind,
    folder: &RunFolder,
) -> Result<(Vec<Prediction>, Vec<String>)> {
    let cfg = TrainConfig {
        seed: cfg.seed,
        ..TrainConfig::for_model(model)
    };
    let dir = folder.path().join(format!("baseline={}", name_of(model)));
    let report = train::run(source, folds, &cfg, &dir, &[], &Silent)?;
    let notes = report.fits.iter().flat_map(|f| f.notes.clone()).collect();
    Ok((
        report
            .predictions
            .into_iter()
            .flat_map(|(_, p)| p)
            .collect(),
        notes,
    ))
}

/// The predictions as a table of the lake.
fn store(
    lake: &Lake,
    record: &RunRecord,
    scoring: &str,
    sets: &[(String, Vec<Prediction>)],
) -> Result<()> {
    let rows: Vec<(&str, &Prediction)> = sets
        .iter()
        .flat_map(|(control, set)| set.iter().map(move |p| (control.as_str(), p)))
        .collect();
    let texts = |f: &dyn Fn(&(&str, &Prediction)) -> Option<String>| -> ArrayRef {
        Arc::new(rows.iter().map(f).collect::<StringArray>())
    };
    let ints = |f: &dyn Fn(&Prediction) -> i32| -> ArrayRef {
        Arc::new(rows.iter().map(|(_, p)| f(p)).collect::<Int32Array>())
    };
    let scores = ListArray::from_iter_primitive::<Float32Type, _, _>(
        rows.iter()
            .map(|(_, p)| Some(p.scores.iter().copied().map(Some).collect::<Vec<_>>())),
    );
    let columns: Vec<(&str, ArrayRef)> = vec![
        ("run", texts(&|_| Some(record.run.clone()))),
        ("split", texts(&|_| Some(record.split.clone()))),
        ("fold", ints(&|p| p.fold)),
        (
            "epoch_id",
            Arc::new(
                rows.iter()
                    .map(|(_, p)| p.epoch_id)
                    .collect::<UInt64Array>(),
            ),
        ),
        ("dataset", texts(&|(_, p)| Some(p.dataset.clone()))),
        ("subject", texts(&|(_, p)| Some(p.subject.clone()))),
        ("trial", ints(&|p| p.trial)),
        ("scoring", texts(&|_| Some(scoring.to_owned()))),
        (
            "control",
            texts(&|(c, _)| (!c.is_empty()).then(|| (*c).to_owned())),
        ),
        ("label", ints(&|p| p.label)),
        ("predicted", ints(&|p| p.predicted)),
        ("scores", Arc::new(scores)),
    ];
    let batch = RecordBatch::try_from_iter_with_nullable(
        columns
            .into_iter()
            .map(|(name, column)| (name, column, true)),
    )?;
    mmpipe_lake::write_table(lake, "predictions", &[("run", &record.run)], &[batch])?;
    Ok(())
}

/// The result as text: the score first, beside its controls, its baseline and chance.
pub(super) fn print(summary: &RunSummary) -> Result<()> {
    let meta = &summary.meta;
    render::line(format!(
        "{}: {} on {}, split {} ({})",
        meta.run, meta.model, meta.dataset, meta.split, meta.protocol
    ))?;
    render::line(format!("{} Scoring: {}.", meta.question, meta.scoring))?;
    if summary.leaky() {
        render::line(format!(
            "LEAKY       {}: no evidence of decoding",
            meta.protocol
        ))?;
    }
    render::line("")?;
    let mut table = Table::new([
        "",
        "bal. acc.",
        "over folds",
        "over subjects",
        "weighted F1",
        "95 % interval",
        "p",
        "chance",
        "epochs",
    ]);
    let mut row = |name: &str, s: &Scores| {
        let spread = |m: &Option<mmpipe_eval::stats::MeanStd>| {
            m.as_ref().map_or("-".to_owned(), |m| match m.std {
                Some(std) => format!("{:.3} ± {std:.3}", m.mean),
                None => format!("{:.3}", m.mean),
            })
        };
        table.row([
            name.to_owned(),
            format!("{:.3}", s.balanced_accuracy),
            spread(&s.over_folds.balanced_accuracy),
            spread(&s.over_subjects.balanced_accuracy),
            format!("{:.3}", s.weighted_f1),
            s.interval
                .as_ref()
                .map_or("-".into(), |i| format!("{:.3} to {:.3}", i.low, i.high)),
            s.permutation
                .as_ref()
                .map_or("-".into(), |p| format!("{:.3}", p.p)),
            format!("{:.3}", s.chance.balanced_accuracy),
            s.n.to_string(),
        ]);
    };
    row(&meta.model, &summary.scores);
    for baseline in &summary.baselines {
        row(&format!("baseline {}", baseline.name), baseline);
    }
    for control in &summary.controls {
        row(&format!("control {}", control.name), control);
    }
    render::text(&table.to_string())?;
    for note in &summary.notes {
        render::line(format!("note        {note}"))?;
    }
    Ok(())
}
