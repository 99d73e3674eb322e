//! The promises of the project, tested on real parts.
