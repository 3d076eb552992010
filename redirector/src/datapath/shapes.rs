//! Tells whether what is pinned as a map of ours is that map, before anything is read from it or
//! written to it.
//!
//! A pin is only a name: a script that restores or moves pins may put one map in another's place.

use std::{collections::BTreeMap, io::ErrorKind, os::fd::AsFd as _};

use anyhow::{Context as _, Result, ensure};
use aya_obj::{Object as Elf, generated::bpf_map_type};

use super::{
    load::{BARRIER, MAPS},
    object::Object,
    pins::Pins,
    sys::{self, MapShape},
};

/// What each map must be, by the name of its pin.
#[derive(Debug)]
pub(super) struct Shapes(BTreeMap<&'static str, MapShape>);

impl Shapes {
    /// What the programs of this binary expect.
    ///
    /// # Errors
    ///
    /// The binary was built without its programs, or they lack a map.
    pub(super) fn embedded() -> Result<Self> {
        let elf = Elf::parse(Object::embedded()?.bytes()).context("cannot read the eBPF object")?;
        let mut shapes = BTreeMap::new();
        for name in MAPS {
            let map = elf.maps.get(*name);
            let map = map.with_context(|| format!("the eBPF object lacks the map {name}"))?;
            let (kind, key, value) = (map.map_type(), map.key_size(), map.value_size());
            shapes.insert(*name, MapShape::new(name, kind, key, value));
        }
        let kinds = [bpf_map_type::BPF_MAP_TYPE_ARRAY_OF_MAPS, bpf_map_type::BPF_MAP_TYPE_ARRAY];
        for (name, kind) in BARRIER.iter().zip(kinds) {
            shapes.insert(*name, MapShape::new(name, kind as u32, 4, 4));
        }
        Ok(Self(shapes))
    }

    /// Looks at every map that is pinned; those that are not are for others to find.
    ///
    /// # Errors
    ///
    /// One is another map, or cannot be asked about.
    pub(super) fn check(&self, pins: &Pins) -> Result<()> {
        for (name, wanted) in &self.0 {
            let path = pins.map(name);
            let shown = path.display();
            let map = match sys::obj_get(&path) {
                // Who opens it says what to do.
                Err(error) if is_for_others(error.kind()) => continue,
                result => result.with_context(|| format!("cannot open the pinned map {shown}"))?,
            };
            let found = sys::map_shape(map.as_fd())
                .with_context(|| format!("cannot ask about the pinned map {shown}"))?;
            ensure!(
                found.is_like(wanted),
                "{shown} is {found}, and should be {wanted}; `redirector unload` removes all that \
                 is pinned, then load again"
            );
        }
        Ok(())
    }
}

fn is_for_others(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::NotFound | ErrorKind::PermissionDenied)
}
