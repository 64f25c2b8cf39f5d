//! A small raw folder, written with the formats crate, and the scan of it, made by hand so that
//! these tests hold the lake against the contract and not against another crate's reading.
#![allow(missing_docs, unreachable_pub)]

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    Array, ArrayRef, AsArray, BooleanArray, Float32Array, Float64Array, Int32Array, Int64Array,
    RecordBatch, StringArray,
};
use arrow::datatypes::{DataType, Field, Float32Type, Float64Type, Schema};
use mmpipe_corpora::Scan;
use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf, wav};
use mmpipe_lake::{IngestReport, IngestRequest, Lake, ingest};
use mmpipe_signal::recipe::Recipe;

/// One file of the raw folder.
#[derive(Clone)]
pub struct File {
    pub path: String,
    pub subject: String,
    pub run: Option<String>,
    pub status: &'static str,
    pub reason: Option<String>,
    pub seconds: f64,
    pub channels: Vec<Channel>,
}

#[derive(Clone)]
pub struct Channel {
    pub name: &'static str,
    pub canonical: Option<&'static str>,
    pub unit: &'static str,
    pub factor: Option<f64>,
    pub sfreq: f64,
}

pub fn eeg(name: &'static str, sfreq: f64) -> Channel {
    Channel {
        name,
        canonical: Some(name),
        unit: "uV",
        factor: Some(1.0),
        sfreq,
    }
}

/// Deterministic noise around 30 µV with some rhythm.
pub fn signal(seed: u64, sfreq: f64, seconds: f64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..(sfreq * seconds).round() as usize)
        .map(|i| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            let noise = (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
            let t = i as f64 / sfreq;
            40.0 * noise + 20.0 * (2.0 * std::f64::consts::PI * 10.0 * t).sin()
        })
        .collect()
}

/// Writes a file's samples.
pub fn write_edf(raw: &Path, file: &File, seed: u64) {
    let path = raw.join(&file.path);
    std::fs::create_dir_all(path.parent().unwrap()).unwrap();
    let samples: Vec<Vec<f64>> = file
        .channels
        .iter()
        .enumerate()
        .map(|(k, c)| signal(seed * 100 + k as u64 + 1, c.sfreq, file.seconds))
        .collect();
    let signals = file
        .channels
        .iter()
        .zip(&samples)
        .map(|(c, samples)| NewSignal {
            name: c.name,
            unit: c.unit,
            sfreq: c.sfreq,
            prefilter: "",
            transducer: "",
            physical_range: Some((-100.0, 100.0)),
            samples,
        })
        .collect();
    let recording = NewRecording {
        start: Start {
            year: 2020,
            month: 1,
            day: 2,
            hour: 3,
            minute: 4,
            second: 5,
        },
        patient: "X",
        recording: "X",
        signals,
        annotations: &[],
    };
    edf::write(&path, &recording).unwrap();
}

pub fn file(path: &str, subject: &str, run: &str, seconds: f64) -> File {
    File {
        path: path.into(),
        subject: subject.into(),
        run: Some(run.into()),
        status: "ok",
        reason: None,
        seconds,
        channels: ["Fp1", "Fp2", "C3", "C4", "O1"]
            .map(|n| eeg(n, 256.0))
            .to_vec(),
    }
}

/// The scan of `files`; `trials` is the manifest's query.
pub fn scan(raw: &Path, files: &[File], trials: &str) -> Scan {
    let text = |f: &dyn Fn(&File) -> Option<String>| -> ArrayRef {
        Arc::new(StringArray::from_iter(files.iter().map(f)))
    };
    let utf8 = |n: &str| Field::new(n, DataType::Utf8, true);
    let schema = Schema::new(vec![
        utf8("path"),
        utf8("subject"),
        utf8("session"),
        utf8("run"),
        utf8("container"),
        Field::new("bytes", DataType::Int64, true),
        Field::new("sfreq", DataType::Float64, true),
        Field::new("n_channels", DataType::Int32, true),
        Field::new("seconds", DataType::Float64, true),
        utf8("status"),
        utf8("reason"),
    ]);
    let bytes = |f: &File| std::fs::metadata(raw.join(&f.path)).map_or(0, |m| m.len() as i64);
    let table = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            text(&|f| Some(f.path.clone())),
            text(&|f| (f.status != "ignored").then(|| f.subject.clone())),
            text(&|_| None),
            text(&|f| f.run.clone()),
            text(&|_| Some("EDF+C".into())),
            Arc::new(Int64Array::from_iter_values(files.iter().map(bytes))),
            Arc::new(Float64Array::from_iter_values(files.iter().map(|_| 256.0))),
            Arc::new(Int32Array::from_iter_values(
                files.iter().map(|f| f.channels.len() as i32),
            )),
            Arc::new(Float64Array::from_iter_values(
                files.iter().map(|f| f.seconds),
            )),
            text(&|f| Some(f.status.into())),
            text(&|f| f.reason.clone()),
        ],
    )
    .unwrap();

    let rows: Vec<(&str, usize, &Channel)> = files
        .iter()
        .filter(|f| f.status == "ok")
        .flat_map(|f| {
            f.channels
                .iter()
                .enumerate()
                .map(|(k, c)| (f.path.as_str(), k, c))
        })
        .collect();
    let text = |f: &dyn Fn(&Channel) -> Option<&'static str>| -> ArrayRef {
        Arc::new(StringArray::from_iter(rows.iter().map(|(_, _, c)| f(c))))
    };
    let schema = Schema::new(vec![
        utf8("path"),
        Field::new("channel", DataType::Int32, true),
        utf8("raw_name"),
        utf8("kind"),
        utf8("name"),
        utf8("unit"),
        Field::new("to_microvolts", DataType::Float64, true),
        Field::new("sfreq", DataType::Float64, true),
        Field::new("keep", DataType::Boolean, true),
        utf8("reason"),
        Field::new("x", DataType::Float32, true),
    ]);
    let channels = RecordBatch::try_new(
        Arc::new(schema),
        vec![
            Arc::new(StringArray::from_iter_values(
                rows.iter().map(|(p, _, _)| *p),
            )),
            Arc::new(Int32Array::from_iter_values(
                rows.iter().map(|(_, k, _)| *k as i32),
            )),
            text(&|c| Some(c.name)),
            text(&|c| {
                Some(match (c.canonical, c.name) {
                    (Some(_), _) => "eeg",
                    (None, "AUD") => "audio",
                    (None, _) => "misc",
                })
            }),
            text(&|c| c.canonical),
            text(&|c| Some(c.unit)),
            Arc::new(Float64Array::from_iter(
                rows.iter().map(|(_, _, c)| c.factor),
            )),
            Arc::new(Float64Array::from_iter_values(
                rows.iter().map(|(_, _, c)| c.sfreq),
            )),
            Arc::new(BooleanArray::from_iter(
                rows.iter().map(|(_, _, c)| Some(c.canonical.is_some())),
            )),
            text(&|c| c.canonical.is_none().then_some("not an electrode")),
            Arc::new(Float32Array::from_iter(rows.iter().map(|_| None::<f32>))),
        ],
    )
    .unwrap();
    Scan {
        dataset: "Mini".into(),
        tables: vec![("files".into(), table), ("channels".into(), channels)],
        trials_sql: trials.into(),
        ..Scan::default()
    }
}

/// One trial a file, of the whole recording.
pub const WHOLE: &str = "SELECT path, 0 AS trial, CAST(NULL AS DOUBLE) AS start, CAST(NULL AS DOUBLE) AS stop, \
     CAST(run AS INT) AS label, 'run ' || run AS label_name FROM files WHERE status = 'ok'";

pub fn request(scan: Scan, raw: &Path) -> IngestRequest {
    IngestRequest {
        scan,
        raw: raw.into(),
        recipe: Recipe::builtin("mindmix").unwrap(),
        threads: 1,
        dry_run: false,
        ahead: Arc::default(),
    }
}

pub fn run(lake: &Lake, request: IngestRequest) -> mmpipe_lake::Result<IngestReport> {
    runtime().block_on(ingest(lake, request, &()))
}

pub fn runtime() -> tokio::runtime::Runtime {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .unwrap()
}

/// Three recordings of two subjects on disk.
pub fn raw_folder(dir: &Path) -> Vec<File> {
    let files = vec![
        file("s1/a.edf", "1", "1", 21.0),
        file("s1/b.edf", "1", "2", 9.0),
        file("s2/a.edf", "2", "1", 12.0),
    ];
    for (seed, f) in files.iter().enumerate() {
        write_edf(dir, f, seed as u64);
    }
    files
}

pub fn query(lake: &Lake, sql: &str) -> String {
    let batches = runtime().block_on(lake.query(sql)).unwrap();
    arrow::util::pretty::pretty_format_batches(&batches)
        .unwrap()
        .to_string()
}

/// Every file of the lake and its bytes.
pub fn contents(lake: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut out = Vec::new();
    let mut open = vec![lake.to_path_buf()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                open.push(path);
            } else {
                out.push((
                    path.strip_prefix(lake).unwrap().to_path_buf(),
                    std::fs::read(&path).unwrap(),
                ));
            }
        }
    }
    out.sort();
    out
}

pub fn write_wav(raw: &Path, path: &str, seconds: f64) {
    write_talkers(raw, path, &[7], seconds);
}

/// What a channel made from `seed` holds at 16 kHz.
pub fn talker(seed: u64, seconds: f64) -> Vec<f32> {
    let x = signal(seed, 16_000.0, seconds);
    x.iter().map(|v| (*v / 100.0) as f32).collect()
}

/// A sound file with a channel a seed.
pub fn write_talkers(raw: &Path, path: &str, seeds: &[u64], seconds: f64) {
    let target = raw.join(path);
    std::fs::create_dir_all(target.parent().unwrap()).unwrap();
    let samples: Vec<Vec<f32>> = seeds.iter().map(|&s| talker(s, seconds)).collect();
    let channels: Vec<&[f32]> = samples.iter().map(Vec::as_slice).collect();
    wav::write(&target, 16_000, &channels, wav::Sample::Float32).unwrap();
}

/// The stored epochs of the answer in its order: onset, and a channel's samples each.
pub fn stored(lake: &Lake, sql: &str) -> Vec<(f64, Vec<Vec<f32>>)> {
    let mut out = Vec::new();
    for batch in runtime().block_on(lake.query(sql)).unwrap() {
        let onsets = batch.column_by_name("onset").unwrap();
        let onsets = onsets.as_primitive::<Float64Type>();
        let eeg = batch.column_by_name("eeg").unwrap().as_list::<i32>();
        for row in 0..batch.num_rows() {
            let channels = eeg.value(row);
            let channels = channels.as_fixed_size_list();
            let one = |c| {
                let x = channels.value(c);
                x.as_primitive::<Float32Type>().values().to_vec()
            };
            out.push((onsets.value(row), (0..channels.len()).map(one).collect()));
        }
    }
    out
}

/// What an epoch of two seconds at `onset` must hold, from the raw samples of all channels.
pub fn expected(sfreq: f64, raw: &[Vec<f64>], onset: f64) -> Vec<Vec<f32>> {
    let recipe = Recipe::builtin("mindmix").unwrap();
    let clean = mmpipe_signal::pipeline::condition(&recipe, sfreq, raw.to_vec()).unwrap();
    let first = (onset * 200.0).round() as usize;
    let cut = |x: &Vec<f64>| {
        let mut x = x[first..first + 400].to_vec();
        mmpipe_signal::epochs::zscore(&mut x);
        x.into_iter().map(|v| v as f32).collect()
    };
    clean.iter().map(cut).collect()
}
