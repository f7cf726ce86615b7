//! The SPIFFE Workload API on a Unix socket: workloads of one agent get SVIDs without ever holding its key.
//!
//! It runs beside the workloads and holds an attester's key of the agent in their stead. It looks at whoever connects: by the
//! kernel's word for who they are, and at the binary that they run. What it saw goes to Remit, which compares it with what the
//! workflow declares and issues while the registry says so. The private
//! keys of X.509-SVIDs are made here and leave only through the socket.
//!
//! Source: SPIFFE Workload Endpoint §3 to §5, SPIFFE Workload API §4 to §6.

mod attest;
mod service;
mod source;
#[cfg(test)]
mod tests;
mod wire;

use std::os::unix::fs::{FileTypeExt, MetadataExt as _, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, bail};
use clap::Args;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto;
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;

use crate::connection::Connection;
use crate::exit::{Done, OK};
use crate::mcp::identity::Identity;
use crate::print::note;

use attest::Peer;
use service::Service;
use source::Remit;

/// Connections at the same time.
const CONNECTIONS_MAX: usize = 256;
/// Calls at the same time on one connection.
const CALLS_MAX: u32 = 16;

/// For which agent and workflow.
#[derive(Debug, Clone, Args)]
#[command(
    after_help = "Workloads find it by SPIFFE_ENDPOINT_SOCKET=unix:///run/remit/support.sock. What a workload has to be is `attestation` in its workflow, and the server decides; anything else is denied, told on standard error and a finding. The key is one that an administrator registered as an attester's, and no workload may read it. Run it as root, or as another user that can read the workloads' binaries.\n\nExamples:\n  remit agent key add support --attests --generate /etc/remit/support.pem\n  remit workload-api --socket /run/remit/support.sock --agent support --key /etc/remit/support.pem --workflow answer"
)]
pub struct WorkloadApi {
    /// Where to listen: absolute path of a Unix socket
    #[arg(long, value_name = "PATH")]
    socket: PathBuf,
    /// Agent, by name or id (agt_…)
    #[arg(long, value_parser = crate::mcp::agent)]
    agent: String,
    /// The attester's private key, PKCS #8 PEM
    #[arg(long, value_name = "FILE")]
    key: PathBuf,
    /// Workflow; may be left out when the agent has only one
    #[arg(long)]
    workflow: Option<String>,
}

/// Serves until told to end.
pub(crate) async fn run(connection: &Connection, args: WorkloadApi) -> Done {
    let agent = crate::mcp::Bridge::of(args.agent, args.key, args.workflow);
    let identity = Identity::new(connection.anonymous()?, connection.plain_http, agent)?;
    let source = Remit::new(identity, connection.anonymous()?);
    source.check().await?;
    let listener = listen(&args.socket)?;
    note(&format!(
        "serving the SPIFFE Workload API at unix://{}",
        args.socket.display()
    ));
    let service = Arc::new(Service::new(source));
    tokio::select! {
        () = serve(listener, service) => {}
        () = crate::mcp::told_to_end() => {}
    }
    let _ = std::fs::remove_file(&args.socket);
    Ok(OK)
}

/// Whether nobody but us and root can put something else where the socket is: another socket, or a link for us to follow.
fn guarded(path: &Path) -> anyhow::Result<()> {
    let parent = path.parent().unwrap_or(Path::new("/"));
    let about = std::fs::metadata(parent)
        .with_context(|| format!("cannot look at `{}`", parent.display()))?;
    let own = std::fs::metadata("/proc/self")?.uid();
    if (about.uid() != 0 && about.uid() != own) || about.mode() & 0o022 != 0 {
        bail!(
            "others may write to `{}`; name a path in a directory that only you or root can write to, such as /run/remit",
            parent.display()
        );
    }
    Ok(())
}

/// Listens at `path`. A socket that nobody listens at any more is replaced; anything else that is there stays.
fn listen(path: &Path) -> anyhow::Result<UnixListener> {
    if !path.is_absolute() {
        bail!(
            "`{}` is not absolute; a workload looks for the socket from anywhere",
            path.display()
        );
    }
    guarded(path)?;
    if let Ok(found) = std::fs::symlink_metadata(path) {
        if !found.file_type().is_socket() {
            bail!(
                "`{}` is there and no socket; name another path",
                path.display()
            );
        }
        // Only a refusal says that nobody listens; whoever is too busy to answer, or not ours to ask, does.
        match std::os::unix::net::UnixStream::connect(path) {
            Err(error) if error.kind() == std::io::ErrorKind::ConnectionRefused => {
                std::fs::remove_file(path)?;
            }
            _ => bail!("something listens at `{}` already", path.display()),
        }
    }
    let listener = UnixListener::bind(path)
        .with_context(|| format!("cannot listen at `{}`", path.display()))?;
    // Everybody may connect: who they are is attested, not who can reach the file.
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o666))?;
    Ok(listener)
}

/// Answers connections.
async fn serve<S: source::Source>(listener: UnixListener, service: Arc<Service<S>>) {
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&places).acquire_owned().await else {
            return;
        };
        match listener.accept().await {
            Ok((stream, _)) => {
                let service = Arc::clone(&service);
                tokio::spawn(async move {
                    connection(stream, service).await;
                    drop(place);
                });
            }
            Err(error) => {
                note(&format!("a connection could not be accepted: {error}"));
                tokio::time::sleep(std::time::Duration::from_millis(100)).await;
            }
        }
    }
}

async fn connection<S: source::Source>(stream: UnixStream, service: Arc<Service<S>>) {
    let peer = match Peer::of(&stream) {
        Ok(peer) => peer,
        Err(error) => {
            note(&format!("a workload could not be looked at: {error}"));
            return;
        }
    };
    let answer = hyper::service::service_fn(move |request| {
        let (service, peer) = (Arc::clone(&service), peer.clone());
        async move { Ok::<_, std::convert::Infallible>(service.answer(peer, request).await) }
    });
    let mut builder = auto::Builder::new(TokioExecutor::new()).http2_only();
    builder.http2().max_concurrent_streams(CALLS_MAX);
    // A workload that goes away is no news.
    let _ = builder.serve_connection(TokioIo::new(stream), answer).await;
}
