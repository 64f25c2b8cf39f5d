//! The MATLAB files of the first release.

use super::{BEFORE, SFREQ, Word};
use crate::files::Staging;
use crate::listening::PlantedHearing;
use crate::{Error, Result};
use mmpipe_trees::write::{Value, write_mat5};

/// `S01.mat`: the struct `raw`.
pub(super) fn write(staging: &Staging, made: &PlantedHearing) -> Result<()> {
    let session = &made.session;
    let (n, channels) = (session.runs[0].1, session.labels.len());
    let labels = || {
        let texts = session.labels.iter().map(Value::text);
        Value::Cell(vec![channels as u64, 1], texts.collect())
    };
    let number = |x: usize| Value::scalar(x as f64);
    // Channels × samples: a sample's channels follow each other.
    let values = (0..n).flat_map(|i| session.samples.iter().map(move |x| x[i]));
    let trial = Value::array(&[channels as u64, n as u64], values.collect::<Vec<f64>>());
    let raw = Value::record([
        (
            "hdr",
            Value::record([
                ("Fs", number(SFREQ)),
                ("nChans", number(channels)),
                ("nSamples", number(n)),
                ("label", labels()),
                ("chanunit", Value::texts(vec!["uV"; channels])),
            ]),
        ),
        ("label", labels()),
        ("trial", Value::cells([trial])),
        ("fsample", number(SFREQ)),
        ("sampleinfo", Value::row(vec![1.0, n as f64])),
    ]);
    write_mat5(&staging.path(&session.path)?, &[("raw", raw)], true).map_err(Error::from)
}

/// `proc/S01.mat`: a row a word.
pub(super) fn write_times(staging: &Staging, name: &str, words: &[Word]) -> Result<()> {
    let mut trl: Vec<f64> = Vec::new();
    trl.extend(words.iter().map(|w| w.sample - BEFORE));
    trl.extend(words.iter().map(|w| w.sample + 500.0));
    trl.extend(words.iter().map(|_| -BEFORE));
    trl.extend(words.iter().map(|w| w.segment as f64));
    trl.extend(words.iter().map(|w| w.tmin));
    trl.extend(words.iter().map(|w| w.order as f64));
    let proc = Value::record([
        ("subject", Value::text(name)),
        ("trl", Value::array(&[words.len() as u64, 6], trl)),
        ("varnames", Value::texts(["segment", "tmin", "Order"])),
        ("implicitref", Value::text("29")),
        ("tot_trials", Value::scalar(words.len() as f64)),
        ("tot_chans", Value::scalar(61.0)),
    ]);
    let path = staging.path(&format!("proc/{name}.mat"))?;
    write_mat5(&path, &[("proc", proc)], true).map_err(Error::from)
}
