//! Curry: what MNE-Python reads in the fixtures, the variants, and files that lie.

use std::path::{Path, PathBuf};

use mmpipe_formats::{Container, Error, Recording, Severity, open};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

fn fixtures() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/curry")
}

fn samples(r: &dyn Recording, channel: usize) -> Vec<f64> {
    let mut out = vec![0f64; r.header().channels[channel].n_samples as usize];
    r.read_f64(&[channel], 0, &mut [&mut out]).unwrap();
    out
}

#[test]
fn the_fixtures_read_as_mne_reads_them() {
    let text = std::fs::read_to_string(fixtures().join("expected.json")).unwrap();
    let expected: Value = serde_json::from_str(&text).unwrap();
    for (name, container, any) in [
        (
            "curry7.dat",
            Container::Curry7,
            &["dat", "dap", "rs3", "ceo"][..],
        ),
        (
            "curry8.cdt",
            Container::Curry8,
            &["cdt", "cdt.dpa", "cdt.ceo"],
        ),
        (
            "text.cdt",
            Container::Curry8,
            &["cdt", "cdt.dpa", "cdt.cef"],
        ),
    ] {
        let want = &expected[name];
        let stem = name.split('.').next().unwrap();
        for extension in any {
            let r = open(&fixtures().join(format!("{stem}.{extension}"))).unwrap();
            let h = r.header();
            assert_eq!(h.path, fixtures().join(name));
            assert_eq!(h.container, container);
            assert!(h.diagnostics.is_empty(), "{:?}", h.diagnostics);
            assert_eq!(h.files.len(), any.len());
            let names: Vec<&str> = h.channels.iter().map(|c| c.name.as_str()).collect();
            assert_eq!(serde_json::json!(names), want["ch_names"]);
            let start = format!("{}000+00:00", h.start.as_ref().unwrap());
            assert_eq!(start, want["start"].as_str().unwrap());
            for (c, channel) in h.channels.iter().enumerate() {
                assert_eq!(channel.unit, "µV");
                assert_eq!(channel.sfreq, want["sfreq"].as_f64().unwrap());
                assert_eq!(channel.n_samples, want["n_times"].as_u64().unwrap());
                let x = samples(r.as_ref(), c);
                // MNE gives volts.
                let close = |x: f64, want: &Value, rel: f64| {
                    (x * 1e-6 - want.as_f64().unwrap()).abs() < rel * 1e-6 * (1.0 + x.abs())
                };
                assert!(close(x.iter().sum(), &want["sum"][c], 1e-9));
                for i in 0..5 {
                    assert!(close(x[i], &want["first"][c][i], 1e-12));
                    assert!(close(x[x.len() - 5 + i], &want["last"][c][i], 1e-12));
                }
            }
            let texts: Vec<&str> = h.annotations.iter().map(|a| a.text.as_str()).collect();
            assert_eq!(serde_json::json!(texts), want["text"]);
            for (a, onset) in h.annotations.iter().zip(want["onset"].as_array().unwrap()) {
                assert!((a.onset - onset.as_f64().unwrap()).abs() < 1e-6);
            }
        }
    }
    let r = open(&fixtures().join("curry7.dat")).unwrap();
    assert_eq!(r.header().annotations[1].duration, Some(0.05));
    assert_eq!(r.runs(0).len(), 1);
    assert_eq!(r.runs(0)[0].samples, 0..250);
}

const N: usize = 3;
const POINTS: usize = 40;

fn value(c: usize, t: usize) -> f32 {
    (c * 1000 + t) as f32 - 7.5
}

/// A recording to be spoiled: parameter text, data, events.
#[derive(Clone)]
struct Parts {
    parameters: String,
    data: Vec<u8>,
    events: String,
}

impl Parts {
    fn new() -> Parts {
        let parameters = "FileVersion = 803\nDATA_PARAMETERS START\n   NumSamples = 40\n   \
            NumChannels = 3\n   NumTrials = 1\n   SampleFreqHz = 200\n   TriggerOffsetUsec = 0\n   \
            DataFormat = FLOAT\n   DataSampOrder = SAMP\n   SampleTimeUsec = 5000\n   \
            DataByteOrder = INTEL\nDATA_PARAMETERS END\nDEVICE_PARAMETERS START\n   \
            DataUnit = uV\nDEVICE_PARAMETERS END\nLABELS START_LIST # x\nA\nB\nC\n\
            LABELS END_LIST\n";
        let points = (0..POINTS).flat_map(|t| (0..N).map(move |c| value(c, t)));
        Parts {
            parameters: parameters.to_owned(),
            data: points.flat_map(f32::to_le_bytes).collect(),
            events: "NUMBER_LIST START_LIST\n4 3 9 2 4 8 0 0 0 0 1\nNUMBER_LIST END_LIST\n".into(),
        }
    }
    fn with(from: &str, to: &str) -> Parts {
        let mut parts = Parts::new();
        assert!(parts.parameters.contains(from), "{from:?}");
        parts.parameters = parts.parameters.replace(from, to);
        parts
    }
    fn open(&self) -> mmpipe_formats::Result<Box<dyn Recording>> {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("x.cdt");
        std::fs::write(&path, &self.data).unwrap();
        std::fs::write(folder.path().join("x.cdt.dpo"), &self.parameters).unwrap();
        std::fs::write(folder.path().join("x.cdt.cef"), &self.events).unwrap();
        open(&path)
    }
    fn codes(&self) -> Vec<(&'static str, Severity)> {
        let r = self.open().unwrap();
        let all = r.header().diagnostics.iter();
        all.map(|d| (d.code, d.severity)).collect()
    }
}

fn whole(parts: &Parts) {
    let r = parts.open().unwrap();
    assert!(
        r.header().diagnostics.is_empty(),
        "{:?}",
        r.header().diagnostics
    );
    for c in 0..N {
        let want: Vec<f64> = (0..POINTS).map(|t| f64::from(value(c, t))).collect();
        assert_eq!(samples(r.as_ref(), c), want);
    }
    let mut out = vec![0f32; 5];
    r.read_f32(&[1], 30, &mut [&mut out]).unwrap();
    assert_eq!(out[4], value(1, 34));
}

#[test]
fn orders_of_bytes_and_of_samples() {
    whole(&Parts::new());
    let mut big = Parts::with("INTEL", "MOTOROLA");
    big.data
        .as_chunks_mut::<4>()
        .0
        .iter_mut()
        .for_each(|b| b.reverse());
    whole(&big);
    let by_channel = || (0..N).flat_map(|c| (0..POINTS).map(move |t| value(c, t)));
    let mut blocked = Parts::with("SAMP\n", "CHAN\n");
    blocked.data = by_channel().flat_map(f32::to_le_bytes).collect();
    whole(&blocked);
    let mut text = Parts::with("SAMP\n", "CHAN\n");
    text.parameters = text.parameters.replace("FLOAT", "ASCII");
    text.data = by_channel()
        .map(|x| format!("{x}\n"))
        .collect::<String>()
        .into_bytes();
    whole(&text);
    // Curry 6 spells its keys in capitals.
    let old = "NUM_SAMPLES = 40\nNUM_CHANNELS = 3\nSAMPLE_FREQ_HZ = 200\n\
        LABELS START_LIST\nA\nB\nC\nLABELS END_LIST\n";
    let r = Parts {
        parameters: old.into(),
        ..Parts::new()
    }
    .open()
    .unwrap();
    assert_eq!(r.header().channels[2].name, "C");
    assert_eq!(r.header().channels[2].unit, "µV");
}

#[test]
fn trials_are_runs() {
    let parts = Parts::with("NumSamples = 40", "NumSamples = 10");
    let parts = Parts {
        parameters: parts.parameters.replace("NumTrials = 1", "NumTrials = 4"),
        ..parts
    };
    assert_eq!(parts.codes(), [("epochs", Severity::Note)]);
    let runs = parts.open().unwrap().runs(2);
    let got: Vec<_> = runs.iter().map(|r| (r.onset, r.samples.clone())).collect();
    assert_eq!(
        got,
        [(0.0, 0..10), (0.05, 10..20), (0.1, 20..30), (0.15, 30..40)]
    );
    // Cut within the third.
    let cut = Parts {
        data: parts.data[..25 * 4 * N].to_vec(),
        ..parts
    };
    assert_eq!(cut.codes()[0], ("truncated", Severity::Warning));
    let runs = cut.open().unwrap().runs(0);
    assert_eq!(runs.last().unwrap().samples, 20..25);
}

#[test]
fn what_can_be_read_in_spite_of_its_header_is_read_with_a_diagnostic() {
    use Severity::{Damaged, Note, Warning};
    type Case = (
        &'static str,
        &'static str,
        &'static [(&'static str, Severity)],
    );
    let cases: Vec<Case> = vec![
        (
            "NumSamples = 40",
            "NumSamples = 39",
            &[("data-points-disagree", Warning)],
        ),
        (
            "NumSamples = 40",
            "NumSamples = 4000",
            &[("truncated", Warning)],
        ),
        (
            "NumSamples = 40",
            "NumSamples = -1",
            &[("sample-count-unknown", Note)],
        ),
        (
            "SampleFreqHz = 200",
            "SampleFreqHz = 100",
            &[("rate-disagrees", Warning)],
        ),
        ("\nC\n", "\nC\nD\n", &[("labels-disagree", Warning)]),
        ("\nC\n", "\n", &[("labels-disagree", Warning)]),
        ("\nC\n", "\nA\n", &[("duplicate-label", Warning)]),
        (
            "LABELS END_LIST\n",
            "LABELS END_LIST\nCHAN_IN_FILE START_LIST\n1\n1\n2\nCHAN_IN_FILE END_LIST\n",
            &[("channel-order-unclear", Warning)],
        ),
        (
            "SAMP\n   SampleTimeUsec = 5000",
            "SAMP\n   SampleTimeUsec = 0",
            &[],
        ),
        ("LABELS END_LIST\n", "", &[]),
    ];
    for (from, to, want) in cases {
        assert_eq!(Parts::with(from, to).codes(), want, "{to:?}");
    }
    let mut blocked = Parts::with("SAMP\n", "CHAN\n");
    blocked.data.truncate(300);
    assert_eq!(blocked.codes(), [("truncated", Damaged)]);
    assert_eq!(
        Parts::with("LABELS START", "NO START")
            .open()
            .unwrap()
            .header()
            .channels[1]
            .name,
        "EEG2"
    );
    let mut late = Parts::new();
    late.events = late.events.replace("4 3 9", "400 3 9");
    assert_eq!(late.codes(), [("marker-beyond-end", Warning)]);
    let mut odd = Parts::new();
    odd.data.extend([1, 2, 3]);
    assert_eq!(odd.codes(), [("truncated", Warning)]);
    odd.events.clear();
    assert_eq!(
        odd.codes(),
        [("truncated", Warning), ("no-events", Warning)]
    );
}

#[test]
fn what_cannot_be_read_is_refused_by_name() {
    let refused = |parts: Parts, code: &str, says: &str| {
        let error = parts
            .open()
            .err()
            .unwrap_or_else(|| panic!("{says}: opened"));
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(says), "{error}");
    };
    let bad = "bad-text-header";
    for (from, to, code, says) in [
        (
            "NumSamples = 40",
            "NumSamples = many",
            bad,
            "line 3: NumSamples",
        ),
        ("NumSamples = 40\n", "\n", bad, "NumSamples"),
        ("NumChannels = 3\n", "\n", bad, "NumChannels"),
        (
            "NumChannels = 3",
            "NumChannels = 0",
            bad,
            "line 4: NumChannels",
        ),
        ("NumChannels = 3", "NumChannels = -3", bad, "expected 1 to"),
        (
            "NumChannels = 3",
            "NumChannels = 99999999999999999999",
            bad,
            "expected 1 to",
        ),
        (
            "NumChannels = 3",
            "NumChannels = 9000",
            bad,
            "expected 1 to",
        ),
        ("NumTrials = 1", "NumTrials = x", bad, "line 5: NumTrials"),
        ("NumTrials = 1", "NumTrials = -1", bad, "NumTrials"),
        (
            "SampleTimeUsec = 5000",
            "SampleTimeUsec = fast",
            bad,
            "SampleTimeUsec",
        ),
        (
            "SampleTimeUsec = 5000",
            "SampleTimeUsec = -5",
            bad,
            "SampleFreqHz",
        ),
        (
            "SampleTimeUsec = 5000",
            "SampleTimeUsec = NaN",
            bad,
            "SampleTimeUsec",
        ),
        (
            "SampleTimeUsec = 5000",
            "SampleTimeUsec = inf",
            bad,
            "SampleTimeUsec",
        ),
        (
            "SampleFreqHz = 200",
            "SampleFreqHz = ?",
            bad,
            "SampleFreqHz",
        ),
        (
            "TriggerOffsetUsec = 0",
            "TriggerOffsetUsec = -",
            bad,
            "TriggerOffsetUsec",
        ),
        ("SAMP\n", "TIME\n", bad, "DataSampOrder"),
        ("FLOAT", "SHORT", "unsupported", "DataFormat SHORT"),
        ("FLOAT", "ASCII", bad, "data"),
        (
            "FileVersion = 803",
            "DataGuid = {2912E8D8-F5C8-4E25-A8E7-A1385967DA09}",
            "unsupported",
            "compressed",
        ),
        (
            "LABELS END_LIST\n",
            "LABELS END_LIST\nCHAN_IN_FILE START_LIST\n1\n2\nthree\n",
            bad,
            "CHAN_IN_FILE",
        ),
    ] {
        refused(Parts::with(from, to), code, says);
    }
    refused(
        Parts {
            parameters: String::new(),
            ..Parts::new()
        },
        "empty",
        "0 bytes",
    );
    refused(
        Parts {
            data: Vec::new(),
            ..Parts::new()
        },
        "empty",
        "0 bytes",
    );
    let mut text = Parts::with("FLOAT", "ASCII");
    text.data = b"1 2 3\n4 5 six\n".to_vec();
    refused(text, bad, "line 2: data: expected a number, found \"six\"");
}

#[test]
fn missing_files_are_named() {
    let folder = TempDir::new().unwrap();
    let put = |name: &str| {
        let path = folder.path().join(name);
        std::fs::write(&path, "x").unwrap();
        path
    };
    for (name, wants) in [
        ("a.cdt", "a.cdt.dpa"),
        ("b.cdt.dpa", "b.cdt"),
        ("c.dap", "c.dat"),
        ("d.rs3", "d.dat"),
        ("e.ceo", "e.cdt"),
    ] {
        match open(&put(name)).err().unwrap() {
            Error::Missing { missing, .. } => assert_eq!(missing, folder.path().join(wants)),
            other => panic!("{other}"),
        }
    }
    // A .dat without a parameter file is looked for among BrainVision's.
    assert_eq!(open(&put("f.dat")).err().unwrap().code(), "unknown-format");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    /// Any spoiled byte and any cut gives an error or samples, never a panic.
    #[test]
    fn spoiled_texts_never_panic(at in 0usize..700, byte: u8, cut in 1usize..700, which in 0..3) {
        let mut parts = Parts::new();
        let mut text = match which {
            0 => parts.parameters.clone().into_bytes(),
            1 => parts.events.clone().into_bytes(),
            _ => parts.data.clone(),
        };
        text.truncate(cut.max(1));
        let i = at % text.len();
        text[i] = byte;
        match which {
            0 => parts.parameters = String::from_utf8_lossy(&text).into_owned(),
            1 => parts.events = String::from_utf8_lossy(&text).into_owned(),
            _ => parts.data = text,
        }
        if let Ok(r) = parts.open() {
            for c in 0..r.header().channels.len() {
                samples(r.as_ref(), c);
                prop_assert!(r.runs(c).iter().all(|x| x.samples.end <= r.header().channels[c].n_samples));
            }
        }
    }
}
