//! The ridge envelope decoder through the public door.

use mmpipe_train::{
    Control, Ended, Fold, MemorySource, ModelKind, Prediction, Silent, TrainConfig, fit, predict,
    run,
};

use crate::toys::{accuracy, by_trial, two_talkers};

fn ridge() -> TrainConfig {
    TrainConfig {
        envelope_sfreq: 16.0,
        ..TrainConfig::for_model(ModelKind::Ridge)
    }
}

#[test]
fn the_attended_sound_is_found_and_controls_are_at_chance() {
    let source = two_talkers(60, 5, 3);
    let fold = by_trial(&source, 20, 4);
    let dir = tempfile::tempdir().unwrap();
    let controls = [Control::NoiseEeg, Control::LabelPermuted];
    let report = run(&source, &[fold], &ridge(), dir.path(), &controls, &Silent).unwrap();
    let fitted = &report.fits[0];
    assert_eq!(fitted.ended, Ended::Converged);
    // Four channels at seven lags, for the one subject and for all.
    assert_eq!(fitted.parameters, 2 * 4 * 7);
    assert_eq!(
        (fitted.n_train, fitted.n_val, fitted.n_test),
        (100, 20, 180)
    );
    let score: Vec<f64> = report
        .predictions
        .iter()
        .map(|(_, p)| accuracy(p))
        .collect();
    // 180 epochs: four standard errors of a coin are 0.15; for streams drawn by whole trials, 36
    // of them, three are 0.25.
    assert!(score[0] > 0.9, "{score:?}");
    assert!((0.35..0.65).contains(&score[1]), "{score:?}");
    assert!((0.25..0.75).contains(&score[2]), "{score:?}");
    assert!(fitted.best_val_balanced_accuracy.unwrap() > 0.85);
}

#[test]
fn places_are_exchanged_with_the_sounds_and_nothing_is_fitted_twice() {
    let source = two_talkers(16, 4, 4);
    let fold = by_trial(&source, 10, 2);
    let dir = tempfile::tempdir().unwrap();
    let first = fit(&source, &fold, &ridge(), dir.path(), &Silent).unwrap();
    assert_eq!(
        first,
        fit(&source, &fold, &ridge(), dir.path(), &Silent).unwrap()
    );
    let ask = |s: &MemorySource| predict(s, &fold.test, &ridge(), dir.path(), None).unwrap();
    let own = ask(&source);
    let mut swapped = source.clone();
    swapped.candidates.iter_mut().for_each(|c| c.swap(0, 1));
    swapped.keys.iter_mut().for_each(|k| k.swap(0, 1));
    for (a, b) in own.iter().zip(&ask(&swapped)) {
        assert_eq!((a.label, a.predicted), (b.label, 1 - b.predicted));
        assert_eq!(a.scores, [b.scores[1], b.scores[0]]);
    }
    // Without keys nothing is kept, and the answers are the same.
    let mut unknown = source.clone();
    unknown.keys.clear();
    assert_eq!(own, ask(&unknown));
    let labels: Vec<i32> = own.iter().map(|p| p.label).collect();
    assert!(
        labels
            .chunks(4)
            .all(|trial| trial.iter().all(|l| *l == trial[0]))
    );
}

/// Bytes of the fitted decoders.
fn weights(dir: &std::path::Path) -> Vec<u8> {
    std::fs::read(dir.join("checkpoints/step=00000001/model.safetensors")).unwrap()
}

/// Nothing of validation and test reaches the fit, under a split that cuts trials as well.
#[test]
fn what_is_not_training_does_not_move_the_weights_nor_do_threads() {
    let source = two_talkers(12, 6, 5);
    let of = |f: &dyn Fn(usize) -> bool| (0..72).filter(|i| f(*i)).collect::<Vec<_>>();
    let within = Fold {
        fold: 1,
        train: of(&|i| i % 6 < 3),
        val: of(&|i| i % 6 == 3),
        test: of(&|i| i % 6 > 3),
    };
    for fold in [within, by_trial(&source, 7, 2)] {
        let fitted = |s: &MemorySource, threads: usize| {
            let dir = tempfile::tempdir().unwrap();
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let pool = pool.build().unwrap();
            pool.install(|| fit(s, &fold, &ridge(), dir.path(), &Silent).unwrap());
            weights(dir.path())
        };
        let own = fitted(&source, 1);
        assert_eq!(own, fitted(&source, 3));
        let mut other = source.clone();
        for &i in fold.val.iter().chain(&fold.test) {
            other.eeg[i].reverse();
            other.candidates[i].iter_mut().for_each(|c| c.reverse());
            other.keys[i] = vec![900 + i as u64, 2000 + i as u64];
        }
        assert_eq!(own, fitted(&other, 1));
        other.eeg[fold.train[0]].reverse();
        assert_ne!(own, fitted(&other, 1));
    }
}

/// Subjects whose EEG has opposite signs: a decoder each finds the sound, one for all does not.
/// A subject without training trials is answered by the one for all.
#[test]
fn subjects_have_decoders_of_their_own() {
    let mut source = two_talkers(40, 4, 6);
    for i in 0..source.metas.len() {
        let trial = source.metas[i].trial;
        if trial % 2 == 1 {
            source.metas[i].subject = "S1".into();
            source.eeg[i].iter_mut().for_each(|x| *x = -*x);
        }
        if trial >= 36 {
            source.metas[i].subject = "S2".into();
        }
    }
    let fold = by_trial(&source, 24, 2);
    let ask = |per_subject| -> (u64, Vec<Prediction>) {
        let cfg = TrainConfig {
            per_subject,
            ..ridge()
        };
        let dir = tempfile::tempdir().unwrap();
        let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
        let said = predict(&source, &fold.test, &cfg, dir.path(), None).unwrap();
        (report.parameters / 28, said)
    };
    let known = |p: &[Prediction]| -> f64 {
        let known: Vec<Prediction> = p.iter().filter(|p| p.subject != "S2").cloned().collect();
        assert_eq!((p.len(), known.len()), (56, 40));
        accuracy(&known)
    };
    let (decoders, own) = ask(true);
    assert_eq!(decoders, 3);
    assert!(known(&own) > 0.9, "{}", known(&own));
    let (decoders, one) = ask(false);
    assert_eq!(decoders, 1);
    assert!(known(&one) < 0.8, "{}", known(&one));
}

#[test]
fn settings_and_sounds_that_cannot_be_are_refused() {
    let mut source = two_talkers(6, 3, 7);
    let fold = by_trial(&source, 4, 1);
    let try_fit = |s: &MemorySource, cfg: &TrainConfig| {
        let dir = tempfile::tempdir().unwrap();
        fit(s, &fold, cfg, dir.path(), &Silent).map(|r| r.notes)
    };
    for (field, cfg) in [
        (
            "lambdas",
            TrainConfig {
                lambdas: vec![],
                ..ridge()
            },
        ),
        (
            "lambdas",
            TrainConfig {
                lambdas: vec![-1.0],
                ..ridge()
            },
        ),
        (
            "lag",
            TrainConfig {
                lag: -0.1,
                ..ridge()
            },
        ),
        (
            "envelope_sfreq",
            TrainConfig {
                envelope_sfreq: 0.0,
                ..ridge()
            },
        ),
    ] {
        let e = try_fit(&source, &cfg).unwrap_err().to_string();
        assert!(e.contains(&format!("`{field}`")), "{e}");
    }
    // One training trial: nothing to leave out, and it is said.
    let single = Fold {
        train: fold.train[..3].to_vec(),
        ..fold.clone()
    };
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &single, &ridge(), dir.path(), &Silent).unwrap();
    assert!(
        report
            .notes
            .iter()
            .any(|n| n.contains("a single training trial"))
    );
    source.keys.clear();
    source.candidates[4][0].truncate(16_000);
    let e = try_fit(&source, &ridge()).unwrap_err().to_string();
    assert!(
        e.contains("its sound lasts 1.000 s, its EEG 2.000 s"),
        "{e}"
    );
    let dir = tempfile::tempdir().unwrap();
    let source = two_talkers(6, 3, 7);
    fit(&source, &fold, &ridge(), dir.path(), &Silent).unwrap();
    std::fs::write(
        dir.path().join("checkpoints/step=00000001/decoders.json"),
        "[]",
    )
    .unwrap();
    let e = predict(&source, &fold.test, &ridge(), dir.path(), None).unwrap_err();
    assert!(e.to_string().contains("expected 0 decoders"), "{e}");
}
