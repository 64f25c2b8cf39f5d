//! `mmpipe audit`: what a stored split shares between its roles, counted again.

use anyhow::Result;
use mmpipe_splits as splits;

use super::Status;
use crate::cli::AuditArgs;
use crate::context::Context;
use crate::render;

pub(crate) fn run(ctx: &Context, args: &AuditArgs) -> Result<Status> {
    let lake = ctx.lake()?;
    let again = ctx.block_on(splits::reaudit(&lake, &args.split))?;
    if ctx.global.json {
        render::json(&again)?;
    } else {
        render::text(&again.audit.to_string())?;
        for change in &again.changed {
            render::line(format!("CHANGED   {change}"))?;
        }
    }
    Ok(Status::done_if(
        again.audit.holds && again.changed.is_empty(),
    ))
}
