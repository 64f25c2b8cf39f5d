//! The EEG encoder inside a file of weights, whoever wrote it.

use std::collections::HashMap;

use candle_core::Tensor;

use super::names::{Kind, Renamed, rename};
use crate::error::{Error, Result};

/// MindMix's prefix of the encoder, and that of the projection behind it.
const MINDMIX: (&str, &str) = ("eeg_model.model.", "eeg_proj.");

/// The encoder's tensors of a file.
#[derive(Debug, Clone)]
pub struct EncoderPart {
    /// What the file is, in words.
    pub origin: &'static str,
    /// By the encoder's own names (`cls_token`, `blocks.0.attn.qkv.weight`, …).
    pub encoder: HashMap<String, Tensor>,
    /// Of the projection behind the encoder (`0.weight`, `2.bias`, …), where the file has one.
    pub projection: HashMap<String, Tensor>,
    /// Tensors that are no part of either, sorted.
    pub left: Vec<String>,
}

/// Finds the EEG encoder in `tensors`, by the names that stage 1, LaBraM, MindMix and classifiers on
/// MindMix's encoder give it:
///
/// | written by | encoder's names begin with |
/// |---|---|
/// | stage 1, joint objective | `encoder.` |
/// | stage 1, masked codes; LaBraM's `labram-base.pth` | `student.`, without `student.norm` |
/// | LaBraM's encoder as converted here | nothing |
/// | MindMix, stages 2 and 3; classifiers | `eeg_model.model.`, projection `eeg_proj.` |
///
/// # Errors
/// [`Error::Checkpoint`] where there is no encoder, and for a tokeniser, whose encoder gives codes
/// and was not made to be fine-tuned.
pub fn encoder_part(tensors: &HashMap<String, Tensor>) -> Result<EncoderPart> {
    let has = |name: &str| tensors.contains_key(name) || tensors.contains_key(&module(name));
    let begins = |prefix: &str| {
        let behind = module(prefix);
        let found = |n: &String| n.starts_with(prefix) || n.starts_with(&behind);
        tensors.keys().any(found)
    };
    let (origin, place): (_, fn(&str) -> Option<Place>) = if begins(MINDMIX.0) {
        ("MindMix's layout", |n| match rename(Kind::MindMix, n) {
            Renamed::To(n) => match n.strip_prefix(MINDMIX.0) {
                Some(n) => Some(Place::Encoder(n.to_owned())),
                None => Some(Place::Projection(n.strip_prefix(MINDMIX.1)?.to_owned())),
            },
            Renamed::Dropped(_) => None,
        })
    } else if begins("student.") {
        ("masked-code prediction", |n| {
            match rename(Kind::LabramEncoder, n) {
                Renamed::To(n) => Some(Place::Encoder(n)),
                Renamed::Dropped(_) => None,
            }
        })
    } else if has("quantize.embedding.weight") && has("mask_token") {
        ("stage 1, joint objective", |n| {
            Some(Place::Encoder(n.strip_prefix("encoder.")?.to_owned()))
        })
    } else if has("quantize.embedding.weight") {
        return Err(Error::Checkpoint {
            place: "names of the tensors".into(),
            reason: "these are a tokeniser's; give the weights of the model that was trained on its codes".into(),
        });
    } else if has("cls_token") && has("patch_embed.conv1.weight") {
        ("an encoder alone", |n| Some(Place::Encoder(n.to_owned())))
    } else {
        let mut names: Vec<&str> = tensors.keys().map(String::as_str).collect();
        names.sort_unstable();
        names.truncate(3);
        return Err(Error::Checkpoint {
            place: "names of the tensors".into(),
            reason: format!(
                "expected an EEG encoder (cls_token, patch_embed.conv1.weight, … alone or behind encoder., student. or eeg_model.model.), found {}",
                names.join(", ")
            ),
        });
    };
    let mut part = EncoderPart {
        origin,
        encoder: HashMap::new(),
        projection: HashMap::new(),
        left: Vec::new(),
    };
    for (name, tensor) in tensors {
        let own = name.strip_prefix("module.").unwrap_or(name);
        let old = match place(own) {
            Some(Place::Encoder(n)) => part.encoder.insert(n, tensor.clone()),
            Some(Place::Projection(n)) => part.projection.insert(n, tensor.clone()),
            None => {
                part.left.push(name.clone());
                None
            }
        };
        if old.is_some() {
            return Err(Error::DuplicateParameter { name: name.clone() });
        }
    }
    part.left.sort_unstable();
    Ok(part)
}

/// Where a tensor belongs.
enum Place {
    Encoder(String),
    Projection(String),
}

/// A name as data-parallel training writes it.
fn module(name: &str) -> String {
    format!("module.{name}")
}

#[cfg(test)]
mod tests {
    use candle_core::{DType, Device};

    use super::*;

    fn file(names: &[&str]) -> HashMap<String, Tensor> {
        let zero = |n: &&str| {
            let t = Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap();
            ((*n).to_owned(), t)
        };
        names.iter().map(zero).collect()
    }

    fn names(map: &HashMap<String, Tensor>) -> Vec<&str> {
        let mut names: Vec<_> = map.keys().map(String::as_str).collect();
        names.sort_unstable();
        names
    }

    #[test]
    fn every_layout_gives_the_same_names() {
        let own = ["blocks.0.norm1.weight", "cls_token"];
        for (layout, left) in [
            (
                vec![
                    "encoder.cls_token",
                    "encoder.blocks.0.norm1.weight",
                    "mask_token",
                    "quantize.embedding.weight",
                    "decoder.blocks.0.norm1.weight",
                ],
                3,
            ),
            (
                vec![
                    "student.cls_token",
                    "student.blocks.0.norm1.weight",
                    "student.norm.weight",
                    "student.mask_token",
                    "lm_head.weight",
                ],
                3,
            ),
            (
                vec![
                    "module.student.cls_token",
                    "module.student.blocks.0.norm1.weight",
                ],
                0,
            ),
            (
                vec![
                    "eeg_model.model.cls_token",
                    "eeg_model.model.blocks.0.norm1.weight",
                    "classifier.0.weight",
                    "audio_model.masked_spec_embed",
                ],
                2,
            ),
        ] {
            let part = encoder_part(&file(&layout)).unwrap();
            assert_eq!(names(&part.encoder), own, "{layout:?}");
            assert_eq!(part.left.len(), left, "{layout:?}: {:?}", part.left);
        }
        let alone = ["cls_token", "patch_embed.conv1.weight"];
        assert_eq!(names(&encoder_part(&file(&alone)).unwrap().encoder), alone);
        let with = ["eeg_model.model.cls_token", "eeg_proj.0.weight"];
        let part = encoder_part(&file(&with)).unwrap();
        assert_eq!(names(&part.projection), ["0.weight"]);
    }

    #[test]
    fn a_tokeniser_and_strangers_are_refused() {
        let tokeniser = ["encoder.cls_token", "quantize.embedding.weight"];
        let said = |names: &[&str]| encoder_part(&file(names)).unwrap_err().to_string();
        assert!(said(&tokeniser).contains("tokeniser"));
        let found = said(&["fc.weight"]);
        assert!(found.contains("found fc.weight"), "{found}");
        assert!(said(&["encoder.layers.0.weight"]).contains("expected an EEG encoder"));
    }
}
