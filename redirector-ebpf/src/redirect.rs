//! A connect or a send: from the address dialled to the address rewritten, or to a reason.

use aya_ebpf::helpers::generated::bpf_get_prandom_u32;
use redirector_common::{
    AffinityKey, AffinityValue, AvoidKey, ClientHash, FrontendKey4, FrontendKey6, HOST_HAS_IT,
    Header, Limits, PROTOCOL_TCP, PROTOCOL_UDP, Reason, SentValue, ticks,
};
use redirector_ebpf::{
    Choice, Earlier, Service, Walk, later, opaque, resume, sample, sample_but, scan, scan_but,
    seed_of, select, service,
};

use crate::{
    agentless::{agent_is_gone, asks_for_trial, now, seconds, try_ejected},
    avoid, caller, client,
    context::{Address, Hook},
    maps::{AFFINITY, Drawn, FRONTENDS4, FRONTENDS6, Maps, SEED},
    programs::{count, count_tier},
    slot::{Find as _, Slot, word},
    socket_state::{self, Redirection, Remembered},
    steps::{
        AVOID, AVOID_MAPPED, AVOID_SCAN, AVOID_SCAN_MAPPED, CHOOSE, FIRST, LATER, LATER_MAPPED,
        RESUME, SCAN, SCAN_MAPPED, TRIAL, TRIAL_MAPPED, goes_on, is_mapped, is_trial, is_walk,
        passes,
    },
};

/// Redirects one dial: a connect, or (`SEND`) a UDP send. `STEP` is the program: each looks the
/// service up again and calls another one when its own means do not do. In one program the
/// verifier would combine them all (766,956 instructions; now each takes less than 10,000).
///
/// # Errors
///
/// Why the address was left alone or is refused, or which program is to go on: [`next`](crate::steps::next) says.
#[inline(always)]
pub fn redirect<const V6: bool, const SEND: bool, const STEP: u32>(
    hook: &Hook<V6>,
) -> Result<(), Reason> {
    let protocol = hook.protocol();
    let is_udp_too = !is_trial(STEP) && !passes(STEP);
    if protocol != PROTOCOL_TCP && (protocol != PROTOCOL_UDP || !is_udp_too) {
        return Err(Reason::OtherProtocol);
    }
    let dialled = hook.address();
    if SEND && STEP == FIRST && hook.is_connected() {
        if let Some(chosen) = socket_state::earlier_connect(&hook.inner, &dialled)
            && hook.is_connected_to(&chosen)
        {
            count(Reason::Resumed);
            hook.rewrite(&chosen);
            return Ok(());
        }
        // kube-proxy has this flow: to rewrite one send of it would lose the answers.
        if hook.is_connected_to(&dialled) {
            return Err(Reason::Answer);
        }
    }
    let Some(frontend) = frontend::<V6, SEND, STEP>(&dialled, protocol) else {
        if SEND {
            socket_state::sent_elsewhere(&hook.inner, &dialled);
        } else {
            socket_state::connected_elsewhere(&hook.inner, &dialled);
        }
        return Err(Reason::NotService);
    };
    let service = service(&Maps, frontend & !HOST_HAS_IT)?;
    let has_affinity = service.header.flags & Header::AFFINITY != 0;
    if STEP == FIRST {
        if service.header.flags & Header::ALSO_SERVED != 0 && agent_is_gone() {
            return Err(Reason::AgentGone);
        }
        if SEND && let Some(earlier) = socket_state::earlier_send(&hook.inner, &dialled) {
            if !holds(earlier, &service) {
                return Err(Reason::Undecided);
            }
            count(Reason::Resumed);
            hook.rewrite(&Address {
                words: word!(earlier.destination.chosen).load_parts(),
                port: word!(earlier.destination.chosen_port).load(),
            });
            return Ok(());
        }
        // A socket that has dialled the address before goes on: a datagram with a forged source ends no
        // flow.
        if protocol == PROTOCOL_UDP
            && frontend & HOST_HAS_IT != 0
            && caller::is_answered(hook, &dialled)
        {
            return Err(Reason::Answer);
        }
        if has_affinity {
            return Err(Reason::Undecided);
        }
        // It may be the backend itself; whether it is, the other programs find out.
        if protocol == PROTOCOL_UDP && hook.local_port() != 0 {
            return Err(Reason::Unheld);
        }
    }

    let choice = if STEP == RESUME {
        let earlier = earlier::<V6, SEND>(hook, &service, &dialled).ok_or(Reason::Unheld)?;
        let Some(choice) = resume(&Maps, &service, earlier)? else {
            // A UDP flow stays with its backend as long as any tier lists it, as kube-proxy's do:
            // this program again, for the next tier.
            let is_again = SEND
                && !has_affinity
                && socket_state::seek_in_next_tier(&hook.inner, &dialled, service.header.tiers);
            if is_again {
                return Err(Reason::Undecided);
            }
            if SEND {
                socket_state::leave_backend(&hook.inner, &dialled);
            }
            return Err(Reason::Unheld);
        };
        if !SEND && choice.is_avoided && avoids(hook, &choice) {
            count(Reason::Avoided);
            return Err(Reason::Unheld);
        }
        count(Reason::Resumed);
        choice
    } else {
        let mut met = 0;
        let choice = choose::<V6, SEND, STEP>(hook, &service, protocol, &mut met)?;
        if STEP == FIRST && !SEND && protocol == PROTOCOL_TCP && asks_for_trial(met) {
            return Err(Reason::Trial);
        }
        count_tier(choice.tier);
        if is_walk(STEP) && !is_usable(&choice) {
            count(Reason::AllDownPanic);
        }
        choice
    };
    let redirection = redirection::<SEND>(&service, &choice, dialled)?;
    if STEP != FIRST && is_udp_too && hook.is_udp_bound_to(&redirection.chosen) {
        let seed = seed_of(hook.socket_cookie(), service.header.service);
        hand_on(Walk::past(choice.entry.backend), seed);
        return Err(Reason::Itself);
    }
    if STEP != FIRST && has_affinity {
        remember_affinity(hook, &service, &choice);
    }
    let is_watched = !SEND && protocol == PROTOCOL_TCP && redirection.limits.are_set();
    if is_watched || socket_state::shows_dialled(protocol) {
        let remembered = if SEND {
            socket_state::sent(&hook.inner, &redirection)
        } else {
            socket_state::connected(&hook.inner, &redirection, is_watched)
        };
        match remembered {
            Remembered::Yes => {}
            Remembered::InsteadOfAnother => count(Reason::Forgotten),
            Remembered::No => count(Reason::NotRemembered),
        }
    }
    hook.rewrite(&redirection.chosen);
    Ok(())
}

/// The frontend's index. A v4-mapped address is an IPv4 frontend's; the kernel passes UDP sends to
/// one through `sendmsg4`.
#[inline(always)]
fn frontend<const V6: bool, const SEND: bool, const STEP: u32>(
    dialled: &Address,
    protocol: u8,
) -> Option<u32> {
    let key4 = FrontendKey4 {
        address: dialled.words[3].to_ne_bytes(),
        port: dialled.port,
        protocol,
        _pad: 0,
    };
    if !V6 || is_mapped(STEP) {
        // SAFETY: a frontend's value never changes during its life, and no element is recycled
        // under a reader (removal, grace period, insertion).
        return unsafe { FRONTENDS4.get(&key4) }.copied();
    }
    // SAFETY: four words are sixteen bytes.
    let address = unsafe { core::mem::transmute::<[u32; 4], [u8; 16]>(dialled.words) };
    let key6 = FrontendKey6 { address, port: dialled.port, protocol, _pad: 0 };
    if SEND || matches!(STEP, SCAN | LATER | TRIAL | AVOID | AVOID_SCAN) {
        // SAFETY: as above.
        return unsafe { FRONTENDS6.get(&key6) }.copied();
    }
    // Both keys stand on the stack before the branch, so that it looks alike after it: else the
    // verifier explores all that follows twice.
    let keys = (key4, key6);
    let _ = (opaque(keys.0), opaque(keys.1));
    if dialled.is_v4() {
        // SAFETY: as above.
        unsafe { FRONTENDS4.get(&keys.0) }.copied()
    } else {
        // SAFETY: as above.
        unsafe { FRONTENDS6.get(&keys.1) }.copied()
    }
}

/// Whether an earlier send's choice still holds without asking the table.
#[inline(always)]
fn holds(slot: Slot<SentValue>, service: &Service<'_>) -> bool {
    use redirector_ebpf::Tables as _;
    let generation = word!(slot.destination.generation).load();
    let destination = || {
        let health = Maps.health(word!(slot.destination.backend).load())?;
        Some(health.on(Maps.node(word!(slot.destination.node).load())?))
    };
    word!(slot.destination.epoch).load() == service.header.epoch
        && destination()
            .is_some_and(|health| health.is_usable() && health.generation() == generation)
}

/// Who dials, as session affinity sees it.
#[inline(always)]
fn client<const V6: bool>(hook: &Hook<V6>, service: &Service<'_>) -> AffinityKey {
    let Header { service, flags, .. } = *service.header;
    let family = 4 + u32::from(flags & Header::IPV6) / 2;
    AffinityKey { client: hook.netns_cookie(), service, family }
}

/// What to resume: where this socket sent before, else the backend this client had last, unless
/// that was too long ago.
#[inline(always)]
fn earlier<const V6: bool, const SEND: bool>(
    hook: &Hook<V6>,
    service: &Service<'_>,
    dialled: &Address,
) -> Option<Earlier> {
    if SEND && let Some(sent) = socket_state::earlier_send(&hook.inner, dialled) {
        return Some(Earlier {
            backend: word!(sent.destination.backend).load(),
            generation: word!(sent.destination.generation).load(),
            tier: word!(sent.destination.tier).load() & socket_state::TIER,
        });
    }
    if service.header.flags & Header::AFFINITY == 0 {
        return None;
    }
    let client = client(hook, service);
    let timeout = Maps.settings(service.slot)?.affinity_seconds();
    let known = AFFINITY.slot(&client)?;
    // Words that belong to another key by now are refused.
    let value =
        AffinityValue { choice: word!(known.choice).load(), used: word!(known.used).load() };
    // Whole seconds: for the timeout at least, and less than a second longer.
    let is_fresh = value.used_seconds() + u64::from(timeout) >= u64::from(seconds());
    (value.is_of(&client) && is_fresh).then_some(Earlier {
        backend: value.backend(),
        generation: value.generation(),
        tier: value.tier(),
    })
}

#[inline(always)]
fn remember_affinity<const V6: bool>(hook: &Hook<V6>, service: &Service<'_>, choice: &Choice<'_>) {
    let client = client(hook, service);
    let backend = choice.entry.backend;
    let value =
        AffinityValue::new(backend, choice.generation, choice.tier, &client, seconds().into());
    if let Some(known) = AFFINITY.slot(&client) {
        word!(known.choice).store(value.choice);
        word!(known.used).store(value.used);
    } else {
        // A full map evicts; a failure costs this client its affinity once.
        let _ = AFFINITY.insert(client, &value, 0);
    }
}

/// Chooses as this program can. Seed and walk for the next one are left in `SEED`.
#[inline(always)]
fn choose<'t, const V6: bool, const SEND: bool, const STEP: u32>(
    hook: &Hook<V6>,
    service: &Service<'t>,
    protocol: u8,
    met: &mut u64,
) -> Result<Choice<'t>, Reason> {
    let drawn = if goes_on(STEP) {
        SEED.get(0).copied().ok_or(Reason::Inconsistent)?
    } else {
        Drawn { walk: Walk::BEGIN, seed: 0 }
    };
    let seed = if protocol == PROTOCOL_UDP {
        seed_of(hook.socket_cookie(), service.header.service)
    } else if goes_on(STEP) {
        drawn.seed as u32
    } else {
        // SAFETY: the helper takes nothing.
        unsafe { bpf_get_prandom_u32() }
    };
    let mut walk = drawn.walk;
    let choice = match STEP {
        SCAN | SCAN_MAPPED => scan(&Maps, service, seed, &mut walk),
        LATER | LATER_MAPPED => later(&Maps, service, seed, &mut walk),
        TRIAL | TRIAL_MAPPED => {
            let client = ClientHash::new(client::connecting(&hook.inner));
            try_ejected(service, seed, client).ok_or(Reason::Untried)
        }
        AVOID | AVOID_SCAN | AVOID_MAPPED | AVOID_SCAN_MAPPED => {
            past_avoided::<V6, STEP>(hook, service, seed, &mut walk)
        }
        CHOOSE => select(&Maps, service, seed),
        _ => sample(&Maps, service, seed, met),
    };
    match choice {
        Ok(choice) => {
            let asks = !SEND && matches!(STEP, FIRST | CHOOSE | SCAN | SCAN_MAPPED);
            if asks && choice.is_avoided && !walk.is_unasked() {
                hand_on(walk, seed);
                return Err(Reason::AvoidAsked);
            }
            Ok(choice)
        }
        Err(reason) => {
            if matches!(
                reason,
                Reason::Scanned | Reason::Beyond | Reason::Avoided | Reason::AvoidsAll
            ) {
                hand_on(walk, seed);
            }
            Err(reason)
        }
    }
}

/// Lets the dial's next program go on from here.
#[inline(always)]
fn hand_on(walk: Walk, seed: u32) {
    if let Some(drawn) = SEED.get_ptr_mut(0) {
        // SAFETY: this CPU's element.
        unsafe { drawn.write_volatile(Drawn { walk, seed: u64::from(seed) }) };
    }
}

/// A backend that this client does not avoid; or whose time of being avoided is over, and then this
/// connect tries it.
#[inline(always)]
fn past_avoided<'t, const V6: bool, const STEP: u32>(
    hook: &Hook<V6>,
    service: &Service<'t>,
    seed: u32,
    walk: &mut Walk,
) -> Result<Choice<'t>, Reason> {
    let client = ClientHash::new(client::connecting(&hook.inner));
    let now = now();
    let avoids = |backend, generation| avoid::avoids(client, backend, generation, ticks(now));
    let choice = if STEP == AVOID || STEP == AVOID_MAPPED {
        sample_but(&Maps, service, seed, avoids)?
    } else {
        scan_but(&Maps, service, seed, walk, avoids)?
    };
    if choice.is_avoided {
        avoid::try_again(&AvoidKey::new(client, choice.entry.backend, choice.generation), now);
    }
    Ok(choice)
}

/// Whether this client avoids the backend of an earlier choice. If its time is over, this connect
/// tries it.
#[inline(always)]
fn avoids<const V6: bool>(hook: &Hook<V6>, choice: &Choice<'_>) -> bool {
    let client = ClientHash::new(client::connecting(&hook.inner));
    let (backend, now) = (choice.entry.backend, now());
    if avoid::avoids(client, backend, choice.generation, ticks(now)) != Some(0) {
        return true;
    }
    avoid::try_again(&AvoidKey::new(client, backend, choice.generation), now);
    false
}

/// Whether a backend was chosen because it is usable, not for lack of one.
#[inline(always)]
fn is_usable(choice: &Choice<'_>) -> bool {
    use redirector_ebpf::Tables as _;
    let health = || Some(Maps.health(choice.entry.backend)?.on(Maps.node(choice.entry.node)?));
    health().is_some_and(redirector_common::HealthWord::is_usable)
}

#[inline(always)]
fn redirection<const SEND: bool>(
    service: &Service<'_>,
    choice: &Choice<'_>,
    dialled: Address,
) -> Result<Redirection, Reason> {
    let (limits, unresponsive) = if SEND {
        let limits = Limits {
            refused: 0,
            timeouts: 0,
            connect_timeout_ms: 0,
            base_ejection_ms: 0,
            max_ejection_ms: 0,
        };
        (limits, 0)
    } else {
        let settings = Maps.settings(service.slot).ok_or(Reason::Inconsistent)?;
        (settings.limits, settings.unresponsive())
    };
    Ok(Redirection {
        dialled,
        chosen: address_of(choice, service).ok_or(Reason::Inconsistent)?,
        backend: choice.entry.backend,
        generation: choice.generation,
        epoch: service.header.epoch,
        node: choice.entry.node,
        tier: choice.tier,
        limits,
        unresponsive,
    })
}

/// The chosen address, of the family of its table.
#[inline(always)]
fn address_of(choice: &Choice<'_>, service: &Service<'_>) -> Option<Address> {
    if service.header.flags & Header::IPV6 == 0 {
        return Some(Address::v4(u32::from_ne_bytes(choice.entry.address), choice.entry.port));
    }
    let words = Maps.address6(choice.slot)?;
    Some(Address { words, port: choice.entry.port })
}
