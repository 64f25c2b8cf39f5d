//! Writing EDF through edf-rs. Every EDF of this crate passes here.

use crate::{Error, Result};
use chrono::{NaiveDate, NaiveTime};
use edf_rs::EDFSpecifications;
use edf_rs::file::EDFFile;
use edf_rs::headers::annotation_list::AnnotationList;
use edf_rs::headers::patient::PatientId;
use edf_rs::headers::recording::RecordingId;
use edf_rs::headers::signal_header::SignalHeader;
use edf_rs::record::Samples;
use std::path::Path;

/// One signal: header fields and its digital samples.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Signal {
    pub(crate) label: String,
    pub(crate) transducer: String,
    pub(crate) unit: String,
    pub(crate) prefilter: String,
    pub(crate) physical: (f64, f64),
    pub(crate) digital: (i16, i16),
    pub(crate) per_record: usize,
    pub(crate) samples: Vec<i16>,
}

/// A text at a time.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Note {
    pub(crate) onset: f64,
    pub(crate) duration: f64,
    pub(crate) text: String,
}

/// A whole EDF+C file with records of one second.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Edf {
    pub(crate) patient: String,
    pub(crate) recording: String,
    pub(crate) signals: Vec<Signal>,
    pub(crate) notes: Vec<Note>,
}

/// Microvolts (or any unit) to digital steps, clipped to the range.
pub(crate) fn digitise(x: &[f64], physical: (f64, f64), digital: (i16, i16)) -> Vec<i16> {
    let (dmin, dmax) = (f64::from(digital.0), f64::from(digital.1));
    let scale = (dmax - dmin) / (physical.1 - physical.0);
    x.iter().map(|v| ((v - physical.0) * scale + dmin).round().clamp(dmin, dmax) as i16).collect()
}

impl Edf {
    /// Writes the file; it must not exist. All signals must fill the same number of records.
    pub(crate) fn write(&self, path: &Path) -> Result<()> {
        let fail = |message: String| Error::Edf { path: path.to_path_buf(), message };
        let lib = |e: edf_rs::error::edf_error::EDFError| fail(format!("{e:?}"));
        let records = self.signals.first().map_or(0, |s| s.samples.len() / s.per_record.max(1));
        for s in &self.signals {
            if s.samples.len() != records * s.per_record {
                return Err(fail(format!(
                    "signal {}: expected {} samples for {records} records, found {}",
                    s.label,
                    records * s.per_record,
                    s.samples.len()
                )));
            }
        }
        // Fixed: a corpus made twice must have the same bytes.
        let date = NaiveDate::from_ymd_opt(2020, 1, 1).unwrap_or_default();
        let mut file = EDFFile::new(path).map_err(lib)?;
        file.header
            .with_specification(EDFSpecifications::EDFPlus)
            .with_version("0".to_string())
            .with_is_continuous(true)
            .with_patient_id(PatientId { code: Some(self.patient.clone()), ..PatientId::default() })
            .with_recording_id(RecordingId {
                startdate: Some(date),
                equipment: Some(self.recording.clone()),
                ..RecordingId::default()
            })
            .with_start_date(date)
            .with_start_time(NaiveTime::from_hms_opt(12, 0, 0).unwrap_or_default())
            .with_record_duration(1.0);
        for (i, s) in self.signals.iter().enumerate() {
            let mut header = SignalHeader::new();
            header
                .with_label(s.label.clone())
                .with_transducer(s.transducer.clone())
                .with_physical_dimension(s.unit.clone())
                .with_physical_range(s.physical.0, s.physical.1)
                .with_digital_range(i32::from(s.digital.0), i32::from(s.digital.1))
                .with_prefilter(s.prefilter.clone())
                .with_samples_count(s.per_record);
            file.insert_signal(i, header).map_err(lib)?;
        }
        let per_record = self.notes_per_record(records);
        let longest = per_record
            .iter()
            .map(|notes| notes.iter().map(|n| n.serialize().len()).sum::<usize>())
            .max()
            .unwrap_or(0);
        // The size is in pairs of characters doubled by edf-rs; longer notes would make it panic.
        let size = longest.div_ceil(4).max(10);
        file.insert_signal(
            self.signals.len(),
            SignalHeader::new_annotation(size, EDFSpecifications::EDFPlus),
        )
        .map_err(lib)?;
        for (r, notes) in per_record.into_iter().enumerate() {
            let mut record = file.header.create_record();
            record.raw_signal_samples = self
                .signals
                .iter()
                .map(|s| {
                    Samples::Values16Bit(s.samples[r * s.per_record..(r + 1) * s.per_record].to_vec())
                })
                .collect();
            record.annotations = vec![notes];
            file.append_record(record).map_err(lib)?;
        }
        file.save().map_err(lib)
    }

    /// The time stamp of each record, followed by the notes that start in it.
    fn notes_per_record(&self, records: usize) -> Vec<Vec<AnnotationList>> {
        let mut out: Vec<_> =
            (0..records).map(|r| vec![AnnotationList::new_time_keeping(r as f64)]).collect();
        for note in &self.notes {
            let r = (note.onset.max(0.0) as usize).min(records.saturating_sub(1));
            if let Some(list) = out.get_mut(r) {
                list.push(AnnotationList {
                    onset: note.onset,
                    duration: note.duration,
                    annotations: vec![note.text.clone()],
                });
            }
        }
        out
    }
}
