//! What `secgpt apps authorize` and `egress-gateway credential authorize` say to each other.
//!
//! Answers: which lines pass while a person gives an app leave to use an account?
//! Never: carries a token; those go from the server into the gateway's sealed file. A client's secret goes in on standard
//! input, and nothing secret comes back.
//! Carries: I-15.
//!
//! The gateway's command reads one [`Client`] on standard input, then says a JSON object a line.

use serde::{Deserialize, Serialize};

use crate::secret::Secret;

/// Who asks, where the manifest does not say it.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Client {
    /// As the authorization server knows it.
    #[serde(default)]
    pub id: Option<String>,
    /// With which word, if the server wants one even from programs on people's machines.
    #[serde(default)]
    pub secret: Option<Secret>,
}

/// What the gateway's command says.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Said {
    /// To be opened in a browser on this machine; the answer comes back to it.
    Open {
        /// Of the authorization server; checked.
        url: String,
    },
    /// To be opened in any browser, where the code is to be typed.
    Visit {
        /// As the authorization server named it; checked.
        url: String,
        /// Short, of letters, digits and `-`.
        code: String,
        /// The same with the code in it, if the server named that.
        complete: Option<String>,
        /// How long the code is good, seconds.
        seconds: u64,
    },
    /// Last: it is kept.
    Stored {
        /// Until when the token is good, seconds since 1970, if the server said.
        expires: Option<u64>,
        /// Can the gateway renew it by itself?
        renewable: bool,
    },
    /// Or: nothing was kept.
    Failed {
        /// In a sentence.
        detail: String,
        /// What to do.
        hint: Option<String>,
    },
}
