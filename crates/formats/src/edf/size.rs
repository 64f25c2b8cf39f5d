//! How many records a file holds, and what its size says about the header's promise.

use crate::recording::{Diagnostic, Severity};

use super::header::Fields;
use super::layout::Layout;

/// Whole records to be read; what disagrees becomes a diagnostic.
pub(super) fn records(
    fields: &Fields,
    layout: &Layout,
    file_bytes: u64,
    diagnostics: &mut Vec<Diagnostic>,
) -> u64 {
    let data = file_bytes.saturating_sub(fields.header_bytes);
    let record = layout.record_bytes.max(1) as u64;
    let (whole, rest) = (data / record, data % record);
    let mut push = |code, severity, message| {
        diagnostics.push(Diagnostic::new(code, severity, message));
    };
    let Some(promised) = fields.records else {
        push(
            "record-count-unknown",
            Severity::Warning,
            format!(
                "the header gives -1 records (not closed properly); {whole} whole records of \
                 {record} bytes found by the file's size"
            ),
        );
        if rest > 0 {
            push(
                "truncated",
                Severity::Warning,
                format!(
                    "the last record ends after {rest} of {record} bytes ({}); left out",
                    samples(layout, rest)
                ),
            );
        }
        empty(whole, &mut push);
        return whole;
    };
    if whole < promised {
        let severity = if whole == 0 {
            Severity::Damaged
        } else {
            Severity::Warning
        };
        push(
            "truncated",
            severity,
            format!(
                "{promised} records promised, {whole} whole ones found; {rest} bytes of one more \
                 ({}) are left out",
                samples(layout, rest)
            ),
        );
        return whole;
    }
    empty(promised, &mut push);
    let extra = data - promised * record;
    match extra {
        0 => {}
        extra if extra < record => push(
            "trailing-bytes",
            Severity::Warning,
            format!(
                "{extra} bytes follow the last of {promised} records of {record} bytes; left out"
            ),
        ),
        extra if extra % record == 0 => {
            push(
                "record-count-low",
                Severity::Warning,
                format!(
                    "the header gives {promised} records, the file holds exactly {whole} (not \
                     closed properly?); all are read"
                ),
            );
            return whole;
        }
        extra => push(
            "size-disagrees",
            Severity::Damaged,
            format!(
                "{extra} bytes follow the last of {promised} records of {record} bytes, which \
                 neither truncation nor an unclosed file explains; fetch the file again"
            ),
        ),
    }
    promised
}

fn empty(records: u64, push: &mut impl FnMut(&'static str, Severity, String)) {
    if records == 0 {
        push(
            "no-records",
            Severity::Warning,
            "the file holds no data record".to_owned(),
        );
    }
}

/// What a partial record of `rest` bytes would have held.
fn samples(layout: &Layout, rest: u64) -> String {
    let all = layout.signals.iter().chain(&layout.annotation_signals);
    let total: u64 = all.clone().map(|c| c.samples as u64).sum();
    let width = all
        .map(|c| c.len / c.samples.max(1))
        .max()
        .unwrap_or(2)
        .max(1) as u64;
    format!("{} of {total} samples", rest / width)
}
