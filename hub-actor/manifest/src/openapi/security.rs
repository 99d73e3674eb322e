//! How an API wants to be shown who asks.
//!
//! Answers: which security schemes does a description have, and which of them does the API insist on?
//! Never: follows an address; takes what is not understood for something that is.
//! Carries: I-17.

use std::collections::BTreeSet;

use serde_json::Value;

use super::{Api, resolved, text};

/// A security scheme.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scheme {
    /// Its name in the description.
    pub name: String,
    /// What it is.
    pub kind: SchemeKind,
    /// Some operation does not work without it, and with nothing besides it.
    pub wanted: bool,
    /// What operations ask for with it, sorted.
    pub scopes: Vec<String>,
}

/// What a scheme is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum SchemeKind {
    /// A key in a header of this name.
    Header(String),
    /// A key in a query parameter of this name.
    Query(String),
    /// A key in a cookie of this name.
    Cookie(String),
    /// A token in the header `Authorization`.
    Bearer,
    /// A name and a password in the header `Authorization`.
    Basic,
    /// A token that an authorization server gives out.
    Oauth2(Flow),
    /// Something else, in its own word.
    Other(String),
}

/// Where a token is had.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Flow {
    /// Where a person gives leave in a browser.
    pub authorize_url: Option<String>,
    /// Where a code for another device is had.
    pub device_url: Option<String>,
    /// Where tokens are had.
    pub token_url: Option<String>,
}

/// More than any API has.
const MAX_SCHEMES: usize = 50;

impl Api<'_> {
    /// The security schemes of the description, in its order.
    #[must_use]
    pub fn security(&self) -> Vec<Scheme> {
        let schemes = self.root.pointer("/components/securitySchemes").and_then(Value::as_object);
        let demands = self.demands();
        let one = |(name, scheme): (&String, &Value)| {
            let scheme = resolved(self.root, scheme).ok()?;
            let of_it = demands.iter().filter_map(|demand| demand.get(name));
            let scopes: BTreeSet<&str> =
                of_it.filter_map(Value::as_array).flatten().filter_map(Value::as_str).collect();
            let alone = |demand: &&&Value| demand.as_object().is_some_and(|all| all.len() == 1);
            Some(Scheme {
                name: name.clone(),
                kind: kind(scheme),
                wanted: demands.iter().filter(alone).any(|demand| demand.get(name).is_some()),
                scopes: scopes.into_iter().map(str::to_owned).collect(),
            })
        };
        schemes.into_iter().flatten().filter_map(one).take(MAX_SCHEMES).collect()
    }

    /// What operations demand, each alternative by itself. One that also works without anything demands nothing.
    fn demands(&self) -> Vec<&Value> {
        let of_all = self.root.get("security");
        let of_each =
            self.operations.values().flatten().map(|found| found.operation.get("security").or(of_all));
        let insists = |list: &&Vec<Value>| {
            !list.iter().any(|one| one.as_object().is_some_and(serde_json::Map::is_empty))
        };
        of_each.flatten().filter_map(Value::as_array).filter(insists).flatten().collect()
    }
}

fn kind(scheme: &Value) -> SchemeKind {
    let named = || text(scheme, "name").unwrap_or_default().to_owned();
    let word = text(scheme, "scheme").unwrap_or_default().to_ascii_lowercase();
    match (text(scheme, "type").unwrap_or_default(), text(scheme, "in"), word.as_str()) {
        ("apiKey", Some("header"), _) => SchemeKind::Header(named()),
        ("apiKey", Some("query"), _) => SchemeKind::Query(named()),
        ("apiKey", Some("cookie"), _) => SchemeKind::Cookie(named()),
        ("http", _, "bearer") => SchemeKind::Bearer,
        ("http", _, "basic") => SchemeKind::Basic,
        ("http", _, _) => SchemeKind::Other(format!("http {word}")),
        ("oauth2", ..) => SchemeKind::Oauth2(flow(scheme)),
        (other, ..) => SchemeKind::Other(other.to_owned()),
    }
}

/// The two flows in which a person gives leave. In the others a token comes in another way, or a password is given away.
fn flow(scheme: &Value) -> Flow {
    let url = |flow: &str, field: &str| {
        scheme.pointer(&format!("/flows/{flow}/{field}")).and_then(Value::as_str).map(str::to_owned)
    };
    let (code, device) = ("authorizationCode", "deviceAuthorization");
    Flow {
        authorize_url: url(code, "authorizationUrl"),
        device_url: url(device, "deviceAuthorizationUrl"),
        token_url: url(code, "tokenUrl").or_else(|| url(device, "tokenUrl")),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;

    fn schemes(security: Value, of_operation: Option<Value>) -> Vec<(String, bool, Vec<String>)> {
        let mut operation = json!({"operationId": "list"});
        if let Some(own) = of_operation {
            operation.as_object_mut().unwrap().insert("security".into(), own);
        }
        let root = json!({"openapi": "3.1.0", "security": security, "paths": {"/a": {"get": operation}},
        "components": {"securitySchemes": {
            "key": {"type": "apiKey", "in": "header", "name": "X-Key"},
            "leave": {"type": "oauth2", "flows": {}},
        }}});
        let all = Api::read(&root).unwrap().security();
        all.into_iter().map(|scheme| (scheme.name, scheme.wanted, scheme.scopes)).collect()
    }

    #[test]
    fn a_scheme_is_wanted_where_an_operation_does_nothing_without_it() {
        let none = Vec::<String>::new;
        let check = |security: Value, own: Option<Value>, key: bool, leave: bool| {
            let found = schemes(security.clone(), own.clone());
            assert_eq!(
                found,
                [("key".to_owned(), key, none()), ("leave".to_owned(), leave, none())],
                "{security} {own:?}"
            );
        };
        check(json!([{"key": []}]), None, true, false);
        check(json!([{"key": []}, {"leave": []}]), None, true, true);
        // Both at once, or nothing at all: none is enough, and none is needed.
        check(json!([{"key": [], "leave": []}]), None, false, false);
        check(json!([{"key": []}, {}]), None, false, false);
        check(json!([{"key": []}]), Some(json!([])), false, false);
        check(json!([]), Some(json!([{"leave": []}])), false, true);
    }

    #[test]
    fn what_is_asked_for_with_a_token_is_gathered() {
        let found = schemes(json!([{"leave": ["write", "read"]}]), None);
        assert_eq!(found.last().unwrap().2, ["read", "write"]);
    }

    #[test]
    fn each_kind_is_known_by_its_words() {
        let check = |scheme: Value, expected: SchemeKind| assert_eq!(kind(&scheme), expected, "{scheme}");
        check(json!({"type": "apiKey", "in": "query", "name": "k"}), SchemeKind::Query("k".into()));
        check(json!({"type": "http", "scheme": "Bearer"}), SchemeKind::Bearer);
        check(json!({"type": "http", "scheme": "digest"}), SchemeKind::Other("http digest".into()));
        check(json!({"type": "mutualTLS"}), SchemeKind::Other("mutualTLS".into()));
        check(json!("nonsense"), SchemeKind::Other(String::new()));
        let flow = json!({"type": "oauth2", "flows": {"authorizationCode": {"authorizationUrl": "https://a.example/a",
            "tokenUrl": "https://a.example/t"}}});
        let urls = Flow {
            authorize_url: Some("https://a.example/a".into()),
            token_url: Some("https://a.example/t".into()),
            device_url: None,
        };
        check(flow, SchemeKind::Oauth2(urls));
    }
}
