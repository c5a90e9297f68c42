//! The OCS contract: the site config file, the agent runtime, feeds, and the client.

pub mod site_config;
