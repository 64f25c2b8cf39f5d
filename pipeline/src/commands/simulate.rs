//! `mmpipe simulate`: a corpus with known ground truth, in its native raw layout.

use std::fmt::Write as _;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use mmpipe_corpora::registry;
use mmpipe_simulate::{self as sim, Choice, Simulation};

use super::Status;
use crate::cli::SimulateArgs;
use crate::context::Context;
use crate::render;

pub(crate) fn run(ctx: &Context, args: &SimulateArgs) -> Result<Status> {
    let simulation = find(ctx, &args.dataset)?;
    if !is_empty(&args.out)? {
        bail!(
            "{} is not empty; name a folder that is absent or empty with --out",
            args.out.display()
        );
    }
    let choice = Choice {
        seed: args.seed,
        subjects: args.subjects,
    };
    let truth = simulation.write(&choice, &args.out)?;
    if ctx.global.json {
        render::json(&truth)?;
    } else {
        render::line(format!(
            "wrote       {} with known ground truth to {}",
            simulation.name,
            args.out.display()
        ))?;
    }
    Ok(Status::Done)
}

/// The simulation of a data set, by its name or an alias of its manifest.
fn find(ctx: &Context, name: &str) -> Result<&'static Simulation> {
    let manifests = ctx.manifests()?;
    let known = registry::find(&manifests, name);
    let name = known.map_or(name, |manifest| &manifest.name);
    sim::simulation(name).with_context(|| {
        format!("no simulation `{name}`; `mmpipe simulate --help` lists those there are")
    })
}

/// What there is, for the help: a line each.
pub(crate) fn simulations() -> String {
    let width = sim::simulations().iter().map(|s| s.name.len()).max();
    let width = width.unwrap_or_default();
    let mut text = String::from("Data sets:");
    for Simulation { name, about, .. } in sim::simulations() {
        // Writing to a String cannot fail.
        let _ = write!(text, "\n  {name:width$}  {about}");
    }
    text
}

/// Whether a folder is absent or holds nothing.
pub(super) fn is_empty(path: &Path) -> Result<bool> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e).with_context(|| format!("cannot list {}", path.display())),
    }
}
