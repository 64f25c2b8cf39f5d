//! Recipes parse, hash and refuse; spectra and the noise control keep what they promise.

use mmpipe_signal::recipe::{self, Normalise, Recipe};
use mmpipe_signal::spectrum::{BANDS, Phases, bandpower, log_bandpowers, phase_randomise, welch};

#[test]
fn built_in_recipes_are_what_the_papers_say() {
    assert_eq!(recipe::names(), ["mindmix", "labram", "cbramod"]);
    for name in recipe::names() {
        let r = Recipe::builtin(name).expect(name);
        assert_eq!(r.name, name);
        assert_eq!(
            (r.sfreq, r.epoch_seconds, r.epoch_samples()),
            (200.0, 2.0, 400)
        );
        assert_eq!((r.audio.sfreq, r.audio.segment_seconds), (16_000, 2.0));
    }
    let r = Recipe::builtin("mindmix").expect("mindmix");
    assert_eq!(
        (r.l_freq, r.h_freq, r.order, r.notch),
        (Some(1.0), Some(40.0), 4, None)
    );
    assert_eq!(r.normalise, Normalise::Zscore);
    let r = Recipe::builtin("labram").expect("labram");
    assert_eq!(
        (r.l_freq, r.h_freq, r.notch),
        (Some(0.1), Some(75.0), Some(50.0))
    );
    assert_eq!(r.normalise, Normalise::Divide(100.0));
    assert_eq!(Recipe::builtin("nobody"), None);
}

fn text() -> String {
    let path = concat!(
        env!("CARGO_MANIFEST_DIR"),
        "/../../schemas/recipes/mindmix.toml"
    );
    std::fs::read_to_string(path).expect("mindmix.toml")
}

#[test]
fn the_hash_changes_with_the_numbers_and_with_nothing_else() {
    let base = Recipe::parse(&text()).expect("parses");
    let hash = base.hash();
    assert_eq!(hash.len(), 16);
    assert!(hash.chars().all(|c| c.is_ascii_hexdigit()));
    let reworded = text().replace("MindMix, appendix", "The MindMix paper, appendix");
    let reworded = format!("# a comment\n{}", reworded.replace("1.0", "1.000"));
    assert_eq!(Recipe::parse(&reworded).expect("parses").hash(), hash);
    for (from, to) in [
        ("l_freq = 1.0", "l_freq = 1.5"),
        ("h_freq = 40.0", "h_freq = 45.0"),
        ("order = 4", "order = 2"),
        ("sfreq = 200.0", "sfreq = 250.0"),
        ("epoch_seconds = 2.0", "epoch_seconds = 1.0"),
        ("version = 1", "version = 2"),
        ("normalise = \"zscore\"", "normalise = { divide = 100.0 }"),
        ("order = 4", "order = 4\nnotch = 50.0"),
        ("sfreq = 16000", "sfreq = 24000"),
        ("segment_seconds = 2.0", "segment_seconds = 4.0"),
        ("\"peak\"", "\"none\""),
        ("name = \"mindmix\"", "name = \"mindmix2\""),
    ] {
        let changed = text().replacen(from, to, 1);
        assert_ne!(changed, text(), "{from}");
        assert_ne!(Recipe::parse(&changed).expect(to).hash(), hash, "{to}");
    }
}

#[test]
fn a_bad_recipe_names_its_field() {
    for (from, to, expected) in [
        ("l_freq = 1.0", "l_freq = 50.0", "l_freq"),
        ("l_freq = 1.0", "l_freq = -1.0", "l_freq"),
        ("h_freq = 40.0", "h_freq = nan", "h_freq"),
        ("h_freq = 40.0", "h_freq = 101.0", "h_freq"),
        ("order = 4", "order = 0", "order"),
        ("order = 4", "order = \"four\"", "order"),
        ("order = 4", "ordr = 4", "ordr"),
        ("sfreq = 200.0", "sfreq = 0.0", "sfreq"),
        (
            "epoch_seconds = 2.0",
            "epoch_seconds = 0.001",
            "epoch_seconds",
        ),
        ("name = \"mindmix\"", "name = \"../up\"", "name"),
        (
            "normalise = \"zscore\"",
            "normalise = \"rank\"",
            "normalise",
        ),
        ("sfreq = 16000", "sfreq = 0", "audio.sfreq"),
        ("version = 1", "", "version"),
    ] {
        let error = Recipe::parse(&text().replacen(from, to, 1)).expect_err(to);
        let message = error.to_string();
        assert!(message.contains(expected), "{to}: {message}");
    }
    assert!(Recipe::parse("").is_err());
    assert!(Recipe::parse("\u{0}").is_err());
}

fn tone(n: usize, hz: f64, amplitude: f64) -> Vec<f64> {
    let sample = |t: usize| amplitude * (std::f64::consts::TAU * hz * t as f64 / 200.0).sin();
    (0..n).map(sample).collect()
}

#[test]
fn a_tone_has_half_its_squared_amplitude_in_its_band_alone() {
    let x = tone(2000, 10.0, 6.0);
    assert!((bandpower(&x, 200.0, 8.0, 13.0) - 18.0).abs() < 1e-9);
    for (name, lo, hi) in BANDS {
        let power = bandpower(&x, 200.0, lo, hi);
        assert!(name == "alpha" || power < 1e-12, "{name}: {power}");
    }
    let logs = log_bandpowers(&x, 200.0);
    assert!((logs[2] - 18f64.ln()).abs() < 1e-9);
    assert!(
        log_bandpowers(&[0.0; 400], 200.0)
            .iter()
            .all(|v| v.is_finite())
    );
    assert!(bandpower(&[], 200.0, 1.0, 4.0).is_nan());
    assert!(bandpower(&x, f64::NAN, 1.0, 4.0).is_nan());
    assert!(welch(&x, 200.0, 0).is_err());
}

/// Low-passed noise: a spectrum with a slope and without lines (the phase of a line would be its
/// whole shape).
fn epoch(channels: usize, n: usize) -> Vec<f32> {
    let (mut state, mut level) = (5u64, 0.0);
    (0..channels * n)
        .map(|_| {
            state = state
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1);
            level = 0.7 * level + (state >> 40) as f64 / f64::from(1 << 23) - 1.0;
            level as f32
        })
        .collect()
}

/// Amplitude spectrum of one channel by the definition.
fn amplitudes(x: &[f32]) -> Vec<f64> {
    let n = x.len();
    (0..=n / 2)
        .map(|k| {
            let angle = |t: usize| std::f64::consts::TAU * (k * t % n) as f64 / n as f64;
            let part = |f: fn(f64) -> f64| -> f64 {
                x.iter()
                    .enumerate()
                    .map(|(t, v)| f64::from(*v) * f(angle(t)))
                    .sum()
            };
            part(f64::cos).hypot(part(f64::sin))
        })
        .collect()
}

fn correlation(a: &[f32], b: &[f32]) -> f64 {
    let dot = |a: &[f32], b: &[f32]| -> f64 {
        a.iter()
            .zip(b)
            .map(|(x, y)| f64::from(*x) * f64::from(*y))
            .sum()
    };
    dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
}

#[test]
fn phase_randomised_epochs_keep_their_spectrum_and_nothing_else() {
    for n in [400, 399] {
        for phases in [Phases::Independent, Phases::Shared] {
            let original = epoch(3, n);
            let mut noise = original.clone();
            phase_randomise(&mut noise, 3, 7, 42, phases).expect("randomise");
            for (a, b) in original.chunks(n).zip(noise.chunks(n)) {
                let (before, after) = (amplitudes(a), amplitudes(b));
                let peak = before.iter().fold(0.0f64, |m, v| m.max(*v));
                for (x, y) in before.iter().zip(&after) {
                    assert!((x - y).abs() < 1e-5 * peak, "{phases:?} {n}: {x} {y}");
                }
                assert!(
                    correlation(a, b).abs() < 0.4,
                    "{phases:?}: still the same signal"
                );
            }
        }
    }
}

#[test]
fn shared_phases_keep_the_relation_of_channels_and_independent_ones_break_it() {
    let one = epoch(1, 400);
    let twice: Vec<f32> = one.iter().chain(&one).copied().collect();
    let mut shared = twice.clone();
    phase_randomise(&mut shared, 2, 1, 1, Phases::Shared).expect("shared");
    assert!(correlation(&shared[..400], &shared[400..]) > 0.999_999);
    let mut apart = twice;
    phase_randomise(&mut apart, 2, 1, 1, Phases::Independent).expect("independent");
    assert!(correlation(&apart[..400], &apart[400..]).abs() < 0.4);
}

#[test]
fn noise_is_a_function_of_seed_and_epoch() {
    let draw = |seed, epoch_id| {
        let mut x = epoch(2, 400);
        phase_randomise(&mut x, 2, seed, epoch_id, Phases::Independent).expect("randomise");
        x
    };
    assert_eq!(draw(1, 2), draw(1, 2));
    assert_ne!(draw(1, 2), draw(2, 2));
    assert_ne!(draw(1, 2), draw(1, 3));
    assert!(phase_randomise(&mut [0.0; 7], 2, 0, 0, Phases::Shared).is_err());
    assert!(phase_randomise(&mut [0.0; 7], 0, 0, 0, Phases::Shared).is_err());
    assert_eq!(phase_randomise(&mut [], 2, 0, 0, Phases::Shared), Ok(()));
}
