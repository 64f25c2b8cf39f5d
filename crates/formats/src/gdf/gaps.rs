//! Pauses between runs, which GDF stores as samples that are missing on every channel.
//!
//! A sample is missing when it is NaN or infinite (floats) or at or beyond the digital limits
//! (signed integers). The channels of the highest rate that can hold such a value take part. A
//! gap is a longest stretch of at least [`SHORTEST`] samples that are missing on all of them.
//! What fewer channels or fewer samples lack stays in its run as NaN.
//!
//! Any gap covers one of every [`SHORTEST`] samples, so only these are looked at, on one
//! channel; where that one is missing the other channels are asked, and where all are missing
//! the neighbours on both sides. A file is looked through once, in order, and nothing but the
//! gaps is kept.

use std::ops::Range;

use super::layout::{Column, Layout};

/// Samples of the shortest gap.
pub(super) const SHORTEST: u64 = 10;

/// Gaps in samples of the channels of the highest rate, in order.
pub(super) fn find(bytes: &[u8], layout: &Layout) -> Vec<Range<u64>> {
    let fastest = layout.fastest();
    let taking_part: Vec<&Column> = layout
        .columns
        .iter()
        .filter(|c| c.samples == fastest && c.can_miss())
        .collect();
    let total = layout.records * fastest as u64;
    let mut gaps: Vec<Range<u64>> = Vec::new();
    if taking_part.is_empty() {
        return gaps;
    }
    let missing = |k: u64| taking_part.iter().all(|c| layout.missing(bytes, c, k));
    let mut probe = SHORTEST - 1;
    while probe < total {
        if !missing(probe) {
            probe += SHORTEST;
            continue;
        }
        let floor = gaps.last().map_or(0, |g| g.end);
        let mut start = probe;
        while start > floor && missing(start - 1) {
            start -= 1;
        }
        let mut end = probe + 1;
        while end < total && missing(end) {
            end += 1;
        }
        if end - start >= SHORTEST {
            gaps.push(start..end);
        }
        // The sample at `end` is there; the next gap can start after it at the earliest.
        probe = end + SHORTEST;
    }
    gaps
}

/// What lies between the gaps, in samples of the highest rate.
pub(super) fn between(gaps: &[Range<u64>], total: u64) -> Vec<Range<u64>> {
    let starts = [0].into_iter().chain(gaps.iter().map(|g| g.end));
    let ends = gaps.iter().map(|g| g.start).chain([total]);
    starts
        .zip(ends)
        .filter(|(start, end)| start < end)
        .map(|(start, end)| start..end)
        .collect()
}
