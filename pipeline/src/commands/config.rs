//! `mmpipe config show`: the resolved configuration, and where each value came from.
//!
//! Also the one place where the layers are put together for training ([`resolve`]).

use anyhow::{Context as _, Result, anyhow};
use mmpipe_train::{AlignConfig, ModelKind, PretrainConfig, TrainConfig};
use serde::de::{IntoDeserializer, value::Error as ValueError};
use serde_json::json;
use toml::Table;

use super::Status;
use crate::cli::{ConfigAction, ConfigArgs};
use crate::config::{Layers, Origin};
use crate::context::Context;
use crate::render::{self, Table as TextTable};

/// Settings that a model may leave to itself: absent in the defaults, settable all the same.
const OPTIONAL_NUMBERS: [(&str, f64); 5] = [
    ("align.dropout", 0.1),
    ("align.drop_path", 0.1),
    ("train.dropout", 0.5),
    ("train.drop_path", 0.1),
    ("pretrain.drop_path", 0.1),
];

/// The same, words.
const OPTIONAL_TEXTS: [&str; 5] = [
    "align.init",
    "align.audio_init",
    "train.init",
    "train.audio_init",
    "pretrain.spectral_loss",
];

pub(crate) fn run(ctx: &Context, args: &ConfigArgs) -> Result<Status> {
    let ConfigAction::Show { origin, model, set } = &args.action;
    let (layers, _) = resolve(ctx, model_kind(model)?, set, &[])?;
    if ctx.global.json {
        let rows: Vec<_> = layers
            .iter()
            .map(|(key, value, from)| json!({ "key": key, "value": value, "origin": from.to_string() }))
            .collect();
        render::json(&rows)?;
        return Ok(Status::Done);
    }
    let mut table = if *origin {
        TextTable::new(["key", "value", "origin"])
    } else {
        TextTable::new(["key", "value"])
    };
    for (key, value, from) in layers.iter() {
        table.row([key.to_owned(), value.to_string(), from.to_string()]);
    }
    render::text(&table.to_string())?;
    Ok(Status::Done)
}

/// The model of this name.
pub(crate) fn model_kind(name: &str) -> Result<ModelKind> {
    let parse = |name: &str| {
        <ModelKind as serde::Deserialize>::deserialize::<
            serde::de::value::StrDeserializer<'_, ValueError>,
        >(name.into_deserializer())
    };
    parse(name).map_err(|_| {
        anyhow!("expected eegnet, mindmix, mindmix-av, mindmix-real, mindmix-prototype, aadnet, bandpower-lr or ridge, found the model `{name}`")
    })
}

/// Defaults of `model` < file < environment < `--set` < other flags, of all sections.
fn layers(
    ctx: &Context,
    model: ModelKind,
    set: &[String],
    flags: &[(&str, toml::Value)],
) -> Result<Layers> {
    let defaults = |value: std::result::Result<Table, toml::ser::Error>| {
        value.context("the default configuration")
    };
    let train = defaults(Table::try_from(TrainConfig::for_model(model)))?;
    let pretrain = defaults(Table::try_from(PretrainConfig::default()))?;
    let align = defaults(Table::try_from(AlignConfig::default()))?;
    let mut layers = Layers::defaults("train", &train)
        .and("pretrain", &pretrain)
        .and("align", &align);
    for (key, example) in OPTIONAL_NUMBERS {
        layers.allow(key, toml::Value::Float(example));
    }
    for key in OPTIONAL_TEXTS {
        layers.allow(key, toml::Value::String(String::new()));
    }
    ctx.configure(&mut layers)?;
    for pair in set {
        layers.flag(pair)?;
    }
    for (key, value) in flags {
        let name = key.rsplit('.').next().unwrap_or(key);
        layers.set(key, value.clone(), Origin::Flag(format!("--{name}")))?;
    }
    Ok(layers)
}

/// The layers, and the configuration of training that they make.
pub(crate) fn resolve(
    ctx: &Context,
    model: ModelKind,
    set: &[String],
    flags: &[(&str, toml::Value)],
) -> Result<(Layers, TrainConfig)> {
    let layers = layers(ctx, model, set, flags)?;
    let config: TrainConfig = layers
        .section("train")
        .try_into()
        .context("the training configuration does not hold together")?;
    config.check()?;
    Ok((layers, config))
}

/// As [`resolve`], of pre-training.
pub(crate) fn resolve_pretrain(
    ctx: &Context,
    set: &[String],
    flags: &[(&str, toml::Value)],
) -> Result<PretrainConfig> {
    let layers = layers(ctx, ModelKind::Mindmix, set, flags)?;
    let config: PretrainConfig = layers
        .section("pretrain")
        .try_into()
        .context("the configuration of pre-training does not hold together")?;
    config.check()?;
    Ok(config)
}

/// As [`resolve`], of alignment.
pub(crate) fn resolve_align(
    ctx: &Context,
    set: &[String],
    flags: &[(&str, toml::Value)],
) -> Result<AlignConfig> {
    let layers = layers(ctx, ModelKind::MindmixAv, set, flags)?;
    let config: AlignConfig = layers
        .section("align")
        .try_into()
        .context("the configuration of alignment does not hold together")?;
    config.check()?;
    Ok(config)
}
