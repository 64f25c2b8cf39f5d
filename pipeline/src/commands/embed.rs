//! `mmpipe embed`: what a frozen sound encoder gives of the lake's sounds, ahead of training.

use std::time::Instant;

use anyhow::{Result, bail};
use arrow::array::AsArray;
use mmpipe_lake::{AudioStore, Lake, remove_orphans};
use mmpipe_signal::recipe::Recipe;
use mmpipe_train::SoundEncoder;
use serde_json::json;

use super::{Status, known};
use crate::cli::EmbedArgs;
use crate::context::Context;
use crate::render::{self, Table};
use crate::vectors::complete;

/// One data set's part.
struct Row {
    dataset: String,
    sounds: usize,
    segments: usize,
    made: usize,
}

pub(crate) fn run(ctx: &Context, args: &EmbedArgs) -> Result<Status> {
    let start = Instant::now();
    let lake = ctx.lake()?;
    let (datasets, recipe) = ctx.block_on(chosen(&lake, args))?;
    let Some(values) = Recipe::builtin(&recipe) else {
        bail!("no recipe `{recipe}`; this program does not know how long its segments are");
    };
    let rate = f64::from(values.audio.sfreq);
    let samples = (values.audio.segment_seconds * rate).round() as usize;
    let audio = ctx.block_on(AudioStore::open(&lake, &recipe))?;
    let encoder = SoundEncoder::open(args.audio.into(), &args.weights)?;
    let made = complete(ctx, &audio, &encoder, &datasets, None, samples)?;
    let removed = remove_orphans(&audio, &encoder.about().hash, &datasets)?;
    let rows: Vec<Row> = datasets
        .into_iter()
        .map(|dataset| {
            let (sounds, segments) = audio.size(&dataset);
            let made = made.segments.iter().find(|(d, _)| *d == dataset);
            Row {
                made: made.map_or(0, |(_, n)| *n),
                dataset,
                sounds,
                segments,
            }
        })
        .collect();
    let about = encoder.about();
    let seconds = start.elapsed().as_secs_f64();
    if ctx.global.json {
        let rows: Vec<_> = rows
            .iter()
            .map(|r| {
                json!({
                    "dataset": r.dataset, "sounds": r.sounds, "segments": r.segments, "made": r.made,
                })
            })
            .collect();
        let failed: Vec<_> = made
            .failed
            .iter()
            .map(|(sound, reason)| json!({ "sound": sound, "reason": reason }))
            .collect();
        render::json(&json!({
            "encoder": about.encoder.name(),
            "encoder_hash": about.hash,
            "weights": about.from,
            "parameters": about.parameters,
            "width": encoder.width(),
            "recipe": recipe,
            "datasets": rows,
            "failed": failed,
            "removed": removed,
            "seconds": seconds,
        }))?;
        return Ok(Status::done_if(made.failed.is_empty()));
    }
    render::line(format!(
        "encoder     {} from {}, {} numbers, vectors of {}",
        about.encoder.name(),
        about.from,
        about.parameters,
        encoder.width()
    ))?;
    render::line(format!("hash        {}", about.hash))?;
    render::line("")?;
    let mut table = Table::new(["data set", "sounds", "segments", "heard now"]);
    for r in &rows {
        table.row([
            r.dataset.clone(),
            r.sounds.to_string(),
            r.segments.to_string(),
            r.made.to_string(),
        ]);
    }
    render::text(&table.to_string())?;
    if removed > 0 {
        render::line(format!(
            "removed     vectors of {removed} sounds that are no longer in the lake"
        ))?;
    }
    for (sound, reason) in &made.failed {
        render::line(format!("failed      {sound}: {reason}"))?;
    }
    Ok(Status::done_if(made.failed.is_empty()))
}

/// The data sets that are meant, all with sounds where none is named, and their recipe.
async fn chosen(lake: &Lake, args: &EmbedArgs) -> Result<(Vec<String>, String)> {
    let have =
        "SELECT DISTINCT dataset FROM stimuli WHERE status = 'ok' AND kind = 'sound' ORDER BY 1";
    let mut with_sound: Vec<String> = Vec::new();
    for batch in lake.query(have).await? {
        let names = batch.column(0).as_string::<i32>();
        with_sound.extend(names.iter().flatten().map(str::to_owned));
    }
    let datasets: Vec<String> = match args.dataset.as_slice() {
        [] => with_sound.clone(),
        asked => known::stored(lake, asked).await?.into_iter().collect(),
    };
    if let Some(mute) = datasets.iter().find(|d| !with_sound.contains(d)) {
        bail!("data set {mute} has no sounds in the lake");
    }
    if datasets.is_empty() {
        bail!("the lake has no sounds; ingest a data set that has");
    }
    let recipe = match &args.recipe {
        Some(recipe) => recipe.clone(),
        None => known::common_recipe(lake, &datasets).await?,
    };
    Ok((datasets, recipe))
}
