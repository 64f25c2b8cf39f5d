//! `mmpipe convert`: weights of others in, `model.safetensors` and `config.json` out.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context as _, Result, bail};
use mmpipe_models::weights::{self, Converted, Kind};
use serde_json::json;

use super::Status;
use crate::cli::{ConvertArgs, WeightsKind};
use crate::context::Context;
use crate::render::{self, Table};
use crate::runs::run_of;

/// The files that are written.
const FILES: [&str; 2] = ["model.safetensors", "config.json"];
/// Names that are printed of a group; JSON has them all.
const SHOWN: usize = 3;

pub(crate) fn run(ctx: &Context, args: &ConvertArgs) -> Result<Status> {
    for file in FILES {
        let target = args.out.join(file);
        if same_file(&target, &args.file) {
            bail!(
                "{} is the file to be read; name another folder with --out",
                target.display()
            );
        }
        if target.exists() && !args.overwrite {
            bail!(
                "{} exists; name another folder with --out, or replace it with --overwrite",
                target.display()
            );
        }
    }
    let done = weights::convert(&args.file, &args.out, kind(args.kind)).with_context(|| {
        let file = args.file.display();
        match run_of(&args.file) {
            Some(run) => format!(
                "cannot convert {file}: it is of an mmpipe run and needs no conversion; name {} with --init",
                run.display()
            ),
            None => format!("cannot convert {file}"),
        }
    })?;
    if ctx.global.json {
        let dropped: Vec<_> = done
            .dropped
            .iter()
            .map(|(name, reason)| json!({ "name": name, "reason": reason }))
            .collect();
        let renamed: Vec<_> = done
            .renamed
            .iter()
            .map(|(from, to)| json!({ "from": from, "to": to }))
            .collect();
        render::json(&json!({
            "file": args.file,
            "kind": done.kind.name(),
            "files": FILES.map(|f| args.out.join(f)),
            "taken": done.taken,
            "cast": done.cast,
            "renamed": renamed,
            "dropped": dropped,
            "fresh": done.fresh,
        }))?;
    } else {
        print(args, &done)?;
    }
    Ok(Status::Done)
}

fn kind(asked: WeightsKind) -> Option<Kind> {
    Some(match asked {
        WeightsKind::Auto => return None,
        WeightsKind::Wav2vec2 => Kind::Wav2Vec2,
        WeightsKind::Hubert => Kind::Hubert,
        WeightsKind::Labram => Kind::LabramEncoder,
        WeightsKind::LabramMasked => Kind::LabramMasked,
        WeightsKind::LabramTokeniser => Kind::LabramTokeniser,
        WeightsKind::Mindmix => Kind::MindMix,
    })
}

fn same_file(a: &Path, b: &Path) -> bool {
    match (std::fs::canonicalize(a), std::fs::canonicalize(b)) {
        (Ok(a), Ok(b)) => a == b,
        _ => false,
    }
}

/// How many tensors went where, and why.
fn print(args: &ConvertArgs, done: &Converted) -> Result<()> {
    render::line(format!("file        {}", args.file.display()))?;
    render::line(format!("kind        {}", done.kind.name()))?;
    render::line("")?;
    let mut table = Table::new(["tensors", "became of them", "such as"]);
    let mut row = |n: usize, what: &str, names: &[&str]| {
        if n > 0 {
            table.row([n.to_string(), what.to_owned(), few(names)]);
        }
    };
    row(
        done.taken - done.renamed.len(),
        "taken under their own names",
        &[],
    );
    let names: Vec<String> = done
        .renamed
        .iter()
        .take(1)
        .map(|(from, to)| format!("{from} -> {to}"))
        .collect();
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    row(done.renamed.len(), "taken under another name", &names);
    let mut reasons: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for (name, reason) in &done.dropped {
        reasons.entry(reason).or_default().push(name);
    }
    for (reason, names) in reasons {
        row(names.len(), &format!("left out: {reason}"), &names);
    }
    let fresh: Vec<&str> = done.fresh.iter().map(String::as_str).collect();
    row(
        fresh.len(),
        "not in the file: start as a new network's",
        &fresh,
    );
    render::text(&table.to_string())?;
    if done.cast > 0 {
        render::line(format!(
            "note        {} of the tensors taken were of another type and are f32 now",
            done.cast
        ))?;
    }
    for file in FILES {
        render::line(format!("wrote       {}", args.out.join(file).display()))?;
    }
    Ok(())
}

/// The first names of a list.
fn few(names: &[&str]) -> String {
    let mut text = names
        .iter()
        .take(SHOWN)
        .copied()
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(", ...");
    }
    text
}
