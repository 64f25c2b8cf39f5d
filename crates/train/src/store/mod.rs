//! What lies in a fold's folder, and how it gets there without ever being partial.
//!
//! ```text
//! fold=N/checkpoints/step=00000120/{model.safetensors, optimiser.safetensors, state.json}
//! fold=N/noise.safetensors      average spectrum of the training epochs, for the noise-eeg control
//! fold=N/metrics.jsonl          one line a step and a pass
//! fold=N/events.out.tfevents.*  the same for TensorBoard
//! fold=N/fit.json               the report of the finished fit
//! ```

mod atomic;
mod checkpoint;
mod state;

pub(crate) use atomic::write_file;
pub(crate) use checkpoint::Checkpoints;
pub(crate) use state::{About, Best, FORMAT, FitAbout, FitState, State, fingerprint};
