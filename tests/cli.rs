//! The command line's own words: help, usage errors, errors before any work.

use crate::support::Scratch;

const COMMANDS: [&str; 15] = [
    "datasets", "fetch", "inspect", "ingest", "sql", "split", "audit", "embed", "train",
    "evaluate", "report", "simulate", "convert", "config", "demo",
];

#[test]
fn help_of_the_program() {
    insta::assert_snapshot!(Scratch::new().ok(&["--help"]));
}

#[test]
fn help_of_every_command() {
    for command in COMMANDS {
        let text = Scratch::new().ok(&[command, "--help"]);
        // What can be simulated is listed last, and tested in `simulate`.
        let (text, _) = text.split_once("\n  BCI-IV-2A").unwrap_or((&text, ""));
        insta::assert_snapshot!(format!("help-{command}"), text);
    }
}

#[test]
fn wrong_usage_is_exit_code_2() {
    let scratch = Scratch::new();
    for (name, args) in [
        ("no-command", vec![]),
        ("unknown-command", vec!["ingets"]),
        ("missing-raw", vec!["ingest", "--dataset", "EEGMat"]),
        (
            "both-raw-and-bids",
            vec!["ingest", "--dataset", "EEGMat", "--raw", "a", "--bids", "b"],
        ),
        ("unknown-flag", vec!["split", "--protocl", "x"]),
    ] {
        let ran = scratch.run(&args);
        assert_eq!(ran.code, 2, "{ran}");
        assert_eq!(ran.stdout, "", "{ran}");
        insta::assert_snapshot!(format!("usage-{name}"), ran.stderr);
    }
}

#[test]
fn what_is_not_there_is_said_with_the_way_out() {
    let scratch = Scratch::new();
    for (name, args) in [
        ("no-file", vec!["inspect", "absent.edf"]),
        ("a-folder", vec!["inspect", "."]),
        ("no-lake", vec!["sql", "SELECT 1"]),
        (
            "no-lake-split",
            vec![
                "split",
                "--protocol",
                "cross-subject",
                "--dataset",
                "EEGMat",
            ],
        ),
        ("no-dataset", vec!["datasets", "show", "EEGMatt"]),
        (
            "no-raw-folder",
            vec!["ingest", "--dataset", "EEGMat", "--raw", "absent"],
        ),
        ("no-bids-folder", vec!["ingest", "--bids", "absent"]),
        (
            "no-recipe",
            vec![
                "ingest",
                "--dataset",
                "EEGMat",
                "--raw",
                ".",
                "--recipe",
                "mindmx",
            ],
        ),
        (
            "no-simulation",
            vec!["simulate", "--dataset", "KULL", "--out", "x"],
        ),
        (
            "bad-config-key",
            vec!["config", "show", "--set", "train.epoch=3"],
        ),
        ("bad-model", vec!["config", "show", "--model", "eegnett"]),
    ] {
        let ran = scratch.run(&args);
        assert_eq!(ran.code, 1, "{ran}");
        insta::assert_snapshot!(format!("error-{name}"), ran.stderr);
    }
}

#[test]
fn configuration_says_where_a_value_came_from() {
    let scratch = Scratch::new();
    std::fs::write(
        scratch.path("mmpipe.toml"),
        "[train]\nepochs = 12\nlr = 0.002\n",
    )
    .unwrap();
    let mut command = scratch.command(&["config", "show", "--origin", "--set", "train.lr=0.01"]);
    let output = command.env("MMPIPE_TRAIN__BATCH", "16").output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let find = |key: &str| {
        text.lines()
            .find(|l| l.starts_with(key))
            .unwrap_or_else(|| panic!("{key}:\n{text}"))
            .to_owned()
    };
    assert!(
        find("train.epochs ").contains("12") && find("train.epochs ").contains("file mmpipe.toml")
    );
    assert!(
        find("train.batch ").contains("16")
            && find("train.batch ").contains("environment MMPIPE_TRAIN__BATCH")
    );
    assert!(
        find("train.lr ").contains("0.01")
            && find("train.lr ").contains("flag --set train.lr=0.01")
    );
    assert!(find("train.beta1 ").contains("default"));
}
