//! Requests about the daemon as a whole.

use super::answer::{Answer, Handled, refuse};
use super::object::{Domain, guess_base};
use super::{ConnId, Daemon, Listen};
use crate::auth::config;
use crate::auth::{Auth, Peer};
use crate::wire::errno;
use crate::wire::ids::{AttrId, RequestId};
use crate::wire::record::Message as Record;

impl Daemon {
    pub(super) fn daemon_request(
        &mut self,
        conn: Option<ConnId>,
        peer: Peer,
        id: RequestId,
        message: &Record,
    ) -> Handled {
        let ok = || Ok(Answer::Text("OK".to_owned()));
        match id {
            RequestId::DAEMON_STATUS => {
                self.log(|| "daemon_status".to_owned());
                let threads = if self.args(message).has(AttrId::STRING) {
                    ",\n\"thread_stats\":{ \"count\": 0, \"io_threads\": []}\n"
                } else {
                    ""
                };
                Ok(Answer::Json(format!("{{\"state\":\"ready\"{threads}}}")))
            }
            RequestId::CFG_CNTR => {
                self.log(|| "cfg_cntr".to_owned());
                Ok(Answer::Text(self.cfg_cntr.to_string()))
            }
            RequestId::GREETING => self.greet(message),
            RequestId::VERSION => {
                self.log(|| "version".to_owned());
                Ok(Answer::Text(
                    "{ \"LDMSD Version\":\"4.5.1\",  \"LDMS Protocol Version\": \"4.2.0.0\",  \
                     \"LDMSD Plugin Interface Version\": \"3.2.2.0\",  \"git-SHA\": \"simulated\"}"
                        .to_owned(),
                ))
            }
            RequestId::DAEMON_EXIT => {
                self.log(|| "daemon_exit".to_owned());
                self.over = true;
                Ok(Answer::Text("exit daemon request received".to_owned()))
            }
            RequestId::ENV => {
                let args = self.args(message);
                let none = || "No environment names/values are given.".to_owned();
                let variables = args.require(AttrId::STRING, none)?;
                for (name, value) in variables.split_whitespace().filter_map(|word| word.split_once('=')) {
                    self.env.insert(name.to_owned(), value.to_owned());
                    self.log(|| format!("env {name}={value}"));
                }
                Ok(Answer::Done)
            }
            RequestId::AUTH_ADD => self.add_domain(message),
            RequestId::AUTH_DEL => {
                let args = self.args(message);
                let name = args.require(AttrId::NAME, || "Attribute 'name' is required".to_owned())?;
                match self.domains.remove(&name) {
                    // ldmsd says so although it has succeeded.
                    Some(_) => {
                        Ok(Answer::Text(format!("Failed to delete authentication domain '{name}', error: 0")))
                    }
                    None => {
                        let text = format!("'{name}' authentication domain not found");
                        Err(refuse(errno::ENOENT, text))
                    }
                }
            }
            RequestId::LISTEN => self.listen(conn, message),
            RequestId::SET_DEFAULT_AUTHZ => {
                let args = self.args(message);
                let number = |id, default| args.get(id).map_or(default, |text| guess_base(&text));
                let mut authz = self.default_authz;
                authz.uid = number(AttrId::UID, authz.uid);
                authz.gid = number(AttrId::GID, authz.gid);
                if let Some(perm) = args.get(AttrId::PERM) {
                    authz.perm = u32::from_str_radix(perm.trim(), 8).unwrap_or(authz.perm);
                }
                self.default_authz = authz;
                Ok(Answer::Text(format!(
                    "defaults: uid={}, gid={}, perm={:o}",
                    authz.uid, authz.gid, authz.perm
                )))
            }
            RequestId::LOG_LEVEL => {
                let args = self.args(message);
                let none = || "The attribute 'level' is required.".to_owned();
                let level = args.require(AttrId::LEVEL, none)?;
                const LEVELS: [&str; 9] =
                    ["DEBUG", "INFO", "WARNING", "WARN", "ERROR", "CRITICAL", "QUIET", "DEFAULT", "RESET"];
                if !LEVELS.contains(&level.to_ascii_uppercase().as_str()) {
                    return Err(refuse(errno::EINVAL, format!("The given level {level} is invalid.")));
                }
                self.log(|| format!("log_level level={level}"));
                self.log_level.clone_from(&level);
                Ok(Answer::Done)
            }
            RequestId::MSG_ENABLE | RequestId::MSG_DISABLE => {
                self.messages = id == RequestId::MSG_ENABLE;
                ok()
            }
            RequestId::STREAM_ENABLE | RequestId::STREAM_DISABLE => {
                self.streams = id == RequestId::STREAM_ENABLE;
                ok()
            }
            RequestId::STREAM_STATUS | RequestId::STREAM_PUBLISH | RequestId::STREAM_SUBSCRIBE
                if !self.streams =>
            {
                Err(refuse(errno::ENOSYS, "The stream service is DISABLED on this system."))
            }
            RequestId::MSG_STATS if !self.messages => {
                Err(refuse(errno::ENOTSUP, "The message service is disabled."))
            }
            RequestId::MSG_CLIENT_STATS if !self.messages => {
                Err(refuse(errno::ENOTSUP, "The LDMS message service is disabled."))
            }
            RequestId::STREAM_STATUS | RequestId::MSG_STATS | RequestId::MSG_CLIENT_STATS => {
                Ok(Answer::Json("{}".to_owned()))
            }
            RequestId::STREAM_PUBLISH
            | RequestId::STREAM_SUBSCRIBE
            | RequestId::STREAM_UNSUBSCRIBE
            | RequestId::LOGROTATE
            | RequestId::SET_SEC_MOD
            | RequestId::SET_UDATA_REGEX
            | RequestId::OPTION
            | RequestId::MEMORY
            | RequestId::LOG_FILE
            | RequestId::PUBLISH_KERNEL
            | RequestId::WORKER_THREADS
            | RequestId::DEFAULT_QUOTA
            | RequestId::PID_FILE
            | RequestId::BANNER
            | RequestId::STORAGE_THREADS
            | RequestId::STORAGE_QUEUE => Ok(Answer::Done),
            RequestId::STATS_RESET => {
                let names = self.args(message).get(AttrId::STRING);
                let is_update =
                    |names: String| names.split(',').any(|one| one.eq_ignore_ascii_case("update"));
                if names.is_none_or(is_update) {
                    self.reset_updates();
                }
                Ok(Answer::Done)
            }
            RequestId::DAEMON_NAME => {
                if let Some(name) = self.args(message).get(AttrId::NAME) {
                    self.options.name = name;
                }
                Ok(Answer::Done)
            }
            RequestId::DEFAULT_AUTH => self.add_domain(message),
            RequestId::SET_STATS => Ok(Answer::Stats(self.set_stats(message))),
            RequestId::PRDCR_STATS => Ok(Answer::Stats(self.producer_stats())),
            RequestId::THREAD_STATS => Ok(Answer::Stats(self.thread_stats())),
            RequestId::XPRT_STATS => Ok(Answer::Stats(self.connection_stats())),
            RequestId::LOG_STATUS => Ok(Answer::Json(self.log_status())),
            RequestId::EXAMPLE => Ok(Answer::Json("[]".to_owned())),
            RequestId::SET_UDATA => self.udata_request(message),
            RequestId(0x700..=0x771) => Err(refuse(errno::ENOTSUP, "Pairwise failover is deplicated.")),
            RequestId(0x800..=0x804) => self.setgroup_request(id, message),
            RequestId::DUMP_CFG | RequestId::INCLUDE => {
                let args = self.args(message);
                let verb = id.verb().unwrap_or_default();
                let path = args.required_by(AttrId::PATH, verb)?;
                let text = format!("Failed to process cfg '{path}' at line 0: No such file or directory");
                Err(refuse(errno::ENOENT, text))
            }
            _ => {
                let _ = peer;
                Err(refuse(errno::ENOSYS, "The request is not implemented"))
            }
        }
    }

    fn greet(&mut self, message: &Record) -> Handled {
        let args = self.args(message);
        if let Some(name) = args.get(AttrId::NAME) {
            // ldmsd answers from a buffer of 1 KiB.
            Ok(Answer::Text(format!("Hello '{name}'").chars().take(1022).collect()))
        } else if args.has(AttrId::TEST) {
            Ok(Answer::Text("Hi".to_owned()))
        } else if let Some(length) = args.get(AttrId::OFFSET) {
            // So many digits; for tests of long answers.
            let length = length.parse::<usize>().unwrap_or(0).min(crate::limits::MAX_MESSAGE / 2);
            let digits = length.to_string();
            let zeros = "0".repeat(length.saturating_sub(digits.len()));
            Ok(Answer::Text(format!("{zeros}{digits}")))
        } else if let Some(records) = args.get(AttrId::LEVEL) {
            match records.parse::<i64>().unwrap_or(0) {
                1 => Ok(Answer::Text("single record 0".to_owned())),
                records if records < 1 => Err(refuse(errno::EINVAL, "Invalid. level >= 1")),
                _ => Ok(Answer::Done),
            }
        } else if args.has(AttrId::PATH) {
            Ok(Answer::Text(self.options.name.clone()))
        } else {
            Ok(Answer::Done)
        }
    }

    fn add_domain(&mut self, message: &Record) -> Handled {
        let args = self.args(message);
        let name = match message.code {
            code if code == RequestId::DEFAULT_AUTH.0 => super::DEFAULT_DOMAIN.to_owned(),
            _ => args.require(AttrId::NAME, || "Attribute 'name' is required".to_owned())?,
        };
        let plugin = args.get(AttrId::PLUGIN).unwrap_or_else(|| name.clone());
        let options: Vec<(String, String)> = args
            .get(AttrId::STRING)
            .unwrap_or_default()
            .split_whitespace()
            .filter_map(|word| word.split_once('='))
            .map(|(key, value)| (key.to_owned(), value.to_owned()))
            .collect();
        if message.code == RequestId::AUTH_ADD.0 && self.domains.contains_key(&name) {
            let text = "Authentication domain creation failed, errno: 17";
            return Err(refuse(errno::EEXIST, text));
        }
        let auth = self.load_auth(&plugin, &options);
        self.domains.insert(name, Domain { auth });
        Ok(Answer::Done)
    }

    /// The authentication of a domain. The daemon is pure: only what needs no file is looked at here; a secret that
    /// the daemon was started with serves for every domain of the plugin `ovis`.
    fn load_auth(&self, plugin: &str, options: &[(String, String)]) -> Result<Auth, String> {
        match (plugin, &self.options.auth) {
            ("ovis", Auth::Ovis(secret)) => Ok(Auth::Ovis(secret.clone())),
            ("ovis", _) => Err("the daemon was started without a secret".to_owned()),
            // The others do not mind a `conf` that they have no use for.
            _ => {
                let known =
                    options.iter().filter(|(option, _)| option != "conf").cloned().collect::<Vec<_>>();
                config::load(plugin, &known, &|_| None).map_err(|error| error.to_string())
            }
        }
    }

    fn listen(&mut self, conn: Option<ConnId>, message: &Record) -> Handled {
        let args = self.args(message);
        let xprt = args.require(AttrId::XPRT, || "The attribute 'xprt' is required.".to_owned())?;
        let text = args.get(AttrId::PORT).unwrap_or_else(|| "411".to_owned());
        let Some(port) = text.parse::<u16>().ok().filter(|port| *port > 0) else {
            let text = format!("'{xprt}' transport with invalid port '{text}'");
            return Err(refuse(errno::EINVAL, text));
        };
        let (host, domain) = (args.get(AttrId::HOST), args.get(AttrId::AUTH));
        if let Some(domain) = &domain
            && !self.domains.contains_key(domain)
        {
            let text = format!(
                "Listen error: authentication domain '{domain}' not found. Please make sure that it is created with `auth_add` config command."
            );
            return Err(refuse(errno::ENOENT, text));
        }
        if self.listening.contains_key(&port) && conn.is_some() {
            // The daemon's own first port is not among those that requests made: the bind fails.
            let own = self.options.listen.iter().any(|listen| listen.port == port);
            return Err(match own {
                true => refuse(errno::ENOEXEC, format!("Failed to listen on the endpoint {xprt}:{port}.")),
                false => {
                    let text = format!("The listening endpoint {xprt}:{port} is already exists");
                    refuse(errno::EEXIST, text)
                }
            });
        }
        if xprt != "sock" {
            return Err(refuse(errno::ENOENT, format!("Failed to listen on the endpoint {xprt}:{port}.")));
        }
        self.listen_later(conn, message, Listen { xprt, port, host, domain });
        Ok(if conn.is_some() { Answer::Deferred } else { Answer::Done })
    }
}
