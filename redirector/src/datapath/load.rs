//! The privileged half: creates and pins the maps, loads the programs, attaches or exchanges them.
//!
//! Every step may be the last one: what is pinned is taken over by the next load, and links are
//! exchanged one by one while they serve.

use std::{fs, io::ErrorKind, os::fd::AsFd as _, path::PathBuf, time::Duration};

use anyhow::{Context as _, Result, bail};
use aya::{
    Ebpf, EbpfLoader,
    maps::ProgramArray,
    programs::{Program, ProgramError},
};
use redirector_core::plan::Capacities;
use tracing::{info, warn};

use super::{
    access::Access,
    btf::{self, Offsets},
    cgroup::Cgroup,
    check, descriptors,
    earlier::{self, Earlier},
    hooks::{HOOKS, Hook},
    ids, listeners,
    object::object,
    others::{Other, others, program_name},
    pins::{Lock, Pins},
    shapes, sys,
    unload::detach,
};

/// Maps that outlive a load.
pub(super) const MAPS: &[&str] = &[
    "FRONTENDS4",
    "FRONTENDS6",
    "SERVICES",
    "TABLE",
    "HEALTH",
    "NODES",
    "BACKENDS",
    "NAMES",
    "SEATS",
    "SOCKETS",
    "SENDS",
    "AFFINITY",
    "CALLERS",
    "PASSIVE",
    "ANSWERS",
    "AVOID",
    "EVENTS",
    "CONFIG",
    "BACKEND_IDS",
    "BACKEND_NETNS",
    "LISTENERS",
    "PORTS",
    "COUNTERS",
    "SEED",
];

/// The map whose change waits for a grace period, and the one in it.
pub(super) const BARRIER: &[&str] = &["BARRIER", "BARRIER_INNER"];

/// Seats, unless the caller wants another number: 7 MB.
pub const SEATS: u32 = 65_536;

/// How to load.
#[derive(Clone, Debug)]
pub struct Options {
    /// Sizes of maps that do not exist yet.
    pub capacities: Capacities,
    /// Whether TCP sockets remember the address they dialled.
    pub remember_tcp: bool,
    /// Whether UDP sockets do.
    pub remember_udp: bool,
    /// Sockets whose state stands in `SEATS`, a power of two; 0 is none: all have storage.
    pub seats: u32,
    /// Depth of the cgroups that tell clients apart, as [`Cgroup::client_level`]; 0 is each its own.
    /// [`load`] sets it.
    pub client_level: u32,
    /// User and group that own the pins, as [`Access`] has it; `None` is this process's.
    pub owner: Option<(u32, u32)>,
}

/// Loads the programs, takes over or creates what is pinned, and attaches to `cgroup`.
///
/// # Errors
///
/// A capability is missing, the verifier refused, the pins cannot be written, or another program
/// is attached exclusively.
pub fn load(pins: &Pins, lock: &Lock, cgroup: &Cgroup, options: &Options) -> Result<()> {
    let options = &Options { client_level: cgroup.client_level(), ..options.clone() };
    let programs = Programs::load(pins, lock, options)?;
    for other in others(pins, cgroup) {
        say_other(cgroup, &other);
    }
    programs.attach(pins, lock, cgroup)?;
    let Programs { count, load, earlier, .. } = programs;
    if let Some(earlier) = earlier {
        earlier.retire(pins)?;
    }
    forget_others(pins, load)?;
    earlier::forget_layouts(pins)?;
    grant(pins, Access::new(options.owner))?;
    info!(programs = count, cgroup = %cgroup.path.display(), pins = %pins.root().display(), "loaded");
    Ok(())
}

fn say_other(cgroup: &Cgroup, other: &Other) {
    let Other { program, pins } = other;
    let pins = pins.as_ref().map_or_else(|| "?".into(), |pins| pins.display().to_string());
    warn!(
        cgroup = %cgroup.path.display(),
        program,
        %pins,
        "another redirector is attached, and decides the same dials; stop it and `redirector unload \
         --pin-path` its pins, or give one of them another --cgroup"
    );
}

/// Programs that the verifier has accepted, on the pinned maps; attached or not.
#[derive(Debug)]
pub struct Programs {
    ebpf: Ebpf,
    count: usize,
    /// The load whose program arrays they call.
    load: u32,
    /// The layout that they take over from.
    earlier: Option<Earlier>,
}

impl Programs {
    /// Loads the programs, and takes over or creates the maps. Nothing is attached. Maps of an earlier
    /// layout that is in force give these what they hold.
    ///
    /// # Errors
    ///
    /// A capability is missing, the verifier refused, or the pins cannot be written.
    pub fn load(pins: &Pins, _lock: &Lock, options: &Options) -> Result<Self> {
        check::require_capabilities()?;
        raise_memlock();
        let object = object()?;
        let earlier = Earlier::in_force(pins);
        let options = &match &earlier {
            Some(earlier) => earlier.share(pins, options)?,
            None => options.clone(),
        };
        shapes::check(pins)?;
        let load = pins.create_steps()?;
        let mut ebpf = create(object, pins, load, options)?;
        barrier(pins)?;
        if let Some(earlier) = &earlier {
            earlier.copy(pins)?;
        }
        let count = load_programs(&mut ebpf)?;
        for hook in HOOKS {
            link_next(&mut ebpf, &hook)?;
        }
        Ok(Self { ebpf, count, load, earlier })
    }

    /// Attaches them to `cgroup`; where a program of ours is attached already, it is exchanged.
    ///
    /// # Errors
    ///
    /// The pins cannot be written, or another program is attached exclusively. Hooks that had programs
    /// of ours are served all the time, by the old ones or by these; those that had none have none.
    pub fn attach(&self, pins: &Pins, _lock: &Lock, cgroup: &Cgroup) -> Result<()> {
        let mut made: Vec<PathBuf> = Vec::new();
        for hook in HOOKS {
            let path = pins.link(hook.link);
            match self.attach_one(pins, cgroup, &hook) {
                Ok(is_new) => made.extend(is_new.then_some(path)),
                Err(error) => {
                    for path in made.iter().rev() {
                        if let Err(error) = detach(path) {
                            warn!(error = format!("{error:#}"), "a program stays attached");
                        }
                    }
                    earlier::put_back(pins);
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Attaches a program; says whether there was none of ours at this hook. What watches sockets
    /// comes beside the program of an earlier layout, whose sockets only that one knows.
    fn attach_one(&self, pins: &Pins, cgroup: &Cgroup, hook: &Hook) -> Result<bool> {
        if self.earlier.is_some() && hook.is_watching() {
            earlier::set_aside(pins, hook)?;
        }
        let is_new = pins.link(hook.link).symlink_metadata().is_err();
        let program = self.ebpf.program(hook.program).context(NO_PROGRAM)?;
        attach(pins, cgroup, hook, program)?;
        Ok(is_new)
    }
}

const NO_PROGRAM: &str = "the eBPF object lacks a program; build again with `cargo xtask build`";

/// Creates the maps that are not pinned yet, and opens those that are.
fn create(object: &[u8], pins: &Pins, load: u32, options: &Options) -> Result<Ebpf> {
    let Capacities { frontends, services, backends, nodes, slots } = options.capacities;
    let globals = globals(pins, options)?;
    let mut loader = EbpfLoader::new();
    for (name, value) in &globals {
        loader.override_global(name, value.as_slice(), true);
    }
    for (name, capacity) in [
        ("FRONTENDS4", frontends),
        ("FRONTENDS6", frontends),
        ("SERVICES", 2 * frontends),
        ("NAMES", services),
        ("HEALTH", backends),
        ("BACKENDS", backends),
        ("PASSIVE", backends),
        ("ANSWERS", backends),
        ("BACKEND_NETNS", backends),
        ("BACKEND_IDS", ids::ELEMENTS),
        ("NODES", nodes),
        ("TABLE", slots),
        ("SEATS", options.seats.max(1)),
    ] {
        loader.map_max_entries(name, capacity);
        if let Ok(shape) = sys::obj_get(&pins.map(name)).and_then(|map| sys::map_shape(map.as_fd()))
            && shape.max_entries != capacity
        {
            warn!(
                map = name,
                has = shape.max_entries,
                wanted = capacity,
                "the pinned map keeps its capacity; `redirector unload` first to change it"
            );
        }
    }
    for name in MAPS {
        loader.map_pin_path(name, pins.map(name));
    }
    for next in HOOKS.iter().filter_map(|hook| hook.next) {
        loader.map_pin_path(next, pins.steps(load).join(next));
    }
    loader.load(object).context("cannot create the maps")
}

/// The constants that the programs are specialised with. Without `CAP_PERFMON` programs may neither
/// look into the kernel's sockets nor read its memory: then they are told that they cannot.
///
/// # Errors
///
/// What this kernel offers cannot be found out at this moment.
pub(super) fn globals(pins: &Pins, options: &Options) -> Result<Vec<(&'static str, Vec<u8>)>> {
    let flag = |is_set: bool| vec![u8::from(is_set)];
    let number = |number: u32| number.to_ne_bytes().to_vec();
    let may_look = check::may_look();
    let types = if may_look { btf::of_kernel()? } else { None };
    let Offsets { sk_err, sk_err_soft, user_timeout, syn_retries } = Offsets::of(types.as_deref());
    // A shorter first wait makes all that follow shorter, and so what a count of SYNs means: only where
    // the programs can put a time in the place of the count.
    let is_bounded = user_timeout.is_some() && syn_retries.is_some();
    let syn_timeout = if is_bounded { jiffies(SYN_TIMEOUT) } else { 0 };
    let mut globals = vec![
        ("HAS_SET_RETVAL", flag(check::kernel_at_least(5, 18))),
        ("HAS_MPTCP", flag(may_look && check::knows_mptcp())),
        ("SEAT_COUNT", number(socket_slots(pins, options))),
        ("REMEMBER_TCP", flag(options.remember_tcp)),
        ("REMEMBER_UDP", flag(options.remember_udp)),
        ("HAS_COARSE_CLOCK", flag(check::kernel_at_least(5, 11))),
        ("SK_ERR", number(sk_err.unwrap_or(0))),
        ("SK_ERR_SOFT", number(sk_err_soft.unwrap_or(0))),
        ("USER_TIMEOUT", number(user_timeout.unwrap_or(0))),
        ("SYN_RETRIES", number(syn_retries.unwrap_or(0))),
        ("CLIENT_LEVEL", number(options.client_level)),
        ("SYN_TIMEOUT", number(syn_timeout)),
    ];
    if may_look {
        match listeners::globals(types.as_deref()) {
            Ok(offsets) => {
                globals.extend(offsets);
                match types.as_deref().map(listeners::answers).transpose() {
                    Ok(offsets) => {
                        globals.extend(offsets.unwrap_or_default());
                        globals.push(("ANSWER_BOUND", number(jiffies(ANSWER_BOUND))));
                    }
                    Err(why) => {
                        let why = format!("{why:#}");
                        warn!(why, "whether backends answer is not seen");
                    }
                }
            }
            Err(why) => {
                let why = format!("{why:#}");
                warn!(why, "local listeners are not watched, and no client is a witness");
            }
        }
    }
    Ok(globals)
}

/// How many seats the programs may use: what is pinned decides. None where a subflow of MPTCP,
/// whose end is not seen, cannot be told from other sockets.
fn socket_slots(pins: &Pins, options: &Options) -> u32 {
    let tells_subflows = check::may_look() || !check::has_mptcp();
    if options.seats == 0 || !check::kernel_at_least(5, 19) || !tells_subflows {
        return 0;
    }
    let pinned = sys::obj_get(&pins.map("SEATS")).and_then(|map| sys::map_shape(map.as_fd()));
    let count = pinned.map_or(options.seats, |shape| shape.max_entries);
    // The largest power of two in it.
    1 << count.ilog2()
}

/// How long a redirected socket waits for the answer to its first SYN. By itself it would be 1 s.
const SYN_TIMEOUT: Duration = Duration::from_millis(250);

/// For so long at least a request is unanswered of which that is said.
const ANSWER_BOUND: Duration = Duration::from_millis(250);

/// A duration in ticks of this kernel, rounded up: its coarse clocks advance once per tick.
fn jiffies(duration: Duration) -> u32 {
    use nix::time::{ClockId, clock_getres};
    let tick = clock_getres(ClockId::CLOCK_MONOTONIC_COARSE)
        .map_or(Duration::from_millis(4), Duration::from);
    duration.as_nanos().div_ceil(tick.as_nanos().max(1)) as u32
}

fn barrier(pins: &Pins) -> Result<()> {
    let (outer, inner) = (pins.map("BARRIER"), pins.map("BARRIER_INNER"));
    if outer.exists() && inner.exists() {
        return Ok(());
    }
    for path in [&outer, &inner] {
        Pins::remove(path, false)?;
    }
    let (outer_map, inner_map) = sys::create_barrier().context("cannot create the map BARRIER")?;
    sys::obj_pin(&inner_map, &inner).with_context(|| format!("cannot pin {}", inner.display()))?;
    sys::obj_pin(&outer_map, &outer).with_context(|| format!("cannot pin {}", outer.display()))
}

/// Which program is called in the place of one that is not loaded, if this is one. Without
/// `CAP_PERFMON` the verifier also follows what a CPU may speculate, and gives up on the search for
/// an earlier choice after a million instructions. In its place a new choice is made: by the socket,
/// so that it is the same one while the table is the same.
pub(super) fn stand_in(program: &str) -> Option<&'static str> {
    match program {
        _ if check::may_look() => None,
        "rdr_sendmsg4_resume" => Some("rdr_sendmsg4_choose"),
        "rdr_sendmsg6_resume" => Some("rdr_sendmsg6_choose"),
        _ => None,
    }
}

fn load_programs(ebpf: &mut Ebpf) -> Result<usize> {
    let mut count = 0;
    for (name, program) in ebpf.programs_mut() {
        if stand_in(name).is_some() {
            continue;
        }
        let loaded = match program {
            Program::CgroupSockAddr(program) => program.load(),
            Program::CgroupSock(program) => program.load(),
            Program::SockOps(program) => program.load(),
            _ => bail!("{name} belongs to no hook of ours"),
        };
        match loaded {
            Ok(()) => count += 1,
            Err(ProgramError::LoadError { io_error, .. }) if descriptors::is_passing(&io_error) => {
                return Err(io_error).with_context(|| format!("cannot load {name}"));
            }
            Err(ProgramError::LoadError { io_error, verifier_log }) => {
                let log = verifier_log.to_string();
                let last: Vec<_> = log.lines().rev().take(8).collect();
                let last = last.into_iter().rev().collect::<Vec<_>>().join("\n  ");
                bail!(
                    "this kernel refuses the program {name} ({io_error}); `redirector check` says \
                     what it lacks, please report its output with this:\n  {last}"
                );
            }
            Err(error) => return Err(error).with_context(|| format!("cannot load {name}")),
        }
    }
    Ok(count)
}

/// Lets a hook's first program find the others.
fn link_next(ebpf: &mut Ebpf, hook: &Hook) -> Result<()> {
    let Some(next) = hook.next else {
        return Ok(());
    };
    let mut programs = Vec::new();
    for name in hook.steps() {
        let program = ebpf.program(stand_in(&name).unwrap_or(&name)).context(NO_PROGRAM)?;
        programs
            .push(program.fd().context(NO_PROGRAM)?.try_clone().context("cannot clone a program")?);
    }
    let array = ebpf.map_mut(next).context(NO_PROGRAM)?;
    let mut array =
        ProgramArray::try_from(array).with_context(|| format!("{next} is no program array"))?;
    for (index, program) in (0..).zip(&programs) {
        array.set(index, program, 0).with_context(|| format!("cannot fill {next}"))?;
    }
    Ok(())
}

/// Removes the program arrays of earlier loads, once none of their programs can be under way:
/// an array without a pin is emptied.
fn forget_others(pins: &Pins, load: u32) -> Result<()> {
    let others: Vec<_> = pins.loads()?.into_iter().filter(|other| *other != load).collect();
    if others.is_empty() {
        return Ok(());
    }
    let outer = sys::obj_get(&pins.map("BARRIER")).context("cannot open BARRIER")?;
    let inner = sys::obj_get(&pins.map("BARRIER_INNER")).context("cannot open BARRIER_INNER")?;
    sys::barrier(outer.as_fd(), inner.as_fd()).context("cannot wait for a grace period")?;
    for other in others {
        Pins::remove_all(&pins.steps(other))?;
    }
    Ok(())
}

/// Exchanges the program of the pinned link, or attaches a new one.
fn attach(pins: &Pins, cgroup: &Cgroup, hook: &Hook, program: &Program) -> Result<()> {
    let program = program.fd().context(NO_PROGRAM)?.as_fd();
    let path = pins.link(hook.link);
    if let Ok(link) = sys::obj_get(&path) {
        match sys::link_info(link.as_fd()) {
            Ok(info) if info.attach != hook.attach as u32 => {
                let (is, wanted) = (info.attach, hook.attach as u32);
                warn!(pin = %path.display(), is, wanted, "the link of another hook is replaced");
            }
            Ok(info) if info.cgroup == cgroup.id => {
                return sys::link_update(link.as_fd(), program)
                    .with_context(|| format!("cannot exchange the program of {}", path.display()));
            }
            Ok(_) => {}
            Err(error) if error.kind() == ErrorKind::InvalidInput => {
                warn!(pin = %path.display(), "what is pinned is no link of a cgroup, and replaced");
            }
            Err(error) => {
                return Err(error)
                    .with_context(|| format!("cannot ask about the link {}", path.display()));
            }
        }
    }
    let link = sys::link_create(program, cgroup.directory.as_fd(), hook.attach as u32)
        .map_err(|error| explain_attach(error, cgroup, hook))?;
    // Pinned beside the old one and moved over it: a link to another cgroup goes when this one
    // is in place. (bpffs reserves names with dots.)
    let beside = pins.link(&format!("{}_new", hook.link));
    detach(&beside)?;
    sys::obj_pin(&link, &beside).with_context(|| format!("cannot pin {}", beside.display()))?;
    fs::rename(&beside, &path).with_context(|| format!("cannot pin {}", path.display()))
}

/// `EPERM` has two reasons: a capability, or a program that allows no other beside it.
fn explain_attach(error: std::io::Error, cgroup: &Cgroup, hook: &Hook) -> anyhow::Error {
    let place = cgroup.path.display();
    let name = hook.link;
    if descriptors::is_passing(&error) {
        return anyhow::Error::new(error).context(format!("cannot attach {name} to {place}"));
    }
    for directory in cgroup.path.ancestors() {
        let Ok(parent) = Cgroup::open(Some(directory)) else {
            break;
        };
        let Ok((ids, flags)) = sys::programs_of(parent.directory.as_fd(), hook.attach as u32)
        else {
            continue;
        };
        if let (Some(id), 0) = (ids.first(), flags) {
            return anyhow::anyhow!(
                "cannot attach {name} to {place}: another program is attached exclusively to {} \
                 (id {id}, \"{}\"); detach it or pass --cgroup",
                directory.display(),
                program_name(*id),
            );
        }
    }
    anyhow::Error::new(error)
        .context(format!("cannot attach {name} to {place}; CAP_NET_ADMIN and CAP_BPF are needed"))
}

/// Gives everything that is pinned to those that the agent will run as. New pins are 0600 from the
/// moment in which the kernel makes them, in directories of 0700.
fn grant(pins: &Pins, access: Access) -> Result<()> {
    for directory in Pins::names_in(pins.root())? {
        for pin in Pins::names_in(&directory)? {
            access.grant(&pin)?;
        }
        access.grant(&directory)?;
    }
    access.grant(pins.root())
}

/// Before 5.11 maps count against `RLIMIT_MEMLOCK`. Where it may not be raised, creating the maps
/// says so.
fn raise_memlock() {
    use nix::sys::resource::{RLIM_INFINITY, Resource, setrlimit};
    if !check::kernel_at_least(5, 11)
        && let Err(error) = setrlimit(Resource::RLIMIT_MEMLOCK, RLIM_INFINITY, RLIM_INFINITY)
    {
        warn!(%error, "cannot raise RLIMIT_MEMLOCK, which this kernel counts maps against");
    }
}
