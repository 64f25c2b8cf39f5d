//! A run's folder in the lake: what was asked ([`RunRecord`]), what came of it
//! ([`RunSummary`]), and where the checkpoints lie.
//!
//! ```text
//! LAKE/runs/RUN/run.json        what was asked, with the code version and the data's identity
//! LAKE/runs/RUN/fits.json       one report a fold and control, once trained
//! LAKE/runs/RUN/summary.json    scores, controls, audit, once evaluated
//! LAKE/runs/RUN/fold=N/         checkpoints, metrics.jsonl, TensorBoard events
//! ```

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use anyhow::{Context as _, Result, bail};
use mmpipe_eval::result::RunSummary;
use mmpipe_lake::Lake;
use mmpipe_train::{AlignConfig, Control, DeviceChoice, FitReport, PretrainConfig, TrainConfig};
use serde::{Deserialize, Serialize, de::DeserializeOwned};

/// Version of `run.json`.
const FORMAT: u32 = 1;

/// What a run was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct RunRecord {
    /// Version of this record
    pub(crate) format: u32,
    /// Name
    pub(crate) run: String,
    /// Stage
    pub(crate) stage: String,
    /// Data set
    pub(crate) dataset: String,
    /// Split
    pub(crate) split: String,
    /// Digest of the split's assignments
    pub(crate) split_digest: String,
    /// Protocol of the split
    pub(crate) protocol: String,
    /// Preprocessing recipe of the epochs
    pub(crate) recipe: String,
    /// The protocol is marked leaky, or a broken promise was allowed
    pub(crate) leaky: bool,
    /// Broken promises that `--allow-leaky` overrode
    pub(crate) forced: Vec<String>,
    /// Class names
    pub(crate) classes: Vec<String>,
    /// Folds to train
    pub(crate) folds: Vec<i32>,
    /// Controls that train again
    pub(crate) controls: Vec<Control>,
    /// The resolved configuration
    pub(crate) config: TrainConfig,
    /// Where the first weights come from, if they are not random
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<InitRecord>,
    /// Weights that the sound encoder starts from, where a file of them was named
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sound: Option<InitRecord>,
    /// Digest of the epochs that the source holds
    pub(crate) data_digest: String,
    /// Version of the code
    pub(crate) version: String,
}

/// Where a run's first weights come from.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct InitRecord {
    /// The run, where it is one of this lake
    pub(crate) run: Option<String>,
    /// xxh3 of each file of weights, by its path under `train.init`
    pub(crate) files: BTreeMap<String, String>,
    /// What a reader of the scores must know of it
    pub(crate) notes: Vec<String>,
}

/// Stage 1.
pub(crate) const PRETRAIN: &str = "pretrain";
/// Stage 2.
pub(crate) const ALIGN: &str = "align";

/// What a run of stage 1 or 2 is configured by. Each refuses the other's fields.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub(crate) enum EarlyConfig {
    /// Stage 1
    Pretrain(Box<PretrainConfig>),
    /// Stage 2
    Align(Box<AlignConfig>),
}

impl EarlyConfig {
    /// Share of the subjects that is held out where no split gives roles.
    pub(crate) fn val_share(&self) -> f64 {
        match self {
            EarlyConfig::Pretrain(c) => c.val_share,
            EarlyConfig::Align(c) => c.val_share,
        }
    }

    /// Sets where the network computes.
    pub(crate) fn set_device(&mut self, device: DeviceChoice) {
        match self {
            EarlyConfig::Pretrain(c) => c.steps.device = device,
            EarlyConfig::Align(c) => c.steps.device = device,
        }
    }

    /// Seed of everything random.
    pub(crate) fn seed(&self) -> u64 {
        match self {
            EarlyConfig::Pretrain(c) => c.steps.seed,
            EarlyConfig::Align(c) => c.steps.seed,
        }
    }
}

/// What a run of stage 1 or 2 was asked to do.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct PretrainRecord {
    /// Version of this record
    pub(crate) format: u32,
    /// Name
    pub(crate) run: String,
    /// [`PRETRAIN`] or [`ALIGN`]
    pub(crate) stage: String,
    /// Data sets, sorted
    pub(crate) datasets: Vec<String>,
    /// Split whose test epochs are kept out, if one was named
    pub(crate) split: Option<String>,
    /// Digest of its assignments
    pub(crate) split_digest: Option<String>,
    /// Preprocessing recipe of the epochs
    pub(crate) recipe: String,
    /// Subjects (data set, subject) whose EEG was seen, training and validation, by fold of the
    /// split; without a split there is fold 0 alone, and the weights lie in the run's folder itself
    pub(crate) seen: BTreeMap<i32, Vec<(String, String)>>,
    /// The resolved configuration
    pub(crate) config: EarlyConfig,
    /// Where the first weights come from, if they are not random
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) init: Option<InitRecord>,
    /// Weights that the sound encoder starts from, where a file of them was named
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) sound: Option<InitRecord>,
    /// Digest of the epochs that the source holds
    pub(crate) data_digest: String,
    /// Version of the code
    pub(crate) version: String,
}

impl RunRecord {
    /// The version of the record that this code writes.
    pub(crate) const FORMAT: u32 = FORMAT;
}

/// One run's folder.
#[derive(Debug, Clone)]
pub(crate) struct RunFolder(PathBuf);

impl RunFolder {
    /// The folder of `run`; nothing is touched.
    pub(crate) fn of(lake: &Lake, run: &str) -> Result<Self> {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
        if run.is_empty() || run.starts_with('.') || !run.chars().all(plain) {
            bail!("a run's name takes letters, digits, `-`, `_` and `.`, found `{run}`");
        }
        Ok(RunFolder(lake.root().join("runs").join(run)))
    }

    /// Stage of the run, if it exists.
    pub(crate) fn stage(&self) -> Result<Option<String>> {
        #[derive(Deserialize)]
        struct Stage {
            stage: String,
        }
        Ok(self.read::<Stage>("run.json")?.map(|s| s.stage))
    }

    /// What a run of stage 1 or 2 was asked, if it exists.
    pub(crate) fn pretrain_record(&self) -> Result<Option<PretrainRecord>> {
        match self.stage()? {
            Some(stage) if stage == PRETRAIN || stage == ALIGN => self.read("run.json"),
            Some(stage) => bail!("{} holds a run of the stage {stage}", self.0.display()),
            None => Ok(None),
        }
    }

    /// Stores what a run of stage 1 or 2 is asked.
    pub(crate) fn write_pretrain_record(&self, record: &PretrainRecord) -> Result<()> {
        self.write("run.json", record)
    }

    /// Its path.
    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    /// What was asked, if the run exists.
    pub(crate) fn record(&self) -> Result<Option<RunRecord>> {
        if let Some(stage) = self.stage()?
            && (stage == PRETRAIN || stage == ALIGN)
        {
            bail!(
                "{} holds a run of the stage {stage}, which answers no question; fine-tune from it with `mmpipe train --init`",
                self.0.display()
            );
        }
        let record: Option<RunRecord> = self.read("run.json")?;
        if let Some(r) = &record
            && r.format != FORMAT
        {
            bail!(
                "run `{}` has record format {}, this version reads {FORMAT}",
                r.run,
                r.format
            );
        }
        Ok(record)
    }

    /// Stores what is asked.
    pub(crate) fn write_record(&self, record: &RunRecord) -> Result<()> {
        self.write("run.json", record)
    }

    /// The fits, if training ended.
    pub(crate) fn fits(&self) -> Result<Option<Vec<FitReport>>> {
        self.read("fits.json")
    }

    /// Stores the fits.
    pub(crate) fn write_fits(&self, fits: &[FitReport]) -> Result<()> {
        self.write("fits.json", fits)
    }

    /// The result, if the run was evaluated.
    pub(crate) fn summary(&self) -> Result<Option<RunSummary>> {
        self.read("summary.json")
    }

    /// Stores the result.
    pub(crate) fn write_summary(&self, summary: &RunSummary) -> Result<()> {
        self.write("summary.json", summary)
    }

    /// Throws the run away.
    pub(crate) fn remove(&self) -> Result<()> {
        match std::fs::remove_dir_all(&self.0) {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
                Err(e).with_context(|| format!("cannot remove the run folder {}", self.0.display()))
            }
            _ => Ok(()),
        }
    }

    fn read<T: DeserializeOwned>(&self, name: &str) -> Result<Option<T>> {
        let path = self.0.join(name);
        let bytes = match std::fs::read(&path) {
            Ok(bytes) => bytes,
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(e).with_context(|| format!("cannot read {}", path.display())),
        };
        let value = serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "{} is not what this version of mmpipe writes",
                path.display()
            )
        })?;
        Ok(Some(value))
    }

    fn write<T: Serialize + ?Sized>(&self, name: &str, value: &T) -> Result<()> {
        let mut bytes = serde_json::to_vec_pretty(value)?;
        bytes.push(b'\n');
        Ok(mmpipe_lake::write_file(&self.0.join(name), &bytes)?)
    }
}

/// A run that exists, with its folder; the error lists the runs there are.
pub(crate) fn existing(lake: &Lake, run: &str) -> Result<(RunFolder, RunRecord)> {
    let folder = RunFolder::of(lake, run)?;
    match folder.record()? {
        Some(record) => Ok((folder, record)),
        None => {
            let known = names(lake)?;
            let known = if known.is_empty() {
                "there are none".to_owned()
            } else {
                known.join(", ")
            };
            bail!(
                "no run `{run}` in the lake {}; runs: {known}",
                lake.root().display()
            )
        }
    }
}

/// The names of all runs, sorted.
fn names(lake: &Lake) -> Result<Vec<String>> {
    let folder = lake.root().join("runs");
    let Ok(entries) = std::fs::read_dir(&folder) else {
        return Ok(Vec::new());
    };
    let mut names = Vec::new();
    for entry in entries {
        let entry = entry.with_context(|| format!("cannot list {}", folder.display()))?;
        if entry.path().join("run.json").is_file() {
            names.push(entry.file_name().to_string_lossy().into_owned());
        }
    }
    names.sort();
    Ok(names)
}

/// The folder of the run that a file belongs to: its own, or the one above a fold's.
pub(crate) fn run_of(file: &Path) -> Option<&Path> {
    let folders = file.ancestors().skip(1).take(2);
    let mut runs = folders.filter(|folder| folder.join("run.json").is_file());
    match runs.next()? {
        here if here.as_os_str().is_empty() => Some(Path::new(".")),
        run => Some(run),
    }
}
