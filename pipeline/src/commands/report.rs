//! `mmpipe report`: one offline page about evaluated runs.

use anyhow::{Result, bail};
use mmpipe_eval::report;

use super::Status;
use crate::cli::ReportArgs;
use crate::context::Context;
use crate::{render, runs};

pub(crate) fn run(ctx: &Context, args: &ReportArgs) -> Result<Status> {
    let lake = ctx.lake()?;
    let mut summaries = Vec::new();
    for run in &args.runs {
        let (folder, _) = runs::existing(&lake, run)?;
        match folder.summary()? {
            Some(summary) => summaries.push(summary),
            None => bail!("run `{run}` has no result yet; run `mmpipe evaluate --run {run}` first"),
        }
    }
    let html = report::render(&summaries);
    mmpipe_lake::write_file(&args.output, html.as_bytes())?;
    if ctx.global.json {
        render::json(
            &serde_json::json!({ "report": args.output, "bytes": html.len(), "runs": args.runs }),
        )?;
    } else {
        render::line(format!(
            "report      {} ({})",
            args.output.display(),
            render::bytes(html.len() as u64)
        ))?;
    }
    Ok(Status::Done)
}
