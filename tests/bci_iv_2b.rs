//! BCI Competition IV data set 2b, from GDF files and true labels to epochs.

use mmpipe_simulate::{BciIv2b, PlantedSessions, bci_iv_2b};
use serde_json::{Value, json};

use crate::planted::{every_second_is_accounted_for, samples_agree, trials_agree};
use crate::support::Scratch;

fn ingested(cfg: &BciIv2b) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let planted = bci_iv_2b(cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "BCI-IV-2B", "--raw", "raw"]);
    (scratch, planted, report)
}

#[test]
fn bci_iv_2b_in_miniature() {
    let (scratch, planted, report) = ingested(&BciIv2b::default());
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 10, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");

    // Two runs of 37 s after 28 s of eyes, which B0102T and B0504E lack.
    let found = scratch.sql(
        "SELECT session, sum(seconds) AS seconds, count(DISTINCT subject) AS subjects, \
         min(n_channels) AS least, max(n_channels) AS most, min(sfreq) AS sfreq FROM recordings GROUP BY 1 ORDER BY 1",
    );
    let row = |session: &str, seconds: f64| json!({ "session": session, "seconds": seconds, "subjects": 2, "least": 3, "most": 3, "sfreq": 250.0 });
    assert_eq!(
        found,
        [
            row("01", 204.0),
            row("02", 176.0),
            row("03", 204.0),
            row("04", 176.0),
            row("05", 204.0)
        ]
    );
    let names = scratch.sql("SELECT DISTINCT ch_names FROM eeg");
    assert_eq!(names, [json!({ "ch_names": ["C3", "Cz", "C4"] })]);
    let labels = scratch.sql(
        "SELECT label, label_name, task, count(*) AS epochs, count(DISTINCT session) AS sessions, min(label_share) AS share \
         FROM eeg WHERE label IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1, 3",
    );
    let row = |label: usize, task: &str, sessions: usize| {
        let name = ["left_hand", "right_hand"][label];
        json!({ "label": label, "label_name": name, "task": task,
                "epochs": 16 * sessions, "sessions": sessions, "share": 1.0 })
    };
    assert_eq!(
        labels,
        [
            row(0, "motor imagery", 2),
            row(0, "motor imagery with feedback", 3),
            row(1, "motor imagery", 2),
            row(1, "motor imagery with feedback", 3),
        ]
    );
    let dropped = scratch.sql(
        "SELECT d['reason'] AS reason, sum(d['epochs']) AS epochs FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        dropped,
        [
            json!({ "reason": "at a gap of the recording", "epochs": 0 }),
            json!({ "reason": "tail shorter than an epoch", "epochs": 0 }),
        ]
    );
    every_second_is_accounted_for(&scratch);
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
        samples_agree(&scratch, recording, &[0, 1, 2], 2);
    }
}

#[test]
fn bipolar_channels_keep_their_names_with_a_note() {
    let (scratch, _, report) = ingested(&BciIv2b {
        subjects: vec![2],
        runs: 1,
        ..BciIv2b::default()
    });
    let channels = scratch.sql(
        "SELECT DISTINCT c['raw_name'] AS raw, c['kind'] AS kind, c['name'] AS name, c['reason'] AS reason \
         FROM (SELECT unnest(channels) AS c FROM recordings) ORDER BY 1",
    );
    let names: Vec<Option<&str>> = channels.iter().map(|c| c["name"].as_str()).collect();
    let want = [Some("C3"), Some("C4"), Some("Cz"), None, None, None];
    assert_eq!(names, want, "{channels:?}");
    for c in &channels[3..] {
        assert_eq!(c["kind"], "eog");
        assert!(
            c["reason"].as_str().unwrap().contains("eye electrode"),
            "{c}"
        );
    }
    assert!(
        report.to_string().contains("bipolar derivations"),
        "{report:#}"
    );
}

#[test]
fn feedback_lasts_half_a_second_longer_than_screening() {
    let (scratch, planted, _) = ingested(&BciIv2b {
        subjects: vec![2],
        runs: 1,
        repeats: 1,
        ..BciIv2b::default()
    });
    for (recording, seconds) in planted.recordings.iter().zip([4.0, 4.0, 4.5, 4.5, 4.5]) {
        let trial = recording.trials[0];
        assert_eq!((trial.stop - trial.start) as f64 / 250.0, seconds);
    }
    // Two trials a session: what is over is half a second each.
    let tails = scratch.sql(
        "SELECT session, sum(CASE WHEN d['reason'] LIKE 'tail%' THEN d['seconds'] ELSE 0.0 END) AS tail \
         FROM (SELECT session, unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1",
    );
    // Screening: 0-4 s before the first cue, 2 s after the last stop, 5 s between: a second over.
    let tail: Vec<f64> = tails.iter().map(|r| r["tail"].as_f64().unwrap()).collect();
    assert_eq!(tail[0], tail[1]);
    assert_eq!(tail[2], tail[3]);
    assert!(tail[2] > tail[0], "{tails:?}");
}

#[test]
fn b0102t_and_b0504e_start_without_a_block_of_the_eyes() {
    let (scratch, _, report) = ingested(&BciIv2b {
        runs: 1,
        repeats: 1,
        ..BciIv2b::default()
    });
    let without = scratch.sql(
        "SELECT subject, session FROM eeg GROUP BY 1, 2 \
         HAVING sum(CASE WHEN task LIKE 'eyes%' THEN 1 ELSE 0 END) = 0 ORDER BY 1, 2",
    );
    assert_eq!(
        without,
        [
            json!({ "subject": "B01", "session": "02" }),
            json!({ "subject": "B05", "session": "04" }),
        ]
    );
    let notes = report["notes"].as_array().unwrap();
    let said = notes
        .iter()
        .filter_map(|n| n.as_str())
        .find(|n| n.contains("starts with imagery"));
    assert!(
        said.unwrap()
            .starts_with("known-fault, 2 in all, the first: B0102T.gdf"),
        "{notes:?}"
    );
}

#[test]
fn eye_movements_are_told_by_their_codes() {
    let (scratch, _, _) = ingested(&BciIv2b {
        subjects: vec![2],
        runs: 1,
        repeats: 1,
        ..BciIv2b::default()
    });
    let tasks = scratch.sql("SELECT DISTINCT task FROM eeg WHERE label IS NULL ORDER BY 1");
    let tasks: Vec<&str> = tasks.iter().map(|r| r["task"].as_str().unwrap()).collect();
    let want = [
        "between trials",
        "blinks",
        "eye rotation",
        "eyes closed",
        "eyes open",
        "horizontal eye movements",
        "vertical eye movements",
    ];
    assert_eq!(tasks, want);
}

#[test]
fn unknown_cues_of_2b_take_their_class_from_the_true_labels() {
    let cfg = BciIv2b {
        subjects: vec![2],
        runs: 1,
        true_labels: false,
        ..BciIv2b::default()
    };
    let (scratch, _, _) = ingested(&cfg);
    let labelled = "SELECT session, count(label) AS labelled FROM eeg WHERE trial < 1000 GROUP BY 1 ORDER BY 1";
    let counts = |rows: Vec<Value>| -> Vec<u64> {
        rows.iter()
            .map(|r| r["labelled"].as_u64().unwrap())
            .collect()
    };
    assert_eq!(counts(scratch.sql(labelled)), [8, 8, 8, 0, 0]);
    let (scratch, planted, _) = ingested(&BciIv2b {
        true_labels: true,
        ..cfg
    });
    assert_eq!(counts(scratch.sql(labelled)), [8, 8, 8, 8, 8]);
    trials_agree(&scratch, &planted.recordings[4]);
}
