//! `mmpipe sql`: one query, a script on standard input, or a shell with history.

use std::fs::File;
use std::io::{self, BufWriter, IsTerminal, Read, Write};
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use arrow::array::RecordBatch;
use arrow::datatypes::SchemaRef;
use futures::StreamExt;
use mmpipe_lake::Lake;
use parquet::arrow::ArrowWriter;
use rustyline::DefaultEditor;
use rustyline::error::ReadlineError;

use super::Status;
use crate::cli::{SqlArgs, SqlFormat};
use crate::context::Context;
use crate::render::{self, Table};

/// Items of a list that the text table shows; a whole epoch would bury the rest.
const LIST_ITEMS: usize = 4;

/// Rows that the shell prints before it says how many more there are.
const SHELL_ROWS: usize = 200;

pub(crate) fn run(ctx: &Context, args: &SqlArgs) -> Result<Status> {
    let lake = ctx.lake()?;
    let format = match (args.format, ctx.global.json) {
        (Some(format), _) => format,
        (None, true) => SqlFormat::Json,
        (None, false) => SqlFormat::Table,
    };
    if format == SqlFormat::Parquet && args.output.is_none() {
        bail!("--format parquet needs --output FILE");
    }
    match &args.query {
        Some(query) => ctx.block_on(print(
            &lake,
            query,
            format,
            args.output.as_deref(),
            usize::MAX,
        ))?,
        None if io::stdin().is_terminal() => shell(ctx, &lake, format)?,
        None => {
            let mut text = String::new();
            io::stdin()
                .read_to_string(&mut text)
                .context("cannot read the query from standard input")?;
            for query in statements(&text) {
                ctx.block_on(print(
                    &lake,
                    &query,
                    format,
                    args.output.as_deref(),
                    usize::MAX,
                ))?;
            }
        }
    }
    Ok(Status::Done)
}

/// Runs one query and prints its rows as they come.
pub(crate) async fn print(
    lake: &Lake,
    query: &str,
    format: SqlFormat,
    output: Option<&Path>,
    most: usize,
) -> Result<()> {
    let frame = lake.context().await?.sql(query).await.map_err(plain)?;
    let schema: SchemaRef = frame.schema().inner().clone();
    let mut stream = frame.execute_stream().await.map_err(plain)?;
    let mut sink = Sink::new(format, &schema, output, most)?;
    while let Some(batch) = stream.next().await {
        sink.batch(&batch.map_err(plain)?)?;
    }
    sink.finish()
}

/// The engine's error without the name of its module in front.
fn plain(error: impl std::fmt::Display) -> anyhow::Error {
    let text = error.to_string();
    let first = text.lines().next().unwrap_or_default();
    let first = first
        .strip_prefix("Error during planning: ")
        .unwrap_or(first);
    let first = first.strip_prefix("Schema error: ").unwrap_or(first);
    anyhow::anyhow!("{}", first.trim_end_matches('.'))
}

enum Sink {
    Table {
        table: Table,
        rows: usize,
        most: usize,
        out: Box<dyn Write>,
    },
    Csv(Box<arrow::csv::Writer<Box<dyn Write>>>),
    Json(arrow::json::ArrayWriter<Box<dyn Write>>),
    Ndjson(arrow::json::LineDelimitedWriter<Box<dyn Write>>),
    Parquet(Box<ArrowWriter<File>>),
}

impl Sink {
    fn new(
        format: SqlFormat,
        schema: &SchemaRef,
        output: Option<&Path>,
        most: usize,
    ) -> Result<Self> {
        let create = |path: &Path| {
            File::create(path).with_context(|| format!("cannot write {}", path.display()))
        };
        let open = || -> Result<Box<dyn Write>> {
            Ok(match output {
                Some(path) => Box::new(BufWriter::new(create(path)?)),
                None => Box::new(BufWriter::new(io::stdout())),
            })
        };
        Ok(match format {
            SqlFormat::Table => Sink::Table {
                table: Table::new(schema.fields().iter().map(|f| f.name().clone())),
                rows: 0,
                most,
                out: open()?,
            },
            SqlFormat::Csv => Sink::Csv(Box::new(
                arrow::csv::WriterBuilder::new()
                    .with_header(true)
                    .build(open()?),
            )),
            SqlFormat::Json => Sink::Json(arrow::json::ArrayWriter::new(open()?)),
            SqlFormat::Ndjson => Sink::Ndjson(arrow::json::LineDelimitedWriter::new(open()?)),
            SqlFormat::Parquet => {
                let path = output.context("--format parquet needs --output FILE")?;
                Sink::Parquet(Box::new(ArrowWriter::try_new(
                    create(path)?,
                    schema.clone(),
                    None,
                )?))
            }
        })
    }

    fn batch(&mut self, batch: &RecordBatch) -> Result<()> {
        match self {
            Sink::Table {
                table, rows, most, ..
            } => {
                for row in 0..batch.num_rows() {
                    *rows += 1;
                    if *rows <= *most {
                        table.row(
                            batch
                                .columns()
                                .iter()
                                .map(|c| cell::show(c, row))
                                .collect::<Result<Vec<_>>>()?,
                        );
                    }
                }
                Ok(())
            }
            Sink::Csv(w) => Ok(w.write(batch)?),
            Sink::Json(w) => Ok(w.write(batch)?),
            Sink::Ndjson(w) => Ok(w.write(batch)?),
            Sink::Parquet(w) => Ok(w.write(batch)?),
        }
    }

    fn finish(self) -> Result<()> {
        match self {
            Sink::Table {
                table,
                rows,
                most,
                mut out,
            } => {
                write!(out, "{table}")?;
                let rest = rows.saturating_sub(most);
                match rest {
                    0 => writeln!(out, "({rows} {})", if rows == 1 { "row" } else { "rows" })?,
                    _ => writeln!(
                        out,
                        "({rows} rows, {rest} not shown; add LIMIT or --format csv)"
                    )?,
                }
                Ok(out.flush()?)
            }
            Sink::Csv(w) => Ok(w.into_inner().flush()?),
            Sink::Json(mut w) => {
                w.finish()?;
                let mut out = w.into_inner();
                out.write_all(b"\n")?;
                Ok(out.flush()?)
            }
            Sink::Ndjson(mut w) => {
                w.finish()?;
                Ok(w.into_inner().flush()?)
            }
            Sink::Parquet(w) => {
                w.close()?;
                Ok(())
            }
        }
    }
}

/// One value as a cell of the text table.
mod cell {
    use anyhow::Result;
    use arrow::array::{Array, ArrayRef, AsArray};
    use arrow::datatypes::DataType;
    use arrow::util::display::{ArrayFormatter, FormatOptions};

    use super::LIST_ITEMS;

    pub(super) fn show(column: &ArrayRef, row: usize) -> Result<String> {
        if column.is_null(row) {
            return Ok("-".into());
        }
        let list = match column.data_type() {
            DataType::List(_) => Some(column.as_list::<i32>().value(row)),
            DataType::LargeList(_) => Some(column.as_list::<i64>().value(row)),
            DataType::FixedSizeList(..) => Some(column.as_fixed_size_list().value(row)),
            _ => None,
        };
        if let Some(items) = list {
            let mut shown = (0..items.len().min(LIST_ITEMS))
                .map(|i| show(&items, i))
                .collect::<Result<Vec<_>>>()?;
            if items.len() > LIST_ITEMS {
                shown.push(format!(".. {} items", items.len()));
            }
            return Ok(format!("[{}]", shown.join(", ")));
        }
        match column.data_type() {
            DataType::Float64 => Ok(float(
                column
                    .as_primitive::<arrow::datatypes::Float64Type>()
                    .value(row),
            )),
            DataType::Float32 => Ok(float(f64::from(
                column
                    .as_primitive::<arrow::datatypes::Float32Type>()
                    .value(row),
            ))),
            _ => Ok(ArrayFormatter::try_new(column, &FormatOptions::default())?
                .value(row)
                .to_string()),
        }
    }

    /// Four decimals where that loses nothing that a reader would miss.
    fn float(x: f64) -> String {
        if x == 0.0 || (1e-3..1e9).contains(&x.abs()) {
            let text = format!("{x:.4}");
            let text = text.trim_end_matches('0').trim_end_matches('.');
            text.to_owned()
        } else {
            format!("{x:e}")
        }
    }
}

/// The statements of a script: split at `;` outside quotes and comments.
fn statements(text: &str) -> Vec<String> {
    let mut all = vec![String::new()];
    let (mut quote, mut comment, mut before) = (None, false, ' ');
    for c in text.chars() {
        match (quote, comment, c) {
            (_, true, '\n') => comment = false,
            (None, false, '-') if before == '-' => comment = true,
            (None, false, '\'' | '"') => quote = Some(c),
            (Some(q), false, _) if q == c => quote = None,
            (None, false, ';') => {
                all.push(String::new());
                before = ' ';
                continue;
            }
            _ => {}
        }
        before = c;
        if let Some(last) = all.last_mut() {
            last.push(c);
        }
    }
    all.retain(|s| {
        s.lines()
            .any(|l| !l.trim().is_empty() && !l.trim().starts_with("--"))
    });
    all
}

/// The interactive shell. A statement ends with `;`; ctrl-D or `quit` leaves.
fn shell(ctx: &Context, lake: &Lake, format: SqlFormat) -> Result<()> {
    let mut editor = DefaultEditor::new().context("cannot start the shell")?;
    let history = history_file();
    if let Some(path) = &history
        && path.is_file()
        && let Err(e) = editor.load_history(path)
    {
        tracing::warn!("cannot read the shell's history {}: {e}", path.display());
    }
    eprintln!(
        "tables: eeg, eeg_channels, recordings, audio, stimuli, splits, predictions. End a query with `;`, leave with ctrl-D."
    );
    let mut pending = String::new();
    loop {
        let prompt = if pending.is_empty() {
            "mmpipe> "
        } else {
            "   ...> "
        };
        match editor.readline(prompt) {
            Ok(line) => {
                if pending.is_empty() && matches!(line.trim(), "quit" | "exit" | "\\q") {
                    break;
                }
                pending.push_str(&line);
                pending.push('\n');
                if !line.trim_end().ends_with(';') {
                    continue;
                }
                let text = std::mem::take(&mut pending);
                if let Err(e) = editor.add_history_entry(text.trim_end()) {
                    tracing::warn!("the shell's history does not take the query: {e}");
                }
                for query in statements(&text) {
                    if let Err(e) = ctx.block_on(print(lake, &query, format, None, SHELL_ROWS)) {
                        eprintln!("error: {}", render::error_chain(&e));
                    }
                }
            }
            Err(ReadlineError::Interrupted) => pending.clear(),
            Err(ReadlineError::Eof) => break,
            Err(e) => return Err(e).context("the shell cannot read a line"),
        }
    }
    if let Some(path) = &history {
        let saved = path
            .parent()
            .map_or(Ok(()), std::fs::create_dir_all)
            .map_err(ReadlineError::Io);
        if let Err(e) = saved.and_then(|()| editor.save_history(path)) {
            tracing::warn!("cannot keep the shell's history in {}: {e}", path.display());
        }
    }
    Ok(())
}

/// Where the shell keeps its history: below the user's state folder.
fn history_file() -> Option<std::path::PathBuf> {
    let state = std::env::var_os("XDG_STATE_HOME").map(std::path::PathBuf::from);
    let state = state.or_else(|| {
        std::env::var_os("HOME").map(|h| std::path::PathBuf::from(h).join(".local/state"))
    })?;
    Some(state.join("mmpipe").join("sql-history"))
}

#[cfg(test)]
mod tests {
    use super::statements;

    #[test]
    fn a_semicolon_in_quotes_or_comments_does_not_end_a_statement() {
        let found = statements(
            "SELECT ';' AS a; -- no ; here\nSELECT \"b;\" FROM t;\n\n-- only a comment\n",
        );
        assert_eq!(found.len(), 2);
        assert_eq!(found[0], "SELECT ';' AS a");
        assert!(found[1].contains("FROM t"));
    }
}
