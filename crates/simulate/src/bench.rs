//! Large recordings for measurements of speed. The content is coloured noise; nothing is planted.

use crate::files::Staging;
use crate::noise::coloured;
use crate::random::{Random, stream};
use crate::{Error, Result};
use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf};
use rand::Rng;
use serde_json::json;
use std::path::Path;

/// Names in the order of the BioSemi 64 cap; channels beyond are not needed by any measurement.
#[rustfmt::skip]
const NAMES: [&str; 64] = [
    "Fp1", "AF7", "AF3", "F1", "F3", "F5", "F7", "FT7", "FC5", "FC3", "FC1", "C1", "C3", "C5",
    "T7", "TP7", "CP5", "CP3", "CP1", "P1", "P3", "P5", "P7", "P9", "PO7", "PO3", "O1", "Iz",
    "Oz", "POz", "Pz", "CPz", "Fpz", "Fp2", "AF8", "AF4", "AFz", "Fz", "F2", "F4", "F6", "F8",
    "FT8", "FC6", "FC4", "FC2", "FCz", "Cz", "C2", "C4", "C6", "T8", "TP8", "CP6", "CP4", "CP2",
    "P2", "P4", "P6", "P8", "P10", "PO8", "PO4", "O2",
];

/// Writes one EDF file of `channels` (1 to 64) signals at `sfreq` Hz (a whole number), `seconds`
/// long. `out` is the file; it must not exist.
///
/// # Errors
/// A setting out of range, a file that exists, or a file system that refuses.
pub fn bench_recording(out: &Path, channels: usize, sfreq: f64, seconds: usize) -> Result<()> {
    write(out, channels, sfreq, seconds, 0)
}

/// Writes a BIDS folder of `files` such recordings, one subject each, to `out`, which must not
/// exist or be empty.
///
/// # Errors
/// As [`bench_recording`].
pub fn bench_bids(
    out: &Path,
    files: usize,
    channels: usize,
    sfreq: f64,
    seconds: usize,
) -> Result<()> {
    let staging = Staging::new(out)?;
    staging.json(
        "dataset_description.json",
        &json!({"Name": "mmpipe bench (noise)", "BIDSVersion": "1.10.0", "DatasetType": "raw"}),
    )?;
    for k in 0..files {
        let subject = format!("{:02}", k + 1);
        let stem = format!("sub-{subject}/eeg/sub-{subject}_task-rest_eeg");
        write(
            &staging.path(&format!("{stem}.edf"))?,
            channels,
            sfreq,
            seconds,
            k,
        )?;
        staging.json(
            &format!("{stem}.json"),
            &json!({"TaskName": "rest", "SamplingFrequency": sfreq, "PowerLineFrequency": 50,
                    "EEGReference": "n/a", "SoftwareFilters": "n/a"}),
        )?;
    }
    staging.commit()
}

fn write(path: &Path, channels: usize, sfreq: f64, seconds: usize, index: usize) -> Result<()> {
    if !(1..=NAMES.len()).contains(&channels) {
        return Err(Error::config("channels", "1 to 64", channels));
    }
    if !(1.0..=16_384.0).contains(&sfreq) || sfreq.fract() != 0.0 {
        return Err(Error::config(
            "sfreq",
            "a whole number from 1 to 16384",
            sfreq,
        ));
    }
    if !(1..=86_400).contains(&seconds) {
        return Err(Error::config("seconds", "1 to 86400", seconds));
    }
    if path.exists() {
        return Err(Error::Exists {
            path: path.to_path_buf(),
        });
    }
    // A pool of half a minute, from which every channel takes blocks at random: as hard to filter
    // and to compress as fresh noise, at a fraction of the time to make.
    let second = sfreq as usize;
    let mut rng = stream(0, "bench", &[index]);
    let mut pool = coloured(&mut rng, 32 * second, sfreq, 1.0, 0.5);
    pool.iter_mut().for_each(|v| *v *= 20.0);
    let samples: Vec<Vec<f64>> = (0..channels)
        .map(|_| blocks(&mut rng, &pool, second, seconds))
        .collect();
    let recording = NewRecording {
        start: Start::default(),
        patient: &format!("bench-{index:02}"),
        recording: "mmpipe-simulate",
        signals: NAMES
            .iter()
            .zip(&samples)
            .map(|(name, samples)| NewSignal {
                name,
                unit: "uV",
                sfreq,
                prefilter: "",
                transducer: "",
                physical_range: Some((-3276.7, 3276.7)),
                samples,
            })
            .collect(),
        annotations: &[],
    };
    Ok(edf::write(path, &recording)?)
}

fn blocks(rng: &mut Random, pool: &[f64], second: usize, seconds: usize) -> Vec<f64> {
    let mut out = Vec::with_capacity(seconds * second);
    for _ in 0..seconds {
        let start = rng.random_range(0..=pool.len() - second);
        out.extend_from_slice(&pool[start..start + second]);
    }
    out
}
