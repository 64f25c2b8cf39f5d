//! The controls sit at chance where the model does not.

use mmpipe_train::{Control, Silent, TrainConfig, fold_dir, run};

use crate::matching::matcher;
use crate::toys::{accuracy, by_trial, rhythms, small, two_talkers};

#[test]
fn classification_controls_are_at_chance() {
    let source = rhythms(4, 12, 5, 4);
    let fold = by_trial(&source, 6, 2);
    let dir = tempfile::tempdir().unwrap();
    let cfg = TrainConfig {
        epochs: 6,
        ..small()
    };
    let controls = [Control::NoiseEeg, Control::LabelPermuted];
    let report = run(
        &source,
        std::slice::from_ref(&fold),
        &cfg,
        dir.path(),
        &controls,
        &Silent,
    )
    .unwrap();
    assert_eq!(report.fits.len(), 3);
    assert_eq!(report.fits[1].control, Some(Control::LabelPermuted));
    let score: Vec<f64> = report
        .predictions
        .iter()
        .map(|(_, p)| accuracy(p))
        .collect();
    assert!(score[0] > 0.9, "{score:?}");
    // 80 test epochs in 16 trials.
    assert!((0.3..0.7).contains(&score[1]), "{score:?}");
    assert!((0.25..0.75).contains(&score[2]), "{score:?}");
    assert!(
        fold_dir(dir.path(), Some(Control::LabelPermuted), 0)
            .join("fit=1/fit.json")
            .exists()
    );
    // Run again: nothing is trained, the answers are the same.
    let again = run(&source, &[fold], &cfg, dir.path(), &controls, &Silent).unwrap();
    assert_eq!(again.fits, report.fits);
    assert_eq!(again.predictions, report.predictions);
}

#[test]
fn a_leaky_split_lifts_the_model_and_not_the_controls() {
    // No class in the data at all; each trial has a slow pattern that tells it apart.
    let mut source = rhythms(2, 8, 15, 5);
    let mut noise = crate::toys::Noise::new(9);
    for t in 0..16 {
        let pattern: Vec<f32> = (0..16).map(|_| noise.next().signum()).collect();
        for i in t * 15..(t + 1) * 15 {
            source.eeg[i] = (0..4 * 128)
                .map(|k| pattern[k / 32] + noise.next())
                .collect();
        }
    }
    let n = source.metas.len();
    let of = |f: &dyn Fn(usize) -> bool| (0..n).filter(|i| f(*i)).collect();
    let leaky = mmpipe_train::Fold {
        fold: 0,
        train: of(&|i| i % 5 < 3),
        val: of(&|i| i % 5 == 3),
        test: of(&|i| i % 5 == 4),
    };
    let dir = tempfile::tempdir().unwrap();
    let cfg = TrainConfig {
        epochs: 20,
        f1: 8,
        ..small()
    };
    let controls = [Control::NoiseEeg, Control::LabelPermuted];
    let report = run(&source, &[leaky], &cfg, dir.path(), &controls, &Silent).unwrap();
    let score: Vec<f64> = report
        .predictions
        .iter()
        .map(|(_, p)| accuracy(p))
        .collect();
    assert!(score[0] > 0.75, "{score:?}");
    assert!((0.3..0.7).contains(&score[1]), "{score:?}");
    assert!((0.3..0.7).contains(&score[2]), "{score:?}");
    // The permuted answers are learnt as well as the true ones: trials are recognised.
    assert!(
        report.fits[1].best_val_balanced_accuracy > Some(0.75),
        "{:?}",
        report.fits[1].history.last()
    );
}

#[test]
fn matching_controls_are_at_chance() {
    let source = two_talkers(24, 4, 6);
    let fold = by_trial(&source, 14, 2);
    let dir = tempfile::tempdir().unwrap();
    let controls = [Control::NoiseEeg, Control::LabelPermuted];
    let cfg = TrainConfig {
        epochs: 6,
        ..matcher()
    };
    let report = run(&source, &[fold], &cfg, dir.path(), &controls, &Silent).unwrap();
    let score: Vec<f64> = report
        .predictions
        .iter()
        .map(|(_, p)| accuracy(p))
        .collect();
    assert!(score[0] > 0.75, "{score:?}");
    // 32 test epochs in 8 trials.
    assert!((0.25..0.75).contains(&score[1]), "{score:?}");
    assert!((0.25..0.75).contains(&score[2]), "{score:?}");
}
