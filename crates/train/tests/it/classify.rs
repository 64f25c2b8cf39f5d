//! Classification with networks.

use mmpipe_train::{
    ClassWeights, Ended, ModelKind, Select, Silent, Size, TrainConfig, fit, predict,
};

use crate::toys::{accuracy, by_trial, rhythms, small, two_montages, weights};

#[test]
fn eegnet_learns_a_rhythm_and_says_how() {
    let source = rhythms(1, 16, 8, 0);
    let fold = by_trial(&source, 10, 2);
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &small(), dir.path(), &Silent).unwrap();
    let (first, last) = (&report.history[0], report.history.last().unwrap());
    assert!(
        last.train_loss < 0.7 * first.train_loss,
        "{} {}",
        first.train_loss,
        last.train_loss
    );
    assert_eq!(report.steps, 12 * 5);
    assert_eq!(report.ended, Ended::Epochs);
    assert_eq!((report.n_train, report.n_val, report.n_test), (80, 16, 32));
    assert_eq!(report.channels, crate::toys::NAMES);
    let best = report
        .history
        .iter()
        .filter_map(|h| h.val_loss)
        .fold(f64::INFINITY, f64::min);
    assert_eq!(report.best_val_loss, Some(best));
    let predictions = predict(&source, &fold.test, &small(), dir.path(), None).unwrap();
    assert_eq!(predictions.len(), 32);
    assert!(accuracy(&predictions) > 0.9, "{}", accuracy(&predictions));
    for (p, i) in predictions.iter().zip(&fold.test) {
        assert_eq!(
            (p.epoch_id, p.trial),
            (source.metas[*i].epoch_id, source.metas[*i].trial)
        );
        let total: f32 = p.scores.iter().map(|s| s.exp()).sum();
        assert!((total - 1.0).abs() < 1e-5);
    }
    // Asked in another order, or in other company, each example gets the same answer.
    let mut back: Vec<usize> = fold.test.clone();
    back.reverse();
    let mut again = predict(&source, &back, &small(), dir.path(), None).unwrap();
    again.reverse();
    assert_eq!(predictions, again);
    let few = predict(&source, &fold.test[..5], &small(), dir.path(), None).unwrap();
    for (a, b) in predictions.iter().zip(&few) {
        assert_eq!(a.predicted, b.predicted);
        assert!(
            a.scores
                .iter()
                .zip(&b.scores)
                .all(|(a, b)| (a - b).abs() < 1e-5)
        );
    }
}

#[test]
fn same_seed_same_bytes_whatever_the_threads_and_the_cache() {
    let source = rhythms(1, 8, 6, 1);
    let fold = by_trial(&source, 6, 1);
    let base = TrainConfig {
        epochs: 2,
        ..small()
    };
    let train = |cfg: &TrainConfig| {
        let dir = tempfile::tempdir().unwrap();
        fit(&source, &fold, cfg, dir.path(), &Silent).unwrap();
        let lines = std::fs::read_to_string(dir.path().join("metrics.jsonl")).unwrap();
        (weights(dir.path()), lines)
    };
    let reference = train(&base);
    assert_eq!(
        reference,
        train(&TrainConfig {
            prefetch: 0,
            ..base.clone()
        })
    );
    assert_eq!(
        reference,
        train(&TrainConfig {
            prefetch: 3,
            queue: 1,
            cache_mib: 0,
            ..base.clone()
        })
    );
    assert_ne!(
        reference,
        train(&TrainConfig {
            seed: 1,
            ..base.clone()
        })
    );
}

#[test]
fn patience_ends_training_and_the_best_is_what_is_asked() {
    let source = rhythms(1, 12, 6, 2);
    let fold = by_trial(&source, 8, 2);
    let cfg = TrainConfig {
        epochs: 60,
        patience: 2,
        select: Select::BalancedAccuracy,
        class_weights: ClassWeights::None,
        ..small()
    };
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    assert_eq!(report.ended, Ended::Patience);
    assert_eq!(report.history.len(), report.best_epoch + 2);
    assert!(
        dir.path()
            .join(format!("checkpoints/step={:08}", report.best_step))
            .is_dir()
    );
    let kept = std::fs::read_dir(dir.path().join("checkpoints"))
        .unwrap()
        .count();
    assert!(kept <= cfg.keep_last + 1, "{kept}");
    // A finished fold is not trained again.
    let again = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    assert_eq!(report, again);
}

#[test]
fn mindmix_takes_several_montages_in_one_batch() {
    let source = two_montages(4, 4, 3);
    let cfg = TrainConfig {
        size: Size::Tiny,
        epochs: 1,
        batch: 4,
        ..TrainConfig::for_model(ModelKind::Mindmix)
    };
    let fold = by_trial(&source, 2, 1);
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    assert!(
        report.notes.iter().any(|n| n.contains("EXG1")),
        "{:?}",
        report.notes
    );
    assert!(report.history[0].train_loss.is_finite());
    assert_eq!(
        predict(&source, &fold.test, &cfg, dir.path(), None)
            .unwrap()
            .len(),
        fold.test.len()
    );
    // EEGNet on the same data sees what both montages share.
    let dir = tempfile::tempdir().unwrap();
    let cfg = TrainConfig {
        epochs: 1,
        ..small()
    };
    let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    assert_eq!(report.channels, ["Cz", "Pz"]);
    assert!(report.notes.iter().any(|n| n.contains("montages differ")));
}
