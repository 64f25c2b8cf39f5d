//! Properties of the kernels: lanes agree to the bit, filters are linear and without phase.

use mmpipe_signal::epochs::{cut, zscore, zscore_f32};
use mmpipe_signal::pipeline::{Conditioner, condition};
use mmpipe_signal::recipe::Recipe;
use mmpipe_signal::{Error, iir, resample};
use proptest::prelude::*;

/// White noise from a linear congruential generator, in microvolts about an offset.
fn noise(n: usize, seed: u64) -> Vec<f64> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    (0..n)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(99);
            (state >> 40) as f64 / 1e5 - 80.0
        })
        .collect()
}

fn bits(x: &[f64]) -> Vec<u64> {
    x.iter().map(|v| v.to_bits()).collect()
}

fn worst(a: &[f64], b: &[f64]) -> f64 {
    assert_eq!(a.len(), b.len());
    let scale = b.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    a.iter()
        .zip(b)
        .fold(0.0f64, |m, (a, b)| m.max((a - b).abs()))
        / scale
}

#[test]
fn a_channel_is_the_same_bits_in_any_company() {
    let recipe = Recipe::builtin("labram").expect("built in");
    let all: Vec<Vec<f64>> = (0..9).map(|c| noise(3000, c)).collect();
    let alone: Vec<Vec<f64>> = all
        .iter()
        .map(|c| {
            condition(&recipe, 512.0, vec![c.clone()])
                .expect("alone")
                .remove(0)
        })
        .collect();
    for count in 1..=all.len() {
        let together = condition(&recipe, 512.0, all[..count].to_vec()).expect("together");
        for (a, b) in together.iter().zip(&alone) {
            assert_eq!(bits(a), bits(b), "{count} channels");
        }
    }
    // Lane after lane: a channel does not care where it lies.
    let mut moved = all.clone();
    moved.rotate_left(1);
    let moved = condition(&recipe, 512.0, moved).expect("moved");
    assert_eq!(bits(&moved[0]), bits(&alone[1]));
    assert_eq!(bits(&moved[8]), bits(&alone[0]));
}

#[test]
fn the_fused_pass_equals_its_steps() {
    let recipe = Recipe::builtin("mindmix").expect("built in");
    // Longer and shorter than a block, and lengths about its end.
    for n in [28, 100, 511, 512, 513, 539, 540, 1024, 1030, 2000] {
        let x: Vec<Vec<f64>> = (0..3).map(|c| noise(n, c)).collect();
        let mut steps = x.clone();
        let sos = iir::butter(4, Some(1.0), Some(40.0), 250.0).expect("design");
        iir::sosfiltfilt_channels(&sos, &mut steps).expect("filter");
        let steps = resample::resample_poly_channels(&steps, 4, 5).expect("resample");
        assert_eq!(
            condition(&recipe, 250.0, x).expect("condition"),
            steps,
            "{n} samples"
        );
    }
}

#[test]
fn block_reads_equal_slices_and_errors_of_the_reader_come_through() {
    let recipe = Recipe::builtin("mindmix").expect("built in");
    let x: Vec<Vec<f64>> = (0..6).map(|c| noise(2500, c)).collect();
    let expected = condition(&recipe, 500.0, x.clone()).expect("slices");
    let mut conditioner = Conditioner::new(&recipe, 500.0).expect("design");
    let n_out = conditioner.output_len(2500);
    assert_eq!(n_out, 1000);
    let mut out = vec![vec![0.0f64; n_out]; 6];
    let mut views: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    let read = |first: usize, start: usize, block: &mut [&mut [f64]]| -> Result<(), Error> {
        for (k, to) in block.iter_mut().enumerate() {
            to.copy_from_slice(&x[first + k][start..start + to.len()]);
        }
        Ok(())
    };
    conditioner.run(2500, 6, read, &mut views).expect("blocks");
    assert_eq!(out, expected);
    let mut views: Vec<&mut [f64]> = out.iter_mut().map(Vec::as_mut_slice).collect();
    let failing = |_: usize, start: usize, _: &mut [&mut [f64]]| match start {
        0 => Ok(()),
        _ => Err(Error::Transform("disk gone".into())),
    };
    let failed = conditioner.run(2500, 6, failing, &mut views);
    assert_eq!(failed, Err(Error::Transform("disk gone".into())));
}

#[test]
fn zero_phase_a_pulse_stays_symmetric_about_its_place() {
    let recipe = Recipe::builtin("mindmix").expect("built in");
    let mut x = vec![0.0; 20_001];
    x[10_000] = 1.0;
    let y = condition(&recipe, 500.0, vec![x])
        .expect("condition")
        .remove(0);
    let centre = 4000;
    let peak = (0..y.len())
        .max_by(|a, b| y[*a].total_cmp(&y[*b]))
        .expect("a peak");
    assert_eq!(peak, centre);
    for k in 1..2000 {
        let difference = (y[centre - k] - y[centre + k]).abs();
        assert!(difference < 1e-9 * y[centre], "at {k}: {difference:e}");
    }
}

#[test]
fn gain_is_that_of_the_filter_applied_twice() {
    let sos = iir::butter(4, Some(1.0), Some(40.0), 500.0).expect("design");
    for (freq, gain) in [
        (10.0, 1.0),
        (1.0, 0.5),
        (40.0, 0.5),
        (0.1, 0.0),
        (120.0, 0.0),
    ] {
        let tone = |t: usize| (std::f64::consts::TAU * freq * t as f64 / 500.0).sin();
        let x: Vec<f64> = (0..40_000).map(tone).collect();
        let y = iir::sosfiltfilt(&sos, &x).expect("filter");
        let power = |x: &[f64]| x[10_000..30_000].iter().map(|v| v * v).sum::<f64>();
        let found = (power(&y) / power(&x)).sqrt();
        assert!((found - gain).abs() < 2e-4, "{freq} Hz: {found}");
    }
}

#[test]
fn bad_input_is_a_typed_error() {
    let recipe = Recipe::builtin("mindmix").expect("built in");
    let short = condition(&recipe, 500.0, vec![vec![0.0; 27]]);
    assert_eq!(
        short,
        Err(Error::TooShort {
            found: 27,
            padlen: 27
        })
    );
    assert!(condition(&recipe, 500.0, vec![vec![1.0; 28]]).is_ok());
    assert_eq!(condition(&recipe, 500.0, Vec::new()), Ok(Vec::new()));
    for bad in [f64::NAN, f64::INFINITY, f64::NEG_INFINITY] {
        let mut x = vec![vec![1.0; 2000]; 6];
        x[5][1717] = bad;
        let found = condition(&recipe, 500.0, x);
        assert_eq!(
            found,
            Err(Error::NotFinite {
                channel: 5,
                sample: 1717
            })
        );
    }
    let uneven = condition(&recipe, 500.0, vec![vec![0.0; 100], vec![0.0; 99]]);
    assert_eq!(
        uneven,
        Err(Error::Length {
            channel: 1,
            expected: 100,
            found: 99
        })
    );
    assert!(matches!(
        Conditioner::new(&recipe, 80.0),
        Err(Error::Frequency { .. })
    ));
    for rate in [0.0, -1.0, f64::NAN, f64::INFINITY] {
        assert!(matches!(
            Conditioner::new(&recipe, rate),
            Err(Error::Rate { .. })
        ));
    }
    assert!(iir::butter(4, Some(40.0), Some(1.0), 500.0).is_err());
    assert!(iir::butter(0, Some(1.0), None, 500.0).is_err());
    assert!(iir::butter(4, None, None, 500.0).is_err());
    assert!(resample::resample_poly(&[1.0], 0, 1).is_err());
    assert!(resample::resample_poly(&[1.0], 1, 60_000).is_err());
}

#[test]
fn ratios_are_exact_or_refused() {
    let cases = [
        (500.0, 200.0, (2, 5)),
        (512.0, 200.0, (25, 64)),
        (160.0, 200.0, (5, 4)),
        (200.0, 200.0, (1, 1)),
        (1000.0 / 3.0, 200.0, (3, 5)),
        (512.5, 200.0, (16, 41)),
        (2048.0, 200.0, (25, 256)),
        (44_100.0, 16_000.0, (160, 441)),
        (1.0 / 0.001_953_125, 200.0, (25, 64)),
        (249.887_5, 200.0, (16_000, 19_991)),
    ];
    for (from, to, expected) in cases {
        assert_eq!(resample::ratio(from, to), Ok(expected), "{from} to {to}");
    }
    let refused = resample::ratio(300.000_3, 200.0);
    assert!(matches!(refused, Err(Error::Ratio { .. })), "{refused:?}");
    assert!(resample::ratio(1e-300, 200.0).is_err());
    assert!(resample::ratio(1e300, 200.0).is_err());
}

#[test]
fn resampling_there_and_back_keeps_a_band_limited_signal() {
    let x: Vec<f64> = (0..4096)
        .map(|t| (t as f64 * 0.11).sin() + 0.5 * (t as f64 * 0.31).cos())
        .collect();
    for (up, down) in [(25, 64), (5, 4), (2, 5)] {
        let there = resample::resample_poly(&x, up, down).expect("there");
        let back = resample::resample_poly(&there, down, up).expect("back");
        let middle = 600..3400;
        // SciPy's default filter ripples by about 1e-3.
        let difference = worst(&back[middle.clone()], &x[middle]);
        assert!(difference < 4e-3, "{up}/{down}: {difference:e}");
    }
}

#[test]
fn zscore_has_mean_zero_and_population_std_one() {
    let mut x = noise(400, 3);
    let raw = x.clone();
    let mut stored = vec![0.0f32; 400];
    let stats = zscore_f32(&x, &mut stored);
    assert_eq!(zscore(&mut x), stats);
    assert!(!stats.flat);
    let mean = x.iter().sum::<f64>() / 400.0;
    let var = x.iter().map(|v| v * v).sum::<f64>() / 400.0;
    assert!(mean.abs() < 1e-12 && (var - 1.0).abs() < 1e-12);
    for ((z, s), r) in x.iter().zip(&stored).zip(&raw) {
        assert_eq!(*z as f32, *s);
        assert!((z * stats.std + stats.mean - r).abs() < 1e-9);
    }
    for flat in [vec![7.25; 400], vec![], vec![f64::NAN; 3]] {
        let mut x = flat.clone();
        assert!(zscore(&mut x).flat, "{:?}", flat.first());
        assert!(x.iter().all(|v| *v == 0.0));
    }
}

#[test]
fn a_constant_channel_is_flat_after_the_recipe() {
    let recipe = Recipe::builtin("mindmix").expect("built in");
    // 187.5 mV: the largest offset of common 24-bit amplifiers.
    let y = condition(&recipe, 2048.0, vec![vec![187_500.0; 40_960]]).expect("condition");
    for epoch in y[0].chunks(400) {
        let mut epoch = epoch.to_vec();
        let stats = zscore(&mut epoch);
        assert!(stats.flat, "std {:e}", stats.std);
    }
}

#[test]
fn cut_counts_every_sample() {
    let whole = cut(1001, 200.0, 2.0, None, None).expect("cut");
    assert_eq!(whole.epochs, [0..400, 400..800]);
    assert_eq!((whole.tail, whole.outside), (201, 0));
    let trial = cut(1001, 200.0, 2.0, Some(1.0024), Some(3.01)).expect("cut");
    assert_eq!(trial.epochs.first(), Some(&(200..600)));
    assert_eq!(trial.epochs.len(), 1);
    assert_eq!(trial.tail, 2);
    let late = cut(1001, 200.0, 2.0, Some(4.0), Some(60.0)).expect("cut");
    assert_eq!(
        (late.epochs.len(), late.tail, late.outside),
        (0, 201, 12_000 - 1001)
    );
    let early = cut(1001, 200.0, 2.0, Some(-1.0), Some(2.0)).expect("cut");
    assert_eq!(early.epochs.first(), Some(&(0..400)));
    assert_eq!((early.epochs.len(), early.tail, early.outside), (1, 0, 200));
    // 102.4 samples an epoch: starts follow time, not a sum of rounded lengths.
    let uneven = cut(10_300, 102.4, 1.0, None, None).expect("cut");
    assert_eq!(uneven.epochs.len(), 100);
    assert_eq!(uneven.epochs[99], 10_137..10_239);
    assert_eq!(uneven.tail, 100);
    assert!(cut(100, 200.0, 0.001, None, None).is_err());
    assert!(cut(100, 200.0, 2.0, Some(f64::NAN), None).is_err());
    assert!(cut(100, 200.0, 2.0, Some(3.0), Some(2.0)).is_err());
    assert!(cut(100, 0.0, 2.0, None, None).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn filtering_and_resampling_are_linear(
        n in 60usize..900, seed in 0u64..1000, a in -3.0f64..3.0,
        rate in prop::sample::select(vec![128.0, 160.0, 250.0, 500.0, 512.0]),
    ) {
        let recipe = Recipe::builtin("mindmix").expect("built in");
        let (x, y) = (noise(n, seed), noise(n, seed + 7));
        let sum: Vec<f64> = x.iter().zip(&y).map(|(x, y)| x + a * y).collect();
        let out = condition(&recipe, rate, vec![x, y, sum]).expect("condition");
        let expected: Vec<f64> = out[0].iter().zip(&out[1]).map(|(x, y)| x + a * y).collect();
        prop_assert!(worst(&out[2], &expected) < 1e-9);
    }

    #[test]
    fn a_shift_by_whole_periods_of_the_ratio_shifts_the_output(
        k in 1usize..8, seed in 0u64..1000,
    ) {
        // 64 samples at 512 Hz are 25 at 200 Hz.
        let x = noise(2000, seed);
        let y = resample::resample_poly(&x, 25, 64).expect("resample");
        let shifted = resample::resample_poly(&x[64 * k..], 25, 64).expect("resample");
        let (from, to) = (100, 400);
        prop_assert_eq!(bits(&y[from + 25 * k..to + 25 * k]), bits(&shifted[from..to]));
    }

    #[test]
    fn output_length_is_scipys(n in 0usize..5000, up in 1usize..40, down in 1usize..40) {
        let y = resample::resample_poly(&vec![1.0; n], up, down).expect("resample");
        prop_assert_eq!(y.len(), (n * up).div_ceil(down));
    }

    #[test]
    fn cut_never_overlaps_never_leaves_the_signal_and_loses_nothing(
        n in 0usize..5000, sfreq in 1.0f64..600.0, seconds in 0.5f64..4.0,
        start in -5.0f64..20.0, length in 0.0f64..30.0,
    ) {
        prop_assume!(sfreq * seconds >= 1.0);
        let stop = start + length;
        let cut = cut(n, sfreq, seconds, Some(start), Some(stop)).expect("cut");
        let size = (sfreq * seconds + 1e-6).floor() as usize;
        let first = (start * sfreq + 0.5).floor();
        let mut end = 0;
        for (k, e) in cut.epochs.iter().enumerate() {
            prop_assert!(e.start >= end && e.end <= n && e.len() == size);
            let ideal = first.max(0.0) + k as f64 * seconds * sfreq;
            prop_assert!((e.start as f64 - ideal).abs() <= 1.0);
            end = e.end;
        }
        let wanted = (stop * sfreq + 0.5).floor() - first;
        prop_assert_eq!(cut.epochs.len() * size + cut.tail + cut.outside, wanted as usize);
    }
}
