//! Faults on demand: what a test asks for, in words or by name.

use std::{str::FromStr, time::Duration};

use thiserror::Error;

/// What may be asked for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// Every connection is cut: `drop`.
    Drop,
    /// Every subscription ends as if all were well: `end subscriptions`.
    EndSubscriptions,
    /// Every session of batch appends ends as if all were well: `end sessions`.
    EndSessions,
    /// Whoever wants the leader is sent elsewhere: `not-leader HOST:PORT`.
    NotLeader(String, u16),
    /// It leads again: `leader`.
    Leader,
    /// Every answer waits for so long: `delay MILLISECONDS`.
    Delay(Duration),
    /// The next so many appends take effect, and the connections are cut in place of an answer: `lose N`.
    LoseAnswers(u32),
    /// The next so many batch appends are answered like this and have no effect: `refuse N CODE MESSAGE`.
    Refuse {
        /// How many.
        n: u32,
        /// The gRPC code.
        code: i32,
        /// What the server says.
        message: String,
    },
}

/// A text asks for no fault.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{0:?} asks for no fault")]
pub struct UnknownFault(String);

impl FromStr for Fault {
    type Err = UnknownFault;

    fn from_str(text: &str) -> Result<Self, UnknownFault> {
        let unknown = || UnknownFault(text.to_owned());
        let words: Vec<_> = text.split_whitespace().collect();
        Ok(match words.as_slice() {
            ["drop"] => Self::Drop,
            ["end", "subscriptions"] => Self::EndSubscriptions,
            ["end", "sessions"] => Self::EndSessions,
            ["leader"] => Self::Leader,
            ["not-leader", address] => {
                let (host, port) = address.rsplit_once(':').ok_or_else(unknown)?;
                Self::NotLeader(host.to_owned(), port.parse().map_err(|_| unknown())?)
            }
            ["delay", ms] => Self::Delay(Duration::from_millis(ms.parse().map_err(|_| unknown())?)),
            ["lose", n] => Self::LoseAnswers(n.parse().map_err(|_| unknown())?),
            ["refuse", n, code, message @ ..] => Self::Refuse {
                n: n.parse().map_err(|_| unknown())?,
                code: code.parse().map_err(|_| unknown())?,
                message: message.join(" "),
            },
            _ => return Err(unknown()),
        })
    }
}

/// The faults that are in force.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pub(crate) leader: Option<(String, u16)>,
    pub(crate) delay: Duration,
    lost: u32,
    refused: Option<(u32, i32, String)>,
}

impl Faults {
    /// Puts one in force; those that are over at once are none of this.
    pub(crate) fn set(&mut self, fault: &Fault) {
        match fault {
            Fault::NotLeader(host, port) => self.leader = Some((host.clone(), *port)),
            Fault::Leader => self.leader = None,
            Fault::Delay(delay) => self.delay = *delay,
            Fault::LoseAnswers(n) => self.lost = *n,
            Fault::Refuse { n, code, message } => self.refused = Some((*n, *code, message.clone())),
            Fault::Drop | Fault::EndSubscriptions | Fault::EndSessions => {}
        }
    }

    /// Whether the answer to this append is to be lost.
    pub(crate) fn lose(&mut self) -> bool {
        let is_lost = self.lost > 0;
        self.lost = self.lost.saturating_sub(1);
        is_lost
    }

    /// How this append is to be refused.
    pub(crate) fn refuse(&mut self) -> Option<(i32, String)> {
        let (n, code, message) = self.refused.as_mut().filter(|(n, _, _)| *n > 0)?;
        *n -= 1;
        Some((*code, message.clone()))
    }
}
