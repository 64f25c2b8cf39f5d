//! `mmpipe datasets`: what has a manifest, what a complete folder holds, what the lake holds.

use std::collections::BTreeMap;

use anyhow::Result;
use arrow::array::{Array, AsArray, RecordBatch};
use arrow::datatypes::{Float64Type, Int64Type};
use mmpipe_corpora::{Manifest, registry};
use mmpipe_lake::{Error as LakeError, Lake};
use mmpipe_splits::{self as splits, AudioOnly};
use serde::Serialize;

use super::Status;
use crate::cli::{DatasetsAction, DatasetsArgs};
use crate::context::Context;
use crate::render::{self, Table};

/// What the lake holds of a data set.
#[derive(Debug, Clone, Default, Serialize)]
struct Found {
    subjects: i64,
    recordings: i64,
    rejected: i64,
    hours: f64,
    channels_min: i64,
    channels_max: i64,
    epochs: i64,
}

pub(crate) fn run(ctx: &Context, args: &DatasetsArgs) -> Result<Status> {
    let manifests = ctx.manifests()?;
    let found = match Lake::open(&ctx.global.lake) {
        Ok(lake) => Some(ctx.block_on(found(&lake))?),
        Err(LakeError::NotALake(_)) => None,
        Err(e) => return Err(e.into()),
    };
    match &args.action {
        None => list(ctx, &manifests, found.as_ref()),
        Some(DatasetsAction::Show { name }) => {
            let manifest = registry::find(&manifests, name)?;
            let known = found.as_ref().and_then(|f| f.get(&manifest.name));
            let (audio_only, placed) = match known {
                Some(_) => more(ctx, &manifest.name)?,
                None => Default::default(),
            };
            show(ctx, manifest, known, audio_only.as_ref(), &placed)
        }
    }
}

/// What the sound alone tells of what the lake holds of a data set, and its named electrodes.
fn more(ctx: &Context, dataset: &str) -> Result<(Option<AudioOnly>, Vec<Placed>)> {
    let lake = Lake::open(&ctx.global.lake)?;
    let audio_only = match ctx.block_on(splits::audio_only_of(&lake, dataset)) {
        // Several recipes hold the same trials, and none of them is the usual one.
        Err(splits::Error::Recipes { .. }) => None,
        found => found?,
    };
    Ok((audio_only, ctx.block_on(placed(&lake, dataset))?))
}

/// An electrode that a layout named after the nearest place of the 10-05 system.
#[derive(Debug, Serialize)]
struct Placed {
    raw_name: String,
    name: Option<String>,
    /// mm from that place.
    distance: f64,
    recordings: i64,
}

/// The electrodes of a data set in the lake that a layout named, the farthest first.
async fn placed(lake: &Lake, dataset: &str) -> Result<Vec<Placed>> {
    let sql = format!(
        "SELECT c['raw_name'] AS raw_name, c['name'] AS name, max(c['distance']) AS distance, count(*) AS recordings
         FROM (SELECT unnest(channels) AS c FROM recordings WHERE dataset = '{}')
         WHERE c['distance'] IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC, 1",
        dataset.replace('\'', "''")
    );
    let mut all = Vec::new();
    for batch in &lake.query(&sql).await? {
        let text = |name: &str| column(batch, name).as_string::<i32>();
        let (raw, names) = (text("raw_name"), text("name"));
        let distance = column(batch, "distance").as_primitive::<Float64Type>();
        let recordings = column(batch, "recordings").as_primitive::<Int64Type>();
        for row in 0..batch.num_rows() {
            all.push(Placed {
                raw_name: raw.value(row).to_owned(),
                name: names.is_valid(row).then(|| names.value(row).to_owned()),
                distance: distance.value(row),
                recordings: recordings.value(row),
            });
        }
    }
    Ok(all)
}

/// Electrodes far from the place of their name that are listed.
const FAR_LISTED: usize = 5;

fn show_placed(placed: &[Placed]) -> Result<()> {
    let Some(farthest) = placed.first() else {
        return Ok(());
    };
    let named = placed.iter().filter(|p| p.name.is_some()).count();
    render::line(format!(
        "\nelectrodes  {named} of {} are called by the nearest place of the 10-05 system, at most {:.1} mm away",
        placed.len(),
        farthest.distance
    ))?;
    for p in placed.iter().take(FAR_LISTED) {
        render::line(format!(
            "            {} {} {:.1} mm",
            p.raw_name,
            p.name.as_deref().unwrap_or("(left out)"),
            p.distance
        ))?;
    }
    Ok(())
}

async fn found(lake: &Lake) -> Result<BTreeMap<String, Found>> {
    let batches = lake
        .query(
            "SELECT dataset,
               count(DISTINCT CASE WHEN status = 'ok' THEN subject END) AS subjects,
               sum(CASE WHEN status = 'ok' THEN 1 ELSE 0 END) AS recordings,
               sum(CASE WHEN status = 'ok' THEN 0 ELSE 1 END) AS rejected,
               sum(CASE WHEN status = 'ok' THEN seconds ELSE 0.0 END) / 3600.0 AS hours,
               CAST(coalesce(min(CASE WHEN status = 'ok' THEN n_channels END), 0) AS BIGINT) AS channels_min,
               CAST(coalesce(max(CASE WHEN status = 'ok' THEN n_channels END), 0) AS BIGINT) AS channels_max,
               coalesce(sum(epochs), 0) AS epochs
             FROM recordings GROUP BY 1 ORDER BY 1",
        )
        .await?;
    let mut all = BTreeMap::new();
    for batch in &batches {
        let int =
            |name: &str, row: usize| column(batch, name).as_primitive::<Int64Type>().value(row);
        let hours = column(batch, "hours").as_primitive::<Float64Type>();
        let names = column(batch, "dataset").as_string::<i32>();
        for row in 0..batch.num_rows() {
            all.insert(
                names.value(row).to_owned(),
                Found {
                    subjects: int("subjects", row),
                    recordings: int("recordings", row),
                    rejected: int("rejected", row),
                    hours: hours.value(row),
                    channels_min: int("channels_min", row),
                    channels_max: int("channels_max", row),
                    epochs: int("epochs", row),
                },
            );
        }
    }
    Ok(all)
}

/// A column that the query above names.
fn column<'a>(batch: &'a RecordBatch, name: &str) -> &'a arrow::array::ArrayRef {
    batch
        .column_by_name(name)
        .unwrap_or_else(|| unreachable!("the query above yields {name}"))
}

fn list(
    ctx: &Context,
    manifests: &[Manifest],
    found: Option<&BTreeMap<String, Found>>,
) -> Result<Status> {
    let others: Vec<&String> = found
        .into_iter()
        .flat_map(|f| f.keys())
        .filter(|name| !manifests.iter().any(|m| m.name == **name))
        .collect();
    if ctx.global.json {
        let mut rows: Vec<_> = manifests
            .iter()
            .map(|m| view(m, found.and_then(|f| f.get(&m.name))))
            .collect();
        for name in others {
            rows.push(
                serde_json::json!({ "name": name, "found": found.and_then(|f| f.get(name)) }),
            );
        }
        render::json(&rows)?;
        return Ok(Status::Done);
    }
    let mut table = Table::new([
        "name",
        "access",
        "task",
        "subjects",
        "recordings",
        "hours",
        "channels",
        "epochs",
        "rejected",
    ]);
    for m in manifests {
        let f = found.and_then(|f| f.get(&m.name));
        table.row([
            m.name.clone(),
            m.access.to_string(),
            m.paper.task.clone().unwrap_or_else(|| "-".into()),
            of(
                f.map(|f| f.subjects.to_string()),
                m.expected.subjects.map(|n| n.to_string()),
            ),
            of(
                f.map(|f| f.recordings.to_string()),
                m.expected.recordings.map(|n| n.to_string()),
            ),
            of(
                f.map(|f| format!("{:.2}", f.hours)),
                m.expected.hours.map(|h| format!("{h:.2}")),
            ),
            of(f.map(channels), m.expected.channels.map(|n| n.to_string())),
            f.map_or("-".into(), |f| f.epochs.to_string()),
            f.map_or("-".into(), |f| f.rejected.to_string()),
        ]);
    }
    for name in others {
        let Some(f) = found.and_then(|f| f.get(name)) else {
            continue;
        };
        table.row([
            name.clone(),
            "-".into(),
            "(no manifest)".into(),
            f.subjects.to_string(),
            f.recordings.to_string(),
            format!("{:.2}", f.hours),
            channels(f),
            f.epochs.to_string(),
            f.rejected.to_string(),
        ]);
    }
    render::text(&table.to_string())?;
    render::line(match found {
        Some(_) => {
            "found in this lake of expected in a complete folder; `-` is nothing found or not known"
        }
        None => {
            "there is no lake yet: nothing found of expected in a complete folder; `-` is not known"
        }
    })?;
    Ok(Status::Done)
}

fn of(found: Option<String>, expected: Option<String>) -> String {
    format!(
        "{} of {}",
        found.unwrap_or_else(|| "0".into()),
        expected.unwrap_or_else(|| "-".into())
    )
}

fn channels(f: &Found) -> String {
    if f.channels_min == f.channels_max {
        f.channels_max.to_string()
    } else {
        format!("{}..{}", f.channels_min, f.channels_max)
    }
}

fn view(m: &Manifest, found: Option<&Found>) -> serde_json::Value {
    serde_json::json!({
        "name": m.name, "aliases": m.aliases, "title": m.title, "doi": m.doi, "url": m.url, "version": m.version,
        "licence": m.licence, "access": m.access.to_string(), "labels": m.labels,
        "paper": { "name": m.paper.name, "stage": m.paper.stage, "task": m.paper.task, "hours": m.paper.hours,
            "channels": m.paper.channels, "subjects": m.paper.subjects },
        "expected": { "subjects": m.expected.subjects, "recordings": m.expected.recordings,
            "hours": m.expected.hours, "channels": m.expected.channels, "sfreq": m.expected.sfreq },
        "found": found,
        "faults": m.faults.iter().map(|f| serde_json::json!({
            "pattern": f.pattern.as_str(), "fault": f.fault, "source": f.source, "action": format!("{:?}", f.action).to_lowercase(),
        })).collect::<Vec<_>>(),
        "differences": m.differences.iter().map(|d| serde_json::json!({
            "what": d.what, "paper": d.paper, "files": d.files, "why": d.why,
        })).collect::<Vec<_>>(),
        "open": m.open.iter().map(|o| serde_json::json!({
            "what": o.what, "meanwhile": o.meanwhile, "source": o.source,
        })).collect::<Vec<_>>(),
        "mapping": m.mapping.as_ref().map(|n| &n.needs),
        "compared": compare(m, found).iter().map(|c| serde_json::json!({
            "what": c.what, "expected": c.expected, "found": c.found, "agrees": c.agrees,
        })).collect::<Vec<_>>(),
    })
}

fn show(
    ctx: &Context,
    m: &Manifest,
    found: Option<&Found>,
    audio_only: Option<&AudioOnly>,
    placed: &[Placed],
) -> Result<Status> {
    if ctx.global.json {
        let mut value = view(m, found);
        value["audio_only"] = serde_json::json!(audio_only);
        value["electrodes"] = serde_json::json!(placed);
        render::json(&value)?;
        return Ok(Status::Done);
    }
    let unknown = || "-".to_owned();
    render::line(format!("{}: {}", m.name, m.title))?;
    let mut facts = Table::new(["", ""]);
    facts.row(["aliases", &m.aliases.join(", ")]);
    facts.row(["version", m.version.as_deref().unwrap_or("-")]);
    facts.row(["doi", m.doi.as_deref().unwrap_or("-")]);
    facts.row(["url", m.url.as_deref().unwrap_or("-")]);
    facts.row(["licence", &m.licence]);
    facts.row(["access", &m.access.to_string()]);
    facts.row(["classes", &m.labels.join(", ")]);
    for line in facts
        .to_string()
        .lines()
        .skip(2)
        .filter(|l| l.contains("  "))
    {
        render::line(line)?;
    }
    render::line("")?;
    let mut table = Table::new(["", "paper", "expected", "found"]);
    table.row([
        "subjects".to_owned(),
        m.paper.subjects.map_or_else(unknown, |n| n.to_string()),
        m.expected.subjects.map_or_else(unknown, |n| n.to_string()),
        found.map_or_else(unknown, |f| f.subjects.to_string()),
    ]);
    table.row([
        "recordings".to_owned(),
        unknown(),
        m.expected
            .recordings
            .map_or_else(unknown, |n| n.to_string()),
        found.map_or_else(unknown, |f| {
            format!("{} and {} rejected", f.recordings, f.rejected)
        }),
    ]);
    table.row([
        "hours".to_owned(),
        m.paper.hours.map_or_else(unknown, |h| format!("{h:.1}")),
        m.expected.hours.map_or_else(unknown, |h| format!("{h:.2}")),
        found.map_or_else(unknown, |f| format!("{:.2}", f.hours)),
    ]);
    table.row([
        "channels".to_owned(),
        m.paper.channels.map_or_else(unknown, |n| n.to_string()),
        m.expected.channels.map_or_else(unknown, |n| n.to_string()),
        found.map_or_else(unknown, channels),
    ]);
    render::text(&table.to_string())?;
    for d in &m.differences {
        render::line(format!(
            "\ndifference  {}: {} in the paper, {} in the files: {}",
            d.what, d.paper, d.files, d.why
        ))?;
    }
    for f in &m.faults {
        render::line(format!(
            "\nknown fault {} [{}; files {}]",
            f.fault,
            f.source,
            f.pattern.as_str()
        ))?;
    }
    for o in &m.open {
        render::line(format!(
            "\nopen        {} Meanwhile: {} [{}]",
            o.what, o.meanwhile, o.source
        ))?;
    }
    if let Some(need) = &m.mapping {
        render::line(format!(
            "\nmapping     needed (--mapping FILE): {}",
            need.needs
        ))?;
    }
    for c in compare(m, found).iter().filter(|c| !c.agrees) {
        render::line(format!(
            "\ndiffers     {}: {} expected, {} found",
            c.what, c.expected, c.found
        ))?;
    }
    show_placed(placed)?;
    if let Some(audio_only) = audio_only {
        render::line("")?;
        render::text(&audio_only.to_string())?;
    }
    Ok(Status::Done)
}

/// One number of a complete folder against what the lake holds.
struct Compared {
    what: &'static str,
    expected: f64,
    found: f64,
    agrees: bool,
}

/// Every number that is both expected and found. Hours agree to a part in a thousand.
fn compare(m: &Manifest, found: Option<&Found>) -> Vec<Compared> {
    let Some(f) = found else {
        return Vec::new();
    };
    let count = |n: i64| n as f64;
    let numbers = [
        (
            "subjects",
            m.expected.subjects.map(f64::from),
            count(f.subjects),
            0.0,
        ),
        (
            "recordings",
            m.expected.recordings.map(f64::from),
            count(f.recordings),
            0.0,
        ),
        ("hours", m.expected.hours, f.hours, 1e-3),
        (
            "channels",
            m.expected.channels.map(f64::from),
            count(f.channels_max),
            0.0,
        ),
    ];
    numbers
        .into_iter()
        .filter_map(|(what, expected, found, tolerance)| {
            let expected = expected?;
            let agrees = (found - expected).abs() <= tolerance * expected;
            Some(Compared {
                what,
                expected,
                found,
                agrees,
            })
        })
        .collect()
}
