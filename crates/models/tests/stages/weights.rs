//! Weights of others: what `transformers` and `torch.save` wrote, through the conversion and back.

use std::collections::HashMap;
use std::path::{Path, PathBuf};

use candle_core::{DType, Device, Tensor};
use mmpipe_models::align::{AlignConfig, Aligner, FusionConfig, FusionKind};
use mmpipe_models::audio::{AudioConfig, Wav2Vec2, Wav2Vec2Config};
use mmpipe_models::encoder::{Encoder, EncoderConfig, Size};
use mmpipe_models::pretrain::{CodebookConfig, Masked, MaskedConfig, Tokeniser, TokeniserConfig};
use mmpipe_models::weights::{Kind, convert, read_tensors};
use mmpipe_models::{Error, Mode, Params};
use serde_json::Value;

use super::twin::{close, flat, largest};

fn fixture(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/fixtures")
        .join(name)
}

fn json(path: &Path) -> Value {
    serde_json::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// A file of weights beside the tiny model's `config.json`.
fn tiny(folder: &Path, weights: &str) -> (PathBuf, Vec<f64>) {
    let answer = json(&fixture("hf_wav2vec2.json"));
    std::fs::write(folder.join("config.json"), answer["config"].to_string()).unwrap();
    let to = folder.join(weights);
    std::fs::copy(fixture(weights), &to).unwrap();
    let frames = answer["frames"].as_array().unwrap();
    (to, frames.iter().map(|v| v.as_f64().unwrap()).collect())
}

#[test]
fn hugging_faces_files_give_hugging_faces_answers() {
    for (weights, dropped) in [("hf_wav2vec2.safetensors", 0), ("hf_wav2vec2.bin", 2)] {
        let folder = tempfile::tempdir().unwrap();
        let (input, frames) = tiny(folder.path(), weights);
        let out = folder.path().join("converted");
        let done = convert(&input, &out, None).unwrap();
        assert_eq!(
            (done.kind, done.dropped.len()),
            (Kind::Wav2Vec2, dropped),
            "{weights}"
        );
        let config: Wav2Vec2Config =
            serde_json::from_value(json(&out.join("config.json"))).unwrap();
        let mut params = Params::new(1, &Device::Cpu);
        let net = Wav2Vec2::new(&config, &mut params, "").unwrap();
        let bytes = std::fs::read(out.join("model.safetensors")).unwrap();
        params.from_safetensors(&bytes).unwrap();
        let x: Vec<f32> = (0..300).map(|i| (i as f32 * 0.37).sin()).collect();
        let x = Tensor::from_vec(x, (1, 300), &Device::Cpu).unwrap();
        let y = net.forward(&x, Mode::Eval).unwrap();
        close(weights, &flat(&y), &frames, largest(&frames), 1e-5);
        // The same input, the same bytes; and nothing half-written is left.
        convert(&input, &out, Some(Kind::Wav2Vec2)).unwrap();
        assert_eq!(bytes, std::fs::read(out.join("model.safetensors")).unwrap());
        assert_eq!(std::fs::read_dir(&out).unwrap().count(), 2);
        assert_eq!(json(&out.join("config.json"))["model_type"], "wav2vec2");
    }
}

/// Tensors of `params`, renamed, as a safetensors file.
fn publish(
    params: &Params,
    path: &Path,
    name: &dyn Fn(&str) -> Option<String>,
) -> HashMap<String, Tensor> {
    let tensors: HashMap<String, Tensor> = params
        .tensors()
        .unwrap()
        .into_iter()
        .filter_map(|(k, v)| Some((name(&k)?, v)))
        .collect();
    candle_core::safetensors::save(&tensors, path).unwrap();
    tensors
}

fn read(path: &Path) -> HashMap<String, Tensor> {
    read_tensors(path).unwrap()
}

fn same(a: &Tensor, b: &Tensor) {
    assert_eq!(a.dims(), b.dims());
    assert_eq!(flat(a), flat(b));
}

fn small(c: EncoderConfig) -> EncoderConfig {
    EncoderConfig {
        depth: 2,
        mlp: 30,
        ..c
    }
}

#[test]
fn labram_goes_to_the_encoder_or_goes_on() {
    let folder = tempfile::tempdir().unwrap();
    let config = MaskedConfig {
        encoder: small(EncoderConfig::labram(Size::Tiny)),
        codes: 7,
        ..MaskedConfig::new(Size::Tiny)
    };
    let net = Masked::new(&config, Params::new(3, &Device::Cpu)).unwrap();
    let input = folder.path().join("labram-base.safetensors");
    let mut given = publish(net.params(), &input, &|n| Some(n.to_string()));
    // What the published file has beside them.
    for extra in [
        "student.lm_head.weight",
        "projection_head.0.bias",
        "logit_scale",
    ] {
        given.insert(
            extra.to_string(),
            Tensor::zeros(2, DType::F32, &Device::Cpu).unwrap(),
        );
    }
    candle_core::safetensors::save(&given, &input).unwrap();

    let out = folder.path().join("encoder");
    let done = convert(&input, &out, None).unwrap();
    assert_eq!(done.kind, Kind::LabramEncoder);
    assert_eq!(done.fresh, ["fc_norm.weight", "fc_norm.bias"]);
    // Two of the head, two of the norm, the mask token, three that nothing reads.
    assert_eq!(done.dropped.len(), 8, "{:?}", done.dropped);
    let mut text = json(&out.join("config.json"));
    assert_eq!(text["model_type"], "labram-encoder");
    text.as_object_mut().unwrap().remove("model_type");
    let read_back: EncoderConfig = serde_json::from_value(text).unwrap();
    let want = EncoderConfig {
        drop_path: 0.1,
        ..config.encoder.clone()
    };
    assert_eq!(read_back, want);
    let mut params = Params::new(9, &Device::Cpu);
    Encoder::new(&read_back, &mut params, "eeg_model.model.").unwrap();
    let stored = read(&out.join("model.safetensors"));
    params.load_part("eeg_model.model.", &stored).unwrap();
    same(
        params
            .get("eeg_model.model.blocks.1.attn.qkv.weight")
            .unwrap()
            .var
            .as_tensor(),
        &given["student.blocks.1.attn.qkv.weight"],
    );
    let mut stray = stored.clone();
    stray.insert(
        "stray".into(),
        Tensor::zeros(1, DType::F32, &Device::Cpu).unwrap(),
    );
    assert!(matches!(
        params.load_part("eeg_model.model.", &stray),
        Err(Error::UnexpectedTensor { .. })
    ));
    stray.remove("stray");
    stray.remove("cls_token");
    assert!(matches!(
        params.load_part("eeg_model.model.", &stray),
        Err(Error::MissingTensor { .. })
    ));

    let out = folder.path().join("masked");
    let done = convert(&input, &out, Some(Kind::LabramMasked)).unwrap();
    assert_eq!((done.fresh.len(), done.dropped.len()), (0, 3));
    let net = Masked::new(&config, Params::new(4, &Device::Cpu)).unwrap();
    net.params()
        .load(&read(&out.join("model.safetensors")))
        .unwrap();
    same(
        net.params().get("lm_head.weight").unwrap().var.as_tensor(),
        &given["lm_head.weight"],
    );
}

#[test]
fn the_tokeniser_keeps_its_codes() {
    let folder = tempfile::tempdir().unwrap();
    let config = TokeniserConfig {
        encoder: small(EncoderConfig::tokeniser(Size::Tiny)),
        decoder_depth: 1,
        codebook: CodebookConfig {
            codes: 9,
            dim: 5,
            revive_after: None,
            ..CodebookConfig::default()
        },
        ..TokeniserConfig::new(Size::Tiny)
    };
    let net = Tokeniser::new(&config, Params::new(3, &Device::Cpu)).unwrap();
    let input = folder.path().join("vqnsp.safetensors");
    publish(net.params(), &input, &|n| Some(n.to_string()));
    let out = folder.path().join("out");
    let done = convert(&input, &out, None).unwrap();
    assert_eq!(
        (done.kind, done.dropped.len(), done.fresh.len()),
        (Kind::LabramTokeniser, 0, 0)
    );
    let again = Tokeniser::new(&config, Params::new(8, &Device::Cpu)).unwrap();
    again
        .params()
        .load(&read(&out.join("model.safetensors")))
        .unwrap();
    let x = super::twin::tensor("eeg", &[1, 2, 400], DType::F32);
    let names = ["Fz", "Cz"].map(str::to_string);
    assert_eq!(
        flat(&net.codes(&x, &names).unwrap()),
        flat(&again.codes(&x, &names).unwrap())
    );
}

fn mindmix() -> AlignConfig {
    AlignConfig {
        eeg: small(EncoderConfig::released(Size::Tiny)),
        audio: AudioConfig::Wav2Vec2(Wav2Vec2Config {
            hidden_size: 16,
            num_hidden_layers: 1,
            num_attention_heads: 2,
            intermediate_size: 8,
            conv_dim: vec![4; 7],
            num_conv_pos_embeddings: 4,
            num_conv_pos_embedding_groups: 2,
            ..Wav2Vec2Config::wav2vec2_base()
        }),
        fusion: FusionConfig {
            width: 32,
            hidden: 24,
            rank: 12,
            ..FusionConfig::new(FusionKind::CalraReleased)
        },
        ..AlignConfig::released(Size::Tiny)
    }
}

#[test]
fn mindmixs_checkpoint_becomes_its_network() {
    let folder = tempfile::tempdir().unwrap();
    let net = Aligner::new(&mindmix(), Params::new(3, &Device::Cpu)).unwrap();
    let input = folder.path().join("best.safetensors");
    // As released: wrapped, newer names of the weight norm, the temperature elsewhere.
    let given = publish(net.params(), &input, &|n| {
        let n = n
            .replace("conv.weight_g", "conv.parametrizations.weight.original0")
            .replace("conv.weight_v", "conv.parametrizations.weight.original1");
        (n != "logit_scale").then(|| format!("module.{n}"))
    });
    // What shapes do not tell comes from the sound encoder's own file.
    let AudioConfig::Wav2Vec2(audio) = mindmix().audio else {
        unreachable!()
    };
    let text = serde_json::to_string(&audio).unwrap();
    std::fs::write(folder.path().join("config.json"), text).unwrap();
    let out = folder.path().join("out");
    let done = convert(&input, &out, None).unwrap();
    assert_eq!((done.kind, done.taken), (Kind::MindMix, given.len()));
    assert_eq!(done.fresh, ["logit_scale"]);
    let mut text = json(&out.join("config.json"));
    text.as_object_mut().unwrap().remove("model_type");
    let config: AlignConfig = serde_json::from_value(text).unwrap();
    let again = Aligner::new(&config, Params::new(8, &Device::Cpu)).unwrap();
    again
        .params()
        .load(&read(&out.join("model.safetensors")))
        .unwrap();

    // The two networks are one: mixed montages, sound, both scorings.
    let names = |n: &[&str]| n.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    let (a, b) = (names(&["Fz", "Cz"]), names(&["Pz"]));
    let x = super::twin::tensor("eeg", &[2, 2, 400], DType::F32);
    let y = super::twin::tensor("other", &[1, 1, 400], DType::F32);
    let sound = super::twin::tensor("sound", &[6, 2000], DType::F32);
    let run = |net: &Aligner| {
        let e = net.embed_eeg(&[(&x, &a), (&y, &b)], Mode::Eval).unwrap();
        assert_eq!(e.dims(), [3, 32]);
        let s = net
            .embed_audio(&sound, Mode::Eval)
            .unwrap()
            .reshape((3, 2, 32))
            .unwrap();
        let types = [mmpipe_models::align::UNKNOWN_TYPE; 6];
        let honest = net.score(&e, &s, &types).unwrap();
        let paper = net.score_paper(&e, &s, &types, &[1, 0, 1]).unwrap();
        (flat(&honest), flat(&paper))
    };
    assert_eq!(run(&net), run(&again));
    assert!(again.embed_eeg(&[], Mode::Eval).is_err());
}

#[test]
fn weights_of_something_else_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let out = folder.path().join("out");
    let path = folder.path().join("other.safetensors");
    let one = Tensor::zeros((2, 2), DType::F32, &Device::Cpu).unwrap();
    let save = |names: &[&str]| {
        let t: HashMap<String, Tensor> =
            names.iter().map(|n| (n.to_string(), one.clone())).collect();
        candle_core::safetensors::save(&t, &path).unwrap();
    };
    save(&["fc.weight"]);
    let e = convert(&path, &out, None).unwrap_err();
    assert!(e.to_string().contains("labram-encoder"), "{e}");
    // Told what it is, it lacks what that needs; and half of a model is none.
    for kind in Kind::ALL {
        assert!(convert(&path, &out, Some(kind)).is_err(), "{kind:?}");
    }
    save(&[
        "student.cls_token",
        "student.patch_embed.conv1.weight",
        "student.blocks.0.mlp.fc1.weight",
    ]);
    assert!(matches!(
        convert(&path, &out, None),
        Err(Error::Checkpoint { .. })
    ));
    // The same name twice after renaming.
    save(&[
        "encoder.layer_norm.bias",
        "wav2vec2.encoder.layer_norm.bias",
    ]);
    let twice = convert(&path, &out, Some(Kind::Wav2Vec2));
    assert!(matches!(twice, Err(Error::DuplicateParameter { .. })));
    assert!(
        !out.exists(),
        "nothing is written for a file that is refused"
    );
    let missing = convert(&folder.path().join("none.pth"), &out, None);
    assert!(matches!(missing, Err(Error::Io { .. })));
    std::fs::write(&path, b"not safetensors").unwrap();
    assert!(convert(&path, &out, None).is_err());
}
