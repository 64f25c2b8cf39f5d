//! The contrast with hard negatives against the same written out pair by pair: value and gradients.

use candle_core::{D, Device, Tensor};
use mmpipe_models::align::{Aligner, FusionKind, Pairs};
use mmpipe_models::{Mode, Params};

use super::config::AlignConfig;
use super::contrast::Contrast;
use crate::config::Size;
use crate::data::{ChannelPlan, Features};
use crate::source::{AuditoryType, MemorySource, Meta};
use crate::stage::{Draws, Objective};

/// Numbers in [-1, 1) that differ by `seed`.
fn wave(seed: usize, n: usize) -> Vec<f32> {
    let of = |t: usize| ((t * (seed + 3)) as f32 * 0.37 + seed as f32).sin() * 0.8;
    (0..n).map(of).collect()
}

/// Which sounds an example has, the attended one first: rivals in numbers from none to two, a sound that
/// two examples heard, a rival of the attended one's content.
const HEARD: [&[usize]; 6] = [&[0, 1], &[1, 2, 3], &[2], &[0, 4], &[5, 5], &[3, 0]];

fn contrast<'a>(
    features: &'a Features<'a>,
    channels: &'a ChannelPlan,
    cfg: &'a AlignConfig,
) -> Contrast<'a> {
    Contrast {
        net: Aligner::new(&cfg.network(None), Params::new(3, &Device::Cpu)).unwrap(),
        features,
        channels,
        cfg,
        fold: 0,
        sound: None,
    }
}

fn source() -> MemorySource {
    let names = |n: &[&str]| n.iter().map(|s| s.to_string()).collect::<Vec<_>>();
    let mut s = MemorySource {
        n_times: 400,
        sfreq: 200.0,
        montages: vec![names(&["Fz", "Cz"]), names(&["Pz"])],
        ..MemorySource::default()
    };
    for (i, sounds) in HEARD.iter().enumerate() {
        let montage = usize::from(i == 1 || i == 4);
        let kinds = [
            Some(AuditoryType::Speech),
            None,
            Some(AuditoryType::Music),
            Some(AuditoryType::Other),
        ];
        s.metas.push(Meta {
            epoch_id: i as u64,
            montage,
            candidates: sounds.len(),
            auditory_type: kinds[i % 4],
            ..Meta::default()
        });
        s.eeg.push(wave(20 + i, s.montages[montage].len() * 400));
        // A sound swells or fades in its own way.
        let sound = |k: &usize| {
            let tone = wave(7 * k + 1, 32_000);
            let swell =
                |(t, x): (usize, &f32)| x * (1.2 + (t as f32 * 2e-4 * (k + 1) as f32).sin());
            tone.iter().enumerate().map(swell).collect::<Vec<f32>>()
        };
        s.candidates.push(sounds.iter().map(sound).collect());
    }
    s
}

/// −log softmax of each row at its own sound, over itself, the sounds of the batch that are another, and
/// its own rivals that are another; each pair through the network by itself.
fn plain(of: &Contrast<'_>, order: &[usize]) -> Tensor {
    let (source, features) = (of.features.source, of.features);
    let mode = Mode::Train { seed: 0, step: 0 };
    let eeg = |i: usize| {
        let m = source.meta(i).montage;
        let names = of.channels.names(m);
        let values = features.eeg(i).unwrap().to_vec();
        let x = Tensor::from_vec(values, (1, names.len(), 400), &Device::Cpu).unwrap();
        of.net.embed_eeg(&[(&x, &names)], mode).unwrap()
    };
    let sound = |i: usize, k: usize| {
        let values = features.sound(i, k).unwrap().to_vec();
        let x = features.sounds(values, &[1]).unwrap();
        of.net.embed_audio(&x, mode).unwrap()
    };
    let fuse = |i: usize, a: &Tensor, kind: usize| {
        let kind = [source.meta(kind).sound_type()];
        let (e, a) = of.net.fusion().forward(&eeg(i), a, &kind, mode).unwrap();
        let unit = |x: &Tensor| {
            let length = x.sqr().unwrap().sum_keepdim(D::Minus1).unwrap().sqrt();
            x.broadcast_div(&length.unwrap()).unwrap()
        };
        (unit(&e), unit(&a))
    };
    let factor = of
        .net
        .params()
        .get("logit_scale")
        .unwrap()
        .var
        .exp()
        .unwrap();
    let score = |e: &Tensor, a: &Tensor| {
        let cosine = (e * a).unwrap().sum_all().unwrap();
        (cosine * &factor).unwrap()
    };
    let crossed = of.cfg.pairs == Pairs::Crossed;
    let mut sum: Option<Tensor> = None;
    for &i in order {
        let own = fuse(i, &sound(i, 0), i);
        let target = score(&own.0, &own.1);
        let mut all = vec![target.clone()];
        for &j in order.iter().filter(|j| HEARD[**j][0] != HEARD[i][0]) {
            all.push(match crossed {
                true => {
                    let (e, a) = fuse(i, &sound(j, 0), j);
                    score(&e, &a)
                }
                false => score(&own.0, &fuse(j, &sound(j, 0), j).1),
            });
        }
        let rivals = HEARD[i].iter().enumerate().skip(1);
        for (k, _) in rivals.filter(|(_, s)| of.cfg.hard_negatives && **s != HEARD[i][0]) {
            let (e, a) = fuse(i, &sound(i, k), i);
            all.push(score(if crossed { &e } else { &own.0 }, &a));
        }
        let all = Tensor::stack(&all, 0).unwrap();
        let norm = all.exp().unwrap().sum_all().unwrap().log().unwrap();
        let loss = (norm - target).unwrap();
        sum = Some(match sum {
            Some(s) => (s + loss).unwrap(),
            None => loss,
        });
    }
    (sum.unwrap() / order.len() as f64).unwrap()
}

#[test]
fn hard_negatives_are_those_of_the_row_alone() {
    let source = source();
    let all: Vec<usize> = (0..HEARD.len()).collect();
    for (fusion, pairs, hard_negatives) in [
        (FusionKind::CalraPaper, Pairs::Crossed, true),
        (FusionKind::CalraPaper, Pairs::Crossed, false),
        (FusionKind::CalraReleased, Pairs::Diagonal, true),
        (FusionKind::ConcatMlp, Pairs::Crossed, true),
        (FusionKind::Clip, Pairs::Crossed, true),
    ] {
        let cfg = AlignConfig {
            size: Size::Tiny,
            dropout: Some(0.0),
            drop_path: Some(0.0),
            temperature: 0.5,
            fusion,
            pairs,
            hard_negatives,
            ..AlignConfig::default()
        };
        let features = Features::new(&source, cfg.shape().features(), 1 << 24);
        let channels = ChannelPlan::new(&source, &all, None).unwrap();
        let of = contrast(&features, &channels, &cfg);
        let what = format!("{fusion:?} {pairs:?} {hard_negatives}");
        let batch = of.load(&all, 0).unwrap();
        let loss = of.loss(&batch, &(), &mut Draws::of(0, 0)).unwrap();
        let named = |name: &str| {
            let found = loss.named.iter().find(|n| n.name == name).unwrap();
            found.sum / found.weight
        };
        // Five rivals, of which one is the attended sound itself.
        let rivals = if hard_negatives { 5.0 / 6.0 } else { 0.0 };
        assert!((named("hard_negatives") - rivals).abs() < 1e-9, "{what}");
        let want = plain(&of, &batch.examples);
        let (a, b) = (
            loss.value.to_scalar::<f32>().unwrap(),
            want.to_scalar::<f32>().unwrap(),
        );
        assert!((a - b).abs() < 2e-5 * b, "{what}: {a} {b}");
        let (got, want) = (loss.value.backward().unwrap(), want.backward().unwrap());
        let values = |g: Option<&Tensor>| match g {
            Some(g) => g.flatten_all().unwrap().to_vec1::<f32>().unwrap(),
            None => Vec::new(),
        };
        let vars = || of.params().trainable();
        let all = vars().flat_map(|p| values(want.get(p.var.as_tensor())));
        let top = all.fold(0f32, |m, x| m.max(x.abs()));
        assert!(top > 0.0 && top.is_finite());
        for p in vars() {
            let (got, want) = (
                values(got.get(p.var.as_tensor())),
                values(want.get(p.var.as_tensor())),
            );
            assert_eq!(got.len(), want.len(), "{what}: {}", p.name);
            for (a, b) in got.iter().zip(&want) {
                assert!((a - b).abs() < 2e-4 * top, "{what}: {}: {a} {b}", p.name);
            }
        }
    }
}

#[test]
fn a_batch_without_rivals_is_the_plain_contrast() {
    let mut source = source();
    source.metas.iter_mut().for_each(|m| m.candidates = 1);
    let all: Vec<usize> = (0..HEARD.len()).collect();
    let losses: Vec<f32> = [true, false]
        .into_iter()
        .map(|hard_negatives| {
            let cfg = AlignConfig {
                size: Size::Tiny,
                hard_negatives,
                ..AlignConfig::default()
            };
            let features = Features::new(&source, cfg.shape().features(), 1 << 24);
            let channels = ChannelPlan::new(&source, &all, None).unwrap();
            let of = contrast(&features, &channels, &cfg);
            let batch = of.load(&all, 0).unwrap();
            let loss = of.loss(&batch, &(), &mut Draws::of(0, 0)).unwrap();
            loss.value.to_scalar().unwrap()
        })
        .collect();
    // Dropout included: nothing else is drawn.
    assert_eq!(losses[0], losses[1]);
}
