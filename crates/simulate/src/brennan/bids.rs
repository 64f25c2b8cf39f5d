//! The BrainVision files of the second release, and what NEMAR's copy has beside them.

use super::{SFREQ, Word};
use crate::files::Staging;
use crate::listening::PlantedHearing;
use crate::{Error, Result};
use mmpipe_formats::Annotation;
use mmpipe_formats::write::{NewRecording, NewSignal, Start, brainvision};
use serde_json::json;

/// The recording itself.
pub(super) fn write_signals(
    staging: &Staging,
    made: &PlantedHearing,
    annotations: &[Annotation],
) -> Result<()> {
    let session = &made.session;
    let pairs = session.labels.iter().zip(&session.samples);
    let recording = NewRecording {
        start: Start::default(),
        patient: &session.subject,
        recording: "mmpipe-simulate",
        signals: pairs
            .map(|(name, samples)| NewSignal {
                name,
                unit: "µV",
                sfreq: session.sfreq,
                prefilter: "",
                transducer: "",
                physical_range: None,
                samples,
            })
            .collect(),
        annotations,
    };
    let path = staging.path(&session.path)?;
    brainvision::write(&path, &recording, brainvision::Sample::Float32).map_err(Error::from)
}

/// Recording, channels.tsv and eeg.json.
pub(super) fn write(staging: &Staging, made: &PlantedHearing) -> Result<()> {
    write_signals(staging, made, &[])?;
    let session = &made.session;
    let rows: Vec<Vec<String>> = session
        .labels
        .iter()
        .map(|label| {
            let (kind, unit) = match label.as_str() {
                "VEOG" => ("EOG", "µV"),
                "AUD" | "Aux5" => ("MISC", "n/a"),
                _ => ("EEG", "µV"),
            };
            [label, kind, unit, "500.0", "good"]
                .map(str::to_owned)
                .into()
        })
        .collect();
    let columns = ["name", "type", "units", "sampling_frequency", "status"];
    let stem = session.path.trim_end_matches("eeg.vhdr");
    staging.tsv(&format!("{stem}channels.tsv"), &columns, &rows)?;
    let about = json!({
        "TaskName": "alicelistening", "SamplingFrequency": 500.0, "PowerLineFrequency": 60,
        "EEGReference": "average (offline)", "EEGPlacementScheme": "easycap-M10",
    });
    staging.json(&format!("{stem}eeg.json"), &about)
}

/// A row a word, as it was made from the times of the first release.
pub(super) fn write_events(staging: &Staging, stem: &str, words: &[Word]) -> Result<()> {
    let mut rows: Vec<(f64, Vec<String>)> = words
        .iter()
        .map(|w| {
            let onset = w.sample / SFREQ as f64;
            let file = format!("DownTheRabbitHoleFinal_SoundFile{}.wav", w.segment);
            let cells = [
                onset.to_string(),
                "0.2".into(),
                "word".into(),
                "word".into(),
                file,
            ];
            let mut row = Vec::from(cells);
            row.extend([w.order.to_string(), w.segment.to_string()]);
            (onset, row)
        })
        .collect();
    rows.sort_by(|a, b| a.0.total_cmp(&b.0));
    let columns = [
        "onset",
        "duration",
        "trial_type",
        "word",
        "stim_file",
        "word_index",
        "segment",
    ];
    let rows: Vec<Vec<String>> = rows.into_iter().map(|r| r.1).collect();
    staging.tsv(&format!("{stem}_events.tsv"), &columns, &rows)
}
