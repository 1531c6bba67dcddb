//! Why a container could not be made; the text reaches the app's author.

use std::io;
use std::path::PathBuf;

#[derive(Debug, thiserror::Error)]
pub enum OciError {
    #[error("the bundle file {path} cannot be used")]
    Bundle {
        path: PathBuf,
        #[source]
        source: io::Error,
    },
    #[error("{step}")]
    Step {
        step: &'static str,
        #[source]
        source: io::Error,
    },
    #[error("the container could not be made")]
    Container(#[source] libcontainer::error::LibcontainerError),
    #[error("the task's network could not be made")]
    Network(#[source] crate::network::NetworkError),
    #[error("init did not acknowledge the new process")]
    NotAcknowledged,
}

impl OciError {
    /// For `map_err`: names the step that failed.
    pub fn step<E: Into<io::Error>>(step: &'static str) -> impl FnOnce(E) -> Self {
        move |source| Self::Step { step, source: source.into() }
    }

    /// The whole chain in one line. libcontainer repeats its causes in its own texts; a part that the text before
    /// it already ends with is left out.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut source = std::error::Error::source(self);
        while let Some(cause) = source {
            let part = cause.to_string();
            if !text.ends_with(&part) {
                text.push_str(": ");
                text.push_str(&part);
            }
            source = cause.source();
        }
        text
    }
}
