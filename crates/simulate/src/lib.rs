//! Corpora with known ground truth, in the raw layouts in which real ones are published: for the
//! demo, for end-to-end tests and as controls. This crate writes files and knows what it put in;
//! it reads nothing and knows nothing of the lake.
//!
//! - [`write_bids`] with [`TwoTalker`]: two-talker selective attention in BIDS.
//! - [`eegmat`], [`eegmmidb`], [`bci_iv_2a`], [`bci_iv_2b`], [`hgd`], [`hgd_mat`],
//!   [`openbmi`], [`bnci2014_001`], [`bnci2014_004`]: miniatures of real corpora in which every sample is known.
//! - [`ds004356`], [`feis`], [`le_petit_prince`], [`mad_eeg`], [`pme4`], [`zenodo_4518754`]: miniatures
//!   of paired corpora, with the response to the sounds in their EEG.
//! - [`chbmit`], [`hmc`], [`cap`]: the same in plain EDF, with the faults of the real files.
//! - [`eegmat`], [`eegmmidb`], [`tuab`], [`tuep`], [`tuev`]: miniatures of real corpora in which
//!   every sample is known.
//! - [`kul`], [`dtu`], [`esaa`], [`broderick`], [`broderick_dryad`],
//!   [`brennan`], [`brennan_nemar`], [`brennan_v2`]: corpora of EEG and sound, with the response to the attended sound in the EEG.
//! - [`simulations`]: all of these by the name of the data set.
//! - [`bench_bids`], [`bench_recording`]: large recordings for measurements of speed.
//!
//! Everything is a function of its settings and a seed. Each part draws from its own named random
//! stream and nothing is shared between threads, so the same settings give the same bytes. A
//! corpus is filled under a hidden name and renamed when complete. EDF+ and WAV are written by
//! `mmpipe_formats::write`, plain EDF, whose faults no writer of the product makes, by this crate.
//!
//! # What the two-talker corpus is for
//!
//! The response to the attended envelope is really in the EEG, so a decoder that compares EEG with
//! sound works whatever the split. Nothing else in the EEG depends on the attended side. But the
//! rhythms, their topographies, the slope of the background and the strength of its sources wander
//! from trial to trial, so EEG alone tells which *trial* a window is from, and with windows of one
//! trial in training and test that tells the side. Filtering from 1 Hz on and the z-score of each
//! epoch do not remove this, as they do not remove it from real EEG.
//!
//! Mean balanced accuracy over 5 folds of 2-s windows, all subjects in one network, seed 0, by
//! `tuning/decode.py OUT --network --epochs 15` (NumPy, SciPy and PyTorch, no code of mmpipe):
//!
//! | decoder | sees | windows shuffled | trials kept apart |
//! |---|---|---|---|
//! | EEGNet | EEG | 0.995 | 0.529 (folds 0.36 to 0.65) |
//! | logistic regression on log covariance, by subject | EEG | 1.000 | 0.596 (folds 0.39 to 0.71) |
//! | ridge, stimulus reconstruction | EEG and sound | 0.848 | 0.891 |
//! | AADNet | EEG and sound | 0.819 | not measured |
//!
//! The column of shuffled windows was measured at the default strength of the response, 2.5 µV;
//! the column of trials kept apart at 3.0 µV (`two_talker OUT attended_uv=3.0`), where ridge had
//! 0.899 with shuffled windows. With 64 trials, chance reaches from 0.38 to 0.62 (95 %, whole
//! trials right or wrong), because the windows of a trial stand or fall together.

mod bci_iv_2a;
mod bci_iv_2b;
mod bench;
mod bids;
mod bnci;
mod brennan;
mod broderick;
mod cap;
mod catalog;
mod chbmit;
mod config;
mod ds004356;
mod dtu;
mod eeg;
mod eegmat;
mod eegmmidb;
mod error;
mod esaa;
mod feis;
mod files;
mod graz;
mod grid;
mod hearing;
mod hgd;
mod hmc;
mod kul;
mod le_petit_prince;
mod listening;
mod mad_eeg;
mod montage;
mod noise;
mod openbmi;
mod packed;
mod plain_edf;
mod plan;
mod planted;
mod pme4;
mod random;
mod sessions;
mod speech;
mod state;
mod trf;
mod truth;
mod tuab;
mod tuep;
mod tuev;
mod tuh;
mod two_talker;
mod zenodo_4518754;

pub use bci_iv_2a::{BciIv2a, bci_iv_2a};
pub use bci_iv_2b::{BciIv2b, bci_iv_2b};
pub use bench::{bench_bids, bench_recording};
pub use bnci::{bnci2014_001, bnci2014_004};
pub use brennan::{Brennan, brennan, brennan_nemar, brennan_v2};
pub use broderick::{Broderick, broderick, broderick_dryad};
pub use cap::{Cap, cap};
pub use catalog::{Choice, Simulation, simulation, simulations};
pub use chbmit::{ChbMit, chbmit};
pub use config::TwoTalker;
pub use ds004356::{Ds004356, ds004356};
pub use dtu::{Dtu, dtu};
pub use eegmat::{EegMat, eegmat};
pub use eegmmidb::{EegMmidb, eegmmidb};
pub use error::{Error, Result};
pub use esaa::{Esaa, esaa};
pub use feis::{Feis, feis};
pub use hgd::{Hgd, hgd, hgd_mat};
pub use hmc::{Hmc, hmc};
pub use kul::{Kul, kul};
pub use le_petit_prince::{LePetitPrince, le_petit_prince};
pub use listening::{Heard, PlantedHearing, PlantedListening, PlantedSound};
pub use mad_eeg::{MadEeg, mad_eeg};
pub use openbmi::{OpenBmi, Paradigm, openbmi};
pub use plain_edf::{PlainChannel, PlainCorpus, PlainRecording};
pub use plan::Side;
pub use planted::{PlantedChannel, PlantedCorpus, PlantedRecording};
pub use pme4::{Pme4, pme4};
pub use sessions::{PlantedSession, PlantedSessions, PlantedTrial};
pub use speech::Voice;
pub use state::State;
pub use trf::Trf;
pub use truth::{SubjectTruth, TrialTruth, Truth};
pub use tuab::{Tuab, tuab};
pub use tuep::{Tuep, tuep};
pub use tuev::{PlantedTuev, Tuev, TuevMark, tuev};
pub use two_talker::write_bids;
pub use zenodo_4518754::{Aad255, zenodo_4518754};
