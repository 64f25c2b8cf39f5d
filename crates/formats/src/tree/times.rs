//! Times of the samples of arrays: which stretches are contiguous, and when each begins.

use std::ops::Range;

use mmpipe_trees::{Tree, Var};

use super::{description, wrap};
use crate::error::Result;
use crate::recording::{Diagnostic, Run, Severity};

/// Most runs: bounds what a column of odd times can make the reader allocate.
const MOST: usize = 1 << 16;

/// Times that are read at once.
const STEP: usize = 1 << 14;

/// Stretches that follow each other without a gap.
pub(super) fn adjacent(stretches: &[Range<u64>], sfreq: f64) -> Vec<Run> {
    let run = |r: &Range<u64>| Run {
        onset: r.start as f64 / sfreq,
        samples: r.clone(),
    };
    stretches.iter().map(run).collect()
}

/// The runs that times in s give. `stretches` are those of the arrays: a run ends where one does.
///
/// # Errors
/// [`crate::Error::Description`] when there are not as many times as samples, a time is no
/// number, times go back, or there are more than 65,536 runs.
pub(super) fn runs(
    tree: &dyn Tree,
    vars: &[Var],
    stretches: &[Range<u64>],
    sfreq: f64,
) -> Result<Vec<Run>> {
    let wrong = |message: String| description(tree.path(), "times", message);
    let points: u64 = stretches.iter().map(|r| r.end - r.start).sum();
    if let Some(var) = vars.iter().find(|v| !v.class.is_numeric()) {
        let message = format!("{} is no array of numbers but {:?}", var.place, var.class);
        return Err(wrong(message));
    }
    let given = vars.iter().try_fold(0_u64, |n, v| n.checked_add(v.len()));
    if given != Some(points) {
        let given = given.map_or("too many".to_owned(), |n| n.to_string());
        return Err(wrong(format!("expected {points} times, found {given}")));
    }
    let step = 1.0 / sfreq;
    let (mut out, mut at, mut last) = (Vec::<Run>::new(), 0_u64, f64::NEG_INFINITY);
    let mut edges = stretches.iter().map(|r| r.start).peekable();
    let mut block = vec![0.0; STEP];
    for var in vars {
        let mut first = 0;
        while first < var.len() {
            let n = (var.len() - first).min(STEP as u64);
            // At most STEP.
            let Some(times) = block.get_mut(..n as usize) else {
                break;
            };
            tree.read_f64(var, &[first], 1, &mut [&mut *times])
                .map_err(wrap)?;
            for &time in times.iter() {
                if !time.is_finite() {
                    return Err(wrong(format!("sample {at}: {time} is no time")));
                }
                if time <= last {
                    let message = format!("sample {at} is at {time} s, the one before at {last} s");
                    return Err(wrong(message));
                }
                let edge = edges.next_if_eq(&at).is_some();
                if edge || (time - last - step).abs() > 0.5 * step {
                    if out.len() == MOST {
                        return Err(wrong(format!("more than {MOST} gaps")));
                    }
                    out.push(Run {
                        onset: time,
                        samples: at..at,
                    });
                }
                at += 1;
                last = time;
                if let Some(run) = out.last_mut() {
                    run.samples.end = at;
                }
            }
            first += n;
        }
    }
    Ok(out)
}

/// What there is to say of several runs.
pub(super) fn note(runs: &[Run]) -> Option<Diagnostic> {
    let message = format!(
        "{} stretches with gaps between them, by the times of the samples",
        runs.len()
    );
    (runs.len() > 1).then(|| Diagnostic::new("gaps", Severity::Note, message))
}
