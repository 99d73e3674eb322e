//! Bytes of a connection, on their way into a tunnel's messages.
//!
//! Answers: what is there to be sent now?
//! Never: holds memory for a connection that is silent; takes more than one message carries.
//! Carries: I-16.

use bytes::{Bytes, BytesMut};
use tokio::net::tcp::ReadHalf;

use crate::message::egress::CHUNK;

/// What there is, up to a [`CHUNK`]; empty at the end of the connection.
///
/// # Errors
/// If the connection breaks off.
pub async fn piece(from: &mut ReadHalf<'_>) -> std::io::Result<Bytes> {
    loop {
        from.readable().await?;
        let mut bytes = BytesMut::with_capacity(CHUNK);
        match from.try_read_buf(&mut bytes) {
            Ok(_) => return Ok(bytes.freeze()),
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use tokio::io::AsyncWriteExt;
    use tokio::net::{TcpListener, TcpStream};

    use super::*;

    #[tokio::test]
    async fn what_is_there_comes_at_once_up_to_a_message() {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let mut near = TcpStream::connect(listener.local_addr().unwrap()).await.unwrap();
        let (mut far, _) = listener.accept().await.unwrap();
        near.write_all(&vec![7; CHUNK + 10]).await.unwrap();
        near.shutdown().await.unwrap();
        // All of it has come when the end has.
        while far.peek(&mut vec![0; CHUNK + 20]).await.unwrap() < CHUNK + 10 {}
        let (mut from, _) = far.split();
        let first = piece(&mut from).await.unwrap();
        assert_eq!(first.len(), CHUNK);
        assert_eq!(piece(&mut from).await.unwrap().len(), 10);
        assert!(piece(&mut from).await.unwrap().is_empty());
    }
}
