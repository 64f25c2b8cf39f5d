//! Sounds inside files of named arrays, members of groups as recordings, trigger channels.

use std::path::Path;

use crate::common::{column, edf, look_up};
use crate::plain::scanned;
use mmpipe_corpora::{Error, Filter, Manifest, Scan, open_part, open_sound, scan};
use mmpipe_formats::write::{NewRecording, NewSignal, Start, curry};
use mmpipe_trees::write::{Value, write_mat5};

fn manifest(files: &str, rest: &str) -> Manifest {
    let text = format!(
        r#"
name = "Toy"
title = "A toy"
licence = "CC0-1.0"
access = "open"
{files}
[trials]
sql = "SELECT path, 0 AS trial FROM files WHERE status = 'ok'"
{rest}"#
    );
    Manifest::parse(&text, "toy.toml").unwrap_or_else(|e| panic!("{e}"))
}

/// The groups of `fixtures/make_grouped.py`.
fn grouped(root: &Path) -> Manifest {
    let from = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/grouped.h5");
    std::fs::copy(from, root.join("all.h5")).unwrap();
    manifest(
        "[[files]]\npattern = 'all\\.h5'\nkind = \"signal\"",
        r#"
[[parts]]
pattern = '.*\.h5'
each = "*.*"
part = "$1/$2"
set = { subject = "$1", excerpt = "$2" }
[parts.tree]
eeg = ["$.response"]
orientation = "channel-time"
sfreq = 8
ch_names = ["Fz", "Cz"]

[[sounds]]
pattern = '.*\.h5'
each = "*.*"
part = "$1/$2/mix"
set = { subject = "$1", excerpt = "$2", track = "mix" }
tree = { audio = "$.stimulus", sfreq = 32, orientation = "channel-time" }

[[sounds]]
pattern = '.*\.h5'
each = "*.*"
part = "$1/$2/solo3"
set = { subject = "$1", excerpt = "$2", track = "3" }
tree = { audio = "$.soli", row = 3, sfreq = 32, orientation = "channel-time", scale = 2 }

[[tables]]
table = "sizes"
pattern = '.*\.h5'
each = "*.*"
part = "$1/$2"
columns = { first = "$.response[:,1]" }
"#,
    )
}

fn mono(found: &Scan, root: &Path, path: &str, channel: Option<u32>) -> Vec<f32> {
    let sound = &found.sounds[path];
    let sound = open_sound(&root.join(&sound.file), &sound.tree).unwrap();
    let mut out = Vec::new();
    sound.decode(channel, |block| out.extend(block)).unwrap();
    assert_eq!(out.len() as u64, sound.frames());
    out
}

const DUO: &str = "0001/pop_song_duo_BsVx_theme1_stereo_Bs";
const TRIO: &str = "0001/pop_song_trio_BsDrVx_theme1_stereo_Dr";

#[test]
fn members_of_groups_are_recordings_and_sounds() {
    let dir = tempfile::tempdir().unwrap();
    let found = scanned(&grouped(dir.path()), dir.path());
    let of = |path: &str, column: &str| {
        look_up(&found, "files", ("path", &format!("all.h5#{path}")), column)
    };
    assert_eq!(column(&found, "files", "status")[0], "side-car");
    assert_eq!(of(DUO, "status"), "ok");
    assert_eq!(of(DUO, "subject"), "0001");
    assert_eq!(of(TRIO, "excerpt"), "pop_song_trio_BsDrVx_theme1_stereo_Dr");
    assert_eq!(of(TRIO, "seconds"), "2");
    let part = &found.parts[&format!("all.h5#{TRIO}")];
    let recording = open_part(&dir.path().join(&part.file), &part.tree).unwrap();
    let mut samples = vec![0.0; 16];
    recording.read_f64(&[1], 0, &mut [&mut samples]).unwrap();
    assert_eq!(samples[3], 113.0);

    let mix = format!("{DUO}/mix");
    assert_eq!(of(&mix, "status"), "stimulus");
    assert_eq!(of(&mix, "track"), "mix");
    assert_eq!(of(&mix, "sfreq"), "32");
    assert_eq!(of(&mix, "seconds"), "2");
    assert_eq!(of(&mix, "n_channels"), "2");
    let path = format!("all.h5#{mix}");
    // Left t / 128, right -t / 256.
    assert_eq!(mono(&found, dir.path(), &path, None)[8], 8.0 / 512.0);
    assert_eq!(mono(&found, dir.path(), &path, Some(2))[8], -8.0 / 256.0);
    let solo = mono(&found, dir.path(), &format!("all.h5#{TRIO}/solo3"), None);
    assert_eq!(solo[4], 2.0 * 124.0 / 1024.0);

    // A duo has no third track: a row says so, and it is no fault.
    assert_eq!(of(&format!("{DUO}/solo3"), "status"), "ignored");
    let why = of(&format!("{DUO}/solo3"), "reason");
    assert!(why.contains("channel 3 of an array of 2"), "{why}");
    assert_eq!(found.sounds.len(), 4);
    assert_eq!(column(&found, "diagnostics", "code"), [""; 0]);

    let parts = column(&found, "sizes", "part");
    assert_eq!((parts[0].as_str(), parts.len()), (DUO, 6));
    assert_eq!(column(&found, "sizes", "row")[..3], ["1", "2", "1"]);
    assert_eq!(
        column(&found, "sizes", "first")[..4],
        ["0", "10", "100", "110"]
    );
}

#[test]
fn subjects_that_the_members_name_can_be_asked_for() {
    let dir = tempfile::tempdir().unwrap();
    let m = grouped(dir.path());
    let filter = |s: &str| Filter {
        subjects: Some(vec![s.into()]),
    };
    let found = scan(&m, dir.path(), &filter("0002")).unwrap();
    let status = column(&found, "files", "status");
    let ok = status.iter().filter(|s| *s == "ok").count();
    let sounds = status.iter().filter(|s| *s == "stimulus").count();
    assert_eq!((ok, sounds), (1, 1));
    assert_eq!(found.sounds.len(), 1);
    let e = scan(&m, dir.path(), &filter("0009")).unwrap_err();
    assert!(e.to_string().contains("0001, 0002"), "{e}");
}

#[test]
fn a_channel_or_sound_that_is_not_there_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let found = scanned(&grouped(dir.path()), dir.path());
    let sound = &found.sounds[&format!("all.h5#{DUO}/mix")];
    let file = dir.path().join(&sound.file);
    let open = open_sound(&file, &sound.tree).unwrap();
    let e = open.decode(Some(3), |_| ()).unwrap_err().to_string();
    assert!(e.contains("channel from 1 to 2, found 3"), "{e}");
    let tree = sound.tree.replace("stimulus", "nothing");
    let e = open_sound(&file, &tree).unwrap_err().to_string();
    assert!(e.contains("all.h5") && e.contains("nothing"), "{e}");
    let turned = sound.tree.replace("channel-time", "time-channel");
    let open = open_sound(&file, &turned).unwrap();
    assert_eq!((open.channels(), open.frames()), (64, 2));
    assert!(matches!(open_sound(&file, "{}"), Err(Error::Sound { .. })));
}

#[test]
fn long_sounds_come_in_blocks_and_envelopes_are_marked() {
    let dir = tempfile::tempdir().unwrap();
    let n = 150_000;
    let wave: Vec<f64> = (0..n).map(f64::from).collect();
    let other: Vec<f64> = (0..n).map(|t| f64::from(t % 7)).collect();
    let run = |wave: &[f64]| Value::record([("env", Value::column(wave.to_vec()))]);
    let data = Value::record([
        ("fs", Value::scalar(64.0)),
        ("wav", Value::cells([run(&wave), run(&other)])),
        ("eeg", Value::array(&[4, 1], vec![1.0, 2.0, 3.0, 4.0])),
    ]);
    let all = [("data", data)];
    write_mat5(&dir.path().join("s1.mat"), &all, true).unwrap();
    write_mat5(&dir.path().join("a.mat"), &all, false).unwrap();
    let m = manifest(
        r#"
[[files]]
pattern = '(?P<subject>s\d)\.mat'
kind = "signal"
[[files]]
pattern = '[ab]\.mat'
kind = "stimulus"
"#,
        r#"
[[parts]]
pattern = 's1\.mat'
tree = { eeg = ["data.eeg"], sfreq = 64, ch_names = ["Cz"] }
[[sounds]]
pattern = '.*\.mat'
each = "data.wav{*}"
part = "wav$"
kind = "envelope"
tree = { audio = "$.env", sfreq = "data.fs", scale = 0.5 }
"#,
    );
    std::fs::write(dir.path().join("b.mat"), "no arrays").unwrap();
    let found = scanned(&m, dir.path());
    assert_eq!(
        column(&found, "files", "path"),
        [
            "a.mat",
            "a.mat#wav1",
            "a.mat#wav2",
            "b.mat",
            "s1.mat",
            "s1.mat#wav1",
            "s1.mat#wav2"
        ]
    );
    assert_eq!(
        column(&found, "files", "status"),
        [
            "side-car", "stimulus", "stimulus", "stimulus", "ok", "stimulus", "stimulus"
        ]
    );
    // What a rule calls a sound's file, and no rule can read, stays what its rule says.
    assert_eq!(column(&found, "diagnostics", "path"), ["b.mat"]);
    assert!(found.sounds.values().all(|s| s.envelope));
    let read = mono(&found, dir.path(), "s1.mat#wav2", None);
    assert!(
        read.iter()
            .zip(&other)
            .all(|(a, b)| f64::from(*a) == b / 2.0)
    );
    let read = mono(&found, dir.path(), "a.mat#wav1", None);
    assert_eq!((read.len(), read[149_999]), (150_000, 74_999.5));
    assert_eq!(
        look_up(&found, "files", ("path", "a.mat#wav1"), "sfreq"),
        "64"
    );
}

#[test]
fn rules_of_sounds_are_checked_when_the_manifest_is_read() {
    let files = "[[files]]\npattern = 'x'\nkind = \"signal\"";
    for (rule, says) in [
        (
            "part = 'ch2'\ntree = { audio = 'x', sfreq = 1 }",
            "ch and a number",
        ),
        (
            "part = 'a#b'\ntree = { audio = 'x', sfreq = 1 }",
            "sounds[0].part",
        ),
        (
            "part = 'a'\ntree = { audio = 'x', sfreq = 1, row = 0 }",
            "sounds[0].tree.row",
        ),
        (
            "part = 'a'\neach = 'x{*}'\ntree = { audio = '$', sfreq = 1 }",
            "sounds[0].part",
        ),
        (
            "part = '$2'\neach = 'x{*}'\ntree = { audio = '$', sfreq = 1 }",
            "$2",
        ),
        (
            "part = '$'\neach = 'x{*}'\ntree = { audio = 'y', sfreq = 1 }",
            "sounds[0].tree.audio",
        ),
        (
            "part = '$'\neach = 'x'\ntree = { audio = '$', sfreq = 1 }",
            "sounds[0].each",
        ),
        ("part = 'a'\ntree = { audio = 'x' }", "sfreq"),
    ] {
        let text = format!(
            "name = 'T'\ntitle = 'T'\nlicence = 'x'\naccess = 'open'\n{files}\n[[sounds]]\n\
             pattern = 'x'\n{rule}\n[trials]\nsql = 'x'"
        );
        let e = Manifest::parse(&text, "t.toml").unwrap_err().to_string();
        assert!(e.contains(says), "{rule}: {e}");
    }
}

/// Curry with a channel of triggers at 100 Hz.
fn with_triggers(path: &Path, triggers: &[f64]) {
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
fn columns_of_a_matrix_are_columns_of_a_table() {
    let dir = tempfile::tempdir().unwrap();
    // Three words by start, stop, offset; linear order is column after column.
    let trl = vec![
        100.0,
        200.0,
        300.0,
        150.0,
        250.0,
        350.0,
        -150.0,
        -150.0,
        f64::NAN,
    ];
    let proc = Value::record([
        ("trl", Value::array(&[3, 3], trl)),
        ("subject", Value::text("S01")),
        ("bads", Value::texts(["27", "29"])),
        ("x", Value::array(&[4, 1], vec![1.0, 2.0, 3.0, 4.0])),
    ]);
    write_mat5(&dir.path().join("s1.mat"), &[("proc", proc)], true).unwrap();
    let m = |columns: &str| {
        manifest(
            "[[files]]\npattern = '(?P<subject>s\\d)\\.mat'\nkind = \"signal\"",
            &format!(
                "[[parts]]\npattern = '.*'\ntree = {{ eeg = ['proc.x'], sfreq = 1, ch_names = ['Cz'] }}\n\
                 [[tables]]\ntable = 'words'\npattern = '.*'\n\
                 remedy = 'supply words.csv'\ncolumns = {{ {columns} }}"
            ),
        )
    };
    let found = scanned(
        &m("start = 'proc.trl[:,1]', before = 'proc.trl[:,3]', who = 'proc.subject'"),
        dir.path(),
    );
    assert_eq!(column(&found, "words", "start"), ["100", "200", "300"]);
    assert_eq!(column(&found, "words", "before"), ["-150", "-150", "-"]);
    assert_eq!(column(&found, "words", "who"), ["S01"; 3]);
    assert_eq!(column(&found, "words", "row"), ["1", "2", "3"]);
    let row = found.table("words").unwrap().schema();
    assert_eq!(
        row.field_with_name("row").unwrap().data_type().to_string(),
        "Int64"
    );
    let found = scanned(&m("second = 'proc.trl[2,:]'"), dir.path());
    assert_eq!(column(&found, "words", "second"), ["200", "250", "-150"]);
    for (columns, says) in [
        ("a = 'proc.trl[:,4]'", "column 4 of 3"),
        ("a = 'proc.trl[9,:]'", "row 9 of 3"),
        ("a = 'proc.bads[:,1]'", "expected a matrix of numbers"),
    ] {
        let found = scanned(&m(columns), dir.path());
        assert_eq!(column(&found, "diagnostics", "code"), ["table-unreadable"]);
        let message = &column(&found, "diagnostics", "message")[0];
        assert!(message.contains(says), "{columns}: {message}");
        assert!(message.ends_with("; supply words.csv"), "{message}");
    }
}

#[test]
fn a_table_of_matlab_is_a_table() {
    // Written by MATLAB; see the crate `trees`.
    let from = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../trees/tests/fixtures/matio/test_tables_v7.mat");
    let dir = tempfile::tempdir().unwrap();
    std::fs::copy(from, dir.path().join("expinfo_S1.mat")).unwrap();
    with_triggers(&dir.path().join("s1.cdt"), &[0.0; 100]);
    let m = manifest(
        "[[files]]\npattern = '(?P<subject>s\\d)\\.cdt'\nkind = \"signal\"\n\
         [[files]]\npattern = 'expinfo_.*'\nkind = \"side-car\"",
        r#"
[[tables]]
table = "numbers"
pattern = 'expinfo_S(?P<number>\d+)\.mat'
columns = { first = "table_numeric.Var1", second = "table_numeric.Var2" }
[[tables]]
table = "cells"
pattern = 'expinfo_.*'
columns = { label = "table_with_attrs.Label" }
[[tables]]
table = "times"
pattern = 'expinfo_.*'
remedy = "supply a struct array instead (table2struct)"
columns = { at = "table_time.Time" }
"#,
    );
    let found = scanned(&m, dir.path());
    assert_eq!(column(&found, "numbers", "second"), ["4.4", "5.5", "6.6"]);
    assert_eq!(column(&found, "numbers", "number"), ["1"; 3]);
    assert_eq!(column(&found, "cells", "label"), ["one", "two"]);
    assert_eq!(column(&found, "times", "at"), [""; 0]);
    assert_eq!(column(&found, "diagnostics", "code"), ["table-unreadable"]);
    let message = &column(&found, "diagnostics", "message")[0];
    assert!(
        message.contains("datetime") && message.ends_with("(table2struct)"),
        "{message}"
    );
}
