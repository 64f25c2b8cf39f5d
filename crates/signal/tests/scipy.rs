//! Holds the f64 path against SciPy. `fixtures/make_vectors.py` made the vectors and has the
//! same `signal`.

use mmpipe_signal::pipeline::{Conditioner, condition};
use mmpipe_signal::recipe::Recipe;
use mmpipe_signal::{iir, resample, spectrum};
use serde_json::Value;

/// Largest difference allowed, relative to the largest magnitude of the reference.
const F64: f64 = 1e-10;
/// The same where a high-pass far below the sampling rate (0.1 Hz at 500 Hz and up) has its poles
/// within 1e-3 of the unit circle and amplifies rounding.
const F64_SLOW: f64 = 1e-7;
/// After rounding the input and the output to f32.
const F32: f64 = 1e-5;

fn vectors() -> Value {
    serde_json::from_str(include_str!("fixtures/scipy_vectors.json")).expect("stored vectors")
}

fn signal(n: usize, channel: i64) -> Vec<f64> {
    let sample = |t: i64| {
        let noise = (t * t * 7 + t * (31 + 2 * channel) + channel * 17) % 401 - 200;
        let triangle = ((t + 13 * channel) % 180 - 90).abs() * 4;
        (noise + triangle + 4000 * (channel + 1)) as f64 / 4.0
    };
    (0..n as i64).map(sample).collect()
}

fn floats(v: &Value) -> Vec<f64> {
    let list = v.as_array().expect("a list");
    list.iter().map(|x| x.as_f64().expect("a number")).collect()
}

fn number(v: &Value, key: &str) -> f64 {
    v[key].as_f64().unwrap_or_else(|| panic!("no {key}"))
}

#[track_caller]
fn close(found: &[f64], expected: &[f64], tolerance: f64, what: &str) {
    assert_eq!(found.len(), expected.len(), "{what}: length");
    let scale = expected.iter().fold(0.0f64, |m, x| m.max(x.abs()));
    let pairs = found.iter().zip(expected);
    let worst = pairs.fold(0.0f64, |m, (a, b)| m.max((a - b).abs())) / scale;
    assert!(worst <= tolerance, "{what}: relative difference {worst:e}");
}

#[test]
fn butterworth_sections_padding_state_and_output() {
    for d in vectors()["designs"].as_array().expect("designs") {
        let (lo, hi) = (d["l_freq"].as_f64(), d["h_freq"].as_f64());
        let order = number(d, "order") as usize;
        let sfreq = number(d, "sfreq");
        let what = format!("butter({order}, {lo:?}, {hi:?}, {sfreq})");
        let sos = iir::butter(order, lo, hi, sfreq).expect(&what);
        let rows = d["sos"].as_array().expect("sos");
        assert_eq!(sos.sections().len(), rows.len(), "{what}: sections");
        for (mine, row) in sos.sections().iter().zip(rows) {
            close(mine, &floats(row), 1e-12, &what);
        }
        // Numerators are exact but for the gain: the same zeros of b2 and a2, so the same padding.
        assert_eq!(sos.padlen() as f64, number(d, "padlen"), "{what}: padlen");
        let zi: Vec<f64> = sos.zi().concat();
        let rows = d["zi"].as_array().expect("zi");
        let slow = lo.is_some_and(|lo| lo / sfreq < 1e-3);
        let tolerance = if slow { F64_SLOW } else { F64 };
        close(
            &zi,
            &rows.iter().flat_map(floats).collect::<Vec<_>>(),
            tolerance,
            &what,
        );
        let y = iir::sosfiltfilt(&sos, &signal(300, 1)).expect(&what);
        let y: Vec<f64> = y.into_iter().step_by(7).collect();
        close(&y, &floats(&d["filtered"]), tolerance, &what);
    }
}

#[test]
fn notch_sections() {
    for d in vectors()["notches"].as_array().expect("notches") {
        let sos = iir::notch(number(d, "freq"), number(d, "q"), number(d, "sfreq")).expect("notch");
        close(&sos.sections().concat(), &floats(&d["sos"]), 1e-14, "notch");
    }
}

#[test]
fn resample_poly_from_every_rate() {
    for d in vectors()["resample"].as_array().expect("resample") {
        let from = number(d, "from");
        let (up, down) = resample::ratio(from, 200.0).expect("ratio");
        let x = signal(number(d, "n") as usize, 2);
        let y = resample::resample_poly(&x, up, down).expect("resample");
        close(&y, &floats(&d["out"]), 1e-12, &format!("{from} Hz"));
        let unreduced = resample::resample_poly(&x, 200, from as usize).expect("resample");
        assert_eq!(y, unreduced, "{from} Hz: factors are reduced");
    }
}

#[test]
fn recipes_in_f64_and_in_f32() {
    for d in vectors()["condition"].as_array().expect("condition") {
        let name = d["recipe"].as_str().expect("recipe");
        let recipe = Recipe::builtin(name).expect("a built-in recipe");
        let sfreq = number(d, "sfreq");
        let what = format!("{name} at {sfreq} Hz");
        let channel = if name == "mindmix" { 0 } else { 3 };
        let x = signal(number(d, "n") as usize, channel);
        let expected = floats(&d["out"]);
        let tolerance = if name == "mindmix" { F64 } else { F64_SLOW };
        let y = condition(&recipe, sfreq, vec![x.clone(); 3]).expect(&what);
        for y in y {
            close(&y, &expected, tolerance, &what);
        }
        let x: Vec<f32> = x.iter().map(|v| *v as f32).collect();
        let mut conditioner = Conditioner::new(&recipe, sfreq).expect(&what);
        let mut y = vec![0.0f32; conditioner.output_len(x.len())];
        conditioner.run_slices(&[&x], &mut [&mut y]).expect(&what);
        let y: Vec<f64> = y.into_iter().map(f64::from).collect();
        close(&y, &expected, F32, &what);
    }
}

#[test]
fn welch_density() {
    for d in vectors()["welch"].as_array().expect("welch") {
        let x = signal(number(d, "n") as usize, 1);
        let psd = spectrum::welch(&x, number(d, "sfreq"), number(d, "nperseg") as usize);
        let psd = psd.expect("welch");
        close(&psd.freqs, &floats(&d["freqs"]), 1e-12, "freqs");
        close(&psd.density, &floats(&d["density"]), 1e-10, "density");
    }
}
