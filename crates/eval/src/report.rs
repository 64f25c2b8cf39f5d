//! The report: one HTML file that opens anywhere, without a network, scripts or fonts.
//!
//! It leads with the verdict, each score beside its controls and the chance level, and marks a
//! leaky split in words wherever its numbers stand. Style and figures are inline; every text is
//! escaped; equal input gives equal bytes. The whole page is well-formed XML.

use crate::result::RunSummary;

mod html;
mod plots;
mod reading;
mod sections;
mod svg;

pub use html::escape;

/// Renders the page for one or several runs, in the order given.
pub fn render(runs: &[RunSummary]) -> String {
    let title = match runs {
        [run] => format!("{} on {}", run.meta.model, run.meta.dataset),
        _ => {
            let mut sets: Vec<&str> = runs.iter().map(|r| r.meta.dataset.as_str()).collect();
            sets.sort_unstable();
            sets.dedup();
            format!("{} runs on {}", runs.len(), sets.join(", "))
        }
    };
    let mut page = String::with_capacity(64 << 10);
    page.push_str("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n");
    page.push_str("<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n");
    page.push_str("<meta name=\"color-scheme\" content=\"light dark\"/>\n");
    page.push_str(&format!("<title>{}</title>\n<style>\n", escape(&title)));
    page.push_str(include_str!("report/style.css"));
    page.push_str("</style>\n</head>\n<body>\n<main>\n");
    sections::head(&mut page, &title, runs);
    if runs.is_empty() {
        page.push_str("<p>No runs were given, so there is nothing to report.</p>\n");
    } else {
        sections::asked(&mut page, runs);
        sections::verdict(&mut page, runs);
        sections::data(&mut page, runs);
        for (i, run) in runs.iter().enumerate() {
            sections::run(&mut page, i, run);
        }
        sections::method(&mut page, runs);
    }
    page.push_str("</main>\n</body>\n</html>\n");
    page
}
