//! Sounds to table `audio`: each decoded once, mono at the recipe's rate, in segments.
//!
//! A sound is a file, or a channel of one (`talkers.wav#ch2`). Which grids of segments are stored
//! is said by the trials (see `grid`). What does not fill a segment at the end of a sound is not
//! stored.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{
    ArrayRef, Float32Array, Float64Array, Int32Array, ListArray, RecordBatch, StringArray,
};
use arrow::buffer::OffsetBuffer;
use arrow::datatypes::DataType;
use mmpipe_formats::{Severity, audio};
use mmpipe_signal::audio::{ToMono16k, output_len, peak_normalise};
use mmpipe_signal::recipe::{AudioNormalise, Recipe};

use super::grid::{Grid, segment_samples};
use super::rows::{OK, REJECTED, VERSION};
use super::stimuli::{MISSING, SOUND, StimulusRow};
use super::streams::Sound;
use crate::lake::path_value;
use crate::layout::ShardWriter;
use crate::{Error, Result, commit, schema};

/// Key of a sound: unique in the lake.
pub(crate) fn stimulus_id(dataset: &str, path: &str) -> String {
    format!("{dataset}/{path}")
}

/// A stimulus of a manifest: the file, and which of its channels (from 1) where it names one as
/// `PATH#ch2`.
pub(crate) fn channel_of(path: &str) -> (&str, Option<usize>) {
    let parsed = path.rsplit_once("#ch").and_then(|(file, n)| {
        let digits = n.bytes().all(|b| b.is_ascii_digit());
        Some((file, n.parse().ok().filter(|&n| digits && n > 0)?))
    });
    match parsed {
        Some((file, channel)) => (file, Some(channel)),
        None => (path, None),
    }
}

/// Where the segments of a sound lie.
pub(crate) fn audio_path(lake: &Path, recipe: &str, dataset: &str, path: &str) -> PathBuf {
    let hash = xxhash_rust::xxh3::xxh3_64(path.as_bytes());
    let name = path.rsplit('/').next().unwrap_or(path);
    lake.join("audio")
        .join(format!("recipe={}", path_value(recipe)))
        .join(format!("dataset={}", path_value(dataset)))
        .join(format!("{}-{:08x}.parquet", path_value(name), hash >> 32))
}

/// Where a sound's samples are.
#[derive(Debug, Clone)]
pub(crate) enum Place {
    /// Nowhere: it is not on disk.
    Missing,
    /// A sound file; one channel (from 1) of it, or the mean of all.
    File(PathBuf, Option<usize>),
}

/// What is asked of one sound.
pub(crate) struct Request {
    pub(crate) lake: PathBuf,
    pub(crate) place: Place,
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) dataset: String,
    pub(crate) path: String,
    pub(crate) sound: Sound,
    pub(crate) grids: BTreeSet<Grid>,
    pub(crate) earlier: Option<StimulusRow>,
}

/// A sound's samples.
pub(crate) struct Samples {
    /// At 16 kHz.
    pub(crate) mono: Vec<f32>,
    /// Of the file, Hz.
    sfreq: f64,
    /// What the decoder has to say.
    notes: Option<String>,
}

impl Request {
    fn row(&self) -> StimulusRow {
        StimulusRow {
            stimulus_id: stimulus_id(&self.dataset, &self.path),
            dataset: self.dataset.clone(),
            path: self.path.clone(),
            sha256: None,
            content_id: self.sound.content_id.clone(),
            kind: SOUND.into(),
            seconds: None,
            sfreq: None,
            speaker: self.sound.speaker.clone(),
            gender: self.sound.gender.clone(),
            side: self.sound.side.clone(),
            recipe: self.recipe.name.clone(),
            recipe_hash: self.recipe.hash(),
            version: VERSION.into(),
            grids: Vec::new(),
            status: OK.into(),
            reason: None,
        }
    }

    /// What its header says, without decoding: for a dry run.
    pub(crate) fn look(&self) -> StimulusRow {
        let mut row = self.row();
        match &self.place {
            Place::Missing => missing(&mut row),
            Place::File(file, channel) => match audio::probe(file)
                .map_err(Error::from)
                .and_then(|info| one_of(file, *channel, info.channels).map(|()| info))
            {
                Ok(info) => {
                    row.sfreq = Some(f64::from(info.sfreq));
                    let frames = info.frames.map(|n| output_len(n, info.sfreq));
                    row.seconds = frames.map(|n| n as f64 / f64::from(self.recipe.audio.sfreq));
                }
                Err(e) => rejected(&mut row, &e),
            },
        }
        row
    }

    /// Stores a sound's segments. Returns its row. A sound that cannot be read becomes a row with
    /// status `rejected`, one that is not there `missing`; a lake that cannot be written is an
    /// error.
    pub(crate) fn store(mut self) -> Result<StimulusRow> {
        let mut row = self.row();
        let target = audio_path(&self.lake, &self.recipe.name, &row.dataset, &row.path);
        let Place::File(file, _) = &self.place else {
            missing(&mut row);
            commit::remove(&target)?;
            return Ok(row);
        };
        let decoded = (|| -> Result<_> {
            row.sha256 = Some(super::decode::sha256(std::iter::once(file.as_path()))?);
            if let Some(old) = self.earlier.as_ref().filter(|old| same(old, &row)) {
                // Epochs of subjects that are not part of this ingest may use these.
                self.grids.extend(&old.grids);
                if self.grids.len() == old.grids.len() && target.is_file() {
                    return Ok(None);
                }
            }
            samples(&self.place).map(Some)
        })();
        row.grids = self.grids.into_iter().collect();
        match decoded {
            Ok(None) => {
                // Metadata of the manifest may be newer than the row.
                if let Some(old) = self.earlier {
                    (row.seconds, row.sfreq, row.reason) = (old.seconds, old.sfreq, old.reason);
                }
            }
            Ok(Some(Samples { mono, sfreq, notes })) => {
                row.seconds = Some(mono.len() as f64 / f64::from(self.recipe.audio.sfreq));
                row.sfreq = Some(sfreq);
                row.reason = notes;
                write(&target, &row, &mono, &self.recipe)?;
            }
            Err(e) => {
                rejected(&mut row, &e);
                commit::remove(&target)?;
            }
        }
        Ok(row)
    }
}

fn missing(row: &mut StimulusRow) {
    row.status = MISSING.into();
    row.reason = Some("it is not in the raw folder".into());
}

fn rejected(row: &mut StimulusRow, why: &Error) {
    row.status = REJECTED.into();
    row.reason = Some(why.to_string());
    row.grids.clear();
}

/// Whether an earlier row describes what would be stored again now.
fn same(old: &StimulusRow, row: &StimulusRow) -> bool {
    old.status == OK
        && old.kind == row.kind
        && old.sha256 == row.sha256
        && (&old.recipe_hash, &old.version) == (&row.recipe_hash, &row.version)
}

/// A channel asked for must be there.
fn one_of(file: &Path, channel: Option<usize>, channels: usize) -> Result<()> {
    match channel {
        Some(channel) if channel > channels => Err(Error::Empty(format!(
            "{}: expected a channel {channel}, found {channels} channels",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// Decodes a sound, mono at 16 kHz.
pub(crate) fn samples(place: &Place) -> Result<Samples> {
    let Place::File(file, channel) = place else {
        return Err(Error::Empty("the sound is not on disk".into()));
    };
    let info = audio::probe(file)?;
    one_of(file, *channel, info.channels)?;
    let given = channel.map_or(info.channels, |_| 1);
    let mut converter = ToMono16k::new(info.sfreq, given)?;
    let mut failed = None;
    let mut picked = Vec::new();
    let decoded = audio::decode(file, |block| {
        if failed.is_some() {
            return;
        }
        let pushed = match channel {
            None => converter.push(block),
            Some(channel) => {
                picked.clear();
                picked.extend(block.iter().skip(channel - 1).step_by(info.channels));
                converter.push(&picked)
            }
        };
        failed = pushed.err();
    })?;
    if let Some(e) = failed {
        return Err(e.into());
    }
    let mono = converter.finish()?;
    if mono.is_empty() {
        return Err(Error::Empty(format!(
            "{}: the sound has no samples",
            file.display()
        )));
    }
    if mono.iter().any(|v| !v.is_finite()) {
        return Err(Error::Empty(format!(
            "{}: the sound holds values that are not finite",
            file.display()
        )));
    }
    let notes: Vec<String> = decoded
        .diagnostics
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .map(|d| format!("{}: {}", d.code, d.message))
        .collect();
    Ok(Samples {
        mono,
        sfreq: f64::from(info.sfreq),
        notes: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

fn write(target: &Path, row: &StimulusRow, mono: &[f32], recipe: &Recipe) -> Result<()> {
    let audio = &recipe.audio;
    let n = segment_samples(audio).max(1);
    let length = usize::try_from(n).unwrap_or(1);
    let table = schema::table("audio")?;
    let schema = table.arrow(schema::DEFAULT_TIMES)?;
    let DataType::List(item) = schema.field_with_name("samples")?.data_type().clone() else {
        return Err(Error::Schema {
            table: "audio".into(),
            message: "column samples is not a list".into(),
        });
    };
    let mut writer = ShardWriter::create(target, table, schema.clone(), length, Vec::new())?;
    for grid in &row.grids {
        let id = grid.key(&row.stimulus_id, audio.sfreq);
        for segment in 0_i32.. {
            let at = grid.at(i64::from(segment), n);
            // Segments that start before the sound are not stored.
            let Ok(start) = usize::try_from(at) else {
                continue;
            };
            let Some(samples) = start
                .checked_add(length)
                .and_then(|end| mono.get(start..end))
            else {
                break;
            };
            let mut samples = samples.to_vec();
            let peak = match audio.normalise {
                AudioNormalise::Peak => peak_normalise(&mut samples),
                _ => 1.0,
            };
            let samples = ListArray::try_new(
                item.clone(),
                OffsetBuffer::from_lengths([length]),
                Arc::new(Float32Array::from(samples)),
                None,
            )?;
            let onset = start as f64 / f64::from(audio.sfreq);
            let columns: Vec<ArrayRef> = vec![
                Arc::new(StringArray::from(vec![id.as_str()])),
                Arc::new(Int32Array::from(vec![segment])),
                Arc::new(Float64Array::from(vec![onset])),
                Arc::new(Float32Array::from(vec![peak])),
                Arc::new(Float64Array::from(vec![f64::from(audio.sfreq)])),
                Arc::new(samples),
                Arc::new(StringArray::from(vec![row.dataset.as_str()])),
                Arc::new(StringArray::from(vec![row.recipe.as_str()])),
            ];
            writer.write(&RecordBatch::try_new(schema.clone(), columns)?)?;
        }
    }
    writer.commit().map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_channel_of_a_file_is_named_behind_it() {
        assert_eq!(channel_of("a/b.wav"), ("a/b.wav", None));
        assert_eq!(channel_of("a/b.wav#ch2"), ("a/b.wav", Some(2)));
        assert_eq!(channel_of("a/b.wav#ch12"), ("a/b.wav", Some(12)));
        for whole in [
            "a.wav#ch0",
            "a.wav#ch",
            "a.wav#ch+1",
            "a.mat#chorus",
            "a.mat#x/y",
        ] {
            assert_eq!(channel_of(whole), (whole, None));
        }
    }
}
