//! Everybody in turn.
//!
//! Answers: whose message is handled next?
//! Never: lets one who sends much go before those who send little; holds more for one than it was told to.
//! Carries: I-16.
//!
//! A queue for each sender, emptied one message at a time, round and round. So a message waits for at most one of each other
//! sender, however many those have sent.

use std::collections::hash_map::Entry;
use std::collections::{HashMap, VecDeque};

/// What waits. `T` is a message.
#[derive(Debug)]
pub struct Turns<T> {
    /// For each sender: how many, and bytes.
    most: (usize, usize),
    /// Of those that wait only.
    of: HashMap<String, Queue<T>>,
    /// Those that wait, in the order of their turns.
    order: VecDeque<String>,
}

#[derive(Debug)]
struct Queue<T> {
    items: VecDeque<(T, usize)>,
    bytes: usize,
}

impl<T> Turns<T> {
    /// For so many messages, and bytes, of one sender.
    #[must_use]
    pub fn new(most: (usize, usize)) -> Self {
        Self { most, of: HashMap::new(), order: VecDeque::new() }
    }

    /// Has a message wait. Says whether there was room; one message is taken however large it is.
    pub fn push(&mut self, who: &str, item: T, size: usize) -> bool {
        let queue = match self.of.get_mut(who) {
            Some(queue) => queue,
            None => {
                self.order.push_back(who.to_owned());
                match self.of.entry(who.to_owned()) {
                    Entry::Occupied(queue) => queue.into_mut(),
                    Entry::Vacant(place) => place.insert(Queue { items: VecDeque::new(), bytes: 0 }),
                }
            }
        };
        let full = self.most.0 <= queue.items.len() || self.most.1 < queue.bytes.saturating_add(size);
        if full && !queue.items.is_empty() {
            return false;
        }
        queue.bytes = queue.bytes.saturating_add(size);
        queue.items.push_back((item, size));
        true
    }

    /// The message of whose turn it is.
    pub fn pop(&mut self) -> Option<T> {
        let who = self.order.pop_front()?;
        let queue = self.of.get_mut(&who)?;
        let (item, size) = queue.items.pop_front()?;
        queue.bytes = queue.bytes.saturating_sub(size);
        if queue.items.is_empty() {
            self.of.remove(&who);
        } else {
            self.order.push_back(who);
        }
        Some(item)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(turns: &mut Turns<u32>) -> Vec<u32> {
        std::iter::from_fn(|| turns.pop()).collect()
    }

    #[test]
    fn who_sends_little_waits_for_one_message_of_who_sends_much() {
        let mut turns = Turns::new((100, 1000));
        assert!((0..5).all(|n| turns.push("much", n, 1)));
        assert!(turns.push("little", 10, 1) && turns.push("less", 20, 1));
        assert_eq!(all(&mut turns), [0, 10, 20, 1, 2, 3, 4]);
        assert_eq!((turns.of.len(), turns.order.len()), (0, 0), "nothing is left of them");
    }

    #[test]
    fn each_keeps_its_own_order() {
        let mut turns = Turns::new((100, 1000));
        for n in 0..6 {
            assert!(turns.push(if n % 2 == 0 { "a" } else { "b" }, n, 1));
        }
        assert_eq!(turns.pop(), Some(0));
        assert!(turns.push("a", 6, 1));
        assert_eq!(all(&mut turns), [1, 2, 3, 4, 5, 6]);
    }

    #[test]
    fn one_that_is_full_takes_no_more_and_the_others_do() {
        let mut turns = Turns::new((2, 10));
        assert!(turns.push("a", 0, 4) && turns.push("a", 1, 4) && !turns.push("a", 2, 1), "by count");
        assert!(turns.push("b", 3, 8) && !turns.push("b", 4, 3), "by bytes");
        assert!(turns.push("c", 5, 99), "one is taken however large it is");
        assert_eq!(all(&mut turns), [0, 3, 5, 1]);
        assert!(turns.push("a", 6, 4), "there is room again");
    }
}
