//! The Services, and the servers that each of their replicas runs: as data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::tools;

/// A Service at one address of each family.
#[derive(Debug, PartialEq, Eq)]
pub struct Service {
    pub name: &'static str,
    pub is_tcp: bool,
    /// The last part of its addresses.
    pub number: u8,
    pub port: u16,
    /// Where its replicas serve.
    pub replica_port: u16,
    /// The command lines of a replica's servers. Set are N, the replica's number; IP4 and IP6, its
    /// addresses; PORT; DIR, where the programs of this suite are; OWN, a directory of its own.
    pub servers: &'static [&'static str],
}

pub const DNS: Service = Service {
    name: "dns",
    is_tcp: false,
    number: 1,
    port: 53,
    replica_port: 1053,
    servers: &["dnsmasq --keep-in-foreground --user=root --pid-file= --conf-file=/dev/null \
                --no-resolv --no-hosts --local=/who.lab/four.lab/six.lab/ --bind-interfaces --listen-address=$IP4,$IP6 --port=$PORT \
                --address=/who.lab/192.0.2.$N --address=/four.lab/10.96.0.2 \
                --address=/six.lab/fd96::2"],
};

pub const HTTP: Service = Service {
    name: "http",
    is_tcp: true,
    number: 2,
    port: 80,
    replica_port: 8080,
    servers: &["echo >server.conf \"server { listen $IP4:$PORT; listen [$IP6]:$PORT; \
                location / { return 200 replica-$N; } }\" && \
                cp $DIR/nginx.conf . && exec nginx -p $OWN -c $OWN/nginx.conf"],
};

pub const REDIS: Service = Service {
    name: "redis",
    is_tcp: true,
    number: 3,
    port: 6379,
    replica_port: 6380,
    servers: &[
        "exec $DIR/redis-server --port $PORT --bind $IP4 $IP6 --save '' --protected-mode no \
                --dir $OWN --dbfilename replica-$N",
    ],
};

pub const POSTGRES: Service = Service {
    name: "postgres",
    is_tcp: true,
    number: 4,
    port: 5432,
    replica_port: 5433,
    servers: &["cp -a $DIR/cluster $OWN/cluster && chmod a+x $OWN && \
                exec setpriv --reuid=nobody --regid=nogroup --clear-groups postgres \
                -D $OWN/cluster -c fsync=off -c cluster_name=replica-$N -c port=$PORT \
                -c listen_addresses=$IP4,$IP6 -c unix_socket_directories="],
};

pub const NTP: Service = Service {
    name: "ntp",
    is_tcp: false,
    number: 5,
    port: 123,
    replica_port: 1123,
    servers: &["exec chronyd -x -d -u root \"port $PORT\" 'local stratum 3' allow 'cmdport 0' \
                'bindcmdaddress /' \"pidfile $OWN/chronyd.pid\" \"bindaddress $IP4\" \
                \"bindaddress $IP6\""],
};

pub const SIP: Service = Service {
    name: "sip",
    is_tcp: false,
    number: 6,
    port: 5060,
    replica_port: 5070,
    servers: &[
        "exec sipp -sf $DIR/uas.xml -nostdin -i $IP4 -p $PORT",
        "exec sipp -sf $DIR/uas.xml -nostdin -i $IP6 -p $PORT",
    ],
};

/// Those whose servers can run here.
pub fn all() -> impl Iterator<Item = &'static Service> {
    let all = [&DNS, &HTTP, &REDIS, &POSTGRES, &NTP, &SIP];
    all.into_iter().filter(|service| *service != &POSTGRES || tools::has_postgres())
}

impl Service {
    /// Addresses that exist nowhere.
    pub fn addresses(&self) -> [SocketAddr; 2] {
        let ip4 = Ipv4Addr::new(10, 96, 0, self.number);
        let ip6 = Ipv6Addr::new(0xfd96, 0, 0, 0, 0, 0, 0, self.number.into());
        [IpAddr::from(ip4), ip6.into()].map(|ip| SocketAddr::new(ip, self.port))
    }

    pub fn protocol(&self) -> &'static str {
        if self.is_tcp { "tcp" } else { "udp" }
    }
}

/// Which replica says so: its number, at the end of a name or of an address.
pub fn answerer(text: &str) -> Option<u8> {
    ["replica-", "192.0.2."].iter().find_map(|sign| {
        let (_, rest) = text.split_once(sign)?;
        rest.get(..1)?.parse().ok()
    })
}
