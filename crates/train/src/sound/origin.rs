//! Which weights a sound encoder starts from.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{Device, Tensor};
use mmpipe_models::Params;
use mmpipe_models::audio::{Wav2Vec2, Wav2Vec2Config};
use mmpipe_models::weights::{Kind, SoundPart, holds_sound_encoder, read_tensors, sound_part};
use xxhash_rust::xxh3::Xxh3;

use super::{Hears, PREFIX, Sound, SoundReport};
use crate::config::{Audio, AudioTrain, Size, Task, TrainConfig};
use crate::init::init_file;
use crate::{Error, Result};

/// The word for weights that nobody trained.
const RANDOM: &str = "random";
/// What is hashed before shape and weights: how a vector comes of a sound. Another way, another word.
const FORM: &str = "peak 1; mean over frames of the last hidden state; 1";
/// A variable that serves training alone, which some files lack.
const MASK: &str = "masked_spec_embed";

/// What the settings say of the sound encoder.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Asked {
    pub(crate) audio: Audio,
    pub(crate) audio_train: AudioTrain,
    pub(crate) audio_init: Option<String>,
    pub(crate) spec_augment: bool,
    pub(crate) dropout: Option<f64>,
    pub(crate) size: Size,
    pub(crate) init: Option<String>,
    pub(crate) seed: u64,
    pub(crate) fold: i32,
    /// Whether what stage 2 learnt must not be known: it is a control on permuted answers.
    pub(crate) unknowing: bool,
}

impl Asked {
    /// Of a supervised fit. A model that does not hear itself takes the width of a vector from here.
    pub(crate) fn of(cfg: &TrainConfig, fold: i32, control: bool) -> Self {
        let listens = cfg.model.listens();
        Self {
            audio: cfg.audio,
            audio_train: match listens {
                true => cfg.audio_train,
                false => AudioTrain::Frozen,
            },
            audio_init: match listens {
                true => cfg.audio_init.clone(),
                false => Some(RANDOM.into()),
            },
            spec_augment: cfg.spec_augment,
            dropout: cfg.dropout,
            size: cfg.size,
            init: cfg.init.clone(),
            seed: cfg.seed,
            fold,
            unknowing: control && cfg.task() == Task::Matching,
        }
    }
}

/// Where the weights are.
enum Origin {
    File(Box<SoundPart>),
    Random(Wav2Vec2Config),
}

/// The sound encoder that is asked for; `None` for the log-mel encoder, which has no weights of its
/// own to start from.
///
/// # Errors
/// [`Error::Config`] where nothing says which weights, [`Error::Checkpoint`] for a file that holds no
/// such encoder, or not all of it.
pub(crate) fn resolve(asked: &Asked) -> Result<Option<Sound>> {
    if asked.audio == Audio::Mel {
        return Ok(None);
    }
    let mut notes = Vec::new();
    let origin = origin(asked, &mut notes)?;
    let (tensors, parameters) = tensors(&origin, asked)?;
    let (shape, from) = match &origin {
        Origin::File(part) => (part.config.clone(), part.path.display().to_string()),
        Origin::Random(config) => (config.clone(), RANDOM.to_owned()),
    };
    let config = Wav2Vec2Config {
        apply_spec_augment: asked.spec_augment,
        ..match asked.dropout {
            Some(rate) => shape.with_dropout(rate as f32),
            None => shape,
        }
    };
    let about = SoundReport {
        encoder: asked.audio,
        train: asked.audio_train,
        from,
        hash: digest(&config, &tensors)?,
        parameters,
    };
    Ok(Some(Sound {
        hears: Hears { about, config },
        asked: asked.clone(),
        notes,
    }))
}

fn kind(audio: Audio) -> Kind {
    match audio {
        Audio::Hubert => Kind::Hubert,
        Audio::Mel | Audio::Wav2vec2 => Kind::Wav2Vec2,
    }
}

fn wrong(path: &Path, e: mmpipe_models::Error) -> Error {
    use mmpipe_models::Error as E;
    match e {
        // They name the file already.
        e @ (E::Io { .. } | E::Checkpoint { .. }) => Error::Model(e),
        e => Error::checkpoint(path, e.to_string()),
    }
}

fn origin(asked: &Asked, notes: &mut Vec<String>) -> Result<Origin> {
    let name = asked.audio.name();
    let of_init = match &asked.init {
        Some(init) => of_init(&init_file(Path::new(init), asked.fold), asked.audio)?,
        None => None,
    };
    let had_one = of_init.is_some();
    // An encoder that stage 2 trained on attended sounds knows how they differ from others.
    let known = of_init.filter(|part| !asked.unknowing || part.left_alone == Some(true));
    if let Some(part) = known {
        if let Some(other) = &asked.audio_init {
            notes.push(format!(
                "the sound encoder comes from {} with all else of `init`; `audio_init` = {other} was not read",
                part.path.display()
            ));
        }
        return Ok(Origin::File(Box::new(part)));
    }
    let config = |message: String| Error::Config {
        field: "audio_init",
        message,
    };
    let random = || {
        Origin::Random(match (asked.size, asked.audio) {
            (Size::Tiny, _) => Wav2Vec2Config::tiny(),
            (_, Audio::Hubert) => Wav2Vec2Config::hubert_base(),
            (_, _) => Wav2Vec2Config::wav2vec2_base(),
        })
    };
    match asked.audio_init.as_deref() {
        Some(RANDOM) => {
            if asked.audio_train == AudioTrain::Frozen {
                notes.push(format!(
                    "the sound encoder {name} is frozen at random weights, as asked: it was never trained"
                ));
            }
            Ok(random())
        }
        Some(path) => {
            let path = PathBuf::from(path);
            let part = sound_part(&path, kind(asked.audio)).map_err(|e| wrong(&path, e))?;
            Ok(Origin::File(Box::new(part)))
        }
        None if had_one && asked.audio_train == AudioTrain::Frozen => Err(config(format!(
            "expected weights of {name} for the control on permuted answers, which cannot start from what stage 2 learnt of attended sounds; name the file that stage 2 started from, or leave the control out"
        ))),
        None if had_one => {
            notes.push(
                "the control's sound encoder started from random weights: stage 2 knows which sounds were attended; `audio_init` would give it published ones".into(),
            );
            Ok(random())
        }
        None => Err(config(format!(
            "expected weights for {name}, a file or folder of Hugging Face's or of `mmpipe convert`, or `init` with a sound encoder; found nothing (`{RANDOM}` takes weights that nobody trained)"
        ))),
    }
}

/// The sound encoder in the file that all else starts from, where it has one.
fn of_init(path: &Path, audio: Audio) -> Result<Option<SoundPart>> {
    let tensors = read_tensors(path).map_err(|e| wrong(path, e))?;
    if !holds_sound_encoder(tensors.keys().map(String::as_str)) {
        return Ok(None);
    }
    let part = sound_part(path, kind(audio)).map_err(|e| wrong(path, e))?;
    Ok(Some(part))
}

/// All tensors of the encoder, by its own names, and the number of numbers in a network of its shape.
/// What a file lacks of such a network is an error.
fn tensors(origin: &Origin, asked: &Asked) -> Result<(HashMap<String, Tensor>, u64)> {
    let cpu = Device::Cpu;
    let (config, mut params) = match origin {
        Origin::File(part) => (&part.config, Params::unset(&cpu)),
        Origin::Random(config) => (config, Params::new(asked.seed, &cpu)),
    };
    Wav2Vec2::new(config, &mut params, PREFIX)?;
    let count = params.count() as u64;
    match origin {
        Origin::File(part) => {
            load(&params, &part.tensors, &part.path)?;
            Ok((part.tensors.clone(), count))
        }
        Origin::Random(_) => {
            let own = params.iter().map(|p| {
                let name = p.name.strip_prefix(PREFIX).unwrap_or(&p.name);
                (name.to_owned(), p.var.as_tensor().detach())
            });
            Ok((own.collect(), count))
        }
    }
}

/// Loads tensors into the variables behind [`PREFIX`]; the one that some files lack may stay as it is.
fn load(params: &Params, tensors: &HashMap<String, Tensor>, path: &Path) -> Result<()> {
    let mut given = tensors.clone();
    if let Some(mask) = params.get(&format!("{PREFIX}{MASK}")) {
        let own = || mask.var.as_tensor().detach();
        given.entry(MASK.to_owned()).or_insert_with(own);
    }
    params
        .load_part(PREFIX, &given)
        .map_err(|e| Error::checkpoint(path, e.to_string()))
}

/// Loads the weights that `hears` names into the variables of a network behind [`PREFIX`].
///
/// # Errors
/// [`Error::Checkpoint`] where the file no longer holds them.
pub(super) fn fill(asked: &Asked, hears: &Hears, params: &Params) -> Result<()> {
    let origin = origin(asked, &mut Vec::new())?;
    let (tensors, _) = tensors(&origin, asked)?;
    let found = digest(&hears.config, &tensors)?;
    if found != hears.about.hash {
        return Err(Error::checkpoint(
            Path::new(&hears.about.from),
            format!(
                "holds other weights than when this run began: {found}, expected {}; put the file back",
                hears.about.hash
            ),
        ));
    }
    load(params, &tensors, Path::new(&hears.about.from))
}

/// Identity of what decides a frozen encoder's answer.
fn digest(config: &Wav2Vec2Config, tensors: &HashMap<String, Tensor>) -> Result<String> {
    let mut hash = Xxh3::new();
    hash.update(FORM.as_bytes());
    let shape = serde_json::to_vec(&config.clone().when_frozen())
        .map_err(|e| Error::Data(format!("the shape of a sound encoder has no form: {e}")))?;
    hash.update(&shape);
    let mut names: Vec<&String> = tensors.keys().filter(|n| *n != MASK).collect();
    names.sort_unstable();
    let mut bytes = Vec::new();
    for name in names {
        let Some(tensor) = tensors.get(name) else {
            continue;
        };
        hash.update(name.as_bytes());
        for n in tensor.dims() {
            hash.update(&(*n as u64).to_le_bytes());
        }
        bytes.clear();
        for x in tensor.flatten_all()?.to_vec1::<f32>()? {
            bytes.extend_from_slice(&x.to_le_bytes());
        }
        hash.update(&bytes);
    }
    Ok(format!("{:032x}", hash.digest128()))
}
