//! The electrode dictionary over every label of the real files, and over any text.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::common::real;
use mmpipe_corpora::electrodes::{Electrode, KINDS, canonical, canonical_all, names};
use proptest::prelude::*;

/// Labels of each recording that MNE read, in file order.
fn recordings(root: &Path) -> Vec<(String, Vec<String>)> {
    let text = std::fs::read_to_string(root.join("reference_values.json")).unwrap();
    let json: serde_json::Value = serde_json::from_str(&text).unwrap();
    let files = json["files"].as_object().unwrap();
    files
        .iter()
        .filter_map(|(path, v)| {
            let names = v["ch_names"].as_array()?;
            let names = names.iter().map(|n| n.as_str().unwrap().to_owned());
            Some((path.clone(), names.collect()))
        })
        .collect()
}

/// (name, type) of each channels.tsv below a folder.
fn channel_tables(root: &Path) -> Vec<(String, Vec<(String, String)>)> {
    let mut found = Vec::new();
    for entry in walkdir::WalkDir::new(root).sort_by_file_name() {
        let path = entry.unwrap().into_path();
        if !path.to_string_lossy().ends_with("_channels.tsv") {
            continue;
        }
        let text = std::fs::read_to_string(&path).unwrap();
        let text = text.trim_start_matches('\u{feff}');
        let mut lines = text.lines().map(|l| l.split('\t').collect::<Vec<_>>());
        let header = lines.next().unwrap();
        let at = |name: &str| header.iter().position(|h| *h == name).unwrap();
        let (name, kind) = (at("name"), at("type"));
        let rows = lines
            .map(|l| (l[name].to_owned(), l[kind].to_owned()))
            .collect();
        found.push((path.display().to_string(), rows));
    }
    found
}

fn outcome(e: &Electrode) -> String {
    match e {
        Electrode::Name(name) => (*name).to_owned(),
        Electrode::NotEeg { kind, reason } => format!("[{kind}] {reason}"),
        Electrode::Unknown { reason } => format!("[no place] {reason}"),
    }
}

#[test]
fn every_real_label_has_a_name_or_a_reason() {
    let Some(root) = real("") else { return };
    let mut seen: BTreeSet<String> = BTreeSet::new();
    let mut all: Vec<Vec<String>> = recordings(&root).into_iter().map(|(_, l)| l).collect();
    assert!(all.len() > 60);
    for (_, rows) in channel_tables(&root) {
        all.push(rows.into_iter().map(|(n, _)| n).collect());
    }
    for labels in all {
        for (label, said) in labels.iter().zip(canonical_all(&labels)) {
            match &said {
                Electrode::Name(name) => assert!(names().any(|n| n == *name)),
                Electrode::NotEeg { kind, reason } => {
                    assert!(KINDS.contains(kind) && !reason.is_empty(), "{label}");
                }
                Electrode::Unknown { reason } => assert!(!reason.is_empty(), "{label}"),
            }
            seen.insert(format!("{label} -> {}", outcome(&said)));
        }
    }
    insta::assert_snapshot!(seen.into_iter().collect::<Vec<_>>().join("\n"));
}

#[test]
fn the_dictionary_agrees_with_every_channels_tsv() {
    let Some(root) = real("bids-sidecars") else {
        return;
    };
    let mut tables = channel_tables(&root);
    tables.extend(channel_tables(&root.with_file_name("mne-bids")));
    tables.extend(channel_tables(&root.with_file_name("alice-nm000180")));
    assert!(tables.len() > 100);
    for (path, rows) in tables {
        let labels: Vec<&str> = rows.iter().map(|(n, _)| n.as_str()).collect();
        for ((label, kind), said) in rows.iter().zip(canonical_all(&labels)) {
            let is_eeg = kind == "EEG";
            let says_eeg = !matches!(said, Electrode::NotEeg { .. });
            assert_eq!(
                is_eeg,
                says_eeg,
                "{path}: {label} is {kind}, found {}",
                outcome(&said)
            );
        }
    }
}

#[test]
fn mne_reads_the_same_channels_as_eeg() {
    let Some(root) = real("physionet-eegmmidb-S001") else {
        return;
    };
    let files: BTreeMap<_, _> = recordings(root.parent().unwrap()).into_iter().collect();
    let labels = &files["physionet-eegmmidb-S001/restored/S001R04.edf"];
    let found: BTreeSet<_> = canonical_all(labels)
        .iter()
        .filter_map(Electrode::name)
        .collect();
    assert_eq!(
        found.len(),
        64,
        "all 64 electrodes have places of their own"
    );
}

proptest! {
    #[test]
    fn any_text_is_judged(label in ".{0,24}") {
        let said = canonical(&label);
        if let Some(name) = said.name() {
            prop_assert_eq!(canonical(name).name(), Some(name), "a canonical name is its own");
        }
        prop_assert_eq!(canonical_all(&[label.as_str()]).len(), 1);
    }

    #[test]
    fn near_labels_are_judged(label in "(?i)(eeg|eog|ch)?[ -]{0,2}[a-z]{1,3}[0-9zh]{0,3}(-(ref|le|a1|[a-z]{1,2}[0-9]))?[. ]{0,2}") {
        let said = canonical(&label);
        if let Electrode::Name(name) = said {
            prop_assert!(names().any(|n| n == name));
        }
    }

    #[test]
    fn spelling_of_a_name_does_not_matter(index in 0usize..343, upper in any::<bool>(), prefix in any::<bool>()) {
        let name = names().nth(index).unwrap();
        let mut raw = if upper { name.to_uppercase() } else { name.to_lowercase() };
        if prefix {
            raw = format!("EEG {raw}-REF");
        }
        prop_assert_eq!(canonical(&raw).name(), canonical(name).name());
        prop_assert!(canonical(name).name().is_some());
    }
}
