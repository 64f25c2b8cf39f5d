//! What reaches a score: one pair and nothing else. Temperature, repeated sounds, prototypes.

use candle_core::{DType, Device, Tensor};
use mmpipe_models::align::{
    Fusion, FusionConfig, FusionKind, Pairs, Sounds, Temperature, UNKNOWN_TYPE, crossed, info_nce,
    logits, score,
};
use mmpipe_models::{Mode, Params};

use super::align::{KINDS, SINGLE, TRAIN, noise, small};
use super::twin::{self, flat};

#[test]
fn temperature_is_clamped_and_comes_back() {
    let mut params = Params::new(0, &Device::Cpu);
    let t = Temperature::new(&mut params, "logit_scale", 0.07).unwrap();
    let value = |t: &Temperature| t.factor().unwrap().to_scalar::<f32>().unwrap();
    assert!((value(&t) - 1.0 / 0.07).abs() < 1e-4);
    let var = &params.get("logit_scale").unwrap().var;
    var.set(&Tensor::new(6.0f32, &Device::Cpu).unwrap())
        .unwrap();
    assert!((value(&t) - 100.0).abs() < 1e-3);
    let grads = t.factor().unwrap().backward().unwrap();
    let slope = grads
        .get(var.as_tensor())
        .unwrap()
        .to_scalar::<f32>()
        .unwrap();
    assert!(
        (slope - 100.0).abs() < 1e-3,
        "the clamp keeps the slope: {slope}"
    );
    t.constrain().unwrap();
    let stored = var.as_tensor().to_scalar::<f32>().unwrap();
    assert!((f64::from(stored) - mmpipe_models::align::MAX_LOGIT_SCALE).abs() < 1e-6);
    assert!(Temperature::new(&mut Params::new(0, &Device::Cpu), "s", 0.001).is_err());
    assert!(Temperature::new(&mut Params::new(0, &Device::Cpu), "s", f64::NAN).is_err());
}

#[test]
fn the_same_sound_is_no_negative() {
    let mut params = Params::new(0, &Device::Cpu);
    let fusion = Fusion::new(&small(FusionKind::Clip), &mut params, "").unwrap();
    let t = Temperature::new(&mut params, "logit_scale", 0.07).unwrap();
    let eeg = noise("eeg", &[3, 32], DType::F32);
    let a = noise("audio", &[3, 32], DType::F32);
    let loss = |audio: &Tensor, ids: Vec<u64>| {
        let sounds = Sounds {
            audio: audio.clone(),
            types: vec![UNKNOWN_TYPE; 3],
            ids,
            others: None,
        };
        let l = logits(&fusion, &eeg, &sounds, Pairs::Crossed, &t, Mode::Eval).unwrap();
        info_nce(&l, false).unwrap().to_scalar::<f32>().unwrap()
    };
    // All three heard the same: nothing to tell apart, so nothing to learn.
    let one = a.narrow(0, 0, 1).unwrap();
    let thrice = Tensor::cat(&[&one, &one, &one], 0).unwrap();
    assert!(loss(&thrice, vec![4, 4, 4]).abs() < 1e-6);
    assert!((loss(&thrice, vec![4, 5, 6]) - 3f32.ln()).abs() < 1e-5);
    assert!(loss(&a, vec![1, 2, 3]) > loss(&a, vec![1, 2, 1]));
}

#[test]
fn no_candidate_reaches_the_score_of_another() {
    let (b, k, d) = (5, 3, 32);
    for (seed, kind) in KINDS.into_iter().enumerate() {
        let mut params = Params::new(seed as u64, &Device::Cpu);
        let fusion = Fusion::new(&small(kind), &mut params, "").unwrap();
        let eeg = noise("eeg", &[b, d], DType::F32);
        for trial in 0..8u64 {
            let candidates = noise(&format!("candidates {trial}"), &[b, k, d], DType::F32);
            let types: Vec<u32> = (0..b * k).map(|i| (i % 4) as u32).collect();
            let scores = score::candidate(&fusion, &eeg, &candidates, &types)
                .unwrap()
                .to_vec2::<f32>()
                .unwrap();
            // Each candidate in turn becomes another sound of another kind: every other score of its
            // epoch, and every score of every other epoch, stays to the last bit.
            for (i, j) in (0..b).flat_map(|i| (0..k).map(move |j| (i, j))) {
                let mut v = candidates.flatten_all().unwrap().to_vec1::<f32>().unwrap();
                for x in &mut v[(i * k + j) * d..(i * k + j + 1) * d] {
                    *x = 3.0 - 2.0 * *x;
                }
                let mut kinds = types.clone();
                kinds[i * k + j] = UNKNOWN_TYPE;
                let other = Tensor::from_vec(v, (b, k, d), &Device::Cpu).unwrap();
                let now = score::candidate(&fusion, &eeg, &other, &kinds)
                    .unwrap()
                    .to_vec2::<f32>()
                    .unwrap();
                for (p, q) in (0..b).flat_map(|p| (0..k).map(move |q| (p, q))) {
                    if (p, q) == (i, j) {
                        assert_ne!(now[p][q], scores[p][q], "{kind:?}: the changed one");
                    } else {
                        assert_eq!(
                            now[p][q].to_bits(),
                            scores[p][q].to_bits(),
                            "{kind:?}: {p} {q}"
                        );
                    }
                }
            }
            // Another order of the candidates is another order of the scores.
            let order = score::order(trial, 77, k);
            let index: Vec<u32> = order.iter().map(|o| *o as u32).collect();
            let index = Tensor::from_vec(index, k, &Device::Cpu).unwrap();
            let shuffled = candidates.index_select(&index, 1).unwrap();
            let kinds: Vec<u32> = (0..b)
                .flat_map(|i| order.iter().map(move |o| ((i * k + o) % 4) as u32))
                .collect();
            let now = score::candidate(&fusion, &eeg, &shuffled, &kinds)
                .unwrap()
                .to_vec2::<f32>()
                .unwrap();
            for (row, was) in now.iter().zip(&scores) {
                for (s, o) in row.iter().zip(&order) {
                    assert!((s - was[*o]).abs() < 1e-6, "{kind:?}");
                }
            }
        }
    }
    // The paper's scoring does not pass: the attended sound moves the score of the others.
    let mut params = Params::new(0, &Device::Cpu);
    let fusion = Fusion::new(&small(FusionKind::CalraPaper), &mut params, "").unwrap();
    let (eeg, candidates) = (
        noise("eeg", &[b, d], DType::F32),
        noise("c", &[b, 2, d], DType::F32),
    );
    let run = |candidates: &Tensor| {
        score::paper(
            &fusion,
            &eeg,
            candidates,
            &vec![UNKNOWN_TYPE; 2 * b],
            &vec![1; b],
            10.0,
        )
        .unwrap()
        .to_vec2::<f32>()
        .unwrap()
    };
    let first = candidates.narrow(1, 0, 1).unwrap();
    let second = noise("another", &[b, 1, d], DType::F32);
    let changed = Tensor::cat(&[first, second], 1).unwrap();
    assert!(
        run(&candidates)
            .iter()
            .zip(run(&changed))
            .any(|(a, b)| a[0] != b[0])
    );
}

#[test]
fn chunks_do_not_change_scores_and_orders_are_fair() {
    let mut params = Params::new(0, &Device::Cpu);
    let fusion = Fusion::new(&small(FusionKind::CalraReleased), &mut params, "").unwrap();
    let (eeg, audio) = (
        noise("e", &[7, 32], DType::F32),
        noise("a", &[5, 32], DType::F32),
    );
    let all = crossed(&fusion, &eeg, &audio, &[UNKNOWN_TYPE; 5], 1000, Mode::Eval).unwrap();
    for chunk in [1, 5, 11] {
        let parts = crossed(&fusion, &eeg, &audio, &[UNKNOWN_TYPE; 5], chunk, Mode::Eval).unwrap();
        twin::close("chunks", &flat(&parts), &flat(&all), 1.0, 1e-6);
    }
    // Own candidates are the same pairs.
    let tiled = audio
        .unsqueeze(0)
        .unwrap()
        .broadcast_as((7, 5, 32))
        .unwrap()
        .contiguous()
        .unwrap();
    let own = score::candidate(&fusion, &eeg, &tiled, &[UNKNOWN_TYPE; 35]).unwrap();
    twin::close("own", &flat(&own), &flat(&all), 1.0, 1e-6);
    let mut first = [0usize; 3];
    for epoch in 0..3000 {
        let order = score::order(9, epoch, 3);
        let mut sorted = order.clone();
        sorted.sort_unstable();
        assert_eq!(sorted, [0, 1, 2]);
        first[order[0]] += 1;
    }
    assert!(first.iter().all(|n| (900..1100).contains(n)), "{first:?}");
}

/// Stage 3 with prototypes and with real sound: all variables learn, and a class's score depends on
/// its own prototype alone.
#[test]
fn prototypes_are_scored_each_by_its_own_pair() {
    use mmpipe_models::align::{FusedClassifier, Prototypes};
    use mmpipe_models::layers::Projection;
    use mmpipe_models::pretrain::cross_entropy;

    for dtype in [DType::F64, DType::F32] {
        for kind in KINDS {
            let mut params = Params::with_dtype(6, &Device::Cpu, dtype);
            let p = &mut params;
            let proj = Projection::new(p, "audio_proj", 48, 32).unwrap();
            let fusion = Fusion::new(&small(kind), p, "fusion_module.").unwrap();
            let temperature = Temperature::new(p, "logit_scale", 0.07).unwrap();
            let prototypes = Prototypes::new(p, "prototypes", 3, 48).unwrap();
            let eeg = noise("eeg", &[5, 32], dtype);
            let scores = || {
                prototypes
                    .scores(&eeg, &proj, &fusion, &temperature, Mode::Eval)
                    .unwrap()
            };
            let labels = Tensor::new(&[0u32, 1, 2, 1, 0], &Device::Cpu).unwrap();
            let (loss, _) = cross_entropy(&scores(), &labels).unwrap();
            let mut zero = Vec::new();
            match kind {
                FusionKind::CalraPaper => {
                    zero.extend(SINGLE);
                    zero.extend([
                        ("aligner.0.weight", "the kind is not known"),
                        ("aligner.0.bias", "the kind is not known"),
                        ("aligner.1.weight", "the kind is not known"),
                        ("aligner.1.bias", "the kind is not known"),
                        ("aligner.2.weight", "the kind is not known"),
                        ("aligner.2.bias", "the kind is not known"),
                    ]);
                }
                FusionKind::CoAttention => {
                    zero.push((
                        "co_key.bias",
                        "softmax takes away what is the same for all keys",
                    ));
                }
                _ => {}
            }
            twin::coverage(
                &format!("prototypes, {kind:?}"),
                &params,
                &loss.backward().unwrap(),
                &zero,
            );

            let before = scores()
                .to_dtype(DType::F64)
                .unwrap()
                .to_vec2::<f64>()
                .unwrap();
            let var = &params.get("prototypes").unwrap().var;
            let moved = Tensor::cat(
                &[
                    var.as_tensor().narrow(0, 0, 2).unwrap(),
                    noise("moved", &[1, 48], dtype),
                ],
                0,
            );
            var.set(&moved.unwrap().detach()).unwrap();
            let after = scores()
                .to_dtype(DType::F64)
                .unwrap()
                .to_vec2::<f64>()
                .unwrap();
            for (b, a) in before.iter().zip(&after) {
                assert_eq!(b[..2], a[..2], "{kind:?}");
                assert_ne!(b[2], a[2], "{kind:?}");
            }
        }
        let mut params = Params::with_dtype(6, &Device::Cpu, dtype);
        let config = FusionConfig {
            dropout: 0.0,
            ..FusionConfig::new(FusionKind::CalraReleased)
        };
        let fusion = Fusion::new(&config, &mut params, "fusion_module.").unwrap();
        let head = FusedClassifier::new(&mut params, 256, 2, 0.2).unwrap();
        let (e, a) = (noise("e", &[4, 256], dtype), noise("a", &[4, 256], dtype));
        let scores = head.scores(&e, &a, &[0; 4], &fusion, TRAIN).unwrap();
        let labels = Tensor::new(&[0u32, 1, 1, 0], &Device::Cpu).unwrap();
        let grads = cross_entropy(&scores, &labels)
            .unwrap()
            .0
            .backward()
            .unwrap();
        // The classifier looks at EEG's side: what comes after the meeting on sound's side is not read.
        let other = [
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
        ]
        .map(|n| (n, "sound's own result is not read"));
        twin::coverage("fused classifier", &params, &grads, &other);
    }
    assert!(Prototypes::new(&mut Params::new(0, &Device::Cpu), "p", 1, 8).is_err());
    assert!(FusedClassifier::new(&mut Params::new(0, &Device::Cpu), 256, 2, f32::NAN).is_err());
}
