//! Every EDF, BDF, GDF and BrainVision file that MNE-Python 1.13.2 has read for
//! `reference_values.json` is read here as well and must agree: names, units, rate, length,
//! first five samples, mean, standard deviation, annotations, date.
//!
//! Where MNE and this crate differ on purpose, the difference stands in `EXPLAINED` with its
//! reason. The test fails on a difference that is not there, and on an explanation that no
//! difference needs any more.

mod common;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::path::Path;

use mmpipe_formats::{Container, Recording};
use serde_json::Value;
use sha2::{Digest, Sha256};

/// (end of the file's path, fields, channels or "" for the file, reason)
type Explanation = (
    &'static str,
    &'static [&'static str],
    &'static [&'static str],
    &'static str,
);

const VALUES: &[&str] = &["first5", "mean", "std"];
const SLOW: &str = "MNE resamples slower channels to the fastest rate; here each keeps its own";
const UNIT: &str = "MNE knows no such unit and says n/a; the file's own word is kept here";
const STIM: &str = "MNE takes the digital values of trigger channels, keeps their low 17 bits in \
                    BDF and does not scale them to volts; here they are calibrated like any other";
const FRACTION: &str = "EDF+ starts its first record a fraction of a second after the header's \
                        time; MNE drops the fraction, here it is part of the start";
const NO_UNITS: &str = "MNE keeps no unit of a GDF 1 file; here it is the file's";
const MICRO: &str = "MNE knows 'uV' in a GDF 1 file but not the micro sign that this one has, so its \
                     microvolts pass for volts; here they are microvolts";
const SIEMENS: &str = "MNE scales microsiemens to siemens; only voltages are known here";

const EXPLAINED: &[Explanation] = &[
    (
        "edf-jl/test_merged.edf",
        &["mean", "std"],
        &["Status"],
        STIM,
    ),
    (
        "edf-jl/test_uneven_samp.edf",
        &["slow"],
        &["0.2Hz Blk 1/0uV"],
        SLOW,
    ),
    (
        "t310_ERDSMaps/sample.gdf",
        &["unit"],
        GDF_CHANNELS,
        NO_UNITS,
    ),
    ("t310_ERDSMaps/sample.gdf", VALUES, GDF_CHANNELS, MICRO),
    (
        "openvibe/neurofeedback.gdf",
        &["unit"],
        &["Reference", "Cz"],
        NO_UNITS,
    ),
    ("edfio/mne_test.bdf", VALUES, &["Status"], STIM),
    ("edfio/mne_test.edf", VALUES, &["Status"], STIM),
    ("edfio/short_psg.bdf", &["slow"], PSG_SLOW, SLOW),
    ("edfio/short_psg.bdf", &["unit"], &["Temp rectal"], UNIT),
    ("edfio/short_psg.edf", &["slow"], PSG_SLOW, SLOW),
    ("edfio/short_psg.edf", &["unit"], &["Temp rectal"], UNIT),
    ("edfio/test_subsecond.bdf", &["meas_date"], &[""], FRACTION),
    ("edfio/test_subsecond.edf", &["meas_date"], &[""], FRACTION),
    (
        "eeglab-sample/test_data/test.bdf",
        &["unit"],
        &["Status"],
        UNIT,
    ),
    (
        "eeglab-sample/test_data/test.bdf",
        &["first5", "mean"],
        &["Status"],
        STIM,
    ),
    (
        "brainvision/tests/data/test.vhdr",
        &["unit"],
        BV_UNITS,
        UNIT,
    ),
    (
        "brainvision/tests/data/test.vhdr",
        VALUES,
        &["CP6", "HR"],
        SIEMENS,
    ),
    (
        "data/test_partially_disabled_hw_filter.vhdr",
        &["unit"],
        BV_UNITS,
        UNIT,
    ),
    (
        "data/test_partially_disabled_hw_filter.vhdr",
        VALUES,
        &["CP6", "HR"],
        SIEMENS,
    ),
    ("data/test_units.vhdr", &["unit"], BV_UNITS, UNIT),
    ("data/test_units.vhdr", VALUES, &["CP6", "HR"], SIEMENS),
    ("edf/tests/data/test.bdf", &["unit"], &["Status"], UNIT),
    (
        "edf/tests/data/test.bdf",
        &["first5", "mean"],
        &["Status"],
        STIM,
    ),
    ("edf/tests/data/test.edf", VALUES, &["Status"], STIM),
    ("data/test_bdf_stim_channel.bdf", VALUES, &["Status"], STIM),
    (
        "data/test_stim_channel.edf",
        VALUES,
        &["stAtUs", "tRigGer"],
        STIM,
    ),
    (
        "edf/tests/data/test_uneven_samp.edf",
        &["slow"],
        &["0.2Hz Blk 1/0uV"],
        SLOW,
    ),
    (
        "naplib/tests/io/tiny_test.edf",
        &["unit"],
        &["OSAT", "PR"],
        UNIT,
    ),
    (
        "data/test_generator.bdf",
        &["slow"],
        &["square 13Hz", "ramp 7Hz", "pink noise", "white noise"],
        SLOW,
    ),
    (
        "data/test_generator_datarec_generator_0_5.bdf",
        &["slow"],
        &["square 26Hz", "ramp 14Hz", "pink noise", "white noise"],
        SLOW,
    ),
    (
        "data/test_generator_datarec_generator_2.bdf",
        &["slow"],
        &["square 6.5Hz", "ramp 3.5Hz", "pink noise", "white noise"],
        SLOW,
    ),
    (
        "pyedflib/tests/data/test_subsecond.edf",
        &["meas_date"],
        &[""],
        FRACTION,
    ),
    (
        "pyedflib/tests/data/test_utf8.edf",
        &["meas_date"],
        &[""],
        FRACTION,
    ),
];

const PSG_SLOW: &[&str] = &[
    "Resp oro-nasal",
    "EMG submental",
    "Temp rectal",
    "Event marker",
];
const GDF_CHANNELS: &[&str] = &["Channel 1", "Channel 2", "Channel 3", "Channel 5"];
const BV_UNITS: &[&str] = &["CP5", "HL", "HR"];

struct Difference {
    field: &'static str,
    channel: String,
    ours: String,
    theirs: String,
}

#[test]
fn every_file_agrees_with_mne_or_is_explained() {
    let Some(real) = common::real() else { return };
    let text = std::fs::read_to_string(real.join("reference_values.json")).unwrap();
    let json: Value = serde_json::from_str(&text).unwrap();
    let files = json["files"].as_object().unwrap();
    let mut used = BTreeSet::new();
    let mut report = String::new();
    let mut compared = 0;
    for (name, want) in files {
        let ours = [".edf", ".bdf", ".gdf", ".vhdr"]
            .iter()
            .any(|e| name.ends_with(e));
        if !ours || want.get("sfreq").is_none() {
            continue;
        }
        let path = real.join(name);
        if !path.is_file() {
            writeln!(report, "{name}: in reference_values.json but not on disk").unwrap();
            continue;
        }
        compared += 1;
        let sum = Sha256::digest(std::fs::read(&path).unwrap());
        let sum: String = sum.iter().map(|b| format!("{b:02x}")).collect();
        assert_eq!(
            sum,
            want["sha256"].as_str().unwrap(),
            "{name} is another file"
        );
        for d in differences(&path, want) {
            let explained = EXPLAINED.iter().position(|(file, fields, channels, _)| {
                name.ends_with(file)
                    && fields.contains(&d.field)
                    && channels.contains(&d.channel.as_str())
            });
            match explained {
                Some(i) => {
                    used.insert((i, d.field, d.channel));
                }
                None => writeln!(
                    report,
                    "{name}: {} {:?}: ours {}, MNE {}",
                    d.field, d.channel, d.ours, d.theirs
                )
                .unwrap(),
            }
        }
    }
    for (i, (file, fields, channels, _)) in EXPLAINED.iter().enumerate() {
        for field in *fields {
            for channel in *channels {
                if !used.contains(&(i, *field, (*channel).to_owned())) {
                    writeln!(
                        report,
                        "explained but not different: {file} {field} {channel:?}"
                    )
                    .unwrap();
                }
            }
        }
    }
    assert!(compared >= 60, "only {compared} files compared");
    assert!(report.is_empty(), "\n{report}");
}

fn differences(path: &Path, want: &Value) -> Vec<Difference> {
    let recording = match mmpipe_formats::open(path) {
        Ok(recording) => recording,
        Err(error) => {
            return vec![Difference {
                field: "open",
                channel: String::new(),
                ours: error.to_string(),
                theirs: "opens".into(),
            }];
        }
    };
    let header = recording.header();
    let mut out = Vec::new();
    let mut push = |field, channel: &str, ours: String, theirs: String| {
        out.push(Difference {
            field,
            channel: channel.to_owned(),
            ours,
            theirs,
        });
    };
    if header.damaged() {
        push(
            "damaged",
            "",
            format!("{:?}", header.diagnostics),
            "reads".into(),
        );
    }
    let names = renamed(header.channels.iter().map(|c| c.name.as_str()));
    let want_names = strings(&want["ch_names"]);
    for name in &names {
        if !want_names.contains(name) {
            push("ch_names", name, "has it".into(), "has not".into());
        }
    }
    let fastest = header.channels.iter().map(|c| c.sfreq).fold(0.0, f64::max);
    let longest = header
        .channels
        .iter()
        .map(|c| c.n_samples)
        .max()
        .unwrap_or(0);
    if !close(fastest, want["sfreq"].as_f64().unwrap(), 1e-9, 0.0) {
        push("sfreq", "", fastest.to_string(), want["sfreq"].to_string());
    }
    if longest as f64 != want["n_times"].as_f64().unwrap() {
        push(
            "n_times",
            "",
            longest.to_string(),
            want["n_times"].to_string(),
        );
    }
    for (k, name) in want_names.iter().enumerate() {
        let Some(i) = names.iter().position(|n| n == name) else {
            push("ch_names", name, "has not".into(), "has it".into());
            continue;
        };
        let channel = &header.channels[i];
        let unit = want["orig_units"][name].as_str().unwrap_or("n/a");
        let mine = if channel.unit.is_empty() {
            "n/a"
        } else {
            &channel.unit
        };
        if mine != unit {
            push("unit", name, mine.into(), unit.into());
        }
        if channel.sfreq != fastest {
            push("slow", name, channel.sfreq.to_string(), fastest.to_string());
            // Resampling keeps the mean.
            let scale = channel.microvolts().unwrap_or(1e6) * 1e-6;
            let data = whole(recording.as_ref(), i);
            let mean = scale * data.iter().sum::<f64>() / data.len() as f64;
            let want_mean = want["mean"][k].as_f64().unwrap();
            let want_std = want["std"][k].as_f64().unwrap();
            if !close(mean, want_mean, 1e-3, 2e-3 * want_std) {
                push("mean", name, mean.to_string(), want_mean.to_string());
            }
            continue;
        }
        // MNE gives volts where it knows the unit.
        let scale = channel.microvolts().unwrap_or(1e6) * 1e-6;
        let mut data = whole(recording.as_ref(), i);
        let mut single = vec![0f32; data.len()];
        recording.read_f32(&[i], 0, &mut [&mut single]).unwrap();
        assert!(
            data.iter().zip(&single).all(|(d, s)| *d as f32 == *s),
            "{name}: f32 is not f64 rounded"
        );
        data.iter_mut().for_each(|x| *x *= scale);
        let n = data.len() as f64;
        let mean = data.iter().sum::<f64>() / n;
        let std = (data.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n).sqrt();
        let size = data.iter().fold(0.0f64, |m, x| m.max(x.abs()));
        // The reference stores nine digits.
        let (rel, abs) = (2e-8, 1e-8 * size);
        let first: Vec<f64> = floats(&want["first5"][k]);
        if first.len() > data.len()
            || first
                .iter()
                .zip(&data)
                .any(|(w, d)| !close(*d, *w, rel, abs))
        {
            push(
                "first5",
                name,
                format!("{:?}", &data[..5.min(data.len())]),
                format!("{first:?}"),
            );
        }
        let want_mean = want["mean"][k].as_f64().unwrap();
        if !close(mean, want_mean, 1e-6, abs) {
            push("mean", name, mean.to_string(), want_mean.to_string());
        }
        let want_std = want["std"][k].as_f64().unwrap();
        if !close(std, want_std, 1e-6, abs) {
            push("std", name, std.to_string(), want_std.to_string());
        }
    }
    let (ours, theirs) = (annotations(recording.as_ref()), want_annotations(want));
    if ours.0 != theirs.0 {
        push(
            "ann",
            "",
            format!("{:?}", ours.0),
            format!("{:?}", theirs.0),
        );
    }
    let same_onsets = ours.1.len().min(40) == theirs.1.len()
        && ours
            .1
            .iter()
            .zip(&theirs.1)
            .all(|(a, b)| (a - b).abs() < 2e-6);
    if !same_onsets {
        push(
            "ann_onset",
            "",
            format!("{:?}", ours.1),
            format!("{:?}", theirs.1),
        );
    }
    let date = want["meas_date"]
        .as_str()
        .filter(|d| *d != "None")
        .map(|d| d.trim_end_matches("+00:00").replace(' ', "T"));
    if header.start != date {
        push(
            "meas_date",
            "",
            format!("{:?}", header.start),
            format!("{date:?}"),
        );
    }
    out
}

fn whole(recording: &dyn Recording, channel: usize) -> Vec<f64> {
    let mut data = vec![0f64; recording.header().channels[channel].n_samples as usize];
    recording.read_f64(&[channel], 0, &mut [&mut data]).unwrap();
    data
}

/// MNE numbers duplicate names: the first gets "-0", the next "-1".
fn renamed<'a>(names: impl Iterator<Item = &'a str> + Clone) -> Vec<String> {
    let mut total = BTreeMap::<&str, usize>::new();
    names
        .clone()
        .for_each(|n| *total.entry(n).or_default() += 1);
    let mut seen = BTreeMap::<&str, usize>::new();
    names
        .map(|n| {
            let k = seen.entry(n).or_default();
            *k += 1;
            if total[n] > 1 {
                format!("{n}-{}", *k - 1)
            } else {
                n.to_owned()
            }
        })
        .collect()
}

/// MNE leaves markers beyond the last sample out (BrainVision).
fn annotations(recording: &dyn Recording) -> (BTreeMap<String, u64>, Vec<f64>) {
    let header = recording.header();
    let inside = |onset: f64| header.container != Container::BrainVision || onset < header.seconds;
    let mut counts = BTreeMap::new();
    let mut onsets = Vec::new();
    for a in header.annotations.iter().filter(|a| inside(a.onset)) {
        *counts.entry(a.text.clone()).or_default() += 1;
        onsets.push(a.onset);
    }
    (counts, onsets)
}

fn want_annotations(want: &Value) -> (BTreeMap<String, u64>, Vec<f64>) {
    let counts = want["ann"].as_object().unwrap();
    let counts = counts
        .iter()
        .map(|(k, v)| (k.clone(), v.as_u64().unwrap()))
        .collect();
    (counts, floats(&want["ann_onset"]))
}

fn close(a: f64, b: f64, rel: f64, abs: f64) -> bool {
    (a - b).abs() <= rel * b.abs() + abs
}

fn floats(v: &Value) -> Vec<f64> {
    v.as_array()
        .map(|a| a.iter().filter_map(Value::as_f64).collect())
        .unwrap_or_default()
}

fn strings(v: &Value) -> Vec<String> {
    v.as_array()
        .unwrap()
        .iter()
        .map(|s| s.as_str().unwrap().to_owned())
        .collect()
}
