//! The load driver: connections that each make one call after another, or calls at a fixed rate.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, bail};
use http_body_util::{BodyExt, Full};
use hyper::body::Bytes;
use hyper::client::conn::http1::{SendRequest, handshake};
use hyper_util::rt::TokioIo;
use tokio::net::TcpStream;

/// One way to make the same call.
#[derive(Debug, Clone)]
pub(crate) struct Path {
    pub(crate) address: SocketAddr,
    pub(crate) uri: String,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
    /// What an answer must hold to count.
    pub(crate) expect: &'static str,
}

/// What a load came to.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Figures {
    pub(crate) per_second: f64,
    pub(crate) p50_ms: f64,
    pub(crate) p99_ms: f64,
    pub(crate) calls: usize,
}

/// An answer.
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Header `DPoP-Nonce`.
    pub(crate) nonce: Option<String>,
    pub(crate) text: String,
}

impl Answer {
    /// That it holds what was expected.
    pub(crate) fn good(&self, path: &Path) -> anyhow::Result<()> {
        if self.text.contains(path.expect) {
            return Ok(());
        }
        let start: String = self.text.chars().take(400).collect();
        bail!("unexpected answer {} of {}: {start}", self.status, path.uri);
    }
}

/// One connection, which makes one call after another.
pub(crate) struct Connection(SendRequest<Full<Bytes>>);

impl Connection {
    pub(crate) async fn open(path: &Path) -> anyhow::Result<Self> {
        let stream = TcpStream::connect(path.address).await?;
        stream.set_nodelay(true)?;
        let (sender, connection) = handshake(TokioIo::new(stream)).await?;
        tokio::spawn(connection);
        Ok(Self(sender))
    }

    async fn call(&mut self, path: &Path) -> anyhow::Result<()> {
        self.ask(path).await?.good(path)
    }

    /// Makes a call, whatever the answer is.
    pub(crate) async fn ask(&mut self, path: &Path) -> anyhow::Result<Answer> {
        let mut request = hyper::Request::post(&path.uri).header("host", path.address.to_string());
        for (name, value) in &path.headers {
            request = request.header(name, value);
        }
        let request = request.body(Full::new(Bytes::from(path.body.clone())))?;
        self.0.ready().await?;
        let response = self.0.send_request(request).await?;
        let status = response.status().as_u16();
        let nonce = response.headers().get("dpop-nonce");
        let nonce = nonce
            .and_then(|value| value.to_str().ok())
            .map(str::to_owned);
        let body = response.into_body().collect().await?.to_bytes();
        let text = std::str::from_utf8(&body).context("answer is not text")?;
        Ok(Answer {
            status,
            nonce,
            text: text.to_owned(),
        })
    }
}

/// Makes one call on a connection of its own.
pub(crate) async fn once(path: &Path) -> anyhow::Result<Answer> {
    Connection::open(path).await?.ask(path).await
}

/// Makes every call once, over `connections` that each take the next one as soon as they are answered.
pub(crate) async fn each(paths: Vec<Path>, connections: usize) -> anyhow::Result<Figures> {
    let (took, seconds, _) = through(paths, connections, false).await?;
    Ok(figures(took, seconds))
}

/// The same, for what is answered, in no order.
pub(crate) async fn answers(paths: Vec<Path>, connections: usize) -> anyhow::Result<Vec<String>> {
    let (.., answers) = through(paths, connections, true).await?;
    Ok(answers)
}

#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
async fn through(
    paths: Vec<Path>,
    connections: usize,
    keep: bool,
) -> anyhow::Result<(Vec<f64>, f64, Vec<String>)> {
    let first = paths.first().cloned().context("no path")?;
    let paths = Arc::new(Mutex::new(paths.into_iter()));
    let began = Instant::now();
    let mut loops = Vec::new();
    for _ in 0..connections {
        let (paths, first) = (Arc::clone(&paths), first.clone());
        loops.push(tokio::spawn(async move {
            let mut connection = Connection::open(&first).await?;
            let (mut took, mut texts) = (Vec::new(), Vec::new());
            loop {
                let next = paths.lock().unwrap_or_else(PoisonError::into_inner).next();
                let Some(path) = next else {
                    return anyhow::Ok((took, texts));
                };
                let call = Instant::now();
                let answer = connection.ask(&path).await?;
                took.push(call.elapsed().as_secs_f64() * 1e3);
                answer.good(&path)?;
                if keep {
                    texts.push(answer.text);
                }
            }
        }));
    }
    let (mut took, mut texts) = (Vec::new(), Vec::new());
    for one in loops {
        let (some, more) = one.await??;
        took.extend(some);
        texts.extend(more);
    }
    Ok((took, began.elapsed().as_secs_f64(), texts))
}

/// Closed loop: each of `connections` calls again as soon as it is answered, for `seconds`. Each goes through all paths in turn.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(crate) async fn closed(
    paths: &[Path],
    connections: usize,
    seconds: f64,
) -> anyhow::Result<Figures> {
    let began = Instant::now();
    let until = began + Duration::from_secs_f64(seconds);
    let mut loops = Vec::new();
    for n in 0..connections {
        let paths = paths.to_vec();
        loops.push(tokio::spawn(async move {
            let first = paths.first().context("no path")?;
            let mut connection = Connection::open(first).await?;
            let mut took = Vec::new();
            for path in paths.iter().cycle().skip(n % paths.len()) {
                let call = Instant::now();
                if call >= until {
                    break;
                }
                connection.call(path).await?;
                took.push(call.elapsed().as_secs_f64() * 1e3);
            }
            anyhow::Ok(took)
        }));
    }
    let mut took = Vec::new();
    for one in loops {
        took.extend(one.await??);
    }
    Ok(figures(took, began.elapsed().as_secs_f64()))
}

/// Open loop: `rate` calls a second over `connections`, each timed from when it was due.
#[expect(clippy::disallowed_methods, reason = "a measurement reads the clock")]
pub(crate) async fn offered(
    paths: &[Path],
    connections: usize,
    rate: f64,
    seconds: f64,
) -> anyhow::Result<Figures> {
    let began = Instant::now();
    let each = connections as f64 / rate;
    let mut loops = Vec::new();
    for (n, path) in paths.iter().cycle().take(connections).enumerate() {
        let path = path.clone();
        let first = n as f64 / rate;
        loops.push(tokio::spawn(async move {
            let mut connection = Connection::open(&path).await?;
            let mut took = Vec::new();
            let mut due = first;
            while due < seconds {
                let at = began + Duration::from_secs_f64(due);
                tokio::time::sleep_until(at.into()).await;
                connection.call(&path).await?;
                took.push(at.elapsed().as_secs_f64() * 1e3);
                due += each;
            }
            anyhow::Ok(took)
        }));
    }
    let mut took = Vec::new();
    for one in loops {
        took.extend(one.await??);
    }
    Ok(figures(took, began.elapsed().as_secs_f64()))
}

fn figures(mut took: Vec<f64>, seconds: f64) -> Figures {
    took.sort_by(f64::total_cmp);
    let at = |share: f64| {
        took.get(((took.len() as f64) * share) as usize)
            .copied()
            .unwrap_or(0.0)
    };
    Figures {
        per_second: took.len() as f64 / seconds,
        p50_ms: at(0.50),
        p99_ms: at(0.99),
        calls: took.len(),
    }
}

/// The figures whose rate is the median.
pub(crate) fn middle(mut rounds: Vec<Figures>) -> Figures {
    rounds.sort_by(|a, b| a.per_second.total_cmp(&b.per_second));
    rounds.get(rounds.len() / 2).copied().unwrap_or_default()
}
