//! CHB-MIT against what is here of the real one: the list of its files, the summary of chb01, and
//! the sidecars of its conversion to BIDS.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::common::{cell, column, edf, look_up, put, real};
use mmpipe_corpora::manifest::FileKind;
use mmpipe_corpora::{Filter, Manifest, Scan, registry, scan};

#[rustfmt::skip]
const BASE: [(&str, &str); 23] = [
    ("FP1-F7", "uV"), ("F7-T7", "uV"), ("T7-P7", "uV"), ("P7-O1", "uV"), ("FP1-F3", "uV"),
    ("F3-C3", "uV"), ("C3-P3", "uV"), ("P3-O1", "uV"), ("FP2-F4", "uV"), ("F4-C4", "uV"),
    ("C4-P4", "uV"), ("P4-O2", "uV"), ("FP2-F8", "uV"), ("F8-T8", "uV"), ("T8-P8", "uV"),
    ("P8-O2", "uV"), ("FZ-CZ", "uV"), ("CZ-PZ", "uV"), ("P7-T7", "uV"), ("T7-FT9", "uV"),
    ("FT9-FT10", "uV"), ("FT10-T8", "uV"), ("T8-P8", "uV"),
];

fn manifest() -> Manifest {
    let all = registry::builtin().unwrap();
    registry::find(&all, "CMBMIT").unwrap().clone()
}

fn scanned(root: &Path) -> Scan {
    scan(&manifest(), root, &Filter::default()).unwrap()
}

#[test]
fn every_file_of_the_release_has_a_rule() {
    let Some(path) = real("chbmit-segments/SHA256SUMS.txt") else {
        return;
    };
    let text = std::fs::read_to_string(path).unwrap();
    let manifest = manifest();
    let mut kinds: BTreeMap<String, usize> = BTreeMap::new();
    let (mut subjects, mut places) = (BTreeSet::new(), BTreeSet::new());
    for name in text.lines().filter_map(|l| l.split_whitespace().nth(1)) {
        let rule = manifest.files.iter().find(|r| r.pattern.is_match(name));
        let rule = rule.unwrap_or_else(|| panic!("no rule for {name}"));
        let end = name.rsplit('.').next().unwrap_or_default();
        *kinds
            .entry(format!("{:?} {}", rule.kind, &end[..end.len().min(8)]))
            .or_default() += 1;
        if rule.kind == FileKind::Signal {
            let mut groups = rule.pattern.groups(name).unwrap();
            groups.extend(rule.set.clone());
            let of = |key: &str| groups.get(key).cloned();
            subjects.insert(of("subject").unwrap());
            let new = places.insert((of("subject"), of("session"), of("run")));
            assert!(new, "{name} is in the place of another file");
        }
    }
    let count = |kind: &str| kinds.get(kind).copied().unwrap_or(0);
    assert_eq!(count("Signal edf"), 686, "{kinds:?}");
    assert_eq!(count("SideCar seizures"), 141, "{kinds:?}");
    assert_eq!(count("SideCar txt"), 24, "{kinds:?}");
    assert_eq!(Some(subjects.len() as u32), manifest.expected.subjects);
    assert_eq!(Some(places.len() as u32), manifest.expected.recordings);
}

/// The files of chb01 with the real summary and one second of nothing each.
fn chb01(root: &Path) -> Option<()> {
    let summary = real("chbmit-segments/chb01/chb01-summary.txt")?;
    let text = std::fs::read_to_string(summary).unwrap();
    for file in text.lines().filter_map(|l| l.strip_prefix("File Name: ")) {
        edf::write(&root.join("chb01").join(file.trim()), &BASE, 4, 1, &[]);
    }
    put(root, "chb01/chb01-summary.txt", &text);
    Some(())
}

#[test]
fn seizures_of_chb01_are_those_of_its_conversion_to_bids() {
    let dir = tempfile::tempdir().unwrap();
    let (Some(()), Some(bids)) = (
        chb01(dir.path()),
        real("bids-sidecars/nm000110/sub-chb01/eeg"),
    ) else {
        return;
    };
    let found = scanned(dir.path());
    assert_eq!(column(&found, "files", "status").len(), 43);
    let table = found.table("seizures").unwrap();
    let told: BTreeSet<(String, u64, u64)> = (0..table.num_rows())
        .filter(|&row| cell(table, "seizure", row) != "-")
        .map(|row| {
            let number = |name: &str| cell(table, name, row).parse().unwrap();
            let file = cell(table, "file", row);
            (file, number("seizure_start"), number("seizure_end"))
        })
        .collect();
    let mut converted = BTreeSet::new();
    for entry in std::fs::read_dir(&bids).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let Some(rest) = name.strip_suffix("_events.tsv") else {
            continue;
        };
        let run: u32 = rest.rsplit('-').next().unwrap().parse().unwrap();
        for line in std::fs::read_to_string(&path).unwrap().lines().skip(1) {
            let cells: Vec<f64> = line
                .split('\t')
                .take(2)
                .map(|c| c.parse().unwrap())
                .collect();
            let (start, stop) = (cells[0] as u64, (cells[0] + cells[1]) as u64);
            converted.insert((format!("chb01_{run:02}.edf"), start, stop));
        }
    }
    assert_eq!(told, converted);
    assert_eq!(told.len(), 7);
}

#[test]
fn channels_of_chb01_are_those_of_its_conversion_to_bids() {
    let dir = tempfile::tempdir().unwrap();
    let name = "bids-sidecars/nm000110/sub-chb01/eeg/sub-chb01_task-rest_run-3_channels.tsv";
    let (Some(()), Some(tsv)) = (chb01(dir.path()), real(name)) else {
        return;
    };
    let found = scanned(dir.path());
    let table = found.table("channels").unwrap();
    let kept: Vec<String> = (0..table.num_rows())
        .filter(|&row| cell(table, "path", row) == "chb01/chb01_03.edf")
        .map(|row| cell(table, "name", row))
        .collect();
    let text = std::fs::read_to_string(tsv).unwrap();
    let converted: Vec<&str> = text
        .lines()
        .skip(1)
        .filter_map(|l| l.split('\t').next())
        .map(|n| match n {
            // The first of two equal ones is kept, and of two opposite ones the first.
            "T8-P8-0" => "T8-P8",
            "T8-P8-1" | "P7-T7" => "-",
            other => other,
        })
        .collect();
    assert_eq!(kept, converted);
}

#[test]
fn in_real_samples_t8_p8_is_twice_the_same_and_p7_t7_the_negative_of_t7_p7() {
    for name in ["03", "04", "15", "16"] {
        let below = format!("chbmit-segments/chb01/ictal_full/chb01_{name}_ictal.npy");
        let Some(path) = real(&below) else { return };
        // Version 1 of the format: 23 channels of f64 after a header of 128 bytes.
        let bytes = std::fs::read(path).unwrap();
        let values: Vec<f64> = bytes[128..]
            .chunks_exact(8)
            .map(|b| f64::from_le_bytes(b.try_into().unwrap()))
            .collect();
        let n = values.len() / 23;
        let channel = |k: usize| &values[k * n..(k + 1) * n];
        assert!(channel(14).iter().any(|v| v.abs() > 50.0));
        assert_eq!(channel(14), channel(22), "T8-P8 of chb01_{name}");
        // The digital range has one step more below zero than above it.
        let step = 1600.0 / 4095.0;
        let sums = channel(2).iter().zip(channel(18)).map(|(a, b)| a + b);
        for sum in sums {
            assert!((sum - step).abs() < 1e-6, "P7-T7 of chb01_{name}: {sum}");
        }
    }
}

#[test]
fn a_dot_without_a_usable_range_does_not_spoil_its_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chb18/chb18_29.edf");
    edf::write(&path, &[("FP1-F7", "uV"), (".", "")], 8, 2, &[]);
    let mut bytes = std::fs::read(&path).unwrap();
    // The digital maximum of the second signal becomes its minimum.
    let at = 256 + 2 * (16 + 80 + 8 + 8 + 8 + 8) + 8;
    assert_eq!(&bytes[at..at + 8], b"32767   ");
    bytes[at..at + 8].copy_from_slice(b"-32768  ");
    std::fs::write(&path, bytes).unwrap();
    let found = scanned(dir.path());
    let status = look_up(&found, "files", ("path", "chb18/chb18_29.edf"), "status");
    assert_eq!(status, "ok");
    assert_eq!(column(&found, "channels", "keep"), ["true", "false"]);
}
