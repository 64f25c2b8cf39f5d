//! Weights to start from: the encoder of another run or of a published file.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mmpipe_models::Params;
use mmpipe_models::weights::{encoder_part, read_tensors};

use crate::run::fold_dir;
use crate::{Error, Result};

/// Prefix of the encoder's variables in the networks that are fine-tuned.
const ENCODER: &str = "eeg_model.model.";
/// Prefix of the projection behind it.
const PROJECTION: &str = "eeg_proj.";
/// File of weights in a folder.
const MODEL: &str = "model.safetensors";

/// The file of weights that fold `fold` starts from: `path` itself, or in that folder
/// `fold=N/model.safetensors` where stage 1 was trained fold by fold, else `model.safetensors`.
pub fn init_file(path: &Path, fold: i32) -> PathBuf {
    if !path.is_dir() {
        return path.to_path_buf();
    }
    let own = fold_dir(path, None, fold);
    match own.is_dir() {
        true => own.join(MODEL),
        false => path.join(MODEL),
    }
}

/// Loads the encoder (and the projection, where there is one) of `init` into `params`, by name: a
/// safetensors or PyTorch file, or a folder as [`init_file`] reads it. Gives notes: how many tensors
/// were taken, which variables found none and keep their random start, what was left in the file.
///
/// # Errors
/// [`Error::Checkpoint`] for a file that is no encoder's, for shapes that do not fit, and for an
/// encoder of another depth.
pub(crate) fn load_encoder(init: &str, fold: i32, params: &Params) -> Result<Vec<String>> {
    let path = init_file(Path::new(init), fold);
    let wrong = |e: String| Error::checkpoint(&path, e);
    let tensors = read_tensors(&path).map_err(|e| match e {
        // It names the file already.
        e @ mmpipe_models::Error::Io { .. } => Error::Model(e),
        e => wrong(e.to_string()),
    })?;
    let part = encoder_part(&tensors).map_err(|e| wrong(e.to_string()))?;
    let mut given = HashMap::with_capacity(part.encoder.len() + part.projection.len());
    for (prefix, tensors) in [(ENCODER, part.encoder), (PROJECTION, part.projection)] {
        given.extend(
            tensors
                .into_iter()
                .map(|(n, t)| (format!("{prefix}{n}"), t)),
        );
    }
    let mut unknown: Vec<&String> = given.keys().filter(|n| params.get(n).is_none()).collect();
    unknown.sort();
    // A table of electrodes may stay behind, a layer may not.
    if let Some(layer) = unknown.iter().find(|n| !n.ends_with("pos_embed")) {
        return Err(wrong(format!(
            "holds {layer}, which the encoder to be trained lacks; set `train.size` to the size of these weights"
        )));
    }
    let taken = params.load_known(&given).map_err(|e| {
        wrong(format!(
            "{e}; set `train.size` to the size of these weights"
        ))
    })?;
    if taken.is_empty() {
        return Err(wrong("no tensor fits the encoder by its name".into()));
    }
    let fresh: Vec<&str> = params
        .iter()
        .map(|p| p.name.as_str())
        .filter(|n| n.starts_with(ENCODER) && !given.contains_key(*n))
        .collect();
    if let Some(block) = fresh.iter().find(|n| n.ends_with("qkv.weight")) {
        return Err(wrong(format!(
            "lacks {block}: its encoder has fewer blocks; set `train.size` to the size of these weights"
        )));
    }
    let mut note = format!(
        "started from {} ({}): {} tensors taken",
        path.display(),
        part.origin,
        taken.len()
    );
    for (what, names) in [
        ("not found and started anew", &fresh),
        (
            "in the file but not in this encoder",
            &unknown.iter().map(|n| n.as_str()).collect(),
        ),
    ] {
        if !names.is_empty() {
            note.push_str(&format!("; {what}: {}", names.join(", ")));
        }
    }
    if !part.left.is_empty() {
        note.push_str(&format!(
            "; {} tensors of the file are no part of the encoder",
            part.left.len()
        ));
    }
    Ok(vec![note])
}
