//! End-to-end tests through the binary, in one program so that it links once.

mod agrees;
mod archives;
mod arrays;
mod bad_input;
mod bci_iv_2a;
mod bci_iv_2b;
mod bnci;
mod cap_sleep;
mod chb_mit;
mod cli;
mod hgd;
mod hmc_sleep;
mod kul;
mod openbmi;
mod paired;
mod plain;
mod planted;
mod simulate;
mod sounds;
mod support;
mod tuab;
mod tuep;
mod tuev;
mod walk;
