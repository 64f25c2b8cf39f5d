//! Splits in the lake: the table, and beside it the audit as proof.
//!
//! A split is a folder `LAKE/splits/split=NAME/` with the table's Parquet file and `audit.json`.
//! The proof is written last and whole; a folder without one is a split that was interrupted.
//! Whoever trains asks [`check_for_training`], which audits the stored table again.

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;

use mmpipe_lake::Lake;
use serde::{Deserialize, Serialize};

use crate::assign::few_units;
use crate::{Assignment, Audit, Error, Protocol, Result, Role, assign, audit};

mod proof;
mod read;
mod table;

pub use read::{audio_only_in, audio_only_of, rows};

/// Folds when nothing else is asked for, as the paper has.
pub const DEFAULT_FOLDS: usize = 5;

/// What to split, and how.
#[derive(Debug, Clone)]
pub struct SplitRequest {
    /// Data set, in any case.
    pub dataset: String,
    /// Preprocessing recipe; `None` takes the only one, or `mindmix` among several.
    pub recipe: Option<String>,
    /// Protocol.
    pub protocol: Protocol,
    /// Name; `None` makes one, see [`default_name`].
    pub name: Option<String>,
    /// Folds; `None` is [`DEFAULT_FOLDS`], or the number of subjects or contents where the protocol
    /// keeps those apart and there are fewer.
    pub folds: Option<usize>,
    /// Seed.
    pub seed: u64,
    /// Overwrite a different split of that name.
    pub replace: bool,
}

/// A stored split.
#[derive(Debug, Clone, PartialEq)]
pub struct Split {
    /// Name.
    pub name: String,
    /// Data set.
    pub dataset: String,
    /// Recipe of the epochs.
    pub recipe: String,
    /// Protocol.
    pub protocol: Protocol,
    /// Seed that made it.
    pub seed: u64,
    /// Number of folds.
    pub folds: usize,
    /// Sorted by fold, role and key.
    pub assignments: Vec<Assignment>,
}

impl Split {
    /// Keys of one part, sorted.
    pub fn part(&self, fold: i32, role: Role) -> Vec<u64> {
        self.assignments
            .iter()
            .filter(|a| a.fold == fold && a.role == role)
            .map(|a| a.epoch_id)
            .collect()
    }

    /// Keys of all epochs in the split, sorted, each once.
    pub fn epoch_ids(&self) -> Vec<u64> {
        let ids: BTreeSet<u64> = self.assignments.iter().map(|a| a.epoch_id).collect();
        ids.into_iter().collect()
    }
}

/// What `audit.json` holds.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct StoredAudit {
    /// Version of this file's format.
    pub format: u32,
    /// Split.
    pub split: String,
    /// Data set.
    pub dataset: String,
    /// Recipe.
    pub recipe: String,
    /// Number of folds.
    pub folds: usize,
    /// Seed.
    pub seed: u64,
    /// Version of the code that made the split.
    pub version: String,
    /// The audit when the split was made.
    pub audit: Audit,
}

/// A fresh audit of a stored split.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Reaudit {
    /// The split as stored.
    #[serde(skip)]
    pub split: Split,
    /// The audit of what the table says now.
    pub audit: Audit,
    /// How table or lake differ from what was audited when the split was made; empty when they do not.
    pub changed: Vec<String>,
}

/// Leave to train on a split.
#[derive(Debug, Clone, PartialEq)]
pub struct Clearance {
    /// The split.
    pub split: Split,
    /// Its fresh audit.
    pub audit: Audit,
    /// What only `--allow-leaky` let pass; empty when the promise holds and nothing changed.
    pub forced: Vec<String>,
}

impl Clearance {
    /// Whether every table and report must mark results of this split: the protocol is leaky, or
    /// training was forced.
    pub fn leaky(&self) -> bool {
        self.audit.leaky || !self.forced.is_empty()
    }

    /// The audit as a result stores it: `holds` is false when training was forced.
    pub fn summary(&self) -> mmpipe_eval::result::AuditSummary {
        let mut summary = mmpipe_eval::result::AuditSummary::from(&self.audit);
        summary.holds &= self.forced.is_empty();
        for reason in &self.forced {
            if !summary.broken.contains(reason) {
                summary.broken.push(reason.clone());
            }
        }
        summary
    }
}

/// The name a split gets when none is given, e.g. `eegmat-cross-subject-s0`; folds other than
/// [`DEFAULT_FOLDS`] are in it (`-f20`), so that two requests do not collide.
pub fn default_name(dataset: &str, protocol: Protocol, folds: usize, seed: u64) -> String {
    let plain = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let dataset: String = dataset.chars().map(plain).collect();
    let dataset = dataset.trim_matches('-');
    let folds = if folds == DEFAULT_FOLDS {
        String::new()
    } else {
        format!("-f{folds}")
    };
    let dataset = if dataset.is_empty() { "split" } else { dataset };
    format!("{dataset}-{protocol}{folds}-s{seed}")
}

fn check_name(name: &str) -> Result<()> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    let starts = name.starts_with(|c: char| c.is_ascii_alphanumeric());
    if starts && name.len() <= 100 && name.chars().all(allowed) {
        Ok(())
    } else {
        Err(Error::Name {
            found: name.to_owned(),
        })
    }
}

/// Makes a split, audits it and stores both. The same request again gives the same split; a
/// different one under the same name is refused unless `replace` is set.
///
/// A promise that does not hold (trials that overlap in time, say) is stored as such; training
/// then refuses.
///
/// # Errors
/// When the data set is not in the lake, cannot be divided so, or the files cannot be written.
pub async fn create(lake: &Lake, request: &SplitRequest) -> Result<(Split, Audit)> {
    let source = read::source(lake, &request.dataset, request.recipe.as_deref()).await?;
    let rows = read::rows_of(lake, &source).await?;
    let protocol = request.protocol;
    let folds = request.folds.unwrap_or_else(|| {
        let units = few_units(&rows, protocol).filter(|units| *units >= 3);
        units.map_or(DEFAULT_FOLDS, |units| units.min(DEFAULT_FOLDS))
    });
    let name = match &request.name {
        Some(name) => name.clone(),
        None => default_name(&source.dataset, protocol, folds, request.seed),
    };
    check_name(&name)?;
    let assignments = assign(&rows, protocol, folds, request.seed)?;
    let audit = audit(&rows, &assignments, protocol);
    let split = Split {
        name: name.clone(),
        dataset: source.dataset.clone(),
        recipe: source.recipe.clone(),
        protocol,
        seed: request.seed,
        folds,
        assignments,
    };
    let proof = StoredAudit {
        format: proof::FORMAT,
        split: name.clone(),
        dataset: source.dataset,
        recipe: source.recipe,
        folds,
        seed: request.seed,
        version: env!("CARGO_PKG_VERSION").to_owned(),
        audit: audit.clone(),
    };
    let folder = folder(lake, &name)?;
    if folder.join(proof::FILE).exists() && !request.replace {
        let stored = proof::read(&folder)?;
        if stored == proof && load(lake, &name).await? == split {
            return Ok((split, audit));
        }
        return Err(Error::Exists { name, path: folder });
    }
    // An old proof must not stand beside a new table, whatever interrupts this.
    proof::remove(&folder)?;
    let subjects: BTreeMap<u64, &str> = rows
        .iter()
        .map(|row| (row.epoch_id, row.subject.as_str()))
        .collect();
    table::write(lake, &split, &subjects)?;
    proof::write(&folder, &proof)?;
    Ok((split, audit))
}

fn folder(lake: &Lake, name: &str) -> Result<PathBuf> {
    Ok(lake.partition_dir("splits", &[("split", name)])?)
}

/// Reads a stored split, without judging it.
///
/// # Errors
/// [`Error::NotFound`] with near names, [`Error::Stored`] when table and proof do not belong
/// together.
pub async fn load(lake: &Lake, name: &str) -> Result<Split> {
    let stored = stored_audit(lake, name)?;
    let (assignments, protocol, dataset) = table::read(lake, name).await?;
    let path = folder(lake, name)?;
    if protocol != stored.audit.protocol || dataset != stored.dataset {
        return Err(Error::Stored {
            path,
            message: format!(
                "the table says {protocol} of {dataset}, its audit {} of {}; make the split again",
                stored.audit.protocol, stored.dataset
            ),
        });
    }
    Ok(Split {
        name: name.to_owned(),
        dataset,
        recipe: stored.recipe,
        protocol,
        seed: stored.seed,
        folds: stored.folds,
        assignments,
    })
}

/// Reads the proof that was stored when a split was made.
///
/// # Errors
/// [`Error::NotFound`], or [`Error::Stored`] when it is missing or unreadable.
pub fn stored_audit(lake: &Lake, name: &str) -> Result<StoredAudit> {
    check_name(name)?;
    let folder = folder(lake, name)?;
    if !folder.is_dir() {
        let known = list(lake)?;
        let known = if known.is_empty() {
            ", which has none yet".to_owned()
        } else {
            format!("; it has {}", known.join(", "))
        };
        return Err(Error::NotFound {
            name: name.to_owned(),
            known,
        });
    }
    proof::read(&folder)
}

/// Names of the complete splits in the lake, sorted.
///
/// # Errors
/// When the folder cannot be listed.
pub fn list(lake: &Lake) -> Result<Vec<String>> {
    let folder = lake.root().join("splits");
    let entries = match std::fs::read_dir(&folder) {
        Ok(entries) => entries,
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(e) => return Err(Error::io("list", &folder)(e)),
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.map_err(Error::io("list", &folder))?;
        let name = entry
            .file_name()
            .to_string_lossy()
            .strip_prefix("split=")
            .map(str::to_owned);
        if let Some(name) = name
            && entry.path().join(proof::FILE).is_file()
        {
            names.push(name);
        }
    }
    names.sort();
    Ok(names)
}

/// Audits the stored table against the lake as both are now. Nothing is written.
///
/// # Errors
/// When the split, its proof or the lake cannot be read.
pub async fn reaudit(lake: &Lake, name: &str) -> Result<Reaudit> {
    let stored = stored_audit(lake, name)?;
    let split = load(lake, name).await?;
    let source = read::Source {
        dataset: split.dataset.clone(),
        recipe: split.recipe.clone(),
    };
    let rows = read::rows_of(lake, &source).await?;
    let audit = audit(&rows, &split.assignments, split.protocol);
    let mut changed = Vec::new();
    if audit.assignments_digest != stored.audit.assignments_digest {
        changed.push(
            "the stored table is not the one that was audited when the split was made".to_owned(),
        );
    }
    if audit.epochs_digest != stored.audit.epochs_digest {
        changed.push(
            "the lake says other things of the split's epochs (place, label or content) than when the split was made".to_owned(),
        );
    }
    if audit.folds.len() != stored.folds {
        changed.push(format!(
            "the table has {} folds, {} were made",
            audit.folds.len(),
            stored.folds
        ));
    }
    Ok(Reaudit {
        split,
        audit,
        changed,
    })
}

/// Audits a stored split again and decides whether training may use it: refused when its promise
/// is broken, or when table or lake are no longer what was audited, unless `allow_leaky`.
///
/// A protocol that is leaky by design and holds its promise is allowed; [`Clearance::leaky`]
/// then marks every result.
///
/// # Errors
/// [`Error::Refused`] with the reasons, and what [`reaudit`] gives.
pub async fn check_for_training(lake: &Lake, name: &str, allow_leaky: bool) -> Result<Clearance> {
    let Reaudit {
        split,
        audit,
        changed,
    } = reaudit(lake, name).await?;
    let forced: Vec<String> = changed
        .into_iter()
        .chain(audit.broken.iter().cloned())
        .collect();
    if !forced.is_empty() && !allow_leaky {
        let mut reason = forced
            .iter()
            .take(3)
            .cloned()
            .collect::<Vec<_>>()
            .join("; ");
        if forced.len() > 3 {
            reason.push_str(&format!("; and {} more", forced.len() - 3));
        }
        return Err(Error::Refused {
            name: name.to_owned(),
            reason,
        });
    }
    Ok(Clearance {
        split,
        audit,
        forced,
    })
}
