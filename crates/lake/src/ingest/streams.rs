//! The answers of the streams and stimuli queries, checked.

use super::plan::Plan;
use super::raw::Rows;
use crate::Result;

/// One sound heard in a trial, as the manifest says it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Stream {
    pub(crate) stimulus: String,
    pub(crate) role: String,
    /// s into the sound at the trial's start.
    pub(crate) offset: f64,
    /// Seconds of the EEG's clock a second of the sound's.
    pub(crate) rate: f64,
    /// Where it was played.
    pub(crate) side: Option<String>,
}

/// One sound, as the manifest says it.
#[derive(Debug, Clone, Default, PartialEq)]
pub(crate) struct Sound {
    pub(crate) content_id: Option<String>,
    pub(crate) speaker: Option<String>,
    pub(crate) gender: Option<String>,
    pub(crate) side: Option<String>,
}

const ROLES: [&str; 5] = ["attended", "unattended", "target", "candidate", "heard"];

const SIDES: [&str; 3] = ["left", "right", "centre"];

/// Clocks that differ by more than this do not drift: something else is meant.
const MOST_DRIFT: f64 = 0.01;

impl Plan {
    /// The answer of the streams query. A trial's sounds stand in the order of [`ROLES`], of one role
    /// in the order of the rows.
    pub(super) fn read_streams(&mut self, rows: &Rows) -> Result<()> {
        let (path, trial, stimulus) = (
            rows.text("path")?,
            rows.long("trial")?,
            rows.text("stimulus")?,
        );
        let (role, offset) = (rows.text("role")?, rows.double("offset")?);
        let (rate, side) = (rows.double_or_absent("rate")?, rows.text_or_absent("side")?);
        for i in 0..rows.len() {
            let (Some(path), Some(trial)) = (path.get(i), trial.get(i)) else {
                return Err(rows.wrong(format!("row {i} has no path or no trial number")));
            };
            let Ok(trial) = i32::try_from(trial) else {
                return Err(rows.wrong(format!("trial {trial} does not fit 32 bits")));
            };
            let Some(stimulus) = stimulus.get(i) else {
                self.notes.push(format!("{path}, trial {trial}: a sound without a file name; the trial is kept without it"));
                continue;
            };
            let role = role.get(i).unwrap_or_default();
            if !ROLES.contains(&role.as_str()) {
                return Err(rows.wrong(format!(
                    "role {role:?} of {path:?}, trial {trial}, is none of {}",
                    ROLES.join(", ")
                )));
            }
            let offset = offset.get(i).unwrap_or(0.0);
            if !offset.is_finite() || offset.abs() > 1e7 {
                return Err(rows.wrong(format!(
                    "offset {offset} s of {path:?}, trial {trial}, makes no sense"
                )));
            }
            let rate = rate.get(i).unwrap_or(1.0);
            if rate.is_nan() || (rate - 1.0).abs() > MOST_DRIFT {
                return Err(rows.wrong(format!(
                    "rate {rate} of {path:?}, trial {trial}: expected 1 to within {MOST_DRIFT}, seconds of the EEG's \
                     clock a second of the sound's"
                )));
            }
            let side = side.get(i);
            if let Some(side) = side.as_deref().filter(|s| !SIDES.contains(s)) {
                return Err(rows.wrong(format!(
                    "side {side:?} of {path:?}, trial {trial}, is none of {}",
                    SIDES.join(", ")
                )));
            }
            self.sounds.entry(stimulus.clone()).or_default();
            self.streams.entry((path, trial)).or_default().push(Stream {
                stimulus,
                role,
                offset,
                rate,
                side,
            });
        }
        for streams in self.streams.values_mut() {
            streams.sort_by_key(|s| ROLES.iter().position(|r| *r == s.role));
        }
        Ok(())
    }

    /// The answer of the stimuli query.
    pub(super) fn read_stimuli(&mut self, rows: &Rows) -> Result<()> {
        let (stimulus, content) = (rows.text("stimulus")?, rows.text_or_absent("content_id")?);
        let (speaker, gender, side) = (
            rows.text_or_absent("speaker")?,
            rows.text_or_absent("gender")?,
            rows.text_or_absent("side")?,
        );
        for i in 0..rows.len() {
            // Sounds that no trial refers to are not stored.
            if let Some(sound) = stimulus.get(i).and_then(|s| self.sounds.get_mut(&s)) {
                *sound = Sound {
                    content_id: content.get(i),
                    speaker: speaker.get(i),
                    gender: gender.get(i),
                    side: side.get(i),
                };
            }
        }
        Ok(())
    }

    /// A trial without a content takes that of the sound that it is about.
    pub(super) fn inherit_content(&mut self) {
        for work in &mut self.works {
            for trial in work.trials.iter_mut().filter(|t| t.content_id.is_none()) {
                let Some(streams) = self.streams.get(&(work.path.clone(), trial.trial)) else {
                    continue;
                };
                let about = ["attended", "target", "heard"]
                    .iter()
                    .find_map(|role| streams.iter().find(|s| s.role == *role));
                trial.content_id = about
                    .and_then(|s| self.sounds.get(&s.stimulus))
                    .and_then(|s| s.content_id.clone());
            }
        }
    }
}
