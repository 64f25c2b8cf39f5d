//! Vectors of frozen sound encoders into the lake: the one place where encoder and lake meet.

use std::collections::HashSet;

use anyhow::{Context as _, Result, bail};
use mmpipe_lake::{AudioStore, EmbeddingStore, Encoder, Missing, Segment, write_embeddings};
use mmpipe_train::SoundEncoder;
use rayon::prelude::*;

use crate::context::Context;
use crate::progress::Bar;
use crate::source::{LakeSource, hear};

/// What was made.
#[derive(Debug, Default)]
pub(crate) struct Made {
    /// Segments that were heard now, by data set
    pub(crate) segments: Vec<(String, usize)>,
    /// Sounds that could not be heard, with the reason
    pub(crate) failed: Vec<(String, String)>,
}

/// Hears what the lake has no vector of yet: the sounds of `datasets`, or of them `wanted` alone. Each
/// sound's file is in the lake as soon as it is made, so a run that is cut off goes on where it was.
/// `samples` is the length of a segment at 16 kHz.
///
/// # Errors
/// Weights that cannot be read, vectors that cannot be written. A sound that cannot be heard is told in
/// what comes back, and the others are made.
pub(crate) fn complete(
    ctx: &Context,
    audio: &AudioStore,
    encoder: &SoundEncoder,
    datasets: &[String],
    wanted: Option<&HashSet<Segment>>,
    samples: usize,
) -> Result<Made> {
    let about = encoder.about();
    let known = EmbeddingStore::open(audio, &about.hash)?;
    let missing = known.missing(audio, datasets, wanted);
    let mut made = Made::default();
    if missing.is_empty() {
        return Ok(made);
    }
    let count: usize = missing.iter().map(|m| m.segments.len()).sum();
    if !ctx.global.quiet {
        eprintln!(
            "hearing {count} segments of {} sounds with {} ({}); {} have a vector in the lake",
            missing.len(),
            about.encoder.name(),
            about.hash,
            known.len()
        );
    }
    encoder.load()?;
    let named = Encoder {
        name: about.encoder.name().to_owned(),
        hash: about.hash.clone(),
        width: encoder.width(),
    };
    let bar = Bar::new(count as u64, "embed", ctx.global.quiet);
    for of in &missing {
        let name = of.segments.first().map_or("", |s| s.0.as_str());
        bar.message(name.to_owned());
        match vectors(audio, encoder, of, samples, &bar) {
            Ok(vectors) => {
                write_embeddings(audio, &known, &named, of, &vectors)
                    .with_context(|| format!("the vectors of {name}"))?;
                match made.segments.iter_mut().find(|(d, _)| *d == of.dataset) {
                    Some((_, n)) => *n += vectors.len(),
                    None => made.segments.push((of.dataset.clone(), vectors.len())),
                }
            }
            Err(e) => made.failed.push((name.to_owned(), format!("{e:#}"))),
        }
    }
    bar.finish();
    Ok(made)
}

/// Hears what the lake has no vector of yet of the sounds that `source`'s examples have.
///
/// # Errors
/// As [`complete`], and a sound that cannot be heard.
pub(crate) fn prepare(ctx: &Context, source: &LakeSource, encoder: &SoundEncoder) -> Result<()> {
    let (audio, datasets, wanted) = (source.audio(), source.datasets(), source.segments());
    let made = complete(
        ctx,
        audio,
        encoder,
        &datasets,
        Some(&wanted),
        source.samples(),
    )?;
    match made.failed.first() {
        None => Ok(()),
        Some((sound, reason)) => bail!(
            "{} sounds cannot be heard, such as {sound}: {reason}",
            made.failed.len()
        ),
    }
}

/// The vectors of the segments of one sound, in their order whatever the number of threads.
fn vectors(
    audio: &AudioStore,
    encoder: &SoundEncoder,
    of: &Missing,
    samples: usize,
    bar: &Bar,
) -> Result<Vec<Vec<f32>>> {
    let one = |(stimulus, segment): &Segment| -> Result<Vec<f32>> {
        let mut sound = vec![0.0; samples];
        hear(audio, stimulus, *segment, &mut sound)?;
        let vector = encoder.embed(&sound);
        bar.step(1);
        vector.with_context(|| format!("segment {segment} of {stimulus}"))
    };
    of.segments.par_iter().map(one).collect()
}
