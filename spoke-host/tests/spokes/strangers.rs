//! MCP servers in the words of a shell, each misbehaving in a way of its own.

/// Greets, offers the tool `go`, and waits for the first call; what follows is the test's.
pub fn greets_then(rest: &str) -> String {
    format!(
        r#"say() {{ printf '%s\n' "$1"; }}
read -r initialize
say '{{"jsonrpc":"2.0","id":0,"result":{{"protocolVersion":"2025-06-18","capabilities":{{"tools":{{}}}},"serverInfo":{{"name":"s","version":"1"}}}}}}'
read -r initialized
read -r list
say '{{"jsonrpc":"2.0","id":1,"result":{{"tools":[{{"name":"go","inputSchema":{{"type":"object"}}}}]}}}}'
read -r call
{rest}
"#
    )
}

/// Answers the first call with this result, then waits.
pub fn answers(result: &str) -> String {
    greets_then(&format!("say '{{\"jsonrpc\":\"2.0\",\"id\":2,\"result\":{result}}}'\nread -r more"))
}
