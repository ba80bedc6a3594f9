//! Connections, each of which can be cut: the service is behind a pipe, which ends when it is told to.

use std::{
    io,
    net::TcpListener,
    sync::{Arc, atomic::Ordering},
};

use tokio::{
    io::{DuplexStream, copy_bidirectional, duplex},
    net::TcpStream,
    sync::mpsc,
};
use tokio_stream::wrappers::ReceiverStream;
use tonic::transport::Server;

use crate::{
    service::{FeaturesService, GossipService, StreamsService},
    state::{State, count, spawn},
    wire::event_store::client::{
        gossip::gossip_server::GossipServer, server_features::server_features_server::ServerFeaturesServer,
        streams::streams_server::StreamsServer,
    },
};

const MESSAGE_BYTES_MAX: usize = 32 * 1024 * 1024;
const PIPE_BYTES: usize = 256 * 1024;

/// Serves until the runtime ends.
pub(crate) async fn serve(listener: TcpListener, state: Arc<State>) {
    let (sender, incoming) = mpsc::channel(16);
    spawn(accept(listener, Arc::clone(&state), sender));
    let streams = StreamsServer::new(StreamsService { state: Arc::clone(&state) });
    let served = Server::builder()
        .add_service(streams.max_decoding_message_size(MESSAGE_BYTES_MAX).max_encoding_message_size(MESSAGE_BYTES_MAX))
        .add_service(ServerFeaturesServer::new(FeaturesService))
        .add_service(GossipServer::new(GossipService { state }))
        .serve_with_incoming(ReceiverStream::new(incoming));
    // It ends with its connections' source, that is, never before the runtime does.
    let _ = served.await;
}

async fn accept(listener: TcpListener, state: Arc<State>, sender: mpsc::Sender<io::Result<DuplexStream>>) {
    let Ok(listener) = tokio::net::TcpListener::from_std(listener) else { return };
    while let Ok((socket, _)) = listener.accept().await {
        count(&state.counters.connections);
        count(&state.counters.open_connections);
        let (near, far) = duplex(PIPE_BYTES);
        spawn(pipe(socket, near, Arc::clone(&state)));
        if sender.send(Ok(far)).await.is_err() {
            return;
        }
    }
}

async fn pipe(mut socket: TcpStream, mut near: DuplexStream, state: Arc<State>) {
    let mut cut = state.connections.subscribe();
    // Without it, each answer may wait for an acknowledgement; nothing is wrong when it cannot be had.
    let _ = socket.set_nodelay(true);
    tokio::select! {
        _ = cut.changed() => {}
        _ = copy_bidirectional(&mut socket, &mut near) => {}
    }
    state.counters.open_connections.fetch_sub(1, Ordering::Relaxed);
}
