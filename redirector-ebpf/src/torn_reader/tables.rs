//! Reads the production tables by the production decision, and checks that all of it is of one
//! version of one service.

use aya_ebpf::{
    btf_maps::{Array, PerCpuArray},
    helpers::generated::{bpf_get_prandom_u32, bpf_ktime_get_ns},
    macros::{btf_map, socket_filter},
    programs::SkBuffContext,
};
use redirector_common::{FrontendKey4, FrontendKey6, HOST_HAS_IT, Header, PROTOCOL_TCP, Reason};
use redirector_ebpf::{Choice, Service, Tables as _, Walk, scan, select, service};

use crate::{
    maps::{BACKENDS, FRONTENDS4, FRONTENDS6, Maps},
    stamp::{
        ENTRIES_PER_TIER, FRONTENDS, FRONTENDS_PER_GROUP, OUTCOMES, Outcome, PORT, Stamp,
        comes_and_goes, frontend4, frontend6,
    },
};

/// How often each [`Outcome`] was met.
#[btf_map]
pub static READS: PerCpuArray<u64, OUTCOMES> = PerCpuArray::new();
/// One of the reads that went wrong: frontend, stamp, entry, address, and what was expected.
#[btf_map]
pub static FAULT: Array<[u32; 8], 1> = Array::new();

/// One read in so many lingers after the frontend, and one after the word. Set by the test.
#[unsafe(no_mangle)]
static LINGERS: u32 = 2048;
/// How long, in nanoseconds: longer than the writer needs from one store to the next.
const LINGERING: u64 = 40_000;
/// The verifier walks through each step.
const MOST_STEPS: u32 = 1500;

/// One read.
#[socket_filter]
pub fn tables(_context: SkBuffContext) -> i64 {
    count(Outcome::Read);
    let outcome = match read() {
        Ok(()) => Outcome::Whole,
        Err(outcome) => outcome,
    };
    count(outcome);
    0
}

#[inline(always)]
fn read() -> Result<(), Outcome> {
    let random = random();
    let frontend = random % FRONTENDS;
    let is_v6 = random >> 8 & 1 != 0;
    let lingers = lingers(random);

    let absent = if comes_and_goes(frontend) { Outcome::Away } else { Outcome::Missed };
    let index = index(frontend, is_v6).ok_or(absent)? & !HOST_HAS_IT;
    if lingers == 0 {
        linger();
    }
    let service = service(&Maps, index).map_err(|_| Outcome::Missed)?;
    if lingers == 1 {
        linger();
    }
    let seed = crate::tables::random();
    let choice = match select(&Maps, &service, seed) {
        Err(Reason::Scanned) => {
            count(Outcome::Scanned);
            scan(&Maps, &service, seed, &mut { Walk::WIDEST })
        }
        other => other,
    };
    check(frontend, is_v6, &service, &choice.map_err(|_| Outcome::Missed)?)
}

#[inline(always)]
fn index(frontend: u32, is_v6: bool) -> Option<u32> {
    // SAFETY: as in production; four words are sixteen bytes.
    unsafe {
        if is_v6 {
            let address = core::mem::transmute::<[u32; 4], [u8; 16]>(frontend6(frontend));
            let key = FrontendKey6 { address, port: PORT, protocol: PROTOCOL_TCP, _pad: 0 };
            FRONTENDS6.get(key).copied()
        } else {
            let address = frontend4(frontend);
            let key = FrontendKey4 { address, port: PORT, protocol: PROTOCOL_TCP, _pad: 0 };
            FRONTENDS4.get(key).copied()
        }
    }
}

/// Everything that the choice leads to is what the table's stamp says.
#[inline(always)]
fn check(
    frontend: u32,
    is_v6: bool,
    service: &Service<'_>,
    choice: &Choice<'_>,
) -> Result<(), Outcome> {
    let settings = Maps.settings(service.slot).ok_or(Outcome::Missed)?;
    let stamp = Stamp(settings.affinity_seconds());
    let entry = choice.entry;
    let number = u32::from(entry.port).wrapping_sub(1);
    let address = if service.header.flags & Header::IPV6 != 0 {
        Maps.address6(choice.slot).ok_or(Outcome::Missed)?
    } else {
        [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes(entry.address)]
    };
    let expected = if is_v6 {
        stamp.backend6(number)
    } else {
        [0, 0, 0xffff_u32.to_be(), u32::from_ne_bytes(stamp.backend4(number))]
    };
    let who = BACKENDS.get(entry.backend).ok_or(Outcome::Missed)?;
    // SAFETY: the address is the first field, and values are aligned to eight bytes.
    let who_address = unsafe { core::ptr::from_ref(who).cast::<[u32; 4]>().read() };
    let node = Maps.node(entry.node).ok_or(Outcome::Missed)?;

    let outcome = if stamp.service() / 2 != frontend / FRONTENDS_PER_GROUP
        || who_address != address
        || who.port != entry.port
    {
        Outcome::Foreign
    } else if address != expected
        || number / ENTRIES_PER_TIER != choice.tier
        || node.identity().0 != stamp.node(number).0
    {
        Outcome::Torn
    } else {
        return Ok(());
    };
    if let Some(fault) = FAULT.get_ptr_mut(0) {
        // SAFETY: any of several faults will do, whole or not.
        unsafe {
            *fault = [
                frontend,
                stamp.0,
                number,
                choice.tier,
                entry.backend,
                address[3],
                expected[3],
                who_address[3],
            ];
        }
    }
    Err(outcome)
}

/// Where this read lingers: 0 and 1 are the two places.
#[inline(always)]
pub fn lingers(random: u32) -> u32 {
    // SAFETY: a plain load of a constant that the loader may replace.
    let lingers = unsafe { (&raw const LINGERS).read_volatile() };
    (random >> 16) % lingers
}

/// Holds on to what was read for as long as an interrupted program does.
#[inline(always)]
pub fn linger() {
    count(Outcome::Lingered);
    // SAFETY: the helper takes nothing.
    let end = unsafe { bpf_ktime_get_ns() } + LINGERING;
    for _ in 0..MOST_STEPS {
        // SAFETY: as above.
        if unsafe { bpf_ktime_get_ns() } >= end {
            break;
        }
    }
}

#[inline(always)]
pub fn random() -> u32 {
    // SAFETY: the helper takes nothing.
    unsafe { bpf_get_prandom_u32() }
}

/// One more of these, on this CPU.
#[inline(always)]
pub fn count(outcome: Outcome) {
    if let Some(counter) = READS.get_ptr_mut(outcome as u32) {
        // SAFETY: this CPU's own slot. A program interrupting this one may cost a count.
        unsafe { *counter += 1 };
    }
}
