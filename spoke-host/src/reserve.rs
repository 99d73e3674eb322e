//! Processes that wait to become a spoke.
//!
//! Answers: is there a process that was executed already, so that a spoke need not wait for that?
//! Never: gives one process to two spokes; hands out one that has ended; tells a waiting process anything, so that it
//! holds nothing but a key of its own.
//! Carries: I-10.
//!
//! Loading a program and making a key take about as long as all layers of confinement together, and depend on nothing
//! that the hub says.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::{Mutex, PoisonError};

use bus::message::host::SpawnFailure;

use crate::process::Process;

/// How many wait. A query seldom starts more at once, and each is half a megabyte.
const WAITING: usize = 2;

/// The longest line of a spoke, bytes.
const MAX_LINE: usize = 8 << 10;

/// The processes that wait.
#[derive(Default)]
pub(crate) struct Reserve(Mutex<VecDeque<Process>>);

impl Reserve {
    /// A process of this program: one that waits, or a new one.
    ///
    /// # Errors
    /// If there is none and none can be started.
    pub(crate) fn take(&self, program: &Path) -> Result<Process, SpawnFailure> {
        while let Some(mut waiting) = self.pop() {
            // One that ended while it waited is nobody's spoke; somebody may have killed it.
            if matches!(waiting.child.try_wait(), Ok(None)) {
                return Ok(waiting);
            }
        }
        executed(program)
    }

    /// Starts as many as are wanting. To be called when nobody waits for a spoke, as it takes a processor a while.
    pub(crate) fn fill(&self, program: &Path) {
        while self.processes().len() < WAITING {
            match executed(program) {
                Ok(process) => self.processes().push_back(process),
                Err(failure) => {
                    // The next spoke is told; it tries anew.
                    tracing::warn!(detail = failure.detail, "no process could be started in advance");
                    return;
                }
            }
        }
    }

    fn pop(&self) -> Option<Process> {
        self.processes().pop_front()
    }

    fn processes(&self) -> std::sync::MutexGuard<'_, VecDeque<Process>> {
        // Nothing panics while it holds the lock; and if it did, the queue is whole.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn executed(program: &Path) -> Result<Process, SpawnFailure> {
    Process::execute(program, "run", MAX_LINE)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::path::Path;

    use super::{Reserve, WAITING};

    /// Any program that reads its input to the end will do.
    const PROGRAM: &str = "/bin/cat";

    #[tokio::test]
    async fn a_process_is_given_once_and_replaced() {
        let reserve = Reserve::default();
        // `cat run <pid>` ends at once, which is what a process that was killed looks like.
        reserve.fill(Path::new(PROGRAM));
        let pids: Vec<_> = reserve.processes().iter().map(|process| process.child.id()).collect();
        assert_eq!(pids.len(), WAITING);
        tokio::time::sleep(std::time::Duration::from_millis(300)).await;
        let taken = reserve.take(Path::new(PROGRAM)).unwrap();
        assert!(!pids.contains(&taken.child.id()), "a process that has ended was handed out");
        assert_eq!(reserve.processes().len(), 0);
    }

    #[tokio::test]
    async fn a_program_that_is_not_there_is_a_failure_in_words() {
        let failure = Reserve::default().take(Path::new("/nowhere/spoke")).err().unwrap();
        assert!(failure.detail.contains("/nowhere/spoke could not be started"), "{}", failure.detail);
    }
}
