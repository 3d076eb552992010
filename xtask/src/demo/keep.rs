//! `--keep`: leaves everything up, prints commands to try, waits for Enter or Ctrl-C.

use std::{
    fs,
    io::{self, BufRead as _},
    os::unix::fs::{PermissionsExt as _, symlink},
    path::Path,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread,
};

use anyhow::{Context as _, Result};
use redirector_tests::lab::BLACK_HOLE;

use super::{
    cast::{self, CLIENT_NODE, MEMBERS, SERVICE, SERVICE_NAME},
    interrupts,
    stage::Stage,
};

/// What the visitor can do, in words that work as they stand.
pub(super) fn offer(stage: &Stage) -> Result<String> {
    let directory = stage.files.path();
    write_entrance(stage)?;
    let link = |name: &str, path: &Path| {
        symlink(path, directory.join(name)).with_context(|| format!("cannot link {name}"))
    };
    // Links are short names for long paths.
    for (name, path) in [
        ("redirector", &stage.agent.options().binary),
        ("pins", &stage.bpffs.pin_path()),
        ("maps", &stage.bpffs.maps_path()),
        ("cgroup", &stage.cgroup.path().to_owned()),
        ("run", &stage.agent.run_directory()),
    ] {
        link(name, path)?;
    }
    for node in stage.lab.nodes() {
        link(node.name(), &node.netns().path())?;
    }
    fs::write(directory.join("black-hole"), BLACK_HOLE).context("cannot write black-hole")?;
    let pids = MEMBERS.iter().zip(&stage.replicas).filter_map(|(member, replica)| {
        Some(format!("kill -9 {:<8} # {}", replica.pid()?, member.answer()))
    });
    let pids = pids.collect::<Vec<_>>().join("\n    ");
    let hole = MEMBERS[0].node;
    let (last_tier, source) = match &stage.kube {
        Some(kube) => ("west", with_kubectl(&kube.kubeconfig())),
        None => {
            let config = stage.config().file_name().unwrap_or_default().display();
            ("remote", format!("    $EDITOR {config}  # the agent's file\n"))
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
    ./redirector explain {SERVICE_NAME} --run-dir run
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
    ./redirector force {SERVICE_NAME} {last_tier} --run-dir run
    ./redirector failback {SERVICE_NAME} --run-dir run

  change something: kill a replica (or let it hang and go on: -STOP, -CONT),
  make a node a black hole, or tell the agent's source something else
    {pids}
    nsenter --net={hole} nft -f black-hole
    nsenter --net={hole} nft delete table inet black_hole
{source}
  Enter or Ctrl-C ends the demo and removes everything.",
        directory.display(),
        stage.agent.admin(),
    ))
}

/// What there is to try with an API server.
fn with_kubectl(kubeconfig: &Path) -> String {
    let (service, on) = (cast::service(), format!("./on-{CLIENT_NODE}"));
    format!(
        "    {on} kubectl edit failoverpolicy {service}
    {on} kubectl get failoverpolicies,services,endpointslices,events
    {on} kubectl describe failoverpolicy {service}
    {on} kubectl delete failoverpolicy {service}; {on} kubectl apply -f policy.yaml
    (its kubeconfig is {}; the API server listens on {CLIENT_NODE} only)
",
        kubeconfig.display()
    )
}

/// Becomes true once Enter is pressed. The end of the input, as in a script, is no Enter.
pub(super) fn enter() -> Arc<AtomicBool> {
    let pressed = Arc::new(AtomicBool::new(false));
    let noted = Arc::clone(&pressed);
    thread::spawn(move || {
        if io::stdin().lock().read_line(&mut String::new()).is_ok_and(|length| length > 0) {
            noted.store(true, Ordering::Relaxed);
        }
    });
    pressed
}

/// Whether it is time to end.
pub(super) fn is_over(enter: &AtomicBool) -> bool {
    enter.load(Ordering::Relaxed) || interrupts::came()
}

/// A script that runs a command where the client runs: network of n1, redirected cgroup.
fn write_entrance(stage: &Stage) -> Result<()> {
    let path = stage.files.path().join(format!("on-{CLIENT_NODE}"));
    let members = stage.cgroup.path().join("cgroup.procs");
    let netns = stage.lab.node(CLIENT_NODE).netns().path();
    let variables = stage.kube.as_ref().map_or_else(String::new, |kube| {
        format!("export KUBECONFIG={}\n", kube.kubeconfig().display())
    });
    let text = format!(
        "#!/bin/sh -e\n\
         # Runs a command on node {CLIENT_NODE}, in the cgroup whose connects are redirected.\n\
         [ $# -gt 0 ] || set -- \"${{SHELL:-sh}}\"\n\
         {variables}echo $$ > {}\n\
         exec nsenter --net={} \"$@\"\n",
        members.display(),
        netns.display()
    );
    fs::write(&path, text)
        .and_then(|()| fs::set_permissions(&path, fs::Permissions::from_mode(0o755)))
        .with_context(|| format!("cannot write {}", path.display()))
}
