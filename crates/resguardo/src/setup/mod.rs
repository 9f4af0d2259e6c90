//! Setting up: what is wanted (`plan`), the vault and its keys (`vault`), whoever else
//! writes into it (`strangers`), and what is left of one (`remains`).
//!
//! Write order, so that a crash anywhere loses nothing and `init` can be run again: the new identity, on
//! this machine; the vault, encrypted to it; the write key; the recovery kit; the config. A vault is
//! never made for an identity that is not safe on a disk yet.

pub mod plan;
pub mod remains;
pub mod strangers;
pub mod vault;
