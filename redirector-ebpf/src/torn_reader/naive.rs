//! Reads the layout that everybody would write first: plain values of a HASH and of an ARRAY.

use aya_ebpf::{
    btf_maps::{Array, HashMap},
    macros::{btf_map, socket_filter},
    programs::SkBuffContext,
};

use crate::{
    stamp::{Outcome, SERVICES},
    tables::{count, linger, lingers, random},
};

/// A service with seven backends: each word is a [`Stamp`](crate::stamp::Stamp).
pub type Value = [u64; 8];

/// Keys below [`SERVICES`] are always there, the others come and go.
#[btf_map]
pub static NAIVE_HASH: HashMap<u32, Value, 256> = HashMap::new();
#[btf_map]
pub static NAIVE_ARRAY: Array<Value, 256> = Array::new();

/// One read of each; as in production, some of them linger between the first load and the next.
#[socket_filter]
pub fn naive(_context: SkBuffContext) -> i64 {
    let random = random();
    let key = random % SERVICES;
    let lingers = lingers(random);
    // SAFETY: what may happen to the value meanwhile is what is looked for.
    check(key, unsafe { NAIVE_HASH.get(key) }, lingers == 0);
    check(key, NAIVE_ARRAY.get(key), lingers == 1);
    0
}

#[inline(always)]
fn check(key: u32, value: Option<&Value>, lingers: bool) {
    count(Outcome::Read);
    let Some(value) = value else {
        return count(Outcome::Missed);
    };
    let words = core::ptr::from_ref(value).cast::<u64>();
    // SAFETY: all within the value. Volatile, so that each word is loaded once.
    let word = |number| unsafe { words.add(number).read_volatile() };
    let first = word(0);
    if lingers {
        linger();
    }
    let mut differences = 0;
    for number in 1..value.len() {
        differences |= word(number) ^ first;
    }
    count(if first >> 16 != u64::from(key) {
        Outcome::Foreign
    } else if differences != 0 {
        Outcome::Torn
    } else {
        Outcome::Whole
    });
}
