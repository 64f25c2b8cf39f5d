//! A run that is conditioned piece by piece against the same run in memory.

use mmpipe_signal::Error;
use mmpipe_signal::pipeline::Conditioner;
use mmpipe_signal::recipe::Recipe;
use proptest::prelude::*;

fn recipe(text: &str) -> Recipe {
    Recipe::parse(text).expect("a recipe")
}

fn named(name: &str) -> Recipe {
    Recipe::builtin(name).expect("a recipe")
}

/// Channels with an offset, a slow drift, and noise from a small generator.
fn signals(n: usize, channels: usize, seed: u64) -> Vec<Vec<f64>> {
    (0..channels)
        .map(|c| {
            let mut state = seed.wrapping_mul(2 * c as u64 + 3) | 1;
            (0..n)
                .map(|t| {
                    state ^= state << 13;
                    state ^= state >> 7;
                    state ^= state << 17;
                    let noise = (state >> 11) as f64 / (1u64 << 53) as f64 - 0.5;
                    187.5 + 40.0 * (t as f64 / 900.0).sin() + 60.0 * noise
                })
                .collect()
        })
        .collect()
}

fn whole(conditioner: &mut Conditioner, x: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let n = x.first().map_or(0, Vec::len);
    let mut out = vec![vec![0.0; conditioner.output_len(n)]; x.len()];
    let views: Vec<&[f64]> = x.iter().map(Vec::as_slice).collect();
    let mut to: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    conditioner.run_slices(&views, &mut to).expect("a run");
    out
}

fn pieces(conditioner: &Conditioner, x: &[Vec<f64>], piece: usize) -> Vec<Vec<f64>> {
    let n = x.first().map_or(0, Vec::len);
    let mut stream = conditioner.stream(n, x.len(), piece).expect("a stream");
    let mut out = vec![Vec::new(); x.len()];
    let mut asked = vec![0; x.len()];
    loop {
        let before = out.first().map_or(0, Vec::len);
        let given = stream
            .advance(
                |first, start, block: &mut [&mut [f64]]| -> Result<(), Error> {
                    for (k, to) in block.iter_mut().enumerate() {
                        assert_eq!(asked[first + k], start, "each sample once, in order");
                        asked[first + k] += to.len();
                        to.copy_from_slice(&x[first + k][start..start + to.len()]);
                    }
                    Ok(())
                },
                &mut out,
            )
            .expect("a piece");
        let Some(given) = given else { break };
        assert!(out.iter().all(|c| c.len() == before + given));
    }
    assert!(asked.iter().all(|a| *a == n));
    out
}

fn largest_difference(a: &[Vec<f64>], b: &[Vec<f64>]) -> f64 {
    let mut most = 0.0_f64;
    assert_eq!(a.len(), b.len());
    for (a, b) in a.iter().zip(b) {
        assert_eq!(a.len(), b.len());
        for (a, b) in a.iter().zip(b) {
            most = most.max((a - b).abs());
        }
    }
    most
}

#[test]
fn pieces_give_what_the_whole_run_gives() {
    for (name, sfreq, n) in [
        ("mindmix", 256.0, 40_001),
        ("mindmix", 200.0, 30_000),
        ("mindmix", 1000.0, 90_013),
        ("labram", 250.0, 120_000),
        ("cbramod", 512.0, 100_003),
    ] {
        let mut conditioner = Conditioner::new(&named(name), sfreq).expect("filters");
        let x = signals(n, 5, 7);
        let want = whole(&mut conditioner, &x);
        for piece in [1777, 30_000] {
            let found = pieces(&conditioner, &x, piece);
            let worst = largest_difference(&want, &found);
            // The signal is some 200 µV.
            assert!(worst < 1e-8, "{name} at {sfreq} Hz by {piece}: {worst}");
        }
    }
}

#[test]
fn one_piece_is_the_same_to_the_bit() {
    let mut conditioner = Conditioner::new(&named("mindmix"), 512.0).expect("filters");
    let x = signals(5000, 6, 3);
    let want = whole(&mut conditioner, &x);
    assert_eq!(pieces(&conditioner, &x, 1 << 20), want);
}

#[test]
fn how_long_a_filter_remembers() {
    // A pole pair of a 4th-order Butterworth high-pass at 1 Hz decays by exp(-2 pi 0.38 t).
    let conditioner = Conditioner::new(&named("mindmix"), 500.0).expect("filters");
    let seconds = conditioner
        .stream(10_000, 1, 100)
        .expect("a stream")
        .settle() as f64
        / 500.0;
    assert!((14.0..25.0).contains(&seconds), "{seconds} s");
}

#[test]
fn what_is_not_finite_or_too_short_is_refused() {
    let conditioner = Conditioner::new(&named("mindmix"), 500.0).expect("filters");
    let short = conditioner.min_len() - 1;
    assert!(matches!(
        conditioner.stream(short, 1, 100),
        Err(Error::TooShort { found, .. }) if found == short
    ));
    let mut stream = conditioner.stream(5000, 1, 100).expect("a stream");
    let mut out = vec![Vec::new()];
    let found = stream.advance(
        |_, start, block: &mut [&mut [f32]]| -> Result<(), Error> {
            for (i, v) in block[0].iter_mut().enumerate() {
                *v = if start + i == 700 { f32::NAN } else { 1.0 };
            }
            Ok(())
        },
        &mut out,
    );
    assert!(matches!(
        found,
        Err(Error::NotFinite {
            channel: 0,
            sample: 700
        })
    ));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]
    #[test]
    fn pieces_of_any_length(
        n in 30usize..4000,
        piece in 1usize..3000,
        channels in 1usize..7,
        rate in prop::sample::select(vec![128.0, 200.0, 250.0, 256.0, 333.0]),
        seed in any::<u64>(),
    ) {
        // Nothing below 30 Hz is cut away, so the filter forgets within a piece or two.
        let recipe = recipe(
            "name = \"fast\"\nversion = 1\nsource = \"a test\"\nsfreq = 200.0\nl_freq = 30.0\nh_freq = 45.0\norder = 2\nepoch_seconds = 2.0\nnormalise = \"zscore\"\n[audio]\nsfreq = 16000\nsegment_seconds = 2.0\nnormalise = \"peak\"\n",
        );
        let mut conditioner = Conditioner::new(&recipe, rate).expect("filters");
        prop_assume!(n >= conditioner.min_len());
        let x = signals(n, channels, seed);
        let want = whole(&mut conditioner, &x);
        let found = pieces(&conditioner, &x, piece);
        prop_assert!(largest_difference(&want, &found) < 1e-9);
    }
}
