//! What the clients and servers need besides themselves, compiled or made once for all; and which
//! clients there are on this machine.

use std::{
    env, fs,
    os::unix::fs::{chown, symlink},
    path::{Path, PathBuf},
    process::Command,
};

use super::kinds::Client;

/// Those whose packages are too large for every machine: how their clients' names begin, the programs,
/// and the size.
const LARGE: [(&str, &[&str], &str); 2] = [
    ("java", &["java", "javac"], "a JDK is a download of 130 MB"),
    ("psql", &["psql", "postgres", "initdb"], "PostgreSQL is a download of 72 MB"),
];
const NOBODY: u32 = 65534;

/// The clients that can run here. Says which cannot.
pub fn available(all: impl Iterator<Item = &'static Client>) -> Vec<&'static Client> {
    let is_missing = |programs: &[&str]| programs.iter().any(|program| find(program).is_none());
    let missing: Vec<_> = LARGE.iter().filter(|(_, programs, _)| is_missing(programs)).collect();
    for (name, programs, why) in &missing {
        println!("SKIP {name}: not all of {} are installed; {why}", programs.join(", "));
    }
    let is_here =
        |client: &&Client| !missing.iter().any(|(name, ..)| client.name.starts_with(name));
    all.filter(is_here).collect()
}

/// Whether replicas can serve it.
pub fn has_postgres() -> bool {
    find("initdb").is_some() && find("postgres").is_some()
}

fn find(program: &str) -> Option<PathBuf> {
    env::split_paths(&path()).map(|directory| directory.join(program)).find(|path| path.is_file())
}

/// Where programs are looked for: also where `cargo xtask test` unpacks those that it does not install,
/// and where Debian keeps an administrator's and PostgreSQL's.
pub fn path() -> String {
    let this = env::current_exe().expect("this test's path");
    let target = this.ancestors().nth(3).expect("a target directory");
    let unpacked = target.join("tools/debian/usr/sbin");
    let postgres = fs::read_dir("/usr/lib/postgresql").into_iter().flatten().flatten();
    let postgres = postgres.map(|version| version.path().join("bin")).max();
    let first = [Some(unpacked), Some("/usr/sbin".into()), postgres];
    let own = env::var_os("PATH").unwrap_or_default();
    let all = first.into_iter().flatten().chain(env::split_paths(&own));
    env::join_paths(all).expect("a path").into_string().expect("a path in UTF-8")
}

/// Puts this suite's programs into `directory`.
pub fn prepare(directory: &Path) {
    let sources = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/suites/clients/programs");
    for file in fs::read_dir(&sources).expect("the programs").flatten() {
        fs::copy(file.path(), directory.join(file.file_name())).expect("a copy");
    }
    let source = "getaddrinfo.c";
    run(directory, "cc", &["-o", "getaddrinfo-glibc", source]);
    run(directory, "musl-gcc", &["-static", "-o", "getaddrinfo-musl", source]);
    // It is the server when it is called so.
    let redis = find("redis-check-rdb").expect("redis-check-rdb (Debian package redis-tools)");
    symlink(redis, directory.join("redis-server")).expect("a link");
    if find("javac").is_some() {
        run(directory, "javac", &["Dials.java"]);
    }
    if has_postgres() {
        let cluster = directory.join("cluster");
        fs::create_dir(&cluster).expect("a directory");
        chown(&cluster, Some(NOBODY), Some(NOBODY)).expect("a directory of nobody's");
        let as_nobody = ["--reuid=nobody", "--regid=nogroup", "--clear-groups"];
        let initdb = ["initdb", "-D", "cluster", "-A", "trust", "-U", "postgres"];
        let quick = ["--no-sync", "--no-instructions", "--wal-segsize=1"];
        run(directory, "setpriv", &[&as_nobody[..], &initdb, &quick].concat());
        fs::write(cluster.join("pg_hba.conf"), "host all all all trust\n").expect("its rights");
    }
}

fn run(directory: &Path, program: &str, arguments: &[&str]) {
    let mut command = Command::new(program);
    command.current_dir(directory).env("PATH", path()).args(arguments);
    let output = command.output().unwrap_or_else(|error| panic!("{program}: {error}"));
    assert!(output.status.success(), "{program}: {output:?}");
}
