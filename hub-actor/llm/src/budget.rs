//! What each task may spend on the model.
//!
//! Answers: may this spoke make this call now?
//! Never: permits a call that the hub announced no budget for; reads a clock of its own.
//! Carries: I-16. No budget, no call.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use bus::id::{SpokeAddr, WorkId};
use bus::message::chat::Budget;

/// Calls of one task that may run at once. More would let one task fill the queue that all share.
pub const AT_ONCE: u32 = 8;

/// Budgets kept at once. The hub takes them back by their end; beyond this many the oldest end first.
pub const BUDGETS: usize = 100_000;

/// All budgets in force.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: HashMap<(SpokeAddr, WorkId), Account>,
}

#[derive(Debug)]
struct Account {
    calls: u32,
    tokens: u64,
    model: Option<String>,
    until: Instant,
    calls_made: u32,
    tokens_spent: u64,
    running: u32,
}

/// A call that was permitted and is to be settled with [`Ledger::settle`].
#[derive(Debug, PartialEq, Eq)]
#[must_use = "a call that is not settled runs for ever, as far as the budget knows"]
pub struct Ticket {
    key: (SpokeAddr, WorkId),
    reserved: u64,
    /// The model of the app's manifest, if it names one.
    pub model: Option<String>,
}

/// Why a call is not permitted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Denied {
    /// The hub announced nothing for this spoke and task.
    #[error("the hub announced no model budget for this task")]
    Unknown,
    /// It was announced, and its time is over.
    #[error("the time of this task's model budget is over")]
    Expired,
    /// All calls are made.
    #[error(
        "all {0} model calls of this task are used up; the app's manifest may allow more (limits.model_calls)"
    )]
    Calls(u32),
    /// All tokens are spent, or the request alone is more than what is left.
    #[error(
        "the {0} model tokens of this task are used up; the app's manifest may allow more (limits.tokens)"
    )]
    Tokens(u64),
    /// Too many calls run at once.
    #[error("{AT_ONCE} model calls of this task are running already")]
    AtOnce,
}

impl Ledger {
    /// Puts a budget in force. Announced again for the same spoke and task, the new limits hold, and what was spent
    /// stays spent.
    pub fn announce(&mut self, budget: Budget, now: Instant) {
        self.accounts.retain(|_, account| now < account.until || 0 < account.running);
        if BUDGETS <= self.accounts.len()
            && let Some(oldest) =
                self.accounts.iter().min_by_key(|(_, account)| account.until).map(|(key, _)| key.clone())
        {
            self.accounts.remove(&oldest);
        }
        // A lifetime beyond what the clock can hold is as good as a day.
        let lifetime = Duration::from_millis(budget.lifetime_ms).min(Duration::from_secs(24 * 60 * 60));
        let account = self.accounts.entry((budget.spoke, budget.task)).or_insert(Account {
            calls: 0,
            tokens: 0,
            model: None,
            until: now,
            calls_made: 0,
            tokens_spent: 0,
            running: 0,
        });
        account.calls = budget.calls;
        account.tokens = budget.tokens;
        account.model = budget.model;
        account.until = now + lifetime;
    }

    /// May a call be made whose request is about `estimate` tokens long? If so, the call and these tokens are taken
    /// off the budget at once, so that calls at the same time cannot spend the same tokens.
    ///
    /// # Errors
    /// Says what is missing.
    pub fn open(
        &mut self,
        spoke: &SpokeAddr,
        task: &WorkId,
        estimate: u64,
        now: Instant,
    ) -> Result<Ticket, Denied> {
        let key = (spoke.clone(), task.clone());
        let account = self.accounts.get_mut(&key).ok_or(Denied::Unknown)?;
        if account.until <= now {
            return Err(Denied::Expired);
        }
        if account.calls <= account.calls_made {
            return Err(Denied::Calls(account.calls));
        }
        let spent = account.tokens_spent.saturating_add(estimate);
        if account.tokens < spent {
            return Err(Denied::Tokens(account.tokens));
        }
        if AT_ONCE <= account.running {
            return Err(Denied::AtOnce);
        }
        account.calls_made = account.calls_made.saturating_add(1);
        account.tokens_spent = spent;
        account.running = account.running.saturating_add(1);
        Ok(Ticket { key, reserved: estimate, model: account.model.clone() })
    }

    /// A call is over and cost this many tokens, request and reply together. A reply may end beyond the budget; the
    /// next call is then denied.
    pub fn settle(&mut self, ticket: Ticket, used: u64) {
        if let Some(account) = self.accounts.get_mut(&ticket.key) {
            account.running = account.running.saturating_sub(1);
            account.tokens_spent = account.tokens_spent.saturating_sub(ticket.reserved).saturating_add(used);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::indexing_slicing)]
mod tests {
    use bus::id::{AppId, SpokeId};
    use proptest::prelude::*;

    use super::*;

    fn spoke(id: &str) -> SpokeAddr {
        SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse(id).unwrap() }
    }

    fn task(id: &str) -> WorkId {
        WorkId::parse(id).unwrap()
    }

    fn budget(calls: u32, tokens: u64) -> Budget {
        Budget { spoke: spoke("a1"), task: task("t1"), calls, tokens, model: None, lifetime_ms: 1000 }
    }

    #[test]
    fn a_spoke_without_a_budget_is_denied() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        assert_eq!(ledger.open(&spoke("a1"), &task("t1"), 1, now), Err(Denied::Unknown));
        // Control: with one, the same call is permitted; another spoke and another task still are not.
        ledger.announce(budget(1, 10), now);
        assert_eq!(ledger.open(&spoke("b1"), &task("t1"), 1, now), Err(Denied::Unknown));
        assert_eq!(ledger.open(&spoke("a1"), &task("t2"), 1, now), Err(Denied::Unknown));
        assert!(ledger.open(&spoke("a1"), &task("t1"), 1, now).is_ok());
    }

    #[test]
    fn a_budget_ends_with_its_time() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        ledger.announce(budget(9, 99), now);
        let late = now + Duration::from_millis(1000);
        assert_eq!(ledger.open(&spoke("a1"), &task("t1"), 1, late), Err(Denied::Expired));
        assert!(ledger.open(&spoke("a1"), &task("t1"), 1, late - Duration::from_millis(1)).is_ok());
    }

    #[test]
    fn a_budget_that_is_announced_again_keeps_what_was_spent() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        ledger.announce(budget(1, 10), now);
        let ticket = ledger.open(&spoke("a1"), &task("t1"), 1, now).unwrap();
        ledger.settle(ticket, 5);
        ledger.announce(budget(1, 10), now);
        assert_eq!(ledger.open(&spoke("a1"), &task("t1"), 1, now), Err(Denied::Calls(1)));
    }

    #[test]
    fn calls_at_once_cannot_spend_the_same_tokens() {
        let now = Instant::now();
        let mut ledger = Ledger::default();
        ledger.announce(budget(9, 10), now);
        let _running = ledger.open(&spoke("a1"), &task("t1"), 8, now).unwrap();
        assert_eq!(ledger.open(&spoke("a1"), &task("t1"), 8, now), Err(Denied::Tokens(10)));
    }

    proptest! {
        #[test]
        fn no_more_calls_are_made_than_announced(calls in 0u32..20, tokens in 0u64..1000, costs in proptest::collection::vec((0u64..100, 0u64..100, any::<bool>()), 0..60)) {
            let now = Instant::now();
            let mut ledger = Ledger::default();
            ledger.announce(budget(calls, tokens), now);
            let (mut made, mut spent, mut open) = (0, 0, Vec::new());
            for (estimate, used, at_once) in costs {
                match ledger.open(&spoke("a1"), &task("t1"), estimate, now) {
                    Ok(ticket) => {
                        made += 1;
                        prop_assert!(spent <= tokens, "a call was permitted after the tokens were spent");
                        open.push((ticket, used));
                    }
                    Err(denied) => prop_assert_ne!(denied, Denied::Unknown),
                }
                prop_assert!(open.len() <= AT_ONCE as usize);
                if !at_once {
                    for (ticket, used) in open.drain(..) {
                        spent += used;
                        ledger.settle(ticket, used);
                    }
                }
            }
            prop_assert!(made <= calls);
        }
    }
}
