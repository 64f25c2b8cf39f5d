//! Alice: FieldTrip structs with the times of words (first release), and BIDS (NEMAR).

use mmpipe_simulate::{Brennan, brennan, brennan_nemar, brennan_v2};
use serde_json::{Value, json};

use crate::paired::{dropped, hearing_agrees, response, sounds_agree};
use crate::planted::{every_second_is_accounted_for, samples_agree};
use crate::support::{Scratch, real};

#[test]
fn brennan_2018_in_miniature() {
    let scratch = Scratch::new();
    let planted = brennan(&Brennan::default(), &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "Brennan_2018", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 4, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let found = scratch
        .sql("SELECT subject, sfreq, n_channels, seconds, epochs FROM recordings ORDER BY 1");
    let row = |subject: &str, seconds: f64, epochs: i64| json!({ "subject": subject, "sfreq": 500.0, "n_channels": 60, "seconds": seconds, "epochs": epochs });
    assert_eq!(
        found,
        [
            row("01", 38.486, 15),
            row("05", 35.982, 15),
            row("09", 35.76, 17),
            row("26", 29.96, 13),
        ]
    );
    // S26 has no first segment, S09 none that can be told.
    let found = scratch.sql(
        "SELECT content_id, count(*) AS epochs, count(DISTINCT subject) AS subjects FROM eeg GROUP BY 1 ORDER BY 1",
    );
    let segment = |k: usize, epochs: usize, subjects: usize| json!({ "content_id": format!("segment{k}"), "epochs": epochs, "subjects": subjects });
    let mut want: Vec<Value> = [4, 9, 15, 9, 6]
        .into_iter()
        .zip(1..)
        .map(|(epochs, k)| segment(k, epochs, if k == 1 { 2 } else { 3 }))
        .collect();
    want.push(json!({ "epochs": 17, "subjects": 1 }));
    assert_eq!(found.iter().map(without_nulls).collect::<Vec<_>>(), want);
    // What the authors made of each subject.
    let found = scratch.sql("SELECT subject, rejected FROM eeg GROUP BY 1, 2 ORDER BY 1");
    let judged =
        |subject: &str, rejected: bool| json!({ "subject": subject, "rejected": rejected });
    assert_eq!(
        found,
        [
            judged("01", false),
            judged("05", false),
            judged("09", true),
            judged("26", true)
        ]
    );
    assert_eq!(dropped(&scratch), [("outside any trial".to_owned(), 1)]);
    every_second_is_accounted_for(&scratch);
    hearing_agrees(&scratch, "Brennan_2018", &planted.recordings);
    let kept: Vec<usize> = (0..60).collect();
    samples_agree(&scratch, &planted.recordings[3].session, &kept, 1);
    sounds_agree(&scratch, "Brennan_2018", &planted.sounds, 2);
    let r = response(&scratch, "Brennan_2018", &planted, "heard", "Cz");
    assert!(r > 0.25, "{r}");
    copies_agree(&scratch, &[("01", "Aux5", 1..6), ("26", "AUD", 2..6)]);

    // The copy of the sound and the eye are no EEG; the numbers of the cap have places.
    let found = scratch.sql(
        "SELECT c['raw_name'] AS raw, c['kind'] AS kind FROM (SELECT unnest(channels) AS c FROM recordings) \
         WHERE c['name'] IS NULL GROUP BY 1, 2 ORDER BY 1",
    );
    let other = |raw: &str, kind: &str| json!({ "raw": raw, "kind": kind });
    assert_eq!(
        found,
        [
            other("AUD", "audio"),
            other("Aux5", "audio"),
            other("VEOG", "eog")
        ]
    );
    let found = scratch.sql("SELECT DISTINCT ch_names[1] AS first FROM eeg");
    assert_eq!(found, [json!({ "first": "Cz" })]);
}

/// Asks that the copies of the sound among the channels say that trials start where they should.
fn copies_agree(scratch: &Scratch, want: &[(&str, &str, std::ops::Range<i64>)]) {
    let found = scratch.sql(
        "SELECT subject, a['trial'] AS trial, a['channel'] AS channel, a['lag_ms'] AS lag, a['correlation'] AS r \
         FROM (SELECT subject, unnest(alignment) AS a FROM recordings) ORDER BY 1, 2",
    );
    let mut rows = found.iter();
    for (subject, channel, trials) in want {
        for trial in trials.clone() {
            let row = rows
                .next()
                .unwrap_or_else(|| panic!("no trial {trial} of {subject}: {found:?}"));
            assert_eq!(row["subject"], *subject, "{row}");
            assert_eq!(row["trial"], trial, "{row}");
            assert_eq!(row["channel"], *channel, "{row}");
            // The copy is the mean of the 2 ms from its sample on.
            assert!(row["lag"].as_f64().unwrap().abs() < 3.0, "{row}");
            assert!(row["r"].as_f64().unwrap() > 0.9, "{row}");
        }
    }
    assert_eq!(rows.next(), None);
}

fn without_nulls(row: &Value) -> Value {
    let cells = row.as_object().unwrap().iter();
    let cells = cells.filter(|(_, v)| !v.is_null());
    Value::Object(cells.map(|(n, v)| (n.clone(), v.clone())).collect())
}

#[test]
fn a_file_that_begins_after_its_sound_keeps_the_grid_of_the_sound() {
    let scratch = Scratch::new();
    let cfg = Brennan {
        late: true,
        ..Brennan::default()
    };
    brennan(&cfg, &scratch.path("raw")).unwrap();
    let args = [
        "ingest",
        "--dataset",
        "Brennan_2018",
        "--raw",
        "raw",
        "--subjects",
        "01",
    ];
    scratch.json(&args);
    // 1.5 s of 5.2 s are before the file: the first epoch is lost, the second starts at 0.5 s.
    let found = scratch
        .sql("SELECT epoch, onset, stimuli[1]['segment'] AS segment FROM eeg WHERE trial = 1");
    assert_eq!(found, [json!({ "epoch": 1, "onset": 0.5, "segment": 1 })]);
    let lost = dropped(&scratch);
    assert!(
        lost.contains(&("trial reaches past the recording".to_owned(), 1)),
        "{lost:?}"
    );
}

#[test]
fn the_bad_channel_of_one_recording_is_left_out_of_it() {
    let scratch = Scratch::new();
    brennan(&Brennan::default(), &scratch.path("raw")).unwrap();
    for folder in ["raw", "raw/proc"] {
        let folder = scratch.path(folder);
        std::fs::rename(folder.join("S05.mat"), folder.join("S44.mat")).unwrap();
    }
    let args = [
        "ingest",
        "--dataset",
        "Brennan_2018",
        "--raw",
        "raw",
        "--subjects",
        "01,44",
    ];
    scratch.json(&args);
    let found =
        scratch.sql("SELECT subject, n_channels FROM recordings WHERE status = 'ok' ORDER BY 1");
    let row = |subject: &str, n: i64| json!({ "subject": subject, "n_channels": n });
    assert_eq!(found, [row("01", 60), row("44", 59)]);
}

#[test]
fn brennan_of_nemar_in_miniature() {
    let scratch = Scratch::new();
    let planted = brennan_nemar(&Brennan::default(), &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "nm000180", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 3, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let found = scratch
        .sql("SELECT subject, container, sfreq, n_channels, epochs FROM recordings ORDER BY 1");
    let row = |subject: &str, epochs: i64| json!({ "subject": subject, "container": "BrainVision", "sfreq": 500.0, "n_channels": 60, "epochs": epochs });
    assert_eq!(found, [row("001", 15), row("005", 15), row("026", 13)]);
    every_second_is_accounted_for(&scratch);
    hearing_agrees(&scratch, "Brennan-NEMAR", &planted.recordings);
    let kept: Vec<usize> = (0..60).collect();
    samples_agree(&scratch, &planted.recordings[0].session, &kept, 1);
    sounds_agree(&scratch, "Brennan-NEMAR", &planted.sounds, 1);
    copies_agree(&scratch, &[("001", "Aux5", 1..6), ("026", "AUD", 2..6)]);
}

#[test]
fn brennan_of_the_amplifier_in_miniature() {
    let scratch = Scratch::new();
    let planted = brennan_v2(&Brennan::default(), &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "Brennan-V2", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 4, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let found =
        scratch.sql("SELECT subject, container, n_channels, epochs FROM recordings ORDER BY 1");
    let row = |subject: &str, epochs: i64| json!({ "subject": subject, "container": "BrainVision", "n_channels": 60, "epochs": epochs });
    assert_eq!(
        found,
        [row("01", 15), row("05", 15), row("09", 15), row("26", 13)]
    );
    every_second_is_accounted_for(&scratch);
    // Two spellings of markers; sounds 60 and 50 ms after them; S26 without its first segment.
    hearing_agrees(&scratch, "Brennan-V2", &planted.recordings);
    let kept: Vec<usize> = (0..60).collect();
    samples_agree(&scratch, &planted.recordings[2].session, &kept, 1);
    copies_agree(
        &scratch,
        &[
            ("01", "Aux5", 1..6),
            ("09", "AUD", 1..6),
            ("26", "AUD", 2..6),
        ],
    );
}

/// The real times of five subjects, by the manifest's form: segments lie one after the other, as
/// long as their sounds, and in S02 they are called by the number before.
#[test]
fn segments_of_the_real_times_are_as_long_as_their_sounds() {
    let Some(folder) = real("alice-nm000180/sourcedata/proc") else {
        return;
    };
    // Of the publisher's sounds, s.
    const SOUNDS: [f64; 12] = [
        57.541, 60.845, 63.259, 69.989, 66.273, 63.778, 62.897, 57.311, 57.226, 61.270, 56.170,
        46.983,
    ];
    for subject in ["S01", "S02", "S03", "S04", "S05"] {
        let tree = mmpipe_trees::open(&folder.join(format!("{subject}.mat"))).unwrap();
        let numbers = |place: &str| {
            let var = mmpipe_trees::select(tree.as_ref(), place)
                .unwrap()
                .remove(0);
            tree.numbers(&var, 1 << 20).unwrap()
        };
        let (trl, n) = (numbers("proc.trl"), numbers("proc.tot_trials")[0] as usize);
        assert_eq!(trl.len() % n, 0, "{subject}");
        let field = |k: usize, word: usize| trl[k * n + word];
        let (mut starts, mut late) = (Vec::new(), false);
        for segment in 1..=12 {
            let mut words = (0..n).filter(|w| field(3, *w) == f64::from(segment));
            let Some(first) = words.next() else { continue };
            let at = |w: usize| (field(0, w) - field(2, w)) / 500.0;
            let last = words.next_back().map_or(0.0, at);
            starts.push((segment as usize, at(first) - field(4, first), last));
        }
        for pair in starts.windows(2) {
            late |= pair[0].2 > pair[1].1 + 0.5;
        }
        assert_eq!(late, subject == "S02");
        for pair in starts.windows(2) {
            let ((segment, start, _), (_, next, _)) = (pair[0], pair[1]);
            let sound = SOUNDS[segment - 1 + usize::from(late)];
            let pause = next - start - sound;
            assert!((0.0..0.2).contains(&pause), "{subject} {segment}: {pause}");
        }
    }
}
