//! The codebook: k-means, usage, revival, the straight-through gradient.

use std::collections::HashMap;

use candle_core::{DType, Device, Tensor};
use mmpipe_models::pretrain::{Codebook, CodebookConfig};
use mmpipe_models::rng::Stream;
use mmpipe_models::{Error, Mode, Params};

use super::twin::{close, flat, largest, tensor};

const TRAIN: Mode = Mode::Train { seed: 3, step: 4 };

/// Unit vectors around `centres` directions.
fn clusters(centres: usize, each: usize, dim: usize) -> Tensor {
    let s = Stream::named(5, "clusters");
    let mut v = Vec::new();
    for i in 0..centres * each {
        for d in 0..dim {
            let centre = s.normal((i % centres * dim + d) as u64);
            v.push((centre + 0.05 * s.child(1).normal((i * dim + d) as u64)) as f32);
        }
    }
    Tensor::from_vec(v, (centres * each, dim), &Device::Cpu).unwrap()
}

fn book(codes: usize, dim: usize, revive_after: Option<u32>) -> (Codebook, Params) {
    let config = CodebookConfig {
        codes,
        dim,
        revive_after,
        ..CodebookConfig::default()
    };
    let mut params = Params::new(4, &Device::Cpu);
    (
        Codebook::new(&config, &mut params, "quantize.").unwrap(),
        params,
    )
}

#[test]
fn kmeans_finds_clusters_and_usage_is_counted() {
    let x = clusters(8, 40, 6);
    let (book, _params) = book(24, 6, None);
    assert!(!book.is_initialised().unwrap());
    book.initialise(&x, 1).unwrap();
    assert!(book.is_initialised().unwrap());
    let q = book.quantise(&x, Mode::Eval).unwrap();
    // Every vector has a code beside it.
    assert!(flat(&q.commitment)[0] < 2e-3, "{:?}", q.commitment);
    let codes: Vec<u32> = q.codes.to_vec1().unwrap();
    // No code serves two clusters.
    let mut owner = HashMap::new();
    for (i, c) in codes.iter().enumerate() {
        assert_eq!(*owner.entry(*c).or_insert(i % 8), i % 8);
    }
    let used = owner.len();
    assert!((8..=24).contains(&used));
    assert!((q.usage.used - used as f64 / 24.0).abs() < 1e-12);
    assert!(q.usage.perplexity > 7.9 && q.usage.perplexity <= used as f64 + 1e-9);
    // One vector, one code.
    let one = book
        .quantise(&x.narrow(0, 0, 1).unwrap(), Mode::Eval)
        .unwrap();
    assert!((one.usage.perplexity - 1.0).abs() < 1e-12);
    // Codes are unit vectors.
    for row in book.weight().to_vec2::<f32>().unwrap() {
        assert!((row.iter().map(|v| v * v).sum::<f32>() - 1.0).abs() < 1e-5);
    }
    // More codes than vectors, and one vector alone.
    let (book, _params) = self::book(24, 6, None);
    book.initialise(&x.narrow(0, 0, 1).unwrap(), 1).unwrap();
    assert!(matches!(
        book.quantise(&clusters(2, 2, 5), TRAIN),
        Err(Error::Shape { .. })
    ));
}

#[test]
fn dead_codes_are_revived_and_live_ones_are_left() {
    let near = clusters(4, 10, 6);
    let (book, params) = book(8, 6, Some(3));
    book.initialise(&near, 1).unwrap();
    // All data move to the other side: most codes are never nearest again.
    let far = (near.neg().unwrap() * 2.0).unwrap();
    let mut revived = Vec::new();
    for step in 0..6 {
        let q = book.quantise(&far, Mode::Train { seed: 1, step }).unwrap();
        revived.push(q.usage.revived);
    }
    assert_eq!(&revived[..2], &[0, 0], "not before its time");
    assert!(revived[2] > 0, "{revived:?}");
    let q = book.quantise(&far, Mode::Eval).unwrap();
    assert!(
        flat(&q.commitment)[0] < 2e-2,
        "revived codes stand on data: {}",
        flat(&q.commitment)[0]
    );
    assert_eq!(q.usage.revived, 0);
    assert!(params.get("quantize.idle").is_some());
    // The same steps give the same codes.
    let again = self::book(8, 6, Some(3));
    again.0.initialise(&near, 1).unwrap();
    for step in 0..6 {
        again
            .0
            .quantise(&far, Mode::Train { seed: 1, step })
            .unwrap();
    }
    assert_eq!(flat(&book.weight()), flat(&again.0.weight()));
}

#[test]
fn the_gradient_passes_straight_through() {
    let (book, _params) = book(8, 6, None);
    book.initialise(&clusters(8, 10, 6), 1).unwrap();
    // Unit vectors, so that normalising them is the identity to first order along the sphere.
    let z = mmpipe_models::ops::l2_normalise(&clusters(3, 1, 6), 1e-12).unwrap();
    let var = candle_core::Var::from_tensor(&z).unwrap();
    let q = book.quantise(var.as_tensor(), Mode::Eval).unwrap();
    let c = tensor("c", &[3, 6], DType::F32);
    let grads = (&q.vectors * &c)
        .unwrap()
        .sum_all()
        .unwrap()
        .backward()
        .unwrap();
    let g = grads.get(var.as_tensor()).unwrap();
    // c less its part along z.
    let along = (&c * &z).unwrap().sum_keepdim(1).unwrap();
    let want = (&c - z.broadcast_mul(&along).unwrap()).unwrap();
    close(
        "straight through",
        &flat(g),
        &flat(&want),
        largest(&flat(&want)),
        1e-5,
    );
}
