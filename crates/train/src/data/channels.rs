//! Which channels a model sees of each montage.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;

use crate::source::Source;
use crate::{Error, Result};

/// Rows of each montage's EEG that are shown to the model, and their names.
#[derive(Debug, Clone)]
pub(crate) struct ChannelPlan {
    by_montage: HashMap<usize, Rows>,
}

#[derive(Debug, Clone)]
struct Rows {
    /// `None`: all rows as they are.
    pick: Option<Vec<usize>>,
    names: Arc<[String]>,
}

impl ChannelPlan {
    /// The channels `names` of every montage that occurs in `indices`, in that order; all channels
    /// of each montage when `names` is `None`.
    pub(crate) fn new(
        source: &dyn Source,
        indices: &[usize],
        names: Option<&[String]>,
    ) -> Result<Self> {
        let mut by_montage = HashMap::new();
        for &i in indices {
            let m = source.meta(i).montage;
            if by_montage.contains_key(&m) {
                continue;
            }
            let have = source.montage(m);
            let rows = match names {
                None => Rows {
                    pick: None,
                    names: have.to_vec().into(),
                },
                Some(names) if names == have => Rows {
                    pick: None,
                    names: names.to_vec().into(),
                },
                Some(names) => {
                    let find = |name: &String| {
                        have.iter().position(|h| h == name).ok_or_else(|| {
                            Error::Data(format!(
                                "the model needs channel {name}, which epoch {:016x} lacks (it has {}); train on the channels that all recordings share",
                                source.meta(i).epoch_id,
                                have.join(", ")
                            ))
                        })
                    };
                    let pick = names.iter().map(find).collect::<Result<Vec<_>>>()?;
                    Rows {
                        pick: Some(pick),
                        names: names.to_vec().into(),
                    }
                }
            };
            by_montage.insert(m, rows);
        }
        Ok(Self { by_montage })
    }

    /// Of every montage the channels for which `known` holds; the names left out, sorted, beside.
    pub(crate) fn filtered(
        source: &dyn Source,
        indices: &[usize],
        known: impl Fn(&str) -> bool,
    ) -> Result<(Self, Vec<String>)> {
        let mut by_montage = HashMap::new();
        let mut dropped = BTreeSet::new();
        for &i in indices {
            let m = source.meta(i).montage;
            if by_montage.contains_key(&m) {
                continue;
            }
            let have = source.montage(m);
            let pick: Vec<usize> = (0..have.len()).filter(|c| known(&have[*c])).collect();
            if pick.is_empty() {
                return Err(Error::Data(format!(
                    "epoch {:016x} has no channel whose name the model knows (it has {}); rename them to 10-05 names, or set `spatial = false`",
                    source.meta(i).epoch_id,
                    have.join(", ")
                )));
            }
            dropped.extend(have.iter().filter(|n| !known(n)).cloned());
            let names: Vec<String> = pick.iter().map(|c| have[*c].clone()).collect();
            let pick = (pick.len() < have.len()).then_some(pick);
            by_montage.insert(
                m,
                Rows {
                    pick,
                    names: names.into(),
                },
            );
        }
        Ok((Self { by_montage }, dropped.into_iter().collect()))
    }

    /// Names of the channels shown of montage `m`.
    pub(crate) fn names(&self, m: usize) -> Arc<[String]> {
        self.by_montage
            .get(&m)
            .map_or_else(|| Vec::new().into(), |r| r.names.clone())
    }

    /// Append the shown rows of `eeg` (all rows of montage `m`, `n_times` long) to `out`.
    pub(crate) fn append(&self, m: usize, eeg: &[f32], n_times: usize, out: &mut Vec<f32>) {
        match self.by_montage.get(&m).and_then(|r| r.pick.as_ref()) {
            None => out.extend_from_slice(eeg),
            Some(pick) => {
                for &row in pick {
                    out.extend_from_slice(&eeg[row * n_times..(row + 1) * n_times]);
                }
            }
        }
    }
}

/// Names that every montage in `indices` has, in the order of the first montage met.
pub(crate) fn common_channels(source: &dyn Source, indices: &[usize]) -> Result<Vec<String>> {
    let mut seen = Vec::new();
    let mut common: Option<Vec<String>> = None;
    for &i in indices {
        let m = source.meta(i).montage;
        if seen.contains(&m) {
            continue;
        }
        seen.push(m);
        let have = source.montage(m);
        match &mut common {
            None => common = Some(have.to_vec()),
            Some(names) => names.retain(|n| have.contains(n)),
        }
    }
    match common {
        Some(names) if !names.is_empty() => Ok(names),
        _ => Err(Error::Data(
            "no channel is common to all recordings; choose recordings with a common montage, or the model `mindmix`".into(),
        )),
    }
}
