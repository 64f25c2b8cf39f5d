//! Matching EEG to one of two sounds.

use mmpipe_train::{MemorySource, ModelKind, Silent, TrainConfig, fit, predict};

use crate::toys::{accuracy, by_trial, two_talkers};

pub(crate) fn matcher() -> TrainConfig {
    TrainConfig {
        epochs: 12,
        batch: 16,
        lr: 3e-3,
        dropout: Some(0.1),
        patience: 0,
        ..TrainConfig::for_model(ModelKind::Aadnet)
    }
}

#[test]
fn aadnet_finds_the_attended_sound_and_order_does_not_matter() {
    let source = two_talkers(20, 5, 0);
    let fold = by_trial(&source, 14, 2);
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &matcher(), dir.path(), &Silent).unwrap();
    let last = report.history.last().unwrap();
    assert!(last.train_loss < 0.6, "{:?}", report.history);
    let predictions = predict(&source, &fold.test, &matcher(), dir.path(), None).unwrap();
    assert!(accuracy(&predictions) > 0.8, "{}", accuracy(&predictions));
    // Places are drawn by trial: both occur about equally often, and one to a trial.
    let all: Vec<usize> = (0..source.metas.len()).collect();
    let places = predict(&source, &all, &matcher(), dir.path(), None).unwrap();
    assert!(
        places
            .chunks(5)
            .all(|trial| trial.iter().all(|p| p.label == trial[0].label))
    );
    let second = places.iter().filter(|p| p.label == 1).count() / 5;
    assert!((5..=15).contains(&second), "{second} of 20");

    // Exchange the sounds: the same places now show the other sound, so scores change places.
    let mut swapped: MemorySource = source.clone();
    swapped.candidates.iter_mut().for_each(|c| c.swap(0, 1));
    swapped.keys.iter_mut().for_each(|k| k.swap(0, 1));
    let other = predict(&swapped, &fold.test, &matcher(), dir.path(), None).unwrap();
    for (a, b) in predictions.iter().zip(&other) {
        assert_eq!(a.label, b.label);
        assert_eq!(a.predicted, 1 - b.predicted);
        assert_eq!(a.scores[0], b.scores[1]);
        assert_eq!(a.scores[1], b.scores[0]);
    }
}

#[test]
fn examples_without_sounds_are_counted_and_left_out() {
    let mut source = two_talkers(8, 3, 1);
    source.metas[0].candidates = 0;
    source.metas[23].candidates = 3;
    let fold = by_trial(&source, 6, 1);
    let dir = tempfile::tempdir().unwrap();
    let cfg = TrainConfig {
        epochs: 1,
        ..matcher()
    };
    let err = fit(&source, &fold, &cfg, dir.path(), &Silent);
    let report = err.unwrap();
    assert_eq!((report.n_train, report.n_test), (17, 2));
    assert_eq!(report.notes.len(), 2, "{:?}", report.notes);
    assert_eq!(
        predict(&source, &fold.test, &cfg, dir.path(), None)
            .unwrap()
            .len(),
        2
    );
    // A sound shorter than its EEG is an error that names the epoch.
    source.candidates[4][1].truncate(16_000);
    source.keys.clear();
    let err = fit(
        &source,
        &fold,
        &cfg,
        tempfile::tempdir().unwrap().path(),
        &Silent,
    )
    .unwrap_err();
    assert!(
        err.to_string()
            .contains(&format!("{:016x}", source.metas[4].epoch_id)),
        "{err}"
    );
}
