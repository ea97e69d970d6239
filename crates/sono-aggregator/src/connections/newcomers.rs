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

/// How many there may be.
pub(super) const MOST: usize = 1024;
/// How many of one address may be there while the pool is full, or its even share where that is less: those beyond are the first to be
/// dropped. More than its share alone would let a few attackers drop the workers of a cluster that share an address (SNAT).
const MOST_OF_ADDRESS: usize = 128;

/// The pool. A connection always enters it; when it is full another one has to leave.
#[derive(Debug, Clone)]
pub(super) struct Newcomers {
    pool: Arc<Mutex<Pool>>,
    /// Connections that were dropped because there were too many.
    dropped: Arc<AtomicU64>,
}

#[derive(Debug)]
struct Pool {
    most: usize,
    next: u64,
    /// In the order of their arrival.
    connections: BTreeMap<u64, (IpAddr, oneshot::Sender<()>)>,
    addresses: HashMap<IpAddr, usize>,
}

impl Newcomers {
    pub(super) fn new(most: usize, dropped: Arc<AtomicU64>) -> Self {
        let pool = Pool {
            most,
            next: 0,
            connections: BTreeMap::new(),
            addresses: HashMap::new(),
        };
        Self {
            pool: Arc::new(Mutex::new(pool)),
            dropped,
        }
    }

    /// Until the value is dropped.
    pub(super) fn enter(&self, address: IpAddr) -> Newcomer {
        let (sender, dropped) = oneshot::channel();
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        if pool.connections.len() >= pool.most
            && let Some(victim) = pool.victim()
        {
            pool.remove(victim);
            self.dropped.fetch_add(1, Ordering::Relaxed);
        }
        let number = pool.enter(network(address), sender);
        Newcomer {
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

    /// The oldest of an address that has more than its share, or else the oldest.
    fn victim(&self) -> Option<u64> {
        let share = MOST_OF_ADDRESS.min(self.most / self.addresses.len().max(1));
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

/// One host's addresses: of IPv6 it has a whole network of 64 bits.
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
pub(super) struct Newcomer {
    pool: Arc<Mutex<Pool>>,
    number: u64,
    dropped: oneshot::Receiver<()>,
}

impl Newcomer {
    /// Resolves when it has to leave.
    pub(super) async fn dropped(&mut self) {
        (&mut self.dropped).await.ok();
    }
}

impl Drop for Newcomer {
    fn drop(&mut self) {
        let mut pool = self.pool.lock().unwrap_or_else(PoisonError::into_inner);
        pool.remove(self.number);
    }
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;

    use super::*;

    /// Which of connections from these addresses, in this order, have to leave a pool of `most`.
    fn check(most: usize, addresses: impl IntoIterator<Item = IpAddr>, expected: &[usize]) {
        let newcomers = Newcomers::new(most, Arc::default());
        let mut entered: Vec<_> = addresses.into_iter().map(|address| newcomers.enter(address)).collect();
        let left: Vec<_> = (0..entered.len())
            .filter(|index| entered[*index].dropped().now_or_never().is_some())
            .collect();
        assert_eq!(left, expected);
        drop(entered);
        let pool = newcomers.pool.lock().unwrap();
        assert!(pool.connections.is_empty() && pool.addresses.is_empty(), "{pool:?}");
    }

    #[test]
    fn newcomer_too_many_oldest_leaves() {
        let address = |last: u8| IpAddr::from([10, 0, 0, last]);
        check(2, [1, 2].map(address), &[]);
        check(2, [1, 2, 3, 4].map(address), &[0, 1]);
        // One host of two has more than half.
        check(3, [1, 2, 2, 2].map(address), &[1]);
    }

    #[test]
    fn newcomer_of_crowded_address_leaves_first() {
        let (few, crowded) = (IpAddr::from([10, 0, 0, 1]), IpAddr::from([10, 0, 0, 2]));
        let crowd = |count| std::iter::repeat_n(crowded, count);
        let most = MOST_OF_ADDRESS + 2;
        // The first connection is the oldest, but the crowd has more than its share.
        check(most, [few].into_iter().chain(crowd(MOST_OF_ADDRESS + 3)), &[1, 2]);
        // Without a crowd age decides.
        check(MOST_OF_ADDRESS, crowd(MOST_OF_ADDRESS + 1), &[0]);
    }

    #[test]
    fn newcomer_addresses_of_one_host_are_one() {
        for (address, expected) in [
            ("10.1.2.3", "10.1.2.3"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
            ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::"),
        ] {
            assert_eq!(network(address.parse().unwrap()), expected.parse::<IpAddr>().unwrap());
        }
    }
}
