//! Stage 1 and what is fine-tuned from it, through the binary, on miniatures of two data sets.

use serde_json::Value;

use crate::support::Scratch;

/// So small that a test lasts seconds.
const TINY: [&str; 12] = [
    "--set",
    "pretrain.size=tiny",
    "--set",
    "pretrain.codes=32",
    "--set",
    "pretrain.code_dim=8",
    "--set",
    "pretrain.decoder_depth=1",
    "--set",
    "pretrain.steps.batch=32",
    "--epochs",
    "1",
];

fn notes(value: &Value) -> String {
    let mut text = String::new();
    for note in value.as_array().into_iter().flatten() {
        text.push_str(note.as_str().unwrap_or_default());
        text.push('\n');
    }
    text
}

#[test]
fn stage_1_on_two_data_sets_then_fine_tuning_from_it() {
    let scratch = Scratch::new();
    for (name, subjects) in [("EEGMat", Some("4")), ("TUAB", None)] {
        let raw = format!("raw-{name}");
        let mut args = vec!["simulate", "--dataset", name, "--out", &raw];
        args.extend(subjects.into_iter().flat_map(|n| ["--subjects", n]));
        scratch.ok(&args);
        scratch.ok(&["ingest", "--dataset", name, "--raw", &raw]);
    }
    let split = [
        "split",
        "--protocol",
        "cross-subject",
        "--dataset",
        "EEGMat",
        "--folds",
        "2",
    ];
    let split = scratch.json(&split)["split"].as_str().unwrap().to_owned();

    // Both data sets whole: a subject of each is held out, and the split's subjects are seen.
    let both = [
        "train",
        "--stage",
        "pretrain",
        "--dataset",
        "eegmat",
        "--dataset",
        "TUAB",
    ];
    let args: Vec<&str> = both.iter().chain(&TINY).copied().collect();
    let whole = scratch.json(&args);
    let run = whole["run"].as_str().unwrap().to_owned();
    assert_eq!(run, "pretrain-eegmat-tuab");
    let report = &whole["reports"][0]["report"];
    let epochs = scratch.sql("SELECT count(*) AS n FROM eeg");
    let used = report["n_train"].as_u64().unwrap() + report["n_val"].as_u64().unwrap();
    assert_eq!(
        epochs[0]["n"].as_u64(),
        Some(used),
        "every epoch, labelled or not"
    );
    assert!(report["n_val"].as_u64().unwrap() > 0);
    let pass = &report["phases"][0]["history"][0]["named"];
    assert!(pass["perplexity"].as_f64().unwrap() > 1.0, "{pass}");
    assert!(
        notes(&whole["notes"]).contains(&split),
        "{}",
        whole["notes"]
    );
    let folder = scratch.lake().join("runs").join(&run);
    let config = std::fs::read(folder.join("config.json")).unwrap();
    let config: Value = serde_json::from_slice(&config).unwrap();
    assert_eq!(config["encoder_prefix"], "encoder.");
    // What is done is not done again, and a run of stage 1 answers no question.
    let again = scratch.json(&["train", "--resume", &run]);
    assert_eq!(again["reports"], whole["reports"]);
    let ran = scratch.run(&["evaluate", "--run", &run]);
    assert_ne!(ran.code, 0);
    assert!(ran.stderr.contains("--init"), "{ran}");
    let own = folder.join("model.safetensors");
    let ran = scratch.run(&["convert", &own.to_string_lossy(), "--out", "converted"]);
    assert_eq!(ran.code, 1, "{ran}");
    let says = format!("needs no conversion; name SCRATCH/lake/runs/{run} with --init");
    assert!(ran.stderr.contains(&says), "{ran}");

    // Inside the folds of the split, with the other data set besides.
    let within = [
        "train",
        "--stage",
        "pretrain",
        "--split",
        &split,
        "--dataset",
        "TUAB",
        "--objective",
        "labram",
        "--name",
        "apart",
    ];
    let args: Vec<&str> = within.iter().chain(&TINY).copied().collect();
    let apart = scratch.json(&args);
    assert_eq!(apart["reports"].as_array().unwrap().len(), 2);
    for fold in 0..2 {
        let test = scratch.sql(&format!(
            "SELECT DISTINCT subject FROM splits WHERE fold = {fold} AND role = 'test'"
        ));
        let seen = &apart["record"]["seen"][fold.to_string()];
        for row in &test {
            let subject = serde_json::json!(["EEGMat", row["subject"]]);
            assert!(
                !seen.as_array().unwrap().contains(&subject),
                "{seen} {subject}"
            );
        }
        assert!(seen.to_string().contains("TUAB"), "{seen}");
    }

    // The same fine-tuning from each: the notes say whose EEG was seen.
    let tuned = |init: &str, name: &str| {
        let trained = scratch.json(&[
            "train",
            "--stage",
            "finetune",
            "--split",
            &split,
            "--init",
            init,
            "--name",
            name,
            "--set",
            "train.size=tiny",
            "--epochs",
            "1",
            "--no-controls",
        ]);
        assert_eq!(trained["record"]["config"]["model"], "mindmix");
        let own = trained["fits"][0]["notes"].clone();
        assert!(notes(&own).contains("tensors taken"), "{own}");
        let summary = scratch.json(&["evaluate", "--run", name]);
        notes(&summary["notes"])
    };
    let said = tuned(&run, "tuned-whole");
    assert!(
        said.contains("pre-trained on EEG of the test subjects, without labels"),
        "{said}"
    );
    let said = tuned("apart", "tuned-apart");
    assert!(
        said.contains("which saw no EEG of the test subjects"),
        "{said}"
    );
    assert!(
        said.contains("fold=1"),
        "each fold from its own weights: {said}"
    );
    let file = folder.join("model.safetensors").display().to_string();
    let said = tuned(&file, "tuned-file");
    assert!(said.contains("is not known here"), "{said}");

    // What cannot work says what to do.
    for (args, words) in [
        (vec!["train", "--stage", "pretrain"], "--dataset"),
        (
            vec!["train", "--stage", "pretrain", "--dataset", "absent"],
            "not in the lake",
        ),
        (
            vec!["train", "--split", &split, "--init", "absent"],
            "no run of this name",
        ),
        (
            vec!["train", "--split", &split, "--init", "tuned-file"],
            "learnt from labels",
        ),
        (
            vec!["train", "--split", &split, "--objective", "joint"],
            "earlier stage",
        ),
        (
            vec!["train", "--stage", "finetune", "--resume", &run],
            "stage pretrain",
        ),
    ] {
        let ran = scratch.run(&args);
        assert_ne!(ran.code, 0, "{ran}");
        assert!(ran.stderr.contains(words), "{ran}");
    }
}

#[test]
fn settings_of_stage_1_have_their_own_section() {
    let scratch = Scratch::new();
    std::fs::write(
        scratch.path("mmpipe.toml"),
        "[train]\nepochs = 3\n[pretrain]\nobjective = \"labram\"\n[pretrain.steps]\nepochs = 7\n",
    )
    .unwrap();
    let set = ["config", "show", "--set", "pretrain.steps.lr=0.5", "--json"];
    let mut command = scratch.command(&set);
    command.env("MMPIPE_PRETRAIN__CODES", "99");
    let output = command.output().unwrap();
    let rows: Vec<Value> = serde_json::from_slice(&output.stdout).unwrap();
    let of = |key: &str| {
        let row = rows.iter().find(|r| r["key"] == key);
        let row = row.unwrap_or_else(|| panic!("{key}: {rows:?}"));
        let origin = row["origin"].as_str().unwrap().split(' ').next().unwrap();
        (row["value"].clone(), origin.to_owned())
    };
    assert_eq!(of("train.epochs"), (3.into(), "file".into()));
    assert_eq!(of("pretrain.steps.epochs"), (7.into(), "file".into()));
    assert_eq!(of("pretrain.objective"), ("labram".into(), "file".into()));
    assert_eq!(of("pretrain.codes"), (99.into(), "environment".into()));
    assert_eq!(of("pretrain.steps.lr"), (0.5.into(), "flag".into()));
    assert_eq!(of("pretrain.code_dim"), (64.into(), "default".into()));
}
