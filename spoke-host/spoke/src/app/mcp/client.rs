//! The side of the conversation that a server may speak to.
//!
//! Answers: what does a server get that asks something of us, or tells us something unasked?
//! Never: does anything for a server outside of a task; shows it the machine (it has no roots to list).
//! Carries: I-05, I-16.

use bus::message::isc::Wanted;
use bus::message::profile::Wishes;
use rmcp::RoleClient;
use rmcp::model::{
    ClientCapabilities, ClientConfig, ClientResult, ErrorCode, ErrorData, Implementation, ServerNotification,
    ServerRequest,
};
use rmcp::service::{NotificationContext, RequestContext, Service};
use serde_json::json;

use super::offered::Offered;
use super::wish::Asks;
use crate::app::stderr::Says;
use crate::job::cut;

/// Longest line that a server's log message becomes, bytes.
const MAX_MESSAGE: usize = 1000;

/// Our side.
pub(super) struct Client {
    pub(super) wishes: Wishes,
    pub(super) asks: Asks,
    pub(super) offered: Offered,
    pub(super) says: Says,
}

impl Service<RoleClient> for Client {
    async fn handle_request(
        &self,
        request: ServerRequest,
        _context: RequestContext<RoleClient>,
    ) -> Result<ClientResult, ErrorData> {
        match request {
            ServerRequest::PingRequest(_) => Ok(ClientResult::empty(())),
            ServerRequest::CreateMessageRequest(request) => {
                self.asks.ask(Wanted::Sampling, &request.params).await
            }
            ServerRequest::ElicitRequest(request) => {
                self.asks.ask(Wanted::Elicitation, &request.params).await
            }
            ServerRequest::ListRootsRequest(_) => Err(no_such(
                "roots/list: the server sees its own folder /app, its data folder /data and /tmp",
            )),
            ServerRequest::CustomRequest(request) => Err(no_such(&cut(&request.method, 100))),
            _ => Err(no_such("this request")),
        }
    }

    async fn handle_notification(
        &self,
        notification: ServerNotification,
        _context: NotificationContext<RoleClient>,
    ) -> Result<(), ErrorData> {
        match notification {
            ServerNotification::ToolListChangedNotification(_) => self.offered.changed(),
            ServerNotification::LoggingMessageNotification(message) => {
                let words = serde_json::to_value(&message.params).unwrap_or_default();
                self.says.say(&cut(&words.to_string(), MAX_MESSAGE));
            }
            _ => {}
        }
        Ok(())
    }

    fn get_info(&self) -> ClientConfig {
        info(self.wishes)
    }
}

/// Who we are, and what a server may ask for. What is not declared, a server that keeps to the protocol does not ask for.
pub(crate) fn info(wishes: Wishes) -> ClientConfig {
    let mut declared = serde_json::Map::new();
    if wishes.sampling {
        declared.insert("sampling".into(), json!({}));
    }
    if wishes.elicitation {
        declared.insert("elicitation".into(), json!({}));
    }
    let capabilities: ClientCapabilities = serde_json::from_value(declared.into()).unwrap_or_default();
    ClientConfig::new(capabilities, Implementation::new("secgpt", env!("CARGO_PKG_VERSION")))
}

/// The protocol's own words for what a client does not do.
pub(super) fn no_such(what: &str) -> ErrorData {
    ErrorData::new(ErrorCode::METHOD_NOT_FOUND, format!("this client does not answer {what}"), None)
}
