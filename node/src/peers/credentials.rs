//! What this node shows to others and trusts of them, and keeping it up with the state.

use std::path::PathBuf;
use std::sync::Arc;

use cluster::Cluster;
use model::ClusterId;
use model::membership::Authority;
use rcgen::KeyPair;
use rustls::{ClientConfig, ServerConfig};
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::authority::{self, AuthorityError};
use super::membership::{self, Membership};
use super::tls::{self, TlsError};
use model::NodeId;

/// Ready to be used for connections.
pub struct Credentials {
    pub client: Arc<ClientConfig>,
    pub server: Arc<ServerConfig>,
}

/// `None` until this node belongs to a cluster that takes in others.
pub type Held = watch::Receiver<Option<Arc<Credentials>>>;

#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    #[error(transparent)]
    Authority(#[from] AuthorityError),
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// Keeps this node's credentials. Made before the cluster is opened, because opening needs a way to the others.
pub struct Keeper {
    state_dir: PathBuf,
    node: NodeId,
    key: KeyPair,
    held: watch::Sender<Option<Arc<Credentials>>>,
}

impl Keeper {
    /// With what an earlier start, or joining, left on disk.
    pub fn new(
        state_dir: PathBuf,
        node: NodeId,
        key: KeyPair,
        membership: Option<&Membership>,
    ) -> Result<Self, CredentialsError> {
        let first = membership.map(|membership| from(membership, &key)).transpose()?;
        Ok(Self { state_dir, node, key, held: watch::Sender::new(first.map(Arc::new)) })
    }

    pub fn held(&self) -> Held {
        self.held.subscribe()
    }

    /// Until the cluster has an authority, then once: its first member has no other source of a certificate.
    pub async fn run(self, cluster: Cluster, shutdown: CancellationToken) {
        let mut states = cluster.watch();
        let founded = states.wait_for(|state| state.authority.is_some());
        let state = tokio::select! {
            state = founded => match state {
                Ok(state) => state.clone(),
                Err(_) => return,
            },
            () = shutdown.cancelled() => return,
        };
        let (Some(authority), Some(id)) = (&state.authority, state.cluster) else { return };
        if self.held.borrow().is_none()
            && let Err(error) = self.adopt(id, authority)
        {
            tracing::error!(%error, "this node cannot be reached by others");
        }
        shutdown.cancelled().await;
    }

    fn adopt(&self, cluster: ClusterId, authority: &Authority) -> anyhow::Result<()> {
        let certificate = authority::issue(authority, self.node, &self.key)?;
        let membership = Membership::first(cluster, certificate, authority.certificate.clone());
        let credentials = from(&membership, &self.key)?;
        membership::save(&self.state_dir, &membership)?;
        self.held.send_replace(Some(Arc::new(credentials)));
        Ok(())
    }
}

fn from(membership: &Membership, key: &KeyPair) -> Result<Credentials, CredentialsError> {
    let chain =
        [authority::certificate(&membership.certificate)?, authority::certificate(&membership.authority)?];
    let (client, server) = tls::configs(chain, key)?;
    Ok(Credentials { client: Arc::new(client), server: Arc::new(server) })
}
