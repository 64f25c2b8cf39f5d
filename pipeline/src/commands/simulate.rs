//! `mmpipe simulate`: a corpus with known ground truth, in its native raw layout.

use std::path::Path;

use anyhow::{Context as _, Result, bail};
use mmpipe_simulate as sim;

use super::Status;
use crate::cli::SimulateArgs;
use crate::context::Context;
use crate::render;

pub(crate) fn run(ctx: &Context, args: &SimulateArgs) -> Result<Status> {
    if !is_empty(&args.out)? {
        bail!(
            "{} is not empty; name a folder that is absent or empty with --out",
            args.out.display()
        );
    }
    let truth = match args.dataset.to_lowercase().as_str() {
        "twotalker" => {
            let mut config = sim::TwoTalker {
                seed: args.seed,
                ..Default::default()
            };
            config.subjects = args.subjects.unwrap_or(config.subjects);
            serde_json::to_value(sim::write_bids(&config, &args.out)?)?
        }
        "eegmat" => {
            let mut config = sim::EegMat {
                seed: args.seed,
                ..Default::default()
            };
            config.subjects = args.subjects.unwrap_or(config.subjects);
            serde_json::to_value(sim::eegmat(&config, &args.out)?)?
        }
        "eegmmidb" => {
            let mut config = sim::EegMmidb {
                seed: args.seed,
                ..Default::default()
            };
            config.subjects = args.subjects.unwrap_or(config.subjects);
            serde_json::to_value(sim::eegmmidb(&config, &args.out)?)?
        }
        "bci-iv-2a" => {
            let mut config = sim::BciIv2a {
                seed: args.seed,
                ..Default::default()
            };
            config.subjects = numbers(args.subjects).unwrap_or(config.subjects);
            serde_json::to_value(sim::bci_iv_2a(&config, &args.out)?)?
        }
        "bci-iv-2b" => {
            let mut config = sim::BciIv2b {
                seed: args.seed,
                ..Default::default()
            };
            config.subjects = numbers(args.subjects).unwrap_or(config.subjects);
            serde_json::to_value(sim::bci_iv_2b(&config, &args.out)?)?
        }
        "hgd" => {
            let mut config = sim::Hgd {
                seed: args.seed,
                ..Default::default()
            };
            config.subjects = numbers(args.subjects).unwrap_or(config.subjects);
            serde_json::to_value(sim::hgd(&config, &args.out)?)?
        }
        other => bail!("no simulation `{other}`; there are TwoTalker, EEGMat and EEGMMIDB"),
    };
    if ctx.global.json {
        render::json(&truth)?;
    } else {
        render::line(format!(
            "wrote       {} with known ground truth to {}",
            args.dataset,
            args.out.display()
        ))?;
    }
    Ok(Status::Done)
}

/// Subjects 1 to `n`.
fn numbers(n: Option<usize>) -> Option<Vec<usize>> {
    Some((1..=n?).collect())
}

/// Whether a folder is absent or holds nothing.
pub(super) fn is_empty(path: &Path) -> Result<bool> {
    match std::fs::read_dir(path) {
        Ok(mut entries) => Ok(entries.next().is_none()),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(true),
        Err(e) => Err(e).with_context(|| format!("cannot list {}", path.display())),
    }
}
