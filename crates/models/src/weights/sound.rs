//! The sound encoder inside a file of weights, whoever wrote it.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Tensor};
use serde_json::Value;

use super::convert::{MAX_CONFIG, read_tensors};
use super::infer;
use super::names::{Kind, Renamed, rename};
use crate::audio::Wav2Vec2Config;
use crate::error::{Error, Result};

/// What MindMix and stage 2 put in front of the sound encoder's names.
const PREFIX: &str = "audio_model.";
/// A variable that every such encoder has.
const FIRST: &str = "feature_extractor.conv_layers.0.conv.weight";
/// Files of weights in a folder, the first that is there.
const FILES: [&str; 3] = [
    "model.safetensors",
    "pytorch_model.bin",
    "pytorch_model.safetensors",
];

/// The sound encoder's tensors of a file.
#[derive(Debug, Clone)]
pub struct SoundPart {
    /// The file.
    pub path: PathBuf,
    /// Shape and rates.
    pub config: Wav2Vec2Config,
    /// By the encoder's own names (`encoder.layers.0.layer_norm.weight`, …), f32.
    pub tensors: HashMap<String, Tensor>,
    /// Whether stage 2 left the encoder as it found it; `None` where nothing tells.
    pub left_alone: Option<bool>,
}

/// The file of weights at `path`: itself, or in a folder `model.safetensors`, `pytorch_model.bin` or
/// `pytorch_model.safetensors`.
pub fn sound_file(path: &Path) -> PathBuf {
    if !path.is_dir() {
        return path.to_path_buf();
    }
    let there = FILES.iter().map(|f| path.join(f)).find(|f| f.is_file());
    there.unwrap_or_else(|| path.join(FILES[0]))
}

/// Whether the names of tensors are of a file with such an encoder behind MindMix's prefix.
pub fn holds_sound_encoder<'a>(mut names: impl Iterator<Item = &'a str>) -> bool {
    names.any(|n| {
        let own = n.strip_prefix("module.").unwrap_or(n);
        own.strip_prefix(PREFIX) == Some(FIRST)
    })
}

/// Reads the wav2vec 2.0 or HuBERT encoder at `path`, a file or folder as [`sound_file`] takes it, as
/// Hugging Face, `mmpipe convert`, MindMix or stage 2 wrote it. `asked` is [`Kind::Wav2Vec2`] or
/// [`Kind::Hubert`]; the two are one network, and the shape comes from the file and a `config.json`
/// beside it, without which it must be that of the base models.
///
/// # Errors
/// [`Error::Io`] and [`Error::Checkpoint`] for a file that cannot be read, holds no such encoder, one
/// of the other kind, or fewer layers than its configuration says. What is missing inside a layer is
/// found when the tensors are loaded.
pub fn sound_part(path: &Path, asked: Kind) -> Result<SoundPart> {
    let path = sound_file(path);
    let wrong = |reason: String| Error::Checkpoint {
        place: path.display().to_string(),
        reason,
    };
    let given = read_tensors(&path).map_err(|e| match e {
        e @ Error::Io { .. } => e,
        e => wrong(e.to_string()),
    })?;
    let inside = holds_sound_encoder(given.keys().map(String::as_str));
    let mut tensors = HashMap::with_capacity(given.len());
    for (name, tensor) in &given {
        let own = name.strip_prefix("module.").unwrap_or(name);
        let own = match inside {
            true => own.strip_prefix(PREFIX),
            false => Some(own),
        };
        if let Some(Renamed::To(to)) = own.map(|n| rename(asked, n))
            && tensors
                .insert(to.clone(), tensor.to_dtype(DType::F32)?)
                .is_some()
        {
            return Err(Error::DuplicateParameter { name: to });
        }
    }
    if !tensors.contains_key(FIRST) {
        let mut names: Vec<&str> = given.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.truncate(3);
        return Err(wrong(format!(
            "expected a wav2vec 2.0 or HuBERT encoder ({FIRST}, … alone or behind wav2vec2., hubert. or {PREFIX}), found {}",
            names.join(", ")
        )));
    }
    let other = match asked {
        Kind::Hubert => Kind::Wav2Vec2,
        _ => Kind::Hubert,
    };
    let (beside, left_alone) = beside(&path)?;
    let says_other = match &beside {
        Some((_, Some(says))) => says == other.name(),
        _ => given
            .keys()
            .any(|n| n.starts_with(&format!("{}.", other.name()))),
    };
    if says_other && !inside {
        return Err(wrong(format!(
            "holds {}, expected {}; set `audio` to what the file holds",
            other.name(),
            asked.name()
        )));
    }
    let known = match beside {
        Some((config, _)) => config,
        None if asked == Kind::Hubert => Wav2Vec2Config::hubert_base(),
        None => Wav2Vec2Config::wav2vec2_base(),
    };
    let layers = known.num_hidden_layers;
    let config = infer::wav2vec2(&tensors, "", known)?;
    if config.num_hidden_layers != layers {
        return Err(wrong(format!(
            "holds {} transformer layers without a gap, expected {layers}; give the whole file, with its config.json beside it",
            config.num_hidden_layers
        )));
    }
    Ok(SoundPart {
        path,
        config,
        tensors,
        left_alone,
    })
}

/// A configuration, with the kind of model that it names.
type Described = (Wav2Vec2Config, Option<String>);

/// What a `config.json` beside the weights says of the sound encoder, and whether stage 2 left it alone.
fn beside(file: &Path) -> Result<(Option<Described>, Option<bool>)> {
    let path = file.with_file_name("config.json");
    let io = |source| Error::Io {
        path: path.clone(),
        source,
    };
    let wrong = |reason: String| Error::Checkpoint {
        place: path.display().to_string(),
        reason,
    };
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok((None, None)),
        Err(e) => return Err(io(e)),
        Ok(m) if m.len() > MAX_CONFIG => {
            return Err(wrong(format!("{} bytes, more than {MAX_CONFIG}", m.len())));
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(io)?;
    let value: Value = serde_json::from_str(&text).map_err(|e| wrong(e.to_string()))?;
    let parse = |v: &Value| -> Result<Wav2Vec2Config> {
        serde_json::from_value(v.clone()).map_err(|e| wrong(e.to_string()))
    };
    let text_of = |v: &Value, key: &str| v.get(key).and_then(Value::as_str).map(str::to_owned);
    match value.get("audio") {
        // MindMix's: the sound encoder is a part.
        Some(audio) => {
            let left_alone = value.get("frozen_audio").and_then(Value::as_bool);
            match text_of(audio, "kind").as_deref() {
                Some("wav2vec2") => Ok((Some((parse(audio)?, None)), left_alone)),
                other => Err(wrong(format!(
                    "its sound encoder is {}, expected wav2vec2",
                    other.unwrap_or("not named")
                ))),
            }
        }
        None => {
            let says = text_of(&value, "model_type");
            let known = [Kind::Wav2Vec2.name(), Kind::Hubert.name()];
            match &says {
                Some(other) if !known.contains(&other.as_str()) => Err(wrong(format!(
                    "describes a model of the type {other}, expected wav2vec2 or hubert"
                ))),
                _ => Ok((Some((parse(&value)?, says)), None)),
            }
        }
    }
}
