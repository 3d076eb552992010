//! `--keep`: leaves everything up, prints commands to try, waits for Enter or Ctrl-C.

use std::{
    fs,
    io::{self, BufRead as _},
    os::{fd::AsFd as _, unix::fs::PermissionsExt as _},
    path::Path,
};

use anyhow::{Context as _, Result};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use redirector_tests::lab::BLACK_HOLE;

use super::{
    cluster::{CLIENT_NODE, SERVICE, SERVICE_ID, SERVICE_NAME},
    clusters,
    testbed::{CONFIG, Source, Testbed},
};
use crate::interrupts;

/// What the visitor can do, in words that work as they stand.
pub(super) fn offer(testbed: &Testbed) -> Result<String> {
    let directory = testbed.files.path();
    write_entrance(testbed)?;
    fs::write(directory.join("black-hole"), BLACK_HOLE).context("cannot write black-hole")?;
    let pids =
        testbed.cast.members.iter().zip(&testbed.replicas).filter_map(|(member, replica)| {
            Some(format!("kill -9 {:<8} # {}", replica.pid()?, testbed.cast.answer(member)))
        });
    let pids = pids.collect::<Vec<_>>().join("\n    ");
    let hole = testbed.cast.members[0].node;
    let (last_tier, source) = match testbed.source {
        Source::File => ("remote", format!("    $EDITOR {CONFIG}  # the agent's file\n")),
        Source::Kube(_) => ("west", with_kubectl(&directory.join("kubeconfig"))),
        Source::Clusters(_) => {
            let kubectl = with_kubectl(&directory.join("kubeconfig"));
            ("west", format!("{kubectl}{}", clusters::TO_TRY))
        }
    };
    Ok(format!(
        "
  Everything is still up. Commands to try, as root, from another terminal:

    cd {}

  dial the Service as an application on {CLIENT_NODE} does, or get a shell there
    ./on-{CLIENT_NODE} curl -s http://{SERVICE}/
    ./on-{CLIENT_NODE}

  ask the agent, and read what it has written into the kernel
    ./redirector explain {SERVICE_ID} --run-dir run
    ./redirector status --pin-path pins
    ./redirector dump --pin-path pins
    ./on-{CLIENT_NODE} curl -s http://{}/metrics

  read it without us: the maps carry their field names
    bpftool map dump pinned maps/FRONTENDS4
    bpftool map lookup pinned maps/BACKENDS key 0 0 0 0
    bpftool cgroup show cgroup

  tell it what you want
    ./redirector drain zone=a --run-dir run
    ./redirector undrain zone=a --run-dir run
    ./redirector force {SERVICE_ID} {last_tier} --run-dir run
    ./redirector failback {SERVICE_ID} --run-dir run

  change something: kill a replica (or let it hang and go on: -STOP, -CONT),
  make a node a black hole, or tell the agent's source something else
    {pids}
    nsenter --net={hole} nft -f black-hole
    nsenter --net={hole} nft delete table inet black_hole
{source}
  Enter or Ctrl-C ends the demo and removes everything.",
        directory.display(),
        testbed.agent.admin(),
    ))
}

/// What there is to try with an API server.
fn with_kubectl(kubeconfig: &Path) -> String {
    let on = format!("./on-{CLIENT_NODE}");
    format!(
        "    {on} kubectl edit failoverpolicy {SERVICE_NAME}
    {on} kubectl get failoverpolicies,services,endpointslices,events
    {on} kubectl describe failoverpolicy {SERVICE_NAME}
    {on} kubectl delete failoverpolicy {SERVICE_NAME}; {on} kubectl apply -f policy.yaml
    (its kubeconfig is {}; the API server listens on {CLIENT_NODE} only)
",
        kubeconfig.display()
    )
}

/// Whether it is time to end: Enter or Ctrl-C. The end of the input, as in a script, is no Enter.
pub(super) fn is_over() -> bool {
    let input = io::stdin();
    let is_ready = poll(&mut [PollFd::new(input.as_fd(), PollFlags::POLLIN)], PollTimeout::ZERO);
    let is_entered = || input.lock().read_line(&mut String::new()).is_ok_and(|length| length > 0);
    interrupts::came() || (is_ready.is_ok_and(|count| count > 0) && is_entered())
}

/// A script that runs a command where the client runs: network of n1, redirected cgroup.
fn write_entrance(testbed: &Testbed) -> Result<()> {
    let path = testbed.files.path().join(format!("on-{CLIENT_NODE}"));
    let members = testbed.cgroup.path().join("cgroup.procs");
    let netns = testbed.lab.node(CLIENT_NODE).netns().path();
    let kubeconfig = testbed.files.path().join("kubeconfig");
    let text = format!(
        "#!/bin/sh -e\n\
         # Runs a command on node {CLIENT_NODE}, in the cgroup whose connects are redirected.\n\
         [ $# -gt 0 ] || set -- \"${{SHELL:-sh}}\"\n\
         export KUBECONFIG={}\n\
         echo $$ > {}\n\
         exec nsenter --net={} \"$@\"\n",
        kubeconfig.display(),
        members.display(),
        netns.display()
    );
    fs::write(&path, text)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}
