//! A run that is stopped anywhere and continued ends with the same bytes.

use std::path::Path;

use mmpipe_train::{Error, Fold, ModelKind, Silent, Size, Source, TrainConfig, fit, predict};

use crate::hearing::listener;
use crate::matching::matcher;
use crate::toys::{
    Noise, StopAfter, by_trial, rhythms, small, talkers, two_montages, two_talkers, weights,
};

/// Stop after random numbers of steps until it is done; at most `most` steps a sitting.
fn in_sittings(
    source: &dyn Source,
    fold: &Fold,
    cfg: &TrainConfig,
    dir: &Path,
    seed: u64,
    most: u64,
) -> usize {
    let mut draw = Noise::new(seed);
    for sitting in 1.. {
        let steps = 1 + (f64::from(draw.next().abs()) * most as f64) as u64;
        // What does not change the result may change between sittings.
        let cfg = TrainConfig {
            prefetch: sitting % 3,
            cache_mib: sitting % 2,
            ..cfg.clone()
        };
        match fit(source, fold, &cfg, dir, &StopAfter::new(steps)) {
            Ok(_) => return sitting,
            Err(Error::Stopped { step, .. }) => assert!(step > 0),
            Err(e) => panic!("{e}"),
        }
    }
    0
}

pub(crate) fn check(source: &dyn Source, fold: &Fold, cfg: &TrainConfig, most: u64) {
    let whole = tempfile::tempdir().unwrap();
    let report = fit(source, fold, cfg, whole.path(), &Silent).unwrap();
    for seed in 0..2 {
        let parts = tempfile::tempdir().unwrap();
        let sittings = in_sittings(source, fold, cfg, parts.path(), seed, most);
        assert!(sittings > 2, "{sittings}");
        assert_eq!(weights(whole.path()), weights(parts.path()));
        let lines = |dir: &Path| std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
        assert_eq!(lines(whole.path()), lines(parts.path()));
        let continued = fit(source, fold, cfg, parts.path(), &Silent).unwrap();
        assert_eq!(report.history, continued.history);
        assert_eq!(report.best_step, continued.best_step);
        let ask = |dir: &Path| predict(source, &fold.test, cfg, dir, None).unwrap();
        assert_eq!(ask(whole.path()), ask(parts.path()));
    }
}

#[test]
fn classification_continues_to_the_bit() {
    let source = rhythms(1, 8, 6, 10);
    let fold = by_trial(&source, 6, 1);
    check(
        &source,
        &fold,
        &TrainConfig {
            epochs: 4,
            batch: 8,
            ..small()
        },
        7,
    );
}

#[test]
fn matching_continues_to_the_bit() {
    let source = two_talkers(6, 4, 11);
    let fold = by_trial(&source, 4, 1);
    check(
        &source,
        &fold,
        &TrainConfig {
            epochs: 3,
            batch: 4,
            ..matcher()
        },
        5,
    );
}

/// A kill leaves the last checkpoint and perhaps a half-written one, metrics beyond it, and no
/// report.
#[test]
fn a_killed_run_continues_from_its_last_checkpoint() {
    let source = rhythms(1, 8, 6, 12);
    let fold = by_trial(&source, 6, 1);
    let cfg = TrainConfig {
        epochs: 3,
        batch: 8,
        checkpoint_every: 2,
        ..small()
    };
    let whole = tempfile::tempdir().unwrap();
    fit(&source, &fold, &cfg, whole.path(), &Silent).unwrap();
    let killed = tempfile::tempdir().unwrap();
    fit(&source, &fold, &cfg, killed.path(), &StopAfter::new(6)).unwrap_err();
    let half = killed.path().join("checkpoints/.tmp-step=00000008");
    std::fs::create_dir(&half).unwrap();
    std::fs::write(half.join("model.safetensors"), b"half").unwrap();
    let metrics = killed.path().join("metrics.jsonl");
    let mut lines = std::fs::read_to_string(&metrics).unwrap();
    lines.push_str("{\"kind\":\"step\",\"step\":7,\"epoch\":2,\"loss\":9}\n{\"kind\":\"st");
    std::fs::write(&metrics, lines).unwrap();
    fit(&source, &fold, &cfg, killed.path(), &Silent).unwrap();
    assert_eq!(weights(whole.path()), weights(killed.path()));
    let lines = |dir: &Path| std::fs::read_to_string(dir.join("metrics.jsonl")).unwrap();
    assert_eq!(lines(whole.path()), lines(killed.path()));
    assert!(!half.exists());
}

#[test]
fn another_run_is_not_continued() {
    let source = rhythms(1, 8, 4, 13);
    let fold = by_trial(&source, 6, 1);
    let cfg = TrainConfig {
        epochs: 1,
        ..small()
    };
    let dir = tempfile::tempdir().unwrap();
    fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    let other = TrainConfig {
        lr: 0.5,
        ..cfg.clone()
    };
    let err = fit(&source, &fold, &other, dir.path(), &Silent).unwrap_err();
    assert!(err.to_string().contains("another configuration"), "{err}");
    let fewer = by_trial(&source, 5, 1);
    let err = fit(&source, &fewer, &cfg, dir.path(), &Silent).unwrap_err();
    assert!(err.to_string().contains("other examples"), "{err}");
    let state = std::fs::read_dir(dir.path().join("checkpoints"))
        .unwrap()
        .next()
        .unwrap()
        .unwrap()
        .path();
    std::fs::write(state.join("state.json"), b"{").unwrap();
    let err = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap_err();
    assert!(err.to_string().contains("state.json"), "{err}");
}

#[test]
fn averages_parts_and_layers_continue_to_the_bit() {
    let source = two_montages(8, 6, 14);
    let fold = by_trial(&source, 6, 1);
    let cfg = TrainConfig {
        size: Size::Tiny,
        epochs: 2,
        batch: 8,
        micro_batch: 3,
        ema: 0.9,
        layer_decay: 0.7,
        ..TrainConfig::for_model(ModelKind::Mindmix)
    };
    check(&source, &fold, &cfg, 4);
}

#[test]
fn hearing_continues_to_the_bit() {
    let source = talkers(6, 4, 17, 200);
    let fold = by_trial(&source, 4, 1);
    let cfg = TrainConfig {
        batch: 4,
        micro_batch: 3,
        epochs: 3,
        ..listener()
    };
    check(&source, &fold, &cfg, 4);
}

/// A batch in parts is the same step as the batch at once, up to rounding.
#[test]
fn parts_of_a_batch_make_the_same_step() {
    let source = two_montages(8, 6, 15);
    let fold = by_trial(&source, 6, 1);
    let cfg = TrainConfig {
        size: Size::Tiny,
        epochs: 2,
        batch: 8,
        dropout: Some(0.0),
        drop_path: Some(0.0),
        ..TrainConfig::for_model(ModelKind::Mindmix)
    };
    let losses = |micro_batch: usize| -> Vec<f64> {
        let dir = tempfile::tempdir().unwrap();
        let cfg = TrainConfig {
            micro_batch,
            ..cfg.clone()
        };
        fit(&source, &fold, &cfg, dir.path(), &Silent)
            .unwrap()
            .history
            .iter()
            .flat_map(|h| [h.train_loss, h.val_loss.unwrap()])
            .collect()
    };
    let (whole, parts) = (losses(0), losses(3));
    for (a, b) in whole.iter().zip(&parts) {
        assert!((a - b).abs() < 1e-4, "{whole:?} {parts:?}");
    }
    assert!(whole[0] != whole[2], "{whole:?}");
}

/// The average is what is validated, asked and stored beside the weights.
#[test]
fn the_average_of_the_weights_is_asked() {
    let source = rhythms(1, 8, 6, 16);
    let fold = by_trial(&source, 6, 1);
    let ask = |ema: f64| {
        let cfg = TrainConfig {
            epochs: 2,
            ema,
            ..small()
        };
        let dir = tempfile::tempdir().unwrap();
        let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
        let scores = predict(&source, &fold.test, &cfg, dir.path(), None).unwrap();
        (
            report
                .history
                .iter()
                .map(|h| h.train_loss)
                .collect::<Vec<_>>(),
            report
                .history
                .iter()
                .map(|h| h.val_loss)
                .collect::<Vec<_>>(),
            scores.into_iter().map(|p| p.scores).collect::<Vec<_>>(),
            weights(dir.path()),
        )
    };
    let (plain, averaged) = (ask(0.0), ask(0.95));
    assert_eq!(plain.0, averaged.0, "training does not see the average");
    assert_eq!(plain.3, averaged.3);
    assert_ne!(plain.1, averaged.1);
    assert_ne!(plain.2, averaged.2);
}
