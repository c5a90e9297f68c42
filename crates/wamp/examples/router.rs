//! A router on a local port, for trying things out: `cargo run --example router -- 8001 test_realm observatory`.

use campanile_wamp::net::server::{Router, RouterConfig};

fn main() -> std::io::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let port = arguments.next().unwrap_or_else(|| "8001".to_owned());
    let realm = arguments.next().unwrap_or_else(|| "test_realm".to_owned());
    let address_root = arguments.next().unwrap_or_else(|| "observatory".to_owned());
    tokio::runtime::Builder::new_current_thread().enable_all().build()?.block_on(async {
        let listener = tokio::net::TcpListener::bind(format!("127.0.0.1:{port}")).await?;
        println!("listening on {}", listener.local_addr()?);
        let router = Router::new(RouterConfig::for_ocs(&realm, &address_root));
        router.serve(listener, std::future::pending()).await
    })
}
