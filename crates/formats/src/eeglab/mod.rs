//! EEGLAB data sets: a .set file (MATLAB v5 or v7.3, fields in a struct `EEG` or at the top)
//! with the samples inside or in a .fdt (or .dat) file beside it. Owns finding the samples,
//! channels, events, boundaries and epochs. The MATLAB containers are `mmpipe-trees`.
//!
//! Values are microvolts, as EEGLAB has them. A boundary event ends a run. In an epoched set
//! (trials > 1) each epoch is a run at the place where it lies in the file, because that is how
//! EEGLAB counts latencies; its own time axis starts at `xmin`. Neither changes sample counts
//! or onsets. Not read: ICA, rejection marks, electrode positions.

mod events;
mod fields;

use std::ops::Range;
use std::path::{Path, PathBuf};

use mmpipe_trees::{Class, Tree, Var};

use crate::damage;
use crate::error::{Error, Result};
use crate::frames::{Frames, Order, Store};
use crate::recording::{
    Channel, Container, Diagnostic, Header, Recording, Run, Severity, check_request,
    push_duplicates,
};
use crate::source::Source;
use crate::tree::{Layout, Orientation, arrays, description, notes};

use fields::{Cell, Fields};

/// Most channels: bounds what a few bytes of header can make the reader allocate.
const MOST_CHANNELS: u64 = 1 << 13;
/// Epochs of a set that are read: three days of one-second epochs. Each costs memory before a sample
/// is looked at, and a few bytes can claim any number of them.
const MOST_EPOCHS: u64 = 1 << 18;

/// Where the samples are.
enum Data {
    Inside(Box<dyn Tree>, Layout),
    Beside(Frames),
}

/// An open data set.
pub(crate) struct Eeglab {
    header: Header,
    data: Data,
    runs: Vec<Range<u64>>,
    sfreq: f64,
}

/// The sizes that the fields promise.
struct Sizes {
    channels: Option<u64>,
    points: Option<u64>,
    trials: u64,
}

impl Eeglab {
    /// Opens a data set by its .set or .fdt file.
    pub(crate) fn open(path: &Path) -> Result<Eeglab> {
        let path = set_of(path)?;
        let tree = arrays(&path)?;
        let mut diagnostics = notes(tree.as_ref());
        let fields = Fields::new(tree.as_ref())?;
        let sfreq = fields.number("srate")?.unwrap_or(f64::NAN);
        if !(sfreq.is_finite() && sfreq > 0.0) {
            let message = format!("expected Hz above 0, found {sfreq}");
            return Err(description(&path, "srate", message));
        }
        let sizes = Sizes {
            channels: fields.count("nbchan")?,
            points: fields.count("pnts")?,
            trials: fields.count("trials")?.unwrap_or(1),
        };
        let place = samples(&fields)?;
        let mut files = vec![path.clone()];
        let (frames, layout) = match place {
            Place::Inside(var) => (None, Some(inside(&path, var, &sizes, &mut diagnostics)?)),
            Place::Beside(name) => {
                let file = beside(&path, &name, &mut diagnostics)?;
                let frames = load(&file, &sizes, &mut diagnostics)?;
                files.push(file);
                (Some(frames), None)
            }
        };
        let (n, points) = match (&frames, &layout) {
            (Some(f), _) => (f.n, f.points as u64),
            (None, Some(l)) => (l.channels, l.points),
            (None, None) => (0, 0),
        };
        let events = events::read(&fields, sfreq, points, &mut diagnostics)?;
        let trial = (sizes.trials > 1)
            .then(|| sizes.points.unwrap_or(points))
            .filter(|t| *t > 0);
        if let Some(samples) = trial {
            let epochs = points / samples;
            if epochs > MOST_EPOCHS {
                let message = format!("{epochs} epochs, at most {MOST_EPOCHS} are read");
                return Err(description(&path, "trials", message));
            }
            let xmin = fields.number("xmin")?.unwrap_or(0.0);
            diagnostics.push(Diagnostic::new(
                "epochs",
                Severity::Note,
                format!(
                    "{} epochs of {samples} samples from {xmin} s: each is a run at its place in \
                     the file, the event it is about lies {} s after its onset",
                    sizes.trials,
                    0.0 - xmin
                ),
            ));
        }
        let channels = channels(&fields, n, sfreq, points, &mut diagnostics)?;
        push_duplicates(&channels, &mut diagnostics);
        diagnostics.sort_by_key(|d| std::cmp::Reverse(d.severity));
        let mut bytes = 0;
        for file in &files {
            let meta = std::fs::metadata(file).map_err(|e| Error::io(file, "stat", e))?;
            bytes += meta.len();
        }
        let header = Header {
            container: Container::Eeglab,
            path,
            bytes,
            files,
            start: None,
            patient: None,
            recording: None,
            channels,
            annotations: events.annotations,
            seconds: points as f64 / sfreq,
            diagnostics,
        };
        let data = match (frames, layout) {
            (Some(frames), _) => Data::Beside(frames),
            (None, Some(layout)) => Data::Inside(tree, layout),
            (None, None) => return Err(description(&header.path, "data", "no samples".into())),
        };
        let runs = runs(points, trial, &events.cuts);
        Ok(Eeglab {
            header,
            data,
            runs,
            sfreq,
        })
    }

    fn short(&self) -> Error {
        Error::range(
            &self.header.path,
            "the data file is shorter than when it was opened",
        )
    }
}

impl Recording for Eeglab {
    fn header(&self) -> &Header {
        &self.header
    }

    fn release(&self) {
        if let Data::Beside(frames) = &self.data {
            frames.release();
        }
    }

    fn runs(&self, channel: usize) -> Vec<Run> {
        if channel >= self.header.channels.len() {
            return Vec::new();
        }
        let run = |r: &Range<u64>| Run {
            onset: r.start as f64 / self.sfreq,
            samples: r.clone(),
        };
        self.runs.iter().map(run).collect()
    }

    fn read_f64(&self, channels: &[usize], start: u64, out: &mut [&mut [f64]]) -> Result<()> {
        check_request(&self.header, channels, start, out.iter().map(|o| o.len()))?;
        match &self.data {
            Data::Inside(tree, layout) => layout.read(tree.as_ref(), channels, start, out),
            Data::Beside(frames) => frames
                .read(channels, start, out)
                .ok_or_else(|| self.short()),
        }
    }

    fn read_f32(&self, channels: &[usize], start: u64, out: &mut [&mut [f32]]) -> Result<()> {
        check_request(&self.header, channels, start, out.iter().map(|o| o.len()))?;
        match &self.data {
            Data::Inside(tree, layout) => layout.read_f32(tree.as_ref(), channels, start, out),
            Data::Beside(frames) => frames
                .read(channels, start, out)
                .ok_or_else(|| self.short()),
        }
    }
}

/// The .set of a data file.
fn set_of(path: &Path) -> Result<PathBuf> {
    let is_data = path
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| e.eq_ignore_ascii_case("fdt"));
    if !is_data {
        return Ok(path.to_path_buf());
    }
    for extension in ["set", "SET"] {
        let set = path.with_extension(extension);
        if set.is_file() {
            return Ok(set);
        }
    }
    Err(Error::Missing {
        path: path.to_path_buf(),
        field: "the data file's name",
        missing: path.with_extension("set"),
    })
}

enum Place {
    Inside(Var),
    Beside(String),
}

/// The field `data`: the samples, or the name of the file that has them.
fn samples(fields: &Fields<'_>) -> Result<Place> {
    let path = fields.tree.path();
    let data = fields.get("data")?;
    let data = data.ok_or_else(|| description(path, "data", "expected it, found none".into()))?;
    match data.class {
        Class::Char | Class::Text => {
            let name = fields.text(&data)?;
            match fields.variable(&name) {
                // Old sets: data is 'EEGDATA', a variable of the same file.
                Some(var) if var.class.is_numeric() => Ok(Place::Inside(var)),
                _ => Ok(Place::Beside(name)),
            }
        }
        class if class.is_numeric() && !data.is_empty() => Ok(Place::Inside(data)),
        class => {
            let message = format!("expected samples or a file's name, found {class:?} without any");
            Err(description(path, "data", message))
        }
    }
}

/// Samples in the .set itself: channels, samples and perhaps epochs.
fn inside(path: &Path, var: Var, sizes: &Sizes, notes: &mut Vec<Diagnostic>) -> Result<Layout> {
    let orientation = if var.dims.len() > 2 {
        Orientation::ChannelTimeTrial
    } else {
        Orientation::ChannelTime
    };
    let dims = var.dims.clone();
    let n = sizes.channels.and_then(|n| usize::try_from(n).ok());
    // The epochs are runs by the fields, whether the array has a dimension for them or not.
    let layout = Layout::new(path, vec![var], orientation, n)?;
    if layout.channels as u64 > MOST_CHANNELS {
        let message = format!(
            "{} channels, at most {MOST_CHANNELS} are read",
            layout.channels
        );
        return Err(description(path, "nbchan", message));
    }
    let promised = sizes.points.map(|p| p.saturating_mul(sizes.trials));
    if let Some(promised) = promised
        && promised != layout.points
    {
        notes.push(Diagnostic::new(
            "data-points-disagree",
            Severity::Warning,
            format!("pnts x trials is {promised}, data is {dims:?}; the latter is read"),
        ));
    }
    Ok(layout)
}

/// The file that `data` names, in the folder of the .set whatever folder it names; when it is
/// not there, the one named like the .set (sets are renamed more often than their fields).
fn beside(set: &Path, name: &str, notes: &mut Vec<Diagnostic>) -> Result<PathBuf> {
    let base = name.rsplit(['/', '\\']).next().unwrap_or_default().trim();
    let wanted = set.with_file_name(if base.is_empty() { "?" } else { base });
    if !base.is_empty() && wanted != set && wanted.is_file() {
        return Ok(wanted);
    }
    for extension in ["fdt", "FDT", "dat"] {
        let candidate = set.with_extension(extension);
        if candidate.is_file() {
            notes.push(Diagnostic::new(
                "renamed",
                Severity::Warning,
                format!(
                    "data names {name:?}, which is not there; {} is read",
                    candidate.display()
                ),
            ));
            return Ok(candidate);
        }
    }
    Err(Error::Missing {
        path: set.to_path_buf(),
        field: "data",
        missing: wanted,
    })
}

/// Opens a data file of 32-bit floats; .fdt alternates channels, .dat has one after the other.
fn load(path: &Path, sizes: &Sizes, notes: &mut Vec<Diagnostic>) -> Result<Frames> {
    let n = sizes
        .channels
        .filter(|n| *n <= MOST_CHANNELS)
        .and_then(|n| usize::try_from(n).ok());
    let n = n.ok_or_else(|| {
        let message = format!("expected 1 to {MOST_CHANNELS}, found {:?}", sizes.channels);
        description(path, "nbchan", message)
    })?;
    let source = Source::open(path)?;
    let bytes = source.bytes().len();
    if let Some(pairs) = damage::rewritten_line_ends(source.bytes()) {
        let message = format!(
            "all {pairs} line feeds in the data follow a carriage return: a text-mode copy changed \
             LF to CR LF and shifted the samples; fetch the file again in binary mode"
        );
        notes.push(Diagnostic::new(
            "line-ends-rewritten",
            Severity::Damaged,
            message,
        ));
    }
    let transposed = path
        .extension()
        .and_then(|e| e.to_str())
        .is_some_and(|e| e.eq_ignore_ascii_case("dat"));
    let held = bytes / (4 * n);
    let promised = sizes.points.map(|p| p.saturating_mul(sizes.trials));
    let wanted = promised
        .and_then(|p| usize::try_from(p).ok())
        .unwrap_or(held);
    if promised.is_some_and(|p| p > held as u64) || (wanted == held && bytes % (4 * n) > 0) {
        notes.push(Diagnostic::new(
            "truncated",
            if transposed {
                Severity::Damaged
            } else {
                Severity::Warning
            },
            format!(
                "pnts x trials promise {} samples of {n} channels, the data file holds {held} and \
                 {} bytes",
                promised.unwrap_or(held as u64),
                bytes % (4 * n)
            ),
        ));
    } else if wanted < held {
        notes.push(Diagnostic::new(
            "data-points-disagree",
            Severity::Warning,
            format!("pnts x trials promise {wanted} samples, the data file holds {held}; the first are read"),
        ));
    }
    Ok(Frames {
        store: Store::Floats {
            source: Some(source),
            big_endian: false,
        },
        order: if transposed {
            Order::Channels
        } else {
            Order::Points
        },
        n,
        points: wanted.min(held),
    })
}

fn channels(
    fields: &Fields<'_>,
    n: usize,
    sfreq: f64,
    points: u64,
    notes: &mut Vec<Diagnostic>,
) -> Result<Vec<Channel>> {
    let (mut labels, mut types) = (Vec::new(), Vec::new());
    if let Some(var) = fields
        .get("chanlocs")?
        .filter(|v| !v.is_empty() && !v.fields.is_empty())
    {
        labels = fields.column(&var, "labels", MOST_CHANNELS)?;
        types = fields.column(&var, "type", MOST_CHANNELS)?;
    }
    if labels.len() != n {
        notes.push(Diagnostic::new(
            "labels-disagree",
            Severity::Warning,
            format!(
                "{n} channels, {} labels in chanlocs; channels are named EEG 000, EEG 001, ... \
                 where there is none",
                labels.len()
            ),
        ));
    }
    let channel = |i: usize| Channel {
        name: labels
            .get(i)
            .and_then(Cell::text)
            .map(|l| l.trim().to_owned())
            .unwrap_or_else(|| format!("EEG {i:03}")),
        unit: "µV".to_owned(),
        sfreq,
        n_samples: points,
        physical_min: None,
        physical_max: None,
        digital_min: None,
        digital_max: None,
        prefilter: None,
        transducer: types
            .get(i)
            .and_then(Cell::text)
            .and_then(crate::text::some),
    };
    Ok((0..n).map(channel).collect())
}

/// Stretches between the starts of epochs and the cuts.
fn runs(points: u64, trial: Option<u64>, cuts: &[u64]) -> Vec<Range<u64>> {
    let mut starts = vec![0];
    if let Some(trial) = trial {
        // At most one a sample.
        starts.extend(
            (1..)
                .map(|k: u64| k.saturating_mul(trial))
                .take_while(|s| *s < points),
        );
    }
    starts.extend(cuts);
    starts.sort_unstable();
    starts.dedup();
    let ends = starts.iter().skip(1).copied().chain([points]);
    let range = |(start, end): (&u64, u64)| *start..end;
    starts
        .iter()
        .zip(ends)
        .map(range)
        .filter(|r| !r.is_empty())
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn runs_end_at_epochs_and_cuts() {
        assert_eq!(runs(10, None, &[]), std::slice::from_ref(&(0..10)));
        assert_eq!(runs(0, Some(5), &[]), []);
        assert_eq!(runs(10, Some(4), &[6, 8]), [0..4, 4..6, 6..8, 8..10]);
    }
}
