//! What every assignment keeps, for any corpus, order of rows and seed.

mod common;

use std::collections::{BTreeMap, BTreeSet};

use common::corpus;
use mmpipe_splits::{Assignment, Error, Protocol, Role, Row, assign, audit};
use proptest::prelude::*;

/// Random corpora: subjects with trials of unequal length, some windows without a label.
fn corpora() -> impl Strategy<Value = Vec<Row>> {
    let trial = (0..2_i32, 1..8_usize, prop::bool::weighted(0.05));
    let subject = prop::collection::vec(trial, 2..9);
    prop::collection::vec(subject, 3..8).prop_map(|subjects| {
        let mut rows = Vec::new();
        for (s, trials) in subjects.into_iter().enumerate() {
            let mut onset = 0.0;
            for (t, (label, epochs, unlabelled)) in trials.into_iter().enumerate() {
                for e in 0..epochs {
                    rows.push(Row {
                        epoch_id: ((s * 100 + t) * 100 + e) as u64 * 7_919 + 5,
                        dataset: "Random".into(),
                        subject: format!("s{s}"),
                        recording: format!("r{s}"),
                        trial: t as i32,
                        epoch: e as i32,
                        onset,
                        seconds: 2.0,
                        label: (!unlabelled).then_some(label),
                        content_id: (t % 3 > 0).then(|| format!("story{}", t % 3)),
                        ..Row::default()
                    });
                    onset += 2.0;
                }
                onset += 0.5;
            }
        }
        rows
    })
}

fn protocols() -> impl Strategy<Value = Protocol> {
    prop::sample::select(Protocol::ALL.to_vec())
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(150))]

    #[test]
    fn a_split_holds_its_promise_or_says_why_not(
        rows in corpora(), protocol in protocols(), folds in 2..7_usize, seed in any::<u64>(),
    ) {
        match assign(&rows, protocol, folds, seed) {
            Ok(assignments) => {
                let audit = audit(&rows, &assignments, protocol);
                prop_assert!(audit.holds, "{:?}", audit.broken);
                prop_assert_eq!(audit.folds.len(), folds);
                prop_assert_eq!(audit.findings.missing, 0);
                prop_assert_eq!(audit.leaky, protocol == Protocol::WithinSubject);
                let labelled = rows.iter().filter(|r| r.label.is_some()).count();
                prop_assert_eq!(assignments.len(), labelled * folds);
                prop_assert!(audit.notes.iter().any(|n| n.contains("no label")) == (labelled < rows.len()));
            }
            Err(Error::TooFewUnits { needed, found, .. } | Error::TooFewContents { needed, found, .. }) => {
                prop_assert!(found < needed);
            }
            Err(Error::NoContent { .. }) => {
                prop_assert!(rows.iter().all(|r| r.label.is_none() || r.content_id.is_none()));
            }
            Err(Error::EmptyPart { units, .. }) => prop_assert!(units < 10 * folds),
            Err(Error::OneClass { .. } | Error::Unlabelled { .. }) => {
                let classes: BTreeSet<_> = rows.iter().filter_map(|r| r.label).collect();
                prop_assert!(classes.len() < 2);
            }
            Err(other) => prop_assert!(false, "{other}"),
        }
    }

    #[test]
    fn order_of_rows_changes_nothing(
        rows in corpora(), protocol in protocols(), seed in any::<u64>(), turn in any::<prop::sample::Index>(),
    ) {
        let first = assign(&rows, protocol, 3, seed);
        let mut moved = rows.clone();
        moved.rotate_left(turn.index(rows.len()));
        moved.reverse();
        let second = assign(&moved, protocol, 3, seed);
        prop_assert_eq!(first.as_ref().ok(), second.as_ref().ok());
        if let Ok(a) = first {
            prop_assert_eq!(audit(&rows, &a, protocol), audit(&moved, &a, protocol));
        }
    }

    #[test]
    fn any_single_move_is_seen(
        rows in corpora(), protocol in protocols(), seed in any::<u64>(), which in any::<prop::sample::Index>(), to in 0..2_usize,
    ) {
        let Ok(mut assignments) = assign(&rows, protocol, 3, seed) else { return Ok(()) };
        let before = audit(&rows, &assignments, protocol);
        let i = which.index(assignments.len());
        let others: Vec<Role> =
            Role::ALL.into_iter().filter(|&r| r != assignments[i].role).collect();
        let was = assignments[i].role;
        assignments[i].role = others[to];
        let after = audit(&rows, &assignments, protocol);
        prop_assert_ne!(&before.assignments_digest, &after.assignments_digest);
        prop_assert_eq!(&before.epochs_digest, &after.epochs_digest);
        // Into or out of the test part also breaks "tested exactly once".
        if was == Role::Test || others[to] == Role::Test {
            prop_assert!(!after.holds);
        }
    }
}

fn sizes(assignments: &[Assignment]) -> BTreeMap<(i32, Role), usize> {
    let mut sizes = BTreeMap::new();
    for a in assignments {
        *sizes.entry((a.fold, a.role)).or_default() += 1;
    }
    sizes
}

#[test]
fn within_subject_is_70_10_20_and_stratified() {
    let rows = corpus(3, 10, 20);
    let assignments = assign(&rows, Protocol::WithinSubject, 5, 1).unwrap();
    let label: BTreeMap<u64, i32> = rows
        .iter()
        .map(|r| (r.epoch_id, r.label.unwrap()))
        .collect();
    for ((_, role), n) in sizes(&assignments) {
        let expected = match role {
            Role::Train => 420,
            Role::Val => 60,
            Role::Test => 120,
        };
        assert!(n.abs_diff(expected) <= 3, "{role}: {n}");
    }
    for fold in 0..5 {
        for role in Role::ALL {
            let mut by_label = [0_usize; 2];
            for a in assignments
                .iter()
                .filter(|a| a.fold == fold && a.role == role)
            {
                by_label[label[&a.epoch_id] as usize] += 1;
            }
            assert!(
                by_label[0].abs_diff(by_label[1]) <= 6,
                "fold {fold} {role}: {by_label:?}"
            );
        }
    }
}

#[test]
fn between_trial_spreads_subjects_and_labels() {
    let rows = corpus(4, 10, 6);
    let assignments = assign(&rows, Protocol::BetweenTrial, 5, 3).unwrap();
    let audit = audit(&rows, &assignments, Protocol::BetweenTrial);
    for fold in &audit.folds {
        let test = &fold.roles[&Role::Test];
        // 40 trials in 5 folds: each fold tests one trial of each label of each subject.
        assert_eq!((test.trials, test.subjects), (8, 4));
        assert_eq!(test.labels[&0], test.labels[&1]);
        let val = &fold.roles[&Role::Val];
        assert_eq!((val.trials, val.subjects >= 2), (4, true));
        assert_eq!(val.labels[&0], val.labels[&1]);
    }
}

#[test]
fn two_trials_a_subject_still_give_every_fold_both_classes() {
    // As EEGMat: one rest and one arithmetic recording a subject.
    for folds in [2, 3, 4, 5] {
        let rows = corpus(10, 2, 15);
        let assignments = assign(&rows, Protocol::BetweenTrial, folds, 0).unwrap();
        let audit = audit(&rows, &assignments, Protocol::BetweenTrial);
        for fold in &audit.folds {
            for role in Role::ALL {
                assert_eq!(
                    fold.roles[&role].labels.len(),
                    2,
                    "fold {} {role}",
                    fold.fold
                );
            }
        }
    }
}

#[test]
fn as_many_folds_as_subjects_leaves_one_out() {
    let rows = corpus(6, 4, 5);
    let assignments = assign(&rows, Protocol::CrossSubject, 6, 9).unwrap();
    let audit = audit(&rows, &assignments, Protocol::CrossSubject);
    assert!(audit.holds);
    for fold in &audit.folds {
        let subjects = |role| fold.roles[&role].subjects;
        assert_eq!(
            (
                subjects(Role::Test),
                subjects(Role::Val),
                subjects(Role::Train)
            ),
            (1, 1, 4)
        );
    }
    let error = assign(&rows, Protocol::CrossSubject, 7, 9).unwrap_err();
    assert_eq!(
        error.to_string(),
        "cross-subject with 7 folds needs at least 7 subjects, found 6; ask for fewer folds or ingest more subjects"
    );
    let two = assign(&corpus(2, 4, 5), Protocol::CrossSubject, 2, 9).unwrap_err();
    assert!(
        two.to_string().contains("at least 3 subjects, found 2"),
        "{two}"
    );
}

#[test]
fn labels_that_belong_to_subjects_are_spread_over_folds() {
    let mut rows = corpus(10, 2, 4);
    for row in &mut rows {
        let subject: i32 = row.subject[1..].parse().unwrap();
        row.label = Some(i32::from(subject >= 7));
    }
    let assignments = assign(&rows, Protocol::CrossSubject, 3, 4).unwrap();
    for fold in audit(&rows, &assignments, Protocol::CrossSubject).folds {
        assert_eq!(
            fold.roles[&Role::Test].labels.len(),
            2,
            "fold {}",
            fold.fold
        );
        assert_eq!(
            fold.roles[&Role::Train].labels.len(),
            2,
            "fold {}",
            fold.fold
        );
    }
}

/// `listeners` hear the same `stories`, each story one trial with its own two talkers.
fn stories(listeners: usize, stories: usize) -> Vec<Row> {
    let mut rows = corpus(listeners, stories, 3);
    for row in &mut rows {
        let story = format!("story{}", row.trial);
        row.stimuli = vec![format!("{story}-a"), format!("{story}-b")];
        row.content_id = Some(story);
        // Who was attended differs between listeners.
        row.label = Some((row.trial + i32::from(row.subject.ends_with('1'))) % 2);
    }
    rows
}

#[test]
fn content_heard_by_many_is_on_one_side() {
    let rows = stories(4, 10);
    let between = assign(&rows, Protocol::BetweenTrial, 5, 2).unwrap();
    let seen = audit(&rows, &between, Protocol::ContentDisjoint);
    assert!(!seen.holds);
    assert!(seen.broken.iter().any(|b| b.ends_with("shared content")));
    assert!(seen.broken.iter().any(|b| b.ends_with("shared sounds")));

    let assignments = assign(&rows, Protocol::ContentDisjoint, 5, 2).unwrap();
    let audit = audit(&rows, &assignments, Protocol::ContentDisjoint);
    assert!(audit.holds, "{:?}", audit.broken);
    assert_eq!(audit.alone.content.unwrap().seen_share, 0.0);
    for fold in &audit.folds {
        // Two stories of three windows, heard by four.
        assert_eq!(fold.roles[&Role::Test].epochs, 24);
        assert_eq!(fold.roles[&Role::Test].subjects, 4);
        assert!(fold.pairs.iter().all(|p| p.shared_content == Some(0)));
        assert!(fold.pairs.iter().all(|p| p.shared_stimuli == Some(0)));
    }
}

#[test]
fn sounds_that_play_together_link_their_stories() {
    // A ring of talkers: each story's second talker is the next one's first.
    let mut rows = stories(2, 9);
    for row in &mut rows {
        let ring = row.trial / 3;
        row.stimuli = vec![
            format!("{ring}-{}", row.trial % 3),
            format!("{ring}-{}", (row.trial + 1) % 3),
        ];
    }
    let assignments = assign(&rows, Protocol::ContentDisjoint, 3, 0).unwrap();
    let found = audit(&rows, &assignments, Protocol::ContentDisjoint);
    assert!(found.holds, "{:?}", found.broken);
    for fold in &found.folds {
        assert_eq!(fold.roles[&Role::Test].trials, 6, "a ring, heard by two");
    }
    let error = assign(&rows, Protocol::ContentDisjoint, 4, 0).unwrap_err();
    assert_eq!(
        error.to_string(),
        "content-disjoint with 4 folds needs at least 4 groups of trials that share no content and no sound, found 3 among 18 trials; ask for fewer folds"
    );
    // One sound under everything: nothing can be kept apart.
    for row in &mut rows {
        row.stimuli.push("beep".into());
    }
    let error = assign(&rows, Protocol::ContentDisjoint, 3, 0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("found 1 among 18 trials; use between-trial"),
        "{error}"
    );
}

#[test]
fn content_that_nobody_names_is_not_kept_apart() {
    let rows = corpus(3, 6, 4);
    let error = assign(&rows, Protocol::ContentDisjoint, 3, 0).unwrap_err();
    assert!(
        error
            .to_string()
            .contains("none of 72 labelled epochs names any"),
        "{error}"
    );
    // Nor does another protocol's table pass for it.
    let trials = assign(&rows, Protocol::BetweenTrial, 3, 0).unwrap();
    let found = audit(&rows, &trials, Protocol::ContentDisjoint);
    assert!(
        found
            .broken
            .iter()
            .any(|b| b.ends_with("no epoch names content or sound"))
    );
    // Where some name none, their trials are kept apart and a note says so.
    let mut some = stories(3, 9);
    for row in some.iter_mut().filter(|row| row.trial == 4) {
        row.content_id = None;
        row.stimuli.clear();
    }
    let assignments = assign(&some, Protocol::ContentDisjoint, 3, 0).unwrap();
    let found = audit(&some, &assignments, Protocol::ContentDisjoint);
    assert!(found.holds, "{:?}", found.broken);
    let said = "9 of 81 epochs name neither content nor sound";
    assert!(
        found.notes.iter().any(|n| n.starts_with(said)),
        "{:?}",
        found.notes
    );
}

#[test]
fn the_seed_decides() {
    let rows = stories(5, 6);
    for protocol in Protocol::ALL {
        let first = assign(&rows, protocol, 3, 0).unwrap();
        assert_eq!(first, assign(&rows, protocol, 3, 0).unwrap());
        assert_ne!(first, assign(&rows, protocol, 3, 1).unwrap(), "{protocol}");
    }
}

#[test]
fn what_cannot_be_split_is_refused() {
    let rows = corpus(4, 4, 4);
    let text = |rows: &[Row], folds| {
        assign(rows, Protocol::BetweenTrial, folds, 0)
            .unwrap_err()
            .to_string()
    };
    assert_eq!(text(&rows, 1), "expected 2 to 10000 folds, found 1");
    let mut same = rows.clone();
    same.iter_mut().for_each(|r| r.label = Some(3));
    assert!(text(&same, 2).starts_with("all 64 labelled epochs have class 3"));
    same.iter_mut().for_each(|r| r.label = None);
    assert!(text(&same, 2).starts_with("none of 64 epochs has a label"));
    let mut twice = rows.clone();
    twice.push(rows[7].clone());
    assert!(text(&twice, 2).contains("occurs twice"));
    assert!(assign(&[], Protocol::WithinSubject, 5, 0).is_err());
}

#[test]
fn names_read_back() {
    for protocol in Protocol::ALL {
        assert_eq!(protocol.to_string().parse::<Protocol>().unwrap(), protocol);
    }
    assert_eq!(
        "Cross_Subject".parse::<Protocol>().unwrap(),
        Protocol::CrossSubject
    );
    assert!(
        "random"
            .parse::<Protocol>()
            .unwrap_err()
            .to_string()
            .contains("between-trial")
    );
}
