//! YAML as leaves with dotted keys.
//!
//! The leaves are written from the parser's events, so that nothing grows beyond the bounds
//! of a table: an alias writes the leaves of its anchor again, and counts.

use std::collections::{HashMap, HashSet};
use std::ops::Range;

use saphyr_parser::{Event, Parser, ScalarStyle};

use crate::error::Bad;
use crate::format::Format;
use crate::table::{Builder, Table, short};

/// Deeper documents are refused, as JSON's are.
const MOST_DEPTH: usize = 128;

/// A list or mapping that is being read.
enum Level {
    List {
        next: usize,
    },
    Map {
        key: Option<String>,
        seen: HashSet<String>,
    },
}

struct Open {
    level: Level,
    /// The dotted key of the list or mapping itself.
    path: String,
    anchor: usize,
    first_row: usize,
}

struct Reader {
    out: Builder,
    stack: Vec<Open>,
    /// Rows of finished anchors, and the length of the key that they stand below.
    anchors: HashMap<usize, (Range<usize>, usize)>,
    documents: usize,
}

pub(crate) fn parse(text: &str) -> Result<Table, Bad> {
    let mut reader = Reader {
        out: Builder::of(Format::Yaml, text.len()),
        stack: Vec::new(),
        anchors: HashMap::new(),
        documents: 0,
    };
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| {
            let line = e.marker().line() as u64;
            Bad::line(line, "yaml", format!("expected YAML: {}", short(e.info())))
        })?;
        reader.event(event, span.start.line() as u64)?;
    }
    if reader.documents == 0 {
        return Err(Bad::file(
            "yaml-empty",
            "expected a YAML document, found none",
        ));
    }
    reader.out.finish()
}

impl Reader {
    fn event(&mut self, event: Event<'_>, line: u64) -> Result<(), Bad> {
        match event {
            Event::DocumentStart(_) => {
                self.documents += 1;
                if self.documents > 1 {
                    let message = "several documents in one file are not supported";
                    return Err(Bad::line(line, "yaml-documents", message));
                }
            }
            Event::Scalar(text, style, anchor, _) => {
                if let Some(Open {
                    level:
                        Level::Map {
                            key: key @ None,
                            seen,
                        },
                    ..
                }) = self.stack.last_mut()
                {
                    let twice = !seen.insert(text.to_string());
                    *key = Some(text.to_string());
                    if text == "<<" {
                        let message = "merge keys are not followed; the leaves are below `<<`";
                        self.out.note(line, "yaml-merge", message);
                    } else if twice {
                        let message =
                            format!("key `{}` is there twice; both are kept", short(&text));
                        self.out.note(line, "yaml-twice", message);
                    }
                    if anchor > 0 {
                        return Err(unsupported(line, "an anchor on a key"));
                    }
                    return Ok(());
                }
                let path = self.path();
                let rows = self.out.rows().len();
                let null = style == ScalarStyle::Plain
                    && matches!(&*text, "" | "~" | "null" | "Null" | "NULL");
                let value = (!null).then(|| text.into_owned());
                let length = path.len();
                self.out.row(vec![Some(path), value])?;
                self.anchor(anchor, rows, length);
            }
            Event::SequenceStart(anchor, _) => self.open(line, anchor, Level::List { next: 0 })?,
            Event::MappingStart(anchor, _) => {
                let (key, seen) = (None, HashSet::new());
                self.open(line, anchor, Level::Map { key, seen })?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(open) = self.stack.pop() {
                    self.anchor(open.anchor, open.first_row, open.path.len());
                }
            }
            Event::Alias(id) => self.alias(line, id)?,
            Event::Nothing | Event::StreamStart | Event::StreamEnd | Event::DocumentEnd => {}
        }
        Ok(())
    }

    fn open(&mut self, line: u64, anchor: usize, level: Level) -> Result<(), Bad> {
        if self.awaits_key() {
            return Err(unsupported(line, "a list or mapping as a key"));
        }
        if self.stack.len() >= MOST_DEPTH {
            let message = format!("expected at most {MOST_DEPTH} levels");
            return Err(Bad::line(line, "yaml-depth", message));
        }
        let path = self.path();
        let first_row = self.out.rows().len();
        self.stack.push(Open {
            level,
            path,
            anchor,
            first_row,
        });
        Ok(())
    }

    fn awaits_key(&self) -> bool {
        let level = self.stack.last().map(|open| &open.level);
        matches!(level, Some(Level::Map { key: None, .. }))
    }

    /// The dotted key of the value that comes now.
    fn path(&mut self) -> String {
        let Some(open) = self.stack.last_mut() else {
            return String::new();
        };
        let part = match &mut open.level {
            Level::List { next } => {
                *next += 1;
                (*next - 1).to_string()
            }
            Level::Map { key, .. } => key.take().unwrap_or_default(),
        };
        match open.path.as_str() {
            "" => part,
            path => format!("{path}.{part}"),
        }
    }

    fn anchor(&mut self, id: usize, first_row: usize, length: usize) {
        if id > 0 {
            let rows = first_row..self.out.rows().len();
            self.anchors.insert(id, (rows, length));
        }
    }

    /// Writes the leaves of an anchor again, below the key that the alias has.
    fn alias(&mut self, line: u64, id: usize) -> Result<(), Bad> {
        if self.awaits_key() {
            return Err(unsupported(line, "an alias as a key"));
        }
        let path = self.path();
        let Some((rows, length)) = self.anchors.get(&id).cloned() else {
            let message =
                "expected an alias of something complete, found one inside its own anchor";
            return Err(Bad::line(line, "yaml-alias", message));
        };
        for i in rows {
            let Some([Some(key), value]) = self.out.rows().get(i).map(Vec::as_slice) else {
                continue;
            };
            let below = key.get(length..).unwrap_or_default();
            // Below the root a key has no dot in front.
            let key = match (path.as_str(), below) {
                (path, "") => path.to_owned(),
                ("", below) => below.trim_start_matches('.').to_owned(),
                (path, below) if length == 0 => format!("{path}.{below}"),
                (path, below) => format!("{path}{below}"),
            };
            let row = vec![Some(key), value.clone()];
            self.out.row(row)?;
        }
        Ok(())
    }
}

fn unsupported(line: u64, what: &str) -> Bad {
    Bad::line(line, "yaml-key", format!("{what} is not supported"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn leaves(text: &str) -> Vec<(String, Option<String>)> {
        let table = parse(text).unwrap();
        let pair = |row: Vec<Option<String>>| {
            let mut cells = row.into_iter();
            (cells.next().flatten().unwrap(), cells.next().flatten())
        };
        table.rows.into_iter().map(pair).collect()
    }

    fn leaf(key: &str, value: Option<&str>) -> (String, Option<String>) {
        (key.to_owned(), value.map(str::to_owned))
    }

    #[test]
    fn leaves_have_dotted_keys() {
        assert_eq!(
            leaves("a:\n  b: [1, 'x']\n  '': y\nc: ~\nd: '~'\ne: []\nf:\n"),
            [
                leaf("a.b.0", Some("1")),
                leaf("a.b.1", Some("x")),
                leaf("a.", Some("y")),
                leaf("c", None),
                leaf("d", Some("~")),
                leaf("f", None),
            ]
        );
        assert_eq!(leaves("5"), [leaf("", Some("5"))]);
    }

    #[test]
    fn aliases_repeat_their_leaves() {
        assert_eq!(
            leaves("a: &x {p: 1, q: &y [2]}\nb: *x\nc: [*y]\n"),
            [
                leaf("a.p", Some("1")),
                leaf("a.q.0", Some("2")),
                leaf("b.p", Some("1")),
                leaf("b.q.0", Some("2")),
                leaf("c.0.0", Some("2")),
            ]
        );
    }

    #[test]
    fn a_bomb_of_aliases_is_refused() {
        let mut text = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
        for i in 1..12 {
            let all = vec![format!("*a{}", i - 1); 10].join(", ");
            text.push_str(&format!("a{i}: &a{i} [{all}]\n"));
        }
        assert!(parse(&text).is_err());
    }
}
