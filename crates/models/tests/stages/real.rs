//! Stage 3's classes from EEG refined by the sound that was heard: what is an input, what learns, and the
//! kinds of sound.

use candle_core::{DType, Device, Tensor};
use mmpipe_models::align::{
    AlignConfig, FusionConfig, FusionKind, Matcher, RealClassifier, UNKNOWN_TYPE,
};
use mmpipe_models::pretrain::cross_entropy;
use mmpipe_models::{Batch, Error, Mode, Model, Params};

use super::align::{KINDS, SINGLE, TRAIN, noise};
use super::matcher::{BANDS, FRAMES, KEYS, batch, config};
use super::twin;

fn heard(b: usize, dtype: DType) -> Batch {
    batch(&noise("heard", &[b, 1, BANDS, FRAMES], dtype))
}

fn net(kind: FusionKind, contrast: f64, dtype: DType) -> RealClassifier {
    let params = Params::with_dtype(2, &Device::Cpu, dtype);
    RealClassifier::new(&config(kind, 0.0), 3, 0.0, contrast, params).unwrap()
}

/// What the classifier does not read of a form: all that comes after the two vectors met, on sound's
/// side, and the temperature of the contrast.
fn unread(kind: FusionKind) -> Vec<(&'static str, &'static str)> {
    let names: &[&str] = match kind {
        FusionKind::CalraPaper => &[
            "audio_norm3.weight",
            "audio_norm3.bias",
            "W_D_audio.weight",
            "W_D_audio.bias",
        ],
        FusionKind::CalraReleased => &[
            "audio_norm2.weight",
            "audio_norm2.bias",
            "audio_ffn.0.weight",
            "audio_ffn.0.bias",
            "audio_ffn.3.weight",
            "audio_ffn.3.bias",
            "audio_final_proj.weight",
            "audio_final_proj.bias",
            "W_D_audio.weight",
            "W_D_audio.bias",
        ],
        FusionKind::CoAttention => &[
            "audio_co_query.weight",
            "audio_co_query.bias",
            "audio_co_key.weight",
            "audio_co_key.bias",
            "audio_co_value.weight",
            "audio_co_value.bias",
            "audio_co_proj.weight",
            "audio_co_proj.bias",
            "audio_norm1.weight",
            "audio_norm1.bias",
            "audio_ffn.0.weight",
            "audio_ffn.0.bias",
            "audio_ffn.3.weight",
            "audio_ffn.3.bias",
            "audio_norm2.weight",
            "audio_norm2.bias",
        ],
        FusionKind::ConcatMlp => &["audio_norm.weight", "audio_norm.bias"],
        FusionKind::Clip => &[],
    };
    let said = |n: &&'static str| (*n, "sound's own result is not read");
    let mut unread: Vec<_> = names.iter().map(said).collect();
    unread.push(("logit_scale", "classes have no temperature"));
    unread
}

#[test]
fn every_variable_learns_that_can() {
    let labels = Tensor::new(&[0u32, 1, 2], &Device::Cpu).unwrap();
    for dtype in [DType::F64, DType::F32] {
        for kind in KINDS {
            let mut zero = Vec::new();
            match kind {
                FusionKind::CalraPaper => zero.extend(SINGLE),
                FusionKind::CoAttention => zero.push(("co_key.bias", KEYS)),
                _ => {}
            }
            zero.push(("k_norm.bias", KEYS));
            zero.push(("k_proj.bias", KEYS));
            // With the contrast both sides of the module are read.
            let with = net(kind, 0.1, dtype);
            let (scores, own) = with.forward_with_loss(&heard(3, dtype), TRAIN).unwrap();
            assert_eq!(scores.dims(), [3, 3]);
            let (loss, _) = cross_entropy(&scores, &labels).unwrap();
            let loss = (loss + own.expect("a contrast")).unwrap();
            let what = format!("with the contrast, {kind:?}");
            twin::coverage(&what, with.params(), &loss.backward().unwrap(), &zero);

            let alone = net(kind, 0.0, dtype);
            let (scores, own) = alone.forward_with_loss(&heard(3, dtype), TRAIN).unwrap();
            assert!(own.is_none());
            let (loss, _) = cross_entropy(&scores, &labels).unwrap();
            let grads = loss.backward().unwrap();
            let what = format!("classes alone, {kind:?}");
            zero.extend(unread(kind));
            if kind == FusionKind::Clip {
                // Nothing of the sound meets the EEG.
                let why = "without a module the sound is not read";
                let hear = |n: &str| n.starts_with("audio_");
                for p in alone.params().trainable().filter(|p| hear(&p.name)) {
                    assert!(grads.get(p.var.as_tensor()).is_none(), "{}: {why}", p.name);
                }
                continue;
            }
            twin::coverage(&what, alone.params(), &grads, &zero);
        }
    }
}

#[test]
fn the_sound_is_an_input_of_its_own_row_alone() {
    for kind in KINDS {
        let net = net(kind, 0.1, DType::F32);
        let sounds = noise("heard", &[3, 1, BANDS, FRAMES], DType::F32);
        let mut other = sounds.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        other[..BANDS * FRAMES].iter_mut().for_each(|x| *x = -*x);
        let other = Tensor::from_vec(other, sounds.dims(), &Device::Cpu).unwrap();
        let of = |x: &Tensor| {
            let scores = net.forward(&batch(x), Mode::Eval).unwrap();
            scores.to_vec2::<f32>().unwrap()
        };
        let (was, now) = (of(&sounds), of(&other));
        assert_eq!(was[0] == now[0], kind == FusionKind::Clip, "{kind:?}");
        assert_eq!(was[1..], now[1..], "{kind:?}");
    }
}

#[test]
fn sounds_of_one_content_are_no_negatives() {
    let net = net(FusionKind::CalraPaper, 0.5, DType::F32);
    let one = noise("one", &[1, 1, BANDS, FRAMES], DType::F32);
    let same = batch(&one.broadcast_as((3, 1, BANDS, FRAMES)).unwrap());
    let (_, own) = net.forward_with_loss(&same, TRAIN).unwrap();
    let loss = own.expect("a contrast").to_scalar::<f32>().unwrap();
    assert!(loss.abs() < 1e-6, "{loss}");
    // Asked, it has no loss of its own, and the scores are those of training without dropout.
    let batch = heard(3, DType::F32);
    let (asked, none) = net.forward_with_loss(&batch, Mode::Eval).unwrap();
    let (trained, own) = net.forward_with_loss(&batch, TRAIN).unwrap();
    assert!(none.is_none() && own.is_some());
    let rows = |x: &Tensor| x.to_vec2::<f32>().unwrap();
    assert_eq!(rows(&asked), rows(&trained));
}

#[test]
fn kinds_of_sound_choose_their_maps() {
    let typed = |kind| AlignConfig {
        fusion: FusionConfig {
            type_aligner: true,
            ..config(kind, 0.0).fusion
        },
        ..config(kind, 0.0)
    };
    for kind in [FusionKind::CalraPaper, FusionKind::CalraReleased] {
        let net = Matcher::new(&typed(kind), Params::new(4, &Device::Cpu)).unwrap();
        // Away from identity, so that kinds differ.
        for p in net.params().trainable() {
            if p.name.contains("aligner") {
                let moved = noise(&p.name, p.var.dims(), DType::F32);
                p.var.set(&moved).unwrap();
            }
        }
        let mut batch = batch(&noise("sounds", &[3, 2, BANDS, FRAMES], DType::F32));
        let of = |batch: &Batch| {
            let scores = net.forward(batch, Mode::Eval).unwrap();
            scores.to_vec2::<f32>().unwrap()
        };
        let unknown = of(&batch);
        batch.sound_types = vec![UNKNOWN_TYPE; 3];
        assert_eq!(unknown, of(&batch), "{kind:?}");
        batch.sound_types = vec![0, UNKNOWN_TYPE, 1];
        let known = of(&batch);
        assert_ne!(unknown[0], known[0], "{kind:?}");
        assert_ne!(unknown[2], known[2], "{kind:?}");
        // A row's kind is its own affair; and rows keep theirs when a batch is cut.
        assert_eq!(batch.rows(1, 2).unwrap().sound_types, [UNKNOWN_TYPE, 1]);
        for (a, b) in unknown[1].iter().zip(&known[1]) {
            assert!((a - b).abs() < 1e-4, "{kind:?}");
        }
        // Maps that no row went through have no gradient, so nothing decays them.
        batch.sound_types = vec![0; 3];
        let loss = net.forward(&batch, TRAIN).unwrap().sum_all().unwrap();
        let grads = loss.backward().unwrap();
        // The released form's maps are those into the product.
        let part = match kind {
            FusionKind::CalraPaper => "_aligner.",
            _ => "W_U_eeg.",
        };
        let maps = net.params().trainable().filter(|p| p.name.contains(part));
        let mut met = 0;
        for p in maps {
            let there = grads.get(p.var.as_tensor()).is_some();
            assert_eq!(there, p.name.contains(".0."), "{kind:?}: {}", p.name);
            met += usize::from(there);
        }
        assert!(met >= 2, "{kind:?}");
        batch.sound_types = vec![0; 2];
        let wrong = net.forward(&batch, Mode::Eval);
        assert!(matches!(wrong, Err(Error::Shape { .. })));
    }
}

#[test]
fn what_does_not_fit_is_an_error() {
    let net = net(FusionKind::Clip, 0.0, DType::F32);
    let two = batch(&noise("s", &[2, 2, BANDS, FRAMES], DType::F32));
    assert!(matches!(
        net.forward(&two, Mode::Eval),
        Err(Error::Shape { .. })
    ));
    let mut none = two.clone();
    none.sounds = None;
    assert!(matches!(
        net.forward(&none, Mode::Eval),
        Err(Error::MissingInput { .. })
    ));
    for contrast in [-1.0, f64::NAN] {
        let made = RealClassifier::new(
            &config(FusionKind::Clip, 0.0),
            2,
            0.0,
            contrast,
            Params::new(0, &Device::Cpu),
        );
        assert!(matches!(made, Err(Error::Config { .. })));
    }
}
