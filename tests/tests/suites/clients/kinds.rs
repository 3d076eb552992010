//! The clients: what each dials, how it is started, and how its answer is recognised.

use super::services::{DNS, HTTP, NTP, POSTGRES, REDIS, SIP, Service};

/// A program that dials Services. Set in its command lines are IP and PORT, the Service's; HOST, its
/// IP as in a URL; OWN_IP and OWN_HOST, the pod's; FAMILY, `four` or `six`; DIR, where the programs of
/// this suite are; OWN, a directory of its own.
#[derive(Debug)]
pub struct Client {
    pub name: &'static str,
    /// The first is the one whose address it is given.
    pub dials: &'static [&'static Service],
    pub run: Run,
    pub answer: Answer,
    /// So many TCP connections serve several dials.
    pub connections: usize,
    /// So many connected UDP sockets do.
    pub sockets: usize,
}

/// How a client dials.
#[derive(Debug)]
pub enum Run {
    /// A process for each dial.
    Each(&'static str),
    /// One process, which dials once for each line that it reads, and writes a line about it.
    Lines(&'static str),
    /// Through a process that goes on running: that one, and who asks it, a process for each dial.
    Through(&'static str, &'static str),
}

/// How an answer is recognised.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// The output names the replica.
    Names,
    /// The program ends with success, which it does for an answer alone.
    Succeeds,
}

const fn client(
    name: &'static str,
    dials: &'static [&'static Service],
    run: Run,
    answer: Answer,
) -> Client {
    Client { name, dials, run, answer, connections: 0, sockets: 0 }
}

use Answer::{Names, Succeeds};
use Run::{Each, Lines, Through};

/// The resolver's file, with a further line, is the process's own.
macro_rules! getaddrinfo {
    ($libc:literal, $further:literal) => {
        concat!(
            "{ echo nameserver $IP; echo ",
            $further,
            "; } >$OWN/resolv.conf && ",
            "exec unshare -m sh -c 'mount --bind $OWN/resolv.conf /etc/resolv.conf && ",
            "exec $DIR/getaddrinfo-",
            $libc,
            " who.lab'"
        )
    };
}

macro_rules! java {
    ($kind:literal) => {
        concat!("exec java -XX:TieredStopAtLevel=1 -cp $DIR Dials ", $kind, " $IP $PORT")
    };
}

/// A proxy with several locations, each with these directives of its own.
macro_rules! nginx {
    ($directives:literal) => {
        nginx!($directives, "")
    };
    ($directives:literal, $before:literal) => {
        concat!(
            "{ echo \"",
            $before,
            " server { listen $OWN_HOST:8000;\"; ",
            "for number in 0 1 2 3 4 5; do echo \"location /$number { ",
            $directives,
            " }\"; done; echo '}'; } >server.conf && ",
            "cp $DIR/nginx.conf . && exec nginx -p $OWN -c $OWN/nginx.conf"
        )
    };
}

macro_rules! chronyd {
    ($directives:literal) => {
        concat!(
            "exec chronyd -Q -t 5 -u root \"server $IP port $PORT iburst maxsamples 1\" 'port 0' ",
            "'cmdport 0' 'bindcmdaddress /' \"pidfile $OWN/chronyd.pid\" ",
            $directives
        )
    };
}

pub const CLIENTS: [Client; 15] = [
    client("dig", &[&DNS], Each("exec dig @$IP -p $PORT +short +time=1 +tries=3 who.lab"), Names),
    client(
        "getaddrinfo, glibc",
        &[&DNS],
        Each(getaddrinfo!("glibc", "options timeout:1 attempts:3")),
        Names,
    ),
    client(
        "getaddrinfo, musl",
        &[&DNS],
        Each(getaddrinfo!("musl", "options timeout:2 attempts:4")),
        Names,
    ),
    Client {
        sockets: 6,
        ..client("c-ares", &[&DNS], Lines("exec /usr/bin/python3 $DIR/ares.py $IP"), Names)
    },
    Client {
        sockets: 6,
        ..client("java, DatagramSocket", &[&DNS], Lines(java!("datagram")), Names)
    },
    client("java, Socket", &[&HTTP], Lines(java!("socket")), Names),
    Client {
        connections: 1,
        ..client("java, HttpURLConnection", &[&HTTP], Lines(java!("url")), Names)
    },
    client("curl", &[&HTTP], Each("exec curl -sS --max-time 5 http://$HOST:$PORT/"), Names),
    client(
        "nginx, upstream",
        &[&HTTP],
        Through(
            nginx!("proxy_pass http://$HOST:$PORT;"),
            "exec curl -sS --max-time 5 http://$OWN_HOST:8000/$(($$ % 6))",
        ),
        Names,
    ),
    Client {
        sockets: 6,
        ..client(
            "nginx, resolver",
            &[&DNS, &HTTP],
            Through(
                nginx!("resolver $HOST:$PORT; resolver_timeout 3s; proxy_pass http://\\$host:80;"),
                // Each time a name that is not yet known.
                "exec curl -sS --max-time 5 -H Host:n$$.$FAMILY.lab http://$OWN_HOST:8000/$(($$ % 6))",
            ),
            Names,
        )
    },
    client(
        "redis-cli",
        &[&REDIS],
        Each("exec redis-cli -h $IP -p $PORT config get dbfilename"),
        Names,
    ),
    client(
        "psql",
        &[&POSTGRES],
        Each("exec psql -X -At -h $IP -p $PORT -U postgres -c 'show cluster_name'"),
        Names,
    ),
    client("chronyd", &[&NTP], Each(chronyd!("")), Succeeds),
    client("chronyd from port 123", &[&NTP], Each(chronyd!("'acquisitionport 123'")), Succeeds),
    client(
        "sipp from port 5060",
        &[&SIP],
        Each("exec sipp -sf $DIR/uac.xml -nostdin -m 1 -i $OWN_IP -p 5060 $HOST:$PORT"),
        Succeeds,
    ),
];

/// Some of them again, with what docs/clients.md says to set. They make up for more by themselves.
pub const WITH_SETTINGS: [Client; 5] = [
    client(
        "getaddrinfo, glibc, twice",
        &[&DNS],
        Each(getaddrinfo!("glibc", "nameserver $IP; echo options timeout:1 attempts:3")),
        Names,
    ),
    client(
        "getaddrinfo, musl, timeout:5",
        &[&DNS],
        Each(getaddrinfo!("musl", "options timeout:5 attempts:5")),
        Names,
    ),
    client(
        "curl, retries",
        &[&HTTP],
        Each("exec curl -sS --max-time 5 --retry 3 --retry-connrefused http://$HOST:$PORT/"),
        Names,
    ),
    client(
        "nginx, upstream, twice",
        &[&HTTP],
        Through(
            nginx!(
                "proxy_pass http://twice;",
                "upstream twice { server $HOST:$PORT max_fails=0; server $HOST:$PORT max_fails=0; }"
            ),
            "exec curl -sS --max-time 5 http://$OWN_HOST:8000/$(($$ % 6))",
        ),
        Names,
    ),
    client(
        "psql, twice",
        &[&POSTGRES],
        Each("exec psql -X -At -h $IP,$IP -p $PORT -U postgres -c 'show cluster_name'"),
        Names,
    ),
];
