//! Makes the server's half of the protocol from its description, without `protoc`.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo::rerun-if-changed=proto");
    let described = protox::compile(["streams.proto", "features.proto", "gossip.proto", "log.proto"], ["proto"])?;
    tonic_prost_build::configure().build_client(false).bytes(".").compile_fds(described)?;
    Ok(())
}
