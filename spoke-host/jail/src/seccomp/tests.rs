//! What `seccomp.rs` promises, each promise a test.

use super::{Filter, call_name, call_number};

#[test]
fn what_is_tested_and_what_runs_differ_in_the_default_alone() {
    const RETURN: u16 = 0x06;
    const KILL: u32 = 0x8000_0000;
    for filter in [Filter::spoke(), Filter::app()] {
        assert_eq!(filter.main_kills.len(), filter.main_reports.len());
        let mut differ = 0;
        for (kills, reports) in filter.main_kills.iter().zip(filter.main_reports) {
            assert_eq!((kills.code, kills.jt, kills.jf), (reports.code, reports.jt, reports.jf));
            if kills.k != reports.k {
                assert_eq!((kills.code, kills.k), (RETURN, KILL));
                differ += 1;
            }
        }
        assert!(0 < differ);
        // The check of the architecture kills in both.
        let kills_at = |program: &[libc::sock_filter]| program.iter().position(|one| one.k == KILL);
        assert_eq!(kills_at(filter.main_reports), Some(2));
    }
}

#[test]
fn calls_have_names_both_ways() {
    assert_eq!(call_number("unshare").and_then(call_name), Some("unshare"));
    assert_eq!(call_name(u32::MAX), None);
}
