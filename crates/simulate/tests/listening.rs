//! The miniatures of paired corpora: samples and sounds read back through the readers, same bytes
//! for the same seed, settings out of range refused.

use mmpipe_formats::tree::{TreeSpec, open_tree};
use mmpipe_formats::{Recording, audio};
use mmpipe_simulate::{
    Brennan, Broderick, Choice, Dtu, Esaa, Kul, PlantedListening, brennan, brennan_nemar,
    broderick, broderick_dryad, dtu, esaa, kul, simulation,
};
use std::collections::BTreeMap;
use std::path::Path;

/// Every sample of a recording, and every sound of the corpus.
fn agrees(root: &Path, planted: &PlantedListening, k: usize, recording: &dyn Recording) {
    let session = &planted.recordings[k].session;
    let header = recording.header();
    let names: Vec<&str> = header.channels.iter().map(|c| c.name.as_str()).collect();
    assert_eq!(names, session.labels, "{}", session.path);
    for (c, want) in session.samples.iter().enumerate() {
        assert_eq!(header.channels[c].sfreq, session.sfreq);
        let mut found = vec![0.0; want.len()];
        recording.read_f64(&[c], 0, &mut [&mut found]).unwrap();
        let far = found.iter().zip(want).map(|(a, b)| (a - b).abs());
        assert!(far.fold(0.0, f64::max) <= 1e-9, "{} {c}", session.path);
    }
    for sound in &planted.sounds {
        let (path, channel) = match sound.stimulus.split_once("#ch") {
            Some((path, n)) => (path, n.parse::<usize>().unwrap() - 1),
            None => (sound.stimulus.as_str(), 0),
        };
        let read = audio::read(&root.join(path)).unwrap();
        assert_eq!(read.sfreq, sound.sfreq, "{}", sound.stimulus);
        assert_eq!(read.samples[channel], sound.samples, "{}", sound.stimulus);
    }
}

fn array(root: &Path, file: &str, spec: &str) -> Box<dyn Recording> {
    let spec: TreeSpec = serde_json::from_str(spec).unwrap();
    open_tree(&root.join(file), &spec).unwrap()
}

#[test]
fn matlab_files_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("kul");
    let cfg = Kul {
        subjects: 1,
        ..Kul::default()
    };
    let planted = kul(&cfg, &root).unwrap();
    let spec = r#"{"eeg": ["trials{5}.RawData.EegData"], "sfreq": "trials{5}.FileHeader.SampleRate",
                   "ch_names": "trials{5}.FileHeader.Channels(*).Label"}"#;
    agrees(&root, &planted, 4, array(&root, "S1.mat", spec).as_ref());

    let root = dir.path().join("dtu");
    let cfg = Dtu {
        subjects: 1,
        ..Dtu::default()
    };
    let planted = dtu(&cfg, &root).unwrap();
    let spec = r#"{"eeg": ["data.eeg{1}"], "sfreq": "data.fsample.eeg", "ch_names": "data.dim.chan.eeg{1}"}"#;
    agrees(
        &root,
        &planted,
        0,
        array(&root, "EEG/S1.mat", spec).as_ref(),
    );

    let root = dir.path().join("esaa");
    let planted = esaa(&Esaa::default(), &root).unwrap();
    let labels = serde_json::to_string(&planted.recordings[3].session.labels).unwrap();
    let spec = format!(
        r#"{{"eeg": {labels}, "orientation": "channel-each", "sfreq": "SampleRate", "ch_names": {labels}}}"#
    );
    agrees(
        &root,
        &planted,
        3,
        array(&root, "S8/S8.mat", &spec).as_ref(),
    );

    let root = dir.path().join("dryad");
    let cfg = Broderick {
        subjects: 1,
        ..Broderick::default()
    };
    let planted = broderick_dryad(&cfg, &root).unwrap();
    let labels = serde_json::to_string(&planted.recordings[1].session.labels).unwrap();
    let spec = format!(r#"{{"eeg": ["eegData"], "sfreq": "fs", "ch_names": {labels}}}"#);
    let path = &planted.recordings[1].session.path;
    agrees(&root, &planted, 1, array(&root, path, &spec).as_ref());

    let root = dir.path().join("alice");
    let planted = brennan(&Brennan::default(), &root).unwrap();
    let spec = r#"{"eeg": ["raw.trial{1}"], "orientation": "channel-time", "sfreq": "raw.fsample",
                   "ch_names": "raw.label"}"#;
    agrees(&root, &planted, 1, array(&root, "S05.mat", spec).as_ref());
}

#[test]
fn brainvision_files_read_back() {
    let dir = tempfile::tempdir().unwrap();
    let (one, two) = (dir.path().join("story"), dir.path().join("alice"));
    let cfg = Broderick {
        subjects: 1,
        ..Broderick::default()
    };
    let story = broderick(&cfg, &one).unwrap();
    let alice = brennan_nemar(&Brennan::default(), &two).unwrap();
    for (root, planted) in [(&one, &story), (&two, &alice)] {
        let path = root.join(&planted.recordings[0].session.path);
        let recording = mmpipe_formats::open(&path).unwrap();
        agrees(root, planted, 0, recording.as_ref());
    }
}

/// Every file below a folder with its length and a checksum of its bytes.
fn files(root: &Path) -> BTreeMap<String, (usize, u64)> {
    let mut out = BTreeMap::new();
    let mut todo = vec![root.to_path_buf()];
    while let Some(folder) = todo.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                todo.push(path);
                continue;
            }
            let bytes = std::fs::read(&path).unwrap();
            let fold = |h: u64, b: &u8| (h ^ u64::from(*b)).wrapping_mul(0x0000_0100_0000_01b3);
            let name = path.strip_prefix(root).unwrap().display().to_string();
            let sum = bytes.iter().fold(0xcbf2_9ce4_8422_2325, fold);
            out.insert(name, (bytes.len(), sum));
        }
    }
    out
}

#[test]
fn the_same_seed_gives_the_same_bytes_and_another_one_others() {
    let dir = tempfile::tempdir().unwrap();
    for (name, subjects) in [
        ("KUL", Some(1)),
        ("Broderick-Dryad", Some(1)),
        ("Brennan-NEMAR", None),
    ] {
        let made = |seed: u64, folder: &str| {
            let root = dir.path().join(format!("{name}-{folder}"));
            let choice = Choice { seed, subjects };
            simulation(name).unwrap().write(&choice, &root).unwrap();
            files(&root)
        };
        let (first, again, other) = (made(1, "a"), made(1, "b"), made(2, "c"));
        assert_eq!(first, again, "{name}");
        assert_eq!(
            first.keys().collect::<Vec<_>>(),
            other.keys().collect::<Vec<_>>()
        );
        // Headers and tables of a layout do not depend on the seed; samples do.
        let samples: Vec<_> = first
            .iter()
            .filter(|(_, (bytes, _))| *bytes > 50_000)
            .collect();
        assert!(!samples.is_empty(), "{name}");
        for (file, found) in samples {
            assert_ne!(other[file], *found, "{name}: {file}");
        }
    }
}

#[test]
fn settings_out_of_range_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let out = dir.path().join("raw");
    let refused = [
        kul(
            &Kul {
                subjects: 17,
                seed: 0,
            },
            &out,
        )
        .unwrap_err(),
        dtu(
            &Dtu {
                subjects: 0,
                seed: 0,
            },
            &out,
        )
        .unwrap_err(),
        broderick(
            &Broderick {
                subjects: 20,
                seed: 0,
            },
            &out,
        )
        .unwrap_err(),
        broderick_dryad(
            &Broderick {
                subjects: 0,
                seed: 0,
            },
            &out,
        )
        .unwrap_err(),
    ];
    for error in refused {
        assert!(
            error.to_string().starts_with("subjects: expected 1 to"),
            "{error}"
        );
    }
    assert!(!out.exists());
}
