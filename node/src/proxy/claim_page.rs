//! Port 80 of a node that belongs to nobody: leads to the claim page. It is given up with the claim; until then no app
//! can want the port.

use std::net::SocketAddr;

use axum::Router;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Redirect, Response};
use cluster::Cluster;
use tokio_util::sync::CancellationToken;

use crate::api::listen;

#[derive(Debug, Clone)]
pub struct ClaimPage {
    pub address: SocketAddr,
    pub console_port: u16,
    pub public_url: Option<String>,
}

impl ClaimPage {
    /// Returns once the node is claimed.
    pub async fn run(self, cluster: Cluster, shutdown: CancellationToken) {
        tokio::select! {
            () = crate::agent::caught_up(&cluster) => {}
            () = shutdown.cancelled() => return,
        }
        if cluster.state().is_claimed() {
            return;
        }
        let listener = match listen::bind(self.address).await {
            Ok(listener) => listener,
            Err(error) => {
                return tracing::info!(%error, "no way to the claim page but the console's own ports");
            }
        };
        let router = Router::new().fallback(move |headers: HeaderMap| async move { self.lead(&headers) });
        // Cancel safety: whichever ends first, the listener is closed with the loop that owns it.
        tokio::select! {
            () = listen::serve_plain(listener, router, shutdown) => {}
            () = claimed(&cluster) => tracing::info!("the way to the claim page is closed: the node is claimed"),
        }
    }

    fn lead(&self, headers: &HeaderMap) -> Response {
        if let Some(url) = &self.public_url {
            return Redirect::temporary(&format!("{}/claim", url.trim_end_matches('/'))).into_response();
        }
        let host = headers.get(header::HOST).and_then(|host| host.to_str().ok());
        match host.and_then(|host| host.parse::<axum::http::uri::Authority>().ok()) {
            Some(authority) => {
                let url = format!("http://{}:{}/claim", authority.host(), self.console_port);
                Redirect::temporary(&url).into_response()
            }
            None => StatusCode::BAD_REQUEST.into_response(),
        }
    }
}

async fn claimed(cluster: &Cluster) {
    // An error means that the cluster's side is gone, and this process with it.
    let _ = cluster.watch().wait_for(|state| state.is_claimed()).await;
}
