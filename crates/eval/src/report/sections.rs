//! The parts of the page, from the question to the fine print.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::html::{Cell, count, escape, p_value, plural, score, table};
use super::{plots, reading};
use crate::result::{AuditPair, AuditSummary, RunSummary, Scores};

pub(super) fn head(out: &mut String, title: &str, runs: &[RunSummary]) {
    let leaky = runs.iter().filter(|r| r.leaky()).count();
    let mut line = plural(runs.len() as u64, "run");
    if leaky > 0 {
        line.push_str(&format!(", {leaky} of them on a leaky split"));
    }
    let _ = writeln!(
        out,
        "<header><h1>{}</h1><p>mmpipe report · {}</p></header>",
        escape(title),
        escape(&line)
    );
}

pub(super) fn asked(out: &mut String, runs: &[RunSummary]) {
    out.push_str("<section><h2>What was asked</h2>\n");
    let mut questions: Vec<(&str, Vec<&str>)> = Vec::new();
    for run in runs {
        let entry = questions.iter_mut().find(|(q, _)| *q == run.meta.question);
        let index = match entry {
            Some((_, models)) => {
                models.push(&run.meta.model);
                continue;
            }
            None => run.meta.model.as_str(),
        };
        questions.push((&run.meta.question, vec![index]));
    }
    for (question, mut models) in questions {
        models.sort_unstable();
        models.dedup();
        if question.is_empty() {
            let _ = writeln!(
                out,
                "<p>How well does {} tell the classes apart on data that it was not trained on?</p>",
                escape(&models.join(", "))
            );
        } else {
            let _ = writeln!(
                out,
                "<p>{} <span class=\"soft\">(asked of {})</span></p>",
                escape(question),
                escape(&models.join(", "))
            );
        }
    }
    out.push_str("<p>Every score stands beside its controls, which see no usable signal and must sit at chance, and beside the chance level. A split that lets training and test share more than the question allows is called leaky wherever its numbers stand.</p>\n</section>\n");
}

fn protocol(run: &RunSummary) -> String {
    let name = escape(&run.meta.protocol);
    if run.leaky() {
        format!("{name}<br/><span class=\"badge warn\">leaky split</span>")
    } else {
        name
    }
}

fn interval(scores: &Scores) -> String {
    scores.interval.as_ref().map_or("–".to_owned(), |i| {
        format!("{} to {}", score(i.low), score(i.high))
    })
}

fn p(scores: &Scores) -> String {
    scores
        .permutation
        .as_ref()
        .map_or("–".to_owned(), |t| p_value(t.p, t.permutations))
}

/// Names of controls or baselines over all runs, in order of first appearance.
fn names(runs: &[RunSummary], of: fn(&RunSummary) -> &[Scores]) -> Vec<&str> {
    let mut names: Vec<&str> = Vec::new();
    for scores in runs.iter().flat_map(of) {
        if !names.contains(&scores.name.as_str()) {
            names.push(&scores.name);
        }
    }
    names
}

pub(super) fn verdict(out: &mut String, runs: &[RunSummary]) {
    out.push_str("<section><h2>The verdict</h2>\n");
    let controls = names(runs, |r| &r.controls);
    let baselines = names(runs, |r| &r.baselines);
    let mut head = vec!["model", "protocol", "balanced accuracy", "chance", "p"];
    head.extend(&controls);
    head.extend(&baselines);
    head.push("reading");
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            let s = &run.scores;
            let (tone, words) = reading::badge(run);
            let mut row = vec![
                Cell::Html(format!(
                    "<b>{}</b><br/><small>{}</small>",
                    escape(&run.meta.model),
                    escape(&run.meta.run)
                )),
                Cell::Html(protocol(run)),
                Cell::Number(reading::headline(s)),
                Cell::Number(score(s.chance.balanced_accuracy)),
                Cell::Number(p(s)),
            ];
            for (wanted, list) in controls
                .iter()
                .map(|c| (c, &run.controls))
                .chain(baselines.iter().map(|b| (b, &run.baselines)))
            {
                let found = list.iter().find(|c| c.name == **wanted);
                row.push(Cell::Number(
                    found.map_or("not run".to_owned(), reading::headline),
                ));
            }
            row.push(Cell::Html(format!(
                "<span class=\"badge {}\">{words}</span>",
                tone.class()
            )));
            row
        })
        .collect();
    table(
        out,
        "Balanced accuracy, mean ± standard deviation over folds; p from exchanging the labels of whole trials.",
        &head,
        &rows,
    );
    for text in reading::comparisons(runs) {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(&text));
    }
    plots::overview(out, runs);
    out.push_str("</section>\n");
}

pub(super) fn data(out: &mut String, runs: &[RunSummary]) {
    out.push_str("<section><h2>The data</h2>\n");
    let rows: Vec<Vec<Cell>> = runs
        .iter()
        .map(|run| {
            let d = &run.data;
            let classes: Vec<String> = run
                .meta
                .classes
                .iter()
                .zip(&d.by_class)
                .map(|(name, n)| format!("{name} {}", count(*n)))
                .collect();
            vec![
                Cell::Text(run.meta.dataset.clone()),
                Cell::Html(format!(
                    "{}<br/><small>{}</small>",
                    escape(&run.meta.split),
                    escape(&run.meta.model)
                )),
                Cell::Number(count(d.subjects)),
                Cell::Number(count(d.trials)),
                Cell::Number(count(d.epochs)),
                Cell::Number(count(d.folds)),
                Cell::Text(classes.join(", ")),
            ]
        })
        .collect();
    table(
        out,
        "What was tested: every epoch counts once, in the fold whose test part holds it.",
        &[
            "data set",
            "split",
            "subjects",
            "trials",
            "epochs",
            "folds",
            "epochs by class",
        ],
        &rows,
    );
    out.push_str("</section>\n");
}

fn card(out: &mut String, value: &str, name: &str) {
    let _ = writeln!(
        out,
        "<div class=\"card\"><b>{}</b><span>{}</span></div>",
        escape(value),
        escape(name)
    );
}

pub(super) fn run(out: &mut String, index: usize, run: &RunSummary) {
    let s = &run.scores;
    let m = &run.meta;
    let leaky = if run.leaky() {
        " <span class=\"badge warn\">leaky split</span>"
    } else {
        ""
    };
    let _ = writeln!(
        out,
        "<section class=\"run\" id=\"run-{index}\"><h2>{} · {}{leaky}</h2>\n<p>{}</p>",
        escape(&m.model),
        escape(&m.protocol),
        escape(&reading::sentence(run))
    );
    out.push_str("<div class=\"cards\">\n");
    card(
        out,
        &reading::headline(s),
        "balanced accuracy, mean ± sd over folds",
    );
    card(out, &score(s.chance.balanced_accuracy), "chance");
    let f1 = s
        .over_folds
        .weighted_f1
        .as_ref()
        .map_or(s.weighted_f1, |f| f.mean);
    card(out, &score(f1), "weighted F1, mean over folds");
    if let Some(over) = &s.over_subjects.balanced_accuracy {
        let text = over.std.map_or(score(over.mean), |std| {
            format!("{} ± {}", score(over.mean), score(std))
        });
        card(out, &text, "balanced accuracy, mean ± sd over subjects");
    }
    if let Some(auc) = s.auc {
        card(
            out,
            &score(auc),
            "area under the ROC curve, mean over folds",
        );
    }
    out.push_str("</div>\n");
    for note in &run.notes {
        let _ = writeln!(out, "<p class=\"note\">{}</p>", escape(note));
    }
    controls(out, run);
    let id = format!("run-{index}");
    if run.curves.iter().any(|c| !c.points.is_empty()) {
        out.push_str("<h3>Learning curves</h3>\n");
        plots::curves(out, &id, &run.curves, s.chance.balanced_accuracy);
    }
    out.push_str("<h3>Confusion matrix and folds</h3>\n<div class=\"pair\">\n");
    plots::confusion(out, &format!("{id}-confusion"), s, &m.classes);
    let mut rows: Vec<Vec<Cell>> = s
        .folds
        .iter()
        .map(|g| {
            vec![
                Cell::Text(g.group.clone()),
                Cell::Number(count(g.n)),
                Cell::Number(score(g.balanced_accuracy)),
                Cell::Number(score(g.weighted_f1)),
                Cell::Number(score(g.accuracy)),
            ]
        })
        .collect();
    rows.push(vec![
        Cell::Html("<b>all epochs</b>".to_owned()),
        Cell::Number(count(s.n)),
        Cell::Number(score(s.balanced_accuracy)),
        Cell::Number(score(s.weighted_f1)),
        Cell::Number(score(s.accuracy)),
    ]);
    out.push_str("<div>");
    table(
        out,
        "Scores by fold.",
        &[
            "fold",
            "epochs",
            "balanced accuracy",
            "weighted F1",
            "accuracy",
        ],
        &rows,
    );
    out.push_str("</div></div>\n<h3>Subjects</h3>\n");
    plots::subjects(out, &format!("{id}-subjects"), s);
    if let Some(summary) = &run.audit {
        audit(out, summary);
    }
    let config = serde_json::to_string_pretty(&m.config).unwrap_or_default();
    let facts = [
        ("run", m.run.clone()),
        ("split", m.split.clone()),
        ("stage", m.stage.clone()),
        ("scoring", m.scoring.clone()),
        (
            "parameters",
            m.parameters.map_or("unknown".to_owned(), count),
        ),
        (
            "seed",
            m.seed.map_or("unknown".to_owned(), |s| s.to_string()),
        ),
        ("mmpipe", m.version.clone()),
    ];
    out.push_str("<details><summary>Configuration of this run</summary>\n<p class=\"soft\">");
    let facts: Vec<String> = facts
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .map(|(name, value)| format!("{name} {}", escape(value)))
        .collect();
    let _ = writeln!(
        out,
        "{}</p>\n<pre>{}</pre></details>\n</section>",
        facts.join(" · "),
        escape(&config)
    );
}

fn controls(out: &mut String, run: &RunSummary) {
    out.push_str("<h3>Controls</h3>\n");
    if run.controls.is_empty() {
        out.push_str("<p class=\"note warn\">No control was run, so nothing here shows that the score comes from the signal asked about.</p>\n");
    }
    let rows: Vec<Vec<Cell>> = std::iter::once((&run.scores, "the model"))
        .chain(run.controls.iter().map(|c| (c, "control")))
        .chain(run.baselines.iter().map(|b| (b, "baseline")))
        .map(|(s, kind)| {
            let name = if kind == "the model" {
                &run.meta.model
            } else {
                &s.name
            };
            let what = reading::explain(&s.name);
            let what = if what.is_empty() {
                kind.to_owned()
            } else {
                format!("{kind}: {what}")
            };
            let above = match reading::above_chance(s) {
                Some(true) => "yes",
                Some(false) => "no",
                None => "not tested",
            };
            vec![
                Cell::Html(format!(
                    "<b>{}</b><br/><small>{}</small>",
                    escape(name),
                    escape(&what)
                )),
                Cell::Number(reading::headline(s)),
                Cell::Number(score(s.balanced_accuracy)),
                Cell::Number(interval(s)),
                Cell::Number(p(s)),
                Cell::Text(above.to_owned()),
            ]
        })
        .collect();
    table(
        out,
        "The score beside its controls.",
        &[
            "",
            "mean ± sd over folds",
            "all epochs",
            "interval",
            "p",
            "above chance",
        ],
        &rows,
    );
}

fn audit(out: &mut String, audit: &AuditSummary) {
    out.push_str("<h3>Audit of the split</h3>\n");
    let (class, word) = if audit.holds {
        ("good", "holds")
    } else {
        ("warn", "is broken")
    };
    let _ = writeln!(
        out,
        "<p>The protocol promises: {}. <span class=\"badge {class}\">the promise {word}</span></p>",
        escape(&audit.promise)
    );
    if audit.leaky {
        out.push_str("<p class=\"note warn\">The protocol is leaky although its promise holds: what it allows to stand on both sides can tell the label.</p>\n");
    }
    if !audit.broken.is_empty() {
        out.push_str("<ul>");
        for line in audit.broken.iter().take(20) {
            let _ = write!(out, "<li>{}</li>", escape(line));
        }
        if audit.broken.len() > 20 {
            let _ = write!(out, "<li>and {} more</li>", audit.broken.len() - 20);
        }
        out.push_str("</ul>\n");
    }
    audit_counts(out, &audit.pairs);
    if !audit.alone.is_empty() {
        let rows: Vec<Vec<Cell>> = audit
            .alone
            .iter()
            .map(|a| {
                vec![
                    Cell::Text(format!("which {}", a.what)),
                    Cell::Number(score(a.balanced_accuracy)),
                    Cell::Number(score(a.chance)),
                    Cell::Number(format!("{:.0} %", 100.0 * a.seen_share)),
                ]
            })
            .collect();
        table(
            out,
            "What knowing an identity alone would reach: the most frequent training label of that trial, recording, subject or content.",
            &[
                "knowing only",
                "balanced accuracy",
                "chance",
                "test epochs seen in training",
            ],
            &rows,
        );
    }
    if !audit.notes.is_empty() {
        out.push_str("<ul>");
        for note in &audit.notes {
            let _ = write!(out, "<li>{}</li>", escape(note));
        }
        out.push_str("</ul>\n");
    }
}

/// The counts of all folds: the largest fold a pair of sides, and every fold behind a click.
fn audit_counts(out: &mut String, pairs: &[AuditPair]) {
    if pairs.is_empty() {
        return;
    }
    let mut head: Vec<&str> = vec!["sides"];
    head.extend(
        pairs
            .first()
            .map(|p| p.counts.iter().map(|(n, _)| n.as_str()))
            .into_iter()
            .flatten(),
    );
    let show = |value: Option<f64>| match value {
        None => "–".to_owned(),
        Some(v) if v.fract() == 0.0 => count(v as u64),
        Some(v) => format!("{v:.1}"),
    };
    let mut largest: BTreeMap<(usize, &str, &str), Vec<Option<f64>>> = BTreeMap::new();
    let mut order: Vec<(&str, &str)> = Vec::new();
    for pair in pairs {
        let sides = (pair.a.as_str(), pair.b.as_str());
        let at = order.iter().position(|s| *s == sides).unwrap_or_else(|| {
            order.push(sides);
            order.len() - 1
        });
        let values = pair.counts.iter().map(|(_, v)| *v);
        let entry = largest
            .entry((at, sides.0, sides.1))
            .or_insert_with(|| values.clone().collect());
        for (old, new) in entry.iter_mut().zip(values) {
            *old = match (*old, new) {
                (Some(a), Some(b)) => Some(a.max(b)),
                (a, b) => a.or(b),
            };
        }
    }
    let rows: Vec<Vec<Cell>> = largest
        .into_iter()
        .map(|((_, a, b), values)| {
            let mut row = vec![Cell::Text(format!("{a} / {b}"))];
            row.extend(values.into_iter().map(|v| Cell::Number(show(v))));
            row
        })
        .collect();
    table(
        out,
        "What two sides of a fold share, largest count over the folds; – where the data set names no such thing.",
        &head,
        &rows,
    );
    head.insert(0, "fold");
    let rows: Vec<Vec<Cell>> = pairs
        .iter()
        .map(|pair| {
            let mut row = vec![
                Cell::Text(pair.fold.to_string()),
                Cell::Text(format!("{} / {}", pair.a, pair.b)),
            ];
            row.extend(pair.counts.iter().map(|(_, v)| Cell::Number(show(*v))));
            row
        })
        .collect();
    out.push_str("<details><summary>Every fold</summary>\n");
    table(out, "What two sides of each fold share.", &head, &rows);
    out.push_str("</details>\n");
}

pub(super) fn method(out: &mut String, runs: &[RunSummary]) {
    out.push_str("<section class=\"run\"><h2>How the numbers are made</h2>\n<ul>\n");
    out.push_str("<li>Balanced accuracy is the mean recall over the classes present, so that guessing scores 1 / classes however unequal the classes are. Weighted F1 weighs each class by its epochs. Both as scikit-learn computes them.</li>\n");
    out.push_str("<li>Standard deviations over folds and subjects have n − 1 in the denominator. Folds share training data, so this is a spread and not a standard error. Folds or subjects with a single class enter no mean.</li>\n");
    out.push_str("<li>Epochs of one trial are not independent. The p value therefore comes from exchanging the labels of whole trials inside a subject (of all trials, where no subject has two labels), and the interval from drawing whole subjects, or whole trials where subjects are few, with replacement.</li>\n");
    let _ = writeln!(
        out,
        "<li>“Above chance” means p below {} and an interval that lies above the chance level. With many runs on one page some will pass by luck.</li>",
        reading::ALPHA
    );
    let mut methods: Vec<String> = runs
        .iter()
        .flat_map(|r| {
            let i = r
                .scores
                .interval
                .iter()
                .map(|i| format!("interval: {:.0} % {}", 100.0 * i.level, i.method));
            let p = r.scores.permutation.iter().map(|t| {
                format!(
                    "test: {} permutations of {} {}s within {}",
                    t.permutations, t.units, t.unit, t.within
                )
            });
            i.chain(p)
                .map(move |text| format!("{} · {}: {text}", r.meta.model, r.meta.protocol))
                .collect::<Vec<_>>()
        })
        .collect();
    methods.dedup();
    for line in methods {
        let _ = writeln!(out, "<li class=\"soft\">{}</li>", escape(&line));
    }
    out.push_str("</ul>\n</section>\n");
}
