//! Fit one fold; ask what was fitted.

use std::borrow::Cow;
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use mmpipe_eval::result::Prediction;

use crate::ask::{Answer, ask, asking_batches};
use crate::baseline::{self, BandPowers, Stretches};
use crate::config::{ModelKind, Standardise, Task, TrainConfig};
use crate::control::noise::{self, Noise, Template};
use crate::control::other_eeg::OtherEeg;
use crate::control::silent::{self, Silence};
use crate::control::{Control, permute};
use crate::data::{ASKING, Ear, Features, Labels, Plan};
use crate::progress::Progress;
use crate::report::{Ended, FitReport};
use crate::sound::{Asked, Hears, Sound};
use crate::source::{Fold, Source};
use crate::spec::{Spec, usable, usable_one};
use crate::stage::{Outcome, load_weights, seconds};
use crate::store::{Best, Checkpoints, FitAbout, FitState, State, fingerprint, write_file};
use crate::trainer::{Job, train};

use crate::{Error, Result};

/// A source with what is computed from it once: shared by the folds of a run.
pub(crate) struct Door<'a> {
    features: Features<'a>,
    powers: BandPowers<'a>,
    stretches: Stretches<'a>,
    /// Frozen sound encoders by what they are known by.
    ears: Arc<Mutex<HashMap<String, Arc<Ear>>>>,
    budget: usize,
}

impl<'a> Door<'a> {
    pub(crate) fn new(source: &'a dyn Source, cfg: &TrainConfig) -> Self {
        let budget = cfg.cache_mib << 20;
        Self {
            features: Features::new(source, Spec::features(cfg), budget),
            powers: BandPowers::new(source, &cfg.bands, budget),
            stretches: Stretches::new(source, cfg.envelope_sfreq, budget),
            ears: Arc::default(),
            budget,
        }
    }

    /// What a fit that hears with `sound` reads.
    fn hearing(&self, sound: Option<&Sound>) -> Cow<'_, Features<'a>> {
        let Some(sound) = sound.filter(|s| s.hears.frozen()) else {
            return Cow::Borrowed(&self.features);
        };
        let mut ears = self.ears.lock().unwrap_or_else(PoisonError::into_inner);
        let ear = ears
            .entry(sound.hears.about.hash.clone())
            .or_insert_with(|| Arc::new(Ear::new(sound.encoder(), self.budget / 2)));
        Cow::Owned(self.features.hearing(ear.clone()))
    }

    /// The same sounds beside the EEG of `source`.
    fn with_other_eeg<'b>(&self, source: &'b dyn Source, cfg: &TrainConfig) -> Door<'b> {
        Door {
            features: self.features.with_other_eeg(source),
            powers: BandPowers::new(source, &cfg.bands, 0),
            stretches: self.stretches.with_other_eeg(source),
            ears: self.ears.clone(),
            budget: self.budget,
        }
    }
}

/// Train one fold into `dir` (`<run>/fold=N`), or continue what stands there: exactly where a
/// stopped or killed process left it. A fold that is done gives its report at once.
///
/// # Errors
/// See [`Error`]; [`Error::Checkpoint`] when `dir` holds a fit of other examples or settings.
pub fn fit(
    source: &dyn Source,
    fold: &Fold,
    cfg: &TrainConfig,
    dir: &Path,
    progress: &dyn Progress,
) -> Result<FitReport> {
    cfg.check()?;
    fit_as(
        &Door::new(source, cfg),
        fold,
        cfg,
        dir,
        As::Itself,
        progress,
    )
}

/// What a fit is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum As {
    /// The run.
    Itself,
    /// The control `label-permuted`, its fit of this number.
    Permuted(usize),
    /// The control `audio-only`.
    SoundAlone,
}

/// [`fit`] through a shared door, as itself or as a control that trains again.
pub(crate) fn fit_as(
    door: &Door<'_>,
    fold: &Fold,
    cfg: &TrainConfig,
    dir: &Path,
    purpose: As,
    progress: &dyn Progress,
) -> Result<FitReport> {
    if purpose == As::SoundAlone {
        let silent = OtherEeg::new(door.features.source, Silence);
        let door = door.with_other_eeg(&silent, cfg);
        return fit_through(&door, fold, cfg, dir, purpose, progress);
    }
    fit_through(door, fold, cfg, dir, purpose, progress)
}

fn fit_through(
    door: &Door<'_>,
    fold: &Fold,
    cfg: &TrainConfig,
    dir: &Path,
    purpose: As,
    progress: &dyn Progress,
) -> Result<FitReport> {
    let start = Instant::now();
    let source = door.features.source;
    std::fs::create_dir_all(dir).map_err(Error::io(dir))?;
    let (fold, mut notes) = usable(source, fold, cfg)?;
    let (control, labels) = match purpose {
        As::Itself => (None, Labels::default()),
        As::SoundAlone => (Some(Control::AudioOnly), Labels::default()),
        As::Permuted(shift) => {
            let labels = permute::permuted(source, &fold, cfg.task(), cfg.seed, shift);
            (Some(Control::LabelPermuted), labels)
        }
    };
    let sound = Sound::of_fit(cfg, fold.fold, control.is_some(), dir)?;
    let hears = sound.as_ref().map(|s| s.hears.clone());
    let spec = Spec::of(source, &fold, cfg, hears)?;
    // Others take a width from it and hear nothing.
    let sound = sound.filter(|_| cfg.model.listens());
    let features = door.hearing(sound.as_ref());
    let all: Vec<usize> = [&fold.train, &fold.val, &fold.test]
        .into_iter()
        .flatten()
        .copied()
        .collect();
    let (channels, note) = spec.plan(source, &all, cfg)?;
    notes.extend(note);
    if let Some(names) = &spec.channels {
        let most = all
            .iter()
            .map(|i| source.montage(source.meta(*i).montage).len())
            .max()
            .unwrap_or(0);
        if names.len() < most {
            notes.push(format!(
                "montages differ: the model sees the {} channels that all recordings share, of up to {most}",
                names.len()
            ));
        }
    }
    if cfg.model == ModelKind::BandpowerLr && cfg.standardise == Standardise::WithinSubject {
        notes.push("features are standardised within each subject: unlabelled data of the test subjects are used".into());
    }
    match purpose {
        As::SoundAlone => {
            notes.push("zeros stood in the place of the EEG, in training and in testing".into())
        }
        As::Itself if cfg.model.needs_heard() => {
            notes.extend(silent::told_by_sound(source, &fold));
        }
        _ => {}
    }
    let names: Vec<String> = match &spec.channels {
        Some(names) => names.clone(),
        None => channels.names(source.meta(fold.train[0]).montage).to_vec(),
    };
    let job = Job {
        features: &features,
        sound: sound.as_ref(),
        fold: &fold,
        cfg,
        labels: &labels,
        control,
        dir,
        progress,
    };
    let about = FitAbout {
        fold: fold.fold,
        control,
        fingerprint: fingerprint(source, &fold, &labels),
        config: cfg.clone(),
        spec,
    };
    let outcome = match cfg.model {
        ModelKind::BandpowerLr | ModelKind::Ridge => fit_baseline(door, &job, about)?,
        _ => train(&job, about, &channels)?,
    };
    if control.is_none() && !dir.join(noise::FILE).exists() {
        Template::of(source, &fold.train)?.save(dir)?;
    }
    let path = dir.join("fit.json");
    if !outcome.worked
        && let Ok(bytes) = std::fs::read(&path)
        && let Ok(report) = serde_json::from_slice(&bytes)
    {
        return Ok(report);
    }
    let Outcome {
        state,
        parameters,
        waited,
        ..
    } = outcome;
    notes.extend(state.notes);
    let best = state.best.unwrap_or(Best {
        epoch: 0,
        step: 0,
        val_loss: None,
        val_balanced_accuracy: None,
    });
    let report = FitReport {
        fold: fold.fold,
        model: cfg.model,
        task: cfg.task(),
        control,
        parameters,
        n_train: fold.train.len(),
        n_val: fold.val.len(),
        n_test: fold.test.len(),
        channels: names,
        steps: state.step,
        best_epoch: best.epoch,
        best_step: best.step,
        select: cfg.select,
        best_val_loss: best.val_loss,
        best_val_balanced_accuracy: best.val_balanced_accuracy,
        ended: state.ended.unwrap_or(Ended::Epochs),
        device: match cfg.model {
            ModelKind::BandpowerLr | ModelKind::Ridge => "cpu".into(),
            _ => cfg.device.open()?.name,
        },
        history: state.history,
        seconds: seconds(start),
        wait_seconds: waited.as_secs_f64(),
        sound: sound.map(|s| s.hears.about),
        notes,
    };
    let json = serde_json::to_vec_pretty(&report)
        .map_err(|e| Error::checkpoint(&path, format!("the report cannot be stored: {e}")))?;
    write_file(&path, &json)?;
    Ok(report)
}

fn fit_baseline(door: &Door<'_>, job: &Job<'_>, about: FitAbout) -> Result<Outcome<FitAbout>> {
    let (cfg, fold) = (job.cfg, job.fold);
    let store = Checkpoints::of(job.dir);
    store.sweep()?;
    let fresh = State::start(about);
    let ridge = cfg.model == ModelKind::Ridge;
    let parameters = |state: &FitState| -> Result<u64> {
        if ridge {
            return baseline::ridge_size(state, &store);
        }
        let width = state.about.spec.channels.as_ref().map_or(0, Vec::len) * cfg.bands.len() + 1;
        let classes = state.about.spec.classes.len();
        Ok((width * if classes == 2 { 1 } else { classes }) as u64)
    };
    if let Some(old) = store.latest::<FitAbout>()? {
        old.must_continue(&fresh, &store.path(old.step))?;
        return Ok(Outcome {
            parameters: parameters(&old)?,
            state: old,
            waited: Duration::ZERO,
            worked: false,
        });
    }
    let label = job.control.map_or("", Control::name);
    job.progress.fold_started(label, fold.fold, 1, 1, 0);
    let state = if ridge {
        baseline::fit_ridge(&door.stretches, fold, cfg, job.labels, &store, fresh)?
    } else {
        baseline::fit(&door.powers, fold, cfg, job.labels, &store, fresh)?
    };
    if let Some(record) = state.history.last() {
        job.progress.epoch(record);
    }
    job.progress.fold_finished(label, fold.fold);
    Ok(Outcome {
        parameters: parameters(&state)?,
        state,
        waited: Duration::ZERO,
        worked: true,
    })
}

/// Ask the best checkpoint in `dir` about the examples `indices`, in order. Examples that the task
/// cannot use (no label; other candidates) get no prediction.
///
/// The model's own settings come from the checkpoint; `cfg` gives the device, threads, memory and batch
/// of this call. `control`: [`Control::NoiseEeg`] shows noise in place of EEG;
/// [`Control::LabelPermuted`] changes nothing here but for `ridge`, whose answers are then held
/// against drawn streams; `dir` is then the folder of the fit on permuted labels.
/// [`Control::AudioOnly`] shows zeros in place of EEG; `dir` is then the folder of the fit on such.
///
/// Matching: candidates are shown in an order that is drawn by seed and trial, and
/// [`Prediction::label`] is the place of the attended one; the epochs of a trial share it. Scores are averaged over rotations of
/// the candidates, see [`crate::TrainConfig::swap_augmentation`] for training.
///
/// # Errors
/// See [`Error`].
pub fn predict(
    source: &dyn Source,
    indices: &[usize],
    cfg: &TrainConfig,
    dir: &Path,
    control: Option<Control>,
) -> Result<Vec<Prediction>> {
    cfg.check()?;
    let own = latest(dir)?.about.config;
    let cfg = TrainConfig {
        batch: cfg.batch,
        prefetch: cfg.prefetch,
        queue: cfg.queue,
        device: cfg.device,
        cache_mib: cfg.cache_mib,
        ..own
    };
    predict_as(&Door::new(source, &cfg), indices, &cfg, dir, control)
}

/// State of the newest checkpoint in `dir`.
fn latest(dir: &Path) -> Result<FitState> {
    let found = Checkpoints::of(dir).latest()?;
    found.ok_or_else(|| Error::checkpoint(dir, "holds no checkpoint; train this fold first"))
}

pub(crate) fn predict_as(
    door: &Door<'_>,
    indices: &[usize],
    cfg: &TrainConfig,
    dir: &Path,
    control: Option<Control>,
) -> Result<Vec<Prediction>> {
    let source = door.features.source;
    if control == Some(Control::NoiseEeg) {
        let noise = OtherEeg::new(source, Noise::new(Template::load(dir)?, cfg.seed));
        // Each noise epoch is asked for once.
        let door = door.with_other_eeg(&noise, cfg);
        return predict_as(&door, indices, cfg, dir, None);
    }
    if control == Some(Control::AudioOnly) {
        let silent = OtherEeg::new(source, Silence);
        let door = door.with_other_eeg(&silent, cfg);
        return predict_as(&door, indices, cfg, dir, None);
    }
    let store = Checkpoints::of(dir);
    let latest = latest(dir)?;
    let state = match &latest.best {
        Some(best) if best.step != latest.step => store.state(best.step)?,
        _ => latest,
    };
    state.about.spec.check(source)?;
    if let Some(i) = indices.iter().find(|i| **i >= source.len()) {
        return Err(Error::Data(format!(
            "example {i} was asked for, the source has {}",
            source.len()
        )));
    }
    let mut chosen = Vec::with_capacity(indices.len());
    for &i in indices {
        if usable_one(
            source,
            i,
            state.about.spec.model,
            state.about.spec.candidates,
        )? {
            chosen.push(i);
        }
    }
    let answers = match state.about.spec.model {
        ModelKind::BandpowerLr => baseline::ask(&door.powers, &chosen, &state, &store)?,
        ModelKind::Ridge => {
            let labels = match control {
                Some(Control::LabelPermuted) => permute::drawn_streams(source, &chosen, cfg.seed),
                _ => Labels::default(),
            };
            baseline::ask_ridge(&door.stretches, &chosen, &labels, &state, &store)?
        }
        _ => ask_network(door, &chosen, cfg, &state, &store)?,
    };
    Ok(answers
        .iter()
        .map(|a| prediction(source, a, state.about.fold))
        .collect())
}

fn ask_network(
    door: &Door<'_>,
    indices: &[usize],
    cfg: &TrainConfig,
    state: &FitState,
    store: &Checkpoints,
) -> Result<Vec<Answer>> {
    let own = &state.about.config;
    let device = cfg.device.open()?.device;
    let model = state.about.spec.build(own, &device)?;
    load_weights(store, state.step, own.ema, model.params())?;
    let (channels, _) = state.about.spec.plan(door.features.source, indices, own)?;
    let labels = Labels::default();
    let listens = |_: &Hears| own.model.listens();
    let sound = state.about.spec.hears.clone().filter(listens).map(|hears| {
        let control = state.about.control.is_some();
        Sound::kept(hears, Asked::of(own, state.about.fold, control))
    });
    let features = door.hearing(sound.as_ref());
    let plan = Plan {
        features: &features,
        channels: &channels,
        labels: &labels,
        task: state.about.spec.task,
        rotations: state.about.spec.task == Task::Matching,
        seed: own.seed,
        pass: ASKING,
        batches: asking_batches(indices, cfg),
    };
    ask(model.as_ref(), &plan, cfg)
}

fn prediction(source: &dyn Source, answer: &Answer, fold: i32) -> Prediction {
    let meta = source.meta(answer.index);
    let named = |s: &String| (!s.is_empty()).then(|| s.clone());
    Prediction {
        fold,
        epoch_id: meta.epoch_id,
        dataset: meta.dataset.clone(),
        subject: meta.subject.clone(),
        session: named(&meta.session),
        run: named(&meta.run),
        trial: meta.trial,
        label: answer.target as i32,
        predicted: answer.predicted() as i32,
        scores: answer.scores.iter().map(|s| *s as f32).collect(),
    }
}
