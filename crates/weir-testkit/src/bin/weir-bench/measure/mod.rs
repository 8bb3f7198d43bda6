//! Measurements: CPU time, memory, and the machine.

mod cpu;
mod figures;
mod machine;

pub(crate) use cpu::{CpuTime, CpuUse, resident};
pub(crate) use figures::{StreamFigures, median};
pub(crate) use machine::{line, redis, require_open_files};
