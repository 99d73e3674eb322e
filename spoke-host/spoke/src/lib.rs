//! One app, alone: the operator that runs inside a spoke.
