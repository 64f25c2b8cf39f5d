//! `mmpipe audit`: what a stored split shares between its roles, counted again.

use anyhow::Result;
use mmpipe_splits::{self as splits, AudioOnly, Reaudit};
use serde::Serialize;

use super::Status;
use crate::cli::AuditArgs;
use crate::context::Context;
use crate::render;

/// A fresh audit, and what the sound alone tells of the data set that was split.
#[derive(Debug, Serialize)]
struct Audited {
    #[serde(flatten)]
    again: Reaudit,
    /// Absent where there are neither sounds nor contents.
    audio_only: Option<AudioOnly>,
}

pub(crate) fn run(ctx: &Context, args: &AuditArgs) -> Result<Status> {
    let lake = ctx.lake()?;
    let again = ctx.block_on(splits::reaudit(&lake, &args.split))?;
    let (dataset, recipe) = (&again.split.dataset, &again.split.recipe);
    let audio_only = ctx.block_on(splits::audio_only_in(&lake, dataset, recipe))?;
    let done = Audited { again, audio_only };
    if ctx.global.json {
        render::json(&done)?;
    } else {
        render::text(&done.again.audit.to_string())?;
        for change in &done.again.changed {
            render::line(format!("CHANGED   {change}"))?;
        }
        if let Some(audio_only) = &done.audio_only {
            render::line("")?;
            render::text(&audio_only.to_string())?;
        }
    }
    Ok(Status::done_if(
        done.again.audit.holds && done.again.changed.is_empty(),
    ))
}
