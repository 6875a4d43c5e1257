//! The cloud seam: what becomes of a launch.

pub mod kwok;
