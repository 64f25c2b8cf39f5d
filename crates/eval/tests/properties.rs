//! Properties that hold for any table of counts.

use mmpipe_eval::metrics::{Confusion, auc, balanced_accuracy, weighted_f1};
use mmpipe_eval::stats::{betainc, clopper_pearson};
use proptest::prelude::*;

fn pairs() -> impl Strategy<Value = Vec<(i32, i32)>> {
    prop::collection::vec((0..5_i32, 0..5_i32), 1..60)
}

fn table(pairs: &[(i32, i32)]) -> Confusion {
    let mut table = Confusion::new();
    pairs.iter().for_each(|&(l, p)| table.add(l, p));
    table
}

proptest! {
    #[test]
    fn merging_parts_equals_counting_all(a in pairs(), b in pairs()) {
        let mut merged = table(&a);
        merged.merge(&table(&b));
        let all: Vec<_> = a.into_iter().chain(b).collect();
        prop_assert_eq!(&merged, &table(&all));
        let json = serde_json::to_string(&merged).unwrap();
        prop_assert_eq!(merged, serde_json::from_str::<Confusion>(&json).unwrap());
    }

    #[test]
    fn scores_stay_inside_their_range_and_ignore_order(mut rows in pairs()) {
        let before = table(&rows);
        rows.reverse();
        let after = table(&rows);
        for score in [Confusion::accuracy, Confusion::balanced_accuracy, Confusion::weighted_f1] {
            let value = score(&before).unwrap();
            prop_assert!((0.0..=1.0 + 1e-12).contains(&value));
            prop_assert_eq!(Some(value), score(&after));
        }
    }

    #[test]
    fn renaming_classes_changes_no_score(rows in pairs()) {
        let rename = |c: i32| [17, -3, 4, 900, 2][c as usize];
        let renamed: Vec<_> = rows.iter().map(|&(l, p)| (rename(l), rename(p))).collect();
        let (a, b) = (table(&rows), table(&renamed));
        prop_assert!((a.balanced_accuracy().unwrap() - b.balanced_accuracy().unwrap()).abs() < 1e-12);
        prop_assert!((a.weighted_f1().unwrap() - b.weighted_f1().unwrap()).abs() < 1e-12);
    }

    #[test]
    fn a_constant_guess_scores_chance(labels in prop::collection::vec(0..4_i32, 1..60), guess in 0..4_i32) {
        prop_assume!(labels.contains(&guess));
        let predicted = vec![guess; labels.len()];
        let classes = table(&labels.iter().map(|&l| (l, l)).collect::<Vec<_>>()).label_classes().len();
        let score = balanced_accuracy(&labels, &predicted).unwrap();
        prop_assert!((score - 1.0 / classes as f64).abs() < 1e-12);
        prop_assert_eq!(weighted_f1(&labels, &labels).unwrap(), 1.0);
    }

    #[test]
    fn auc_is_antisymmetric_and_rank_based(
        rows in prop::collection::vec((0..2_i32, -5..5_i32), 2..50),
    ) {
        let labels: Vec<i32> = rows.iter().map(|r| r.0).collect();
        prop_assume!(labels.contains(&0) && labels.contains(&1));
        let scores: Vec<f64> = rows.iter().map(|r| f64::from(r.1)).collect();
        let value = auc(&labels, &scores).unwrap();
        let flipped: Vec<f64> = scores.iter().map(|s| -s).collect();
        let stretched: Vec<f64> = scores.iter().map(|s| s.exp()).collect();
        prop_assert!((auc(&labels, &flipped).unwrap() - (1.0 - value)).abs() < 1e-12);
        prop_assert!((auc(&labels, &stretched).unwrap() - value).abs() < 1e-12);
    }

    #[test]
    fn exact_interval_holds_the_share_and_its_tails(n in 1..400_u64, part in 0.0..=1.0_f64, level in 0.5..0.999_f64) {
        let k = (part * n as f64) as u64;
        let (low, high) = clopper_pearson(k, n, level).unwrap();
        let share = k as f64 / n as f64;
        prop_assert!(0.0 <= low && low <= share && share <= high && high <= 1.0);
        // By definition: at the lower end, k or more successes have probability alpha / 2.
        if k > 0 {
            prop_assert!((betainc(k as f64, (n - k + 1) as f64, low) - (1.0 - level) / 2.0).abs() < 1e-9);
        }
    }
}
