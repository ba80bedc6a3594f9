//! What is made of the protocol's description, and how its ids, names and errors look.

#![expect(
    unused_qualifications,
    unreachable_pub,
    clippy::allow_attributes,
    clippy::allow_attributes_without_reason,
    clippy::enum_variant_names,
    clippy::large_enum_variant,
    clippy::too_many_lines,
    reason = "made of tests/peer/proto, which says what each is"
)]

/// Messages and services, by their packages.
pub mod event_store {
    pub mod client {
        tonic::include_proto!("event_store.client");

        pub mod streams {
            tonic::include_proto!("event_store.client.streams");
        }

        pub mod server_features {
            tonic::include_proto!("event_store.client.server_features");
        }

        pub mod gossip {
            tonic::include_proto!("event_store.client.gossip");
        }
    }
}

/// Of Google's.
pub mod google {
    pub mod rpc {
        tonic::include_proto!("google.rpc");
    }
}

/// The peer's file.
pub mod file {
    tonic::include_proto!("peer.log");
}
