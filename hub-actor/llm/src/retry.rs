//! When to try again.
//!
//! Answers: how long to wait before the next attempt, or not at all?
//! Never: reads a clock or a random source; both come in as numbers.

use std::time::{Duration, SystemTime};

/// The first pause is half to all of this.
pub const FIRST: Duration = Duration::from_millis(300);

/// No pause of ours is longer; a server's own wish may be.
pub const LONGEST: Duration = Duration::from_secs(8);

/// Attempts at most. With the pauses above this is about half a minute, after which a person rather hears of it.
pub const ATTEMPTS: u32 = 8;

/// Attempts at most while nothing listens: a server that is being started again has a few seconds, one that is not
/// there at all is better told of soon.
pub const CONNECTS: u32 = 5;

/// What an attempt came to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// No connection was made, so the server has seen nothing.
    NoConnection,
    /// The server answered with this status.
    Status(u16),
}

/// How long to wait before the next attempt; `None` when there is no use in one.
///
/// `attempt` counts from 1; `left` is the time until the caller's deadline; `wish` is the server's own
/// (`Retry-After`); `jitter` is from 0 to 1 and keeps many callers from coming back in step.
#[must_use]
pub fn pause(
    outcome: Outcome,
    attempt: u32,
    left: Duration,
    wish: Option<Duration>,
    jitter: f64,
) -> Option<Duration> {
    let attempts = match outcome {
        Outcome::NoConnection => CONNECTS,
        // 529 is what some providers say for "overloaded".
        Outcome::Status(408 | 429 | 500 | 502 | 503 | 504 | 529) => ATTEMPTS,
        Outcome::Status(_) => 1,
    };
    if attempts <= attempt {
        return None;
    }
    let doubled = FIRST.saturating_mul(1 << attempt.saturating_sub(1).min(16)).min(LONGEST);
    let ours = doubled.mul_f64(0.5 + jitter.clamp(0.0, 1.0) / 2.0);
    let pause = wish.map_or(ours, |wish| wish.max(ours));
    // An attempt that could only begin at the deadline is none.
    (pause < left).then_some(pause)
}

/// The server's wish in a `Retry-After` header: whole or broken seconds, or a date of HTTP, which is as far away as this
/// machine's clock (`now`) says. A date that has passed is no wish; our own schedule holds then.
#[must_use]
pub fn wish(retry_after: &str, now: SystemTime) -> Option<Duration> {
    let text = retry_after.trim();
    match text.parse() {
        Ok(seconds) => Duration::try_from_secs_f64(seconds).ok(),
        Err(_) => httpdate::parse_http_date(text).ok()?.duration_since(now).ok(),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const MINUTE: Duration = Duration::from_secs(60);

    #[test]
    fn what_the_client_did_wrong_is_not_tried_again() {
        for status in [400, 401, 403, 404, 413, 422, 501] {
            assert_eq!(pause(Outcome::Status(status), 1, MINUTE, None, 0.5), None, "{status}");
        }
        assert!(pause(Outcome::Status(429), 1, MINUTE, None, 0.5).is_some());
        assert!(pause(Outcome::NoConnection, 1, MINUTE, None, 0.5).is_some());
    }

    /// A moment, seconds since 1970: Wed, 21 Oct 2015 07:28:00 GMT.
    const THEN: u64 = 1_445_412_480;

    fn at(seconds: u64) -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(seconds)
    }

    #[test]
    fn the_servers_own_wish_is_honoured() {
        let wish = wish(" 3 ", at(THEN));
        assert_eq!(pause(Outcome::Status(429), 1, MINUTE, wish, 0.0), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_wish_may_be_a_date_in_every_form_of_http() {
        for text in
            ["Wed, 21 Oct 2015 07:28:00 GMT", "Wednesday, 21-Oct-15 07:28:00 GMT", "Wed Oct 21 07:28:00 2015"]
        {
            assert_eq!(wish(text, at(THEN - 7)), Some(Duration::from_secs(7)), "{text}");
            assert_eq!(wish(text, at(THEN + 1)), None, "it has passed: {text}");
        }
        // A server whose clock is years ahead: it is not waited for, and the call ends at once with its own words.
        let far = wish("Fri, 01 Jan 2038 00:00:00 GMT", at(THEN));
        assert_eq!(pause(Outcome::Status(429), 1, MINUTE, far, 0.0), None);
    }

    #[test]
    fn a_wish_beyond_the_deadline_ends_it_at_once() {
        assert_eq!(pause(Outcome::Status(429), 1, MINUTE, wish("61", at(THEN)), 0.0), None);
    }

    #[test]
    fn a_wish_that_is_neither_number_nor_date_is_none() {
        for text in ["", "soon", "-1", "NaN", "inf", "Wed, 32 Oct 2015 07:28:00 GMT", "2015-10-21T07:28:00Z"]
        {
            assert_eq!(wish(text, at(0)), None, "{text}");
        }
    }

    proptest! {
        #[test]
        fn pauses_stay_within_the_deadline_and_the_cap(attempt in 1u32..100, left in 0u64..100_000, jitter in -1.0f64..2.0) {
            let left = Duration::from_millis(left);
            if let Some(pause) = pause(Outcome::Status(503), attempt, left, None, jitter) {
                prop_assert!(pause < left && pause <= LONGEST && FIRST.mul_f64(0.5) <= pause);
                prop_assert!(attempt < ATTEMPTS);
            }
        }
    }
}
