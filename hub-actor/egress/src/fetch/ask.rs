//! A request as an app wrote it.
//!
//! Answers: what is to be fetched, as far as that can be read without rules?
//! Never: hands on what is not understood, or is too large.
//! Carries: I-16.

use std::time::Duration;

use bus::id::AppId;
use bus::message::egress::{FetchRequest, MAX_REQUEST_BODY, WebError, WebFailure};
use bytes::Bytes;
use reqwest::Method;
use reqwest::header::HeaderMap;
use url::Url;

use super::{method, refused};
use crate::{header, url_rule};

/// What is to be fetched, read and checked as far as that goes without rules.
#[derive(Clone)]
pub struct Ask {
    /// Whose request; connections are not shared between apps.
    pub app: AppId,
    /// One of those in [`method`].
    pub method: Method,
    /// Read by [`url_rule::read`].
    pub url: Url,
    /// Read by [`header::of_request`].
    pub headers: HeaderMap,
    /// All of it.
    pub body: Bytes,
    /// All must be done by then.
    pub limit: Duration,
}

impl Ask {
    /// Reads a request of an app. `seen` is told the address as soon as it is understood, whatever else is wrong.
    ///
    /// # Errors
    /// What is not taken.
    pub fn read(app: AppId, request: FetchRequest, seen: impl FnOnce(&Url)) -> Result<Self, WebFailure> {
        let method = method(&request.method)?;
        let url = url_rule::read(&request.url).map_err(|refusal| refused(&refusal))?;
        seen(&url);
        let headers = header::of_request(&request.headers)?;
        if MAX_REQUEST_BODY < request.body.len() {
            let detail = format!("the body is larger than {MAX_REQUEST_BODY} bytes");
            return Err(WebFailure::new(WebError::Request, detail));
        }
        if !request.body.is_empty() && matches!(method, Method::GET | Method::HEAD) {
            return Err(WebFailure::new(WebError::Request, format!("a {method} request has no body")));
        }
        let limit = Duration::from_millis(request.limit_ms);
        Ok(Self { app, method, url, headers, body: request.body, limit })
    }
}
