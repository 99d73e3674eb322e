//! What must not be possible, each with a control that shows that the test could have succeeded.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)]

mod acl_matrix;
mod bus_rights;
mod credentials;
mod flood;
mod grants_bucket;
mod hostile_app;
mod replies;
