//! Stage 3's classes from EEG and the sound that was heard, through the binary: the control beside it, and
//! what the trials tell before anything is trained.

use mmpipe_simulate::{Ds004356, ds004356};
use serde_json::Value;

use crate::support::Scratch;

fn notes(value: &Value) -> String {
    let notes = value.as_array().into_iter().flatten();
    notes
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn what_the_sound_alone_tells_stands_beside_the_score() {
    let scratch = Scratch::new();
    // Two kinds of sound, each of its own label, and all subjects hear the same.
    let four = Ds004356 {
        subjects: vec![1, 2, 4, 5],
        ..Ds004356::default()
    };
    ds004356(&four, &scratch.path("raw")).expect("simulated");
    scratch.ok(&["ingest", "--dataset", "ds004356", "--raw", "raw"]);
    let split = ["split", "--protocol", "cross-subject", "--folds", "2"];
    let split = scratch.json(&[&split[..], &["--dataset", "ds004356"]].concat());
    let split = split["split"].as_str().expect("a name").to_owned();
    let args = [
        "train",
        "--stage",
        "finetune",
        "--split",
        &split,
        "--model",
        "mindmix-real",
        "--set",
        "train.size=tiny",
        "--epochs",
        "1",
    ];
    let trained = scratch.json(&args);
    let controls = &trained["record"]["controls"];
    assert_eq!(
        *controls,
        serde_json::json!(["label-permuted", "audio-only"])
    );
    // Of each fold: the run, two fits on permuted labels, one without EEG.
    assert_eq!(trained["fits"].as_array().map(Vec::len), Some(8));
    let said = notes(&trained["fits"][0]["notes"]);
    assert!(
        said.contains("the sound alone can tell the class: 8 of 8 test epochs"),
        "{said}"
    );
    let run = trained["run"].as_str().expect("a name");
    let scored = scratch.json(&["evaluate", "--run", run]);
    let names: Vec<&str> = scored["controls"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|c| c["name"].as_str())
        .collect();
    assert_eq!(names, ["noise-eeg", "label-permuted", "audio-only"]);
    assert!(
        notes(&scored["notes"]).contains("the sound alone"),
        "{scored}"
    );
    scratch.ok(&["report", run, "-o", "report.html"]);
    let page = std::fs::read_to_string(scratch.path("report.html")).expect("the page");
    assert!(page.contains("what the sound alone tells"));

    // Without its controls the absence is told; a model that does not hear has no such control.
    let bare = [&args[..], &["--no-controls", "--name", "bare"]].concat();
    scratch.ok(&bare);
    let scored = scratch.json(&["evaluate", "--run", "bare", "--controls", "audio-only"]);
    assert!(
        notes(&scored["notes"]).contains("The control audio-only was left out"),
        "{scored}"
    );
    // The settings and where they came from.
    let shown = scratch.ok(&[
        "config",
        "show",
        "--origin",
        "--model",
        "mindmix-real",
        "--set",
        "train.calra.type_aligner=off",
        "--set",
        "align.calra.low_rank=false",
        "--set",
        "align.steps.lr_scale.audio_model=0.1",
        "--set",
        "train.size=huge",
    ]);
    for (key, value, origin) in [
        ("train.calra.type_aligner ", "off", "flag"),
        ("train.calra.attention ", "true", "default"),
        ("align.calra.low_rank ", "false", "flag"),
        ("align.steps.lr_scale.audio_model ", "0.1", "flag"),
        ("train.lr_scale.head ", "1.0", "default"),
        ("align.hard_negatives ", "true", "default"),
        ("train.contrast ", "0.1", "default"),
        ("train.size ", "huge", "flag"),
    ] {
        let line = shown.lines().find(|l| l.starts_with(key));
        let line = line.unwrap_or_else(|| panic!("{key}:\n{shown}"));
        assert!(line.contains(value) && line.contains(origin), "{line}");
    }
}
