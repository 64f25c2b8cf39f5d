//! The figures.

use super::html::{count, score};
use super::svg::{Anchor, Scale, Svg, tick_label};
use crate::result::{FoldCurve, RunSummary, Scores};

/// The comparison: every score of every run on one axis, with intervals and the chance level.
pub(super) fn overview(out: &mut String, runs: &[RunSummary]) {
    const ROW: f64 = 24.0;
    const HEAD: f64 = 34.0;
    let (left, right, width) = (250.0, 810.0, 980.0);
    let rows: usize = runs
        .iter()
        .map(|r| 1 + r.controls.len() + r.baselines.len())
        .sum();
    let height = 18.0 + runs.len() as f64 * HEAD + rows as f64 * ROW + 40.0;
    let x = Scale::new(0.0, 1.0, left, right);
    let mut svg = Svg::new(
        "overview",
        width,
        height,
        "Balanced accuracy of every run beside its controls",
        "One row a model, control or baseline. The dot is the balanced accuracy of all test epochs together, the line its interval, the dashed line chance. The same numbers stand in the table.",
    );
    let bottom = height - 32.0;
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        svg.line("grid", x.at(tick), 10.0, x.at(tick), bottom, 0.0);
        svg.text(
            "t",
            Anchor::Middle,
            x.at(tick),
            bottom + 16.0,
            &format!("{tick:.2}"),
        );
    }
    svg.text(
        "t",
        Anchor::Middle,
        (left + right) / 2.0,
        bottom + 30.0,
        "balanced accuracy",
    );
    let mut y = 12.0;
    for run in runs {
        let leaky = if run.leaky() { "  (leaky)" } else { "" };
        let name = format!("{} · {}{leaky}", run.meta.model, run.meta.protocol);
        svg.text("h", Anchor::Start, 0.0, y + 21.0, &name);
        y += HEAD;
        let chance = x.at(run.scores.chance.balanced_accuracy);
        let lines = 1 + run.controls.len() + run.baselines.len();
        svg.line(
            "chance",
            chance,
            y - 6.0,
            chance,
            y + lines as f64 * ROW - 4.0,
            0.0,
        );
        let all = std::iter::once((&run.scores, "model", "c-model", "s-model"))
            .chain(
                run.controls
                    .iter()
                    .map(|c| (c, "control", "c-control", "s-control")),
            )
            .chain(
                run.baselines
                    .iter()
                    .map(|b| (b, "baseline", "c-base", "s-base")),
            );
        for (scores, kind, fill, stroke) in all {
            let middle = y + ROW / 2.0 - 4.0;
            let label = match kind {
                "model" => run.meta.model.clone(),
                kind => format!("{kind}: {}", scores.name),
            };
            svg.text(
                if kind == "model" { "" } else { "t" },
                Anchor::End,
                left - 16.0,
                middle + 4.0,
                &label,
            );
            let value = scores.balanced_accuracy;
            let mut text = score(value);
            if let Some(i) = &scores.interval {
                svg.line(stroke, x.at(i.low), middle, x.at(i.high), middle, 3.0);
                text = format!("{text}  [{}, {}]", score(i.low), score(i.high));
            }
            let tip = format!("{label}: {text}");
            svg.mark(fill, kind == "baseline", x.at(value), middle, 5.5, &tip);
            svg.text(
                if kind == "model" { "h" } else { "t" },
                Anchor::Start,
                right + 16.0,
                middle + 4.0,
                &text,
            );
            y += ROW;
        }
    }
    svg.figure(
        out,
        "All test epochs together. Filled dot: the model; ring: a control; square: a classical baseline; line: interval over whole trials or subjects; dashed: chance.",
    );
}

/// Loss and validation balanced accuracy by epoch, one thin line a fold.
/// Points of a line in data units.
type Line = Vec<(f64, f64)>;

pub(super) fn curves(out: &mut String, id: &str, curves: &[FoldCurve], chance: f64) {
    out.push_str("<div class=\"pair\">\n");
    let losses = |c: &FoldCurve| -> (Line, Line) {
        let points = |pick: fn(&crate::result::CurvePoint) -> Option<f64>| {
            c.points
                .iter()
                .filter_map(|p| Some((f64::from(p.epoch), pick(p).filter(|v| v.is_finite())?)))
                .collect()
        };
        (points(|p| p.train_loss), points(|p| p.val_loss))
    };
    let last = curves
        .iter()
        .flat_map(|c| &c.points)
        .map(|p| p.epoch)
        .max()
        .unwrap_or(1);
    let loss: Vec<_> = curves.iter().map(losses).collect();
    let highest = loss
        .iter()
        .flat_map(|(a, b)| a.iter().chain(b))
        .map(|p| p.1)
        .fold(0.0_f64, f64::max);
    let mut panel = Panel::new(
        &format!("{id}-loss"),
        "Loss by epoch",
        &format!(
            "Training (solid) and validation (dashed) loss of {} folds.",
            curves.len()
        ),
        last,
        (0.0, if highest > 0.0 { highest * 1.05 } else { 1.0 }),
    );
    let opacity = if curves.len() > 6 { 0.45 } else { 0.85 };
    for (train, val) in &loss {
        panel.path("s-model", train, opacity, false);
        panel.path("s-second", val, opacity, true);
    }
    panel.legend(&[
        ("s-model", false, "training"),
        ("s-second", true, "validation"),
    ]);
    panel.svg.figure(out, "Loss by epoch, one line a fold.");

    let mut panel = Panel::new(
        &format!("{id}-val"),
        "Validation balanced accuracy by epoch",
        &format!(
            "{} folds, the dashed line is chance, dots are the epochs whose weights were kept.",
            curves.len()
        ),
        last,
        (0.0, 1.0),
    );
    panel.svg.line(
        "chance",
        panel.x.at(1.0),
        panel.y.at(chance),
        panel.x.at(f64::from(last)),
        panel.y.at(chance),
        0.0,
    );
    for c in curves {
        let points: Vec<(f64, f64)> = c
            .points
            .iter()
            .filter_map(|p| {
                Some((
                    f64::from(p.epoch),
                    p.val_balanced_accuracy.filter(|v| v.is_finite())?,
                ))
            })
            .collect();
        panel.path("s-second", &points, opacity, false);
        let best = points
            .iter()
            .find(|p| c.best_epoch.is_some_and(|b| f64::from(b) == p.0));
        if let Some(&(epoch, value)) = best {
            let tip = format!("fold {}: epoch {epoch:.0}, {}", c.fold, score(value));
            let (px, py) = (panel.x.at(epoch), panel.y.at(value));
            panel.svg.mark("c-second", false, px, py, 3.2, &tip);
        }
    }
    panel.svg.figure(
        out,
        "Balanced accuracy on the validation part, one line a fold; dot: the epoch that was kept; dashed: chance.",
    );
    out.push_str("</div>\n");
}

/// Axes of a small line chart.
struct Panel {
    svg: Svg,
    x: Scale,
    y: Scale,
}

impl Panel {
    fn new(id: &str, title: &str, describe: &str, last: u32, range: (f64, f64)) -> Self {
        let (width, height) = (480.0, 250.0);
        let mut svg = Svg::new(id, width, height, title, describe);
        let x = Scale::new(1.0, f64::from(last.max(2)), 46.0, width - 14.0);
        let y = Scale::new(range.0, range.1, height - 40.0, 16.0);
        let ticks = y.ticks(5);
        for &tick in &ticks {
            svg.line("grid", 46.0, y.at(tick), width - 14.0, y.at(tick), 0.0);
            svg.text(
                "t",
                Anchor::End,
                40.0,
                y.at(tick) + 4.0,
                &tick_label(tick, &ticks),
            );
        }
        let whole: Vec<f64> = x
            .ticks(6)
            .into_iter()
            .filter(|t| t.fract() == 0.0 && *t >= 1.0)
            .collect();
        for &tick in &whole {
            svg.text(
                "t",
                Anchor::Middle,
                x.at(tick),
                height - 22.0,
                &format!("{tick:.0}"),
            );
        }
        svg.line(
            "axis",
            46.0,
            height - 40.0,
            width - 14.0,
            height - 40.0,
            0.0,
        );
        svg.text(
            "t",
            Anchor::Middle,
            (46.0 + width - 14.0) / 2.0,
            height - 5.0,
            "epoch",
        );
        Self { svg, x, y }
    }

    fn path(&mut self, class: &str, points: &[(f64, f64)], opacity: f64, dashed: bool) {
        let pixels: Vec<_> = points
            .iter()
            .map(|&(a, b)| (self.x.at(a), self.y.at(b)))
            .collect();
        self.svg.path(class, &pixels, opacity, dashed);
        if let [(x, y)] = pixels.as_slice() {
            let fill = if class == "s-model" {
                "c-model"
            } else {
                "c-second"
            };
            self.svg.mark(fill, false, *x, *y, 2.5, "a single epoch");
        }
    }

    fn legend(&mut self, entries: &[(&str, bool, &str)]) {
        for (i, &(class, dashed, name)) in entries.iter().enumerate() {
            let x = 300.0 + 88.0 * i as f64;
            self.svg
                .path(class, &[(x, 9.0), (x + 20.0, 9.0)], 1.0, dashed);
            self.svg.text("t", Anchor::Start, x + 25.0, 13.0, name);
        }
    }
}

/// The confusion matrix, shaded by the share of its row.
pub(super) fn confusion(out: &mut String, id: &str, scores: &Scores, classes: &[String]) {
    let Ok(table) = scores.confusion.dense(classes.len()) else {
        return;
    };
    let n = classes.len().max(1) as f64;
    let cell = (300.0 / n).clamp(26.0, 104.0);
    let names = classes.iter().map(|c| c.chars().count()).max().unwrap_or(1) as f64;
    let left = (names * 7.0 + 34.0).clamp(60.0, 170.0);
    let (top, width) = (30.0, left + n * cell + 10.0);
    let slanted = names * 7.0 > cell;
    let foot = if slanted {
        (names * 4.5 + 30.0).min(110.0)
    } else {
        40.0
    };
    let mut svg = Svg::new(
        id,
        width.max(320.0),
        top + n * cell + foot,
        "Confusion matrix",
        "Rows are true classes, columns predicted ones; each cell has its count and its share of the row.",
    );
    let shorten = |name: &str| -> String {
        if name.chars().count() <= 20 {
            name.to_owned()
        } else {
            name.chars().take(19).chain(['…']).collect()
        }
    };
    svg.text(
        "t",
        Anchor::Start,
        left,
        16.0,
        "rows: true class, columns: predicted",
    );
    for (r, (row, class)) in table.iter().zip(classes).enumerate() {
        let y = top + r as f64 * cell;
        let total: u64 = row.iter().sum();
        svg.text(
            "",
            Anchor::End,
            left - 10.0,
            y + cell / 2.0 + 4.0,
            &shorten(class),
        );
        for (c, &value) in row.iter().enumerate() {
            let x = left + c as f64 * cell;
            let share = if total == 0 {
                0.0
            } else {
                value as f64 / total as f64
            };
            svg.rect("band", x + 1.0, y + 1.0, cell - 2.0, cell - 2.0, 1.0);
            svg.rect(
                "c-model",
                x + 1.0,
                y + 1.0,
                cell - 2.0,
                cell - 2.0,
                0.06 + 0.86 * share,
            );
            let on = if share > 0.55 { "on" } else { "" };
            if cell >= 60.0 {
                svg.text(
                    &format!("h {on}"),
                    Anchor::Middle,
                    x + cell / 2.0,
                    y + cell / 2.0 - 1.0,
                    &count(value),
                );
                let percent = format!("{:.0} %", 100.0 * share);
                svg.text(
                    on,
                    Anchor::Middle,
                    x + cell / 2.0,
                    y + cell / 2.0 + 16.0,
                    &percent,
                );
            } else {
                svg.text(
                    on,
                    Anchor::Middle,
                    x + cell / 2.0,
                    y + cell / 2.0 + 4.0,
                    &format!("{:.0}", 100.0 * share),
                );
            }
        }
    }
    for (c, class) in classes.iter().enumerate() {
        let (x, y) = (left + (c as f64 + 0.5) * cell, top + n * cell + 18.0);
        if slanted {
            svg.turned("", Anchor::End, x + 4.0, y - 4.0, -40.0, &shorten(class));
        } else {
            svg.text("", Anchor::Middle, x, y, class);
        }
    }
    let caption = if cell >= 60.0 {
        "Test epochs of all folds; shade and percentage are shares of a row."
    } else {
        "Test epochs of all folds; numbers are percentages of a row."
    };
    svg.figure(out, caption);
}

/// One bar a subject, with the chance level.
pub(super) fn subjects(out: &mut String, id: &str, scores: &Scores) {
    let groups = &scores.subjects;
    let width = 980.0;
    let (left, right) = (46.0, width - 10.0);
    let slot = (right - left) / groups.len().max(1) as f64;
    let bar = (slot * 0.68).min(46.0);
    let longest = groups
        .iter()
        .map(|g| g.group.chars().count())
        .max()
        .unwrap_or(1);
    let turned = longest as f64 * 7.0 > slot - 4.0;
    let foot = if turned {
        (longest as f64 * 6.5 + 14.0).min(130.0)
    } else {
        28.0
    };
    let height = 200.0 + foot;
    let y = Scale::new(0.0, 1.0, 196.0, 18.0);
    let mut svg = Svg::new(
        id,
        width,
        height,
        "Balanced accuracy by subject",
        &format!(
            "One bar a subject, {} subjects; the dashed line is chance.",
            groups.len()
        ),
    );
    for tick in [0.0, 0.25, 0.5, 0.75, 1.0] {
        svg.line("grid", left, y.at(tick), right, y.at(tick), 0.0);
        svg.text(
            "t",
            Anchor::End,
            left - 6.0,
            y.at(tick) + 4.0,
            &format!("{tick:.2}"),
        );
    }
    for (i, group) in groups.iter().enumerate() {
        let middle = left + (i as f64 + 0.5) * slot;
        let value = group.balanced_accuracy;
        let class = if group.classes > 1 {
            "c-model"
        } else {
            "c-flat"
        };
        svg.rect(
            class,
            middle - bar / 2.0,
            y.at(value),
            bar,
            196.0 - y.at(value),
            if group.classes > 1 { 0.88 } else { 1.0 },
        );
        if slot >= 34.0 {
            svg.text(
                "t",
                Anchor::Middle,
                middle,
                y.at(value) - 5.0,
                &format!("{value:.2}"),
            );
        }
        if turned {
            svg.turned("t", Anchor::End, middle + 4.0, 210.0, -60.0, &group.group);
        } else {
            svg.text("t", Anchor::Middle, middle, 214.0, &group.group);
        }
    }
    let chance = y.at(scores.chance.balanced_accuracy);
    svg.line("chance", left, chance, right, chance, 0.0);
    let mut caption = "Balanced accuracy of each subject's test epochs; dashed: chance.".to_owned();
    if scores.over_subjects.left_out > 0 {
        caption.push_str(" Pale bars with a dashed edge: the subject's test epochs have a single class, so the bar is a recall and enters no mean.");
    }
    svg.figure(out, &caption);
}
