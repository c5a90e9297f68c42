//! WAMP: a sans-io core (values, codecs, messages, client session, router) and the tokio drivers around it.
