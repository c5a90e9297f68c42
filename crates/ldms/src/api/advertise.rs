//! Requests about advertising: samplers that offer themselves to aggregators.

use serde::{Deserialize, Serialize};

use super::producer::ProducerType;
use super::{AttrValue, Json, Micros, Perm, calls};

/// The type of an advertiser on the wire; there is only one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub struct AdvertiserType;

impl AttrValue for AdvertiserType {
    fn text(&self) -> Option<String> {
        ProducerType::Advertiser.text()
    }
}

/// One listener, in the answer to [`PrdcrListenStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Listener {
    /// Its name.
    pub name: String,
    /// `running` or `stopped`.
    pub state: String,
    /// Host names it takes, or `-`.
    #[serde(default)]
    pub regex: String,
    /// Addresses it takes, or `-`.
    #[serde(rename = "IP range", default)]
    pub ip_range: String,
    /// `passive` or `active`.
    #[serde(rename = "type", default)]
    pub kind: String,
    /// The producers it made.
    #[serde(default)]
    pub producers: Vec<String>,
}

calls! {
    /// Adds an advertiser: this daemon will offer itself to an aggregator.
    AdvertiserAdd = ADVERTISER_ADD {
        /// Its name.
        name: String => NAME,
        /// Its type.
        kind: AdvertiserType => TYPE,
        /// Transport.
        xprt: String => XPRT,
        /// Host of the aggregator.
        host: String => HOST,
        /// Port of the aggregator.
        port: u16 => PORT,
        /// How long it waits before it connects again.
        reconnect: Micros => INTERVAL,
        /// Authentication domain; must exist on this daemon; its default when absent.
        auth: Option<String> => AUTH,
        /// Permissions.
        perm: Option<Perm> => PERM,
        /// Connections.
        rail: Option<u32> => RAIL,
        /// Stream bytes before acknowledgement.
        quota: Option<String> => QUOTA,
        /// Stream bytes per second.
        rx_rate: Option<String> => RX_RATE,
    } -> ();

    /// Starts an advertiser.
    AdvertiserStart = ADVERTISER_START {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Stops an advertiser.
    AdvertiserStop = ADVERTISER_STOP {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Deletes an advertiser.
    AdvertiserDel = ADVERTISER_DEL {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Adds a listener: this daemon will make producers of daemons that offer themselves.
    PrdcrListenAdd = PRDCR_LISTEN_ADD {
        /// Its name.
        name: String => NAME,
        /// Ignored unless `kind` is `active`.
        reconnect: Option<Micros> => INTERVAL,
        /// Only host names that match.
        regex: Option<String> => REGEX,
        /// Only addresses in this range, such as `10.0.0.0/8`.
        ip: Option<String> => IP,
        /// Leave new producers in STANDBY: `true`.
        disable_start: bool => AUTO_INTERVAL,
        /// `passive` (collect over the advertiser's connection) or `active`.
        kind: Option<String> => TYPE,
        /// With `active`: transport,
        advertiser_xprt: Option<String> => XPRT,
        /// port
        advertiser_port: Option<u16> => PORT,
        /// and authentication domain to connect back with.
        advertiser_auth: Option<String> => AUTH,
        /// Permissions.
        perm: Option<Perm> => PERM,
        /// Connections.
        rail: Option<u32> => RAIL,
        /// Stream bytes before acknowledgement.
        quota: Option<String> => QUOTA,
        /// Stream bytes per second.
        rx_rate: Option<String> => RX_RATE,
    } -> ();

    /// Starts a listener.
    PrdcrListenStart = PRDCR_LISTEN_START {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Stops a listener.
    PrdcrListenStop = PRDCR_LISTEN_STOP {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Deletes a listener, which must be stopped.
    PrdcrListenDel = PRDCR_LISTEN_DEL {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// State of listeners.
    PrdcrListenStatus = PRDCR_LISTEN_STATUS {
        /// Leave their producers out.
        summary: bool => SUMMARY,
    } -> Json<Vec<Listener>>;
}
