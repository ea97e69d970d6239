//! An HTTP and SOCKS 5 proxy on loopback that forwards all requests to one server.

use std::{
    io::{self, Read as _, Write as _},
    net::{Shutdown, SocketAddr, TcpListener, TcpStream},
    thread,
};

use crate::whoami::head;

/// A proxy that listens until the process ends.
#[derive(Debug)]
pub struct ProxyServer {
    address: SocketAddr,
}

/// The credentials that a proxy requires: the header for HTTP, user and password for SOCKS 5.
#[derive(Debug, Clone, Copy)]
pub struct ProxyLogin {
    /// Value of `Proxy-Authorization`: `Basic …`.
    pub header: &'static str,
    /// User name for SOCKS 5.
    pub user: &'static str,
    /// Password for SOCKS 5.
    pub password: &'static str,
}

impl ProxyServer {
    /// Starts a proxy in front of `server`.
    pub fn before(server: SocketAddr, login: Option<ProxyLogin>) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback has a free port");
        let address = listener.local_addr().expect("it is bound");
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                // Ignore clients that disconnect early.
                thread::spawn(move || serve(client, server, login).ok());
            }
        });
        Self { address }
    }

    /// `127.0.0.1:port`.
    pub fn address(&self) -> SocketAddr {
        self.address
    }
}

fn serve(mut client: TcpStream, server: SocketAddr, login: Option<ProxyLogin>) -> io::Result<()> {
    let mut first = [0];
    client.peek(&mut first)?;
    if first == [5] {
        socks(&mut client, login)?;
        return join(client, TcpStream::connect(server)?);
    }
    let head = head(&mut client)?;
    let header = head.lines().find_map(|line| {
        let (name, value) = line.split_once(':')?;
        name.eq_ignore_ascii_case("proxy-authorization").then(|| value.trim())
    });
    if header != login.map(|login| login.header) {
        return client.write_all(
            b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
        );
    }
    let mut server = TcpStream::connect(server)?;
    if head.starts_with("CONNECT ") {
        client.write_all(b"HTTP/1.1 200 OK\r\n\r\n")?;
    } else if head
        .split(' ')
        .nth(1)
        .is_some_and(|target| target.starts_with("http://"))
    {
        server.write_all(head.as_bytes())?;
    } else {
        return client.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    }
    join(client, server)
}

/// The handshake of SOCKS 5 (RFC 1928, 1929).
fn socks(client: &mut TcpStream, login: Option<ProxyLogin>) -> io::Result<()> {
    let mut methods = vec![0; usize::from(exact::<2>(client)?[1])];
    client.read_exact(&mut methods)?;
    let method = if login.is_some() { 2 } else { 0 };
    if !methods.contains(&method) {
        client.write_all(&[5, 0xff])?;
        return Err(io::ErrorKind::PermissionDenied.into());
    }
    client.write_all(&[5, method])?;
    if let Some(login) = login {
        exact::<1>(client)?;
        let credentials = [text(client)?, text(client)?];
        let accepted = credentials == [login.user.as_bytes(), login.password.as_bytes()];
        client.write_all(&[1, u8::from(!accepted)])?;
        if !accepted {
            return Err(io::ErrorKind::PermissionDenied.into());
        }
    }
    match exact::<4>(client)?[3] {
        1 => drop(exact::<4>(client)?),
        4 => drop(exact::<16>(client)?),
        _ => drop(text(client)?),
    }
    exact::<2>(client)?;
    client.write_all(&[5, 0, 0, 1, 0, 0, 0, 0, 0, 0])
}

fn exact<const N: usize>(client: &mut TcpStream) -> io::Result<[u8; N]> {
    let mut bytes = [0; N];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

/// Reads a length byte and as many bytes.
fn text(client: &mut TcpStream) -> io::Result<Vec<u8>> {
    let mut bytes = vec![0; usize::from(exact::<1>(client)?[0])];
    client.read_exact(&mut bytes)?;
    Ok(bytes)
}

fn join(mut client: TcpStream, mut server: TcpStream) -> io::Result<()> {
    let (mut from, mut to) = (client.try_clone()?, server.try_clone()?);
    let forth = thread::spawn(move || {
        io::copy(&mut from, &mut to).ok();
        to.shutdown(Shutdown::Write).ok();
    });
    io::copy(&mut server, &mut client).ok();
    client.shutdown(Shutdown::Both).ok();
    forth.join().ok();
    Ok(())
}
