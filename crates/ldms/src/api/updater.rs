//! Requests about updaters: which sets an aggregator fetches, and how often.

use serde::{Deserialize, Serialize};

use super::{AttrValue, Json, Micros, Perm, calls, lenient};

/// What a match of an updater looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum MatchField {
    /// The name of the set.
    #[default]
    Instance,
    /// The name of its schema.
    Schema,
}

impl AttrValue for MatchField {
    fn text(&self) -> Option<String> {
        Some(match self {
            Self::Instance => "inst".to_owned(),
            Self::Schema => "schema".to_owned(),
        })
    }
}

/// One producer, in [`Updater`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdaterProducer {
    /// Its name.
    pub name: String,
    /// Its host.
    #[serde(default)]
    pub host: String,
    /// Its state.
    #[serde(default)]
    pub state: String,
}

/// One updater, in the answer to [`UpdtrStatus`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Updater {
    /// Its name.
    pub name: String,
    /// Its interval in microseconds.
    #[serde(default, deserialize_with = "lenient::number")]
    pub interval: Option<i64>,
    /// Its offset in microseconds.
    #[serde(default, deserialize_with = "lenient::number")]
    pub offset: Option<i64>,
    /// `Pull`, `Push on Request`, `Push on Change`.
    #[serde(default)]
    pub mode: String,
    /// Whether it follows the sets' own intervals.
    #[serde(default, deserialize_with = "lenient::truth")]
    pub auto: bool,
    /// `STOPPED`, `STOPPING`, `RUNNING`.
    pub state: String,
    /// The producers it covers.
    #[serde(default)]
    pub producers: Vec<UpdaterProducer>,
}

/// One match, in [`UpdaterMatches`].
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Match {
    /// The expression.
    pub regex: String,
    /// `inst` or `schema`.
    pub selector: String,
}

/// The answer to [`UpdtrMatchList`], for one updater.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UpdaterMatches {
    /// The updater.
    pub name: String,
    /// Its matches.
    #[serde(rename = "match", default)]
    pub matches: Vec<Match>,
}

calls! {
    /// Adds an updater; it stays stopped.
    UpdtrAdd = UPDTR_ADD {
        /// Its name.
        name: String => NAME,
        /// How often it fetches.
        interval: Micros => INTERVAL,
        /// When within the interval; at most half of it. Without, it starts when it is started.
        offset: Option<Micros> => OFFSET,
        /// Follow the sets' own intervals: `true`.
        auto_interval: bool => AUTO_INTERVAL,
        /// Have sets pushed: `onchange`, or `true` for pushes on request.
        push: Option<String> => PUSH,
        /// Permissions.
        perm: Option<Perm> => PERM,
    } -> ();

    /// Deletes an updater, which must be stopped and have no update under way (else it is refused as in use, and,
    /// in ldmsd 4.5, loses its producers).
    UpdtrDel = UPDTR_DEL {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Starts an updater.
    UpdtrStart = UPDTR_START {
        /// Its name.
        name: String => NAME,
        /// Another interval.
        interval: Option<Micros> => INTERVAL,
        /// Another offset.
        offset: Option<Micros> => OFFSET,
    } -> ();

    /// Stops an updater.
    UpdtrStop = UPDTR_STOP {
        /// Its name.
        name: String => NAME,
    } -> ();

    /// Adds the producers that exist now and match.
    UpdtrPrdcrAdd = UPDTR_PRDCR_ADD {
        /// The updater.
        name: String => NAME,
        /// The expression.
        regex: String => REGEX,
    } -> ();

    /// Takes the producers that match out.
    UpdtrPrdcrDel = UPDTR_PRDCR_DEL {
        /// The updater.
        name: String => NAME,
        /// The expression.
        regex: String => REGEX,
    } -> ();

    /// Adds a match; with matches, only sets that one of them fits are fetched.
    UpdtrMatchAdd = UPDTR_MATCH_ADD {
        /// The updater.
        name: String => NAME,
        /// The expression.
        regex: String => REGEX,
        /// What it is matched with.
        field: MatchField => MATCH,
    } -> ();

    /// Takes a match out.
    UpdtrMatchDel = UPDTR_MATCH_DEL {
        /// The updater.
        name: String => NAME,
        /// The expression.
        regex: String => REGEX,
        /// What it is matched with.
        field: MatchField => MATCH,
    } -> ();

    /// The matches of updaters.
    UpdtrMatchList = UPDTR_MATCH_LIST {
        /// Only this updater.
        name: Option<String> => NAME,
    } -> Json<Vec<UpdaterMatches>>;

    /// State of updaters.
    UpdtrStatus = UPDTR_STATUS {
        /// Only this one.
        name: Option<String> => NAME,
    } -> Json<Vec<Updater>>;

    /// Schedules of updaters.
    UpdtrTask = UPDTR_TASK {
        /// Only this one.
        name: Option<String> => NAME,
    } -> Json<Vec<serde_json::Value>>;
}
