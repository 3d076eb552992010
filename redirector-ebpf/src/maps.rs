//! The maps, and the decision's view of them.
//!
//! Every one is a BTF map, so that `bpftool map dump` prints field names. Capacities here are
//! what `redirector load` uses unless its flags say otherwise.

use aya_ebpf::{
    bindings::{BPF_F_MMAPABLE, BPF_F_NO_PREALLOC},
    btf_maps::{Array, HashMap, LruHashMap, PerCpuArray, ProgramArray, RingBuf, SkStorage},
    macros::btf_map,
};
use redirector_common::{
    AVOID_WORDS, Address6, AffinityKey, AffinityValue, AnswerValue, BackendValue, CONFIG_WORDS,
    COUNTERS as COUNTER_COUNT, CallerKey, Entry, EventValue, FrontendKey4, FrontendKey6, Header,
    HealthWord, IdBucket, ListenerValue, NodeWord, PassiveValue, PortKey, PortValue, SETTINGS,
    SendsValue, ServiceName, ServiceWord, Settings, SocketValue, TierRange,
};
use redirector_ebpf::{Tables, Walk};

use crate::slot::Find as _;

const MMAPABLE: usize = BPF_F_MMAPABLE as usize;
/// Memory for what is there, not for what could be.
const AS_NEEDED: usize = BPF_F_NO_PREALLOC as usize;

/// Of `AVOID`.
const AVOID_LENGTH: usize = AVOID_WORDS as usize;

/// A slot of the arena as `bpftool` shows it: all its readings side by side.
#[repr(C)]
pub union SlotView {
    pub header: Header,
    pub settings: Settings,
    pub range: TierRange,
    pub entry: Entry,
    pub address6: Address6,
}

/// What a dial's programs hand on.
#[repr(C)]
#[derive(Clone, Copy)]
pub struct Drawn {
    pub walk: Walk,
    /// 32 bits.
    pub seed: u64,
}

/// Address, port and protocol to the frontend's word in `SERVICES`.
#[btf_map]
pub static FRONTENDS4: HashMap<FrontendKey4, u32, 65536> = HashMap::new();
#[btf_map]
pub static FRONTENDS6: HashMap<FrontendKey6, u32, 65536> = HashMap::new();
/// One published word per frontend.
#[btf_map]
pub static SERVICES: Array<u64, 131072, MMAPABLE> = Array::new();
/// The arena.
#[btf_map]
pub static TABLE: Array<SlotView, 2097152, MMAPABLE> = Array::new();
/// One word per backend.
#[btf_map]
pub static HEALTH: Array<u64, 262144, MMAPABLE> = Array::new();
/// One word per node.
#[btf_map]
pub static NODES: Array<u64, 65536, MMAPABLE> = Array::new();
/// Who each backend index is. The programs do not read it.
#[btf_map]
pub static BACKENDS: Array<BackendValue, 262144, MMAPABLE> = Array::new();
/// What each service id is called. The programs do not read it.
#[btf_map]
pub static NAMES: Array<ServiceName, 65536, MMAPABLE> = Array::new();
/// Where a socket was connected to: by the low bits of its cookie. Nearly all sit here; storage of
/// the socket's own costs five times as much.
#[btf_map]
pub static SEATS: Array<SocketValue, 65536, MMAPABLE> = Array::new();
/// The same of sockets that found their slot taken, and of those without an end that is seen
/// (MPTCP).
#[btf_map]
pub static SOCKETS: SkStorage<SocketValue> = SkStorage::new();
/// Where an unconnected UDP socket sends to.
#[btf_map]
pub static SENDS: SkStorage<SendsValue> = SkStorage::new();
/// Which backend a client had last.
#[btf_map]
pub static AFFINITY: LruHashMap<AffinityKey, AffinityValue, 65536> = LruHashMap::new();
/// Which hosts that have the address of a frontend wrote to whom, as [`CallerWord`](redirector_common::CallerWord).
#[btf_map]
pub static CALLERS: LruHashMap<CallerKey, u64, 2048> = LruHashMap::new();
/// What the kernel has seen of each backend's failing connects.
#[btf_map]
pub static PASSIVE: Array<PassiveValue, 262144, MMAPABLE> = Array::new();
/// What sockets have shown of each backend's answers.
#[btf_map]
pub static ANSWERS: Array<AnswerValue, 262144, MMAPABLE> = Array::new();
/// Which client avoids which backend, and what it counts till then.
#[btf_map]
pub static AVOID: Array<u64, AVOID_LENGTH, MMAPABLE> = Array::new();
/// News for the agent. When it is full they are lost: the words above say the same.
#[btf_map]
pub static EVENTS: RingBuf<EventValue, 131072> = RingBuf::new();
/// What the agent tells the programs: its heartbeat, and the like.
#[btf_map]
pub static CONFIG: Array<u64, CONFIG_WORDS, MMAPABLE> = Array::new();
/// Which of this node's backends has an address: the way back from an accepted connection.
#[btf_map]
pub static BACKEND_IDS: Array<IdBucket, 4097, MMAPABLE> = Array::new();
/// In which namespace each backend was seen to be served.
#[btf_map]
pub static BACKEND_NETNS: Array<u64, 262144> = Array::new();
/// What each listener serves that was seen to begin, by its cookie.
#[btf_map]
pub static LISTENERS: HashMap<u64, ListenerValue, 65536, AS_NEEDED> = HashMap::new();
/// How many listen on each port of each namespace, and for which backends.
#[btf_map]
pub static PORTS: HashMap<PortKey, PortValue, 65536, AS_NEEDED> = HashMap::new();
/// One counter per reason, then one per tier.
#[btf_map]
pub static COUNTERS: PerCpuArray<u64, COUNTER_COUNT> = PerCpuArray::new();
/// What the dial under way on this CPU has drawn, for the programs that go on with it. One that is
/// preempted between two of them finds another dial's: a seed as random as its own, and how far that
/// one's walk was. (To tell them apart by the table's slot cost 6.1 6,600 instructions.)
#[btf_map]
pub static SEED: PerCpuArray<Drawn, 1> = PerCpuArray::new();

/// The programs that a hook's first one may call (`steps::RESUME` and the following). One array per
/// hook: a program array belongs to one attach type.
#[btf_map]
pub static NEXT_CONNECT4: ProgramArray<7> = ProgramArray::new();
#[btf_map]
pub static NEXT_CONNECT6: ProgramArray<12> = ProgramArray::new();
#[btf_map]
pub static NEXT_SENDMSG4: ProgramArray<4> = ProgramArray::new();
#[btf_map]
pub static NEXT_SENDMSG6: ProgramArray<4> = ProgramArray::new();
/// The same for what becomes of listeners (`programs::ENDED4` and the following).
#[btf_map]
pub static NEXT_RELEASE: ProgramArray<7> = ProgramArray::new();
#[btf_map]
pub static NEXT_SOCK_OPS: ProgramArray<4> = ProgramArray::new();

/// The decision's view of the maps above.
pub struct Maps;

impl Tables for Maps {
    #[inline(always)]
    fn word(&self, frontend: u32) -> Option<ServiceWord> {
        Some(ServiceWord(SERVICES.slot(frontend)?.word().load()))
    }

    #[inline(always)]
    fn header(&self, slot: u32) -> Option<&Header> {
        // SAFETY: every reading of a slot is plain data of 16 bytes.
        Some(unsafe { &TABLE.get(slot)?.header })
    }

    #[inline(always)]
    fn range(&self, slot: u32) -> Option<&TierRange> {
        // SAFETY: as above.
        Some(unsafe { &TABLE.get(slot)?.range })
    }

    #[inline(always)]
    fn entry(&self, slot: u32) -> Option<&Entry> {
        // SAFETY: as above.
        Some(unsafe { &TABLE.get(slot)?.entry })
    }

    #[inline(always)]
    fn health(&self, backend: u32) -> Option<HealthWord> {
        Some(HealthWord(HEALTH.slot(backend)?.word().load()))
    }

    #[inline(always)]
    fn node(&self, node: u16) -> Option<NodeWord> {
        Some(NodeWord(NODES.slot(u32::from(node))?.word().load()))
    }
}

impl Maps {
    /// The settings of the service whose header is at `slot`.
    #[inline(always)]
    pub fn settings(&self, slot: u32) -> Option<&Settings> {
        // SAFETY: as above.
        Some(unsafe { &TABLE.get(slot + SETTINGS)?.settings })
    }

    /// The address of the IPv6 entry at `slot`, in the words of a `sockaddr_in6`.
    #[inline(always)]
    pub fn address6(&self, slot: u32) -> Option<[u32; 4]> {
        let view = core::ptr::from_ref(TABLE.get(slot + 1)?);
        // SAFETY: as above; slots are 16 bytes apart, so the words are aligned.
        Some(unsafe { view.cast::<[u32; 4]>().read() })
    }
}
