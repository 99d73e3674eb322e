//! What a part of the core says to itself, on `secgpt.echo.<by>`.

use serde::{Deserialize, Serialize};

use crate::envelope::Message;
use crate::id::WorkId;

/// When it comes back, the broker has taken in all that was said before it on the same connection.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Echo {
    /// Tells it from those of other connections in the same role.
    pub id: WorkId,
}

impl Message for Echo {
    const KIND: &'static str = "echo";
    const MAX: usize = 4 << 10;
}
