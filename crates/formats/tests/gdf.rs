//! GDF against files packed by another program, against MNE's reading of them and of what the
//! writer here makes, and as a round trip. `fixtures/gdf/make_gdf.py` made the fixtures.

use std::path::{Path, PathBuf};

use mmpipe_formats::write::Start;
use mmpipe_formats::write::gdf::{Event, NewChannel, NewGdf, Number, Table, Version, write};
use mmpipe_formats::{Container, Error, Recording, open};
use proptest::prelude::*;
use serde_json::Value;
use tempfile::TempDir;

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures/gdf")
        .join(name)
}

fn expected(name: &str) -> Value {
    serde_json::from_str(&std::fs::read_to_string(fixture(name)).unwrap()).unwrap()
}

fn whole(r: &dyn Recording, channel: usize) -> Vec<f64> {
    let mut out = vec![0f64; r.header().channels[channel].n_samples as usize];
    r.read_f64(&[channel], 0, &mut [&mut out]).unwrap();
    out
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs() + 1e-18
}

fn codes(r: &dyn Recording) -> Vec<&'static str> {
    r.header().diagnostics.iter().map(|d| d.code).collect()
}

#[test]
fn packed_files_hold_what_was_planted() {
    let all = expected("planted.json");
    for (name, want) in all.as_object().unwrap() {
        let r = open(&fixture(name)).unwrap();
        let h = r.header();
        assert_eq!(h.container.to_string(), want["container"], "{name}");
        assert_eq!(h.start.as_deref(), want["start"].as_str(), "{name}");
        assert_eq!(h.seconds, want["seconds"].as_f64().unwrap(), "{name}");
        assert_eq!(h.patient.as_deref(), Some("P01 X"));
        assert_eq!(h.recording.as_deref(), Some("a recording"));
        let channels = want["channels"].as_array().unwrap();
        assert_eq!(h.channels.len(), channels.len(), "{name}");
        for (k, c) in channels.iter().enumerate() {
            let found = &h.channels[k];
            let at = format!("{name} {}", found.name);
            assert_eq!(found.name, c["name"].as_str().unwrap());
            assert_eq!(found.unit, c["unit"].as_str().unwrap(), "{at}");
            assert!(close(found.sfreq, c["sfreq"].as_f64().unwrap()), "{at}");
            assert_eq!(found.transducer.as_deref(), Some("AgAgCl"));
            let filters = if h.container == Container::Gdf1 {
                "0.5 - 100 Hz"
            } else {
                "HP:0.5Hz LP:100Hz N:50Hz"
            };
            assert_eq!(found.prefilter.as_deref(), Some(filters));
            let values = c["values"].as_array().unwrap();
            let data = whole(r.as_ref(), k);
            assert_eq!(data.len(), values.len(), "{at}");
            for (i, (x, w)) in data.iter().zip(values).enumerate() {
                match w.as_f64() {
                    Some(w) => assert!(
                        (x - w).abs() <= 1e-12 * (1e3 + w.abs()),
                        "{at} {i}: {x} {w}"
                    ),
                    None => assert!(x.is_nan(), "{at} {i}: {x}"),
                }
            }
            blocks_agree(r.as_ref(), k, &data);
        }
        let events = want["events"].as_array().unwrap();
        assert_eq!(h.annotations.len(), events.len(), "{name}");
        for (a, e) in h.annotations.iter().zip(events) {
            assert!(close(a.onset, e[0].as_f64().unwrap()), "{name} {a:?} {e}");
            assert_eq!(a.duration, e[1].as_f64(), "{name} {a:?}");
            assert_eq!(a.text, e[2].as_str().unwrap(), "{name}");
            assert_eq!(a.channel.as_deref(), e[3].as_str(), "{name}");
        }
        assert!(!h.damaged(), "{name}: {:?}", h.diagnostics);
    }
}

/// Blocks of odd sizes at odd places, as f32 as well.
fn blocks_agree(r: &dyn Recording, channel: usize, data: &[f64]) {
    for (start, len) in [(0, 1), (1, 3), (3, 7), (data.len() / 2, data.len() / 3)] {
        let len = len.min(data.len() - start);
        let (mut double, mut single) = (vec![0f64; len], vec![0f32; len]);
        r.read_f64(&[channel], start as u64, &mut [&mut double])
            .unwrap();
        r.read_f32(&[channel], start as u64, &mut [&mut single])
            .unwrap();
        for k in 0..len {
            let want = data[start + k];
            assert_eq!(double[k].to_bits(), want.to_bits());
            assert_eq!(single[k].to_bits(), (want as f32).to_bits());
        }
    }
}

#[test]
fn runs_lie_between_the_gaps() {
    let r = open(&fixture("frames.gdf")).unwrap();
    let want = [(0, 60), (160, 220), (320, 340)];
    for channel in 0..4 {
        let runs = r.runs(channel);
        let found: Vec<_> = runs
            .iter()
            .map(|r| (r.samples.start, r.samples.end))
            .collect();
        assert_eq!(found, want);
        assert_eq!(runs[1].onset, 160.0 / 250.0);
        // Gap samples are NaN; what one channel or a moment lacks stays in its run.
        let data = whole(r.as_ref(), channel);
        assert!(data[60..160].iter().all(|x| x.is_nan()));
        assert!(data[210..215].iter().all(|x| x.is_nan()));
        assert_eq!(data[190].is_nan(), channel == 1);
    }
    assert!(r.runs(9).is_empty());
    assert_eq!(codes(r.as_ref()), ["duplicate-label", "run-marks"]);
    let r = open(&fixture("types_v2.gdf")).unwrap();
    assert!((0..12).all(|c| r.runs(c).len() == 1));
    assert_eq!(codes(r.as_ref()), ["sparse-channel", "sparse-samples"]);
}

/// One second at two rates, both missing from 0.2 s to 0.6 s.
#[test]
fn slower_channels_keep_the_samples_that_lie_within_a_run() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.gdf");
    let holed = |n: usize, from: usize, to: usize| -> Vec<f64> {
        (0..n)
            .map(|k| {
                if (from..to).contains(&k) {
                    f64::NAN
                } else {
                    k as f64 / n as f64
                }
            })
            .collect()
    };
    let (fast, slow) = (holed(100, 21, 59), holed(10, 3, 5));
    let mut recording = recording(Version::V2, &[]);
    recording.record = (1, 1);
    recording.channels = vec![channel("fast", 100.0, Number::F32, &fast)];
    recording
        .channels
        .push(channel("slow", 10.0, Number::F64, &slow));
    write(&path, &recording).unwrap();
    let r = open(&path).unwrap();
    let spans = |c| r.runs(c).into_iter().map(|r| r.samples).collect::<Vec<_>>();
    assert_eq!(spans(0), [0..21, 59..100]);
    assert_eq!(spans(1), [0..2, 6..10]);
    assert!((r.runs(1)[1].onset - 0.6).abs() < 1e-12);
}

fn channel<'a>(name: &'a str, sfreq: f64, number: Number, samples: &'a [f64]) -> NewChannel<'a> {
    NewChannel {
        name,
        unit: "µV",
        sfreq,
        number,
        physical: (-100.0, 100.0),
        samples,
    }
}

fn recording<'a>(version: Version, events: &'a [Event]) -> NewGdf<'a> {
    NewGdf {
        version,
        start: Start {
            year: 2024,
            month: 2,
            day: 29,
            hour: 23,
            minute: 59,
            second: 58,
        },
        patient: "S01 X",
        recording: "simulated",
        record: (1, 50),
        channels: Vec::new(),
        table: Table::Extended,
        event_sfreq: 50.0,
        events,
    }
}

fn event(sample: u32, code: u16, channel: u16, duration: u32) -> Event {
    Event {
        sample,
        code,
        channel,
        duration,
    }
}

/// The files of the writer that MNE has read: bytes for each fixture's name.
fn ours() -> Vec<(&'static str, Vec<u8>)> {
    let folder = TempDir::new().unwrap();
    let wave = |hz: f64, top: f64| -> Vec<f64> {
        (0..200)
            .map(|k| top * (std::f64::consts::TAU * hz * f64::from(k) / 50.0).sin())
            .collect()
    };
    let (a, mut b) = (wave(3.0, 80.0), wave(1.0, 99.9));
    b[77] = f64::NAN;
    let plain = [event(0, 768, 0, 0), event(120, 769, 0, 0)];
    let extended = [event(3, 768, 0, 40), event(150, 770, 2, 10)];
    let mut v1 = recording(Version::V1, &plain);
    v1.table = Table::Plain;
    v1.record = (1, 1);
    v1.channels = vec![
        channel("C3", 50.0, Number::I16(-32_768, 32_767), &a),
        channel("C4", 50.0, Number::I16(-2048, 2047), &b),
    ];
    let mut v2 = recording(Version::V2, &extended);
    v2.channels = vec![
        channel("C3", 50.0, Number::F32, &a),
        channel("C4", 50.0, Number::F32, &b),
    ];
    [("ours_v1.gdf", v1), ("ours_v2.gdf", v2)]
        .into_iter()
        .map(|(name, recording)| {
            let path = folder.path().join(name);
            write(&path, &recording).unwrap();
            (name, std::fs::read(path).unwrap())
        })
        .collect()
}

#[test]
fn the_writer_makes_the_bytes_that_mne_has_read() {
    if let Some(folder) = std::env::var_os("GDF_FIXTURES_OUT") {
        for (name, bytes) in ours() {
            std::fs::write(Path::new(&folder).join(name), bytes).unwrap();
        }
    }
    for (name, bytes) in ours() {
        assert!(std::fs::read(fixture(name)).unwrap() == bytes, "{name}");
    }
}

#[test]
fn mne_reads_the_same() {
    let all = expected("mne.json");
    for (name, want) in all.as_object().unwrap() {
        let r = open(&fixture(name)).unwrap();
        let h = r.header();
        assert_eq!(h.channels[0].sfreq, want["sfreq"].as_f64().unwrap());
        let start = h.start.as_deref().map(|s| &s[..19]);
        assert_eq!(start, want["meas_date"].as_str(), "{name}");
        let rows = want["data"].as_array().unwrap();
        assert_eq!(rows.len(), h.channels.len());
        for (k, row) in rows.iter().enumerate() {
            let c = &h.channels[k];
            let data = whole(r.as_ref(), k);
            let row = row.as_array().unwrap();
            assert_eq!(data.len(), row.len());
            let volts = c.microvolts().unwrap() * 1e-6;
            let limits = [c.physical_min.unwrap(), c.physical_max.unwrap()];
            for (x, w) in data.iter().zip(row) {
                match w.as_f64() {
                    // MNE gives the limit where the converter was at it; here that is NaN.
                    Some(w) if x.is_nan() => {
                        assert!(limits.iter().any(|l| close(w, l * volts)), "{name} {w}");
                    }
                    Some(w) => assert!(close(x * volts, w), "{name} {x} {w}"),
                    None => assert!(x.is_nan(), "{name} {x}"),
                }
            }
        }
        let onsets: Vec<f64> = h.annotations.iter().map(|a| a.onset).collect();
        let want_onsets = want["onset"].as_array().unwrap();
        assert_eq!(onsets.len(), want_onsets.len(), "{name}");
        for (a, b) in onsets.iter().zip(want_onsets) {
            assert!((a - b.as_f64().unwrap()).abs() < 1e-8, "{name} {a} {b}");
        }
        let texts: Vec<&str> = h.annotations.iter().map(|a| a.text.as_str()).collect();
        let want_texts = want["text"].as_array().unwrap();
        assert!(texts.iter().zip(want_texts).all(|(a, b)| *a == *b));
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.gdf");
    let data = vec![1.0; 100];
    type Spoil<'a> = &'a dyn Fn(&mut NewGdf<'_>);
    let cases: &[(&str, Spoil<'_>)] = &[
        ("channels", &|r| r.channels.clear()),
        ("record duration", &|r| r.record = (0, 1)),
        ("rate of", &|r| r.channels[0].sfreq = 49.0),
        ("samples of", &|r| {
            r.channels[1].samples = &r.channels[1].samples[..50]
        }),
        ("label", &|r| {
            r.channels[0].name = "a label that is too long"
        }),
        ("unit", &|r| r.channels[0].unit = "bananas"),
        ("physical range", &|r| r.channels[0].physical = (1.0, 1.0)),
        ("sample 0", &|r| r.channels[1].physical = (-1.0, 1.0)),
        ("digital range", &|r| {
            r.channels[1].number = Number::I16(0, 3)
        }),
        ("start", &|r| r.start.month = 13),
        ("rate of the events", &|r| r.event_sfreq = f64::NAN),
        ("rate of the events", &|r| {
            r.version = Version::V1;
            r.event_sfreq = 0.5;
        }),
        ("events", &|r| r.table = Table::Plain),
        ("events", &|r| {
            r.events = &[Event {
                sample: u32::MAX,
                code: 1,
                channel: 0,
                duration: 0,
            }]
        }),
        ("physical range", &|r| {
            r.version = Version::V1;
            r.channels[0].physical = (-0.5, 0.5);
        }),
    ];
    let events = [event(1, 769, 1, 1)];
    for (field, spoil) in cases {
        let mut r = recording(Version::V2, &events);
        r.channels = vec![
            channel("a", 50.0, Number::F32, &data),
            channel("b", 50.0, Number::I16(-2048, 2047), &data),
        ];
        write(&path, &r).unwrap();
        spoil(&mut r);
        match write(&path, &r).unwrap_err() {
            Error::Write { field: found, .. } => assert!(found.contains(field), "{found} {field}"),
            other => panic!("{other}"),
        }
    }
    // Nothing is left behind but the file that was written first.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    assert_eq!(open(&path).unwrap().header().annotations.len(), 1);
}

fn any_channel() -> impl Strategy<Value = (u32, Number, Vec<Option<f64>>)> {
    let number = prop_oneof![
        Just(Number::I16(-32_768, 32_767)),
        Just(Number::I16(-100, 2000)),
        Just(Number::F32),
        Just(Number::F64)
    ];
    (1u32..4, number).prop_flat_map(|(factor, number)| {
        let sample = proptest::option::weighted(0.9, -90.0..90.0f64);
        let samples = proptest::collection::vec(sample, 30 * factor as usize);
        (Just(factor), Just(number), samples)
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn what_is_written_is_read_back(
        channels in proptest::collection::vec(any_channel(), 1..5),
        events in proptest::collection::vec((0u32..1000, any::<u16>(), 0u16..3, 0u32..50), 0..20),
        v2 in any::<bool>(),
        per_record in prop_oneof![Just(1u32), Just(3), Just(10)],
    ) {
        let folder = TempDir::new().unwrap();
        let path = folder.path().join("x.gdf");
        let events: Vec<Event> = events.into_iter().map(|(s, c, n, d)| event(s, c, n, d)).collect();
        let data: Vec<Vec<f64>> = channels
            .iter()
            .map(|(_, _, samples)| samples.iter().map(|x| x.unwrap_or(f64::NAN)).collect())
            .collect();
        let version = if v2 { Version::V2 } else { Version::V1 };
        let mut new = recording(version, &events);
        new.record = (per_record, 50);
        new.channels = channels
            .iter()
            .zip(&data)
            .map(|((factor, number, _), samples)| channel("c", 50.0 * f64::from(*factor), *number, samples))
            .collect();
        write(&path, &new).unwrap();
        let r = open(&path).unwrap();
        let h = r.header();
        prop_assert_eq!(h.container, if v2 { Container::Gdf2 } else { Container::Gdf1 });
        prop_assert_eq!(h.start.as_deref(), Some("2024-02-29T23:59:58"));
        for (k, (factor, number, _)) in channels.iter().enumerate() {
            prop_assert_eq!(h.channels[k].sfreq, 50.0 * f64::from(*factor));
            let step = match number {
                Number::I16(min, max) => 200.0 / (f64::from(*max) - f64::from(*min)),
                Number::F32 => 1e-5,
                Number::F64 => 0.0,
            };
            for (x, w) in whole(r.as_ref(), k).iter().zip(&data[k]) {
                prop_assert!(x.is_nan() == w.is_nan() && (w.is_nan() || (x - w).abs() <= 0.501 * step));
            }
            for run in r.runs(k) {
                prop_assert!(run.samples.start <= run.samples.end && run.samples.end <= data[k].len() as u64);
            }
        }
        let mut sorted = events.clone();
        sorted.sort_by_key(|e| e.sample);
        prop_assert_eq!(h.annotations.len(), sorted.len());
        for (a, e) in h.annotations.iter().zip(&sorted) {
            prop_assert_eq!(a.onset, f64::from(e.sample) / 50.0);
            prop_assert_eq!(a.duration, Some(f64::from(e.duration) / 50.0));
            prop_assert_eq!(&a.text, &e.code.to_string());
            let named = e.channel > 0 && usize::from(e.channel) <= channels.len();
            prop_assert_eq!(a.channel.is_some(), named);
        }
    }
}
