//! Starts and watches the spokes of one machine.
