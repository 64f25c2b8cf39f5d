//! Whether the sound alone tells the label: designs whose answer is known.

use mmpipe_splits::{AudioOnly, By, ChoiceScore, Cue, CueScore, Heard, HeldOut, Row, audio_only};

fn heard(sound: &str, role: &str, side: &str) -> Heard {
    Heard {
        sound: sound.into(),
        role: role.into(),
        side: Some(side.into()),
        ..Heard::default()
    }
}

/// Epochs of one trial; `label` and what was heard are the trial's.
fn trial(subject: usize, trial: usize, epochs: usize, label: usize, heard: &[Heard]) -> Vec<Row> {
    (0..epochs)
        .map(|epoch| Row {
            epoch_id: (subject * 1_000_000 + trial * 1000 + epoch) as u64,
            dataset: "D".into(),
            subject: format!("S{subject}"),
            recording: format!("S{subject}"),
            trial: trial as i32,
            epoch: epoch as i32,
            onset: 2.0 * epoch as f64,
            seconds: 2.0,
            label: Some(label as i32),
            heard: heard.to_vec(),
            ..Row::default()
        })
        .collect()
}

fn with_content(rows: Vec<Row>, content: &str) -> Vec<Row> {
    let named = |mut row: Row| {
        row.content_id = Some(content.into());
        row
    };
    rows.into_iter().map(named).collect()
}

fn label(found: &AudioOnly, cue: Cue) -> CueScore {
    *found.label.iter().find(|s| s.cue == cue).unwrap()
}

fn choice(found: &AudioOnly, by: By) -> ChoiceScore {
    *found.attended.iter().find(|s| s.by == by).unwrap()
}

/// A number from 0 to `below` that no pattern of the arguments can follow.
fn lot(a: usize, b: usize, below: u64) -> usize {
    let mut x = (a as u64) << 32 | (b as u64 + 1);
    for _ in 0..3 {
        x = (x ^ (x >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        x ^= x >> 29;
    }
    (x % below) as usize
}

/// Four parts of two tracks, five trials a part: four attend track 1, which are the short ones.
/// The side is balanced and says nothing.
fn kul(label_is_track: bool) -> Vec<Row> {
    let mut rows = Vec::new();
    for subject in 0..6 {
        for part in 0..4 {
            for k in 0..5 {
                let second = usize::from(k == 4);
                let right = (subject + part + k) % 2;
                let sides = ["left", "right"];
                let name = |track: usize| format!("part{part}_track{}_dry.wav", track + 1);
                let sounds = [
                    heard(&name(second), "attended", sides[right]),
                    heard(&name(1 - second), "unattended", sides[1 - right]),
                ];
                let label = if label_is_track { second } else { right };
                let epochs = if second == 1 { 16 } else { 8 };
                let rows_of = trial(subject, part * 5 + k, epochs, label, &sounds);
                rows.extend(with_content(rows_of, &format!("part{part}")));
            }
        }
    }
    rows
}

#[test]
fn a_track_that_is_mostly_attended_is_found() {
    let found = audio_only(&kul(true)).unwrap();
    assert_eq!((found.held_out, found.trials), (HeldOut::Subject, 120));
    // Which file was attended names the track.
    let attended = label(&found, Cue::Attended);
    assert_eq!(attended.balanced_accuracy, 1.0);
    assert!(attended.warns && !attended.is_label, "{attended:?}");
    // The content says which is more common: no better than chance when classes count alike.
    let content = label(&found, Cue::Content);
    assert_eq!(content.balanced_accuracy, 0.5);
    assert!(
        (content.accuracy - 32.0 / 48.0).abs() < 1e-12,
        "{content:?}"
    );
    assert!(!content.warns);
    // Always to choose the file that others attended more: 4 trials of 8 epochs against 1 of 16.
    let file = choice(&found, By::Sound);
    assert!(
        (file.accuracy - 32.0 / 48.0).abs() < 1e-12 && file.chance == 0.5,
        "{file:?}"
    );
    assert!(file.warns);
    let side = choice(&found, By::Side);
    assert!(!side.warns, "{side:?}");
    assert!(
        found
            .warnings
            .iter()
            .any(|w| w.contains("by its file alone, right for 67 % of the time (chance 50 %)")),
        "{:?}",
        found.warnings
    );
}

#[test]
fn a_side_that_is_the_label_is_said_to_be_and_no_warning() {
    let found = audio_only(&kul(false)).unwrap();
    let side = label(&found, Cue::Side);
    assert!(
        side.is_label && side.balanced_accuracy == 1.0 && !side.warns,
        "{side:?}"
    );
    let text = found.to_string();
    assert!(
        text.contains(
            "label by attended side: balanced accuracy 1.00, chance 0.50; it is the label itself"
        ),
        "{text}"
    );
}

#[test]
fn groups_of_listeners_that_contradict_each_other_are_seen_through() {
    // As in ESAA: the label depends on the content alone, the other way round from subject 8 on.
    let mut rows = Vec::new();
    for subject in 0..17 {
        for content in 0..32 {
            let label = (lot(content, 7, 2) + usize::from(subject >= 8)) % 2;
            let file = format!("Trail{content}.wav");
            let (a, b) = (
                format!("{file}#ch{}", label + 1),
                format!("{file}#ch{}", 2 - label),
            );
            let sounds = [
                heard(&a, "attended", "left"),
                heard(&b, "unattended", "right"),
            ];
            let rows_of = trial(subject, content, 20, label, &sounds);
            rows.extend(with_content(rows_of, &file));
        }
    }
    let found = audio_only(&rows).unwrap();
    // The others of one's own group are always outvoted or nearly so.
    assert!(label(&found, Cue::Content).balanced_accuracy < 0.5);
    let alike = label(&found, Cue::LikeListeners);
    assert_eq!((alike.balanced_accuracy, alike.warns), (1.0, true));
    assert!(
        found
            .warnings
            .iter()
            .any(|w| w.contains("content, by listeners asked alike alone")),
        "{:?}",
        found.warnings
    );
}

#[test]
fn a_fair_design_gives_chance() {
    let mut rows = Vec::new();
    for subject in 0..20 {
        for content in 0..40 {
            // Who is attended and on which side is drawn for every listener anew.
            let (right, who) = (lot(subject, content, 2), lot(subject + 50, content, 2));
            let name = |w: usize| format!("c{content}_{}.wav", ["low", "high"][w]);
            let sides = ["left", "right"];
            let sounds = [
                heard(&name(who), "attended", sides[right]),
                heard(&name(1 - who), "unattended", sides[1 - right]),
            ];
            let rows_of = trial(subject, content, 5, right, &sounds);
            rows.extend(with_content(rows_of, &format!("c{content}")));
        }
    }
    let found = audio_only(&rows).unwrap();
    for score in found.label.iter().filter(|s| !s.is_label) {
        assert!((score.balanced_accuracy - 0.5).abs() < 0.06, "{score:?}");
    }
    for score in &found.attended {
        assert!((score.accuracy - 0.5).abs() < 0.06, "{score:?}");
    }
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
}

#[test]
fn a_label_of_the_clip_is_told_by_the_clip() {
    // As in a set of film clips: every subject sees the same clips, and the label is the clip's.
    let mut rows = Vec::new();
    for subject in 0..3 {
        for clip in 0..12 {
            let sounds = [heard(&format!("clip{clip}.wav"), "heard", "centre")];
            let rows_of = trial(subject, clip, 4, clip % 3, &sounds);
            rows.extend(with_content(rows_of, &format!("clip{clip}")));
        }
    }
    let found = audio_only(&rows).unwrap();
    let content = label(&found, Cue::Content);
    assert_eq!((content.balanced_accuracy, content.warns), (1.0, true));
    assert!((content.chance - 1.0 / 3.0).abs() < 1e-12);
    // There is no choice between sounds.
    assert!(found.attended.is_empty());
    // One subject: the same with each trial left out knows nothing of a clip met once.
    let one: Vec<Row> = rows.into_iter().filter(|r| r.subject == "S0").collect();
    let found = audio_only(&one).unwrap();
    assert_eq!(found.held_out, HeldOut::Trial);
    assert_eq!(label(&found, Cue::Content).seen_share, 0.0);
    assert!(found.warnings.is_empty(), "{:?}", found.warnings);
}

#[test]
fn without_sound_and_content_there_is_nothing_to_say() {
    let silent: Vec<Row> = (0..4).flat_map(|k| trial(k, 0, 3, k % 2, &[])).collect();
    assert_eq!(audio_only(&silent), None);
    assert_eq!(audio_only(&[]), None);
}

#[test]
fn neither_order_nor_names_change_a_score() {
    let rows = kul(true);
    let mut turned = rows.clone();
    turned.reverse();
    assert_eq!(audio_only(&rows), audio_only(&turned));
}
