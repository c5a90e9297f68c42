//! Which password goes with a request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};

use super::{AgentApi, OcsClient, OcsError, Passwords};
use crate::agent::CredLevel;
use crate::secret::Secret;

/// Agents that are remembered; when there are more, all are asked anew.
const MAX_REMEMBERED: usize = 4096;

/// The passwords of a connection.
#[derive(Clone, Default)]
pub(super) enum Trust {
    /// There are none.
    #[default]
    Nobody,
    /// The same for every request.
    Fixed(Secret),
    /// Those of a user, with what is known of the agents so far.
    User(Arc<Wallet>),
}

pub(super) struct Wallet {
    passwords: Passwords,
    agents: Mutex<HashMap<String, Arc<Demands>>>,
}

/// What an agent is, and which level each of its operations demands.
struct Demands {
    agent_class: String,
    takes_passwords: bool,
    levels: HashMap<String, CredLevel>,
}

impl Trust {
    pub(super) const fn fixed(password: Secret) -> Self {
        Self::Fixed(password)
    }

    pub(super) fn of_user(passwords: Passwords) -> Self {
        if passwords.is_empty() {
            return Self::Nobody;
        }
        Self::User(Arc::new(Wallet { passwords, agents: Mutex::default() }))
    }

    /// The password for a request on an operation; the agent is asked what it demands, unless that is known.
    pub(super) async fn password(
        &self,
        client: &OcsClient,
        address: &str,
        op_name: &str,
    ) -> Result<Option<Secret>, OcsError> {
        let wallet = match self {
            Self::Nobody => return Ok(None),
            Self::Fixed(password) => return Ok(Some(password.clone())),
            Self::User(wallet) => wallet,
        };
        let known = wallet.agents().get(address).cloned();
        let demands = match known {
            Some(demands) => demands,
            None => {
                let demands = Arc::new(Demands::of(client.api(address).await?));
                let mut agents = wallet.agents();
                if agents.len() >= MAX_REMEMBERED {
                    agents.clear();
                }
                agents.insert(address.to_owned(), Arc::clone(&demands));
                demands
            }
        };
        Ok(wallet.choose(&demands, address, op_name).cloned())
    }
}

impl Wallet {
    fn agents(&self) -> std::sync::MutexGuard<'_, HashMap<String, Arc<Demands>>> {
        self.agents.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn choose(&self, demands: &Demands, address: &str, op_name: &str) -> Option<&Secret> {
        if !demands.takes_passwords {
            return None;
        }
        let demanded = demands.levels.get(op_name).copied().unwrap_or(CredLevel::Basic);
        let instance_id = address.rsplit('.').next().unwrap_or(address);
        // A lockout may block level 1, too, so a password is sent even where none is demanded.
        self.passwords.choose(demanded.max(CredLevel::Advanced), &demands.agent_class, instance_id)
    }
}

impl Demands {
    fn of(api: AgentApi) -> Self {
        let ops = api.processes.iter().chain(&api.tasks);
        let levels = ops.filter_map(|op| Some((op.name.clone(), CredLevel::from_number(op.info.min_privs)?)));
        Self {
            levels: levels.collect(),
            agent_class: api.agent_class.unwrap_or_default(),
            takes_passwords: api.access_control.is_some_and(|access| !access.is_null()),
        }
    }
}
