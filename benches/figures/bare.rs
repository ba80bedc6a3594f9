//! The baseline of the figures about requests: a bare axum handler that answers the same bytes, in a process of its own.

use std::{
    io::{BufRead as _, BufReader, Read as _},
    net::SocketAddr,
    path::Path,
    process::{Child, Command, Stdio},
};

use axum::{
    Router,
    body::Bytes,
    http::{StatusCode, header},
    routing::get,
    serve::ListenerExt as _,
};

use crate::load::Target;

/// The argument with which this executable is the baseline's server; a directory follows.
pub(crate) const ARGUMENT: &str = "--serve-bare";
/// The path that is answered with 304.
pub(crate) const NOT_MODIFIED: &str = "/not-modified";
/// Names of files that begin with this hold compressed bytes.
pub(crate) const GZIP: &str = "gzip-";

/// Serves each file of a directory at its name, until nobody holds the standard input any more.
pub(crate) fn serve(directory: &Path) {
    let mut router = Router::new()
        .route("/livez", get(|| async { StatusCode::OK }))
        .route(NOT_MODIFIED, get(|| async { StatusCode::NOT_MODIFIED }));
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_name().unwrap().to_str().unwrap();
        let body = Bytes::from(std::fs::read(&path).unwrap());
        router = router.route(
            &format!("/{name}"),
            if name.starts_with(GZIP) {
                get(move || {
                    let headers = [(header::CONTENT_TYPE, "application/json"), (header::CONTENT_ENCODING, "gzip")];
                    std::future::ready((headers, body.clone()))
                })
            } else {
                get(move || std::future::ready(([(header::CONTENT_TYPE, "application/json")], body.clone())))
            },
        );
    }
    std::thread::spawn(|| {
        let _ = std::io::stdin().read(&mut [0]);
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(async {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let listener = listener.tap_io(|stream| stream.set_nodelay(true).unwrap());
        axum::serve(listener, router).await.unwrap();
    });
}

/// The running baseline. Killed when it is dropped.
#[derive(Debug)]
pub(crate) struct Bare {
    child: Child,
    address: SocketAddr,
}

impl Bare {
    /// Starts it on a directory of bodies.
    pub(crate) fn start(directory: &Path) -> Self {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .arg(ARGUMENT)
            .arg(directory)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
        Self { address: line.trim().parse().unwrap(), child }
    }

    /// What is measured.
    pub(crate) fn target(&self) -> Target {
        Target { pid: self.child.id(), address: self.address }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
