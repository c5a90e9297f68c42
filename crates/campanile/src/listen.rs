//! Where a router listens, from the URL under which its clients know it.

use std::io;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use tokio::net::{TcpListener, lookup_host};
use url::{Host, Url};

/// Ports of URLs that do not name one.
const WS_PORT: u16 = 80;
const WSS_PORT: u16 = 443;

/// What is said of a port that another program has.
pub(crate) const PORT_IN_USE: &str = "is in use by another program";

/// Why there is no listener.
#[derive(Debug, thiserror::Error)]
pub(crate) enum ListenError {
    /// The URL is not one of a WAMP router.
    #[error("wamp_server `{url}` is not a websocket URL such as ws://localhost:8001/ws")]
    Url { url: String },
    /// `--listen` is neither a port nor an address.
    #[error("--listen `{text}` is neither a port, nor an address such as 127.0.0.1:8001 or [::]:8001")]
    Address { text: String },
    /// The router belongs on another machine.
    #[error(
        "the hub `{host}` ({addresses}) is not this machine; run the router there, or give --listen ADDRESS:PORT"
    )]
    Elsewhere { host: String, addresses: String },
    /// The name means nothing.
    #[error("the hub's name `{host}` cannot be resolved")]
    Resolve { host: String, source: io::Error },
    /// Another program has the port.
    #[error("{address} {PORT_IN_USE} (is a router running already? `ss -ltnp` tells which)")]
    InUse { address: SocketAddr },
    /// Anything else, such as a port below 1024 without the right to it.
    #[error("cannot listen on {address}")]
    Bind { address: SocketAddr, source: io::Error },
}

impl ListenError {
    /// Is this for the operator to correct in the file or the options?
    pub(crate) fn is_configuration(&self) -> bool {
        matches!(self, Self::Url { .. } | Self::Address { .. } | Self::Elsewhere { .. })
    }
}

/// Where to listen, before names are resolved.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Place {
    /// Exactly there.
    Address(SocketAddr),
    /// At the address of this name, which must be one of this machine.
    Name { host: String, port: u16 },
}

/// Reads `--listen`: `8001` (all addresses), `127.0.0.1:8001`, `[::1]:8001`, `localhost:8001`.
pub(crate) fn from_option(text: &str) -> Result<Place, ListenError> {
    let refuse = || ListenError::Address { text: text.to_owned() };
    if let Ok(port) = text.parse::<u16>() {
        return Ok(Place::Address((Ipv4Addr::UNSPECIFIED, port).into()));
    }
    if let Ok(address) = text.parse::<SocketAddr>() {
        return Ok(Place::Address(address));
    }
    let (host, port) = text.rsplit_once(':').ok_or_else(refuse)?;
    let port = port.parse().map_err(|_| refuse())?;
    if host.is_empty() || host.contains(':') {
        return Err(refuse());
    }
    Ok(Place::Name { host: host.to_owned(), port })
}

/// Reads the hub's URL: a loopback name or an address there, any other name at the address it has.
pub(crate) fn from_hub(text: &str) -> Result<Place, ListenError> {
    let refuse = || ListenError::Url { url: text.to_owned() };
    let url = Url::parse(text).map_err(|_| refuse())?;
    let default_port = match url.scheme() {
        "ws" => WS_PORT,
        "wss" => WSS_PORT,
        _ => return Err(refuse()),
    };
    let port = url.port().unwrap_or(default_port);
    match url.host().ok_or_else(refuse)? {
        Host::Ipv4(ip) => Ok(Place::Address((ip, port).into())),
        Host::Ipv6(ip) => Ok(Place::Address((ip, port).into())),
        Host::Domain(name) if name.eq_ignore_ascii_case("localhost") => {
            Ok(Place::Address((Ipv4Addr::LOCALHOST, port).into()))
        }
        Host::Domain(name) => Ok(Place::Name { host: name.to_owned(), port }),
    }
}

/// Opens the listener.
pub(crate) async fn bind(place: &Place) -> Result<TcpListener, ListenError> {
    let addresses = match place {
        Place::Address(address) => vec![*address],
        Place::Name { host, port } => {
            let found = lookup_host((host.as_str(), *port))
                .await
                .map_err(|source| ListenError::Resolve { host: host.clone(), source })?;
            reachable_from_outside(found.collect(), *port)
        }
    };
    let mut elsewhere = Vec::new();
    for address in addresses {
        match TcpListener::bind(address).await {
            Ok(listener) => return Ok(listener),
            Err(error) if error.kind() == io::ErrorKind::AddrNotAvailable => {
                elsewhere.push(address.ip().to_string())
            }
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {
                return Err(ListenError::InUse { address });
            }
            Err(source) => return Err(ListenError::Bind { address, source }),
        }
    }
    let host = match place {
        Place::Address(address) => address.ip().to_string(),
        Place::Name { host, .. } => host.clone(),
    };
    Err(ListenError::Elsewhere { host, addresses: elsewhere.join(", ") })
}

/// Many systems give their own name a loopback address (127.0.1.1 in /etc/hosts), which no other machine could reach
/// although it is by this name that they will try: then all addresses are listened on.
fn reachable_from_outside(mut addresses: Vec<SocketAddr>, port: u16) -> Vec<SocketAddr> {
    addresses.sort_by_key(|address| address.is_ipv6());
    if !addresses.is_empty() && addresses.iter().all(|address| address.ip().is_loopback()) {
        return vec![(IpAddr::from(Ipv4Addr::UNSPECIFIED), port).into()];
    }
    addresses.retain(|address| !address.ip().is_loopback());
    addresses
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> Place {
        Place::Address(text.parse().unwrap())
    }

    #[test]
    fn a_loopback_hub_is_listened_for_on_loopback_only() {
        assert_eq!(from_hub("ws://localhost:8001/ws").unwrap(), address("127.0.0.1:8001"));
        assert_eq!(from_hub("ws://127.0.0.1:8002/ws").unwrap(), address("127.0.0.1:8002"));
        assert_eq!(from_hub("ws://[::1]:8002/ws").unwrap(), address("[::1]:8002"));
        assert_eq!(from_hub("ws://LOCALHOST/ws").unwrap(), address("127.0.0.1:80"));
    }

    #[test]
    fn a_named_hub_is_looked_up() {
        assert_eq!(
            from_hub("ws://host-2:8001/ws").unwrap(),
            Place::Name { host: "host-2".into(), port: 8001 }
        );
    }

    #[test]
    fn what_is_no_websocket_url_is_refused() {
        for text in ["", "host-2:8001", "http://host-2:8001/ws", "ws://:8001", "ws://h:99999/ws"] {
            assert!(matches!(from_hub(text), Err(ListenError::Url { .. })), "{text}");
        }
    }

    #[test]
    fn listen_takes_a_port_an_address_or_a_name_with_a_port() {
        assert_eq!(from_option("8001").unwrap(), address("0.0.0.0:8001"));
        assert_eq!(from_option("127.0.0.1:0").unwrap(), address("127.0.0.1:0"));
        assert_eq!(from_option("[::]:8001").unwrap(), address("[::]:8001"));
        assert_eq!(from_option("host-2:8001").unwrap(), Place::Name { host: "host-2".into(), port: 8001 });
        for text in ["", "host-2", "host-2:", ":8001", "::1:8001", "1.2.3.4:70000"] {
            assert!(matches!(from_option(text), Err(ListenError::Address { .. })), "{text}");
        }
    }

    #[test]
    fn a_name_that_means_only_loopback_is_opened_to_the_machines_that_will_use_it() {
        let list =
            |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect::<Vec<SocketAddr>>();
        assert_eq!(reachable_from_outside(list(&["127.0.1.1:8001"]), 8001), list(&["0.0.0.0:8001"]));
        assert_eq!(
            reachable_from_outside(list(&["[fd00::2]:8001", "127.0.1.1:8001", "10.0.0.2:8001"]), 8001),
            list(&["10.0.0.2:8001", "[fd00::2]:8001"])
        );
    }

    #[tokio::test]
    async fn a_port_in_use_and_a_foreign_address_are_told_apart() {
        let first = bind(&address("127.0.0.1:0")).await.unwrap();
        let taken = first.local_addr().unwrap();
        let error = bind(&Place::Address(taken)).await.unwrap_err();
        assert!(matches!(error, ListenError::InUse { .. }), "{error}");
        assert!(!error.is_configuration());
        // TEST-NET-1 (RFC 5737) belongs to no machine.
        let error = bind(&address("192.0.2.1:8001")).await.unwrap_err();
        assert!(matches!(error, ListenError::Elsewhere { .. }), "{error}");
        assert!(error.is_configuration());
    }
}
