//! The root keys as a node holds them. The master key seals them and nothing else, so that another master key can take
//! its place while everything runs: what is sealed says under which root, and the newest root seals.

use std::collections::BTreeMap;
use std::sync::Arc;

use arc_swap::ArcSwap;

use super::keyring::CryptoError;
use super::seal::{MasterKey, NONCE};
use crate::types::hex::hex;
use crate::types::random::Rng;
use crate::types::root_key::{RootUse, WrappedRoot};
use crate::types::secret::Secret;

/// The first byte of what is sealed under a numbered root; its number follows, in four bytes.
const VERSION: u8 = 2;
/// The root of databases from before there were root keys. What it seals has no number.
const FIRST: u32 = 0;
/// What root keys are sealed for.
const PURPOSE: &str = "root key";

/// The root keys, and the master key that opens them.
pub struct Roots {
    master: MasterKey,
    fingerprint: String,
    ring: ArcSwap<Ring>,
}

#[derive(Clone)]
struct Ring {
    seals: BTreeMap<u32, Arc<MasterKey>>,
    /// The one that seals now.
    current: u32,
    records: Arc<MasterKey>,
    /// Whether this is only what is assumed until the database has been asked.
    is_assumed: bool,
}

impl Roots {
    /// Before the database has been asked, and for one from before there were root keys: the master key is the only root.
    #[must_use]
    pub fn of(master: MasterKey) -> Self {
        let root = Arc::new(master.again());
        let ring = Ring {
            seals: BTreeMap::from([(FIRST, Arc::clone(&root))]),
            current: FIRST,
            records: root,
            is_assumed: true,
        };
        Self { fingerprint: fingerprint(&master), master, ring: ArcSwap::from_pointee(ring) }
    }

    /// Which master key this is; it says nothing about the key.
    #[must_use]
    pub fn fingerprint(&self) -> &str {
        &self.fingerprint
    }

    /// The root keys of a database from before there were any, as they are from now on: the master key itself, for both
    /// uses, sealed under itself.
    pub fn inherited(&self, rng: &dyn Rng) -> [(u32, RootUse, Vec<u8>); 2] {
        [(FIRST, RootUse::Seals), (FIRST + 1, RootUse::Records)]
            .map(|(id, kind)| (id, kind, wrap(&self.master, id, kind, &self.master, rng)))
    }

    /// New root keys for a database without any.
    pub fn fresh(&self, rng: &dyn Rng) -> [(u32, RootUse, Vec<u8>); 2] {
        [(FIRST + 1, RootUse::Records), (FIRST + 2, RootUse::Seals)]
            .map(|(id, kind)| (id, kind, wrap(&self.master, id, kind, &MasterKey::generate(rng), rng)))
    }

    /// A new root that will seal, under this master key and under `next`.
    pub fn another(&self, id: u32, next: &MasterKey, rng: &dyn Rng) -> [Vec<u8>; 2] {
        let root = MasterKey::generate(rng);
        [&self.master, next].map(|master| wrap(master, id, RootUse::Seals, &root, rng))
    }

    /// A root key sealed under `next` instead.
    ///
    /// # Errors
    /// [`CryptoError::WrongRoot`] when this master key does not open it.
    pub fn rewrapped(
        &self,
        row: &WrappedRoot,
        next: &MasterKey,
        rng: &dyn Rng,
    ) -> Result<Vec<u8>, CryptoError> {
        let root = unwrap(&self.master, row).ok_or(CryptoError::WrongRoot(row.id))?;
        Ok(wrap(next, row.id, row.kind, &root, rng))
    }

    /// Takes in the roots that the database has under this master key. Those that were known stay known, so that nothing
    /// that is under way fails to open; the newest that is to seal seals.
    ///
    /// # Errors
    /// [`CryptoError::UnknownMasterKey`] when there is none, [`CryptoError::WrongRoot`] when one does not open.
    pub fn take_in(&self, rows: &[WrappedRoot]) -> Result<(), CryptoError> {
        let mine = || rows.iter().filter(|row| row.master == self.fingerprint);
        let mut opened = BTreeMap::new();
        let mut records = None;
        for row in mine() {
            let root = Arc::new(unwrap(&self.master, row).ok_or(CryptoError::WrongRoot(row.id))?);
            match row.kind {
                RootUse::Seals => drop(opened.insert(row.id, root)),
                RootUse::Records => records = Some(root),
            }
        }
        let sealing = |row: &&WrappedRoot| row.kind == RootUse::Seals && row.seals_since.is_some();
        let newest = mine().filter(sealing).map(|row| row.id).max();
        let (Some(newest), Some(records)) = (newest, records) else {
            return Err(CryptoError::UnknownMasterKey);
        };
        self.ring.rcu(|ring| {
            let known = ring.seals.iter().filter(|_| !ring.is_assumed);
            let known = known.map(|(id, root)| (*id, Arc::clone(root)));
            Ring {
                seals: known.chain(opened.clone()).collect(),
                is_assumed: false,
                // A slower reader must not put back an older one.
                current: newest.max(ring.current),
                records: Arc::clone(&records),
            }
        });
        Ok(())
    }

    /// [`MasterKey::seal`] under the newest root.
    pub fn seal(&self, purpose: &str, id: &str, plain: &[u8], rng: &dyn Rng) -> Vec<u8> {
        let ring = self.ring.load();
        let (number, root) = ring.newest();
        let sealed = root.seal(purpose, id, plain, rng);
        if number == FIRST {
            return sealed;
        }
        let mut out = Vec::with_capacity(4 + sealed.len());
        out.push(VERSION);
        out.extend_from_slice(&number.to_be_bytes());
        out.extend(sealed.into_iter().skip(1));
        out
    }

    /// The inverse of [`Roots::seal`], whichever root sealed it; `None` when root, purpose or id differ, or a bit has
    /// changed.
    pub fn open(&self, purpose: &str, id: &str, sealed: &[u8]) -> Option<Secret<Vec<u8>>> {
        let ring = self.ring.load();
        let number = root_of(sealed)?;
        let root = ring.seals.get(&number)?;
        match number {
            FIRST => root.open(purpose, id, sealed),
            _ => root.open_unversioned(purpose, id, sealed.get(5..)?),
        }
    }

    /// Whether something is sealed under the newest root.
    #[must_use]
    pub fn is_current(&self, sealed: &[u8]) -> bool {
        root_of(sealed) == Some(self.current())
    }

    /// The number of the newest root.
    #[must_use]
    pub fn current(&self) -> u32 {
        self.ring.load().current
    }

    /// [`MasterKey::mac`] for what is kept for long and cannot be made anew: it stays the same whatever rotates.
    pub fn mac(&self, purpose: &str, parts: &[&[u8]]) -> [u8; 32] {
        self.ring.load().records.mac(purpose, parts)
    }

    /// [`MasterKey::mac`] for what is soon over: with the newest root first, and then with every other that may have been the
    /// newest where what is to be recognised was made, also at a node that knows already that the next one seals.
    pub fn macs(&self, purpose: &str, parts: &[&[u8]]) -> Macs {
        let ring = self.ring.load();
        let others = ring.seals.iter().rev().filter(|(id, _)| **id != ring.current);
        Macs {
            newest: ring.newest().1.mac(purpose, parts),
            others: others.map(|(_, root)| root.mac(purpose, parts)).collect(),
        }
    }

    /// [`MasterKey::derive`], the same whatever rotates.
    pub fn derive(&self, purpose: &str) -> [u8; 32] {
        self.ring.load().records.derive(purpose)
    }
}

impl Ring {
    fn newest(&self) -> (u32, &MasterKey) {
        // The current root is always in the ring.
        self.seals.get(&self.current).map_or((FIRST, &self.records), |root| (self.current, root))
    }
}

/// The codes of one text under the roots there are.
pub struct Macs {
    /// Under the newest: what is made now.
    pub newest: [u8; 32],
    /// Under the others: what was made earlier, or elsewhere.
    pub others: Vec<[u8; 32]>,
}

impl Macs {
    /// All of them.
    pub fn iter(&self) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&self.newest).chain(&self.others)
    }
}

impl std::fmt::Debug for Roots {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Roots(…)")
    }
}

/// What tells master keys apart.
#[must_use]
pub fn fingerprint(master: &MasterKey) -> String {
    hex(master.derive("fingerprint").first_chunk::<8>().map_or(&[], |start| start.as_slice()))
}

fn root_of(sealed: &[u8]) -> Option<u32> {
    match sealed.split_first()? {
        (1, _) => Some(FIRST),
        (&VERSION, rest) => {
            let number = rest.first_chunk::<4>().map(|bytes| u32::from_be_bytes(*bytes))?;
            // One spelling for each: the first root has no number.
            (number != FIRST && rest.len() >= 4 + NONCE).then_some(number)
        }
        _ => None,
    }
}

/// The row's number and use are part of the seal: none can stand in another's place.
fn place(id: u32, kind: RootUse) -> String {
    format!("{id} {}", kind.as_str())
}

fn wrap(master: &MasterKey, id: u32, kind: RootUse, root: &MasterKey, rng: &dyn Rng) -> Vec<u8> {
    master.seal(PURPOSE, &place(id, kind), root.to_base64().expose().as_bytes(), rng)
}

fn unwrap(master: &MasterKey, row: &WrappedRoot) -> Option<MasterKey> {
    let text = master.open(PURPOSE, &place(row.id, row.kind), &row.sealed)?;
    MasterKey::from_base64(std::str::from_utf8(text.expose()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::types::random::SeededRng;
    use crate::types::time::Timestamp;

    fn key(seed: u64) -> MasterKey {
        MasterKey::generate(&SeededRng::new(seed))
    }

    fn rows(roots: &Roots, made: [(u32, RootUse, Vec<u8>); 2]) -> Vec<WrappedRoot> {
        let row = |(id, kind, sealed)| WrappedRoot {
            id,
            kind,
            master: roots.fingerprint().to_owned(),
            turn: 1,
            sealed,
            created_at: Timestamp::from_seconds(0),
            seals_since: Some(Timestamp::from_seconds(0)),
        };
        made.into_iter().map(row).collect()
    }

    /// The rows of a rotation: under both master keys, with one root more.
    fn rotated(roots: &Roots, rows: &[WrappedRoot], next: &MasterKey, seals: bool) -> Vec<WrappedRoot> {
        let rng = SeededRng::new(77);
        let mut all = rows.to_vec();
        for row in rows {
            let sealed = roots.rewrapped(row, next, &rng).unwrap();
            all.push(WrappedRoot { master: fingerprint(next), turn: 2, sealed, ..row.clone() });
        }
        let id = rows.iter().map(|row| row.id).max().unwrap() + 1;
        let seals_since = seals.then(|| Timestamp::from_seconds(9));
        for (sealed, (master, turn)) in roots
            .another(id, next, &SeededRng::new(78))
            .into_iter()
            .zip([(roots.fingerprint().to_owned(), 1), (fingerprint(next), 2)])
        {
            let template = rows[0].clone();
            all.push(WrappedRoot { id, kind: RootUse::Seals, master, turn, sealed, seals_since, ..template });
        }
        all
    }

    #[test]
    fn without_root_keys_everything_is_as_it_was() {
        let (roots, rng) = (Roots::of(key(1)), SeededRng::new(2));
        let old = key(1).seal("p", "i", b"x", &rng);
        assert_eq!(roots.open("p", "i", &old).unwrap().expose(), b"x");
        let new = roots.seal("p", "i", b"y", &rng);
        assert_eq!(key(1).open("p", "i", &new).unwrap().expose(), b"y");
        assert_eq!(roots.mac("p", &[b"x"]), key(1).mac("p", &[b"x"]));
        assert_eq!(roots.macs("p", &[b"x"]).newest, key(1).mac("p", &[b"x"]));
        assert_eq!(roots.derive("p"), key(1).derive("p"));
        let before = (roots.mac("m", &[]), roots.derive("m"));
        roots.take_in(&rows(&roots, roots.inherited(&rng))).unwrap();
        assert_eq!(roots.open("p", "i", &old).unwrap().expose(), b"x");
        assert_eq!((roots.mac("m", &[]), roots.derive("m")), before);
        assert_eq!(roots.current(), 0);
    }

    #[test]
    fn with_root_keys_the_master_key_opens_nothing_itself() {
        let (roots, rng) = (Roots::of(key(1)), SeededRng::new(2));
        roots.take_in(&rows(&roots, roots.fresh(&rng))).unwrap();
        let sealed = roots.seal("p", "i", b"secret", &rng);
        assert_eq!(roots.open("p", "i", &sealed).unwrap().expose(), b"secret");
        assert!(roots.open("p", "j", &sealed).is_none() && roots.open("q", "i", &sealed).is_none());
        assert!(key(1).open("p", "i", &sealed).is_none());
        assert!(key(1).open("p", "i", &[&[1], &sealed[5..]].concat()).is_none());
        assert!(roots.open("p", "i", &key(1).seal("p", "i", b"x", &rng)).is_none(), "nor is it believed");
        assert_ne!(roots.mac("p", &[]), key(1).mac("p", &[]));
        for index in 0..sealed.len() {
            let mut changed = sealed.clone();
            changed[index] ^= 1;
            assert!(roots.open("p", "i", &changed).is_none(), "byte {index}");
            assert!(roots.open("p", "i", &sealed[..index]).is_none(), "cut at {index}");
        }
    }

    #[test]
    fn both_master_keys_work_side_by_side_and_the_new_root_waits_for_its_time() {
        let (old, rng) = (Roots::of(key(1)), SeededRng::new(2));
        let first = rows(&old, old.inherited(&rng));
        old.take_in(&first).unwrap();
        let (sealed, mac) = (old.seal("p", "i", b"x", &rng), old.macs("p", &[b"x"]).newest);
        let announced = rotated(&old, &first, &key(5), false);
        old.take_in(&announced).unwrap();
        assert_eq!(old.current(), 0);
        let new = Roots::of(key(5));
        let begun = rotated(&old, &first, &key(5), true);
        new.take_in(&begun).unwrap();
        let fresh = new.seal("p", "i", b"y", &rng);
        assert_eq!(old.open("p", "i", &fresh).unwrap().expose(), b"y", "known before it seals");
        assert_eq!(new.open("p", "i", &sealed).unwrap().expose(), b"x");
        let there = new.macs("p", &[b"x"]).newest;
        assert!(
            old.macs("p", &[b"x"]).iter().any(|known| *known == there),
            "recognised before it seals here"
        );
        assert!(!new.is_current(&sealed) && new.is_current(&fresh) && !old.is_current(&fresh));
        assert_ne!(new.macs("p", &[b"x"]).newest, mac);
        assert!(new.macs("p", &[b"x"]).iter().any(|known| *known == mac));
        assert_eq!(new.mac("p", &[b"x"]), old.mac("p", &[b"x"]));
        old.take_in(&begun).unwrap();
        assert_eq!(old.current(), 2);
        old.take_in(&announced).unwrap();
        assert_eq!(old.current(), 2, "a slower reader puts nothing back");
        let left: Vec<_> = begun.iter().filter(|row| row.turn == 2 && row.id != 0).cloned().collect();
        let late = Roots::of(key(5));
        late.take_in(&left).unwrap();
        assert!(late.open("p", "i", &sealed).is_none() && late.open("p", "i", &fresh).is_some());
        assert!(matches!(old.take_in(&left), Err(CryptoError::UnknownMasterKey)));
        new.take_in(&left).unwrap();
        for node in [&old, &new] {
            assert!(node.open("p", "i", &fresh).is_some(), "what runs goes on");
            assert!(node.open("p", "i", &sealed).is_some(), "what runs goes on");
        }
    }

    #[test]
    fn a_root_key_opens_in_its_own_place_only() {
        let (roots, rng) = (Roots::of(key(1)), SeededRng::new(2));
        let good = rows(&roots, roots.fresh(&rng));
        let mut moved = good.clone();
        moved[1].id = 3;
        assert!(matches!(roots.take_in(&moved), Err(CryptoError::WrongRoot(3))));
        let mut swapped = good.clone();
        (swapped[0].kind, swapped[1].kind) = (RootUse::Seals, RootUse::Records);
        assert!(matches!(roots.take_in(&swapped), Err(CryptoError::WrongRoot(_))));
        let stranger = Roots::of(key(9));
        assert!(matches!(stranger.take_in(&good), Err(CryptoError::UnknownMasterKey)));
        assert_eq!(format!("{roots:?}"), "Roots(…)");
    }
}
