//! The simulated cap: 32 positions of the 10-10 system and smooth scalp maps over them.

use crate::random::{Random, normal, uniform};

/// Name, inclination and azimuth in degrees (the spherical table of the BioSemi 32 cap). The
/// order is such that every prefix covers the whole head; the first 16 are the default.
#[rustfmt::skip]
pub(crate) const CAP: [(&str, f64, f64); 32] = [
    ("Fp1", -92.0, -72.0), ("Fp2", 92.0, 72.0), ("F7", -92.0, -36.0), ("F3", -60.0, -51.0),
    ("Fz", 46.0, 90.0),    ("F4", 60.0, 51.0),  ("F8", 92.0, 36.0),   ("T7", -92.0, 0.0),
    ("C3", -46.0, 0.0),    ("Cz", 0.0, 0.0),    ("C4", 46.0, 0.0),    ("T8", 92.0, 0.0),
    ("P3", -60.0, 51.0),   ("Pz", 46.0, -90.0), ("P4", 60.0, -51.0),  ("Oz", 92.0, -90.0),
    ("P7", -92.0, 36.0),   ("P8", 92.0, -36.0), ("O1", -92.0, 72.0),  ("O2", 92.0, -72.0),
    ("FC1", -32.0, -45.0), ("FC2", 32.0, 45.0), ("CP1", -32.0, 45.0), ("CP2", 32.0, -45.0),
    ("FC5", -72.0, -21.0), ("FC6", 72.0, 21.0), ("CP5", -72.0, 21.0), ("CP6", 72.0, -21.0),
    ("AF3", -74.0, -65.0), ("AF4", 74.0, 65.0), ("PO3", -74.0, 65.0), ("PO4", 74.0, -65.0),
];

/// A point on the unit sphere: x to the right ear, y to the nose, z up.
pub(crate) type Point = [f64; 3];

/// The unit-sphere position of an entry of [`CAP`].
pub(crate) fn position(inclination: f64, azimuth: f64) -> Point {
    let (i, a) = (inclination.to_radians(), azimuth.to_radians());
    [i.sin() * a.cos(), i.sin() * a.sin(), i.cos()]
}

/// Names and positions of the first `n` electrodes.
pub(crate) fn cap(n: usize) -> (Vec<String>, Vec<Point>) {
    CAP.iter()
        .take(n)
        .map(|(name, i, a)| ((*name).to_string(), position(*i, *a)))
        .unzip()
}

/// A map over the electrodes that falls off smoothly from `centre`; `width` in radians of arc.
pub(crate) fn bump(positions: &[Point], centre: &Point, width: f64) -> Vec<f64> {
    positions
        .iter()
        .map(|p| {
            let cos = p
                .iter()
                .zip(centre)
                .map(|(a, b)| a * b)
                .sum::<f64>()
                .clamp(-1.0, 1.0);
            (-0.5 * (cos.acos() / width).powi(2)).exp()
        })
        .collect()
}

/// A random point on the upper part of the head.
pub(crate) fn random_point(rng: &mut Random) -> Point {
    position(uniform(rng, 10.0, 100.0), uniform(rng, 0.0, 360.0))
}

/// A smooth random map from `weights` over fixed `bumps`, with unit mean square.
pub(crate) fn mixed(bumps: &[Vec<f64>], weights: &[f64], n: usize) -> Vec<f64> {
    let mut map = vec![0.0; n];
    for (bump, w) in bumps.iter().zip(weights) {
        for (m, b) in map.iter_mut().zip(bump) {
            *m += w * b;
        }
    }
    unit(&mut map);
    map
}

/// Scales to unit mean square.
pub(crate) fn unit(map: &mut [f64]) {
    let ms = map.iter().map(|v| v * v).sum::<f64>() / map.len().max(1) as f64;
    if ms > 0.0 {
        let s = 1.0 / ms.sqrt();
        map.iter_mut().for_each(|v| *v *= s);
    }
}

/// `map` with every entry changed by `share` of its root mean square at random.
pub(crate) fn jitter(rng: &mut Random, map: &[f64], share: f64) -> Vec<f64> {
    let rms = (map.iter().map(|v| v * v).sum::<f64>() / map.len().max(1) as f64).sqrt();
    map.iter().map(|v| v + share * rms * normal(rng)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_are_where_the_names_say() {
        let at = |name: &str| {
            let (_, i, a) = CAP.iter().find(|c| c.0 == name).unwrap();
            position(*i, *a)
        };
        assert!(at("Fp1")[0] < 0.0 && at("Fp1")[1] > 0.9);
        assert!(at("T8")[0] > 0.99);
        assert!(at("Oz")[1] < -0.99);
        assert!((at("Cz")[2] - 1.0).abs() < 1e-12);
        for (name, i, a) in CAP {
            let norm: f64 = position(i, a).iter().map(|v| v * v).sum();
            assert!((norm - 1.0).abs() < 1e-12, "{name}");
            // Odd numbers lie left, even ones right, z on the midline.
            let x = position(i, a)[0];
            match name.chars().last().and_then(|c| c.to_digit(10)) {
                Some(d) if d % 2 == 1 => assert!(x < -0.1, "{name} {x}"),
                Some(_) => assert!(x > 0.1, "{name} {x}"),
                None => assert!(x.abs() < 1e-9, "{name} {x}"),
            }
        }
    }
}
