//! The lease: who feeds a view. Timed by the database's clock alone; whoever takes it over raises its epoch, and what the
//! one before still sends is refused for that.

use std::time::Duration;

use deadpool_postgres::Client;

use super::{
    super::Error,
    connect::{ANSWER_MAX, Database},
};

/// A lease that this process has, until it is told otherwise.
#[derive(Debug, Clone)]
pub struct Lease {
    pub(super) database: Database,
    pub(super) name: String,
    pub(super) epoch: i64,
    ttl: Duration,
}

impl Lease {
    /// Takes a lease if nobody has it: who took it last let it run out, or gave it back.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn try_take(database: &Database, name: &str, holder: &str, ttl: Duration) -> Result<Option<Self>, Error> {
        let sql = "INSERT INTO leases AS held (name, epoch, holder, expires_at)
                   VALUES ($1, 1, $2, clock_timestamp() + make_interval(secs => $3))
                   ON CONFLICT (name) DO UPDATE
                   SET epoch = held.epoch + 1, holder = excluded.holder, expires_at = excluded.expires_at
                   WHERE held.expires_at < clock_timestamp()
                   RETURNING epoch";
        let seconds = ttl.as_secs_f64();
        let ask = async |client: &mut Client| Ok(client.query_opt(sql, &[&name, &holder, &seconds]).await?);
        let row = database.within(ANSWER_MAX, ask).await?;
        let epoch = row.map(|row| row.try_get(0)).transpose()?;
        Ok(epoch.map(|epoch| Self { database: database.clone(), name: name.to_owned(), epoch, ttl }))
    }

    /// Keeps it for another while.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another process has it, [`Error::Unavailable`].
    pub async fn renew(&self) -> Result<(), Error> {
        self.renew_within(ANSWER_MAX).await
    }

    async fn renew_within(&self, limit: Duration) -> Result<(), Error> {
        let sql = "UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $3)
                   WHERE name = $1 AND epoch = $2";
        let seconds = self.ttl.as_secs_f64();
        let ask = async |client: &mut Client| Ok(client.execute(sql, &[&self.name, &self.epoch, &seconds]).await?);
        let renewed = self.database.within(limit, ask).await?;
        if renewed == 1 { Ok(()) } else { Err(Error::Fenced) }
    }

    /// Renews it again and again, until another process has it or the database has been away for as long as it lasts.
    pub async fn keep(&self) -> Error {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(self.ttl / 3).await;
            // A database that takes the question and does not answer is away as well.
            match self.renew_within(self.ttl / 6).await {
                Ok(()) => renewed = tokio::time::Instant::now(),
                Err(Error::Unavailable(_)) if renewed.elapsed() < self.ttl => {}
                Err(error) => return error,
            }
        }
    }

    /// Gives it back, so that the next one need not wait.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn release(self) -> Result<(), Error> {
        let sql = "UPDATE leases SET expires_at = '-infinity' WHERE name = $1 AND epoch = $2";
        let ask = async |client: &mut Client| Ok(client.execute(sql, &[&self.name, &self.epoch]).await?);
        self.database.within(ANSWER_MAX, ask).await.map(drop)
    }
}
