//! A toll between a node and its registry: lets a number of bytes of the answers through, holds the rest, or cuts.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard};
use std::thread;

pub struct Gate {
    address: String,
    shared: Arc<Shared>,
}

struct Shared {
    target: String,
    state: Mutex<State>,
    moved: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes of answers that may still pass.
    allowance: u64,
    passed: u64,
    /// Grows with each cut; a connection that began before ends.
    cuts: u64,
    closed: bool,
}

impl Gate {
    /// Before `target`, `host:port`; nothing passes yet.
    pub fn before(target: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let shared =
            Arc::new(Shared { target: target.to_owned(), state: Mutex::default(), moved: Condvar::new() });
        let of_loop = shared.clone();
        thread::spawn(move || {
            for client in listener.incoming() {
                if of_loop.lock().closed {
                    return;
                }
                if let Ok(client) = client {
                    of_loop.clone().serve(client);
                }
            }
        });
        Self { address, shared }
    }

    pub fn address(&self) -> &str {
        &self.address
    }

    /// Lets further bytes of answers pass.
    pub fn allow(&self, bytes: u64) {
        let mut state = self.shared.lock();
        state.allowance = state.allowance.saturating_add(bytes);
        self.shared.moved.notify_all();
    }

    /// Ends all connections that are open.
    pub fn cut(&self) {
        self.shared.lock().cuts += 1;
        self.shared.moved.notify_all();
    }

    /// Bytes of answers that have passed.
    pub fn passed(&self) -> u64 {
        self.shared.lock().passed
    }
}

impl Drop for Gate {
    fn drop(&mut self) {
        {
            let mut state = self.shared.lock();
            state.closed = true;
            state.cuts += 1;
        }
        self.shared.moved.notify_all();
        // Wakes the loop that accepts.
        let _ = TcpStream::connect(&self.address);
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().expect("no thread of the gate panics")
    }

    fn serve(self: Arc<Self>, client: TcpStream) {
        let Ok(server) = TcpStream::connect(&self.target) else { return };
        let cuts = self.lock().cuts;
        let (mut asks, mut asked) =
            (client.try_clone().expect("a second handle"), server.try_clone().expect("a second handle"));
        thread::spawn(move || {
            let _ = std::io::copy(&mut asks, &mut asked);
            let _ = asked.shutdown(Shutdown::Write);
        });
        thread::spawn(move || {
            self.answer(&server, &client, cuts);
            let _ = client.shutdown(Shutdown::Both);
            let _ = server.shutdown(Shutdown::Both);
        });
    }

    /// Ends with the answer, or when the connection is cut.
    fn answer(&self, mut server: &TcpStream, mut client: &TcpStream, cuts: u64) {
        let mut buffer = [0; 16 * 1024];
        while let Ok(n @ 1..) = server.read(&mut buffer) {
            let mut done = 0;
            while done < n {
                let state = self.lock();
                let is_held = |state: &mut State| state.cuts == cuts && state.allowance == 0;
                let mut state = self.moved.wait_while(state, is_held).expect("no thread of the gate panics");
                if state.cuts != cuts {
                    return;
                }
                let some = state.allowance.min((n - done) as u64);
                state.allowance -= some;
                state.passed += some;
                drop(state);
                if client.write_all(&buffer[done..done + some as usize]).is_err() {
                    return;
                }
                done += some as usize;
            }
        }
    }
}
