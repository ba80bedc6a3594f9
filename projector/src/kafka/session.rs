//! A session with Kafka: a thread with a producer, on which all blocking calls are made. It begins with the fence and the
//! checkpoint, and ends with the first error: whatever that has left undecided, the next session reads.

use std::time::Duration;

use rdkafka::{
    error::KafkaError,
    message::{Header, OwnedHeaders},
    producer::{BaseProducer, BaseRecord, Producer as _},
    types::RDKafkaErrorCode,
};
use tokio::{
    runtime::Handle,
    sync::{mpsc, oneshot},
};

use super::{
    Error,
    checkpoint::{self, Checkpoints, Keys, Reached},
    client::{self, Context, call_max},
    record::{Record, TopicNames},
    settings::Settings,
    topics,
};

/// How long an abort may take, which the next session does too.
const ABORT_MAX: Duration = Duration::from_secs(2);
/// How long the queue of records is given to become shorter.
const QUEUE_WAIT: Duration = Duration::from_millis(100);

/// Tells how a transaction ended: once.
pub(super) type Outcome = oneshot::Receiver<Result<(), Error>>;

struct Transaction {
    records: Vec<Record>,
    ended: oneshot::Sender<Result<(), Error>>,
}

/// A session. Dropping it lets the thread end what it is doing, and then itself.
#[derive(Debug)]
pub(super) struct Session {
    transactions: mpsc::Sender<Transaction>,
    pub(super) checkpoints: Checkpoints,
    pub(super) keys: Keys,
}

/// A session's thread, which outlives the session for as long as a call takes.
#[derive(Debug)]
pub(super) struct Thread(oneshot::Receiver<()>);

impl Thread {
    /// Waits until no code of the library runs any more.
    pub(super) async fn ended(self) {
        // Nothing is ever sent: the sender goes with the thread.
        let _ = self.0.await;
    }
}

impl Session {
    /// Begins one, on a thread of its own: fences whoever published before, and reads how far he came.
    pub(super) fn begin(settings: &Settings) -> (impl Future<Output = Result<Self, Error>> + use<>, Thread) {
        let (transactions, waiting) = mpsc::channel(1);
        let (opened, is_open) = oneshot::channel();
        let (settings, runtime, keys) = (settings.clone(), Handle::current(), Keys::of(settings));
        let (alive, ended) = oneshot::channel();
        let work = move || {
            work(&settings, &runtime, opened, waiting);
            drop(alive);
        };
        // Where there can be no thread, its end of each channel is dropped, which tells it.
        let _ = std::thread::Builder::new().name("kafka".to_owned()).spawn(work);
        let session = async move {
            let checkpoints = is_open.await.map_err(|_| Error::Thread)??;
            Ok(Self { transactions, checkpoints, keys })
        };
        (session, Thread(ended))
    }

    /// Writes records in one transaction.
    pub(super) fn write(&self, records: Vec<Record>) -> Outcome {
        let (ended, outcome) = oneshot::channel();
        // Where the thread has ended, so has the sender of the outcome, which tells it.
        let _ = self.transactions.try_send(Transaction { records, ended });
        outcome
    }
}

fn work(
    settings: &Settings,
    runtime: &Handle,
    opened: oneshot::Sender<Result<Checkpoints, Error>>,
    mut waiting: mpsc::Receiver<Transaction>,
) {
    let topics_are_there = topics::ensure(settings, runtime);
    // Nobody is fenced for a session that is not wanted any more.
    if opened.is_closed() {
        return;
    }
    let topics = TopicNames::of(settings);
    let (producer, checkpoints) = match topics_are_there.and_then(|()| open(settings, &topics)) {
        Ok(open) => open,
        Err(error) => {
            // Nobody may be waiting any more.
            let _ = opened.send(Err(error));
            return;
        }
    };
    if opened.send(Ok(checkpoints)).is_err() {
        return;
    }
    while let Some(Transaction { records, ended }) = waiting.blocking_recv() {
        let outcome = write(&producer, &topics, records, call_max(settings));
        let has_failed = outcome.is_err();
        let _ = ended.send(outcome);
        if has_failed {
            return;
        }
    }
}

fn open(settings: &Settings, topics: &TopicNames) -> Result<(BaseProducer<Context>, Checkpoints), Error> {
    let producer = client::producer(settings).map_err(Error::kafka("connect"))?;
    // From here on nobody else's transaction commits; what he had begun is ended before this returns.
    producer.init_transactions(call_max(settings)).map_err(Error::kafka("begin a session"))?;
    let read = checkpoint::read(settings)?;
    let checkpoints = Checkpoints { unwritten: topics::unwritten(settings, producer.client())?, ..read };
    if checkpoints.reached.is_none() {
        begin(&producer, settings, topics, &checkpoints.unwritten)?;
    }
    Ok((producer, checkpoints))
}

/// Writes the first checkpoint by itself, ahead of all that is published: so none beside something that is published, even
/// if it was never committed, is one that was lost.
fn begin(
    producer: &BaseProducer<Context>,
    settings: &Settings,
    topics: &TopicNames,
    unwritten: &[String],
) -> Result<(), Error> {
    if unwritten.len() < topics::TOLD {
        return Err(Error::lost(&[settings.checkpoint_topic()], "empty"));
    }
    write(producer, topics, vec![Keys::of(settings).reached(&Reached::default())], call_max(settings))
}

fn write(
    producer: &BaseProducer<Context>,
    topics: &TopicNames,
    records: Vec<Record>,
    call_max: Duration,
) -> Result<(), Error> {
    producer.begin_transaction().map_err(Error::kafka("begin a transaction"))?;
    let sent = send(producer, topics, records);
    let outcome =
        sent.and_then(|()| producer.commit_transaction(call_max).map_err(Error::kafka("commit a transaction")));
    if outcome.is_err() {
        // So that readers need not wait for the next session. If it fails too, that one does it.
        let _ = producer.abort_transaction(ABORT_MAX);
    }
    outcome
}

fn send(producer: &BaseProducer<Context>, topics: &TopicNames, records: Vec<Record>) -> Result<(), Error> {
    for Record { topic, key, value, headers } in records {
        let headers = headers.iter().fold(OwnedHeaders::new_with_capacity(headers.len()), |all, (name, value)| {
            all.insert(Header { key: name, value: Some(value) })
        });
        let mut record = BaseRecord::to(topics.get(topic)).key(&key).headers(headers);
        record.payload = value.as_ref();
        while let Err((error, refused)) = producer.send(record) {
            if error != KafkaError::MessageProduction(RDKafkaErrorCode::QueueFull) {
                return Err(Error::kafka("write a record")(error));
            }
            producer.poll(QUEUE_WAIT);
            record = refused;
        }
    }
    Ok(())
}
