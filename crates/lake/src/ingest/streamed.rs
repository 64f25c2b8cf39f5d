//! The signal of a recording that is too long for memory: piece by piece, all channels together.
//!
//! Owns which piece is conditioned when and which epochs it completes. Epochs come out in the
//! order of time (of equals, of trials), a part at a time; what is held is one piece of every
//! channel, whatever the length of the night. The arithmetic is that of
//! [`mmpipe_signal::stream`], which differs from the whole run by rounding. Does not own the plan
//! or the scaling ([`super::conditioned`]).

use arrow::array::RecordBatch;
use mmpipe_formats::Recording;
use mmpipe_signal::epochs::power;
use mmpipe_signal::recipe::Recipe;
use mmpipe_signal::stream::Stream;

use super::bridge::Bridges;
use super::conditioned::{
    Failed, Kept, Lane, Plan, Summary, changed, leave_out, length, microvolts, normalise, outside,
    root_mean_squares, rows_of_part,
};
use super::cut::Epoch;
use super::work::Work;
use super::{eeg, labels};

/// Bytes of filtered samples that one piece of all channels may take.
pub(super) const PIECE_BYTES: usize = 64 << 20;

/// One rate on its way through a stretch.
struct Flow<'a> {
    members: &'a [usize],
    stream: Stream,
    /// Outputs of each member from `base` on.
    out: Vec<Vec<f64>>,
    base: usize,
}

impl Flow<'_> {
    fn known(&self) -> usize {
        self.base + self.out.first().map_or(0, Vec::len)
    }

    /// Forgets outputs before `first`, as far as there are any.
    fn forget(&mut self, first: usize) {
        let n = first.min(self.known()).saturating_sub(self.base);
        self.out.iter_mut().for_each(|x| drop(x.drain(..n)));
        self.base += n;
    }
}

/// Makes the epochs of a recording and gives them to `emit`, as rows of `eeg`; `piece_bytes` is
/// [`PIECE_BYTES`].
pub(super) fn stream(
    piece_bytes: usize,
    plan: Plan,
    work: &Work,
    recipe: &Recipe,
    file: &dyn Recording,
    channels: &[Kept],
    emit: &mut dyn FnMut(RecordBatch) -> crate::Result<()>,
) -> Result<Summary, Failed> {
    let seconds = plan.seconds();
    let Plan {
        lanes,
        spans,
        mut cut,
    } = plan;
    let bridges = look(file, channels, &lanes)?;
    let bridged = bridges.note(channels);
    if bridged.is_some() {
        let touched = |e: &Epoch| bridges.touch(e, recipe.sfreq, recipe.epoch_seconds);
        let keep: Vec<bool> = cut.epochs.iter().map(|e| !touched(e)).collect();
        leave_out(&mut cut, &keep, recipe.epoch_seconds);
    }
    cut.epochs.sort_by_key(|e| (e.span, e.first, e.trial));
    let mut summary = Summary {
        seconds,
        flat: 0,
        bridged,
        rms: Vec::new(),
        cut,
    };
    let labels = labels::of_epochs(work, &summary.cut, recipe.epoch_seconds);
    let mut maker = Maker {
        table: eeg::Table::new(work, recipe, channels)?,
        recipe,
        rows: rows_of_part(channels.len(), recipe.epoch_samples()),
        channels: channels.len(),
        epochs: &summary.cut.epochs,
        labels: &labels,
        made: 0,
        flat: 0,
        emit,
    };
    let mut powers = vec![(0.0, 0_usize); channels.len()];
    for s in 0..spans.len() {
        // Epochs are sorted by stretch.
        let end = maker.epochs.partition_point(|e| e.span <= s);
        if maker.made == end {
            continue;
        }
        let mut flows = flows(&lanes, s, piece_bytes)?;
        // To the end of the stretch: its amplitude counts where nothing is cut too.
        loop {
            let mut moved = false;
            for (flow, lane) in flows.iter_mut().zip(&lanes) {
                let before: Vec<usize> = flow.out.iter().map(Vec::len).collect();
                moved |= advance(flow, lane, s, file, channels, &bridges)?;
                for ((x, from), member) in flow.out.iter().zip(before).zip(flow.members) {
                    if let Some((sum, count)) = powers.get_mut(*member) {
                        *sum += power(&x[from..]);
                        *count += x.len() - from;
                    }
                }
            }
            file.release();
            if !moved {
                break;
            }
            maker.make(&flows, end)?;
            let next = maker.epochs[..end].get(maker.made);
            let next = next.map_or(usize::MAX, |e| e.first);
            flows.iter_mut().for_each(|f| f.forget(next));
        }
        if maker.made < end {
            return Err(outside(maker.made));
        }
    }
    summary.flat = maker.flat;
    summary.rms = root_mean_squares(powers);
    Ok(summary)
}

/// Looks through all channels, once.
fn look(file: &dyn Recording, channels: &[Kept], lanes: &[Lane]) -> Result<Bridges, Failed> {
    let mut bridges = Bridges::default();
    for lane in lanes {
        let members: Vec<(usize, &Kept)> = lane
            .members
            .iter()
            .filter_map(|&m| Some((m, channels.get(m)?)))
            .collect();
        if let Some((channel, why)) = bridges.look_together(&members, file, &lane.runs)? {
            return Err(Failed::Channel(channel, why));
        }
    }
    Ok(bridges)
}

/// All rates at the start of stretch `s`.
fn flows<'a>(lanes: &'a [Lane], s: usize, piece_bytes: usize) -> Result<Vec<Flow<'a>>, Failed> {
    let rate: f64 = lanes.iter().map(|l| l.sfreq * l.members.len() as f64).sum();
    let piece_seconds = (piece_bytes as f64 / (rate * size_of::<f64>() as f64)).max(4.0);
    let mut flows = Vec::with_capacity(lanes.len());
    for lane in lanes {
        let n = lane.runs.get(s).map_or(0, length);
        let piece = (piece_seconds * lane.sfreq).ceil() as usize;
        flows.push(Flow {
            members: &lane.members,
            stream: lane.conditioner.stream(n, lane.members.len(), piece)?,
            out: vec![Vec::new(); lane.members.len()],
            base: 0,
        });
    }
    Ok(flows)
}

/// Conditions the next piece of a rate; false at its end.
fn advance(
    flow: &mut Flow,
    lane: &Lane,
    s: usize,
    file: &dyn Recording,
    channels: &[Kept],
    bridges: &Bridges,
) -> Result<bool, Failed> {
    let Some(run) = lane.runs.get(s) else {
        return Ok(false);
    };
    let group: Vec<(usize, &Kept)> = lane
        .members
        .iter()
        .filter_map(|&m| Some((m, channels.get(m)?)))
        .collect();
    let read = microvolts(file, (s, run), &group, bridges);
    match flow.stream.advance(read, &mut flow.out) {
        Ok(given) => Ok(given.is_some()),
        Err(e) if e.not_finite() => Err(changed()),
        Err(e) => Err(e.into()),
    }
}

/// Epochs to rows.
struct Maker<'a, 'b> {
    table: eeg::Table<'a>,
    recipe: &'a Recipe,
    rows: usize,
    channels: usize,
    epochs: &'a [Epoch],
    labels: &'a [Option<labels::Covered>],
    made: usize,
    flat: usize,
    emit: &'b mut dyn FnMut(RecordBatch) -> crate::Result<()>,
}

impl Maker<'_, '_> {
    /// Makes the epochs before `end` that are complete, and gives them on.
    fn make(&mut self, flows: &[Flow], end: usize) -> Result<(), Failed> {
        let (c, times) = (self.channels, self.recipe.epoch_samples());
        let known = flows.iter().map(Flow::known).min().unwrap_or(0);
        let epochs = self.epochs.get(self.made..end).unwrap_or_default();
        let complete = epochs.partition_point(|e| e.first + times <= known);
        for part in epochs[..complete].chunks(self.rows) {
            let mut samples = vec![0.0_f32; part.len() * c * times];
            let mut mean = vec![0.0; part.len() * c];
            let mut std = vec![0.0; part.len() * c];
            for (k, epoch) in part.iter().enumerate() {
                for flow in flows {
                    for (&member, x) in flow.members.iter().zip(&flow.out) {
                        let at = k * c + member;
                        let from = epoch.first.checked_sub(flow.base);
                        let (Some(x), Some(to)) = (
                            from.and_then(|from| x.get(from..from + times)),
                            samples.get_mut(at * times..(at + 1) * times),
                        ) else {
                            return Err(outside(self.made + k));
                        };
                        let (m, s, flat) = normalise(self.recipe.normalise, x, to);
                        (mean[at], std[at]) = (m, s);
                        self.flat += usize::from(flat);
                    }
                }
            }
            let labels = self.labels.get(self.made..).unwrap_or_default();
            let rows = self
                .table
                .batch(part, labels, samples.into(), mean.into(), std.into())?;
            (self.emit)(rows)?;
            self.made += part.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use arrow::array::{Array, AsArray};
    use arrow::datatypes::{Float32Type, Float64Type};
    use mmpipe_formats::{Channel, Container, Header, Run};

    use super::super::conditioned;
    use super::super::work::{WorkInterval, WorkTrial};
    use super::*;

    /// A recording that is computed: runs of 70 s and 50 s with a pause between them, the last
    /// channel at half the rate; one channel has holes.
    struct Made {
        header: Header,
        holes: bool,
    }

    const RATES: [f64; 6] = [256.0, 256.0, 256.0, 256.0, 256.0, 128.0];

    fn made(holes: bool) -> Made {
        let channel = |&sfreq: &f64| Channel {
            name: "Cz".into(),
            unit: "µV".into(),
            sfreq,
            n_samples: (120.0 * sfreq) as u64,
            physical_min: None,
            physical_max: None,
            digital_min: None,
            digital_max: None,
            prefilter: None,
            transducer: None,
        };
        Made {
            header: Header {
                container: Container::Edf,
                path: PathBuf::from("made.edf"),
                bytes: 0,
                files: Vec::new(),
                start: None,
                patient: None,
                recording: None,
                channels: RATES.iter().map(channel).collect(),
                annotations: Vec::new(),
                seconds: 120.0,
                diagnostics: Vec::new(),
            },
            holes,
        }
    }

    impl Recording for Made {
        fn header(&self) -> &Header {
            &self.header
        }

        fn runs(&self, channel: usize) -> Vec<Run> {
            let at = |seconds: f64| (seconds * RATES[channel]) as u64;
            vec![
                Run {
                    onset: 0.0,
                    samples: 0..at(70.0),
                },
                Run {
                    onset: 81.5,
                    samples: at(70.0)..at(120.0),
                },
            ]
        }

        fn read_f64(
            &self,
            channels: &[usize],
            start: u64,
            out: &mut [&mut [f64]],
        ) -> mmpipe_formats::Result<()> {
            for (&c, to) in channels.iter().zip(out) {
                for (i, v) in to.iter_mut().enumerate() {
                    let at = start + i as u64;
                    let t = at as f64 / RATES[c];
                    let noise = (at.wrapping_mul(0x9E37_79B9_7F4A_7C15 ^ c as u64) >> 40) as f64;
                    *v = 30.0 * (6.3 * t * (1.0 + c as f64)).sin() + noise / 1e6 + 100.0;
                    if self.holes && c == 2 && (5000..5040).contains(&at) {
                        *v = f64::NAN;
                    }
                }
            }
            Ok(())
        }

        fn read_f32(
            &self,
            _: &[usize],
            _: u64,
            _: &mut [&mut [f32]],
        ) -> mmpipe_formats::Result<()> {
            Ok(())
        }
    }

    /// Trials that overlap and are out of order, with labels over time.
    fn work() -> Work {
        let trial = |(k, (start, stop)): (usize, (f64, f64))| WorkTrial {
            trial: k as i32,
            start: Some(start),
            stop: Some(stop),
            ..Default::default()
        };
        let bounds = [(90.0, 118.0), (0.0, 31.0), (20.3, 60.0), (65.0, 85.0)];
        Work {
            recording_id: "r".into(),
            dataset: "D".into(),
            subject: "1".into(),
            path: "made.edf".into(),
            trials: bounds.into_iter().enumerate().map(trial).collect(),
            intervals: vec![WorkInterval {
                start: 10.0,
                stop: 50.0,
                label: 1,
                weight: 1.0,
            }],
            ..Default::default()
        }
    }

    type Row = (u64, Option<i32>, Vec<f32>, Vec<f32>);

    fn rows(batches: &[RecordBatch]) -> Vec<Row> {
        let mut out = Vec::new();
        for batch in batches {
            let column = |name: &str| batch.column_by_name(name).expect("a column").clone();
            let (ids, labels) = (column("epoch_id"), column("label"));
            let ids = ids.as_primitive::<arrow::datatypes::UInt64Type>();
            let labels = labels.as_primitive::<arrow::datatypes::Int32Type>();
            for r in 0..batch.num_rows() {
                let eeg = column("eeg").as_list::<i32>().value(r);
                let eeg = eeg.as_fixed_size_list().values().clone();
                let std = column("ch_std").as_list::<i32>().value(r);
                out.push((
                    ids.value(r),
                    labels.is_valid(r).then(|| labels.value(r)),
                    eeg.as_primitive::<Float32Type>().values().to_vec(),
                    std.as_primitive::<Float32Type>().values().to_vec(),
                ));
            }
            assert!(column("onset").as_primitive::<Float64Type>().null_count() == 0);
        }
        out.sort_by_key(|r| r.0);
        out
    }

    #[test]
    fn pieces_give_the_epochs_that_memory_gives() {
        let recipe = Recipe::builtin("mindmix").expect("a recipe");
        let work = work();
        let kept: Vec<Kept> = RATES
            .iter()
            .enumerate()
            .map(|(index, &sfreq)| Kept {
                index,
                name: format!("C{index}"),
                factor: 0.5,
                sfreq,
            })
            .collect();
        for holes in [false, true] {
            let file = made(holes);
            let plan = || match conditioned::plan(&work, &recipe, &file, &kept) {
                Ok(plan) => plan,
                Err(_) => panic!("a plan"),
            };
            let Ok(whole) = conditioned::epochs(plan(), &recipe, &file, &kept) else {
                panic!("epochs");
            };
            let labels = labels::of_epochs(&work, &whole.summary.cut, recipe.epoch_seconds);
            let table = eeg::Table::new(&work, &recipe, &kept).expect("a table");
            let mut want = Vec::new();
            let summary = eeg::batches(&table, whole, &labels, &mut |b| {
                want.push(b);
                Ok(())
            })
            .expect("rows");
            let mut found = Vec::new();
            let Ok(streamed) = stream(1, plan(), &work, &recipe, &file, &kept, &mut |b| {
                found.push(b);
                Ok(())
            }) else {
                panic!("a stream");
            };
            let (want, found) = (rows(&want), rows(&found));
            assert_eq!(want.len(), found.len());
            assert_eq!(want.len() as i64, summary.cut.epochs.len() as i64);
            assert!(want.len() > 40 && want.iter().any(|r| r.1 == Some(1)));
            for (a, b) in want.iter().zip(&found) {
                assert_eq!((a.0, a.1), (b.0, b.1));
                let worst = |a: &[f32], b: &[f32]| {
                    let off = a.iter().zip(b).map(|(a, b)| (a - b).abs());
                    off.fold(0.0, f32::max)
                };
                // One unit in the last place of an f32 of 2 to 4, and of 16 to 32 µV.
                let (samples, std) = (worst(&a.2, &b.2), worst(&a.3, &b.3));
                assert!(samples < 5e-7 && std < 2e-6, "{samples} {std}");
            }
            assert_eq!(summary.cut.dropped, streamed.cut.dropped);
            assert_eq!(
                summary
                    .cut
                    .dropped
                    .contains_key(super::super::bridge::REASON),
                holes
            );
            assert_eq!(summary.bridged, streamed.bridged);
            assert_eq!(
                (summary.flat, summary.seconds),
                (streamed.flat, streamed.seconds)
            );
            for (a, b) in summary.rms.iter().zip(&streamed.rms) {
                assert!((a - b).abs() < 1e-9 * a, "{a} {b}");
            }
        }
    }
}
