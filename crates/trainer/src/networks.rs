//! The networks and objectives that are checked and timed, on data that are functions of their names.

use std::sync::Arc;

use anyhow::Result;
use candle_core::{Device, Tensor};
use mmpipe_models::aadnet::{AadNet, AadNetConfig};
use mmpipe_models::align::{
    AlignConfig, Aligner, FusionConfig, FusionKind, PrototypeClassifier, Sounds, UNKNOWN_TYPE,
};
use mmpipe_models::audio::{AudioConfig, MelConfig, Wav2Vec2, Wav2Vec2Config};
use mmpipe_models::eegnet::{EegNet, EegNetConfig};
use mmpipe_models::encoder::{Classifier, ClassifierConfig, Encoder, EncoderConfig, PATCH, Size};
use mmpipe_models::pretrain::{
    CodebookConfig, Joint, JointConfig, Masked, MaskedConfig, Tokeniser, TokeniserConfig,
    cross_entropy,
};
use mmpipe_models::rng::Stream;
use mmpipe_models::{Batch, Mode, Model, Params};

/// Classes of a classifier.
const CLASSES: usize = 4;
/// Samples of a sound a second.
const SOUND: usize = 16_000;

/// How large networks and batches are.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Scale {
    pub(crate) size: Size,
    pub(crate) batch: usize,
    pub(crate) channels: usize,
    /// Patches a channel: seconds.
    pub(crate) patches: usize,
    pub(crate) codes: usize,
    /// wav2vec 2.0 of base shape, else a very small one.
    pub(crate) base_sound: bool,
    /// No dropout and no drop path.
    pub(crate) plain: bool,
}

/// A network with an objective.
pub(crate) struct Work {
    pub(crate) params: Params,
    /// The loss of a forward pass, a scalar.
    pub(crate) loss: Box<dyn Fn(Mode) -> Result<Tensor>>,
}

/// Normal numbers that are a function of the name.
pub(crate) fn noise(name: &str, shape: &[usize], device: &Device) -> Result<Tensor> {
    let s = Stream::named(1, name);
    let n: usize = shape.iter().product();
    let values: Vec<f32> = (0..n as u64).map(|i| s.normal(i) as f32).collect();
    Ok(Tensor::from_vec(values, shape, &Device::Cpu)?.to_device(device)?)
}

/// Names of electrodes; which they are takes no time.
fn montage(n: usize) -> Arc<[String]> {
    let known = ["Fp1", "Fz", "Cz", "Pz", "Oz", "T7", "T8"];
    known
        .iter()
        .cycle()
        .take(n)
        .map(|s| s.to_string())
        .collect()
}

impl Scale {
    fn eeg(&self, device: &Device) -> Result<Batch> {
        let shape = [self.batch, self.channels, self.patches * PATCH];
        Ok(Batch::eeg(
            noise("eeg", &shape, device)?,
            montage(self.channels),
        ))
    }

    fn tokens(&self) -> usize {
        self.channels * self.patches
    }

    fn encoder(&self, base: EncoderConfig) -> EncoderConfig {
        EncoderConfig {
            drop_path: if self.plain { 0.0 } else { base.drop_path },
            ..base
        }
    }

    fn codebook(&self) -> CodebookConfig {
        CodebookConfig {
            codes: self.codes,
            ..CodebookConfig::default()
        }
    }

    /// The sound encoder's shape.
    pub(crate) fn wav2vec2(&self) -> Wav2Vec2Config {
        let base = Wav2Vec2Config::wav2vec2_base();
        let shape = match self.base_sound {
            true => base,
            false => Wav2Vec2Config {
                hidden_size: 32,
                num_hidden_layers: 2,
                num_attention_heads: 4,
                intermediate_size: 48,
                conv_dim: vec![16; 7],
                num_conv_pos_embeddings: 16,
                num_conv_pos_embedding_groups: 4,
                ..base
            },
        };
        match self.plain {
            true => shape.deterministic(),
            false => shape,
        }
    }
}

/// Marks the codes as placed, so that a network starts from its random ones on every device.
fn placed(params: &Params) -> Result<()> {
    for p in params.buffers().filter(|p| p.name.ends_with("initted")) {
        p.var.set(&p.var.as_tensor().ones_like()?)?;
    }
    Ok(())
}

/// Stage 1, the paper's joint objective.
pub(crate) fn joint(scale: &Scale, device: &Device) -> Result<Work> {
    let config = JointConfig::new(scale.size);
    let config = JointConfig {
        encoder: scale.encoder(config.encoder),
        codebook: scale.codebook(),
        ..config
    };
    let net = Joint::new(&config, Params::new(0, device))?;
    placed(net.params())?;
    let (x, b, n) = (scale.eeg(device)?, scale.batch, scale.tokens());
    Ok(Work {
        params: net.params().clone(),
        loss: Box::new(move |mode| {
            let mask = net.mask(0, step_of(mode), b, n);
            Ok(net.loss(&x.eeg, &x.ch_names, &mask, mode)?.total)
        }),
    })
}

fn step_of(mode: Mode) -> u64 {
    match mode {
        Mode::Train { step, .. } => step,
        Mode::Eval => 0,
    }
}

/// Stage 1, LaBraM's tokeniser.
pub(crate) fn tokeniser(scale: &Scale, device: &Device) -> Result<Work> {
    let config = TokeniserConfig {
        codebook: scale.codebook(),
        ..TokeniserConfig::new(scale.size)
    };
    let net = Tokeniser::new(&config, Params::new(0, device))?;
    placed(net.params())?;
    let x = scale.eeg(device)?;
    Ok(Work {
        params: net.params().clone(),
        loss: Box::new(move |mode| Ok(net.loss(&x.eeg, &x.ch_names, mode)?.total)),
    })
}

/// Stage 1, LaBraM's masked prediction of given codes.
pub(crate) fn masked(scale: &Scale, device: &Device) -> Result<Work> {
    let config = MaskedConfig {
        codes: scale.codes,
        ..MaskedConfig::new(scale.size)
    };
    let net = Masked::new(&config, Params::new(0, device))?;
    let (x, b, n) = (scale.eeg(device)?, scale.batch, scale.tokens());
    let s = Stream::named(2, "codes");
    let codes = (0..(b * n) as u64).map(|i| (s.bits(i) % scale.codes as u64) as u32);
    let codes = Tensor::from_vec(codes.collect(), (b, n), &Device::Cpu)?.to_device(device)?;
    Ok(Work {
        params: net.params().clone(),
        loss: Box::new(move |mode| {
            let mask = net.mask(0, step_of(mode), b, n);
            Ok(net.loss(&x.eeg, &x.ch_names, &codes, &mask, mode)?.total)
        }),
    })
}

fn aligner(scale: &Scale, kind: FusionKind, mel: bool) -> AlignConfig {
    let (config, fusion) = (AlignConfig::new(scale.size), FusionConfig::new(kind));
    let audio = match mel {
        true => AudioConfig::Mel(MelConfig {
            bands: 24,
            width: 64,
            layers: 1,
            dropout: if scale.plain { 0.0 } else { 0.1 },
            ..MelConfig::default()
        }),
        false => AudioConfig::Wav2Vec2(scale.wav2vec2()),
    };
    AlignConfig {
        eeg: scale.encoder(config.eeg),
        audio,
        fusion: FusionConfig {
            dropout: if scale.plain { 0.0 } else { fusion.dropout },
            // Else no kind of sound is known, and the maps by kind stand still.
            type_aligner: false,
            ..fusion
        },
        ..config
    }
}

/// Stage 2: EEG and waveforms in one space, all pairs of the batch; `mel`: the light sound encoder.
pub(crate) fn contrast(
    scale: &Scale,
    kind: FusionKind,
    mel: bool,
    device: &Device,
) -> Result<Work> {
    let config = aligner(scale, kind, mel);
    let net = Aligner::new(&config, Params::new(0, device))?;
    let (x, b) = (scale.eeg(device)?, scale.batch);
    let waves = noise("sound", &[b, scale.patches * SOUND], device)?;
    Ok(Work {
        params: net.params().clone(),
        loss: Box::new(move |mode| {
            let eeg = net.embed_eeg(&[(&x.eeg, &x.ch_names)], mode)?;
            let sounds = Sounds {
                audio: net.embed_audio(&waves, mode)?,
                types: vec![UNKNOWN_TYPE; b],
                ids: (0..b as u64).collect(),
                others: None,
            };
            Ok(net.loss(&eeg, &sounds, mode)?)
        }),
    })
}

/// Cross-entropy with the classes in turn.
fn classify(model: impl Model + 'static, x: Batch, classes: usize) -> Result<Work> {
    let b = x.eeg.dim(0)?;
    let labels: Vec<u32> = (0..b).map(|i| (i % classes) as u32).collect();
    let labels = Tensor::from_vec(labels, b, x.eeg.device())?;
    Ok(Work {
        params: model.params().clone(),
        loss: Box::new(move |mode| Ok(cross_entropy(&model.forward(&x, mode)?, &labels)?.0)),
    })
}

/// Stage 3: the EEG encoder with its head.
pub(crate) fn classifier(scale: &Scale, device: &Device) -> Result<Work> {
    let config = ClassifierConfig::new(scale.size, CLASSES);
    let drop = |p: f32| if scale.plain { 0.0 } else { p };
    let config = ClassifierConfig {
        encoder: scale.encoder(config.encoder),
        projection_dropout: drop(config.projection_dropout),
        head_dropout: drop(config.head_dropout),
        ..config
    };
    let net = Classifier::new(&config, Params::new(0, device))?;
    classify(net, scale.eeg(device)?, CLASSES)
}

/// Stage 3: a learned vector a class in the place of a sound.
pub(crate) fn prototypes(scale: &Scale, device: &Device) -> Result<Work> {
    let config = aligner(scale, FusionKind::CalraPaper, true);
    let net = PrototypeClassifier::new(&config, CLASSES, Params::new(0, device))?;
    classify(net, scale.eeg(device)?, CLASSES)
}

/// EEGNet.
pub(crate) fn eegnet(scale: &Scale, device: &Device) -> Result<Work> {
    let config = EegNetConfig::new(scale.channels, 256, CLASSES, 128.0);
    let net = EegNet::new(&config, Params::new(0, device))?;
    let x = noise("eeg", &[scale.batch, scale.channels, 256], device)?;
    classify(net, Batch::eeg(x, montage(scale.channels)), CLASSES)
}

/// AADNet.
pub(crate) fn aadnet(scale: &Scale, device: &Device) -> Result<Work> {
    let net = AadNet::new(&AadNetConfig::new(scale.channels), Params::new(0, device))?;
    let x = noise("eeg", &[scale.batch, scale.channels, 128], device)?;
    let envelopes = noise("envelopes", &[scale.batch, 2, 128], device)?;
    let x = Batch::with_envelopes(x, montage(scale.channels), envelopes);
    classify(net, x, 2)
}

/// The EEG encoder on samples of different montages, padded: the sum of squares of what it gives,
/// weighted so that no part of it is constant.
pub(crate) fn padded(scale: &Scale, device: &Device) -> Result<Work> {
    let mut params = Params::new(0, device);
    let net = Encoder::new(
        &scale.encoder(EncoderConfig::new(scale.size)),
        &mut params,
        "",
    )?;
    let x = scale.eeg(device)?;
    let names: Vec<Arc<[String]>> = (0..scale.batch)
        .map(|i| montage(1 + i % scale.channels))
        .collect();
    Ok(Work {
        params,
        loss: Box::new(move |mode| {
            let montages: Vec<&[String]> = names.iter().map(|n| &n[..]).collect();
            weighted(&net.forward_padded(&x.eeg, &montages, mode)?)
        }),
    })
}

/// wav2vec 2.0 by itself.
pub(crate) fn wav2vec2(scale: &Scale, device: &Device) -> Result<Work> {
    let mut params = Params::new(0, device);
    let net = Wav2Vec2::new(&scale.wav2vec2(), &mut params, "")?;
    let waves = noise("sound", &[scale.batch, scale.patches * SOUND], device)?;
    Ok(Work {
        params,
        loss: Box::new(move |mode| weighted(&net.forward(&waves, mode)?)),
    })
}

/// A scalar that every value moves: normalised vectors have a constant sum and a constant length.
fn weighted(y: &Tensor) -> Result<Tensor> {
    let weights = noise("weights", y.dims(), y.device())?;
    Ok((y * weights)?.mean_all()?)
}
