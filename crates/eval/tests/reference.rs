//! Scores and statistics against scikit-learn and SciPy (`fixtures/make_vectors.py`).

use mmpipe_eval::metrics::{self, Confusion};
use mmpipe_eval::stats::{self, Grouping};
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    classification: Vec<Classification>,
    auc: Vec<Auc>,
    binomial: Vec<Binomial>,
    betainc: Vec<Beta>,
    spread: Spread,
    permutation: Permutation,
}

#[derive(Deserialize)]
struct Classification {
    name: String,
    labels: Vec<i32>,
    predicted: Vec<i32>,
    accuracy: f64,
    balanced_accuracy: f64,
    weighted_f1: f64,
}

#[derive(Deserialize)]
struct Auc {
    labels: Vec<i32>,
    scores: Vec<f64>,
    auc: f64,
}

#[derive(Deserialize)]
struct Binomial {
    k: u64,
    n: u64,
    level: f64,
    low: f64,
    high: f64,
}

#[derive(Deserialize)]
struct Beta {
    a: f64,
    b: f64,
    x: f64,
    value: f64,
}

#[derive(Deserialize)]
struct Spread {
    values: Vec<f64>,
    mean: f64,
    std: f64,
    quantiles: Vec<(f64, f64)>,
}

#[derive(Deserialize)]
struct Permutation {
    subject: Vec<u64>,
    trial: Vec<u64>,
    labels: Vec<i32>,
    predicted: Vec<i32>,
    observed: f64,
    exact_p: f64,
    null_mean: f64,
}

fn vectors() -> Vectors {
    serde_json::from_str(include_str!("fixtures/vectors.json")).expect("vectors.json parses")
}

#[track_caller]
fn close(what: &str, found: f64, expected: f64, tolerance: f64) {
    let scale = expected.abs().max(1e-300);
    assert!(
        found == expected || ((found - expected) / scale).abs() <= tolerance,
        "{what}: found {found}, reference {expected}"
    );
}

#[test]
fn classification_scores_equal_scikit_learn() {
    let cases = vectors().classification;
    assert!(cases.len() >= 10);
    for c in cases {
        let found = metrics::accuracy(&c.labels, &c.predicted).unwrap();
        close(&c.name, found, c.accuracy, 1e-14);
        let found = metrics::balanced_accuracy(&c.labels, &c.predicted).unwrap();
        close(&c.name, found, c.balanced_accuracy, 1e-14);
        let found = metrics::weighted_f1(&c.labels, &c.predicted).unwrap();
        close(&c.name, found, c.weighted_f1, 1e-14);
    }
}

#[test]
fn auc_equals_scikit_learn() {
    for c in vectors().auc {
        close(
            "auc",
            metrics::auc(&c.labels, &c.scores).unwrap(),
            c.auc,
            1e-14,
        );
    }
}

#[test]
fn clopper_pearson_equals_scipy() {
    for c in vectors().binomial {
        let (low, high) = stats::clopper_pearson(c.k, c.n, c.level).unwrap();
        let what = format!("{} of {} at {}", c.k, c.n, c.level);
        close(&what, low, c.low, 1e-9);
        close(&what, high, c.high, 1e-9);
    }
}

#[test]
fn incomplete_beta_equals_scipy() {
    for c in vectors().betainc {
        let what = format!("I_{}({}, {})", c.x, c.a, c.b);
        let found = stats::betainc(c.a, c.b, c.x);
        assert!(
            (found - c.value).abs() <= 1e-11 + 1e-9 * c.value.abs(),
            "{what}: {found} {}",
            c.value
        );
    }
}

#[test]
fn mean_std_and_quantiles_equal_numpy() {
    let mut c = vectors().spread;
    let found = stats::mean_std(&c.values).unwrap();
    close("mean", found.mean, c.mean, 1e-14);
    close("std", found.std.unwrap(), c.std, 1e-13);
    c.values.sort_by(f64::total_cmp);
    for (q, value) in c.quantiles {
        close("quantile", stats::quantile(&c.values, q), value, 1e-13);
    }
}

#[test]
fn permutation_test_approaches_the_enumerated_null() {
    let c = vectors().permutation;
    let by = Grouping {
        units: &c.trial,
        unit: "trial",
        strata: &c.subject,
        within: "subject",
    };
    let n = 20_000;
    let found = stats::permutation_test(&c.labels, &c.predicted, &by, n, 7).unwrap();
    close("observed", found.observed, c.observed, 1e-14);
    // Five standard errors of a share drawn n times.
    let bound = 5.0 * (c.exact_p * (1.0 - c.exact_p) / n as f64).sqrt();
    assert!(
        (found.p - c.exact_p).abs() < bound,
        "{} against {}",
        found.p,
        c.exact_p
    );
    assert!((found.null_mean - c.null_mean).abs() < 0.01);
    assert_eq!(found.units, 7);
    assert_eq!(
        found,
        stats::permutation_test(&c.labels, &c.predicted, &by, n, 7).unwrap()
    );
    assert_ne!(
        found,
        stats::permutation_test(&c.labels, &c.predicted, &by, n, 8).unwrap()
    );
}

#[test]
fn exchanging_epochs_instead_of_trials_would_overstate() {
    // 6 trials of 50 epochs; a model that guesses one class a trial, right in 5 of 6.
    let (mut labels, mut predicted, mut trials) = (Vec::new(), Vec::new(), Vec::new());
    for trial in 0..6_u64 {
        for _ in 0..50 {
            let label = i32::from(trial % 2 == 1);
            labels.push(label);
            predicted.push(if trial == 5 { 0 } else { label });
            trials.push(trial);
        }
    }
    let strata = vec![0; labels.len()];
    let epochs: Vec<u64> = (0..labels.len() as u64).collect();
    let by_trial = Grouping {
        units: &trials,
        unit: "trial",
        strata: &strata,
        within: "everything",
    };
    let by_epoch = Grouping {
        units: &epochs,
        unit: "epoch",
        strata: &strata,
        within: "everything",
    };
    let honest = stats::permutation_test(&labels, &predicted, &by_trial, 999, 1).unwrap();
    let naive = stats::permutation_test(&labels, &predicted, &by_epoch, 999, 1).unwrap();
    assert!(
        honest.p > 0.1,
        "six trials cannot carry a small p, got {}",
        honest.p
    );
    assert!(naive.p <= 0.001);
    let wide = stats::bootstrap(&labels, &predicted, &by_trial, 500, 0.95, 1)
        .unwrap()
        .unwrap();
    let narrow = stats::bootstrap(&labels, &predicted, &by_epoch, 500, 0.95, 1)
        .unwrap()
        .unwrap();
    assert!(wide.high - wide.low > 3.0 * (narrow.high - narrow.low));
    assert_eq!((wide.units, narrow.units), (6, 300));
}

#[test]
fn undefined_scores_are_errors_that_say_why() {
    let message = |e: mmpipe_eval::Error| e.to_string();
    assert_eq!(
        message(metrics::balanced_accuracy(&[], &[]).unwrap_err()),
        "balanced accuracy: no values, so the score is not defined; check that the split has a test part"
    );
    assert_eq!(
        message(metrics::accuracy(&[1], &[]).unwrap_err()),
        "predicted: expected 1 values, one an epoch, found 0"
    );
    assert!(metrics::auc(&[1, 1], &[0.1, 0.2]).is_err());
    assert!(metrics::auc(&[0, 1], &[0.1, f64::NAN]).is_err());
    assert!(metrics::auc(&[0, 2], &[0.1, 0.3]).is_err());
    assert!(stats::clopper_pearson(1, 0, 0.95).is_err());
    assert!(stats::clopper_pearson(3, 2, 0.95).is_err());
    assert!(stats::clopper_pearson(1, 2, 1.0).is_err());
    assert!(
        Confusion::from_slices(&[0, 3], &[0, 0])
            .unwrap()
            .dense(2)
            .is_err()
    );
    let by = Grouping {
        units: &[1, 1],
        unit: "trial",
        strata: &[0, 0],
        within: "everything",
    };
    let mixed = stats::permutation_test(&[0, 1], &[0, 1], &by, 10, 0).unwrap_err();
    assert_eq!(mixed, mmpipe_eval::Error::MixedUnit { unit: 1 });
}
