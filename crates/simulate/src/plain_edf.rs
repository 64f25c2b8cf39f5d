//! EDF as old recorders wrote it, byte by byte after the specification: without annotations,
//! with digital ranges and rates of each signal's own, and with the faults of real files.
//!
//! `mmpipe_formats::write` makes whole EDF+C files only; none of what is planted here can be
//! said to it.

use std::path::Path;

use serde::Serialize;

use crate::{Error, Result};

/// What was planted in a corpus of plain EDF files.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlainCorpus {
    /// The recordings, by path.
    pub recordings: Vec<PlainRecording>,
}

/// One recording and what is true of it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlainRecording {
    /// Path relative to the raw root.
    pub path: String,
    /// Who was recorded, by the name that the corpus gives the person.
    pub subject: String,
    /// Clock at the first sample: hour, minute, second.
    pub start: (u8, u8, u8),
    /// Length in seconds.
    pub seconds: usize,
    /// The signals in file order.
    pub channels: Vec<PlainChannel>,
    /// What holds from when to when: start and stop in s of the recording, and the class.
    pub labels: Vec<(f64, f64, i32)>,
    /// The header gives -1 records, as when a recorder was not closed.
    pub unknown_count: bool,
    /// Zero bytes after the last record.
    pub trailing: usize,
}

/// One signal of a plain recording.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlainChannel {
    /// Label as written.
    pub label: String,
    /// Unit as written, which may be wrong or empty.
    pub unit: String,
    /// Sampling rate in Hz, a whole number.
    pub sfreq: usize,
    /// Physical minimum and maximum, in `unit`.
    pub physical: (f64, f64),
    /// Digital minimum and maximum.
    pub digital: (i16, i16),
    /// Every sample as stored; left out of JSON for its size.
    #[serde(skip)]
    pub samples: Vec<i16>,
}

impl PlainChannel {
    /// A signal of the values `x`, in `unit`, each at the nearest step of the digital range.
    pub(crate) fn new(
        label: &str,
        unit: &str,
        sfreq: usize,
        physical: (f64, f64),
        digital: (i16, i16),
        x: &[f64],
    ) -> Self {
        let (low, high) = (f64::from(digital.0), f64::from(digital.1));
        let scale = (high - low) / (physical.1 - physical.0);
        let step = |v: &f64| ((v - physical.0) * scale + low).round().clamp(low, high) as i16;
        Self {
            label: label.to_owned(),
            unit: unit.to_owned(),
            sfreq,
            physical,
            digital,
            samples: x.iter().map(step).collect(),
        }
    }

    /// The samples in `unit`, by the formula of the EDF standard.
    pub fn values(&self) -> Vec<f64> {
        let (low, high) = (f64::from(self.digital.0), f64::from(self.digital.1));
        let scale = (self.physical.1 - self.physical.0) / (high - low);
        let value = |d: &i16| (f64::from(*d) - low) * scale + self.physical.0;
        self.samples.iter().map(value).collect()
    }
}

impl PlainRecording {
    /// Writes the file, one record a second.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let records = match self.unknown_count {
            true => "-1".to_owned(),
            false => self.seconds.to_string(),
        };
        let columns: Vec<Column<'_>> = self
            .channels
            .iter()
            .map(|c| Column {
                label: &c.label,
                unit: &c.unit,
                physical: c.physical,
                digital: c.digital,
                samples: c.sfreq,
            })
            .collect();
        let mut out = header(self.start, "", &records, "1", &columns);
        for second in 0..self.seconds {
            for c in &self.channels {
                let part = c.samples.iter().skip(second * c.sfreq).take(c.sfreq);
                out.extend(part.flat_map(|d| d.to_le_bytes()));
            }
        }
        out.resize(out.len() + self.trailing, 0);
        std::fs::write(path, out).map_err(|e| Error::io(path, e))
    }
}

/// An EDF+ file of annotations alone: onset and duration in s, text. One record of no length
/// holds them all, as in the hypnograms of PhysioNet.
pub(crate) fn annotations(start: (u8, u8, u8), notes: &[(f64, f64, String)]) -> Vec<u8> {
    let mut list = b"+0\x14\x14\0".to_vec();
    for (onset, duration, text) in notes {
        list.extend(format!("+{onset}\x15{duration}\x14{text}\x14\0").bytes());
    }
    let words = list.len().div_ceil(2);
    list.resize(2 * words, 0);
    let column = Column {
        label: "EDF Annotations",
        unit: "",
        physical: (-1.0, 1.0),
        digital: (i16::MIN, i16::MAX),
        samples: words,
    };
    let mut out = header(start, "EDF+C", "1", "0", &[column]);
    out.extend(list);
    out
}

/// What the header says of one signal.
struct Column<'a> {
    label: &'a str,
    unit: &'a str,
    physical: (f64, f64),
    digital: (i16, i16),
    /// In a record.
    samples: usize,
}

fn header(
    start: (u8, u8, u8),
    reserved: &str,
    records: &str,
    duration: &str,
    columns: &[Column<'_>],
) -> Vec<u8> {
    let mut out = String::new();
    let mut field = |text: &str, width: usize| out.push_str(&format!("{text:<width$.width$}"));
    field("0", 8);
    field("X X X X", 80);
    field("Startdate X X X X", 80);
    field("01.01.01", 8);
    field(&format!("{:02}.{:02}.{:02}", start.0, start.1, start.2), 8);
    field(&(256 * (columns.len() + 1)).to_string(), 8);
    field(reserved, 44);
    field(records, 8);
    field(duration, 8);
    field(&columns.len().to_string(), 4);
    columns.iter().for_each(|c| field(c.label, 16));
    columns.iter().for_each(|_| field("", 80));
    columns.iter().for_each(|c| field(c.unit, 8));
    columns
        .iter()
        .for_each(|c| field(&c.physical.0.to_string(), 8));
    columns
        .iter()
        .for_each(|c| field(&c.physical.1.to_string(), 8));
    columns
        .iter()
        .for_each(|c| field(&c.digital.0.to_string(), 8));
    columns
        .iter()
        .for_each(|c| field(&c.digital.1.to_string(), 8));
    columns.iter().for_each(|_| field("", 80));
    columns
        .iter()
        .for_each(|c| field(&c.samples.to_string(), 8));
    columns.iter().for_each(|_| field("", 32));
    out.into_bytes()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(label: &str, sfreq: usize, x: &[f64]) -> PlainChannel {
        PlainChannel::new(label, "uV", sfreq, (-800.0, 800.0), (-2048, 2047), x)
    }

    #[test]
    fn values_are_on_the_grid_of_the_file() {
        let c = channel("Cz", 2, &[0.0, -801.0, 800.0, 12.3]);
        assert_eq!(c.samples, [0, -2048, 2047, 31]);
        let values = c.values();
        // A digital zero is half a step above zero, as in the flat channels of real files.
        assert!((values[0] - 0.1954).abs() < 1e-4, "{values:?}");
        assert_eq!((values[1], values[2]), (-800.0, 800.0));
    }

    #[test]
    fn the_file_is_header_records_and_what_follows() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.edf");
        let recording = PlainRecording {
            path: "a.edf".into(),
            subject: "a".into(),
            start: (23, 59, 1),
            seconds: 2,
            channels: vec![channel("Cz", 2, &[1.0; 4]), channel("ECG", 1, &[2.0; 2])],
            labels: Vec::new(),
            unknown_count: true,
            trailing: 3,
        };
        recording.write(&path).unwrap();
        let bytes = std::fs::read(&path).unwrap();
        assert_eq!(bytes.len(), 256 * 3 + 2 * (2 + 1) * 2 + 3);
        assert_eq!(&bytes[176..184], b"23.59.01");
        assert_eq!(&bytes[236..244], b"-1      ");
        assert_eq!(&bytes[768..774], [2, 0, 2, 0, 5, 0]);
    }

    #[test]
    fn a_file_of_annotations_has_one_record() {
        let bytes = annotations((1, 2, 3), &[(0.0, 30.0, "Sleep stage W".into())]);
        assert_eq!(&bytes[236..252], b"1       0       ");
        assert!(
            bytes.ends_with(b"+0\x1530\x14Sleep stage W\x14\0") || bytes.ends_with(b"\x14\0\0")
        );
        assert_eq!((bytes.len() - 512) % 2, 0);
    }
}
