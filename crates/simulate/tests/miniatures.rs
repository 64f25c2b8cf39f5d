//! The miniatures, read back by edf-rs and by a mapped loop.

use edf_rs::file::EDFFile;
use edf_rs::record::Samples;
use mmpipe_simulate::{EegMat, EegMmidb, PlantedRecording, bench_recording, eegmat, eegmmidb};
use std::path::Path;

/// Holds every sample, label, unit, range and annotation of a file against what was planted.
fn agrees(root: &Path, planted: &PlantedRecording) {
    let mut file = EDFFile::open(root.join(&planted.path)).unwrap();
    let signals = file.header.get_signals().clone();
    assert_eq!(signals.len(), planted.channels.len() + 1);
    assert!(signals.last().unwrap().is_annotation());
    let mut samples = vec![Vec::new(); planted.channels.len()];
    let mut notes = Vec::new();
    for _ in 0..file.header.get_record_count().unwrap() {
        let record = file.read_record().unwrap().unwrap();
        for (all, part) in samples.iter_mut().zip(&record.raw_signal_samples) {
            let Samples::Values16Bit(part) = part else {
                panic!("24 bit")
            };
            all.extend_from_slice(part);
        }
        for tal in record
            .annotations
            .into_iter()
            .flatten()
            .filter(|t| !t.is_time_keeping())
        {
            notes.push((tal.onset, tal.duration, tal.annotations[0].clone()));
        }
    }
    assert_eq!(notes, planted.annotations);
    for ((channel, header), found) in planted.channels.iter().zip(&signals).zip(&samples) {
        assert_eq!(header.label.trim(), channel.label);
        assert_eq!(header.physical_dimension.trim(), channel.unit);
        assert_eq!(
            (header.physical_minimum, header.physical_maximum),
            channel.physical
        );
        let digital = channel.digital();
        assert_eq!(
            (header.digital_minimum, header.digital_maximum),
            (digital.0.into(), digital.1.into())
        );
        assert_eq!(found.len(), planted.seconds * channel.sfreq as usize);
        assert_eq!(
            found, &channel.samples,
            "{} of {}",
            channel.label, planted.path
        );
    }
}

#[test]
fn eegmat_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("raw");
    let cfg = EegMat {
        subjects: 2,
        rest_seconds: 4,
        task_seconds: 3,
        seed: 9,
    };
    let corpus = eegmat(&cfg, &root).unwrap();
    assert_eq!(corpus.recordings.len(), 4);
    for recording in &corpus.recordings {
        agrees(&root, recording);
        assert_eq!(
            recording.label,
            Some(recording.run.parse::<i32>().unwrap() - 1)
        );
    }
    let info = std::fs::read_to_string(root.join("subject-info.csv")).unwrap();
    assert_eq!(info.lines().count(), 3);
    assert!(
        info.starts_with(
            "Subject,Age,Gender,Recording year,Number of subtractions,Count quality\n"
        )
    );
    let ecg = corpus.recordings[0].channels.last().unwrap();
    assert_eq!((ecg.label.as_str(), ecg.unit.as_str()), ("ECG ECG", "mV"));
    // The calibration formula: the lowest step is the physical minimum.
    let eeg = &corpus.recordings[0].channels[0];
    let d = f64::from(eeg.samples[7]);
    let want = (d + 32767.0) * (131.25 + 120.5) / 65534.0 - 120.5;
    assert_eq!(eeg.physical_value(7), Some(want));
    assert_eq!(eeg.physical_value(usize::MAX), None);
}

#[test]
fn eegmmidb_reads_back_with_its_cues() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("raw");
    let cfg = EegMmidb {
        subjects: 1,
        runs: vec![1, 3],
        ..EegMmidb::default()
    };
    let corpus = eegmmidb(&cfg, &root).unwrap();
    for recording in &corpus.recordings {
        agrees(&root, recording);
        assert_eq!(recording.channels.len(), 64);
        assert!(root.join(format!("{}.event", recording.path)).exists());
    }
    let task = &corpus.recordings[1];
    assert_eq!(task.path, "S001R03.edf");
    assert_eq!(task.annotations.len(), 6);
    for (k, (onset, duration, text)) in task.annotations.iter().enumerate() {
        assert_eq!(text == "T0", k % 2 == 0);
        assert_eq!(*duration, if k % 2 == 0 { 4.2 } else { 4.1 });
        assert!(onset + duration <= task.seconds as f64);
    }
}

#[test]
fn native_folders_and_refusals() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("raw");
    let cfg = EegMmidb {
        subjects: 1,
        runs: vec![2],
        subject_folders: true,
        ..EegMmidb::default()
    };
    let corpus = eegmmidb(&cfg, &root).unwrap();
    assert_eq!(corpus.recordings[0].path, "S001/S001R02.edf");
    agrees(&root, &corpus.recordings[0]);
    let bad = EegMmidb {
        runs: vec![15],
        ..EegMmidb::default()
    };
    assert!(
        eegmmidb(&bad, &dir.path().join("x"))
            .unwrap_err()
            .to_string()
            .starts_with("runs: ")
    );
    let bad = EegMat {
        subjects: 0,
        ..EegMat::default()
    };
    assert!(
        eegmat(&bad, &dir.path().join("x"))
            .unwrap_err()
            .to_string()
            .starts_with("subjects: ")
    );
}

#[test]
fn bench_recording_has_the_size_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("big.edf");
    bench_recording(&path, 64, 512.0, 3).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    let mut file = EDFFile::open(&path).unwrap();
    assert_eq!(
        file.header.get_record_count().unwrap() as f64 * file.header.get_record_duration(),
        3.0
    );
    assert_eq!(file.header.get_signals().len(), 65);
    let record = file.read_record().unwrap().unwrap();
    let Samples::Values16Bit(first) = &record.raw_signal_samples[0] else {
        panic!("24 bit")
    };
    assert_eq!(
        first.len() as f64,
        512.0 * file.header.get_record_duration()
    );
    assert!(
        first.iter().any(|v| *v != first[0]),
        "a flat recording measures nothing"
    );
    assert!(bytes.len() > 3 * 64 * 512 * 2);
    assert!(
        bench_recording(&path, 64, 512.0, 3).is_err(),
        "an existing file was overwritten"
    );
    assert!(bench_recording(&dir.path().join("y.edf"), 65, 512.0, 3).is_err());
}
