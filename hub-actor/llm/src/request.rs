//! From a conversation on the bus to a request of the OpenAI protocol.
//!
//! Answers: in which words does the model's server want it?
//! Never: adds or drops a turn, a tool or a schema.

use async_openai::types::chat::{
    ChatCompletionMessageToolCall, ChatCompletionMessageToolCalls, ChatCompletionRequestAssistantMessage,
    ChatCompletionRequestAssistantMessageContent, ChatCompletionRequestMessage,
    ChatCompletionRequestSystemMessage, ChatCompletionRequestToolMessage, ChatCompletionRequestUserMessage,
    ChatCompletionStreamOptions, ChatCompletionTool, ChatCompletionTools, CreateChatCompletionRequest,
    FunctionCall, FunctionObject, ResponseFormat, ResponseFormatJsonSchema,
};
use bus::message::chat::{ChatRequest, Tool, ToolCall, Turn};

/// The request.
#[must_use]
pub fn translate(request: &ChatRequest, model: &str) -> CreateChatCompletionRequest {
    CreateChatCompletionRequest {
        model: model.to_owned(),
        messages: request.turns.iter().map(message).collect(),
        // An empty list is an error to some servers, so it is left out.
        tools: (!request.tools.is_empty()).then(|| request.tools.iter().map(tool).collect()),
        response_format: request.schema.as_ref().map(|schema| ResponseFormat::JsonSchema {
            json_schema: ResponseFormatJsonSchema {
                description: None,
                name: schema.name.clone(),
                schema: schema.schema.clone(),
                // `strict` wants a subset of JSON Schema that plans and apps' schemas do not keep to.
                strict: None,
            },
        }),
        stream: Some(request.stream),
        stream_options: request
            .stream
            .then_some(ChatCompletionStreamOptions { include_usage: Some(true), include_obfuscation: None }),
        ..CreateChatCompletionRequest::default()
    }
}

fn message(turn: &Turn) -> ChatCompletionRequestMessage {
    match turn {
        Turn::System { text } => ChatCompletionRequestMessage::System(ChatCompletionRequestSystemMessage {
            content: text.clone().into(),
            name: None,
        }),
        Turn::User { text } => ChatCompletionRequestMessage::User(ChatCompletionRequestUserMessage {
            content: text.clone().into(),
            name: None,
        }),
        Turn::Assistant { text, calls } => {
            ChatCompletionRequestMessage::Assistant(ChatCompletionRequestAssistantMessage {
                // Either words or calls must be there; empty words beside calls are an error to some servers.
                content: (!text.is_empty() || calls.is_empty())
                    .then(|| ChatCompletionRequestAssistantMessageContent::Text(text.clone())),
                tool_calls: (!calls.is_empty()).then(|| calls.iter().map(call).collect()),
                ..ChatCompletionRequestAssistantMessage::default()
            })
        }
        Turn::Tool { call, text } => ChatCompletionRequestMessage::Tool(ChatCompletionRequestToolMessage {
            content: text.clone().into(),
            tool_call_id: call.clone(),
        }),
    }
}

fn tool(tool: &Tool) -> ChatCompletionTools {
    ChatCompletionTools::Function(ChatCompletionTool {
        function: FunctionObject {
            name: tool.name.clone(),
            description: (!tool.description.is_empty()).then(|| tool.description.clone()),
            parameters: Some(tool.parameters.clone()),
            strict: None,
        },
    })
}

fn call(call: &ToolCall) -> ChatCompletionMessageToolCalls {
    ChatCompletionMessageToolCalls::Function(ChatCompletionMessageToolCall {
        id: call.id.clone(),
        function: FunctionCall { name: call.name.clone(), arguments: call.arguments.clone() },
    })
}

/// About how many tokens the request is: a token of English or JSON is some four characters.
#[must_use]
pub fn estimate(request: &ChatRequest) -> u64 {
    let turns = request.turns.iter().map(|turn| match turn {
        Turn::System { text } | Turn::User { text } | Turn::Tool { text, .. } => text.len(),
        Turn::Assistant { text, calls } => {
            text.len() + calls.iter().map(|call| call.name.len() + call.arguments.len()).sum::<usize>()
        }
    });
    let tools = request
        .tools
        .iter()
        .map(|tool| tool.name.len() + tool.description.len() + tool.parameters.to_string().len());
    let schema = request.schema.iter().map(|schema| schema.schema.to_string().len());
    tokens_of(turns.chain(tools).chain(schema).sum())
}

/// About how many tokens so many bytes are.
#[must_use]
pub fn tokens_of(bytes: usize) -> u64 {
    u64::try_from(bytes.div_ceil(4)).unwrap_or(u64::MAX)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use bus::id::WorkId;
    use bus::message::chat::NamedSchema;
    use serde_json::json;

    use super::*;

    fn request(turns: Vec<Turn>) -> ChatRequest {
        ChatRequest { task: WorkId::parse("t1").unwrap(), turns, tools: vec![], schema: None, stream: false }
    }

    #[test]
    fn a_conversation_with_tools_reads_as_the_protocol_wants_it() {
        let mut request = request(vec![
            Turn::System { text: "You are mail.".into() },
            Turn::User { text: "newest?".into() },
            Turn::Assistant {
                text: String::new(),
                calls: vec![ToolCall {
                    id: "c1".into(),
                    name: "mail__newest".into(),
                    arguments: "{}".into(),
                }],
            },
            Turn::Tool { call: "c1".into(), text: "{\"id\":1}".into() },
        ]);
        request.tools = vec![Tool {
            name: "mail__newest".into(),
            description: "The newest message".into(),
            parameters: json!({"type": "object"}),
        }];
        let wire = serde_json::to_value(translate(&request, "m1")).unwrap();
        assert_eq!(
            wire,
            json!({
                "model": "m1", "stream": false,
                "messages": [
                    {"role": "system", "content": "You are mail."},
                    {"role": "user", "content": "newest?"},
                    {"role": "assistant", "tool_calls": [{"id": "c1", "type": "function", "function": {"name": "mail__newest", "arguments": "{}"}}]},
                    {"role": "tool", "tool_call_id": "c1", "content": "{\"id\":1}"},
                ],
                "tools": [{"type": "function", "function": {"name": "mail__newest", "description": "The newest message", "parameters": {"type": "object"}}}],
            })
        );
    }

    #[test]
    fn a_schema_goes_along_under_its_name() {
        let mut request = request(vec![Turn::User { text: "plan".into() }]);
        request.schema = Some(NamedSchema { name: "secgpt_plan".into(), schema: json!({"type": "object"}) });
        request.stream = true;
        let wire = serde_json::to_value(translate(&request, "m1")).unwrap();
        assert_eq!(wire["response_format"]["json_schema"]["name"], "secgpt_plan");
        assert_eq!(wire["response_format"]["type"], "json_schema");
        assert_eq!(wire["stream_options"], json!({"include_usage": true}));
        assert!(wire.get("tools").is_none());
    }
}
