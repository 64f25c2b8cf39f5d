//! One recording: raw file to epochs and its row of `recordings`.
//!
//! Memory: the epochs of the whole recording as f32 (they are the shard), and besides them a
//! few channels at a time in f64. The raw samples are never held whole.

use std::collections::BTreeMap;
use std::io::Read;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, FixedSizeListArray, Float32Array, Float64Array, Int32Array, ListArray, RecordBatch,
    StringArray, StructArray, UInt64Array,
};
use arrow::buffer::{Buffer, OffsetBuffer, ScalarBuffer};
use arrow::datatypes::{DataType, FieldRef, SchemaRef};
use mmpipe_formats::{Recording, Severity};
use mmpipe_signal::epochs::{stats, zscore_f32};
use mmpipe_signal::pipeline::{Conditioner, GROUP};
use mmpipe_signal::recipe::{Normalise, Recipe};
use sha2::{Digest, Sha256};

use super::cut::{self, Bounds, Cut, Span};
use super::rows::{ChannelRow, Dropped, RecordingRow};
use super::work::{Work, WorkTrial};
use crate::{Error, Result, schema};

/// Bytes of samples in one batch that is handed on.
const BATCH_BYTES: usize = 1 << 20;

/// What became of a recording.
pub(crate) struct Decoded {
    /// Rows of `eeg`, in order; slices of one buffer.
    pub(crate) batches: Vec<RecordBatch>,
    /// Its row of `recordings`.
    pub(crate) row: RecordingRow,
}

/// Ingests one recording. An error of the recording becomes a row with status `rejected`.
pub(crate) fn recording(work: &Work, raw: &Path, recipe: &Recipe) -> Decoded {
    let mut row = RecordingRow::planned(work, recipe);
    match fill(work, raw, recipe, &mut row) {
        Ok(batches) => Decoded { batches, row },
        Err(e) => {
            row.reject(e.to_string());
            Decoded {
                batches: Vec::new(),
                row,
            }
        }
    }
}

fn fill(
    work: &Work,
    raw: &Path,
    recipe: &Recipe,
    row: &mut RecordingRow,
) -> Result<Vec<RecordBatch>> {
    let path = raw.join(&work.path);
    let file = mmpipe_formats::open(&path)?;
    let header = file.header();
    row.container = Some(header.container.to_string());
    row.bytes = i64::try_from(header.bytes).unwrap_or(i64::MAX);
    row.seconds = header.seconds;
    row.sha256 = Some(match &work.sha256 {
        Some(known) => known.clone(),
        None => sha256(header.files.iter().map(|f| f.as_path()))?,
    });
    if let Some(damage) = header
        .diagnostics
        .iter()
        .find(|d| d.severity == Severity::Damaged)
    {
        return Err(Error::Empty(format!("{}: {}", damage.code, damage.message)));
    }
    let notes: Vec<String> = header
        .diagnostics
        .iter()
        .filter(|d| d.severity == Severity::Warning)
        .map(|d| format!("{}: {}", d.code, d.message))
        .collect();

    let mut channels = check_channels(work, file.as_ref())?;
    loop {
        match epochs(work, recipe, file.as_ref(), &channels) {
            Ok(done) => {
                row.n_channels = i32::try_from(channels.len()).ok();
                row.sfreq = channels.first().map(|c| c.sfreq);
                row.seconds = done.seconds;
                row.epochs = done.cut.epochs.len() as i64;
                row.dropped = dropped(&done.cut);
                row.note(notes);
                if done.flat > 0 {
                    row.note([format!(
                        "{} flat channel epochs are stored as zeros",
                        done.flat
                    )]);
                }
                return batches(work, recipe, &channels, done);
            }
            // A channel that cannot be filtered must not take the others with it.
            Err(Failed::Channel(bad)) => {
                let at = channels.iter().position(|c| c.index == bad);
                let Some(at) = at.filter(|_| channels.len() > 1) else {
                    return Err(Error::Empty(
                        "every EEG channel holds values that are not finite".into(),
                    ));
                };
                channels.remove(at);
                if let Some(described) = row.channels.get_mut(bad) {
                    described.reason = Some("holds values that are not finite".into());
                }
            }
            Err(Failed::Other(e)) => return Err(e),
        }
    }
}

/// A channel that will be read.
struct Kept {
    index: usize,
    name: String,
    factor: f64,
    sfreq: f64,
    samples: u64,
}

/// Compares the plan with the header: both come from the same file, but at different times.
fn check_channels(work: &Work, file: &dyn Recording) -> Result<Vec<Kept>> {
    let mut kept = Vec::new();
    for channel in work.kept() {
        let index = channel.index as usize;
        let found = file.header().channels.get(index);
        match (found, &channel.name, channel.to_microvolts) {
            (Some(found), Some(name), Some(factor)) if found.name == channel.raw_name => {
                kept.push(Kept {
                    index,
                    name: name.clone(),
                    factor,
                    sfreq: found.sfreq,
                    samples: found.n_samples,
                });
            }
            _ => {
                return Err(Error::Empty(format!(
                    "channel {index} was planned as {:?}, the file has {:?}: it changed while it was ingested",
                    channel.raw_name,
                    found.map(|f| f.name.as_str())
                )));
            }
        }
    }
    match kept.first() {
        None => Err(Error::Empty(match work.channels.first() {
            Some(c) => format!(
                "no EEG channel is kept (first of {}: {:?}, {})",
                work.channels.len(),
                c.raw_name,
                c.reason.as_deref().unwrap_or("no reason")
            ),
            None => "the file has no channels".into(),
        })),
        Some(first) => {
            if let Some(other) = kept
                .iter()
                .find(|c| c.sfreq != first.sfreq || c.samples != first.samples)
            {
                return Err(Error::Empty(format!(
                    "channels {:?} and {:?} differ in rate or length: the file changed while it was ingested",
                    first.name, other.name
                )));
            }
            Ok(kept)
        }
    }
}

struct Epochs {
    cut: Cut,
    seconds: f64,
    /// epoch × channel × time.
    samples: Vec<f32>,
    /// epoch × channel.
    mean: Vec<f32>,
    std: Vec<f32>,
    flat: usize,
}

enum Failed {
    /// This channel of the file.
    Channel(usize),
    Other(Error),
}

impl<E: Into<Error>> From<E> for Failed {
    fn from(e: E) -> Self {
        Failed::Other(e.into())
    }
}

fn epochs(
    work: &Work,
    recipe: &Recipe,
    file: &dyn Recording,
    channels: &[Kept],
) -> std::result::Result<Epochs, Failed> {
    let sfreq = channels.first().map_or(recipe.sfreq, |c| c.sfreq);
    let runs = channels
        .first()
        .map(|c| file.runs(c.index))
        .unwrap_or_default();
    let mut conditioner = Conditioner::new(recipe, sfreq)?;
    let length = |r: &mmpipe_formats::Run| (r.samples.end.saturating_sub(r.samples.start)) as usize;
    let spans: Vec<Span> = runs
        .iter()
        .map(|run| Span {
            onset: run.onset,
            seconds: length(run) as f64 / sfreq,
            samples: conditioner.output_len(length(run)),
            unusable: (length(run) < conditioner.min_len()).then_some(cut::SHORT),
        })
        .collect();
    let bounds: Vec<Bounds> = work
        .trials
        .iter()
        .map(|t| Bounds {
            start: t.start,
            stop: t.stop,
            drop_reason: t.drop_reason.clone(),
        })
        .collect();
    let cut = cut::cut(&spans, &bounds, recipe.sfreq, recipe.epoch_seconds);

    let times = recipe.epoch_samples();
    let (n, c) = (cut.epochs.len(), channels.len());
    let mut out = Epochs {
        seconds: spans.iter().map(|s| s.seconds).sum(),
        samples: vec![0.0; n * c * times],
        mean: vec![0.0; n * c],
        std: vec![0.0; n * c],
        flat: 0,
        cut,
    };
    for (s, run) in runs.iter().enumerate() {
        let wanted: Vec<(usize, usize)> = out
            .cut
            .epochs
            .iter()
            .enumerate()
            .filter(|(_, e)| e.span == s)
            .map(|(i, e)| (i, e.first))
            .collect();
        if wanted.is_empty() {
            continue;
        }
        let mut conditioned =
            vec![vec![0.0_f64; conditioner.output_len(length(run))]; GROUP.min(c)];
        for (g, group) in channels.chunks(GROUP).enumerate() {
            condition(&mut conditioner, file, run, group, &mut conditioned)?;
            for (k, x) in conditioned.iter().take(group.len()).enumerate() {
                for &(epoch, first) in &wanted {
                    let at = epoch * c + g * GROUP + k;
                    let (Some(x), Some(to)) = (
                        x.get(first..first + times),
                        out.samples.get_mut(at * times..(at + 1) * times),
                    ) else {
                        return Err(Failed::Other(Error::Empty(format!(
                            "epoch {epoch} lies outside its run"
                        ))));
                    };
                    let (mean, std, flat) = normalise(recipe.normalise, x, to);
                    out.mean[at] = mean;
                    out.std[at] = std;
                    out.flat += usize::from(flat);
                }
            }
        }
    }
    Ok(out)
}

/// Filters and resamples up to [`GROUP`] channels of a run, in µV.
fn condition(
    conditioner: &mut Conditioner,
    file: &dyn Recording,
    run: &mmpipe_formats::Run,
    group: &[Kept],
    out: &mut [Vec<f64>],
) -> std::result::Result<(), Failed> {
    enum E {
        Signal(mmpipe_signal::Error),
        File(mmpipe_formats::Error),
    }
    impl From<mmpipe_signal::Error> for E {
        fn from(e: mmpipe_signal::Error) -> Self {
            E::Signal(e)
        }
    }
    let indices: Vec<usize> = group.iter().map(|c| c.index).collect();
    let n = (run.samples.end - run.samples.start) as usize;
    let read =
        |first: usize, start: usize, block: &mut [&mut [f64]]| -> std::result::Result<(), E> {
            let wanted = indices.get(first..first + block.len()).unwrap_or_default();
            file.read_f64(wanted, run.samples.start + start as u64, block)
                .map_err(E::File)?;
            for (x, channel) in block.iter_mut().zip(&group[first..]) {
                if channel.factor != 1.0 {
                    x.iter_mut().for_each(|v| *v *= channel.factor);
                }
            }
            Ok(())
        };
    let mut views: Vec<&mut [f64]> = out
        .iter_mut()
        .take(group.len())
        .map(Vec::as_mut_slice)
        .collect();
    match conditioner.run(n, group.len(), read, &mut views) {
        Ok(()) => Ok(()),
        Err(E::Signal(mmpipe_signal::Error::NotFinite { channel, sample })) => {
            match group.get(channel) {
                Some(bad) => Err(Failed::Channel(bad.index)),
                None => Err(mmpipe_signal::Error::NotFinite { channel, sample }.into()),
            }
        }
        Err(E::Signal(e)) => Err(e.into()),
        Err(E::File(e)) => Err(e.into()),
    }
}

/// Scales one channel of one epoch; returns what undoes it and whether the channel is flat.
fn normalise(how: Normalise, x: &[f64], out: &mut [f32]) -> (f32, f32, bool) {
    match how {
        Normalise::Divide(by) => {
            out.iter_mut()
                .zip(x)
                .for_each(|(to, v)| *to = (v / by) as f32);
            (0.0, by as f32, stats(x).flat)
        }
        // The only other way there is; a new one must say how it is undone.
        _ => {
            let stats = zscore_f32(x, out);
            (
                stats.mean as f32,
                if stats.flat { 0.0 } else { stats.std as f32 },
                stats.flat,
            )
        }
    }
}

fn dropped(cut: &Cut) -> Vec<Dropped> {
    cut.dropped
        .iter()
        .map(|(reason, (epochs, seconds))| Dropped {
            reason: reason.clone(),
            epochs: *epochs,
            seconds: *seconds,
        })
        .collect()
}

/// SHA-256 of files one after the other, in hexadecimal.
pub(crate) fn sha256<'a>(files: impl Iterator<Item = &'a Path>) -> Result<String> {
    let mut hash = Sha256::new();
    let mut buffer = vec![0; 1 << 18];
    for path in files {
        let mut file = std::fs::File::open(path).map_err(Error::io("open", path))?;
        loop {
            match file.read(&mut buffer) {
                Ok(0) => break,
                Ok(n) => hash.update(&buffer[..n]),
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read", path)(e)),
            }
        }
    }
    Ok(hash.finalize().iter().map(|b| format!("{b:02x}")).collect())
}

/// Rows of `eeg`, in batches of about [`BATCH_BYTES`]; the samples are not copied.
fn batches(
    work: &Work,
    recipe: &Recipe,
    channels: &[Kept],
    done: Epochs,
) -> Result<Vec<RecordBatch>> {
    let times = recipe.epoch_samples();
    let c = channels.len();
    let schema = schema::table("eeg")?.arrow(times)?;
    let rows = (BATCH_BYTES / (c * times * 4).max(1)).max(1);
    let columns = Columns {
        work,
        recipe,
        channels,
        times,
        schema: &schema,
    };
    let samples = Buffer::from_vec(done.samples);
    let mean = ScalarBuffer::from(done.mean);
    let std = ScalarBuffer::from(done.std);
    let mut out = Vec::new();
    for (b, epochs) in done.cut.epochs.chunks(rows).enumerate() {
        let start = b * rows * c;
        let values = ScalarBuffer::new(samples.clone(), start * times, epochs.len() * c * times);
        let part = |x: &ScalarBuffer<f32>| x.slice(start, epochs.len() * c);
        out.push(columns.batch(epochs, values, part(&mean), part(&std))?);
    }
    Ok(out)
}

struct Columns<'a> {
    work: &'a Work,
    recipe: &'a Recipe,
    channels: &'a [Kept],
    times: usize,
    schema: &'a SchemaRef,
}

impl Columns<'_> {
    fn batch(
        &self,
        epochs: &[cut::Epoch],
        samples: ScalarBuffer<f32>,
        mean: ScalarBuffer<f32>,
        std: ScalarBuffer<f32>,
    ) -> Result<RecordBatch> {
        let n = epochs.len();
        let work = self.work;
        let trials: Vec<&WorkTrial> = epochs
            .iter()
            .filter_map(|e| work.trials.get(e.trial))
            .collect();
        let all = |text: &str| -> ArrayRef {
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(text, n)))
        };
        let all_or_null = |text: &Option<String>| -> ArrayRef {
            Arc::new(StringArray::from_iter(std::iter::repeat_n(
                text.as_deref(),
                n,
            )))
        };
        let by_trial = |f: fn(&WorkTrial) -> Option<&str>| -> ArrayRef {
            Arc::new(StringArray::from_iter(trials.iter().map(|t| f(t))))
        };

        let mut columns: BTreeMap<&str, ArrayRef> = BTreeMap::new();
        columns.insert(
            "epoch_id",
            Arc::new(UInt64Array::from_iter_values(
                epochs
                    .iter()
                    .zip(&trials)
                    .map(|(e, t)| work.epoch_id(t.trial, e.epoch)),
            )),
        );
        columns.insert("dataset", all(&work.dataset));
        columns.insert("subject", all(&work.subject));
        columns.insert("session", all_or_null(&work.session));
        columns.insert("run", all_or_null(&work.run));
        columns.insert(
            "trial",
            Arc::new(Int32Array::from_iter_values(trials.iter().map(|t| t.trial))),
        );
        columns.insert(
            "epoch",
            Arc::new(Int32Array::from_iter_values(epochs.iter().map(|e| e.epoch))),
        );
        columns.insert(
            "onset",
            Arc::new(Float64Array::from_iter_values(
                epochs.iter().map(|e| e.onset),
            )),
        );
        columns.insert(
            "sfreq",
            Arc::new(Float64Array::from_iter_values(std::iter::repeat_n(
                self.recipe.sfreq,
                n,
            ))),
        );
        let names: Vec<&str> = (0..n)
            .flat_map(|_| self.channels.iter().map(|c| c.name.as_str()))
            .collect();
        let names = StringArray::from_iter_values(names);
        columns.insert("ch_names", self.per_channel("ch_names", Arc::new(names))?);
        columns.insert("eeg", self.eeg(samples)?);
        columns.insert(
            "ch_mean",
            self.per_channel("ch_mean", Arc::new(Float32Array::new(mean, None)))?,
        );
        columns.insert(
            "ch_std",
            self.per_channel("ch_std", Arc::new(Float32Array::new(std, None)))?,
        );
        columns.insert("task", by_trial(|t| t.task.as_deref()));
        columns.insert(
            "label",
            Arc::new(Int32Array::from_iter(trials.iter().map(|t| t.label))),
        );
        columns.insert("label_name", by_trial(|t| t.label_name.as_deref()));
        // Epochs lie whole within one trial, and a label holds for a whole trial.
        columns.insert(
            "label_share",
            Arc::new(Float32Array::from_iter(
                trials.iter().map(|t| t.label.map(|_| 1.0)),
            )),
        );
        columns.insert("auditory_type", by_trial(|t| t.auditory_type.as_deref()));
        columns.insert("content_id", by_trial(|t| t.content_id.as_deref()));
        columns.insert("stimuli", self.stimuli(epochs, &trials)?);
        columns.insert("recipe", all(&self.recipe.name));
        columns.insert("recording_id", all(&work.recording_id));

        let ordered = self
            .schema
            .fields()
            .iter()
            .map(|f| {
                columns
                    .remove(f.name().as_str())
                    .ok_or_else(|| missing(f.name()))
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(RecordBatch::try_new(self.schema.clone(), ordered)?)
    }

    fn item(&self, column: &str) -> Result<FieldRef> {
        match self.schema.field_with_name(column)?.data_type() {
            DataType::List(item) => Ok(item.clone()),
            _ => Err(missing(column)),
        }
    }

    fn per_channel(&self, column: &str, values: ArrayRef) -> Result<ArrayRef> {
        let c = self.channels.len();
        let offsets = OffsetBuffer::from_repeated_length(c, values.len() / c.max(1));
        Ok(Arc::new(ListArray::try_new(
            self.item(column)?,
            offsets,
            values,
            None,
        )?))
    }

    fn eeg(&self, samples: ScalarBuffer<f32>) -> Result<ArrayRef> {
        let DataType::FixedSizeList(item, size) = self.item("eeg")?.data_type().clone() else {
            return Err(missing("eeg"));
        };
        let rows = samples.len() / (self.times * self.channels.len()).max(1);
        let lists = FixedSizeListArray::try_new(
            item,
            size,
            Arc::new(Float32Array::new(samples, None)),
            None,
        )?;
        let offsets = OffsetBuffer::from_repeated_length(self.channels.len(), rows);
        Ok(Arc::new(ListArray::try_new(
            self.item("eeg")?,
            offsets,
            Arc::new(lists),
            None,
        )?))
    }

    /// The segments of sound under each epoch; one that the sound does not fill is left out.
    fn stimuli(&self, epochs: &[cut::Epoch], trials: &[&WorkTrial]) -> Result<ArrayRef> {
        let item = self.item("stimuli")?;
        let DataType::Struct(fields) = item.data_type().clone() else {
            return Err(missing("stimuli"));
        };
        let (mut ids, mut segments, mut roles, mut lengths) =
            (Vec::new(), Vec::new(), Vec::new(), Vec::new());
        for (epoch, trial) in epochs.iter().zip(trials) {
            let before = ids.len();
            for stream in &trial.streams {
                if let Some((id, segment)) =
                    super::sounds::segment_of(stream, epoch.epoch, &self.recipe.audio)
                {
                    ids.push(id);
                    segments.push(segment);
                    roles.push(stream.role.as_str());
                }
            }
            lengths.push(ids.len() - before);
        }
        let columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(&ids)),
            Arc::new(Int32Array::from(segments)),
            Arc::new(StringArray::from_iter_values(&roles)),
        ];
        let values = StructArray::try_new_with_length(fields, columns, None, ids.len())?;
        Ok(Arc::new(ListArray::try_new(
            item,
            OffsetBuffer::from_lengths(lengths),
            Arc::new(values),
            None,
        )?))
    }
}

fn missing(column: &str) -> Error {
    Error::Schema {
        table: "eeg".into(),
        message: format!("column {column} is not what the ingest writes"),
    }
}

/// What the file's channels become, for `recordings`.
pub(crate) fn channel_rows(work: &Work) -> Vec<ChannelRow> {
    work.channels
        .iter()
        .map(|c| ChannelRow {
            raw_name: c.raw_name.clone(),
            kind: c.kind.clone(),
            name: c.name.clone(),
            unit: c.unit.clone(),
            reason: c.reason.clone(),
        })
        .collect()
}
