//! Weights to start from: the encoder of another run or of a published file, and with it whatever else
//! of stage 2 the network has.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use mmpipe_models::Params;
use mmpipe_models::align::{FusionConfig, FusionKind};
use mmpipe_models::weights::{encoder_part, read_tensors};

use crate::run::fold_dir;
use crate::sound::PREFIX;
use crate::{Error, Result};

/// Prefix of the encoder's variables in the networks that are fine-tuned.
const ENCODER: &str = "eeg_model.model.";
/// Prefix of the projection behind it.
const PROJECTION: &str = "eeg_proj.";
/// What stage 2 has beside the two: its names begin with one of these.
const STAGE_2: [&str; 4] = [
    "audio_model.",
    "audio_proj.",
    "fusion_module.",
    "logit_scale",
];
/// Names that a note tells of a kind; the others are counted.
const TOLD: usize = 6;
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

/// Loads the encoder of `init` into `params`, by name, and with it the projection and what else of
/// stage 2 file and network share: a safetensors or PyTorch file, or a folder as [`init_file`] reads
/// it. Gives notes: how many tensors were taken, which variables found none and keep their random
/// start, what was left in the file. `fusion` is the module that the network has, where it has one.
/// `heard`: the sound encoder's weights are chosen elsewhere ([`crate::sound`]), and are neither taken nor
/// told of here.
///
/// # Errors
/// [`Error::Checkpoint`] for a file that is no encoder's, for shapes that do not fit, for an encoder
/// of another depth, and for a module of the same form with other parts of it.
pub(crate) fn load_encoder(
    init: &str,
    fold: i32,
    params: &Params,
    fusion: &FusionConfig,
    heard: bool,
) -> Result<Vec<String>> {
    let path = init_file(Path::new(init), fold);
    let wrong = |e: String| Error::checkpoint(&path, e);
    let tensors = read_tensors(&path).map_err(|e| match e {
        // It names the file already.
        e @ mmpipe_models::Error::Io { .. } => Error::Model(e),
        e => wrong(e.to_string()),
    })?;
    let part = encoder_part(&tensors).map_err(|e| wrong(e.to_string()))?;
    let mut given = HashMap::with_capacity(tensors.len());
    for (prefix, tensors) in [(ENCODER, part.encoder), (PROJECTION, part.projection)] {
        let behind = |(n, t)| (format!("{prefix}{n}"), t);
        given.extend(tensors.into_iter().map(behind));
    }
    let hears = params.iter().any(|p| of_stage_2(&p.name));
    if hears && let Some(theirs) = described(&path) {
        let by_kind = params.iter().any(|p| p.name.starts_with("audio_model."));
        same_parts(fusion, &theirs, by_kind).map_err(wrong)?;
    }
    // Others than stage 2 write a `logit_scale` too.
    let from_2 = part.left.iter().any(|n| n.contains("audio_proj."));
    let mut left = 0;
    for name in &part.left {
        let own = name.strip_prefix("module.").unwrap_or(name);
        match tensors.get(name) {
            Some(t) if hears && from_2 && of_stage_2(own) => {
                given.insert(own.to_owned(), t.clone());
            }
            _ => left += 1,
        }
    }
    let elsewhere = |name: &str| heard && name.starts_with(PREFIX);
    given.retain(|name, _| !elsewhere(name));
    // A projection or fusion of another width may stay behind; a layer of the encoder may not.
    let mut misfit = Vec::new();
    given.retain(|name, t| {
        let other = |p: &mmpipe_models::Param| p.var.dims() != t.dims();
        let misfits = !name.starts_with(ENCODER) && params.get(name).is_some_and(other);
        if misfits {
            misfit.push(name.clone());
        }
        !misfits
    });
    misfit.sort_unstable();
    let misfit: Vec<&str> = misfit.iter().map(String::as_str).collect();
    let mut unknown: Vec<&str> = given.keys().map(String::as_str).collect();
    unknown.retain(|n| params.get(n).is_none());
    unknown.sort_unstable();
    // A table of electrodes or another form of fusion may stay behind, a layer may not.
    let layer = |n: &&&str| !n.ends_with("pos_embed") && !of_stage_2(n);
    if let Some(layer) = unknown.iter().find(layer) {
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
        .filter(|n| n.starts_with(ENCODER) || of_stage_2(n))
        .filter(|n| !elsewhere(n))
        .filter(|n| !given.contains_key(*n) && !misfit.contains(n))
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
        ("of another shape and started anew", &misfit),
        ("in the file but not in this network", &unknown),
    ] {
        if !names.is_empty() {
            note.push_str(&format!("; {what}: {}", few(names)));
        }
    }
    if left > 0 {
        note.push_str(&format!(
            "; {left} tensors of the file are no part of what is trained"
        ));
    }
    Ok(vec![note])
}

/// The fusion module that `config.json` beside the weights describes.
fn described(weights: &Path) -> Option<FusionConfig> {
    let text = std::fs::read(weights.with_file_name("config.json")).ok()?;
    let mut config: serde_json::Value = serde_json::from_slice(&text).ok()?;
    serde_json::from_value(config.get_mut("fusion")?.take()).ok()
}

/// Refuses a module that is CALRA of the same form with other parts: what was learnt with a part says
/// nothing without it. A network without sounds (`by_kind` false) has no maps by kind and needs none.
fn same_parts(
    own: &FusionConfig,
    theirs: &FusionConfig,
    by_kind: bool,
) -> std::result::Result<(), String> {
    let calra = matches!(own.kind, FusionKind::CalraPaper | FusionKind::CalraReleased);
    if own.kind != theirs.kind || !calra {
        return Ok(());
    }
    for (part, own, theirs) in [
        (
            "type_aligner",
            own.type_aligner || !by_kind && theirs.type_aligner,
            theirs.type_aligner,
        ),
        ("attention", own.attention, theirs.attention),
        ("feed_forward", own.feed_forward, theirs.feed_forward),
        ("low_rank", own.low_rank, theirs.low_rank),
    ] {
        if own != theirs {
            let (has, lacks) = match theirs {
                true => ("has", "lacks"),
                false => ("lacks", "has"),
            };
            return Err(format!(
                "its fusion module {has} {part}, which the network to be trained {lacks}; set `calra.{part}` as these weights have it, or train stage 2 anew"
            ));
        }
    }
    Ok(())
}

/// Whether stage 2 trains it beside the EEG encoder and its projection.
fn of_stage_2(name: &str) -> bool {
    STAGE_2.iter().any(|prefix| name.starts_with(prefix))
}

/// Names, the first of many.
fn few(names: &[&str]) -> String {
    let shown: Vec<&str> = names.iter().copied().take(TOLD).collect();
    match names.len() - shown.len() {
        0 => shown.join(", "),
        more => format!("{} and {more} more", shown.join(", ")),
    }
}
