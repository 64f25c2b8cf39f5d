//! The envelope decoder: against scikit-learn, by its properties, and on planted attention.

use mmpipe_eval::attention::{
    Control, Decoder, Factor, Favoured, Moments, Options, Preference, Trial, choose, control,
    correlation, decode, standardise,
};
use proptest::prelude::*;
use serde::Deserialize;

#[derive(Deserialize)]
struct Vectors {
    sfreq: f64,
    lag_seconds: f64,
    lambdas: Vec<f64>,
    window: f64,
    trials: Vec<RawTrial>,
    decoded: Vec<Reference>,
    first: Vec<f64>,
    second: Vec<f64>,
}

#[derive(Deserialize)]
struct RawTrial {
    eeg: Vec<Vec<f64>>,
    streams: Vec<Vec<f64>>,
    attended: usize,
}

#[derive(Deserialize)]
struct Reference {
    lam: f64,
    means: Vec<f64>,
    #[serde(default)]
    weights: Vec<f64>,
    #[serde(default)]
    made: Vec<f64>,
    correlations: Vec<f64>,
    windows: Vec<Vec<f64>>,
}

/// tests/fixtures/attention.py made the numbers.
fn vectors() -> (Vectors, Vec<Trial>, Options) {
    let v: Vectors = serde_json::from_str(include_str!("fixtures/attention.json")).unwrap();
    let trials = v.trials.iter().enumerate().map(|(k, t)| Trial {
        name: format!("trial {k}"),
        eeg: t.eeg.clone(),
        streams: t.streams.clone(),
        attended: t.attended,
    });
    let trials = trials.collect();
    let options = Options {
        lag_seconds: v.lag_seconds,
        lambdas: v.lambdas.clone(),
        windows: vec![v.window],
        ..Options::new(v.sfreq)
    };
    (v, trials, options)
}

fn standard(rows: &[Vec<f64>]) -> Vec<Vec<f64>> {
    let mut rows = rows.to_vec();
    rows.iter_mut().for_each(|r| standardise(r));
    rows
}

#[track_caller]
fn close(found: &[f64], expected: &[f64]) {
    assert_eq!(found.len(), expected.len());
    for (a, b) in found.iter().zip(expected) {
        assert!((a - b).abs() < 1e-9, "{a} {b}");
    }
}

#[test]
fn weights_choice_and_scores_agree_with_scikit_learn() {
    let (v, trials, options) = vectors();
    let lags = options.lags().unwrap();
    let sums = |t: &Trial| Moments::of(&standard(&t.eeg), &standard(&t.streams), lags).unwrap();
    let moments: Vec<Moments> = trials.iter().map(sums).collect();
    for (out, reference) in v.decoded.iter().enumerate() {
        let others: Vec<(&Moments, usize)> = (0..trials.len())
            .filter(|k| *k != out)
            .map(|k| (&moments[k], trials[k].attended))
            .collect();
        let choice = choose(&others, &v.lambdas, 10).unwrap();
        assert_eq!(choice.lambda, reference.lam);
        close(&choice.correlations, &reference.means);
        if out == 0 {
            let decoder = Decoder::fit(&Moments::pool(&others).unwrap(), 0, choice.lambda).unwrap();
            close(&decoder.weights, &reference.weights);
            close(
                &decoder.reconstruct(&standard(&trials[0].eeg)).unwrap(),
                &reference.made,
            );
        }
    }
    let decoded = decode(&trials, &options).unwrap();
    for (found, reference) in decoded.trials.iter().zip(&v.decoded) {
        assert_eq!(found.lambda, reference.lam);
        close(&found.correlations, &reference.correlations);
    }
    let right = |r: &Vec<f64>, k: usize| r[v.trials[k].attended] > r[1 - v.trials[k].attended];
    let windows = v.decoded.iter().enumerate();
    let correct: usize = windows
        .map(|(k, d)| d.windows.iter().filter(|r| right(r, k)).count())
        .sum();
    let all: usize = v.decoded.iter().map(|d| d.windows.len()).sum();
    let found = &decoded.windows[0];
    assert_eq!((found.correct, found.windows), (correct as u64, all as u64));
    assert_eq!(found.seconds, Some(v.window));
    let whole = v.decoded.iter().enumerate();
    let whole = whole.filter(|(k, d)| right(&d.correlations, *k)).count() as u64;
    assert_eq!(decoded.windows[1].correct, whole);
    assert_eq!(decoded.windows[1].seconds, None);

    let mut preference = Preference::new(options);
    let one = preference.add("all", &trials).unwrap();
    let mean = |x: &[f64]| x.iter().sum::<f64>() / x.len() as f64;
    close(&[one.first, one.second], &[mean(&v.first), mean(&v.second)]);
}

/// Uniform in [-1, 1), the same everywhere.
struct Noise(u64);

impl Noise {
    fn new(seed: u64) -> Self {
        Self(seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }
    fn next(&mut self) -> f64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 >> 11) as f64 / (1u64 << 52) as f64 - 1.0
    }
}

const SFREQ: f64 = 20.0;

/// Trials of `seconds` s at 20 Hz, six channels: a response of 50 to 250 ms to the attended
/// stream and to the other, each with its weight, in noise of size 3.
fn listener(trials: usize, seconds: usize, weights: (f64, f64), seed: u64) -> Vec<Trial> {
    listener_in_noise(3.0, trials, seconds, weights, seed)
}

fn listener_in_noise(
    size: f64,
    trials: usize,
    seconds: usize,
    weights: (f64, f64),
    seed: u64,
) -> Vec<Trial> {
    let mut noise = Noise::new(seed);
    let n = seconds * SFREQ as usize;
    let kernel = [0.0, 0.7, -1.0, 0.1, 0.9, 0.3];
    let mut out = Vec::new();
    for k in 0..trials {
        let mut stream = || -> Vec<f64> {
            let mut level = 0.0;
            let step = |_: usize| {
                level = 0.6 * level + noise.next();
                level
            };
            (0..n).map(step).collect()
        };
        let streams = vec![stream(), stream()];
        let attended = k % 2;
        let eeg = (0..6)
            .map(|c| {
                let gain = (f64::from(c) - 2.2) / 3.0;
                (0..n)
                    .map(|t| {
                        let heard = |s: &Vec<f64>| -> f64 {
                            let term = |l: usize| kernel[l] * s[t.saturating_sub(l)];
                            (0..kernel.len()).map(term).sum()
                        };
                        let of = |s: usize, w: f64| w * heard(&streams[s]);
                        gain * (of(attended, weights.0) + of(1 - attended, weights.1))
                            + size * noise.next()
                    })
                    .collect()
            })
            .collect();
        out.push(Trial {
            name: k.to_string(),
            eeg,
            streams,
            attended,
        });
    }
    out
}

fn options() -> Options {
    Options::new(SFREQ)
}

#[test]
fn planted_attention_is_found_and_controls_are_at_chance() {
    let trials = listener_in_noise(7.0, 20, 40, (1.0, 0.4), 1);
    let found = decode(&trials, &options()).unwrap();
    let of = |d: &mmpipe_eval::attention::Decoded, seconds: Option<f64>| {
        let w = d.windows.iter().find(|w| w.seconds == seconds).unwrap();
        (w.clone(), w.accuracy.unwrap())
    };
    let (two, two_seconds) = of(&found, Some(2.0));
    assert_eq!((two.windows, two.chance), (400, 0.5));
    // Binomial, 400 windows: 0.5 + 5 standard errors is 0.625.
    assert!(two_seconds > 0.7, "{two_seconds}");
    let interval = two.interval.unwrap();
    assert!(interval.low > 0.6 && interval.high < 0.99, "{interval:?}");
    assert_eq!((interval.unit.as_str(), interval.units), ("trial", 20));
    // Longer windows are easier; the last two hold one window a trial.
    let (ten, ten_seconds) = of(&found, Some(10.0));
    assert_eq!(ten.windows, 80);
    assert!(ten_seconds > two_seconds, "{ten_seconds} {two_seconds}");
    let (whole, share) = of(&found, None);
    assert_eq!((whole.windows, share), (20, 1.0));
    assert_eq!(of(&found, Some(40.0)).0.windows, 20);

    // 400 windows, of which those of a trial may hang together: at worst 20 tries of 0.5, so
    // three standard errors are 0.34, and 0.1 is 4 of independent windows.
    let turned = control(&trials, Control::Turned, &options()).unwrap();
    let (_, noise) = of(&turned, Some(2.0));
    assert!((0.4..0.6).contains(&noise), "{noise}");
    // 200 labels thrown like coins: four standard errors are 0.14.
    let shuffled = control(&trials, Control::Shuffled(10), &options()).unwrap();
    let (pool, chance) = of(&shuffled, None);
    assert_eq!(pool.windows, 200);
    assert!((0.36..0.64).contains(&chance), "{chance}");
    let (_, chance) = of(&shuffled, Some(2.0));
    assert!((0.36..0.64).contains(&chance), "{chance}");
    assert_eq!(
        shuffled,
        control(&trials, Control::Shuffled(10), &options()).unwrap()
    );
}

#[test]
fn nothing_is_found_where_nothing_is_planted() {
    let trials = listener(20, 40, (0.0, 0.0), 2);
    let found = decode(&trials, &options()).unwrap();
    let two = found.windows[0].accuracy.unwrap();
    assert!((0.42..0.58).contains(&two), "{two}");
}

/// Results of one thread and of several are the same to the bit.
#[test]
fn threads_do_not_matter() {
    let trials = listener(8, 20, (1.0, 0.4), 3);
    let run = |threads: usize| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| {
            let bits: Vec<u64> = decode(&trials, &options())
                .unwrap()
                .trials
                .iter()
                .flat_map(|t| t.correlations.iter().map(|r| r.to_bits()))
                .collect();
            bits
        })
    };
    assert_eq!(run(1), run(3));
}

#[test]
fn the_attended_stream_of_a_data_set_is_told_without_labels() {
    let verdict = |weights: (f64, f64), swap: bool, recordings: usize| {
        let mut preference = Preference::new(options());
        for r in 0..recordings {
            let mut trials = listener(8, 30, weights, 10 + r as u64);
            for t in &mut trials {
                // The order asked about: the attended stream first, or second.
                if (t.attended == 1) != swap {
                    t.streams.swap(0, 1);
                }
            }
            let one = preference.add(&format!("sub-{r}"), &trials).unwrap();
            assert_eq!(one.trials, 8);
        }
        preference.verdict(0.05).unwrap()
    };
    let first = verdict((1.0, 0.4), false, 6);
    assert_eq!(first.favoured, Favoured::First);
    assert_eq!((first.unit.as_str(), first.units), ("recording", 6));
    assert_eq!(first.p, 2.0 / 64.0);
    assert!(first.recordings.iter().all(|r| r.prefer_first >= 6));
    assert!(first.difference > 0.05, "{first:?}");
    let second = verdict((1.0, 0.4), true, 6);
    assert_eq!(second.favoured, Favoured::Second);
    // Few recordings: their trials decide.
    let few = verdict((1.0, 0.4), false, 1);
    assert_eq!((few.unit.as_str(), few.units), ("trial", 8));
    assert_eq!(few.favoured, Favoured::First);
    // Both followed alike, and neither.
    assert_eq!(verdict((0.7, 0.7), false, 6).favoured, Favoured::Undecided);
    assert_eq!(verdict((0.0, 0.0), false, 6).favoured, Favoured::Undecided);
}

#[test]
fn what_cannot_be_decoded_is_refused() {
    let trials = listener(4, 10, (1.0, 0.0), 4);
    let text = |r: mmpipe_eval::Result<_>| match r {
        Err(e) => e.to_string(),
        Ok(_) => panic!("expected an error"),
    };
    let one = decode(&trials[..1], &options());
    assert_eq!(
        text(one.map(drop)),
        "trials, of which one is left out,: expected 2, found 1"
    );
    let mut single = trials.clone();
    single[2].streams.pop();
    assert!(text(decode(&single, &options()).map(drop)).contains("candidate sounds"));
    let mut short = trials.clone();
    short[1].eeg[3].pop();
    assert!(text(decode(&short, &options()).map(drop)).contains("samples of a channel"));
    let mut fewer = trials.clone();
    fewer[1].eeg.pop();
    assert!(text(decode(&fewer, &options()).map(drop)).contains("channels"));
    let mut nan = trials.clone();
    nan[1].streams[0][5] = f64::NAN;
    assert!(text(decode(&nan, &options()).map(drop)).contains("finite"));
    let mut flat = trials.clone();
    flat.iter_mut()
        .flat_map(|t| &mut t.eeg)
        .for_each(|x| x.fill(7.0));
    assert!(text(decode(&flat, &options()).map(drop)).contains("positive definite"));
    for bad in [
        Options {
            sfreq: 0.0,
            ..options()
        },
        Options {
            lag_seconds: -1.0,
            ..options()
        },
        Options {
            lambdas: vec![],
            ..options()
        },
        Options {
            lambdas: vec![0.0],
            ..options()
        },
        Options {
            windows: vec![0.01],
            ..options()
        },
        Options {
            level: 1.0,
            ..options()
        },
    ] {
        assert!(decode(&trials, &bad).is_err(), "{bad:?}");
    }
    let mut preference = Preference::new(options());
    assert!(preference.verdict(0.05).is_err());
    assert!(preference.add("one", &trials[..1]).is_err());
    assert!(preference.verdict(0.05).is_err());
    let m = Moments::of(&trials[0].eeg, &trials[0].streams, 3).unwrap();
    assert!(Factor::new(&m, 0.0).is_err());
    assert!(Factor::new(&m, 1.0).unwrap().solve(&m, 2).is_err());
    let decoder = Decoder::fit(&m, 0, 1.0).unwrap();
    assert!(decoder.reconstruct(&trials[0].eeg[1..]).is_err());
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    /// The penalty is relative: EEG in another unit gives the same reconstruction.
    #[test]
    fn the_unit_of_the_eeg_does_not_matter(scale in 1e-6f64..1e6, lambda in 1e-4f64..10.0, seed in 0u64..50) {
        let trial = listener(1, 8, (1.0, 0.3), seed).remove(0);
        let scaled: Vec<Vec<f64>> = trial.eeg.iter().map(|x| x.iter().map(|v| v * scale).collect()).collect();
        let made = |eeg: &[Vec<f64>]| {
            let m = Moments::of(eeg, &trial.streams, 9).unwrap();
            Decoder::fit(&m, 0, lambda).unwrap().reconstruct(eeg).unwrap()
        };
        for (a, b) in made(&trial.eeg).iter().zip(&made(&scaled)) {
            prop_assert!((a - b).abs() < 1e-8, "{a} {b}");
        }
    }

    /// Reconstruction is linear in the EEG, and the weights in the envelope.
    #[test]
    fn reconstruction_is_linear(a in -3.0f64..3.0, b in -3.0f64..3.0, seed in 0u64..50) {
        let trial = listener(1, 6, (1.0, 0.3), seed).remove(0);
        let other = listener(1, 6, (1.0, 0.3), seed + 100).remove(0);
        let mix = |x: &[Vec<f64>], y: &[Vec<f64>]| -> Vec<Vec<f64>> {
            x.iter().zip(y).map(|(x, y)| x.iter().zip(y).map(|(x, y)| a * x + b * y).collect()).collect()
        };
        let mut streams = trial.streams.clone();
        streams.extend(mix(&trial.streams[..1], &trial.streams[1..]));
        let m = Moments::of(&trial.eeg, &streams, 9).unwrap();
        let factor = Factor::new(&m, 0.1).unwrap();
        let w: Vec<Vec<f64>> = (0..3).map(|k| factor.solve(&m, k).unwrap()).collect();
        for (k, c) in w[2].iter().enumerate() {
            prop_assert!((c - a * w[0][k] - b * w[1][k]).abs() < 1e-9);
        }
        let decoder = Decoder { weights: w[0].clone(), lags: 9, lambda: 0.1 };
        let of = |eeg: &[Vec<f64>]| decoder.reconstruct(eeg).unwrap();
        let (x, y, both) = (of(&trial.eeg), of(&other.eeg), of(&mix(&trial.eeg, &other.eeg)));
        for t in 0..x.len() {
            prop_assert!((both[t] - a * x[t] - b * y[t]).abs() < 1e-9);
        }
    }

    #[test]
    fn correlations_stay_within_bounds(x in prop::collection::vec(-1e6f64..1e6, 0..40), gain in -2.0f64..2.0) {
        let y: Vec<f64> = x.iter().map(|v| gain * v + 3.0).collect();
        let r = correlation(&x, &y);
        prop_assert!((-1.0..=1.0).contains(&r));
        prop_assert_eq!(correlation(&x, &vec![1.0; x.len()]), 0.0);
    }
}
