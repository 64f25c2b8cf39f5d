//! Sound: exact lengths, no delay, no aliases, the same result for any block size; envelopes.

use mmpipe_signal::audio::{ToMono16k, envelope, output_len, peak_normalise, to_16k_mono};

fn tone(n: usize, sfreq: f64, hz: f64) -> Vec<f32> {
    let sample = |t: usize| 0.5 * (std::f64::consts::TAU * hz * t as f64 / sfreq).sin();
    (0..n).map(|t| sample(t) as f32).collect()
}

/// Root mean square of the difference to a tone at 16 kHz, away from the ends, in dB of the tone.
fn error_db(y: &[f32], hz: f64) -> f64 {
    let ideal = tone(y.len(), 16_000.0, hz);
    let inner = 2000..y.len() - 2000;
    let power = |x: &mut dyn Iterator<Item = f64>| x.map(|v| v * v).sum::<f64>();
    let difference = inner.clone().map(|t| f64::from(y[t]) - f64::from(ideal[t]));
    let noise = power(&mut { difference });
    let signal = power(&mut inner.map(|t| f64::from(ideal[t])));
    10.0 * (noise / signal).log10()
}

#[test]
fn lengths_are_exact_and_tones_arrive_in_time() {
    for sfreq in [
        8000, 11_025, 16_000, 22_050, 32_000, 44_100, 48_000, 96_000, 44_099,
    ] {
        for extra in [0, 1, 777] {
            let n = sfreq as usize + extra;
            let y = to_16k_mono(&[tone(n, f64::from(sfreq), 1000.0)], sfreq).expect("resample");
            let exact = (n as f64 * 16_000.0 / f64::from(sfreq)).round();
            assert_eq!(y.len() as f64, exact, "{sfreq} Hz, {n} frames");
            // A delay of 0.18 samples would leave -23 dB here.
            let db = error_db(&y, 1000.0);
            assert!(db < -90.0, "{sfreq} Hz: {db} dB");
        }
    }
    assert_eq!(output_len(0, 44_100), 0);
    assert_eq!(output_len(u64::MAX / 2, 16_000), u64::MAX / 2);
    for n in [0, 1, 5, 300] {
        let y = to_16k_mono(&[vec![0.25; n]], 48_000).expect("short");
        assert_eq!(y.len() as u64, output_len(n as u64, 48_000), "{n} frames");
    }
}

/// rubato's transform resampler with a sinc of `sinc` samples, what it makes before the first
/// sample of the result dropped.
fn rubato<T: rubato::Sample>(x: &[f32], sfreq: usize, sinc: usize) -> Vec<T> {
    use rubato::audioadapter_buffers::direct::InterleavedSlice;
    use rubato::{Fft, FixedSync, Indexing, Resampler, WindowFunction};
    let window = WindowFunction::BlackmanHarris2;
    let mut fft: Fft<T> =
        Fft::new_custom(sfreq, 16_000, sinc, 1, 1, window, FixedSync::Input).expect("rates");
    let (mut made, mut out) = (vec![T::zero(); fft.output_frames_max()], Vec::new());
    let padded = x
        .iter()
        .map(|v| T::coerce(*v))
        .chain(std::iter::repeat_n(T::zero(), 2 * sinc));
    for block in padded.collect::<Vec<T>>().chunks_exact(sinc) {
        let input = InterleavedSlice::new(block, 1, sinc).expect("size");
        let room = made.len();
        let mut to = InterleavedSlice::new_mut(&mut made, 1, room).expect("size");
        let (_, n) = fft
            .process_into_buffer(&input, &mut to, None::<&Indexing>)
            .expect("block");
        out.extend_from_slice(&made[..n]);
    }
    out.split_off(fft.output_delay())
}

#[test]
fn every_sample_is_nearer_to_rubato_in_f64_than_rubato_in_f32_is() {
    let mut state = 1u64;
    let noise: Vec<f32> = std::iter::repeat_with(|| {
        state = state
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1);
        (state >> 40) as f32 / 8_388_608.0 - 1.0
    })
    .take(60_001)
    .collect();
    // The sinc of each rate: 1,024 samples or more, an even multiple of the smallest ratio. That
    // of 44,099 Hz is so long that a block is no longer than it.
    let sincs = [
        (8000, 1024),
        (11_025, 1764),
        (44_100, 1764),
        (48_000, 1026),
        (44_099, 88_198),
    ];
    for (sfreq, sinc) in sincs {
        for n in [60_001, 5_000, 3] {
            let y = to_16k_mono(&[noise[..n].to_vec()], sfreq as u32).expect("resample");
            let exact: Vec<f64> = rubato(&noise[..n], sfreq, sinc);
            let most = |made: &[f32]| {
                let errors = made
                    .iter()
                    .zip(&exact)
                    .map(|(a, b)| (f64::from(*a) - b).abs());
                errors.fold(0.0, f64::max)
            };
            let (ours, its) = (most(&y), most(&rubato::<f32>(&noise[..n], sfreq, sinc)));
            // A step of 16-bit sound is 3e-5.
            assert!(
                ours < its.min(1e-5),
                "{sfreq} Hz, {n} frames: {ours:e}, rubato {its:e}"
            );
            assert!(!y.is_empty() && y.len() <= exact.len());
        }
    }
}

#[test]
fn what_16_khz_cannot_hold_is_gone() {
    for hz in [8600.0, 12_000.0, 20_000.0] {
        let y = to_16k_mono(&[tone(88_200, 44_100.0, hz)], 44_100).expect("resample");
        let inner = &y[2000..y.len() - 2000];
        let peak = inner.iter().fold(0.0f32, |m, v| m.max(v.abs()));
        assert!(peak < 0.5e-4, "{hz} Hz leaves {peak}");
    }
}

#[test]
fn block_size_does_not_matter_and_channels_are_averaged() {
    let (left, right) = (tone(50_000, 44_100.0, 440.0), tone(50_000, 44_100.0, 900.0));
    let whole = to_16k_mono(&[left.clone(), right.clone()], 44_100).expect("whole");
    let interleaved: Vec<f32> = left
        .iter()
        .zip(&right)
        .flat_map(|(l, r)| [*l, *r])
        .collect();
    for frames in [1, 100, 1152, 50_000] {
        let mut converter = ToMono16k::new(44_100, 2).expect("converter");
        for block in interleaved.chunks(2 * frames) {
            converter.push(block).expect("push");
        }
        assert_eq!(converter.finish(), whole, "blocks of {frames}");
    }
    let mean: Vec<f32> = left
        .iter()
        .zip(&right)
        .map(|(l, r)| (l + r) * 0.5)
        .collect();
    assert_eq!(to_16k_mono(&[mean], 44_100).expect("mean"), whole);
    assert_eq!(
        to_16k_mono(std::slice::from_ref(&left), 16_000).expect("as it is"),
        left
    );
}

#[test]
fn bad_sound_is_refused() {
    assert!(ToMono16k::new(0, 1).is_err());
    assert!(ToMono16k::new(44_100, 0).is_err());
    assert!(ToMono16k::new(u32::MAX, 1).is_err());
    assert!(to_16k_mono(&[], 44_100).is_err());
    assert!(to_16k_mono(&[vec![0.0; 5], vec![0.0; 4]], 44_100).is_err());
    let mut converter = ToMono16k::new(44_100, 2).expect("converter");
    assert!(converter.push(&[0.0; 3]).is_err());
}

#[test]
fn peaks() {
    let mut x = [0.1, -0.5, 0.25];
    assert_eq!(peak_normalise(&mut x), 0.5);
    assert_eq!(x, [0.2, -1.0, 0.5]);
    let mut silence = [0.0; 4];
    assert_eq!(peak_normalise(&mut silence), 0.0);
    assert_eq!(silence, [0.0; 4]);
    assert!(peak_normalise(&mut [1.0, f32::NAN, 2.0]).is_nan());
    assert_eq!(peak_normalise(&mut []), 0.0);
}

#[test]
fn envelope_follows_the_modulation_without_delay() {
    // Noise modulated at 4 Hz: the envelope must have its maxima where the modulator has.
    let n = 16_000 * 8;
    let mut state = 1u64;
    let modulator = |t: f64| 0.55 - 0.45 * (std::f64::consts::TAU * 4.0 * t).cos();
    let x: Vec<f32> = (0..n)
        .map(|t| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            let white = (state >> 40) as f64 / f64::from(1 << 23) - 1.0;
            (0.3 * white * modulator(t as f64 / 16_000.0)) as f32
        })
        .collect();
    let y = envelope(&x, 16_000.0, 64.0).expect("envelope");
    assert_eq!(y.len(), 512);
    assert!(y.iter().all(|v| *v >= 0.0));
    let (mut re, mut im, mut dc) = (0.0, 0.0, 0.0);
    for (j, v) in y.iter().enumerate() {
        let angle = std::f64::consts::TAU * 4.0 * j as f64 / 64.0;
        re += f64::from(*v) * angle.cos();
        im += f64::from(*v) * angle.sin();
        dc += f64::from(*v);
    }
    let delay_ms = im.atan2(re) + std::f64::consts::PI;
    let delay_ms = (delay_ms.sin()).asin() / (std::f64::consts::TAU * 4.0) * 1e3;
    assert!(delay_ms.abs() < 4.0, "delay {delay_ms} ms");
    assert!(re < 0.0, "maxima lie opposite the modulator's");
    let depth = 2.0 * (re * re + im * im).sqrt() / dc;
    assert!(depth > 0.35, "depth {depth}");
    // Compression by a power of 0.6: twice the amplitude is 2^0.6 the envelope.
    let loud: Vec<f32> = x.iter().map(|v| 2.0 * v).collect();
    let loud = envelope(&loud, 16_000.0, 64.0).expect("envelope");
    for (a, b) in y.iter().zip(&loud).skip(8).take(480) {
        assert!((b / a - 2f32.powf(0.6)).abs() < 1e-3, "{a} {b}");
    }
}

#[test]
fn envelope_of_silence_and_of_bad_rates() {
    assert_eq!(envelope(&[0.0; 1600], 16_000.0, 64.0), Ok(vec![0.0; 7]));
    assert_eq!(envelope(&[], 16_000.0, 64.0), Ok(vec![]));
    assert!(envelope(&[0.0; 100], 16_000.0, 48_000.0).is_err());
    assert!(envelope(&[0.0; 100], 100.0, 64.0).is_err());
    assert!(envelope(&[0.0; 100], f64::NAN, 64.0).is_err());
}
