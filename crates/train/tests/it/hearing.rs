//! Stage 3 of MindMix with sound: EEG against sounds that the network hears for itself, and EEG against
//! class prototypes, through the same door as every other model.

use mmpipe_train::{
    Control, FusionKind, MemorySource, ModelKind, Select, Silent, Size, TrainConfig, fit, predict,
    run,
};

use crate::toys::{accuracy, by_trial, talkers, two_montages};

pub(crate) fn listener() -> TrainConfig {
    TrainConfig {
        size: Size::Tiny,
        epochs: 16,
        batch: 16,
        lr: 2e-3,
        weight_decay: 0.0,
        dropout: Some(0.0),
        drop_path: Some(0.0),
        patience: 0,
        ..TrainConfig::for_model(ModelKind::MindmixAv)
    }
}

#[test]
fn the_attended_sound_is_found_and_places_say_nothing() {
    // So much that what is learnt holds for other weights to start with, too.
    let source = talkers(190, 5, 0, 200);
    let fold = by_trial(&source, 176, 2);
    let cfg = TrainConfig {
        epochs: 7,
        lr: 1e-3,
        ..listener()
    };
    let dir = tempfile::tempdir().unwrap();
    let controls = [Control::NoiseEeg];
    let folds = std::slice::from_ref(&fold);
    let report = run(&source, folds, &cfg, dir.path(), &controls, &Silent).unwrap();
    let last = report.fits[0].history.last().unwrap();
    assert!(last.train_loss < 0.5, "{:?}", report.fits[0].history);
    let [(_, predictions), (_, noise)] = report.predictions.as_slice() else {
        panic!("the run and one control");
    };
    assert!(accuracy(predictions) > 0.8, "{}", accuracy(predictions));
    // 60 epochs: three standard deviations about the middle.
    assert!((0.3..0.7).contains(&accuracy(noise)), "{}", accuracy(noise));

    // Exchange the sounds: the same places now show the other sound, so scores change places.
    let mut swapped: MemorySource = source.clone();
    swapped.candidates.iter_mut().for_each(|c| c.swap(0, 1));
    swapped.keys.iter_mut().for_each(|k| k.swap(0, 1));
    let path = dir.path().join("fold=0");
    let other = predict(&swapped, &fold.test, &cfg, &path, None).unwrap();
    for (a, b) in predictions.iter().zip(&other) {
        assert_eq!((a.label, a.predicted), (b.label, 1 - b.predicted));
        assert!((a.scores[0] - b.scores[1]).abs() < 1e-4, "{a:?} {b:?}");
        assert!((a.scores[1] - b.scores[0]).abs() < 1e-4, "{a:?} {b:?}");
    }
    // What is known of a sound (its key) is no input: without keys the answers are the same.
    let mut unnamed = source.clone();
    unnamed.keys.clear();
    let same = predict(&unnamed, &fold.test, &cfg, &path, None).unwrap();
    assert_eq!(&same, predictions);
}

#[test]
fn every_fusion_runs_and_a_wrong_sound_is_named() {
    let mut source = talkers(6, 4, 1, 200);
    let fold = by_trial(&source, 4, 1);
    for fusion in [
        FusionKind::CalraPaper,
        FusionKind::CalraReleased,
        FusionKind::CoAttention,
        FusionKind::ConcatMlp,
        FusionKind::Clip,
    ] {
        let cfg = TrainConfig {
            fusion,
            epochs: 1,
            ..listener()
        };
        let dir = tempfile::tempdir().unwrap();
        let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
        assert!(report.history[0].val_loss.unwrap() < 3.0, "{report:?}");
        let n = predict(&source, &fold.test, &cfg, dir.path(), None).unwrap();
        assert_eq!(n.len(), fold.test.len());
    }
    source.candidates[4][1].truncate(31_000);
    source.keys.clear();
    let dir = tempfile::tempdir().unwrap();
    let e = fit(&source, &fold, &listener(), dir.path(), &Silent).unwrap_err();
    let id = format!("{:016x}", source.metas[4].epoch_id);
    assert!(e.to_string().contains(&id), "{e}");
    assert!(e.to_string().contains("1.938 s"), "{e}");
}

#[test]
fn prototypes_tell_classes_apart_in_any_montage() {
    let source = two_montages(120, 5, 3);
    let fold = by_trial(&source, 100, 8);
    let cfg = TrainConfig {
        model: ModelKind::MindmixPrototype,
        epochs: 8,
        select: Select::BalancedAccuracy,
        ..listener()
    };
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    assert!(report.notes.iter().any(|n| n.contains("EXG1")));
    let answers = predict(&source, &fold.test, &cfg, dir.path(), None).unwrap();
    assert!(accuracy(&answers) > 0.8, "{:?}", report.history);
}
