//! A minimal server as the machine's upper bound: a loop that reads a body, writes it to a file, syncs the file and
//! responds, without ledger, limits and journal.

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{Ipv4Addr, TcpListener, TcpStream},
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use rustls::{ServerConfig, ServerConnection, StreamOwned};

/// Stack size of a connection's thread, in bytes.
const STACK: usize = 512 << 10;

/// Starts the server, which runs until the process ends; returns its URL.
pub(super) fn serve(config: ServerConfig, directory: PathBuf) -> anyhow::Result<String> {
    let mut config = config;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    let config = Arc::new(config);
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?;
    let url = format!("https://{}", listener.local_addr()?);
    let number = Arc::new(AtomicU64::new(0));
    thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            let (config, directory, number) = (Arc::clone(&config), directory.clone(), Arc::clone(&number));
            let work = move || {
                let path = directory.join(number.fetch_add(1, Ordering::Relaxed).to_string());
                // The client sees and counts the failure.
                drop(receive(stream, config, &path));
            };
            if thread::Builder::new().stack_size(STACK).spawn(work).is_err() {
                return;
            }
        }
    });
    Ok(url)
}

fn receive(stream: TcpStream, config: Arc<ServerConfig>, path: &Path) -> anyhow::Result<()> {
    stream.set_nodelay(true)?;
    let mut stream = BufReader::with_capacity(64 << 10, StreamOwned::new(ServerConnection::new(config)?, stream));
    let mut length = 0_u64;
    let mut line = String::new();
    loop {
        line.clear();
        anyhow::ensure!(stream.read_line(&mut line)? > 0, "the request ended in its head");
        if line == "\r\n" {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().context("invalid Content-Length")?;
        }
    }
    let mut file = fs_err::File::create(path)?;
    let written = std::io::copy(&mut stream.by_ref().take(length), &mut file)?;
    anyhow::ensure!(written == length, "the request ended in its body");
    file.sync_all()?;
    let stream = stream.get_mut();
    stream.write_all(b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\nconnection: close\r\n\r\n")?;
    stream.conn.send_close_notify();
    stream.flush()?;
    Ok(())
}
