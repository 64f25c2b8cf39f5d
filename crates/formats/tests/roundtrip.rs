//! What the writers write, the readers of this crate (and of others) read back.

use mmpipe_formats::write::{NewRecording, NewSignal, Start, brainvision, edf, wav};
use mmpipe_formats::{Annotation, Container, Error, audio, open};
use tempfile::TempDir;

fn wave(n: usize, sfreq: f64, hz: f64, amplitude: f64) -> Vec<f64> {
    (0..n)
        .map(|i| amplitude * (std::f64::consts::TAU * hz * i as f64 / sfreq).sin())
        .collect()
}

fn annotation(onset: f64, duration: Option<f64>, text: &str, channel: Option<&str>) -> Annotation {
    Annotation {
        onset,
        duration,
        text: text.into(),
        channel: channel.map(Into::into),
    }
}

fn signal<'a>(name: &'a str, unit: &'a str, sfreq: f64, samples: &'a [f64]) -> NewSignal<'a> {
    NewSignal {
        name,
        unit,
        sfreq,
        prefilter: "HP:0.1Hz",
        transducer: "AgAgCl",
        physical_range: None,
        samples,
    }
}

fn recording<'a>(signals: Vec<NewSignal<'a>>, annotations: &'a [Annotation]) -> NewRecording<'a> {
    NewRecording {
        start: Start {
            year: 2024,
            month: 2,
            day: 29,
            hour: 23,
            minute: 59,
            second: 58,
        },
        patient: "S01",
        recording: "simulated",
        signals,
        annotations,
    }
}

#[test]
fn edf_keeps_samples_rates_and_annotations() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.edf");
    let (fast, slow) = (wave(5120, 512.0, 7.0, 83.21), wave(1000, 100.0, 1.0, 0.004));
    let marks = [
        annotation(0.0, None, "start", None),
        annotation(1.2345, Some(0.5), "größe", Some("Fz")),
        annotation(9.999, Some(3.0), "late", None),
    ];
    let new = recording(
        vec![
            signal("Fz", "µV", 512.0, &fast),
            signal("GSR", "mV", 100.0, &slow),
        ],
        &marks,
    );
    edf::write(&path, &new).unwrap();
    // Writing again replaces.
    edf::write(&path, &new).unwrap();
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);

    let r = open(&path).unwrap();
    let h = r.header();
    assert!(h.diagnostics.is_empty(), "{:?}", h.diagnostics);
    assert_eq!(h.container, Container::EdfPlusC);
    assert_eq!(h.start.as_deref(), Some("2024-02-29T23:59:58"));
    assert_eq!(h.annotations, marks);
    assert_eq!(h.seconds, 10.0);
    assert!(h.patient.as_deref().unwrap().starts_with("S01"));
    assert!(h.recording.as_deref().unwrap().contains("simulated"));
    for (i, (want, sfreq, unit)) in [(&fast, 512.0, "µV"), (&slow, 100.0, "mV")]
        .into_iter()
        .enumerate()
    {
        let c = &h.channels[i];
        assert_eq!(
            (c.sfreq, c.unit.as_str(), c.n_samples),
            (sfreq, unit, want.len() as u64)
        );
        assert_eq!(c.prefilter.as_deref(), Some("HP:0.1Hz"));
        let step = (c.physical_max.unwrap() - c.physical_min.unwrap()) / 65_534.0;
        let mut got = vec![0f64; want.len()];
        r.read_f64(&[i], 0, &mut [&mut got]).unwrap();
        assert!(
            got.iter()
                .zip(want)
                .all(|(g, w)| (g - w).abs() <= 0.5001 * step)
        );
    }
    // The range is close to the samples, so that the 16 bits are used.
    assert!(h.channels[0].physical_max.unwrap() < 83.22);
}

#[test]
fn edf_writes_what_does_not_fill_whole_seconds() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.edf");
    let x = wave(1300, 200.0, 3.0, 20.0);
    edf::write(&path, &recording(vec![signal("Cz", "uV", 200.0, &x)], &[])).unwrap();
    assert_eq!(open(&path).unwrap().header().channels[0].n_samples, 1300);
}

#[test]
fn edf_refuses_what_it_cannot_hold() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.edf");
    let x = wave(512, 512.0, 7.0, 50.0);
    let field = |new: &NewRecording<'_>| match edf::write(&path, new) {
        Err(Error::Write { field, .. }) => field,
        other => panic!("{other:?}"),
    };
    let new = |s: NewSignal<'static>| recording(vec![s], &[]);
    let x: &'static [f64] = x.leak();
    let bad: &'static [f64] = vec![f64::NAN; 512].leak();
    assert!(field(&recording(vec![], &[])).contains("signals"));
    assert!(field(&new(signal("a label that is far too long", "uV", 512.0, x))).contains("label"));
    assert!(field(&new(signal("Ä", "uV", 512.0, x))).contains("label"));
    assert!(field(&new(signal("A", "uV", 511.0, x))).contains("samples"));
    assert!(field(&new(signal("A", "uV", 512.0, bad))).contains("sample 0"));
    let narrow = NewSignal {
        physical_range: Some((-10.0, 10.0)),
        ..signal("A", "uV", 512.0, x)
    };
    assert!(field(&new(narrow)).contains("sample"));
    let early = [annotation(-1.0, None, "early", None)];
    assert!(field(&recording(vec![signal("A", "uV", 512.0, x)], &early)).contains("annotation"));
    let empty = [annotation(0.0, None, "", None)];
    assert!(field(&recording(vec![signal("A", "uV", 512.0, x)], &empty)).contains("annotation"));
    // Nothing is left behind.
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
}

#[test]
fn brainvision_keeps_samples_and_markers() {
    let folder = TempDir::new().unwrap();
    let (a, b) = (wave(777, 250.0, 7.0, 83.21), wave(777, 250.0, 1.0, 0.004));
    let marks = [
        annotation(0.0, Some(0.004), "Stimulus/S  1", None),
        annotation(0.4, Some(0.1), "Comment/left, then right", Some("B,2")),
    ];
    let new = recording(
        vec![signal("A", "µV", 250.0, &a), signal("B,2", "mV", 250.0, &b)],
        &marks,
    );
    for (sample, tolerance) in [
        (brainvision::Sample::Int16, 1.6e-5),
        (brainvision::Sample::Float32, 1e-7),
    ] {
        let path = folder.path().join(format!("{sample:?}.vhdr"));
        brainvision::write(&path, &new, sample).unwrap();
        for extension in ["vhdr", "eeg", "vmrk"] {
            let r = open(&path.with_extension(extension)).unwrap();
            let h = r.header();
            assert!(h.diagnostics.is_empty(), "{:?}", h.diagnostics);
            assert_eq!(h.files.len(), 3);
            assert_eq!(h.start.as_deref(), Some("2024-02-29T23:59:58"));
            assert_eq!(h.annotations, marks);
            assert_eq!(h.channels[1].name, "B,2");
            assert_eq!(
                (h.channels[0].unit.as_str(), h.channels[1].unit.as_str()),
                ("µV", "mV")
            );
            for (i, want) in [&a, &b].into_iter().enumerate() {
                let largest = want.iter().fold(0.0f64, |m, x| m.max(x.abs()));
                let mut got = vec![0f64; 700];
                r.read_f64(&[i], 77, &mut [&mut got]).unwrap();
                assert!(
                    got.iter()
                        .zip(&want[77..])
                        .all(|(g, w)| (g - w).abs() <= tolerance * largest)
                );
            }
        }
    }
    let uneven = recording(
        vec![
            signal("A", "uV", 250.0, &a),
            signal("B", "uV", 250.0, &b[1..]),
        ],
        &[],
    );
    let path = folder.path().join("uneven.vhdr");
    assert!(brainvision::write(&path, &uneven, brainvision::Sample::Float32).is_err());
    assert!(
        brainvision::write(
            &folder.path().join("x.eeg"),
            &new,
            brainvision::Sample::Int16
        )
        .is_err()
    );
}

#[test]
fn wav_keeps_samples() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("x.wav");
    let a: Vec<f32> = wave(4001, 16_000.0, 440.0, 0.9)
        .iter()
        .map(|x| *x as f32)
        .collect();
    let b: Vec<f32> = a.iter().map(|x| -0.5 * x).collect();
    for (sample, tolerance) in [(wav::Sample::Pcm16, 6e-5), (wav::Sample::Float32, 0.0)] {
        wav::write(&path, 16_000, &[&a, &b], sample).unwrap();
        let got = audio::read(&path).unwrap();
        assert!(got.diagnostics.is_empty(), "{:?}", got.diagnostics);
        assert_eq!((got.sfreq, got.channels, got.frames), (16_000, 2, 4001));
        for (g, w) in [(&got.samples[0], &a), (&got.samples[1], &b)] {
            assert!(g.iter().zip(w).all(|(g, w)| (g - w).abs() <= tolerance));
        }
    }
    assert!(wav::write(&path, 16_000, &[], wav::Sample::Pcm16).is_err());
    assert!(wav::write(&path, 16_000, &[&a, &b[1..]], wav::Sample::Pcm16).is_err());
}
