//! Where in a lab that is which a case names: each case has addresses and namespaces of its own, so
//! that many share a cluster, and pods are where replicas run.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use serde_json::Value;

use super::script::{Name, Script, Step};

/// Of node ports: the API server gives out 30000 to 32767.
const NODE_PORTS: u16 = 30_000;
/// As many node ports as any case has, rounded up.
const NODE_PORTS_OF_A_CASE: u16 = 4;

/// The place of the case of a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Places(pub u8);

impl Places {
    /// All objects of a script, where they are in the lab.
    pub fn move_script(self, script: &mut Script) {
        for step in &mut script.steps {
            let Step { node, services, slices, removed_services, removed_slices, .. } = step;
            let with_kinds = [
                ("v1", "Node", node.as_mut_slice()),
                ("v1", "Service", services.as_mut_slice()),
                ("discovery.k8s.io/v1", "EndpointSlice", slices.as_mut_slice()),
            ];
            for (version, kind, objects) in with_kinds {
                for object in objects {
                    self.move_object(object);
                    object["apiVersion"] = version.into();
                    object["kind"] = kind.into();
                }
            }
            for Name { namespace, .. } in removed_services.iter_mut().chain(removed_slices) {
                *namespace = self.namespace(namespace);
            }
        }
    }

    /// `default/kubernetes` has its meaning from its name.
    pub fn namespace(self, namespace: &str) -> String {
        if namespace == "default" {
            namespace.to_owned()
        } else {
            format!("c{}-{namespace}", self.0)
        }
    }

    /// An address with a port.
    pub fn socket(self, socket: SocketAddr) -> SocketAddr {
        SocketAddr::new(self.address(socket.ip()), self.port(socket.port()))
    }

    /// Addresses that no table below knows stay: those that are nobody's business to dial.
    fn address(self, address: IpAddr) -> IpAddr {
        match address {
            IpAddr::V4(four) => self.address4(four).into(),
            IpAddr::V6(six) => self.address6(six).into(),
        }
    }

    fn address4(self, address: Ipv4Addr) -> Ipv4Addr {
        let Self(number) = self;
        match address.octets() {
            // Service addresses: nothing leads there but the agent.
            [10, 96, 0, last] => Ipv4Addr::new(10, 96, number, last),
            [203, 0, 113, last] => Ipv4Addr::new(198, 18, number, last),
            [198, 51, 100, last] => Ipv4Addr::new(198, 19, number, last),
            // Own addresses of the node.
            [192, 168, 0, last @ (1 | 77)] => Ipv4Addr::new(10, 77, 1, last),
            // Pods, and pods of the host's network elsewhere.
            [10, 1, 0, last] => Ipv4Addr::new(10, 77, 2, 10 + last),
            [10, 2, 0, last] => Ipv4Addr::new(10, 77, 2, 40 + last),
            [192, 168, 0, last] => Ipv4Addr::new(10, 77, 2, 50 + last),
            _ => address,
        }
    }

    fn address6(self, address: Ipv6Addr) -> Ipv6Addr {
        let number = self.0.into();
        match address.segments() {
            [0xfd00, 0x96, 0, 0, 0, 0, 0, last] => {
                Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, number, last)
            }
            [0x2001, 0xdb8, 0, 0, 0, 0, 0, last] => {
                Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, number, last)
            }
            [0xfd00, 0xa, 0, 0, 0, 0, 0, last] => Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 1, last),
            [0xfd00, 1, 0, 0, 0, 0, 0, last] => {
                Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 2, 0x10 + last)
            }
            [0xfd00, 0, 0, 0, 1, 0, 0, last] => {
                Ipv6Addr::new(0xfd77, 0, 0, 0, 0, 0, 2, 0x30 + last)
            }
            _ => address,
        }
    }

    fn port(self, port: u16) -> u16 {
        let own = NODE_PORTS + u16::from(self.0) * NODE_PORTS_OF_A_CASE;
        if port < NODE_PORTS { port } else { own + port % NODE_PORTS_OF_A_CASE }
    }

    fn move_object(self, value: &mut Value) {
        match value {
            Value::Object(fields) => {
                for (field, value) in fields {
                    self.move_field(field, value);
                }
            }
            Value::Array(list) => list.iter_mut().for_each(|value| self.move_object(value)),
            Value::String(text) => {
                if let Some(moved) = self.text(text) {
                    *text = moved;
                }
            }
            Value::Null | Value::Bool(_) | Value::Number(_) => {}
        }
    }

    fn move_field(self, field: &str, value: &mut Value) {
        match (field, &*value) {
            ("namespace", Value::String(namespace)) => *value = self.namespace(namespace).into(),
            // Also of a Node, and of a hint for one.
            ("nodeName" | "name", Value::String(name)) => *value = node(name).into(),
            ("nodePort" | "port", Value::Number(number)) => {
                let number = number.as_u64().and_then(|number| u16::try_from(number).ok());
                *value = number.map(|number| self.port(number)).into();
            }
            ("spec", Value::Object(spec)) if spec.get("type") == Some(&"LoadBalancer".into()) => {
                self.move_object(value);
                // Cases say themselves which node ports there are.
                value["allocateLoadBalancerNodePorts"] = false.into();
            }
            _ => self.move_object(value),
        }
    }

    /// An address in the form in which it was written.
    fn text(self, text: &str) -> Option<String> {
        let address: IpAddr = text.parse().ok()?;
        let moved = self.address(address);
        match moved {
            _ if moved == address => None,
            IpAddr::V6(six) if text != address.to_string() => {
                Some(six.segments().map(|segment| format!("{segment:x}")).join(":"))
            }
            _ => Some(moved.to_string()),
        }
    }
}

/// The own node is `n1` in cases, others are called almost like it.
fn node(name: &str) -> String {
    match name {
        "n1" => "client".to_owned(),
        "N1" => "CLIENT".to_owned(),
        "n10" => "client0".to_owned(),
        _ => name.to_owned(),
    }
}
