//! The Old Man and the Sea: BIDS with sounds (ds004408), and MATLAB files with envelopes (Dryad).

use mmpipe_simulate::{Broderick, broderick, broderick_dryad};
use serde_json::{Value, json};

use crate::paired::{dropped, hearing_agrees, response, sounds_agree};
use crate::planted::{every_second_is_accounted_for, samples_agree};
use crate::support::{Scratch, real};

#[test]
fn broderick_2018_in_miniature() {
    let scratch = Scratch::new();
    let planted = broderick(&Broderick::default(), &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "ds004408", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 4, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let row = |run: &str, seconds: f64, epochs: i64| json!({ "run": run, "subjects": 2, "sfreq": 512.0, "n_channels": 128, "seconds": seconds, "epochs": epochs });
    let found = scratch.sql(
        "SELECT run, count(DISTINCT subject) AS subjects, min(sfreq) AS sfreq, min(n_channels) AS n_channels, \
                min(seconds) AS seconds, sum(epochs) AS epochs FROM recordings GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(found, [row("01", 11.25, 8), row("02", 12.548828125, 10)]);
    let found = scratch.sql(
        "SELECT content_id, task, count(*) AS epochs FROM eeg WHERE label IS NULL GROUP BY 1, 2 ORDER BY 1",
    );
    let content = |id: &str, epochs: i64| json!({ "content_id": id, "task": "natural speech", "epochs": epochs });
    assert_eq!(found, [content("run01", 8), content("run02", 10)]);
    // EEG and sound start together; where the sound ends, the trial does.
    assert_eq!(dropped(&scratch), [("beyond the sound".to_owned(), 4)]);
    every_second_is_accounted_for(&scratch);
    hearing_agrees(&scratch, "Broderick_2018", &planted.recordings);
    let kept: Vec<usize> = (0..128).collect();
    samples_agree(&scratch, &planted.recordings[3].session, &kept, 1);
    sounds_agree(&scratch, "Broderick_2018", &planted.sounds, 2);
    let r = response(&scratch, "Broderick_2018", &planted, "heard", "Cz");
    assert!(r > 0.25, "{r}");

    // The caps' labels have places of the 10-05 system, each once, at a distance.
    let found = scratch.sql(
        "SELECT count(DISTINCT c['name']) AS names, max(c['distance']) < 25.0 AS near \
         FROM (SELECT unnest(channels) AS c FROM recordings) WHERE c['name'] IS NOT NULL",
    );
    assert_eq!(found, [json!({ "names": 128, "near": true })]);
    let found = scratch.sql(
        "SELECT DISTINCT c['raw_name'] AS raw, c['name'] AS name FROM (SELECT unnest(channels) AS c FROM recordings) \
         WHERE c['raw_name'] IN ('A1', 'A2') ORDER BY 1",
    );
    assert_eq!(found[0], json!({ "raw": "A1", "name": "Cz" }), "no earlobe");
    assert_eq!(found.len(), 2, "{found:?}");

    // channels.tsv says V beside a file in µV: the file wins, and amplitudes stay what they are.
    let found =
        scratch.sql("SELECT max(s) < 100.0 AS small FROM (SELECT unnest(ch_std) AS s FROM eeg)");
    assert_eq!(found, [json!({ "small": true })]);
    // A channel that is marked bad stays.
    let found = scratch.sql(
        "SELECT count(*) AS n FROM (SELECT unnest(channels) AS c FROM recordings) WHERE c['raw_name'] = 'B7' AND c['name'] IS NOT NULL",
    );
    assert_eq!(found, [json!({ "n": 4 })]);
}

/// The side-cars of the real data set beside the miniature's: labels and their order.
#[test]
fn the_labels_are_those_of_a_real_side_car() {
    let Some(folder) = real("bids-sidecars/ds004408/sub-001/eeg") else {
        return;
    };
    let rows = crate::bci_iv_2a::tsv(&folder.join("sub-001_task-listening_run-01_channels.tsv"));
    let scratch = Scratch::new();
    let cfg = Broderick {
        subjects: 1,
        ..Broderick::default()
    };
    let planted = broderick(&cfg, &scratch.path("raw")).unwrap();
    let labels: Vec<&String> = rows.iter().map(|r| &r[0]).collect();
    let ours: Vec<&String> = planted.recordings[0].session.labels.iter().collect();
    assert_eq!(labels, ours);
    assert!(rows.iter().all(|r| r[2] == "V" && r[4] == "512.0"));
}

#[test]
fn broderick_of_dryad_in_miniature() {
    let scratch = Scratch::new();
    let planted = broderick_dryad(&Broderick::default(), &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "Broderick-Dryad", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 4, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let row = |run: &str, seconds: f64, epochs: i64| json!({ "run": run, "container": "MATLAB v5", "sfreq": 128.0, "n_channels": 128, "seconds": seconds, "epochs": epochs });
    let found = scratch.sql(
        "SELECT run, container, min(sfreq) AS sfreq, min(n_channels) AS n_channels, min(seconds) AS seconds, \
                sum(epochs) AS epochs FROM recordings GROUP BY 1, 2 ORDER BY 1",
    );
    assert_eq!(found, [row("1", 11.25, 10), row("2", 12.546875, 12)]);
    // An envelope is nothing to hear.
    let found = scratch.sql("SELECT count(*) AS n FROM eeg WHERE array_length(stimuli) > 0");
    assert_eq!(found, [json!({ "n": 0 })]);
    let found = scratch
        .sql("SELECT path, content_id, kind, sfreq, seconds, status FROM stimuli ORDER BY 1");
    let envelope = |run: usize, seconds: f64| {
        let path = format!("Natural Speech/Stimuli/Envelopes/audio{run}_128Hz.mat#env");
        json!({ "path": path, "content_id": format!("run0{run}"), "kind": "envelope", "sfreq": 128.0,
                "seconds": seconds, "status": "ok" })
    };
    assert_eq!(found, [envelope(1, 9.0), envelope(2, 10.296875)]);
    let ignored = report["ignored"].to_string();
    assert!(ignored.contains("Cocktail Party"), "{ignored}");
    every_second_is_accounted_for(&scratch);
    let kept: Vec<usize> = (0..128).collect();
    samples_agree(&scratch, &planted.recordings[0].session, &kept, 1);
}

#[test]
fn run_15_of_dryad_is_remarked() {
    let scratch = Scratch::new();
    let cfg = Broderick {
        subjects: 1,
        ..Broderick::default()
    };
    broderick_dryad(&cfg, &scratch.path("raw")).unwrap();
    let folder = scratch.path("raw/Natural Speech/EEG/Subject1");
    let name = |run: usize| folder.join(format!("Subject1_Run{run}.mat"));
    std::fs::rename(name(2), name(15)).unwrap();
    let report: Value = scratch.json(&[
        "ingest",
        "--dataset",
        "Broderick-Dryad",
        "--raw",
        "raw",
        "--dry-run",
    ]);
    let notes = report["notes"].to_string();
    assert!(notes.contains("170 s"), "{report:#}");
}
