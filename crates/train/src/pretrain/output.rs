//! `config.json` beside the weights.

use std::path::Path;

use serde::Serialize;

use crate::{Error, Result};

/// What a reader of the weights must know.
#[derive(Serialize)]
pub(super) struct Described<'a, C> {
    pub(super) model_type: &'a str,
    /// The encoder's variables begin with this.
    pub(super) encoder_prefix: &'a str,
    /// Rate of the EEG that it was trained on, Hz.
    pub(super) sfreq: f64,
    /// Samples a channel of one example.
    pub(super) n_times: usize,
    #[serde(flatten)]
    pub(super) config: &'a C,
}

impl<C: Serialize> Described<'_, C> {
    pub(super) fn json(&self, dir: &Path) -> Result<Vec<u8>> {
        let mut bytes = serde_json::to_vec_pretty(self)
            .map_err(|e| Error::checkpoint(dir, format!("config.json cannot be stored: {e}")))?;
        bytes.push(b'\n');
        Ok(bytes)
    }
}
