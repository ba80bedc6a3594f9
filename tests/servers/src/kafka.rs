//! A real Apache Kafka for tests: one broker in KRaft mode on free ports of 127.0.0.1, its jars from Maven Central.

use std::{
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::OnceLock,
    time::{Duration, Instant},
};

use rdkafka::{
    ClientConfig,
    consumer::{BaseConsumer, Consumer as _},
};
use tempfile::TempDir;

use crate::free_port;

/// How long a broker may take to answer on a busy machine.
const START_MAX: Duration = Duration::from_secs(120);

/// Runs the broker, and ends it when the standard input ends: however this process dies, no broker outlives it.
const WATCHED: &str = r#"
directory=$1; shift
"$@" >>"$directory/out.log" 2>&1 </dev/null &
pid=$!
echo "$pid"
cat >/dev/null
kill -KILL "$pid" 2>/dev/null
wait "$pid" 2>/dev/null
[ -e "$directory/keep" ] || rm -rf "$directory"
"#;

/// A broker.
#[derive(Debug)]
pub struct Broker {
    port: u16,
    directory: PathBuf,
    /// The shell that watches over the broker, and the broker's process id.
    running: Option<(Child, u32)>,
}

impl Broker {
    /// One broker for all tests of this process. It ends with the process.
    #[must_use]
    pub fn shared() -> &'static Self {
        static SHARED: OnceLock<Broker> = OnceLock::new();
        SHARED.get_or_init(Self::start)
    }

    /// Starts a broker, and waits until it answers.
    #[must_use]
    pub fn start() -> Self {
        let directory = TempDir::with_prefix("integrations-kafka-").unwrap().keep();
        let (port, controller) = (free_port(), free_port());
        std::fs::write(directory.join("server.properties"), properties(port, controller, &directory)).unwrap();
        std::fs::write(directory.join("log4j2.properties"), LOG4J).unwrap();
        let random_id = java(&directory).args(["kafka.tools.StorageTool", "random-uuid"]).output().unwrap();
        let id = String::from_utf8(random_id.stdout).unwrap();
        let format = java(&directory)
            .args(["kafka.tools.StorageTool", "format", "-t", id.trim(), "-c"])
            .arg(directory.join("server.properties"))
            .output()
            .unwrap();
        assert!(format.status.success(), "{}", String::from_utf8_lossy(&format.stderr));
        let mut broker = Self { port, directory, running: None };
        broker.restart();
        broker
    }

    /// `HOST:PORT`.
    #[must_use]
    pub fn address(&self) -> String {
        format!("127.0.0.1:{}", self.port)
    }

    /// Stops the broker as an operator does, and waits until it is gone. Its data stay.
    pub fn stop(&mut self) {
        let Some((mut shell, broker)) = self.running.take() else { return };
        std::fs::write(self.directory.join("keep"), "").unwrap();
        assert!(Command::new("kill").arg(broker.to_string()).status().unwrap().success());
        let deadline = Instant::now() + START_MAX;
        while is_alive(broker) {
            assert!(Instant::now() < deadline, "the broker does not stop");
            std::thread::sleep(Duration::from_millis(20));
        }
        drop(shell.stdin.take());
        shell.wait().unwrap();
    }

    /// Starts the broker on the same port and data, and waits until it answers.
    pub fn restart(&mut self) {
        let _ = std::fs::remove_file(self.directory.join("keep"));
        let java = java(&self.directory);
        let mut shell = Command::new("bash")
            .args(["-c", WATCHED, "bash"])
            .arg(&self.directory)
            .arg(java.get_program())
            .args(java.get_args())
            .arg("kafka.Kafka")
            .arg(self.directory.join("server.properties"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        BufReader::new(shell.stdout.take().unwrap()).read_line(&mut line).unwrap();
        self.running = Some((shell, line.trim().parse().unwrap()));
        self.wait_until_it_answers();
    }

    fn wait_until_it_answers(&self) {
        let client: BaseConsumer = ClientConfig::new()
            .set("bootstrap.servers", self.address())
            .set("reconnect.backoff.max.ms", "100")
            .set_log_level(rdkafka::config::RDKafkaLogLevel::Emerg)
            .create()
            .unwrap();
        let deadline = Instant::now() + START_MAX;
        while client.fetch_metadata(None, Duration::from_millis(500)).is_err() {
            assert!(Instant::now() < deadline, "the broker does not answer:\n{}", self.log());
        }
    }

    /// Which producer wrote each batch of records, by its id and epoch: for each partition of a topic, in the order of its
    /// file.
    #[must_use]
    pub fn producers(&self, topic: &str) -> Vec<Vec<(i64, i64)>> {
        let partitions = std::fs::read_dir(self.directory.join("data")).unwrap().map(|entry| entry.unwrap().path());
        let is_of_topic = |path: &PathBuf| {
            let name = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.rsplit_once('-'));
            name.is_some_and(|(of, partition)| of == topic && partition.parse::<u32>().is_ok())
        };
        partitions.filter(is_of_topic).map(|partition| self.producers_of(&partition)).collect()
    }

    fn producers_of(&self, partition: &Path) -> Vec<(i64, i64)> {
        let segments = std::fs::read_dir(partition).unwrap().map(|entry| entry.unwrap().path());
        let mut segments: Vec<_> = segments.filter(|path| path.extension().is_some_and(|is| is == "log")).collect();
        segments.sort();
        let names: Vec<_> = segments.iter().map(|path| path.to_str().unwrap()).collect();
        let dump =
            java(&self.directory).args(["kafka.tools.DumpLogSegments", "--files", &names.join(",")]).output().unwrap();
        assert!(dump.status.success(), "{}", String::from_utf8_lossy(&dump.stderr));
        let text = String::from_utf8(dump.stdout).unwrap();
        // What the broker wrote itself are markers of transactions.
        let batches = text.lines().filter(|line| line.contains("isControl: false"));
        batches.map(|line| (number(line, "producerId: "), number(line, "producerEpoch: "))).collect()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.directory.join("out.log")).unwrap_or_default()
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        if let Some((mut shell, _)) = self.running.take() {
            drop(shell.stdin.take());
            let _ = shell.wait();
        }
        // The shell has done it, unless the broker was stopped.
        let _ = std::fs::remove_dir_all(&self.directory);
    }
}

fn number(line: &str, name: &str) -> i64 {
    line.split_once(name).unwrap().1.split_whitespace().next().unwrap().parse().unwrap()
}

fn is_alive(process: u32) -> bool {
    let status = std::fs::read_to_string(format!("/proc/{process}/stat")).unwrap_or_default();
    // A process that has ended is a zombie until the shell has waited for it.
    !status.is_empty() && !status.contains(") Z ")
}

/// Java with the broker's jars.
fn java(directory: &Path) -> Command {
    let jars = jars().join("*");
    let mut command = Command::new("java");
    let log4j = format!("-Dlog4j2.configurationFile={}", directory.join("log4j2.properties").display());
    command.args(["-Xmx512m", "-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", &log4j, "-cp"]).arg(jars);
    command
}

/// Where the jars are; fetched when they are not.
fn jars() -> &'static Path {
    static JARS: OnceLock<PathBuf> = OnceLock::new();
    JARS.get_or_init(|| {
        let here = Path::new(env!("CARGO_MANIFEST_DIR"));
        // Where a build is, so that they go with it.
        let jars = here.join("../../target/kafka");
        let script = here.join("kafka/fetch.sh");
        let fetch = Command::new("bash").arg(script).arg(&jars).output().unwrap();
        assert!(fetch.status.success(), "{}", String::from_utf8_lossy(&fetch.stderr));
        jars
    })
}

fn properties(port: u16, controller: u16, directory: &Path) -> String {
    let data = directory.join("data");
    format!(
        "process.roles=broker,controller
node.id=1
listeners=PLAINTEXT://127.0.0.1:{port},CONTROLLER://127.0.0.1:{controller}
advertised.listeners=PLAINTEXT://127.0.0.1:{port}
controller.listener.names=CONTROLLER
listener.security.protocol.map=CONTROLLER:PLAINTEXT,PLAINTEXT:PLAINTEXT
inter.broker.listener.name=PLAINTEXT
controller.quorum.voters=1@127.0.0.1:{controller}
log.dirs={data}
offsets.topic.replication.factor=1
offsets.topic.num.partitions=1
transaction.state.log.replication.factor=1
transaction.state.log.min.isr=1
transaction.state.log.num.partitions=1
share.coordinator.state.topic.replication.factor=1
share.coordinator.state.topic.min.isr=1
group.initial.rebalance.delay.ms=0
auto.create.topics.enable=false
log.cleaner.backoff.ms=200
",
        data = data.display()
    )
}

const LOG4J: &str = "rootLogger.level=warn
rootLogger.appenderRef.out.ref=out
appender.out.type=Console
appender.out.name=out
appender.out.layout.type=PatternLayout
appender.out.layout.pattern=%d %p %c: %m%n
";
