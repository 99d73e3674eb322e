//! A server on the web is asked what it offers before anybody trusts it: for `secgpt apps add`.
//!
//! Answers: which tools, resources and prompts does it list, over a way to the web that somebody else holds?
//! Never: connects; calls a tool; used by a spoke, which asks its server itself.
//! Carries: I-16.

use bus::message::offer::Offer;
use bus::message::profile::Wishes;

use crate::app::mcp;
pub use crate::app::mcp::remote::{Fetch, Fetched};
pub use crate::web::Body;

/// Greets it and has it list everything. Every request goes by `fetch`.
///
/// # Errors
/// Why there is no list, as the end of a sentence that begins with the server's name.
pub async fn offer(fetch: Fetch, url: &str, wishes: Wishes) -> Result<Offer, String> {
    mcp::asked(fetch, url, wishes).await
}
