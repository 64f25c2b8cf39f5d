//! Bad input: a clear row and exit code 1; what is good is still ingested; nothing partial is
//! visible; the next run completes it.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::Scratch;

/// A miniature EEGMat and the paths of its recordings.
fn corpus(scratch: &Scratch) -> Vec<PathBuf> {
    scratch.ok(&[
        "simulate",
        "--dataset",
        "EEGMat",
        "--out",
        "raw",
        "--subjects",
        "3",
    ]);
    let mut files: Vec<_> = fs::read_dir(scratch.path("raw"))
        .unwrap()
        .map(|e| e.unwrap().path())
        .collect();
    files.retain(|p| p.extension().is_some_and(|e| e == "edf"));
    files.sort();
    assert_eq!(files.len(), 6);
    files
}

fn overwrite(path: &Path, offset: usize, text: &str) {
    let mut bytes = fs::read(path).unwrap();
    bytes[offset..offset + text.len()].copy_from_slice(text.as_bytes());
    fs::write(path, bytes).unwrap();
}

/// (path, status, reason) of every recording.
fn rows(scratch: &Scratch) -> Vec<(String, String, String)> {
    let text =
        |row: &serde_json::Value, key: &str| row[key].as_str().unwrap_or_default().to_owned();
    scratch
        .sql("SELECT path, status, reason FROM recordings ORDER BY path")
        .iter()
        .map(|r| (text(r, "path"), text(r, "status"), text(r, "reason")))
        .collect()
}

#[test]
fn broken_files_are_rows_and_the_rest_is_ingested() {
    let scratch = Scratch::new();
    let files = corpus(&scratch);
    fs::write(&files[0], b"").unwrap();
    fs::write(&files[1], b"\x89PNG\r\n\x1a\n and no EDF at all").unwrap();
    overwrite(&files[2], 236, "-99     ");
    overwrite(&files[3], 252, "9999");
    fs::remove_file(&files[4]).unwrap();
    fs::create_dir(&files[4]).unwrap();
    let ran = scratch.run(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    assert_eq!(ran.code, 1, "{ran}");
    let rows = rows(&scratch);
    let good: Vec<_> = rows.iter().filter(|r| r.1 == "ok").collect();
    assert_eq!(good.len(), 1, "{rows:?}\n{ran}");
    assert!(
        rows.iter()
            .filter(|r| r.1 == "rejected")
            .all(|r| !r.2.is_empty()),
        "{rows:?}"
    );
    assert_eq!(
        rows.iter().filter(|r| r.1 == "rejected").count(),
        4,
        "{rows:?}\n{ran}"
    );
    assert!(ran.stdout.contains("rejected"), "{ran}");

    // The files come back whole: the next run completes the corpus.
    fs::remove_dir(&files[4]).unwrap();
    let fresh = Scratch::new();
    let whole = corpus(&fresh);
    for (broken, whole) in files.iter().zip(&whole) {
        fs::copy(whole, broken).unwrap();
    }
    let report = scratch.json(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    assert!(
        report["recordings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["status"] == "ok"),
        "{report:#}"
    );
}

#[test]
fn a_truncated_file_says_how_much_is_missing() {
    let scratch = Scratch::new();
    let files = corpus(&scratch);
    let bytes = fs::read(&files[0]).unwrap();
    fs::write(&files[0], &bytes[..bytes.len() / 2]).unwrap();
    let ran = scratch.run(&["inspect", files[0].to_str().unwrap()]);
    assert!(ran.stdout.contains("truncated"), "{ran}");
    scratch.run(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    let rows = rows(&scratch);
    let row = rows
        .iter()
        .find(|r| files[0].ends_with(&r.0))
        .expect("a row for the truncated file");
    assert!(
        row.2.contains("truncated") || row.2.contains("record"),
        "{row:?}"
    );
}

#[test]
fn a_full_disk_leaves_nothing_partial_and_the_next_run_completes() {
    let scratch = Scratch::new();
    corpus(&scratch);
    // A limit on the size of any file stands in for a full disk; its signal is ignored, so that
    // writes fail with an error as they would there.
    let script = "trap '' XFSZ; ulimit -f 60; exec \"$0\" \"$@\"";
    let output = std::process::Command::new("bash")
        .args([
            "-c",
            script,
            env!("CARGO_BIN_EXE_mmpipe"),
            "ingest",
            "--dataset",
            "EEGMat",
            "--raw",
            "raw",
        ])
        .current_dir(scratch.path("."))
        .env("MMPIPE_LAKE", scratch.lake())
        .output()
        .unwrap();
    let stderr = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(1), "{stderr}");
    assert!(
        stderr.contains("cannot write") || stderr.contains("File too large"),
        "{stderr}"
    );
    assert_eq!(shards(&scratch.lake()), 0, "{stderr}");
    let report = scratch.json(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    assert!(
        report["recordings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["status"] == "ok"),
        "{report:#}"
    );
    assert_eq!(shards(&scratch.lake()), 6);
}

#[test]
fn a_kill_at_any_moment_leaves_nothing_partial() {
    let scratch = Scratch::new();
    scratch.ok(&[
        "simulate",
        "--dataset",
        "EEGMat",
        "--out",
        "raw",
        "--subjects",
        "6",
    ]);
    for milliseconds in [40, 120, 250, 400] {
        let mut child = scratch
            .command(&[
                "--threads",
                "1",
                "ingest",
                "--dataset",
                "EEGMat",
                "--raw",
                "raw",
            ])
            .stdout(std::process::Stdio::null())
            .stderr(std::process::Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(std::time::Duration::from_millis(milliseconds));
        child.kill().unwrap();
        child.wait().unwrap();
        // Whatever is visible is whole: every shard can be read to its last sample.
        if scratch.lake().join("mmpipe-lake.json").is_file() {
            scratch.sql("SELECT sum(array_length(eeg)) AS n FROM eeg");
        }
    }
    let report = scratch.json(&["ingest", "--dataset", "EEGMat", "--raw", "raw"]);
    assert!(
        report["recordings"]
            .as_array()
            .unwrap()
            .iter()
            .all(|r| r["status"] == "ok"),
        "{report:#}"
    );
    let left = hidden(&scratch.lake());
    assert!(left.is_empty(), "temporary files stay: {left:?}");
}

#[test]
fn a_damaged_transfer_is_rejected() {
    let Some(raw) = crate::support::real("physionet-eegmmidb-S001/as-committed-crlf") else {
        return;
    };
    let scratch = Scratch::new();
    let ran = scratch.run(&[
        "ingest",
        "--dataset",
        "EEGMMIDB",
        "--raw",
        raw.to_str().unwrap(),
    ]);
    assert_eq!(ran.code, 1, "{ran}");
    let rows = rows(&scratch);
    assert_eq!(rows.len(), 2, "{rows:?}");
    assert!(
        rows.iter().all(|r| r.1 == "rejected" && !r.2.is_empty()),
        "{rows:?}"
    );
}

fn files(root: &Path) -> Vec<PathBuf> {
    let mut all = Vec::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path)
            } else {
                all.push(path)
            }
        }
    }
    all
}

fn shards(lake: &Path) -> usize {
    files(&lake.join("eeg"))
        .iter()
        .filter(|p| p.extension().is_some_and(|e| e == "parquet"))
        .count()
}

fn hidden(lake: &Path) -> Vec<PathBuf> {
    let mut all = files(lake);
    all.retain(|p| {
        p.file_name()
            .is_some_and(|n| n.to_string_lossy().starts_with('.'))
    });
    all
}
