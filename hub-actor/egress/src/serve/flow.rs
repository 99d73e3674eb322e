//! Fetches and tunnels under way, and how far each side has come.
//!
//! Answers: to which conversation does this word of a spoke belong, and how many chunks may still be sent?
//! Never: holds more of one conversation than its window, or more conversations than there is room for; lets one spoke
//! speak of another's.
//! Carries: I-02, I-16.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bus::id::{SpokeAddr, WorkId};
use bus::message::egress::{WINDOW, WINDOW_BYTES, WebError, WebFailure};
use bytes::Bytes;
use tokio::sync::{mpsc, watch};
use tokio::time::timeout;

/// What a spoke said of its side.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Said {
    /// Chunks that it has taken, in all.
    pub taken: u32,
    /// It wants no more; or it broke the protocol.
    pub stopped: Option<WebError>,
}

/// Bytes from a spoke.
#[derive(Debug)]
pub(super) enum Up {
    /// The next piece.
    Data(Bytes),
    /// There are no more.
    Finish,
}

/// Chunks that were sent of a body, or into a tunnel.
#[derive(Debug, Default)]
pub(super) struct Sent {
    /// In all.
    chunks: u32,
    /// The sizes of those that were not taken yet, oldest first, and their sum.
    under_way: (VecDeque<usize>, usize),
}

/// All conversations of one kind.
pub(super) struct Conversations {
    of_a_spoke: usize,
    all: usize,
    table: Table,
}

type Table = Arc<Mutex<HashMap<(SpokeAddr, WorkId), Entry>>>;

struct Entry {
    said: watch::Sender<Said>,
    up: mpsc::Sender<Up>,
    /// The number of the next piece from the spoke.
    next: u32,
}

/// A conversation's place in the table; leaves it when dropped.
pub(super) struct Place {
    key: (SpokeAddr, WorkId),
    table: Table,
    /// What the spoke said.
    pub said: watch::Receiver<Said>,
    /// What the spoke sent.
    pub up: mpsc::Receiver<Up>,
}

impl Conversations {
    pub(super) fn new(of_a_spoke: usize, all: usize) -> Self {
        Self { of_a_spoke, all, table: Arc::default() }
    }

    /// Makes room for a new one.
    pub(super) fn enter(&self, spoke: &SpokeAddr, id: &WorkId) -> Result<Place, WebFailure> {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (spoke.clone(), id.clone());
        if table.contains_key(&key) {
            return Err(WebFailure::new(WebError::Flow, "this id is in use"));
        }
        let own = table.keys().filter(|(other, _)| other == spoke).count();
        if self.of_a_spoke <= own {
            let detail = format!("{own} are under way for this app already; wait for one to end");
            return Err(WebFailure::new(WebError::Busy, detail));
        }
        if self.all <= table.len() {
            return Err(WebFailure::new(
                WebError::Busy,
                "too many are under way for all apps; try again later",
            ));
        }
        let (said, hears) = watch::channel(Said::default());
        // One more than the window, for the word that there is no more.
        let (sends, up) = mpsc::channel(WINDOW as usize + 1);
        table.insert(key.clone(), Entry { said, up: sends, next: 0 });
        Ok(Place { key, table: Arc::clone(&self.table), said: hears, up })
    }

    /// The spoke took so many. A number that goes back does no harm, and one beyond what was sent ends it: see [`room`].
    pub(super) fn taken(&self, spoke: &SpokeAddr, id: &WorkId, chunks: u32) {
        self.with(spoke, id, |entry| entry.said.send_modify(|said| said.taken = said.taken.max(chunks)));
    }

    /// The spoke wants no more.
    pub(super) fn stop(&self, spoke: &SpokeAddr, id: &WorkId) {
        self.with(spoke, id, |entry| entry.stop(WebError::Stopped));
    }

    /// The spoke is no more, or has nothing here yet.
    pub(super) fn end_all(&self, spoke: &SpokeAddr) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        let own = table.iter_mut().filter(|((other, _), _)| other == spoke);
        own.for_each(|(_, entry)| entry.stop(WebError::Stopped));
    }

    /// The spoke sends bytes. A gap, or more than the window holds, ends the conversation.
    pub(super) fn data(&self, spoke: &SpokeAddr, id: &WorkId, seq: u32, bytes: Bytes) {
        self.with(spoke, id, |entry| {
            if seq != entry.next || bytes.is_empty() {
                return entry.stop(WebError::Flow);
            }
            entry.next = entry.next.wrapping_add(1);
            if entry.up.try_send(Up::Data(bytes)).is_err() {
                entry.stop(WebError::Flow);
            }
        });
    }

    /// The spoke sends no more.
    pub(super) fn finish(&self, spoke: &SpokeAddr, id: &WorkId) {
        self.with(spoke, id, |entry| {
            if entry.up.try_send(Up::Finish).is_err() {
                entry.stop(WebError::Flow);
            }
        });
    }

    /// A word about a conversation that has ended is nothing unusual: it was under way when the end was sent.
    fn with(&self, spoke: &SpokeAddr, id: &WorkId, act: impl FnOnce(&mut Entry)) {
        let mut table = self.table.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(entry) = table.get_mut(&(spoke.clone(), id.clone())) {
            act(entry);
        }
    }
}

impl Entry {
    fn stop(&self, why: WebError) {
        self.said.send_modify(|said| _ = said.stopped.get_or_insert(why));
    }
}

impl Place {
    /// Returns when the spoke wants no more.
    pub(super) fn stopped(&self) -> impl Future<Output = WebFailure> + use<> {
        stopped(self.said.clone())
    }
}

impl Sent {
    /// Counts one more; which number it has.
    pub(super) fn add(&mut self, size: usize) -> u32 {
        let (sizes, bytes) = &mut self.under_way;
        sizes.push_back(size);
        *bytes += size;
        let seq = self.chunks;
        self.chunks = seq.wrapping_add(1);
        seq
    }

    /// With so many taken by now, is there room for one more?
    fn room(&mut self, taken: u32, size: usize) -> bool {
        let left = self.chunks.saturating_sub(taken) as usize;
        let (sizes, bytes) = &mut self.under_way;
        while left < sizes.len() {
            *bytes -= sizes.pop_front().unwrap_or_default();
        }
        sizes.len() < WINDOW as usize && *bytes + size <= WINDOW_BYTES
    }
}

/// Returns when one more chunk of this size may be sent.
pub(super) async fn room(
    said: &mut watch::Receiver<Said>,
    sent: &mut Sent,
    size: usize,
    patience: Duration,
) -> Result<(), WebFailure> {
    let free =
        |said: &Said| said.stopped.is_some() || sent.chunks < said.taken || sent.room(said.taken, size);
    match timeout(patience, said.wait_for(free)).await {
        Ok(Ok(said)) => match said.stopped {
            Some(why) => Err(of(why)),
            // It would have an endless window.
            None if sent.chunks < said.taken => Err(of(WebError::Flow)),
            None => Ok(()),
        },
        Ok(Err(_)) => Err(of(WebError::Stopped)),
        Err(_) => Err(WebFailure::new(WebError::Flow, "nothing was taken for too long")),
    }
}

/// As [`Place::stopped`].
async fn stopped(mut said: watch::Receiver<Said>) -> WebFailure {
    let why = said.wait_for(|said| said.stopped.is_some()).await.ok().and_then(|said| said.stopped);
    of(why.unwrap_or(WebError::Stopped))
}

fn of(why: WebError) -> WebFailure {
    match why {
        WebError::Flow => WebFailure::new(why, "sent out of order, or beyond the window"),
        _ => WebFailure::new(why, "stopped by the spoke"),
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.table.lock().unwrap_or_else(PoisonError::into_inner).remove(&self.key);
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use bus::id::{AppId, SpokeId};

    use super::*;

    fn spoke(id: &str) -> SpokeAddr {
        SpokeAddr { app: AppId::parse("mail").unwrap(), id: SpokeId::parse(id).unwrap() }
    }

    fn id(text: &str) -> WorkId {
        WorkId::parse(text).unwrap()
    }

    const NOW: Duration = Duration::from_millis(10);

    #[tokio::test]
    async fn no_more_than_the_window_is_sent_until_the_spoke_took_some() {
        let all = Conversations::new(4, 4);
        let mut place = all.enter(&spoke("a"), &id("x")).unwrap();
        let mut sent = Sent::default();
        for seq in 0..WINDOW {
            assert!(room(&mut place.said, &mut sent, 1, NOW).await.is_ok());
            assert_eq!(sent.add(1), seq);
        }
        assert_eq!(room(&mut place.said, &mut sent, 1, NOW).await.unwrap_err().code, WebError::Flow);
        all.taken(&spoke("a"), &id("x"), 1);
        assert!(room(&mut place.said, &mut sent, 1, NOW).await.is_ok());
        all.taken(&spoke("a"), &id("x"), WINDOW);
        assert!(room(&mut place.said, &mut sent, 1, NOW).await.is_ok());
        all.taken(&spoke("a"), &id("x"), WINDOW + 1);
        let lied = room(&mut place.said, &mut sent, 1, NOW).await.unwrap_err();
        assert_eq!(lied.code, WebError::Flow, "it took what was not sent");
    }

    #[tokio::test]
    async fn a_body_has_a_window_of_chunks_and_one_of_bytes() {
        let all = Conversations::new(4, 4);
        for (size, fit) in [(1, WINDOW), (WINDOW_BYTES / 4, 4), (WINDOW_BYTES / 4 + 1, 3)] {
            let id = id(&format!("x{size}"));
            let mut place = all.enter(&spoke("a"), &id).unwrap();
            let mut sent = Sent::default();
            for seq in 0..fit {
                assert!(room(&mut place.said, &mut sent, size, NOW).await.is_ok(), "{seq} of {size}");
                assert_eq!(sent.add(size), seq);
            }
            assert_eq!(room(&mut place.said, &mut sent, size, NOW).await.unwrap_err().code, WebError::Flow);
            all.taken(&spoke("a"), &id, 1);
            assert!(room(&mut place.said, &mut sent, size, NOW).await.is_ok());
            sent.add(size);
            assert_eq!(room(&mut place.said, &mut sent, size, NOW).await.unwrap_err().code, WebError::Flow);
        }
    }

    #[tokio::test]
    async fn a_spoke_cannot_speak_of_anothers_conversation() {
        let all = Conversations::new(4, 4);
        let place = all.enter(&spoke("a"), &id("x")).unwrap();
        all.stop(&spoke("b"), &id("x"));
        all.taken(&spoke("b"), &id("x"), 9);
        assert_eq!(*place.said.borrow(), Said::default());
        all.stop(&spoke("a"), &id("x"));
        assert_eq!(place.said.borrow().stopped, Some(WebError::Stopped));
    }

    #[tokio::test]
    async fn a_gap_or_more_than_the_window_ends_it() {
        let all = Conversations::new(4, 4);
        let gap = all.enter(&spoke("a"), &id("gap")).unwrap();
        all.data(&spoke("a"), &id("gap"), 1, Bytes::from_static(b"x"));
        assert_eq!(gap.stopped().await.code, WebError::Flow);
        let flood = all.enter(&spoke("a"), &id("flood")).unwrap();
        for seq in 0..=WINDOW {
            all.data(&spoke("a"), &id("flood"), seq, Bytes::from_static(b"x"));
            assert_eq!(flood.said.borrow().stopped, None);
        }
        all.data(&spoke("a"), &id("flood"), WINDOW + 1, Bytes::from_static(b"x"));
        assert_eq!(flood.stopped().await.code, WebError::Flow);
    }

    #[test]
    fn there_is_room_for_so_many_and_it_is_free_again_after_them() {
        let all = Conversations::new(2, 3);
        let first = all.enter(&spoke("a"), &id("x")).unwrap();
        assert_eq!(all.enter(&spoke("a"), &id("x")).err().unwrap().code, WebError::Flow);
        let _second = all.enter(&spoke("a"), &id("y")).unwrap();
        assert_eq!(all.enter(&spoke("a"), &id("z")).err().unwrap().code, WebError::Busy);
        let _third = all.enter(&spoke("b"), &id("x")).unwrap();
        assert_eq!(all.enter(&spoke("b"), &id("y")).err().unwrap().code, WebError::Busy);
        drop(first);
        assert!(all.enter(&spoke("a"), &id("z")).is_ok());
    }
}
