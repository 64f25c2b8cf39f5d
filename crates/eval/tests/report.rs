//! The page: stable, complete, offline, well-formed, and honest about leaks.

use mmpipe_eval::report::{escape, render};
use mmpipe_eval::result::{
    AuditAlone, AuditPair, AuditSummary, CurvePoint, FoldCurve, Prediction, RunMeta, RunSummary,
    ScoreOptions, summarise,
};
use proptest::prelude::*;

/// Two-talker-like predictions: `skill` is the share of trials that the model knows. Everything
/// comes from a small fixed generator.
fn predictions(skill: f64, seed: u64) -> Vec<Prediction> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut random = move || {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        (state >> 11) as f64 / (1_u64 << 53) as f64
    };
    let mut rows = Vec::new();
    for subject in 0..6_u64 {
        for trial in 0..10_u64 {
            let label = (trial % 2) as i32;
            for epoch in 0..12_u64 {
                let right = if random() < skill {
                    true
                } else {
                    random() < 0.5
                };
                let predicted = if right { label } else { 1 - label };
                let sure = 0.5 + 0.4 * random() as f32;
                let scores = if predicted == 0 {
                    vec![sure, 1.0 - sure]
                } else {
                    vec![1.0 - sure, sure]
                };
                rows.push(Prediction {
                    fold: (trial / 2) as i32,
                    epoch_id: subject * 10_000 + trial * 100 + epoch,
                    dataset: "TwoTalker".into(),
                    subject: format!("sub-{:02}", subject + 1),
                    trial: trial as i32,
                    label,
                    predicted,
                    scores,
                    ..Prediction::default()
                });
            }
        }
    }
    rows
}

fn curves(final_score: f64) -> Vec<FoldCurve> {
    (0..5)
        .map(|fold| FoldCurve {
            fold,
            best_epoch: Some(9 + fold as u32),
            points: (1..=14 + fold as u32)
                .map(|epoch| {
                    let t = f64::from(epoch) / 14.0;
                    let wobble = (f64::from(epoch) * 1.7 + f64::from(fold)).sin() * 0.02;
                    CurvePoint {
                        epoch,
                        train_loss: Some(0.7 * (-1.4 * t).exp() + wobble / 2.0),
                        val_loss: Some(0.69 - (final_score - 0.5) * 0.9 * t.min(1.0) + wobble),
                        val_balanced_accuracy: Some(
                            0.5 + (final_score - 0.5) * t.min(1.0) + wobble,
                        ),
                        lr: Some(1e-3 * (1.0 - t / 2.0)),
                    }
                })
                .collect(),
        })
        .collect()
}

fn audit(leaky: bool) -> AuditSummary {
    let roles = [("train", "val"), ("train", "test"), ("val", "test")];
    let n = if leaky { 1.0 } else { 0.0 };
    AuditSummary {
        promise: if leaky {
            "no epoch and no sample is on two sides; neighbouring windows of one trial may be"
                .into()
        } else {
            "no trial, and so no epoch and no sample, is on two sides".into()
        },
        holds: true,
        leaky,
        notes: vec!["12 of 732 epochs have no label and are in no fold.".into()],
        alone: vec![
            AuditAlone {
                what: "content".into(),
                balanced_accuracy: 0.48,
                chance: 0.5,
                seen_share: 1.0,
            },
            AuditAlone {
                what: "trial".into(),
                balanced_accuracy: 0.5 + 0.5 * n,
                chance: 0.5,
                seen_share: n,
            },
        ],
        pairs: (0..5)
            .flat_map(|fold| {
                roles.map(|(a, b)| AuditPair {
                    fold,
                    a: a.into(),
                    b: b.into(),
                    counts: vec![
                        ("shared epochs".into(), Some(0.0)),
                        ("overlapping seconds".into(), Some(0.0)),
                        (
                            "adjacent epochs".into(),
                            Some(n * (180.0 + f64::from(fold))),
                        ),
                        (
                            "neighbours in time".into(),
                            Some(n * (190.0 + f64::from(fold))),
                        ),
                        ("shared trials".into(), Some(n * 60.0)),
                        ("shared recordings".into(), Some(6.0)),
                        ("shared sessions".into(), None),
                        ("shared subjects".into(), Some(6.0)),
                        ("shared sounds".into(), Some(20.0)),
                        ("shared content".into(), Some(20.0)),
                    ],
                })
            })
            .collect(),
        ..AuditSummary::default()
    }
}

fn run(model: &str, leaky: bool, skill: f64, seed: u64) -> RunSummary {
    let protocol = if leaky {
        "within-subject"
    } else {
        "between-trial"
    };
    let options = ScoreOptions {
        permutations: 199,
        replicates: 200,
        ..ScoreOptions::default()
    };
    let meta = RunMeta {
        run: format!("{model}-{protocol}-s0"),
        question:
            "Which of the two talkers does the listener attend to, the left or the right one?"
                .into(),
        model: model.into(),
        stage: "finetune".into(),
        dataset: "TwoTalker".into(),
        split: format!("twotalker-{protocol}-s0"),
        protocol: protocol.into(),
        leaky,
        scoring: "label".into(),
        classes: vec!["left".into(), "right".into()],
        parameters: Some(1_874),
        seed: Some(0),
        version: "0.1.0".into(),
        config: serde_json::json!({"epochs": 40, "batch": 32, "lr": 0.001}),
    };
    let mut run = summarise(meta, &predictions(skill, seed), &options).unwrap();
    run.add_control("noise-eeg", &predictions(0.0, seed + 100), &options)
        .unwrap();
    run.add_control("label-permuted", &predictions(0.0, seed + 200), &options)
        .unwrap();
    run.curves = curves(0.5 + skill / 2.0);
    run.audit = Some(audit(leaky));
    run
}

fn demo() -> Vec<RunSummary> {
    vec![
        run("EEGNet", true, 0.86, 1),
        run("EEGNet", false, 0.0, 12),
        run("AADNet", true, 0.42, 3),
        run("AADNet", false, 0.4, 4),
    ]
}

/// Checks that markup is well-formed: tags nest, attributes are quoted and unique, ampersands and
/// angle brackets are escaped, ids are unique. Returns the text content.
fn well_formed(page: &str) -> String {
    let body = page
        .strip_prefix("<!DOCTYPE html>\n")
        .expect("doctype first");
    let (mut open, mut text, mut ids) =
        (Vec::new(), String::new(), std::collections::BTreeSet::new());
    let mut rest = body;
    while let Some(start) = rest.find('<') {
        text.push_str(&unescape(&rest[..start]));
        let tag_and_rest = &rest[start + 1..];
        let end = tag_and_rest.find('>').expect("tag ends");
        let tag = &tag_and_rest[..end];
        assert!(!tag.contains('<'), "bare < in {tag}");
        rest = &tag_and_rest[end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop().as_deref(), Some(name), "closing tag");
            continue;
        }
        let (tag, closed) = tag.strip_suffix('/').map_or((tag, false), |t| (t, true));
        let (name, mut attributes) = tag.split_once(' ').unwrap_or((tag, ""));
        assert!(
            name.chars().all(|c| c.is_ascii_alphanumeric()),
            "tag name {name}"
        );
        let mut seen = std::collections::BTreeSet::new();
        while let Some((key, after)) = attributes.split_once("=\"") {
            let (value, after) = after.split_once('"').expect("quoted value");
            assert!(
                seen.insert(key.trim().to_owned()),
                "attribute {key} twice in {name}"
            );
            let value = unescape(value);
            if key.trim() == "id" {
                assert!(ids.insert(value), "id twice");
            }
            attributes = after;
        }
        assert!(attributes.trim().is_empty(), "stray {attributes} in {name}");
        if name == "style" {
            let (css, after) = rest.split_once("</style>").expect("style ends");
            assert!(!css.contains('<'));
            rest = after;
        } else if !closed {
            open.push(name.to_owned());
        }
    }
    assert!(open.is_empty(), "left open: {open:?}");
    text + rest
}

fn unescape(text: &str) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('&') {
        let (name, after) = after.split_once(';').expect("entity ends");
        out.push_str(before);
        out.push(match name {
            "amp" => '&',
            "lt" => '<',
            "gt" => '>',
            "quot" => '"',
            "#39" => '\'',
            other => panic!("unknown entity {other}"),
        });
        rest = after;
    }
    out + rest
}

#[test]
fn the_page_of_four_runs() {
    let page = render(&demo());
    assert_eq!(page, render(&demo()), "equal input gives equal bytes");
    if let Ok(path) = std::env::var("MMPIPE_REPORT_SAMPLE") {
        std::fs::write(path, &page).unwrap();
    }
    let text = well_formed(&page);
    for part in [
        "What was asked",
        "The verdict",
        "The data",
        "Controls",
        "Learning curves",
        "Audit of the split",
        "How the numbers are made",
    ] {
        assert!(text.contains(part), "{part}");
    }
    for bad in [
        "<script", "http://", "https://", "@import", "url(", "NaN", "inf ",
    ] {
        let page = page.replace("http://www.w3.org/2000/svg", "");
        assert!(!page.contains(bad), "{bad}");
    }
    insta::assert_snapshot!(prose(&text));
}

/// The words of the page without the style, line by line.
fn prose(text: &str) -> String {
    let lines: Vec<&str> = text
        .lines()
        .map(str::trim)
        .filter(|l| !l.is_empty())
        .collect();
    lines.join("\n")
}

#[test]
fn a_leaky_split_is_said_in_words_everywhere() {
    let page = render(&[run("EEGNet", true, 0.86, 1)]);
    let text = well_formed(&page);
    assert!(text.contains("above chance on a leaky split"));
    assert!(text.contains("is not evidence for the question asked"));
    assert!(text.contains("1 run, 1 of them on a leaky split"));
    assert!(page.matches("leaky split</span>").count() >= 2);
    // A broken promise marks a run whose protocol is not leaky.
    let mut forced = run("EEGNet", false, 0.3, 1);
    let summary = forced.audit.as_mut().unwrap();
    summary.holds = false;
    summary
        .broken
        .push("fold 1, train/test: 1 shared trials".into());
    let text = well_formed(&render(&[forced]));
    assert!(text.contains("the promise is broken"));
    assert!(text.contains("fold 1, train/test: 1 shared trials"));
    assert!(text.contains("above chance on a leaky split"));
}

#[test]
fn the_verdict_follows_the_numbers() {
    let words = |run: &RunSummary| well_formed(&render(std::slice::from_ref(run)));
    let good = run("AADNet", false, 0.4, 4);
    assert!(words(&good).contains("The score stands above chance and its controls do not."));
    let flat = run("EEGNet", false, 0.0, 12);
    assert!(words(&flat).contains("This is not distinguishable from guessing."));
    let mut suspicious = good.clone();
    let options = ScoreOptions {
        permutations: 199,
        replicates: 200,
        ..ScoreOptions::default()
    };
    suspicious
        .add_control("noise-eeg", &predictions(0.5, 9), &options)
        .unwrap();
    assert!(words(&suspicious).contains("above chance, and so is a control"));
    let mut alone = good.clone();
    alone.controls.clear();
    assert!(words(&alone).contains("No control was run"));
    assert!(words(&alone).contains("above chance, no control"));
    let text = well_formed(&render(&demo()));
    assert!(
        text.contains("Once trials are kept apart nothing above chance (0.500) remains"),
        "{text}"
    );
}

#[test]
fn pages_at_the_edges() {
    well_formed(&render(&[]));
    // One epoch of training, one fold, one subject with one class, eleven classes, no audit.
    let mut one = run("EEGNet", false, 0.4, 4);
    one.audit = None;
    one.curves = vec![FoldCurve {
        fold: 0,
        best_epoch: None,
        points: vec![CurvePoint {
            epoch: 1,
            train_loss: Some(f64::NAN),
            val_loss: Some(0.7),
            ..CurvePoint::default()
        }],
    }];
    well_formed(&render(&[one]));
    let rows: Vec<Prediction> = (0..33)
        .map(|i| Prediction {
            epoch_id: i,
            subject: format!("a rather long subject name {}", i / 3),
            label: (i % 11) as i32,
            predicted: (i % 7) as i32,
            dataset: "X".into(),
            ..Prediction::default()
        })
        .collect();
    let meta = RunMeta {
        model: "m".into(),
        classes: (0..11).map(|c| format!("class number {c}")).collect(),
        ..RunMeta::default()
    };
    let many = summarise(
        meta,
        &rows,
        &ScoreOptions {
            permutations: 0,
            replicates: 0,
            ..ScoreOptions::default()
        },
    )
    .unwrap();
    let text = well_formed(&render(&[many]));
    assert!(text.contains("not tested"));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn any_text_is_escaped(
        model in "\\PC{0,12}|<script>alert\\('x'\\)</script>|a&b\"'<",
        class in "\\PC{0,30}", note in any::<String>(),
    ) {
        let mut rows = predictions(0.2, 5);
        rows.truncate(60);
        rows.iter_mut().for_each(|p| p.subject = note.clone());
        let meta = RunMeta {
            model: model.clone(), run: note.clone(), question: note.clone(), protocol: class.clone(), split: class.clone(),
            dataset: model.clone(), classes: vec![class.clone(), "b".into()], config: serde_json::json!({"x": note.clone()}),
            ..RunMeta::default()
        };
        let options = ScoreOptions { permutations: 9, replicates: 9, ..ScoreOptions::default() };
        let mut run = summarise(meta, &rows, &options).unwrap();
        run.notes.push(note.clone());
        run.add_control(&class, &rows, &options).unwrap();
        run.audit = Some(AuditSummary { promise: note.clone(), broken: vec![model.clone()], ..AuditSummary::default() });
        let page = render(&[run]);
        let text = well_formed(&page);
        prop_assert!(!page.contains("<script"));
        let shown: String = unescape(&escape(&model));
        prop_assert!(text.contains(&shown));
    }
}
