//! The trainer through its public door: what is learnt, what is not, and what survives a stop.

mod align;
mod baseline;
mod calra;
mod classify;
mod controls;
mod device;
mod hearing;
mod matching;
mod pretrain;
mod real;
mod resume;
mod retrieval;
mod ridge;
mod sound;
mod toys;
mod trouble;
