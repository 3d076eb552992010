//! What the verifier of this kernel had to do for each program.
//!
//! The count is taken from its log, because kernels before 5.16 say it nowhere else; aya keeps the
//! log only of a refusal, so the programs are loaded once more, against the pinned maps.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    mem,
    os::fd::{AsRawFd as _, OwnedFd},
};

use anyhow::{Context as _, Result, bail};
use aya_obj::{
    EbpfSectionKind, Function, Object as Elf, ProgramSection,
    generated::{bpf_attach_type, bpf_insn, bpf_prog_type},
};

use super::{
    Options,
    load::{globals, stand_in},
    object::object,
    pins::Pins,
    sys,
};

/// Instructions that the verifier processed, by program.
///
/// # Errors
///
/// Nothing is pinned, a capability is missing, or the verifier refuses a program.
pub fn processed(pins: &Pins, options: &Options) -> Result<BTreeMap<String, u32>> {
    let mut elf = Elf::parse(object()?).context("cannot read the eBPF object")?;
    let globals = globals(pins, options)?;
    let constants: HashMap<_, _> =
        globals.iter().map(|(name, value)| (*name, (value.as_slice(), true))).collect();
    elf.patch_map_data(constants).context("cannot set the constants")?;

    let maps: Vec<_> = elf.maps.drain().collect();
    let opened: Vec<OwnedFd> = maps
        .iter()
        .map(|(name, map)| match map.section_kind() {
            EbpfSectionKind::Rodata => {
                sys::create_constants(map.data()).context("cannot create .rodata")
            }
            _ => open(pins, name),
        })
        .collect::<Result<_>>()?;
    let sections: HashSet<usize> = elf.functions.keys().map(|(section, _)| *section).collect();
    elf.relocate_maps(
        maps.iter().zip(&opened).map(|((name, map), fd)| (name.as_str(), fd.as_raw_fd(), map)),
        &sections,
    )
    .context("cannot point the programs to their maps")?;
    elf.relocate_calls(&sections).context("cannot link the programs")?;

    elf.programs
        .iter()
        .filter(|(name, _)| stand_in(name).is_none())
        .map(|(name, program)| {
            let (kind, attach) = match &program.section {
                ProgramSection::CgroupSockAddr { attach_type } => {
                    (bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK_ADDR, (*attach_type).into())
                }
                ProgramSection::CgroupSock { attach_type } => {
                    (bpf_prog_type::BPF_PROG_TYPE_CGROUP_SOCK, (*attach_type).into())
                }
                ProgramSection::SockOps => {
                    (bpf_prog_type::BPF_PROG_TYPE_SOCK_OPS, bpf_attach_type::BPF_CGROUP_SOCK_OPS)
                }
                _ => bail!("{name} belongs to no hook of ours"),
            };
            let function: &Function = elf
                .functions
                .get(&program.function_key())
                .with_context(|| format!("{name} has no code"))?;
            let log = sys::verify(&instructions(&function.instructions), kind, attach)
                .with_context(|| format!("this kernel refuses {name}"))?;
            Ok((
                name.clone(),
                count(&log).with_context(|| format!("no count in the log of {name}"))?,
            ))
        })
        .collect()
}

/// A map of the layout, or a program array of the last load.
fn open(pins: &Pins, name: &str) -> Result<OwnedFd> {
    let path = match pins.loads()?.last() {
        Some(load) if name.starts_with("NEXT_") => pins.steps(*load).join(name),
        _ => pins.map(name),
    };
    sys::obj_get(&path).with_context(|| format!("{} is not pinned", path.display()))
}

fn instructions(code: &[bpf_insn]) -> Vec<u64> {
    code.iter()
        .map(|instruction| {
            // SAFETY: an instruction is eight bytes of plain data without padding.
            unsafe { mem::transmute_copy::<bpf_insn, u64>(instruction) }
        })
        .collect()
}

/// The number in `processed 2906 insns (limit 1000000) …`.
fn count(log: &str) -> Option<u32> {
    log.split("processed ").nth(1)?.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_count_is_found_in_the_log_of_every_kernel() {
        let log = "processed 2906 insns (limit 1000000) max_states_per_insn 4 total_states 45\n";
        assert_eq!(super::count(log), Some(2_906));
        assert_eq!(super::count("verification time 5 usec\nstack depth 136\n"), None);
    }
}
