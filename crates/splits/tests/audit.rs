//! The audit counts what is really shared: planted leaks are found, with the planted numbers.

mod common;

use common::corpus;
use mmpipe_splits::{Assignment, Audit, PairAudit, Protocol, Role, Row, assign, audit};

/// One fold in which `role` says where each row goes.
fn one_fold(rows: &[Row], role: impl Fn(&Row) -> Role) -> Vec<Assignment> {
    rows.iter()
        .map(|r| Assignment {
            fold: 0,
            role: role(r),
            epoch_id: r.epoch_id,
        })
        .collect()
}

fn pair(audit: &Audit, a: Role, b: Role) -> &PairAudit {
    audit.folds[0]
        .pairs
        .iter()
        .find(|p| (p.a, p.b) == (a, b))
        .unwrap()
}

#[test]
fn one_epoch_moved_out_of_its_trial_breaks_between_trial() {
    let rows = corpus(4, 6, 10);
    let mut assignments = assign(&rows, Protocol::BetweenTrial, 3, 0).unwrap();
    assert!(audit(&rows, &assignments, Protocol::BetweenTrial).holds);
    // The fourth window of a test trial of fold 1 goes to training.
    let moved = assignments
        .iter()
        .position(|a| {
            let epoch = rows
                .iter()
                .find(|r| r.epoch_id == a.epoch_id)
                .unwrap()
                .epoch;
            a.fold == 1 && a.role == Role::Test && epoch == 3
        })
        .unwrap();
    assignments[moved].role = Role::Train;
    let after = audit(&rows, &assignments, Protocol::BetweenTrial);
    assert!(!after.holds);
    assert_eq!(
        after.broken,
        [
            "1 epoch(s) are not tested exactly once over the folds",
            "fold 1, train/test: 2 adjacent epochs",
            "fold 1, train/test: 1 shared trials",
        ]
    );
    let pair = after.folds[1]
        .pairs
        .iter()
        .find(|p| (p.a, p.b) == (Role::Train, Role::Test))
        .unwrap();
    assert_eq!(
        (
            pair.adjacent_epochs,
            pair.neighbours_in_time,
            pair.shared_trials
        ),
        (2, 2, 1)
    );
    assert_eq!((pair.shared_epochs, pair.overlapping_seconds), (0, 0.0));
}

#[test]
fn one_subject_on_two_sides_breaks_cross_subject_and_nothing_else_does() {
    let rows = corpus(6, 4, 5);
    let mut assignments = assign(&rows, Protocol::CrossSubject, 3, 0).unwrap();
    let victim = *assignments
        .iter()
        .find(|a| a.fold == 2 && a.role == Role::Train)
        .unwrap();
    let row = rows.iter().find(|r| r.epoch_id == victim.epoch_id).unwrap();
    let (subject, trial) = (row.subject.clone(), row.trial);
    for a in &mut assignments {
        let row = rows.iter().find(|r| r.epoch_id == a.epoch_id).unwrap();
        if a.fold == 2 && row.subject == subject && row.trial == trial {
            a.role = Role::Val;
        }
    }
    let after = audit(&rows, &assignments, Protocol::CrossSubject);
    assert_eq!(after.broken, ["fold 2, train/val: 1 shared subjects"]);
    // The same table, judged by the weaker promise, holds: whole trials were moved.
    assert!(audit(&rows, &assignments, Protocol::BetweenTrial).holds);
}

#[test]
fn overlap_in_time_is_seconds_not_pairs() {
    let mut rows = corpus(1, 2, 4);
    for row in &mut rows {
        // One recording; windows of the second trial start 1.5 s into those of the first.
        row.recording = "r".into();
        row.onset += if row.trial == 1 { 1.5 } else { 0.0 };
    }
    let assignments = one_fold(&rows, |r| {
        if r.trial == 0 {
            Role::Train
        } else {
            Role::Test
        }
    });
    let audit = audit(&rows, &assignments, Protocol::BetweenTrial);
    // [0, 8) against [1.5, 9.5): 6.5 s in common.
    assert!((pair(&audit, Role::Train, Role::Test).overlapping_seconds - 6.5).abs() < 1e-9);
    assert!(!audit.holds);
    assert!(
        audit
            .broken
            .iter()
            .any(|b| b == "fold 0, train/test: 6.5 overlapping seconds"),
        "{:?}",
        audit.broken
    );
    assert!(
        audit
            .broken
            .iter()
            .any(|b| b.contains("part(s) of a fold are empty"))
    );
}

#[test]
fn neighbours_across_trials_of_a_recording_are_counted_and_noted() {
    let mut rows = corpus(1, 2, 3);
    for row in &mut rows {
        row.recording = "r".into();
        row.onset += if row.trial == 1 { 6.5 } else { 0.0 };
    }
    let assignments = one_fold(&rows, |r| {
        if r.trial == 0 {
            Role::Train
        } else {
            Role::Test
        }
    });
    let found = audit(&rows, &assignments, Protocol::BetweenTrial);
    let p = pair(&found, Role::Train, Role::Test);
    // [4, 6) and [6.5, 8.5) are half a second apart; no window of one trial is split.
    assert_eq!(
        (p.neighbours_in_time, p.adjacent_epochs, p.shared_trials),
        (1, 0, 0)
    );
    assert_eq!((p.shared_recordings, p.shared_subjects), (1, 1));
    assert!(
        found
            .notes
            .iter()
            .any(|n| n.starts_with("1 pairs of epochs")),
        "{:?}",
        found.notes
    );
    // Touching within rounding is no overlap; a gap of a whole epoch is no neighbour.
    for (shift, neighbours) in [(6.0 + 1e-9, 1), (6.0 - 1e-9, 1), (8.0, 0), (7.99, 1)] {
        for row in rows.iter_mut().filter(|r| r.trial == 1) {
            row.onset = shift + 2.0 * f64::from(row.epoch);
        }
        let found = audit(&rows, &assignments, Protocol::BetweenTrial);
        let p = pair(&found, Role::Train, Role::Test);
        assert_eq!(
            (p.neighbours_in_time, p.overlapping_seconds),
            (neighbours, 0.0),
            "{shift}"
        );
    }
}

#[test]
fn neighbours_equal_a_count_of_all_pairs() {
    // Windows of unequal length at awkward places, against the definition, pair by pair.
    let mut rows = corpus(1, 2, 25);
    for (i, row) in rows.iter_mut().enumerate() {
        row.recording = "r".into();
        row.onset = ((i * 37) % 101) as f64 * 0.61;
        row.seconds = 0.5 + ((i * 13) % 7) as f64 * 0.4;
    }
    let side = |r: &Row| {
        if r.trial == 0 {
            Role::Train
        } else {
            Role::Test
        }
    };
    let found = audit(&rows, &one_fold(&rows, side), Protocol::BetweenTrial);
    let p = pair(&found, Role::Train, Role::Test);
    let mut near = 0;
    for a in rows.iter().filter(|r| r.trial == 0) {
        for b in rows.iter().filter(|r| r.trial == 1) {
            let gap = (b.onset - (a.onset + a.seconds)).max(a.onset - (b.onset + b.seconds));
            near += u64::from(gap < a.seconds - 1e-6);
        }
    }
    assert_eq!(p.neighbours_in_time, near);
    // Seconds in common by a fine ruler.
    let covered = |trial: i32, t: f64| {
        rows.iter()
            .any(|r| r.trial == trial && r.onset <= t && t < r.onset + r.seconds)
    };
    let ruler = (0..70_000).filter(|&i| {
        let t = f64::from(i) * 0.001 + 0.0005;
        covered(0, t) && covered(1, t)
    });
    assert!((p.overlapping_seconds - ruler.count() as f64 * 0.001).abs() < 0.05);
}

#[test]
fn what_a_data_set_does_not_name_is_unknown_not_zero() {
    let mut rows = corpus(3, 4, 5);
    let assignments = assign(&rows, Protocol::CrossSubject, 3, 0).unwrap();
    let before = audit(&rows, &assignments, Protocol::CrossSubject);
    let p = &before.folds[0].pairs[0];
    assert_eq!(
        (p.shared_sessions, p.shared_stimuli, p.shared_content),
        (None, None, None)
    );
    assert!(before.alone.content.is_none());
    for row in &mut rows {
        row.session = Some("1".into());
        row.content_id = Some(format!("story{}", row.trial));
        row.stimuli = vec![format!("wav{}", row.trial), "noise".into()];
    }
    let after = audit(&rows, &assignments, Protocol::CrossSubject);
    let p = &after.folds[0].pairs[1];
    // Session "1" of another subject is another session; the stories are the same for all.
    assert_eq!(
        (p.shared_sessions, p.shared_stimuli, p.shared_content),
        (Some(0), Some(5), Some(4))
    );
    assert!(after.holds);
    // Stories 0 and 2 are always left, 1 and 3 right: the audio alone tells the label.
    let content = after.alone.content.unwrap();
    assert_eq!(
        (
            content.balanced_accuracy,
            content.chance,
            content.seen_share
        ),
        (1.0, 0.5, 1.0)
    );
    assert_ne!(before.epochs_digest, after.epochs_digest);
}

#[test]
fn knowing_the_trial_is_enough_within_subjects_and_useless_between_trials() {
    let rows = corpus(5, 10, 10);
    let alone = |protocol| {
        let assignments = assign(&rows, protocol, 5, 0).unwrap();
        audit(&rows, &assignments, protocol).alone
    };
    let within = alone(Protocol::WithinSubject).trial.unwrap();
    assert_eq!((within.balanced_accuracy, within.seen_share), (1.0, 1.0));
    let between = alone(Protocol::BetweenTrial);
    let trial = between.trial.unwrap();
    assert_eq!((trial.balanced_accuracy, trial.seen_share), (0.5, 0.0));
    assert_eq!(between.subject.unwrap().seen_share, 1.0);
    assert_eq!(
        alone(Protocol::CrossSubject).subject.unwrap().seen_share,
        0.0
    );
}

#[test]
fn recordings_of_one_class_are_named() {
    // As EEGMat: the class is constant inside a recording.
    let rows = corpus(5, 2, 6);
    let assignments = assign(&rows, Protocol::CrossSubject, 5, 0).unwrap();
    let found = audit(&rows, &assignments, Protocol::CrossSubject);
    assert_eq!((found.purity.recording, found.purity.subject), (1.0, 0.5));
    assert_eq!(
        (
            found.purity.recordings,
            found.purity.recordings_of_one_class
        ),
        (10, 10)
    );
    assert!(
        found
            .notes
            .iter()
            .any(|n| n.starts_with("Every recording holds a single class"))
    );
}

#[test]
fn epochs_of_the_table_that_are_missing_unknown_or_repeated_are_said() {
    let mut rows = corpus(4, 4, 5);
    let mut assignments = assign(&rows, Protocol::BetweenTrial, 2, 0).unwrap();
    let gone = rows.remove(0);
    rows[0].label = None;
    let again = assignments[9];
    assignments.push(again);
    let mut later = rows[5].clone();
    later.epoch_id = 1;
    rows.push(later);
    let found = audit(&rows, &assignments, Protocol::BetweenTrial);
    let f = &found.findings;
    assert_eq!(
        (f.unknown, f.assigned_unlabelled, f.repeated, f.missing),
        (1, 1, 1, 1)
    );
    assert_eq!((f.epochs, f.labelled, f.unlabelled), (80, 79, 1));
    assert!(!found.holds, "{}", gone.epoch_id);
    let nothing = audit(&rows, &[], Protocol::BetweenTrial);
    assert!(!nothing.holds);
    assert_eq!(nothing.broken, ["1 split without a single fold"]);
}

#[test]
fn an_audit_survives_json_and_prints() {
    let mut rows = corpus(3, 4, 5);
    rows[3].label = None;
    let assignments = assign(&rows, Protocol::WithinSubject, 2, 0).unwrap();
    let found = audit(&rows, &assignments, Protocol::WithinSubject);
    let json = serde_json::to_string(&found).unwrap();
    assert_eq!(found, serde_json::from_str::<Audit>(&json).unwrap());
    insta::assert_snapshot!(found);
}
