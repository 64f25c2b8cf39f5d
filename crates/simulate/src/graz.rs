//! What the two Graz sets of BCI Competition IV share: GDF 2 files at 250 Hz whose runs are
//! separated by 100 missing samples, with an event table of mode 3.

use crate::files::Staging;
use crate::sessions::{PlantedSession, PlantedTrial, rhythmic};
use crate::{Error, Result};
use mmpipe_formats::write::Start;
use mmpipe_formats::write::gdf::{Event, NewChannel, NewGdf, Number, Table, Version, write};

/// Rate of the real files, Hz.
pub(crate) const SFREQ: usize = 250;
/// Missing samples between runs in the real files.
pub(crate) const GAP: usize = 100;
/// Codes of the event table.
pub(crate) const NEW_RUN: u16 = 0x7ffe;
pub(crate) const TRIAL: u16 = 768;
pub(crate) const CUE_UNKNOWN: u16 = 783;
pub(crate) const REJECTED: u16 = 1023;
pub(crate) const FEEDBACK: u16 = 781;
/// Digital limits; the lower one is the code of a missing sample.
const DIGITAL: (i16, i16) = (i16::MIN, i16::MAX);

/// A file to be written.
pub(crate) struct Session<'a> {
    pub(crate) path: String,
    pub(crate) subject: String,
    pub(crate) session: String,
    /// Label and physical range in µV of each channel.
    pub(crate) channels: &'a [(&'a str, (f64, f64))],
    pub(crate) blocks: Vec<Block>,
    /// Names the random streams.
    pub(crate) purpose: &'a str,
    pub(crate) index: [usize; 2],
    pub(crate) seed: u64,
}

/// A run: eye movements or imagery.
#[derive(Default)]
pub(crate) struct Block {
    /// Length in samples.
    pub(crate) samples: usize,
    /// Sample within the block, code, duration in samples.
    pub(crate) marks: Vec<(usize, u16, usize)>,
    /// Trials, their samples within the block.
    pub(crate) trials: Vec<PlantedTrial>,
}

/// When things happen in a trial, in samples from its start.
pub(crate) struct Timing {
    pub(crate) cue: usize,
    pub(crate) stop: usize,
    /// From one trial to the next.
    pub(crate) step: usize,
    /// Start of the feedback, where there is one.
    pub(crate) feedback: Option<usize>,
}

impl Block {
    /// One of the blocks in which the eyes were recorded.
    pub(crate) fn eyes(seconds: usize, codes: &[u16]) -> Self {
        let samples = seconds * SFREQ;
        let part = samples / codes.len().max(1);
        let marks = codes.iter().enumerate();
        Block {
            samples,
            marks: marks.map(|(k, code)| (k * part, *code, part)).collect(),
            trials: Vec::new(),
        }
    }

    /// A run of imagery: trials of the classes of `labels`, the first a second after the start.
    /// `hidden` writes the unknown cue in place of the class.
    pub(crate) fn imagery(labels: &[(i32, bool)], timing: &Timing, hidden: bool) -> Self {
        let mut block = Block {
            samples: SFREQ + labels.len() * timing.step,
            ..Block::default()
        };
        for (k, &(label, rejected)) in labels.iter().enumerate() {
            let at = SFREQ + k * timing.step;
            block.marks.push((at, TRIAL, timing.stop));
            if rejected {
                block.marks.push((at, REJECTED, timing.stop));
            }
            let cue = if hidden {
                CUE_UNKNOWN
            } else {
                769 + label.unsigned_abs() as u16
            };
            // The cue stayed for 1.25 s.
            block.marks.push((at + timing.cue, cue, SFREQ * 5 / 4));
            if let Some(feedback) = timing.feedback {
                let seconds = timing.stop - feedback;
                block.marks.push((at + feedback, FEEDBACK, seconds));
            }
            block.trials.push(PlantedTrial {
                start: at + timing.cue,
                stop: at + timing.stop,
                label,
                rejected,
            });
        }
        block
    }
}

impl Session<'_> {
    /// What the file holds, with `gap` missing samples between blocks, and its events.
    pub(crate) fn planted(&self, gap: usize) -> (PlantedSession, Vec<Event>) {
        let (mut runs, mut events, mut trials) = (Vec::new(), Vec::new(), Vec::new());
        let mut at = 0;
        for block in &self.blocks {
            if at > 0 {
                at += gap;
            }
            events.push(event(at, NEW_RUN, 0));
            let marks = block.marks.iter();
            events.extend(marks.map(|&(sample, code, n)| event(at + sample, code, n)));
            trials.extend(block.trials.iter().map(|t| PlantedTrial {
                start: at + t.start,
                stop: at + t.stop,
                ..*t
            }));
            runs.push((at, at + block.samples));
            at += block.samples;
        }
        let samples: Vec<Vec<f64>> = self
            .channels
            .iter()
            .enumerate()
            .map(|(c, (_, physical))| {
                let index = [self.index[0], self.index[1], c];
                let x = rhythmic(self.seed, self.purpose, &index, at, SFREQ as f64, &trials);
                let mut x: Vec<f64> = x.into_iter().map(|v| on_grid(v, *physical)).collect();
                for gap in runs.windows(2) {
                    x[gap[0].1..gap[1].0].fill(f64::NAN);
                }
                x
            })
            .collect();
        let planted = PlantedSession {
            path: self.path.clone(),
            subject: self.subject.clone(),
            session: Some(self.session.clone()),
            run: None,
            sfreq: SFREQ as f64,
            labels: self.channels.iter().map(|c| c.0.to_owned()).collect(),
            runs,
            trials,
            samples,
        };
        (planted, events)
    }

    /// Writes the file and says what is in it.
    pub(crate) fn write(&self, staging: &Staging) -> Result<PlantedSession> {
        let (planted, events) = self.planted(GAP);
        let file = NewGdf {
            version: Version::V2,
            start: Start {
                year: 2005,
                month: 1,
                day: 17,
                hour: 12,
                ..Start::default()
            },
            patient: &self.subject,
            recording: "mmpipe-simulate",
            record: (1, SFREQ as u32),
            channels: self
                .channels
                .iter()
                .zip(&planted.samples)
                .map(|((name, physical), samples)| NewChannel {
                    name,
                    unit: "\u{b5}V",
                    sfreq: SFREQ as f64,
                    number: Number::I16(DIGITAL.0, DIGITAL.1),
                    physical: *physical,
                    samples,
                })
                .collect(),
            table: Table::Extended,
            event_sfreq: SFREQ as f64,
            events: &events,
        };
        write(&staging.path(&self.path)?, &file).map_err(Error::from)?;
        Ok(planted)
    }
}

fn event(sample: usize, code: u16, duration: usize) -> Event {
    Event {
        sample: sample as u32,
        code,
        channel: 0,
        duration: duration as u32,
    }
}

/// The value of the integer nearest to `x`, strictly within the digital limits.
fn on_grid(x: f64, physical: (f64, f64)) -> f64 {
    let (low, high) = (f64::from(DIGITAL.0), f64::from(DIGITAL.1));
    let step = (physical.1 - physical.0) / (high - low);
    let digital = ((x - physical.0) / step + low).round();
    physical.0 + (digital.clamp(low + 1.0, high - 1.0) - low) * step
}
