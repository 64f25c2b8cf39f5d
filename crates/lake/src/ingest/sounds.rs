//! Sounds to table `audio`: each decoded once, mono at the recipe's rate, in segments.
//!
//! A sound is a file, an array of a file of named arrays (`set.mat#clip1`), or a channel of either
//! (`talkers.wav#ch2`). Of an envelope only the row is stored. Which grids of segments are stored
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
use mmpipe_corpora::open_sound;
use mmpipe_formats::{Severity, audio};
use mmpipe_signal::audio::{ToMono16k, output_len, peak_normalise};
use mmpipe_signal::recipe::{AudioNormalise, Recipe};

use super::ahead::Ahead;
use super::grid::{Grid, segment_samples};
use super::rows::{OK, REJECTED, VERSION};
use super::stimuli::{ENVELOPE, MISSING, SOUND, StimulusRow};
use super::streams::Sound;
use crate::lake::path_value;
use crate::shard::ShardWriter;
use crate::{Error, Result, commit, schema};

/// Key of a sound: unique in the lake.
pub(crate) fn stimulus_id(dataset: &str, path: &str) -> String {
    format!("{dataset}/{path}")
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
    /// Nowhere, and why.
    Missing(String),
    /// A sound file; one channel (from 1) of it, or the mean of all.
    File(PathBuf, Option<u32>),
    /// An array of a file of named arrays.
    Array {
        file: PathBuf,
        /// Where in it, for [`open_sound`].
        tree: String,
        /// One of its channels, or the mean of all.
        channel: Option<u32>,
        /// Whether it is an envelope, of which there is nothing to hear.
        envelope: bool,
    },
}

impl Place {
    fn file(&self) -> Option<&Path> {
        match self {
            Place::Missing(_) => None,
            Place::File(file, _) | Place::Array { file, .. } => Some(file),
        }
    }
}

/// What is asked of one sound.
pub(crate) struct Request {
    pub(crate) lake: PathBuf,
    pub(crate) place: Place,
    pub(crate) recipe: Arc<Recipe>,
    pub(crate) dataset: String,
    pub(crate) path: String,
    pub(crate) sound: Sound,
    /// The sample that is heard when a trial starts, and the rate of its EEG's clock.
    pub(crate) plays: Vec<(i64, f64)>,
    pub(crate) earlier: Option<StimulusRow>,
    pub(crate) ahead: Arc<Ahead>,
}

/// A sound's samples.
#[derive(Debug)]
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
            kind: match &self.place {
                Place::Array { envelope: true, .. } => ENVELOPE.into(),
                _ => SOUND.into(),
            },
            tree: match &self.place {
                Place::Array { tree, .. } => Some(tree.clone()),
                _ => None,
            },
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
        if let Err(e) = self.describe(&mut row) {
            rejected(&mut row, &e);
        }
        row
    }

    /// Fills in rate and length from the header.
    fn describe(&self, row: &mut StimulusRow) -> Result<()> {
        match &self.place {
            Place::Missing(why) => missing(row, why),
            Place::File(file, channel) => {
                let info = audio::probe(file)?;
                one_of(file, *channel, info.channels)?;
                row.sfreq = Some(f64::from(info.sfreq));
                let frames = info.frames.map(|n| output_len(n, info.sfreq));
                row.seconds = frames.map(|n| n as f64 / f64::from(self.recipe.audio.sfreq));
            }
            Place::Array {
                file,
                tree,
                channel,
                ..
            } => {
                let sound = open_sound(file, tree)?;
                one_of(file, *channel, sound.channels())?;
                row.sfreq = Some(sound.sfreq());
                row.seconds = Some(sound.seconds());
            }
        }
        Ok(())
    }

    /// The grids that trials ask of a sound of so many samples.
    fn grids(&self, length: i64) -> impl Iterator<Item = Grid> {
        let n = segment_samples(&self.recipe.audio).max(1);
        let plays = self.plays.iter();
        plays.map(move |&(offset, rate)| Grid::of(offset, rate, length, n).0)
    }

    /// Makes a sound's segments and its row. A sound that cannot be read becomes a row with
    /// status `rejected`, one that is not there `missing`; a lake that cannot be written is an
    /// error.
    pub(crate) fn store(self) -> Result<Made> {
        let mut row = self.row();
        let target = audio_path(&self.lake, &self.recipe.name, &row.dataset, &row.path);
        let Some(file) = self.place.file() else {
            self.describe(&mut row)?;
            commit::remove(&target)?;
            return Ok(Made { row, writer: None });
        };
        let decoded = (|| -> Result<_> {
            row.sha256 = Some(self.ahead.hash(file)?);
            if row.kind == ENVELOPE {
                self.describe(&mut row)?;
                return Ok(Stored::Nothing);
            }
            let old = self.earlier.as_ref().filter(|old| same(old, &row));
            // Epochs of subjects that are not part of this ingest may use these.
            let mut grids: BTreeSet<Grid> = old.iter().flat_map(|o| &o.grids).copied().collect();
            let before = grids.len();
            if let Some(seconds) = old.and_then(|o| o.seconds) {
                let length = (seconds * f64::from(self.recipe.audio.sfreq)).round() as i64;
                grids.extend(self.grids(length));
                if grids.len() == before && target.is_file() {
                    row.grids = grids.into_iter().collect();
                    return Ok(Stored::Before);
                }
            }
            let now = self.ahead.samples(&self.place)?;
            grids.extend(self.grids(now.mono.len() as i64));
            row.grids = grids.into_iter().collect();
            Ok(Stored::Now(now))
        })();
        let mut writer = None;
        match decoded {
            Ok(Stored::Nothing) => drop(commit::remove(&target)?),
            Ok(Stored::Before) => {
                // Metadata of the manifest may be newer than the row.
                if let Some(old) = self.earlier {
                    (row.seconds, row.sfreq, row.reason) = (old.seconds, old.sfreq, old.reason);
                }
            }
            Ok(Stored::Now(Samples { mono, sfreq, notes })) => {
                row.seconds = Some(mono.len() as f64 / f64::from(self.recipe.audio.sfreq));
                row.sfreq = Some(sfreq);
                row.reason = notes;
                writer = Some(write(&target, &row, &mono, &self.recipe)?);
            }
            Err(e) => {
                rejected(&mut row, &e);
                commit::remove(&target)?;
            }
        }
        Ok(Made { row, writer })
    }
}

/// A sound whose segments are written and not in the lake yet.
pub(crate) struct Made {
    row: StimulusRow,
    writer: Option<ShardWriter>,
}

impl Made {
    /// Brings the segments into the lake, and gives the row.
    pub(crate) fn commit(self) -> Result<StimulusRow> {
        if let Some(writer) = self.writer {
            writer.commit()?;
        }
        Ok(self.row)
    }
}

/// What of a sound is stored.
enum Stored {
    /// An envelope: nothing.
    Nothing,
    /// What an earlier ingest stored.
    Before,
    /// What was decoded just now.
    Now(Samples),
}

fn missing(row: &mut StimulusRow, why: &str) {
    row.status = MISSING.into();
    row.reason = Some(why.into());
}

fn rejected(row: &mut StimulusRow, why: &Error) {
    row.status = REJECTED.into();
    row.reason = Some(why.to_string());
    row.grids.clear();
}

/// Whether an earlier row describes what would be stored again now.
fn same(old: &StimulusRow, row: &StimulusRow) -> bool {
    old.status == OK
        && (&old.kind, &old.tree) == (&row.kind, &row.tree)
        && old.sha256 == row.sha256
        && (&old.recipe_hash, &old.version) == (&row.recipe_hash, &row.version)
}

/// A channel asked for must be there.
fn one_of(file: &Path, channel: Option<u32>, channels: usize) -> Result<()> {
    match channel {
        Some(channel) if channel as usize > channels => Err(Error::Empty(format!(
            "{}: expected a channel {channel}, found {channels} channels",
            file.display()
        ))),
        _ => Ok(()),
    }
}

/// Decodes a sound, mono at 16 kHz.
pub(crate) fn samples(place: &Place) -> Result<Samples> {
    let (file, decoded) = match place {
        Place::Missing(why) => return Err(Error::Empty(why.clone())),
        Place::File(file, channel) => (file, from_file(file, *channel)?),
        Place::Array {
            file,
            tree,
            channel,
            ..
        } => (file, from_array(file, tree, *channel)?),
    };
    let mono = &decoded.mono;
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
    Ok(decoded)
}

fn from_file(file: &Path, channel: Option<u32>) -> Result<Samples> {
    let info = audio::probe(file)?;
    one_of(file, channel, info.channels)?;
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
                let first = (channel as usize).saturating_sub(1);
                picked.clear();
                picked.extend(block.iter().skip(first).step_by(info.channels));
                converter.push(&picked)
            }
        };
        failed = pushed.err();
    })?;
    if let Some(e) = failed {
        return Err(e.into());
    }
    let notes: Vec<String> = decoded
        .diagnostics
        .iter()
        .filter(|d| d.severity != Severity::Note)
        .map(|d| format!("{}: {}", d.code, d.message))
        .collect();
    Ok(Samples {
        mono: converter.finish(),
        sfreq: f64::from(info.sfreq),
        notes: (!notes.is_empty()).then(|| notes.join("; ")),
    })
}

fn from_array(file: &Path, tree: &str, channel: Option<u32>) -> Result<Samples> {
    let sound = open_sound(file, tree)?;
    let sfreq = sound.sfreq();
    if sfreq.fract() != 0.0 || !(1.0..=f64::from(u32::MAX)).contains(&sfreq) {
        return Err(Error::Empty(format!(
            "{}: expected a sound of a whole number of samples a second, found {sfreq} Hz",
            file.display()
        )));
    }
    let mut converter = ToMono16k::new(sfreq as u32, 1)?;
    let mut failed = None;
    sound.decode(channel, |block| {
        if failed.is_none() {
            failed = converter.push(block).err();
        }
    })?;
    match failed {
        Some(e) => Err(e.into()),
        None => Ok(Samples {
            mono: converter.finish(),
            sfreq,
            notes: None,
        }),
    }
}

fn write(target: &Path, row: &StimulusRow, mono: &[f32], recipe: &Recipe) -> Result<ShardWriter> {
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
    Ok(writer)
}
