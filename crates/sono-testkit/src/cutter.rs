//! A TCP proxy on loopback that breaks connections at a given byte.

use std::{
    io::{Read as _, Write as _},
    net::{Shutdown, TcpListener, TcpStream},
    sync::{
        Arc, Mutex,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

/// A proxy that breaks all connections and accepts no others after a number of bytes to the server.
#[derive(Debug)]
pub struct Cutter {
    address: String,
    state: Arc<State>,
}

#[derive(Debug)]
struct State {
    server: String,
    limit: AtomicU64,
    passed: AtomicU64,
    open: Mutex<Vec<TcpStream>>,
}

impl Cutter {
    /// Starts a proxy in front of `server` (`host:port`). It listens until the process ends.
    pub fn before(server: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound").to_string();
        let state = Arc::new(State {
            server: server.to_owned(),
            limit: AtomicU64::new(u64::MAX),
            passed: AtomicU64::new(0),
            open: Mutex::new(Vec::new()),
        });
        let shared = Arc::clone(&state);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                shared.connect(client);
            }
        });
        Self { address, state }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> &str {
        &self.address
    }

    /// Bytes sent to the server since the last call of [`Cutter::cut_after`].
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }

    /// Sets the number of bytes to forward from now on; `u64::MAX` means no limit.
    pub fn cut_after(&self, bytes: u64) {
        self.state.break_all();
        self.state.passed.store(0, Ordering::SeqCst);
        self.state.limit.store(bytes, Ordering::SeqCst);
    }
}

impl State {
    fn is_cut(&self) -> bool {
        self.passed.load(Ordering::SeqCst) >= self.limit.load(Ordering::SeqCst)
    }

    fn break_all(&self) {
        let mut open = self.open.lock().expect("nothing panics while it holds the lock");
        for stream in open.drain(..) {
            // The connection may already be closed.
            stream.shutdown(Shutdown::Both).ok();
        }
    }

    fn connect(self: &Arc<Self>, client: TcpStream) {
        if self.is_cut() {
            return;
        }
        let Ok(server) = TcpStream::connect(&self.server) else {
            return;
        };
        let mut open = self.open.lock().expect("nothing panics while it holds the lock");
        let both = [&client, &server].map(|stream| stream.try_clone().expect("it is open"));
        open.extend(both);
        drop(open);
        let [from, to] = [&client, &server].map(|stream| stream.try_clone().expect("it is open"));
        let state = Arc::clone(self);
        thread::spawn(move || state.forward(from, to));
        // The other direction has no limit.
        thread::spawn(move || {
            let (mut server, mut client) = (server, client);
            std::io::copy(&mut server, &mut client).ok();
            client.shutdown(Shutdown::Both).ok();
        });
    }

    fn forward(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 {
                break;
            }
            let before = self.passed.fetch_add(length as u64, Ordering::SeqCst);
            let left = self.limit.load(Ordering::SeqCst).saturating_sub(before);
            let allowed = usize::try_from(left).map_or(length, |left| left.min(length));
            if to.write_all(&buffer[..allowed]).is_err() {
                break;
            }
            if allowed < length || self.is_cut() {
                self.break_all();
                return;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    }
}
