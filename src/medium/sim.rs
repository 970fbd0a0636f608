//! A simulated device.

/// A simulated device.
#[derive(Debug)]
pub struct Sim;
