//! Copies of a sound in the EEG file tell whether the trials say rightly when it played.

use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf, wav};
use mmpipe_lake::Lake;

use crate::common::*;

/// Noise whose loudness goes up and down as that of speech.
fn speech(seconds: f64) -> Vec<f32> {
    let noise = signal(3, 16_000.0, seconds);
    let loud = |t: f64| (9.0 * t).sin() + (14.3 * t + 1.0).sin() + (23.9 * t + 2.0).sin();
    let sample = |(i, v): (usize, &f64)| (v / 100.0 * loud(i as f64 / 16_000.0).max(0.0)) as f32;
    noise.iter().enumerate().map(sample).collect()
}

#[test]
fn a_copy_of_the_sound_tells_where_the_sound_is() {
    let dir = tempfile::tempdir().unwrap();
    let raw = dir.path().join("raw");
    std::fs::create_dir_all(&raw).unwrap();
    let sound = speech(14.0);
    wav::write(&raw.join("a.wav"), 16_000, &[&sound], wav::Sample::Float32).unwrap();
    // The first trial is in time, in the second the sound is 52 ms late, and from 34 s on the
    // channel holds something else.
    let sfreq = 500.0;
    let mut copy = vec![0.0; 25_000];
    for (start, late) in [(2.0, 0.0), (18.0, 0.052)] {
        for (i, v) in copy.iter_mut().enumerate() {
            let t = i as f64 / sfreq - start - late;
            let at = (t * 16_000.0).round();
            if (0.0..sound.len() as f64 - 32.0).contains(&at) {
                let part = &sound[at as usize..at as usize + 32];
                *v = part.iter().map(|v| f64::from(v.abs())).sum::<f64>();
            }
        }
    }
    let other = signal(9, sfreq, 16.0);
    copy[17_000..].copy_from_slice(&other);
    let mut one = file("r.edf", "1", "1", 50.0);
    one.channels = vec![eeg("Cz", sfreq), eeg("Pz", sfreq), eeg("AUD", sfreq)];
    one.channels[2].canonical = None;
    let brain = [signal(1, sfreq, 50.0), signal(2, sfreq, 50.0)];
    let signals = [("Cz", &brain[0]), ("Pz", &brain[1]), ("AUD", &copy)];
    let recording = NewRecording {
        start: Start::default(),
        patient: "X",
        recording: "X",
        signals: signals
            .map(|(name, samples)| NewSignal {
                name,
                unit: "uV",
                sfreq,
                prefilter: "",
                transducer: "",
                physical_range: Some((-100.0, 100.0)),
                samples,
            })
            .into(),
        annotations: &[],
    };
    edf::write(&raw.join("r.edf"), &recording).unwrap();
    let trials = "SELECT path, 0 AS trial, 2.0 AS start, 14.0 AS stop FROM files WHERE status = 'ok' \
        UNION ALL SELECT path, 1, 18.0, 30.0 FROM files WHERE status = 'ok' \
        UNION ALL SELECT path, 2, 35.0, 47.0 FROM files WHERE status = 'ok'";
    let mut asked = request(scan(&raw, &[one], trials), &raw);
    asked.scan.streams_sql = Some(
        "SELECT f.path, t.trial, 'a.wav' AS stimulus, 'heard' AS role, 0.0 AS \"offset\" \
         FROM files f CROSS JOIN (VALUES (0), (1), (2)) AS t (trial) WHERE f.status = 'ok'"
            .into(),
    );
    let lake = Lake::create_or_open(&dir.path().join("lake")).unwrap();
    let report = run(&lake, asked.clone()).unwrap();
    let found = &report.recordings[0].alignment;
    let of = |trial: i32| found.iter().find(|a| a.trial == trial).unwrap();
    for (trial, lag) in [(0, 0.0), (1, 52.0)] {
        let a = of(trial);
        assert!((a.lag_ms - lag).abs() < 2.0 && a.correlation > 0.8, "{a:?}");
        assert_eq!(
            (a.channel.as_str(), a.stimulus_id.as_str()),
            ("AUD", "Mini/a.wav")
        );
    }
    assert!(of(2).correlation < 0.2, "{:?}", of(2));
    let reason = report.recordings[0].reason.clone().unwrap();
    assert!(
        reason.contains("more than 20 ms from where the trial says in 1 of 3 trials, the first: trial 1, AUD, lag 5")
            && reason.contains("no-copy-found: the channel does not follow the sound in 1 of 3 trials, the first: trial 2"),
        "{reason}"
    );
    let all = report.alignment().unwrap();
    assert_eq!((all.trials, all.moved, all.absent), (3, 1, 1));
    let rows = query(
        &lake,
        "SELECT a['trial'] AS trial, abs(a['lag_ms']) > 20 AS moved FROM (SELECT unnest(alignment) AS a FROM recordings) \
         WHERE a['correlation'] > 0.5 ORDER BY 1",
    );
    assert!(
        rows.contains("| 0     | false |") && rows.contains("| 1     | true  |"),
        "{rows}"
    );
    // What is skipped keeps what was measured.
    let again = run(&lake, asked).unwrap();
    assert_eq!(
        (again.skipped(), &again.recordings[0].alignment),
        (1, found)
    );
}
