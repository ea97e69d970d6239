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

/// Passes on until as many bytes as it may have gone towards the server; then it breaks every connection and takes no other.
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
    /// In front of `server` (`host:port`). It listens until the process ends.
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

    /// Bytes that have gone towards the server since the last call of [`Cutter::cut_after`].
    pub fn passed(&self) -> u64 {
        self.state.passed.load(Ordering::SeqCst)
    }

    /// From now on this many bytes pass; `u64::MAX` for all.
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
            // It may be gone already.
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
        thread::spawn(move || state.pass(from, to));
        // The way back has no limit.
        thread::spawn(move || {
            let (mut server, mut client) = (server, client);
            std::io::copy(&mut server, &mut client).ok();
            client.shutdown(Shutdown::Both).ok();
        });
    }

    fn pass(&self, mut from: TcpStream, mut to: TcpStream) {
        let mut buffer = vec![0; 16 * 1024];
        while let Ok(length) = from.read(&mut buffer) {
            if length == 0 {
                break;
            }
            let before = self.passed.fetch_add(length as u64, Ordering::SeqCst);
            let left = self.limit.load(Ordering::SeqCst).saturating_sub(before);
            let passing = usize::try_from(left).map_or(length, |left| left.min(length));
            if to.write_all(&buffer[..passing]).is_err() {
                break;
            }
            if passing < length || self.is_cut() {
                self.break_all();
                return;
            }
        }
        to.shutdown(Shutdown::Both).ok();
    }
}
