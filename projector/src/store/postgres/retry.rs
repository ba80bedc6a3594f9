//! Trying parked streams again: asked for by anybody, in the generation's row, and done by whoever feeds it.

use deadpool_postgres::Client;

use super::{
    super::{Error, ParkedStreams},
    connect::{ANSWER_MAX, Database},
    generation::Generation,
    reader::parked_streams,
    writer::PostgresWriter,
};
use crate::view::View;

/// A request to try the parked streams of a view again.
#[derive(Debug)]
pub struct Retry {
    database: Database,
    generation: i64,
    asked: i64,
    /// What was parked when it was asked.
    pub before: ParkedStreams,
}

impl Retry {
    /// Asks; `None` when there is no live generation of this view.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn ask<V: View>(database: &Database) -> Result<Option<Self>, Error> {
        let mut client = database.client().await?;
        let transaction = client.transaction().await?;
        let Some(live) = Generation::live::<V>(&transaction).await? else { return Ok(None) };
        let before = by_stream(parked_streams(&transaction, &live).await?);
        let sql = "UPDATE view_generations SET retries_asked = retries_asked + 1 WHERE id = $1 RETURNING retries_asked";
        let asked = transaction.query_one(sql, &[&live.id]).await?.try_get(0)?;
        transaction.commit().await?;
        Ok(Some(Self { database: database.clone(), generation: live.id, asked, before }))
    }

    /// Whether it was done; a generation that took this one's place meanwhile was made of the log as it is now.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn is_done(&self) -> Result<bool, Error> {
        let sql = "SELECT NOT EXISTS (
                       SELECT FROM view_generations WHERE id = $1 AND state = 'live' AND retries_done < $2
                   )";
        let client = self.database.client().await?;
        Ok(client.query_one(sql, &[&self.generation, &self.asked]).await?.try_get(0)?)
    }

    /// What is parked now.
    ///
    /// # Errors
    /// [`Error::Unavailable`], [`Error::Corrupt`].
    pub async fn parked<V: View>(&self) -> Result<ParkedStreams, Error> {
        let mut client = self.database.client().await?;
        let transaction = client.transaction().await?;
        match Generation::live::<V>(&transaction).await? {
            Some(live) => Ok(by_stream(parked_streams(&transaction, &live).await?)),
            None => Ok(ParkedStreams::new()),
        }
    }
}

fn by_stream(parked: Vec<super::super::Parked>) -> ParkedStreams {
    parked.into_iter().map(|parked| (parked.stream, parked.revision)).collect()
}

impl<V: View> PostgresWriter<V> {
    /// The last request to try parked streams again that was not followed yet.
    ///
    /// # Errors
    /// [`Error::Replaced`] when the generation is not the one to be fed any more, [`Error::Unavailable`].
    pub async fn asked_to_retry(&self) -> Result<Option<i64>, Error> {
        let sql = "SELECT retries_asked, retries_asked > retries_done FROM view_generations
                   WHERE id = $1 AND state IN ('filling', 'live')";
        let ask = async |client: &mut Client| Ok(client.query_opt(sql, &[&self.generation.id]).await?);
        let row = self.lease.database.within(ANSWER_MAX, ask).await?.ok_or(Error::Replaced)?;
        Ok(if row.try_get(1)? { Some(row.try_get(0)?) } else { None })
    }

    /// Tells that requests up to this one were followed.
    ///
    /// # Errors
    /// [`Error::Unavailable`].
    pub async fn has_retried(&self, asked: i64) -> Result<(), Error> {
        let sql = "UPDATE view_generations SET retries_done = greatest(retries_done, $2) WHERE id = $1";
        let ask = async |client: &mut Client| Ok(client.execute(sql, &[&self.generation.id, &asked]).await?);
        self.lease.database.within(ANSWER_MAX, ask).await.map(drop)
    }
}
