//! The formats and their fixed columns.

use serde::{Deserialize, Serialize};

/// How a side-car is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Format {
    /// Comma-separated with a header line. Empty cells are null.
    Csv,
    /// Tab-separated with a header line, without quoting; empty cells and `n/a` are null.
    Tsv,
    /// A JSON array of objects: one row an object.
    JsonRows,
    /// Any JSON: one row a leaf, `key` being its dotted path with lists numbered from 0.
    JsonTree,
    /// Plain text: one row a line, numbered from 1.
    Lines,
    /// One YAML document: rows as for [`Format::JsonTree`].
    Yaml,
    /// A Praat TextGrid, long or short: one row an interval or point.
    Textgrid,
    /// An Excel workbook: `sheet`, `row` (from 1, as Excel shows it), then a column for every
    /// name in the first used row of a sheet. Dates are ISO 8601.
    Xlsx,
    /// TUH events: `pair_index,start,stop,code` without a header. `pair` counts the 22 TCP
    /// pairs from 0, it is not a channel of the EDF file; seconds.
    TuhRec,
    /// TUH labels: `start stop label` in ticks of 10 µs, given as seconds.
    TuhLab,
    /// TUH annotations: `#` comments, then CSV; seconds.
    TuhCsv,
    /// TUH time-synchronous events: a version line, then `start stop label probability`; seconds.
    TuhTse,
    /// A CHB-MIT `chbNN-summary.txt`: one row a seizure, and one for each file without any.
    /// `seizure` counts from 1 within the file, times of seizures are seconds from its start;
    /// `file_start` and `file_end` are clock times that may pass 24:00:00; `channels` is the
    /// list in force joined by `|`; `n_seizures` is what the summary declares.
    ChbmitSummary,
    /// Annotations of WFDB in MIT format (`.seizures`, `.st`, `.atr`, `.event`). `fs` is the
    /// time resolution that the file itself states, null where it does not.
    WfdbAnnotations,
    /// A RemLogic export of CAP Sleep. `seconds` runs from the first row's clock over
    /// midnight, `clock_seconds` is the second of the day, `recording_date` is as written.
    CapScoring,
    /// An HMC `_sleepscoring.txt`; seconds.
    HmcScoring,
}

impl Format {
    /// The fixed columns, in order; empty where the file decides. [`Format::Xlsx`] adds the
    /// file's own after these.
    pub fn columns(self) -> &'static [&'static str] {
        match self {
            Format::Csv | Format::Tsv | Format::JsonRows => &[],
            Format::JsonTree | Format::Yaml => &["key", "value"],
            Format::Lines => &["line", "text"],
            Format::Textgrid => &["tier", "kind", "index", "xmin", "xmax", "text"],
            Format::Xlsx => &["sheet", "row"],
            Format::TuhRec => &["pair", "start", "stop", "code", "label"],
            Format::TuhLab => &["start", "stop", "label"],
            Format::TuhCsv => &["channel", "start_time", "stop_time", "label", "confidence"],
            Format::TuhTse => &["start", "stop", "label", "prob"],
            Format::ChbmitSummary => &[
                "file",
                "file_start",
                "file_end",
                "seizure",
                "seizure_start",
                "seizure_end",
                "sfreq",
                "channels",
                "n_seizures",
            ],
            Format::WfdbAnnotations => &["sample", "symbol", "subtype", "chan", "num", "aux", "fs"],
            Format::CapScoring => &[
                "stage",
                "position",
                "time",
                "clock_seconds",
                "seconds",
                "event",
                "duration",
                "location",
                "recording_date",
            ],
            Format::HmcScoring => &[
                "date",
                "time",
                "onset",
                "duration",
                "annotation",
                "linked_channel",
            ],
        }
    }
}
