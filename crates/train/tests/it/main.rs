//! The trainer through its public door: what is learnt, what is not, and what survives a stop.

mod align;
mod baseline;
mod classify;
mod controls;
mod hearing;
mod matching;
mod pretrain;
mod resume;
mod ridge;
mod sound;
mod toys;
mod trouble;
