//! Servers of the web for tests: each answers word for word what its test says, good manners or not.
//!
//! Answers: how does a test have a server over real TLS, and what did that server get to see?
//! Never: listens on another address than loopback, or past the runtime it was started in.

pub mod authorization;
pub mod google;

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// An authority that no machine trusts unless it is told.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Default for Authority {
    fn default() -> Self {
        Self::new()
    }
}

impl Authority {
    /// A new one.
    ///
    /// # Panics
    /// If no key can be made.
    #[must_use]
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        // Its own, or programs take the certificates that it signs for signed by themselves.
        params.distinguished_name.push(rcgen::DnType::CommonName, "authority of a test");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    /// Its certificate.
    #[must_use]
    pub fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    /// For a server with these names or addresses.
    ///
    /// # Panics
    /// If one of them is neither.
    #[must_use]
    pub fn acceptor(&self, names: &[&str]) -> tokio_rustls::TlsAcceptor {
        let key = KeyPair::generate().unwrap();
        let names = names.iter().map(|&name| name.to_owned()).collect::<Vec<_>>();
        let certificate = CertificateParams::new(names).unwrap().signed_by(&key, &self.0).unwrap();
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let config = rustls::ServerConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_no_client_auth()
            .with_single_cert(
                vec![certificate.der().clone()],
                PrivateKeyDer::Pkcs8(key.serialize_der().into()),
            )
            .unwrap();
        Arc::new(config).into()
    }

    /// Trust in it, and in nobody else.
    ///
    /// # Panics
    /// Never, with a certificate of its own making.
    #[must_use]
    pub fn trusted(&self) -> rustls::ClientConfig {
        let mut roots = rustls::RootCertStore::empty();
        roots.add(self.0.as_ref().der().clone()).unwrap();
        rustls::ClientConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
            .with_safe_default_protocol_versions()
            .unwrap()
            .with_root_certificates(roots)
            .with_no_client_auth()
    }
}

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Seen {
    /// `GET /path HTTP/1.1`.
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    /// All of it.
    pub body: Vec<u8>,
}

impl Seen {
    /// The value of a header, named in lower case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }

    /// With its query.
    ///
    /// # Panics
    /// If the line is no request's.
    #[must_use]
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// What the server does next.
pub enum Act {
    /// Sends this.
    Send(Vec<u8>),
    /// The same, where making it anew for each answer would take time that is measured.
    Share(Arc<Vec<u8>>),
    /// Sends nothing for so long.
    Pause(Duration),
    /// Again and again, until the other side has enough.
    Endless(Vec<u8>, Duration),
    /// Ends the connection.
    Close,
}

/// An ordinary answer.
#[must_use]
pub fn ok(body: &str) -> Vec<Act> {
    answer("200 OK", &[], body)
}

/// An answer with its length.
#[must_use]
pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<Act> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    vec![Act::Send(text.into_bytes())]
}

/// Sends the client elsewhere.
#[must_use]
pub fn redirect(status: u16, to: &str) -> Vec<Act> {
    answer(&format!("{status} Elsewhere"), &[("Location", to)], "")
}

/// A server on a free port; ends with its runtime.
#[derive(Clone)]
pub struct Server {
    /// Where it listens.
    pub address: SocketAddr,
    /// What was asked, oldest first.
    pub seen: Arc<Mutex<Vec<Seen>>>,
    /// Connections that were made.
    pub connections: Arc<Mutex<u32>>,
    /// Connections that have ended.
    pub gone: Arc<Mutex<u32>>,
}

/// What a server says to a request.
pub type Answers = Arc<dyn Fn(&Seen) -> Vec<Act> + Send + Sync>;

impl Server {
    /// In the clear.
    pub async fn plain(answers: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", None, Arc::new(answers)).await
    }

    /// Over TLS, with a certificate for these names or addresses.
    pub async fn tls(
        authority: &Authority,
        names: &[&str],
        answers: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0", Some(authority.acceptor(names)), Arc::new(answers)).await
    }

    /// At an address, over TLS or not.
    ///
    /// # Panics
    /// If the address is taken.
    pub async fn at(address: &str, tls: Option<tokio_rustls::TlsAcceptor>, answers: Answers) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
            gone: Arc::default(),
        };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *own.connections.lock().unwrap() += 1;
                let (own, answers, tls) = (own.clone(), Arc::clone(&answers), tls.clone());
                let gone = Arc::clone(&own.gone);
                tokio::spawn(async move {
                    // A client that ends early is none of this server's business.
                    let _ = match tls {
                        None => own.talk(stream, answers).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => own.talk(stream, answers).await,
                            Err(_) => Some(()),
                        },
                    };
                    *gone.lock().unwrap() += 1;
                });
            }
        });
        server
    }

    /// Its port.
    #[must_use]
    pub fn port(&self) -> u16 {
        self.address.port()
    }

    /// How many requests there were.
    ///
    /// # Panics
    /// If an answer panicked.
    #[must_use]
    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

    /// The last request.
    ///
    /// # Panics
    /// If there was none.
    #[must_use]
    pub fn last(&self) -> Seen {
        self.seen.lock().unwrap().last().cloned().expect("a request")
    }

    async fn talk(&self, mut stream: impl AsyncRead + AsyncWrite + Unpin, answers: Answers) -> Option<()> {
        loop {
            let seen = read(&mut stream).await?;
            self.seen.lock().unwrap().push(seen.clone());
            for act in answers(&seen) {
                match act {
                    Act::Send(bytes) => stream.write_all(&bytes).await.ok()?,
                    Act::Share(bytes) => stream.write_all(&bytes).await.ok()?,
                    Act::Pause(time) => {
                        stream.flush().await.ok()?;
                        tokio::time::sleep(time).await;
                    }
                    Act::Endless(bytes, pause) => loop {
                        stream.write_all(&bytes).await.ok()?;
                        stream.flush().await.ok()?;
                        tokio::time::sleep(pause).await;
                    },
                    Act::Close => {
                        stream.shutdown().await.ok()?;
                        return None;
                    }
                }
            }
            stream.flush().await.ok()?;
        }
    }
}

async fn read(stream: &mut (impl AsyncRead + Unpin)) -> Option<Seen> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(end) = bytes.windows(4).position(|four| four == b"\r\n\r\n") {
            break end;
        }
        if stream.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).ok()?;
    let mut lines = head.split("\r\n");
    let line = lines.next()?.to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut body = bytes[end + 4..].to_vec();
    let length = headers
        .iter()
        .find(|(name, _)| name == "content-length")
        .map_or(0, |(_, value)| value.parse().unwrap());
    while body.len() < length {
        if stream.read_buf(&mut body).await.ok()? == 0 {
            return None;
        }
    }
    Some(Seen { line, headers, body })
}
