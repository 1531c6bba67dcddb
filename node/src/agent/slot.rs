//! Once the console answers, the agent is good, and so is the slot this node was booted from: the boot loader is told, and
//! init stops waiting for it. A slot that was given up is shouted from the boot phases, on screen and console.

use std::net::{Ipv4Addr, SocketAddr};
use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

use super::init_link::InitLink;
use crate::config::Paths;
use crate::init::protocol::ToInit;
use crate::slot::{self, Booted, Loader};

const PHASE: &str = "boot slot";
const ANSWER_MAX: Duration = Duration::from_secs(10);
const AGAIN_AFTER: Duration = Duration::from_secs(1);

/// Ends once init knows.
pub async fn run(paths: Paths, http: SocketAddr, init: InitLink, shutdown: CancellationToken) {
    let booted = slot::booted();
    if booted.is_some() {
        init.phase(PHASE, false);
    }
    tokio::select! {
        () = console_answers(own(http)) => {}
        () = shutdown.cancelled() => return,
    }
    if let Some(booted) = booted {
        confirm(paths, booted, &init).await;
    }
    // Also if the loader could not be told: starting anew would not help it.
    init.send(ToInit::Ready).await;
}

async fn confirm(paths: Paths, booted: Booted, init: &InitLink) {
    let confirmed = tokio::task::spawn_blocking(move || slot::confirm(&paths, booted.slot)).await;
    let note = match confirmed {
        Ok(Ok(loader)) => note(booted, &loader),
        Ok(Err(error)) => {
            format!("failed: the boot loader cannot be told that slot {} works: {error}", booted.slot)
        }
        Err(error) => format!("failed: {error}"),
    };
    tracing::info!(note, "the boot slot");
    init.send(ToInit::Phase { name: PHASE.to_owned(), done: true, note }).await;
}

/// How this machine itself gets to the address that is listened at.
fn own(http: SocketAddr) -> SocketAddr {
    match http.ip().is_unspecified() {
        true => (Ipv4Addr::LOCALHOST, http.port()).into(),
        false => http,
    }
}

fn note(booted: Booted, loader: &Loader) -> String {
    let other = booted.slot.other();
    match loader.slots.given_up(booted.slot) {
        Some((slot, why)) => {
            format!("failed: SLOT {slot} WAS GIVEN UP: {why}. SLOT {} RUNS IN ITS PLACE", booted.slot)
        }
        None if !loader.other_is_filled => format!("{} works, {other} is empty", booted.slot),
        None if loader.slots.tries(other) == 0 => format!("{} works, {other} was given up", booted.slot),
        None => format!("{} works, {other} can take its place", booted.slot),
    }
}

async fn console_answers(http: SocketAddr) {
    loop {
        match tokio::time::timeout(ANSWER_MAX, ask(http)).await {
            Ok(Ok(true)) => return,
            other => tracing::warn!(answer = ?other, "the console does not answer yet"),
        }
        tokio::time::sleep(AGAIN_AFTER).await;
    }
}

/// As a browser would ask, over the network's own front door.
async fn ask(http: SocketAddr) -> std::io::Result<bool> {
    let mut stream = TcpStream::connect(http).await?;
    stream.write_all(b"GET /ping HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n").await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    Ok(head.ends_with(b" 200"))
}

#[cfg(test)]
mod tests {
    use layout::{Slot, Slots};

    use super::*;

    #[test]
    fn a_slot_that_was_given_up_is_a_failure() {
        let booted = |slot| Booted { slot, ready_seconds: 1 };
        let loader = |other_is_filled| Loader { slots: Slots::default(), other_is_filled };
        assert_eq!(note(booted(Slot::A), &loader(false)), "A works, B is empty");
        assert_eq!(note(booted(Slot::A), &loader(true)), "A works, B was given up");
        let loud = note(booted(Slot::B), &loader(true));
        assert!(loud.starts_with("failed: SLOT A WAS GIVEN UP: none of its boots"), "{loud}");
    }
}
