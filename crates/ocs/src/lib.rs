//! The OCS contract: the site config file, the agent runtime, feeds, and the client.
//!
//! OCS (the Observatory Control System) is a set of agents on a WAMP bus. Each agent registers two procedures, offers
//! operations (tasks that end by themselves, processes that run until they are stopped), publishes feeds, and beats
//! once a second. This crate holds that contract from both sides:
//!
//! * [`agent`]: be an OCS agent. The rules are pure modules; [`agent::AgentBuilder`] puts them on a bus.
//! * [`client`]: talk to OCS agents, over the bus, the router's HTTP bridge, or an agent's own control socket.
//! * [`codes`]: the words and numbers both sides share.
//! * [`control_socket`]: an agent that answers without a bus.
//! * [`scope`], [`secret`]: which agents a rule of access control is meant for, and passwords that never show.
//! * [`site_config`]: the file that says which agents a site has, and where its router is.

pub mod agent;
pub mod client;
pub mod codes;
pub mod control_socket;
mod http_call;
pub mod scope;
pub mod secret;
pub mod site_config;
mod whoami;
