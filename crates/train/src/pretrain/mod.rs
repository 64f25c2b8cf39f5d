//! Stage 1: the EEG encoder learns from EEG without labels.
//!
//! Owns: which of the two objectives is run and in which phases, the codebook's start, what is
//! logged of it, and the weights that come out. Does not own the networks and their losses
//! (`mmpipe_models::pretrain`), or the loop ([`crate::stage`]).
//!
//! ```text
//! DIR/model.safetensors   weights and buffers of the best step, averaged where `ema` says so
//! DIR/config.json         model_type, encoder_prefix, the network's configuration
//! DIR/pretrain.json       the report
//! DIR/joint/              checkpoints and logs of the joint objective, or
//! DIR/tokeniser/          those of LaBraM's first step, with its own model.safetensors
//! DIR/masked/             and of its second
//! DIR/PHASE/phase.json    the report of a phase that is done
//! ```
//!
//! The encoder's variables stand behind `encoder_prefix`: `encoder.` (joint), `student.` (LaBraM's,
//! as in its published file). `mmpipe train --init` and [`crate::TrainConfig::init`] take such a
//! folder; Python reads it with `safetensors.torch.load_file`.

mod config;
mod demand;
mod networks;
mod output;
mod report;
mod roles;
mod unlabelled;

use std::path::Path;
use std::time::{Duration, Instant};

use mmpipe_models::Params;
use mmpipe_models::encoder::{MAX_PATCHES, PATCH, electrodes};
use mmpipe_models::pretrain::{Joint, Masked, Tokeniser};

pub use config::{PretrainConfig, PretrainObjective};
pub use demand::pretrain_memory;
pub use report::{PhaseReport, PretrainReport};
pub use roles::hold_out;

use self::networks::{JointNet, MaskedNet, Network, TokeniserNet};
use self::unlabelled::{Examples, Unlabelled};
use crate::config::Select;
use crate::data::{ChannelPlan, FeatureKind, Features, Labels};
use crate::device::Place;
use crate::progress::Progress;
use crate::source::{Fold, Source};
use crate::spec::check_roles;
use crate::stage::{Stage, StepConfig, load_weights, memory, seconds, train};
use crate::store::{About, Checkpoints, fingerprint, write_file};
use crate::{Error, Result};

/// Pre-train on `fold.train` and choose the checkpoint by `fold.val`, into `dir`, or continue what
/// stands there: exactly where a stopped or killed process left it. Labels are not looked at, and
/// neither is `fold.test`. A run that is done gives its report at once.
///
/// # Errors
/// See [`Error`]; [`Error::Checkpoint`] when `dir` holds a run of other examples or settings.
pub fn pretrain(
    source: &dyn Source,
    fold: &Fold,
    cfg: &PretrainConfig,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<PretrainReport> {
    let start = Instant::now();
    cfg.check()?;
    let fold = Fold {
        test: Vec::new(),
        ..fold.clone()
    };
    check_roles(source, &fold)?;
    let mut notes = fitting(source, &fold)?;
    let all: Vec<usize> = fold.train.iter().chain(&fold.val).copied().collect();
    let known = |name: &str| !cfg.spatial || electrodes::row(name).is_ok();
    let (channels, dropped) = ChannelPlan::filtered(source, &all, known)?;
    if !dropped.is_empty() {
        notes.push(format!(
            "channels without a row in the spatial embedding were left out: {}",
            dropped.join(", ")
        ));
    }
    let place = cfg.steps.device.open()?;
    progress.device(&place.name);
    if place.device.is_cpu() {
        let wanted = pretrain_memory(source, &fold, cfg)?;
        memory::tell(&wanted, "pretrain.steps", progress);
    }
    let features = Features::new(source, FeatureKind::Eeg, cfg.steps.cache_mib << 20);
    let work = Work {
        examples: Examples {
            features: &features,
            channels: &channels,
            labels: &Labels::default(),
            seed: cfg.steps.seed,
        },
        fold: &fold,
        cfg,
        fingerprint: fingerprint(source, &fold, &Labels::default()),
        place,
        dir,
        progress,
    };
    let (params, phases, waited) = match cfg.objective {
        PretrainObjective::Joint => work.joint()?,
        PretrainObjective::Labram => work.labram()?,
    };
    for phase in &phases {
        notes.extend(phase.notes.iter().cloned());
    }
    let report = PretrainReport {
        objective: cfg.objective,
        encoder_prefix: cfg.objective.encoder_prefix().into(),
        parameters: params.count() as u64,
        encoder_parameters: params
            .trainable()
            .filter(|p| p.name.starts_with(cfg.objective.encoder_prefix()))
            .map(|p| p.var.elem_count() as u64)
            .sum(),
        n_train: fold.train.len(),
        n_val: fold.val.len(),
        phases,
        seconds: seconds(start),
        wait_seconds: waited.as_secs_f64(),
        notes,
    };
    report.write(dir)
}

/// Whether the epochs are patches of a second, and notes on roles that are empty.
pub(crate) fn fitting(source: &dyn Source, fold: &Fold) -> Result<Vec<String>> {
    let (n, sfreq) = (source.n_times(), source.sfreq());
    if n == 0 || n % PATCH != 0 || n / PATCH > MAX_PATCHES {
        return Err(Error::Data(format!(
            "epochs of {n} samples are not 1 to {MAX_PATCHES} patches of {PATCH}; ingest with a recipe of 200 Hz and whole seconds"
        )));
    }
    if fold.train.is_empty() {
        return Err(Error::Data("there is no training epoch".into()));
    }
    let mut notes = Vec::new();
    if sfreq != PATCH as f64 {
        notes.push(format!(
            "the EEG has {sfreq} Hz, so a patch is {:.3} s; the published encoders have patches of 1 s",
            PATCH as f64 / sfreq
        ));
    }
    if fold.val.is_empty() {
        notes.push("there are no validation epochs: the last checkpoint counts as the best".into());
    }
    Ok(notes)
}

/// What a phase was asked.
#[derive(Debug, Clone, PartialEq, serde::Serialize, serde::Deserialize)]
struct PhaseAbout {
    phase: String,
    /// Identity of examples and roles.
    fingerprint: String,
    config: PretrainConfig,
    n_times: usize,
    sfreq: f64,
}

impl About for PhaseAbout {
    fn must_continue(&self, fresh: &Self) -> std::result::Result<(), &'static str> {
        if (self.n_times, self.sfreq, &self.fingerprint)
            != (fresh.n_times, fresh.sfreq, &fresh.fingerprint)
        {
            Err("it was trained on other examples or roles")
        } else if self.phase != fresh.phase
            || self.config.what_matters() != fresh.config.what_matters()
        {
            Err("it was trained with another configuration")
        } else {
            Ok(())
        }
    }
}

/// What all phases share.
struct Work<'a> {
    examples: Examples<'a>,
    fold: &'a Fold,
    cfg: &'a PretrainConfig,
    fingerprint: String,
    place: Place,
    dir: &'a Path,
    progress: &'a dyn Progress,
}

/// Variables of the network that is kept, phases, time spent waiting.
type Done = (Params, Vec<PhaseReport>, Duration);

impl Work<'_> {
    fn params(&self) -> Params {
        Params::new(self.cfg.steps.seed, &self.place.device)
    }

    fn joint(&self) -> Result<Done> {
        let net = JointNet(Joint::new(&self.cfg.joint(), self.params())?);
        let (net, phase, waited) = self.phase("joint", net, &self.cfg.steps)?;
        let config = net.0.config();
        self.keep(self.dir, net.params(), "mmpipe-joint", "encoder.", config)?;
        Ok((net.params().clone(), vec![phase], waited))
    }

    fn labram(&self) -> Result<Done> {
        let net = TokeniserNet(Tokeniser::new(&self.cfg.tokeniser(), self.params())?);
        let (net, first, waited) = self.phase("tokeniser", net, &self.cfg.tokeniser_steps())?;
        let TokeniserNet(tokeniser) = net;
        self.keep(
            &self.dir.join("tokeniser"),
            tokeniser.params(),
            "labram-tokeniser",
            "encoder.",
            tokeniser.config(),
        )?;
        let model = Masked::new(&self.cfg.masked(), self.params())?;
        let net = MaskedNet { model, tokeniser };
        let (net, second, more) = self.phase("masked", net, &self.cfg.steps)?;
        let config = net.model.config();
        self.keep(self.dir, net.params(), "labram-masked", "student.", config)?;
        Ok((net.params().clone(), vec![first, second], waited + more))
    }

    /// Trains `net`, or goes on with it; afterwards it has the weights of the best step.
    fn phase<N: Network>(
        &self,
        name: &str,
        net: N,
        steps: &StepConfig,
    ) -> Result<(N, PhaseReport, Duration)> {
        let start = Instant::now();
        let dir = self.dir.join(name);
        std::fs::create_dir_all(&dir).map_err(Error::io(&dir))?;
        let source = self.examples.features.source;
        let objective = Unlabelled::new(net, &self.examples, self.cfg.kmeans_vectors, steps);
        let outcome = train(Stage {
            objective: &objective,
            about: PhaseAbout {
                phase: name.to_owned(),
                fingerprint: self.fingerprint.clone(),
                config: self.cfg.clone(),
                n_times: source.n_times(),
                sfreq: source.sfreq(),
            },
            source,
            train: &self.fold.train,
            val: &self.fold.val,
            cfg: steps,
            select: Select::Loss,
            dir: &dir,
            label: name,
            fold: self.fold.fold,
            progress: self.progress,
        })?;
        let best = outcome
            .state
            .best
            .as_ref()
            .map_or(outcome.state.step, |b| b.step);
        let net = objective.into_network();
        load_weights(&Checkpoints::of(&dir), best, steps.ema, net.params())?;
        let (state, parameters) = (outcome.state, outcome.parameters);
        let report = PhaseReport::of(name, &self.place.name, state, parameters, seconds(start));
        let report = report.write_or_read(&dir, outcome.worked)?;
        Ok((net, report, outcome.waited))
    }

    /// Writes a network where later stages and Python find it.
    fn keep<C: serde::Serialize>(
        &self,
        dir: &Path,
        params: &Params,
        model_type: &str,
        encoder_prefix: &str,
        config: &C,
    ) -> Result<()> {
        let source = self.examples.features.source;
        let described = output::Described {
            model_type,
            encoder_prefix,
            sfreq: source.sfreq(),
            n_times: source.n_times(),
            config,
        };
        write_file(&dir.join("config.json"), &described.json(dir)?)?;
        write_file(
            &dir.join("model.safetensors"),
            &params.to_safetensors_for_torch()?,
        )
    }
}
