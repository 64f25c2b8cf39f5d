//! Which of two or three sounds was attended (duo, trio), in one split.

use mmpipe_train::{MemorySource, ModelKind, Silent, TrainConfig, fit, predict};

use crate::hearing::listener;
use crate::toys::{accuracy, by_trial, talkers};

/// Every other trial has a third sound: the rival of the example before, or the one before that.
fn duo_and_trio(trials: usize) -> MemorySource {
    let mut source = talkers(trials, 5, 0, 200);
    for i in 0..source.metas.len() {
        if source.metas[i].trial % 2 == 0 {
            continue;
        }
        let third = (1..)
            .map(|back| (i - back, source.keys[i - back][1]))
            .find(|(_, key)| !source.keys[i].contains(key))
            .map(|(from, key)| (source.candidates[from][1].clone(), key));
        let (sound, key) = third.expect("other sounds came before");
        source.candidates[i].push(sound);
        source.keys[i].push(key);
        source.metas[i].candidates = 3;
    }
    source
}

#[test]
fn two_and_three_candidates_share_a_split() {
    // So much that what is learnt holds for other weights to start with, too: with a fifth of it the
    // last bit of a sum decides how much holds.
    let source = duo_and_trio(96);
    let fold = by_trial(&source, 80, 4);
    let cfg = TrainConfig {
        epochs: 8,
        lr: 1e-3,
        ..listener()
    };
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    assert_eq!(
        (report.n_train, report.n_test),
        (400, 60),
        "nothing is left out"
    );
    assert!(report.notes.is_empty(), "{:?}", report.notes);
    let answers = predict(&source, &fold.test, &cfg, dir.path(), None).unwrap();
    assert_eq!(answers.len(), 60);
    for a in &answers {
        let k = if a.trial % 2 == 0 { 2 } else { 3 };
        assert_eq!(a.scores.len(), k);
        assert!((0..k as i32).contains(&a.label) && (0..k as i32).contains(&a.predicted));
        // Log-probabilities over the example's own candidates.
        let sum: f32 = a.scores.iter().map(|s| s.exp()).sum();
        assert!((sum - 1.0).abs() < 1e-5);
    }
    for (k, least) in [(2, 0.75), (3, 0.55)] {
        let of: Vec<_> = answers
            .iter()
            .filter(|a| a.scores.len() == k)
            .cloned()
            .collect();
        assert!(accuracy(&of) > least, "{k}: {}", accuracy(&of));
    }
    // Places are drawn by trial: each occurs.
    let all: Vec<usize> = (0..source.metas.len()).collect();
    let places = predict(&source, &all, &cfg, dir.path(), None).unwrap();
    for k in [2, 3] {
        for place in 0..k {
            let at = |p: &&mmpipe_train::Prediction| p.scores.len() == k && p.label == place as i32;
            let n = places.iter().filter(at).count();
            assert!(n >= 5, "{place} of {k}: {n}");
        }
    }

    // Candidates in another order: each place shows another sound, and has that sound's score.
    let mut turned = source.clone();
    for i in 0..turned.metas.len() {
        turned.candidates[i].rotate_left(1);
        turned.keys[i].rotate_left(1);
    }
    let other = predict(&turned, &fold.test, &cfg, dir.path(), None).unwrap();
    for (a, b) in answers.iter().zip(&other) {
        assert_eq!(a.label, b.label);
        let sorted = |s: &[f32]| {
            let mut s = s.to_vec();
            s.sort_by(f32::total_cmp);
            s
        };
        for (x, y) in sorted(&a.scores).iter().zip(sorted(&b.scores)) {
            assert!((x - y).abs() < 1e-4, "{a:?} {b:?}");
        }
        // No place keeps its sound.
        let at = a.label as usize;
        let from = a
            .scores
            .iter()
            .position(|s| (s - b.scores[at]).abs() < 1e-4);
        assert!(from.is_some_and(|from| from != at), "{a:?} {b:?}");
        if a.scores.len() == 2 {
            assert!((a.scores[0] - b.scores[1]).abs() < 1e-4);
        }
    }

    // A batch of both kinds in parts is the same batch.
    let source = duo_and_trio(24);
    let fold = by_trial(&source, 16, 2);
    let cut = TrainConfig {
        micro_batch: 3,
        epochs: 1,
        ..listener()
    };
    let whole = TrainConfig {
        micro_batch: 0,
        ..cut.clone()
    };
    let first = |cfg: &TrainConfig| {
        let dir = tempfile::tempdir().unwrap();
        let report = fit(&source, &fold, cfg, dir.path(), &Silent).unwrap();
        report.history[0].train_loss
    };
    let (a, b) = (first(&whole), first(&cut));
    assert!((a - b).abs() < 1e-3 * a, "{a} {b}");

    // A model that is made for one number takes that of the first training example.
    let cfg = TrainConfig {
        epochs: 1,
        ..TrainConfig::for_model(ModelKind::Aadnet)
    };
    let dir = tempfile::tempdir().unwrap();
    let report = fit(&source, &fold, &cfg, dir.path(), &Silent).unwrap();
    assert_eq!((report.n_train, report.n_test), (40, 15));
}
