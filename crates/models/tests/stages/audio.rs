//! Sound encoders: parity with Hugging Face's transformers and PyTorch, what changes nothing, what
//! training adds, gradients.

use candle_core::{DType, Device, Tensor};
use mmpipe_models::audio::{
    AudioConfig, AudioEncoder, MelConfig, MelEncoder, Wav2Vec2, Wav2Vec2Config, log_mel, normalise,
};
use mmpipe_models::{Error, Mode, Params};

use super::twin::{self, BOTH, close, flat, largest, tensor};

const TRAIN: Mode = Mode::Train { seed: 3, step: 4 };
const KEYS: &str = "it adds the same to a query's products with all keys, which softmax takes away";
const UNUSED: &str = "no span is hidden";

fn tiny() -> Wav2Vec2Config {
    Wav2Vec2Config {
        hidden_size: 24,
        num_hidden_layers: 2,
        num_attention_heads: 4,
        intermediate_size: 20,
        conv_dim: vec![8, 8, 12],
        conv_kernel: vec![10, 3, 2],
        conv_stride: vec![5, 2, 2],
        num_conv_pos_embeddings: 8,
        num_conv_pos_embedding_groups: 4,
        ..Wav2Vec2Config::wav2vec2_base()
    }
}

fn sound(samples: usize, dtype: DType) -> Tensor {
    (tensor("sound", &[2, samples], DType::F64) * 0.5)
        .unwrap()
        .to_dtype(DType::F32)
        .unwrap()
        .to_dtype(dtype)
        .unwrap()
}

#[test]
fn base_has_the_published_number_of_parameters() {
    for config in [
        Wav2Vec2Config::wav2vec2_base(),
        Wav2Vec2Config::hubert_base(),
    ] {
        // One layer instead of twelve: the others are alike.
        let (one, two) = [1, 2]
            .map(|n| {
                let c = Wav2Vec2Config {
                    num_hidden_layers: n,
                    ..config.clone()
                };
                let mut params = Params::new(0, &Device::Cpu);
                Wav2Vec2::new(&c, &mut params, "audio_model.").unwrap();
                params.count()
            })
            .into();
        assert_eq!(one + 11 * (two - one), 94_371_712);
    }
}

#[test]
fn wav2vec2_and_hubert_equal_transformers() {
    for (dtype, tolerance) in BOTH {
        for file in ["wav2vec2", "hubert"] {
            let mut params = Params::with_dtype(0, &Device::Cpu, dtype);
            let net = Wav2Vec2::new(&tiny().deterministic(), &mut params, "").unwrap();
            twin::fill(&params, "");
            let y = net.forward(&sound(403, dtype), TRAIN).unwrap();
            twin::compare(
                file,
                &params,
                "",
                &[("frames", &y)],
                tolerance,
                &["k_proj.bias"],
            );
        }
    }
}

#[test]
fn mel_equals_pytorch() {
    let config = MelConfig {
        bands: 12,
        width: 16,
        layers: 1,
        heads: 4,
        dropout: 0.0,
    };
    let stored = twin::stored("mel");
    for (dtype, tolerance) in BOTH {
        let mut params = Params::with_dtype(0, &Device::Cpu, dtype);
        let net = MelEncoder::new(&config, &mut params, "").unwrap();
        twin::fill(&params, "");
        let x = sound(1203, dtype);
        let mel = log_mel(&x, 12).unwrap();
        assert_eq!(mel.dims(), [2, 12, 6]);
        close(
            "mel",
            &flat(&mel),
            &stored["mel"],
            largest(&stored["mel"]),
            tolerance,
        );
        let y = net.forward(&x, TRAIN).unwrap();
        twin::compare(
            "mel",
            &params,
            "",
            &[("frames", &y)],
            tolerance,
            &["k_proj.bias"],
        );
    }
}

#[test]
fn every_variable_learns() {
    for dtype in [DType::F64, DType::F32] {
        let x = sound(403, dtype);
        for (what, config, zero) in [
            (
                "plain",
                tiny().deterministic(),
                vec![("k_proj.bias", KEYS), ("masked_spec_embed", UNUSED)],
            ),
            (
                "training",
                Wav2Vec2Config {
                    mask_time_length: 3,
                    ..tiny()
                },
                vec![("k_proj.bias", KEYS)],
            ),
        ] {
            let mut params = Params::with_dtype(0, &Device::Cpu, dtype);
            let net = Wav2Vec2::new(&config, &mut params, "").unwrap();
            let y = net.forward(&x, TRAIN).unwrap();
            twin::coverage(what, &params, &twin::backward(&[("y", &y)]), &zero);
        }
        let mut params = Params::with_dtype(0, &Device::Cpu, dtype);
        let config = MelConfig {
            bands: 12,
            width: 16,
            ..MelConfig::default()
        };
        let net = MelEncoder::new(&config, &mut params, "audio_model.").unwrap();
        let y = net.forward(&sound(1203, dtype), TRAIN).unwrap();
        twin::coverage(
            "mel",
            &params,
            &twin::backward(&[("y", &y)]),
            &[("k_proj.bias", KEYS)],
        );
    }
}

/// Gain and offset of the waveform leave the features as they are: group norm over time takes them
/// away, so the processor's normalisation, which MindMix skips, matters little.
#[test]
fn loudness_and_offset_hardly_matter() {
    let mut params = Params::new(1, &Device::Cpu);
    let net = Wav2Vec2::new(&tiny(), &mut params, "").unwrap();
    let x = sound(2003, DType::F32);
    let plain = net.forward(&x, Mode::Eval).unwrap();
    let scale = largest(&flat(&plain));
    for other in [
        (&x * 0.5).unwrap(),
        (&x + 0.2).unwrap(),
        normalise(&x).unwrap(),
    ] {
        let y = net.forward(&other, Mode::Eval).unwrap();
        close("features", &flat(&y), &flat(&plain), scale, 1e-3);
    }
    let standard = normalise(&((&x * 3.0).unwrap() + 1.0).unwrap()).unwrap();
    let v = flat(&standard);
    let mean = v.iter().sum::<f64>() / v.len() as f64;
    let var = v.iter().map(|v| v * v).sum::<f64>() / v.len() as f64;
    assert!(
        mean.abs() < 1e-5 && (var - 1.0).abs() < 1e-4,
        "{mean} {var}"
    );
}

#[test]
fn training_is_random_by_step_and_evaluation_is_not() {
    let config = Wav2Vec2Config {
        mask_time_length: 3,
        layerdrop: 0.5,
        ..tiny()
    };
    let mut params = Params::new(1, &Device::Cpu);
    let net = Wav2Vec2::new(&config, &mut params, "audio_model.").unwrap();
    let x = sound(403, DType::F32);
    let run = |mode| flat(&net.forward(&x, mode).unwrap());
    let step = |step| run(Mode::Train { seed: 1, step });
    assert_eq!(step(1), step(1));
    assert_ne!(step(1), step(2));
    assert_ne!(step(1), run(Mode::Eval));
    assert_eq!(run(Mode::Eval), run(Mode::Eval));
}

/// Sizes at which matrix products are shared by threads, with all that training adds.
#[test]
fn results_do_not_depend_on_the_number_of_threads() {
    let config = Wav2Vec2Config {
        hidden_size: 192,
        intermediate_size: 400,
        conv_dim: vec![64, 64, 48],
        mask_time_length: 3,
        ..tiny()
    };
    let run = |threads: usize| {
        let mut params = Params::new(1, &Device::Cpu);
        let net = Wav2Vec2::new(&config, &mut params, "").unwrap();
        let x = tensor("sound", &[19, 4003], DType::F32);
        let pool = rayon::ThreadPoolBuilder::new()
            .num_threads(threads)
            .build()
            .unwrap();
        pool.install(|| {
            let y = net.forward(&x, TRAIN).unwrap();
            let grads = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let all = params.trainable().map(|p| flat(grads.get(&p.var).unwrap()));
            (flat(&y), all.collect::<Vec<_>>())
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn one_door_to_all_and_frozen_ones_do_not_learn() {
    let wave = sound(1203, DType::F32);
    let vectors = tensor("vectors", &[2, 9], DType::F32);
    let mel = MelConfig {
        bands: 12,
        width: 16,
        ..MelConfig::default()
    };
    for (config, x, width) in [
        (AudioConfig::Wav2Vec2(tiny()), &wave, 24),
        (AudioConfig::Mel(mel), &wave, 16),
        (AudioConfig::Embeddings { width: 9 }, &vectors, 9),
    ] {
        for frozen in [false, true] {
            let mut params = Params::new(1, &Device::Cpu);
            let net = AudioEncoder::new(&config, frozen, &mut params, "audio_model.").unwrap();
            assert_eq!(net.width(), width);
            let y = net.forward(x, TRAIN).unwrap();
            assert_eq!(y.dims(), [2, width]);
            let learns = params.count() > 0 && !frozen;
            assert_eq!(y.track_op(), learns);
            if frozen {
                assert_eq!(flat(&y), flat(&net.forward(x, Mode::Eval).unwrap()));
            }
        }
    }
}

/// In evaluation clips go through a few at a time: the same vectors as one by one, and no gradient.
#[test]
fn many_clips_are_heard_in_turn() {
    let mut params = Params::new(1, &Device::Cpu);
    let config = AudioConfig::Wav2Vec2(Wav2Vec2Config::tiny());
    let net = AudioEncoder::new(&config, false, &mut params, "audio_model.").unwrap();
    let x = tensor("sounds", &[19, 4000], DType::F32);
    let all = net.forward(&x, Mode::Eval).unwrap();
    assert_eq!(all.dims(), [19, 32]);
    assert!(!all.track_op());
    for i in [0, 7, 8, 18] {
        let one = net
            .forward(&x.narrow(0, i, 1).unwrap(), Mode::Eval)
            .unwrap();
        let row = flat(&all.narrow(0, i, 1).unwrap());
        close("clip", &row, &flat(&one), largest(&row), 1e-6);
    }
    let none = x.narrow(0, 0, 0).unwrap();
    assert!(matches!(
        net.forward(&none, Mode::Eval),
        Err(Error::Shape { .. })
    ));
    assert_eq!(Wav2Vec2Config::tiny().frames(32_000), Some(49));
}

#[test]
fn what_does_not_fit_is_refused() {
    let new = |c: &Wav2Vec2Config| Wav2Vec2::new(c, &mut Params::new(0, &Device::Cpu), "");
    for bad in [
        Wav2Vec2Config {
            do_stable_layer_norm: true,
            ..tiny()
        },
        Wav2Vec2Config {
            feat_extract_norm: "layer".to_string(),
            ..tiny()
        },
        Wav2Vec2Config {
            conv_bias: true,
            ..tiny()
        },
        Wav2Vec2Config {
            num_attention_heads: 5,
            ..tiny()
        },
        Wav2Vec2Config {
            conv_kernel: vec![10, 3],
            ..tiny()
        },
        Wav2Vec2Config {
            conv_stride: vec![5, 0, 2],
            ..tiny()
        },
        Wav2Vec2Config {
            hidden_dropout: f32::NAN,
            ..tiny()
        },
    ] {
        assert!(matches!(new(&bad), Err(Error::Config { .. })), "{bad:?}");
    }
    let net = new(&tiny()).unwrap();
    let short = Tensor::zeros((1, 9), DType::F32, &Device::Cpu).unwrap();
    assert!(matches!(
        net.forward(&short, Mode::Eval),
        Err(Error::Shape { .. })
    ));
    assert!(matches!(log_mel(&short, 80), Err(Error::Shape { .. })));
    let params = &mut Params::new(0, &Device::Cpu);
    let bad = MelConfig {
        bands: 0,
        ..MelConfig::default()
    };
    assert!(MelEncoder::new(&bad, params, "").is_err());
    // A silent clip is silent, not undefined.
    let silent = Tensor::zeros((1, 800), DType::F32, &Device::Cpu).unwrap();
    assert!(largest(&flat(&log_mel(&silent, 8).unwrap())) < 1e-6);
}
