//! Lines for the log: spoke to hub on `…out.log.line`.

use serde::{Deserialize, Serialize};

use crate::envelope::Message;

/// Some lines that an app wrote to its standard error. A stranger's words: to be shown as such, never acted on.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Lines {
    /// Each at most 1,000 bytes.
    pub lines: Vec<String>,
    /// How many came too fast to be sent since the last message.
    pub dropped: u64,
}

impl Message for Lines {
    const KIND: &'static str = "log-lines";
    const MAX: usize = 64 << 10;
}
