//! Stage 3 with sound as the trainer sees it: what reaches a candidate's score, and what learns.

use std::collections::HashMap;
use std::sync::Arc;

use candle_core::{DType, Device, Tensor};
use mmpipe_models::align::{
    AlignConfig, Aligner, FusionConfig, FusionKind, Matcher, PrototypeClassifier,
};
use mmpipe_models::audio::{AudioConfig, MelConfig, mel_frames};
use mmpipe_models::encoder::{EncoderConfig, Size};
use mmpipe_models::pretrain::cross_entropy;
use mmpipe_models::{Batch, Error, Mode, Model, Params};

use super::align::{KINDS, SINGLE, TRAIN, noise, small};
use super::twin;

pub(super) const BANDS: usize = 6;
pub(super) const FRAMES: usize = 20;
pub(super) const KEYS: &str = "softmax takes away what is the same for all keys";

pub(super) fn config(kind: FusionKind, dropout: f32) -> AlignConfig {
    AlignConfig {
        eeg: EncoderConfig {
            depth: 1,
            mlp: 30,
            // Two channels a group: with one, group norm would take the biases away.
            conv_channels: 8,
            drop_path: 0.0,
            ..EncoderConfig::new(Size::Tiny)
        },
        audio: AudioConfig::Mel(MelConfig {
            bands: BANDS,
            width: 16,
            layers: 1,
            heads: 2,
            dropout,
        }),
        fusion: FusionConfig {
            dropout,
            type_aligner: false,
            ..small(kind)
        },
        ..AlignConfig::new(Size::Tiny)
    }
}

fn names() -> Arc<[String]> {
    ["Fz", "Cz"].map(String::from).to_vec().into()
}

pub(super) fn batch(sounds: &Tensor) -> Batch {
    let b = sounds.dim(0).unwrap();
    Batch::with_sounds(
        noise("eeg", &[b, 2, 400], sounds.dtype()),
        names(),
        sounds.clone(),
    )
}

fn rows(net: &dyn Model, sounds: &Tensor, mode: Mode) -> Vec<Vec<f32>> {
    net.forward(&batch(sounds), mode)
        .unwrap()
        .to_vec2()
        .unwrap()
}

#[test]
fn no_candidate_reaches_the_score_of_another_in_training_neither() {
    let (b, k) = (3, 3);
    let shape = [b, k, BANDS, FRAMES];
    let one = BANDS * FRAMES;
    for kind in KINDS {
        let net = Matcher::new(&config(kind, 0.2), Params::new(5, &Device::Cpu)).unwrap();
        for mode in [Mode::Eval, TRAIN] {
            let sounds = noise("sounds", &shape, DType::F32);
            let before = rows(&net, &sounds, mode);
            for (i, j) in (0..b).flat_map(|i| (0..k).map(move |j| (i, j))) {
                let mut v = sounds.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                let other = noise(&format!("other {i} {j}"), &[one], DType::F32);
                v[(i * k + j) * one..(i * k + j + 1) * one]
                    .copy_from_slice(&other.to_vec1::<f32>().unwrap());
                let changed = Tensor::from_vec(v, &shape, &Device::Cpu).unwrap();
                let after = rows(&net, &changed, mode);
                for (p, q) in (0..b).flat_map(|p| (0..k).map(move |q| (p, q))) {
                    let same = after[p][q].to_bits() == before[p][q].to_bits();
                    assert_eq!(same, (p, q) != (i, j), "{kind:?} {mode:?}: {p} {q}");
                }
            }
        }
        // Candidates in another order: the scores in another order.
        let sounds = noise("sounds", &shape, DType::F32);
        let order = Tensor::new(&[2u32, 0, 1], &Device::Cpu).unwrap();
        let turned = sounds.index_select(&order, 1).unwrap();
        let (was, now) = (
            rows(&net, &sounds, Mode::Eval),
            rows(&net, &turned, Mode::Eval),
        );
        for (was, now) in was.iter().zip(&now) {
            for (place, from) in [2usize, 0, 1].into_iter().enumerate() {
                assert!((now[place] - was[from]).abs() < 1e-4, "{kind:?}");
            }
        }
    }
}

#[test]
fn every_variable_of_stage_3_learns() {
    for dtype in [DType::F64, DType::F32] {
        for kind in KINDS {
            let mut zero = vec![("k_proj.bias", KEYS), ("k_norm.bias", KEYS)];
            match kind {
                FusionKind::CalraPaper => zero.extend(SINGLE),
                FusionKind::CoAttention => zero.push(("co_key.bias", KEYS)),
                _ => {}
            }
            let labels = Tensor::new(&[0u32, 1, 1], &Device::Cpu).unwrap();
            let params = Params::with_dtype(2, &Device::Cpu, dtype);
            let net = Matcher::new(&config(kind, 0.0), params).unwrap();
            let sounds = noise("sounds", &[3, 2, BANDS, FRAMES], dtype);
            let scores = net.forward(&batch(&sounds), TRAIN).unwrap();
            let (loss, _) = cross_entropy(&scores, &labels).unwrap();
            let what = format!("matcher, {kind:?}");
            twin::coverage(&what, net.params(), &loss.backward().unwrap(), &zero);

            let params = Params::with_dtype(2, &Device::Cpu, dtype);
            let net = PrototypeClassifier::new(&config(kind, 0.0), 3, params).unwrap();
            let eeg = Batch::eeg(noise("eeg", &[3, 2, 400], dtype), names());
            let scores = net.forward(&eeg, TRAIN).unwrap();
            assert_eq!(scores.dims(), [3, 3]);
            let (loss, _) = cross_entropy(&scores, &labels).unwrap();
            let what = format!("prototypes, {kind:?}");
            zero.remove(0);
            twin::coverage(&what, net.params(), &loss.backward().unwrap(), &zero);
        }
    }
}

#[test]
fn stage_2_is_the_start_of_stage_3() {
    let config = config(FusionKind::CalraReleased, 0.0);
    let two = Aligner::new(&config, Params::new(8, &Device::Cpu)).unwrap();
    let three = Matcher::new(&config, Params::new(9, &Device::Cpu)).unwrap();
    let stored = two.params().tensors().unwrap();
    three.params().load(&stored).unwrap();
    // The waveform, or the spectrogram that was made of it before.
    let sound = noise("waveform", &[4, 3600], DType::F32);
    let mel = mmpipe_models::audio::log_mel(&sound, BANDS).unwrap();
    assert_eq!(mel.dims(), [4, BANDS, mel_frames(3600)]);
    assert_eq!((mel_frames(399), mel_frames(400)), (0, 1));
    let of = |x: &Tensor, dims: &[usize]| rows(&three, &x.reshape(dims).unwrap(), Mode::Eval);
    let scores = of(&sound, &[2, 2, 3600]);
    assert_eq!(scores, of(&mel, &[2, 2, BANDS, mel_frames(3600)]));
    // Logits are the cosines of stage 2's own scoring, times its temperature.
    let e = two
        .embed_eeg(
            &[(&noise("eeg", &[2, 2, 400], DType::F32), &names())],
            Mode::Eval,
        )
        .unwrap();
    let a = two.embed_audio(&sound, Mode::Eval).unwrap();
    let cosines = two
        .score(
            &e,
            &a.reshape((2, 2, 32)).unwrap(),
            &[mmpipe_models::align::UNKNOWN_TYPE; 4],
        )
        .unwrap()
        .to_vec2::<f32>()
        .unwrap();
    for (s, c) in scores.iter().flatten().zip(cosines.iter().flatten()) {
        assert!((s * 0.07 - c).abs() < 1e-5, "{s} {c}");
    }

    // Prototypes: all of stage 2 but the sound encoder, and one vector a class.
    let net = PrototypeClassifier::new(&config, 2, Params::new(9, &Device::Cpu)).unwrap();
    let own: HashMap<String, Vec<usize>> = net
        .params()
        .iter()
        .map(|p| (p.name.clone(), p.var.dims().to_vec()))
        .collect();
    assert_eq!(own["prototypes"], [2, 16]);
    for (name, dims) in &own {
        let there = stored.get(name).map(|t| t.dims().to_vec());
        assert_eq!(
            there,
            (name != "prototypes").then(|| dims.clone()),
            "{name}"
        );
    }
    let left: Vec<_> = stored.keys().filter(|n| !own.contains_key(*n)).collect();
    assert!(
        !left.is_empty() && left.iter().all(|n| n.starts_with("audio_model.")),
        "{left:?}"
    );
}

/// A sound that comes several times goes through the network once: the same scores and gradients, and
/// in training one mask for all its places.
#[test]
fn equal_sounds_are_heard_once() {
    let params = Params::new(5, &Device::Cpu);
    let net = Matcher::new(&config(FusionKind::CalraPaper, 0.0), params).unwrap();
    let one = BANDS * FRAMES;
    let two = noise("sounds", &[2, one], DType::F32);
    let order = Tensor::new(&[1u32, 0, 0, 1, 1, 0], &Device::Cpu).unwrap();
    let sounds = two.index_select(&order, 0).unwrap();
    let sounds = sounds.reshape((3, 2, BANDS, FRAMES)).unwrap();
    let each = batch(&sounds);
    let once = each.clone().known_by(vec![9, 7, 7, 9, 9, 7]);
    let answers = |b: &Batch| net.forward(b, Mode::Eval).unwrap();
    let rows = |t: &Tensor| t.to_vec2::<f32>().unwrap();
    let close = |a: &[Vec<f32>], b: &[Vec<f32>]| {
        for (a, b) in a.concat().iter().zip(b.concat()) {
            assert!((a - b).abs() < 1e-5, "{a} {b}");
        }
    };
    let (a, b) = (answers(&each), answers(&once));
    close(&rows(&a), &rows(&b));
    // Rows keep what their sounds are known by.
    let part = once.rows(1, 2).unwrap();
    assert_eq!(part.sound_ids.as_deref(), Some(&[7, 9, 9, 7][..]));
    close(&rows(&answers(&part)), &rows(&b)[1..]);
    let gradient = |x: &Tensor| {
        let weight = net.params().get("audio_model.conv1.weight").unwrap();
        let grads = x.sqr().unwrap().sum_all().unwrap().backward().unwrap();
        let g = grads.get(weight.var.as_tensor()).unwrap();
        g.flatten_all().unwrap().to_vec1::<f32>().unwrap()
    };
    let (a, b) = (gradient(&a), gradient(&b));
    let most = a.iter().fold(0f32, |m, x| m.max(x.abs()));
    assert!(most > 0.0);
    for (a, b) in a.iter().zip(&b) {
        assert!((a - b).abs() <= 1e-4 * most, "{a} {b}");
    }
    let masked =
        Matcher::new(&config(FusionKind::Clip, 0.5), Params::new(5, &Device::Cpu)).unwrap();
    let of = |b: &Batch| {
        let x = b
            .sounds
            .as_ref()
            .unwrap()
            .reshape((6, BANDS, FRAMES))
            .unwrap();
        let ids = b.sound_ids.as_ref().unwrap();
        let heard = masked.aligner().embed_audio_once(&x, ids, TRAIN).unwrap();
        rows(&heard)
    };
    let heard = of(&once);
    assert_eq!(heard[0], heard[3]);
    assert_eq!(heard[1], heard[5]);
    assert_ne!(heard[0], heard[1]);
    let wrong = each.known_by(vec![1, 2]);
    assert!(matches!(
        net.forward(&wrong, Mode::Eval),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn what_does_not_fit_is_an_error() {
    let net = Matcher::new(&config(FusionKind::Clip, 0.0), Params::new(0, &Device::Cpu)).unwrap();
    let fails = |batch: &Batch| net.forward(batch, Mode::Eval).unwrap_err();
    let mut none = batch(&noise("s", &[2, 2, BANDS, FRAMES], DType::F32));
    none.sounds = None;
    assert!(matches!(fails(&none), Error::MissingInput { .. }));
    for shape in [
        &[3, 2, BANDS, FRAMES][..],
        &[2, 2, BANDS + 1, FRAMES],
        &[2, 2, 399],
        &[2, 2],
    ] {
        let mut wrong = none.clone();
        wrong.sounds = Some(noise("s", shape, DType::F32));
        assert!(matches!(fails(&wrong), Error::Shape { .. }), "{shape:?}");
    }
    let one = PrototypeClassifier::new(
        &config(FusionKind::Clip, 0.0),
        1,
        Params::new(0, &Device::Cpu),
    );
    assert!(matches!(one, Err(Error::Config { .. })));
}
