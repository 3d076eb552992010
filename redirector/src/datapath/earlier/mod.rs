//! Takes over from the layout before this one without a moment in which a dial finds nothing, and
//! leaves what the way back needs.
//!
//! Most maps mean the same in both layouts. They are the same maps, pinned in both places: what the
//! tables say is there before the first program of this layout is attached, and what is written later
//! the programs of the other layout find, too. Frontends have values of their own; `KeptFrontends`
//! writes them for both. Nothing but that is left of the earlier layout once its programs are gone.
//!
//! Its `COUNTERS` are the sign that it was loaded last: its own `load` makes them, and
//! [`Earlier::retire`] removes them as the last thing. A load that dies before that begins again.

mod kept_frontends;
mod socket_slots;

use std::{fs, os::fd::AsFd as _, path::PathBuf, thread, time::Duration};

use anyhow::{Context as _, Result};
use redirector_common::{HOST_HAS_IT, HOSTS_HAVE, LAYOUT, PassiveValue};
use redirector_core::{plan::Capacities, service::Protocol};
use tracing::{info, warn};

use super::{
    Mapped, Options,
    frontends::Frontends,
    hooks::{HOOKS, Hook},
    map_array, open_fd,
    pins::Pins,
    sys,
    unload::detach,
};

pub(super) use kept_frontends::KeptFrontends;

/// The layout before this one.
const EARLIER: u32 = 3;
const _: () = assert!(LAYOUT == EARLIER + 1, "say which maps the new layout shares with the last");

/// What both layouts understand alike.
const SHARED: &[&str] =
    &["SERVICES", "TABLE", "HEALTH", "NODES", "BACKENDS", "NAMES", "AFFINITY", "CONFIG"];
/// What the agent goes on writing for the way back, each layout's for itself.
const KEPT: &[&str] = &["FRONTENDS4", "FRONTENDS6"];
const SIGN: &str = "COUNTERS";
/// How long datagrams are waited for that answer what was sent through the earlier programs: only
/// these know who was asked.
const ANSWERS: Duration = Duration::from_secs(1);

/// The layout whose programs are attached now, all or some of them.
#[derive(Debug)]
pub(super) struct Earlier {
    pins: Pins,
}

impl Earlier {
    /// The earlier layout, if it was loaded last.
    pub(super) fn in_force(pins: &Pins) -> Option<Self> {
        let pins = pins.of_layout(EARLIER);
        let mut names = SHARED.iter().chain(KEPT).chain([&SIGN]);
        names.all(|name| pins.map(name).exists()).then_some(Self { pins })
    }

    /// Pins what both understand in the place of what this layout may have had, and says how large the
    /// other maps have to be for it.
    pub(super) fn share(&self, pins: &Pins, options: &Options) -> Result<Options> {
        info!(from = EARLIER, to = LAYOUT, pins = %pins.root().display(), "taking over from another layout");
        for map in Pins::names_in(&pins.maps())? {
            Pins::remove(&map, false)?;
        }
        for name in SHARED {
            let (map, path) = (open_fd(&self.pins, name)?, pins.map(name));
            sys::obj_pin(&map, &path).with_context(|| format!("cannot pin {}", path.display()))?;
        }
        let size = |name| -> Result<u32> {
            let map = open_fd(&self.pins, name)?;
            Ok(sys::map_shape(map.as_fd()).context("cannot ask about a pinned map")?.max_entries)
        };
        Ok(Options {
            capacities: Capacities {
                frontends: size("FRONTENDS4")?,
                services: size("NAMES")?,
                backends: size("HEALTH")?,
                nodes: size("NODES")?,
                slots: size("TABLE")?,
            },
            // A seat is found by the low bits of a cookie: as many of them.
            seats: match size("SEATS") {
                Ok(seats) if options.seats != 0 => seats,
                _ => options.seats,
            },
            ..options.clone()
        })
    }

    /// Fills what this layout has for itself. None of its programs is attached yet.
    pub(super) fn copy(&self, pins: &Pins) -> Result<()> {
        let mut frontends = Frontends::open(pins)?;
        for (frontend, index) in Frontends::open(&self.pins)?.list()? {
            // Whether a host may have the address the earlier layout does not say. Where none has it, the
            // programs look up the senders of datagrams in vain, until the Service is made anew.
            let is_udp = frontend.protocol == Protocol::Udp;
            frontends.insert(&frontend, if is_udp { index | HOST_HAS_IT } else { index })?;
        }
        // It may be left from before a way back.
        set_hosts_have(pins, false)?;
        self.copy_passive(pins)?;
        socket_slots::carry(&self.pins, pins)
    }

    /// How long ejections last, and which backends are in use.
    fn copy_passive(&self, pins: &Pins) -> Result<()> {
        /// The value as layout 3 had it: failures, end, client; ejections in the lower half of the
        /// last word, then whether it is used, and slow, in 16 bits each.
        type PassiveBefore = [u64; 4];
        let Ok(from) = map_array::<PassiveBefore>(&self.pins, "PASSIVE") else { return Ok(()) };
        let to: Mapped<PassiveValue> = map_array(pins, "PASSIVE")?;
        for (index, value) in from.read_all().iter().enumerate() {
            let [_, until, _, rest] = *value;
            if *value == PassiveBefore::default() || index >= to.len() {
                continue;
            }
            let used = if rest >> 32 & 1 != 0 { PassiveValue::USED_BY_SYSTEM } else { 0 };
            let slow = (rest >> 48 & 1) as u8;
            let ejections = rest as u32;
            to.write(
                index,
                &[PassiveValue { until, ejections, used, slow, ..PassiveValue::default() }],
            )?;
        }
        Ok(())
    }

    /// Every dial is decided by this layout's programs now. Waits for answers to earlier ones, and
    /// removes the rest of the earlier layout.
    pub(super) fn retire(self, pins: &Pins) -> Result<()> {
        // Sockets that connected since the first time; and those whose connect was under way when the
        // programs were exchanged.
        socket_slots::carry(&self.pins, pins)?;
        thread::sleep(ANSWERS);
        socket_slots::carry(&self.pins, pins)?;
        for hook in HOOKS {
            detach(&aside(pins, &hook))?;
        }
        // Not before: a datagram that the earlier programs show as the frontend's is no host's.
        if Frontends::open(pins)?.list()?.iter().any(|(_, value)| value & HOST_HAS_IT != 0) {
            set_hosts_have(pins, true)?;
        }
        let is = |map: &PathBuf, name: &&str| map.ends_with(name);
        let mut maps = Pins::names_in(&self.pins.maps())?;
        maps.retain(|map| !SHARED.iter().chain(KEPT).any(|name| is(map, name)));
        maps.sort_by_key(|map| is(map, &SIGN));
        maps.iter().try_for_each(|map| Pins::remove(map, false).map(drop))
    }
}

/// Whether programs look for datagrams from hosts that have the address of a frontend.
fn set_hosts_have(pins: &Pins, is_so: bool) -> Result<()> {
    map_array::<u64>(pins, "CONFIG")?.publish(HOSTS_HAVE as usize, is_so.into())
}

/// The link of a hook's earlier program goes on beside the one that is to come.
pub(super) fn set_aside(pins: &Pins, hook: &Hook) -> Result<()> {
    let (link, aside) = (pins.link(hook.link), aside(pins, hook));
    if !link.exists() || aside.exists() {
        return Ok(());
    }
    fs::rename(&link, &aside).with_context(|| format!("cannot rename {}", link.display()))
}

/// A load has failed: the earlier programs are the only ones again.
pub(super) fn put_back(pins: &Pins) {
    for hook in HOOKS {
        let (link, aside) = (pins.link(hook.link), aside(pins, &hook));
        if aside.exists()
            && let Err(error) = fs::rename(&aside, &link)
        {
            warn!(%error, link = %aside.display(), "a link cannot have its name again");
        }
    }
}

fn aside(pins: &Pins, hook: &Hook) -> PathBuf {
    pins.link(&format!("{}_v{EARLIER}", hook.link))
}

/// Whether the maps of the earlier layout are those of this one, and not left from before.
fn is_shared(pins: &Pins) -> bool {
    let id = |pins: &Pins| -> Result<u32> { Ok(sys::map_id(open_fd(pins, SHARED[0])?.as_fd())?) };
    let (here, there) = (id(pins), id(&pins.of_layout(EARLIER)));
    here.is_ok_and(|here| there.is_ok_and(|there| here == there))
}

/// Removes the maps of layouts that nothing can be made of: what a version without this one's
/// understanding, or a later one, has left.
pub(super) fn forget_layouts(pins: &Pins) -> Result<()> {
    for layout in pins.layouts()? {
        if layout == LAYOUT || layout == EARLIER && is_shared(pins) {
            continue;
        }
        let maps = pins.of_layout(layout).maps();
        info!(layout, pins = %maps.display(), "removing the maps of another layout");
        Pins::remove_all(&maps)?;
    }
    Ok(())
}
