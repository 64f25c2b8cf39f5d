//! Annotation files of the Temple University corpora: `.rec`, `.lab`, `.csv`, `.tse`.

use crate::clock::number;
use crate::error::Bad;
use crate::format::Format;
use crate::table::{Builder, Table, short};
use crate::text::lines;

/// The TCP pairs that `.rec` files count.
const PAIRS: u32 = 22;

/// Names of the codes 1 to 6 of TUEV.
const LABELS: [&str; 6] = ["spsw", "gped", "pled", "eyem", "artf", "bckg"];

/// Cells of a good line.
type Cells = Vec<Option<String>>;

/// A fault of one line: code and message.
type Fault = (&'static str, String);

/// `pair,start,stop,code` without a header.
pub(crate) fn rec(text: &str) -> Result<Table, Bad> {
    each_line(
        text,
        Format::TuhRec,
        "tuh-rec",
        "pair,start,stop,code",
        |line| {
            let fields: Vec<&str> = line.split(',').map(str::trim).collect();
            let [pair, start, stop, code] = fields[..] else {
                return Err(count(4, fields.len()));
            };
            let pair = whole(pair).filter(|&p| p < PAIRS).ok_or_else(|| {
                let message = format!(
                    "expected a pair from 0 to {}, found `{}`",
                    PAIRS - 1,
                    short(pair)
                );
                ("tuh-pair", message)
            })?;
            span(start, stop)?;
            let (code, label) = whole(code)
                .and_then(|c| Some((c, *LABELS.get(usize::try_from(c.checked_sub(1)?).ok()?)?)))
                .ok_or_else(|| {
                    let message = format!("expected a code from 1 to 6, found `{}`", short(code));
                    ("tuh-code", message)
                })?;
            Ok(vec![
                Some(pair.to_string()),
                Some(start.to_owned()),
                Some(stop.to_owned()),
                Some(code.to_string()),
                Some(label.to_owned()),
            ])
        },
    )
}

/// `start stop label` in ticks of 10 µs.
pub(crate) fn lab(text: &str) -> Result<Table, Bad> {
    each_line(
        text,
        Format::TuhLab,
        "tuh-lab",
        "start stop label",
        |line| {
            let fields: Vec<&str> = line.split_whitespace().collect();
            let [start, stop, label] = fields[..] else {
                return Err(count(3, fields.len()));
            };
            let ticks = |text: &str| {
                text.parse::<u64>().map_err(|_| {
                    let message = format!("expected ticks of 10 µs, found `{}`", short(text));
                    ("tuh-time", message)
                })
            };
            let (from, to) = (ticks(start)?, ticks(stop)?);
            if from > to {
                return Err(backwards(start, stop));
            }
            Ok(vec![
                Some(tick_seconds(from)),
                Some(tick_seconds(to)),
                Some(label.to_owned()),
            ])
        },
    )
}

/// A version line, then `start stop label probability`.
pub(crate) fn tse(text: &str) -> Result<Table, Bad> {
    let first = lines(text).find(|(_, line)| !is_comment(line));
    let version = |line: &str| {
        let (key, value) = line.split_once('=')?;
        (key.trim() == "version" && value.trim().starts_with("tse")).then_some(())
    };
    let Some((head, _)) = first.filter(|(_, line)| version(line).is_some()) else {
        let (line, found) = first.unwrap_or((1, ""));
        return Err(Bad::line(
            line,
            "tse-version",
            format!(
                "expected `version = tse_v1.0.0`, found `{}`",
                short(found.trim())
            ),
        ));
    };
    let mut out = Builder::of(Format::TuhTse, text.len());
    for (number, line) in lines(text).filter(|(n, line)| *n > head && !is_comment(line)) {
        match tse_line(line) {
            Ok(cells) => out.row(cells)?,
            Err(fault) => left_out(&mut out, number, fault),
        }
    }
    out.finish()
}

fn tse_line(line: &str) -> Result<Cells, Fault> {
    let fields: Vec<&str> = line.split_whitespace().collect();
    let [start, stop, label, prob] = fields[..] else {
        return Err(count(4, fields.len()));
    };
    span(start, stop)?;
    probability(prob)?;
    Ok([start, stop, label, prob]
        .map(|f| Some(f.to_owned()))
        .to_vec())
}

/// `#` comments, a header, rows.
pub(crate) fn csv(text: &str) -> Result<Table, Bad> {
    let columns = Format::TuhCsv.columns();
    let mut rest = lines(text).filter(|(_, line)| !is_comment(line));
    let (line, header) = rest.next().unwrap_or((1, ""));
    if !header.split(',').map(str::trim).eq(columns.iter().copied()) {
        return Err(Bad::line(
            line,
            "tuh-csv-header",
            format!(
                "expected `{}`, found `{}`",
                columns.join(","),
                short(header)
            ),
        ));
    }
    let mut out = Builder::of(Format::TuhCsv, text.len());
    for (number, line) in rest {
        match csv_line(line) {
            Ok(cells) => out.row(cells)?,
            Err(fault) => left_out(&mut out, number, fault),
        }
    }
    out.finish()
}

fn csv_line(line: &str) -> Result<Cells, Fault> {
    let fields: Vec<&str> = line.split(',').map(str::trim).collect();
    let [channel, start, stop, label, confidence] = fields[..] else {
        return Err(count(5, fields.len()));
    };
    span(start, stop)?;
    probability(confidence)?;
    Ok([channel, start, stop, label, confidence]
        .map(|f| Some(f.to_owned()).filter(|f| !f.is_empty()))
        .to_vec())
}

/// A table of lines without a header. When no line at all can be read, the file is not of
/// the format.
fn each_line(
    text: &str,
    format: Format,
    code: &'static str,
    expected: &str,
    read: impl Fn(&str) -> Result<Cells, Fault>,
) -> Result<Table, Bad> {
    let mut out = Builder::of(format, text.len());
    let mut first = None;
    for (number, line) in lines(text).filter(|(_, line)| !is_comment(line)) {
        match read(line) {
            Ok(cells) => out.row(cells)?,
            Err(fault) => {
                first.get_or_insert((number, line));
                left_out(&mut out, number, fault);
            }
        }
    }
    match first {
        Some((number, line)) if out.rows().is_empty() => Err(Bad::line(
            number,
            code,
            format!("expected `{expected}`, found `{}`", short(line.trim())),
        )),
        _ => out.finish(),
    }
}

fn is_comment(line: &str) -> bool {
    let line = line.trim_start();
    line.is_empty() || line.starts_with('#')
}

fn left_out(out: &mut Builder, line: u64, (code, message): Fault) {
    out.note(line, code, format!("{message}; left out"));
}

fn count(expected: usize, found: usize) -> Fault {
    let message = format!("expected {expected} fields, found {found}");
    ("tuh-fields", message)
}

fn backwards(start: &str, stop: &str) -> Fault {
    let message = format!("expected a stop after the start, found {start} to {stop}");
    ("tuh-order", message)
}

/// Checks a start and a stop in seconds.
fn span(start: &str, stop: &str) -> Result<(), Fault> {
    let seconds = |text: &str| {
        number(text).filter(|&n| n >= 0.0).ok_or_else(|| {
            let message = format!("expected seconds, found `{}`", short(text));
            ("tuh-time", message)
        })
    };
    if seconds(start)? > seconds(stop)? {
        return Err(backwards(start, stop));
    }
    Ok(())
}

fn probability(text: &str) -> Result<(), Fault> {
    match number(text) {
        Some(p) if (0.0..=1.0).contains(&p) => Ok(()),
        _ => {
            let message = format!("expected a probability, found `{}`", short(text));
            Err(("tuh-prob", message))
        }
    }
}

/// A small whole number; some writers give it as `13.0`.
fn whole(text: &str) -> Option<u32> {
    let value = number(text)?;
    (value.fract() == 0.0 && (0.0..1e6).contains(&value)).then_some(value as u32)
}

/// Ticks of 10 µs as seconds, exactly.
fn tick_seconds(ticks: u64) -> String {
    let (whole, part) = (ticks / 100_000, ticks % 100_000);
    match part {
        0 => whole.to_string(),
        part => format!("{whole}.{part:05}")
            .trim_end_matches('0')
            .to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_of_10_us_are_exact_seconds() {
        assert_eq!(tick_seconds(117_100_000), "1171");
        assert_eq!(tick_seconds(117_150_000), "1171.5");
        assert_eq!(tick_seconds(1), "0.00001");
        assert_eq!(tick_seconds(u64::MAX), "184467440737095.51615");
    }

    #[test]
    fn whole_numbers() {
        assert_eq!(whole("13"), Some(13));
        assert_eq!(whole("13.0"), Some(13));
        for bad in ["-1", "1.5", "1e9", "x", ""] {
            assert_eq!(whole(bad), None, "{bad}");
        }
    }
}
