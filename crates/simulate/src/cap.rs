//! A miniature of the CAP Sleep Database (doi:10.13026/C2VC79) in its native layout: `n1.edf`
//! and `n1.txt` side by side for each record.

mod nights;
mod scoring;

use std::f64::consts::TAU;
use std::path::Path;

use crate::Result;
use crate::files::Staging;
use crate::noise::coloured;
use crate::plain_edf::{PlainChannel, PlainCorpus, PlainRecording};
use crate::random::stream;
use nights::{NIGHTS, Night, Signal};
use scoring::EPOCH;

/// Settings of the CAP miniature.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Cap {
    /// Seed.
    pub seed: u64,
}

/// Writes the miniature to `out`, which must not exist or be empty. Each stage has a rhythm of
/// its own.
///
/// # Errors
/// A target that is not empty, or a file system that refuses.
pub fn cap(cfg: &Cap, out: &Path) -> Result<PlainCorpus> {
    let staging = Staging::new(out)?;
    let mut recordings = Vec::new();
    for (index, night) in NIGHTS.iter().enumerate() {
        let mut made = recording(cfg, index, night);
        let write = |made: &PlainRecording| -> Result<()> {
            made.write(&staging.path(&made.path)?)?;
            let text = made.path.replace(".edf", ".txt");
            staging.write(&text, scoring::text(night))
        };
        write(&made)?;
        recordings.push(made.clone());
        if night.record == "rbd10" {
            made.path = "rbd11.edf".into();
            made.subject = "rbd11".into();
            write(&made)?;
            recordings.push(made);
        }
    }
    let list: String = recordings.iter().map(|r| format!("{}\n", r.path)).collect();
    staging.write("RECORDS", list)?;
    staging.commit()?;
    Ok(PlainCorpus { recordings })
}

/// Class of an R&K stage; none for movement and what was not scored.
fn class(stage: &str) -> Option<i32> {
    Some(match stage {
        "S0" => 0,
        "S1" => 1,
        "S2" => 2,
        "S3" | "S4" => 3,
        "REM" => 4,
        _ => return None,
    })
}

/// Stages by s of the recording, as they are in truth: those of nfle27 belong to nothing.
fn labels(night: &Night) -> Vec<(f64, f64, i32)> {
    if night.record == "nfle27" {
        return Vec::new();
    }
    let stages = night.stages.iter().enumerate();
    stages
        .filter_map(|(k, stage)| {
            let t = night.scored_from + k as i64 * EPOCH;
            Some((t as f64, (t + EPOCH) as f64, class(stage)?))
        })
        .filter(|(t, ..)| *t < night.seconds as f64)
        .collect()
}

fn recording(cfg: &Cap, index: usize, night: &Night) -> PlainRecording {
    let labels = labels(night);
    let channels = night
        .signals
        .iter()
        .enumerate()
        .map(|(c, signal)| channel(cfg, &[index, c], night, signal, &labels))
        .collect();
    PlainRecording {
        path: format!("{}.edf", night.record),
        subject: night.record.to_owned(),
        start: night.start,
        seconds: night.seconds,
        channels,
        labels,
        unknown_count: night.unknown_count,
        trailing: 0,
    }
}

fn channel(
    cfg: &Cap,
    indices: &[usize],
    night: &Night,
    signal: &Signal,
    labels: &[(f64, f64, i32)],
) -> PlainChannel {
    let mut rng = stream(cfg.seed, "cap", indices);
    let sfreq = signal.sfreq as f64;
    let mut x = coloured(&mut rng, night.seconds * signal.sfreq, sfreq, 1.0, 0.5);
    for (i, v) in x.iter_mut().enumerate() {
        let t = i as f64 / sfreq;
        let stage = labels
            .iter()
            .find(|(from, to, _)| (*from..*to).contains(&t));
        // 10, 8, 6, 4 and 2 Hz from waking to REM.
        let rhythm = stage.map_or(0.0, |(.., s)| {
            (TAU * (10.0 - 2.0 * f64::from(*s)) * t).sin()
        });
        *v = 12.0 * (*v + 2.0 * rhythm);
    }
    let physical = (-250.0, 250.0);
    let digital = (-2048, 2047);
    PlainChannel::new(
        signal.label,
        signal.unit,
        signal.sfreq,
        physical,
        digital,
        &x,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stages_are_those_of_today() {
        let night = NIGHTS.iter().find(|n| n.record == "ins1").unwrap();
        let labels = labels(night);
        // Movement and unscored are nothing, S4 is N3; of nine rows five begin in the recording.
        let want = [(0.0, 30.0, 4), (60.0, 90.0, 3), (120.0, 150.0, 2)];
        assert_eq!(labels, want);
    }
}
