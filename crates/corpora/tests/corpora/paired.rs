//! Sounds inside files of named arrays, members of groups as recordings.

use std::path::Path;

use crate::common::{column, look_up};
use crate::plain::scanned;
use mmpipe_corpora::{Error, Filter, Manifest, Scan, open_part, open_sound, scan};
use mmpipe_trees::write::{Value, write_mat5};

pub(crate) fn manifest(files: &str, rest: &str) -> Manifest {
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
