//! Which daemons: `node-1:411`, `[::1]:411`, `node-[1-64]:411`, `node-1:[411-414],node-2`.

use core::net::Ipv6Addr;

use campanile_ldms::client::Endpoint;
use campanile_ldms::hostlist;

/// The port that ldmsd listens at unless told otherwise.
const DEFAULT_PORT: u16 = 411;

/// The endpoints a hostlist stands for, in written order.
pub(super) fn endpoints(list: &str, xprt: &str) -> Result<Vec<Endpoint>, String> {
    if let Some(endpoint) = ipv6(list, xprt) {
        return Ok(vec![endpoint]);
    }
    let names = hostlist::expand(list).map_err(|error| error.to_string())?;
    if names.is_empty() {
        return Err(format!("`{list}` names no daemon"));
    }
    let mut wrong = Vec::new();
    let mut endpoints = Vec::with_capacity(names.len());
    for name in names {
        let (host, port) = match name.rsplit_once(':') {
            None => (name.as_str(), Some(DEFAULT_PORT)),
            Some((host, port)) => (host, port.parse().ok().filter(|port| *port > 0)),
        };
        match port {
            Some(port) if !host.is_empty() => {
                endpoints.push(Endpoint { host: host.to_owned(), port, xprt: xprt.to_owned() });
            }
            _ => wrong.push(format!("`{name}`")),
        }
    }
    if wrong.is_empty() {
        return Ok(endpoints);
    }
    let verb = if wrong.len() == 1 { "is" } else { "are" };
    wrong.truncate(5);
    Err(format!("{} {verb} not HOST:PORT with a port from 1 to 65535", wrong.join(", ")))
}

/// An address in brackets, which would else be taken for a hostlist.
fn ipv6(text: &str, xprt: &str) -> Option<Endpoint> {
    let (address, port) = text.strip_prefix('[')?.split_once(']')?;
    address.parse::<Ipv6Addr>().ok()?;
    let port = if port.is_empty() { DEFAULT_PORT } else { port.strip_prefix(':')?.parse().ok()? };
    Some(Endpoint { host: address.to_owned(), port, xprt: xprt.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn shown(list: &str) -> String {
        match endpoints(list, "sock") {
            Ok(endpoints) => endpoints.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "),
            Err(error) => error,
        }
    }

    #[test]
    fn hostlists_name_daemons_with_their_ports() {
        assert_eq!(shown("node-1:10001"), "node-1:10001");
        assert_eq!(shown("node-[9-11]:411,login"), "node-9:411 node-10:411 node-11:411 login:411");
        assert_eq!(shown("n:[411-412]"), "n:411 n:412");
        assert_eq!(shown("[::1]:5"), "[::1]:5");
        assert_eq!(shown("[fe80::1]"), "[fe80::1]:411");
    }

    #[test]
    fn what_names_no_daemon_is_refused() {
        assert_eq!(shown("n:0"), "`n:0` is not HOST:PORT with a port from 1 to 65535");
        assert_eq!(shown("n:x,m:70000"), "`n:x`, `m:70000` are not HOST:PORT with a port from 1 to 65535");
        assert_eq!(shown(":411"), "`:411` is not HOST:PORT with a port from 1 to 65535");
        assert_eq!(shown(""), "`` names no daemon");
        assert_eq!(shown("n[3-1]:1"), "range that runs backwards in hostlist 'n[3-1]:1' at character 3");
    }
}
