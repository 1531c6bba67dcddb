//! Why a registry did not give what it was asked for, in words for the app's author.

use std::time::Duration;

#[derive(Debug, thiserror::Error)]
pub enum RegistryError {
    #[error("it has no such image, or wants a login to show it")]
    NotFound,
    #[error("it wants a login: {0}")]
    Login(String),
    #[error("it refuses the request ({0})")]
    Refused(String),
    #[error("its name cannot be resolved: {0}")]
    Name(String),
    /// The registry may know the name later; the resolver did not answer.
    #[error("nothing resolves its name: {0}")]
    NoResolver(String),
    #[error("no connection to {address}: {problem}")]
    Connect { address: String, problem: String },
    #[error("not through the proxy: {0}")]
    Proxy(String),
    #[error("no TLS connection: {0}")]
    Tls(String),
    #[error("it does not answer for {} s", .0.as_secs())]
    Silent(Duration),
    #[error("the connection broke: {0}")]
    Broken(String),
    #[error("it is out of order ({0})")]
    Server(String),
    #[error("its answer makes no sense: {0}")]
    Nonsense(String),
    #[error("{what} has more than {limit} bytes")]
    TooLarge { what: String, limit: u64 },
    #[error("{what} has the digest {got} where {expected} was announced")]
    Digest { what: String, expected: String, got: String },
}

impl RegistryError {
    /// Whether the same request may go through a moment later.
    pub fn is_transient(&self) -> bool {
        match self {
            Self::Connect { .. }
            | Self::Proxy(_)
            | Self::NoResolver(_)
            | Self::Silent(_)
            | Self::Broken(_)
            | Self::Server(_) => true,
            Self::NotFound
            | Self::Login(_)
            | Self::Refused(_)
            | Self::Name(_)
            | Self::Tls(_)
            | Self::Nonsense(_)
            | Self::TooLarge { .. }
            | Self::Digest { .. } => false,
        }
    }
}
