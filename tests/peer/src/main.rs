//! The peer as a process: `peer [--port PORT] [--data-dir DIRECTORY] [--user NAME:PASSWORD]`.
//!
//! Prints `listening on ADDRESS`, then does what its input asks for, a line a fault (see [`Fault`]), and answers `ok`,
//! the counts for `counts`, or what it did not understand. It ends with its input, so that it outlives nobody.
#![expect(clippy::print_stdout, reason = "how it talks to the test that started it")]

use std::{error::Error, io::BufRead as _};

use peer::{Fault, Options, Peer};

fn main() -> Result<(), Box<dyn Error>> {
    let peer = Peer::start(&options(std::env::args().skip(1))?)?;
    println!("listening on {}", peer.address());
    for line in std::io::stdin().lock().lines() {
        match line?.trim() {
            "counts" => println!("{:?}", peer.counts()),
            text => match text.parse::<Fault>() {
                Ok(fault) => {
                    peer.fault(&fault);
                    println!("ok");
                }
                Err(unknown) => println!("{unknown}"),
            },
        }
    }
    Ok(())
}

fn options(mut arguments: impl Iterator<Item = String>) -> Result<Options, Box<dyn Error>> {
    let mut options = Options::default();
    while let Some(flag) = arguments.next() {
        let value = arguments.next().ok_or_else(|| format!("{flag} needs a value"))?;
        match flag.as_str() {
            "--port" => options.port = value.parse()?,
            "--data-dir" => options.directory = Some(value.into()),
            "--user" => {
                let (name, password) = value.split_once(':').ok_or("--user is NAME:PASSWORD")?;
                options.user = Some((name.to_owned(), password.to_owned()));
            }
            _ => return Err(format!("there is no {flag}").into()),
        }
    }
    Ok(options)
}
