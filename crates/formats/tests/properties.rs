//! Whatever the bytes, the readers return: no panic, and no allocation beyond sixteen times
//! the size of the file (plus what any file needs).

#[path = "common/build.rs"]
mod build;
#[path = "common/counting.rs"]
mod counting;

use std::path::Path;

use build::Edf;
use mmpipe_formats::{audio, open, write::wav};
use proptest::prelude::*;
use tempfile::TempDir;

/// Paths, messages, tables of decoders.
const BASE: usize = 64 << 10;

/// Opens the file and, if that works, reads the ends of every channel.
fn exercise(path: &Path, bytes: &[u8]) {
    std::fs::write(path, bytes).unwrap();
    let peak = counting::peak(|| {
        let Ok(r) = open(path) else { return };
        let channels = r.header().channels.len();
        for c in 0..channels {
            let n = r.header().channels[c].n_samples;
            let mut out = [0f32; 8];
            let k = n.min(8) as usize;
            r.read_f32(&[c], 0, &mut [&mut out[..k]]).unwrap();
            r.read_f32(&[c], n - k as u64, &mut [&mut out[..k]])
                .unwrap();
            if c < 4 {
                assert!(r.runs(c).iter().all(|run| run.samples.end <= n));
            }
        }
    });
    assert!(
        peak <= 16 * bytes.len() + BASE,
        "{peak} bytes for a file of {}",
        bytes.len()
    );
}

fn sample(plus: bool, bdf: bool) -> Vec<u8> {
    let mut edf = if plus {
        let list = |r: usize| format!("+{r}\x14\x14\0+{r}.5\x15 1\x14a\x14b\x14\0").into_bytes();
        Edf::plus("EDF+D", (0..6).map(list).collect())
    } else {
        Edf::new(6)
    };
    edf.bdf = bdf;
    edf.bytes()
}

const VHDR: &str = "Brain Vision Data Exchange Header File Version 1.0\n[Common Infos]\n\
    DataFile=x.eeg\nMarkerFile=x.vmrk\nDataFormat=BINARY\nDataOrientation=MULTIPLEXED\n\
    NumberOfChannels=2\nSamplingInterval=4000\n[Binary Infos]\nBinaryFormat=INT_16\n\
    [Channel Infos]\nCh1=A,,0.5,uV\nCh2=B,,0.5,uV\n";
const VMRK: &str = "Brain Vision Data Exchange Marker File, Version 1.0\n[Marker Infos]\n\
    Mk1=New Segment,,1,1,0,20200101000000000000\nMk2=Stimulus,S  1,3,1,0\n";

/// Single bytes, runs and lengths changed.
fn mutated(bytes: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let n = bytes.len();
    let edits = proptest::collection::vec((0..n, any::<u8>(), 1usize..12), 0..12);
    (edits, 0..=n, any::<bool>()).prop_map(move |(edits, cut, whole)| {
        let mut out = bytes.clone();
        for (at, byte, len) in edits {
            let end = (at + len).min(n);
            // Digits and signs make header fields that parse and lie.
            let byte = if byte % 2 == 0 {
                b"0123456789-+. "[usize::from(byte) % 14]
            } else {
                byte
            };
            out[at..end].fill(byte);
        }
        if !whole {
            out.truncate(cut);
        }
        out
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn mutated_edf_never_panics(bytes in mutated(sample(false, false))) {
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.edf"), &bytes);
    }

    #[test]
    fn mutated_bdf_plus_never_panics(bytes in mutated(sample(true, true))) {
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.bdf"), &bytes);
    }

    #[test]
    fn mutated_edf_plus_never_panics(bytes in mutated(sample(true, false))) {
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.edf"), &bytes);
    }

    #[test]
    fn annotation_bytes_never_panic(lists in proptest::collection::vec(
        proptest::collection::vec(prop_oneof![Just(0u8), Just(0x14), Just(0x15), Just(b'+'), Just(b'1'), any::<u8>()], 0..64), 1..20,
    )) {
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.edf"), &Edf::plus("EDF+D", lists).bytes());
    }

    #[test]
    fn any_bytes_never_panic(magic in 0usize..4, tail in proptest::collection::vec(any::<u8>(), 0..2000)) {
        let mut bytes = [&b"0       "[..], b"\xffBIOSEMI", VHDR.as_bytes(), b""][magic].to_vec();
        bytes.extend(tail);
        let folder = TempDir::new().unwrap();
        exercise(&folder.path().join("x.edf"), &bytes);
    }

    #[test]
    fn mutated_brainvision_never_panics(
        head in mutated(VHDR.as_bytes().to_vec()),
        marks in mutated(VMRK.as_bytes().to_vec()),
        data in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        let folder = TempDir::new().unwrap();
        std::fs::write(folder.path().join("x.vmrk"), marks).unwrap();
        std::fs::write(folder.path().join("x.eeg"), data).unwrap();
        exercise(&folder.path().join("x.vhdr"), &head);
    }

    #[test]
    fn mutated_wave_never_panics(bytes in mutated({
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("x.wav");
        wav::write(&path, 8000, &[&[0.5; 300]], wav::Sample::Pcm16).unwrap();
        std::fs::read(path).unwrap()
    })) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("x.wav");
        std::fs::write(&path, bytes).unwrap();
        if let Ok(sound) = audio::read(&path) {
            prop_assert!(sound.samples.iter().all(|s| s.len() as u64 == sound.frames));
        }
    }
}
