//! What happens to the replicas, and to what stands before them.

use super::cast::Member;

/// What happens, to all contenders at the same instant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, clap::ValueEnum)]
pub(crate) enum Fault {
    /// One replica is killed: its node refuses connections
    OneKilled,
    /// All replicas of the clients' zone are killed; later they return
    ZoneKilled,
    /// One replica's node drops what arrives, and nothing says so
    OneBlackHole,
    /// All nodes of the clients' zone drop what arrives
    ZoneBlackHole,
    /// One replica is stopped: the kernel accepts, nothing answers
    OneHung,
    /// All replicas of the clients' zone are stopped
    ZoneHung,
    /// The agent or proxy is killed and stays dead; after half of the time, one replica too
    AgentKilled,
}

/// What a replica suffers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Harm {
    /// SIGKILL: connections to it are refused.
    Killed,
    /// Its node drops every packet.
    BlackHole,
    /// SIGSTOP: its connections are accepted by the kernel, up to its backlog.
    Hung,
}

impl Fault {
    /// As `--faults` and the tables call it.
    pub(super) fn name(self) -> &'static str {
        match self {
            Self::OneKilled => "one killed",
            Self::ZoneKilled => "zone killed",
            Self::OneBlackHole => "one black hole",
            Self::ZoneBlackHole => "zone black hole",
            Self::OneHung => "one hung",
            Self::ZoneHung => "zone hung",
            Self::AgentKilled => "agent or proxy killed",
        }
    }

    /// Whether only replicas suffer.
    pub(super) fn is_of_replicas(self) -> bool {
        self != Self::AgentKilled
    }

    pub(super) fn harm(self) -> Harm {
        match self {
            Self::OneKilled | Self::ZoneKilled | Self::AgentKilled => Harm::Killed,
            Self::OneBlackHole | Self::ZoneBlackHole => Harm::BlackHole,
            Self::OneHung | Self::ZoneHung => Harm::Hung,
        }
    }

    /// The replicas that suffer: all of the clients' zone, or its first one.
    pub(super) fn victims(self) -> Vec<Member> {
        let near = Member::all().filter(|member| member.is_near());
        match self {
            Self::ZoneKilled | Self::ZoneBlackHole | Self::ZoneHung => near.collect(),
            Self::OneKilled | Self::OneBlackHole | Self::OneHung | Self::AgentKilled => {
                near.take(1).collect()
            }
        }
    }

    /// Whether the replicas return, and the clients are watched while they do.
    pub(super) fn has_return(self) -> bool {
        self == Self::ZoneKilled
    }

    /// Whether there are connections that were made before.
    pub(super) fn has_established(self) -> bool {
        self == Self::ZoneBlackHole
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_zone_is_the_clients_own_and_one_is_of_it() {
        let names =
            |fault: Fault| fault.victims().into_iter().map(Member::name).collect::<Vec<_>>();

        assert_eq!(names(Fault::ZoneHung), ["a1", "a2", "a3"]);
        assert_eq!(names(Fault::OneHung), ["a1"]);
    }
}
