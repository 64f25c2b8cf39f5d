//! One walk over the annotation signals: annotations, the time of every data record, and what
//! is wrong with either.

use crate::recording::{Annotation, Diagnostic, Severity};
use crate::source::Source;

use super::layout::Layout;
use super::tal;

/// Bytes of records after which pages are given back.
const RELEASE_BYTES: usize = 64 << 20;

/// What the annotation signals say.
pub(super) struct Timeline {
    pub(super) annotations: Vec<Annotation>,
    /// First record of every run and its onset in seconds from the first record.
    pub(super) runs: Vec<(u64, f64)>,
    /// Fraction of a second by which the first record starts after the header's start time.
    pub(super) first_onset: f64,
    /// Records whose time could not be read because their list is not one.
    pub(super) broken: u64,
}

/// Most annotations kept for a file of a given size; no real file comes near one for every
/// 16 bytes. It bounds what a hostile file can make the reader allocate.
fn limit(file_bytes: u64) -> usize {
    usize::try_from(file_bytes / 16).unwrap_or(usize::MAX)
}

/// Reads the annotation signals of every whole record.
pub(super) fn read(
    source: &Source,
    layout: &Layout,
    discontinuous: bool,
    names: &[String],
    diagnostics: &mut Vec<Diagnostic>,
) -> Timeline {
    let bytes = source.bytes();
    let mut walk = Walk {
        annotations: Vec::new(),
        limit: limit(bytes.len() as u64),
        too_many: 0,
        malformed: 0,
    };
    let mut runs = Vec::new();
    let mut first_onset = None;
    let (mut broken, mut unkept) = (0u64, 0u64);
    let mut worst = (0.0f64, 0u64);
    let mut overlaps = 0u64;
    let mut next = 0.0; // expected onset of the next record, from the first
    let tolerance = layout.tolerance();
    // A night's annotations lie in all of its pages.
    let every = (RELEASE_BYTES / layout.record_bytes.max(1)).max(1) as u64;
    for record in 0..layout.records {
        if record % every == every - 1 {
            source.release();
        }
        let kept = walk.record(bytes, layout, record);
        let onset = match kept {
            Kept::At(onset) => {
                let first = *first_onset.get_or_insert(onset - next);
                onset - first
            }
            Kept::Broken => {
                broken += 1;
                next
            }
            Kept::Not => {
                unkept += 1;
                next
            }
        };
        let off = (onset - next).abs();
        if off > worst.0 {
            worst = (off, record);
        }
        if record == 0 || (discontinuous && off > tolerance) {
            overlaps += u64::from(record > 0 && onset < next - tolerance);
            runs.push((record, onset));
        }
        if discontinuous {
            next = onset;
        } else {
            // A contiguous file's records follow each other whatever their lists say.
            next = record as f64 * layout.duration;
        }
        next += layout.duration;
    }
    if discontinuous && runs.len() > 1 {
        diagnostics.push(Diagnostic::new(
            "gaps",
            Severity::Note,
            format!("{} gaps; each run is to be used on its own", runs.len() - 1),
        ));
    }
    if overlaps > 0 {
        diagnostics.push(Diagnostic::new(
            "records-overlap",
            Severity::Warning,
            format!("{overlaps} records start before the end of the one before them"),
        ));
    }
    if !discontinuous && worst.0 > tolerance {
        diagnostics.push(Diagnostic::new(
            "timekeeping-disagrees",
            Severity::Warning,
            format!(
                "the file says it is contiguous, but record {} is {} s off; read as contiguous",
                worst.1, worst.0
            ),
        ));
    }
    if unkept > 0 {
        diagnostics.push(Diagnostic::new(
            "no-timekeeping",
            Severity::Warning,
            format!(
                "{unkept} of {} records have no time; taken as following",
                layout.records
            ),
        ));
    }
    walk.finish(first_onset.unwrap_or(0.0), names, diagnostics);
    Timeline {
        annotations: walk.annotations,
        runs,
        first_onset: first_onset.unwrap_or(0.0),
        broken,
    }
}

enum Kept {
    At(f64),
    Not,
    Broken,
}

struct Walk {
    annotations: Vec<Annotation>,
    limit: usize,
    too_many: u64,
    malformed: u64,
}

impl Walk {
    fn record(&mut self, bytes: &[u8], layout: &Layout, record: u64) -> Kept {
        let mut kept = Kept::Not;
        for (k, signal) in layout.annotation_signals.iter().enumerate() {
            let Some(field) = layout.bytes(bytes, record, signal) else {
                continue;
            };
            for (j, list) in tal::parse(field).enumerate() {
                let first = k == 0 && j == 0;
                match list {
                    Ok(list) => {
                        if first && list.keeps_time() {
                            kept = Kept::At(list.onset);
                        }
                        self.push(&list);
                    }
                    Err(()) if first => kept = Kept::Broken,
                    Err(()) => self.malformed += 1,
                }
            }
        }
        kept
    }

    fn push(&mut self, list: &tal::Tal<'_>) {
        for text in list.texts().filter(|text| !text.is_empty()) {
            if self.annotations.len() >= self.limit {
                self.too_many += 1;
                continue;
            }
            self.annotations.push(Annotation {
                onset: list.onset,
                duration: list.duration,
                text,
                channel: None,
            });
        }
    }

    /// Counts onsets from the first sample, moves "text@@channel" into the channel, sorts.
    fn finish(&mut self, first: f64, names: &[String], diagnostics: &mut Vec<Diagnostic>) {
        for a in &mut self.annotations {
            a.onset -= first;
            if let Some((text, channel)) = a.text.rsplit_once("@@")
                && names.iter().any(|n| n == channel)
            {
                a.channel = Some(channel.to_owned());
                a.text = text.to_owned();
            }
        }
        self.annotations.sort_by(|a, b| a.onset.total_cmp(&b.onset));
        if self.malformed > 0 {
            diagnostics.push(Diagnostic::new(
                "bad-annotation",
                Severity::Warning,
                format!(
                    "{} annotation lists are malformed and left out",
                    self.malformed
                ),
            ));
        }
        if self.too_many > 0 {
            diagnostics.push(Diagnostic::new(
                "too-many-annotations",
                Severity::Warning,
                format!(
                    "{} annotations beyond {} are left out",
                    self.too_many, self.limit
                ),
            ));
        }
    }
}
