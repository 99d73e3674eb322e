//! Holds the model key; speaks to the model for hub and spokes.

fn main() {}
