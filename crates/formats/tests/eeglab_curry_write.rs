//! What the writers of EEGLAB and Curry write is read back the same, and what the formats
//! cannot hold is refused.

use mmpipe_formats::write::{NewRecording, NewSignal, Start, curry, eeglab};
use mmpipe_formats::{Annotation, Container, open};
use proptest::prelude::*;
use tempfile::TempDir;

fn signal<'a>(name: &'a str, unit: &'a str, sfreq: f64, samples: &'a [f64]) -> NewSignal<'a> {
    NewSignal {
        name,
        unit,
        sfreq,
        prefilter: "",
        transducer: "EEG",
        physical_range: None,
        samples,
    }
}

fn recording<'a>(signals: Vec<NewSignal<'a>>, annotations: &'a [Annotation]) -> NewRecording<'a> {
    NewRecording {
        start: Start {
            year: 2021,
            month: 2,
            day: 3,
            hour: 4,
            minute: 5,
            second: 6,
        },
        patient: "X",
        recording: "",
        signals,
        annotations,
    }
}

fn mark(onset: f64, duration: f64, text: &str) -> Annotation {
    Annotation {
        onset,
        duration: Some(duration),
        text: text.into(),
        channel: None,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn written_is_read(
        samples in prop::collection::vec(-500f32..500.0, 3..200),
        sfreq in prop::sample::select(vec![128.0, 250.0, 512.0, 1000.0]),
        at in 0usize..200,
        inside: bool,
    ) {
        let n = samples.len() / 3;
        let plane = |c: usize| samples[c * n..(c + 1) * n].iter().map(|x| f64::from(*x)).collect::<Vec<_>>();
        let (a, b, c) = (plane(0), plane(1), plane(2));
        let at = at % n;
        let marks = [mark(at as f64 / sfreq, 2.0 / sfreq, "769")];
        let folder = TempDir::new().unwrap();
        let planes = [&a, &b, &c];

        let path = folder.path().join("x.cdt");
        let signals = vec![
            signal("Fz", "uV", sfreq, &a), signal("Resp", "C", sfreq, &b), signal("Cz", "µV", sfreq, &c),
        ];
        curry::write(&path, &recording(signals, &marks)).unwrap();
        let r = open(&path).unwrap();
        let h = r.header();
        prop_assert!(h.diagnostics.is_empty(), "{:?}", h.diagnostics);
        prop_assert_eq!(h.container, Container::Curry8);
        prop_assert_eq!(h.start.as_deref(), Some("2021-02-03T04:05:06"));
        let named: Vec<_> = h.channels.iter().map(|c| (c.name.as_str(), c.unit.as_str())).collect();
        prop_assert_eq!(named, vec![("Fz", "µV"), ("Resp", "C"), ("Cz", "µV")]);
        prop_assert!((h.annotations[0].onset - marks[0].onset).abs() < 1e-9);
        prop_assert_eq!(h.annotations[0].text.as_str(), "769");
        for (k, want) in planes.iter().enumerate() {
            let mut out = vec![0f64; n];
            r.read_f64(&[k], 0, &mut [&mut out]).unwrap();
            prop_assert_eq!(&out, *want);
        }

        let path = folder.path().join("y.set");
        let signals = vec![
            signal("Fz", "uV", sfreq, &a), signal("Pz", "V", sfreq, &b), signal("Cz", "µV", sfreq, &c),
        ];
        let marks = [marks[0].clone(), mark((at as f64 + 0.5) / sfreq, 0.0, "boundary")];
        let place = if inside { eeglab::Place::Inside } else { eeglab::Place::Beside };
        eeglab::write(&path, &recording(signals, &marks), place).unwrap();
        let r = open(&path).unwrap();
        let h = r.header();
        prop_assert_eq!(h.files.len(), if inside { 1 } else { 2 });
        prop_assert_eq!(h.channels[1].name.as_str(), "Pz");
        prop_assert!((h.annotations[0].duration.unwrap() - 2.0 / sfreq).abs() < 1e-9);
        prop_assert_eq!(r.runs(0).len(), if at + 1 < n { 2 } else { 1 });
        prop_assert_eq!(r.runs(0)[0].samples.end as usize, at + 1);
        for (k, want) in planes.iter().enumerate() {
            let factor = if k == 1 { 1e6 } else { 1.0 };
            let mut out = vec![0f32; n];
            r.read_f32(&[k], 0, &mut [&mut out]).unwrap();
            let want: Vec<f32> = want.iter().map(|x| (x * factor) as f32).collect();
            prop_assert_eq!(&out, &want);
        }
    }
}

#[test]
fn what_does_not_fit_is_refused() {
    let folder = TempDir::new().unwrap();
    let (cdt, set) = (folder.path().join("x.cdt"), folder.path().join("x.set"));
    let x = [1.0, 2.0];
    let fine = || vec![signal("A", "uV", 100.0, &x)];
    let codes = |r: mmpipe_formats::Result<()>| r.unwrap_err().code();
    let inside = eeglab::Place::Inside;
    let words = [mark(0.0, 0.0, "left")];
    assert_eq!(
        codes(curry::write(&cdt, &recording(fine(), &words))),
        "write"
    );
    assert_eq!(codes(curry::write(&set, &recording(fine(), &[]))), "write");
    assert_eq!(
        codes(eeglab::write(&cdt, &recording(fine(), &[]), inside)),
        "write"
    );
    for signals in [
        vec![],
        vec![signal("A", "uV", 0.0, &x)],
        vec![signal("A", "uV", f64::NAN, &x)],
        vec![signal("A\nB", "uV", 100.0, &x)],
        vec![signal("A", "uV", 100.0, &x), signal("B", "uV", 200.0, &x)],
        vec![
            signal("A", "uV", 100.0, &x),
            signal("B", "uV", 100.0, &x[..1]),
        ],
    ] {
        assert_eq!(
            codes(curry::write(&cdt, &recording(signals.clone(), &[]))),
            "write"
        );
        assert_eq!(
            codes(eeglab::write(&set, &recording(signals, &[]), inside)),
            "write"
        );
    }
    let odd = recording(vec![signal("A", "C", 100.0, &x)], &[]);
    assert_eq!(codes(eeglab::write(&set, &odd, inside)), "write");
}
