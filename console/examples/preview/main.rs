//! Serves the console over a node that is not there, to look at: `cargo run -p console --example preview [PORT]`.
//! `/claim` is at PORT + 1, where the cluster is unclaimed; PORT + 2 has no apps. Code and password are in `fake.rs`.

mod fake;

use std::sync::Arc;

use fake::Fake;
use model::Timestamp;
use tokio::net::TcpListener;

#[tokio::main]
async fn main() -> std::io::Result<()> {
    let port: u16 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(8090);
    let now = Timestamp::parse("2026-11-22T14:08:34.120Z").expect("a time");
    let mut furnished = Fake::claimed(now);
    furnished.ticking = true;
    furnished.change(fake::furnish);
    let fakes = [furnished, Fake::unclaimed(now), Fake::claimed(now)];
    let mut servers = Vec::new();
    for (n, fake) in (0u16..).zip(fakes) {
        let listener = TcpListener::bind(("127.0.0.1", port + n)).await?;
        println!("http://{}/", listener.local_addr()?);
        servers.push(tokio::spawn(axum::serve(listener, console::router(Arc::new(fake))).into_future()));
    }
    for server in servers {
        server.await??;
    }
    Ok(())
}
