//! Every data set that has a manifest can be simulated, and what is simulated can be ingested.

use mmpipe_simulate::simulations;

use crate::support::Scratch;

/// Data sets whose layout nobody has published: there is nothing to simulate.
const UNKNOWN: [&str; 2] = ["HR-EEG4EMO", "zenodo_10260082"];

#[test]
fn every_data_set_can_be_simulated_and_its_miniature_ingested() {
    let scratch = Scratch::new();
    let listed = scratch.json(&["datasets"]);
    let names: Vec<&str> = listed
        .as_array()
        .unwrap()
        .iter()
        .map(|d| d["name"].as_str().unwrap())
        .collect();
    for name in names.iter().filter(|n| !UNKNOWN.contains(n)) {
        assert!(
            simulations().iter().any(|s| s.name == *name),
            "{name} has no simulation"
        );
    }
    for simulation in simulations() {
        let name = simulation.name;
        assert!(names.contains(&name), "{name} has no manifest");
        let raw = format!("raw-{name}");
        scratch.ok(&["simulate", "--dataset", name, "--out", &raw]);
        // Exit code 1: a miniature may hold a file that has to be rejected.
        let args = [
            "ingest",
            "--dataset",
            name,
            "--raw",
            &raw,
            "--dry-run",
            "--json",
        ];
        let ran = scratch.run(&args);
        assert!(matches!(ran.code, 0 | 1), "{ran}");
        let report: serde_json::Value = serde_json::from_str(&ran.stdout).unwrap();
        let recordings = report["recordings"].as_array().unwrap();
        let rejected = recordings.iter().filter(|r| r["status"] == "rejected");
        assert!(
            rejected.count() * 3 < recordings.len(),
            "{name}: {report:#}"
        );
        std::fs::remove_dir_all(scratch.path(&raw)).unwrap();
    }
    assert!(!scratch.lake().join("eeg").exists());
}

#[test]
fn the_help_lists_every_simulation_and_an_alias_will_do() {
    let scratch = Scratch::new();
    let help = scratch.ok(&["simulate", "--help"]);
    for simulation in simulations() {
        let line = help.lines().find(|l| {
            l.split_whitespace().next() == Some(simulation.name) && l.ends_with(simulation.about)
        });
        assert!(line.is_some(), "{} is not in\n{help}", simulation.name);
    }
    let said = scratch.ok(&["simulate", "--dataset", "physionet_eegmat", "--out", "raw"]);
    assert!(said.contains("EEGMat"), "{said}");
}
