//! The event table after the last data record: mode, count and rate (8 bytes), then columns of
//! positions, codes and, in mode 3, channels and durations.
//!
//! Before 1.94 the head is mode, rate (three bytes), count (four); from then on it is mode,
//! count (three bytes), rate (a float). Bit 4 of the mode adds a column of time stamps, which
//! are not used.

use crate::recording::{Annotation, Diagnostic, Severity};

/// Code that marks the start of a new run.
const NEW_RUN: u16 = 0x7ffe;
/// Code under which samples of sparse channels are stored.
const SPARSE: u16 = 0x7fff;

/// What the events are to be read with.
pub(super) struct Context<'a> {
    pub(super) version: f64,
    /// Rate of the positions where the table gives none, Hz.
    pub(super) sfreq: f64,
    /// Labels of all channels of the file, by number from 1.
    pub(super) labels: &'a [&'a str],
    /// Texts by code, for the codes that the file defines.
    pub(super) descriptions: &'a [String],
    /// True when the file has sparse channels.
    pub(super) sparse: bool,
    /// Bytes that the descriptions of all events together may take.
    pub(super) budget: usize,
}

/// Columns of a table, each of `count` entries.
struct Table<'a> {
    positions: &'a [[u8; 4]],
    codes: &'a [[u8; 2]],
    channels: Option<&'a [[u8; 2]]>,
    durations: Option<&'a [[u8; 4]]>,
}

/// Reads the table that starts `bytes`; nothing at all is a table without events.
pub(super) fn read(
    bytes: &[u8],
    context: &Context<'_>,
    diagnostics: &mut Vec<Diagnostic>,
) -> Vec<Annotation> {
    let mut push = |code, severity, message| {
        diagnostics.push(Diagnostic::new(code, severity, message));
    };
    let Some((&head, after)) = bytes.split_first_chunk::<8>() else {
        if bytes.iter().any(|&b| b != 0) {
            push(
                "event-table-truncated",
                Severity::Damaged,
                format!("{} bytes are left of the event table", bytes.len()),
            );
        }
        return Vec::new();
    };
    let mode = head[0];
    if mode == 0 && bytes.iter().all(|&b| b == 0) {
        return Vec::new();
    }
    if !matches!(mode, 1 | 3 | 5 | 7) {
        push(
            "event-table-unknown",
            Severity::Warning,
            format!("event table of mode {mode}; 1, 3, 5 and 7 are read, no event is"),
        );
        return Vec::new();
    }
    let three = u32::from_le_bytes([head[1], head[2], head[3], 0]);
    let four = [head[4], head[5], head[6], head[7]];
    let (count, rate) = if context.version < 1.935 {
        (u32::from_le_bytes(four), f64::from(three))
    } else {
        (three, f64::from(f32::from_le_bytes(four)))
    };
    let rate = if rate.is_finite() && rate > 0.0 {
        rate
    } else {
        context.sfreq
    };
    let (width, extra) = (if mode & 2 == 0 { 6 } else { 12 }, u64::from(mode & 4) * 2);
    let need = u64::from(count) * (width + extra);
    if need > after.len() as u64 {
        push(
            "event-table-truncated",
            Severity::Damaged,
            format!(
                "the table promises {count} events ({need} bytes), {} bytes are left; no event \
                 is read",
                after.len()
            ),
        );
        return Vec::new();
    }
    if need < after.len() as u64 {
        push(
            "trailing-bytes",
            Severity::Note,
            format!(
                "{} bytes follow the event table; left out",
                after.len() as u64 - need
            ),
        );
    }
    let n = count as usize;
    let Some(table) = columns(after, n, mode & 2 != 0) else {
        return Vec::new();
    };
    let mut order: Vec<u32> = (0..count).collect();
    // Without the extra memory of a stable sort: the index breaks ties.
    order.sort_unstable_by_key(|&k| (position(&table, k as usize), k));
    let mut tally = Tally {
        budget: context.budget,
        ..Tally::default()
    };
    let mut out = Vec::with_capacity(n);
    out.extend(
        order
            .iter()
            .filter_map(|&k| annotation(&table, k as usize, rate, context, &mut tally)),
    );
    tally.report(diagnostics);
    out
}

fn columns(bytes: &[u8], n: usize, extended: bool) -> Option<Table<'_>> {
    let (positions, rest) = bytes.split_at_checked(4 * n)?;
    let (codes, rest) = rest.split_at_checked(2 * n)?;
    let (channels, durations) = if extended {
        let (channels, rest) = rest.split_at_checked(2 * n)?;
        (Some(channels), Some(rest.get(..4 * n)?))
    } else {
        (None, None)
    };
    Some(Table {
        positions: positions.as_chunks().0,
        codes: codes.as_chunks().0,
        channels: channels.map(|c| c.as_chunks().0),
        durations: durations.map(|d| d.as_chunks().0),
    })
}

fn position(table: &Table<'_>, k: usize) -> u32 {
    table.positions.get(k).map_or(0, |p| u32::from_le_bytes(*p))
}

/// What is worth saying once about all events.
#[derive(Default)]
struct Tally {
    budget: usize,
    undescribed: u64,
    zero: u64,
    stray: u64,
    sparse: u64,
    runs: u64,
}

fn annotation(
    table: &Table<'_>,
    k: usize,
    rate: f64,
    context: &Context<'_>,
    tally: &mut Tally,
) -> Option<Annotation> {
    let code = table.codes.get(k).map(|c| u16::from_le_bytes(*c))?;
    if code == SPARSE && context.sparse {
        tally.sparse += 1;
        return None;
    }
    tally.runs += u64::from(code == NEW_RUN);
    let position = position(table, k);
    tally.zero += u64::from(position == 0);
    let channel = match table.channels.and_then(|c| c.get(k)) {
        Some(raw) => u16::from_le_bytes(*raw),
        None => 0,
    };
    let label = usize::from(channel)
        .checked_sub(1)
        .and_then(|c| context.labels.get(c));
    tally.stray += u64::from(channel > 0 && label.is_none());
    let described = context
        .descriptions
        .get(usize::from(code))
        .filter(|d| !d.is_empty());
    let text = match described {
        Some(d) if d.len() <= tally.budget => {
            tally.budget -= d.len();
            d.clone()
        }
        other => {
            tally.undescribed += u64::from(other.is_some());
            code.to_string()
        }
    };
    Some(Annotation {
        onset: f64::from(position.saturating_sub(1)) / rate,
        duration: table
            .durations
            .and_then(|d| d.get(k))
            .map(|d| f64::from(u32::from_le_bytes(*d)) / rate),
        text,
        channel: label.map(|l| (*l).to_owned()),
    })
}

impl Tally {
    fn report(&self, diagnostics: &mut Vec<Diagnostic>) {
        let mut push = |n: u64, code, severity, what: &str| {
            if n > 0 {
                diagnostics.push(Diagnostic::new(code, severity, format!("{n} {what}")));
            }
        };
        push(
            self.zero,
            "event-position-zero",
            Severity::Warning,
            "events are at position 0, positions count from 1; taken as the first sample",
        );
        push(
            self.stray,
            "event-channel-unknown",
            Severity::Warning,
            "events name a channel that the file has not; kept without a channel",
        );
        push(
            self.sparse,
            "sparse-samples",
            Severity::Warning,
            "events are samples of sparse channels; left out",
        );
        push(
            self.undescribed,
            "event-description-left-out",
            Severity::Warning,
            "events keep their code because their texts are larger than the file",
        );
        push(
            self.runs,
            "run-marks",
            Severity::Note,
            "events mark a new run (32766); runs are told by gaps",
        );
    }
}
