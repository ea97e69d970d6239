//! Connections that have not sent a byte of a request: anyone can open them, so their number and duration are limited.

use std::{
    collections::{BTreeMap, HashMap},
    net::{IpAddr, Ipv6Addr},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use tokio::sync::oneshot;

/// Maximum number of these connections.
pub(super) const MAX_PENDING: usize = 1024;
/// Connections of one address that a full pool retains, or the address' even share if that is less: connections beyond it are dropped
/// first. An even share alone would let a few attackers displace the workers of a cluster that share an address (SNAT).
const MAX_OF_ADDRESS: usize = 128;

/// The pool of these connections. A full pool drops another connection for a new one.
#[derive(Debug, Clone)]
pub(super) struct PendingConnections {
    pool: Arc<Mutex<Pool>>,
    /// Number of connections that a full pool dropped.
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Pool {
    limit: usize,
    next: u64,
    /// In the order of their arrival.
    connections: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
    addresses: HashMap<IpAddr, usize>,
}

impl PendingConnections {
    pub(super) fn new(limit: usize, dropped: Arc<AtomicU64>) -> Self {
        let pool = Pool {
            limit,
            next: 0,
            connections: BTreeMap::new(),
            addresses: HashMap::new(),
        };
        Self {
            pool: Arc::new(Mutex::new(pool)),
            dropped,
        }
    }

    /// Adds a connection until the returned value is dropped.
    pub(super) fn enter(&self, address: IpAddr) -> PendingConnection {
        let (sender, dropped) = oneshot::channel();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.connections.len() >= pool.limit
            && let Some(victim) = pool.victim()
        {
            pool.remove(victim);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        let number = pool.enter(network(address), sender);
        PendingConnection {
            pool: Arc::clone(&self.pool),
            number,
            dropped,
        }
    }
}

impl Pool {
    fn enter(&mut self, address: IpAddr, sender: oneshot::Sender<()>) -> u64 {
        let number = self.next;
        self.next += 1;
        self.connections.insert(number, (address, sender));
        *self.addresses.entry(address).or_default() += 1;
        number
    }

    /// The oldest connection of an address with more than its share, or else the oldest of all.
    fn victim(&self) -> Option<u64> {
        let share = MAX_OF_ADDRESS.min(self.limit / self.addresses.len().max(1));
        let is_beyond = |address: &IpAddr| self.addresses.get(address).is_some_and(|count| *count > share);
        let crowded = self.addresses.keys().any(is_beyond);
        let mut oldest_first = self.connections.iter();
        let found = oldest_first.find(|(_, (address, _))| !crowded || is_beyond(address));
        found.map(|(number, _)| *number)
    }

    fn remove(&mut self, number: u64) {
        let Some((address, _)) = self.connections.remove(&number) else {
            return;
        };
        if let Some(count) = self.addresses.get_mut(&address) {
            *count -= 1;
            if *count == 0 {
                self.addresses.remove(&address);
            }
        }
    }
}

/// The network of one host: with IPv6 a host has all addresses of a /64 network.
fn network(address: IpAddr) -> IpAddr {
    match address.to_canonical() {
        IpAddr::V6(address) => {
            let [a, b, c, d, ..] = address.segments();
            Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0).into()
        }
        address @ IpAddr::V4(_) => address,
    }
}

/// A connection in the pool.
#[derive(Debug)]
pub(super) struct PendingConnection {
    pool: Arc<Mutex<Pool>>,
    number: u64,
    dropped: oneshot::Receiver<()>,
}

impl PendingConnection {
    /// Resolves when the pool drops this connection.
    pub(super) async fn dropped(&mut self) {
        (&mut self.dropped).await.ok();
    }
}

impl Drop for PendingConnection {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Adds connections from these addresses in order, and compares the indexes of those that the pool drops.
    fn check(limit: usize, addresses: impl IntoIterator<Item = IpAddr>, expected: &[usize]) {
        let pending_connections = PendingConnections::new(limit, Arc::default());
        let mut entered: Vec<_> = addresses
            .into_iter()
            .map(|address| pending_connections.enter(address))
            .collect();
        let left: Vec<_> = (0..entered.len())
            .filter(|index| entered[*index].dropped().now_or_never().is_some())
            .collect();
        assert_eq!(left, expected);
        drop(entered);
        let pool = pending_connections.pool.lock().unwrap();
        assert!(pool.connections.is_empty() && pool.addresses.is_empty(), "{pool:?}");
    }

    #[test]
    fn pending_connection_beyond_the_limit_drops_the_oldest() {
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        check(2, [1, 2].map(address), &[]);
        check(2, [1, 2, 3, 4].map(address), &[0, 1]);
        // One host of two has more than half.
        check(3, [1, 2, 2, 2].map(address), &[1]);
    }

    #[test]
    fn pending_connection_of_crowded_address_is_dropped_first() {
        let (few, crowded) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let crowd = |count| std::iter::repeat_n(crowded, count);
        let limit = MAX_OF_ADDRESS + 2;
        // The first connection is the oldest, but the crowd has more than its share.
        check(limit, [few].into_iter().chain(crowd(MAX_OF_ADDRESS + 3)), &[1, 2]);
        // Without a crowd age decides.
        check(MAX_OF_ADDRESS, crowd(MAX_OF_ADDRESS + 1), &[0]);
    }

    #[test]
    fn pending_connection_addresses_of_one_host_count_together() {
        for (address, expected) in [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap());
        }
    }
}
