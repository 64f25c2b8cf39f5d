//! Configurations from the shapes of weights.

use std::collections::HashMap;

use candle_core::Tensor;

use crate::align::{AlignConfig, FusionConfig, FusionKind};
use crate::audio::{AudioConfig, Wav2Vec2Config};
use crate::encoder::{EncoderConfig, Size};
use crate::error::{Error, Result};
use crate::pretrain::{CodebookConfig, MaskedConfig, TokeniserConfig};

type Tensors = HashMap<String, Tensor>;

/// Sizes of a tensor of `rank` dimensions.
fn dims<const N: usize>(t: &Tensors, name: &str) -> Result<[usize; N]> {
    let found = t.get(name).ok_or_else(|| Error::Checkpoint {
        place: format!("tensor {name}"),
        reason: "not there; give the file of the model that was named, or another name".to_string(),
    })?;
    <[usize; N]>::try_from(found.dims()).map_err(|_| Error::Checkpoint {
        place: format!("tensor {name}"),
        reason: format!("shape {:?}, expected {N} dimensions", found.dims()),
    })
}

/// Numbered parts `{prefix}0.`, `{prefix}1.`, … that are there.
fn count(t: &Tensors, prefix: &str, part: &str) -> usize {
    (0..)
        .take_while(|i| t.contains_key(&format!("{prefix}{i}.{part}")))
        .count()
}

/// An EEG encoder behind `prefix`.
pub(super) fn encoder(t: &Tensors, prefix: &str) -> Result<EncoderConfig> {
    let at = |n: &str| format!("{prefix}{n}");
    let [conv_channels, ..] = dims::<4>(t, &at("patch_embed.conv1.weight"))?;
    let [.., width] = dims::<3>(t, &at("cls_token"))?;
    let [mlp, _] = dims::<2>(t, &at("blocks.0.mlp.fc1.weight"))?;
    let q_norm = at("blocks.0.attn.q_norm.weight");
    let qk_norm = t.contains_key(&q_norm);
    let heads = match qk_norm {
        true => width / dims::<1>(t, &q_norm)?[0].max(1),
        // Without the norms no shape tells the heads: the published sizes do.
        false => [Size::Tiny, Size::Base, Size::Large, Size::Huge]
            .map(EncoderConfig::new)
            .iter()
            .find(|c| c.width() == width)
            .map(|c| c.heads)
            .ok_or_else(|| {
                Error::config("width", width, "a published size, 100, 200, 400 or 800")
            })?,
    };
    let base = EncoderConfig::new(Size::Base);
    Ok(EncoderConfig {
        depth: count(t, &at("blocks."), "norm1.weight"),
        heads,
        conv_channels,
        mlp,
        spatial_embedding: t.contains_key(&at("pos_embed")),
        qkv_bias: t.contains_key(&at("blocks.0.attn.q_bias")),
        qk_norm,
        layer_scale: t
            .contains_key(&at("blocks.0.gamma_1"))
            .then_some(base.layer_scale)
            .flatten(),
        ..base
    })
}

/// The masked model.
pub(super) fn masked(t: &Tensors) -> Result<MaskedConfig> {
    let [codes, _] = dims::<2>(t, "lm_head.weight")?;
    Ok(MaskedConfig {
        encoder: EncoderConfig {
            drop_path: 0.0,
            ..encoder(t, "student.")?
        },
        codes,
        ..MaskedConfig::new(Size::Base)
    })
}

/// The tokeniser.
pub(super) fn tokeniser(t: &Tensors) -> Result<TokeniserConfig> {
    let [codes, dim] = dims::<2>(t, "quantize.embedding.weight")?;
    Ok(TokeniserConfig {
        encoder: EncoderConfig {
            drop_path: 0.0,
            ..encoder(t, "encoder.")?
        },
        decoder_depth: count(t, "decoder.blocks.", "norm1.weight"),
        codebook: CodebookConfig {
            codes,
            dim,
            revive_after: None,
            ..CodebookConfig::default()
        },
        ..TokeniserConfig::new(Size::Base)
    })
}

/// A sound encoder behind `prefix`; what shapes do not tell (strides, heads, rates) comes from `known`.
pub(super) fn wav2vec2(t: &Tensors, prefix: &str, known: Wav2Vec2Config) -> Result<Wav2Vec2Config> {
    let at = |n: &str| format!("{prefix}{n}");
    let layers = count(t, &at("feature_extractor.conv_layers."), "conv.weight");
    let (mut conv_dim, mut conv_kernel) = (Vec::new(), Vec::new());
    for i in 0..layers {
        let name = at(&format!("feature_extractor.conv_layers.{i}.conv.weight"));
        let [n, _, k] = dims::<3>(t, &name)?;
        conv_dim.push(n);
        conv_kernel.push(k);
    }
    if known.conv_stride.len() != layers {
        return Err(Error::config(
            "conv_stride",
            &known.conv_stride,
            format!("{layers} strides; put the model's config.json beside the weights"),
        ));
    }
    let [hidden, per_group, taps] = dims::<3>(t, &at("encoder.pos_conv_embed.conv.weight_v"))?;
    let num_hidden_layers = count(t, &at("encoder.layers."), "layer_norm.weight");
    let intermediate_size = match num_hidden_layers {
        0 => known.intermediate_size,
        _ => dims::<2>(
            t,
            &at("encoder.layers.0.feed_forward.intermediate_dense.weight"),
        )?[0],
    };
    Ok(Wav2Vec2Config {
        hidden_size: hidden,
        num_hidden_layers,
        intermediate_size,
        conv_dim,
        conv_kernel,
        num_conv_pos_embeddings: taps,
        num_conv_pos_embedding_groups: hidden / per_group.max(1),
        ..known
    })
}

/// MindMix's checkpoint.
pub(super) fn mindmix(t: &Tensors, known: Wav2Vec2Config) -> Result<AlignConfig> {
    let [width, _] = dims::<2>(t, "eeg_proj.0.weight")?;
    let [rank, _] = dims::<2>(t, "fusion_module.W_U_audio.weight")?;
    let [hidden, _] = dims::<2>(t, "fusion_module.eeg_ffn.0.weight")?;
    let types = count(t, "fusion_module.W_U_eeg.", "weight");
    let fusion = FusionConfig {
        width,
        rank,
        hidden,
        type_aligner: types > 0,
        types: types.max(1),
        ..FusionConfig::new(FusionKind::CalraReleased)
    };
    Ok(AlignConfig {
        eeg: encoder(t, "eeg_model.model.")?,
        audio: AudioConfig::Wav2Vec2(wav2vec2(t, "audio_model.", known)?),
        fusion,
        ..AlignConfig::released(Size::Base)
    })
}
