//! Starts and watches the spokes of one machine.

fn main() {}
