//! `campanile router`: the bus of a site.

use std::net::SocketAddr;

use anyhow::Context as _;
use campanile_ocs::site_config::{Mode, SiteArgs};
use campanile_wamp::net::server::{Router, RouterConfig};
use campanile_wamp::uri::{self, Match};

use crate::failure::{Failure, Outcome};
use crate::listen::{self, ListenError, Place};
use crate::signals::Termination;
use crate::{output, runtime, this_site};

/// Run the router of a site: the WAMP bus on which its agents and clients meet
///
/// It serves websockets (/ws) for agents, the HTTP bridge (/call) for clients, and /info, all on one port; what OCS
/// sites otherwise run crossbar for. Port, realm and address root come from the hub of the site config. With a
/// loopback name in the hub's URL only this machine can connect.
#[derive(clap::Args, Debug)]
#[command(after_help = "\
Examples:
  campanile router                          as the site config says
  campanile router --listen 0.0.0.0:8001    on all addresses of this machine
  campanile router --listen 8001 --realm test_realm --address-root observatory
                                            without a site config

Exit codes:
  0 ended by SIGINT or SIGTERM; 1 the port is in use, or the like;
  2 wrong options or site config")]
pub(crate) struct Args {
    /// Listen there instead of where the hub's URL says: a port, or ADDRESS:PORT
    #[arg(long, value_name = "[ADDRESS:]PORT")]
    pub(crate) listen: Option<String>,
    /// The WAMP realm; the same as --site-realm
    #[arg(long, value_name = "REALM", conflicts_with = "site_realm")]
    pub(crate) realm: Option<String>,
    #[command(flatten)]
    pub(crate) site: SiteArgs,
}

/// What the router needs to know.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Settings {
    place: Place,
    realm: String,
    address_root: String,
}

fn settings(args: &Args) -> Result<Settings, Failure> {
    let listen = args.listen.as_deref().map(listen::from_option).transpose().map_err(listen_failure)?;
    let realm = args.realm.clone().or_else(|| args.site.site_realm.clone());
    let names_a_site = args.site.site.is_some() || args.site.site_file.is_some();
    if let (Some(place), Some(realm), Some(address_root), false) =
        (&listen, &realm, &args.site.address_root, names_a_site)
    {
        return checked(Settings {
            place: place.clone(),
            realm: realm.clone(),
            address_root: address_root.clone(),
        });
    }
    let hub = this_site::select(Mode::Control, &args.site)?.site.hub;
    let place = match listen {
        Some(place) => place,
        None => listen::from_hub(&hub.wamp_server).map_err(listen_failure)?,
    };
    checked(Settings { place, realm: realm.unwrap_or(hub.wamp_realm), address_root: hub.address_root })
}

fn checked(settings: Settings) -> Result<Settings, Failure> {
    for (name, value) in [("realm", &settings.realm), ("address root", &settings.address_root)] {
        if !uri::is_valid(value, Match::Exact) {
            return Err(Failure::Usage(format!(
                "the {name} `{value}` cannot be part of a WAMP address: it must be words joined by dots, without \
                 blanks and `#`"
            )));
        }
    }
    Ok(settings)
}

fn listen_failure(error: ListenError) -> Failure {
    if error.is_configuration() { Failure::Usage(error.to_string()) } else { Failure::World(error.into()) }
}

/// Runs the command.
pub(crate) fn run(args: &Args) -> Outcome {
    let settings = settings(args)?;
    runtime::block_on(serve(settings))?
}

async fn serve(settings: Settings) -> Outcome {
    let mut termination = Termination::listen()?;
    let listener = listen::bind(&settings.place).await.map_err(listen_failure)?;
    let address = listener.local_addr().context("cannot find out the listener's address")?;
    let router = Router::new(RouterConfig::for_ocs(&settings.realm, &settings.address_root));
    output::print(&format!("{}\n", ready_line(address, &settings)))?;
    let ended = async {
        let signal = termination.requested().await;
        tracing::info!("{signal}: saying goodbye to all sessions");
    };
    router.serve(listener, ended).await.context("the router cannot go on")?;
    Ok(())
}

/// What the line begins with that the router prints when it is ready.
pub(crate) const ROUTER_READY: &str = "router ready";

/// Printed once the port is open, for people and for scripts that wait for it.
fn ready_line(address: SocketAddr, settings: &Settings) -> String {
    let Settings { realm, address_root, .. } = settings;
    format!(
        "{ROUTER_READY}: ws://{address}/ws and http://{address}/call, realm {realm}, address root {address_root}"
    )
}
