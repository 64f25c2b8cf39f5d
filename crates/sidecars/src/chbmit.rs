//! Summaries of CHB-MIT, `chbNN-summary.txt`.
//!
//! What is odd about them: seizures are numbered in some cases only; the second end of
//! `chb09_08` is called "Seizure 1 End Time", so a start goes with the end that follows it
//! and numbers are not looked at; clock times run past 24:00:00; `chb24` has none; channel
//! lists change between files.

use crate::clock::{number, seconds};
use crate::error::Bad;
use crate::format::Format;
use crate::table::{Builder, Table, short};
use crate::text::lines;

/// What the summary says of the file whose block is being read.
#[derive(Default)]
struct Block {
    line: u64,
    file: String,
    start: Option<String>,
    end: Option<String>,
    declared: Option<u32>,
    /// A start that waits for its end: line, as written.
    open: Option<(u64, String)>,
    seizures: Vec<(String, String)>,
}

struct Reader {
    out: Builder,
    sfreq: Option<String>,
    channels: Vec<String>,
    /// The next channel line starts a new list.
    fresh: bool,
    block: Option<Block>,
    files: usize,
}

pub(crate) fn parse(text: &str) -> Result<Table, Bad> {
    let mut reader = Reader {
        out: Builder::of(Format::ChbmitSummary, text.len()),
        sfreq: None,
        channels: Vec::new(),
        fresh: true,
        block: None,
        files: 0,
    };
    for (number, line) in lines(text) {
        reader.line(number, line.trim())?;
    }
    reader.close()?;
    if reader.files == 0 {
        return Err(Bad::file(
            "chbmit-no-files",
            "expected a CHB-MIT summary with `File Name:` lines, found none",
        ));
    }
    if reader.sfreq.is_none() {
        let message = "expected `Data Sampling Rate: N Hz`, found none; sfreq is null";
        reader.out.note(0, "chbmit-sfreq", message);
    }
    reader.out.finish()
}

impl Reader {
    fn line(&mut self, at: u64, line: &str) -> Result<(), Bad> {
        if line.is_empty() || line.bytes().all(|b| b == b'*') {
            return Ok(());
        }
        let Some((key, value)) = line.split_once(':') else {
            self.unknown(at, line);
            return Ok(());
        };
        let words: Vec<String> = key.split_whitespace().map(str::to_lowercase).collect();
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let value = value.trim();
        match words[..] {
            ["data", "sampling", "rate"] => self.rate(at, value),
            ["channels", "in", "edf", "files"] | ["channels", "changed"] => {
                self.close()?;
                self.fresh = true;
            }
            ["channel", _] => self.channel(value)?,
            ["file", "name"] => {
                self.close()?;
                self.block = Some(Block {
                    line: at,
                    file: value.to_owned(),
                    ..Block::default()
                });
            }
            ["file", which @ ("start" | "end"), "time"] => self.clock(at, which, value),
            ["number", "of", "seizures", "in", "file"] => self.declared(at, value),
            ["seizure", which @ ("start" | "end"), "time"]
            | ["seizure", _, which @ ("start" | "end"), "time"] => self.seizure(at, which, value),
            _ => self.unknown(at, line),
        }
        Ok(())
    }

    fn unknown(&mut self, at: u64, line: &str) {
        let message = format!(
            "expected a line of a CHB-MIT summary, found `{}`; left out",
            short(line)
        );
        self.out.note(at, "chbmit-line", message);
    }

    fn rate(&mut self, at: u64, value: &str) {
        let hertz = value.trim_end_matches(|c: char| c.is_alphabetic()).trim();
        match number(hertz).filter(|&n| n > 0.0) {
            Some(_) => self.sfreq = Some(hertz.to_owned()),
            None => {
                let message = format!("expected `N Hz`, found `{}`; left out", short(value));
                self.out.note(at, "chbmit-sfreq", message);
            }
        }
    }

    /// A list is in force for the files that follow it, not for the one before.
    fn channel(&mut self, name: &str) -> Result<(), Bad> {
        self.close()?;
        if self.fresh {
            self.channels.clear();
            self.fresh = false;
        }
        self.channels.push(name.to_owned());
        Ok(())
    }

    fn block(&mut self, at: u64) -> Option<&mut Block> {
        if self.block.is_none() {
            let message = "expected `File Name:` before this line; left out";
            self.out.note(at, "chbmit-no-block", message);
        }
        self.block.as_mut()
    }

    fn clock(&mut self, at: u64, which: &str, value: &str) {
        if seconds(value, 99).is_none() {
            let message = format!("expected a clock time, found `{}`; null", short(value));
            self.out.note(at, "chbmit-clock", message);
            return;
        }
        let value = Some(value.to_owned());
        if let Some(block) = self.block(at) {
            match which {
                "start" => block.start = value,
                _ => block.end = value,
            }
        }
    }

    fn declared(&mut self, at: u64, value: &str) {
        match value.parse() {
            Ok(n) => {
                if let Some(block) = self.block(at) {
                    block.declared = Some(n);
                }
            }
            Err(_) => {
                let message = format!(
                    "expected a number of seizures, found `{}`; null",
                    short(value)
                );
                self.out.note(at, "chbmit-count", message);
            }
        }
    }

    fn seizure(&mut self, at: u64, which: &str, value: &str) {
        let time = value.trim_end_matches(|c: char| c.is_alphabetic()).trim();
        let Some(now) = number(time).filter(|&n| n >= 0.0) else {
            let message = format!("expected `N seconds`, found `{}`; left out", short(value));
            self.out.note(at, "chbmit-seizure", message);
            return;
        };
        let Some(block) = self.block(at) else { return };
        match (which, block.open.take()) {
            ("start", before) => {
                block.open = Some((at, time.to_owned()));
                if let Some((line, _)) = before {
                    self.unpaired(line, "start");
                }
            }
            (_, None) => self.unpaired(at, "end"),
            (_, Some((_, start))) if number(&start).is_some_and(|s| s <= now) => {
                block.seizures.push((start, time.to_owned()));
            }
            (_, Some((line, start))) => {
                let message = format!(
                    "expected an end after the start of line {line}, found {start} to {time}; left out"
                );
                self.out.note(at, "chbmit-order", message);
            }
        }
    }

    fn unpaired(&mut self, line: u64, which: &str) {
        let message = format!("a seizure {which} without its other end; left out");
        self.out.note(line, "chbmit-unpaired", message);
    }

    /// Writes the rows of the block that ends here.
    fn close(&mut self) -> Result<(), Bad> {
        let Some(block) = self.block.take() else {
            return Ok(());
        };
        self.files += 1;
        // A list that follows is a new one, even where "Channels changed:" is missing.
        self.fresh = true;
        if let Some((line, _)) = block.open {
            self.unpaired(line, "start");
        }
        let found = block.seizures.len();
        if block.declared.is_some_and(|n| n as usize != found) {
            let message = format!(
                "`{}` declares {} seizures, found {found} complete ones",
                short(&block.file),
                block.declared.unwrap_or_default()
            );
            self.out.note(block.line, "chbmit-count", message);
        }
        let channels = Some(self.channels.join("|")).filter(|c| !c.is_empty());
        let mut row = |seizure: Option<usize>, span: (Option<String>, Option<String>)| {
            self.out.row(vec![
                Some(block.file.clone()),
                block.start.clone(),
                block.end.clone(),
                seizure.map(|n| n.to_string()),
                span.0,
                span.1,
                self.sfreq.clone(),
                channels.clone(),
                block.declared.map(|n| n.to_string()),
            ])
        };
        if found == 0 {
            row(None, (None, None))?;
        }
        for (i, (start, end)) in block.seizures.into_iter().enumerate() {
            row(Some(i + 1), (Some(start), Some(end)))?;
        }
        Ok(())
    }
}
