//! The writer of the naive layout: plain values of a HASH and of an ARRAY, by system calls.

use aya::maps::{Array, HashMap, MapData};

use super::{
    reader::Reader,
    stamp::{SERVICES, Stamp},
};

/// Words of a value, each the stamp.
const WORDS: usize = 8;
/// Keys that come and go, after those that are always there.
const OTHERS: u32 = 128;

/// Writes each service again and again.
pub(crate) struct Writer {
    hash: HashMap<MapData, u32, [u64; WORDS]>,
    array: Array<MapData, [u64; WORDS]>,
    version: u16,
    updates: u64,
}

impl Writer {
    /// All services are there once.
    pub(crate) fn new(reader: &Reader) -> Self {
        let hash = own(reader.map("NAIVE_HASH"));
        let array = own(reader.map("NAIVE_ARRAY"));
        let mut writer = Self {
            hash: HashMap::try_from(hash).expect("NAIVE_HASH"),
            array: Array::try_from(array).expect("NAIVE_ARRAY"),
            version: 0,
            updates: 0,
        };
        writer.step();
        writer
    }

    /// A new version of every service; the others come or go.
    pub(crate) fn step(&mut self) {
        self.version = self.version.wrapping_add(1);
        for key in 0..SERVICES {
            let stamp = Stamp(key << 16 | u32::from(self.version));
            let value = [u64::from(stamp.0); WORDS];
            self.hash.insert(key, value, 0).expect("an update of NAIVE_HASH");
            self.array.set(key, value, 0).expect("an update of NAIVE_ARRAY");
        }
        for key in SERVICES..SERVICES + OTHERS {
            if self.version.is_multiple_of(2) {
                self.hash.insert(key, [u64::from(key) << 16; WORDS], 0).expect("an insertion");
            } else {
                // At first they are not there.
                let _ = self.hash.remove(&key);
            }
        }
        self.updates += u64::from(2 * SERVICES + OTHERS);
    }

    /// System calls made.
    pub(crate) fn updates(&self) -> u64 {
        self.updates
    }
}

/// The same map, behind a descriptor of its own.
fn own(map: &aya::maps::Map) -> aya::maps::Map {
    use aya::maps::Map;
    let copy = |map: &MapData| {
        let id = map.info().expect("a map").id();
        MapData::from_id(id).expect("a map")
    };
    match map {
        Map::HashMap(map) => Map::HashMap(copy(map)),
        Map::Array(map) => Map::Array(copy(map)),
        other => panic!("a naive map of another kind: {other:?}"),
    }
}
