//! Channels that are no EEG but tell when and what, and sensors of numbered caps.

use std::path::Path;

use crate::common::{column, edf, look_up};
use crate::paired::manifest;
use crate::plain::scanned;
use mmpipe_corpora::Manifest;
use mmpipe_formats::write::{NewRecording, NewSignal, Start, curry};

/// Curry with a channel of triggers at 100 Hz.
pub(crate) fn with_triggers(path: &Path, triggers: &[f64]) {
    let eeg: Vec<f64> = (0..triggers.len()).map(|t| (t % 13) as f64).collect();
    let signal = |name, unit, samples| NewSignal {
        name,
        unit,
        sfreq: 100.0,
        prefilter: "",
        transducer: "",
        physical_range: None,
        samples,
    };
    curry::write(
        path,
        &NewRecording {
            start: Start::default(),
            patient: "X",
            recording: "X",
            signals: vec![signal("Cz", "uV", &eeg), signal("Trigger", "", triggers)],
            annotations: &[],
        },
    )
    .unwrap();
}

fn triggered(baseline: &str) -> Manifest {
    manifest(
        "[[files]]\npattern = '(?P<subject>s\\d)\\.cdt'\nkind = \"signal\"",
        &format!("[[triggers]]\npattern = '.*'\nchannel = \"Trigger\"\n{baseline}"),
    )
}

#[test]
fn steps_of_a_trigger_channel_are_events() {
    let dir = tempfile::tempdir().unwrap();
    // At rest at 256 for 6 s; 1 for 10 samples, then 3 in two steps, then 2 until the end, and
    // one pulse below.
    let mut x = vec![256.0; 1000];
    x[600..610].fill(257.0);
    x[700] = 257.0;
    x[701..705].fill(259.0);
    x[705] = 257.0;
    x[800] = 250.0;
    x[990..].fill(258.0);
    with_triggers(&dir.path().join("s1.cdt"), &x);
    let found = scanned(&triggered(""), dir.path());
    assert_eq!(column(&found, "events", "source"), ["trigger"; 5]);
    assert_eq!(column(&found, "events", "channel"), ["Trigger"; 5]);
    assert_eq!(
        column(&found, "events", "onset"),
        ["6", "7", "7.01", "8", "9.9"]
    );
    assert_eq!(
        column(&found, "events", "sample"),
        ["600", "700", "701", "800", "990"]
    );
    assert_eq!(
        column(&found, "events", "value"),
        ["1", "1", "3", "-6", "2"]
    );
    assert_eq!(
        column(&found, "events", "duration"),
        ["0.1", "0.01", "0.04", "0.01", "-"]
    );
    let kind = look_up(&found, "channels", ("raw_name", "Trigger"), "kind");
    assert_eq!(kind, "trigger");
    assert_eq!(column(&found, "diagnostics", "code"), [""; 0]);
}

#[test]
fn the_value_at_rest_is_the_first_or_the_median() {
    let dir = tempfile::tempdir().unwrap();
    // Not 5 s at the start: the median, 0, counts.
    let mut x = vec![0.0; 1200];
    x[..400].fill(5.0);
    x[900..910].fill(7.0);
    with_triggers(&dir.path().join("s1.cdt"), &x);
    // 5 s at the start, but 0 for longer.
    let mut x = vec![0.0; 1200];
    x[..500].fill(5.0);
    x[900..910].fill(7.0);
    with_triggers(&dir.path().join("s2.cdt"), &x);
    let found = scanned(&triggered(""), dir.path());
    assert_eq!(
        column(&found, "events", "path"),
        ["s1.cdt", "s2.cdt", "s2.cdt"]
    );
    // From 7 back to 0 is a step away from 5.
    assert_eq!(column(&found, "events", "sample"), ["900", "500", "910"]);
    assert_eq!(column(&found, "events", "value"), ["7", "-5", "-5"]);
    let found = scanned(&triggered("baseline = \"median\""), dir.path());
    assert_eq!(column(&found, "events", "sample"), ["900", "900"]);
    assert_eq!(column(&found, "events", "value"), ["7", "7"]);
}

#[test]
fn a_trigger_channel_that_is_none_is_told() {
    let dir = tempfile::tempdir().unwrap();
    with_triggers(&dir.path().join("s1.cdt"), &[4.0; 700]);
    let found = scanned(&triggered(""), dir.path());
    assert_eq!(column(&found, "diagnostics", "code"), ["no-triggers"]);
    let mut other = triggered("");
    other.triggers[0].channel = "TRIG".into();
    let found = scanned(&other, dir.path());
    assert_eq!(
        column(&found, "diagnostics", "code"),
        ["trigger-channel-missing"]
    );
    let message = &column(&found, "diagnostics", "message")[0];
    assert!(
        message.contains("the last of them Cz, Trigger"),
        "{message}"
    );
    assert_eq!(column(&found, "files", "status")[0], "ok");
}

#[test]
fn a_copy_of_the_sound_is_no_eeg() {
    let dir = tempfile::tempdir().unwrap();
    with_triggers(&dir.path().join("s1.cdt"), &[0.0; 100]);
    let m = manifest(
        "[[files]]\npattern = '(?P<subject>s\\d)\\.cdt'\nkind = \"signal\"",
        "[channels]\naudio_copy = [\"Trigger\"]",
    );
    let found = scanned(&m, dir.path());
    let of = |c: &str| look_up(&found, "channels", ("raw_name", "Trigger"), c);
    assert_eq!(
        (of("kind").as_str(), of("keep").as_str()),
        ("audio", "false")
    );
    assert_eq!(of("reason"), "holds a copy of the sound");
}

#[test]
fn sensors_of_a_numbered_cap_are_called_by_the_place_next_to_them() {
    let dir = tempfile::tempdir().unwrap();
    let labels = [
        ("A1", "uV"),
        ("C3", "uV"),
        ("D32", "uV"),
        ("EXG1", "uV"),
        ("Status", ""),
    ];
    edf::write(&dir.path().join("s1.edf"), &labels, 100, 4, &[]);
    let m = manifest(
        "[[files]]\npattern = '(?P<subject>s\\d)\\.edf'\nkind = \"signal\"",
        "[channels]\nlayout = \"biosemi128\"",
    );
    let found = scanned(&m, dir.path());
    let of = |raw: &str, c: &str| look_up(&found, "channels", ("raw_name", raw), c);
    assert_eq!(
        (of("A1", "name").as_str(), of("A1", "distance").as_str()),
        ("Cz", "1.4000")
    );
    // The dictionary would take this socket for the place C3.
    assert_eq!(
        (of("C3", "name").as_str(), of("C3", "keep").as_str()),
        ("FFC4h", "true")
    );
    assert_eq!(of("EXG1", "keep"), "false");
    assert_eq!(of("EXG1", "distance"), "-");
    assert_eq!(of("Status", "kind"), "trigger");
    let e = Manifest::parse("name = 'T'\n[channels]\nlayout = 'biosemi32'", "t.toml");
    let e = e.unwrap_err().to_string();
    assert!(e.contains("biosemi128") && e.contains("easycap-m10"), "{e}");
}

#[test]
fn a_channel_may_be_bad_in_some_recordings() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["s1.edf", "s2.edf"] {
        let labels = [("Fz", "uV"), ("Cz", "uV")];
        edf::write(&dir.path().join(name), &labels, 100, 4, &[]);
    }
    let m = manifest(
        "[[files]]\npattern = '(?P<subject>s\\d)\\.edf'\nkind = \"signal\"",
        "[channels]\ndrop = [{ pattern = 'Cz', path = 's2\\.edf', reason = 'bad there' }]",
    );
    let found = scanned(&m, dir.path());
    assert_eq!(
        column(&found, "channels", "keep"),
        ["true", "true", "true", "false"]
    );
    assert_eq!(column(&found, "channels", "reason")[3], "bad there");
}
