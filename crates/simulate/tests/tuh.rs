//! The miniatures of the Temple University corpora, read back byte by byte after the EDF
//! specification.

use mmpipe_simulate::{PlantedRecording, Tuab, Tuep, Tuev, tuab, tuep, tuev};
use std::path::Path;

/// A header field.
fn text(bytes: &[u8], offset: usize, width: usize) -> String {
    let field = &bytes[offset..offset + width];
    String::from_utf8(field.to_vec()).unwrap().trim_end().into()
}

/// Holds labels, units and samples against what was planted; the patient field and start date.
fn agrees(root: &Path, planted: &PlantedRecording) -> (String, String) {
    let bytes = std::fs::read(root.join(&planted.path)).unwrap();
    let n: usize = text(&bytes, 252, 4).parse().unwrap();
    assert_eq!(n, planted.channels.len() + 1, "and the annotations");
    assert_eq!(text(&bytes, 244, 8).parse::<f64>(), Ok(1.0));
    assert_eq!(text(&bytes, 236, 8).parse::<usize>(), Ok(planted.seconds));
    let samples = |i: usize| {
        text(&bytes, 256 + 216 * n + 8 * i, 8)
            .parse::<usize>()
            .unwrap()
    };
    let record: usize = (0..n).map(|i| 2 * samples(i)).sum();
    assert_eq!(bytes.len(), 256 * (n + 1) + planted.seconds * record);
    let mut start = 256 * (n + 1);
    for (i, channel) in planted.channels.iter().enumerate() {
        assert_eq!(text(&bytes, 256 + 16 * i, 16), channel.label);
        assert_eq!(text(&bytes, 256 + 96 * n + 8 * i, 8), channel.unit);
        let found: Vec<i16> = (0..planted.seconds)
            .flat_map(|second| {
                let at = start + second * record;
                bytes[at..at + 2 * samples(i)]
                    .chunks_exact(2)
                    .map(|b| i16::from_le_bytes([b[0], b[1]]))
            })
            .collect();
        assert_eq!(
            found, channel.samples,
            "{} of {}",
            channel.label, planted.path
        );
        start += 2 * samples(i);
    }
    (text(&bytes, 8, 80), text(&bytes, 168, 8))
}

#[test]
fn headers_are_the_publishers_and_samples_the_planted_ones() {
    let dir = tempfile::tempdir().unwrap();
    let root = |name: &str| dir.path().join(name);
    let events = tuev(&Tuev::default(), &root("tuev")).unwrap();
    let epilepsy = tuep(&Tuep::default(), &root("tuep")).unwrap();
    let abnormal = tuab(&Tuab::default(), &root("tuab")).unwrap();
    let mut seen = Vec::new();
    for (name, recordings) in [
        ("tuev", &events.recordings),
        ("tuep", &epilepsy.recordings),
        ("tuab", &abnormal.recordings),
    ] {
        seen.extend(recordings.iter().map(|r| agrees(&root(name), r)));
    }
    let dates: Vec<&str> = seen.iter().map(|(_, date)| date.as_str()).collect();
    let odd = dates.iter().filter(|d| **d != "01.01.00").count();
    assert_eq!((dates.len(), odd), (18, 3), "{dates:?}");
    assert_eq!(seen[0].0, "000 F 01-JAN-0000 000 Age:36");
    assert!(seen.iter().any(|(p, _)| p.ends_with("Age:0.0109")));
}

#[test]
fn electrodes_have_no_fixed_order_and_settings_have_bounds() {
    let dir = tempfile::tempdir().unwrap();
    let made = tuab(&Tuab::default(), &dir.path().join("a")).unwrap();
    let first = |i: usize| made.recordings[i].channels[0].label.as_str();
    assert_ne!(first(0), first(1));
    let again = tuab(&Tuab::default(), &dir.path().join("b")).unwrap();
    assert_eq!(made, again, "the same settings give the same samples");
    for version in [1, 4] {
        let (a, b) = (
            Tuab {
                version,
                ..Tuab::default()
            },
            Tuep {
                version,
                ..Tuep::default()
            },
        );
        assert!(tuab(&a, &dir.path().join("c")).is_err());
        assert!(tuep(&b, &dir.path().join("c")).is_err());
    }
}

#[test]
fn tuev_has_its_side_cars() {
    let dir = tempfile::tempdir().unwrap();
    let root = dir.path().join("raw");
    let made = tuev(&Tuev::default(), &root).unwrap();
    let stem = root.join("edf/train/aaaaaaar/aaaaaaar_00000001");
    let beside = |end: &str| std::fs::read_to_string(format!("{}{end}", stem.display())).unwrap();
    assert!(beside(".rec").contains("3,2.5,3.5,1\n"));
    assert!(beside("_ch003.lab").contains("250000 350000 spsw\n"));
    let files = std::fs::read_dir(stem.parent().unwrap()).unwrap().count();
    // Two recordings, one with 22 .lab and 22 .htk files.
    assert_eq!(files, 2 * 2 + 44);
    assert_eq!(made.marks.len(), made.recordings.len());
}
