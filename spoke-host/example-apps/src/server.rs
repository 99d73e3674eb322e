//! An app's table of operations, served over MCP.
//!
//! Answers: which tools are there, and what does a call of one give?
//! Never: ends because of what a caller sent; a bad call gets an error result, an oversized line is dropped.

use rmcp::handler::server::ServerHandler;
use rmcp::model::{
    CallToolRequestParams, CallToolResponse, CallToolResult, ContentBlock, ErrorData, Implementation,
    JsonObject, ListToolsResult, PaginatedRequestParams, ServerCapabilities, ServerConfig, Tool,
    ToolAnnotations,
};
use rmcp::service::{RequestContext, RoleServer, ServiceExt};
use rmcp::transport::async_rw::AsyncRwTransport;
use rmcp::transport::io::stdio_pipes;

use crate::folder::Folder;
use crate::operation::{App, Operation};

/// Serves until the input ends.
pub async fn serve(app: &'static App, folder: Folder) -> Result<(), Box<dyn std::error::Error>> {
    let tools = app.operations.iter().map(tool).collect::<Result<Vec<_>, _>>()?;
    let (input, output) = stdio_pipes();
    let transport = AsyncRwTransport::new(input, output).with_max_line_length(MAX_LINE);
    match (Server { app, folder, tools }).serve(transport).await {
        Ok(running) => running.waiting().await.map(drop).map_err(Into::into),
        // Whoever opens an app and goes away before the handshake has done nothing wrong.
        Err(rmcp::service::ServerInitializeError::ConnectionClosed(_)) => Ok(()),
        Err(error) => Err(error.into()),
    }
}

/// The largest text an operation takes is 64 Ki characters; JSON may need six bytes for one.
const MAX_LINE: usize = 512 * 1024;

struct Server {
    app: &'static App,
    folder: Folder,
    tools: Vec<Tool>,
}

impl ServerHandler for Server {
    fn get_info(&self) -> ServerConfig {
        ServerConfig::new(ServerCapabilities::builder().enable_tools().build())
            .with_server_info(Implementation::new(self.app.name, env!("CARGO_PKG_VERSION")))
    }

    async fn list_tools(
        &self,
        _request: Option<PaginatedRequestParams>,
        _context: RequestContext<RoleServer>,
    ) -> Result<ListToolsResult, ErrorData> {
        Ok(ListToolsResult::with_all_items(self.tools.clone()))
    }

    async fn call_tool(
        &self,
        request: CallToolRequestParams,
        _context: RequestContext<RoleServer>,
    ) -> Result<CallToolResponse, ErrorData> {
        let Some(operation) = self.app.operations.iter().find(|operation| operation.name == request.name)
        else {
            return Err(ErrorData::invalid_params("there is no such tool", None));
        };
        let result = match (operation.run)(&self.folder, request.arguments.unwrap_or_default()) {
            Ok(value) => CallToolResult::structured(value),
            Err(refusal) => CallToolResult::error(vec![ContentBlock::text(refusal.to_string())]),
        };
        Ok(result.into())
    }
}

fn tool(operation: &Operation) -> Result<Tool, serde_json::Error> {
    let request: JsonObject = serde_json::from_str(operation.request)?;
    let response: JsonObject = serde_json::from_str(operation.response)?;
    Ok(Tool::new(operation.name, operation.about, request)
        .with_raw_output_schema(response.into())
        .with_annotations(ToolAnnotations::new().read_only(operation.reads_only)))
}
