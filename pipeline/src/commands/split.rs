//! `mmpipe split`: epochs into folds and roles, audited at once.

use anyhow::Result;
use mmpipe_lake::Lake;
use mmpipe_splits::{self as splits, Audit, Protocol, Split, SplitRequest};

use super::Status;
use crate::cli::SplitArgs;
use crate::context::Context;
use crate::render;

pub(crate) fn run(ctx: &Context, args: &SplitArgs) -> Result<Status> {
    let lake = ctx.lake()?;
    let request = SplitRequest {
        dataset: dataset_name(ctx, &args.dataset)?,
        recipe: args.recipe.clone(),
        protocol: args.protocol.parse::<Protocol>()?,
        name: args.name.clone(),
        folds: args.folds,
        seed: args.seed,
        replace: args.overwrite,
    };
    let (split, audit) = make(ctx, &lake, request)?;
    if ctx.global.json {
        render::json(&serde_json::json!({ "split": split.name, "audit": audit }))?;
    } else {
        render::text(&audit.to_string())?;
        render::line(format!(
            "split       {}  (next: mmpipe train --split {})",
            split.name, split.name
        ))?;
    }
    Ok(Status::done_if(audit.holds))
}

/// Makes and stores a split with its audit.
pub(super) fn make(ctx: &Context, lake: &Lake, request: SplitRequest) -> Result<(Split, Audit)> {
    Ok(ctx.block_on(splits::create(lake, &request))?)
}

/// The name as manifests spell it, for an alias or another case; else as typed.
pub(super) fn dataset_name(ctx: &Context, typed: &str) -> Result<String> {
    let manifests = ctx.manifests()?;
    let found = manifests.iter().find(|m| m.is_called(typed));
    Ok(found.map_or_else(|| typed.to_owned(), |m| m.name.clone()))
}
