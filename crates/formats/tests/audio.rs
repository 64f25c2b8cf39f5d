//! Every sound under the folder of real recordings against libsndfile's reading of it
//! (`fixtures/audio_reference.json`, made by `fixtures/make_audio_reference.py`), and the
//! faulty FLAC files of the IETF suite.

mod common;

use std::fmt::Write as _;
use std::path::Path;

use mmpipe_formats::audio::{decode, probe, read};
use mmpipe_formats::write::wav;
use mmpipe_formats::{Error, Severity};
use serde_json::Value;
use tempfile::TempDir;

/// (file, field, reason)
const EXPLAINED: &[(&str, &str, &str)] = &[
    ("01 - wrong max blocksize.flac", "frames", LIES),
    ("01 - wrong max blocksize.flac", "diagnostics", LIES),
    ("01 - wrong max blocksize.flac", "squares", LIES),
    ("01 - wrong max blocksize.flac", "first", LIES),
    ("03 - wrong bit depth.flac", "open", REFUSED),
    ("05 - wrong total number of samples.flac", "frames", TOTAL),
    (
        "05 - wrong total number of samples.flac",
        "diagnostics",
        TOTAL,
    ),
    ("05 - wrong total number of samples.flac", "squares", TOTAL),
    ("09 - blocksize 1.flac", "open", REFUSED),
    (
        "10 - invalid vorbis comment metadata block.flac",
        "open",
        REFUSED,
    ),
    ("45 - no total number of samples set.flac", "open", NO_TOTAL),
];

const LIES: &str = "symphonia drops the blocks that are larger than the header allows; the reader \
                    reports the failed sum and the missing frames";
const REFUSED: &str =
    "symphonia refuses what the faulty header says; an error is not a wrong sound";
const TOTAL: &str = "libsndfile stops at the wrong total of the header; here all is decoded, the \
                     sum is right and the disagreement reported";
const NO_TOTAL: &str = "python-soundfile cannot allocate for an unknown length; here it is decoded";

#[test]
fn every_sound_agrees_with_libsndfile() {
    let Some(real) = common::real() else { return };
    let fixture = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/audio_reference.json");
    let json: Value = serde_json::from_str(&std::fs::read_to_string(fixture).unwrap()).unwrap();
    let mut used = vec![false; EXPLAINED.len()];
    let mut report = String::new();
    for (name, want) in json["files"].as_object().unwrap() {
        for (field, text) in differences(&real.join(name), want) {
            match EXPLAINED
                .iter()
                .position(|(file, f, _)| name.ends_with(file) && *f == field)
            {
                Some(i) => used[i] = true,
                None => writeln!(report, "{name}: {field}: {text}").unwrap(),
            }
        }
    }
    for (i, _) in used.iter().enumerate().filter(|(_, used)| !**used) {
        writeln!(report, "explained but not different: {:?}", EXPLAINED[i]).unwrap();
    }
    assert!(report.is_empty(), "\n{report}");
}

fn differences(path: &Path, want: &Value) -> Vec<(&'static str, String)> {
    let audio = match (read(path), want["error"].as_str()) {
        (Err(_), Some(_)) => return Vec::new(),
        (Err(e), None) => return vec![("open", format!("ours {e}, libsndfile reads it"))],
        (Ok(a), Some(e)) => {
            return vec![(
                "open",
                format!(
                    "ours {} frames {:?}, libsndfile {e}",
                    a.frames, a.diagnostics
                ),
            )];
        }
        (Ok(audio), None) => audio,
    };
    let mut out = Vec::new();
    let mut same = |field, ours: u64| {
        if Some(ours) != want[field].as_u64() {
            out.push((
                field,
                format!(
                    "ours {ours}, libsndfile {} ({:?})",
                    want[field], audio.diagnostics
                ),
            ));
        }
    };
    same("sfreq", audio.sfreq.into());
    same("channels", audio.channels as u64);
    same("frames", audio.frames);
    if audio.samples.iter().any(|s| s.len() as u64 != audio.frames) {
        out.push(("planes", "channels differ in length".into()));
    }
    if audio
        .diagnostics
        .iter()
        .any(|d| d.severity > Severity::Note)
    {
        out.push(("diagnostics", format!("{:?}", audio.diagnostics)));
    }
    for (k, plane) in audio.samples.iter().enumerate() {
        let squares: f64 = plane.iter().map(|x| f64::from(*x).powi(2)).sum();
        let theirs = want["squares"][k].as_f64().unwrap_or(f64::NAN);
        if (squares - theirs).abs() > 1e-3 * theirs + 1e-3 {
            out.push((
                "squares",
                format!("channel {k}: ours {squares}, libsndfile {theirs}"),
            ));
        }
    }
    let start = want["start"].as_u64().unwrap() as usize;
    let first: Vec<f64> = want["first"]
        .as_array()
        .unwrap()
        .iter()
        .map(|v| v.as_f64().unwrap())
        .collect();
    let ours = audio.samples[0]
        .get(start..start + first.len())
        .unwrap_or_default();
    // Lossy decoders round differently; a shift by a sample would show.
    if ours.len() != first.len()
        || ours
            .iter()
            .zip(&first)
            .any(|(a, b)| (f64::from(*a) - b).abs() > 2e-4)
    {
        out.push(("first", format!("ours {ours:?}, libsndfile {first:?}")));
    }
    out
}

#[test]
fn blocks_and_whole_are_the_same() {
    let Some(real) = common::real() else { return };
    for name in [
        "librosa/tests/data/test1_22050.mp3",
        "flac-test-files/subset/38 - 3 channels (3.0).flac",
    ] {
        let path = real.join(name);
        let info = probe(&path).unwrap();
        let mut interleaved = Vec::new();
        let decoded = decode(&path, |block| {
            assert_eq!(block.len() % info.channels, 0);
            interleaved.extend_from_slice(block);
        })
        .unwrap();
        let whole = read(&path).unwrap();
        assert_eq!(decoded.frames, whole.frames);
        assert_eq!((info.sfreq, info.channels), (whole.sfreq, whole.channels));
        for (k, plane) in whole.samples.iter().enumerate() {
            assert!(
                plane
                    .iter()
                    .eq(interleaved.iter().skip(k).step_by(info.channels))
            );
        }
    }
}

/// The MD5 sum of a faulty file tells whether what was decoded is the sound that was encoded.
#[test]
fn faulty_flac_files_are_decoded_right_or_say_so() {
    let Some(real) = common::real() else { return };
    let mut silent = Vec::new();
    let mut seen = 0;
    for entry in std::fs::read_dir(real.join("flac-test-files/faulty"))
        .unwrap()
        .flatten()
    {
        let path = entry.path();
        if path.extension().is_none_or(|e| e != "flac") {
            continue;
        }
        seen += 1;
        match read(&path) {
            Err(error) => assert!(matches!(error, Error::Audio { .. }), "{error}"),
            Ok(audio)
                if audio
                    .diagnostics
                    .iter()
                    .all(|d| d.severity == Severity::Note) =>
            {
                silent.push(path.file_name().unwrap().to_string_lossy()[..2].to_owned());
            }
            Ok(_) => {}
        }
    }
    silent.sort();
    assert_eq!(seen, 11);
    // These carry wrong or unusual metadata only; their sums are right.
    assert_eq!(silent, ["02", "07"]);
}

#[test]
fn a_cut_sound_says_so() {
    let folder = TempDir::new().unwrap();
    let x: Vec<f32> = (0..10_000).map(|i| (i as f32 * 0.01).sin()).collect();
    let path = folder.path().join("x.wav");
    wav::write(&path, 8000, &[&x], wav::Sample::Pcm16).unwrap();
    let bytes = std::fs::read(&path).unwrap();
    std::fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let audio = read(&path).unwrap();
    assert!(audio.frames < 10_000);
    assert!(
        audio.diagnostics.iter().any(|d| d.code == "truncated"),
        "{:?}",
        audio.diagnostics
    );
}

#[test]
fn what_is_no_sound_is_an_error() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.wav");
    for (bytes, code) in [
        (&b""[..], "empty"),
        (b"\x89PNG\r\n\x1a\n", "audio"),
        (b"RIFF", "audio"),
    ] {
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(read(&path).unwrap_err().code(), code);
        assert_eq!(probe(&path).unwrap_err().code(), code);
    }
    assert_eq!(read(folder.path()).unwrap_err().code(), "not-a-file");
}
