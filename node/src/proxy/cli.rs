//! HAProxy's command line on its sockets: one command, one answer.

use std::io;
use std::path::Path;
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;

const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);
const ANSWER_BYTES_MAX: usize = 64 * 1024 * 1024;
/// Ends each answer of an interactive session.
const PROMPT: &[u8] = b"\n> ";

/// A conversation with one worker: all of it is answered by the same process, also while others take over.
pub struct Session(UnixStream);

impl Session {
    pub async fn open(socket: &Path) -> io::Result<Self> {
        let mut session = Self(UnixStream::connect(socket).await?);
        session.ask("prompt").await?;
        Ok(session)
    }

    /// The answer without the prompt. Commands never hold a line end or a semicolon: all are made by this program.
    pub async fn ask(&mut self, command: &str) -> io::Result<String> {
        let answer = tokio::time::timeout(ANSWER_TIMEOUT, self.converse(command)).await;
        answer.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
    }

    async fn converse(&mut self, command: &str) -> io::Result<String> {
        self.0.write_all(format!("{command}\n").as_bytes()).await?;
        let mut answer = Vec::new();
        while !answer.ends_with(PROMPT) {
            if self.0.read_buf(&mut answer).await? == 0 {
                return Err(io::ErrorKind::UnexpectedEof.into());
            }
            if answer.len() > ANSWER_BYTES_MAX {
                return Err(io::Error::other("the answer is too long"));
            }
        }
        answer.truncate(answer.len() - PROMPT.len());
        Ok(String::from_utf8_lossy(&answer).into_owned())
    }
}

/// Tells the master to load its configuration file. HAProxy 2.6 hangs up at once, later ones when it is done: whether
/// it is, its worker tells.
pub async fn reload(control: &Path) -> io::Result<()> {
    let tell = async {
        let mut stream = UnixStream::connect(control).await?;
        stream.write_all(b"reload\n").await?;
        let mut said = Vec::new();
        match stream.take(ANSWER_BYTES_MAX as u64).read_to_end(&mut said).await {
            Ok(_) => Ok(()),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => Ok(()),
            Err(error) => Err(error),
        }
    };
    tokio::time::timeout(ANSWER_TIMEOUT, tell).await.map_err(|_| io::Error::from(io::ErrorKind::TimedOut))?
}
