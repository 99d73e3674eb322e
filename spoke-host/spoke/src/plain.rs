//! A web API called without a spoke around it: for the baseline, which shows what happens without one.
//!
//! Answers: what does the API say to these arguments?
//! Never: used by a spoke.

use std::time::{Duration, Instant};

use bus::client::Bus;
use bus::id::SpokeAddr;
use bus::message::operation::Operation;
use bus::message::task::Failure;
use serde_json::Value;

use crate::app::http::{self, Errand};
use crate::web::Web;

/// The requests of one app.
pub struct Plain {
    web: Web,
    addr: SpokeAddr,
}

impl Plain {
    /// On a connection that may speak as this spoke.
    #[must_use]
    pub fn new(bus: Bus, addr: SpokeAddr) -> Self {
        Self { web: Web::new(bus, addr.clone()), addr }
    }

    /// Calls a functionality.
    ///
    /// # Errors
    /// In the words of the API or the gateway.
    pub async fn call(&self, operation: &Operation, args: &Value, limit: Duration) -> Result<Value, Failure> {
        let errand = Errand { web: &self.web, spoke: &self.addr, task: None, until: Instant::now() + limit };
        http::call(errand, operation, args).await
    }
}
