//! edf-rs reads every EDF and BDF file that it can open; where it does, its digital samples
//! and annotations are ours. What it refuses is listed, so that a new version is noticed.

mod common;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use edf_rs::file::EDFFile;
use edf_rs::record::Samples;
use mmpipe_formats::open;

/// (file, what edf-rs 0.2.0 says)
const REFUSED: &[(&str, &str)] = &[
    ("edf-jl/bdf_test.bdf", "InvalidUserIdSegmentCount"),
    ("edf-jl/bdf_test.edf", "InvalidUserIdSegmentCount"),
    ("edf-jl/test_merged.edf", "InvalidUserIdSegmentCount"),
    ("edf-jl/test_uneven_samp.edf", "InvalidStartDate"),
    ("edfio/short_psg.bdf", "FieldSizeExceeded"),
    ("eeglab-sample/test_data/test.bdf", "no record count"),
    (
        "mne-python-io-tests/edf/tests/data/test.bdf",
        "no record count",
    ),
    (
        "mne-python-io-tests/edf/tests/data/test_bdf_stim_channel.bdf",
        "FieldSizeExceeded",
    ),
    ("naplib/tests/io/tiny_test.edf", "FieldSizeExceeded"),
];

fn files(folder: &Path, out: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        if path.is_dir() {
            files(&path, out);
        } else if path.extension().is_some_and(|e| e == "edf" || e == "bdf") {
            out.push(path);
        }
    }
}

#[test]
fn edf_rs_reads_the_same_samples_and_annotations() {
    let Some(real) = common::real() else { return };
    let mut paths = Vec::new();
    files(&real, &mut paths);
    paths.sort();
    let mut refused = BTreeMap::new();
    let mut compared = 0;
    for path in paths {
        // Of a corpus of twenty alike files two are enough here.
        let name = path
            .strip_prefix(&real)
            .unwrap()
            .to_string_lossy()
            .replace('\\', "/");
        let alike = name.contains("eegmat/Subject") && !name.contains("Subject0");
        if alike || name.contains("as-committed-crlf") {
            continue;
        }
        match compare(&path) {
            Ok(()) => compared += 1,
            Err(reason) => {
                refused.insert(name, reason);
            }
        }
    }
    let found: Vec<_> = refused
        .iter()
        .map(|(n, r)| (n.as_str(), r.as_str()))
        .collect();
    assert_eq!(found, REFUSED);
    assert!(compared >= 20, "{compared}");
}

/// `Err` with what edf-rs says; panics where the two readers differ.
fn compare(path: &Path) -> Result<(), String> {
    let theirs = std::panic::catch_unwind(|| read(path));
    let (samples, annotations) = theirs.map_err(|_| "panics".to_owned())??;
    let ours = open(path).unwrap();
    let header = ours.header();
    let name = path.display();
    assert_eq!(samples.len(), header.channels.len(), "{name}");
    for (i, theirs) in samples.iter().enumerate() {
        let c = &header.channels[i];
        assert_eq!(theirs.len() as u64, c.n_samples, "{name} {}", c.name);
        let mut out = vec![0f64; theirs.len()];
        ours.read_f64(&[i], 0, &mut [&mut out]).unwrap();
        let (p0, p1, d0, d1) = (c.physical_min, c.physical_max, c.digital_min, c.digital_max);
        let (p0, p1, d0, d1) = (p0.unwrap(), p1.unwrap(), d0.unwrap(), d1.unwrap());
        let gain = (p1 - p0) / (d1 - d0);
        let tolerance = 1e-9 * p0.abs().max(p1.abs());
        for (x, d) in out.iter().zip(theirs) {
            let want = p0 + (f64::from(*d) - d0) * gain;
            assert!(
                (x - want).abs() <= tolerance,
                "{name} {}: {x} {want}",
                c.name
            );
        }
    }
    let ours: Vec<_> = header.annotations.iter().map(|a| a.text.clone()).collect();
    let mut a = ours.clone();
    let mut b = annotations;
    a.sort();
    b.sort();
    assert_eq!(a, b, "{name}");
    Ok(())
}

type Read = (Vec<Vec<i32>>, Vec<String>);

fn read(path: &Path) -> Result<Read, String> {
    let mut file = EDFFile::open(path).map_err(|e| format!("{e:?}"))?;
    let ordinary = file
        .header
        .get_signals()
        .iter()
        .filter(|s| !s.is_annotation())
        .count();
    let records = file.header.get_record_count().ok_or("no record count")?;
    let mut samples = vec![Vec::new(); ordinary];
    let mut annotations = Vec::new();
    for _ in 0..records {
        let record = file
            .read_record()
            .map_err(|e| format!("{e:?}"))?
            .ok_or("no record")?;
        for (all, part) in samples.iter_mut().zip(&record.raw_signal_samples) {
            match part {
                Samples::Values16Bit(v) => all.extend(v.iter().map(|x| i32::from(*x))),
                Samples::Values24Bit(v) => all.extend(v),
            }
        }
        let lists = record.annotations.iter().flatten();
        annotations.extend(
            lists
                .flat_map(|l| l.annotations.clone())
                .filter(|t| !t.is_empty()),
        );
    }
    Ok((samples, annotations))
}
