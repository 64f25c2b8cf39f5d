//! End-to-end tests through the binary, in one program so that it links once.

mod agrees;
mod archives;
mod arrays;
mod bad_input;
mod bci_iv_2a;
mod bci_iv_2b;
mod bnci;
mod brennan;
mod broderick;
mod cap_sleep;
mod chb_mit;
mod cli;
mod ds004356;
mod dtu;
mod esaa;
mod feis;
mod fetch;
mod heard;
mod hgd;
mod hmc_sleep;
mod kul;
mod le_petit_prince;
mod mad_eeg;
mod mapped;
mod openbmi;
mod paired;
mod plain;
mod planted;
<<<<<<< HEAD
mod pme4;
mod simulate;
mod sounds;
=======
mod ridge;
>>>>>>> 2557e2b (formats: plain WAV files are decoded from the mapped bytes)
mod support;
mod tuab;
mod tuep;
mod tuev;
mod walk;
mod zenodo_4518754;
