//! Manifests: what is built in, what is refused, and how a name is found.

use mmpipe_corpora::manifest::{Access, FileKind, Layout};
use mmpipe_corpora::{Error, Manifest, registry};

const TOY: &str = r#"
name = "Toy"
aliases = ["toy-set"]
title = "A toy"
licence = "CC0-1.0"
access = "open"
[[files]]
pattern = '(?P<subject>s\d+)\.edf'
kind = "signal"
[trials]
sql = "SELECT path, 0 AS trial FROM files WHERE status = 'ok'"
"#;

fn message(text: &str) -> String {
    Manifest::parse(text, "toy.toml").unwrap_err().to_string()
}

#[test]
fn every_built_in_manifest_parses_and_is_registered() {
    let all = registry::builtin().unwrap();
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../data-manifests");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|n| n.ends_with(".toml") && !n.starts_with('_'))
        .collect();
    files.sort_by_key(|f| f.trim_end_matches(".toml").to_lowercase());
    let names: Vec<String> = all.iter().map(|m| format!("{}.toml", m.name)).collect();
    assert_eq!(
        names, files,
        "a manifest of data-manifests/ is not in registry.rs, or the reverse"
    );
    assert_eq!(registry::bids().unwrap().layout, Layout::Bids);
}

#[test]
fn patterns_match_the_names_of_the_releases() {
    let all = registry::builtin().unwrap();
    let kind = |name: &str, path: &str| {
        let m = registry::find(&all, name).unwrap();
        let rule = m.files.iter().find(|r| r.pattern.is_match(path));
        rule.map(|r| (r.kind, r.pattern.groups(path).unwrap()))
    };
    let (k, groups) = kind("EEGMat", "Subject35_2.edf").unwrap();
    assert_eq!(k, FileKind::Signal);
    assert_eq!(
        (groups["subject"].as_str(), groups["run"].as_str()),
        ("Subject35", "2")
    );
    assert_eq!(
        kind("EEGMat", "subject-info.csv").unwrap().0,
        FileKind::SideCar
    );
    assert_eq!(
        kind("EEGMat", "SHA256SUMS.txt").unwrap().0,
        FileKind::Ignore
    );
    assert!(kind("EEGMat", "Subject35_3.edf").is_none());
    let (k, groups) = kind("EEGMMIDB", "S109/S109R14.edf").unwrap();
    assert_eq!(k, FileKind::Signal);
    assert_eq!(
        (groups["subject"].as_str(), groups["run"].as_str()),
        ("S109", "14")
    );
    assert_eq!(
        kind("EEGMMIDB", "S001/S001R03.edf.event").unwrap().0,
        FileKind::Ignore
    );
}

#[test]
fn known_faults_name_the_files_they_mean() {
    let all = registry::builtin().unwrap();
    let hit = |name: &str, path: &str| {
        let m = registry::find(&all, name).unwrap();
        m.faults.iter().filter(|f| f.pattern.is_match(path)).count()
    };
    for subject in ["S088", "S092", "S100"] {
        assert_eq!(hit("EEGMMIDB", &format!("{subject}/{subject}R07.edf")), 1);
    }
    assert_eq!(hit("EEGMMIDB", "S089/S089R01.edf"), 1);
    assert_eq!(hit("EEGMMIDB", "S104/S104R08.edf"), 1);
    assert_eq!(hit("EEGMMIDB", "S001/S001R08.edf"), 0);
    assert_eq!(hit("EEGMat", "subject-info.csv"), 1);
}

#[test]
fn the_paper_and_the_differences_are_explained() {
    let all = registry::builtin().unwrap();
    let m = registry::find(&all, "EEGMat").unwrap();
    assert_eq!(m.access, Access::Open);
    let paper = m.paper.channels.map(f64::from);
    let d = m.differences.iter().find(|d| d.what == "channels").unwrap();
    assert_eq!(Some(d.paper), paper);
    assert_eq!(Some(d.files), m.expected.channels.map(f64::from));
}

#[test]
fn faults_of_a_manifest_name_file_and_key() {
    let parse = |from: &str, to: &str| message(&TOY.replacen(from, to, 1));
    for (from, to, wants) in [
        ("title", "titel", &["toy.toml", "titel"][..]),
        (
            "access = \"open\"",
            "access = \"free\"",
            &["toy.toml", "free", "credentialed"],
        ),
        ("title = \"A toy\"", "", &["toy.toml", "title"]),
        (
            r"s\d+)",
            r"s\d+",
            &["toy.toml", "pattern", "unclosed group"],
        ),
        (
            "\"signal\"",
            "\"ignore\"",
            &["toy.toml", "`files`", "at least one rule"],
        ),
        (
            "name = \"Toy\"",
            "name = \"To/y\"",
            &["toy.toml", "`name`", "To/y"],
        ),
        ("toy-set", "", &["`aliases[0]`"]),
        ("?P<subject>", "?P<bytes>", &["`files[0].pattern`", "bytes"]),
        (
            "SELECT path, 0 AS trial FROM files WHERE status = 'ok'",
            " ",
            &["`trials.sql`"],
        ),
        (
            "kind = \"signal\"",
            "kind = \"signal\"\nexample = \"x\"",
            &["`files[0].example`"],
        ),
        (
            "kind = \"signal\"",
            "kind = \"signal\"\nof = \"x\"",
            &["`files[0].of`"],
        ),
        (
            "[trials]",
            "[channels]\ndrop = [{pattern = 'x', reason = ''}]\n[trials]",
            &["`channels.drop[0].reason`"],
        ),
        (
            "[trials]",
            "[channels]\nkinds = [{pattern = 'x', kind = 'brain'}]\n[trials]",
            &["`channels.kinds[0].kind`", "brain"],
        ),
        (
            "[trials]",
            "[[side_cars]]\ntable = 'files'\npattern = 'x'\nformat = 'csv'\n[trials]",
            &["`side_cars[0].table`"],
        ),
        (
            "[trials]",
            "[[faults]]\npattern = 'x'\nfault = 'y'\nsource = ''\naction = 'note'\n[trials]",
            &["`faults[0].source`"],
        ),
        (
            "[trials]",
            "[[faults]]\npattern = 'x'\nfault = 'y'\nsource = 'z'\naction = 'unit'\n[trials]",
            &["`faults[0].unit`"],
        ),
        (
            "[trials]",
            "[[differences]]\nwhat = 'days'\npaper = 1\nfiles = 2\nwhy = 'x'\n[trials]",
            &["`differences[0].what`", "days"],
        ),
    ] {
        let text = parse(from, to);
        for want in wants {
            assert!(text.contains(want), "{from} -> {to}: {text}");
        }
    }
    assert!(matches!(
        Manifest::parse("", "x"),
        Err(Error::ManifestSyntax { .. })
    ));
    Manifest::parse(TOY, "toy.toml").unwrap();
}

#[test]
fn one_that_is_asked_for_is_the_one_that_all_have() {
    let all = registry::builtin().unwrap();
    let shown = |m: &Manifest| format!("{m:?}");
    for m in &all {
        assert_eq!(shown(&registry::named(None, &m.name).unwrap()), shown(m));
    }
    for name in ["demo", "eegmat", "KUL.toml", "EEGmad", ""] {
        let (one, of_all) = (registry::named(None, name), registry::find(&all, name));
        let told = |e: &Error| e.to_string();
        assert_eq!(
            one.as_ref().map(shown).map_err(told),
            of_all.map(shown).map_err(|e| told(&e))
        );
    }
    // A user's own stands for the built-in one.
    let folder = tempfile::tempdir().unwrap();
    let own = TOY.replace("name = \"Toy\"", "name = \"KUL\"");
    assert_ne!(own, TOY);
    std::fs::write(folder.path().join("mine.toml"), own).unwrap();
    let found = registry::named(Some(folder.path()), "KUL").unwrap();
    assert!(found.is_called("toy-set"));
}

#[test]
fn names_are_found_in_any_case_and_near_ones_are_offered() {
    let all = registry::builtin().unwrap();
    assert_eq!(registry::find(&all, "EEGMAT").unwrap().name, "EEGMat");
    assert_eq!(registry::find(&all, "demo").unwrap().name, "TwoTalker");
    let near = registry::find(&all, "EEGmad").unwrap_err().to_string();
    assert!(near.contains("did you mean EEGMat"), "{near}");
    let far = registry::find(&all, "zzzzzzzz").unwrap_err().to_string();
    assert!(!far.contains("did you mean"), "{far}");
}

#[test]
fn a_folder_adds_and_replaces() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("toy.toml"), TOY).unwrap();
    std::fs::write(
        dir.path().join("mine.toml"),
        TOY.replace("\"Toy\"", "\"eegmat\"")
            .replace("toy-set", "other"),
    )
    .unwrap();
    std::fs::write(dir.path().join("_draft.toml"), "not toml").unwrap();
    std::fs::write(dir.path().join("notes.txt"), "nor this").unwrap();
    let all = registry::load(Some(dir.path())).unwrap();
    assert_eq!(registry::find(&all, "toy-set").unwrap().title, "A toy");
    assert_eq!(registry::find(&all, "EEGMat").unwrap().title, "A toy");
    assert_eq!(all.len(), registry::builtin().unwrap().len() + 1);

    std::fs::write(dir.path().join("twin.toml"), TOY).unwrap();
    let e = registry::load(Some(dir.path())).unwrap_err().to_string();
    assert!(
        e.contains("Toy") && e.contains("twin.toml") && e.contains("toy.toml"),
        "{e}"
    );
    assert!(matches!(
        registry::load(Some(&dir.path().join("none"))),
        Err(Error::Io { .. })
    ));
}
