//! Where an API's servers are, if its description says so only in relation to itself.
//!
//! Answers: to which addresses does it lead, having been had from this one?
//! Never: changes what is whole already.
//! Carries: I-17.
//!
//! As OpenAPI 3.1 says in its section on the Server Object: a relative address is resolved against the description's own,
//! and a description without servers means the root of the server that it came from.

use reqwest::Url;
use serde_json::{Value, json};

/// Makes each server's address absolute. Says whether anything was changed.
pub(super) fn complete(root: &mut Value, place: &str) -> bool {
    let own = Url::parse(place).ok().filter(|own| matches!(own.scheme(), "https" | "http"));
    let Some(own) = own else { return false };
    let mut changed = false;
    let none = root.get("servers").and_then(Value::as_array).is_none_or(Vec::is_empty);
    if let Some(root) = root.as_object_mut().filter(|_| none) {
        root.insert("servers".to_owned(), json!([{ "url": "/" }]));
        changed = true;
    }
    changed |= absolute(root, &own);
    let paths = root.get_mut("paths").and_then(Value::as_object_mut);
    for path in paths.into_iter().flat_map(|paths| paths.values_mut()) {
        changed |= absolute(path, &own);
        for operation in path.as_object_mut().into_iter().flat_map(|path| path.values_mut()) {
            changed |= absolute(operation, &own);
        }
    }
    changed
}

/// The servers of one object.
fn absolute(of: &mut Value, own: &Url) -> bool {
    let servers = of.get_mut("servers").and_then(Value::as_array_mut);
    let mut changed = false;
    for url in servers.into_iter().flatten().filter_map(|server| server.get_mut("url")) {
        let Some(text) = url.as_str() else { continue };
        // What begins with a variable, such as a scheme, is whole as soon as that is filled in.
        if text.contains("://") || text.starts_with('{') {
            continue;
        }
        if let Some(whole) = joined(own, text) {
            *url = Value::String(whole);
            changed = true;
        }
    }
    changed
}

fn joined(own: &Url, text: &str) -> Option<String> {
    // Braces of variables would come out escaped.
    let (plain, variables) = text.split_at(text.find('{').unwrap_or(text.len()));
    let whole = own.join(plain).ok()?;
    Some(format!("{}{variables}", whole.as_str()))
}

#[cfg(test)]
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_server_is_where_the_description_came_from() {
        let check = |place: &str, url: &str, expected: &str| {
            let mut root = json!({"servers": [{"url": url}]});
            complete(&mut root, place);
            assert_eq!(root["servers"][0]["url"], expected, "{url} from {place}");
        };
        let own = "https://api.example.com:8443/docs/openapi.json";
        check(own, "/v3", "https://api.example.com:8443/v3");
        check(own, "v3", "https://api.example.com:8443/docs/v3");
        check(own, "/{version}/x", "https://api.example.com:8443/{version}/x");
        check(own, "//other.example.com/v1", "https://other.example.com/v1");
        check(own, "https://other.example.com/v1", "https://other.example.com/v1");
        check(own, "{scheme}://api.example.com", "{scheme}://api.example.com");
        check("pets.json", "/v3", "/v3");
    }

    #[test]
    fn one_that_names_none_means_its_own_and_what_is_whole_stays_as_it_is() {
        let mut bare = json!({"paths": {"/a": {"get": {"servers": [{"url": "/deep"}]}}}});
        assert!(complete(&mut bare, "https://a.example/openapi.yaml"));
        assert_eq!(bare["servers"][0]["url"], "https://a.example/");
        assert_eq!(bare["paths"]["/a"]["get"]["servers"][0]["url"], "https://a.example/deep");
        let whole = json!({"servers": [{"url": "https://b.example"}], "paths": {"/a": 3}, "x": []});
        let mut same = whole.clone();
        assert!(!complete(&mut same, "https://a.example/openapi.yaml") && same == whole);
        assert!(!complete(&mut json!([]), "https://a.example/openapi.yaml"));
    }
}
