//! Arrays and what their dimensions mean: where sample t of channel c is.

use std::ops::Range;
use std::path::Path;

use mmpipe_trees::{Tree, Var};

use super::{description, wrap};
use crate::error::Result;
use crate::tree::Orientation;

/// Most channels, trials and arrays together: bounds what a few bytes of header can make the
/// reader allocate.
const MOST: u64 = 1 << 16;

/// Samples a lane that are converted at once.
const STEP: usize = 1 << 12;

/// One contiguous piece of time in one array, or one array a channel.
struct Piece {
    /// Samples of the recording that it holds.
    samples: Range<u64>,
    vars: Vec<Var>,
    /// Element of the first sample of the first channel.
    first: u64,
    /// Elements from one sample to the next, from one channel to the next (0 when each channel
    /// has an array of its own).
    time: u64,
    channel: u64,
}

/// Where every sample is.
pub(crate) struct Layout {
    pub(crate) channels: usize,
    /// Samples a channel.
    pub(crate) points: u64,
    /// Trials and arrays, in samples.
    pub(crate) runs: Vec<Range<u64>>,
    pieces: Vec<Piece>,
}

impl Layout {
    /// Checks arrays against the orientation and the number of names.
    ///
    /// # Errors
    /// [`crate::Error::Description`] when they contradict each other.
    pub(crate) fn new(
        path: &Path,
        vars: Vec<Var>,
        orientation: Orientation,
        names: Option<usize>,
    ) -> Result<Layout> {
        for var in &vars {
            if !var.class.is_numeric() {
                let message = format!("{} is no array of numbers but {:?}", var.place, var.class);
                return Err(description(path, "eeg", message));
            }
        }
        match orientation.axes() {
            None => Layout::each(path, vars, names),
            Some(axes) => Layout::arrays(path, vars, orientation, axes, names),
        }
    }

    fn each(path: &Path, vars: Vec<Var>, names: Option<usize>) -> Result<Layout> {
        let length = |var: &Var| {
            let vector = var.dims.iter().filter(|d| **d != 1).count() <= 1;
            vector.then(|| var.len())
        };
        let mut points = None;
        for var in &vars {
            let found = length(var).ok_or_else(|| {
                let message = format!(
                    "orientation channel-each needs vectors, {} is {}",
                    var.place,
                    shape(&var.dims)
                );
                description(path, "eeg", message)
            })?;
            if *points.get_or_insert(found) != found {
                let message = format!(
                    "{} has {found} samples, those before {}",
                    var.place,
                    points.unwrap_or(0)
                );
                return Err(description(path, "eeg", message));
            }
        }
        if let Some(names) = names
            && names != vars.len()
        {
            let message = format!("{names} names for {} vectors of samples", vars.len());
            return Err(description(path, "ch_names", message));
        }
        let points = points.unwrap_or(0);
        let piece = Piece {
            samples: 0..points,
            first: 0,
            time: 1,
            channel: 0,
            vars,
        };
        Ok(Layout {
            channels: piece.vars.len(),
            points,
            runs: std::iter::once(0..points)
                .filter(|r| !r.is_empty())
                .collect(),
            pieces: vec![piece],
        })
    }

    fn arrays(
        path: &Path,
        vars: Vec<Var>,
        orientation: Orientation,
        (time, channel, trial): (usize, usize, Option<usize>),
        names: Option<usize>,
    ) -> Result<Layout> {
        let mut out = Layout {
            channels: 0,
            points: 0,
            runs: Vec::new(),
            pieces: Vec::new(),
        };
        for (i, var) in vars.into_iter().enumerate() {
            let dims = dimensions(&var, if trial.is_some() { 3 } else { 2 }).ok_or_else(|| {
                let message = format!(
                    "orientation {} needs {} dimensions, {} is {}",
                    name(orientation),
                    if trial.is_some() { 3 } else { 2 },
                    var.place,
                    shape(&var.dims)
                );
                description(path, "orientation", message)
            })?;
            let stride = |axis: usize| dims.iter().take(axis).product::<u64>();
            let size = |axis: usize| dims.get(axis).copied().unwrap_or(1);
            let n = size(channel);
            let trials = trial.map_or(1, size);
            if n == 0 || n.saturating_add(trials) > MOST {
                let message = format!("{} is {}: {n} channels", var.place, shape(&var.dims));
                return Err(description(path, "eeg", message));
            }
            if let Some(names) = names
                && names as u64 != n
            {
                let turned = if size(time) == names as u64 {
                    "; is it turned?"
                } else {
                    ""
                };
                let message = format!(
                    "{} is {}, so orientation {} gives {n} channels, but there are {names} \
                     names{turned}",
                    var.place,
                    shape(&var.dims),
                    name(orientation)
                );
                return Err(description(path, "orientation", message));
            }
            if i > 0 && n as usize != out.channels {
                let message = format!(
                    "{} has {n} channels, those before {}",
                    var.place, out.channels
                );
                return Err(description(path, "eeg", message));
            }
            out.channels = n as usize;
            let length = size(time);
            let adjacent = trial.map(stride) == Some(stride(time).saturating_mul(length));
            let begin = out.points;
            for k in 0..trials {
                let from = begin.saturating_add(k.saturating_mul(length));
                let samples = from..from.saturating_add(length);
                if !samples.is_empty() {
                    out.runs.push(samples.clone());
                }
                out.points = samples.end;
                // Trials that follow each other in the array are read as one piece.
                if let Some(last) = out.pieces.last_mut().filter(|_| k > 0 && adjacent) {
                    last.samples.end = samples.end;
                    continue;
                }
                out.pieces.push(Piece {
                    samples,
                    vars: vec![var.clone()],
                    first: k * trial.map_or(0, stride),
                    time: stride(time),
                    channel: stride(channel),
                });
            }
            if out.runs.len() as u64 > MOST {
                return Err(description(
                    path,
                    "eeg",
                    format!("more than {MOST} arrays or trials"),
                ));
            }
        }
        Ok(out)
    }

    pub(crate) fn complex(&self) -> bool {
        self.pieces.iter().flat_map(|p| &p.vars).any(|v| v.complex)
    }

    /// Reads samples that the caller has checked to exist.
    ///
    /// # Errors
    /// [`crate::Error::Tree`].
    pub(crate) fn read(
        &self,
        tree: &dyn Tree,
        channels: &[usize],
        start: u64,
        out: &mut [&mut [f64]],
    ) -> Result<()> {
        let first = self.pieces.partition_point(|p| p.samples.end <= start);
        for piece in self.pieces.iter().skip(first) {
            let mut lanes = Vec::with_capacity(channels.len());
            let mut firsts = Vec::with_capacity(channels.len());
            for (&channel, out) in channels.iter().zip(out.iter_mut()) {
                let stop = start.saturating_add(out.len() as u64);
                let from = piece.samples.start.max(start);
                let to = piece.samples.end.min(stop);
                if from >= to {
                    continue;
                }
                let element = piece.first
                    + piece.channel * channel as u64
                    + piece.time * (from - piece.samples.start);
                // Within `out`, whose length is a usize.
                let range = (from - start) as usize..(to - start) as usize;
                let Some(lane) = out.get_mut(range) else {
                    continue;
                };
                if piece.channel == 0 {
                    let Some(var) = piece.vars.get(channel) else {
                        continue;
                    };
                    tree.read_f64(var, &[element], 1, &mut [lane])
                        .map_err(wrap)?;
                } else {
                    firsts.push(element);
                    lanes.push(lane);
                }
            }
            if let Some(var) = piece.vars.first()
                && !lanes.is_empty()
            {
                tree.read_f64(var, &firsts, piece.time, &mut lanes)
                    .map_err(wrap)?;
            } else if piece.channel != 0 {
                // Nothing of this piece is asked for: the ones after it lie later still.
                break;
            }
        }
        Ok(())
    }
}

impl Layout {
    /// As [`Layout::read`], rounded once.
    ///
    /// # Errors
    /// [`crate::Error::Tree`].
    pub(crate) fn read_f32(
        &self,
        tree: &dyn Tree,
        channels: &[usize],
        start: u64,
        out: &mut [&mut [f32]],
    ) -> Result<()> {
        use mmpipe_trees::Container as C;
        let longest = out.iter().map(|o| o.len()).max().unwrap_or(0);
        // Chunks of HDF5 may be compressed: they are asked for once. Elsewhere small steps stay
        // in cache.
        let step = match tree.container() {
            C::MatV73 | C::Hdf5 => longest.max(1),
            _ => STEP,
        };
        let mut whole = vec![0.0; step.min(longest) * out.len()];
        for at in (0..longest).step_by(step) {
            let part = |o: &[f32]| o.len().saturating_sub(at).min(step);
            let mut lanes = Vec::with_capacity(out.len());
            let mut rest = whole.as_mut_slice();
            for o in out.iter() {
                let (lane, after) = rest.split_at_mut(part(o));
                lanes.push(lane);
                rest = after;
            }
            self.read(tree, channels, start.saturating_add(at as u64), &mut lanes)?;
            for (d, s) in out.iter_mut().zip(&lanes) {
                let d = d.iter_mut().skip(at);
                d.zip(s.iter()).for_each(|(d, s)| *d = *s as f32);
            }
        }
        Ok(())
    }
}

/// Exactly `wanted` dimensions: fewer are filled up with ones, more must be ones. `None` also
/// when they multiply to more than can be counted.
fn dimensions(var: &Var, wanted: usize) -> Option<Vec<u64>> {
    let mut dims = var.dims.clone();
    // A plain vector of NumPy has one dimension; MATLAB drops trailing ones.
    while dims.len() < wanted {
        dims.push(1);
    }
    if dims.iter().skip(wanted).any(|d| *d != 1) {
        return None;
    }
    dims.truncate(wanted);
    dims.iter().try_fold(1u64, |n, d| n.checked_mul(*d))?;
    Some(dims)
}

fn shape(dims: &[u64]) -> String {
    let list: Vec<String> = dims.iter().map(u64::to_string).collect();
    list.join(" x ")
}

/// As the description spells it.
fn name(orientation: Orientation) -> String {
    serde_name(&format!("{orientation:?}"))
}

fn serde_name(camel: &str) -> String {
    let mut out = String::new();
    for c in camel.chars() {
        if c.is_ascii_uppercase() && !out.is_empty() {
            out.push('-');
        }
        out.push(c.to_ascii_lowercase());
    }
    out
}
