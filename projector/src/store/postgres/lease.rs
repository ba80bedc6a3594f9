//! The lease: who feeds a view. Timed by the database's clock alone; whoever takes it over raises its epoch, and what the
//! one before still sends is refused for that.

use std::time::Duration;

use super::{super::Error, connect::Database};

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
        let client = database.client().await?;
        let row = client.query_opt(sql, &[&name, &holder, &ttl.as_secs_f64()]).await?;
        let epoch = row.map(|row| row.try_get(0)).transpose()?;
        Ok(epoch.map(|epoch| Self { database: database.clone(), name: name.to_owned(), epoch, ttl }))
    }

    /// Keeps it for another while.
    ///
    /// # Errors
    /// [`Error::Fenced`] when another process has it, [`Error::Unavailable`].
    pub async fn renew(&self) -> Result<(), Error> {
        let sql = "UPDATE leases SET expires_at = clock_timestamp() + make_interval(secs => $3)
                   WHERE name = $1 AND epoch = $2";
        let client = self.database.client().await?;
        let renewed = client.execute(sql, &[&self.name, &self.epoch, &self.ttl.as_secs_f64()]).await?;
        if renewed == 1 { Ok(()) } else { Err(Error::Fenced) }
    }

    /// Renews it again and again, until another process has it or the database has been away for as long as it lasts.
    pub async fn keep(&self) -> Error {
        let mut renewed = tokio::time::Instant::now();
        loop {
            tokio::time::sleep(self.ttl / 3).await;
            // A database that takes the question and does not answer is away as well.
            let answer = tokio::time::timeout(self.ttl / 3, self.renew()).await;
            match answer.unwrap_or_else(|late| Err(Error::Unavailable(late.into()))) {
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
        self.database.client().await?.execute(sql, &[&self.name, &self.epoch]).await?;
        Ok(())
    }
}
