//! W3C trace context, made of what a message says anyway.
//!
//! Answers: of which trace is this message, and of which span?
//! Never: trusted by anybody; it helps whoever looks on.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::id::WorkId;

/// Messages of this process so far.
static SAID: AtomicU64 = AtomicU64::new(1);

/// `00-<trace>-<span>-01`. The trace is that of the query; the span is this very message.
pub(super) fn parent(work: &WorkId) -> String {
    let query = work.query();
    let (high, low) = (hash(query, 0xcbf2_9ce4_8422_2325), hash(query, 0x9e37_79b9_7f4a_7c15));
    let said = SAID.fetch_add(1, Ordering::Relaxed);
    let span = mixed(said ^ u64::from(std::process::id()).rotate_left(32)) | 1;
    format!("00-{high:016x}{low:016x}-{span:016x}-01")
}

/// FNV-1a from a start of one's own. Names are spread, not hidden.
fn hash(text: &str, start: u64) -> u64 {
    let hash = text.bytes().fold(start, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    // All zeros would be no trace.
    mixed(hash) | 1
}

/// The end of SplitMix64.
fn mixed(value: u64) -> u64 {
    let value = (value ^ (value >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    value ^ (value >> 31)
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use super::*;

    #[test]
    fn a_query_and_its_tasks_are_one_trace_and_another_query_is_another() {
        let trace = |work: &WorkId| parent(work)[3..35].to_owned();
        for query in [WorkId::fresh(), WorkId::parse("q1").unwrap(), WorkId::parse(&"x".repeat(32)).unwrap()]
        {
            let (one, two) = (WorkId::within(&query), WorkId::within(&query));
            assert_ne!(one, two);
            assert_eq!([trace(&one), trace(&two)], [trace(&query), trace(&query)]);
            assert_ne!(trace(&query), trace(&WorkId::fresh()));
        }
        let said = parent(&WorkId::fresh());
        assert!(said.starts_with("00-") && said.ends_with("-01") && said.len() == 55, "{said}");
        assert_ne!(&said[36..52], &parent(&WorkId::fresh())[36..52]);
    }
}
