//! Stage 2: EEG and attended sounds in one space, and stage 3 that starts there.

use std::path::Path;

use mmpipe_train::{
    AlignConfig, AlignReport, Error, Fold, FusionKind, MemorySource, Meta, ModelKind, Pairs,
    Silent, Size, Source, StepConfig, TrainConfig, align, fit, predict,
};

use crate::hearing::listener;
use crate::toys::{Noise, StopAfter, accuracy, by_trial, talkers, two_montages, weights};

fn aligner() -> AlignConfig {
    AlignConfig {
        size: Size::Tiny,
        dropout: Some(0.0),
        drop_path: Some(0.0),
        steps: StepConfig {
            epochs: 6,
            batch: 16,
            lr: 2e-3,
            warmup: 1.0,
            weight_decay: 0.0,
            ..AlignConfig::default().steps
        },
        ..AlignConfig::default()
    }
}

pub(crate) fn with_steps(change: impl Fn(&mut StepConfig)) -> AlignConfig {
    let mut cfg = aligner();
    change(&mut cfg.steps);
    cfg
}

/// A number of the pass whose weights are kept.
fn named(report: &AlignReport, name: &str) -> f64 {
    report.phase.history[report.phase.best_epoch - 1].named[name]
}

#[test]
fn sounds_are_found_and_stage_3_starts_there() {
    let source = talkers(20, 5, 0, 200);
    let fold = by_trial(&source, 14, 2);
    let two = tempfile::tempdir().unwrap();
    let report = align(&source, &fold, &aligner(), two.path(), &Silent).unwrap();
    assert_eq!((report.n_train, report.n_val), (70, 10));
    // Ten epochs, so at most ten sounds to tell from each other.
    let pool = named(&report, "val_pool");
    assert!((4.0..=10.0).contains(&pool), "{pool}");
    // A guess that knows nothing has the logarithm of the pool for its loss.
    let loss = report.phase.best_val_loss.unwrap();
    assert!(
        loss < 0.9 * pool.ln(),
        "{loss} of {pool} sounds: {report:?}"
    );
    assert!(named(&report, "val_top5") >= named(&report, "val_top1"));
    assert!(named(&report, "val_candidate_accuracy") > 0.7, "{report:?}");
    let factor = named(&report, "logit_factor");
    assert!((1.0..=100.0).contains(&factor), "{factor}");
    let config: serde_json::Value =
        serde_json::from_slice(&std::fs::read(two.path().join("config.json")).unwrap()).unwrap();
    assert_eq!(config["model_type"], "mindmix-align");
    assert_eq!(config["pairs"], "crossed");

    // Stage 3 takes everything over; a step that moves nothing leaves what stage 2 learnt.
    let cfg = TrainConfig {
        init: Some(two.path().display().to_string()),
        epochs: 1,
        lr: 1e-9,
        ..listener()
    };
    let dir = tempfile::tempdir().unwrap();
    let three = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    let note = &three.notes[0];
    assert!(
        note.contains("tensors taken") && !note.contains("anew"),
        "{note}"
    );
    let answers = predict(&source, &fold.test, &cfg, dir.path(), None).unwrap();
    assert!(accuracy(&answers) > 0.65, "{}", accuracy(&answers));
    let scratch = TrainConfig {
        init: None,
        ..cfg.clone()
    };
    let dir = tempfile::tempdir().unwrap();
    fit(&source, &fold, &scratch, dir.path(), &Silent).unwrap();
    let chance = predict(&source, &fold.test, &scratch, dir.path(), None).unwrap();
    assert!(accuracy(&chance) < accuracy(&answers));

    // A model without a sound encoder takes what it has; another form of fusion starts anew.
    let classes = two_montages(6, 4, 1);
    let of_classes = by_trial(&classes, 4, 1);
    for (model, fusion, left) in [
        (
            ModelKind::MindmixPrototype,
            FusionKind::CalraPaper,
            "in the file but not",
        ),
        (
            ModelKind::Mindmix,
            FusionKind::CalraPaper,
            "of another shape and started anew: eeg_proj.0.bias",
        ),
        (
            ModelKind::MindmixPrototype,
            FusionKind::ConcatMlp,
            "anew: fusion_module",
        ),
    ] {
        // The classifier has the published projection of 256, stage 2 of `tiny` one of 64.
        let cfg = TrainConfig {
            model,
            fusion,
            ..cfg.clone()
        };
        let dir = tempfile::tempdir().unwrap();
        let ran = fit(&classes, &of_classes, &cfg, dir.path(), &Silent);
        let notes = ran.unwrap().notes.join("; ");
        assert!(notes.contains(left), "{left}: {notes}");
    }
    // Another size is another encoder.
    let cfg = TrainConfig {
        size: Size::Base,
        ..cfg
    };
    let dir = tempfile::tempdir().unwrap();
    let e = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap_err();
    assert!(e.to_string().contains("train.size"), "{e}");
}

#[test]
fn one_sound_for_all_leaves_nothing_to_learn() {
    let mut source = talkers(6, 4, 2, 200);
    let one = vec![source.candidates[0][0].clone(); 2];
    // By content, whatever names the sounds have.
    source
        .candidates
        .iter_mut()
        .for_each(|c| c.clone_from(&one));
    source.keys.clear();
    let fold = by_trial(&source, 4, 1);
    let dir = tempfile::tempdir().unwrap();
    let cfg = with_steps(|s| s.epochs = 1);
    let report = align(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    let record = &report.phase.history[0];
    assert!(record.train_loss.abs() < 1e-5, "{record:?}");
    assert_eq!(record.train_accuracy, Some(1.0));
    assert_eq!(record.named["val_pool"], 1.0);
    assert_eq!(record.named["val_top1"], 1.0);
    // The rival is the attended sound itself, so it is no negative.
    assert_eq!(record.named["hard_negatives"], 0.0);
}

#[test]
fn rivals_are_negatives_in_training_and_change_nothing_in_validation() {
    let source = talkers(6, 4, 6, 200);
    let fold = by_trial(&source, 4, 1);
    let record = |hard_negatives, pairs| {
        let cfg = AlignConfig {
            hard_negatives,
            pairs,
            ..with_steps(|s| {
                s.epochs = 1;
                s.lr = 1e-12;
            })
        };
        let dir = tempfile::tempdir().unwrap();
        let report = align(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
        report.phase.history[0].clone()
    };
    for pairs in [Pairs::Crossed, Pairs::Diagonal] {
        let (with, without) = (record(true, pairs), record(false, pairs));
        assert_eq!(with.named["hard_negatives"], 1.0);
        assert_eq!(without.named["hard_negatives"], 0.0);
        // More to be told from is more to be wrong about.
        assert!(with.train_loss > without.train_loss, "{with:?} {without:?}");
        assert!((with.val_loss.unwrap() - without.val_loss.unwrap()).abs() < 1e-5);
        for name in ["val_top1", "val_pool", "val_candidate_accuracy"] {
            assert_eq!(with.named[name], without.named[name], "{name}");
        }
    }
}

/// Montages of 2, 30 and 255 channels, two data sets, one of them without rivals of the sound, one
/// example without any sound.
fn many() -> MemorySource {
    let mut source = talkers(6, 4, 3, 200);
    source.montages = vec![2, 30, 255]
        .into_iter()
        .map(|n| (1..=n).map(|c| format!("E{c}")).collect())
        .collect();
    let mut noise = Noise::new(5);
    for i in 0..source.metas.len() {
        let montage = i % 3;
        let channels = source.montages[montage].len();
        source.metas[i].montage = montage;
        source.metas[i].dataset = if i % 2 == 0 { "A" } else { "B" }.into();
        if i % 2 == 1 {
            source.metas[i].candidates = 1;
        }
        source.eeg[i] = (0..channels * 400).map(|_| noise.next()).collect();
    }
    source.metas[1].candidates = 0;
    source
}

#[test]
fn any_montages_make_a_batch() {
    let source = many();
    let fold = by_trial(&source, 4, 1);
    let cfg = AlignConfig {
        spatial: false,
        pairs: Pairs::Diagonal,
        symmetric: true,
        ..with_steps(|s| {
            s.epochs = 1;
            s.batch = 8;
        })
    };
    let dir = tempfile::tempdir().unwrap();
    let report = align(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    assert_eq!(report.n_train, 15);
    let notes = report.notes.join("; ");
    assert!(
        notes.contains("1 of 16 training epochs were left out"),
        "{notes}"
    );
    assert!(notes.contains("diagonal"), "{notes}");
    assert!(report.phase.history[0].val_loss.unwrap().is_finite());
    // Where electrodes have places they must be known.
    let spatial = AlignConfig {
        spatial: true,
        ..cfg
    };
    let dir = tempfile::tempdir().unwrap();
    let e = align(&source, &fold, &spatial, dir.path(), &Silent).unwrap_err();
    assert!(e.to_string().contains("spatial"), "{e}");
}

fn in_sittings(
    source: &dyn Source,
    fold: &Fold,
    cfg: &AlignConfig,
    dir: &Path,
    seed: u64,
) -> usize {
    let mut draw = Noise::new(seed);
    for sitting in 1.. {
        let steps = 1 + (draw.next().abs() * 3.0) as u64;
        let mut cfg = cfg.clone();
        cfg.steps.prefetch = sitting % 3;
        cfg.steps.cache_mib = sitting % 2;
        match align(source, fold, &cfg, dir, &StopAfter::new(steps)) {
            Ok(_) => return sitting,
            Err(Error::Stopped { .. }) => {}
            Err(e) => panic!("{e}"),
        }
    }
    0
}

#[test]
fn alignment_continues_to_the_bit() {
    let source = many();
    let fold = by_trial(&source, 4, 1);
    let cfg = AlignConfig {
        spatial: false,
        dropout: Some(0.1),
        drop_path: Some(0.1),
        ..with_steps(|s| {
            s.epochs = 2;
            s.batch = 4;
            s.ema = 0.9;
        })
    };
    let whole = tempfile::tempdir().unwrap();
    let report = align(&source, &fold, &cfg, whole.path(), &Silent).unwrap();
    for seed in 0..2 {
        let parts = tempfile::tempdir().unwrap();
        assert!(in_sittings(&source, &fold, &cfg, parts.path(), seed) > 2);
        assert_eq!(
            weights(&whole.path().join("align")),
            weights(&parts.path().join("align"))
        );
        let model = |dir: &Path| std::fs::read(dir.join("model.safetensors")).unwrap();
        assert_eq!(model(whole.path()), model(parts.path()));
        let again = align(&source, &fold, &cfg, parts.path(), &Silent).unwrap();
        assert_eq!(report.phase.history, again.phase.history);
    }
    // Another run is not continued.
    let other = AlignConfig {
        pairs: Pairs::Diagonal,
        ..cfg
    };
    let e = align(&source, &fold, &other, whole.path(), &Silent).unwrap_err();
    assert!(e.to_string().contains("another configuration"), "{e}");
}

#[test]
fn what_cannot_work_is_refused() {
    let source = talkers(4, 3, 4, 200);
    let fold = by_trial(&source, 3, 1);
    let dir = tempfile::tempdir().unwrap();
    let said = |source: &MemorySource, cfg: &AlignConfig| {
        let dir = dir.path().join("x");
        align(source, &fold, cfg, &dir, &Silent)
            .unwrap_err()
            .to_string()
    };
    for (field, cfg) in [
        ("micro_batch", with_steps(|s| s.micro_batch = 4)),
        ("batch", with_steps(|s| s.batch = 1)),
        (
            "temperature",
            AlignConfig {
                temperature: 0.001,
                ..aligner()
            },
        ),
    ] {
        let e = said(&source, &cfg);
        assert!(e.contains(field), "{e}");
    }
    let mut silent = source.clone();
    for m in &mut silent.metas {
        *m = Meta {
            candidates: 0,
            ..m.clone()
        };
    }
    let e = said(&silent, &aligner());
    assert!(e.contains("no training epoch"), "{e}");
    let absent = AlignConfig {
        init: Some("absent.safetensors".into()),
        ..aligner()
    };
    assert!(said(&source, &absent).contains("absent.safetensors"));
}
