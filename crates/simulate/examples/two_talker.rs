//! Writes the two-talker corpus: `two_talker OUT [key=value ...]`, keys as in `TwoTalker`.
//! Used for tuning; `mmpipe simulate` is the command for everyday use.

use mmpipe_simulate::{TwoTalker, write_bids};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut args = std::env::args().skip(1);
    let out = args.next().ok_or("expected a folder to write to")?;
    let mut cfg = TwoTalker::default();
    for arg in args {
        let (key, value) = arg.split_once('=').ok_or("expected key=value")?;
        match key {
            "subjects" => cfg.subjects = value.parse()?,
            "trials" => cfg.trials = value.parse()?,
            "trial_seconds" => cfg.trial_seconds = value.parse()?,
            "channels" => cfg.channels = value.parse()?,
            "sfreq" => cfg.sfreq = value.parse()?,
            "seed" => cfg.seed = value.parse()?,
            "attended_uv" => cfg.attended_uv = value.parse()?,
            "unattended_share" => cfg.unattended_share = value.parse()?,
            "background_uv" => cfg.background_uv = value.parse()?,
            "rhythm_uv" => cfg.rhythm_uv = value.parse()?,
            "state_spread" => cfg.state_spread = value.parse()?,
            "state_memory" => cfg.state_memory = value.parse()?,
            "drift_uv" => cfg.drift_uv = value.parse()?,
            other => return Err(format!("unknown key {other}").into()),
        }
    }
    let truth = write_bids(&cfg, std::path::Path::new(&out))?;
    println!(
        "{} subjects, {} trials each",
        truth.subjects.len(),
        cfg.trials
    );
    Ok(())
}
