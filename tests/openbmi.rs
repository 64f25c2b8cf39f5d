//! OpenBMI's three experiments, from MATLAB files to epochs.

use mmpipe_simulate::{OpenBmi, Paradigm, PlantedSessions, openbmi};
use serde_json::{Value, json};

use crate::planted::{every_second_is_accounted_for, samples_agree, trials_agree};
use crate::support::Scratch;

fn ingested(dataset: &str, paradigm: Paradigm, cfg: OpenBmi) -> (Scratch, PlantedSessions, Value) {
    let scratch = Scratch::new();
    let cfg = OpenBmi {
        paradigms: vec![paradigm],
        ..cfg
    };
    let planted = openbmi(&cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", dataset, "--raw", "raw"]);
    (scratch, planted, report)
}

/// Labels and epochs, trials and samples as planted; every part of a file a run of its own.
fn agrees(dataset: &str, paradigm: Paradigm, cfg: OpenBmi, seconds: f64, labels: &[Value]) {
    let sessions = cfg.sessions;
    let (scratch, planted, report) = ingested(dataset, paradigm, cfg);
    let recordings = report["recordings"].as_array().unwrap();
    assert_eq!(recordings.len(), 2 * sessions, "{report:#}");
    assert!(recordings.iter().all(|r| r["status"] == "ok"), "{report:#}");
    let found = scratch.sql(
        "SELECT DISTINCT subject, session, run, container, sfreq, n_channels, seconds FROM recordings ORDER BY 2, 3",
    );
    let mut want = Vec::new();
    for session in 1..=sessions {
        for run in ["test", "train"] {
            want.push(json!({
                "subject": "01", "session": format!("{session:02}"), "run": run,
                "container": "MATLAB v5", "sfreq": 1000.0, "n_channels": 62, "seconds": seconds,
            }));
        }
    }
    assert_eq!(found, want);
    let found = scratch.sql(
        "SELECT label, label_name, task, count(*) AS epochs FROM eeg WHERE label IS NOT NULL GROUP BY 1, 2, 3 ORDER BY 1",
    );
    assert_eq!(found, labels);
    let names = scratch.sql("SELECT DISTINCT ch_names FROM eeg");
    assert_eq!(names, [json!({ "ch_names": planted.recordings[0].labels })]);
    every_second_is_accounted_for(&scratch);
    let kept: Vec<usize> = (0..62).collect();
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
        samples_agree(&scratch, recording, &kept, 2);
    }
}

fn label(label: usize, name: &str, task: &str, epochs: usize) -> Value {
    json!({ "label": label, "label_name": name, "task": task, "epochs": epochs })
}

#[test]
fn openbmi_motor_imagery_in_miniature() {
    let cfg = OpenBmi {
        sessions: 2,
        ..OpenBmi::default()
    };
    // 2 s, two trials 6 s apart, a second: 15 s.
    let labels = [
        label(0, "right_hand", "motor imagery", 8),
        label(1, "left_hand", "motor imagery", 8),
    ];
    agrees("OpenBMI", Paradigm::Mi, cfg, 15.0, &labels);
}

#[test]
fn openbmi_speller_in_miniature() {
    let labels = [
        label(0, "target", "speller", 2),
        label(1, "nontarget", "speller", 10),
    ];
    // 2 s, six flashes 0.215 s apart, 3 s, the 1.785 s left of the last trial, a second.
    agrees(
        "OpenBMI-ERP",
        Paradigm::Erp,
        OpenBmi::default(),
        9.075,
        &labels,
    );
}

#[test]
fn openbmi_flickering_lights_in_miniature() {
    let task = "flickering lights";
    let labels = [
        label(0, "up", task, 4),
        label(1, "left", task, 4),
        label(2, "right", task, 4),
        label(3, "down", task, 4),
    ];
    agrees(
        "OpenBMI-SSVEP",
        Paradigm::Ssvep,
        OpenBmi::default(),
        27.0,
        &labels,
    );
}

#[test]
fn each_experiment_takes_its_own_files_of_a_session() {
    let scratch = Scratch::new();
    let cfg = OpenBmi {
        paradigms: vec![Paradigm::Mi, Paradigm::Ssvep],
        ..OpenBmi::default()
    };
    openbmi(&cfg, &scratch.path("raw")).unwrap();
    let report = scratch.json(&["ingest", "--dataset", "OpenBMI", "--raw", "raw"]);
    assert_eq!(
        report["recordings"].as_array().unwrap().len(),
        2,
        "{report:#}"
    );
    assert!(
        report.to_string().contains("OpenBMI-SSVEP read"),
        "{report:#}"
    );
}

#[test]
fn cues_count_samples_from_one() {
    let (scratch, planted, _) = ingested("OpenBMI", Paradigm::Mi, OpenBmi::default());
    let start = planted.recordings[0].trials[0].start;
    assert_eq!(start, 2000);
    let first = scratch
        .sql("SELECT min(onset) AS onset FROM eeg WHERE run = 'train' AND label IS NOT NULL");
    assert_eq!(first, [json!({ "onset": 2.0 })]);
}

#[test]
fn classes_go_by_the_names_in_the_file() {
    // The codes of these files run the other way round; the names still tell.
    let cfg = OpenBmi {
        codes_backwards: true,
        ..OpenBmi::default()
    };
    let (scratch, planted, _) = ingested("OpenBMI-SSVEP", Paradigm::Ssvep, cfg);
    for recording in &planted.recordings {
        trials_agree(&scratch, recording);
    }
}
