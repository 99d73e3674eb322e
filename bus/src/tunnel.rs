//! Bytes of a connection, on their way into a tunnel's messages.
//!
//! Answers: what is there to be sent now?
//! Never: holds memory for a connection that is silent; takes more than one message carries.
//! Carries: I-16.

use bytes::{Bytes, BytesMut};
use tokio::net::tcp::ReadHalf;

/// The room for the first piece, bytes.
const FIRST: usize = 16 << 10;

/// Reads a connection piece by piece. A connection that fills its pieces gets larger ones, since a message costs the same
/// whatever its size, and one that does not gets smaller ones.
#[derive(Clone, Copy, Debug)]
pub struct Pieces {
    most: usize,
    room: usize,
}

impl Pieces {
    /// Of so many bytes, at most.
    #[must_use]
    pub fn up_to(most: usize) -> Self {
        Self { most, room: FIRST.min(most) }
    }

    /// What there is; empty at the end of the connection.
    ///
    /// # Errors
    /// If the connection breaks off.
    pub async fn next(&mut self, from: &mut ReadHalf<'_>) -> std::io::Result<Bytes> {
        loop {
            from.readable().await?;
            let mut bytes = BytesMut::with_capacity(self.room);
            match from.try_read_buf(&mut bytes) {
                Ok(count) => {
                    self.room = room_after(self.room, count).min(self.most);
                    return Ok(bytes.freeze());
                }
                Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
                Err(error) => return Err(error),
            }
        }
    }
}

/// For the piece after one of this size.
fn room_after(room: usize, size: usize) -> usize {
    if room <= size {
        room.saturating_mul(2)
    } else if size < room / 4 {
        (room / 2).max(FIRST)
    } else {
        room
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn what_is_there_comes_in_pieces_that_grow_up_to_a_message() {
        const MOST: usize = 2 * FIRST;
        // Less than a connection holds that nobody reads.
        let all = FIRST + MOST + 10;
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.write_all(&vec![7; all]).await.unwrap();
        near.shutdown().await.unwrap();
        let whole = async { while far.peek(&mut vec![0; all]).await.unwrap() < all {} };
        tokio::time::timeout(std::time::Duration::from_secs(10), whole).await.unwrap();
        let (mut from, _) = far.split();
        let mut pieces = Pieces::up_to(MOST);
        let mut sizes = Vec::new();
        loop {
            let piece = pieces.next(&mut from).await.unwrap();
            if piece.is_empty() {
                break;
            }
            sizes.push(piece.len());
        }
        assert_eq!(sizes, [FIRST, MOST, 10]);
    }

    #[test]
    fn the_room_follows_what_comes_and_is_never_less_than_the_first() {
        assert_eq!(room_after(FIRST, FIRST), 2 * FIRST);
        assert_eq!(room_after(2 * FIRST, FIRST), 2 * FIRST);
        assert_eq!(room_after(8 * FIRST, 1), 4 * FIRST);
        assert_eq!(room_after(FIRST, 1), FIRST);
    }
}
