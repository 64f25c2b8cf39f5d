//! A few SVG marks. Coordinates are written with one decimal, so equal input gives equal bytes.

use std::fmt::Write;

use super::html::escape;

/// A drawing under construction.
pub(super) struct Svg {
    body: String,
    width: f64,
    height: f64,
    id: String,
    title: String,
    describe: String,
}

/// Where a text is anchored.
#[derive(Clone, Copy)]
pub(super) enum Anchor {
    Start,
    Middle,
    End,
}

fn number(value: f64) -> String {
    let value = if value.is_finite() { value } else { 0.0 };
    let text = format!("{value:.1}");
    if text == "-0.0" {
        "0.0".to_owned()
    } else {
        text
    }
}

impl Svg {
    /// A drawing of a size in pixels. `id` must be unique on the page; title and description are
    /// what a screen reader says.
    pub(super) fn new(id: &str, width: f64, height: f64, title: &str, describe: &str) -> Self {
        Self {
            body: String::new(),
            width,
            height,
            id: id.to_owned(),
            title: title.to_owned(),
            describe: describe.to_owned(),
        }
    }

    pub(super) fn line(&mut self, class: &str, x1: f64, y1: f64, x2: f64, y2: f64, width: f64) {
        let _ = writeln!(
            self.body,
            "<line class=\"{class}\" x1=\"{}\" y1=\"{}\" x2=\"{}\" y2=\"{}\"{}/>",
            number(x1),
            number(y1),
            number(x2),
            number(y2),
            if width > 0.0 {
                format!(" stroke-width=\"{}\"", number(width))
            } else {
                String::new()
            }
        );
    }

    pub(super) fn rect(&mut self, class: &str, x: f64, y: f64, w: f64, h: f64, opacity: f64) {
        let opacity = if opacity < 1.0 {
            format!(
                " fill-opacity=\"{:.3}\" stroke-opacity=\"0\"",
                opacity.max(0.0)
            )
        } else {
            String::new()
        };
        let _ = writeln!(
            self.body,
            "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"{opacity}/>",
            number(x),
            number(y),
            number(w.max(0.0)),
            number(h.max(0.0))
        );
    }

    /// A mark with a tooltip: a dot, or a square for the second kind.
    pub(super) fn mark(&mut self, class: &str, square: bool, x: f64, y: f64, r: f64, tip: &str) {
        let tip = escape(tip);
        let _ = if square {
            writeln!(
                self.body,
                "<rect class=\"{class}\" x=\"{}\" y=\"{}\" width=\"{}\" height=\"{}\"><title>{tip}</title></rect>",
                number(x - r),
                number(y - r),
                number(2.0 * r),
                number(2.0 * r)
            )
        } else {
            writeln!(
                self.body,
                "<circle class=\"{class}\" cx=\"{}\" cy=\"{}\" r=\"{}\"><title>{tip}</title></circle>",
                number(x),
                number(y),
                number(r)
            )
        };
    }

    pub(super) fn text(&mut self, class: &str, anchor: Anchor, x: f64, y: f64, text: &str) {
        self.turned(class, anchor, x, y, 0.0, text);
    }

    pub(super) fn turned(
        &mut self,
        class: &str,
        anchor: Anchor,
        x: f64,
        y: f64,
        angle: f64,
        text: &str,
    ) {
        let anchor = match anchor {
            Anchor::Start => "start",
            Anchor::Middle => "middle",
            Anchor::End => "end",
        };
        let turn = if angle == 0.0 {
            String::new()
        } else {
            format!(
                " transform=\"rotate({} {} {})\"",
                number(angle),
                number(x),
                number(y)
            )
        };
        let _ = writeln!(
            self.body,
            "<text class=\"{class}\" text-anchor=\"{anchor}\" x=\"{}\" y=\"{}\"{turn}>{}</text>",
            number(x),
            number(y),
            escape(text)
        );
    }

    pub(super) fn path(&mut self, class: &str, points: &[(f64, f64)], opacity: f64, dashed: bool) {
        let mut d = String::new();
        for (i, &(x, y)) in points.iter().enumerate() {
            let _ = write!(
                d,
                "{}{} {}",
                if i == 0 { "M" } else { " L" },
                number(x),
                number(y)
            );
        }
        if !d.is_empty() {
            let dash = if dashed {
                " stroke-dasharray=\"5 4\""
            } else {
                ""
            };
            let _ = writeln!(
                self.body,
                "<path class=\"line {class}\" d=\"{d}\" stroke-opacity=\"{opacity:.2}\"{dash}/>"
            );
        }
    }

    /// The drawing inside a figure with its caption.
    pub(super) fn figure(self, out: &mut String, caption: &str) {
        let id = &self.id;
        let _ = writeln!(
            out,
            "<figure><svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {} {}\" role=\"img\" aria-labelledby=\"{id}-t {id}-d\" style=\"max-width:{}px\">\n<title id=\"{id}-t\">{}</title><desc id=\"{id}-d\">{}</desc>\n{}</svg>\n<figcaption>{}</figcaption></figure>",
            number(self.width),
            number(self.height),
            number(self.width),
            escape(&self.title),
            escape(&self.describe),
            self.body,
            escape(caption)
        );
    }
}

/// A linear map from values to pixels.
#[derive(Clone, Copy)]
pub(super) struct Scale {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Scale {
    pub(super) fn new(low: f64, high: f64, from: f64, to: f64) -> Self {
        let high = if high - low > 1e-12 { high } else { low + 1.0 };
        Self {
            low,
            high,
            from,
            to,
        }
    }

    pub(super) fn at(&self, value: f64) -> f64 {
        let value = value.clamp(self.low, self.high);
        self.from + (value - self.low) / (self.high - self.low) * (self.to - self.from)
    }

    /// Round values to label, about `wanted` of them.
    pub(super) fn ticks(&self, wanted: usize) -> Vec<f64> {
        let raw = (self.high - self.low) / wanted.max(1) as f64;
        let power = 10_f64.powf(raw.log10().floor());
        let step = [1.0, 2.0, 2.5, 5.0, 10.0]
            .into_iter()
            .map(|m| m * power)
            .find(|s| *s >= raw * 0.999)
            .unwrap_or(raw);
        let first = (self.low / step - 1e-9).ceil() as i64;
        let last = (self.high / step + 1e-9).floor() as i64;
        (first..=last.min(first + 50))
            .map(|i| i as f64 * step)
            .collect()
    }
}

/// A tick's label: as few decimals as tell the ticks apart.
pub(super) fn tick_label(value: f64, ticks: &[f64]) -> String {
    let step = match ticks {
        [a, b, ..] => b - a,
        _ => 1.0,
    };
    let digits = (0..6).find(|&d| {
        let scaled = step * 10_f64.powi(d);
        (scaled - scaled.round()).abs() < 1e-6 * scaled.abs().max(1.0)
    });
    format!("{value:.*}", digits.unwrap_or(2) as usize)
}
