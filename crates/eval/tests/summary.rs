//! From predictions to a stored summary.

use mmpipe_eval::Error;
use mmpipe_eval::result::{Prediction, RunMeta, RunSummary, ScoreOptions, score, summarise};

fn prediction(
    fold: i32,
    subject: &str,
    trial: i32,
    epoch: u64,
    label: i32,
    predicted: i32,
) -> Prediction {
    let one = predicted as f32;
    Prediction {
        fold,
        epoch_id: epoch,
        dataset: "Demo".into(),
        subject: subject.into(),
        trial,
        label,
        predicted,
        scores: vec![1.0 - one, one],
        ..Prediction::default()
    }
}

/// Two folds, three subjects; the third has one class only.
fn predictions() -> Vec<Prediction> {
    let mut rows = Vec::new();
    let mut epoch = 0;
    for (fold, subject, trial, label, said) in [
        (0, "s1", 0, 0, [0, 0, 0, 1]),
        (0, "s1", 1, 1, [1, 1, 1, 1]),
        (1, "s2", 0, 0, [0, 1, 0, 1]),
        (1, "s2", 1, 1, [1, 1, 0, 1]),
        (1, "s3", 0, 1, [1, 0, 0, 0]),
    ] {
        for predicted in said {
            rows.push(prediction(fold, subject, trial, epoch, label, predicted));
            epoch += 1;
        }
    }
    rows
}

fn meta() -> RunMeta {
    RunMeta {
        run: "r1".into(),
        classes: vec!["left".into(), "right".into()],
        ..RunMeta::default()
    }
}

#[test]
fn groups_means_and_what_is_left_out() {
    let s = score("model", &predictions(), 2, &ScoreOptions::default()).unwrap();
    assert_eq!(s.n, 20);
    // 8 left, 5 right; 12 right, 8 right.
    assert!((s.balanced_accuracy - (5.0 / 8.0 + 8.0 / 12.0) / 2.0).abs() < 1e-12);
    assert!((s.accuracy - 13.0 / 20.0).abs() < 1e-12);
    let folds: Vec<_> = s
        .folds
        .iter()
        .map(|f| (f.group.as_str(), f.n, f.balanced_accuracy))
        .collect();
    assert_eq!(folds, [("0", 8, 0.875), ("1", 12, 0.5)]);
    let mean = s.over_folds.balanced_accuracy.unwrap();
    assert!((mean.mean - 0.6875).abs() < 1e-12);
    assert!((mean.std.unwrap() - 0.375 / 2_f64.sqrt()).abs() < 1e-12);
    // s3 has one class, so it says nothing about telling classes apart.
    assert_eq!(
        (
            s.over_subjects.left_out,
            s.over_subjects.balanced_accuracy.unwrap().n
        ),
        (1, 2)
    );
    let permutation = s.permutation.unwrap();
    assert_eq!(
        (
            permutation.units,
            permutation.unit.as_str(),
            permutation.within.as_str()
        ),
        (5, "trial", "subject")
    );
    let interval = s.interval.unwrap();
    assert_eq!((interval.unit.as_str(), interval.units), ("trial", 5));
    assert!(interval.low <= s.balanced_accuracy && s.balanced_accuracy <= interval.high);
    // Hard 0/1 scores: the AUC of a fold is its balanced accuracy.
    assert!((s.auc.unwrap() - 0.6875).abs() < 1e-12);
}

#[test]
fn order_of_predictions_does_not_matter() {
    let mut rows = predictions();
    let options = ScoreOptions::default();
    let forward = score("model", &rows, 2, &options).unwrap();
    rows.reverse();
    assert_eq!(forward, score("model", &rows, 2, &options).unwrap());
}

#[test]
fn many_subjects_make_the_subject_the_unit() {
    let rows: Vec<_> = (0..8_u64)
        .flat_map(|s| {
            (0..4).map(move |e| {
                prediction(
                    s as i32,
                    &format!("s{s}"),
                    e % 2,
                    s * 4 + e as u64,
                    e % 2,
                    (e + i32::from(s == 0)) % 2,
                )
            })
        })
        .collect();
    let s = score("model", &rows, 2, &ScoreOptions::default()).unwrap();
    let interval = s.interval.unwrap();
    assert_eq!((interval.unit.as_str(), interval.units), ("subject", 8));
}

#[test]
fn labels_between_subjects_are_exchanged_among_all() {
    let rows: Vec<_> = (0..8_u64)
        .map(|s| prediction(0, &format!("s{s}"), 0, s, (s % 2) as i32, (s % 2) as i32))
        .collect();
    let p = score("model", &rows, 2, &ScoreOptions::default())
        .unwrap()
        .permutation
        .unwrap();
    assert_eq!(p.within, "everything");
    assert!(p.p < 0.05, "8 of 8 subjects right is 1 in 70, got {}", p.p);
}

#[test]
fn a_summary_survives_json_byte_for_byte() {
    let options = ScoreOptions {
        permutations: 50,
        replicates: 50,
        ..ScoreOptions::default()
    };
    let mut run = summarise(meta(), &predictions(), &options).unwrap();
    run.add_control("noise-eeg", &predictions(), &options)
        .unwrap();
    run.add_control("noise-eeg", &predictions(), &options)
        .unwrap();
    run.add_baseline("bandpower-lr", &predictions(), &options)
        .unwrap();
    assert_eq!((run.controls.len(), run.baselines.len()), (1, 1));
    assert_eq!(
        (run.data.epochs, run.data.subjects, run.data.trials),
        (20, 3, 5)
    );
    assert_eq!(run.data.by_class, [8, 12]);
    let text = serde_json::to_string_pretty(&run).unwrap();
    let back: RunSummary = serde_json::from_str(&text).unwrap();
    assert_eq!(run, back);
    assert_eq!(text, serde_json::to_string_pretty(&back).unwrap());
}

#[test]
fn wrong_predictions_are_refused() {
    let options = ScoreOptions::default();
    assert!(matches!(
        score("model", &[], 2, &options),
        Err(Error::Empty { .. })
    ));
    let mut twice = predictions();
    twice.push(twice[3].clone());
    assert!(matches!(
        score("model", &twice, 2, &options),
        Err(Error::Duplicate {
            fold: 0,
            epoch_id: 3
        })
    ));
    let mut outside = predictions();
    outside[0].predicted = 2;
    assert!(matches!(
        score("model", &outside, 2, &options),
        Err(Error::ClassRange { value: 2, .. })
    ));
}

/// Trials of two and of three candidates in one run: a guess is right in half of the first and a third of
/// the second, and the answer of a trial of three is no answer of one of two.
#[test]
fn rows_of_different_numbers_of_answers() {
    let mut rows = Vec::new();
    for trial in 0..60 {
        let k = 2 + trial % 2;
        let label = (trial / 2) % k;
        for epoch in 0..2 {
            let mut p = prediction(0, "s1", trial, (2 * trial + epoch) as u64, label, label);
            p.scores = vec![0.0; k as usize];
            // Half of the rows are guessed, in turns.
            if epoch == 1 {
                p.predicted = (label + trial / 6) % k;
            }
            rows.push(p);
        }
    }
    let s = score("model", &rows, 3, &ScoreOptions::default()).unwrap();
    // Labels 0 and 1: 30 rows of two and 20 of three; label 2: 20 of three.
    let mixed = (30.0 / 2.0 + 20.0 / 3.0) / 50.0;
    let want = (mixed + mixed + 1.0 / 3.0) / 3.0;
    assert!(
        (s.chance.balanced_accuracy - want).abs() < 1e-12,
        "{:?}",
        s.chance
    );
    assert_eq!(s.chance.classes, 3);
    let test = s.permutation.expect("a test");
    assert!(test.p < 0.01, "{test:?}");
    // Guessing evenly among each row's own is not above chance.
    for (i, p) in rows.iter_mut().enumerate() {
        p.predicted = (i as i32 / 7 * 5 + i as i32) % p.scores.len() as i32;
    }
    let s = score("model", &rows, 3, &ScoreOptions::default()).unwrap();
    assert!(s.permutation.expect("a test").p > 0.05);
    assert!(
        (s.balanced_accuracy - want).abs() < 0.1,
        "{}",
        s.balanced_accuracy
    );
}
