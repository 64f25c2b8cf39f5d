//! A recording inside a file of named arrays (MATLAB, HDF5, NumPy, CSV), found by a description
//! that is data: a new corpus of this kind needs no Rust. Owns the description, reading by
//! lanes, and small tables from such files. The containers themselves are `mmpipe-trees`.
//!
//! Not-a-number samples are samples here, not gaps.

mod layout;
mod share;
mod spec;
mod table;
mod times;

pub(crate) use layout::Layout;
pub use share::{Hold, is_shared, share};
pub use spec::{Names, Number, Orientation, TreeSpec};
pub(crate) use table::number;
pub use table::{tree_rows, tree_table};

use std::path::Path;
use std::sync::Arc;

use mmpipe_trees::{Tree, Var, select};

use crate::error::{Error, Result};
use crate::recording::{
    Channel, Container, Diagnostic, Header, Recording, Run, Severity, check_request,
    push_duplicates,
};
use crate::units;

/// Most characters of texts and numbers of a description's own values.
const SMALL: usize = 1 << 12;

/// Opens the recording that `spec` describes in `path`.
///
/// # Errors
/// [`Error::Tree`] when the file or an expression cannot be read; [`Error::Description`] when
/// the arrays are not what the description says.
pub fn open_tree(path: &Path, spec: &TreeSpec) -> Result<Box<dyn Recording>> {
    open_in(share(path)?, spec)
}

/// As [`open_tree`], of a file that is open already.
///
/// # Errors
/// As [`open_tree`].
pub fn open_in(tree: Arc<dyn Tree>, spec: &TreeSpec) -> Result<Box<dyn Recording>> {
    Ok(Box::new(Arrays::new(tree, spec)?))
}

/// Opens a file of named arrays.
pub(crate) fn arrays(path: &Path) -> Result<Box<dyn Tree>> {
    mmpipe_trees::open(path).map_err(wrap)
}

/// An open recording.
struct Arrays {
    header: Header,
    tree: Arc<dyn Tree>,
    layout: Layout,
    runs: Vec<Run>,
    scale: f64,
}

impl Arrays {
    fn new(tree: Arc<dyn Tree>, spec: &TreeSpec) -> Result<Arrays> {
        let path = tree.path().to_path_buf();
        let wrong = |field: &str, message: String| description(&path, field, message);
        let container = container(tree.as_ref())?;
        let mut diagnostics = notes(tree.as_ref());
        let vars = all(tree.as_ref(), "eeg", &spec.eeg)?;
        let names = match &spec.ch_names {
            None => None,
            Some(Names::List(list)) => {
                let mut names = Vec::new();
                for pattern in list {
                    names.extend(spec::expand(pattern).map_err(|m| wrong("ch_names", m))?);
                }
                Some(names)
            }
            Some(Names::Expression(e)) => {
                let mut names = Vec::new();
                for var in all(tree.as_ref(), "ch_names", std::slice::from_ref(e))? {
                    names.extend(tree.texts(&var).map_err(wrap)?);
                }
                Some(names)
            }
        };
        let layout = Layout::new(&path, vars, spec.orientation, names.as_ref().map(Vec::len))?;
        let sfreq = match &spec.sfreq {
            Number::Literal(x) => *x,
            Number::Expression(e) => one_number(tree.as_ref(), "sfreq", e)?,
        };
        if !(sfreq.is_finite() && sfreq > 0.0) {
            return Err(wrong(
                "sfreq",
                format!("expected Hz above 0, found {sfreq}"),
            ));
        }
        let scale = spec.scale.unwrap_or(1.0);
        if !scale.is_finite() {
            return Err(wrong(
                "scale",
                format!("expected a finite number, found {scale}"),
            ));
        }
        let runs = match &spec.times {
            None => times::adjacent(&layout.runs, sfreq),
            Some(e) => {
                let vars = all(tree.as_ref(), "times", std::slice::from_ref(e))?;
                let runs = times::runs(tree.as_ref(), &vars, &layout.runs, sfreq)?;
                diagnostics.extend(times::note(&runs));
                runs
            }
        };
        let start = match &spec.start {
            None => None,
            Some(e) => {
                let vars = all(tree.as_ref(), "start", std::slice::from_ref(e))?;
                let mut texts = Vec::new();
                for var in vars.iter().take(1) {
                    texts = tree.texts(var).map_err(wrap)?;
                }
                texts.into_iter().next().map(|t| t.trim().to_owned())
            }
        };
        if layout.complex() {
            diagnostics.push(Diagnostic::new(
                "complex",
                Severity::Warning,
                "the samples are complex numbers; the real part is read",
            ));
        }
        if layout.runs.len() > 1 && spec.times.is_none() {
            diagnostics.push(Diagnostic::new(
                "pieces",
                Severity::Note,
                format!(
                    "{} arrays or trials: each is a run, placed after the one before; the time \
                     between them is unknown",
                    layout.runs.len()
                ),
            ));
        }
        let unit = units::normalise(&spec.unit);
        let names = names.unwrap_or_else(|| (1..=layout.channels).map(|i| i.to_string()).collect());
        let channels: Vec<Channel> = names
            .into_iter()
            .map(|name| Channel {
                name: name.trim().to_owned(),
                unit: unit.clone(),
                sfreq,
                n_samples: layout.points,
                physical_min: None,
                physical_max: None,
                digital_min: None,
                digital_max: None,
                prefilter: None,
                transducer: None,
            })
            .collect();
        push_duplicates(&channels, &mut diagnostics);
        diagnostics.sort_by_key(|d| std::cmp::Reverse(d.severity));
        let bytes = std::fs::metadata(&path)
            .map_err(|e| Error::io(&path, "stat", e))?
            .len();
        let header = Header {
            container,
            files: vec![path.clone()],
            path,
            bytes,
            start,
            patient: None,
            recording: None,
            channels,
            annotations: Vec::new(),
            seconds: layout.points as f64 / sfreq,
            diagnostics,
        };
        Ok(Arrays {
            header,
            tree,
            layout,
            runs,
            scale,
        })
    }
}

impl Recording for Arrays {
    fn header(&self) -> &Header {
        &self.header
    }

    fn runs(&self, channel: usize) -> Vec<Run> {
        if channel >= self.header.channels.len() {
            return Vec::new();
        }
        self.runs.clone()
    }

    fn read_f64(&self, channels: &[usize], start: u64, out: &mut [&mut [f64]]) -> Result<()> {
        check_request(&self.header, channels, start, out.iter().map(|o| o.len()))?;
        self.layout.read(self.tree.as_ref(), channels, start, out)?;
        if self.scale != 1.0 {
            out.iter_mut()
                .for_each(|o| o.iter_mut().for_each(|x| *x *= self.scale));
        }
        Ok(())
    }

    fn read_f32(&self, channels: &[usize], start: u64, out: &mut [&mut [f32]]) -> Result<()> {
        check_request(&self.header, channels, start, out.iter().map(|o| o.len()))?;
        let mut whole: Vec<Vec<f64>> = out.iter().map(|o| vec![0.0; o.len()]).collect();
        let mut lanes: Vec<&mut [f64]> = whole.iter_mut().map(Vec::as_mut_slice).collect();
        self.read_f64(channels, start, &mut lanes)?;
        round(&whole, out);
        Ok(())
    }
}

fn round(from: &[Vec<f64>], to: &mut [&mut [f32]]) {
    for (d, s) in to.iter_mut().zip(from) {
        d.iter_mut().zip(s).for_each(|(d, s)| *d = *s as f32);
    }
}

/// Everything that expressions with ranges lead to.
fn all(tree: &dyn Tree, field: &str, expressions: &[String]) -> Result<Vec<Var>> {
    let wrong = |message: String| description(tree.path(), field, message);
    let mut out = Vec::new();
    for pattern in expressions {
        for expression in spec::expand(pattern).map_err(wrong)? {
            out.extend(select(tree, &expression).map_err(wrap)?);
        }
    }
    if out.is_empty() {
        return Err(wrong(format!("{expressions:?} leads to nothing")));
    }
    Ok(out)
}

/// A number that may be there several times.
fn one_number(tree: &dyn Tree, field: &str, expression: &str) -> Result<f64> {
    let mut found: Option<f64> = None;
    for var in all(tree, field, &[expression.to_owned()])? {
        let numbers = if var.class.is_numeric() && var.class != mmpipe_trees::Class::Char {
            tree.numbers(&var, SMALL).map_err(wrap)?
        } else {
            let texts = tree.texts(&var).map_err(wrap)?;
            texts
                .iter()
                .map(|t| t.trim().parse().unwrap_or(f64::NAN))
                .collect()
        };
        for x in numbers {
            if found.is_some_and(|f| f != x) {
                let message = format!("{expression} gives {} and {x}", found.unwrap_or(x));
                return Err(description(tree.path(), field, message));
            }
            found = Some(x);
        }
    }
    found.ok_or_else(|| description(tree.path(), field, format!("{expression} is empty")))
}

pub(crate) fn container(tree: &dyn Tree) -> Result<Container> {
    use mmpipe_trees::Container as C;
    Ok(match tree.container() {
        C::MatV5 => Container::Mat5,
        C::MatV73 => Container::Mat73,
        C::Hdf5 => Container::Hdf5,
        C::Npy => Container::Npy,
        C::Npz => Container::Npz,
        C::Csv => Container::Csv,
        other => {
            return Err(Error::Unsupported {
                path: tree.path().to_path_buf(),
                what: format!("a recording in {other}"),
            });
        }
    })
}

/// What the container's reader had to say.
pub(crate) fn notes(tree: &dyn Tree) -> Vec<Diagnostic> {
    let note = |n: &mmpipe_trees::Note| Diagnostic::new(n.code, Severity::Note, n.message.clone());
    tree.notes().iter().map(note).collect()
}

pub(crate) fn wrap(source: mmpipe_trees::Error) -> Error {
    Error::Tree { source }
}

pub(crate) fn description(path: &Path, field: &str, message: String) -> Error {
    Error::Description {
        path: path.to_path_buf(),
        field: field.to_owned(),
        message,
    }
}
