//! One recording from disk to report, through the binary, on corpora whose truth is known.

use crate::support::{Scratch, real, tree};
use serde_json::json;

/// EEGMat in miniature: labels, subjects, channels and epochs are the planted ones, and a run
/// goes from raw files to a page.
#[test]
fn eegmat_in_miniature_walks_from_raw_files_to_a_report() {
    let scratch = Scratch::new();
    let truth = scratch.json(&[
        "simulate",
        "--dataset",
        "EEGMat",
        "--out",
        "raw",
        "--subjects",
        "6",
    ]);
    let planted = truth["recordings"]
        .as_array()
        .expect("the truth lists recordings")
        .len();
    let report = scratch.json(&["ingest", "--dataset", "eegmat", "--raw", "raw"]);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), planted);
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");

    let labels = scratch.sql(
        "SELECT label, label_name, count(DISTINCT subject) AS subjects FROM eeg GROUP BY 1, 2 ORDER BY 1",
    );
    assert_eq!(
        labels,
        [
            json!({ "label": 0, "label_name": "rest", "subjects": 6 }),
            json!({ "label": 1, "label_name": "arithmetic", "subjects": 6 }),
        ]
    );
    let names = scratch
        .sql("SELECT DISTINCT array_length(ch_names) AS n, array_length(eeg) AS rows FROM eeg");
    assert_eq!(names, [json!({ "n": 19, "rows": 19 })]);
    // Every second of every recording is in an epoch or has a reason.
    let seconds = scratch.sql(
        "SELECT path, seconds, epochs * 2.0 AS kept, \
         coalesce((SELECT sum(d['seconds']) FROM (SELECT r2.path AS p, unnest(dropped) AS d FROM recordings r2) WHERE p = r.path), 0.0) AS dropped \
         FROM recordings r ORDER BY path",
    );
    for row in &seconds {
        let of = |key: &str| row[key].as_f64().unwrap();
        assert!(
            (of("seconds") - of("kept") - of("dropped")).abs() < 1e-6,
            "{row}"
        );
    }

    let split = scratch.json(&[
        "split",
        "--protocol",
        "cross-subject",
        "--dataset",
        "EEGMat",
        "--folds",
        "3",
    ]);
    let name = split["split"].as_str().unwrap().to_owned();
    assert_eq!(split["audit"]["holds"], true);
    let audit = scratch.json(&["audit", &name]);
    assert_eq!(audit["audit"]["holds"], true);
    assert_eq!(audit["changed"], json!([]));

    let trained = scratch.json(&[
        "train",
        "--stage",
        "finetune",
        "--dataset",
        "EEGMat",
        "--split",
        &name,
        "--epochs",
        "2",
    ]);
    let run = trained["run"].as_str().unwrap().to_owned();
    assert_eq!(run, format!("eegnet-{name}"));
    let summary = scratch.json(&["evaluate", "--run", &run]);
    let controls: Vec<_> = summary["controls"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(controls, ["noise-eeg", "label-permuted"]);
    assert_eq!(summary["baselines"][0]["name"], "bandpower-lr");
    // Every labelled epoch is tested once, by the model and by each control.
    let counted = scratch.sql(
        "SELECT coalesce(control, 'model') AS control, count(*) = (SELECT count(*) FROM eeg) AS all_epochs, \
         count(*) = count(DISTINCT epoch_id) AS once FROM predictions GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(counted.len(), 3);
    assert!(
        counted
            .iter()
            .all(|r| r["all_epochs"] == true && r["once"] == true),
        "{counted:?}"
    );
    // SQL's own metric agrees with the stored one.
    let sql = scratch.sql("SELECT balanced_accuracy(label, predicted) AS score FROM predictions WHERE control IS NULL");
    let stored = summary["scores"]["balanced_accuracy"].as_f64().unwrap();
    assert!((sql[0]["score"].as_f64().unwrap() - stored).abs() < 1e-9);

    scratch.ok(&["report", &run, "-o", "report.html"]);
    let html = std::fs::read_to_string(scratch.path("report.html")).unwrap();
    assert!(html.contains(&run) && html.contains("noise-eeg") && html.contains("bandpower-lr"));
    assert!(
        !html.contains("http://") || !html.contains("<script src"),
        "the page works offline"
    );
}

/// The two-talker corpus: gaps, dropped channels and sounds are accounted for; the leaky
/// protocol is marked, the matcher is the default where sounds are paired.
#[test]
fn two_talkers_walk_with_their_sounds() {
    let scratch = Scratch::new();
    scratch.ok(&[
        "simulate",
        "--dataset",
        "TwoTalker",
        "--out",
        "raw",
        "--subjects",
        "2",
    ]);
    let report = scratch.json(&["ingest", "--dataset", "TwoTalker", "--raw", "raw"]);
    assert!(
        report["stimuli"]
            .as_array()
            .unwrap()
            .iter()
            .all(|s| s["status"] == "ok"),
        "{report:#}"
    );
    let roles = scratch.sql(
        "SELECT s['role'] AS role, count(*) = (SELECT count(*) FROM eeg) AS every_epoch \
         FROM (SELECT unnest(stimuli) AS s FROM eeg) GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        roles,
        [
            json!({ "role": "attended", "every_epoch": true }),
            json!({ "role": "unattended", "every_epoch": true })
        ]
    );
    let dropped = scratch.sql("SELECT d['reason'] AS reason FROM (SELECT unnest(dropped) AS d FROM recordings) GROUP BY 1 ORDER BY 1");
    assert!(
        dropped
            .iter()
            .any(|r| r["reason"].as_str().unwrap().contains("outside")),
        "{dropped:?}"
    );
    let channels = scratch.sql(
        "SELECT c['raw_name'] AS raw_name, c['reason'] AS reason FROM (SELECT unnest(channels) AS c FROM recordings) \
         WHERE c['name'] IS NULL GROUP BY 1, 2",
    );
    assert!(
        !channels.is_empty() && channels.iter().all(|c| c["reason"].is_string()),
        "{channels:?}"
    );

    let split = scratch.json(&[
        "split",
        "--protocol",
        "within-subject",
        "--dataset",
        "TwoTalker",
        "--folds",
        "2",
    ]);
    assert_eq!(split["audit"]["leaky"], true);
    let name = split["split"].as_str().unwrap().to_owned();
    let trained = scratch.json(&["train", "--split", &name, "--epochs", "1", "--folds", "0"]);
    let run = trained["run"].as_str().unwrap().to_owned();
    assert_eq!(run, format!("aadnet-{name}"));
    let text = scratch.ok(&["evaluate", "--run", &run]);
    assert!(
        text.contains("LEAKY") && text.contains("candidate"),
        "{text}"
    );
    // The same question again is the same run; another question under its name is refused.
    scratch.ok(&["train", "--split", &name, "--epochs", "1", "--folds", "0"]);
    let other = scratch.run(&["train", "--split", &name, "--epochs", "2", "--folds", "0"]);
    assert_eq!(other.code, 1, "{other}");
    assert!(other.stderr.contains("was asked something else"), "{other}");
}

/// The same corpus twice, with one thread and with two: the same bytes.
#[test]
fn shards_are_the_same_bytes_for_one_and_two_threads() {
    let scratch = Scratch::new();
    scratch.ok(&[
        "simulate",
        "--dataset",
        "TwoTalker",
        "--out",
        "raw",
        "--subjects",
        "2",
    ]);
    for threads in ["1", "2"] {
        scratch.ok(&[
            "--lake",
            &format!("lake-{threads}"),
            "--threads",
            threads,
            "ingest",
            "--dataset",
            "TwoTalker",
            "--raw",
            "raw",
        ]);
    }
    let (one, two) = (tree(&scratch.path("lake-1")), tree(&scratch.path("lake-2")));
    assert!(one.len() > 4);
    assert_eq!(
        one.keys().collect::<Vec<_>>(),
        two.keys().collect::<Vec<_>>()
    );
    for (path, bytes) in &one {
        assert!(bytes == &two[path], "{path} differs");
    }
}

/// A second ingest does nothing, a changed file is done again, a removed one leaves.
#[test]
fn a_rerun_does_only_what_changed() {
    let scratch = Scratch::new();
    scratch.ok(&[
        "simulate",
        "--dataset",
        "EEGMat",
        "--out",
        "raw",
        "--subjects",
        "2",
    ]);
    scratch.ok(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    let before = tree(&scratch.lake());
    let again = scratch.json(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    assert!(
        again["recordings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["skipped"] == true),
        "{again:#}"
    );
    assert_eq!(before, tree(&scratch.lake()));

    let mut files: Vec<_> = std::fs::read_dir(scratch.path("raw"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "edf"));
    files.sort();
    let mut bytes = std::fs::read(&files[0]).unwrap();
    let last = bytes.len() - 600;
    bytes[last] ^= 1;
    std::fs::write(&files[0], bytes).unwrap();
    std::fs::remove_file(&files[1]).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    let redone: Vec<_> = report["recordings"]
        .as_array()
        .unwrap()
        .iter()
        .filter(|r| r["skipped"] == false)
        .collect();
    assert_eq!(redone.len(), 1, "{report:#}");
    assert_eq!(report["removed"].as_array().unwrap().len(), 1, "{report:#}");
    assert_eq!(
        scratch.sql("SELECT count(DISTINCT recording_id) AS n FROM eeg"),
        [json!({ "n": 3 })]
    );
}

/// The acceptance commands on the real corpus; training is short, because scores are measured
/// elsewhere and not by a test.
#[test]
fn the_real_eegmat_walks() {
    let Some(raw) = real("physionet-eegmat") else {
        return;
    };
    let raw = raw.to_str().unwrap();
    let scratch = Scratch::new();
    let report = scratch.json(&["ingest", "--dataset", "EEGMat", "--raw", raw]);
    assert_eq!(report["recordings"].as_array().unwrap().len(), 20);
    let labels = scratch.sql(
        "SELECT label_name, count(*) AS epochs, count(DISTINCT subject) AS subjects FROM eeg GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(
        labels,
        [
            json!({ "label_name": "arithmetic", "epochs": 310, "subjects": 10 }),
            json!({ "label_name": "rest", "epochs": 907, "subjects": 10 }),
        ]
    );
    let split = scratch.json(&[
        "split",
        "--protocol",
        "cross-subject",
        "--dataset",
        "EEGMat",
    ]);
    assert_eq!(split["audit"]["holds"], true);
    let name = split["split"].as_str().unwrap().to_owned();
    scratch.ok(&[
        "train",
        "--dataset",
        "EEGMat",
        "--split",
        &name,
        "--model",
        "bandpower-lr",
    ]);
    let summary = scratch.json(&["evaluate", "--run", &format!("bandpower-lr-{name}")]);
    assert_eq!(summary["data"]["epochs"], 1217);
}

/// BIDS folders need no manifest.
#[test]
fn any_bids_folder_is_ingested() {
    let scratch = Scratch::new();
    if let Some(root) = real("mne-bids/tiny_bids") {
        let report = scratch.json(&[
            "ingest",
            "--bids",
            root.to_str().unwrap(),
            "--dataset",
            "tiny",
        ]);
        assert_eq!(
            report["recordings"].as_array().unwrap().len(),
            1,
            "{report:#}"
        );
        assert_eq!(report["recordings"][0]["status"], "ok", "{report:#}");
    }
    if let Some(root) = real("eeglab-sample/test_data/BIDS_test") {
        let report = scratch.json(&[
            "ingest",
            "--bids",
            root.to_str().unwrap(),
            "--dataset",
            "eeglab",
        ]);
        assert_eq!(
            report["recordings"].as_array().unwrap().len(),
            1,
            "{report:#}"
        );
        assert_eq!(report["recordings"][0]["status"], "ok", "{report:#}");
    }
}
