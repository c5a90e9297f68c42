//! Stands between a client and the engine, and fails as engines and the things before them do.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::watch;

/// What goes wrong.
#[derive(Clone, Debug, Default, PartialEq)]
pub(crate) struct Faults {
    /// The event stream is refused, and what streams there are end.
    pub(crate) no_events: bool,
    /// A container of this id is listed, and gone when it is looked at.
    pub(crate) vanished: Option<String>,
}

/// A proxy before an engine's socket.
pub(crate) struct Proxy {
    dir: tempfile::TempDir,
    faults: watch::Sender<Faults>,
    seen: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    pub(crate) fn before(engine: &Path) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let listener = UnixListener::bind(dir.path().join("docker.sock")).unwrap();
        let faults = watch::Sender::new(Faults::default());
        let seen = Arc::new(Mutex::new(Vec::new()));
        let (engine, told, noted) = (engine.to_owned(), faults.subscribe(), Arc::clone(&seen));
        tokio::spawn(async move {
            while let Ok((client, _)) = listener.accept().await {
                tokio::spawn(serve(client, engine.clone(), told.clone(), Arc::clone(&noted)));
            }
        });
        Self { dir, faults, seen }
    }

    /// As `DOCKER_HOST` has it.
    pub(crate) fn host(&self) -> String {
        format!("unix://{}", self.dir.path().join("docker.sock").display())
    }

    pub(crate) fn fail(&self, faults: Faults) {
        self.faults.send_replace(faults);
    }

    /// How many requests there were whose first line has this text.
    pub(crate) fn count(&self, text: &str) -> usize {
        self.seen.lock().unwrap().iter().filter(|line| line.contains(text)).count()
    }
}

async fn serve(
    mut client: UnixStream,
    engine: PathBuf,
    mut faults: watch::Receiver<Faults>,
    seen: Arc<Mutex<Vec<String>>>,
) {
    let mut head = Vec::new();
    while !head.windows(4).any(|end| end == b"\r\n\r\n") {
        let mut piece = [0; 4096];
        match client.read(&mut piece).await {
            Ok(0) | Err(_) => return,
            Ok(count) => head.extend_from_slice(&piece[..count]),
        }
    }
    let line = String::from_utf8_lossy(&head).lines().next().unwrap_or_default().to_owned();
    seen.lock().unwrap().push(line.clone());
    let now = faults.borrow_and_update().clone();
    let is_stream = line.contains("/events");
    let refusal = match &now.vanished {
        _ if is_stream && now.no_events => Some((403, "events are forbidden here")),
        Some(id) if line.contains(&format!("/containers/{id}/json")) => Some((404, "No such container")),
        _ => None,
    };
    if let Some((code, message)) = refusal {
        let body = serde_json::json!({ "message": message }).to_string();
        let length = body.len();
        let head = format!(
            "HTTP/1.1 {code} No\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n"
        );
        let _ = client.write_all(format!("{head}{body}").as_bytes()).await;
        return;
    }
    let Ok(mut engine) = UnixStream::connect(engine).await else { return };
    if engine.write_all(&head).await.is_err() {
        return;
    }
    tokio::select! {
        _ = tokio::io::copy_bidirectional(&mut client, &mut engine) => {}
        _ = faults.wait_for(|faults| is_stream && faults.no_events) => {}
    }
}
