//! What a training run is told: [`TrainConfig`] with its defaults, and its checks.

use mmpipe_eval::attention;
use mmpipe_models::Precision;
use mmpipe_models::align::FusionKind;
pub use mmpipe_models::encoder::Size;
use serde::{Deserialize, Serialize};

use crate::mindmix::{CalraConfig, Shape};
use crate::optim::LrScale;
use crate::stage::{StepConfig, at_least_one, in_range};
use crate::{DeviceChoice, Error, Result};

/// The models that can be trained.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModelKind {
    /// EEGNet v4, classification.
    Eegnet,
    /// MindMix EEG encoder with a classification head.
    Mindmix,
    /// MindMix's EEG encoder, a sound encoder and a fusion module: EEG against candidate sounds,
    /// matching. Stage 3's `multimodal_real` for attention and retrieval.
    MindmixAv,
    /// MindMix's EEG encoder, a sound encoder and a fusion module: EEG refined by the sound that was
    /// heard, classification. Stage 3's `multimodal_real` for emotion. The sound alone may tell the
    /// class: see the control `audio-only`.
    MindmixReal,
    /// MindMix's EEG encoder against one learned vector a class in the place of a sound,
    /// classification. Stage 3's `multimodal_prototype`, every class scored and no label an input.
    MindmixPrototype,
    /// AADNet: EEG against candidate envelopes, matching.
    Aadnet,
    /// Log band powers and L2 logistic regression, classification. The classical baseline.
    BandpowerLr,
    /// Ridge regression from EEG to the attended envelope, matching. The classical baseline of
    /// auditory attention.
    Ridge,
}

impl ModelKind {
    /// Whether the model reads any set of channels, so that recordings need not share theirs.
    pub(crate) fn any_montage(self) -> bool {
        matches!(
            self,
            ModelKind::Mindmix
                | ModelKind::MindmixAv
                | ModelKind::MindmixReal
                | ModelKind::MindmixPrototype
        )
    }

    /// What the model is asked.
    pub fn task(self) -> Task {
        match self {
            ModelKind::Aadnet | ModelKind::Ridge | ModelKind::MindmixAv => Task::Matching,
            ModelKind::Eegnet
            | ModelKind::Mindmix
            | ModelKind::MindmixReal
            | ModelKind::MindmixPrototype
            | ModelKind::BandpowerLr => Task::Classification,
        }
    }

    /// Whether sounds are an input of the network, so that they could give an answer away.
    pub fn hears(self) -> bool {
        matches!(
            self,
            ModelKind::Aadnet | ModelKind::MindmixAv | ModelKind::MindmixReal
        )
    }

    /// Whether the network has a sound encoder, which weights may be asked for.
    pub(crate) fn listens(self) -> bool {
        matches!(self, ModelKind::MindmixAv | ModelKind::MindmixReal)
    }

    /// Whether an example needs a sound that was heard, and no rival of it.
    pub fn needs_heard(self) -> bool {
        self == ModelKind::MindmixReal
    }

    /// Whether the model scores each candidate by itself, so that examples may differ in their number.
    pub(crate) fn any_candidates(self) -> bool {
        self == ModelKind::MindmixAv
    }
}

/// What the MindMix models hear with.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Audio {
    /// A small network on the log-mel spectrogram.
    Mel,
    /// wav2vec 2.0 of base size, or what shape the weights have.
    Wav2vec2,
    /// HuBERT of base size, or what shape the weights have.
    Hubert,
}

impl Audio {
    /// Name, as in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Audio::Mel => "mel",
            Audio::Wav2vec2 => "wav2vec2",
            Audio::Hubert => "hubert",
        }
    }
}

/// Whether the sound encoder learns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum AudioTrain {
    /// All of it, at the rate of everything else, as MindMix has it in stages 2 and 3.
    Trainable,
    /// None of it. Each different sound is heard once, and its vector kept.
    Frozen,
}

/// Refuses settings of the sound encoder that do not hold together; `hears` says whether there is one,
/// and `weights` whether `init` may bring its weights.
pub(crate) fn check_audio(
    audio: Audio,
    train: AudioTrain,
    init: Option<&str>,
    hears: bool,
    weights: bool,
) -> Result<()> {
    let wrong = |field: &'static str, message: String| Err(Error::Config { field, message });
    if init.is_some() && audio == Audio::Mel {
        return wrong(
            "audio_init",
            "expected nothing, the log-mel encoder starts anew or with `init`; found a path, did you mean `audio = wav2vec2`?".into(),
        );
    }
    if train == AudioTrain::Frozen && audio == Audio::Mel {
        return wrong(
            "audio_train",
            "expected `trainable`, the log-mel encoder has no published weights to be frozen at; found `frozen`, did you mean `audio = wav2vec2`?".into(),
        );
    }
    if hears && audio != Audio::Mel && init.is_none() && !weights {
        return wrong(
            "audio_init",
            format!(
                "expected weights for {}: a file or folder of Hugging Face's or of `mmpipe convert`, or `random` for weights that nobody trained; found nothing",
                audio.name()
            ),
        );
    }
    Ok(())
}

/// What a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Task {
    /// EEG → one of the source's classes.
    Classification,
    /// EEG and K candidate sounds → which one was attended.
    Matching,
}

/// What chooses the best checkpoint and when to stop.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Select {
    /// Lowest mean cross-entropy of the validation examples.
    Loss,
    /// Highest balanced accuracy of the validation examples; ties go to the lower loss.
    BalancedAccuracy,
}

/// Weights of the classes in the training loss.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ClassWeights {
    /// All 1.
    None,
    /// n / (classes · n_class), from the training labels.
    Balanced,
}

/// Where the band-power baseline takes mean and spread of its features from.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Standardise {
    /// From the training examples.
    Train,
    /// From each subject's own examples of the role that is looked at. **Uses unlabelled data of
    /// the test subjects**, so it is a different promise; every report says so.
    WithinSubject,
}

/// Settings of one training run. Every field has a default; unknown fields are refused.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct TrainConfig {
    /// The model.
    pub model: ModelKind,
    /// Size of the `mindmix` encoder, and with it of what hears and of the fusion module.
    pub size: Size,
    /// MindMix: weights that the encoder starts from, a safetensors or PyTorch file or a folder with
    /// `model.safetensors` (stages 1 and 2, LaBraM, MindMix); absent = random weights. Of stage 2 and
    /// MindMix a model that hears takes sound encoder, projections, fusion and temperature too. Read
    /// once, before the first step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub init: Option<String>,
    /// Most passes over the training examples.
    pub epochs: usize,
    /// Examples a batch. The last batch of a pass may be smaller, never a single example where a
    /// pass has more than one batch: it then joins the batch before.
    pub batch: usize,
    /// Rows in one pass through the network; 0 = the whole batch. The gradients of the parts of a
    /// batch are added up, so this changes memory and rounding, not the step. (Batch statistics
    /// of EEGNet and AADNet are those of a part.)
    pub micro_batch: usize,
    /// Peak learning rate.
    pub lr: f64,
    /// Learning rate at the end of the cosine, as a share of `lr`.
    pub final_lr: f64,
    /// Passes over which the learning rate rises from 0; may be a fraction.
    pub warmup: f64,
    /// Decoupled weight decay (AdamW); tensors with one axis or none are not decayed.
    pub weight_decay: f64,
    /// AdamW's first decay rate.
    pub beta1: f64,
    /// AdamW's second decay rate.
    pub beta2: f64,
    /// AdamW's epsilon.
    pub eps: f64,
    /// Largest global gradient norm; 0 = no clipping.
    pub clip: f64,
    /// Each layer of a transformer gets this share of the learning rate of the layer above it;
    /// 1 = all the same.
    pub layer_decay: f64,
    /// MindMix: shares of the learning rate by part of the network.
    pub lr_scale: LrScale,
    /// Decay of the moving average of the weights that is validated and asked in place of the
    /// weights; 0 = no average.
    pub ema: f64,
    /// Dropout of the model; absent = the model's own default. Of a `wav2vec2` or `hubert` encoder it
    /// replaces every rate that is not 0.
    pub dropout: Option<f64>,
    /// MindMix: rate at which the last block of the encoder is left out (the first never is);
    /// absent = the model's own default.
    pub drop_path: Option<f64>,
    /// Label smoothing of the training loss, 0 ≤ s < 1.
    pub label_smoothing: f64,
    /// Weights of the classes in the training loss (classification).
    pub class_weights: ClassWeights,
    /// What chooses the best checkpoint.
    pub select: Select,
    /// Passes without a better checkpoint after which training stops; 0 = never.
    pub patience: usize,
    /// A loss above this many times the loss of a uniform guess counts as exploded.
    pub explode: f64,
    /// Seed of initial weights, order, dropout, candidate order and controls.
    pub seed: u64,
    /// Where the network computes: `auto` (a GPU where there is one and the program was built for it),
    /// `cpu`, `cuda`, `cuda:N` or `metal`. Checkpoints go on anywhere; bits are the same on the CPU.
    pub device: DeviceChoice,
    /// Matrix products of the training steps: `f32`, or `bf16` summed in f32. Weights, norms, softmax,
    /// losses and the optimiser are f32, and so is all validation.
    pub precision: Precision,
    /// Matching: show each training example in every rotation of its candidates within the batch.
    /// `mindmix-av` scores each candidate by itself, so it needs none.
    pub swap_augmentation: bool,
    /// Matching: rate of EEG and envelopes, Hz. `ridge` takes 20 by default, which holds the
    /// 1 to 9 Hz in which envelopes are followed (Biesmans et al. 2017,
    /// doi:10.1109/TNSRE.2016.2571900).
    pub envelope_sfreq: f64,
    /// EEGNet: length of the first filter in samples; absent = half the sampling rate.
    pub kernel: Option<usize>,
    /// EEGNet: number of temporal filters.
    pub f1: usize,
    /// EEGNet: spatial filters for each temporal filter.
    pub d: usize,
    /// EEGNet: number of separable filters.
    pub f2: usize,
    /// MindMix: add the spatial embedding by electrode name (the paper) or not (the released code).
    pub spatial: bool,
    /// mindmix-av, -real, -prototype: what stands between EEG's and sound's vectors and the score:
    /// `calra-paper`, `calra-released`, `co-attention`, `concat` or `clip` (nothing).
    pub fusion: FusionKind,
    /// mindmix-av, -real, -prototype: which parts of CALRA are there.
    pub calra: CalraConfig,
    /// mindmix-real: weight of InfoNCE (each EEG against the sounds of its batch) beside the
    /// cross-entropy; the released code has 0.1, 0 leaves it out.
    pub contrast: f64,
    /// mindmix-av, -real, -prototype: the sound encoder (of the last its width alone).
    pub audio: Audio,
    /// mindmix-av, mindmix-real: weights that a `wav2vec2` or `hubert` encoder starts from: a safetensors or PyTorch
    /// file as Hugging Face has it, a folder with one, or what `mmpipe convert` made; `random` for
    /// weights that nobody trained. The shape comes with the weights, whatever `size` is. Where `init`
    /// brings a sound encoder of this kind, that one is taken.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub audio_init: Option<String>,
    /// mindmix-av, mindmix-real: whether that encoder learns. It does by default, all of it and at the rate of the
    /// rest, as in MindMix.
    pub audio_train: AudioTrain,
    /// mindmix-av, mindmix-real: hide spans of frames from such an encoder while it learns (SpecAugment), as it does
    /// by itself where it was published.
    pub spec_augment: bool,
    /// bandpower-lr: edges of the bands, Hz.
    pub bands: Vec<(f64, f64)>,
    /// bandpower-lr: inverse strength of the L2 penalty, scikit-learn's `C`.
    pub c: f64,
    /// bandpower-lr: where the features' mean and spread come from.
    pub standardise: Standardise,
    /// ridge: last lag of the EEG behind the sound, s.
    pub lag: f64,
    /// ridge: penalties to choose from by leaving training trials out, relative to the mean
    /// variance of the lagged EEG.
    pub lambdas: Vec<f64>,
    /// ridge: a decoder of their own for subjects with four or more training trials; else one
    /// for all. Other subjects are always answered by the one for all.
    pub per_subject: bool,
    /// Threads that prepare batches ahead; 0 = prepare in the training thread. The result does not
    /// depend on it.
    pub prefetch: usize,
    /// Batches that a prefetch thread may be ahead.
    pub queue: usize,
    /// Memory that prepared examples may take, MiB; 0 = no cache. The result does not depend on it.
    pub cache_mib: usize,
    /// Steps between checkpoints; 0 = only at the end of each pass.
    pub checkpoint_every: u64,
    /// Checkpoints that are kept besides the best.
    pub keep_last: usize,
}

impl Default for TrainConfig {
    fn default() -> Self {
        Self {
            model: ModelKind::Eegnet,
            size: Size::Base,
            init: None,
            epochs: 50,
            batch: 32,
            micro_batch: 0,
            lr: 1e-3,
            final_lr: 0.01,
            warmup: 1.0,
            weight_decay: 0.01,
            beta1: 0.9,
            beta2: 0.999,
            eps: 1e-8,
            clip: 1.0,
            layer_decay: 1.0,
            lr_scale: LrScale::default(),
            ema: 0.0,
            dropout: None,
            drop_path: None,
            label_smoothing: 0.0,
            class_weights: ClassWeights::Balanced,
            select: Select::Loss,
            patience: 10,
            explode: 100.0,
            seed: 0,
            device: DeviceChoice::Auto,
            precision: Precision::F32,
            swap_augmentation: true,
            envelope_sfreq: 64.0,
            kernel: None,
            f1: 8,
            d: 2,
            f2: 16,
            spatial: true,
            fusion: FusionKind::CalraPaper,
            calra: CalraConfig::default(),
            contrast: 0.1,
            audio: Audio::Mel,
            audio_init: None,
            audio_train: AudioTrain::Trainable,
            spec_augment: true,
            bands: vec![
                (1.0, 4.0),
                (4.0, 8.0),
                (8.0, 13.0),
                (13.0, 30.0),
                (30.0, 40.0),
            ],
            c: 1.0,
            standardise: Standardise::Train,
            lag: attention::LAG_SECONDS,
            lambdas: attention::LAMBDAS.to_vec(),
            per_subject: true,
            prefetch: 1,
            queue: 4,
            cache_mib: 1024,
            checkpoint_every: 0,
            keep_last: 2,
        }
    }
}

impl TrainConfig {
    /// The defaults for one model: learning rate, decay and batch as the model's own papers have
    /// them where they say so (models: EEGNet 1e-3; AADNet 5e-5 to 1e-3, we take 1e-3 for its
    /// 14,000 weights; the MindMix encoder 1e-4 with decay 0.05). Classifiers are chosen by
    /// balanced accuracy: their training loss weights classes, the validation loss does not, and
    /// would prefer a checkpoint that answers the larger class.
    pub fn for_model(model: ModelKind) -> Self {
        let base = Self {
            model,
            ..Self::default()
        };
        match model {
            ModelKind::BandpowerLr => base,
            ModelKind::Ridge => Self {
                envelope_sfreq: 20.0,
                ..base
            },
            ModelKind::Eegnet => Self {
                select: Select::BalancedAccuracy,
                ..base
            },
            ModelKind::Aadnet => Self { epochs: 30, ..base },
            ModelKind::Mindmix => Self {
                lr: 1e-4,
                weight_decay: 0.05,
                epochs: 30,
                select: Select::BalancedAccuracy,
                ..base
            },
            ModelKind::MindmixPrototype | ModelKind::MindmixReal => Self {
                model,
                ..Self::for_model(ModelKind::Mindmix)
            },
            ModelKind::MindmixAv => Self {
                model,
                select: Select::Loss,
                ..Self::for_model(ModelKind::Mindmix)
            },
        }
    }

    /// What the model is asked.
    pub fn task(&self) -> Task {
        self.model.task()
    }

    /// The settings of the loop.
    pub fn steps(&self) -> StepConfig {
        StepConfig {
            epochs: self.epochs,
            batch: self.batch,
            micro_batch: self.micro_batch,
            lr: self.lr,
            final_lr: self.final_lr,
            warmup: self.warmup,
            weight_decay: self.weight_decay,
            beta1: self.beta1,
            beta2: self.beta2,
            eps: self.eps,
            clip: self.clip,
            layer_decay: self.layer_decay,
            lr_scale: self.lr_scale,
            ema: self.ema,
            patience: self.patience,
            explode: self.explode,
            seed: self.seed,
            device: self.device,
            precision: self.precision,
            prefetch: self.prefetch,
            queue: self.queue,
            cache_mib: self.cache_mib,
            checkpoint_every: self.checkpoint_every,
            keep_last: self.keep_last,
        }
    }

    /// Refuse values that cannot work.
    ///
    /// # Errors
    /// [`Error::Config`] naming the first field that is wrong.
    pub fn check(&self) -> Result<()> {
        let wrong = |field: &'static str, message: String| Err(Error::Config { field, message });
        self.steps().check()?;
        if self.init.is_some() && !self.model.any_montage() {
            return wrong(
                "init",
                "expected a `mindmix` model, whose encoder other stages train; found another"
                    .into(),
            );
        }
        if self.audio_init.is_some() && !self.model.listens() {
            return wrong(
                "audio_init",
                "expected the model `mindmix-av` or `mindmix-real`, which hear; found another"
                    .into(),
            );
        }
        check_audio(
            self.audio,
            self.audio_train,
            self.audio_init.as_deref(),
            self.model.listens(),
            self.init.is_some(),
        )?;
        if self.lr_scale != LrScale::default() && !self.model.any_montage() {
            return wrong(
                "lr_scale",
                "expected a `mindmix` model, which has these parts; found another".into(),
            );
        }
        Shape::from(self).check()?;
        at_least_one(&[
            ("kernel", self.kernel.unwrap_or(1)),
            ("f1", self.f1),
            ("d", self.d),
            ("f2", self.f2),
        ])?;
        in_range(&[
            ("dropout", self.dropout.unwrap_or(0.0), 0.0, 0.95),
            ("drop_path", self.drop_path.unwrap_or(0.0), 0.0, 0.95),
            ("label_smoothing", self.label_smoothing, 0.0, 0.95),
            ("contrast", self.contrast, 0.0, 1e3),
            ("envelope_sfreq", self.envelope_sfreq, 1.0, 1000.0),
            ("c", self.c, 1e-12, 1e12),
            ("lag", self.lag, 0.0, 10.0),
        ])?;
        if self.bands.is_empty() {
            return wrong("bands", "expected at least one (low, high) pair".into());
        }
        if self.lambdas.is_empty() {
            return wrong("lambdas", "expected at least one number".into());
        }
        if let Some(odd) = self.lambdas.iter().find(|l| !(1e-12..=1e12).contains(*l)) {
            return wrong(
                "lambdas",
                format!("expected numbers from 1e-12 to 1e12, found {odd}"),
            );
        }
        for &(low, high) in &self.bands {
            if !(low.is_finite() && high.is_finite() && 0.0 <= low && low < high) {
                return wrong(
                    "bands",
                    format!("expected 0 ≤ low < high in Hz, found ({low}, {high})"),
                );
            }
        }
        Ok(())
    }
}
