//! One errand at a time for each key: who asks while it is under way waits for the same answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::OnceCell;

type Running<T> = HashMap<String, Arc<OnceCell<T>>>;

/// Errands under way. Nothing is remembered once it is done.
pub struct Flights<T> {
    running: Mutex<Running<T>>,
}

impl<T> Default for Flights<T> {
    fn default() -> Self {
        Self { running: Mutex::new(HashMap::new()) }
    }
}

impl<T: Clone> Flights<T> {
    /// Runs `errand`, or waits for the one that runs already. When whoever runs it goes away, the next in line starts
    /// its own.
    pub async fn join<F: Future<Output = T>>(&self, key: &str, errand: impl FnOnce() -> F) -> T {
        let cell = Arc::clone(self.running().entry(key.to_owned()).or_default());
        let seat = Seat { flights: self, key, cell };
        seat.cell.get_or_init(errand).await.clone()
    }
}

impl<T> Flights<T> {
    fn running(&self) -> MutexGuard<'_, Running<T>> {
        self.running.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A place in the line; whoever leaves last, or first after the end, clears the entry away.
struct Seat<'a, T> {
    flights: &'a Flights<T>,
    key: &'a str,
    cell: Arc<OnceCell<T>>,
}

impl<T> Drop for Seat<'_, T> {
    fn drop(&mut self) {
        let mut running = self.flights.running();
        let ours = running.get(self.key).is_some_and(|cell| Arc::ptr_eq(cell, &self.cell));
        // Two references: the map's and this one.
        if ours && (self.cell.initialized() || Arc::strong_count(&self.cell) <= 2) {
            running.remove(self.key);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicUsize, Ordering};

    use futures_util::future::join_all;
    use tokio::sync::Notify;

    use super::*;

    #[tokio::test]
    async fn many_who_ask_at_once_share_one_errand_and_later_ones_do_not() {
        let (flights, runs, go) = (Flights::default(), AtomicUsize::new(0), Notify::new());
        let errand = || async {
            go.notified().await;
            runs.fetch_add(1, Ordering::SeqCst)
        };
        let asks = join_all((0..50).map(|_| flights.join("k", errand)));
        let (answers, ()) = tokio::join!(asks, async { go.notify_one() });
        assert_eq!(answers, [0; 50]);
        go.notify_one();
        assert_eq!(flights.join("k", errand).await, 1);
        assert!(flights.running().is_empty());
    }

    #[tokio::test]
    async fn who_goes_away_leaves_nothing_behind() {
        let flights: Flights<u8> = Flights::default();
        {
            let mut gone = Box::pin(flights.join("k", std::future::pending));
            let mut waits = Box::pin(flights.join("k", || async { 7 }));
            assert!(
                futures_util::poll!(&mut gone).is_pending() && futures_util::poll!(&mut waits).is_pending()
            );
            drop(gone);
            assert_eq!(waits.await, 7);
            let mut alone = Box::pin(flights.join("k", std::future::pending));
            assert!(futures_util::poll!(&mut alone).is_pending());
        }
        assert!(flights.running().is_empty());
    }
}
