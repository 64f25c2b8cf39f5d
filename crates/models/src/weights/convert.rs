//! From a published file to `model.safetensors` and `config.json`.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;

use candle_core::{DType, Device, Tensor};
use serde::Serialize;

use super::infer;
use super::names::{Kind, Renamed, rename};
use super::torch::read_torch;
use crate::align::Aligner;
use crate::audio::{Wav2Vec2, Wav2Vec2Config};
use crate::encoder::Encoder;
use crate::error::{Error, Result};
use crate::params::Params;
use crate::pretrain::{Masked, Tokeniser};

/// Longest `config.json` that is read.
pub(super) const MAX_CONFIG: u64 = 1 << 20;

/// What a conversion did.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Converted {
    /// What the file is.
    pub kind: Kind,
    /// Tensors taken over.
    pub taken: usize,
    /// Those of them whose name is another here: the file's and ours.
    pub renamed: Vec<(String, String)>,
    /// Those of them that the file holds in another type than f32.
    pub cast: usize,
    /// Tensors left out, by name, with the reason.
    pub dropped: Vec<(String, &'static str)>,
    /// Variables that the file lacks and that start as a new network's.
    pub fresh: Vec<String>,
}

/// All tensors of a safetensors or PyTorch file, by the names written there.
///
/// # Errors
/// [`Error::Io`], [`Error::Checkpoint`] or [`Error::Candle`] where the file is damaged.
pub fn read_tensors(path: &Path) -> Result<HashMap<String, Tensor>> {
    let is_safetensors = path
        .extension()
        .is_some_and(|e| e.eq_ignore_ascii_case("safetensors"));
    if is_safetensors {
        let bytes = std::fs::read(path).map_err(|source| Error::Io {
            path: path.to_path_buf(),
            source,
        })?;
        return Ok(candle_core::safetensors::load_buffer(&bytes, &Device::Cpu)?);
    }
    Ok(read_torch(path)?.tensors)
}

/// Reads the weights at `input`, gives them this crate's names, builds the network that their shapes
/// say, loads them into it, and writes `model.safetensors` and `config.json` into `folder`, which is
/// made if need be. Where `kind` is not given the names tell it. A `config.json` beside a sound
/// encoder's weights gives what shapes do not tell.
///
/// # Errors
/// [`Error::MissingTensor`], [`Error::TensorShape`], [`Error::UnexpectedTensor`] for weights that
/// make no network of this crate; [`Error::Checkpoint`] and [`Error::Io`] for files.
pub fn convert(input: &Path, folder: &Path, kind: Option<Kind>) -> Result<Converted> {
    let given = read_tensors(input)?;
    let kind = match kind.or_else(|| Kind::of(given.keys().map(String::as_str))) {
        Some(kind) => kind,
        None => {
            let known: Vec<_> = Kind::ALL.iter().map(|k| k.name()).collect();
            return Err(Error::Checkpoint {
                place: input.display().to_string(),
                reason: format!(
                    "the names are of no known model; say which of {} it is",
                    known.join(", ")
                ),
            });
        }
    };
    let (mut renamed, mut dropped, mut cast) = (Vec::new(), Vec::new(), 0);
    let mut tensors = HashMap::new();
    let mut names: Vec<&String> = given.keys().collect();
    names.sort();
    for name in names {
        match rename(kind, name) {
            Renamed::Dropped(why) => dropped.push((name.clone(), why)),
            Renamed::To(to) => {
                let Some(t) = given.get(name) else { continue };
                if *name != to {
                    renamed.push((name.clone(), to.clone()));
                }
                cast += usize::from(t.dtype() != DType::F32);
                if tensors
                    .insert(to.clone(), t.to_dtype(DType::F32)?)
                    .is_some()
                {
                    return Err(Error::DuplicateParameter { name: to });
                }
            }
        }
    }
    let taken = tensors.len();
    let (params, config) = network(kind, &tensors, input)?;
    let mut fresh = Vec::new();
    for p in params.iter() {
        let (name, var) = (&p.name, &p.var);
        if !tensors.contains_key(name) && may_be_fresh(kind, name) {
            tensors.insert(name.clone(), var.as_tensor().detach());
            fresh.push(name.clone());
        }
    }
    params.load(&tensors)?;
    let write = |name: &str, bytes: &[u8]| write_whole(&folder.join(name), bytes);
    std::fs::create_dir_all(folder).map_err(|source| Error::Io {
        path: folder.to_path_buf(),
        source,
    })?;
    write("model.safetensors", &params.to_safetensors_for_torch()?)?;
    write("config.json", config.as_bytes())?;
    Ok(Converted {
        kind,
        taken,
        renamed,
        cast,
        dropped,
        fresh,
    })
}

/// Variables that published files lack.
fn may_be_fresh(kind: Kind, name: &str) -> bool {
    match kind {
        Kind::LabramEncoder => name.starts_with("fc_norm."),
        // Written only where spans were hidden in training.
        Kind::Wav2Vec2 | Kind::Hubert => name == "masked_spec_embed",
        // The released scripts keep the temperature outside the model.
        Kind::MindMix => name == "logit_scale" || name == "audio_model.masked_spec_embed",
        Kind::LabramMasked | Kind::LabramTokeniser => false,
    }
}

#[derive(Serialize)]
struct Described<'a, C> {
    model_type: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    architectures: Option<[&'a str; 1]>,
    #[serde(skip_serializing_if = "Option::is_none")]
    num_feat_extract_layers: Option<usize>,
    #[serde(flatten)]
    config: C,
}

fn describe<C: Serialize>(model_type: &str, config: C) -> Result<String> {
    json(&Described {
        model_type,
        architectures: None,
        num_feat_extract_layers: None,
        config,
    })
}

fn json(value: &impl Serialize) -> Result<String> {
    let mut text = serde_json::to_string_pretty(value).map_err(|e| Error::Checkpoint {
        place: "config.json".to_string(),
        reason: e.to_string(),
    })?;
    text.push('\n');
    Ok(text)
}

/// The variables of the network that the tensors make, and its configuration.
fn network(kind: Kind, t: &HashMap<String, Tensor>, input: &Path) -> Result<(Params, String)> {
    let mut params = Params::new(0, &Device::Cpu);
    match kind {
        Kind::Wav2Vec2 | Kind::Hubert => {
            let (known, base, class) = match kind {
                Kind::Hubert => (Wav2Vec2Config::hubert_base(), "hubert", "HubertModel"),
                _ => (Wav2Vec2Config::wav2vec2_base(), "wav2vec2", "Wav2Vec2Model"),
            };
            let config = infer::wav2vec2(t, "", beside(input)?.unwrap_or(known))?;
            Wav2Vec2::new(&config, &mut params, "")?;
            let text = json(&Described {
                model_type: base,
                architectures: Some([class]),
                num_feat_extract_layers: Some(config.conv_dim.len()),
                config,
            })?;
            Ok((params, text))
        }
        Kind::LabramEncoder => {
            let config = infer::encoder(t, "")?;
            Encoder::new(&config, &mut params, "")?;
            Ok((params, describe(kind.name(), config)?))
        }
        Kind::LabramMasked => {
            let net = Masked::new(&infer::masked(t)?, params)?;
            Ok((net.params().clone(), describe(kind.name(), net.config())?))
        }
        Kind::LabramTokeniser => {
            let net = Tokeniser::new(&infer::tokeniser(t)?, params)?;
            Ok((net.params().clone(), describe(kind.name(), net.config())?))
        }
        Kind::MindMix => {
            let known = beside(input)?.unwrap_or_default();
            let net = Aligner::new(&infer::mindmix(t, known)?, params)?;
            Ok((net.params().clone(), describe(kind.name(), net.config())?))
        }
    }
}

/// The sound encoder's `config.json` beside the weights, if there is one.
fn beside(input: &Path) -> Result<Option<Wav2Vec2Config>> {
    let path = input.with_file_name("config.json");
    let io = |source| Error::Io {
        path: path.clone(),
        source,
    };
    match std::fs::metadata(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(e) => return Err(io(e)),
        Ok(m) if m.len() > MAX_CONFIG => {
            return Err(Error::Checkpoint {
                place: path.display().to_string(),
                reason: format!("{} bytes, more than {MAX_CONFIG}", m.len()),
            });
        }
        Ok(_) => {}
    }
    let text = std::fs::read_to_string(&path).map_err(io)?;
    serde_json::from_str(&text)
        .map(Some)
        .map_err(|e| Error::Checkpoint {
            place: path.display().to_string(),
            reason: e.to_string(),
        })
}

/// Writes under another name in the same folder, syncs, renames, syncs the folder: no half file is
/// ever seen, after a loss of power neither.
fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let io = |source| Error::Io {
        path: path.to_path_buf(),
        source,
    };
    let mut partial = path.as_os_str().to_owned();
    partial.push(".partial");
    let mut file = std::fs::File::create(&partial).map_err(io)?;
    file.write_all(bytes).map_err(io)?;
    file.sync_all().map_err(io)?;
    std::fs::rename(&partial, path).map_err(io)?;
    match path.parent() {
        // Folders cannot be opened everywhere; where they can, the name is made to last.
        Some(folder) if cfg!(unix) => std::fs::File::open(folder)
            .and_then(|f| f.sync_all())
            .map_err(io),
        _ => Ok(()),
    }
}
