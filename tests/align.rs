//! Stages 2 and 3 with sound through the binary, on a miniature of the two-talker corpus.

use serde_json::Value;

use crate::support::Scratch;

/// So small that a test lasts seconds.
const ALIGN: [&str; 9] = [
    "train",
    "--stage",
    "align",
    "--set",
    "align.size=tiny",
    "--set",
    "align.steps.batch=32",
    "--epochs",
    "1",
];
const TUNE: [&str; 9] = [
    "train",
    "--stage",
    "finetune",
    "--set",
    "train.size=tiny",
    "--epochs",
    "1",
    "--folds",
    "0",
];

fn notes(value: &Value) -> String {
    let notes = value.as_array().into_iter().flatten();
    notes
        .filter_map(Value::as_str)
        .collect::<Vec<_>>()
        .join("; ")
}

#[test]
fn sounds_are_aligned_then_matched_and_scored_like_any_model() {
    let scratch = Scratch::new();
    let simulate = ["simulate", "--dataset", "TwoTalker", "--subjects", "2"];
    scratch.ok(&[&simulate[..], &["--out", "raw"]].concat());
    scratch.ok(&["ingest", "--dataset", "TwoTalker", "--raw", "raw"]);
    let split = ["split", "--protocol", "between-trial", "--folds", "2"];
    let split = scratch.json(&[&split[..], &["--dataset", "TwoTalker"]].concat());
    let split = split["split"].as_str().expect("a name").to_owned();

    // Stage 2 inside the folds, validated by honest scoring.
    let args = [&ALIGN[..], &["--split", &split]].concat();
    let two = scratch.json(&args);
    let run = two["run"].as_str().expect("a name").to_owned();
    assert_eq!(run, format!("align-{split}"));
    assert_eq!(two["record"]["stage"], "align");
    assert_eq!(two["reports"].as_array().map(Vec::len), Some(2));
    let pass = &two["reports"][0]["report"]["phase"]["history"][0]["named"];
    for name in ["val_top1", "val_top5", "val_candidate_accuracy"] {
        let share = pass[name].as_f64().expect("a share");
        assert!((0.0..=1.0).contains(&share), "{name}: {share}");
    }
    assert!(pass["val_pool"].as_f64() > Some(10.0), "{pass}");
    let folder = scratch.lake().join("runs").join(&run).join("fold=1");
    let config = std::fs::read(folder.join("config.json")).expect("written");
    let config: Value = serde_json::from_slice(&config).expect("JSON");
    assert_eq!(config["model_type"], "mindmix-align");
    // Done is done; and it answers no question.
    assert_eq!(
        scratch.json(&["train", "--resume", &run])["reports"],
        two["reports"]
    );
    let ran = scratch.run(&["evaluate", "--run", &run]);
    assert!(ran.code == 1 && ran.stderr.contains("--init"), "{ran}");

    // Stage 3 from it: the run, its controls, the ridge decoder beside it, a report.
    let tune = [&TUNE[..], &["--split", &split, "--init", &run]].concat();
    let three = scratch.json(&[&tune[..], &["--model", "mindmix-av"]].concat());
    assert_eq!(three["record"]["config"]["fusion"], "calra-paper");
    let said = notes(&three["fits"][0]["notes"]);
    assert!(
        said.contains("tensors taken") && !said.contains("anew"),
        "{said}"
    );
    let said = notes(&three["record"]["init"]["notes"]);
    assert!(said.contains("aligned with sounds"), "{said}");
    assert!(said.contains("the same split keeps out"), "{said}");
    let name = three["run"].as_str().expect("a name");
    let scored = scratch.json(&["evaluate", "--run", name]);
    assert_eq!(scored["scoring"], "candidate");
    assert_eq!(scored["baselines"][0]["name"], "ridge");
    assert_eq!(scored["controls"].as_array().map(Vec::len), Some(2));
    scratch.ok(&["report", name, "-o", "report.html"]);
    // A run of alignment is taken for what it is where no model is named, too.
    let clip = [
        &TUNE[..],
        &["--split", &split, "--model", "mindmix-av", "--no-controls"],
        &["--set", "train.fusion=clip", "--name", "clip"],
    ];
    scratch.ok(&clip.concat());
    let prototype = [
        &tune[..],
        &[
            "--model",
            "mindmix-prototype",
            "--no-controls",
            "--name",
            "prototype",
        ],
    ];
    scratch.ok(&prototype.concat());

    // Aligned on everything, test trials with it: whoever would be tested on them is refused.
    let whole = scratch.json(&[&ALIGN[..], &["--dataset", "twotalker"]].concat());
    assert!(
        notes(&whole["notes"]).contains("is refused"),
        "{}",
        whole["notes"]
    );
    let run = whole["run"].as_str().expect("a name");
    let args = ["--split", &split, "--init", run, "--model", "mindmix-av"];
    let ran = scratch.run(&[&TUNE[..], &args, &["--name", "peeked"]].concat());
    assert!(ran.code == 1 && ran.stderr.contains("attended to"), "{ran}");
    for (args, says) in [
        (
            vec!["--split", &split, "--model", "mindmix"],
            "--model belongs to",
        ),
        (
            vec!["--split", &split, "--objective", "joint"],
            "--objective belongs to",
        ),
        (
            vec!["--split", &split, "--init", "absent", "--name", "x"],
            "absent",
        ),
        (vec![], "align wants --dataset"),
    ] {
        let ran = scratch.run(&[&ALIGN[..], &args].concat());
        assert!(ran.code == 1 && ran.stderr.contains(says), "{says}: {ran}");
    }
}
