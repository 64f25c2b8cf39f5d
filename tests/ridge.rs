//! The ridge envelope decoder on the lake: planted attention is found, and not where the streams
//! of the same raw files are shuffled.

use crate::support::Scratch;
use serde_json::Value;

/// Splits by trial, trains and scores; gives the summary and the run.
fn decode(scratch: &Scratch, lake: &str) -> (Value, String) {
    let split = scratch.json(&[
        "--lake",
        lake,
        "split",
        "--protocol",
        "between-trial",
        "--dataset",
        "TwoTalker",
        "--folds",
        "4",
    ]);
    assert_eq!(split["audit"]["holds"], true, "{split:#}");
    let name = split["split"].as_str().unwrap().to_owned();
    let trained = scratch.json(&[
        "--lake", lake, "train", "--split", &name, "--model", "ridge",
    ]);
    let run = trained["run"].as_str().unwrap().to_owned();
    assert_eq!(run, format!("ridge-{name}"));
    (
        scratch.json(&["--lake", lake, "evaluate", "--run", &run]),
        run,
    )
}

fn score(of: &Value) -> f64 {
    of["balanced_accuracy"].as_f64().unwrap()
}

/// Exchanges the two streams in half of the trials of every listener, in the raw folder.
fn shuffle_streams(raw: &std::path::Path) -> usize {
    let mut exchanged = 0;
    for entry in std::fs::read_dir(raw).unwrap() {
        let folder = entry.unwrap().path().join("eeg");
        for file in std::fs::read_dir(folder).into_iter().flatten() {
            let path = file.unwrap().path();
            if !path.to_string_lossy().ends_with("_events.tsv") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let mut lines = text.lines();
            let header: Vec<&str> = lines.next().unwrap().split('\t').collect();
            let column = |name: &str| header.iter().position(|h| *h == name).unwrap();
            let mut out = vec![header.join("\t")];
            for (t, line) in lines.enumerate() {
                let mut cells: Vec<&str> = line.split('\t').collect();
                // The sequence of Thue and Morse: as many of each, without a period.
                if t.count_ones() % 2 == 1 {
                    cells.swap(column("attended"), column("unattended"));
                    cells.swap(column("attended_onset"), column("unattended_onset"));
                    exchanged += 1;
                }
                out.push(cells.join("\t"));
            }
            std::fs::write(&path, out.join("\n") + "\n").unwrap();
        }
    }
    exchanged
}

#[test]
fn the_attended_talker_is_found_and_shuffled_streams_are_at_chance() {
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
    let ingest = |lake: &str| {
        scratch.ok(&[
            "--lake",
            lake,
            "ingest",
            "--dataset",
            "TwoTalker",
            "--raw",
            "raw",
        ]);
    };
    ingest("lake");
    let (summary, run) = decode(&scratch, "lake");
    // 32 trials, of whose 384 windows of 2 s those of a trial hang together; at worst they are 32
    // throws of a coin, so chance reaches 0.5 ± 0.27 with three standard errors.
    assert_eq!(summary["data"]["trials"], 32);
    assert_eq!(summary["data"]["epochs"], 384);
    assert!(score(&summary["scores"]) > 0.77, "{:#}", summary["scores"]);
    assert!(summary["scores"]["interval"]["low"].as_f64().unwrap() > 0.6);
    assert!(summary["scores"]["permutation"]["p"].as_f64().unwrap() < 0.01);
    let controls = summary["controls"].as_array().unwrap();
    assert_eq!(controls.len(), 2);
    for control in controls {
        assert!((0.23..0.77).contains(&score(control)), "{control:#}");
    }
    assert_eq!(summary["baselines"], serde_json::json!([]));
    // Rows like any model's: every epoch once, by the model and by each control.
    let counted = scratch.sql(
        "SELECT coalesce(control, 'model') AS control, count(*) AS n, count(DISTINCT epoch_id) AS once, \
         min(scoring) AS scoring FROM predictions GROUP BY 1 ORDER BY 1",
    );
    assert_eq!(counted.len(), 3);
    for row in &counted {
        assert_eq!(row["n"], 384, "{row}");
        assert_eq!(row["once"], 384, "{row}");
        assert_eq!(row["scoring"], "candidate", "{row}");
    }
    scratch.ok(&["report", &run, "-o", "report.html"]);
    let html = std::fs::read_to_string(scratch.path("report.html")).unwrap();
    assert!(html.contains("ridge") && html.contains("label-permuted"));

    assert_eq!(shuffle_streams(&scratch.path("raw")), 16);
    ingest("shuffled");
    let (summary, _) = decode(&scratch, "shuffled");
    assert_eq!(summary["data"]["trials"], 32);
    let shuffled = score(&summary["scores"]);
    assert!((0.23..0.77).contains(&shuffled), "{shuffled}");
}
