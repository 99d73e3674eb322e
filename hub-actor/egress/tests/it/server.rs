//! Servers for the tests: each answers word for word what its test says, good manners or not.

use std::future::Future;
use std::net::{IpAddr, SocketAddr};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use egress_gateway::allowed_host::{Rules, Suffixes};
use egress_gateway::dial::Resolve;
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::pki_types::PrivateKeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::TcpListener;

/// An authority that no machine trusts unless it is told.
pub struct Authority(CertifiedIssuer<'static, KeyPair>);

impl Authority {
    pub fn new() -> Self {
        let mut params = CertificateParams::new(Vec::new()).unwrap();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        Self(CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap())
    }

    pub fn pem(&self) -> String {
        self.0.as_ref().pem()
    }

    fn acceptor(&self, names: &[&str]) -> tokio_rustls::TlsAcceptor {
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

    /// Trust in it and the machine's.
    pub fn trusted(&self) -> rustls::ClientConfig {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), self.pem()).unwrap();
        egress_gateway::fetch::trust(Some(file.path())).unwrap()
    }
}

/// A request as the server got it.
#[derive(Clone, Debug)]
pub struct Seen {
    pub line: String,
    /// Names in lower case.
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
}

impl Seen {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(own, _)| own == name).map(|(_, value)| value.as_str())
    }
    pub fn path(&self) -> &str {
        self.line.split(' ').nth(1).unwrap()
    }
}

/// What the server does next.
pub enum Act {
    Send(Vec<u8>),
    Pause(Duration),
    /// Again and again, until the other side has enough.
    Endless(Vec<u8>, Duration),
    Close,
}

/// An ordinary answer.
pub fn ok(body: &str) -> Vec<Act> {
    answer("200 OK", &[], body)
}

pub fn answer(status: &str, headers: &[(&str, &str)], body: &str) -> Vec<Act> {
    let mut text = format!("HTTP/1.1 {status}\r\nContent-Length: {}\r\n", body.len());
    for (name, value) in headers {
        text.push_str(&format!("{name}: {value}\r\n"));
    }
    text.push_str("\r\n");
    text.push_str(body);
    vec![Act::Send(text.into_bytes())]
}

pub fn redirect(status: u16, to: &str) -> Vec<Act> {
    answer(&format!("{status} Elsewhere"), &[("Location", to)], "")
}

/// A server on a free port; ends with its runtime.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    pub seen: Arc<Mutex<Vec<Seen>>>,
    pub connections: Arc<Mutex<u32>>,
}

type Answers = Arc<dyn Fn(&Seen) -> Vec<Act> + Send + Sync>;

impl Server {
    pub async fn plain(answers: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static) -> Self {
        Self::at("127.0.0.1:0", None, Arc::new(answers)).await
    }

    pub async fn tls(
        authority: &Authority,
        names: &[&str],
        answers: impl Fn(&Seen) -> Vec<Act> + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0", Some(authority.acceptor(names)), Arc::new(answers)).await
    }

    pub async fn at(address: &str, tls: Option<tokio_rustls::TlsAcceptor>, answers: Answers) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let server = Self {
            address: listener.local_addr().unwrap(),
            seen: Arc::default(),
            connections: Arc::default(),
        };
        let own = server.clone();
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                *own.connections.lock().unwrap() += 1;
                let (own, answers, tls) = (own.clone(), Arc::clone(&answers), tls.clone());
                tokio::spawn(async move {
                    // A client that ends early is none of this server's business.
                    let _ = match tls {
                        None => own.talk(stream, answers).await,
                        Some(tls) => match tls.accept(stream).await {
                            Ok(stream) => own.talk(stream, answers).await,
                            Err(_) => Some(()),
                        },
                    };
                });
            }
        });
        server
    }

    pub fn port(&self) -> u16 {
        self.address.port()
    }

    pub fn count(&self) -> usize {
        self.seen.lock().unwrap().len()
    }

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

/// A name service that knows these names.
pub fn names(known: &[(&str, IpAddr)]) -> Resolve {
    let known: Vec<(String, IpAddr)> =
        known.iter().map(|(name, address)| ((*name).to_owned(), *address)).collect();
    Arc::new(move |name| {
        let found: Vec<IpAddr> =
            known.iter().filter(|(own, _)| *own == name).map(|(_, address)| *address).collect();
        Box::pin(async move {
            match found.is_empty() {
                true => Err(std::io::Error::other("no such name")),
                false => Ok(found),
            }
        }) as Pin<Box<dyn Future<Output = _> + Send>>
    })
}

/// Rules that name these hosts with ports, and these addresses.
pub fn rules(hosts: &[String], local: &[SocketAddr]) -> Rules {
    static SUFFIXES: std::sync::LazyLock<Suffixes> =
        std::sync::LazyLock::new(|| Suffixes::shipped().unwrap());
    Rules::new(&SUFFIXES, &["example.com".into()], hosts, local).unwrap()
}
