//! The settings as written.
//!
//! Answers: which keys are there?
//! Never: accepts a key that it does not know.

use figment::value::magic::RelativePathBuf;
use serde::Deserialize;

use super::Provider;
use super::span::Span;

/// Defines a section and, from the same list, the names of its keys.
macro_rules! sections {
    ($($(#[$doc:meta])* $section:ident: $type:ident { $($key:ident: $value:ty),* $(,)? })*) => {
        $($(#[$doc])*
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct $type { $(pub $key: Option<$value>),* })*

        /// As written: everything may be absent.
        #[derive(Debug, Default, Deserialize)]
        #[serde(deny_unknown_fields)]
        pub struct RawConfig { $(#[serde(default)] pub $section: $type),* }

        /// All keys, as `section.key`.
        #[must_use]
        pub fn keys() -> Vec<&'static str> {
            vec![$($(concat!(stringify!($section), ".", stringify!($key))),*),*]
        }
    };
}

sections! {
    /// `[bus]`
    bus: RawBus {
        url: String,
        credentials: RelativePathBuf,
        tls_ca: RelativePathBuf,
        listen: String,
        tls_cert: RelativePathBuf,
        tls_key: RelativePathBuf,
        server: RelativePathBuf,
    }
    /// `[model]`
    model: RawModel {
        provider: Provider,
        base_url: String,
        model: String,
        api_key_env: String,
        embeddings_model: String,
        timeout: Span,
    }
    /// `[memory]`
    memory: RawMemory {
        url: String,
        ttl: Span,
        summary_token_limit: u64,
        server: RelativePathBuf,
    }
    /// `[apps]`
    apps: RawApps {
        dirs: Vec<RelativePathBuf>,
        enabled: Vec<String>,
    }
    /// `[egress]`
    egress: RawEgress {
        suffix_list: RelativePathBuf,
        tls_ca: RelativePathBuf,
        key_file: RelativePathBuf,
    }
    /// `[permission]`
    permission: RawPermission {
        preset: String,
        policies: Vec<RelativePathBuf>,
        prompt_timeout: Span,
    }
    /// `[sandbox]`
    sandbox: RawSandbox {
        memory_mb: u64,
        cpu_s: u64,
        file_mb: u64,
        data_mb: u64,
        processes: u64,
        open_files: u64,
        task_s: u64,
        model_calls: u32,
        tokens: u64,
        requests: u32,
        capacity: u32,
    }
    /// `[state]`
    state: RawState {
        dir: RelativePathBuf,
    }
    /// `[data]`
    data: RawData {
        dir: RelativePathBuf,
    }
}
