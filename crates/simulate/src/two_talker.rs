//! The two-talker corpus as a raw BIDS folder.

use crate::config::TwoTalker;
use crate::eeg::{Recording, Scene, record};
use crate::files::Staging;
use crate::grid::clip;
use crate::montage::cap;
use crate::plan::{Trial, content_id, sound_path, sound_seconds, trials};
use crate::random::stream;
use crate::speech::{Voice, envelope, synthesise};
use crate::trf::Trf;
use crate::truth::{SubjectTruth, TrialTruth, Truth};
use crate::{Result, bids};
use mmpipe_formats::write::{NewRecording, NewSignal, Start, edf, wav};
use std::path::Path;

/// Range of the amplifier in µV: 16 bits of 0.1 µV.
const EEG_RANGE: (f64, f64) = (-3276.7, 3276.7);
/// Range of the trigger line: one step a unit.
const TRIGGER_RANGE: (f64, f64) = (-32_767.0, 32_767.0);

/// Writes the corpus to `out` (a folder that does not exist or is empty) and returns what was put
/// in. The folder appears when it is complete. Same settings, same bytes.
///
/// # Errors
/// A setting out of range, a target that is not empty, or a file system that refuses.
pub fn write_bids(cfg: &TwoTalker, out: &Path) -> Result<Truth> {
    cfg.validate()?;
    let staging = Staging::new(out)?;
    let voices = Voice::pair();
    let (ch_names, positions) = cap(cfg.channels);
    let envelopes = write_sounds(cfg, &voices, &staging)?;

    let mut trf = Trf::new(&positions, cfg.sfreq);
    let strongest = strongest_response(&trf, &envelopes, cfg.channels);
    if strongest > 0.0 {
        trf.scale(cfg.attended_uv / strongest);
    }
    let scene = Scene {
        cfg,
        positions: &positions,
        trf: &trf,
        envelopes: &envelopes,
    };
    let mut subjects = Vec::with_capacity(cfg.subjects);
    for index in 0..cfg.subjects {
        let subject = format!("{:02}", index + 1);
        let (plan, seconds) = trials(cfg, index);
        let mut made = record(&scene, index, &plan, seconds);
        made.eeg.iter_mut().for_each(|x| clip(x, EEG_RANGE));
        clip(&mut made.eog, EEG_RANGE);
        let stem = bids::stem(&subject);
        let path = format!("{stem}_eeg.edf");
        write_recording(cfg, &subject, &ch_names, &made, &staging.path(&path)?)?;
        let truths = truths(cfg, &voices, &plan, &made);
        bids::write_subject(
            &staging, cfg, &subject, &ch_names, &positions, seconds, &truths,
        )?;
        subjects.push(SubjectTruth {
            subject,
            recording: path,
            seconds: seconds as f64,
            trf_gain: made.trf_gain,
            trials: truths,
        });
    }
    let truth = Truth {
        config: cfg.clone(),
        ch_names,
        trf,
        subjects,
    };
    bids::write_root(&staging, &truth)?;
    staging.json("sourcedata/truth.json", &truth)?;
    staging.commit()?;
    Ok(truth)
}

/// Makes and writes every sound; gives the envelopes at the EEG's rate, content × talker.
fn write_sounds(
    cfg: &TwoTalker,
    voices: &[Voice; 2],
    staging: &Staging,
) -> Result<Vec<[Vec<f64>; 2]>> {
    let seconds = sound_seconds(cfg);
    let sfreq = f64::from(cfg.audio_sfreq);
    let n_out = (seconds * cfg.sfreq) as usize;
    let mut out = Vec::with_capacity(cfg.trials);
    for content in 0..cfg.trials {
        let mut pair = [Vec::new(), Vec::new()];
        for (talker, (voice, env)) in voices.iter().zip(&mut pair).enumerate() {
            let mut rng = stream(cfg.seed, "speech", &[content, talker]);
            let sound = synthesise(&mut rng, voice, seconds, sfreq);
            let path = staging.path(&sound_path(content, &voice.name))?;
            wav::write(&path, cfg.audio_sfreq, &[&sound], wav::Sample::Pcm16)?;
            *env = envelope(&sound, sfreq, cfg.sfreq, n_out);
        }
        out.push(pair);
    }
    Ok(out)
}

/// Root mean square of the unscaled response at its strongest channel, over all sounds.
fn strongest_response(trf: &Trf, envelopes: &[[Vec<f64>; 2]], channels: usize) -> f64 {
    let mut power = vec![0.0_f64; channels];
    let mut count = 0_usize;
    for env in envelopes.iter().flatten() {
        let mut response = vec![vec![0.0; env.len()]; channels];
        let mut rows: Vec<&mut [f64]> = response.iter_mut().map(Vec::as_mut_slice).collect();
        trf.add_response(env, 1.0, &mut rows);
        count += env.len();
        for (p, row) in power.iter_mut().zip(&response) {
            *p += row.iter().map(|v| v * v).sum::<f64>();
        }
    }
    power.into_iter().fold(0.0, f64::max).sqrt() / (count.max(1) as f64).sqrt()
}

fn write_recording(
    cfg: &TwoTalker,
    subject: &str,
    ch_names: &[String],
    made: &Recording,
    path: &Path,
) -> Result<()> {
    let signal = |name, unit, transducer, range, samples| NewSignal {
        name,
        unit,
        sfreq: cfg.sfreq,
        prefilter: "",
        transducer,
        physical_range: Some(range),
        samples,
    };
    let electrode = "simulated electrode";
    let mut signals: Vec<NewSignal<'_>> = ch_names
        .iter()
        .zip(&made.eeg)
        .map(|(name, x)| signal(name.as_str(), "uV", electrode, EEG_RANGE, x.as_slice()))
        .collect();
    signals.push(signal("VEOG", "uV", electrode, EEG_RANGE, &made.eog));
    signals.push(signal(
        "TRIG",
        "",
        "trigger line",
        TRIGGER_RANGE,
        &made.trigger,
    ));
    let recording = NewRecording {
        start: Start {
            year: 2020,
            hour: 12,
            ..Start::default()
        },
        patient: &format!("sub-{subject}"),
        recording: "mmpipe-simulate",
        signals,
        annotations: &[],
    };
    Ok(edf::write(path, &recording)?)
}

fn truths(
    cfg: &TwoTalker,
    voices: &[Voice; 2],
    plan: &[Trial],
    made: &Recording,
) -> Vec<TrialTruth> {
    let [low, high] = voices;
    plan.iter()
        .zip(&made.states)
        .enumerate()
        .map(|(k, (trial, state))| {
            let (attended, other) = if trial.attended == 0 {
                (low, high)
            } else {
                (high, low)
            };
            TrialTruth {
                trial: k + 1,
                onset: trial.onset,
                duration: cfg.trial_seconds,
                side: trial.side,
                attended: sound_path(trial.content, &attended.name),
                unattended: sound_path(trial.content, &other.name),
                attended_onset: trial.sound_onsets[0],
                unattended_onset: trial.sound_onsets[1],
                content_id: content_id(trial.content),
                state: state.clone(),
            }
        })
        .collect()
}
