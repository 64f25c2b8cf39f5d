//! `mmpipe inspect`: what one raw file says of itself, and a look at its signal.

use std::path::Path;

use anyhow::{Result, anyhow};
use mmpipe_corpora::electrodes::{self, Cap, Electrode};
use mmpipe_formats::{Recording, Severity, audio};
use serde_json::{Value, json};

use super::Status;
use crate::cli::InspectArgs;
use crate::context::Context;
use crate::render::{self, Table};

/// Extensions that are sounds; everything else is opened as a recording.
const SOUNDS: [&str; 6] = ["wav", "flac", "mp3", "ogg", "oga", "aiff"];

/// Seconds of signal that the look takes, from the start of the file.
const LOOK_SECONDS: f64 = 10.0;

pub(crate) fn run(ctx: &Context, args: &InspectArgs) -> Result<Status> {
    let extension = args
        .file
        .extension()
        .and_then(|e| e.to_str())
        .unwrap_or("")
        .to_lowercase();
    if SOUNDS.contains(&extension.as_str()) && args.file.is_file() {
        return sound(ctx, &args.file);
    }
    let recording = match mmpipe_formats::open(&args.file) {
        Ok(recording) => recording,
        Err(why) => return arrays(ctx, &args.file, &extension, why),
    };
    let cap = args.layout.as_deref().map(cap).transpose()?;
    let header = recording.header();
    let look = look(recording.as_ref())?;
    let whole = !header
        .diagnostics
        .iter()
        .any(|d| d.severity == Severity::Damaged);
    let shown = if args.events == 0 {
        header.annotations.len()
    } else {
        args.events
    };
    if ctx.global.json {
        let channels: Vec<Value> = header
            .channels
            .iter()
            .zip(&look)
            .map(|(c, l)| {
                let Named { name, distance, note } = named(&c.name, cap);
                json!({ "raw_name": c.name, "name": name, "distance": distance, "reason": note, "unit": c.unit, "sfreq": c.sfreq,
                    "n_samples": c.n_samples, "prefilter": c.prefilter, "transducer": c.transducer,
                    "mean": l.mean, "std": l.std, "min": l.min, "max": l.max })
            })
            .collect();
        let mut value = serde_json::to_value(header)?;
        value["container"] = json!(header.container.to_string());
        value["channels"] = json!(channels);
        value["runs"] = json!(recording.runs(0));
        value["look_seconds"] = json!(LOOK_SECONDS);
        value["whole"] = json!(whole);
        render::json(&value)?;
        return Ok(Status::done_if(whole));
    }
    let runs = if header.channels.is_empty() {
        Vec::new()
    } else {
        recording.runs(0)
    };
    render::line(format!("file        {}", header.path.display()))?;
    render::line(format!(
        "container   {} ({})",
        header.container,
        render::bytes(header.bytes)
    ))?;
    if let Some(start) = &header.start {
        render::line(format!("start       {start}"))?;
    }
    render::line(format!(
        "length      {}{}",
        render::duration(header.seconds),
        if runs.len() > 1 {
            format!(" in {} runs, with gaps between them", runs.len())
        } else {
            String::new()
        }
    ))?;
    render::line(format!("channels    {}", header.channels.len()))?;
    for d in &header.diagnostics {
        let severity = match d.severity {
            Severity::Note => "note",
            Severity::Warning => "warning",
            Severity::Damaged => "damaged",
        };
        render::line(format!("{severity:<11} {} [{}]", d.message, d.code))?;
    }
    render::line("")?;
    let mut table = Table::new([
        "#", "raw name", "10-05", "sfreq", "samples", "unit", "mean", "std", "min", "max", "note",
    ]);
    for (i, (c, l)) in header.channels.iter().zip(&look).enumerate() {
        let Named {
            name,
            distance,
            note,
        } = named(&c.name, cap);
        let far = distance.map(|mm| format!("{mm:.1} mm from there"));
        table.row([
            i.to_string(),
            c.name.clone(),
            name.unwrap_or("-").to_owned(),
            c.sfreq.to_string(),
            c.n_samples.to_string(),
            c.unit.clone(),
            number(l.mean),
            number(l.std),
            number(l.min),
            number(l.max),
            note.or(far).unwrap_or_default(),
        ]);
    }
    render::text(&table.to_string())?;
    render::line(format!(
        "(mean to max over the first {})",
        render::duration(LOOK_SECONDS.min(header.seconds))
    ))?;
    if !header.annotations.is_empty() {
        render::line("")?;
        let mut table = Table::new(["onset (s)", "duration (s)", "event"]);
        for a in header.annotations.iter().take(shown) {
            let duration = a.duration.map_or("-".to_owned(), |d| format!("{d:.3}"));
            table.row([format!("{:.3}", a.onset), duration, a.text.clone()]);
        }
        render::text(&table.to_string())?;
        let rest = header.annotations.len().saturating_sub(shown);
        if rest > 0 {
            render::line(format!(
                "... and {rest} more events (--events 0 prints all)"
            ))?;
        }
    }
    Ok(Status::done_if(whole))
}

/// Extensions whose files are expected to hold named arrays.
const ARRAYS: [&str; 8] = ["mat", "h5", "hdf5", "npy", "npz", "csv", "tsv", "set"];

/// Lists the variables of a file that is no recording by itself, if it is one of named arrays.
fn arrays(
    ctx: &Context,
    path: &Path,
    extension: &str,
    why: mmpipe_formats::Error,
) -> Result<Status> {
    let unknown = matches!(why, mmpipe_formats::Error::UnknownFormat { .. });
    match mmpipe_trees::open(path) {
        Ok(tree) if unknown => {
            let why = "[[parts]] of a manifest say where in it recordings are";
            super::arrays::print(ctx, tree.as_ref(), why)
        }
        Ok(tree) => super::arrays::print(ctx, tree.as_ref(), &why.to_string()),
        Err(e) if unknown && ARRAYS.contains(&extension) => Err(e.into()),
        Err(_) => Err(why.into()),
    }
}

fn sound(ctx: &Context, path: &Path) -> Result<Status> {
    let info = audio::probe(path)?;
    let audio = audio::read(path)?;
    let seconds = audio.frames as f64 / f64::from(audio.sfreq.max(1));
    let peak = audio
        .samples
        .iter()
        .flatten()
        .fold(0f32, |m, x| m.max(x.abs()));
    if ctx.global.json {
        render::json(&json!({
            "path": path, "container": info.container, "sfreq": audio.sfreq, "channels": audio.channels,
            "frames": audio.frames, "frames_promised": info.frames, "seconds": seconds, "peak": peak,
            "diagnostics": audio.diagnostics,
        }))?;
    } else {
        render::line(format!("file        {}", path.display()))?;
        render::line(format!("container   {}", info.container))?;
        render::line(format!(
            "length      {} ({} frames)",
            render::duration(seconds),
            audio.frames
        ))?;
        render::line(format!(
            "sfreq       {} Hz, {} channels",
            audio.sfreq, audio.channels
        ))?;
        render::line(format!("peak        {peak:.4} of full scale"))?;
        for d in &audio.diagnostics {
            render::line(format!("note        {} [{}]", d.message, d.code))?;
        }
    }
    Ok(Status::done_if(
        !audio
            .diagnostics
            .iter()
            .any(|d| d.severity == Severity::Damaged),
    ))
}

struct Look {
    mean: f64,
    std: f64,
    min: f64,
    max: f64,
}

/// Mean, spread and range of each channel over the first seconds, in the channel's unit.
fn look(recording: &dyn Recording) -> Result<Vec<Look>> {
    let mut all = Vec::new();
    let mut buffer = Vec::new();
    for (i, channel) in recording.header().channels.iter().enumerate() {
        let wanted = (LOOK_SECONDS * channel.sfreq).ceil().clamp(0.0, 1e7) as u64;
        buffer.resize(wanted.min(channel.n_samples) as usize, 0.0);
        recording.read_f64(&[i], 0, &mut [&mut buffer[..]])?;
        let n = buffer.len() as f64;
        let mean = buffer.iter().sum::<f64>() / n;
        let var = buffer.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / n;
        all.push(Look {
            mean,
            std: var.sqrt(),
            min: buffer.iter().copied().fold(f64::INFINITY, f64::min),
            max: buffer.iter().copied().fold(f64::NEG_INFINITY, f64::max),
        });
    }
    Ok(all)
}

/// A cap by its name in manifests.
fn cap(name: &str) -> Result<Cap> {
    serde_json::from_value(Value::from(name)).map_err(|e| anyhow!("--layout: {e}"))
}

/// What a channel is called.
struct Named {
    name: Option<&'static str>,
    /// mm from the place of that name, on a cap.
    distance: Option<f32>,
    /// Why it has no name.
    note: Option<String>,
}

/// The 10-05 name of a channel: that of its place on the cap, else that of its label.
fn named(raw: &str, cap: Option<Cap>) -> Named {
    let (name, distance, note) = match cap.and_then(|cap| cap.place(raw)) {
        Some(place) => {
            let far = format!("{:.1} mm from the nearest free place", place.mm);
            (
                place.name,
                Some(place.mm),
                place.name.is_none().then_some(far),
            )
        }
        None => match electrodes::canonical(raw) {
            Electrode::Name(name) => (Some(name), None, None),
            Electrode::NotEeg { kind, reason } => (None, None, Some(format!("{kind}: {reason}"))),
            Electrode::Unknown { reason } => (None, None, Some(reason.to_string())),
        },
    };
    Named {
        name,
        distance,
        note,
    }
}

fn number(x: f64) -> String {
    if x.is_finite() {
        format!("{x:.2}")
    } else {
        "-".into()
    }
}
