//! Text into HTML: escaping, numbers, tables.

use std::fmt::Write;

/// Escapes text for element content and quoted attributes. Control characters, which XML does
/// not allow, become U+FFFD.
pub fn escape(text: &str) -> String {
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            '\n' | '\t' => out.push(c),
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => out.push('\u{fffd}'),
            c => out.push(c),
        }
    }
    out
}

/// A score with three decimals.
pub(super) fn score(value: f64) -> String {
    if value.is_finite() {
        format!("{value:.3}")
    } else {
        "–".to_owned()
    }
}

/// A p value; the smallest that a test can give is said as such.
pub(super) fn p_value(p: f64, permutations: usize) -> String {
    if p <= 1.0 / (permutations as f64 + 1.0) {
        format!("≤ {p:.3}")
    } else {
        format!("{p:.3}")
    }
}

/// A count with thin groups of three digits.
pub(super) fn count(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push('\u{202f}');
        }
        out.push(c);
    }
    out
}

/// `n thing` or `n things`.
pub(super) fn plural(n: u64, thing: &str) -> String {
    format!("{} {thing}{}", count(n), if n == 1 { "" } else { "s" })
}

/// A cell of a table.
pub(super) enum Cell {
    /// Words, left-aligned, escaped here.
    Text(String),
    /// A number as text, right-aligned, escaped here.
    Number(String),
    /// Ready HTML, left-aligned.
    Html(String),
}

/// Writes a table with a caption; columns whose first cell is a number have right-aligned heads.
pub(super) fn table(out: &mut String, caption: &str, head: &[&str], rows: &[Vec<Cell>]) {
    let _ = write!(
        out,
        "<div class=\"scroll\"><table><caption>{}</caption>\n<thead><tr>",
        escape(caption)
    );
    for (i, name) in head.iter().enumerate() {
        let number = rows
            .first()
            .and_then(|r| r.get(i))
            .is_some_and(|c| matches!(c, Cell::Number(_)));
        let class = if number { " class=\"n\"" } else { "" };
        let _ = write!(out, "<th scope=\"col\"{class}>{}</th>", escape(name));
    }
    out.push_str("</tr></thead>\n<tbody>\n");
    for row in rows {
        out.push_str("<tr>");
        for cell in row {
            let _ = match cell {
                Cell::Text(text) => write!(out, "<td>{}</td>", escape(text)),
                Cell::Number(text) => write!(out, "<td class=\"n\">{}</td>", escape(text)),
                Cell::Html(html) => write!(out, "<td>{html}</td>"),
            };
        }
        out.push_str("</tr>\n");
    }
    out.push_str("</tbody></table></div>\n");
}
