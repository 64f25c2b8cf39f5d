//! End-to-end tests through the binary, in one program so that it links once.

mod archives;
mod arrays;
mod agrees;
mod bad_input;
mod bci_iv_2a;
mod bci_iv_2b;
mod bnci;
mod cli;
mod hgd;
mod openbmi;
mod planted;
mod cap_sleep;
mod chb_mit;
mod hmc_sleep;
mod plain;
mod support;
mod tuab;
mod tuep;
mod tuev;
mod walk;
