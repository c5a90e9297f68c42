//! What a client does on any router of an OCS site: the same for crossbar and for our own.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use campanile_wamp::error::uris;
use campanile_wamp::net::client::{
    CallError, CallOptions, Client, ClientError, ClientOptions, Event, RegisterOptions, Registration,
    RegistrationState, State, Subscription, handler,
};
use campanile_wamp::{Dict, Match, Reply, Subprotocol, Value, WampError};

/// No step of a scenario takes that long, even on a busy machine.
pub(crate) const LONG: Duration = Duration::from_secs(30);

/// A client of the test realm that offers one subprotocol.
pub(crate) fn client(url: &str, subprotocol: Subprotocol) -> Client {
    Client::spawn(options(url, subprotocol))
}

pub(crate) fn options(url: &str, subprotocol: Subprotocol) -> ClientOptions {
    ClientOptions { serializers: vec![subprotocol], ..ClientOptions::new(url, "test_realm") }
}

pub(crate) async fn eventually(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + LONG;
    while !condition() {
        assert!(Instant::now() < deadline, "waited in vain: {what}");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

pub(crate) async fn call(client: &Client, procedure: &str, args: Vec<Value>) -> Result<Reply, CallError> {
    client.call(procedure, args, Dict::new(), CallOptions::timeout(LONG)).await
}

pub(crate) async fn active(registration: &Registration) -> u64 {
    active_state(registration.state()).await
}

async fn active_state(mut state: tokio::sync::watch::Receiver<RegistrationState>) -> u64 {
    let active = state.wait_for(|state| matches!(state, RegistrationState::Active { .. }));
    match *tokio::time::timeout(LONG, active).await.unwrap().unwrap() {
        RegistrationState::Active { id } => id,
        ref other => panic!("{other:?}"),
    }
}

/// The events that a subscription has got.
#[derive(Clone, Default)]
pub(crate) struct Events(Arc<Mutex<Vec<Event>>>);

impl Events {
    pub(crate) async fn of(client: &Client, topic: &str, matching: Match) -> (Self, Subscription) {
        let events = Self::default();
        let list = Arc::clone(&events.0);
        let subscription =
            client.subscribe(topic, matching, Arc::new(move |event| list.lock().unwrap().push(event)));
        active_state(subscription.state()).await;
        (events, subscription)
    }

    pub(crate) fn all(&self) -> Vec<Event> {
        self.0.lock().unwrap().clone()
    }

    pub(crate) async fn wait(&self, count: usize) -> Vec<Event> {
        eventually(&format!("{count} events"), || self.0.lock().unwrap().len() >= count).await;
        self.all()
    }
}

/// Procedures under `root`: `echo`, `fail`, `panic`, `sleep` and `count`, which has progressive results.
pub(crate) struct Server {
    pub(crate) client: Client,
    root: String,
    /// How many `sleep` handlers are there.
    sleeping: Arc<AtomicUsize>,
}

struct Present(Arc<AtomicUsize>);

impl Present {
    fn new(count: &Arc<AtomicUsize>) -> Self {
        count.fetch_add(1, Ordering::SeqCst);
        Self(Arc::clone(count))
    }
}

impl Drop for Present {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::SeqCst);
    }
}

impl Server {
    pub(crate) async fn new(client: Client, root: &str) -> Self {
        let sleeping = Arc::new(AtomicUsize::new(0));
        let present = Arc::clone(&sleeping);
        let handlers = [
            ("echo", handler(|call| async move { Ok(Reply { args: call.args, kwargs: call.kwargs }) })),
            ("fail", handler(|_| async { Err(WampError::new("test.failed", "on purpose")) })),
            ("panic", handler(|_| async { panic!("on purpose") })),
            (
                "sleep",
                handler(move |_| {
                    let present = Present::new(&present);
                    async move {
                        tokio::time::sleep(10 * LONG).await;
                        drop(present);
                        Ok(Reply::default())
                    }
                }),
            ),
            (
                "count",
                handler(|call| async move {
                    let steps = (1..=3).filter(|step| call.progress(Reply::of(*step))).count();
                    Ok(Reply::of(steps as i64))
                }),
            ),
        ];
        let registrations = handlers.map(|(name, handler)| {
            client.register(&format!("{root}.{name}"), RegisterOptions::default(), handler)
        });
        for registration in &registrations {
            active(registration).await;
        }
        Self { client, root: root.to_owned(), sleeping }
    }

    pub(crate) fn procedure(&self, name: &str) -> String {
        format!("{}.{name}", self.root)
    }

    pub(crate) async fn sleepers(&self, count: usize) {
        eventually(&format!("{count} handlers asleep"), || self.sleeping.load(Ordering::SeqCst) == count)
            .await;
    }
}

/// Values of every kind; text and numbers as OCS sends them.
fn values(subprotocol: Subprotocol) -> Vec<Value> {
    let mut values: Vec<Value> = vec![
        Value::Null,
        true.into(),
        (-5).into(),
        u64::MAX.into(),
        1.0.into(),
        1795344054.118503.into(),
        "Grüße\n\u{0}".into(),
        Value::Bytes(vec![0, 1, 255]),
        vec![1.into(), Value::List(vec![])].into(),
        Dict::new().with("ä", Dict::new().with("b", Value::Null)).into(),
    ];
    if !subprotocol.is_text() {
        values.push(f64::INFINITY.into());
    }
    values
}

pub(crate) async fn calls(url: &str, subprotocol: Subprotocol, root: &str) {
    let server = Server::new(client(url, subprotocol), root).await;
    let caller = client(url, subprotocol);
    caller.joined(LONG).await.unwrap();

    let kwargs = Dict::new().with("timeout", 3).with("password", Value::Null);
    let echo = server.procedure("echo");
    let echoed =
        caller.call(&echo, values(subprotocol), kwargs.clone(), CallOptions::default()).await.unwrap();
    assert_eq!(echoed, Reply { args: values(subprotocol), kwargs }, "{subprotocol}");
    assert_eq!(call(&caller, &echo, vec![]).await.unwrap(), Reply::default());

    let big = Value::Str("x".repeat(3 << 20));
    assert_eq!(call(&caller, &echo, vec![big.clone()]).await.unwrap().args, [big]);

    let error = |result: Result<Reply, CallError>| match result {
        Err(CallError::Wamp(error)) => error,
        other => panic!("{other:?}"),
    };
    let failed = error(call(&caller, &server.procedure("fail"), vec![]).await);
    assert_eq!(failed, WampError::new("test.failed", "on purpose"));
    let panicked = error(call(&caller, &server.procedure("panic"), vec![]).await);
    assert_eq!(panicked.uri, uris::RUNTIME_ERROR);
    let missing = error(call(&caller, "observatory.nothere", vec![]).await);
    assert_eq!(missing.uri, uris::NO_SUCH_PROCEDURE);
    let forbidden = error(call(&caller, "elsewhere.x", vec![]).await);
    assert_eq!(forbidden.uri, uris::NOT_AUTHORIZED);

    let many = (0..100).map(|i| call(&caller, &echo, vec![i.into()]));
    for (i, reply) in futures_util::future::join_all(many).await.into_iter().enumerate() {
        assert_eq!(reply.unwrap(), Reply::of(i as i64));
    }
    server.client.close().await;
    caller.close().await;
}

pub(crate) async fn calls_that_end_early(url: &str, subprotocol: Subprotocol, root: &str) {
    let server = Server::new(client(url, subprotocol), root).await;
    let caller = client(url, subprotocol);
    caller.joined(LONG).await.unwrap();
    let sleep = server.procedure("sleep");

    let options = CallOptions::timeout(Duration::from_millis(200));
    let late = caller.call(&sleep, vec![], Dict::new(), options).await;
    assert_eq!(late, Err(CallError::TimedOut));
    server.sleepers(0).await;

    {
        let dropped = call(&caller, &sleep, vec![]);
        tokio::pin!(dropped);
        tokio::select! {
            result = &mut dropped => panic!("{result:?}"),
            () = server.sleepers(1) => {}
        }
    }
    server.sleepers(0).await;

    let steps = Arc::new(Mutex::new(Vec::new()));
    let seen = Arc::clone(&steps);
    let options = CallOptions {
        timeout: Some(LONG),
        progress: Some(Arc::new(move |step| seen.lock().unwrap().push(step))),
    };
    let counted = caller.call(&server.procedure("count"), vec![], Dict::new(), options).await.unwrap();
    assert_eq!(counted, Reply::of(3));
    assert_eq!(*steps.lock().unwrap(), [1, 2, 3].map(Reply::of));
    assert_eq!(
        call(&caller, &server.procedure("count"), vec![]).await.unwrap(),
        Reply::of(0),
        "nobody wants steps"
    );

    let asleep = tokio::spawn({
        let (caller, sleep) = (caller.clone(), sleep.clone());
        async move { call(&caller, &sleep, vec![]).await }
    });
    server.sleepers(1).await;
    server.client.close().await;
    server.sleepers(0).await;
    let Err(CallError::Wamp(lost)) = asleep.await.unwrap() else { panic!("the callee was lost") };
    assert_eq!(lost.uri, uris::CANCELED);
    caller.close().await;
}

pub(crate) async fn events(url: &str, subprotocol: Subprotocol, root: &str) {
    let (listener, publisher) = (client(url, subprotocol), client(url, subprotocol));
    publisher.joined(LONG).await.unwrap();
    let topic = format!("{root}.feeds.heartbeat");
    let wild = "observatory..feeds.heartbeat";
    let (exact, _) = Events::of(&listener, &topic, Match::Exact).await;
    let (again, subscription) = Events::of(&listener, &topic, Match::Exact).await;
    let (wildcard, _) = Events::of(&listener, wild, Match::Wildcard).await;
    let (prefix, _) = Events::of(&listener, &format!("{root}.feeds."), Match::Prefix).await;
    let (own, _) = Events::of(&publisher, &topic, Match::Exact).await;

    let kwargs = Dict::new().with("a", 1);
    for i in 0..3 {
        publisher.publish(&topic, vec![i.into()], kwargs.clone()).unwrap();
    }
    for events in [&exact, &again, &wildcard, &prefix] {
        let events = events.wait(3).await;
        for (i, event) in events.iter().enumerate() {
            assert_eq!(
                (&event.topic, &event.args[..], &event.kwargs),
                (&topic, &[Value::from(i as i64)][..], &kwargs)
            );
        }
    }
    subscription.unsubscribe();
    let other = format!("{root}.feeds.other");
    let publication =
        publisher.publish_acknowledged(&other, values(subprotocol), Dict::new(), LONG).await.unwrap();
    let last = prefix.wait(4).await.pop().unwrap();
    assert_eq!((last.topic, last.args, last.publication), (other, values(subprotocol), publication));
    publisher.publish_acknowledged(&topic, vec![], Dict::new(), LONG).await.unwrap();
    exact.wait(4).await;
    assert_eq!(again.all().len(), 3, "unsubscribed");
    assert_eq!(own.all(), [], "a publisher does not hear itself");

    publisher.publish("elsewhere.x", vec![], Dict::new()).unwrap();
    let forbidden = publisher.publish_acknowledged("elsewhere.x", vec![], Dict::new(), LONG).await;
    assert!(matches!(forbidden, Err(CallError::Wamp(error)) if error.uri == uris::NOT_AUTHORIZED));
    listener.close().await;
    publisher.close().await;
}

pub(crate) async fn refused_registrations(url: &str, subprotocol: Subprotocol, root: &str) {
    let first = Server::new(client(url, subprotocol), root).await;
    let second = client(url, subprotocol);
    let echo = handler(|_| async { Ok(Reply::of("second")) });
    let waiting = second.register(&first.procedure("echo"), RegisterOptions::default(), echo.clone());
    let forbidden = second.register("elsewhere.x", RegisterOptions::default(), echo);
    for (registration, expected) in
        [(&waiting, uris::PROCEDURE_ALREADY_EXISTS), (&forbidden, uris::NOT_AUTHORIZED)]
    {
        let mut state = registration.state();
        let refused = state.wait_for(|state| *state != RegistrationState::Pending);
        let refused = tokio::time::timeout(LONG, refused).await.unwrap().unwrap().clone();
        assert!(
            matches!(refused, RegistrationState::Refused { uri, message } if uri == expected && !message.is_empty())
        );
    }
    first.client.close().await;
    active(&waiting).await;
    assert_eq!(call(&second, &first.procedure("echo"), vec![]).await.unwrap(), Reply::of("second"));
    waiting.unregister();
    let gone = call(&second, &first.procedure("echo"), vec![]).await;
    assert!(matches!(gone, Err(CallError::Wamp(error)) if error.uri == uris::NO_SUCH_PROCEDURE));
    second.close().await;
}

pub(crate) async fn closing(url: &str, subprotocol: Subprotocol) {
    let client = client(url, subprotocol);
    client.joined(LONG).await.unwrap();
    client.close().await;
    assert_eq!(*client.state().borrow(), State::Closed);
    assert_eq!(client.joined(LONG).await, Err(ClientError::Closed));
    assert_eq!(client.publish("observatory.x", vec![], Dict::new()), Err(ClientError::Closed));
    assert_eq!(call(&client, "observatory.x", vec![]).await, Err(CallError::Closed));
    client.close().await;
}

pub(crate) async fn mixed(url: &str, callee: Subprotocol, caller: Subprotocol, root: &str) {
    let server = Server::new(client(url, callee), root).await;
    let caller = client(url, caller);
    caller.joined(LONG).await.unwrap();
    // JSON is among the serializers, so no infinities.
    let values = values(Subprotocol::ALL[5]);
    let echoed = call(&caller, &server.procedure("echo"), values.clone()).await.unwrap();
    assert_eq!(echoed.args, values);
    let (events, _subscription) = Events::of(&caller, &format!("{root}.x"), Match::Exact).await;
    server.client.publish(&format!("{root}.x"), values.clone(), Dict::new().with("a", 1.0)).unwrap();
    let event = events.wait(1).await.remove(0);
    assert_eq!((event.args, event.kwargs), (values, Dict::new().with("a", 1.0)));
    server.client.close().await;
    caller.close().await;
}
