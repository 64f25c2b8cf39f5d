//! Fusion modules and contrast: parity with PyTorch, gradients, switches.

use candle_core::{DType, Device, Tensor};
use mmpipe_models::align::{
    Fusion, FusionConfig, FusionKind, Pairs, Sounds, Temperature, UNKNOWN_TYPE, info_nce, logits,
    score,
};
use mmpipe_models::rng::Stream;
use mmpipe_models::{Mode, Params};

use super::twin::{self, BOTH, flat, tensor};

pub(super) const KINDS: [FusionKind; 5] = [
    FusionKind::CalraPaper,
    FusionKind::CalraReleased,
    FusionKind::CoAttention,
    FusionKind::ConcatMlp,
    FusionKind::Clip,
];
pub(super) const TRAIN: Mode = Mode::Train { seed: 3, step: 4 };
/// One key: its weight is one whatever query and key are.
pub(super) const SINGLE: [(&str, &str); 4] = [
    (
        "cross_query.weight",
        "one key has weight one whatever the query",
    ),
    (
        "cross_query.bias",
        "one key has weight one whatever the query",
    ),
    (
        "cross_key.weight",
        "one key has weight one whatever the key",
    ),
    ("cross_key.bias", "one key has weight one whatever the key"),
];

pub(super) fn small(kind: FusionKind) -> FusionConfig {
    FusionConfig {
        width: 32,
        hidden: 24,
        rank: 12,
        dropout: 0.0,
        ..FusionConfig::new(kind)
    }
}

pub(super) fn noise(name: &str, shape: &[usize], dtype: DType) -> Tensor {
    let s = Stream::named(1, name);
    let n: usize = shape.iter().product();
    let v: Vec<f64> = (0..n as u64).map(|i| s.normal(i)).collect();
    Tensor::from_vec(v, shape, &Device::Cpu)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

#[test]
fn parameter_counts_are_the_stated_ones() {
    let count = |config: FusionConfig| {
        let mut params = Params::new(0, &Device::Cpu);
        Fusion::new(&config, &mut params, "fusion_module.").unwrap();
        params.count()
    };
    let paper = FusionConfig::new(FusionKind::CalraPaper);
    assert_eq!(
        count(FusionConfig::new(FusionKind::CalraReleased)),
        1_334_144
    );
    assert_eq!(count(paper.clone()), 1_598_336);
    assert_eq!(
        count(FusionConfig {
            type_aligner: false,
            ..paper
        }),
        1_203_584
    );
    assert_eq!(count(FusionConfig::new(FusionKind::Clip)), 0);
}

#[test]
fn fusion_equals_pytorch() {
    let typed = FusionConfig {
        type_aligner: true,
        ..small(FusionKind::CalraReleased)
    };
    let forms = [
        ("calra_paper", small(FusionKind::CalraPaper)),
        ("calra_released", small(FusionKind::CalraReleased)),
        ("calra_typed", typed),
        ("co_attention", small(FusionKind::CoAttention)),
        ("concat_mlp", small(FusionKind::ConcatMlp)),
    ];
    for (dtype, tolerance) in BOTH {
        for (file, config) in &forms {
            let mut params = Params::with_dtype(0, &Device::Cpu, dtype);
            let fusion = Fusion::new(config, &mut params, "").unwrap();
            twin::fill(&params, "");
            let (e, a) = fusion
                .forward(
                    &tensor("eeg", &[5, 32], dtype),
                    &tensor("audio", &[5, 32], dtype),
                    &[0, 2, 1, UNKNOWN_TYPE, 2],
                    TRAIN,
                )
                .unwrap();
            let cancel = [
                "cross_query.weight",
                "cross_query.bias",
                "cross_key.weight",
                "cross_key.bias",
                "co_key.bias",
            ];
            twin::compare(
                file,
                &params,
                "",
                &[("eeg", &e), ("audio", &a)],
                tolerance,
                &cancel,
            );
        }
    }
}

#[test]
fn contrast_equals_pytorch() {
    for (dtype, tolerance) in BOTH {
        for (file, symmetric) in [("info_nce_one_way", false), ("info_nce_both_way", true)] {
            let mut params = Params::with_dtype(0, &Device::Cpu, dtype);
            let p = &mut params;
            let fusion =
                Fusion::new(&small(FusionKind::CalraReleased), p, "fusion_module.").unwrap();
            let temperature = Temperature::new(p, "logit_scale", 0.07).unwrap();
            twin::fill(&params, "");
            let sounds = Sounds {
                audio: tensor("audio", &[4, 32], dtype),
                types: vec![UNKNOWN_TYPE; 4],
                ids: vec![7, 8, 7, 9],
                others: Some((
                    tensor("others", &[4, 2, 32], dtype),
                    vec![UNKNOWN_TYPE; 8],
                    vec![1, 2, 3, 8, 5, 6, 10, 11],
                )),
            };
            let eeg = tensor("eeg", &[4, 32], dtype);
            let scores =
                logits(&fusion, &eeg, &sounds, Pairs::Crossed, &temperature, TRAIN).unwrap();
            let loss = info_nce(&scores, symmetric).unwrap();
            twin::compare(file, &params, "", &[("loss", &loss)], tolerance, &[]);
        }
    }
}

#[test]
fn every_variable_learns_and_every_switch_removes_its_own() {
    let off = |f: &dyn Fn(&mut FusionConfig), kind| {
        let mut c = small(kind);
        f(&mut c);
        c
    };
    let mut configs: Vec<FusionConfig> = KINDS.iter().map(|k| small(*k)).collect();
    for kind in [FusionKind::CalraPaper, FusionKind::CalraReleased] {
        configs.push(off(&|c| c.type_aligner = !c.type_aligner, kind));
        configs.push(off(&|c| c.attention = false, kind));
        configs.push(off(&|c| c.feed_forward = false, kind));
        configs.push(off(&|c| c.low_rank = false, kind));
    }
    for dtype in [DType::F64, DType::F32] {
        for config in &configs {
            for pairs in [Pairs::Crossed, Pairs::Diagonal] {
                let config = FusionConfig {
                    dropout: 0.1,
                    ..config.clone()
                };
                let mut params = Params::with_dtype(0, &Device::Cpu, dtype);
                let fusion = Fusion::new(&config, &mut params, "fusion_module.").unwrap();
                let temperature = Temperature::new(&mut params, "logit_scale", 0.07).unwrap();
                let sounds = Sounds {
                    audio: noise("audio", &[4, 32], dtype),
                    types: vec![0, 1, 2, 1],
                    ids: vec![1, 2, 3, 4],
                    others: Some((
                        noise("others", &[4, 1, 32], dtype),
                        vec![0, 0, 1, 2],
                        vec![5, 6, 7, 8],
                    )),
                };
                let scores = logits(
                    &fusion,
                    &noise("eeg", &[4, 32], dtype),
                    &sounds,
                    pairs,
                    &temperature,
                    TRAIN,
                )
                .unwrap();
                let grads = info_nce(&scores, true).unwrap().backward().unwrap();
                let mut zero = Vec::new();
                if config.kind == FusionKind::CalraPaper && config.attention {
                    zero.extend(SINGLE);
                }
                if config.kind == FusionKind::CoAttention {
                    zero.push((
                        "co_key.bias",
                        "softmax takes away what is the same for all keys",
                    ));
                }
                twin::coverage(&format!("{config:?}"), &params, &grads, &zero);
            }
        }
    }
    let has = |c: &FusionConfig, part: &str| {
        let mut params = Params::new(0, &Device::Cpu);
        Fusion::new(c, &mut params, "").unwrap();
        params.iter().any(|p| p.name.contains(part))
    };
    for kind in [FusionKind::CalraPaper, FusionKind::CalraReleased] {
        for (part, c) in [
            ("_query", off(&|c| c.attention = false, kind)),
            ("_ffn", off(&|c| c.feed_forward = false, kind)),
            ("W_U", off(&|c| c.low_rank = false, kind)),
            ("aligner", off(&|c| c.type_aligner = false, kind)),
        ] {
            assert!(!has(&c, part), "{kind:?}: {part}");
        }
    }
}

#[test]
fn type_aligners_start_at_identity() {
    let config = small(FusionKind::CalraPaper);
    let mut params = Params::new(5, &Device::Cpu);
    let fusion = Fusion::new(&config, &mut params, "").unwrap();
    let (e, a) = (
        noise("e", &[2, 32], DType::F32),
        noise("a", &[2, 32], DType::F32),
    );
    let typed = fusion.forward(&e, &a, &[0, 2], Mode::Eval).unwrap();
    let plain = fusion
        .forward(&e, &a, &[UNKNOWN_TYPE; 2], Mode::Eval)
        .unwrap();
    twin::close("eeg", &flat(&typed.0), &flat(&plain.0), 1.0, 1e-6);
    twin::close("audio", &flat(&typed.1), &flat(&plain.1), 1.0, 1e-6);
}

#[test]
fn misfits_are_typed_errors() {
    let mut params = Params::new(0, &Device::Cpu);
    let fusion = Fusion::new(&small(FusionKind::CalraPaper), &mut params, "").unwrap();
    let (e, a) = (
        noise("e", &[2, 32], DType::F32),
        noise("a", &[3, 32], DType::F32),
    );
    let is_shape =
        |r: mmpipe_models::Result<_>| matches!(r, Err(mmpipe_models::Error::Shape { .. }));
    assert!(is_shape(
        fusion.forward(&e, &a, &[0, 0], Mode::Eval).map(drop)
    ));
    assert!(is_shape(fusion.forward(&e, &e, &[0], Mode::Eval).map(drop)));
    let c = noise("c", &[2, 2, 32], DType::F32);
    assert!(is_shape(
        score::paper(&fusion, &e, &c, &[0; 4], &[0, 2], 1.0).map(drop)
    ));
    for bad in [
        FusionConfig {
            heads: 3,
            ..small(FusionKind::CalraPaper)
        },
        FusionConfig {
            rank: 0,
            ..small(FusionKind::CalraReleased)
        },
        FusionConfig {
            dropout: 1.0,
            ..small(FusionKind::Clip)
        },
        FusionConfig {
            width: 36,
            ..small(FusionKind::CoAttention)
        },
    ] {
        let built = Fusion::new(&bad, &mut Params::new(0, &Device::Cpu), "");
        assert!(
            matches!(built, Err(mmpipe_models::Error::Config { .. })),
            "{bad:?}"
        );
    }
}

/// A whole step of stage 2 on a batch of mixed montages: every variable of both encoders, the
/// projections, the module and the temperature learns.
#[test]
fn the_whole_network_learns() {
    use mmpipe_models::align::{AlignConfig, Aligner};
    use mmpipe_models::audio::{AudioConfig, Wav2Vec2Config};
    use mmpipe_models::encoder::{EncoderConfig, Size};

    let audio = Wav2Vec2Config {
        hidden_size: 24,
        num_hidden_layers: 1,
        num_attention_heads: 4,
        intermediate_size: 20,
        conv_dim: vec![8, 12],
        conv_kernel: vec![10, 3],
        conv_stride: vec![5, 2],
        num_conv_pos_embeddings: 8,
        num_conv_pos_embedding_groups: 4,
        ..Wav2Vec2Config::wav2vec2_base()
    };
    let keys = "softmax takes away what is the same for all keys";
    for (config, mut zero) in [
        (AlignConfig::new(Size::Base), SINGLE.to_vec()),
        (AlignConfig::released(Size::Base), Vec::new()),
    ] {
        zero.extend([
            ("k_norm.bias", keys),
            ("k_proj.bias", keys),
            ("masked_spec_embed", "no span is hidden"),
        ]);
        let config = AlignConfig {
            eeg: EncoderConfig {
                depth: 1,
                mlp: 40,
                drop_path: 0.0,
                ..config.eeg.clone()
            },
            audio: AudioConfig::Wav2Vec2(audio.clone().deterministic()),
            fusion: FusionConfig {
                dropout: 0.0,
                ..small(config.fusion.kind)
            },
            ..config
        };
        for dtype in [DType::F64, DType::F32] {
            let net = Aligner::new(&config, Params::with_dtype(2, &Device::Cpu, dtype)).unwrap();
            let names = ["Fz", "Cz", "O1"].map(str::to_string);
            let (x, y) = (
                noise("x", &[2, 3, 400], dtype),
                noise("y", &[2, 1, 400], dtype),
            );
            let e = net
                .embed_eeg(&[(&x, &names), (&y, &names[1..2])], TRAIN)
                .unwrap();
            let sounds = Sounds {
                audio: net
                    .embed_audio(&noise("s", &[4, 400], dtype), TRAIN)
                    .unwrap(),
                types: vec![0, 1, 2, 0],
                ids: vec![1, 2, 3, 4],
                others: None,
            };
            let loss = net.loss(&e, &sounds, TRAIN).unwrap();
            twin::coverage("stage 2", net.params(), &loss.backward().unwrap(), &zero);
            net.constrain().unwrap();
        }
    }
}
