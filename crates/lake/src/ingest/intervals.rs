//! The answer of the intervals query: labels over the time of a recording.

use std::collections::BTreeMap;

use super::raw::Rows;
use super::work::{WorkInterval, WorkLabel};
use crate::Result;

/// What labels one recording.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Labelled {
    /// Sorted, so that the order of the query's answer does not matter.
    pub(crate) intervals: Vec<WorkInterval>,
    /// By class.
    pub(crate) names: Vec<WorkLabel>,
    /// Intervals that stop before they start.
    pub(crate) backwards: usize,
}

/// Reads the answer, by path. A row without a label says that the stretch has none.
pub(crate) fn read(rows: &Rows, labels: &[String]) -> Result<BTreeMap<String, Labelled>> {
    let mut out: BTreeMap<String, Labelled> = BTreeMap::new();
    let (path, part) = (rows.text("path")?, rows.text_or_absent("part")?);
    let (start, stop) = (rows.double("start")?, rows.double("stop")?);
    let (label, name) = (rows.long("label")?, rows.text_or_absent("label_name")?);
    let weight = rows.double_or_absent("weight")?;
    // The channel is for whoever reads the query; the time counts whatever the channel.
    rows.text_or_absent("channel")?;
    for i in 0..rows.len() {
        let Some(mut path) = path.get(i) else {
            return Err(rows.wrong(format!("row {i} has no path")));
        };
        if let Some(part) = part.get(i) {
            path = format!("{path}#{part}");
        }
        let found = out.entry(path.clone()).or_default();
        let Some(label) = label.get(i) else {
            continue;
        };
        let label = i32::try_from(label)
            .map_err(|_| rows.wrong(format!("label {label} does not fit 32 bits")))?;
        let interval = WorkInterval {
            start: start.get(i).unwrap_or(f64::MIN),
            stop: stop.get(i).unwrap_or(f64::MAX),
            label,
            weight: weight.get(i).unwrap_or(1.0),
        };
        if interval.start.is_nan() || interval.stop.is_nan() {
            return Err(rows.wrong(format!("row {i}: start or stop is no number")));
        }
        if !(interval.weight >= 0.0 && interval.weight.is_finite()) {
            return Err(rows.wrong(format!(
                "row {i}: expected a weight of at least 0, found {}",
                interval.weight
            )));
        }
        if interval.stop <= interval.start {
            found.backwards += usize::from(interval.stop < interval.start);
            continue;
        }
        let named = name
            .get(i)
            .or_else(|| labels.get(usize::try_from(label).ok()?).cloned());
        if let Some(name) = named {
            match found.names.iter().find(|n| n.label == label) {
                None => found.names.push(WorkLabel { label, name }),
                Some(known) if known.name == name => {}
                Some(known) => {
                    return Err(rows.wrong(format!(
                        "label {label} of {path:?} is called both {:?} and {name:?}",
                        known.name
                    )));
                }
            }
        }
        found.intervals.push(interval);
    }
    for found in out.values_mut() {
        found.names.sort_by_key(|n| n.label);
        found.intervals.sort_by(|a, b| {
            (a.start.total_cmp(&b.start))
                .then(a.stop.total_cmp(&b.stop))
                .then(a.label.cmp(&b.label))
                .then(a.weight.total_cmp(&b.weight))
        });
    }
    Ok(out)
}
