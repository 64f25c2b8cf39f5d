//! Stage 2: EEG and the sounds that were attended, brought into one space.
//!
//! Owns: which pairs are learnt from, the contrast as an objective, its honest validation, and the
//! weights that come out. Does not own the network and its losses (`mmpipe_models::align`), or the loop
//! ([`crate::stage`]).
//!
//! ```text
//! DIR/model.safetensors   weights of the best step, averaged where `ema` says so
//! DIR/config.json         model_type, rate and length of the EEG, the network's configuration
//! DIR/align.json          the report
//! DIR/align/              checkpoints and logs
//! ```
//!
//! Names are those of MindMix's released checkpoint. [`crate::TrainConfig::init`] takes such a folder
//! for every `mindmix` model: the classifier its encoder and projection, the models with sound all of
//! it.
//!
//! A batch may mix montages of any numbers of channels and data sets: EEG is encoded montage by
//! montage, nothing is padded. Sounds of the same content in a batch are never each other's negatives.
//! The sounds that played beside the attended one are negatives of that example alone.

mod config;
mod contrast;
mod hearing;
mod honest;
#[cfg(test)]
mod negatives;

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use mmpipe_models::Params;
use mmpipe_models::align::{Aligner, Pairs};
use mmpipe_models::encoder::electrodes;
use serde::{Deserialize, Serialize};

pub use self::config::AlignConfig;
use self::contrast::Contrast;
pub use self::hearing::align_encoder;
use self::hearing::{demand, sound_of, whole};
use crate::config::Select;
use crate::data::{ChannelPlan, Ear, Features, Labels};
use crate::pretrain::{PhaseReport, fitting};
use crate::progress::Progress;
use crate::sound::{Hears, SoundReport};
use crate::source::{Fold, Source};
use crate::spec::check_roles;
use crate::stage::{Stage, load_weights, memory, seconds, train};
use crate::store::{About, Checkpoints, fingerprint, write_file};
use crate::{Error, Result};

/// Name of the phase, and of its folder.
const PHASE: &str = "align";

/// What came out of stage 2.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct AlignReport {
    /// The curve; [`crate::EpochRecord::named`] holds `logit_factor`, `hard_negatives` (of an example
    /// on average), and of validation what honest
    /// scoring found: `val_top1`, `val_top5`, `val_pool`, `val_candidate_accuracy`.
    pub phase: PhaseReport,
    /// Training examples.
    pub n_train: usize,
    /// Validation examples.
    pub n_val: usize,
    /// Seconds in which the training thread waited for a batch, of the call that ended it.
    pub wait_seconds: f64,
    /// What it hears with, where that is wav2vec 2.0 or HuBERT.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sound: Option<SoundReport>,
    /// What a reader must know: data left out and why.
    pub notes: Vec<String>,
}

/// What a run was asked.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct AlignAbout {
    /// Identity of examples and roles.
    fingerprint: String,
    config: AlignConfig,
    n_times: usize,
    sfreq: f64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    hears: Option<Hears>,
}

impl About for AlignAbout {
    fn must_continue(&self, fresh: &Self) -> std::result::Result<(), &'static str> {
        if (self.n_times, self.sfreq, &self.fingerprint)
            != (fresh.n_times, fresh.sfreq, &fresh.fingerprint)
        {
            Err("it was trained on other examples or roles")
        } else if self.config.what_matters() != fresh.config.what_matters()
            || self.hears != fresh.hears
        {
            Err("it was trained with another configuration")
        } else {
            Ok(())
        }
    }
}

/// `config.json`.
#[derive(Serialize)]
struct Described<'a> {
    model_type: &'a str,
    sfreq: f64,
    n_times: usize,
    #[serde(flatten)]
    config: &'a mmpipe_models::align::AlignConfig,
}

/// Align EEG and sound on `fold.train` and choose the checkpoint by `fold.val`, into `dir`, or continue
/// what stands there: exactly where a stopped or killed process left it. Of an example candidate 0 is
/// the sound that was attended; examples without a sound are left out and counted. Class labels are not
/// looked at, and neither is `fold.test`. A run that is done gives its report at once.
///
/// # Errors
/// See [`Error`]; [`Error::Checkpoint`] when `dir` holds a run of other examples or settings.
pub fn align(
    source: &dyn Source,
    fold: &Fold,
    cfg: &AlignConfig,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<AlignReport> {
    let start = Instant::now();
    cfg.check()?;
    check_roles(source, fold)?;
    let (fold, mut notes) = with_sound(source, fold);
    notes.extend(fitting(source, &fold)?);
    if cfg.pairs == Pairs::Diagonal {
        notes.push("pairs = diagonal: in training the EEG had seen the sound that it was to find, so it could be copied; validation is honest all the same".into());
    }
    let all: Vec<usize> = fold.train.iter().chain(&fold.val).copied().collect();
    let known = |name: &str| !cfg.spatial || electrodes::row(name).is_ok();
    let (channels, dropped) = ChannelPlan::filtered(source, &all, known)?;
    if !dropped.is_empty() {
        notes.push(format!(
            "channels without a row in the spatial embedding were left out: {}",
            dropped.join(", ")
        ));
    }
    let budget = cfg.steps.cache_mib << 20;
    let sound = sound_of(cfg, fold.fold, dir)?;
    let hears = sound.as_ref().map(|s| s.hears.clone());
    let mut features = Features::new(source, cfg.shape().features(), budget);
    if let Some(sound) = sound.as_ref().filter(|s| s.hears.frozen()) {
        features = features.hearing(Arc::new(Ear::new(sound.encoder(), budget / 2)));
    }
    let place = cfg.steps.device.open()?;
    progress.device(&place.name);
    let params = Params::new(cfg.steps.seed, &place.device);
    let objective = Contrast {
        net: Aligner::new(&cfg.network(hears.as_ref()), params)?,
        features: &features,
        channels: &channels,
        cfg,
        fold: fold.fold,
        sound: sound.as_ref(),
    };
    memory::tell(&demand(&objective, &fold), "align.steps", progress);
    let checkpoints = dir.join(PHASE);
    std::fs::create_dir_all(&checkpoints).map_err(Error::io(&checkpoints))?;
    let outcome = train(Stage {
        objective: &objective,
        about: AlignAbout {
            fingerprint: fingerprint(source, &fold, &Labels::default()),
            config: cfg.clone(),
            n_times: source.n_times(),
            sfreq: source.sfreq(),
            hears,
        },
        source,
        train: &fold.train,
        val: &fold.val,
        cfg: &cfg.steps,
        select: Select::Loss,
        dir: &checkpoints,
        label: PHASE,
        fold: fold.fold,
        progress,
    })?;
    let best = outcome.state.best.as_ref();
    let best = best.map_or(outcome.state.step, |b| b.step);
    let (model, config) = (dir.join("model.safetensors"), dir.join("config.json"));
    if outcome.worked || !(model.exists() && config.exists()) {
        let store = Checkpoints::of(&checkpoints);
        load_weights(&store, best, cfg.steps.ema, objective.net.params())?;
        let net = whole(&objective.net, sound.as_ref())?;
        let described = Described {
            model_type: "mindmix-align",
            sfreq: source.sfreq(),
            n_times: source.n_times(),
            config: net.config(),
        };
        write_file(&config, &json(&described, dir)?)?;
        write_file(&model, &net.params().to_safetensors_for_torch()?)?;
    }
    let (state, parameters) = (outcome.state, outcome.parameters);
    let phase = PhaseReport::of(PHASE, &place.name, state, parameters, seconds(start));
    let phase = phase.write_or_read(&checkpoints, outcome.worked)?;
    notes.extend(phase.notes.iter().cloned());
    let path = dir.join("align.json");
    if !outcome.worked
        && let Ok(bytes) = std::fs::read(&path)
        && let Ok(report) = serde_json::from_slice(&bytes)
    {
        return Ok(report);
    }
    let report = AlignReport {
        phase,
        n_train: fold.train.len(),
        n_val: fold.val.len(),
        wait_seconds: outcome.waited.as_secs_f64(),
        sound: sound.map(|s| s.hears.about),
        notes,
    };
    write_file(&path, &json(&report, dir)?)?;
    Ok(report)
}

fn json(value: &impl Serialize, dir: &Path) -> Result<Vec<u8>> {
    let mut bytes = serde_json::to_vec_pretty(value)
        .map_err(|e| Error::checkpoint(dir, format!("a description cannot be stored: {e}")))?;
    bytes.push(b'\n');
    Ok(bytes)
}

/// The examples with a sound, and a note on the others.
fn with_sound(source: &dyn Source, fold: &Fold) -> (Fold, Vec<String>) {
    let mut notes = Vec::new();
    let mut keep = |name: &str, indices: &[usize]| -> Vec<usize> {
        let heard = |i: &usize| source.meta(*i).candidates > 0;
        let kept: Vec<usize> = indices.iter().copied().filter(heard).collect();
        if kept.len() < indices.len() {
            notes.push(format!(
                "{} of {} {name} epochs were left out: no sound belongs to them",
                indices.len() - kept.len(),
                indices.len()
            ));
        }
        kept
    };
    let fold = Fold {
        fold: fold.fold,
        train: keep("training", &fold.train),
        val: keep("validation", &fold.val),
        test: Vec::new(),
    };
    (fold, notes)
}
