//! Plain data shared by the kernel and the user side: keys, values, words, reasons, limits.
//!
//! Nothing here decides anything. Every type is `repr(C)`, has no hidden padding (bytemuck proves
//! it) and a size asserted beside it. No enum, bool or Option crosses the kernel boundary.

#![no_std]

mod answers;
mod avoid;
mod counters;
mod frontend;
mod listener;
mod passive;
mod socket;
mod table;
mod words;

pub use answers::{AnswerValue, Ending, LONGEST_WAIT};
pub use avoid::{AVOID_WORDS, AvoidKey, AvoidWord, ClientHash, SEGMENT, WitnessWord, ticks};
pub use counters::{COUNTERS, Reason, TIER_COUNTERS};
pub use frontend::{FrontendKey4, FrontendKey6, HOST_HAS_IT, PROTOCOL_TCP, PROTOCOL_UDP};
pub use listener::{
    IDS, IdBucket, IdWord, LEARNED, ListenerValue, PortKey, PortValue, SERVED_NO_MORE, SERVES_V4,
    SERVES_V6, UNCOUNTED, buckets_of, identity_of, identity_words, is_served, mix, port_check,
    served_in,
};
pub use passive::{
    AGENT_SILENT, CONFIG_WORDS, Client, EventKind, EventValue, HEARTBEAT, HOSTS_HAVE,
    LISTENER_GONE, Limits, PassiveValue, STALE_AFTER, STORED, UnknownEvent, syn_seconds,
};
pub use socket::{
    ANSWER_SECONDS, AffinityKey, AffinityValue, CALLER_SECONDS, CallerKey, CallerWord,
    DESTINATIONS, Destination, Recency, SendsValue, SentValue, SocketValue, affinity_check, tag_of,
};
pub use table::{
    ALWAYS, Address6, AllDown, Entry, Header, MAX_TIERS, RANGES, SETTINGS, SLOT, SLOTS_PER_LINE,
    Settings, Slot, TierRange, UnknownAllDown,
};
pub use words::{
    BackendValue, GENERATIONS, HealthByte, HealthWord, NO_NODE, NodeWord, ServiceName, ServiceWord,
};

/// Version of everything in the pinned maps but the per-socket state. It is part of the pin path:
/// another layout is built beside the old one.
pub const LAYOUT: u32 = 4;

/// Entries of one tier, at most: alias indices are 16 bits wide.
pub const MAX_TIER_ENTRIES: usize = 65_535;

#[cfg(feature = "aya")]
mod pod {
    use super::{
        AffinityKey, AffinityValue, AnswerValue, BackendValue, EventValue, FrontendKey4,
        FrontendKey6, IdBucket, ListenerValue, PassiveValue, PortKey, PortValue, ServiceName, Slot,
    };

    // SAFETY: each of these is `bytemuck::Pod` (derived, so proven by the compiler), which is a
    // stronger promise than aya's: any bytes are a valid value, and there is no padding.
    macro_rules! aya_pod {
        ($($name:ty),+ $(,)?) => { $(
            const _: () = {
                const fn is_pod<T: bytemuck::Pod>() {}
                is_pod::<$name>();
            };
            // SAFETY: see above the macro.
            unsafe impl aya::Pod for $name {}
        )+ };
    }

    aya_pod!(
        AffinityKey,
        AffinityValue,
        AnswerValue,
        BackendValue,
        EventValue,
        FrontendKey4,
        FrontendKey6,
        IdBucket,
        ListenerValue,
        PassiveValue,
        PortKey,
        PortValue,
        ServiceName,
        Slot
    );
}
