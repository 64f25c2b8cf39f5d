//! Published names to ours.

use serde::{Deserialize, Serialize};

/// What a file of weights is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Kind {
    /// wav2vec 2.0 of base size, Hugging Face's names, with or without `wav2vec2.` in front.
    #[serde(rename = "wav2vec2")]
    Wav2Vec2,
    /// HuBERT of base size, with or without `hubert.` in front.
    Hubert,
    /// LaBraM's `labram-base.pth`, its encoder alone.
    LabramEncoder,
    /// LaBraM's `labram-base.pth`, for masked pre-training to go on.
    LabramMasked,
    /// LaBraM's `vqnsp.pth`.
    LabramTokeniser,
    /// MindMix's released stage-2 checkpoint.
    #[serde(rename = "mindmix")]
    MindMix,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Kind; 6] = [
        Kind::Wav2Vec2,
        Kind::Hubert,
        Kind::LabramEncoder,
        Kind::LabramMasked,
        Kind::LabramTokeniser,
        Kind::MindMix,
    ];

    /// Name, as in configuration files.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Wav2Vec2 => "wav2vec2",
            Kind::Hubert => "hubert",
            Kind::LabramEncoder => "labram-encoder",
            Kind::LabramMasked => "labram-masked",
            Kind::LabramTokeniser => "labram-tokeniser",
            Kind::MindMix => "mindmix",
        }
    }

    /// What names say; the encoder of the two that `labram-base.pth` can be.
    pub(super) fn of<'a>(names: impl Iterator<Item = &'a str>) -> Option<Self> {
        let mut found = None;
        for name in names.map(unwrapped) {
            let kind = if name.starts_with("eeg_model.") {
                return Some(Kind::MindMix);
            } else if name == "quantize.embedding.weight" {
                return Some(Kind::LabramTokeniser);
            } else if name.starts_with("student.") {
                Kind::LabramEncoder
            } else if name.starts_with("hubert.") {
                Kind::Hubert
            } else if name.starts_with("wav2vec2.") || name.starts_with("feature_extractor.") {
                Kind::Wav2Vec2
            } else {
                continue;
            };
            found.get_or_insert(kind);
        }
        found
    }
}

/// What becomes of a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Renamed {
    /// Ours.
    To(String),
    /// Left out, and why.
    Dropped(&'static str),
}

/// Without what data-parallel training puts in front.
fn unwrapped(name: &str) -> &str {
    name.strip_prefix("module.").unwrap_or(name)
}

/// The name that a published variable has here.
pub fn rename(kind: Kind, name: &str) -> Renamed {
    let name = unwrapped(name);
    match kind {
        Kind::Wav2Vec2 | Kind::Hubert => audio(name),
        Kind::LabramEncoder => match name.strip_prefix("student.") {
            None => Renamed::Dropped("not a part of the encoder"),
            Some(n) if n == "mask_token" || starts(n, &["lm_head.", "projection_head."]) => {
                Renamed::Dropped("serves masked pre-training alone")
            }
            Some(n) if n.starts_with("norm.") => {
                Renamed::Dropped("fine-tuning has a fresh fc_norm in its place, as published")
            }
            Some(n) => Renamed::To(n.to_string()),
        },
        Kind::LabramMasked => match name.strip_prefix("student.") {
            Some(n) if starts(n, &["lm_head.", "projection_head."]) => {
                Renamed::Dropped("an unused copy inside the student")
            }
            None if !name.starts_with("lm_head.") => Renamed::Dropped("nothing reads it"),
            _ => Renamed::To(name.to_string()),
        },
        Kind::LabramTokeniser => match starts(
            name,
            &[
                "encoder.",
                "decoder.",
                "quantize.",
                "encode_task_layer.",
                "decode_task_layer",
            ],
        ) {
            true if starts(name, &["encoder.head.", "decoder.head."]) => {
                Renamed::Dropped("a head that nothing reads")
            }
            true => Renamed::To(name.to_string()),
            false => Renamed::Dropped("nothing reads it"),
        },
        Kind::MindMix => mindmix(name),
    }
}

fn starts(name: &str, prefixes: &[&str]) -> bool {
    prefixes.iter().any(|p| name.starts_with(p))
}

fn audio(name: &str) -> Renamed {
    let name = name
        .strip_prefix("wav2vec2.")
        .or_else(|| name.strip_prefix("hubert."))
        .unwrap_or(name);
    if !starts(
        name,
        &["feature_extractor.", "feature_projection.", "encoder."],
    ) && name != "masked_spec_embed"
    {
        return Renamed::Dropped("a head, or the quantiser of pre-training");
    }
    Renamed::To(
        name.replace("parametrizations.weight.original0", "weight_g")
            .replace("parametrizations.weight.original1", "weight_v"),
    )
}

fn mindmix(name: &str) -> Renamed {
    if let Some(n) = name.strip_prefix("audio_model.") {
        return match audio(n) {
            Renamed::To(n) => Renamed::To(format!("audio_model.{n}")),
            dropped => dropped,
        };
    }
    if let Some(n) = name.strip_prefix("eeg_model.model.") {
        return match n == "mask_token" || starts(n, &["head.", "norm.", "lm_head."]) {
            true => Renamed::Dropped("the encoder's own head or masked pre-training, not used"),
            false => Renamed::To(name.to_string()),
        };
    }
    match starts(name, &["eeg_proj.", "audio_proj.", "fusion_module."]) || name == "logit_scale" {
        true => Renamed::To(name.to_string()),
        false => Renamed::Dropped("a task's head"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn published_names_find_their_places() {
        let to = |kind, name: &str| match rename(kind, name) {
            Renamed::To(n) => n,
            Renamed::Dropped(why) => format!("- {why}"),
        };
        for (kind, name, want) in [
            (
                Kind::Wav2Vec2,
                "wav2vec2.encoder.layers.3.layer_norm.bias",
                "encoder.layers.3.layer_norm.bias",
            ),
            (
                Kind::Hubert,
                "hubert.encoder.pos_conv_embed.conv.parametrizations.weight.original1",
                "encoder.pos_conv_embed.conv.weight_v",
            ),
            (
                Kind::LabramEncoder,
                "student.blocks.0.gamma_1",
                "blocks.0.gamma_1",
            ),
            (
                Kind::LabramMasked,
                "student.norm.weight",
                "student.norm.weight",
            ),
            (Kind::LabramMasked, "lm_head.weight", "lm_head.weight"),
            (
                Kind::LabramTokeniser,
                "decode_task_layer_angle.2.bias",
                "decode_task_layer_angle.2.bias",
            ),
            (
                Kind::MindMix,
                "module.audio_model.encoder.pos_conv_embed.conv.weight_g",
                "audio_model.encoder.pos_conv_embed.conv.weight_g",
            ),
        ] {
            assert_eq!(to(kind, name), want);
        }
        for (kind, name) in [
            (Kind::Wav2Vec2, "quantizer.codevectors"),
            (Kind::Wav2Vec2, "lm_head.weight"),
            (Kind::LabramEncoder, "lm_head.weight"),
            (Kind::LabramEncoder, "student.norm.weight"),
            (Kind::LabramMasked, "student.lm_head.weight"),
            (Kind::LabramMasked, "logit_scale"),
            (Kind::MindMix, "classifier.0.weight"),
        ] {
            assert!(to(kind, name).starts_with('-'), "{name}");
        }
    }

    #[test]
    fn files_are_told_by_their_names() {
        for (names, kind) in [
            (
                vec!["lm_head.bias", "student.cls_token"],
                Some(Kind::LabramEncoder),
            ),
            (
                vec!["encoder.cls_token", "quantize.embedding.weight"],
                Some(Kind::LabramTokeniser),
            ),
            (
                vec!["module.audio_model.x", "module.eeg_model.model.cls_token"],
                Some(Kind::MindMix),
            ),
            (
                vec!["feature_extractor.conv_layers.0.conv.weight"],
                Some(Kind::Wav2Vec2),
            ),
            (vec!["hubert.encoder.layer_norm.bias"], Some(Kind::Hubert)),
            (vec!["fc.weight"], None),
        ] {
            assert_eq!(Kind::of(names.into_iter()), kind);
        }
        for kind in Kind::ALL {
            let json = serde_json::to_string(&kind).unwrap();
            assert_eq!(json.trim_matches('"'), kind.name());
        }
    }
}
